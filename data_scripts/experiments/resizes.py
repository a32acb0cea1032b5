"""What a network loses when it is fed by another resize than the one it learned with.

`python -m data_scripts.experiments.resizes` writes results/resizes.json, a row as soon as it is finished. A frozen network's
features of several depths get a linear head for each fold of whole modules, fitted on pictures that the course has resized. Each head
then judges its held-out cells as other libraries resize them. All decode the same bytes, so nothing but the resize differs."""
import argparse, base64, io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version

import cv2, numpy as np, torch
from PIL import Image

from course_utils.config import CourseError, profile
from course_utils.data.decode import centre_square, to_rgb
from course_utils.data.pictures import Pictures
from course_utils.models import create_model
from course_utils.report.intervals import differences_interval
from course_utils.report.results import read_results, result_row, write_results
from course_utils.techniques.deep_features import deep_features, fit_linear_head
from course_utils.techniques.ladder import LITE
from course_utils.training.run import groups_in
from data_scripts.experiments.engine import cells_and_folds
from data_scripts.experiments.visit import open_browser

RESIZE_RESULTS = 'resizes'
OWN_RESIZE = "Pillow's bicubic (the course)"
SENT_AT_ONCE = 64  # pictures that go to the browser at a time
CANVAS = '''async ({ files, size, quality }) => {
  const results = [];
  for (const file of files) {
    const blob = await (await fetch('data:image/png;base64,' + file)).blob();
    const bitmap = await createImageBitmap(blob, { colorSpaceConversion: 'none' });
    const canvas = new OffscreenCanvas(size, size).getContext('2d', { willReadFrequently: true });
    if (quality) canvas.imageSmoothingQuality = quality;
    canvas.drawImage(bitmap, 0, 0, size, size);
    const { data } = canvas.getImageData(0, 0, size, size);
    let text = '';
    for (let i = 0; i < data.length; i++) text += String.fromCharCode(data[i]);
    results.push(btoa(text));
  }
  return results;
}'''


@dataclass(frozen=True)
class Resize:
    "A way to make squares smaller, and whose it is."
    apply: Callable  # (squares, list of `(H, H, 3)` uint8; size) → `(N, size, size, 3)` uint8
    library: str     # its name and version
    is_default: bool = False  # what that library's simplest call does


# ---- libraries ----

def library(package: str) -> str: return f'{package} {version(package)}'


def by_pillow(squares: list, size: int) -> np.ndarray:
    "The course's own."
    return np.stack([np.asarray(centre_square(Image.fromarray(square), size)) for square in squares])


def by_opencv(interpolation: int) -> Callable:
    "`cv2.resize` with one of its filters."
    def apply(squares, size): return np.stack([cv2.resize(square, (size, size), interpolation=interpolation) for square in squares])
    return apply


def by_tensors(mode: str, antialias: bool) -> Callable:
    "`torchvision.transforms.v2.functional.resize` of tensors of bytes."
    def apply(squares, size):
        from torchvision.transforms.v2.functional import InterpolationMode, resize

        def one(square):
            channels_first = torch.from_numpy(square).permute(2, 0, 1)
            small = resize(channels_first, [size, size], InterpolationMode(mode), antialias=antialias)
            return small.permute(1, 2, 0).numpy()
        return np.stack([one(square) for square in squares])
    return apply


# ---- a browser ----

def as_png(square: np.ndarray) -> str:
    "A picture as base64 of a PNG."
    memory = io.BytesIO()
    Image.fromarray(square).save(memory, 'PNG', compress_level=1)
    return base64.b64encode(memory.getvalue()).decode()


def in_thread(function: Callable, *args):
    "The function's answer from a thread of its own: Playwright refuses one with an event loop, as a notebook's has."
    with ThreadPoolExecutor(max_workers=1) as pool: return pool.submit(function, *args).result()


def by_canvas(quality: str) -> Callable:
    "`drawImage` into a smaller canvas; '' leaves its quality as it is."
    def draw(squares, size):
        small = []
        with open_browser() as browser:
            page = browser.new_page()
            for start in range(0, len(squares), SENT_AT_ONCE):
                files = [as_png(square) for square in squares[start:start + SENT_AT_ONCE]]
                small += page.evaluate(CANVAS, dict(files=files, size=size, quality=quality))
        pixels = np.frombuffer(b''.join(map(base64.b64decode, small)), np.uint8)
        return pixels.reshape(len(squares), size, size, 4)[..., :3]
    return partial(in_thread, draw)


def browser_version() -> str:
    def ask():
        with open_browser() as browser: return f'Chromium {browser.version}'
    return in_thread(ask)


def browser_resizes() -> dict:
    "Those of a browser; none where there is no browser, and it is said."
    try: name = browser_version()
    except CourseError as e:
        print(e)
        return {}
    return {
        "canvas, as it is": Resize(by_canvas(''), name, is_default=True),
        "canvas, imageSmoothingQuality high": Resize(by_canvas('high'), name),
    }


