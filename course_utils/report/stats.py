"""What measured numbers say: intervals over pictures and seeds, paired differences, and a verdict in words; the bootstrap of lesson 09."""
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np, pandas as pd
from scipy.special import ndtri, stdtrit

from course_utils.config import CourseError
from course_utils.data.pictures import Pictures
from course_utils.report.intervals import differences_interval, mean_interval, only_has, proportion_interval
from course_utils.training.run import Run, cross_entropy, held_out_files


def interval(
    values,             # one number a picture, `(pictures,)`, or a row of them for each seed, `(seeds, pictures)`
    level: float=.95,
    groups=None,        # `(pictures,)` labels of what is alike, such as the modules that cells were cut from
    folds=None,         # `(pictures,)` labels: pictures of one fold were judged by one training, those of others by others
) -> tuple[float, float]:
    """Interval of the mean, chosen by what the values are. Answers, 0 and 1: `proportion_interval`. Differences of two models'
    answers, −1, 0 and 1, or nothing but 0: `differences_interval`. Anything else, such as losses: `mean_interval`.

    Where it is known what they are, call that one: differences that happen to hold no −1 look like answers."""
    values = np.asarray(values)
    if values.dtype == bool: return proportion_interval(values, level, groups, folds)
    if only_has(values, (0, 1)) and values.any(): return proportion_interval(values, level, groups, folds)
    if only_has(values, (-1, 0, 1)): return differences_interval(values, level, groups, folds)
    return mean_interval(values, level, groups, folds)


# ---- the bootstrap ----

def bootstrap_means(
    values: np.ndarray,  # `(pictures,)`, or `(seeds, pictures)`
    n: int=2000,         # resamples
    seed: int=0,
) -> np.ndarray:         # `(n,)`
    """Means over pictures drawn anew with replacement (Efron 1979) and, where there are rows, over rows drawn anew too.
    Arrays of one shape are drawn alike, so a statistic of two of them, such as a ratio of means, is paired."""
    rng = np.random.default_rng(seed)
    if values.ndim == 1:
        places = rng.integers(len(values), size=(n, len(values)))
        return values[places].mean(1)
    n_seeds, n_pictures = values.shape
    seed_weights = draw_weights(n_seeds, n, rng)
    picture_weights = draw_weights(n_pictures, n, rng)
    return ((seed_weights @ values) * picture_weights).sum(1)


def draw_weights(k: int, n: int, rng) -> np.ndarray:  # `(n, k)`, each row sums to 1
    "How often each of `k` things is drawn in `n` resamples, as weights: a product of matrices takes the place of n copies."
    return rng.multinomial(k, np.full(k, 1 / k), n) / k


def quantile_interval(
    samples: np.ndarray,  # `(n,)` bootstrap values of a statistic
    level: float=.95,
) -> tuple[float, float]:
    "The middle `level` of them (Efron's percentile interval)."
    tail = (1 - level) / 2
    low, high = np.quantile(samples, [tail, (1 + level) / 2])
    return float(low), float(high)


def few_seeds_factor(
    values: np.ndarray,  # `(seeds, pictures)`
    level: float=.95,
) -> float:              # 1 or more
    """By how much an interval from the bootstrap must be wider because seeds are few: t(ν) / z, Student's quantile over the normal
    one. With s = var(means of the k seeds) / k and p = var(means of the N pictures) / N, Welch (1947, Biometrika 34) and
    Satterthwaite (1946, Biometrics Bulletin 2) give ν = (s + p)² / (s² / (k − 1)) degrees of freedom for both together.
    Where seeds do not differ at all it is 1."""
    n_seeds, n_pictures = values.shape
    seed_variance = values.mean(1).var(ddof=1) / n_seeds if n_seeds > 1 else 0.
    if not seed_variance: return 1.
    picture_variance = values.mean(0).var(ddof=1) / n_pictures if n_pictures > 1 else 0.
    freedom = (seed_variance + picture_variance)**2 / (seed_variance**2 / (n_seeds - 1))
    upper = (1 + level) / 2
    return stdtrit(freedom, upper) / ndtri(upper)


