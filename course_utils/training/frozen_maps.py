"""What the frozen front of a network gives for every view of every picture, computed once and kept on the disk.

A frozen stage gives the same maps in every epoch, for every seed, fold and head. Of a square picture there are eight views
that move pixels and mix none, and a training that draws among these never needs the front again."""
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np, torch
from fastai.data.load import DataLoader

from course_utils.config import CourseError, cache_dir
from course_utils.data.loader import to_input
from course_utils.models import forward_in_parts
from course_utils.training.identity import sha16

SYMMETRIES = {  # number of views → (quarter turns against the clock, mirrored first?)
    1: ((0, False),),
    2: ((0, False), (0, True)),
    4: ((0, False), (2, False), (0, True), (2, True)),
    8: tuple((quarters, mirror) for mirror in (False, True) for quarters in range(4)),
}


def symmetric_view(
    x: torch.Tensor,       # `(B, C, H, W)`, H = W
    quarters: int,         # turns by 90° against the clock
    mirror: bool = False,  # left and right exchanged first
) -> torch.Tensor:
    "One of the eight views of a square."
    if mirror: x = x.flip(3)
    return torch.rot90(x, quarters, (2, 3)).contiguous(memory_format=torch.channels_last)


def channels_behind(maps: torch.Tensor) -> torch.Tensor:
    "`(B, C, h, w)` → `(B, h, w, C)`; tokens `(B, n, C)` stay."
    return maps.permute(0, 2, 3, 1) if maps.ndim == 4 else maps


def channels_in_front(maps: torch.Tensor) -> torch.Tensor:
    "`(B, h, w, C)` → `(B, C, h, w)`, the memory as it lies; tokens stay."
    return maps.permute(0, 3, 1, 2) if maps.ndim == 4 else maps


def make_room(folder: Path, limit: float = 4e9):
    "Removes the files that were used longest ago, until the others take up no more than `limit` bytes."
    files = sorted(folder.glob('*.npy'), key=lambda file: file.stat().st_atime)
    sizes = [file.stat().st_blocks * 512 for file in files]
    surplus = sum(sizes) - limit
    for file, size in zip(files, sizes):
        if surplus <= 0: break
        file.unlink(missing_ok=True)
        surplus -= size


class FrozenMaps:
    """What a frozen network gives for all views of a data set's pictures, in a file of the cache. Those that are asked for are computed
    where they are missing. Raises `CourseError` where the kind of number cannot hold them."""
    def __init__(self,
        images: np.ndarray,  # `(N, H, W, 3)` uint8
        front: Callable,     # `(B, 3, H, W)` → maps
        front_key: str,      # that tells what it is
        mean, std,           # by which pictures are normalised
        n_views: int,        # 1, 2, 4 or 8
        device,
        bs: int = 64,        # pictures at once
        dtype=torch.float16, # of the numbers
        keep: bool = True,   # in the cache; else in memory alone
    ):
        self.images, self.front, self.bs, self.device = images, front, bs, device
        self.dtype = dtype
        self.mean, self.std = mean, std
        self.views = SYMMETRIES[n_views]
        first = self.compute(np.arange(1), *self.views[0])
        shape = (len(images), *first.shape[1:])
        stem = self.kept_under(front_key) if keep else None
        self.maps, self.is_done = [], []
        for quarters, mirror in self.views:  # a file a view: four views and eight share theirs
            view = f'_{quarters}{"m" if mirror else ""}'
            maps, is_new = array_in(stem, view, first.dtype, shape)
            is_done, _ = array_in(stem, f'{view}_done', np.bool_, shape[:1], fresh=is_new)
            self.maps.append(maps)
            self.is_done.append(is_done)

    def kept_under(self, front_key: str) -> Path:
        "The beginning of the files' names: it tells pictures, front, normalisation and kind of numbers."
        folder = cache_dir()/'maps'
        folder.mkdir(parents=True, exist_ok=True)
        make_room(folder)
        content = hashlib.sha256(np.ascontiguousarray(self.images)).hexdigest()
        facts = [content, list(self.images.shape), front_key, list(self.mean), list(self.std), str(self.dtype)]
        return folder/sha16(facts)

    def compute(self, places, quarters, mirror) -> np.ndarray:
        "The maps of some pictures, channels behind."
        x = to_input(self.images[places], self.mean, self.std, self.device)
        with torch.no_grad(): maps = forward_in_parts(self.front, symmetric_view(x, quarters, mirror))
        return channels_behind(maps).to(self.dtype).cpu().numpy()

    def fill(self, view: int, idx):
        "Computes what is missing of one view."
        missing = np.asarray(idx)[~self.is_done[view][idx]]
        for start in range(0, len(missing), self.bs):
            places = missing[start:start + self.bs]
            maps = self.compute(places, *self.views[view])
            if not np.isfinite(maps).all():
                raise CourseError("The frozen stages of this network give numbers that 16 bits cannot hold: set kept_views=0.")
            self.maps[view][places] = maps
            self.is_done[view][places] = True

    def rows(self, view: np.ndarray, idx: np.ndarray) -> torch.Tensor:
        "`(B, C, h, w)` float32: picture `idx[i]` in view `view[i]`."
        chosen = np.stack([self.maps[v][i] for v, i in zip(view, idx)])
        return channels_in_front(torch.from_numpy(chosen).float())


def array_in(
    stem: Path | None,    # the beginning of the file's name; None: in memory
    ending: str,
    dtype,
    shape,
    fresh: bool = False,  # a file that is there is not taken
) -> tuple[np.ndarray, bool]:  # the array; is it new?
    "An array in a file, or in memory where there is no stem; new ones are full of zeros and take room only where they are written."
    if stem is None: return np.zeros(shape, dtype), True
    file = f'{stem}{ending}.npy'
    try:
        found = np.load(file, mmap_mode='r+')
        if found.dtype == dtype and found.shape == shape and not fresh: return found, False
    except (OSError, ValueError): pass
    return np.lib.format.open_memmap(file, 'w+', dtype, shape), True


class MapLoader(DataLoader):
    "A fastai loader over frozen maps: batches are maps as the rest of the network takes them, and `(B,)` labels."
    def __init__(self,
        maps: FrozenMaps,
        idx,                # which pictures
        y,                  # their labels, `(N,)`
        views: int = 1,     # each step draws one of the first so many for each picture
        repeats: int = 1,   # draws of each picture in one epoch
        **kwargs            # of fastai's loader
    ):
        super().__init__(range(len(idx) * repeats), **kwargs)
        self.maps, self.idx, self.views = maps, np.asarray(idx), views
        self.y = torch.as_tensor(y)
        for view in range(views): maps.fill(view, self.idx)

    def before_iter(self):
        "The views anew each epoch, from fastai's generator."
        self.view_rng = np.random.default_rng(self.rng.randrange(2**31))

    def create_batches(self, samps):
        for chunk in self.chunkify(samps):
            places = np.asarray(chunk) % len(self.idx)
            view = self.view_rng.integers(self.views, size=len(places))
            yield self.maps.rows(view, self.idx[places]), self.y[places]
