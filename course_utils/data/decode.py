"""Files become pictures: read once, resized once, and kept as bytes.

Pictures come in many kinds: palettes, CMYK, 16 bits (see `greys`), transparency, several frames. Every one becomes 8-bit
RGB, and what cannot be read says why. Decoding is slow and always gives the same bytes, so the result is kept under a name made from the
list of files; an epoch then reads memory."""
import hashlib, json, os, shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, features
from tqdm import tqdm

from course_utils.config import CourseError, cache_dir, check_room, file_sha256, whole_folder
from course_utils.data.greys import (
    check_grey_range, data_set_range, deep_colour, file_extremes, find_grey_range, grey_extremes, grey_levels, is_deep)

FORMAT = 3  # of what is kept; another number and everything is decoded again


# ---- one picture ----

def read_picture(
    path,                             # the file
    size: int,                        # side of the square returned, in pixels
    grey_range: tuple | None = None,  # what becomes black and white in a file of more than 8 bits; None: found in it alone
) -> tuple[np.ndarray, str, tuple]:  # RGB picture `(size, size, 3)` uint8; its mode in the file; its width and height there
    """Reads one picture, scales its shorter side to `size` (bicubic) and cuts the centre square.
    Of an animation, the first frame. Raises `OSError` or `ValueError` where it is not a readable picture."""
    # It goes into exported files as it stands here, with the others of `STANDALONE`: nothing else of the course is called.
    picture, mode, shape = whole_picture(path, grey_range)
    # another filter: raise FORMAT, and say so in RESIZE (training/run.py), which the exported file carries
    return np.asarray(centre_square(picture, size)), mode, shape


def whole_picture(
    path,                             # the file
    grey_range: tuple | None = None,  # see `read_picture`
) -> tuple[Image.Image, str, tuple]:  # 8-bit RGB, turned as its EXIF says; its mode in the file; its width and height there
    "Reads one picture and leaves its size and its edges as they are. Raises `OSError` or `ValueError` where it is not a readable picture."
    if os.path.getsize(path) == 0: raise ValueError('the file is empty')
    with open_picture(path) as file:
        # Pillow only warns here. Its warning cannot be made an error: filters belong to the process, and threads read at once.
        limit = Image.MAX_IMAGE_PIXELS  # None: no limit
        if limit and file.width * file.height > limit: raise Image.DecompressionBombError('too many pixels to be safe to open')
        mode, shape = file.mode, file.size
        colour = deep_colour(file, path)
        if colour is not None: mode += ' 16 bits'
        if getattr(file, 'n_frames', 1) > 1: mode += ' animated'
        # no `draft`, which is faster and another picture: no browser and no other library reads a JPEG at a half
        picture = file if colour is None else from_deep_colour(colour, file, grey_range)
        return to_rgb(ImageOps.exif_transpose(picture), grey_range), mode, shape


def centre_square(
    picture: Image.Image,
    size: int,             # side of the square returned, in pixels
) -> Image.Image:
    """The centre square, resized across first and then down: `ImageOps.fit` in two calls. In one call Pillow 13.0 goes down first where
    a picture is upright, Pillow 12 never does, and what is rounded between differs by a grey level here and there."""
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    across = picture.resize((size, height), Image.Resampling.BICUBIC, (left, 0, left + side, height))
    return across.resize((size, size), Image.Resampling.BICUBIC, (0, top, size, top + side))


def open_picture(path) -> Image.Image:
    "Opened by Pillow; a HEIC by the package pillow-heif, where it is there. Raises `OSError`."
    try: return Image.open(path)
    except Image.UnidentifiedImageError:
        with open(path, 'rb') as file: brand = file.read(12)[4:]
        if brand not in (b'ftypheic', b'ftypheix', b'ftyphevc', b'ftypheim', b'ftypheis', b'ftypmif1', b'ftypmsf1'): raise
        try: import pillow_heif
        except ImportError: raise OSError('HEIC needs the package pillow-heif: pip install pillow-heif') from None
        pillow_heif.register_heif_opener()
        return Image.open(path)


