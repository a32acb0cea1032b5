"""Test-time views, as `make measure ONLY=tta` found them: each set against the plain pictures of the same network."""
from pathlib import Path

import pandas as pd

from course_utils.report.outcomes import counted_outcomes, outcomes_by
from course_utils.report.results import experiment_file, fold_gains, shared_rows

KNOWN_VIEWS = {  # training → the sets of views that it has shown to the network
    'trained with mirrors': ('mirror',),
    'trained with turns': ('mirror', 'four flips', 'eight symmetries'),
}
VIEW_COLUMNS = ['n_views', 'accuracy', 'gain', 'low', 'high', 'loss_change', 'loss_low', 'loss_high']


def views_measured(
    data: str='solar',         # a data set's name
    folder: Path | None=None,  # of results; None: the course's
) -> pd.DataFrame:  # a row for each (training, views), with `VIEW_COLUMNS`; empty where it was not measured by folds
    "What each set of views adds to the plain picture's answer, over all folds."
    name = experiment_file('tta', data, folder)
    table = fold_gains(name, plain_setting)
    if table.empty: return table
    table = table.reset_index()
    table['training'] = [plain_setting(setting) for setting in table.setting]
    table['views'] = [setting.partition(', ')[2] for setting in table.setting]
    counts = numbers_of_views(name)
    table['n_views'] = [counts.get(views, 0) for views in table.views]
    return table.set_index(['training', 'views'])[VIEW_COLUMNS]


def plain_setting(setting: str) -> str: return setting.partition(', ')[0]


def numbers_of_views(name: Path) -> dict:  # name of a set → number of views
    "How many answers a set averages, which is what it costs."
    counts = {}
    for rows in shared_rows(name).values():
        for row in rows.values(): counts |= row.get('n_views', {})
    return counts


def views_in_words(
    table: pd.DataFrame,  # of `views_measured`
) -> str:                 # empty for an empty table
    "For each training, what helped, what hurt and what made no clear difference."
    return ' '.join(outcomes_by(table, 'training', str.capitalize))


def is_known(
    table: pd.DataFrame,  # of `views_measured`
) -> list:                # a truth value for each row
    "Had training shown these views?"
    return [views in KNOWN_VIEWS.get(training, ()) for training, views in table.index]


def views_verdict(
    table: pd.DataFrame,  # of `views_measured`
) -> str:                 # empty for an empty table
    "In one line: how views that training has shown came out, and how others did."
    if table.empty: return ''
    known = table[is_known(table)]
    strange = table.drop(index=known.index)
    parts = []
    if len(known): parts.append(f'Of the sets of views that training had shown, {counted_outcomes(known)}.')
    if len(strange): parts.append(f'Of those that it had not, {counted_outcomes(strange)}.')
    return ' '.join(parts)


def views_advice(
    table: pd.DataFrame,  # of `views_measured`
) -> str:                 # a sentence without its full stop; empty where no views were measured that training had shown
    "What to do tomorrow, by what the views did that training had shown."
    known = table[is_known(table)]
    if known.empty: return ''
    if (known.low > 0).any(): return 'Average over views that training has shown'
    if (known.loss_high < 0).any(): return ('Average over views that training has shown where you use the probabilities; '
                                            'whether the answers themselves get better these pictures cannot say')
    return 'Keep the plain picture: no views that training had shown were clearly of use'
