"Intervals over folds: as often right as they say, with groups of pictures and without; and how runs of folds are joined."
from dataclasses import replace

import numpy as np, pandas as pd, pytest
from scipy.special import ndtri

from course_utils.config import CourseError
from course_utils.data.decode import Found
from course_utils.data.pictures import Pictures
from course_utils.report.intervals import FOLD_NOISE, crossed_variance, differences_interval, mean_interval, proportion_interval
from course_utils.report.stats import Pooled, Seeds, compare, difference, gains, interval, losses, pooled
from course_utils.training.recipe import Recipe
from course_utils.training.run import Run
from tests.test_intervals import LEAST, covered, difficulty

FOLDS, MODULES, CELLS = 4, 44, 60
MODULE = np.repeat(np.arange(MODULES), CELLS)
FOLD = MODULE % FOLDS  # whole modules in a fold
DEALT = np.arange(len(MODULE)) % FOLDS  # pictures one by one


def folded(rng, draws, n, fold, training_sd, module=None, of_module=0.):
    "`(draws, 1, n)` difficulties: pictures, their modules, and one training for each fold."
    z = difficulty(rng, draws, 1, n, group_of=module, of_group=of_module)
    training = training_sd * rng.standard_normal((draws, 1, FOLDS))[..., fold]
    return (z + training) / np.sqrt(1 + training_sd**2)


def share_covered(of_module, training_sd, draws=600, accuracies=(.85, .95), **units):
    "The least coverage over two accuracies, 2,640 pictures in four folds."
    rng = np.random.default_rng([int(100 * of_module), int(100 * training_sd)])
    z = folded(rng, draws, len(MODULE), units['folds'], training_sd, MODULE, of_module)
    found = [covered(proportion_interval((z < ndtri(p)).astype(float), **units), p) for p in accuracies]
    return min(share for share, _ in found)


# correlation of cells in a module, how much trainings differ (.05: by 1.2 % at 85 %)
CASES = [(0., 0.), (0., .05), (.05, 0.), (.05, .05), (.15, 0.), (.15, .05)]


@pytest.mark.parametrize('of_module, training_sd', CASES)
def test_accuracies_over_folds_cover(of_module, training_sd):
    units = dict(groups=MODULE if of_module else None, folds=FOLD)
    assert share_covered(of_module, training_sd, **units) >= LEAST


def test_without_modules_and_folds_it_is_too_narrow():
    "Folds of whole modules see modules, too: their means differ by them. With neither known, nothing does."
    rng = np.random.default_rng(0)
    right = (folded(rng, 600, len(MODULE), FOLD, 0., MODULE, .15) < ndtri(.85)).astype(float)
    bare, by_module = proportion_interval(right), proportion_interval(right, groups=MODULE, folds=FOLD)
    assert covered(bare, .85)[0] < .75
    assert covered(by_module, .85)[0] >= LEAST


def test_without_folds_it_is_too_narrow():
    rng = np.random.default_rng(0)
    z = folded(rng, 600, len(MODULE), FOLD, .06)
    right = (z < ndtri(.85)).astype(float)
    assert covered(proportion_interval(right), .85)[0] < .9
    assert covered(proportion_interval(right, folds=FOLD), .85)[0] >= LEAST


@pytest.mark.parametrize('training_sd', [.1, .2, .4])
def test_where_trainings_differ_much_it_covers_nearly_as_often(training_sd):
    assert share_covered(0., training_sd, draws=1500, folds=FOLD) >= .92


