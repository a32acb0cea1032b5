"""The frozen half of a recipe or the fine-tuned network: which of the two is kept.

Both answer for every training picture in folds: each fold is named by networks that have not seen it. Fine-tuning is kept only
where the paired 95 % interval of its gain, over pictures like these, lies above zero and it is ahead in every fold. The interval
knows nothing of how much one training differs from the next, so the second condition asks: with three folds, Student's t for that
would be 4.3, and a gain of a few points could hardly be shown. Folds and not one part held out once more, because all the training
pictures then tell something; of the training part alone, because the held-out pictures must not choose what they judge.

So the kept one is never the worse on the pictures that chose it. On new pictures it can be, by chance."""
from dataclasses import dataclass, replace

import numpy as np, torch
from torch import nn

from course_utils.advice.series import neighbour_runs
from course_utils.data.folds import hold_out_fold, with_folds
from course_utils.data.pictures import Pictures
from course_utils.models import create_model
from course_utils.report.intervals import differences_interval
from course_utils.report.stats import is_right
from course_utils.techniques.deep_features import recipe_features, recipe_head
from course_utils.techniques.imbalance import BalancedLoss, class_weights
from course_utils.training.recipe import Recipe
from course_utils.training.run import Run, groups_in
from course_utils.training.train import train


# ---- where fine-tuning begins ----

@dataclass(frozen=True)
class WarmHead:
    """The head of a recipe that begins where a linear head on the last map has come: first a linear probe, then fine-tuning
    (Kumar et al. 2022, arXiv 2202.10054). A head drawn at random would send large gradients through a body that is good already."""
    weight: np.ndarray  # `(n_classes, n_features)`
    bias: np.ndarray    # `(n_classes,)`

    def __call__(self, n_features: int, n_classes: int) -> nn.Linear:
        linear = nn.Linear(n_features, n_classes)
        if linear.weight.shape != self.weight.shape: return linear  # a network with more between its last map and its classifier
        linear.load_state_dict(dict(weight=as_tensor(self.weight), bias=as_tensor(self.bias)))
        return linear


def as_tensor(values: np.ndarray): return torch.as_tensor(values, dtype=torch.float32)


def warm_head(
    features: np.ndarray,  # `(V, N, F)`, see `recipe_features`
    pics: Pictures,
    places: np.ndarray,    # of the pictures that it learns from, and no others
    recipe: Recipe,
    n_last: int,           # channels of the last map
) -> WarmHead:
    "Fitted on the means of the last map, which is what the network's own classifier takes."
    last_means = features[:, :, -2 * n_last:-n_last]
    head = recipe_head(last_means, pics.y, places, len(pics.classes), recipe)
    weight = head.weight / head.deviation
    return WarmHead(weight, head.bias - weight @ head.mean)


# ---- both halves, fold by fold ----

@dataclass
class HalvesCompared:
    "How both halves answered for the training pictures: 1 where a picture was named right by what had not seen it, else 0."
    frozen: np.ndarray         # `(N,)`
    tuned: np.ndarray          # `(N,)`
    folds: np.ndarray          # `(N,)`
    groups: np.ndarray | None  # `(N,)`: what is alike; None where there are no groups
    weights: np.ndarray        # `(N,)`, 1 in the mean: where classes are weighed, what is compared is balanced accuracy

    @property
    def accuracies(self) -> tuple[float, float]:
        "Of the frozen half, and of the fine-tuned network."
        return float((self.weights * self.frozen).mean()), float((self.weights * self.tuned).mean())

    @property
    def gain(self) -> float:
        "What fine-tuning added."
        return float((self.weights * (self.tuned - self.frozen)).mean())

    @property
    def interval(self) -> tuple:  # low, high
        "The 95 % interval of the gain of these networks over pictures, or groups, like these."
        return differences_interval(self.weights * (self.tuned - self.frozen), groups=self.groups)

    @property
    def fold_gains(self) -> list:
        "The gain in each fold."
        gains = self.weights * (self.tuned - self.frozen)
        return [float(gains[self.folds == fold].mean()) for fold in np.unique(self.folds)]

    @property
    def is_shown(self) -> bool:
        "Is the gain none of chance, as far as pictures and trainings can tell?"
        return self.interval[0] > 0 and min(self.fold_gains) > 0

    @property
    def could_be_shown(self) -> bool:
        "Would it be, if fine-tuning named every picture right?"
        return replace(self, tuned=np.ones_like(self.frozen)).is_shown


