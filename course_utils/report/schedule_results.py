"""Schedules and early stopping, as `make measure ONLY=schedules` found them, by folds."""
import numpy as np, pandas as pd

from course_utils.report.ladder_results import where_measured
from course_utils.report.outcomes import counted_outcomes, outcomes_by, outcomes_in_words
from course_utils.report.results import experiment_name, fold_gains, measured_by_folds, seeds_of, shared_rows
from course_utils.report.stats import gains

ONE_CYCLE = 'one-cycle'
ENSEMBLE = ', ensemble'  # how the name of an average of snapshots ends
STOPPING_COLUMNS = ['epoch', 'of_epochs', 'accuracy', 'gain', 'low', 'high', 'valid_loss', 'loss_change', 'loss_low', 'loss_high']


# ---- schedules ----

def schedules_measured(
    data: str='solar',  # a data set's name
) -> pd.DataFrame:      # a row of `gains` for each schedule; empty where it was not measured by folds
    "Every schedule against one-cycle."
    return fold_gains(experiment_name('schedules', data), lambda setting: None if setting.endswith(ENSEMBLE) else ONE_CYCLE)


def ensembles_measured(
    data: str='solar',  # a data set's name
) -> pd.DataFrame:      # a row of `gains` for each schedule with restarts; empty where it was not measured by folds
    "The average of the snapshots against the network at the end of the same run."
    return fold_gains(experiment_name('schedules', data), lambda setting: setting.removesuffix(ENSEMBLE))


# ---- early stopping ----

def stopping_measured(
    data: str='solar',  # a data set's name
) -> pd.DataFrame:      # a row for each (schedule, patience), with `STOPPING_COLUMNS`; empty where it was not measured by folds
    "What early stopping hands back, against the network at the end of the whole run."
    name = experiment_name('schedules', data)
    if not measured_by_folds(name): return pd.DataFrame()
    tables = []
    for schedule, rows in shared_rows(name).items():
        if schedule.endswith(ENSEMBLE): continue
        by_patience = {patience: stopping_row(rows, patience) for patience in patiences_of(rows)}
        table = pd.DataFrame(by_patience, index=STOPPING_COLUMNS).T
        tables.append(table.assign(schedule=schedule).rename_axis('patience').reset_index())
    return pd.concat(tables).set_index(['schedule', 'patience']).astype(float)


def patiences_of(
    rows: dict,  # fold → row of results, of one schedule
) -> list:       # `patience 2` and so on, the lowest first
    "The patiences that were replayed."
    stopped = next(iter(rows.values())).get('stopped', {})
    return sorted(stopped, key=lambda patience: int(patience.split()[-1]))


def stopping_row(
    rows: dict,     # fold → row of results, of one schedule
    patience: str,  # `patience 2`
) -> dict:
    "The epoch handed back, in the mean, and what it gains over the end of the run."
    folds = sorted(rows)
    whole = [rows[fold] for fold in folds]
    stopped = [dict(row, **row['stopped'][patience]) for row in whole]
    both = dict(stopped=seeds_of(stopped, folds), whole=seeds_of(whole, folds))
    epochs = [row['stopped'][patience]['epochs'] for row in whole]
    row = gains(both, 'whole').iloc[0]
    numbers = row.drop(['against', 'seconds', 'against_seconds', 'seeds'])
    return dict(numbers, epoch=float(np.mean(epochs)), of_epochs=len(whole[0]['valid_losses']))


def stoppings_measured() -> dict:  # data set in words → `stopping_measured`; those without a measurement are left out
    "Early stopping on every data set that it was measured on."
    return where_measured(stopping_measured)


# ---- in sentences ----

def schedules_in_words(
    table: pd.DataFrame,  # of `schedules_measured`
) -> str:                 # empty for an empty table
    "What each schedule did, against one-cycle."
    return f'Against one-cycle. {outcomes_in_words(table)}' if len(table) else ''


def ensembles_in_words(
    table: pd.DataFrame,  # of `ensembles_measured`
) -> str:                 # empty for an empty table
    "What averaging the snapshots did."
    return f'Against the last network of the same run. {outcomes_in_words(table)}' if len(table) else ''


def stopping_in_words(
    table: pd.DataFrame,  # of `stopping_measured`
) -> str:                 # a line for each patience; empty for an empty table
    "What each patience did, schedule by schedule."
    return '\n'.join(outcomes_by(table, 'patience', lambda patience: f'{patience.capitalize()}, against the whole run'))


def stopping_verdict(
    tables: dict,  # data set in words → `stopping_measured`, of those that were
) -> str:          # empty where there is none
    "For the end of a lesson: for each patience, in how many schedules it helped or hurt."
    sentences = []
    for data, table in tables.items():
        parts = [f'{patience}: {counted_outcomes(rows)}' for patience, rows in table.groupby(level='patience', sort=False)]
        n_schedules = table.index.get_level_values('schedule').nunique()
        sentences.append(f"{data.capitalize()}, by folds: early stopping over {n_schedules} schedules, {'; '.join(parts)}.")
    return ' '.join(sentences)
