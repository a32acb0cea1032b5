"""A rare class: how to make one, what accuracy hides of it, and four remedies, for lesson 10.

`labels` is `(N,)`, `rare` the label of the class in question. Average precision is scikit-learn's."""
import numpy as np, torch
from fastai.callback.core import Callback
from fastai.losses import CrossEntropyLossFlat
from sklearn.utils.class_weight import compute_class_weight

from course_utils.config import CourseError
from course_utils.data.pictures import Pictures


def most_per_100(labels, rare: int) -> int:
    "How many pictures the class `rare` has for every 100 of another class (their mean), 100 at most."
    counts = np.bincount(labels)
    ratio = 100 * counts[rare] / np.delete(counts, rare).mean()
    return int(min(100, ratio))


def rarest(pics: Pictures) -> int:
    """The label of the class with the fewest training pictures, of those that are held out too and have 10 at least for 100 of
    another. Raises `CourseError` where there is none."""
    labels = pics.y[pics.train]
    held_out = np.unique(pics.y[pics.valid])
    counts = {c: (labels == c).sum() for c in held_out}
    usable = [c for c, n in counts.items() if n and most_per_100(labels, c) >= 10]
    if usable: return int(min(usable, key=counts.get))
    raise CourseError("No class has enough pictures both in training and held out to be made rare: add pictures, or change the split.")


def make_rare(
    labels,
    rare: int,     # the class to make rare
    per_100: int,  # pictures of it for every 100 of another class (their mean)
    seed: int=0,
) -> np.ndarray:  # which pictures stay
    "All pictures of the other classes and so many of `rare`, one at least. Raises `CourseError` where there are not so many."
    labels = np.asarray(labels)
    limit = most_per_100(labels, rare)
    if not 0 < per_100 <= limit:
        raise CourseError(f"There can be 1 to {limit} pictures of this class for 100 of another, but per_100 is {per_100}.")
    mean_of_others = np.delete(np.bincount(labels), rare).mean()
    n = max(1, round(per_100 / 100 * mean_of_others))
    order = np.random.default_rng(seed).permutation(np.flatnonzero(labels == rare))  # the same at every share
    return np.sort(np.r_[np.flatnonzero(labels != rare), order[:n]])


def as_common_as(labels, train_labels) -> np.ndarray:  # `(N,)`, summing to 1
    "A weight for every picture of `labels`, so that each class has the share of the whole that it has in `train_labels`."
    labels, train_labels = np.asarray(labels), np.asarray(train_labels)
    n_classes = max(labels.max(), train_labels.max()) + 1
    share = np.bincount(train_labels, minlength=n_classes)
    counts = np.bincount(labels, minlength=n_classes)
    weights = share[labels] / counts[labels]
    return weights / weights.sum()


def class_rates(
    named, labels,  # the class that was said, and the true one `(N,)`
    rare: int,      # the class that recall and precision are about
    weights=None,   # of each picture; None: equal
) -> dict:          # nan where there is nothing to divide by
    "Accuracy; recall and precision of one class; balanced accuracy, which is the mean recall of all classes (Brodersen et al. 2010)."
    weights = np.ones(len(labels)) if weights is None else weights
    right = named == labels

    def share_right(part):
        total = weights[part].sum()
        return float((weights * right)[part].sum() / total) if total else float('nan')

    recalls = [share_right(labels == c) for c in np.unique(labels)]
    return dict(
        accuracy=share_right(np.ones(len(labels), bool)),
        recall=share_right(labels == rare),
        precision=share_right(named == rare),
        balanced_accuracy=float(np.mean(recalls)),
    )


def class_weights(labels, n_classes: int) -> torch.Tensor:  # `(n_classes,)`
    "N / (C · n) for a class of n pictures, so that all classes weigh the same. 0 for a class without pictures."
    labels = np.asarray(labels)
    classes = np.unique(labels)
    weights = torch.zeros(n_classes)
    balanced = compute_class_weight('balanced', classes=classes, y=labels)
    weights[classes] = torch.tensor(balanced, dtype=torch.float32)
    return weights