def inner_folds(
    pics: Pictures,
    folds: int,
    seed: int = 0,
) -> np.ndarray | None:  # `(N,)`: the fold of each picture, −1 for held-out ones; None where a fold would take all of a class
    "Folds of the training pictures, by whole groups where there are any."
    table = pics.table.iloc[pics.train]
    n_units = table.group.nunique() if 'group' in table else len(table)
    if n_units < folds: return None
    numbers = with_folds(table, pics.classes, folds, seed, by_group=True)[0].fold.to_numpy()
    labels = pics.y[pics.train]
    for fold in range(folds):
        if len(np.unique(labels[numbers != fold])) < len(np.unique(labels)): return None
    everywhere = np.full(len(pics), -1)
    everywhere[pics.train] = numbers
    return everywhere


def with_inner_fold(
    pics: Pictures,
    numbers: np.ndarray,  # see `inner_folds`
    fold: int,
) -> Pictures:            # the same pictures, so that what was computed of them serves
    "One fold of the training pictures held out; what was held out before is in no part."
    table = hold_out_fold(pics.table.assign(fold=numbers), fold)
    table.loc[numbers < 0, 'split'] = ''
    return replace(pics, table=table)


def frozen_answers(
    pics: Pictures,
    numbers: np.ndarray,   # see `inner_folds`
    features: np.ndarray,  # `(V, N, F)`
    recipe: Recipe,
) -> np.ndarray:           # `(N,)` of 0 and 1
    "Of linear heads, each of which has seen the other folds."
    right = np.zeros(len(pics))
    for fold in range(numbers.max() + 1):
        inner = with_inner_fold(pics, numbers, fold)
        head = recipe_head(features, pics.y, inner.train, len(pics.classes), recipe)
        named = head.logits(features[0][inner.valid]).argmax(1)
        right[inner.valid] = named == pics.y[inner.valid]
    return right


def tuned_answers(
    pics: Pictures,
    numbers: np.ndarray,   # see `inner_folds`
    features: np.ndarray,  # `(V, N, F)`
    recipe: Recipe,
    n_last: int,           # see `warm_head`
) -> np.ndarray:           # `(N,)` of 0 and 1
    "Of fine-tuned networks, each of which has seen the other folds."
    right = np.zeros(len(pics))
    for fold in range(numbers.max() + 1):
        inner = with_inner_fold(pics, numbers, fold)
        run = tune(inner, features, recipe, n_last, seed=fold)
        right[inner.valid] = is_right(run)
    return right


def tune(pics: Pictures, features: np.ndarray, recipe: Recipe, n_last: int, seed: int) -> Run:
    "Fine-tunes from a warm head."
    head = warm_head(features, pics, pics.train, recipe, n_last)
    return train(pics, replace(recipe, head=head, seed=seed), quiet=True)


# ---- the choice ----

@dataclass
class Choice:
    "Which half is kept, and why."
    run: Run                   # the one that is kept
    frozen: Run
    trial: HalvesCompared | None        # None where fine-tuning was not tried
    words: str                 # in sentences

    @property
    def is_tuned(self) -> bool:
        "Was the fine-tuned network kept?"
        return self.run is not self.frozen

    def __repr__(self): return self.words