def from_deep_colour(
    colour: np.ndarray,  # `(H, W, 3 or 4)` uint16
    file: Image.Image,   # it says which side is up
    grey_range: tuple | None,
) -> Image.Image:
    "8-bit colours out of 16-bit ones."
    levels = grey_levels(colour[..., :3], grey_range)
    alpha = (colour[..., 3:] // 257).astype(np.uint8)
    picture = Image.fromarray(np.concatenate([levels, alpha], axis=2))
    picture.getexif().update(file.getexif())
    return picture


def to_rgb(
    picture: Image.Image,
    grey_range: tuple | None = None,  # see `read_picture`
) -> Image.Image:
    "8-bit RGB from any mode: more than 8 bits are scaled, not clipped, and transparency is laid on white."
    if picture.mode.startswith('I') or picture.mode == 'F':
        levels = grey_levels(np.asarray(picture), grey_range)
        return Image.fromarray(levels).convert('RGB')
    if 'transparency' in picture.info or picture.mode in ('RGBA', 'LA', 'PA', 'La', 'RGBa'):
        layer = picture.convert('RGBA')
        paper = Image.new('RGBA', layer.size, 'white')
        return Image.alpha_composite(paper, layer).convert('RGB')
    return picture.convert('RGB')


# what reads a picture in an exported file, which has NumPy and Pillow alone: their source is copied
STANDALONE = (read_picture, whole_picture, centre_square, open_picture, to_rgb, grey_levels, grey_extremes, find_grey_range, deep_colour,
              from_deep_colour)


def unreadable_reason(error: Exception, path=None) -> str:
    "Why a file is set aside, in a few words. PIL's plugins raise many kinds of errors."
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)): return 'too many pixels to be safe to open'
    if isinstance(error, Image.UnidentifiedImageError): return unknown_kind(path) if path else 'not a picture'
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def unknown_kind(path) -> str:
    "What a file is that Pillow does not know, by its first bytes."
    with open(path, 'rb') as file: head = file.read(132)
    if head[4:12] in (b'ftypavif', b'ftypavis') and not features.check('avif'):
        return 'AVIF needs the package pillow-avif-plugin: pip install pillow-avif-plugin'
    if head[:4] in (b'II*\0', b'MM\0*'): return 'a kind of TIFF that Pillow cannot read: save it as PNG'
    if head[128:] == b'DICM': return 'DICOM, which Pillow cannot read: save it as 16-bit PNG or TIFF'
    return 'not a picture'


# ---- many pictures ----

@dataclass
class Found:
    "What was found while reading: for `Pictures.report()`."
    modes: dict = field(default_factory=dict)       # mode in the file → number of pictures
    sizes: dict = field(default_factory=dict)       # 'width×height' → number of pictures
    unreadable: dict = field(default_factory=dict)  # file → why it was set aside
    grey_range: tuple | None = None  # what became black and white in files of more than 8 bits; None where there are none


@contextmanager
def thread_pool():
    "As many threads as there are cores. After Ctrl-C, too, none of the thousands of calls that may still wait is begun."
    pool = ThreadPoolExecutor(os.cpu_count())
    try: yield pool
    finally: pool.shutdown(cancel_futures=True)


def empty_pictures(n: int, size: int) -> np.ndarray:  # `(n, size, size, 3)` uint8
    "Memory for `n` pictures. Raises `CourseError` where there is not enough."
    try: return np.empty((n, size, size, 3), np.uint8)
    except MemoryError:
        megabytes = n * size * size * 3 / 1e6
        raise CourseError(f"{n:,} pictures of {size}×{size} pixels need {megabytes:,.0f} MB of memory, more than there is: choose a smaller size, or limit= for fewer pictures.") from None


def decode(
    paths: list,
    size: int,                        # side in pixels
    quiet: bool = False,              # no progress bar
    grey_range: tuple | None = None,  # what becomes black and white in files of more than 8 bits; None: found in the `deciding` ones
    deciding: list | None = None,     # bool, one a path: may it decide the range? None: every one
) -> tuple[np.ndarray, list, Found]:
    "Pictures `(N, size, size, 3)` uint8 of the readable `paths`, which of them those are, and what was found. Raises `CourseError` where memory is short, or two kinds of greys want two ranges."
    options = () if grey_range is None else (grey_range,)

    def read(path):
        try: return read_picture(path, size, *options)
        except Exception as e: return unreadable_reason(e, path)

    x = empty_pictures(len(paths), size)
    readable, unreadable = [], {}
    modes, sizes = Counter(), Counter()
    deep = []  # places in `x` of pictures of more than 8 bits
    with thread_pool() as pool:
        results = pool.map(read, paths)
        for i, result in enumerate(reading_bar(results, len(paths), 'reading pictures', quiet)):
            if isinstance(result, str):
                unreadable[str(paths[i])] = result
                continue
            picture, mode, (width, height) = result
            if is_deep(mode): deep.append(len(readable))
            x[len(readable)] = picture
            readable.append(i)
            modes[mode] += 1
            sizes[f'{width}×{height}'] += 1
    if deep and grey_range is None:
        files = [paths[readable[place]] for place in deep]
        may_decide = [deciding is None or deciding[readable[place]] for place in deep]
        grey_range = find_data_set_range(files, may_decide, quiet)
        read_again(x, deep, files, grey_range, quiet)
    found = Found(dict(modes.most_common()), dict(sizes.most_common()), unreadable, grey_range)
    return x[:len(readable)], readable, found


