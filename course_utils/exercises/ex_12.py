"""Your own pictures: texts, checks, hints and solutions. Whoever wants to solve them stops reading here."""


from course_utils.classroom.checker import brief, exercise, number, numbers, Wrong
from course_utils.classroom.guesses import quantity

import numpy as np

quantity('12', 'leak', 'accuracy that copies in training add, on the pictures copied', widest=(-.2, .6), example=(0, .1), shown='{:+.1%}',
         expected=lambda r: r['leak'])
quantity('12', 'balanced', 'balanced accuracy of the recipe', widest=(0, 1), example=(.5, .9), shown='{:.1%}',
         expected=lambda r: [r['balanced'], *r['balanced_interval']])

@exercise('12-1', 'How many to hold out?', '''
    Your classifier is right for about 80 % of new pictures, and you want to say so within ±3 points, nineteen times out of twenty. How many pictures must be held out at the least? A share `p` measured on `n` pictures has the standard deviation √(p (1 − p) / n), and nineteen of twenty lie within 1.96 of those. Put the number into `held_out`.''',
    start='''
    held_out = None  # pictures''',
    answer='held_out',
    hints=['You know how far off it may be: 1.96 standard deviations are 0.03. Solve for n.',
           '0.03 = 1.96 · √(0.8 · 0.2 / n). Square both sides.',
           '`1.96 ** 2 * .8 * .2 / .03 ** 2`'],
    solution='held_out = 1.96 ** 2 * .8 * .2 / .03 ** 2',
    wrong={'held_out = .8 * .2 / .03 ** 2': 'one standard deviation',
           'held_out = 1.96 * .8 * .2 / .03 ** 2': 'squared',
           'held_out = 1.96 ** 2 * .5 * .5 / .03 ** 2': 'worst case',
           'held_out = 1.96 ** 2 * .8 * .2 / .06 ** 2': 'six points',
           'held_out = 100': 'within ±'})
def check_12_1(answer, rng):
    got = number(answer, 'The number of pictures')
    of = lambda z2, p, half: z2 * p * (1 - p) / half ** 2
    near = lambda v: abs(got - v) < .01 * v
    if near(of(1, .8, .03)): return f'{got:.0f} pictures bring one standard deviation to 3 points. That holds two times out of three, and asked for is nineteen out of twenty.'
    if near(of(1.96, .8, .03)): return f'{got:.0f} is too few: when both sides are squared, so is the 1.96.'
    if near(of(1.96 ** 2, .5, .03)): return f'{got:.0f} is the worst case, for a share of 50 %. At 80 % fewer are enough.'
    if near(of(1.96 ** 2, .8, .06)): return f'{got:.0f} gives six points to either side. ±3 is 0.03 on each.'
    if not near(of(1.96 ** 2, .8, .03)): return f'With {got:,.0f} pictures it is known within ±{1.96 * (.16 / max(got, 1)) ** .5:.2%}: {"fewer are enough" if got > of(1.96 ** 2, .8, .03) else "too few"}.'

@exercise('12-2', 'Who leaks?', '''
    Write `leaks(hashes, held, near)`: `hashes` are `(N, bits)` booleans, `held` is `(N,)`, true where a picture is held out. The result is the sorted list of places of those **held-out** pictures that differ from some **training** picture in at most `near` bits. Two held-out pictures that are alike are no leak.''',
    start='''
    def leaks(hashes, held, near):
        ...''',
    answer='leaks',
    hints=['Each held-out picture is compared with every training picture, and with no other.',
           '`(hashes[i] != hashes[~held]).sum(1)` are the distances of picture `i` from all training pictures.',
           '`[i for i in np.flatnonzero(held) if ((hashes[i] != hashes[~held]).sum(1) <= near).any()]`'],
    before='import numpy as np',
    solution='''
    def leaks(hashes, held, near):
        near_one = lambda i: ((hashes[i] != hashes[~held]).sum(1) <= near).any()
        return [int(i) for i in np.flatnonzero(held) if near_one(i)]''',
    wrong={'''
    def leaks(hashes, held, near):
        near_one = lambda i: ((hashes[i] != hashes[~held]).sum(1) < near).any()
        return [int(i) for i in np.flatnonzero(held) if near_one(i)]''': 'at most',
           '''
    def leaks(hashes, held, near):
        near_one = lambda i: ((hashes[i] != hashes).sum(1) <= near).sum() > 1
        return [int(i) for i in np.flatnonzero(held) if near_one(i)]''': 'is held out, too',
           '''
    def leaks(hashes, held, near):
        near_one = lambda i: ((hashes[i] != hashes[held]).sum(1) <= near).any()
        return [int(i) for i in np.flatnonzero(~held) if near_one(i)]''': 'training picture itself',
           '''
    def leaks(hashes, held, near):
        near_one = lambda i: (hashes[i] == hashes[~held]).all(1).any()
        return [int(i) for i in np.flatnonzero(held) if near_one(i)]''': 'should be [0, 2]',
           '''
    def leaks(hashes, held, near):
        return {int(i) for i in np.flatnonzero(held) if ((hashes[i] != hashes[~held]).sum(1) <= near).any()}''': 'a list of places'})
