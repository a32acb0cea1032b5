"""A rare class, pictures from elsewhere, another light, too few different pictures: measure each, and know what helps."""
import numpy as np, torch
from fastai.callback.core import Callback
from fastai.losses import CrossEntropyLossFlat

from course_utils.config import CourseError
from course_utils.data.pictures import Pictures


def most_per_100(y, rare: int) -> int:
    "How many pictures the class `rare` has for every 100 of another class (their mean), 100 at most."
    n = np.bincount(y)
    return int(min(100, 100 * n[rare] / np.delete(n, rare).mean()))


def rarest(pics: Pictures) -> int:
    "The label of the class with the fewest training pictures, of those that are held out too and have 10 at least for 100 of another."
    y = pics.y[pics.train]
    fit = [c for c in np.unique(pics.y[pics.valid]) if (y == c).any() and most_per_100(y, c) >= 10]
    if not fit: raise CourseError("No class has enough pictures both in training and held out to be made rare: add pictures, or change the split.")
    return int(min(fit, key=lambda c: (y == c).sum()))


def make_rare(
    y,             # labels `(N,)`
    rare: int,     # the class to make rare
    per_100: int,  # pictures of it for every 100 of another class (their mean)
    seed: int=0,
) -> np.ndarray:  # which pictures stay
    "All pictures of the other classes and so many of `rare`, one at least. Raises `CourseError` where there are not so many."
    y, most = np.asarray(y), most_per_100(y, rare)
    if not 0 < per_100 <= most:
        raise CourseError(f"There can be 1 to {most} pictures of this class for 100 of another, but per_100 is {per_100}.")
    n = np.bincount(y)
    k = max(1, round(per_100 / 100 * np.delete(n, rare).mean()))
    kept = np.random.default_rng(seed).permutation(np.flatnonzero(y == rare))[:k]  # the same order at every share
    return np.sort(np.r_[np.flatnonzero(y != rare), kept])


def as_common_as(y, y_train) -> np.ndarray:
    "A weight for every picture of `y`, so that each class has the share of the whole that it has in `y_train`. They sum to 1."
    y, y_train = np.asarray(y), np.asarray(y_train)
    share, n = (np.bincount(v, minlength=max(y.max(), y_train.max()) + 1) for v in (y_train, y))
    w = share[y] / n[y]
    return w / w.sum()


def rates(
    said, y,      # the class named and the label `(N,)`
    rare: int,    # the class that recall and precision are about
    weight=None,  # of each picture; None: equal
) -> dict:        # nan where there is nothing to divide by
    "Accuracy; recall and precision of one class; balanced accuracy, which is the mean recall of all classes (Brodersen et al. 2010)."
    w = np.ones(len(y)) if weight is None else weight
    share = lambda hit, of: float((w * hit)[of].sum() / w[of].sum()) if w[of].sum() else float('nan')
    right, everything = said == y, np.ones(len(y), bool)
    return dict(accuracy=share(right, everything), recall=share(right, y == rare), precision=share(right, said == rare),
                balanced_accuracy=float(np.mean([share(right, y == c) for c in np.unique(y)])))


def class_weights(y, n_classes: int) -> torch.Tensor:
    "`(n_classes,)`: N / (C · n) for a class of n pictures, so that all classes weigh the same. 0 for a class without pictures."
    n = torch.bincount(torch.as_tensor(y), minlength=n_classes).float()
    return torch.where(n > 0, n.sum() / ((n > 0).sum() * n.clamp(min=1)), 0.)


def weighted_cross_entropy(logits, y, weight):  # logits `(B, C)`, labels `(B,)`, weight `(C,)`
    "The weighted mean of −log p of the right class."
    w = weight[y]
    return (w * -logits.log_softmax(1)[torch.arange(len(y)), y]).sum() / w.sum()


def focal_loss(logits, y, gamma: float=2.):  # logits `(B, C)`, labels `(B,)`
    "Lin et al. 2017 (arXiv 1708.02002), for softmax, without their α. γ = 0 is cross-entropy."
    log_p = logits.log_softmax(1)[torch.arange(len(y)), y]
    return (-(1 - log_p.exp())**gamma * log_p).mean()


def adjust(
    probs,          # `(N, C)`
    seen,           # `(C,)` shares of the classes in training
    expected=None,  # `(C,)` shares to decide for; None: all equal
) -> np.ndarray:    # `(N, C)`
    "Probabilities for other shares of the classes (Saerens et al. 2002; as logit adjustment: Menon et al. 2021, arXiv 2007.07314)."
    p = probs * (1 if expected is None else np.asarray(expected)) / np.maximum(seen, 1e-12)
    return p / p.sum(1, keepdims=True)


def precision_recall(p, hit, weight=None) -> tuple:  # thresholds, falling; precision; recall: `(number of thresholds,)` each
    "What naming the class from each threshold on would give. `p`: its probability for each picture, `hit`: whether it is the class."
    w = np.ones(len(p)) if weight is None else weight
    order = np.argsort(-p, kind='stable')
    last = np.r_[np.diff(p[order]) != 0, True]  # equal probabilities fall together
    found, named = (np.cumsum(v[order])[last] for v in (w * hit, w))
    return p[order][last], found / named, found / (w * hit).sum()


def average_precision(p, hit, weight=None) -> float:
    "The mean of precision over recall: Σ (Rᵢ − Rᵢ₋₁) Pᵢ."
    _, precision, recall = precision_recall(p, hit, weight)
    return float((np.diff(recall, prepend=0) * precision).sum())


def alarm_cost(
    p, hit,          # probability of the class, and whether it is the class `(N,)`
    threshold,       # name the class from here on
    miss: float,     # what a miss costs, in false alarms
    weight=None,     # of each picture, summing to 1; None: equal
) -> float:
    "Cost of misses and false alarms, as a share of what never raising an alarm costs."
    w = np.full(len(p), 1 / len(p)) if weight is None else weight
    named = p >= threshold
    return float((miss * w[hit & ~named].sum() + w[~hit & named].sum()) / (miss * w[hit].sum()))


class BalancedLoss(Callback):
    "Cross-entropy with `class_weights` of the training pictures, while training."
    def before_train(self):
        self.plain = self.learn.loss_func
        w = class_weights(self.dls.train.y, self.dls.c).to(next(self.model.parameters()).device)
        self.learn.loss_func = CrossEntropyLossFlat(weight=w)
    def after_train(self): self.learn.loss_func = self.plain


class BalancedSampler(Callback):
    "Draws the training pictures of an epoch with `class_weights` as chances, with replacement."
    def before_fit(self):
        dl = self.dls.train
        chances = class_weights(dl.y, self.dls.c)[dl.y].tolist()
        dl.shuffle_fn = lambda idxs: dl.rng.choices(idxs, [chances[i % len(chances)] for i in idxs], k=len(idxs))
    def after_fit(self): del self.dls.train.shuffle_fn  # the loader's own again
