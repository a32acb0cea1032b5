"Intervals cover as often as they say, where a picture is hard for all seeds and seeds differ a little."
import json

import numpy as np, pytest
from scipy.special import ndtri
from scipy.stats import binom, binomtest

from course_utils.config import CourseError, root
from course_utils.report.intervals import (balanced_interval, crossed_variance, differences_interval, mean_interval,
                                           paired_difference_interval, proportion_interval)
from course_utils.report.stats import Seeds, interval

PICTURES = (8, 20, 50, 200, 656, 2000)
LARGEST = pytest.param(2000, marks=pytest.mark.slow)
ACCURACIES = (.5, .7, .9, .97, .99)
LEAST = .93


def difficulty(rng, draws, seeds, pictures, shared=.8, seed_sd=.05, group_of=None, of_group=.0):
    """`(draws, seeds, pictures)` normal values of variance 1; right where below `ndtri(accuracy)`.

    shared: the part of the variance that all seeds have in common; `of_group` of it belongs to the group.
    In the course's runs answers of two seeds correlate by .5 to .7, as with `shared` .7 to .9.
    Their `seed_sd` is 0 to .06; once, where the rate was too high, .14.
    """
    seed_sd = seed_sd if seeds > 1 else 0.  # one seed: its own accuracy is meant
    normal = lambda *shape: rng.standard_normal(shape, np.float32)
    z = np.sqrt(1 - shared - seed_sd**2) * normal(draws, seeds, pictures) + seed_sd * normal(draws, seeds, 1)
    z += np.sqrt(shared - of_group) * normal(draws, 1, pictures)
    if of_group: z += np.sqrt(of_group) * normal(draws, 1, group_of.max() + 1)[..., group_of]
    return z


