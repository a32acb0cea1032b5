"""The store of measured numbers: `results/NAME.json`, read and written in one step, and a row that says on what it was measured.

Lessons and case studies write by `record` and `record_case`, the scripts by `write_results`. A row made by `result_row` holds
numbers, device, versions and date. Most tables in results/ are of these four kinds:

lesson_NN, case_NAME    {"headline": …, "runs": {"solar cpu": row, …}}
transfer, ladder, …     {"runs": {name of a run: row, …}}, a line each, in the order of the experiment
bench, gpu_report       {name of a row: row, …}, in the order of the page
lessons                 {lesson: {profile: seconds and what was predicted}}

The others (coverage, int8, resizes, site) have forms of their own: the modules that read or write them say which.
"""
import json, os, time
from collections.abc import Callable
from pathlib import Path

import numpy as np, pandas as pd

from course_utils.config import profile, results_dir, write_whole
from course_utils.report.stats import Seeds, gains
from course_utils.show.words import plural
from course_utils.training.learner import device_name, versions


# ---- read and write ----

def results_path(name: str | Path) -> Path:
    "`results/NAME.json`; a path stays as it is."
    return name if isinstance(name, Path) else results_dir()/f'{name}.json'


def read_results(
    name: str | Path,  # `ladder`, or a file
) -> dict:
    "What `results/NAME.json` holds, or nothing where it has not been measured."
    path = results_path(name)
    return json.loads(path.read_text(encoding='utf-8')) if path.exists() else {}


def write_results(
    name: str | Path,  # `ladder`, or a file
    table: dict,       # JSON
    *,
    sort: bool=True,   # keys by name; False: in the order they have
    lines: bool=False, # a line for each of `table['runs']`, which is all there is: for thousands of numbers a row
):
    "Writes `results/NAME.json` in one step: a reader sees the old file or the new one."
    if lines: text = lines_of_runs(table['runs'])
    else: text = json.dumps(table, indent=1, sort_keys=sort, ensure_ascii=False)
    write_whole(results_path(name), text + '\n')


def lines_of_runs(runs: dict) -> str:
    "`{\"runs\": …}` as JSON, a line a run."
    def to_json(value): return json.dumps(value, sort_keys=True, ensure_ascii=False)
    lines = [f' {to_json(name)}: {to_json(run)}' for name, run in runs.items()]
    return '{"runs": {\n' + ',\n'.join(lines) + '\n}}'


def result_row(
    **numbers  # what was measured, JSON
) -> dict:
    "A row of results: the numbers, and on what they were measured."
    return dict(numbers, device=device_name(), versions=versions(), date=time.strftime('%Y-%m-%d'))


def is_recorded() -> bool:
    "Are numbers written down here? Only where `make lessons` runs the notebook."
    return bool(os.environ.get('COURSE_RESULTS'))


def record_run(
    name: str,        # of the file: `lesson_00`, `case_cats_dogs`
    key: str,         # what the numbers belong to: data and profile
    numbers: dict,    # what was measured, JSON
    headline: str='', # one clause for the README's table; '': the one that is there stays
):
    "Puts a row among the `runs` of `results/NAME.json`, in place of the one with the same key. Only where `make lessons` runs the notebook."
    if not is_recorded(): return
    table = read_results(name)
    table.setdefault('runs', {})[key] = result_row(**numbers)
    if headline: table['headline'] = headline
    write_results(name, table)


def record(
    lesson: str,            # its number, `00`
    data: str,              # the data set's name
    headline: str='',       # one clause for the README's table, made of the numbers
    **numbers               # what was measured, JSON
):
    "Writes measured numbers to `results/lesson_NN.json`, with profile, device and versions."
    # the README tells of the course's own pictures, on a machine that a learner has
    is_headline = data.startswith('solar') and profile().name == 'cpu'
    record_run(f'lesson_{lesson}', f'{data} {profile().name}', numbers, headline if is_headline else '')


# ---- experiments: data_scripts writes them, a row a training ----

def measured(
    name: str | Path,  # an experiment that `make measure` runs: `ladder`, `rates`, …, or a file
) -> dict:             # name of a setting → `Seeds`; empty where nothing was measured
    "What `results/NAME.json` holds of an experiment: the seeds, or the folds, that all its settings share."
    return {setting: seeds_of(list(rows.values()), list(rows)) for setting, rows in shared_rows(name).items()}


def shared_rows(
    name: str | Path,  # as for `measured`
) -> dict:             # name of a setting → seed or fold, in order → its row; empty where they share none
    """The rows of every setting, of the seeds or folds that all settings share. What a table says beside `measured` is read
    from these: while a measurement is under way, a fold that some settings lack counts in none of its columns."""
    by_setting = rows_by_setting(read_results(name).get('runs', {}).values())
    if not by_setting: return {}
    common = sorted(set.intersection(*map(set, by_setting.values())))
    if not common: return {}
    return {setting: rows_at(rows, common) for setting, rows in by_setting.items()}


def rows_at(rows: dict, numbers: list) -> dict: return {number: rows[number] for number in numbers}


