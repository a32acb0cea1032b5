"The ladder: every rung changes what it says and nothing else, a kill changes nothing, and the page says what was measured."
import json, random, signal, subprocess, sys, time
from dataclasses import replace
from pathlib import Path

import numpy as np, pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import floats

from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.explorers.ladder import draw_rungs, ladder_explorer
from course_utils.report.intervals import paired_difference_interval
from course_utils.report.stats import Seeds, averaged, compare
from course_utils.techniques import ladder
from course_utils.techniques.layer_groups import three_groups
from course_utils.techniques.ladder import (
    GRADES, TOP, baseline, by_grade, climb, climbed, found_rate, frozen_run, graded_training, left_out, longer_training, mean_grade,
    rate_of_fold, rungs, same_training)
from course_utils.techniques.lr_finder import Suggestion
from course_utils.techniques.schedules import SGDR
from course_utils.techniques.tta import symmetric_views, tta
from course_utils.training.keep import describe

ROOT = Path(__file__).resolve().parent.parent
CHANGED = {  # what each rung may change of the one below
    '+ augmentation': {'augment'},
    '+ transfer': {'pretrained', 'is_frozen'},
    '+ fine-tuning': {'is_frozen', 'freeze_stages', 'kept_views', 'augment'},
    '+ found rate': {'rate_rule'},
    '+ one-cycle': {'schedule'},
    '+ differential rates': {'spread'},
    '+ larger pictures': {'size'},
    '+ TTA': {'views'},
    '+ ensemble': {'is_ensemble'},
}


@pytest.fixture(autouse=True)
def smoke(monkeypatch):
    monkeypatch.setenv('COURSE_PROFILE', 'smoke')
    monkeypatch.delenv('COURSE_DATA', raising=False)


def settings_of(rung):
    "All that decides a rung but its name, as JSON."
    fields = vars(rung.recipe) | vars(rung)
    return {k: describe(v) for k, v in fields.items() if k not in ('recipe', 'name')}

def difference(rung, below):
    new, old = settings_of(rung), settings_of(below)
    return {k for k in new if new[k] != old[k]}


def test_a_rung_changes_what_it_says_and_nothing_else():
    below = baseline()
    assert list(rungs()) == ['baseline', *CHANGED]
    for name, changed in CHANGED.items():
        rung = climbed(name)
        assert rung.name == name
        assert difference(rung, below) == changed
        below = rung


def test_a_rung_that_is_left_out_leaves_the_others_as_they_are():
    assert difference(climbed('+ TTA', without=['+ larger pictures']), climbed('+ TTA')) == {'size'}
    assert difference(climbed('+ one-cycle', without=['+ one-cycle']), climbed('+ found rate')) == set()
    with pytest.raises(CourseError, match="no rung '\\+ luck': there are baseline, "): climbed('+ luck')


def test_without_augmentation_the_frozen_stages_see_the_plain_view():
    assert climbed('+ fine-tuning').recipe.kept_views == 8
    assert climbed('+ fine-tuning', without=['+ augmentation']).recipe.kept_views == 1


def test_stages_with_random_weights_are_not_frozen():
    assert climbed('+ one-cycle', without=['+ transfer']).recipe.freeze_stages == 0


def test_pictures_that_have_a_top_are_mirrored_alone(monkeypatch):
    monkeypatch.setenv('COURSE_DATA', 'cats_dogs')
    top = climbed(TOP)
    assert top.recipe.kept_views == top.views == 2
    names = [type(operation).__name__ for operation in climbed('+ augmentation').recipe.augment.transforms]
    assert names == ['HorizontalFlip']


def test_no_fine_tuning_takes_more_epochs_than_scratch(monkeypatch):
    monkeypatch.setenv('COURSE_PROFILE', 'cpu')
    assert max(rung.recipe.epochs for rung in rungs().values()) == baseline().recipe.epochs


def test_what_is_left_out():
    variants = left_out()
    assert variants['without one-cycle'].recipe.schedule == 'constant'
    assert variants['without differential rates'].spread is None
    recipe = variants['restarts in place of one-cycle'].recipe
    assert isinstance(recipe.schedule, SGDR)
    assert sum(recipe.schedule.cycles(recipe.epochs)) == recipe.epochs, 'it ends with a cycle'
    for name, rung in variants.items():
        technique = name.replace('without ', '+ ')
        if technique in CHANGED: assert difference(rung, climbed(TOP)) <= CHANGED[technique] | {'kept_views'}


