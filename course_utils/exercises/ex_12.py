"""Exercises of lesson 12, your own pictures: texts, hints, solutions, wrong answers and checks. Whoever wants to solve them stops reading here."""
import numpy as np

from course_utils.classroom.compare import Wrong, as_number, as_numbers, short_repr
from course_utils.classroom.exercise import exercise, wrong
from course_utils.classroom.guesses import quantity

quantity(
    '12', 'leak', 'accuracy that copies in training add, on the pictures copied',
    widest=(-.2, .6), example=(0, .1), shown='{:+.1%}',
    expected=lambda r: r['leak'])
quantity(
    '12', 'balanced', 'balanced accuracy of the recipe',
    widest=(0, 1), example=(.5, .9), shown='{:.1%}',
    expected=lambda r: [r['balanced'], *r['balanced_interval']])


def pictures_needed(z_squared, p, half_width):
    "So that a share `p` is known to ± that, where `z` standard deviations are."
    return z_squared * p * (1 - p) / half_width ** 2


@exercise('12-1', 'How many to hold out?')
class HowManyToHoldOut:
    """
    Your classifier is right for about 80 % of new pictures, and you want to say so within ±3 points,
    nineteen times out of twenty. How many pictures must be held out at the least? A share `p` measured on
    `n` pictures has the standard deviation √(p (1 − p) / n), and nineteen of twenty lie within 1.96 of
    those. Put the number into `held_out`.
    """
    answer = 'held_out'
    hints = (
        'You know how far off it may be: 1.96 standard deviations are 0.03. Solve for n.',
        '0.03 = 1.96 · √(0.8 · 0.2 / n). Square both sides.',
        '`1.96 ** 2 * .8 * .2 / .03 ** 2`',
    )

    def start():
        held_out = None  # pictures

    def solution():
        held_out = 1.96 ** 2 * .8 * .2 / .03 ** 2

    @wrong('one standard deviation')
    def one_deviation():
        held_out = .8 * .2 / .03 ** 2

    @wrong('squared')
    def not_squared():
        held_out = 1.96 * .8 * .2 / .03 ** 2

    @wrong('worst case')
    def worst_case():
        held_out = 1.96 ** 2 * .5 * .5 / .03 ** 2

    @wrong('six points')
    def six_points():
        held_out = 1.96 ** 2 * .8 * .2 / .06 ** 2

    @wrong('within ±')
    def guess():
        held_out = 100

    def check(answer, rng):
        got = as_number(answer, 'The number of pictures')
        is_near = lambda value: abs(got - value) < .01 * value
        if is_near(pictures_needed(1, .8, .03)):
            return f'{got:.0f} pictures bring one standard deviation to 3 points. That holds two times out of three, and asked for is nineteen out of twenty.'
        if is_near(pictures_needed(1.96, .8, .03)):
            return f'{got:.0f} is too few: when both sides are squared, so is the 1.96.'
        if is_near(pictures_needed(1.96 ** 2, .5, .03)):
            return f'{got:.0f} is the worst case, for a share of 50 %. At 80 % fewer are enough.'
        if is_near(pictures_needed(1.96 ** 2, .8, .06)):
            return f'{got:.0f} gives six points to either side. ±3 is 0.03 on each.'
        want = pictures_needed(1.96 ** 2, .8, .03)
        if not is_near(want):
            half_width = 1.96 * (.16 / max(got, 1)) ** .5
            return f'With {got:,.0f} pictures it is known within ±{half_width:.2%}: {"fewer are enough" if got > want else "too few"}.'


def hashes_with_copies(rng, n, bits, limit):
    "Random ones. The held-out 0, 2 and 8 are like 1, 3 and 5 of training; 4 and 6, both held out, are like each other."
    hashes = rng.random((n, bits)) < .5
    copies = [
        # original, copy, bits between them
        (1, 0, 1),
        (3, 2, limit),
        (4, 6, 1),
        (5, 8, limit + 1),
    ]
    for original, copy, distance in copies:
        hashes[copy] = hashes[original]
        hashes[copy, rng.permutation(bits)[:distance]] ^= True
    return hashes


