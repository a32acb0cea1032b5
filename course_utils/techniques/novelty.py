"""Is a picture unlike those that a network was trained on? Then its probabilities mean little, and "I do not know" is the right answer.

A normal distribution about each class's mean feature, with one covariance for all classes (Lee et al. 2018, arXiv 1807.03888), told by its
first principal components and one variance for all the rest (Tipping and Bishop 1999): a full covariance would be larger than the network."""
from dataclasses import dataclass

import numpy as np, torch
from torch import nn

from course_utils.data.split import stratified_split

COMPONENTS = 64      # at most
FALSE_ALARMS = .05   # share of pictures like the training pictures that may be called unlike them
FEWEST_PICTURES = 20  # below, a share of 5 % is no picture at all


@dataclass(frozen=True)
class Threshold:
    "From which distance on a picture counts as unlike the training pictures."
    value: float         # a distance
    false_alarms: float  # share of held-out pictures beyond the threshold of the other half
    pictures: int        # held out, on which both were found


class Novelty(nn.Module):
    "Squared distance from the nearest class's mean, in the shape that the training pictures have: features `(B, n)` → `(B,)`."
    def __init__(
        self,
        scale,       # `(n,)`, 1 / deviation of each feature: it keeps its digits in 16 bits, too
        means,       # `(C, n)`, of each class, of scaled features
        directions,  # `(n, k)`, principal components
        variances,   # `(k,)`, along them
        rest,        # variance along all others
    ):
        super().__init__()
        tensors = dict(scale=scale, means=means, directions=directions, variances=variances, rest=rest)
        for name, value in tensors.items(): self.register_buffer(name, torch.as_tensor(value, dtype=torch.float32))

    def forward(self, features):
        offsets = (features * self.scale)[:, None] - self.means
        along = offsets @ self.directions
        beyond = (offsets**2).sum(-1) - (along**2).sum(-1)
        distances = (along**2 / self.variances).sum(-1) + beyond / self.rest
        return distances.amin(1) / self.means.shape[1]


def fit_novelty(
    features,  # `(N, n)`, of the training pictures
    labels,    # `(N,)`
    k: int=COMPONENTS,
) -> Novelty | None:  # None where there are too few pictures
    "The distribution of the training pictures' features, each divided by its deviation."
    features = np.asarray(features, float)
    classes, places = np.unique(labels, return_inverse=True)
    free = len(features) - len(classes)
    if free < FEWEST_PICTURES: return None
    scale = 1 / np.maximum(features.std(0), features.std(0).max() * 1e-3 + 1e-6)  # a feature that never moves stays small
    features = features * scale
    means = np.stack([features[places == label].mean(0) for label in range(len(classes))])
    offsets = features - means[places]
    _, singular, directions = np.linalg.svd(offsets, full_matrices=False)
    variances = singular**2 / free
    k = min(k, free // 2, len(variances) - 1)
    n_rest = features.shape[1] - k
    rest = variances[k:].sum() / n_rest
    least = variances[0] * 1e-6  # a feature that never moves must not decide alone
    return Novelty(scale, means, directions[:k].T, variances[:k].clip(least), max(rest, least))


def find_threshold(
    distances,  # `(N,)`, of held-out pictures
    share: float=FALSE_ALARMS,
    seed: int=0,
    groups=None,            # `(N,)` labels of what is alike, such as modules: a half holds them whole
) -> Threshold | None:  # None where there are too few pictures
    """The distance above which a share of the held-out pictures lie. The share of false alarms is measured, not hoped for: each half
    is judged by the other half's threshold."""
    distances = np.asarray(distances, float)
    n = len(distances)
    if n < FEWEST_PICTURES: return None
    names, unit = np.unique(np.arange(n) if groups is None else groups, return_inverse=True)
    if len(names) < 2: unit, names = np.arange(n), np.arange(n)
    is_first = stratified_split(np.zeros(len(names), int), .5, seed)[unit]
    alarms = 0
    for part in (is_first, ~is_first):
        limit = np.quantile(distances[~part], 1 - share)
        alarms += int((distances[part] > limit).sum())
    return Threshold(float(np.quantile(distances, 1 - share)), alarms / n, n)
