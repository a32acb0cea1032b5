"""Intervals of accuracies, of differences of two accuracies, and of mean losses.

What is estimated
-----------------
Several seeds: the mean over all trainings of a setting and all pictures like these.
That is the accuracy to expect of one more training on one more picture.
One seed: the accuracy of that one trained model over all pictures like these.
How much another training would differ cannot be seen in one.
Folds: the mean over all trainings of a setting, as with seeds. Each fold is a training, and judges other pictures.

How
---
A value is `mean + seed + picture + rest`, and `crossed_variance` splits the variance of the mean likewise.
The intervals start from it. Nothing here draws random numbers.
Half the width, squared, is z² × variance by pictures + t² × variance by seeds (Banerjee 1960).
Such an interval covers at least as often as it says, however few the seeds and however much they differ.
That holds where seeds differ normally, not where one in ten fails altogether.
0/1 answers get an effective number of pictures (Kish 1965; Korn & Graubard 1998):
how many independent pictures, judged by one model, would tell as much.
That number goes into an interval that keeps its coverage near 0 and 1.

Folds share no pictures, so how much trainings differ is what fold means differ beyond what their pictures explain.
Four folds show that roughly, so the intervals are wider than four seeds' would be.

Each function but `balanced_interval` takes `(pictures,)`, `(seeds, pictures)` or a stack `(..., seeds, pictures)`.
An interval is two floats, low and high; for a stack two arrays `(...)`.

Sources
-------
Banerjee 1960, Sankhyā 22: a sum of variances, each with its own degrees of freedom
Bonett & Price 2012, J. Educational and Behavioral Statistics 37: paired difference of proportions
Cameron, Gelbach & Miller 2011, J. Business & Economic Statistics 29: variance with two ways of clustering
Clopper & Pearson 1934, Biometrika 26: the exact interval of a proportion
Fagerland, Lydersen & Laake 2014, Statistics in Medicine 33: which interval for paired proportions
Franco, Little, Louis & Slud 2019, J. Survey Statistics and Methodology 7: proportions in clusters
Hall 1992, J. Royal Statistical Society B 54: a t interval for skewed values
Kish 1965, Survey Sampling: the design effect
Korn & Graubard 1998, Survey Methodology 24: Clopper & Pearson with an effective number
Zou & Donner 2008, Statistics in Medicine 27: intervals of a sum from those of its parts
"""
from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv, ndtri, stdtrit

from course_utils.config import CourseError

FOLD_NOISE = .6      # of what pictures explain of the differences of folds, so much is taken off: see `folded_variance`
PRIOR_PICTURES = 2.  # how many wrong pictures the belief weighs that seeds agree and a group shares one fate
RIGHT_OR_WRONG = 'Answers are right or wrong: give 1 or 0 for each picture.'


# ---- variance, and what it is worth ----

class Crossed(NamedTuple):
    "The mean of `(..., seeds, pictures)` values, and what makes it uncertain. Arrays are `(...)`."
    mean: np.ndarray
    by_pictures: np.ndarray  # variance of the mean that comes from which pictures (or groups) were drawn
    by_seeds: np.ndarray     # from which seeds were drawn, and from what is left; 0 for one seed
    third: np.ndarray        # third central moment of the mean that comes from the pictures
    freedom: int             # degrees of freedom of `by_seeds`; 0 for one seed
    units: float             # pictures; or the number of groups, counted as 1 / Σ share² (Kish 1965)
    grouped: bool            # has any group more than one picture?


def crossed_variance(
    values,       # `(pictures,)` or `(..., seeds, pictures)`, finite
    groups=None,  # `(pictures,)` labels: pictures of one group are one unit, a cluster, of which the sum matters
    folds=None,   # `(pictures,)` labels: pictures of one fold were judged by one training, those of others by others
) -> Crossed:
    """Splits the variance of the mean of `values` into that of pictures and that of seeds.

    The mean stays that over pictures, so a large group weighs more.
    Two-way analysis of variance as in Cameron, Gelbach & Miller (2011): V = V_units + V_seeds − V_both.
    `by_pictures` is V_units − V_both, not below 0. `by_seeds` is V_seeds, which holds the rest as well.
    With folds see `folded_variance`.
    Raises `CourseError` for values that are not finite, no picture, or groups that do not fit."""
    if folds is not None: return folded_variance(values, groups, folds)
    values = _as_rows(values)
    n_seeds, n_pictures = values.shape[-2:]
    mean = values.mean((-2, -1))
    totals = (values - mean[..., None, None]) / n_pictures
    sizes = np.ones(n_pictures)
    if groups is not None:
        totals = _group_sums(totals, groups)
        sizes = _group_sums(sizes, groups)
    units = n_pictures**2 / (sizes**2).sum()
    unit_effect = totals.mean(-2)  # these and the next add up to 0
    seed_effect = totals.sum(-1)
    bessel = units / (units - 1) if units > 1 else 1.
    by_pictures = bessel * (unit_effect**2).sum(-1)
    by_seeds = np.zeros_like(mean)
    if n_seeds > 1:
        n_pairs = n_seeds * (n_seeds - 1)
        shares = sizes / n_pictures
        rest = totals - unit_effect[..., None, :] - seed_effect[..., None] * shares
        by_rest = bessel * (rest**2).sum((-2, -1)) / n_pairs
        by_seeds = (seed_effect**2).sum(-1) / n_pairs
        by_pictures = np.maximum(by_pictures - by_rest, 0)
    third = (unit_effect**3).sum(-1)
    return Crossed(mean, by_pictures, by_seeds, third, n_seeds - 1, float(units), grouped=len(sizes) < n_pictures)


