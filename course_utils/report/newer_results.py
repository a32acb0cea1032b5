"""What the newer techniques of lesson 13 added to the recipe, read here alone, so that its table, card and last lines cannot disagree."""
from pathlib import Path

import numpy as np, pandas as pd

from course_utils.report.ladder_results import where_measured
from course_utils.report.outcomes import choice_in_words, outcome
from course_utils.report.results import experiment_file, measured_by_folds
from course_utils.report.stats import Seeds, gains

BASE = 'recipe'  # what every technique is added to
BESIDE_RECIPE = {  # what `outcome` says → in a sentence
    'helps': 'better than the recipe',
    'hurts': 'worse',
    'mixed': 'better in one of accuracy and loss, worse in the other',
    'not clear': 'not clear',
}


def measured_newer(
    data: str='solar',         # one of `LADDER_DATA`
    folder: Path | None=None,  # of results; None: the course's
) -> dict:  # name → `Seeds`, the recipe first; empty where it was not measured with one technique at least
    "What was measured by folds: those folds alone that all of them have."
    found = measured_by_folds(experiment_file('newer', data, folder))
    if BASE not in found or len(found) < 2: return {}
    return {BASE: found[BASE]} | found


def newer_measured(
    folder: Path | None=None,  # as in `measured_newer`
) -> dict:  # data set in words → what `measured_newer` gives; those without a measurement are left out
    "The comparison on every data set that it was measured on."
    return where_measured(lambda data: measured_newer(data, folder))


def newer_gains(
    by_arm: dict,      # of `measured_newer`, not empty
) -> pd.DataFrame:     # as `gains` gives it, with a column `kind`, what `outcome` says
    "What each technique added to the recipe."
    table = gains(by_arm, BASE)
    return table.assign(kind=[outcome(row) for _, row in table.iterrows()])


def bare_name(arm: str) -> str: return arm.removeprefix('+ ')


def names_of_kind(table: pd.DataFrame, kind: str) -> list:
    "The techniques of one kind, as a sentence calls them."
    names = [bare_name(name) for name in table.index[table.kind == kind]]
    return [name.replace(', ', ' with ', 1).replace(', ', ' and ') for name in names]


def newer_in_words(
    by_arm: dict,  # of `measured_newer`
) -> str:          # empty without a measurement
    "One clause: how it was judged, the recipe's accuracy, and the techniques by what they did to it."
    if not by_arm: return ''
    table = newer_gains(by_arm)
    judged = 'one fold' if by_arm[BASE].n_trainings == 1 else 'by folds'
    parts = [f'{judged}, the recipe {by_arm[BASE].accuracy[0]:.1%}']
    for kind, words in BESIDE_RECIPE.items():
        names = names_of_kind(table, kind)
        if kind != 'not clear':
            rows = table[table.kind == kind].itertuples()
            names = [f'{name} (accuracy {row.gain:+.1%}, loss {row.loss_change:+.3f})' for name, row in zip(names, rows)]
        if names: parts.append(f"{words}: {', '.join(names)}")
    return '; '.join(parts)


def widest_in_words(
    by_arm: dict,  # of `measured_newer`
) -> str:          # empty where there are no two folds
    "The technique with the widest interval, fold by fold beside the recipe: where one fold went wrong, here it shows."
    if not by_arm or by_arm[BASE].n_trainings < 2: return ''
    table = newer_gains(by_arm)
    widest = (table.high - table.low).idxmax()
    return (f'The widest interval has {bare_name(widest)}: {fold_accuracies(by_arm[widest])} right, fold by fold; '
            f'the recipe {fold_accuracies(by_arm[BASE])}.')


def fold_accuracies(seeds: Seeds) -> str:
    "'75.5%, 82.6%', a share for each fold."
    shares = [seeds.right[0][seeds.folds == fold].mean() for fold in np.unique(seeds.folds)]
    return ', '.join(f'{share:.1%}' for share in shares)


def best_in_words(table: pd.DataFrame) -> str:  # of `newer_gains`
    "The technique with the lowest held-out loss, with both differences, and among how many it was chosen."
    row = table.loc[table.loss_change.idxmin()]
    return (f'The lowest loss has {bare_name(row.name)}: loss {row.loss_change:+.3f} ({row.loss_low:+.3f} to {row.loss_high:+.3f}), '
            f'accuracy {row.gain:+.1%} ({row.low:+.1%} to {row.high:+.1%}){choice_in_words(len(table))}')


def newer_advice(
    tables: dict,  # data set in words → what `newer_gains` gives
) -> str:          # empty without a measurement
    "What to do tomorrow: what added on all data sets, on some, or on none."
    if not tables: return ''
    adding = {data: names_of_kind(table, 'helps') for data, table in tables.items()}
    first, *rest = adding.values()
    shared = [name for name in first if all(name in names for names in rest)]
    if shared: return f"Put into the recipe what added on {all_in_words(list(tables))}: {', '.join(shared)}."
    single = [f"{', '.join(names)} (on {data})" for data, names in adding.items() if names]
    if single: return f"Try on pictures of yours what added on one data set alone: {'; '.join(single)}. The other could not say, or said no."
    return 'Leave the recipe as it is: none of these techniques clearly added to it. They were made for long trainings from scratch: come back to them there.'


def all_in_words(data: list) -> str: return ' and on '.join(data) if len(data) > 1 else data[0]
