"""The rules of the learning rate finder, as `make measure ONLY=finder` found them: each against a fixed rate, by folds."""
from pathlib import Path

import numpy as np, pandas as pd

from course_utils.report.ladder_results import where_measured
from course_utils.report.outcomes import counted_outcomes, outcomes_by
from course_utils.report.results import experiment_file, fold_gains, shared_rows

FIXED_SETTING = 'fixed 1e-3'
FINDER_COLUMNS = ['rate', 'lowest', 'highest', 'answers', 'accuracy', 'gain', 'low', 'high', 'valid_loss', 'loss_change', 'loss_low', 'loss_high']


def finder_measured(
    data: str='solar',         # a data set's name
    folder: Path | None=None,  # of results; None: the course's
) -> pd.DataFrame:  # a row for each (training, rule), with `FINDER_COLUMNS`; empty where it was not measured by folds
    "What each rule's rate gains over a fixed 1e-3, for each optimizer and batch size."
    name = experiment_file('finder', data, folder)
    table = fold_gains(name, lambda setting: f'{training_of(setting)}, {FIXED_SETTING}')
    if table.empty: return table
    table = table.join(rates_found(name)).reset_index()
    table['training'] = [training_of(setting) for setting in table.setting]
    table['rule'] = [rule_of(setting) for setting in table.setting]
    return table.set_index(['training', 'rule'])[FINDER_COLUMNS]


def training_of(setting: str) -> str: return setting.rpartition(', ')[0]


def rule_of(setting: str) -> str: return setting.rpartition(', ')[2].replace('_', ' ')


def rates_found(name: Path) -> pd.DataFrame:  # a row for each setting: rate (the median), lowest, highest, answers
    "The rates that each rule gave over the folds, and how often it had an answer."
    numbers = {}
    for setting, rows in shared_rows(name).items():
        rates = [row['rate'] for row in rows.values()]
        n_answers = sum(row['answered'] for row in rows.values())
        numbers[setting] = dict(rate=float(np.median(rates)), lowest=min(rates), highest=max(rates), answers=n_answers)
    return pd.DataFrame(numbers).T


def finders_measured(
    folder: Path | None=None,  # as in `finder_measured`
) -> dict:  # data set in words → `finder_measured`; those without a measurement are left out
    "The rules on every data set that they were measured on."
    return where_measured(lambda data: finder_measured(data, folder))


def finder_in_words(
    table: pd.DataFrame,  # of `finder_measured`
) -> str:                 # a line for each optimizer and batch size; empty for an empty table
    "What each rule's rate did, against a fixed 1e-3."
    return '\n'.join(outcomes_by(table, 'training', lambda training: f'{training}, against a fixed 1e-3'))


def rules_in_words(
    table: pd.DataFrame,  # of `finder_measured`
) -> str:                 # empty for an empty table
    "For each rule, in how many of the trainings it helped or hurt, and how far its rates lie apart."
    if table.empty: return ''
    parts = [f'{rule}: {counted_outcomes(rows)}' for rule, rows in table.groupby(level='rule', sort=False)]
    return (f"Over {table.index.get_level_values('training').nunique()} trainings, against a fixed 1e-3. {'; '.join(parts).capitalize()}. "
            f'{spread_in_words(table)}')


def spread_in_words(
    table: pd.DataFrame,  # of `finder_measured`, not empty
) -> str:
    "How many times as high as its lowest rate each rule's highest is over the folds, the steadiest rule first."
    times = np.log(table.highest / table.lowest).groupby(level='rule').mean()
    parts = [f'{rule} {np.exp(value):.1f}' for rule, value in times.sort_values(kind='stable').items()]
    return f"The highest rate of a rule over the folds is so many times its lowest (geometric mean): {', '.join(parts)}."


def finder_verdict(
    tables: dict,  # data set in words → `finder_measured`, of those that were
) -> str:          # empty where there is none
    "For the end of a lesson: the rule of lowest loss for each optimizer, and what all rules did there."
    sentences = []
    for data, table in tables.items():
        optimizers = [training.partition(',')[0] for training, _ in table.index]
        for optimizer, rows in table.groupby(optimizers, sort=False):
            best = rows.groupby(level='rule').valid_loss.mean().idxmin()
            sentences.append(f'{data.capitalize()}, {optimizer}, by folds: the lowest loss by the rule {best}; '
                             f'all rules against a fixed 1e-3: {counted_outcomes(rows)}.')
    return ' '.join(sentences)