def check_12_2(answer, rng):
    n, bits, near = int(rng.integers(12, 20)), 64, int(rng.integers(3, 6))
    hashes, held = rng.random((n, bits)) < .5, np.arange(n) % 2 == 0
    def copy(of, to, off):
        hashes[to] = hashes[of]
        hashes[to, rng.permutation(bits)[:off]] ^= True
    copy(1, 0, 1); copy(3, 2, near); copy(4, 6, 1); copy(5, 8, near + 1)
    got = answer(hashes, held, near)
    if not isinstance(got, (list, tuple, np.ndarray)): raise Wrong(f'The result is {brief(got)}, and should be a list of places.')
    got = [int(i) for i in got]
    if own := [i for i in got if not held[i]]: return f'Place {own[0]} is in your list, and is a training picture itself.'
    if {4, 6} & set(got): return f'Places 4 and 6 are alike, and either is held out, too: that is no leak.'
    if got == [0]: return f'Place 2 differs from a training picture in {near} bits, near is {near}, and it is missed: at most {near} was asked for.'
    if got != [0, 2]: return f'Your list is {brief(got)}, and should be [0, 2].'

@exercise('12-3', 'Prepare a picture for the file', '''
    Write `prepare(x, mean, std)`: `x` is a picture `(H, W, 3)` of bytes, `mean` and `std` have three numbers each, for values from 0 to 1. The result is what the exported file wants: `(1, 3, H, W)`, numbers of kind `float32`, each channel less its mean, divided by its deviation.''',
    start='''
    def prepare(x, mean, std):
        ...''',
    answer='prepare',
    hints=['Four steps: from 0…255 to 0…1, normalise, channels to the front, one more axis for the batch.',
           'While the channels are last, `(x / 255 - mean) / std` fits by itself. `transpose(2, 0, 1)` brings them to the front, `[None]` adds an axis.',
           '`((x / 255 - np.array(mean)) / np.array(std)).transpose(2, 0, 1)[None].astype(np.float32)`'],
    before='import numpy as np',
    solution='''
    def prepare(x, mean, std):
        x = (x / 255 - np.array(mean)) / np.array(std)
        return x.transpose(2, 0, 1)[None].astype(np.float32)''',
    wrong={'''
    def prepare(x, mean, std):
        return ((x - np.array(mean)) / np.array(std)).transpose(2, 0, 1)[None].astype(np.float32)''': 'the bytes go up to',
           '''
    def prepare(x, mean, std):
        return ((x / 255 - np.array(mean)) / np.array(std))[None].astype(np.float32)''': 'shape',
           '''
    def prepare(x, mean, std):
        return ((x / 255 - np.array(mean)) / np.array(std)).transpose(2, 1, 0)[None].astype(np.float32)''': 'on its side',
           '''
    def prepare(x, mean, std):
        return ((x / 255 - np.array(mean)) / np.array(std)).transpose(2, 0, 1)[None]''': 'float64',
           '''
    def prepare(x, mean, std):
        x = (x[..., ::-1] / 255 - np.array(mean)) / np.array(std)
        return x.transpose(2, 0, 1)[None].astype(np.float32)''': 'red and blue',
           '''
    def prepare(x, mean, std):
        return (x / 255 - np.array(mean)).transpose(2, 0, 1)[None].astype(np.float32)''': 'should be'})
def check_12_3(answer, rng):
    side = int(rng.integers(6, 12))
    x, mean, std = rng.integers(0, 256, (side, side, 3)).astype(np.uint8), rng.uniform(.3, .6, 3).round(3).tolist(), rng.uniform(.2, .3, 3).round(3).tolist()
    out = answer(x, mean, std)
    got, kind = numbers(out, (1, 3, side, side), 'The result'), getattr(out, 'dtype', None)
    of = lambda v: ((v - np.array(mean)) / np.array(std)).transpose(2, 0, 1)[None]
    if np.allclose(got, of(x.astype(float)), atol=1e-2): return f'The largest value is {got.max():.0f}: mean and deviation are meant for 0 to 1, and the bytes go up to 255.'
    if np.allclose(got, of(x.transpose(1, 0, 2) / 255), atol=1e-4): return 'The picture lies on its side: rows have become columns.'
    if np.allclose(got, of(x[..., ::-1] / 255), atol=1e-4): return 'You have exchanged red and blue. The course reads RGB, and so was the network trained.'
    if not np.allclose(got, of(x / 255), atol=1e-4): return f'The first value is {got.flat[0]:.4f}, and should be {of(x / 255).flat[0]:.4f}: the byte {x[0, 0, 0]} / 255, less {mean[0]}, divided by {std[0]}.'
    if str(kind) != 'float32': return f'The numbers are right, and of kind {kind}: the file takes float32 alone.'