def folded_variance(
    values,  # `(..., seeds, pictures)`, finite; of several seeds the mean counts
    groups,  # `(pictures,)` labels, or None
    folds,   # `(pictures,)` labels
) -> Crossed:
    """`crossed_variance` where each fold is a training.

    `by_pictures` is the variance of units within folds. The means of k folds vary by that, too, and by their trainings:
    k / (k − 1) Σ share² (fold mean − mean)², less `FOLD_NOISE` of the variance of units, is `by_seeds`, not below 0.
    With all of it taken off, four fold means that lie close together by chance would leave too little:
    simulated, 90 % of the intervals would hold the truth in the worst case, instead of 92.5 %.
    Raises `CourseError` for a single fold, or folds that do not fit."""
    values = _as_rows(values).mean(-2)
    n_pictures = values.shape[-1]
    mean = values.mean(-1)
    _, fold = np.unique(_checked_labels(folds, n_pictures, 'folds'), return_inverse=True)
    shares = np.bincount(fold) / n_pictures
    n_folds = len(shares)
    if n_folds < 2: raise CourseError('One fold says nothing of how trainings differ: give the pictures of two folds or more, or no `folds`.')
    fold_means = _group_sums(values, fold) / (shares * n_pictures)
    within = (values - fold_means[..., fold]) / n_pictures
    unit = np.arange(n_pictures)
    if groups is not None: _, unit = np.unique(_checked_labels(groups, n_pictures), return_inverse=True)
    sizes = np.bincount(unit)
    units = n_pictures**2 / (sizes**2).sum()
    # units of a fold are compared among themselves, so each fold costs one of them
    bessel = units / (units - n_folds) if units > n_folds else 1.
    unit_effect = _group_sums(within, unit)
    cell_effect = _group_sums(within, unit * n_folds + fold)  # of a unit in a fold: it may lie in several
    by_pictures = bessel * (unit_effect**2).sum(-1)
    by_cells = bessel * (cell_effect**2).sum(-1)
    between = n_folds / (n_folds - 1) * (shares**2 * (fold_means - mean[..., None])**2).sum(-1)
    by_trainings = np.maximum(between - FOLD_NOISE * by_cells, 0)
    third = (unit_effect**3).sum(-1)
    return Crossed(mean, by_pictures, by_trainings, third, n_folds - 1, float(units), grouped=len(sizes) < n_pictures)


def effective_pictures(
    values,           # `(pictures,)` or `(..., seeds, pictures)` of 0/1 or of −1/0/1
    variance_of_one,  # `(...)`: of one value, of one picture and seed
    level: float=.95,
    groups=None,      # `(pictures,)` labels
    folds=None,       # `(pictures,)` labels
) -> np.ndarray:      # `(...)`
    """How many independent pictures, judged by one model, tell as much as these `values`.

    Where all seeds agree and there are no groups, it is the number of pictures.
    It is lower where seeds differ in their accuracy, and where pictures of a group are alike.
    It is higher where seeds err on different pictures, so that their mean is steadier than one of them.

    Few wrong answers show little of that. So the pictures' part of the design effect is drawn towards the worst case,
    as though `PRIOR_PICTURES` more pictures had been seen, wrong for all seeds and for all of a group.
    With no wrong answer at all, that leaves the number of pictures, or of groups.
    The number is smaller by Student's t too, as in Korn & Graubard (1998), so it goes with normal quantiles."""
    crossed = crossed_variance(values, groups, folds)
    n_pictures = np.shape(values)[-1]
    # the two parts of the design effect: 1 is as uncertain as one model on `units` independent pictures
    evidence = n_pictures * variance_of_one
    spread = n_pictures * crossed.by_pictures * (crossed.units - 1)
    picture_effect = (spread + PRIOR_PICTURES) / (evidence + PRIOR_PICTURES)
    if crossed.units == 1: picture_effect = np.ones_like(crossed.mean)
    one_fate = variance_of_one / crossed.units  # the variance of the mean if all in a unit had one fate
    seed_effect = np.zeros_like(crossed.mean)
    np.divide(crossed.by_seeds, one_fate, out=seed_effect, where=one_fate > 0)
    z = _student(np.inf, level)
    t_units = _student(crossed.units - 1, level) if crossed.grouped else z
    t_seeds = _student(crossed.freedom, level)
    return crossed.units * z**2 / (t_units**2 * picture_effect + t_seeds**2 * seed_effect)


