"Test-time views by folds: crops are where they should be, one training answers for all sets, and the lesson's sentences follow the numbers."
import json
from dataclasses import replace

import numpy as np, pandas as pd, pytest
from hypothesis import given, strategies as st
from PIL import Image

from course_utils.data.decode import read_picture
from course_utils.data.pictures import load_pictures
from course_utils.report.headlines import headline_of
from course_utils.report.outcomes import beside_majority, counted_outcomes, outcome, outcomes_in_words, with_intervals
from course_utils.report.results import measured, measured_by_folds
from course_utils.report.view_results import views_advice, views_in_words, views_measured, views_verdict
from data_scripts.experiments import views as V
from data_scripts.experiments.engine import measure
from data_scripts.experiments.measure import EXPERIMENTS


# ---- crops ----

@given(st.integers(40, 400), st.integers(40, 400), st.integers(0, 99))
def test_boxes_lie_in_the_picture(width, height, seed):
    rng = np.random.default_rng(seed)
    for find in (V.three_squares, V.five_crops, V.random_crops(rng)):
        for left, top, side in find(width, height):
            assert left >= 0
            assert top >= 0
            assert left + side <= width + 1e-6
            assert top + side <= height + 1e-6

def test_the_middle_one_of_three_squares_is_the_plain_view(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (57, 91, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path/'a.png')
    box = V.three_squares(91, 57)[1]
    cut = V.cut_square(Image.fromarray(picture), box, 48)
    assert (cut == read_picture(tmp_path/'a.png', 48)[0]).all()

def test_three_squares_reach_both_ends():
    assert [box[0] for box in V.three_squares(90, 50)] == [0, 20, 40]
    assert [box[1] for box in V.three_squares(50, 90)] == [0, 20, 40]

def test_random_crops_are_at_most_a_tenth_smaller():
    rng = np.random.default_rng(0)
    sides = [side for _ in range(200) for _, _, side in V.random_crops(rng)(80, 50)]
    assert 50 / V.ZOOM <= min(sides) < max(sides) <= 50

def test_half_of_the_views_are_mirrored():
    images = np.zeros((4, 200, 2, 2, 3), np.uint8)
    images[:, :, :, 0] = 9
    mirrored = V.mirrored_at_random(images, np.random.default_rng(0))[:, :, 0, 1, 0] == 9
    assert .4 < mirrored.mean() < .6

def test_crops_are_those_of_the_held_out_files():
    pics = load_pictures(size=32, limit=100)
    crops = V.cut_held_out(pics, V.three_squares)
    assert crops.shape == (3, len(pics.valid), 32, 32, 3)
    assert (crops[1] == pics.x[pics.valid]).all()
    assert 'three squares' not in V.crop_sets(pics, 0), 'solar cells are square'

def test_a_wide_picture_is_not_square():
    pics = load_pictures(size=32, limit=100)
    assert V.are_square(pics)
    assert not V.are_square(replace(pics, found=replace(pics.found, sizes={'300×300': 9, '300×200': 1})))


# ---- what comes out, in words ----

def a_row(gain=0., loss=0., width=.01):
    return dict(gain=gain, low=gain - width, high=gain + width, loss_change=loss, loss_low=loss - width, loss_high=loss + width)

@pytest.mark.parametrize('gain, loss, said', [
    (.02, -.02, 'helps'), (.02, 0, 'helps'), (0, -.02, 'helps'), (-.02, .02, 'hurts'), (-.02, 0, 'hurts'), (0, .02, 'hurts'),
    (.02, .02, 'mixed'), (-.02, -.02, 'mixed'), (0, 0, 'not clear')])
def test_outcome(gain, loss, said):
    assert outcome(pd.Series(a_row(gain, loss))) == said

def test_outcomes_in_words():
    rows = {'a': a_row(.02), 'b': a_row(.03, -.02), 'c': a_row(-.02), 'd': a_row(), 'e': a_row(.02, .02)}
    table = pd.DataFrame(rows).T
    words = outcomes_in_words(table)
    assert words.startswith('Better: b, accuracy +3.0% (+2.0% to +4.0%), loss -0.020 (-0.030 to -0.010); a, accuracy +2.0%')
    assert 'Better in one, worse in the other of accuracy and loss: e' in words
    assert 'Worse: c, accuracy -2.0%' in words
    assert 'No clear difference: d' in words
    assert counted_outcomes(table) == '2 helped, 1 did both, 1 hurt, 1 not clear'
    assert outcomes_in_words(table.loc[['d']]).startswith('No clear difference')
    assert counted_outcomes(table.loc[['d']]) == '1 not clear'
    assert (outcomes_in_words(table[:0]), counted_outcomes(table[:0])) == ('', '')


def test_a_change_stands_in_one_cell_with_its_interval():
    row = dict(accuracy=.8, gain=.05, low=-.01, high=.11, loss_change=-.1, loss_low=-.2, loss_high=.003)
    shown = with_intervals(pd.DataFrame([row], index=['mirror']))
    assert list(shown.columns) == ['accuracy', 'gain', 'loss_change']
    assert shown.loc['mirror'].tolist() == [.8, '+5.0% (-1.0% to +11.0%)', '-0.100 (-0.200 to +0.003)']


# ---- the results file ----

def write_file(tmp_path, name, shares, folds=4, n=120, n_groups=8):
    "A results file: setting → share named right; `'training, set'` is a second answer of the training."
    rng = np.random.default_rng(0)
    runs = {}
    for fold in range(folds):
        for training in {setting.partition(', ')[0]: 0 for setting in shares}:
            run = dict(settings=dict(arm=training, seed=fold, fold=fold), seconds=1., groups=(np.arange(n) % n_groups + 10 * fold).tolist(),
                       data='solar abc', device='CPU', versions=dict(torch='2'), date='2026-01-01', n_views={'mirror': 2, 'eight symmetries': 8})
            for setting, share in shares.items():
                if setting.partition(', ')[0] != training: continue
                prefix = setting.partition(', ')[2]
                right = np.arange(n) < share * n
                run[f'{prefix}_right' if prefix else 'right'] = ''.join(f'{value:d}' for value in right)
                run[f'{prefix}_loss' if prefix else 'loss'] = (1 - share + .01 * rng.random(n)).tolist()
            runs[f'{training}, fold {fold}'] = run
    (tmp_path/f'{name}.json').write_text(json.dumps(dict(runs=runs)))
    return runs

@pytest.fixture
def results(monkeypatch, tmp_path):
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path))
    return tmp_path

