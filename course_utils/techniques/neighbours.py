"""Pictures that lie beside each other in the files may be of one thing: a module, a patient, a film. Lesson 10 finds that out for the
solar cells, as a detective would: by how much runs of neighbours help a split, and where one thing ends and the next begins."""
from collections.abc import Callable

import numpy as np

from course_utils.config import CourseError
from course_utils.data.folds import group_parts
from course_utils.techniques.deep_features import fit_linear_head


def cut_runs(
    n: int,       # pictures, in the order of the files
    length: int,  # of a run
) -> np.ndarray:  # `(n,)`: the number of each picture's run
    "Cuts a row of pictures into runs of neighbours."
    if length < 1: raise CourseError(f'length is {length}, but a run has one picture at least.')
    return np.arange(n) // length


def group_folds(
    groups,        # `(N,)`: what stays together
    labels,        # `(N,)`
    folds: int=4,
    seed: int=0,
) -> np.ndarray:   # `(N,)`, 0 to `folds` − 1
    "Folds of about equal size that take whole groups, each class in proportion as far as groups allow."
    return group_parts(groups, labels, np.full(folds, 1 / folds), seed)


def linear_answers(features, labels, unseen) -> np.ndarray:  # `(M,)` labels of the unseen `(M, F)`
    "A linear head's, fitted to `(N, F)` features and `(N,)` labels."
    return fit_linear_head(features, labels, labels.max() + 1).logits(unseen).argmax(1)


def answers_by_fold(
    features,  # `(N, F)`
    labels,    # `(N,)`
    folds,     # `(N,)`
    head: Callable=linear_answers,  # features and labels to learn from, features to name → the labels it gives
) -> np.ndarray:  # `(N,)`: 1 where a head that has not learnt from the picture's fold names it right
    "Holds every picture out once."
    right = np.zeros(len(labels))
    for fold in np.unique(folds):
        is_held_out = folds == fold
        named = head(features[~is_held_out], labels[~is_held_out], features[is_held_out])
        right[is_held_out] = named == labels[is_held_out]
    return right


def edge_profiles(
    images,  # `(N, size, size, 3)` uint8
) -> np.ndarray:  # `(N, 2 · size)`
    "The light along rows and along columns, medians, whatever the picture's own brightness: where lamps, wires and edges lie."
    grey = np.stack([image.mean(-1) for image in images])
    profiles = np.stack([np.median(grey, axis=2), np.median(grey, axis=1)], axis=1)
    profiles -= profiles.mean(2, keepdims=True)
    profiles /= profiles.std(2, keepdims=True) + 1e-6
    return profiles.reshape(len(images), -1)


def seam_jumps(
    profiles,        # `(N, F)`, in the order of the files
    window: int=20,  # pictures before a place, and after it
) -> np.ndarray:     # `(N,)`; NaN nearer to an end than that
    "How far the means before and after each place lie apart, for the spread within: high where one thing ends and another begins."
    jumps = np.full(len(profiles), np.nan)
    for place in range(window, len(profiles) - window):
        preceding = profiles[place - window:place]
        following = profiles[place:place + window]
        variance = (preceding.var(0) + following.var(0)) / 2
        difference = preceding.mean(0) - following.mean(0)
        jumps[place] = np.sqrt((difference**2 / (variance + .02)).mean())
    return jumps