def weighted_cross_entropy(
    logits,   # `(B, C)`
    labels,   # `(B,)`
    weights,  # `(C,)`
):
    "The weighted mean of −log p of the right class."
    weights = weights[labels]
    log_p = logits.log_softmax(1)[torch.arange(len(labels)), labels]
    return -(weights * log_p).sum() / weights.sum()


def focal_loss(
    logits,           # `(B, C)`
    labels,           # `(B,)`
    gamma: float=2.,  # 0 is cross-entropy
):
    "Lin et al. 2017 (arXiv 1708.02002), for softmax, without their α."
    log_p = logits.log_softmax(1)[torch.arange(len(labels)), labels]
    return (-(1 - log_p.exp())**gamma * log_p).mean()


def adjust(
    probs,          # `(N, C)`
    seen,           # `(C,)` shares of the classes in training
    expected=None,  # `(C,)` shares to decide for; None: all equal
) -> np.ndarray:    # `(N, C)`
    "Probabilities for other shares of the classes (Saerens et al. 2002; as logit adjustment: Menon et al. 2021, arXiv 2007.07314)."
    factor = 1 if expected is None else np.asarray(expected)
    adjusted = probs * factor / np.maximum(seen, 1e-12)
    return adjusted / adjusted.sum(1, keepdims=True)


def alarm_cost(
    p,             # probability of the class `(N,)`
    is_rare,       # whether it is the class `(N,)`
    threshold,     # name the class from here on
    miss: float,   # what a miss costs, in false alarms
    weights=None,  # of each picture, summing to 1; None: equal
) -> float:
    "Cost of misses and false alarms, as a share of what never raising an alarm costs."
    weights = np.full(len(p), 1 / len(p)) if weights is None else weights
    named = p >= threshold
    missed = weights[is_rare & ~named].sum()
    false_alarms = weights[~is_rare & named].sum()
    return float((miss * missed + false_alarms) / (miss * weights[is_rare].sum()))


THRESHOLDS = np.arange(.01, 1, .01)  # that may be chosen


def cost_by_halves(
    p,             # as for `alarm_cost`
    is_rare,
    miss: float,
    weights=None,
    seed: int=0,   # of the halves
) -> float:
    "Mean cost of two halves, each with the threshold that was cheapest on the other: a threshold is not judged where it was chosen."
    weights = np.full(len(p), 1 / len(p)) if weights is None else weights
    half = np.random.default_rng(seed).permutation(len(p)) % 2 == 0

    def cost(part, threshold): return alarm_cost(p[part], is_rare[part], threshold, miss, weights[part])

    def cheapest(part): return min(THRESHOLDS, key=lambda threshold: cost(part, threshold))

    return float(np.mean([cost(~part, cheapest(part)) for part in (half, ~half)]))


class BalancedLoss(Callback):
    "Cross-entropy with `class_weights` of the training pictures, while training."
    def before_train(self):
        self.plain_loss = self.learn.loss_func
        device = next(self.model.parameters()).device
        weights = class_weights(self.dls.train.y, self.dls.c).to(device)
        self.learn.loss_func = CrossEntropyLossFlat(weight=weights)

    def after_train(self): self.learn.loss_func = self.plain_loss


class BalancedSampler(Callback):
    "Draws the training pictures of an epoch with `class_weights` as chances, with replacement."
    def before_fit(self):
        loader = self.loader = self.dls.train  # it may be another one afterwards
        chances = class_weights(loader.y, self.dls.c)[loader.y].tolist()

        def draw(places):  # one for each view: a picture has as many as there are repeats
            weights = [chances[i % len(chances)] for i in places]
            return loader.rng.choices(places, weights, k=len(places))

        loader.shuffle_fn = draw

    def after_fit(self): del self.loader.shuffle_fn  # the loader's own again
