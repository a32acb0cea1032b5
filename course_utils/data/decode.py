"""Real photographs, read once, resized once, and kept in memory as bytes."""
import hashlib, json, os, shutil, warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from course_utils.config import CourseError, cache_dir, whole_folder


def read_picture(
    path,             # the file
    size: int,        # side of the square returned, in pixels
) -> tuple[np.ndarray, str, tuple]:  # RGB picture `(size, size, 3)` uint8; its mode in the file; its width and height there
    """Reads one picture, scales its shorter side to `size` (bicubic) and cuts the centre square.
    Of an animation, the first frame. Raises `OSError` or `ValueError` where it is not a readable picture."""
    if os.path.getsize(path) == 0: raise ValueError('the file is empty')
    with warnings.catch_warnings():
        warnings.simplefilter('error', Image.DecompressionBombWarning)
        with Image.open(path) as im:
            mode, wh = im.mode + (' animated' if getattr(im, 'n_frames', 1) > 1 else ''), im.size
            im.draft('RGB', (size, size))  # a JPEG much larger than needed is decoded smaller, which is faster
            im = to_rgb(ImageOps.exif_transpose(im))
    return np.asarray(ImageOps.fit(im, (size, size), Image.Resampling.BICUBIC)), mode, wh


def to_rgb(im: Image.Image) -> Image.Image:
    "8-bit RGB from any mode: 16 bits are scaled, not clipped, and transparency is laid on white."
    if im.mode.startswith('I') or im.mode == 'F':
        x = np.asarray(im).astype(float)
        top = 65535 if im.mode.startswith('I') and x.max() > 255 else max(x.max(), 1) if im.mode == 'F' else 255
        return Image.fromarray((x.clip(0, top) / top * 255).astype(np.uint8)).convert('RGB')
    if 'transparency' in im.info or im.mode in ('RGBA', 'LA', 'PA', 'La', 'RGBa'):
        im = im.convert('RGBA')
        return Image.alpha_composite(Image.new('RGBA', im.size, 'white'), im).convert('RGB')
    return im.convert('RGB')


@dataclass
class Found:
    "What was found while reading: for `Pictures.report()`."
    modes: dict = field(default_factory=dict)       # mode in the file → number of pictures
    sizes: dict = field(default_factory=dict)       # 'width×height' → number of pictures
    unreadable: dict = field(default_factory=dict)  # file → why it was set aside


def decode(paths, size: int, quiet=False) -> tuple[np.ndarray, list, Found]:
    "Pictures `(N, size, size, 3)` uint8 of the readable `paths`, which of them those are, and what was found."
    def one(p):
        try: return read_picture(p, size)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning): return 'too many pixels to be safe to open'
        except Image.UnidentifiedImageError: return 'not a picture'
        except Exception as e: return str(e).splitlines()[0] if str(e) else type(e).__name__  # PIL's plugins raise many kinds
    ok, f = [], Found()
    try: x = np.empty((len(paths), size, size, 3), np.uint8)
    except MemoryError: raise CourseError(f"{len(paths):,} pictures of {size}×{size} pixels need {len(paths) * size * size * 3 / 1e6:,.0f} MB of memory, more than there is: choose a smaller size, or limit= for fewer pictures.") from None
    modes, sizes = Counter(), Counter()
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for i, r in enumerate(tqdm(pool.map(one, paths), total=len(paths), desc='reading pictures', disable=quiet or len(paths) < 500, leave=False)):
            if isinstance(r, str): f.unreadable[str(paths[i])] = r; continue
            x[len(ok)], mode, (w, h) = r
            ok.append(i); modes[mode] += 1; sizes[f'{w}×{h}'] += 1
    finally: pool.shutdown(cancel_futures=True)  # after Ctrl-C, too: thousands may still wait
    f.modes, f.sizes = dict(modes.most_common()), dict(sizes.most_common())
    return x[:len(ok)], ok, f


def decode_cached(paths, size: int, cache=True) -> tuple[np.ndarray, list, Found]:
    "`decode`, kept in `cache_dir()`. A changed file, or a cache that fails its checksum, is decoded again."
    stats = [(str(p), (s := os.stat(p)).st_size, s.st_mtime_ns) for p in paths]
    key = hashlib.sha256(json.dumps([1, size, stats]).encode()).hexdigest()[:16]
    folder = cache_dir()/'pictures'/key
    if cache and folder.is_dir():
        try:
            info = json.loads((folder/'info.json').read_text())
            if hashlib.sha256((folder/'x.npy').read_bytes()).hexdigest() == info['sha256']:
                return np.load(folder/'x.npy', mmap_mode='r'), info['ok'], Found(**info['found'])
        except (OSError, ValueError, KeyError): pass
        print(f'The kept pictures in {folder} are damaged: they are read again.')
        shutil.rmtree(folder, ignore_errors=True)
    if cache: check_space(folder, len(paths) * size * size * 3)
    x, ok, found = decode(paths, size)
    if cache and ok: keep_pictures(folder, x, dict(ok=ok, found=vars(found)))
    return x, ok, found


def check_space(folder, need: int):
    "Raises `CourseError` where the disk under `folder` has not `need` bytes to spare."
    d = next(p for p in (folder, *folder.parents) if p.is_dir())
    free = shutil.disk_usage(d).free
    if free < need * 1.05 + 1e6:
        raise CourseError(f"The decoded pictures need {need/1e6:,.0f} MB in {folder.parent}, where {free/1e6:,.0f} MB are free: make room, choose a smaller size, or set COURSE_CACHE to a folder on another disk.")


def keep_pictures(folder, x, info):
    "Writes `x` and `info` where `decode_cached` finds them."
    with whole_folder(folder, 'The decoded pictures') as work:
        np.save(work/'x.npy', x)
        (work/'info.json').write_text(json.dumps(dict(info, sha256=hashlib.sha256((work/'x.npy').read_bytes()).hexdigest())))