@pytest.mark.parametrize('of_module, training_sd', CASES)
def test_gains_over_folds_cover(of_module, training_sd):
    "Two settings, the same pictures, folds and modules; most of the difficulty is common."
    rng = np.random.default_rng([1, int(100 * of_module), int(100 * training_sd)])
    n, draws = len(MODULE), 600
    both = difficulty(rng, draws, 1, n, group_of=MODULE, of_group=of_module)
    own, other = (folded(rng, draws, n, FOLD, training_sd, MODULE, of_module) for _ in range(2))
    a, b = (np.sqrt(.8) * both + np.sqrt(.2) * z for z in (own, other))
    answers = (a < ndtri(.9)).astype(float) - (b < ndtri(.85)).astype(float)
    units = dict(groups=MODULE if of_module else None, folds=FOLD)
    assert covered(differences_interval(answers, **units), .05)[0] >= LEAST
    assert covered(mean_interval(a - b, **units), 0)[0] >= LEAST


def test_folds_of_single_pictures_cut_through_modules():
    "As the papers' random split has it: a module is in every fold, and counts as a whole."
    assert share_covered(.15, .05, folds=DEALT, groups=MODULE) >= LEAST


@pytest.mark.parametrize('n', [40, 160, 656])
def test_few_pictures_cover_too(n):
    rng = np.random.default_rng(n)
    fold = np.arange(n) % FOLDS
    for p in (.7, .9, .97):
        right = (folded(rng, 800, n, fold, .05) < ndtri(p)).astype(float)
        assert covered(proportion_interval(right, folds=fold), p)[0] >= LEAST


def test_variance_is_that_of_modules_and_trainings():
    "Var(mean) = Σ share² (σ²(training) + …): on average, apart from what is cut off at zero."
    rng = np.random.default_rng(2)
    module = rng.normal(0, .5, (4000, 1, 20))[..., np.repeat(np.arange(20), 10)]
    fold = np.repeat(np.arange(4), 50)
    training = rng.normal(0, 1, (4000, 1, 4))[..., fold]
    values = module + training + rng.normal(size=(4000, 1, 200))
    found = crossed_variance(values, np.repeat(np.arange(20), 10), fold)
    assert found.by_pictures.mean() == pytest.approx(.25 / 20 + 1 / 200, rel=.04)
    by_cells = (1 - FOLD_NOISE) * (.25 / 20 + 1 / 200)
    assert found.by_seeds.mean() == pytest.approx(1 / 4 + by_cells, rel=.06)
    assert found.freedom == 3


def test_several_seeds_of_each_fold_are_averaged():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(3, 80))
    fold = np.arange(80) % 4
    assert mean_interval(values, folds=fold) == pytest.approx(mean_interval(values.mean(0), folds=fold))


def test_the_interval_hands_folds_on():
    right = (np.random.default_rng(0).random(80) < .8).astype(float)
    fold = np.arange(80) % 4
    assert interval(right, folds=fold) == proportion_interval(right, folds=fold)
    assert interval(right * .3, folds=fold) == mean_interval(right * .3, folds=fold)


def test_one_fold_and_other_numbers_of_pictures_are_refused():
    with pytest.raises(CourseError, match='One fold says nothing'): proportion_interval([1, 0, 1], folds=[0, 0, 0])
    with pytest.raises(CourseError, match='need a fold each'): proportion_interval([1, 0, 1], folds=[0, 1])


# ---- runs of folds ----

def made_run(places, right, fold=0, **changes):
    "A run that held out the pictures at these places."
    targets = places % 2
    answers = np.where(right, targets, 1 - targets)
    probs = np.full((len(places), 2), .2)
    probs[np.arange(len(places)), answers] = .8
    history = pd.DataFrame([dict(train_accuracy=1., valid_loss=.5)])
    run = Run(history, probs, targets, {}, 2. + fold, None, recipe=Recipe('resnet10t', 1, seed=fold),
              files=[f'pics/{place:03d}.png' for place in places])
    return replace(run, **changes)


def made_runs(right, **changes):
    "Four folds of 80 pictures."
    return [made_run(np.arange(fold, 80, 4), right[fold::4], fold, **changes) for fold in range(4)]


def made_pictures(groups=True) -> Pictures:
    "The pictures of those runs, in modules of ten."
    table = pd.DataFrame(dict(path=[f'/a/pics/{i:03d}.png' for i in range(80)], label=np.arange(80) % 2, stratum='', split='train'))
    if groups: table['group'] = np.arange(80) // 10
    return Pictures('made', np.zeros((80, 32, 32, 3), np.uint8), ['a', 'b'], table, Found())


