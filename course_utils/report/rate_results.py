"""Differential rates, as `make measure ONLY='peaks rates'` found them: by folds, each setting at a peak of its own."""
from pathlib import Path

import numpy as np, pandas as pd

from course_utils.report.outcomes import COMPARED, change_in_words, choice_in_words, outcome, outcomes_in_words
from course_utils.report.results import (
    experiment_file, experiment_name, fold_gains, measured_by_folds, measured_on, measured_regime, read_results, shared_rows)
from course_utils.report.stats import verdict

RATES_DATA = {  # in words → a data set's name
    'far: solar cells': 'solar',
    'near: cats and dogs': 'cats_dogs',
}
ONE_RATE = 'one rate'
NORM_MOVES = ', BatchNorm moves'  # how the settings end in which it does
RATE_COLUMNS = ['peak', 'accuracy', 'gain', 'low', 'high', 'valid_loss', 'loss_change', 'loss_low', 'loss_high']


def rates_measured(
    data: str='solar',         # a data set's name
    folder: Path | None=None,  # of results; None: the course's
) -> pd.DataFrame:  # a row for each setting with groups, with `RATE_COLUMNS`; empty where it was not measured by folds
    "What each setting with groups gains over one rate, both at their own peaks, BatchNorm still in both."
    name = experiment_file('rates', data, folder)
    table = fold_gains(name, lambda setting: None if setting.endswith(NORM_MOVES) else ONE_RATE)
    if table.empty: return table
    peaks = peaks_of(name)
    table['peak'] = [peaks.get(setting) for setting in table.index]
    return table[RATE_COLUMNS]


def peaks_of(name: str | Path) -> dict:  # setting → the peak it was trained at
    "The head's highest rate of each setting."
    peaks = {}
    for setting, rows in shared_rows(name).items():
        first = next(iter(rows.values()))
        peaks[setting] = first['settings'].get('peak')
    return peaks


def peaks_searched(
    data: str='solar',         # a data set's name
    folder: Path | None=None,  # of results; None: the course's
) -> pd.DataFrame:  # loss of one training, a row for each setting, a column for each peak; NaN where it burst; empty where nothing was searched
    "The search for the peaks: what each setting loses where its peak is off."
    return peak_losses(read_results(experiment_file('peaks', data, folder)).get('runs', {}).values())


def peak_losses(
    rows,  # of a search for the peaks
) -> pd.DataFrame:  # as `peaks_searched`
    "One loss for each setting and peak."
    losses = {}
    for row in rows:
        settings = row['settings']
        losses.setdefault(settings['setting'], {})[settings['peak']] = row['valid_loss']
    return pd.DataFrame(losses, dtype=float).T.sort_index(axis=1)


def norm_costs(
    data: str='solar',  # a data set's name
) -> pd.DataFrame:      # a row for each setting measured both ways, as `gains` gives it; empty where there is none
    "What it does to a setting when BatchNorm moves."
    table = fold_gains(experiment_name('rates', data), still_setting)
    return table.rename(index=still_setting)


def still_setting(setting: str) -> str: return setting.removesuffix(NORM_MOVES)


def rates_measured_on(data: str='solar') -> str:
    "On what and how it was measured, in two sentences; empty where it was not measured by folds."
    name = experiment_name('rates', data)
    if not measured_by_folds(name): return ''
    return f'{measured_on(name)} {measured_regime(name)}'


def near_minus_far(
    near: pd.DataFrame,  # of `rates_measured`
    far: pd.DataFrame,
) -> pd.DataFrame:       # a row for each setting in both: mean, low, high
    """By how much more accuracy a setting gains on near pictures. The two are independent, so the interval of their difference
    follows from theirs (Zou & Donner 2008)."""
    rows = {}
    for setting in near.index.intersection(far.index):
        a = near.loc[setting]
        b = far.loc[setting]
        mean = a.gain - b.gain
        low = mean - np.hypot(a.gain - a.low, b.high - b.gain)
        high = mean + np.hypot(a.high - a.gain, b.gain - b.low)
        rows[setting] = dict(mean=mean, low=low, high=high)
    return pd.DataFrame(rows).T


# ---- in sentences ----

RULE = {  # verdict of near minus far → what it says of the article's rule
    'better': 'as the rule says',
    'worse': 'the other way round',
    'not clear': 'not clear',
}


def rule_in_words(
    differences: pd.DataFrame,  # of `near_minus_far`
) -> str:                       # empty where there is no setting in both
    "Whether near pictures gain more by a spread than far ones, setting by setting."
    parts = []
    for setting, row in differences.iterrows():
        said = RULE[verdict(row.low, row.high)]
        parts.append(f'{setting} {row["mean"]:+.1%} ({row.low:+.1%} to {row.high:+.1%}), {said}')
    return f"Near minus far: {'; '.join(parts)}." if parts else ''


def rates_in_words(
    table: pd.DataFrame,  # of `rates_measured`
) -> str:                 # empty for an empty table
    "What groups did, against one rate."
    return f'Against one rate. {outcomes_in_words(table)}' if len(table) else ''


SAME_LOSS = .05  # a difference of loss that one training cannot tell from chance


def forgiven_in_words(
    table: pd.DataFrame,  # of `peaks_searched`
) -> str:                 # empty for an empty table
    "The peaks that cost a setting next to nothing."
    parts = []
    for setting, losses in table.iterrows():
        good = losses.index[losses < losses.min() + SAME_LOSS]
        parts.append(f'{setting} {", ".join(f"{peak:g}" for peak in good)}')
    return f'Peaks within {SAME_LOSS} of the lowest loss of their setting: {"; ".join(parts)}.' if parts else ''


NORM = {  # outcome → what BatchNorm did by moving
    'helps': 'gained',
    'mixed': 'gained in one and lost in the other of accuracy and loss',
    'hurts': 'lost',
    'not clear': 'showed no clear difference',
}


def norm_in_words(
    table: pd.DataFrame,  # of `norm_costs`
) -> str:                 # empty for an empty table
    "What each setting gained or lost when BatchNorm moved."
    parts = [f'{setting} {NORM[outcome(row)]}, {change_in_words(row)}' for setting, row in table.iterrows()]
    return f"With BatchNorm moving {'; '.join(parts)}." if parts else ''


def rates_verdict(
    tables: dict,  # data set in words → `rates_measured`, of those that were
) -> str:          # empty where there is none
    "For the end of a lesson: the best setting with groups on each data set."
    sentences = []
    for data, table in tables.items():
        best = table.loc[table.loss_change.idxmin()]
        sentences.append(f'{data.capitalize()}: by folds the best with groups, {best.name}, is {COMPARED[outcome(best)]} one rate '
                         f'({change_in_words(best)}){choice_in_words(len(table))}.')
    return ' '.join(sentences)