def spread_seeds(values: np.ndarray) -> np.ndarray:
    "Moves the means of k seeds apart by √(k / (k − 1)): drawn with replacement they lie closer together than k − 1 would allow."
    n_seeds = len(values)
    seed_means = values.mean(1, keepdims=True)
    return values + ((n_seeds / (n_seeds - 1))**.5 - 1) * (seed_means - values.mean())


def bootstrap_interval(
    values,             # one number a picture: 1 where right, a loss, or a difference of two models; or a row of them for each seed
    level: float=.95,
    n: int=2000,        # resamples
    seed: int=0,
    widen: bool=True,   # make it wider where seeds are few?
) -> tuple[float, float]:
    """Bootstrap interval of the mean: the range of means over resampled pictures and, where there are rows, over resampled seeds
    too. A few seeds show too little of how much seeds differ, so it is made wider by `few_seeds_factor`. Two or three seeds that
    differ much are too few even so; where seeds hardly differ it is wider than it need be.

    Lesson 09 builds it by hand. Near 0 and 1 it promises too much: from 8 pictures of which 8 are right it can draw nothing
    but right ones. So the course's own numbers come from `interval`."""
    values = np.asarray(values, float)
    if values.ndim == 1: return quantile_interval(bootstrap_means(values, n, seed), level)
    mean = values.mean()
    factor = 1.
    seeds_differ = len(values) > 1 and values.mean(1).var(ddof=1) > 0
    if widen and seeds_differ:
        factor = few_seeds_factor(values, level)
        values = spread_seeds(values)
    means = mean + factor * (bootstrap_means(values, n, seed) - mean)
    return quantile_interval(means, level)


def relative_change(
    small, large,   # losses of the same pictures by two models: `(pictures,)`, or `(seeds, pictures)`
    n: int=2000,    # resamples
    seed: int=0,
) -> tuple[float, float, float]:  # mean of `large` over mean of `small`, less one; its 95 % interval
    """By what share the mean loss changes from one model to another. Bootstrap over pictures, and over seeds where there are rows;
    paired. Groups of pictures do not count: where there are some, such as modules, the interval is too narrow, and `difference` is
    the one to judge by. Raises `CourseError` where the losses are not of the same pictures and seeds."""
    small = np.atleast_2d(np.asarray(small, float))
    large = np.atleast_2d(np.asarray(large, float))
    if small.shape != large.shape:
        raise CourseError(f'The losses have shapes {small.shape} and {large.shape}, but they must be of the same pictures and seeds.')
    changes = bootstrap_means(large, n, seed) / bootstrap_means(small, n, seed) - 1
    low, high = np.quantile(changes, [.025, .975])
    return float(large.mean() / small.mean() - 1), float(low), float(high)


# ---- of runs ----

def is_right(run: Run) -> np.ndarray:  # `(N_valid,)`
    "1 for every validation picture the run names right, else 0."
    return (run.probs.argmax(1) == run.targets).astype(float)


def losses(run: Run) -> np.ndarray:  # `(N_valid,)`
    "Cross-entropy of every validation picture."
    return cross_entropy(run.probs, run.targets)


def compare(
    runs: dict,        # name → `Run`, all on the same validation pictures
) -> pd.DataFrame:
    "A row per run. `low` and `high` bound the 95 % interval of validation accuracy, `loss_low` and `loss_high` that of the loss."
    table = pd.DataFrame({name: compare_row(run) for name, run in runs.items()}).T
    return table.round(3).astype(dict(epochs=int)).round(dict(seconds=0))


