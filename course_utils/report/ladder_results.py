"""The measured ladder, read here alone, so that the home page, lesson 09, its card and the README cannot disagree."""
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from course_utils.report.outcomes import outcomes_in_words
from course_utils.report.results import experiment_file, experiment_name, fold_gains, measured, measured_on
from course_utils.report.stats import gains, verdict
from course_utils.techniques.ladder import TOP, rungs

LADDER_DATA = {  # the data sets it is measured on → in words
    'solar': 'solar cells',
    'cats_dogs': 'cats and dogs',
}


def where_measured(
    measurement: Callable,  # a data set's name → a dict or a table, empty where there is nothing
) -> dict:                  # data set in words → what it gives; those without a measurement are left out
    "A measurement on every data set of the ladder that it was made on."
    found = {words: measurement(data) for data, words in LADDER_DATA.items()}
    return {words: numbers for words, numbers in found.items() if len(numbers)}


def measured_ladder(
    data: str='solar',           # one of `LADDER_DATA`
    folder: Path | None=None,    # of results; None: the course's
) -> dict:  # name of a rung → `Seeds`, bottom first; empty where it was not measured by folds
    "The rungs that were measured, each over all folds."
    path = experiment_file('ladder', data, folder)
    by_rung = measured(path)
    known = {name: by_rung[name] for name in rungs() if name in by_rung}
    is_by_folds = bool(known) and all(seeds.folds is not None for seeds in known.values())
    return known if is_by_folds else {}


def ladders_measured(
    folder: Path | None=None,  # as in `measured_ladder`
) -> dict:  # data set in words → what `measured_ladder` gives; those without a measurement are left out
    "The ladder on every data set that it was measured on."
    return where_measured(lambda data: measured_ladder(data, folder))


def ladder_steps(
    ladder: dict,     # of `measured_ladder`
) -> pd.DataFrame:    # as `gains` gives it, a row for each rung but the lowest; empty without a ladder
    "What each rung added to the one below."
    names = list(ladder)
    if len(names) < 2: return pd.DataFrame()
    return gains(ladder, list(zip(names[1:], names))).droplevel('against')


def one_fold_words(
    by_name: dict,  # name → `Seeds`, not empty
) -> str:
    "', one fold' where one fold alone judges, so that nobody takes it for all; else nothing."
    return ', one fold' if next(iter(by_name.values())).n_trainings == 1 else ''


def rung_in_words(
    ladder: dict,  # of `measured_ladder`
    rung: str,     # the name of one, not the lowest
) -> str:
    "'+6.2% (+3.1% to +9.4%)': what it added to the rung below; with it, where it is so, that one fold alone judges."
    step = ladder_steps(ladder).loc[rung]
    words = f'{step.gain:+.1%} ({step.low:+.1%} to {step.high:+.1%})'
    one_fold = one_fold_words(ladder)
    return f'{words}{one_fold},' if one_fold else words


def bottom_to_top(
    ladder: dict,  # of `measured_ladder`
) -> pd.Series | None:  # a row of `gains`; None where there are no two rungs
    "What the highest rung gains over the lowest."
    names = list(ladder)
    if len(names) < 2: return None
    return gains(ladder, [(names[-1], names[0])]).iloc[0]


def ladder_in_words(
    ladder: dict,  # of `measured_ladder`
) -> str:          # empty without a ladder
    "One clause: the accuracy at the bottom and at the top, the difference with its interval, the minutes of one training at the top."
    whole = bottom_to_top(ladder)
    if whole is None: return ''
    bottom, *_, top = ladder.values()
    return (f'from {bottom.accuracy[0]:.1%} at the bottom to {top.accuracy[0]:.1%} at the top: {whole.gain:+.1%} '
            f'({whole.low:+.1%} to {whole.high:+.1%}), {verdict(whole.low, whole.high)}, '
            f'{whole.seconds / 60:.1f} minutes a training')


def ladder_measured_on(data: str='solar') -> str:
    "On what it was measured, in a sentence; how to measure it where it was not."
    if measured_ladder(data): return measured_on(experiment_name('ladder', data))
    return 'Not measured yet: make ladder' + ('' if data == 'solar' else f' DATA={data}')


# ---- leave one out ----

def left_out_measured(
    data: str='solar',         # one of `LADDER_DATA`
    folder: Path | None=None,  # of results; None: the course's
) -> pd.DataFrame:  # as `gains` gives it, a row for each change; empty where it was not measured by folds
    "What one change does to the top recipe, over the folds that all changes have."
    return fold_gains(experiment_file('left_out', data, folder), lambda setting: TOP)


def left_outs_measured(
    folder: Path | None=None,  # as in `left_out_measured`
) -> dict:  # data set in words → what `left_out_measured` gives; those without a measurement are left out
    "The top recipe with one change, on every data set that this was measured on."
    return where_measured(lambda data: left_out_measured(data, folder))


def left_out_in_words(
    data: str,            # as in `LADDER_DATA`
    table: pd.DataFrame,  # of `left_out_measured`, not empty
) -> str:
    "On what it was measured, and which changes to the top recipe help, hurt or make no clear difference."
    judged = measured_on(experiment_name('left_out', data))
    return f'{LADDER_DATA[data].capitalize()}. {judged} {outcomes_in_words(table)}'
