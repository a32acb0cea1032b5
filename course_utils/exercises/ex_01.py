"""Augmentation: texts, checks, hints and solutions. Whoever wants to solve them stops reading here."""


from course_utils.classroom.checker import exercise, number
from course_utils.classroom.guesses import quantity

import numpy as np

from course_utils.techniques.augment import touched

quantity('01', 'best_p', 'p with the lowest validation loss', widest=(0, .33), example=(.1, .3), shown='{:.2f}')
quantity('01', 'loss_change', 'validation loss at that p, minus that at p = 0', widest=(-1, .5), shown='{:+.2f}', expected=lambda r: r['loss_change'])
quantity('01', 'gain', 'accuracy at that p, minus that at p = 0', widest=(-.2, .2), shown='{:+.1%}', expected=lambda r: r['gain'])

@exercise('01-1', 'Half of the pictures', '''
    At which p is half of the pictures touched, with seven operations? Work it out and put the number into `p_half`. Then set the explorer's top slider to it.''',
    start='''
    p_half = None  # a number''',
    answer='p_half',
    hints=['A picture stays untouched if all seven coins fall the other way. How likely is that?',
           'Untouched: (1 − p) seven times over. You want that to be one half.',
           'Solve (1 − p)**7 = 1/2: take the seventh root, `.5 ** (1 / 7)`, and subtract it from 1.'],
    solution='p_half = 1 - .5 ** (1 / 7)',
    wrong={'p_half = .5': 'touches 99.2% of the pictures',
           'p_half = .5 / 7': 'Probabilities do not add up',
           'p_half = .5 ** (1 / 7)': 'the probability that one coin falls the other way',
           'p_half = 10': 'a probability lies'})
def check_01_1(answer, rng):
    p = number(answer, 'p')
    if not 0 <= p <= 1: return f'p is {p:g}, and a probability lies between 0 and 1.'
    if np.isclose(p, .5 / 7, rtol=1e-3): return f'{p:.4f} is one half, shared out: it touches {touched([p] * 7):.1%}. Probabilities do not add up, because one picture can be touched twice.'
    if np.isclose(p, .5 ** (1 / 7), rtol=1e-3): return f'{p:.4f} is the probability that one coin falls the other way. You are nearly there.'
    if abs(touched([p] * 7) - .5) > .005: return f'p = {p:.4f} touches {touched([p] * 7):.1%} of the pictures.'

@exercise('01-2', 'How many are touched?', '''
    Write `share_touched(ps)`: the probability that at least one operation is switched on, for a list of probabilities that may all differ.''',
    start='''
    def share_touched(ps):
        ...''',
    answer='share_touched',
    hints=['It is easier to ask for the opposite: that none is switched on.',
           'None is switched on with probability (1 − p₁)·(1 − p₂)·…, because the coins are independent.',
           'Multiply `1 - p` over all `p` in a loop, or with `math.prod`, and subtract the product from 1.'],
    before='import math',
    solution='''
    def share_touched(ps):
        return 1 - math.prod(1 - p for p in ps)''',
    wrong={'''
    def share_touched(ps):
        return sum(ps)''': 'that is their sum',
           '''
    def share_touched(ps):
        return math.prod(1 - p for p in ps)''': 'that none is switched on',
           '''
    def share_touched(ps):
        return math.prod(ps)''': 'that all are switched on',
           '''
    def share_touched(ps):
        return 1 - (1 - ps[0]) ** len(ps)''': 'should be',
           '''
    def share_touched(ps):
        return 1 - math.prod(1 - p for p in ps) if len(ps) > 1 else .5''': 'single operation'})
def check_01_2(answer, rng):
    ps = rng.uniform(.15, .45, int(rng.integers(3, 8))).round(2).tolist()
    got, want = number(answer(ps), 'The share'), touched(ps)
    if np.isclose(got, sum(ps)): return f'For {ps} you give {got:.3f}: that is their sum, and it counts a picture twice that is touched twice.'
    if np.isclose(got, np.prod([1 - p for p in ps])): return f'For {ps} you give {got:.3f}: the probability that none is switched on.'
    if np.isclose(got, np.prod(ps)): return f'For {ps} you give {got:.4f}: the probability that all are switched on.'
    if not np.isclose(got, want): return f'For {ps} you give {got:.3f}, and it should be {want:.3f}.'
    if not np.isclose(one := number(answer(ps[:1]), 'The share'), ps[0]): return f'For a single operation with p = {ps[0]} you give {one:.3f}.'

def eight_views(x):
    "A square picture in the eight positions that flips and quarter turns lead to: `(turns, flipped)` → the picture."
    return {(k, flip): np.rot90(x[:, ::-1] if flip else x, k) for k in range(4) for flip in (False, True)}