RIGHT = np.random.default_rng(0).random(80) < .8


def test_folds_become_one():
    whole = pooled(made_runs(RIGHT), made_pictures())
    assert isinstance(whole, Pooled)
    assert whole.accuracy == pytest.approx(RIGHT.mean())
    assert sorted(whole.files) == [f'pics/{i:03d}.png' for i in range(80)]
    assert whole.seeds == (0, 1, 2, 3)
    assert whole.seconds == 3.5
    by_file = whole.table.set_index('file')
    assert by_file.group['pics/057.png'] == 5
    assert by_file.fold['pics/057.png'] == 1
    assert by_file.p.isin([.8, .2]).all()


def test_a_difference_over_folds_is_paired_and_counts_modules():
    better = pooled(made_runs(RIGHT), made_pictures())
    worse = pooled(made_runs(RIGHT & (np.arange(80) >= 10)), made_pictures())
    gain, low, high = difference(better, worse)
    assert gain == pytest.approx(RIGHT[:10].sum() / 80)
    answers = np.isin(better.groups, [0]) * (better.probs.argmax(1) == better.targets)
    assert (low, high) == differences_interval(answers, groups=better.groups, folds=better.folds)
    assert low < 0 < high, 'one module of eight says little'
    loss_change, *_ = difference(better, worse, score=losses)
    assert loss_change < 0


def test_single_runs_count_modules():
    places = np.arange(80)
    modules = places // 10
    better = made_run(places, RIGHT, groups=modules)
    worse = made_run(places, RIGHT & (modules > 0), groups=modules)
    answers = (better.probs.argmax(1) == better.targets) & (modules == 0)
    _, *bounds = difference(better, worse)
    assert tuple(bounds) == differences_interval(answers, groups=modules)
    assert bounds[0] < 0, 'one module of eight says little'
    assert difference(replace(better, groups=None), worse)[1] > 0, 'ten pictures would say something'
    row = compare(dict(better=better)).loc['better']
    assert (row.low, row.high) == pytest.approx(proportion_interval(RIGHT, groups=modules), abs=1e-3)


def test_gains_over_folds():
    a = Seeds.from_folds(made_runs(RIGHT), made_pictures())
    b = Seeds.from_folds(made_runs(np.zeros(80, bool)), made_pictures())
    row = gains(dict(a=a, b=b), 'b').loc['a']
    assert row.seeds == 4
    assert row.gain == pytest.approx(RIGHT.mean())
    assert (row.low, row.high) == differences_interval(a.right - b.right, groups=a.groups, folds=a.folds)
    assert a.accuracy == (RIGHT.mean(), *proportion_interval(a.right, groups=a.groups, folds=a.folds))


def test_pictures_without_groups_are_alone():
    assert pooled(made_runs(RIGHT), made_pictures(groups=False)).groups is None
    assert pooled(made_runs(RIGHT)).groups is None


def test_what_makes_no_folds_is_refused():
    runs = made_runs(RIGHT)
    with pytest.raises(CourseError, match='One run makes no folds'): pooled(runs[:1])
    with pytest.raises(CourseError, match='held out in two'): pooled([runs[0], runs[0]])
    with pytest.raises(CourseError, match='20 of 80 pictures are held out in none'): pooled(runs[:3], made_pictures())


def test_other_folds_make_no_pairs():
    runs = made_runs(RIGHT)
    halves = [made_run(np.arange(start, start + 40), RIGHT[start:start + 40]) for start in (0, 40)]
    with pytest.raises(CourseError, match='no pairs'): difference(pooled(runs), pooled(halves))
    whole = pooled(runs)
    with pytest.raises(CourseError, match='folds of the two'): difference(whole, replace(whole, folds=whole.folds[::-1]))