def test_a_rung_trains_with_its_settings(monkeypatch):
    "What `train` is given: the found rate, spread over three groups; TTA adds views to the same training."
    calls, real = [], ladder.train
    monkeypatch.setattr(ladder, 'train', lambda pics, recipe, **kw: calls.append(recipe) or real(pics, recipe, **kw))
    monkeypatch.setattr(ladder, 'found_rate', lambda *a, **kw: 2e-3)
    plain = climb(climbed('+ larger pictures'), seed=1, limit=100, fold=1)
    recipe, = calls
    assert recipe.lr_max == slice(2e-4, 2e-3)
    assert recipe.groups is three_groups
    assert recipe.seed == 1
    assert plain.config == dict(rate=2e-3)
    with_views = climb(climbed('+ TTA'), seed=1, limit=100, trained=plain, fold=1)
    assert len(calls) == 1, 'the same training is not made twice'
    pics = load_pictures(size=48, limit=100, fold=1)
    assert np.array_equal(with_views.probs, tta(with_views.model, pics, symmetric_views())[0])
    assert not np.allclose(with_views.probs, plain.probs)
    assert with_views.seconds > plain.seconds
    alone = climb(climbed('+ TTA'), seed=1, limit=100, fold=1)
    assert len(calls) == 2, 'without the run below it is trained'
    assert np.array_equal(alone.probs, with_views.probs)


def test_frozen_features_are_not_trained(monkeypatch):
    monkeypatch.setattr(ladder, 'train', None)
    run = climb(climbed('+ transfer'), limit=100)
    assert run.model is None
    assert np.allclose(run.probs.sum(1), 1)
    assert run.history.valid_loss.item() == pytest.approx(run.valid_loss)
    assert repr(run).startswith('1 epochs in ')
    assert compare({'frozen': run}).valid_accuracy.item() == pytest.approx(run.accuracy, abs=1e-3)
    assert np.array_equal(climb(climbed('+ transfer'), seed=3, limit=100).probs, run.probs), 'no seed decides anything'


def test_every_rung_s_run_knows_its_seed():
    "Else seeds of a frozen rung could not be paired with those of a trained one."
    for name in ('+ transfer', '+ fine-tuning'):
        assert climb(climbed(name), seed=3, limit=100).recipe.seed == 3


def test_only_views_make_the_same_training():
    ladder_up = list(rungs().values())
    pairs = {rung.name: same_training(rung, below) for rung, below in zip(ladder_up[1:], ladder_up)}
    assert [name for name, same in pairs.items() if same] == ['+ TTA', '+ ensemble']
    assert not same_training(climbed('+ differential rates'), climbed('+ TTA')), 'views cannot be taken away'


def test_an_ensemble_is_the_mean_of_the_two():
    lower = climb(climbed('+ TTA'), limit=100, fold=1, rate=1e-3)
    both = climb(climbed('+ ensemble'), limit=100, fold=1, rate=1e-3, trained=lower)
    pics = load_pictures(size=48, limit=100, fold=1)
    frozen = frozen_run(pics, climbed('+ ensemble'))
    assert np.allclose(both.probs, (lower.probs + frozen.probs) / 2)
    assert both.seconds > lower.seconds


# ── the experts' grades ──

def test_grades_are_the_experts_and_halve_into_the_two_classes():
    pics = load_pictures(size=32, limit=100)
    graded = by_grade(pics)
    assert graded.classes == GRADES
    assert np.allclose(graded.y / 3, pics.table.probability, atol=.01)
    assert np.array_equal(graded.y >= 2, pics.y == pics.classes.index('defective'))


def test_a_sure_grade_is_its_place_on_the_scale():
    assert np.allclose(mean_grade(np.eye(4))[:, 1], [0, 1 / 3, 2 / 3, 1])


@given(arrays(float, (5, 4), elements=floats(0, 1)))
def test_the_mean_grade_is_a_probability_and_turns_with_the_scale(weights):
    probs = (weights + 1e-6) / (weights + 1e-6).sum(1, keepdims=True)
    two = mean_grade(probs)
    assert np.allclose(two.sum(1), 1)
    assert np.allclose(mean_grade(probs[:, ::-1]), two[:, ::-1])


def test_a_graded_training_learns_four_and_answers_two(monkeypatch):
    seen, real = [], ladder.train
    monkeypatch.setattr(ladder, 'train', lambda pics, recipe, **kw: seen.append(pics) or real(pics, recipe, **kw))
    rung = graded_training()
    run = climb(rung, limit=100, fold=1)
    assert seen[0].classes == GRADES
    pics = load_pictures(size=32, limit=100, fold=1)
    assert np.array_equal(run.targets, pics.y[pics.valid])
    of_grades = tta(run.model, by_grade(pics), symmetric_views())[0]
    assert np.allclose(run.probs, mean_grade(of_grades))
    assert rung.recipe == replace(longer_training().recipe, augment=rung.recipe.augment), 'nothing else is changed'