def choose_half(
    pics: Pictures,
    frozen: Run,     # from `linear_probe`
    recipe: Recipe,  # of the fine-tuning
    folds: int = 3,  # of the training pictures; 0: fine-tuning is not tried
    neighbours: str = '',  # the order in which they are alike, 'in file order' or 'in the order of capture': whole runs are held out
) -> Choice:
    """The frozen half, or the fine-tuned network where it is shown to name more of the training pictures right, each held out once:
    the paired interval lies above zero, and each fold gains.
    It is not tried where even a network without a mistake could not show a gain."""
    if not folds: return Choice(frozen, frozen, None, NOT_PLANNED)
    grouped = with_runs(pics, neighbours)
    numbers = inner_folds(grouped, folds)
    if numbers is None: return Choice(frozen, frozen, None, NO_FOLDS)
    features = recipe_features(pics, recipe)
    n_last = create_model(recipe.arch, pretrained=False).num_features
    places = pics.train
    by_frozen = frozen_answers(pics, numbers, features, recipe)[places]
    trial = HalvesCompared(by_frozen, np.zeros(len(places)), numbers[places],
                           groups_in(grouped, places), picture_weights(pics, places, recipe))
    if not trial.could_be_shown: return Choice(frozen, frozen, None, hopeless(trial))
    trial.tuned = tuned_answers(pics, numbers, features, recipe, n_last)[places]
    if not trial.is_shown: return Choice(frozen, frozen, trial, f'{comparison_in_words(trial)} {KEPT_FROZEN}')
    return Choice(tune(pics, features, recipe, n_last, seed=0), frozen, trial, f'{comparison_in_words(trial)} {KEPT_TUNED}')


def with_runs(pics: Pictures, neighbours: str) -> Pictures:
    "With runs of neighbours for groups, where neighbours are alike and no groups are known."
    if not neighbours or 'group' in pics.table: return pics
    runs = neighbour_runs(pics, limit=len(pics)).get(neighbours)
    return pics if runs is None else replace(pics, table=pics.table.assign(group=runs))


def picture_weights(pics: Pictures, places: np.ndarray, recipe: Recipe) -> np.ndarray:
    "All alike; where the recipe weighs the classes, as it weighs them."
    if BalancedLoss not in recipe.callbacks: return np.ones(len(places))
    labels = pics.y[places]
    return class_weights(labels, len(pics.classes)).numpy()[labels].astype(float)


# ---- in words ----

NOT_PLANNED = 'Fine-tuning was not tried: the pictures are too few to show a gain, or the minutes too few. The frozen network is kept.'
NO_FOLDS = ('Fine-tuning was not tried: the training part has too few groups to make folds of, or would lack a class without one of them. '
            'The frozen network is kept.')
KEPT_FROZEN = 'Fine-tuning is kept only where that whole interval is above zero, and each fold gains: the frozen network is kept.'
KEPT_TUNED = ('The whole interval is above zero, and each fold gains: the fine-tuned network is kept. On new pictures it can still be the '
              'worse one, by chance.')


def comparison_in_words(trial: HalvesCompared) -> str:
    "The comparison in two sentences."
    frozen, tuned = trial.accuracies
    low, high = trial.interval
    kind = 'accuracy' if len(set(trial.weights)) == 1 else 'balanced accuracy'
    by_fold = ', '.join(f'{gain:+.1%}' for gain in trial.fold_gains)
    return (f'Of {len(trial.frozen)} training pictures, each held out once: {kind} {frozen:.1%} frozen, {tuned:.1%} fine-tuned. '
            f'Fine-tuning adds {trial.gain:+.1%} ({low:+.1%} to {high:+.1%}); by folds {by_fold}.')


def hopeless(trial: HalvesCompared) -> str:
    "Why fine-tuning was not tried."
    return (f'Fine-tuning was not tried. The frozen network names {trial.accuracies[0]:.1%} of {len(trial.frozen)} training pictures right, '
            'each held out once: even a network without a mistake could not be shown to be better. The frozen network is kept.')
