"""What lesson 12 shows of near-duplicates: pairs side by side, and a slider for how many bits of their hashes may differ."""
from typing import NamedTuple

import numpy as np, pandas as pd

from course_utils.data.pictures import Pictures
from course_utils.show.canvas import Canvas
from course_utils.show.draw import grid
from course_utils.show.explorer import Explorer, Slider
from course_utils.show.palette import BLUE, GREY, ORANGE
from course_utils.show.words import plural
from course_utils.techniques.copies import altered
from course_utils.techniques.near_duplicates import NEAR, dhash, distances

COPIES = 'encoded again', 'half the size', 'brighter', 'cropped'  # those of `altered` that a hash can find
MAX_OTHERS = 5000                                                 # pairs that nobody made: so many of the nearest are kept
N_SHOWN = 5                                                       # pairs of each kind in the picture


def side_by_side(
    pics: Pictures,
    pairs: pd.DataFrame,  # of `near_pairs`: places a and b, distance
    n: int=6,
) -> np.ndarray:          # one picture, uint8
    "The first `n` pairs, above one another, with their distance."
    pairs = pairs.head(n)
    pictures = [pics.x[place] for place in [*pairs.a, *pairs.b]]
    titles = [f'{bits} bits' for bits in pairs.distance] + [''] * len(pairs)
    return grid(pictures, len(pairs), titles, cell=104)


class Pair(NamedTuple):
    "Two pictures, and in how many bits their hashes differ."
    bits: int | None  # None: there is no such pair, and both are white
    upper: np.ndarray
    lower: np.ndarray

    @property
    def title(self) -> str: return '' if self.bits is None else f'{self.bits} bits'


def _pairs(bits, upper, lower) -> list:  # of `Pair`
    return [Pair(int(n), *pictures) for n, *pictures in zip(bits, upper, lower)]


def _made_pairs(x, kinds) -> list:  # of `Pair`, the nearest first
    "Each picture with its copies."
    hashes = dhash(x)
    copies = [altered(picture) for picture in x]
    pairs = []
    for kind in kinds:
        altered_x = np.array([copy[kind] for copy in copies])
        bits = (dhash(altered_x) != hashes).sum(1)
        pairs += _pairs(bits, x, altered_x)
    return sorted(pairs, key=lambda pair: pair.bits)


def _other_pairs(x) -> tuple:  # bits that differ, places a and b: arrays, the nearest first
    "Pairs of different pictures."
    hashes = dhash(x)
    a, b = np.triu_indices(len(x), 1)
    bits = distances(hashes, hashes)[a, b]
    order = np.argsort(bits, kind='stable')[:MAX_OTHERS]
    return bits[order], a[order], b[order]


def _furthest(pairs, blank: Pair) -> list:
    "The last of them, the furthest first, and blank ones where there are too few."
    last = pairs[-N_SHOWN:][::-1]
    return last + [blank] * (N_SHOWN - len(last))


def near_explorer(
    x,                # `(N, H, W, 3)` uint8
    kinds=COPIES,     # out of those that `altered` makes
    max_bits: int=96, # right end of the slider
) -> Explorer:
    "Bits that may differ, against the share of copies found and the pictures in a pair that nobody made."
    made = _made_pairs(x, kinds)
    made_bits = np.array([pair.bits for pair in made])
    other_bits, a, b = _other_pairs(x)
    unmade = _pairs(other_bits, x[a], x[b])
    white = np.full_like(x[0], 255)
    blank = Pair(None, white, white)

    def n_within(sorted_bits, limit): return int(np.searchsorted(sorted_bits, limit, 'right'))

    def share_found(limit): return n_within(made_bits, limit) / len(made_bits)

    def share_paired(limit):
        n = n_within(other_bits, limit)
        paired = set(a[:n]) | set(b[:n])
        return len(paired) / len(x)

    limits = np.arange(0, max_bits + 1, 2)
    canvas = Canvas((0, max_bits), (0, 1.05), 'bits that may differ', 'share', height=240)
    found = [share_found(limit) for limit in limits]
    paired = [share_paired(limit) for limit in limits]
    lines = [(limits, found, BLUE, 2), (limits, paired, ORANGE, 2)]

    def draw(bits):
        n_made = n_within(made_bits, bits)
        n_others = n_within(other_bits, bits)
        shown = _furthest(made[:n_made], blank) + _furthest(unmade[:n_others], blank)
        pictures = [pair.upper for pair in shown] + [pair.lower for pair in shown]
        titles = [''] * len(shown) + [pair.title for pair in shown]
        tiles = grid(pictures, len(shown), titles, cell=68)
        cut_off = ' or more' if n_others == MAX_OTHERS else ''
        curves = canvas.draw(lines, [(bits, GREY, '')])
        return np.vstack([tiles, curves]), (
            f'Up to {bits} bits: {share_found(bits):.0%} of the copies we made are found, '
            f'and {plural(n_others, "pair")} that nobody made{cut_off}. '
            f'Above are the furthest that are still called the same: copies to the left, others to the right.')

    slider = Slider('bits', 'bits that may differ', 0, max_bits, 2, NEAR)
    return Explorer(draw, [slider],
                    title='Copies found (blue), pictures in a pair that nobody made (orange)',
                    alt='Pairs that the hash calls the same, above; below, the two shares against the threshold.')