def chunks(draws, seeds, pictures, most=4_000_000):
    "Numbers of draws that fit into memory, which add up to `draws`."
    size = max(1, min(draws, most // (seeds * pictures)))
    return [size] * (draws // size) + [draws % size] * (draws % size > 0)


def covered(intervals, truth) -> tuple:
    "Share of intervals that hold the truth, and their mean width."
    low, high = intervals
    return np.mean((low <= truth) & (truth <= high)), np.mean(high - low)


def averaged(found) -> dict:
    "`{truth: (coverage, width)}` of `{truth: [(coverage, width, draws), ...]}`."
    of = {truth: np.array(parts) for truth, parts in found.items()}
    return {truth: tuple(np.average(v[:, :2], axis=0, weights=v[:, 2])) for truth, v in of.items()}


def coverage(seeds, pictures, accuracies=ACCURACIES, draws=1000, rng=0, method=proportion_interval,
             groups=None, **kind):
    "`{accuracy: (coverage, width)}` of an interval of the accuracy."
    rng, found = np.random.default_rng([rng, seeds, pictures]), {p: [] for p in accuracies}
    for size in chunks(draws, seeds, pictures):
        z = difficulty(rng, size, seeds, pictures, group_of=groups, **kind)
        for p in accuracies:
            right = (z < ndtri(p)).astype(float)
            intervals = method(right) if groups is None else method(right, groups=groups)
            found[p].append((*covered(intervals, p), size))
    return averaged(found)


def paired_coverage(seeds, pictures, pairs, draws=1000, rng=0, method=paired_difference_interval, alike=.9):
    "`{(accuracy a, accuracy b): (coverage, width)}`. `alike`: correlation of difficulty for `a` and for `b`."
    rng, found = np.random.default_rng([rng, seeds, pictures]), {pair: [] for pair in pairs}
    for size in chunks(draws, seeds, pictures):
        both, own, other = (difficulty(rng, size, seeds, pictures) for _ in range(3))
        za, zb = (np.sqrt(alike) * both + np.sqrt(1 - alike) * z for z in (own, other))
        for pa, pb in pairs:
            a, b = (za < ndtri(pa)).astype(float), (zb < ndtri(pb)).astype(float)  # ndtri(1) is ∞: all right
            found[pa, pb].append((*covered(method(a, b), pa - pb), size))
    return averaged(found)


def losses(rng, draws, seeds, pictures, seed_sd=.05):
    "Cross-entropies `(draws, seeds, pictures)` with skewness 3 or so, as in the course, and their mean."
    margin = 2.5 + 2.2 * difficulty(rng, draws, seeds, pictures, seed_sd=seed_sd)
    x, w = np.polynomial.hermite_e.hermegauss(80)
    return np.logaddexp(0, -margin).astype(float), (w * np.logaddexp(0, -2.5 - 2.2 * x)).sum() / w.sum()


# one seed: no simulation, all outcomes

@pytest.mark.parametrize('n', PICTURES)
def test_one_seed_covers_for_every_accuracy(n):
    right = np.arange(n + 1)
    answers = (np.arange(n) < right[:, None]).astype(float)[:, None]
    low, high = proportion_interval(answers)
    for p in (*ACCURACIES, *np.linspace(.5, .995, 100)):
        assert binom.pmf(right, n, p)[(low <= p) & (p <= high)].sum() >= .95 - 1e-9


@pytest.mark.parametrize('right, n', [(8, 8), (0, 8), (7, 8), (20, 20), (45, 50), (633, 656), (1000, 2000)])
def test_one_seed_is_exact_and_a_little_wider_than_wilson(right, n):
    low, high = proportion_interval(np.arange(n) < right)
    exact, wilson = (binomtest(right, n).proportion_ci(method=m) for m in ('exact', 'wilson'))
    assert np.allclose((low, high), exact, atol=1e-9)
    assert high - low < 1.25 * (wilson.high - wilson.low)
    assert abs(low - wilson.low) < .06


def test_wilson_would_not_reach_93_percent():
    right = np.arange(51)
    wilson = [binomtest(int(k), 50).proportion_ci(method='wilson') for k in right]
    held = np.array([w.low <= .99 <= w.high for w in wilson])
    assert binom.pmf(right, 50, .99)[held].sum() < .92


@pytest.mark.parametrize('n', [8, 20, 50, 200])
def test_one_pair_of_models_covers_for_every_outcome(n):
    "All numbers of pictures that only `a` or only `b` has right. With one model perfect it may be 92.5 %."
    most = min(n, 70)
    only_a, only_b = (v.ravel() for v in np.meshgrid(range(most + 1), range(most + 1)))
    only_a, only_b = only_a[only_a + only_b <= n], only_b[only_a + only_b <= n]
    picture = np.arange(n)
    a = (picture < only_a[:, None]).astype(float)[:, None]
    b = ((picture >= only_a[:, None]) & (picture < (only_a + only_b)[:, None])).astype(float)[:, None]
    low, high = paired_difference_interval(a, b)
    one_perfect = [(p, 0) for p in (.003, .01, .03, .1, .2)]
    both_err = [(.01, .01), (.03, .01), (.05, .02), (.1, .1), (.15, .05)]
    for pa, pb in one_perfect + both_err:
        chance = binom.pmf(only_a, n, pa) * binom.pmf(only_b, n - only_a, pb / (1 - pa))
        held = chance[(low <= pa - pb + 1e-12) & (pa - pb <= high + 1e-12)].sum()
        assert held >= (LEAST if pb else .925), (pa, pb)


# several seeds: simulated

@pytest.mark.parametrize('seeds', [3, 5, 10])
@pytest.mark.parametrize('n', [*PICTURES[:-1], LARGEST])
def test_seeds_cover(seeds, n):
    found = coverage(seeds, n)
    assert min(share for share, _ in found.values()) >= LEAST, found


@pytest.mark.parametrize('seeds, seed_sd', [(2, .05), (2, .15), (3, .15), (3, .3), (5, .3)])
def test_seeds_that_differ_much_cover_too(seeds, seed_sd):
    found = coverage(seeds, 656, seed_sd=seed_sd)
    assert min(share for share, _ in found.values()) >= LEAST, found


@pytest.mark.parametrize('seeds', [1, 3, 5])
@pytest.mark.parametrize('n', [8, 20, 50, 200, 656])
def test_pairs_cover(seeds, n):
    "Two models that find the same pictures hard; and one that is perfect."
    found = paired_coverage(seeds, n, [(.9, .9), (.92, .9), (.99, .97), (.6, .5), (1., .97), (1., .9)])
    assert min(share for share, _ in found.values()) >= LEAST, found


@pytest.mark.parametrize('seeds, units', [(1, 10), (1, 40), (3, 10), (3, 40)])
def test_groups_cover(seeds, units):
    "Cells of a module are alike; groups are not equally large."
    groups = np.repeat(np.arange(units), np.random.default_rng(0).integers(2, 25, units))
    kind = dict(groups=groups, of_group=.4, draws=1000, accuracies=(.5, .7, .9, .97))
    ungrouped = lambda right, groups: proportion_interval(right)
    found = coverage(seeds, len(groups), **kind)
    bare = coverage(seeds, len(groups), method=ungrouped, **kind)
    assert min(share for share, _ in found.values()) >= LEAST, found
    assert bare[.7][0] < found[.7][0] - .03, 'without groups the interval is too narrow'


@pytest.mark.parametrize('seeds', [1, 3])
def test_groups_cover_for_pairs_and_losses_too(seeds):
    groups = np.repeat(np.arange(30), np.random.default_rng(0).integers(2, 25, 30))
    rng = np.random.default_rng(seeds)
    own, other = (difficulty(rng, 1000, seeds, len(groups), group_of=groups, of_group=.4) for _ in range(2))
    a, b = (own < ndtri(.9)).astype(float), (other < ndtri(.8)).astype(float)
    assert covered(paired_difference_interval(a, b, groups=groups), .1)[0] >= LEAST
    assert covered(mean_interval(own, groups=groups), 0)[0] >= LEAST
    assert covered(mean_interval(own), 0)[0] < .8, 'without groups the interval is too narrow'


@pytest.mark.parametrize('seeds', [1, 3, 5])
@pytest.mark.parametrize('n, least', [(8, .88), (20, .92), (50, .92), (200, .93), (656, .93)])
def test_losses_cover(seeds, n, least):
    "So skewed are losses that 93 % is out of reach at 8 to 20 pictures. The bootstrap: 75 % to 85 %."
    values, truth = losses(np.random.default_rng([seeds, n]), 1500, seeds, n)
    assert covered(mean_interval(values), truth)[0] >= least


# edges

def test_all_right_and_all_wrong():
    assert proportion_interval(np.ones(8)) == pytest.approx((.6306, 1), abs=1e-4)
    assert proportion_interval(np.zeros(8)) == pytest.approx((0, .3694), abs=1e-4)
    assert proportion_interval(np.ones((5, 8))) == proportion_interval(np.ones(8)), 'no more pictures'
    low, high = paired_difference_interval(np.ones(8), np.zeros(8))
    assert high == 1
    assert .4 < low < .6


def test_one_picture():
    assert proportion_interval([1]) == pytest.approx((.025, 1))
    assert proportion_interval(np.ones((3, 1))) == pytest.approx((.025, 1))
    low, high = paired_difference_interval([1], [0])
    assert -1 <= low < 0
    assert high == 1
    assert mean_interval([.3]) == (-np.inf, np.inf)
    assert mean_interval([[.3], [.2]]) == (-np.inf, np.inf)


def test_identical_models_are_not_told_apart():
    right = np.array([1, 1, 1, 1, 1, 1, 0, 1])
    for v in (right, np.tile(right, (5, 1))):
        low, high = paired_difference_interval(v, v)
        assert low == -high
        assert .2 < high < .35
    assert mean_interval(np.full(8, .2)) == pytest.approx((.2, .2)), 'equal losses show no scale'


def test_one_group_tells_as_much_as_one_picture():
    group = ['module 7'] * 100
    assert proportion_interval(np.ones(100), groups=group) == pytest.approx((.025, 1))
    assert np.diff(proportion_interval(np.arange(100) < 90, groups=group)) > .9
    assert np.diff(paired_difference_interval(np.ones(100), np.zeros(100), groups=group)) > 1
    assert mean_interval(np.arange(100.), groups=group) == (-np.inf, np.inf)


def test_groups_of_one_picture_are_no_groups():
    rng = np.random.default_rng(0)
    right, other, own = rng.random((3, 60)) < .8, rng.random((3, 60)) < .8, rng.permutation(60)
    assert np.allclose(proportion_interval(right, groups=own), proportion_interval(right))
    paired = paired_difference_interval
    assert np.allclose(paired(right, other, groups=own), paired(right, other))
    assert np.allclose(mean_interval(1. * right, groups=own), mean_interval(1. * right))


def test_one_group_may_hold_half_of_the_pictures():
    groups = np.r_[np.zeros(100, int), np.repeat(np.arange(1, 11), 10)]
    assert crossed_variance(np.ones(200), groups).units == pytest.approx(200**2 / (100**2 + 10 * 10**2))
    found = coverage(1, 200, groups=groups, of_group=.4, draws=1000)
    assert min(share for share, _ in found.values()) >= LEAST, found


def test_copies_of_pictures_in_groups_tell_nothing_new():
    right = (np.arange(40) < 33).astype(float)
    copies, group = np.repeat(right, 10), np.repeat(np.arange(40), 10)
    low, high = proportion_interval(right)
    assert proportion_interval(copies, groups=group) == pytest.approx((low, high), abs=.02)


def test_pairing_narrows_and_swapping_mirrors():
    z = difficulty(np.random.default_rng(0), 1, 5, 656)[0]
    a, b = z < ndtri(.9), z < ndtri(.85)
    low, high = paired_difference_interval(a, b)
    assert paired_difference_interval(b, a) == pytest.approx((-high, -low))
    assert 0 < low < a.mean() - b.mean() < high
    assert high - low < np.diff(proportion_interval(a))
    widths = [np.diff(proportion_interval(a, level=level)) for level in (.8, .95, .99)]
    assert widths == sorted(widths)


def test_variance_is_that_of_the_two_way_model():
    "Var(mean) = σ²(seeds)/S + σ²(pictures)/N + σ²(rest)/(S·N), on average."
    normal = np.random.default_rng(0).normal
    seed, picture, rest = normal(0, .3, (4000, 5, 1)), normal(0, 2, (4000, 1, 40)), normal(size=(4000, 5, 40))
    c = crossed_variance(seed + picture + rest)
    assert c.by_pictures.mean() == pytest.approx(4 / 40, rel=.03)
    assert c.by_seeds.mean() == pytest.approx(.09 / 5 + 1 / 200, rel=.05)


def test_a_stack_gives_what_its_parts_give():
    right = difficulty(np.random.default_rng(1), 4, 3, 50) < 1
    low, high = proportion_interval(right)
    assert [(l, h) for l, h in zip(low, high)] == [proportion_interval(r) for r in right]


def test_what_cannot_be_meant_is_refused():
    for bad in ([], [.5, 1], [1, np.nan]):
        with pytest.raises(CourseError): proportion_interval(bad)
    with pytest.raises(CourseError): paired_difference_interval([1, 0], [1, 0, 1])
    with pytest.raises(CourseError): proportion_interval([1, 0], groups=[1, 2, 3])


@pytest.mark.timing
def test_fast_enough():
    import time
    z, started = difficulty(np.random.default_rng(0), 1, 5, 656)[0], time.perf_counter()
    for _ in range(100):
        proportion_interval(z < 1), paired_difference_interval(z < 1, z < .9), mean_interval(z)
    assert time.perf_counter() - started < 1.5


# ---- a balanced accuracy, and differences ----

@pytest.mark.parametrize('sizes, recalls', [((8, 8), (.95, .95)), ((70, 16), (.99, .5)), ((600, 60), (.97, .8)), ((20, 4), (.98, .9))])
def test_a_balanced_accuracy_covers(sizes, recalls):
    rng = np.random.default_rng(sizes)
    targets = np.repeat(np.arange(2), sizes)
    answers = rng.random((400, len(targets))) < np.repeat(recalls, sizes)
    found = np.array([balanced_interval(right, targets) for right in answers])
    assert covered(found.T, np.mean(recalls))[0] >= LEAST


def test_a_balanced_accuracy_stays_between_0_and_1():
    targets = [0] * 8 + [2] * 2
    low, high = balanced_interval(np.ones(10), targets)
    assert 0 < low < .7
    assert high == 1
    assert balanced_interval(np.zeros(10), targets)[0] == 0
    assert balanced_interval(np.ones(8), [0] * 8) == pytest.approx(proportion_interval(np.ones(8)))
    with pytest.raises(CourseError, match='one of each'): balanced_interval(np.ones(8), targets)


def test_one_picture_of_eight_proves_no_difference():
    "Nor if it is weighted; and differences that are all 0 are never certain."
    one = np.r_[1, np.zeros(7)]
    for weight in (1, 1.3, .5):
        low, high = differences_interval(weight * one)
        assert low < 0 < high
    low, high = differences_interval(np.zeros((3, 8)))
    assert low == -high < 0


def test_differences_say_what_their_pairs_say():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 3, 60)) < .8
    assert differences_interval(a * 1. - b) == paired_difference_interval(a, b)


# ---- shared/field/interval_certain.py ----

def answers(k, n): return np.r_[np.ones(k), np.zeros(n - k)]


@pytest.mark.parametrize('k, n', [(4, 4), (8, 8), (20, 20), (7, 8), (19, 20)])
def test_field_an_accuracy_is_never_certain(k, n):
    low, high = interval(answers(k, n))
    exact = binomtest(k, n).proportion_ci(method='exact')
    assert (low, high) == pytest.approx((exact.low, exact.high))
    assert high - low > .15


def test_field_none_of_8_right():
    "As answers they are told by their name or type; numbers that are all 0 may be a difference, too."
    assert proportion_interval(answers(0, 8)) == pytest.approx((0, .3694), abs=1e-4)
    assert interval(answers(0, 8) > 0) == proportion_interval(answers(0, 8))
    low, high = interval(answers(0, 8))
    assert low == pytest.approx(-.277, abs=1e-3)
    assert high == -low


@pytest.mark.parametrize('n, p', [(8, .9), (20, .95), (50, .98), (200, .98)])
def test_field_the_interval_holds_the_truth(n, p):
    rng = np.random.default_rng(0)
    found = [interval(rng.random(n) < p) for _ in range(300)]
    assert covered(np.transpose(found), p)[0] >= LEAST


def test_field_three_seeds_that_have_all_8_right():
    assert Seeds(np.ones((3, 8)), np.zeros((3, 8)), 1.).accuracy == (1, pytest.approx(.6306, abs=1e-4), 1)


# ---- results/coverage.json, the figure of lesson 09 ----

def test_the_figure_shows_what_is_simulated_here():
    table = json.loads((root()/'results'/'coverage.json').read_text())
    now = table['least']['accuracy']['now']
    for n, least in zip(table['pictures'], now['5']):
        if n > 200: continue
        found = coverage(5, n)
        assert min(share for share, _ in found.values()) == pytest.approx(least, abs=.025)
    assert min(least for kind in table['least'].values() for shares in kind['now'].values() for least in shares) >= LEAST


@pytest.mark.parametrize('n', [8, 50, 200])
def test_the_figure_shows_the_bootstrap_s_limit(n):
    "With one seed, resampled numbers of right answers are binomial."
    table = json.loads((root()/'results'/'coverage.json').read_text())
    right = np.arange(n + 1)
    low, high = binom.ppf(.025, n, right / n) / n, binom.ppf(.975, n, right / n) / n
    shares = [binom.pmf(right, n, p)[(low <= p + 1e-12) & (p <= high + 1e-12)].sum() for p in ACCURACIES]
    place = table['pictures'].index(n)
    assert min(shares) == pytest.approx(table['least']['accuracy']['bootstrap']['1'][place], abs=1e-3)
