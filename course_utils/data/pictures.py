"""A data set in memory, all of it in one object; `load_pictures` is all that a lesson calls."""
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np, pandas as pd
from fastai.data.core import DataLoaders

from course_utils.config import CourseError
from course_utils.data.decode import Found, decode_cached
from course_utils.data.folds import hold_out_fold, with_folds
from course_utils.data.greys import grey_sentence
from course_utils.data.listing import some_names
from course_utils.data.loader import PictureLoader
from course_utils.data.rows import Reading
from course_utils.data.sources import find_source, subset_note
from course_utils.data.split import check_files, check_parts, check_readable, limited, stratified_split, with_every_class, with_split


@dataclass
class Pictures:
    "A data set in memory, split into training and validation pictures."
    name: str
    x: np.ndarray        # `(N, size, size, 3)` uint8 RGB
    classes: list        # names, in the order of the labels
    table: pd.DataFrame  # a row per picture: path, label, stratum, split and what else the source knows
    found: Found
    notes: list = field(default_factory=list)  # sentences: how the files were read, and what was left out

    @property
    def y(self) -> np.ndarray:
        "Labels, `(N,)`."
        return self.table.label.to_numpy()

    @property
    def size(self) -> int:
        "Side in pixels."
        return self.x.shape[1]

    @property
    def train(self) -> np.ndarray:
        "Places of the training pictures."
        return np.flatnonzero(self.table.split == 'train')

    @property
    def valid(self) -> np.ndarray:
        "Places of the validation pictures."
        return np.flatnonzero(self.table.split == 'valid')

    def __len__(self): return len(self.table)

    @property
    def majority(self) -> float:
        "Accuracy on the validation pictures of always saying the class most frequent in training."
        most_frequent = np.bincount(self.y[self.train]).argmax()
        return float((self.y[self.valid] == most_frequent).mean())

    def counts(self) -> pd.DataFrame:
        "Number of pictures of each class in each part."
        labels = range(len(self.classes))
        counts = pd.crosstab(self.table.label, self.table.split).reindex(labels, fill_value=0)
        counts.index = pd.Index(self.classes, name='class')
        counts.columns.name = None
        share = counts.sum(axis=1) / len(self)
        return counts.assign(share=share.round(3))

    def never_held_out(self) -> list:
        "Classes without a held-out picture."
        held_out = set(self.y[self.valid])
        return [name for label, name in enumerate(self.classes) if label not in held_out]

    def subset(self, n: int, seed: int = 0) -> 'Pictures':
        "About `n` of the training pictures, each stratum in proportion; the validation pictures stay."
        if not 0 < n < len(self.train): return self
        strata = self.table.stratum.iloc[self.train]
        is_chosen = stratified_split(strata, n / len(self.train), seed)
        is_chosen = with_every_class(is_chosen, self.y[self.train], n_least=1)
        chosen = self.train[is_chosen]
        return self.take(np.sort(np.r_[chosen, self.valid]))

    def take(self, idx) -> 'Pictures':
        "The pictures at `idx`, in that order."
        table = self.table.iloc[idx].reset_index(drop=True)
        return Pictures(self.name, self.x[idx], self.classes, table, self.found, self.notes)

    def loaders(self,
        mean, std,         # what the model's own configuration normalises by; see `models.norm_of`
        bs: int = 64,
        tfm=None,          # an albumentations transform, applied to training pictures only
        repeats: int = 1,  # views of each training picture in one epoch
        workers: int = 0,  # processes that prepare batches; 0: this one does
        device=None,
    ) -> DataLoaders:
        "fastai loaders. The last training batch is dropped if it is smaller than the others: a batch of one picture breaks BatchNorm."
        def loader(idx, **kwargs):
            loader = PictureLoader(np.asarray(self.x[idx]), self.y[idx], mean, std, **kwargs)
            loader.pool, loader.places = self.x, idx  # what is computed once of a picture serves every split
            return loader

        train_bs = min(bs, len(self.train))
        train = loader(self.train, tfm=tfm, repeats=repeats, bs=train_bs, shuffle=True, drop_last=True, num_workers=workers)
        valid = loader(self.valid, bs=2 * bs, num_workers=0)
        dls = DataLoaders(train, valid, device=device)
        dls.vocab = self.classes
        dls.c = len(self.classes)
        return dls

    def report(self) -> str:
        "What was found, in a few plain sentences."
        names = self.table.label.map(dict(enumerate(self.classes)))
        by_class = names.value_counts().to_dict()
        lines = [
            f"{self.name}: {len(self):,} pictures, {len(self.train):,} to train and {len(self.valid):,} held out.",
            f"Classes: {most_frequent(by_class, 10)}.",
            f"In the files: {most_frequent(self.found.sizes)} pixels, mode {most_frequent(self.found.modes)}. Here: {self.size}×{self.size} RGB.",
        ]
        data_folder = Path(self.table.path.iloc[0]).parent.parent.parent  # of folder/part/class/file, as `make data` leaves them
        note = subset_note(data_folder)
        if note: lines.append(f'{note}.')
        lines += self.notes
        never_held_out = self.never_held_out()
        if never_held_out: lines.append(f"No picture is held out of: {some_names(never_held_out)}. How well these are recognised cannot be told.")
        greys = grey_sentence(self.found.modes, self.found.grey_range)
        if greys: lines.append(greys)
        if self.found.unreadable: lines.append(set_aside(self.found.unreadable))
        return '\n'.join(lines)