# ---- accuracies ----

def proportion_interval(
    right,        # `(pictures,)` or `(..., seeds, pictures)` of 0 and 1
    level: float=.95,
    groups=None,  # `(pictures,)` labels, such as the module of a cell
    folds=None,   # `(pictures,)` labels, where each fold of the pictures was judged by another training
) -> tuple:       # low, high
    """Interval of an accuracy, within 0 to 1: Clopper & Pearson (1934) with an effective number of pictures.

    8 of 8 right gives 63.1 % to 100 %. A single group counts as a single picture.
    One seed without groups gets the exact interval, which never covers less often than `level`.
    (Wilson's covers 91 % for an accuracy of 99 % and 50 pictures.)
    Raises `CourseError` for other values than 0 and 1."""
    right = _as_rows(right)
    if not only_has(right, (0, 1)): raise CourseError(RIGHT_OR_WRONG)
    share = right.mean((-2, -1))
    number = effective_pictures(right, share * (1 - share), level, groups, folds)
    low = _lower_bound(share, number, level)
    high = 1 - _lower_bound(1 - share, number, level)
    return _pair(low, high)


def balanced_interval(
    right,    # `(pictures,)` of 0 and 1: one model
    targets,  # `(pictures,)` labels
    level: float=.95,
) -> tuple:   # low, high
    """Interval of a balanced accuracy, the mean of the recalls of the classes that `targets` holds, within 0 to 1.

    Each recall has its exact interval, and the distances to its ends are added as variances are (Zou & Donner 2008)."""
    right = np.asarray(right)
    targets = np.asarray(targets)
    if right.shape != targets.shape or right.ndim != 1:
        raise CourseError(f'Answers of shape {right.shape} and labels of shape {targets.shape}: give one of each for every picture.')
    by_class = [right[targets == label] for label in np.unique(targets)]
    recalls = np.array([answers.mean() for answers in by_class])
    bounds = np.array([proportion_interval(answers, level) for answers in by_class])
    to_low = np.linalg.norm(recalls - bounds[:, 0]) / len(recalls)
    to_high = np.linalg.norm(bounds[:, 1] - recalls) / len(recalls)
    return float(recalls.mean() - to_low), float(recalls.mean() + to_high)


def paired_difference_interval(
    a, b,         # of one shape, `(pictures,)` or `(..., seeds, pictures)`, of 0 and 1; pictures and seeds in the same order
    level: float=.95,
    groups=None,  # `(pictures,)` labels
    folds=None,   # `(pictures,)` labels
) -> tuple:       # low, high
    """Interval of the accuracy of `a` minus that of `b`, within −1 to 1: Bonett & Price (2012) with an effective number of pictures.

    One picture is added to those that only `a` has right, and one to those that only `b` has right.
    Two models that never differ on 8 pictures give −28 to 28 points, not 0 to 0.
    Raises `CourseError` for two shapes, or other values than 0 and 1."""
    a = _as_rows(a)
    b = _as_rows(b)
    if a.shape != b.shape:
        raise CourseError(f'Answers of shape {a.shape} and {b.shape} are no pairs: take the same seeds and pictures for both.')
    if not (only_has(a, (0, 1)) and only_has(b, (0, 1))): raise CourseError(RIGHT_OR_WRONG)
    return _bonett_price(a - b, level, groups, folds)


def differences_interval(
    differences,  # `(pictures,)` or `(seeds, pictures)`: a value of one model less that of another, paired
    level: float=.95,
    groups=None,  # `(pictures,)` labels
    folds=None,   # `(pictures,)` labels
) -> tuple:       # low, high
    """Interval of a mean difference of answers, picture by picture.

    That of `paired_difference_interval` where they are −1, 0 and 1: never certain, even if all are 0.
    Other differences, of shares or weighted answers, get `mean_interval`."""
    differences = _as_rows(differences)
    if only_has(differences, (-1, 0, 1)): return _bonett_price(differences, level, groups, folds)
    return mean_interval(differences, level, groups, folds)


