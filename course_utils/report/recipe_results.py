"""What `recommend`'s recipe is worth on folders of several kinds, as `python -m data_scripts.experiments.recipes` found it."""
import pandas as pd

from course_utils.report.results import read_results
from course_utils.report.stats import verdict

RECIPE_COLUMNS = ['pictures', 'classes', 'size', 'accuracy', 'low', 'high', 'frozen', 'kept', 'minutes']


def recipes_measured(
    results='recipes',  # as in `read_results`
) -> pd.DataFrame:      # a row for each folder, with `RECIPE_COLUMNS`; empty where nothing was measured
    "The accuracy of the half that was kept, with its interval, and that of the frozen half, which every recipe has."
    runs = read_results(results).get('runs', {})
    rows = {name: recipe_row(run) for name, run in runs.items()}
    return pd.DataFrame(rows.values(), index=pd.Index(rows, name='folder'), columns=RECIPE_COLUMNS)


def recipe_row(run: dict) -> dict:
    "One folder."
    low, high = run['interval']
    kept = 'fine-tuned' if run['is_tuned'] else 'frozen'
    return dict(pictures=run['pictures'], classes=run['classes'], size=run['size'], accuracy=run['accuracy'], low=low, high=high,
                frozen=run['frozen'], kept=kept, minutes=round(run['seconds'] / 60, 1))


def recipes_in_words(
    results='recipes',  # as in `read_results`
) -> str:               # a line for each folder, and one on fine-tuning; empty where nothing was measured
    "Who judged each recipe, and whether fine-tuning was kept and paid: what the table of `recipes_measured` does not say."
    runs = read_results(results).get('runs', {})
    if not runs: return ''
    lines = [f"{name}: judged by {run['judged_by']:,} pictures that it had not seen ({run['device']}); {half_words(run)}." for name, run in runs.items()]
    first = next(iter(runs.values()))
    dates = sorted({run['date'] for run in runs.values()})
    lines.append(f"Each was given {first['minutes']:g} minutes; torch {first['versions']['torch']}, {' to '.join(dict.fromkeys([dates[0], dates[-1]]))}.")
    return '\n'.join(lines)


def half_words(run: dict) -> str:
    "Which half was kept, and what the other pictures say of that."
    if not run['epochs']: return 'the frozen half; fine-tuning was not tried'
    if not run['is_tuned']: return 'the frozen half, which fine-tuning did not clearly beat on the training pictures'
    gain, low, high = run['gain']
    return f'the fine-tuned half, {gain:+.1%} ({low:+.1%} to {high:+.1%}) to the frozen one, {verdict(low, high)}'
