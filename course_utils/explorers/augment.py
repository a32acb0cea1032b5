"""The sliders of lesson 01: how often each operation touches a picture, seen on draws of the same few pictures."""
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
    draws = [Draws(picture, n, ops, seed + k) for k, picture in enumerate(pictures)]
    total = n * len(pictures)

    def draw(**values):
        ps = list(values.values())
        switched_on = np.vstack([d.switched_on(ps) for d in draws])  # (draws, operations)
        low, high = band(total, touched(ps))
        n_touched = switched_on.any(1).sum()
        counts = [f'{name} {count}' for name, count in zip(ops, switched_on.sum(0))]
        rows = [grid(d.views(ps), n, cell=cell) for d in draws]
        return np.vstack(rows), (
            f'{n_touched} of {total} pictures are touched. Expected at these p: {touched(ps):.0%}, '
            f'that is {low} to {high} of {total} in 95 of 100 draws. '
            f'Switched on: {", ".join(counts)}.')

    return Explorer(
        draw,
        [Slider(f'p{k}', name, 0., 1., step, 0.) for k, name in enumerate(ops)],
        master=Slider('p', 'p of all', 0., 1., step, .1),
        title='Probability explorer',
        alt=f'{n} draws of each of {len(pictures)} pictures, augmented.',
    )
