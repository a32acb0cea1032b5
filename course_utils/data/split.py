"""What is held out: the same share of every stratum; and whether a data set has enough pictures to be learnt from."""
import numpy as np, pandas as pd
from sklearn.model_selection import train_test_split

from course_utils.config import CourseError
from course_utils.data.folds import check_group_count, group_parts
from course_utils.data.listing import some_names


def stratified_split(
    strata,                    # one value a picture: classes, or something finer
    valid_share: float = .25,  # share held out, between 0 and 1
    seed: int = 0,
) -> np.ndarray:  # bool `(N,)`: True where a picture is held out
    """Holds out the same share of every stratum: at least one picture of each, and not all of any. A stratum of one
    picture stays in training."""
    strata = np.asarray(strata)
    valid = np.zeros(len(strata), bool)
    codes, uniques = pd.factorize(strata)
    sizes = np.bincount(codes, minlength=len(uniques))
    shared = np.flatnonzero(sizes[codes] >= 2)
    if not len(shared): return valid
    n_strata = (sizes >= 2).sum()
    n_valid = max(round(len(shared) * valid_share), n_strata)  # at least one of each
    n_valid = min(n_valid, len(shared) - n_strata)             # and one of each to train on
    _, chosen = train_test_split(shared, test_size=n_valid, stratify=strata[shared], random_state=seed)
    valid[chosen] = True
    mend_strata(valid, codes, np.flatnonzero(sizes >= 2), seed)
    return valid


def mend_strata(valid: np.ndarray, codes: np.ndarray, shared: np.ndarray, seed: int):
    """Where proportions were rounded to none or all of a small stratum, one of its pictures changes sides with one of the
    stratum that can best spare it: as many are held out as before. `valid` is changed in place."""
    rng = np.random.default_rng(seed)
    n_valid = np.bincount(codes[valid], minlength=codes.max() + 1)
    n_train = np.bincount(codes[~valid], minlength=codes.max() + 1)
    expected = (n_valid + n_train) * n_valid.sum() / len(codes)

    def move(stratum: int, held_out: bool):
        "One picture of a stratum changes sides."
        places = np.flatnonzero((codes == stratum) & (valid != held_out))
        valid[rng.choice(places)] = held_out
        n_valid[stratum] += 1 if held_out else -1
        n_train[stratum] -= 1 if held_out else -1

    for stratum in shared:
        if n_valid[stratum] == 0:
            spare = np.where(n_valid > 1, n_valid - expected, -np.inf)
            move(stratum, True)
            move(shared[spare[shared].argmax()], False)
        elif n_train[stratum] == 0:
            spare = np.where(n_train > 1, expected - n_valid, -np.inf)
            move(stratum, False)
            move(shared[spare[shared].argmax()], True)


def with_every_class(
    chosen: np.ndarray,  # bool `(N,)`
    labels: np.ndarray,  # `(N,)`, or anything else of which none may be lost
    n_least: int,        # pictures of each that are kept, where there are so many
) -> np.ndarray:
    "The choice, with the first pictures of what it would have lost. One that loses nothing stays as it is."
    chosen = chosen.copy()
    for label in pd.unique(labels):
        places = np.flatnonzero(labels == label)
        n_missing = n_least - chosen[places].sum()
        if n_missing > 0: chosen[places[~chosen[places]][:n_missing]] = True
    return chosen


def with_split(
    table: pd.DataFrame,  # see `sources`
    classes: list,
    valid_share: float,
    seed: int,
    by_group: bool = False,  # hold out its groups whole, where it has any?
) -> pd.DataFrame:
    "The table with every picture in a part: the source's own where it brings one."
    if (table.split != '').all(): return table
    table = table.copy()
    if by_group and 'group' in table:
        check_group_count(table.group)
        parts = group_parts(table.group, table[['label', 'stratum']], [1 - valid_share, valid_share], seed)
        table['split'] = np.where(parts == 1, 'valid', 'train')
        return table
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
    by_group: bool = False,  # see `with_split`
) -> pd.DataFrame:
    """Some of the files, each stratum of each part (or fold) in proportion, with their split. Chosen before anything is
    decoded: most of a large set is never opened. Groups lose pictures, and stay on their side."""
    if 'fold' in table: parts = table.fold.astype(str)  # the same files, whichever fold is held out
    else:
        table = with_split(table, classes, valid_share, seed, by_group)
        parts = table.split
    chosen = stratified_split(table.stratum + parts, limit / len(table), seed)
    parts = table.label.astype(str) + ' ' + parts
    chosen = with_every_class(chosen, parts.to_numpy(), n_least=1)
    chosen = with_every_class(chosen, table.label.to_numpy(), n_least=2)
    return table[chosen]


# ---- enough to learn from? ----

def check_files(name: str, table: pd.DataFrame, classes: list):
    "Before anything is opened: are there two classes, and two files of each? Raises `CourseError` where not."
    check_class_sizes(name, table.label, classes, n_unreadable=0)


def check_readable(
    name: str,
    table: pd.DataFrame,  # all files that were listed
    classes: list,
    unreadable: dict,     # path → why it was set aside
):
    "After all that could be opened: are there still two classes, and two pictures of each? Raises `CourseError` where not."
    readable = table[~table.path.isin(unreadable)]
    check_class_sizes(name, readable.label, classes, len(unreadable))


def check_class_sizes(name: str, labels: pd.Series, classes: list, n_unreadable: int):
    "Raises `CourseError` unless two classes have pictures, and every class has two."
    counts = labels.value_counts().reindex(range(len(classes)), fill_value=0)
    n_classes = (counts > 0).sum()
    if n_classes < 2:
        raise CourseError(f"{name} has readable pictures of {n_classes} class ({n_unreadable} files set aside): a classifier needs at least two classes, a folder each.")
    fewest = counts.min()
    if fewest < 2:
        plural = '' if fewest == 1 else 's'
        raise CourseError(f"Class '{classes[counts.idxmin()]}' of {name} has {fewest} readable picture{plural}: it needs at least 2, one to train on and one held out.")


def check_parts(name: str, table: pd.DataFrame, classes: list):
    "Is there something of every class to train on, and something held out? Raises `CourseError` where not."
    trained = set(table.label[table.split == 'train'])
    never = [label for i, label in enumerate(classes) if i not in trained]
    if never: raise CourseError(f"{name} has no readable picture to train on of {some_names(never)}: mend the files, or pass split='random' to pool its parts and split them anew.")
    if not (table.split == 'valid').any(): raise CourseError(f"None of the held-out pictures of {name} can be read: mend the files, or pass split='random' to pool its parts and split them anew.")
