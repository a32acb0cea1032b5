"The sweep of augmentation by folds: what is trained and judged, and what lesson 01 says of it."
import json

import numpy as np, pytest

from course_utils.report import augmentation_results as AR
from course_utils.report.headlines import headline_of
from course_utils.techniques.dataset_shift import relight
from data_scripts.experiments import augmentation as A
from data_scripts.experiments.engine import measure
from data_scripts.experiments.measure import EXPERIMENTS


@pytest.fixture(autouse=True)
def smoke(monkeypatch, tmp_path):
    monkeypatch.setenv('COURSE_PROFILE', 'smoke')
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path))
    monkeypatch.delenv('COURSE_DATA', raising=False)
    return tmp_path

def rows(shares, known=1., folds=4, n=160):
    "Rows of the sweep: `p = 0.1` or `p = 0.1, darker` → share named right."
    runs = {}
    rng = np.random.default_rng(0)
    for fold in range(folds):
        for p in {setting.partition(', ')[0]: 0 for setting in shares}:
            run = dict(settings=dict(arm=p, seed=fold, fold=fold), seconds=1., train_accuracy=known, data='solar abc', device='CPU',
                       groups=(np.arange(n) % 16 + 100 * fold).tolist(), versions=dict(torch='2'), date='2026-01-01')
            for setting, share in shares.items():
                if setting.partition(', ')[0] != p: continue
                light = setting.partition(', ')[2]
                prefix = f'{light}_' if light else ''
                run[f'{prefix}right'] = ''.join(f'{value:d}' for value in np.arange(n) < share * n)
                run[f'{prefix}loss'] = (1 - share + .01 * rng.random(n)).tolist()
            runs[f'{p}, fold {fold}'] = run
    return runs

def write(folder, runs, name='augmentation'): (folder/f'{name}.json').write_text(json.dumps(dict(runs=runs)))

SHARES = {'p = 0': .7, 'p = 0, darker': .5, 'p = 0.05': .8, 'p = 0.05, darker': .7, 'p = 0.33': .6, 'p = 0.33, darker': .5}


# ---- the experiment ----

def test_arms_are_the_sweep():
    arms = A.augmentation_arms()
    assert [trial.arm for trial in arms] == ['p = 0', 'p = 0.05', 'p = 0.1', 'p = 0.2', 'p = 0.33']
    assert [trial.recipe.augment is None for trial in arms] == [True, False, False, False, False]
    assert {trial.settings()['lamps']['darker']['gamma'] for trial in arms} == {A.LAMPS['darker']['gamma']}

def test_the_lamp_darkens_and_brightens():
    grey = np.full((1, 2, 2, 3), 100, np.uint8)
    assert relight(grey, **A.LAMPS['darker']).max() < 100 < relight(grey, **A.LAMPS['brighter']).min()

@pytest.mark.slow
def test_one_training_is_judged_in_three_lights(smoke):
    experiment = EXPERIMENTS['augmentation']
    first = dict([next(iter(experiment.trials().items()))])
    assert measure('augmentation', first, experiment.measure, smoke/'augmentation.json', lambda *a, **k: None) == 1
    row = next(iter(json.loads((smoke/'augmentation.json').read_text())['runs'].values()))
    assert len(row['right']) == len(row['darker_right']) == len(row['brighter_loss']) == len(row['groups'])
    assert row['darker_loss'] != row['loss']
    assert 0 <= row['train_accuracy'] <= 1


# ---- what lesson 01 reads ----

def test_each_p_is_compared_with_none_in_the_same_light(smoke):
    write(smoke, rows(SHARES))
    table = AR.augmentation_measured()
    assert list(table.index) == [('same', 'p = 0.05'), ('same', 'p = 0.33'), ('darker', 'p = 0.05'), ('darker', 'p = 0.33')]
    assert table.gain.tolist() == pytest.approx([.1, -.1, .2, 0])
    assert set(table.train_accuracy) == {1.}
    words = AR.augmentation_in_words(table)
    assert words.startswith('In the light of training, against p = 0. Better: p = 0.05, accuracy +10.0%')
    assert 'Worse: p = 0.33, accuracy -10.0%' in words
    assert 'In darker light, against p = 0. Better: p = 0.05, accuracy +20.0%' in words
    assert 'No clear difference: p = 0.33' in words

