"""Real photographs, read once, resized once, and kept in memory as bytes."""
import numpy as np, pandas as pd
from sklearn.model_selection import train_test_split

from course_utils.config import CourseError


def stratified_split(
    strata,                   # one value a picture: classes, or something finer
    valid_share: float=.25,   # share held out, between 0 and 1
    seed: int=0,
) -> np.ndarray:  # bool `(N,)`: True where a picture is held out
    "Holds out the same share of every stratum. A stratum of one picture stays in training."
    strata = np.asarray(strata)
    alone = pd.Series(strata).map(pd.Series(strata).value_counts()).to_numpy() < 2
    valid, many = np.zeros(len(strata), bool), np.flatnonzero(~alone)
    n = max(round(len(many) * valid_share), len(set(strata[many])))  # at least one of each
    valid[train_test_split(many, test_size=n, stratify=strata[many], random_state=seed)[1]] = True
    return valid


def check_classes(name, t, classes, aside=0):
    n = t.label.value_counts().reindex(range(len(classes)), fill_value=0)
    if (n > 0).sum() < 2:
        raise CourseError(f"{name} has readable pictures of {(n > 0).sum()} class ({aside} files set aside): a classifier needs at least two classes, a folder each.")
    if (n < 2).any():
        raise CourseError(f"Class '{classes[n.idxmin()]}' of {name} has {n.min()} readable picture{'' if n.min() == 1 else 's'}: it needs at least 2, one to train on and one held out.")


def with_split(t, classes, valid_share, seed):
    "The table with every picture in a part: the source's own where it brings one."
    if (t.split != '').all(): return t
    lone, t = t.groupby('stratum').label.transform('size') < 2, t.copy()
    t.loc[lone, 'stratum'] = t.label[lone].map(lambda i: classes[i])
    t['split'] = np.where(stratified_split(t.stratum, valid_share, seed), 'valid', 'train')
    return t
