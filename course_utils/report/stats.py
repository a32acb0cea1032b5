"""Figures with a description, grids of pictures, curves, and the numbers that cards and tables read."""
from dataclasses import dataclass
from functools import cached_property

import numpy as np, pandas as pd
from scipy.special import ndtri, stdtrit

from course_utils.training.run import Run


def interval(
    values,             # one number a picture: 1 where right, a loss, or a difference of two models; or a row of them for each seed
    level: float=.95,
    n: int=2000,        # resamples
    seed: int=0,
    few: bool=True,     # make it wider where seeds are few?
) -> tuple[float, float]:
    """Bootstrap interval of the mean (Efron 1979): the range of means over resampled pictures and, where there are rows, over resampled seeds too.
    A few seeds show too little of how much seeds differ, so it is made wider by Student's t, for the degrees of freedom that Welch and
    Satterthwaite give for seeds and pictures together. Two or three seeds that differ much are too
    few even so; where seeds hardly differ it is wider than it need be."""
    values, rng = np.asarray(values, float), np.random.default_rng(seed)
    if values.ndim == 1: means = values[rng.integers(len(values), size=(n, len(values)))].mean(1)
    else:
        k, pictures = values.shape
        mean, of_seeds, wider = values.mean(), values.mean(1, keepdims=True), 1.
        if few and k > 1 and (by_seeds := of_seeds.var(ddof=1) / k):
            by_pictures = values.mean(0).var(ddof=1) / pictures if pictures > 1 else 0.
            wider = stdtrit((by_seeds + by_pictures)**2 / (by_seeds**2 / (k - 1)), (1 + level) / 2) / ndtri((1 + level) / 2)
            values = values + ((k / (k - 1))**.5 - 1) * (of_seeds - mean)  # what is drawn again lies closer together than k - 1 would allow
        # how often each seed and each picture is drawn, as weights
        drawn = [rng.multinomial(m, np.full(m, 1 / m), n) / m for m in values.shape]
        means = mean + wider * (((drawn[0] @ values) * drawn[1]).sum(1) - mean)
    return tuple(float(q) for q in np.quantile(means, [(1 - level) / 2, (1 + level) / 2]))


def right(run: Run) -> np.ndarray:
    "1 for every validation picture the run names right, else 0."
    return (run.probs.argmax(1) == run.targets).astype(float)


def losses(run: Run) -> np.ndarray:
    "Cross-entropy of every validation picture."
    return -np.log(run.probs[np.arange(len(run.targets)), run.targets].clip(1e-12))


def compare(
    runs: dict,  # name → `Run`, all on the same validation pictures
) -> pd.DataFrame:
    "A row per run. `low` and `high` bound the 95 % interval of validation accuracy, `loss_low` and `loss_high` that of the loss."
    def row(r):
        train, (low, high), (loss_low, loss_high) = r.history.train_accuracy.iloc[-1], interval(right(r)), interval(losses(r))
        return dict(epochs=len(r.history), train_accuracy=train, valid_accuracy=r.accuracy, low=low, high=high, gap=train - r.accuracy,
                    valid_loss=losses(r).mean(), loss_low=loss_low, loss_high=loss_high, seconds=r.seconds)
    return pd.DataFrame({name: row(r) for name, r in runs.items()}).T.round(3).astype(dict(epochs=int)).round(dict(seconds=0))


def difference(
    a: Run, b: Run,   # two runs on the same validation pictures
    of=right,         # what is compared, picture by picture: `right` or `losses`
) -> tuple[float, float, float]:  # mean of a − b, and its 95 % interval
    "How much `a` differs from `b`, paired: the pictures that both find hard cancel out."
    d = of(a) - of(b)
    return float(d.mean()), *interval(d)


@dataclass
class Seeds:
    "What several seeds of one setting gave, all on the same validation pictures."
    right: np.ndarray  # `(seeds, pictures)`: 1 where a picture is named right, else 0
    loss: np.ndarray   # `(seeds, pictures)`: cross-entropy
    seconds: float     # of one training, the median over the seeds

    @cached_property
    def accuracy(self) -> tuple[float, float, float]:
        "The share named right, and its 95 % interval."
        return float(self.right.mean()), *np.clip(interval(self.right), 0, 1).tolist()

    @classmethod
    def of(cls, runs) -> 'Seeds':
        "Of `Run`s, one a seed."
        return cls(np.array([right(r) for r in runs]), np.array([losses(r) for r in runs]), float(np.median([r.seconds for r in runs])))


def gains(
    seeds: dict,     # name → `Seeds`
    against,         # the name that all others are compared with, or pairs (name, against)
) -> pd.DataFrame:   # a row for each comparison
    "Differences over seeds, paired by seed and picture, with 95 % intervals over both. One that holds nought says: not told apart."
    def row(a, b):
        (low, high), (loss_low, loss_high) = interval(a.right - b.right), interval(a.loss - b.loss)
        return dict(accuracy=a.right.mean(), gain=a.right.mean() - b.right.mean(), low=low, high=high, valid_loss=a.loss.mean(), loss_change=a.loss.mean() - b.loss.mean(),
                    loss_low=loss_low, loss_high=loss_high, seconds=round(a.seconds, 1), against_seconds=round(b.seconds, 1), seeds=len(a.right))
    pairs = [(name, against) for name in seeds if name != against] if isinstance(against, str) else against
    table = pd.DataFrame([dict(setting=a, against=b, **row(seeds[a], seeds[b])) for a, b in pairs])
    return table.set_index('setting' if isinstance(against, str) else ['setting', 'against'])


def told(low, high, better='better', worse='worse') -> str:
    "What an interval of a difference says."
    return better if low > 0 else worse if high < 0 else 'not told apart'


def percents(values) -> str:
    "Shares as a list in words: '80.3%, 79.1%'."
    return ', '.join(f'{v:.1%}' for v in values)