def test_rows_of_one_light_stand_together(smoke):
    lights = {f'{setting}, {light}': share for setting, share in SHARES.items() for light in ('darker', 'brighter') if ', ' not in setting}
    write(smoke, rows(SHARES | lights))
    in_order = AR.augmentation_measured().index.get_level_values('light')
    assert list(in_order.unique()) == ['same', 'brighter', 'darker']
    assert (in_order[1:] != in_order[:-1]).sum() == 2

def test_the_list_of_lessons_names_the_best_p_once_it_was_measured(smoke):
    assert headline_of('01', smoke) == ''
    write(smoke, rows({'p = 0': .7, 'p = 0.1': .8, 'p = 0.33': .75}))
    assert headline_of('01', smoke).startswith('From scratch, on few pictures, against none: solar cells, by folds, p = 0.1: accuracy +10.0%')

def test_a_fold_under_way_counts_in_no_column(smoke):
    runs = rows(SHARES, folds=3)
    runs.popitem()
    for name in ('p = 0, fold 2', 'p = 0.05, fold 2'): runs[name]['train_accuracy'] = 0.
    write(smoke, runs)
    assert set(AR.augmentation_measured().train_accuracy) == {1.}
    assert AR.bare_network()['train_accuracy'] == 1.

def test_steps_say_whether_returns_diminish(smoke):
    write(smoke, rows({'p = 0': .6, 'p = 0.05': .7, 'p = 0.1': .7, 'p = 0.33': .6}))
    words = AR.steps_in_words(AR.augmentation_steps())
    assert 'p = 0.05 -0.1' in words
    assert [part.rpartition(', ')[2].strip('.') for part in words.split(';')] == ['lower', 'not clear', 'higher']

@pytest.mark.parametrize('known, said', [(.99, 'so there was something to cure'), (.75, 'so there was little to cure')])
def test_did_the_bare_network_learn_by_heart(smoke, known, said):
    write(smoke, rows(SHARES, known))
    assert AR.bare_in_words(AR.bare_network()).endswith(f'{known:.1%} of its training pictures and 70.0% of the held-out ones, {said}.')

@pytest.mark.parametrize('share, said', [(.8, 'better than'), (.6, 'worse than'), (.7, 'not clearly other than')])
def test_the_end_of_the_lesson(smoke, share, said):
    write(smoke, rows({'p = 0': .7, 'p = 0.1': share}))
    words = AR.augmentation_verdict(AR.augmentations_measured())
    assert words.startswith(f'Solar cells: by folds the lowest loss of all p above 0 is at p = 0.1, {said} none (accuracy')
    assert 'other lights' not in words
    assert 'chosen' not in words, 'there was nothing to choose'

def test_the_end_of_the_lesson_can_be_of_two_minds_and_knows_other_lights(smoke):
    write(smoke, rows(SHARES))
    tables = AR.augmentations_measured()
    words = AR.augmentation_verdict(tables)
    assert '); it was chosen as the lowest loss of 2 on these same pictures, so its numbers look a little too good. In other' in words
    assert words.endswith('In other lights, of all p: 1 helped, 1 not clear.')
    mixed = AR.augmentation_measured().assign(loss_change=.1, loss_low=.09, loss_high=.11)
    assert 'partly better than none' in AR.augmentation_verdict({'x': mixed})

def test_every_data_set_that_was_measured(smoke):
    write(smoke, rows(SHARES), 'augmentation_cats_dogs')
    assert list(AR.augmentations_measured()) == ['cats and dogs']
    assert AR.sweep_in_words('cats_dogs').count('\n') == 2
    assert AR.sweep_in_words('solar') == ''

def test_nothing_is_said_where_nothing_was_measured_by_folds(smoke):
    assert AR.augmentations_measured() == {}
    assert AR.bare_network() == {}
    assert AR.augmentation_verdict({}) == AR.bare_in_words({}) == AR.steps_in_words(AR.augmentation_steps()) == ''
    assert AR.augmentation_in_words(AR.augmentation_measured()) == ''
    old = rows(SHARES)
    for row in old.values(): del row['settings']['fold']
    write(smoke, old)
    assert AR.augmentations_measured() == {}

@pytest.mark.parametrize('settings', [('p = 0', 'p = 0, darker'), ('p = 0.05',)])
def test_a_measurement_that_has_just_begun_is_read(smoke, settings):
    write(smoke, rows({name: SHARES[name] for name in settings}, folds=1))
    assert AR.augmentations_measured() == {}
    assert AR.sweep_in_words().count('\n') == 0
