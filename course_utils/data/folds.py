"""Parts in proportion: folds, which hold every picture out once, and parts that take groups of pictures whole."""
import numpy as np, pandas as pd

from course_utils.config import CourseError
from course_utils.data.listing import some_names

MANY_GROUPS = 300  # from here on none changes its part afterwards: it takes long, and many groups fill gaps well enough


# ---- pictures one by one ----

def stratified_folds(
    strata,  # one value a picture; in the order of their names, those of a class are neighbours
    folds: int = 4,
    seed: int = 0,
) -> np.ndarray:  # `(N,)`, 0 to `folds` − 1
    """Deals the pictures out like cards, stratum by stratum, in a random order within each.
    So folds differ by at most one picture in each stratum, and in all."""
    codes, _ = pd.factorize(np.asarray(strata), sort=True)
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(codes))
    order = shuffled[np.argsort(codes[shuffled], kind='stable')]
    numbers = np.empty(len(codes), int)
    numbers[order] = np.arange(len(codes)) % folds
    return numbers


# ---- whole groups ----

def group_parts(
    groups,  # `(N,)`: a group is in one part, whole
    strata,  # `(N,)`, or a table of several columns: what each part shall have in proportion
    shares,  # `(parts,)` of all pictures; they add up to 1
    seed: int = 0,
) -> np.ndarray:  # `(N,)`, 0 to parts − 1
    """Puts whole groups into parts whose sizes and strata come near their shares.

    The largest group comes first, groups of one size in a random order, each into the part that it suits best.
    Then groups move and change places as long as that brings the parts nearer."""
    codes, names = pd.factorize(np.asarray(groups))
    counts = group_counts(codes, strata)
    target = np.outer(shares, counts.sum(0))
    parts = np.zeros(len(names), int)
    filled = np.zeros_like(target)
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(names))
    by_size = shuffled[np.argsort(-counts[shuffled, 0], kind='stable')]
    for group in by_size:
        growth = misfit(filled + counts[group], target) - misfit(filled, target)
        parts[group] = growth.argmin()
        filled[parts[group]] += counts[group]
    if len(names) < MANY_GROUPS: improve_parts(parts, counts, filled, target)
    return parts[codes]


def group_counts(
    codes: np.ndarray,  # `(N,)`, the number of each picture's group
    strata,             # see `group_parts`
) -> np.ndarray:        # `(groups, 1 + strata)`: all pictures first
    "How many pictures of each stratum a group has."
    counts = [np.bincount(codes)]
    for _, values in pd.DataFrame(strata).items():
        counts += pd.crosstab(codes, values.to_numpy()).to_numpy().T.tolist()
    return np.array(counts, float).T


def misfit(
    filled: np.ndarray,  # `(parts, 1 + strata)`, pictures so far
    target: np.ndarray,  # the same, pictures wished for
) -> np.ndarray:         # `(parts,)`
    "How far parts are from what is wished for: squared distances, each for the size of its target."
    return ((filled - target)**2 / np.maximum(target, 1)).sum(1)


def improve_parts(parts: np.ndarray, counts: np.ndarray, filled: np.ndarray, target: np.ndarray):
    "Groups move, or change places with one of another part, while that lowers the misfit. `parts` and `filled` are changed in place."
    improved = True
    while improved:
        improved = False
        for a in range(len(parts)):
            gain, part, b = best_change(a, parts, counts, filled, target)
            if gain < 1e-9: continue
            home = parts[a]
            arriving = counts[a].copy()
            if b is not None:
                arriving -= counts[b]
                parts[b] = home
            parts[a] = part
            filled[home] -= arriving
            filled[part] += arriving
            improved = True


def best_change(a: int, parts, counts, filled, target) -> tuple:  # gain, the part that `a` goes to, the group that comes instead or None
    "What group `a` had best do."
    home = parts[a]
    may_leave = (parts == home).sum() > 1  # no part is left empty
    changes = [(part, None) for part in range(len(filled)) if part != home and may_leave]
    changes += [(parts[b], b) for b in np.flatnonzero(parts != home)]
    best = 0., home, None
    for part, b in changes:
        arriving = counts[a] if b is None else counts[a] - counts[b]
        pair = [home, part]
        changed = filled[pair] + np.array([-arriving, arriving])
        gain = misfit(filled[pair], target[pair]).sum() - misfit(changed, target[pair]).sum()
        if gain > best[0]: best = gain, part, b
    return best


# ---- a table with folds ----

def with_folds(
    table: pd.DataFrame,  # see `sources`
    classes: list,
    folds: int,
    seed: int,
    by_group: bool,       # hold out its groups whole, where it has any?
) -> tuple[pd.DataFrame, list]:  # with a column `fold`, 0 to `folds` − 1, and no split; notes
    "Puts every picture into one fold. Raises `CourseError` where there are fewer pictures or groups than folds."
    grouped = by_group and 'group' in table
    units = table.group if grouped else table.path
    n_units = units.nunique()
    if grouped: check_group_count(units)
    kind = 'groups' if grouped else 'pictures'
    if n_units < folds:
        raise CourseError(f"There are {n_units} {kind} for {folds} folds, and each fold needs one: choose folds={n_units} or fewer.")
    if grouped: numbers = group_parts(table.group, table[['label', 'stratum']], np.full(folds, 1 / folds), seed)
    else: numbers = stratified_folds(fold_strata(table), folds, seed)
    table = table.assign(fold=numbers, split='')
    return table, sparse_notes(table, classes, folds)


def check_group_count(groups: pd.Series):
    "Raises `CourseError` unless there are two groups: one to train on, one to hold out."
    if groups.nunique() < 2:
        raise CourseError("All pictures are of one group, so none can be held out whole: name another group_column=, or pass split='random' to split picture by picture.")


def fold_strata(table: pd.DataFrame) -> list:
    "A name for each picture's stratum by which those of a class stand together."
    return [f'{label:06d} {stratum}' for label, stratum in zip(table.label, table.stratum)]


def sparse_notes(table: pd.DataFrame, classes: list, folds: int) -> list:
    "A sentence on the classes that are not in every fold."
    n_folds = table.groupby('label').fold.nunique().reindex(range(len(classes)), fill_value=0)
    sparse = [name for name, n in zip(classes, n_folds) if n < folds]
    if not sparse: return []
    return [f"Not every fold holds out {some_names(sparse)}: too few pictures, or groups, of a class for {folds} folds."]


def hold_out_fold(table: pd.DataFrame, fold: int) -> pd.DataFrame:
    "The table with one fold held out."
    is_held_out = table.fold == fold
    return table.assign(split=np.where(is_held_out, 'valid', 'train'))
