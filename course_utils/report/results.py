"""Figures with a description, grids of pictures, curves, and the numbers that cards and tables read."""
import json, os, time

import numpy as np

from course_utils.config import profile, results_dir, write_whole
from course_utils.report.stats import Seeds
from course_utils.training.learner import device_name, versions


def read_results(name: str) -> dict:
    "What `results/NAME.json` holds, or nothing where it has not been measured."
    path = results_dir()/f'{name}.json'
    return json.loads(path.read_text()) if path.exists() else {}


def measured(
    name: str,  # an experiment of data_scripts/measure.py
) -> dict:      # name of a setting → `Seeds`; empty where nothing was measured
    "What `results/NAME.json` holds of an experiment: the seeds that all its settings share."
    runs, by = read_results(name).get('runs', {}).values(), {}
    for r in runs:
        for field in (f for f in r if f.endswith('right')):  # `ensemble_right` is a second answer of the same training
            answer = field.removesuffix('right')
            arm = ', '.join([r['settings']['arm']] + [answer.strip('_')] * bool(answer))
            by.setdefault(arm, {})[r['settings']['seed']] = [int(v) for v in r[field]], r[f'{answer}loss'], r['seconds']
    common = sorted(set.intersection(*map(set, by.values()))) if by else []
    stack = lambda rows: Seeds(*(np.array(v, float) for v in rows[:2]), float(np.median(rows[2])))
    return {arm: stack(list(zip(*(rs[s] for s in common)))) for arm, rs in by.items() if common}


def measured_on(name: str) -> str:
    "On what an experiment was measured, in a sentence; how to measure it where it was not."
    runs = list(read_results(name).get('runs', {}).values())
    if not runs: return f"Not measured yet: make measure ONLY={name.split('_')[0]}"
    seeds, r = len({r['settings']['seed'] for r in runs}), runs[0]
    return f"Measured on {r['data'].split()[0]}, {len(r['right'])} held-out pictures, {seeds} seeds, {r['device']}, torch {r['versions']['torch']}, {r['date']}."


def record(
    lesson: str,            # its number, `00`
    data: str,              # the data set's name
    headline: str='',       # one clause for the README's table, made of the numbers
    **numbers               # what was measured, JSON
):
    "Writes measured numbers to `results/lesson_NN.json`, with profile, device and versions."
    if not os.environ.get('COURSE_RESULTS'): return
    name, kept = f'lesson_{lesson}', read_results(f'lesson_{lesson}')
    kept.setdefault('runs', {})[f'{data} {profile().name}'] = dict(numbers, device=device_name(), versions=versions(), date=time.strftime('%Y-%m-%d'))
    if headline and data.startswith('solar') and profile().name == 'cpu': kept['headline'] = headline
    write_whole(results_dir()/f'{name}.json', json.dumps(kept, indent=1, sort_keys=True) + '\n')
