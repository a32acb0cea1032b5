"""Look for trouble in a folder of pictures before you train, get a recipe that fits, and take the model away as one file that needs no course."""
import numpy as np, pandas as pd

from course_utils.data.pictures import Pictures
from course_utils.show.canvas import Canvas
from course_utils.show.draw import grid
from course_utils.show.explorer import Explorer, Slider
from course_utils.techniques.near_duplicates import NEAR, altered, dhash, distances, plural


def side_by_side(pics: Pictures, pairs: pd.DataFrame, n: int=6) -> np.ndarray:  # one picture, uint8
    "The first `n` pairs, above one another, with their distance."
    t = pairs.head(n)
    return grid([pics.x[i] for i in [*t.a, *t.b]], len(t), [f'{d} bits' for d in t.distance] + [''] * len(t), cell=104)


def near_explorer(x, kinds=('encoded again', 'half the size', 'brighter', 'cropped'), most: int=96) -> Explorer:
    "Bits that may differ, against the share of copies found and the pictures in a pair that nobody made."
    h, made = dhash(x), [altered(p) for p in x]
    copies = [(int(bits), x[i], c[i], k) for k in kinds for c in [np.array([m[k] for m in made])] for i, bits in enumerate((dhash(c) != h).sum(1))]
    a, b = np.triu_indices(len(x), 1)
    bits = distances(h, h)[a, b]
    order = np.argsort(bits, kind='stable')[:5000]
    truth, bits, a, b = np.sort([c[0] for c in copies]), bits[order], a[order], b[order]
    others = [(int(d), x[i], x[j], 'not made') for d, i, j in zip(bits, a, b)]
    copies, at = sorted(copies, key=lambda c: c[0]), np.arange(0, most + 1, 2)
    upto = lambda sorted_bits, near: int(np.searchsorted(sorted_bits, near, 'right'))
    found = [upto(truth, t) / len(truth) for t in at]
    touched = [len(set(a[:upto(bits, t)]) | set(b[:upto(bits, t)])) / len(x) for t in at]
    canvas, white = Canvas((0, most), (0, 1.05), 'bits that may differ', 'share', height=240), np.full_like(x[0], 255)
    furthest = lambda pairs: (pairs[-5:][::-1] + [(None, white, white, '')] * 5)[:5]
    def draw(near):
        k, n = upto(bits, near), upto(truth, near)
        shown = furthest(copies[:n]) + furthest(others[:k])
        tiles = grid([s[1] for s in shown] + [s[2] for s in shown], 10, [''] * 10 + [f'{s[0]} bits' if s[3] else '' for s in shown], cell=68)
        return np.vstack([tiles, canvas.draw([(at, found, '#0072B2', 2), (at, touched, '#D55E00', 2)], [(near, '#6b6b6b', '')])]), (
            f'Up to {near} bits: {n / len(truth):.0%} of the copies we made are found, and {plural(k, "pair")} that nobody made'
            f'{" or more" if k == 5000 else ""}. Above are the furthest that are still called the same: copies to the left, others to the right.')
    return Explorer(draw, [Slider('near', 'bits that may differ', 0, most, 2, NEAR)],
                    title='Copies found (blue), pictures in a pair that nobody made (orange)',
                    alt='Pairs that the hash calls the same, above; below, the two shares against the threshold.')