def compare_row(run: Run) -> dict:
    "One run in numbers, for `compare`."
    train_accuracy = run.history.train_accuracy.iloc[-1]
    low, high = proportion_interval(is_right(run), **units_of(run))
    loss_low, loss_high = mean_interval(losses(run), **units_of(run))
    return dict(
        epochs=len(run.history),
        train_accuracy=train_accuracy,
        valid_accuracy=run.accuracy,
        low=low,
        high=high,
        gap=train_accuracy - run.accuracy,
        valid_loss=losses(run).mean(),
        loss_low=loss_low,
        loss_high=loss_high,
        seconds=run.seconds,
    )


def difference(
    a: Run, b: Run,     # two runs on the same validation pictures, or two settings over folds: see `pooled`
    score=is_right,     # what is compared, picture by picture: `is_right` or `losses`
) -> tuple[float, float, float]:  # mean of a − b, and its 95 % interval
    """How much `a` differs from `b`, paired: the pictures that both find hard cancel out. Groups of pictures, and folds, count
    where they are known. Raises `CourseError` where the two were not judged on the same pictures."""
    check_same_pictures(a, b, len(a.targets), len(b.targets))
    differences = score(a) - score(b)
    find_interval = mean_interval if score is losses else differences_interval
    return float(differences.mean()), *find_interval(differences, **units_of(a))


def units_of(judged) -> dict:  # groups and folds, `(pictures,)` each, or None
    """What the pictures of a `Run`, a `Pooled` or some `Seeds` have in common, for intervals. One fold alone is one training: like
    one seed it says nothing of another, so its interval is over pictures alone."""
    folds = getattr(judged, 'folds', None)
    is_alone = folds is not None and len(np.unique(folds)) < 2
    return dict(groups=getattr(judged, 'groups', None), folds=None if is_alone else folds)


def check_same_pictures(
    a, b,             # two `Run`s or two `Seeds`
    n_a: int, n_b: int,  # pictures each was judged on
):
    "Raises `CourseError` where two runs were not judged on the same pictures, as far as they tell."
    if n_a != n_b:
        raise CourseError(f'{n_a} held-out pictures and {n_b} make no pairs: judge both on the same ones, from one `load_pictures`.')
    if is_other(a.targets, b.targets):
        raise CourseError('The held-out pictures of the two have other labels, so they are no pairs: load the pictures once, and train both on them.')
    if is_other(a.files, b.files):
        raise CourseError('The two were judged on other files, as by two splits, so they are no pairs: load the pictures once, and train both on them.')
    if is_other(units_of(a)['folds'], units_of(b)['folds']):
        raise CourseError('The folds of the two hold out other pictures, so they are no pairs: load both with the same seed and the same folds=.')


def is_other(a, b) -> bool:
    "Are these two known, and not the same?"
    return a is not None and b is not None and not np.array_equal(a, b)


# ---- over folds ----

@dataclass
class Pooled:
    """The trainings of all folds as one: each picture once, judged by the network that had not seen it. It goes where a `Run` goes
    in `is_right`, `losses` and `difference`."""
    probs: np.ndarray    # `(pictures, n_classes)`
    targets: np.ndarray  # `(pictures,)` labels
    folds: np.ndarray    # `(pictures,)`: the place of its run among those that were pooled
    files: list | None   # class folder and file of each picture; None where they are not known
    groups: np.ndarray | None  # `(pictures,)`: what is alike, such as modules; None where there are none
    seconds: float             # of one training, the median
    seeds: tuple | None        # of the trainings, fold by fold; None where they are not known

    @property
    def accuracy(self) -> float:
        "The share of all pictures that are named right."
        return float(is_right(self).mean())

    @property
    def table(self) -> pd.DataFrame:
        "A row a picture: file, fold, group, target, answer, the probability of its own class."
        of_target = self.probs[np.arange(len(self.targets)), self.targets]
        columns = dict(file=self.files, fold=self.folds, group=self.groups, target=self.targets,
                       answer=self.probs.argmax(1), p=of_target)
        return pd.DataFrame(columns)