def most_frequent(counts: dict, n: int = 3) -> str:
    "The first `n` of some counts, in words."
    first = list(counts.items())[:n]
    shown = ', '.join(f'{name} ({count:,})' for name, count in first)
    if len(counts) <= n: return shown
    return f'{shown} and {len(counts) - n} more kinds'


def set_aside(unreadable: dict) -> str:
    "A sentence that names the files that could not be read, and says why."
    files = []
    for file, reason in unreadable.items():
        path = Path(file)
        files.append(f'{path.parent.name}/{path.name} ({reason})')
    return f"Set aside, {len(files)}: {'; '.join(files)}."


def load_pictures(
    source: str | None = None,  # a data set's name, a folder, or a table (.csv, .tsv, .jsonl); None reads `COURSE_DATA`
    size: int = 64,             # side in pixels, 32 or more
    valid_share: float = .25,   # share held out where the source brings no split of its own
    seed: int = 0,              # of the split, and of the folds
    limit: int | None = None,   # at most about this many pictures, each stratum in proportion; no class is lost
    cache: bool = True,         # keep the decoded pictures in `cache_dir()`
    *,
    split: str = 'own',         # the source's own split where it brings one, or whole groups; 'random': all pooled, and split picture by picture
    fold: int | None = None,    # hold out this fold, 0 to `folds` − 1, in place of a share: every picture is in one
    folds: int = 4,             # how many there are
    pattern: str | None = None,       # a regular expression whose group `label` (or first group) is the class in a file's name
    csv: str | bool | None = None,    # the table of files and classes; False: no table, the folders are the classes
    file_column: str | None = None,   # that table's columns, where they are not clear from their names
    label_column: str | None = None,
    split_column: str | None = None,
    group_column: str | None = None,  # that table's column of what is alike (a module, a patient, a film): held out whole
    grey_range: tuple | None = None,  # what becomes black and white in files of more than 8 bits; None: found in them
) -> Pictures:
    """Reads a data set. Raises `CourseError` where it cannot be learnt from, with one sentence that says why.

    The solar cells are held out by whole modules, a table with `group_column` by whole groups; split='random' holds out
    single pictures instead. Folds are made of the pictures that `split` uses: with 'own', a test part that stays unseen
    stays so, and the training and the held-out part are pooled. `limit` leaves out pictures of every group, not whole groups."""
    check_arguments(size, valid_share, split)
    check_fold(fold, folds)
    by_group = split != 'random'
    reading = Reading(pattern, csv, file_column, label_column, split_column, group_column, pool=split == 'random')
    name, layout = find_source(source, reading)
    files, classes = layout.table, layout.classes
    check_files(name, files, classes)
    notes = [*layout.notes]
    if fold is not None:
        files, more_notes = with_folds(files, classes, folds, seed, by_group)
        notes += more_notes
    table = files
    if limit and limit < len(files): table = limited(files, classes, limit, valid_share, seed, by_group)
    not_held_out = (table.split != 'valid').tolist()  # these decide the range of greys
    x, readable, found = decode_cached(list(table.path), size, cache, grey_range, not_held_out)
    check_readable(name, files, classes, found.unreadable)
    table = table.iloc[readable].reset_index(drop=True)
    if fold is None: table = with_split(table, classes, valid_share, seed, by_group)
    else: table = hold_out_fold(table, fold)
    check_parts(name, table, classes)
    found = replace(found, unreadable={**layout.lost, **found.unreadable})
    notes += split_notes(table, split, fold, folds)
    return Pictures(name, x, classes, table, found, notes)


def check_arguments(size: int, valid_share: float, split: str):
    "Raises `CourseError` for what can be seen to be wrong before anything is read."
    if not 32 <= size <= 1024:
        raise CourseError(f"size is {size}, but it can only be between 32 and 1024 pixels: below, five halvings leave nothing to look at.")
    if not 0 < valid_share < 1:
        raise CourseError(f"valid_share is {valid_share}, but it can only be between 0 and 1.")
    if split not in ('own', 'random'):
        raise CourseError(f"split is {split!r}, but it can only be 'own' (the data set's, where it has one) or 'random' (all of its parts pooled and split anew).")


def check_fold(fold: int | None, folds: int):
    "Raises `CourseError` for a fold that there is not."
    if not is_whole_number(folds) or folds < 2:
        raise CourseError(f"folds is {folds!r}, but it can only be a whole number from 2 up.")
    if fold is None: return
    if not is_whole_number(fold) or not 0 <= fold < folds:
        raise CourseError(f"fold is {fold!r}, but of {folds} folds it can only be a whole number from 0 to {folds - 1}.")


def is_whole_number(number) -> bool:
    "Is it a whole number, and no True or False?"
    return isinstance(number, (int, np.integer)) and not isinstance(number, bool)


def split_notes(table: pd.DataFrame, split: str, fold: int | None, folds: int) -> list:
    "Which fold is held out, and what the split does to groups: nothing where there is neither."
    notes = []
    if fold is not None: notes.append(f"Held out: fold {fold} of {folds} (0 to {folds - 1}). Over all folds every picture is held out once.")
    if 'group' not in table: return notes
    unit = 'module' if 'module' in table else 'group'
    sides = table.groupby('group').split.nunique()
    n_both = (sides > 1).sum()
    if n_both:
        remedy = "split='own' holds" if split == 'random' else 'fold=0 and so on hold'
        notes.append(f"Split picture by picture: of {len(sides)} {unit}s {n_both} are on both sides, so held-out pictures have near relatives in training. {remedy} out whole {unit}s.")
        return notes
    n_held_out = table.group[table.split == 'valid'].nunique()
    notes.append(f"Split by {unit}: {n_held_out} of {len(sides)} {unit}s are held out, whole.")
    return notes
