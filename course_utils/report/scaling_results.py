"""What `make measure ONLY=scaling` found, by folds: networks scaled along each axis from scratch, and sizes of a family fine-tuned."""
from pathlib import Path

import pandas as pd

from course_utils.report.ladder_results import where_measured
from course_utils.report.outcomes import change_in_words, counted_outcomes, outcomes_by
from course_utils.report.results import experiment_file, fold_gains, shared_rows

BASES = {  # kind of training → the variant that others are compared with
    'from scratch': 'base',
    'fine-tuned': 'Lite0',
}
MIN_FOLDS = 3  # an interval over two folds is too wide to say anything
COSTS = ('parameters', 'macs', 'train_accuracy')
SCALING_COLUMNS = ['parameters', 'macs', 'seconds', 'train_accuracy', 'accuracy', 'gain', 'low', 'high', 'valid_loss', 'loss_change', 'loss_low',
                   'loss_high']


def scaling_measured(
    data: str='solar',         # a data set's name
    folder: Path | None=None,  # of results; None: the course's
) -> pd.DataFrame:  # a row for each (kind, variant), with `SCALING_COLUMNS`; empty where fewer than `MIN_FOLDS` were measured
    "What each variant gains over the base of its kind, and what it costs."
    name = experiment_file('scaling', data, folder)
    by_setting = shared_rows(name)
    n_folds = min(map(len, by_setting.values()), default=0)
    if n_folds < MIN_FOLDS: return pd.DataFrame()
    table = fold_gains(name, base_of)
    if table.empty: return table
    table = table.join(scaling_costs(by_setting)).reset_index()
    table['kind'] = [kind_of(setting) for setting in table.setting]
    table['variant'] = [setting.removeprefix(f'{kind_of(setting)}, ') for setting in table.setting]
    return table.set_index(['kind', 'variant'])[SCALING_COLUMNS]


def kind_of(setting: str) -> str: return setting.partition(', ')[0]


def base_of(setting: str) -> str: return f"{kind_of(setting)}, {BASES.get(kind_of(setting), '')}"


def scaling_costs(
    by_setting: dict,  # of `shared_rows`
) -> pd.DataFrame:     # a row for each setting
    "Parameters and multiply-adds, and what it knew of its training pictures in the end: means over folds."
    means = {setting: pd.DataFrame(rows.values())[list(COSTS)].mean() for setting, rows in by_setting.items()}
    return pd.DataFrame(means).T


def scalings_measured(
    folder: Path | None=None,  # as in `scaling_measured`
) -> dict:  # data set in words → `scaling_measured`; those without a measurement are left out
    "Scaling on every data set that it was measured on."
    return where_measured(lambda data: scaling_measured(data, folder))


def scaling_in_words(
    table: pd.DataFrame,  # of `scaling_measured`
) -> str:                 # a line for each kind; empty for an empty table
    "What each variant did, against the base of its kind."
    return '\n'.join(outcomes_by(table, 'kind', lambda kind: f'{kind.capitalize()}, against {BASES[kind]}'))


def scaling_verdict(
    tables: dict,  # data set in words → `scaling_measured`, of those that were
) -> str:          # empty where there is none
    "For the end of a lesson: how many variants of each kind of training came out in which way, and the one of lowest loss."
    sentences = []
    for data, table in tables.items():
        for kind, rows in table.groupby(level='kind', sort=False):
            sentences.append(f'{data.capitalize()}, {kind}, by folds, against {BASES[kind]}: {counted_outcomes(rows)}; {lowest_in_words(rows)}.')
    return ' '.join(sentences)


def lowest_in_words(
    rows: pd.DataFrame,  # of `scaling_measured`, of one kind
) -> str:                # a clause
    "The variant of lowest loss, and whether that is lower than the base's at all."
    kind, lowest = rows.valid_loss.idxmin()
    row = rows.loc[(kind, lowest)]
    beginning = 'the lowest loss of these' if row.loss_change < 0 else f'none has a lower loss than {BASES[kind]}, nearest'
    return f'{beginning}: {lowest}, {change_in_words(row)}'
