"""Show the network every picture a little changed each time, and it can no longer learn them by heart."""
import numpy as np

from course_utils.show.draw import grid
from course_utils.show.explorer import Explorer, Slider
from course_utils.techniques.augment import Draws, SEVEN, band, touched


def probability_explorer(
    pictures,            # `(H, W, 3)` uint8 each
    n: int=10,           # draws of each
    ops=None,            # see `pipeline`
    seed: int=0,
    step: float=.01,     # between two positions of a slider
    cell: int=84,        # side of one picture, in pixels
) -> Explorer:
    "Draws of each picture, with one slider for the p of all operations and one for each."
    ops = ops or SEVEN
    draws, total = [Draws(x, n, ops, seed + k) for k, x in enumerate(pictures)], n * len(pictures)
    def draw(**values):
        ps = list(values.values())
        on = np.vstack([d.on(ps) for d in draws])
        low, high = band(total, touched(ps))
        return np.vstack([grid(d.views(ps), n, cell=cell) for d in draws]), (
            f'{on.any(1).sum()} of {total} pictures are touched. Expected at these p: {touched(ps):.0%}, '
            f'that is {low} to {high} of {total} in 95 of 100 draws. '
            f'Switched on: {", ".join(f"{name} {k}" for name, k in zip(ops, on.sum(0)))}.')
    return Explorer(draw, [Slider(f'p{k}', name, 0., 1., step, 0.) for k, name in enumerate(ops)],
                    master=Slider('p', 'p of all', 0., 1., step, .1), title='Probability explorer',
                    alt=f'{n} draws of each of {len(pictures)} pictures, augmented.')