@exercise('01-3', 'Flips and turns only', '''
    Build a pipeline that can flip a picture horizontally and turn it by a random number of quarter turns, each with p = 0.5, and does nothing else. (A random number may be nought.) Use `pipeline`, or albumentations' own classes.''',
    start='''
    my_pipeline = None''',
    answer='my_pipeline',
    hints=['`pipeline` takes a dict from name to probability. What is left out gets 0.',
           "The names are those of `SEVEN`: 'horizontal flip' and 'rotation by 90°'.",
           "`pipeline({'horizontal flip': .5, 'rotation by 90°': .5})`"],
    before='from course_utils.augment import pipeline, SEVEN\nimport albumentations as A',
    solution="my_pipeline = pipeline({'horizontal flip': .5, 'rotation by 90°': .5})",
    wrong={'my_pipeline = pipeline(.5)': 'is no longer the picture flipped or turned',
           "my_pipeline = pipeline({'horizontal flip': .5})": 'never turns',
           "my_pipeline = pipeline({'rotation by 90°': .5})": 'never flips',
           "my_pipeline = pipeline({'horizontal flip': .5, 'rotation by 90°': 1.})": 'leaves',
           "my_pipeline = A.Compose([A.HorizontalFlip(p=.1), A.RandomRotate90(p=.5)])": 'flips'})
def check_01_3(answer, rng):
    x, seen = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8), []
    views = eight_views(x)
    for _ in range(400):
        out = answer(image=x.copy())['image']
        seen.append(next((name for name, v in views.items() if np.array_equal(v, out)), None))
        if seen[-1] is None: return f'After your pipeline a picture came out that is no longer the picture flipped or turned (it was view {len(seen)}): something changes its pixels.'
    turned, flipped = np.mean([k > 0 for k, _ in seen]), np.mean([f for _, f in seen])
    if not turned: return 'In 400 views it never turns a picture.'
    if not flipped: return 'In 400 views it never flips a picture.'
    if abs(turned - .375) > .11: return f'It leaves {1 - turned:.0%} of the pictures unturned. With p = 0.5 that should be about 62 %: half are not asked, and a quarter of the others draw no turn.'
    if abs(flipped - .5) > .13: return f'It flips {flipped:.0%} of the pictures, and that should be about half.'

@exercise('01-4', 'A pipeline by yourself', '''
    Write `augment(x, ops, ps, rng)`. `ops` are functions from picture to picture, `ps` their probabilities. For each operation in order toss a coin of its own, `rng.random() < p`, and apply it if the coin says so. Return the picture.''',
    start='''
    def augment(x, ops, ps, rng):
        ...''',
    answer='augment',
    hints=['A loop over pairs: `for op, p in zip(ops, ps):`.',
           'The coin must be tossed inside the loop. Tossed before it, all operations switch on together.',
           'Inside: `if rng.random() < p: x = op(x)`. After the loop: `return x`.'],
    solution='''
    def augment(x, ops, ps, rng):
        for op, p in zip(ops, ps):
            if rng.random() < p:
                x = op(x)
        return x''',
    wrong={'''
    def augment(x, ops, ps, rng):
        coin = rng.random()
        for op, p in zip(ops, ps):
            if coin < p: x = op(x)
        return x''': 'together',
           '''
    def augment(x, ops, ps, rng):
        for op, p in zip(ops, ps):
            if rng.random() > p: x = op(x)
        return x''': 'of the time',
           '''
    def augment(x, ops, ps, rng):
        for op, p in zip(ops[::-1], ps[::-1]):
            if rng.random() < p: x = op(x)
        return x''': 'in another order',
           '''
    def augment(x, ops, ps, rng):
        for op, p in zip(ops, ps):
            if rng.random() < p: return op(x)
        return x''': 'of the time'})
def check_01_4(answer, rng):
    ops, coins = [lambda x, k=k: x + (k,) for k in range(3)], np.random.default_rng(int(rng.integers(1e9)))
    ps = (.5, .5, .2)
    seen = [tuple(answer((), ops, ps, coins)) for _ in range(1500)]
    for k, p in enumerate(ps):
        share = np.mean([k in s for s in seen])
        if abs(share - p) > .07: return f'With p = {p} operation {k} is applied {share:.0%} of the time.'
    if any(list(s) != sorted(s) for s in seen): return f'{next(s for s in seen if list(s) != sorted(s))}: the operations come in another order than in `ops`.'
    both = np.mean([0 in s and 1 in s for s in seen])
    if abs(both - .25) > .07: return f'Two operations, each with p = 0.5, are both applied {both:.0%} of the time; with a coin each it would be 25 %. Do yours switch on together, or one in place of the other?'