@exercise('12-2', 'Who leaks?')
class WhoLeaks:
    """
    Write `leaks(hashes, held, near)`: `hashes` are `(N, bits)` booleans, `held` is `(N,)`, true where a
    picture is held out. The result is the sorted list of places of those **held-out** pictures that differ
    from some **training** picture in at most `near` bits. Two held-out pictures that are alike are no leak.
    """
    answer = 'leaks'
    hints = (
        'Each held-out picture is compared with every training picture, and with no other.',
        '`(hashes[i] != hashes[~held]).sum(1)` are the distances of picture `i` from all training pictures.',
        '`[i for i in np.flatnonzero(held) if ((hashes[i] != hashes[~held]).sum(1) <= near).any()]`',
    )

    def start():
        def leaks(hashes, held, near):
            ...

    def setup():
        import numpy as np

    def solution():
        def leaks(hashes, held, near):
            near_one = lambda i: ((hashes[i] != hashes[~held]).sum(1) <= near).any()
            return [int(i) for i in np.flatnonzero(held) if near_one(i)]

    @wrong('at most')
    def strictly_less():
        def leaks(hashes, held, near):
            near_one = lambda i: ((hashes[i] != hashes[~held]).sum(1) < near).any()
            return [int(i) for i in np.flatnonzero(held) if near_one(i)]

    @wrong('is held out, too')
    def every_picture():
        def leaks(hashes, held, near):
            near_one = lambda i: ((hashes[i] != hashes).sum(1) <= near).sum() > 1
            return [int(i) for i in np.flatnonzero(held) if near_one(i)]

    @wrong('training picture itself')
    def training_pictures():
        def leaks(hashes, held, near):
            near_one = lambda i: ((hashes[i] != hashes[held]).sum(1) <= near).any()
            return [int(i) for i in np.flatnonzero(~held) if near_one(i)]

    @wrong('should be [0, 2]')
    def identical_only():
        def leaks(hashes, held, near):
            near_one = lambda i: (hashes[i] == hashes[~held]).all(1).any()
            return [int(i) for i in np.flatnonzero(held) if near_one(i)]

    @wrong('a list of places')
    def as_set():
        def leaks(hashes, held, near):
            return {int(i) for i in np.flatnonzero(held) if ((hashes[i] != hashes[~held]).sum(1) <= near).any()}

    def check(answer, rng):
        n = int(rng.integers(12, 20))
        limit = int(rng.integers(3, 6))
        hashes = hashes_with_copies(rng, n, 64, limit)
        held_out = np.arange(n) % 2 == 0
        got = answer(hashes, held_out, limit)
        if not isinstance(got, (list, tuple, np.ndarray)):
            raise Wrong(f'The result is {short_repr(got)}, and should be a list of places.')
        got = [int(i) for i in got]
        in_training = [i for i in got if not held_out[i]]
        if in_training:
            return f'Place {in_training[0]} is in your list, and is a training picture itself.'
        if {4, 6} & set(got):
            return 'Places 4 and 6 are alike, and either is held out, too: that is no leak.'
        if got == [0]:
            return f'Place 2 differs from a training picture in {limit} bits, near is {limit}, and it is missed: at most {limit} was asked for.'
        if got != [0, 2]:
            return f'Your list is {short_repr(got)}, and should be [0, 2].'


@exercise('12-3', 'Prepare a picture for the file')
class PrepareAPictureForTheFile:
    """
    Write `prepare(x, mean, std)`: `x` is a picture `(H, W, 3)` of bytes, `mean` and `std` have three
    numbers each, for values from 0 to 1. The result is what the exported file wants: `(1, 3, H, W)`,
    numbers of kind `float32`, each channel less its mean, divided by its deviation.
    """
    answer = 'prepare'
    hints = (
        'Four steps: from 0…255 to 0…1, normalise, channels to the front, one more axis for the batch.',
        'While the channels are last, `(x / 255 - mean) / std` fits by itself. `transpose(2, 0, 1)` '
        'brings them to the front, `[None]` adds an axis.',
        '`((x / 255 - np.array(mean)) / np.array(std)).transpose(2, 0, 1)[None].astype(np.float32)`',
    )

    def start():
        def prepare(x, mean, std):
            ...

    def setup():
        import numpy as np

    def solution():
        def prepare(x, mean, std):
            x = (x / 255 - np.array(mean)) / np.array(std)
            return x.transpose(2, 0, 1)[None].astype(np.float32)

    @wrong('the bytes go up to')
    def bytes_as_they_are():
        def prepare(x, mean, std):
            return ((x - np.array(mean)) / np.array(std)).transpose(2, 0, 1)[None].astype(np.float32)

    @wrong('shape')
    def channels_last():
        def prepare(x, mean, std):
            return ((x / 255 - np.array(mean)) / np.array(std))[None].astype(np.float32)

    @wrong('on its side')
    def rows_for_columns():
        def prepare(x, mean, std):
            return ((x / 255 - np.array(mean)) / np.array(std)).transpose(2, 1, 0)[None].astype(np.float32)

    @wrong('float64')
    def not_float32():
        def prepare(x, mean, std):
            return ((x / 255 - np.array(mean)) / np.array(std)).transpose(2, 0, 1)[None]

    @wrong('red and blue')
    def blue_for_red():
        def prepare(x, mean, std):
            x = (x[..., ::-1] / 255 - np.array(mean)) / np.array(std)
            return x.transpose(2, 0, 1)[None].astype(np.float32)

    @wrong('should be')
    def no_deviation():
        def prepare(x, mean, std):
            return (x / 255 - np.array(mean)).transpose(2, 0, 1)[None].astype(np.float32)

    def check(answer, rng):
        side = int(rng.integers(6, 12))
        x = rng.integers(0, 256, (side, side, 3)).astype(np.uint8)
        mean = rng.uniform(.3, .6, 3).round(3).tolist()
        std = rng.uniform(.2, .3, 3).round(3).tolist()
        result = answer(x, mean, std)
        got = as_numbers(result, (1, 3, side, side), 'The result')
        kind = str(getattr(result, 'dtype', None))
        prepared = lambda values: ((values - mean) / std).transpose(2, 0, 1)[None]
        want = prepared(x / 255)
        if np.allclose(got, prepared(x.astype(float)), atol=1e-2):
            return f'The largest value is {got.max():.0f}: mean and deviation are meant for 0 to 1, and the bytes go up to 255.'
        if np.allclose(got, prepared(x.transpose(1, 0, 2) / 255), atol=1e-4):
            return 'The picture lies on its side: rows have become columns.'
        if np.allclose(got, prepared(x[..., ::-1] / 255), atol=1e-4):
            return 'You have exchanged red and blue. The course reads RGB, and so was the network trained.'
        if not np.allclose(got, want, atol=1e-4):
            return f'The first value is {got.flat[0]:.4f}, and should be {want.flat[0]:.4f}: the byte {x[0, 0, 0]} / 255, less {mean[0]}, divided by {std[0]}.'
        if kind != 'float32':
            return f'The numbers are right, and of kind {kind}: the file takes float32 alone.'
