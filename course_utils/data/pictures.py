"""Real photographs, read once, resized once, and kept in memory as bytes."""
from dataclasses import dataclass
from pathlib import Path

import numpy as np, pandas as pd
from fastai.data.core import DataLoaders

from course_utils.config import CourseError
from course_utils.data.decode import Found, decode_cached
from course_utils.data.loader import PictureLoader
from course_utils.data.sources import find_source, how_many
from course_utils.data.split import check_classes, stratified_split, with_split


@dataclass
class Pictures:
    "A data set in memory, split into training and validation pictures."
    name: str
    x: np.ndarray           # `(N, size, size, 3)` uint8 RGB
    classes: list           # names, in the order of the labels
    table: pd.DataFrame     # a row per picture: path, label, stratum, split and what else the source knows
    found: Found

    @property
    def y(self): return self.table.label.to_numpy()
    @property
    def size(self): return self.x.shape[1]
    @property
    def train(self): return np.flatnonzero(self.table.split == 'train')
    @property
    def valid(self): return np.flatnonzero(self.table.split == 'valid')
    def __len__(self): return len(self.table)

    @property
    def majority(self) -> float:
        "Accuracy on the validation pictures of always saying the class most frequent in training."
        return float((self.y[self.valid] == np.bincount(self.y[self.train]).argmax()).mean())

    def counts(self) -> pd.DataFrame:
        "Number of pictures of each class in each part."
        t = pd.crosstab(self.table.label, self.table.split).reindex(range(len(self.classes)), fill_value=0)
        t.index, t.columns.name = pd.Index(self.classes, name='class'), None
        return t.assign(share=(t.sum(axis=1) / len(self)).round(3))

    def subset(self, n: int, seed: int=0) -> 'Pictures':
        "About `n` of the training pictures, each stratum in proportion; the validation pictures stay."
        if not 0 < n < len(self.train): return self
        keep = self.train[stratified_split(self.table.stratum.iloc[self.train], n / len(self.train), seed)]
        return self.take(np.sort(np.r_[keep, self.valid]))

    def take(self, idx) -> 'Pictures':
        "The pictures at `idx`, in that order."
        return Pictures(self.name, self.x[idx], self.classes, self.table.iloc[idx].reset_index(drop=True), self.found)

    def loaders(self,
        mean, std,            # what the model's own configuration normalises by; see `models.norm_of`
        bs: int=64,
        tfm=None,             # an albumentations transform, applied to training pictures only
        repeats: int=1,       # views of each training picture in one epoch
        workers: int=0,       # processes that prepare batches; 0: this one does
        device=None,
    ) -> DataLoaders:
        "fastai loaders. The last training batch is dropped if it is smaller than the others: BatchNorm wants company."
        part = lambda idx: (np.asarray(self.x[idx]), self.y[idx], mean, std)
        train = PictureLoader(*part(self.train), tfm=tfm, repeats=repeats, bs=min(bs, len(self.train)), shuffle=True, drop_last=True, num_workers=workers)
        valid = PictureLoader(*part(self.valid), bs=2*bs, num_workers=0)
        dls = DataLoaders(train, valid, device=device)
        dls.vocab = self.classes; dls.c = len(self.classes)
        return dls

    def report(self) -> str:
        "What was found, in a few plain sentences."
        few = lambda d, n=3: ', '.join(f'{k} ({v:,})' for k, v in list(d.items())[:n]) + (f' and {len(d)-n} more kinds' if len(d) > n else '')
        lines = [f"{self.name}: {len(self):,} pictures, {len(self.train):,} to train and {len(self.valid):,} held out.",
                 f"Classes: {few(self.table.label.map(dict(enumerate(self.classes))).value_counts().to_dict(), 10)}.",
                 f"In the files: {few(self.found.sizes)} pixels, mode {few(self.found.modes)}. Here: {self.size}×{self.size} RGB."]
        if note := how_many(Path(self.table.path.iloc[0]).parent.parent.parent): lines.append(f'{note}.')
        if bad := self.found.unreadable:
            lines.append(f"Set aside, {len(bad)}: " + '; '.join(f'{Path(p).parent.name}/{Path(p).name} ({why})' for p, why in bad.items()) + '.')
        return '\n'.join(lines)


def load_pictures(
    source: str | None=None,   # a data set's name or a folder of class folders; None reads `COURSE_DATA`
    size: int=64,              # side in pixels, 32 or more
    valid_share: float=.25,    # share held out where the source brings no split of its own
    seed: int=0,               # of the split
    limit: int | None=None,    # at most about this many pictures, each stratum in proportion
    cache: bool=True,          # keep the decoded pictures in `cache_dir()`
) -> Pictures:
    "Reads a data set. Raises `CourseError` where it cannot be learnt from, with one sentence that says why."
    if not 32 <= size <= 1024: raise CourseError(f"size is {size}, but it can only be between 32 and 1024 pixels: below, five halvings leave nothing to look at.")
    if not 0 < valid_share < 1: raise CourseError(f"valid_share is {valid_share}, but it can only be between 0 and 1.")
    name, t, classes = find_source(source)
    check_classes(name, t, classes)
    few = limit and limit < len(t)
    if few:  # chosen before anything is decoded: most of a large set is never opened
        every = t = with_split(t, classes, valid_share, seed)
        t = t[stratified_split(t.stratum + t.split, limit / len(t), seed)]
    x, ok, found = decode_cached(list(t.path), size, cache)
    t = t.iloc[ok].reset_index(drop=True)
    check_classes(name, every[~every.path.isin(found.unreadable)] if few else t, classes, len(found.unreadable))
    return Pictures(name, x, classes, with_split(t, classes, valid_share, seed), found)
