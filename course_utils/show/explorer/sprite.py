"""All positions of a slider as one picture in one file, small enough for a page: a sheet of cells, coded as WebP."""
import io, math
from typing import NamedTuple

import cv2, numpy as np
from PIL import Image

RIM = 4                 # pixels around every cell
PAGE_BYTES = 320_000    # of WebP; as base64 in the page it is a third more
WEBP_SIDE = 16383       # pixels a side that WebP allows
LARGEST = 960, 1200     # width and height of a frame on a page, in pixels

SPRITE_TRIES = [  # (scale, WebP quality), best first
    (1, 80), (1, 65), (1, 50), (1, 35),
    (.75, 50), (.75, 35),
    (.5, 50), (.5, 30),
]


class Sprite(NamedTuple):
    "A sheet of frames."
    data: bytes   # WebP
    columns: int
    height: int   # of a frame, without its rim
    width: int


def _n_columns(n_cells, height, width) -> int:
    "Columns that make the sheet about square, and no side too long for WebP."
    square = round(math.sqrt(n_cells*height/width))
    return max(1, min(n_cells, square, WEBP_SIDE//width))


def _sheet(frames) -> tuple:  # the sheet `(H, W, 3)` uint8, and its number of columns
    "Frames `(h, w, 3)` in a grid. A rim that repeats a frame's edge keeps its neighbours from shining through."
    rims = (RIM, RIM), (RIM, RIM), (0, 0)
    cells = [np.pad(frame, rims, mode='edge') for frame in frames]
    height, width = cells[0].shape[:2]
    columns = _n_columns(len(cells), height, width)
    n_missing = -len(cells) % columns
    cells += [np.zeros_like(cells[0])] * n_missing
    rows = [np.hstack(cells[k:k + columns]) for k in range(0, len(cells), columns)]
    return np.vstack(rows), columns


def _webp(sheet, quality) -> bytes:
    data = io.BytesIO()
    Image.fromarray(sheet).save(data, 'WEBP', quality=quality, method=4)
    return data.getvalue()


def _scaled(frames, scale) -> list:
    if scale == 1: return list(frames)
    return [cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for frame in frames]


def make_sprite(
    frames,                   # `(H, W, 3)` uint8 each, of one size
    max_bytes: int=PAGE_BYTES # kept wherever one of `SPRITE_TRIES` can keep it
) -> Sprite:
    "All frames as one WebP, as sharp as the bytes allow."
    height, width = frames[0].shape[:2]
    shrink = min(1, LARGEST[0]/width, LARGEST[1]/height)
    sample = frames[::max(1, len(frames)//3)]   # a few tell whether it is worth coding them all
    for scale, quality in SPRITE_TRIES[:-1]:
        sheet, _ = _sheet(_scaled(sample, scale*shrink))
        expected = len(_webp(sheet, quality))*len(frames)/len(sample)
        if expected > max_bytes: continue
        sprite = _coded(_scaled(frames, scale*shrink), quality)
        if len(sprite.data) <= max_bytes: return sprite
    scale, quality = SPRITE_TRIES[-1]
    return _coded(_scaled(frames, scale*shrink), quality)


WHITE = 236        # a grey level that counts as white: WebP does not keep 255
MOST_COLUMNS = 12


def wrap_columns(
    frames,  # `(H, W, 3)` uint8 each, of one size
) -> int:  # 1: frames are to stay in one piece
    "Columns of equal width, with white between them in all frames: on a telephone they are shown in several rows."
    brightest = np.min([frame.min((0, 2)) for frame in frames], 0)
    is_white = brightest >= WHITE
    width = len(is_white)
    for n in range(MOST_COLUMNS, 1, -1):
        reach = max(2, round(.04*width/n))
        cuts = [round(k*width/n) for k in range(1, n)]
        if all(is_white[max(0, cut - reach):cut + reach + 1].any() for cut in cuts): return n
    return 1


def _coded(frames, quality) -> Sprite:
    sheet, columns = _sheet(frames)
    return Sprite(_webp(sheet, quality), columns, *frames[0].shape[:2])
