"""What is held out: the same share of every stratum; and whether a data set has enough pictures to be learnt from."""
import numpy as np, pandas as pd
from sklearn.model_selection import train_test_split

from course_utils.config import CourseError


def stratified_split(
    strata,                    # one value a picture: classes, or something finer
    valid_share: float = .25,  # share held out, between 0 and 1
    seed: int = 0,
) -> np.ndarray:  # bool `(N,)`: True where a picture is held out
    "Holds out the same share of every stratum. A stratum of one picture stays in training."
    strata = np.asarray(strata)
    column = pd.Series(strata)
    sizes = column.map(column.value_counts())
    shared = np.flatnonzero(sizes >= 2)
    n_strata = len(set(strata[shared]))
    n_valid = max(round(len(shared) * valid_share), n_strata)  # at least one of each
    _, chosen = train_test_split(shared, test_size=n_valid, stratify=strata[shared], random_state=seed)
    valid = np.zeros(len(strata), bool)
    valid[chosen] = True
    return valid


def with_split(
    table: pd.DataFrame,  # see `sources`
    classes: list,
    valid_share: float,
    seed: int,
) -> pd.DataFrame:
    "The table with every picture in a part: the source's own where it brings one."
    if (table.split != '').all(): return table
    table = table.copy()
    # A stratum of one picture cannot give its share, so that picture goes with its class.
    is_lone = table.groupby('stratum').label.transform('size') < 2
    table.loc[is_lone, 'stratum'] = table.label[is_lone].map(lambda label: classes[label])
    valid = stratified_split(table.stratum, valid_share, seed)
    table['split'] = np.where(valid, 'valid', 'train')
    return table


def limited(
    table: pd.DataFrame,
    classes: list,
    limit: int,  # about this many pictures, less than there are
    valid_share: float,
    seed: int,
) -> pd.DataFrame:
    "Some of the files, each stratum of each part in proportion, with their split. Chosen before anything is decoded: most of a large set is never opened."
    table = with_split(table, classes, valid_share, seed)
    chosen = stratified_split(table.stratum + table.split, limit / len(table), seed)
    return table[chosen]


# ---- enough to learn from? ----

def check_files(name: str, table: pd.DataFrame, classes: list):
    "Before anything is opened: are there two classes, and two files of each? Raises `CourseError` where not."
    check_counts(name, table.label, classes, n_unreadable=0)


def check_readable(
    name: str,
    table: pd.DataFrame,  # all files that were listed
    classes: list,
    unreadable: dict,     # path → why it was set aside
):
    "After all that could be opened: are there still two classes, and two pictures of each? Raises `CourseError` where not."
    readable = table[~table.path.isin(unreadable)]
    check_counts(name, readable.label, classes, len(unreadable))


def check_counts(name: str, labels: pd.Series, classes: list, n_unreadable: int):
    "Raises `CourseError` unless two classes have pictures, and every class has two."
    counts = labels.value_counts().reindex(range(len(classes)), fill_value=0)
    n_classes = (counts > 0).sum()
    if n_classes < 2:
        raise CourseError(f"{name} has readable pictures of {n_classes} class ({n_unreadable} files set aside): a classifier needs at least two classes, a folder each.")
    fewest = counts.min()
    if fewest < 2:
        plural = '' if fewest == 1 else 's'
        raise CourseError(f"Class '{classes[counts.idxmin()]}' of {name} has {fewest} readable picture{plural}: it needs at least 2, one to train on and one held out.")