def reading_bar(results, n: int, subject: str, quiet: bool):
    "The results, with a bar where they are many."
    return tqdm(results, total=n, desc=subject, disable=quiet or n < 500, leave=False)


def find_data_set_range(
    files: list,       # of more than 8 bits
    may_decide: list,  # bool, one a file; where none may, all do
    quiet: bool,
) -> tuple:
    "One range of greys for a data set: a pass over its files of more than 8 bits."
    chosen = [path for path, decides in zip(files, may_decide) if decides] or files
    with thread_pool() as pool:
        results = pool.map(file_extremes, chosen)
        extremes = list(reading_bar(results, len(chosen), 'finding black and white', quiet))
    return data_set_range(chosen, extremes)


def read_again(x: np.ndarray, places: list, files: list, grey_range: tuple, quiet: bool):
    "Replaces the pictures at `places`, which were each read by its own range, by those of the common one."
    def read(path): return read_picture(path, x.shape[1], grey_range)[0]

    with thread_pool() as pool:
        results = pool.map(read, files)
        pictures = reading_bar(results, len(files), 'reading them by it', quiet)
        for place, picture in zip(places, pictures): x[place] = picture


# ---- decoded once ----

def decode_cached(
    paths: list,
    size: int,                        # side in pixels
    cache: bool = True,               # keep the pictures, and find them again
    grey_range: tuple | None = None,  # see `decode`
    deciding: list | None = None,     # see `decode`
) -> tuple[np.ndarray, list, Found]:
    """`decode`, kept in `cache_dir()`. A changed file, or a cache that fails its checksum, is decoded again; so are all of
    them where a file that was set aside has become readable. Raises `CourseError` for a range that is none."""
    check_grey_range(grey_range)
    if deciding and all(deciding): deciding = None
    folder = pictures_folder(paths, size, grey_range, deciding)
    if cache and folder.is_dir():
        kept = load_kept(folder)
        if kept and not any_readable(kept[2].unreadable, size): return kept
        reason = 'leave out files that can be read now' if kept else 'are damaged'
        print(f'The kept pictures in {folder} {reason}: they are read again.')
        shutil.rmtree(folder, ignore_errors=True)
    if cache:
        n_bytes = len(paths) * size * size * 3
        check_room(folder.parent, n_bytes * 1.05 + 1e6, 'COURSE_CACHE', 'make room for the decoded pictures, choose a smaller size')
    x, readable, found = decode(paths, size, grey_range=grey_range, deciding=deciding)
    if cache and readable: keep_pictures(folder, x, readable, found)
    return x, readable, found


def pictures_folder(paths: list, size: int, grey_range: tuple | None = None, deciding: list | None = None) -> Path:
    "Where these files' pictures are kept: the name changes with any file's name, length or date, and with the range of greys asked for."
    files = []
    for path in paths:
        stat = os.stat(path)
        files.append((str(path), stat.st_size, stat.st_mtime_ns))
    content = json.dumps([FORMAT, size, grey_range, deciding, files])
    key = hashlib.sha256(content.encode()).hexdigest()[:16]
    return cache_dir()/'pictures'/key


def load_kept(folder: Path) -> tuple[np.ndarray, list, Found] | None:
    "What `keep_pictures` wrote, the pictures left on the disk until they are looked at. None where it is damaged."
    try:
        info = json.loads((folder/'info.json').read_text())
        if file_sha256(folder/'x.npy') != info['sha256']: return None
        found = Found(**info['found'])
        if found.grey_range: found.grey_range = tuple(found.grey_range)
        return np.load(folder/'x.npy', mmap_mode='r'), info['ok'], found
    except (OSError, ValueError, KeyError): return None


def any_readable(paths, size: int) -> bool:
    "Can any of these files, which were set aside, be read by now? Limits are raised and packages added; the files stay the same."
    def is_readable(path):
        try: read_picture(path, size)
        except Exception: return False
        return True

    with thread_pool() as pool: return any(pool.map(is_readable, paths))


def keep_pictures(folder: Path, x: np.ndarray, readable: list, found: Found):
    "Writes what `decode` gave where `load_kept` finds it."
    with whole_folder(folder, 'The decoded pictures') as work:
        np.save(work/'x.npy', x)
        info = dict(ok=readable, found=vars(found), sha256=file_sha256(work/'x.npy'))
        (work/'info.json').write_text(json.dumps(info))