@pytest.mark.fault
def test_pictures_that_nobody_graded():
    pics = load_pictures(size=32, limit=100)
    nobodys = replace(pics, table=pics.table.drop(columns='probability'))
    with pytest.raises(CourseError, match='no grades'): by_grade(nobodys)


def test_the_mean_of_answers_is_the_mean_of_their_probabilities():
    rng = np.random.default_rng(0)
    of_true = rng.uniform(.01, 1, (3, 1, 50))
    several = [Seeds((p > .5).astype(float), -np.log(p), seconds=2.) for p in of_true]
    mean = of_true.mean(0)
    both = averaged(several)
    assert np.allclose(np.exp(-both.loss), mean)
    assert np.array_equal(both.right, mean > .5)
    assert both.seconds == 6
    assert np.allclose(averaged(several[:1]).loss, several[0].loss)


# ── rates ──

def test_the_rate_is_the_median_over_folds(monkeypatch):
    rates = {0: 1e-3, 1: 5e-3, 2: 2e-3}
    monkeypatch.setattr(ladder, 'rate_of_fold', lambda rung, fold, *more: rates[fold])
    assert found_rate(climbed('+ found rate'), range(3)) == 2e-3
    assert found_rate(baseline(), range(3)) == 1e-3, 'the recipe says it'


def test_a_rate_is_found_on_the_pictures_that_the_split_trains_on(monkeypatch):
    asked = []
    monkeypatch.setattr(ladder, 'load_pictures', lambda *a, **kw: asked.append(kw['split']) or load_pictures(*a, **kw))
    climb(climbed('+ found rate').with_recipe(epochs=1), limit=100, fold=1, split='random')
    assert asked == ['random', 'random']


@pytest.mark.fault
def test_found_rate_without_an_answer(monkeypatch):
    rung = climbed('+ found rate')
    assert 1e-7 < rate_of_fold(rung, 0, 100, None, n=20) < 1
    monkeypatch.setattr(ladder, 'lr_find', lambda *a, **k: type('C', (), dict(suggest=lambda self: dict(minimum=Suggestion(None, 'No answer.'))))())
    assert rate_of_fold(rung, 0, 100, None) == 1e-3


@pytest.mark.fault
def test_a_killed_ladder_gives_the_same_table(tmp_path):
    "SIGKILL at a random moment, started again: the same answers and losses as a ladder left alone. Only the seconds may differ."
    code = '''
import sys; sys.path.insert(0, {root!r})
from pathlib import Path
from dataclasses import replace
from data_scripts.experiments import engine, measure as M
runs = M.EXPERIMENTS['ladder'].trials()
runs = {{k: replace(runs[k], limit=100) for k in ('baseline, fold 0', '+ transfer, fold 0', '+ larger pictures, fold 0', '+ TTA, fold 0')}}
print('go', flush=True)
engine.measure('ladder', runs, M.measure_rung, Path({path!r}))
'''
    script = lambda name: [sys.executable, '-c', code.format(root=str(ROOT), path=str(tmp_path/name))]
    p = subprocess.Popen(script('killed.json'), stdout=subprocess.PIPE, text=True)
    for _ in range(random.randint(1, 3)): p.stdout.readline()  # 'go', and a line for each run that is kept
    time.sleep(.4 * random.random())
    p.send_signal(signal.SIGKILL)
    assert p.wait() == -signal.SIGKILL, 'it had ended by itself'
    for name in ('killed.json', 'alone.json'): subprocess.run(script(name), check=True, stdout=subprocess.PIPE)
    strip = lambda name: {k: {f: v for f, v in r.items() if f not in ('seconds', 'date')} for k, r in json.loads((tmp_path/name).read_text())['runs'].items()}
    assert strip('killed.json') == strip('alone.json')
    assert len(strip('alone.json')) == 4


def test_the_explorer_says_what_was_measured():
    rng = np.random.default_rng(0)
    seeds = {name: Seeds((rng.random((5, 80)) < p).astype(float), rng.random((5, 80)), 60.) for name, p in (('baseline', .5), ('+ much', .9), ('+ nothing', .9))}
    e = ladder_explorer(seeds)
    for k, name in enumerate(seeds):
        picture, says = e.draw_at(rung=k)
        assert name in says
        assert f'{seeds[name].right.mean():.1%}' in says
        assert picture.shape == e.draw_at()[0].shape
    low, high = paired_difference_interval(seeds['+ much'].right, seeds['baseline'].right)
    assert f'{low:+.1%} to {high:+.1%}' in e.draw_at(rung=1)[1]
    assert (draw_rungs(seeds, 2) != draw_rungs(seeds, 1)).any()