SHARES = {
    'trained with mirrors': .8,
    'trained with mirrors, mirror': .85,
    'trained with mirrors, eight symmetries': .5,
    'trained with turns': .8,
    'trained with turns, eight symmetries': .9,
    'trained with turns, mirror': .8,
}

def test_the_list_of_lessons_says_what_views_did_once_they_were_measured(results):
    write_file(results, 'tta', SHARES)
    assert headline_of('06', results).startswith('Solar cells, by folds: of the sets of views that training had shown, ')

def test_views_are_compared_with_the_plain_picture_of_their_own_network(results):
    write_file(results, 'tta', SHARES)
    table = views_measured()
    assert table.gain['trained with mirrors', 'mirror'] == pytest.approx(.05)
    assert table.gain['trained with turns', 'eight symmetries'] == pytest.approx(.1)
    assert table.n_views['trained with turns', 'eight symmetries'] == 8
    words = views_in_words(table)
    assert words.startswith('Trained with mirrors. Better: mirror, accuracy +5.0%')
    assert 'Worse: eight symmetries, accuracy -30.0%' in words
    assert 'Trained with turns. Better: eight symmetries, accuracy +10.0%' in words
    said = views_verdict(table)
    assert said == 'Of the sets of views that training had shown, 2 helped, 1 not clear. Of those that it had not, 1 hurt.'

@pytest.mark.parametrize('folds', [1, 2])
def test_a_measurement_that_is_under_way_is_read(results, folds):
    runs = write_file(results, 'tta', SHARES, folds)
    del runs[f'trained with turns, fold {folds - 1}']
    (results/'tta.json').write_text(json.dumps(dict(runs=runs)))
    table = views_measured()
    assert len(table) == (2 if folds == 1 else 4)
    assert views_in_words(table)
    assert views_verdict(table)

def test_where_nothing_was_measured_by_folds_nothing_is_said(results):
    assert views_measured().empty
    assert views_in_words(views_measured()) == views_verdict(views_measured()) == views_advice(views_measured()) == ''
    runs = write_file(results, 'tta', SHARES)
    for run in runs.values(): del run['settings']['fold']
    (results/'tta.json').write_text(json.dumps(dict(runs=runs)))
    assert measured('tta')
    assert measured_by_folds('tta') == {}
    assert views_measured().empty

def test_one_half_of_the_sentence_can_be_missing(results):
    known_alone = {name: SHARES[name] for name in ('trained with turns', 'trained with turns, mirror')}
    write_file(results, 'tta', known_alone)
    assert views_verdict(views_measured()) == 'Of the sets of views that training had shown, 1 not clear.'
    strange_alone = {name: SHARES[name] for name in ('trained with mirrors', 'trained with mirrors, eight symmetries')}
    write_file(results, 'tta', strange_alone)
    assert views_verdict(views_measured()) == 'Of those that it had not, 1 hurt.'


@pytest.mark.parametrize('changed, said', [
    (dict(low=.01), 'Average over views that training has shown'),
    (dict(loss_high=-.01), 'where you use the probabilities; whether the answers themselves get better these pictures cannot say'),
    (dict(), 'Keep the plain picture')])
def test_the_advice_follows_the_views_that_training_had_shown(results, changed, said):
    write_file(results, 'tta', SHARES)
    table = views_measured().assign(low=-.1, loss_high=.1)
    known = ('trained with turns', 'mirror')
    for column, value in changed.items(): table.loc[known, column] = value
    assert said in views_advice(table)
    strange = table.drop(index=[known]).assign(low=.5)
    assert 'Average' in views_advice(strange), 'other views of that training count'
    assert views_advice(table.loc[[('trained with mirrors', 'eight symmetries')]]) == '', 'views that were never shown do not'


# ---- the experiment ----

@pytest.mark.slow
def test_one_training_answers_for_all_sets(monkeypatch, results):
    monkeypatch.setenv('COURSE_PROFILE', 'smoke')
    monkeypatch.delenv('COURSE_DATA', raising=False)
    experiment = EXPERIMENTS['tta']
    trials = {key: trial for key, trial in experiment.trials().items() if trial.fold == 0}
    assert measure('tta', trials, experiment.measure, results/'tta.json', lambda *a, **k: None) == 2
    rows = json.loads((results/'tta.json').read_text())['runs']
    for row in rows.values():
        assert row['n_views'] == {'mirror': 2, 'four flips': 4, 'eight symmetries': 8, 'five crops': 5, 'random crops': 5}
        assert len(row['random crops_right']) == len(row['five crops_loss']) == len(row['right']) == len(row['groups'])
        assert row['eight symmetries_loss'] != row['loss']
    assert len(views_measured()) == 10


@pytest.mark.parametrize('accuracy, is_useless', [(.6, True), (.7, True), (.71, False)])
def test_an_accuracy_is_set_beside_the_most_frequent_class(accuracy, is_useless):
    sentence = beside_majority('It', accuracy, .7)
    assert ('of no use' in sentence) == is_useless
