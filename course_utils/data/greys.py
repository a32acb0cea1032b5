"""Pictures of more than 8 bits: 10, 12 or 14 bits in 16-bit files, CT values, temperatures, fractions.

Such a file seldom says which of its numbers are black and white. One picture cannot tell either: stretched by itself, a
dark one comes out as bright as a bright one. So the whole data set is asked once, one rule is made of the answers, and
that rule goes wherever the pictures go, into the exported classifier too."""
import numpy as np
from PIL import Image

from course_utils.config import CourseError


# ---- one picture: these go into exported files as they stand here, and need NumPy and Pillow alone ----

def grey_levels(
    values: np.ndarray,                # numbers of any kind, any shape
    grey_range: tuple | None = None,   # those that become black and white; None: found in these numbers alone
) -> np.ndarray:                       # uint8, the same shape
    "Grey levels of 8 bits. What lies outside the range is cut off; what is no number is black."
    if grey_range is None: grey_range = find_grey_range([grey_extremes(values)])
    low, high = grey_range
    share = (values.astype(float) - low) / (high - low)
    levels = np.nan_to_num(share.clip(0, 1)) * 255
    return np.rint(levels).astype(np.uint8)


def grey_extremes(values: np.ndarray) -> tuple:  # lowest; highest; are they whole numbers?
    "Between which numbers a picture lies, but for a few pixels: a dead or a hot one decides nothing."
    is_whole = values.dtype.kind in 'iu'
    flat = values.ravel() if is_whole else values[np.isfinite(values)]
    if not flat.size: return 0, 0, is_whole
    last = flat.size - 1
    n_odd = min(8 + last // 10_000, last // 2)
    places = [n_odd, last - n_odd]
    low, high = np.partition(flat, places)[places].tolist()
    return low, high, is_whole


def find_grey_range(
    extremes: list,  # what `grey_extremes` says of each picture, all of whole numbers or none
) -> tuple:          # the numbers that become black and white
    """Whole numbers from 0 up fill the smallest of 8, 10, 12, 14 or 16 bits, fractions 0…1, −1…1 or 0…255. The pictures'
    own extremes count where nothing of that holds them, as with CT values, or where they fill little of it, as
    temperatures do. Of two hundred pictures, an odd one decides nothing."""
    lows, highs, are_whole = zip(*extremes)
    n_odd = len(lows) // 200
    low, high = sorted(lows)[n_odd], sorted(highs)[-1 - n_odd]
    is_whole = all(are_whole)
    usual = [(0, 1), (-1, 1), (0, 255)]
    if is_whole: usual = [(0, 2**bits - 1) for bits in (8, 10, 12, 14, 16)]
    for black, white in usual:
        slack = 0 if is_whole else .02 * (white - black)  # fractions that were resized reach a little beyond
        if low < black - slack or high > white + slack: continue
        used = (high - low) / (white - black)
        # A quarter of 16 bits still fills 64 grey levels. Fractions at a fifth of the light are dark pictures, not others.
        least_used = 1 / 4 if is_whole else 1 / 8
        eight_bits = is_whole and white == 255  # as in files of 8 bits, where a faint picture stays faint
        if eight_bits or used >= least_used or low == high: return black, white
        return low, high
    return (low, high) if low < high else (low - 1, low + 1)


def deep_colour(
    file: Image.Image,  # just opened
    path,
) -> np.ndarray | None:  # `(H, W, 3 or 4)` uint16, red first, as it lies in the file: `file` says which side is up
    "Colours of 16 bits each, of which Pillow reads the upper eight; OpenCV reads them all. None for other pictures."
    tiles = getattr(file, 'tile', ())
    if not tiles or ';16' not in str(tiles[0][3]) or file.mode not in ('RGB', 'RGBA', 'LA'): return None
    import cv2  # here: no other picture needs it
    with open(path, 'rb') as opened: content = opened.read()
    side_up = file.getexif().get(274, 1)
    if file.format == 'TIFF' and side_up != 1:  # OpenCV would turn it, or fail to: let it lie
        little, big = b'\x12\1\3\0\1\0\0\0%c\0', b'\1\x12\0\3\0\0\0\1\0%c'
        for entry in (little, big): content = content.replace(entry % side_up, entry % 1)
    values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.ndim != 3: return None
    blue_first = [2, 1, 0, 3][:values.shape[2]]
    return values[..., blue_first]


# ---- a data set ----

def is_deep(mode: str) -> bool:
    "Has a picture of this mode (as `read_picture` tells it) more than 8 bits?"
    return mode.startswith(('I', 'F')) or '16 bits' in mode


def file_extremes(path) -> tuple:
    "`grey_extremes` of a file of more than 8 bits."
    with Image.open(path) as file:
        colour = deep_colour(file, path)
        values = np.asarray(file) if colour is None else colour[..., :3]
        return grey_extremes(values)


def data_set_range(
    paths: list,     # of files of more than 8 bits
    extremes: list,  # what `file_extremes` says of each
) -> tuple:
    "The one range for all of them. Raises `CourseError` where whole numbers and fractions want two."
    whole_numbers = [told for told in extremes if told[2]]
    fractions = [told for told in extremes if not told[2]]
    ranges = [find_grey_range(group) for group in (whole_numbers, fractions) if group]
    if ranges[0] != ranges[-1]:
        example = next(path for path, told in zip(paths, extremes) if not told[2])
        raise CourseError(f"{len(whole_numbers):,} pictures hold whole numbers ({range_words(ranges[0])}) and {len(fractions):,} hold fractions ({range_words(ranges[1])}), {example} for one: no rule makes both right, so save them as one kind, or as 8 bits.")
    return ranges[0]


def check_grey_range(grey_range):
    "Raises `CourseError` unless it is None or two numbers, the lower first."
    if grey_range is None: return
    try: low, high = map(float, grey_range)
    except (TypeError, ValueError): low, high = 0., 0.
    if np.isfinite([low, high]).all() and low < high: return
    raise CourseError(f"grey_range is {grey_range}, but it can only be two numbers, the one that becomes black below the one that becomes white: grey_range=(0, 4095) for 12 bits.")


# ---- in words ----

def range_words(grey_range: tuple) -> str:
    "'0 to 4,095'."
    low, high = (f'{value:,.0f}' if value == int(value) else f'{value:,.3g}' for value in grey_range)
    return f'{low} to {high}'


def grey_sentence(
    modes: dict,        # mode in the file → number of pictures
    grey_range: tuple | None,
) -> str:
    "What became of the pictures of more than 8 bits. Empty where there are none."
    counts = {mode: n for mode, n in modes.items() if is_deep(mode)}
    if not counts or not grey_range: return ''
    kinds = sorted({kind_of_file(mode) for mode in counts})
    files = ' and '.join(kinds)
    low, high = grey_range
    bits = int(high + 1).bit_length() - 1
    holds_bits = low == 0 and high == 2**bits - 1 and bits in (8, 10, 12, 14, 16) and 'files of fractions' not in kinds
    subject = f'{bits} bits in {files}' if holds_bits else f'Greys in {files}'
    n = sum(counts.values())
    plural = '' if n == 1 else 's'
    return f"{subject}: {range_words(grey_range)} become black to white in {n:,} picture{plural}; grey_range=(low, high) sets another range."


def kind_of_file(mode: str) -> str:
    "What a mode of more than 8 bits is called."
    if mode.startswith('F'): return 'files of fractions'
    return '16-bit files' if '16' in mode else '32-bit files'
