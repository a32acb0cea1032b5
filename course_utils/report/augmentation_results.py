"""Augmentation, as `make measure ONLY=augmentation` found it: each p against none, by folds, and in other lights."""
from pathlib import Path

import numpy as np, pandas as pd

from course_utils.report.ladder_results import where_measured
from course_utils.report.outcomes import COMPARED, change_in_words, choice_in_words, counted_outcomes, loss_in_words, outcome, outcomes_by
from course_utils.report.results import experiment_file, experiment_name, fold_gains, measured_by_folds, shared_rows
from course_utils.report.stats import verdict

SAME_LIGHT = 'same'
NO_AUGMENTATION = 'p = 0'
AUGMENTATION_COLUMNS = ['train_accuracy', 'accuracy', 'gain', 'low', 'high', 'valid_loss', 'loss_change', 'loss_low', 'loss_high']


def augmentation_measured(
    data: str='solar',         # a data set's name
    folder: Path | None=None,  # of results; None: the course's
) -> pd.DataFrame:  # a row for each (light, p), with `AUGMENTATION_COLUMNS`; empty where it was not measured by folds
    "What each p gains over p = 0, both judged in the same light."
    name = experiment_file('augmentation', data, folder)
    table = fold_gains(name, without_augmentation)
    if table.empty: return table
    table = table.reset_index()
    table['p'] = [setting.partition(', ')[0] for setting in table.setting]
    table['light'] = [light_of(setting) for setting in table.setting]
    known = train_accuracies(name)
    table['train_accuracy'] = [known[setting] for setting in table.setting]
    order = sorted(table.index, key=lambda place: (table.light[place] != SAME_LIGHT, table.light[place]))  # the same light first
    return table.loc[order].set_index(['light', 'p'])[AUGMENTATION_COLUMNS]


def without_augmentation(setting: str) -> str:
    "The setting it is compared with: p = 0, in the same light."
    _, comma, light = setting.partition(', ')
    return NO_AUGMENTATION + comma + light


def light_of(setting: str) -> str: return setting.partition(', ')[2] or SAME_LIGHT


def augmentations_measured(
    folder: Path | None=None,  # as in `augmentation_measured`
) -> dict:  # data set in words → `augmentation_measured`; those without a measurement are left out
    "The sweep on every data set that it was measured on."
    return where_measured(lambda data: augmentation_measured(data, folder))


def train_accuracies(name: str | Path) -> dict:  # setting → share, the mean over folds
    "How much of their training pictures the networks knew in the end. The light that judges makes no difference to it."
    by_setting = {}
    for setting, rows in shared_rows(name).items():
        by_setting[setting] = float(np.mean([row['train_accuracy'] for row in rows.values()]))
    return by_setting


def bare_network(
    data: str='solar',  # a data set's name
) -> dict:              # train_accuracy, accuracy, valid_loss; empty where it was not measured by folds
    "The network without augmentation: did it learn its pictures by heart?"
    name = experiment_name('augmentation', data)
    found = measured_by_folds(name)
    if NO_AUGMENTATION not in found: return {}
    bare = found[NO_AUGMENTATION]
    known = train_accuracies(name)[NO_AUGMENTATION]
    return dict(train_accuracy=known, accuracy=bare.accuracy[0], valid_loss=float(bare.loss.mean()))


def augmentation_steps(
    data: str='solar',  # a data set's name
) -> pd.DataFrame:      # a row of `gains` for each p but the lowest; empty where it was not measured by folds
    "What each p adds to the one below it: do returns diminish?"
    name = experiment_name('augmentation', data)
    in_same_light = [setting for setting in shared_rows(name) if ', ' not in setting]
    below = dict(zip(in_same_light[1:], in_same_light))
    return fold_gains(name, below.get)


# ---- in sentences ----

def augmentation_in_words(
    table: pd.DataFrame,  # of `augmentation_measured`
) -> str:                 # empty for an empty table
    "What each p did, light by light."
    def heading(light): return f"In {'the light of training' if light == SAME_LIGHT else f'{light} light'}, against p = 0"
    return ' '.join(outcomes_by(table, 'light', heading))


def steps_in_words(
    steps: pd.DataFrame,  # of `augmentation_steps`
) -> str:                 # empty for an empty table
    "How the validation loss went on from one p to the next."
    parts = []
    words = {'better': 'lower', 'worse': 'higher', 'not clear': 'not clear'}
    for p, row in steps.iterrows():
        said = words[verdict(-row.loss_high, -row.loss_low)]
        parts.append(f'{p} {loss_in_words(row)}, {said}')
    return f"Loss, each p against the one below: {'; '.join(parts)}." if parts else ''


def sweep_in_words(
    data: str='solar',  # a data set's name
) -> str:               # empty where it was not measured by folds
    "All that was found on a data set: a line on the bare network, one a light, and one on the steps."
    table = augmentation_measured(data)
    lines = [bare_in_words(bare_network(data)), augmentation_in_words(table), steps_in_words(augmentation_steps(data))]
    return '\n'.join(filter(None, lines))


HEART = {  # did the bare network learn by heart? → what that means
    True: 'so there was something to cure',
    False: 'so there was little to cure',
}


def bare_in_words(
    bare: dict,  # of `bare_network`
) -> str:        # empty without one
    "How far the network without augmentation over-fits."
    if not bare: return ''
    by_heart = bare['train_accuracy'] > bare['accuracy'] + .1
    return (f"Without augmentation the network knew {bare['train_accuracy']:.1%} of its training pictures and {bare['accuracy']:.1%} "
            f'of the held-out ones, {HEART[by_heart]}.')


def lowest_loss(
    table: pd.DataFrame,  # of `augmentation_measured`
) -> pd.Series:           # its row; the name is the p
    "The p of lowest loss in the light of training."
    same = table.loc[SAME_LIGHT]
    return same.loc[same.loss_change.idxmin()]


def sweep_headline(
    tables: dict,  # data set in words → `augmentation_measured`, of those that were
) -> str:          # empty where there is none
    "What augmentation adds, in a line for the list of lessons."
    best = {data: lowest_loss(table) for data, table in tables.items()}
    return '; '.join(f'{data}, by folds, {row.name}: {change_in_words(row)}' for data, row in best.items())


def augmentation_verdict(
    tables: dict,  # data set in words → `augmentation_measured`, of those that were
) -> str:          # empty where there is none
    "For the end of a lesson: the p of lowest loss by folds, and other lights."
    sentences = []
    for data, table in tables.items():
        best = lowest_loss(table)
        sentences.append(f'{data.capitalize()}: by folds the lowest loss of all p above 0 is at {best.name}, {COMPARED[outcome(best)]} '
                         f'none ({change_in_words(best)}){choice_in_words(len(table.loc[SAME_LIGHT]))}.')
        elsewhere = table[table.index.get_level_values('light') != SAME_LIGHT]
        if len(elsewhere): sentences.append(f'In other lights, of all p: {counted_outcomes(elsewhere)}.')
    return ' '.join(sentences)