def measured_by_folds(
    name: str | Path,  # as for `measured`
) -> dict:             # as `measured` gives it; empty, too, where the file still holds seeds on one split
    "What was measured with every picture held out once: tables and sentences of lessons are made of this alone."
    found = measured(name)
    is_by_folds = all(seeds.folds is not None for seeds in found.values())
    return found if is_by_folds else {}


def fold_gains(
    name: str | Path,     # as for `measured`
    reference: Callable,  # name of a setting → of the one it is compared with; None: with none
) -> pd.DataFrame:        # of `gains`, a row for each setting that has a reference; empty where nothing was measured by folds
    "What settings gain, each over its own reference. One that is its own reference, or whose reference was not measured, is left out."
    found = measured_by_folds(name)
    pairs = [(setting, reference(setting)) for setting in found]
    pairs = [(setting, other) for setting, other in pairs if setting != other and other in found]
    return gains(found, pairs).droplevel('against') if pairs else pd.DataFrame()


def experiment_name(
    name: str,                # `tta`, `rates`, …
    data: str | None = None,  # a data set's name; None: the solar cells
) -> str:                     # `tta`, or `tta_cats_dogs`
    "Under which name the results of an experiment on a data set lie in results/."
    return name if data in (None, 'solar') else f'{name}_{data}'


def experiment_file(
    name: str,                 # `tta`, `rates`, …
    data: str='solar',         # a data set's name
    folder: Path | None=None,  # of results; None: the course's
) -> Path:
    "The file of results of an experiment on a data set."
    return (folder or results_dir())/f'{experiment_name(name, data)}.json'


def rows_by_setting(
    runs,     # rows of an experiment
) -> dict:    # name of a setting → seed or fold → its row
    "The rows of every setting. `ensemble_right` is a second answer of the same training, and a setting of its own."
    by_setting = {}
    for run in runs:
        for field in run:
            if not field.endswith('right'): continue
            prefix = field.removesuffix('right')  # '' or 'ensemble_'
            setting = run['settings']['arm'] + (f", {prefix.strip('_')}" if prefix else '')
            row = dict(run, right=run[field], loss=run[f'{prefix}loss'])
            by_setting.setdefault(setting, {})[number_of(run)] = row
    return by_setting


def number_of(run: dict) -> int:
    "Its fold, or its seed where the experiment has none."
    fold = run['settings'].get('fold')
    return run['settings']['seed'] if fold is None else fold


def seeds_of(
    rows: list,     # one for each seed or fold
    numbers: list,  # of these
) -> Seeds:
    "The answers of several seeds one upon the other, those of folds one beside the other."
    right = [np.array([int(digit) for digit in row['right']], float) for row in rows]
    loss = [np.array(row['loss'], float) for row in rows]
    seconds = float(np.median([row['seconds'] for row in rows]))
    if rows[0]['settings'].get('fold') is None: return Seeds(np.array(right), np.array(loss), seconds)
    folds = np.repeat(numbers, [len(row) for row in right])
    groups = np.concatenate([row['groups'] for row in rows]) if 'groups' in rows[0] else None
    return Seeds(np.concatenate(right)[None], np.concatenate(loss)[None], seconds, groups=groups, folds=folds)


def measured_on(name: str) -> str:
    "On what an experiment was measured, in a sentence; how to measure it where it was not."
    runs = list(read_results(name).get('runs', {}).values())
    if not runs: return f"Not measured yet: make measure ONLY={name.removesuffix('_gpu').removesuffix('_cats_dogs')}"
    rows = next(iter(shared_rows(name).values()), {})  # a fold that is still being measured does not count
    n_pictures = sum(len(row['right']) for row in rows.values())
    first = runs[0]
    by_folds = first['settings'].get('fold') is not None
    if by_folds and len(rows) == 1: judged = f"{n_pictures:,} pictures of one fold"
    elif by_folds: judged = f"{n_pictures:,} pictures, each held out once, in {len(rows)} folds"
    else: judged = f"{len(first['right'])} held-out pictures{random_words(first)}, {plural(len(rows), 'seed')}"
    return (f"Measured on {first['data'].split()[0]}, {judged}, "
            f"{first['device']}, torch {first['versions']['torch']}, {first['date']}.")


def random_words(row: dict) -> str:
    "Older measurements of the solar cells split them at random. Newer ones hold out whole modules, and know their groups."
    is_random = row['data'].startswith('solar') and 'groups' not in row
    return ' drawn at random, cells of the same modules in training' if is_random else ''


def measured_regime(name: str) -> str:
    "How an experiment trained, in a sentence: tables of one question can differ because of it. Empty where it was not measured."
    runs = list(read_results(name).get('runs', {}).values())
    if not runs or 'recipe' not in runs[0]['settings']: return ''
    settings = runs[0]['settings']
    recipe = settings['recipe']
    is_augmented = recipe.get('augment') or recipe.get('kept_views', 0) > 1  # one view is the picture as it lies
    parts = [
        f"pictures of {settings['size']} px",
        f"{recipe['epochs']} epochs",
        'augmented' if is_augmented else 'not augmented',
    ]
    if recipe['pretrained']:
        parts.append('the head alone first' if recipe['freeze_epochs'] else 'all layers from the start')
        parts.append(f"BatchNorm {recipe['batchnorm'].replace('_', ' ')}")
    return f"Trained so: {', '.join(parts)}."

