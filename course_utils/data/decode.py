"""Files become pictures: read once, resized once, and kept as bytes.

Pictures come in many kinds: palettes, CMYK, 16 bits, transparency, several frames. Every one becomes 8-bit RGB, and what
cannot be read says why. Decoding is slow and always gives the same bytes, so the result is kept under a name made from the
list of files; an epoch then reads memory."""
import hashlib, json, os, shutil, warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from course_utils.config import CourseError, cache_dir, check_room, file_sha256, whole_folder

FORMAT = 1  # of what is kept; another number and everything is decoded again


# ---- one picture ----

def read_picture(
    path,       # the file
    size: int,  # side of the square returned, in pixels
) -> tuple[np.ndarray, str, tuple]:  # RGB picture `(size, size, 3)` uint8; its mode in the file; its width and height there
    """Reads one picture, scales its shorter side to `size` (bicubic) and cuts the centre square.
    Of an animation, the first frame. Raises `OSError` or `ValueError` where it is not a readable picture."""
    # It goes into exported files as it stands here, with `to_rgb`: nothing else of the course is called.
    if os.path.getsize(path) == 0: raise ValueError('the file is empty')
    with warnings.catch_warnings():
        warnings.simplefilter('error', Image.DecompressionBombWarning)
        with Image.open(path) as file:
            mode, shape = file.mode, file.size
            if getattr(file, 'n_frames', 1) > 1: mode += ' animated'
            file.draft('RGB', (size, size))  # a JPEG much larger than needed is decoded smaller, which is faster
            picture = to_rgb(ImageOps.exif_transpose(file))
    square = ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(square), mode, shape


def to_rgb(picture: Image.Image) -> Image.Image:
    "8-bit RGB from any mode: 16 bits are scaled, not clipped, and transparency is laid on white."
    if picture.mode.startswith('I') or picture.mode == 'F':
        x = np.asarray(picture).astype(float)
        white = 255
        if picture.mode == 'F': white = max(x.max(), 1)
        elif x.max() > 255: white = 65535
        grey = x.clip(0, white) / white * 255
        return Image.fromarray(grey.astype(np.uint8)).convert('RGB')
    if 'transparency' in picture.info or picture.mode in ('RGBA', 'LA', 'PA', 'La', 'RGBa'):
        layer = picture.convert('RGBA')
        paper = Image.new('RGBA', layer.size, 'white')
        return Image.alpha_composite(paper, layer).convert('RGB')
    return picture.convert('RGB')


def unreadable_reason(error: Exception) -> str:
    "Why a file is set aside, in a few words. PIL's plugins raise many kinds of errors."
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)): return 'too many pixels to be safe to open'
    if isinstance(error, Image.UnidentifiedImageError): return 'not a picture'
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


# ---- many pictures ----

@dataclass
class Found:
    "What was found while reading: for `Pictures.report()`."
    modes: dict = field(default_factory=dict)       # mode in the file → number of pictures
    sizes: dict = field(default_factory=dict)       # 'width×height' → number of pictures
    unreadable: dict = field(default_factory=dict)  # file → why it was set aside


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
    size: int,            # side in pixels
    quiet: bool = False,  # no progress bar
) -> tuple[np.ndarray, list, Found]:
    "Pictures `(N, size, size, 3)` uint8 of the readable `paths`, which of them those are, and what was found."
    def read(path):
        try: return read_picture(path, size)
        except Exception as e: return unreadable_reason(e)

    x = empty_pictures(len(paths), size)
    readable, unreadable = [], {}
    modes, sizes = Counter(), Counter()
    no_bar = quiet or len(paths) < 500
    with thread_pool() as pool:
        results = pool.map(read, paths)
        bar = tqdm(results, total=len(paths), desc='reading pictures', disable=no_bar, leave=False)
        for i, result in enumerate(bar):
            if isinstance(result, str):
                unreadable[str(paths[i])] = result
                continue
            picture, mode, (width, height) = result
            x[len(readable)] = picture
            readable.append(i)
            modes[mode] += 1
            sizes[f'{width}×{height}'] += 1
    found = Found(dict(modes.most_common()), dict(sizes.most_common()), unreadable)
    return x[:len(readable)], readable, found


# ---- decoded once ----

def decode_cached(
    paths: list,
    size: int,           # side in pixels
    cache: bool = True,  # keep the pictures, and find them again
) -> tuple[np.ndarray, list, Found]:
    "`decode`, kept in `cache_dir()`. A changed file, or a cache that fails its checksum, is decoded again."
    folder = pictures_folder(paths, size)
    if cache and folder.is_dir():
        kept = load_kept(folder)
        if kept: return kept
        print(f'The kept pictures in {folder} are damaged: they are read again.')
        shutil.rmtree(folder, ignore_errors=True)
    if cache:
        n_bytes = len(paths) * size * size * 3
        check_room(folder.parent, n_bytes * 1.05 + 1e6, 'COURSE_CACHE', 'make room for the decoded pictures, choose a smaller size')
    x, readable, found = decode(paths, size)
    if cache and readable: keep_pictures(folder, x, readable, found)
    return x, readable, found


def pictures_folder(paths: list, size: int) -> Path:
    "Where these files' pictures are kept: the name changes with any file's name, length or date."
    files = []
    for path in paths:
        stat = os.stat(path)
        files.append((str(path), stat.st_size, stat.st_mtime_ns))
    content = json.dumps([FORMAT, size, files])
    key = hashlib.sha256(content.encode()).hexdigest()[:16]
    return cache_dir()/'pictures'/key


def load_kept(folder: Path) -> tuple[np.ndarray, list, Found] | None:
    "What `keep_pictures` wrote, the pictures left on the disk until they are looked at. None where it is damaged."
    try:
        info = json.loads((folder/'info.json').read_text())
        if file_sha256(folder/'x.npy') != info['sha256']: return None
        return np.load(folder/'x.npy', mmap_mode='r'), info['ok'], Found(**info['found'])
    except (OSError, ValueError, KeyError): return None


def keep_pictures(folder: Path, x: np.ndarray, readable: list, found: Found):
    "Writes what `decode` gave where `load_kept` finds it."
    with whole_folder(folder, 'The decoded pictures') as work:
        np.save(work/'x.npy', x)
        info = dict(ok=readable, found=vars(found), sha256=file_sha256(work/'x.npy'))
        (work/'info.json').write_text(json.dumps(info))