def all_resizes() -> dict:  # name → `Resize`, the course's first
    opencv, torchvision = library('opencv-python-headless'), library('torchvision')
    return {
        OWN_RESIZE: Resize(by_pillow, library('Pillow')),
        "OpenCV, INTER_AREA": Resize(by_opencv(cv2.INTER_AREA), opencv),
        "OpenCV, INTER_CUBIC": Resize(by_opencv(cv2.INTER_CUBIC), opencv),
        "OpenCV, INTER_LINEAR": Resize(by_opencv(cv2.INTER_LINEAR), opencv, is_default=True),
        "torchvision's tensors, bilinear, antialias": Resize(by_tensors('bilinear', True), torchvision, is_default=True),
        "torchvision's tensors, bicubic, antialias": Resize(by_tensors('bicubic', True), torchvision),
        "torchvision's tensors, bicubic, no antialias": Resize(by_tensors('bicubic', False), torchvision),
    } | browser_resizes()


# ---- one network, many resizes ----

def read_squares(paths) -> list:  # of `(H, H, 3)` uint8
    "The centre square of each file, at its full size."
    squares = []
    for path in paths:
        with Image.open(path) as file: picture = np.array(to_rgb(file))
        side = min(picture.shape[:2])
        top, left = [(length - side) // 2 for length in picture.shape[:2]]
        squares.append(picture[top:top + side, left:left + side])
    return squares


def features_of(body: torch.nn.Module, pics: Pictures, x: np.ndarray) -> np.ndarray:  # `(N, F)`
    "What the frozen network makes of these pictures of the same cells."
    return deep_features(body, replace(pics, x=x), cache=False)


def fold_heads(pics: Pictures, folds: np.ndarray, features: np.ndarray) -> list:
    "A linear head for each fold, fitted on all the others."
    heads = []
    for fold in np.unique(folds):
        train = folds != fold
        heads.append(fit_linear_head(features[train], pics.y[train], len(pics.classes)))
    return heads


def fold_answers(heads: list, folds: np.ndarray, features: np.ndarray) -> np.ndarray:  # `(N,)` classes
    "Each picture judged by the head that has not seen it."
    named = np.zeros(len(folds), int)
    for fold, head in enumerate(heads):
        held_out = folds == fold
        named[held_out] = head.logits(features[held_out]).argmax(1)
    return named


def numbers_of(
    named: np.ndarray,     # `(N,)` with this resize
    usual: np.ndarray,     # `(N,)` with the course's
    x: np.ndarray,         # `(N, size, size, 3)` uint8
    usual_x: np.ndarray,
    pics: Pictures,
    folds: np.ndarray,
) -> dict:
    "A row of results: accuracy, what is lost with its interval over cells, modules and folds, and how far the pictures are apart."
    right = (named == pics.y).astype(float)
    loses = right - (usual == pics.y)
    groups = groups_in(pics, np.arange(len(named)))
    low, high = differences_interval(loses, groups=groups, folds=folds)
    apart = np.abs(x.astype(np.int16) - usual_x)
    return dict(
        accuracy=float(right.mean()), loses=[float(loses.mean()), float(low), float(high)],
        changed=float((named != usual).mean()), grey_levels=round(float(apart.mean()), 3), largest=int(apart.max()),
        by_fold=[float(right[folds == fold].mean()) for fold in np.unique(folds)], pictures=len(right), folds=len(np.unique(folds)))


def is_measured(row: dict | None, resize: Resize, n_pictures: int) -> bool:
    "Is there a row of this library's version, of as many pictures?"
    return row is not None and row['library'] == resize.library and row['pictures'] == n_pictures


def measure_size(
    size: int,
    limit: int | None,
    resizes: dict,    # name → `Resize`
    rows: dict,       # what is measured already; the new rows are put into it
    keep: Callable,   # called after each
):
    "All resizes to one size."
    pics, folds = cells_and_folds(size, limit)
    keys = {name: f'{name}, {size} px' for name in resizes}
    missing = [name for name in resizes if not is_measured(rows.get(keys[name]), resizes[name], len(pics))]
    if not missing: return
    body = create_model(LITE).eval()
    squares = read_squares(pics.table.path)
    usual_x = by_pillow(squares, size)
    features = features_of(body, pics, usual_x)
    heads = fold_heads(pics, folds, features)
    usual = fold_answers(heads, folds, features)
    for name in missing:
        resize = resizes[name]
        x = usual_x if name == OWN_RESIZE else resize.apply(squares, size)
        named = usual if name == OWN_RESIZE else fold_answers(heads, folds, features_of(body, pics, x))
        row = numbers_of(named, usual, x, usual_x, pics, folds)
        rows[keys[name]] = result_row(**row, name=name, size=size, library=resize.library, is_default=resize.is_default)
        keep()
        print(f"{keys[name]}: {row['accuracy']:.1%}, {row['loses'][0]:+.2%}, {row['grey_levels']} grey levels apart.", flush=True)


def main(arguments: list | None=None):
    "Measures and writes results/resizes.json; at profile smoke nothing is written."
    settings = profile()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--sizes', type=int, nargs='*', default=settings.pick(smoke=(32,), cpu=(96, 32), gpu=(224, 96)), help='sides in pixels')
    options = parser.parse_args(arguments)
    is_smoke = settings.name == 'smoke'
    rows = {} if is_smoke else read_results(RESIZE_RESULTS).get('runs', {})

    def keep():
        if not is_smoke: write_results(RESIZE_RESULTS, read_results(RESIZE_RESULTS) | dict(runs=rows), sort=False)
    resizes = all_resizes()
    for size in options.sizes: measure_size(size, settings.pick(smoke=160, cpu=None), resizes, rows, keep)
    return rows


if __name__ == '__main__': main()