def pooled(
    runs,                      # of `Run`, one for each fold, in order
    pics: Pictures | None=None,  # of any of the folds: its groups are used, and whether a fold is missing is seen
) -> Pooled:
    """Joins the trainings of one setting over the folds of `load_pictures(…, fold=k)`. Raises `CourseError` where a picture was
    held out twice, or never."""
    runs = list(runs)
    if len(runs) < 2: raise CourseError('One run makes no folds: train one for each of fold=0, fold=1 and so on.')
    is_known = all(run.files is not None for run in runs)
    files = [file for run in runs for file in run.files] if is_known else None
    if is_known and len(set(files)) < len(files):
        raise CourseError('Some pictures are held out in two of these runs: load the pictures of each with another fold=, and the same seed.')
    groups = groups_of_files(files, pics) if is_known and pics is not None else None
    if groups is None and all(getattr(run, 'groups', None) is not None for run in runs):
        groups = np.concatenate([run.groups for run in runs])
    lengths = [len(run.targets) for run in runs]
    seeds = tuple(run.recipe.seed for run in runs) if all(run.recipe for run in runs) else None
    return Pooled(
        probs=np.concatenate([run.probs for run in runs]),
        targets=np.concatenate([run.targets for run in runs]),
        folds=np.repeat(np.arange(len(runs)), lengths),
        files=files,
        groups=groups,
        seconds=float(np.median([run.seconds for run in runs])),
        seeds=seeds,
    )


def groups_of_files(
    files: list,     # as in `Run.files`
    pics: Pictures,  # they are its pictures, all of them
) -> np.ndarray | None:
    "The group of each file; None where the pictures have no groups. Raises `CourseError` where pictures are missing."
    everything = replace(pics, table=pics.table.assign(split='valid'))
    names = held_out_files(everything)
    missing = set(names) - set(files)
    if missing:
        raise CourseError(f'{len(missing)} of {len(names)} pictures are held out in none of these runs, such as {min(missing)}: train one for each fold.')
    if 'group' not in pics.table: return None
    group_of = dict(zip(names, pics.table.group))
    return np.array([group_of[file] for file in files])


# ---- over seeds ----

@dataclass
class Seeds:
    """What several seeds of one setting gave, all on the same validation pictures; or what its folds gave, each on its own, in one
    row. What is None is not known."""
    right: np.ndarray  # `(seeds, pictures)`: 1 where a picture is named right, else 0
    loss: np.ndarray   # `(seeds, pictures)`: cross-entropy
    seconds: float     # of one training, the median over the seeds
    targets: np.ndarray | None=None  # `(pictures,)` labels
    files: list | None=None          # class folder and file of each picture
    seeds: tuple | None=None         # the seeds' numbers, one for each row, or for each fold
    groups: np.ndarray | None=None   # `(pictures,)`: what is alike, such as modules
    folds: np.ndarray | None=None    # `(pictures,)`: pictures with the same were judged by the same training

    @cached_property
    def accuracy(self) -> tuple[float, float, float]:
        "The share named right, and its 95 % interval."
        if only_has(self.right, (0, 1)): low, high = proportion_interval(self.right, **units_of(self))
        else: low, high = np.clip(mean_interval(self.right, **units_of(self)), 0, 1).tolist()  # shares, of the frames of a hand
        return float(self.right.mean()), low, high

    @classmethod
    def from_runs(cls, runs) -> 'Seeds':
        "Of `Run`s, one a seed. Raises `CourseError` where they were not judged on the same pictures."
        runs = list(runs)
        first = runs[0]
        for run in runs: check_same_pictures(first, run, len(first.targets), len(run.targets))
        right = np.array([is_right(run) for run in runs])
        loss = np.array([losses(run) for run in runs])
        seconds = float(np.median([run.seconds for run in runs]))
        seeds = tuple(run.recipe.seed for run in runs) if all(run.recipe for run in runs) else None
        return cls(right, loss, seconds, first.targets, first.files, seeds, getattr(first, 'groups', None))

    @classmethod
    def from_folds(cls, runs, pics: Pictures | None=None) -> 'Seeds':
        "Of `Run`s, one a fold: see `pooled`, which says what is raised."
        whole = pooled(runs, pics)
        right = is_right(whole)[None]
        loss = losses(whole)[None]
        return cls(right, loss, whole.seconds, whole.targets, whole.files, whole.seeds, whole.groups, whole.folds)

    @property
    def n_trainings(self) -> int:
        "How many trainings these are: folds where there are any, else seeds."
        if self.folds is None: return len(self.right)
        return len(self.right) * len(np.unique(self.folds))