def _bonett_price(differences, level, groups, folds) -> tuple:
    "The interval of the mean of −1, 0 and 1."
    only_a = (differences > 0).mean((-2, -1))
    only_b = (differences < 0).mean((-2, -1))
    variance = only_a + only_b - (only_a - only_b)**2
    number = effective_pictures(differences, variance, level, groups, folds)
    only_a = (number * only_a + 1) / (number + 2)
    only_b = (number * only_b + 1) / (number + 2)
    middle = only_a - only_b
    error = np.sqrt((only_a + only_b - middle**2) / (number + 2))
    half = _student(np.inf, level) * error
    return _pair(np.maximum(middle - half, -1), np.minimum(middle + half, 1))


# ---- losses ----

def mean_interval(
    values,       # `(pictures,)` or `(..., seeds, pictures)`, finite
    level: float=.95,
    groups=None,  # `(pictures,)` labels
    folds=None,   # `(pictures,)` labels
) -> tuple:       # low, high
    """Interval of the mean of losses, or of differences of losses: on each side the wider one of Student's and of Hall's (1992),
    which is made lopsided as the values are.

    A few losses lie far out, and a sample often lacks them: so the side towards them is the longer one.
    Values that are all the same show no scale: the interval then has no width. For 0/1 use the others.
    One picture, or one group, gives −∞ to ∞."""
    crossed = crossed_variance(values, groups, folds)
    mean = crossed.mean
    if crossed.units == 1: return _pair(np.full_like(mean, -np.inf), np.full_like(mean, np.inf))
    error = np.sqrt(crossed.by_pictures + crossed.by_seeds)
    scale = np.where(error > 0, error, 1)
    from_pictures = _student(crossed.units - 1, level) * np.sqrt(crossed.by_pictures) / scale
    from_seeds = _student(crossed.freedom, level) * np.sqrt(crossed.by_seeds) / scale
    quantile = np.hypot(from_pictures, from_seeds)
    skew = crossed.third / scale**3
    below = np.maximum(quantile, _unskewed(quantile, skew))
    above = np.maximum(quantile, -_unskewed(-quantile, skew))
    return _pair(mean - error * below, mean + error * above)


# ---- parts ----

def only_has(values, allowed: tuple) -> bool:
    "Is every value one of these?"
    return bool(np.isin(values, allowed).all())


def _as_rows(values) -> np.ndarray:
    "`(..., seeds, pictures)` floats."
    values = np.atleast_2d(np.asarray(values, float))
    if not values.size: raise CourseError('An interval needs at least one picture, and there is none.')
    if not np.isfinite(values).all(): raise CourseError('An interval needs numbers, and some of these are not finite.')
    return values


def _checked_labels(labels, n_pictures: int, name: str='groups') -> np.ndarray:
    "Labels as an array. Raises `CourseError` unless there is one for each picture."
    labels = np.asarray(labels)
    if labels.shape == (n_pictures,): return labels
    raise CourseError(f'{n_pictures} pictures need a {name[:-1]} each, and `{name}` has the shape {labels.shape}.')


def _group_sums(values, groups, name: str='groups') -> np.ndarray:
    "Sums of `(..., pictures)` over the pictures of each group: `(..., groups)`."
    groups = _checked_labels(groups, values.shape[-1], name)
    _, group = np.unique(groups, return_inverse=True)
    order = np.argsort(group, kind='stable')
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    return np.add.reduceat(values[..., order], starts, axis=-1)


def _student(freedom, level) -> float:
    """Two-sided quantile of Student's t; of the normal one for infinitely many degrees of freedom, and for none.

    Where one group holds nearly all pictures, less than one degree is left; half a one is the least taken."""
    upper = (1 + level) / 2
    if freedom in (0, np.inf): return float(ndtri(upper))
    return float(stdtrit(max(freedom, .5), upper))


def _lower_bound(share, number, level) -> np.ndarray:
    "Clopper and Pearson's, of a share of `number` pictures, which need not be whole."
    count = share * number
    positive = np.maximum(count, 1e-9)
    return np.where(count > 0, betaincinv(positive, number - count + 1, (1 - level) / 2), 0.)


def _unskewed(quantile, skew) -> np.ndarray:
    "Hall's quantile of (mean − truth) / error for a mean of this skewness; without skewness, `quantile`."
    is_lopsided = np.abs(skew) > 1e-6
    a = np.where(is_lopsided, skew, 1)
    return np.where(is_lopsided, 3 / a * (np.cbrt(1 + a * (quantile - a / 6)) - 1), quantile)


def _pair(low, high) -> tuple:
    "Two floats, or two arrays for a stack."
    if np.ndim(low): return low, high
    return float(low), float(high)