def averaged(
    several: list,  # of `Seeds` of a question of two classes, judged on the same pictures by the same folds
) -> Seeds:         # `seconds` are those of all together
    "The mean of the answers of several settings: a loss is −log of the probability that the true class was given."
    given = np.mean([np.exp(-seeds.loss) for seeds in several], axis=0)
    right = (given > .5).astype(float)
    return replace(several[0], right=right, loss=-np.log(given.clip(1e-12)), seconds=sum(seeds.seconds for seeds in several))


def gains(
    seeds: dict,     # name → `Seeds`
    baseline,        # the name that all others are compared with, or pairs (name, against)
) -> pd.DataFrame:   # a row for each comparison
    """Differences over seeds or folds, paired by seed and picture, with 95 % intervals over both; groups count as a whole. One that holds zero says: not clear.
    Raises `CourseError` where the two have other seeds or pictures."""
    if isinstance(baseline, str):
        pairs = [(name, baseline) for name in seeds if name != baseline]
        index = 'setting'
    else:
        pairs = baseline
        index = ['setting', 'against']
    rows = []
    for a, b in pairs:
        row = gain_row(seeds[a], seeds[b])
        rows.append(dict(setting=a, against=b, **row))
    return pd.DataFrame(rows).set_index(index)


def gain_row(a: Seeds, b: Seeds) -> dict:
    "What `a` gains over `b`, for `gains`."
    check_same_pictures(a, b, a.right.shape[-1], b.right.shape[-1])
    check_seeds(a, b)
    low, high = differences_interval(a.right - b.right, **units_of(a))
    loss_low, loss_high = mean_interval(a.loss - b.loss, **units_of(a))
    return dict(
        accuracy=a.right.mean(),
        gain=a.right.mean() - b.right.mean(),
        low=low,
        high=high,
        valid_loss=a.loss.mean(),
        loss_change=a.loss.mean() - b.loss.mean(),
        loss_low=loss_low,
        loss_high=loss_high,
        seconds=round(a.seconds, 1),
        against_seconds=round(b.seconds, 1),
        seeds=a.n_trainings,
    )


def check_seeds(a: Seeds, b: Seeds):
    "Raises `CourseError` where two settings were not trained with the same seeds, as far as they tell."
    if len(a.right) != len(b.right):
        raise CourseError(f'{len(a.right)} seeds and {len(b.right)} make no pairs: train both with the same seeds.')
    if is_other(a.seeds, b.seeds):
        raise CourseError(f'The seeds {numbers(a.seeds)} and {numbers(b.seeds)} make no pairs: train both with the same seeds, in one order.')


def numbers(values) -> str: return ', '.join(map(str, values))


def verdict(
    low: float, high: float,  # interval of a difference
    better: str='better',     # said where all of it lies above zero
    worse: str='worse',       # said where all of it lies below
) -> str:
    "What an interval of a difference says."
    if low > 0: return better
    return worse if high < 0 else 'not clear'


def percents(values) -> str:
    "Shares as a list in words: '80.3%, 79.1%'."
    return ', '.join(f'{v:.1%}' for v in values)
