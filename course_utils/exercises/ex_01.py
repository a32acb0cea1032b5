"""Exercises of lesson 01, augmentation: texts, hints, solutions, wrong answers and checks. Whoever wants to solve them stops reading here."""
import numpy as np

from course_utils.classroom.compare import as_number
from course_utils.classroom.exercise import exercise, wrong
from course_utils.classroom.guesses import quantity
from course_utils.techniques.augment import touched

quantity(
    '01', 'best_p', 'p with the lowest validation loss',
    widest=(0, .33), example=(.1, .3), shown='{:.2f}')
quantity(
    '01', 'loss_change', 'validation loss at that p, minus that at p = 0',
    widest=(-1, .5), shown='{:+.2f}',
    expected=lambda r: r['loss_change'])
quantity(
    '01', 'gain', 'accuracy at that p, minus that at p = 0',
    widest=(-.2, .2), shown='{:+.1%}',
    expected=lambda r: r['gain'])


@exercise('01-1', 'Half of the pictures')
class HalfOfThePictures:
    """
    At which p is half of the pictures touched, with seven operations? Work it out and put the number into
    `p_half`. Then set the explorer's top slider to it.
    """
    answer = 'p_half'
    hints = (
        'A picture stays untouched if all seven coins fall the other way. How likely is that?',
        'Untouched: (1 − p) seven times over. You want that to be one half.',
        'Solve (1 − p)**7 = 1/2: take the seventh root, `.5 ** (1 / 7)`, and subtract it from 1.',
    )

    def start():
        p_half = None  # a number

    def solution():
        p_half = 1 - .5 ** (1 / 7)

    @wrong('touches 99.2% of the pictures')
    def one_half():
        p_half = .5

    @wrong('Probabilities do not add up')
    def half_shared_out():
        p_half = .5 / 7

    @wrong('the probability that one coin falls the other way')
    def untouched():
        p_half = .5 ** (1 / 7)

    @wrong('a probability lies')
    def no_probability():
        p_half = 10

    def check(answer, rng):
        p = as_number(answer, 'p')
        if not 0 <= p <= 1:
            return f'p is {p:g}, and a probability lies between 0 and 1.'
        share = touched([p] * 7)
        if np.isclose(p, .5 / 7, rtol=1e-3):
            return f'{p:.4f} is one half, shared out: it touches {share:.1%}. Probabilities do not add up, because one picture can be touched twice.'
        if np.isclose(p, .5 ** (1 / 7), rtol=1e-3):
            return f'{p:.4f} is the probability that one coin falls the other way. You are nearly there.'
        if abs(share - .5) > .005:
            return f'p = {p:.4f} touches {share:.1%} of the pictures.'


@exercise('01-2', 'How many are touched?')
class HowManyAreTouched:
    """
    Write `share_touched(ps)`: the probability that at least one operation is switched on, for a list of
    probabilities that may all differ.
    """
    answer = 'share_touched'
    hints = (
        'It is easier to ask for the opposite: that none is switched on.',
        'None is switched on with probability (1 − p₁)·(1 − p₂)·…, because the coins are independent.',
        'Multiply `1 - p` over all `p` in a loop, or with `math.prod`, and subtract the product from 1.',
    )

    def start():
        def share_touched(ps):
            ...

    def setup():
        import math

    def solution():
        def share_touched(ps):
            return 1 - math.prod(1 - p for p in ps)

    @wrong('that is their sum')
    def total():
        def share_touched(ps):
            return sum(ps)

    @wrong('that none is switched on')
    def none_touched():
        def share_touched(ps):
            return math.prod(1 - p for p in ps)

    @wrong('that all are switched on')
    def all_touched():
        def share_touched(ps):
            return math.prod(ps)

    @wrong('should be')
    def first_p_only():
        def share_touched(ps):
            return 1 - (1 - ps[0]) ** len(ps)

    @wrong('single operation')
    def fixed_for_one():
        def share_touched(ps):
            return 1 - math.prod(1 - p for p in ps) if len(ps) > 1 else .5

    def check(answer, rng):
        ps = rng.uniform(.15, .45, int(rng.integers(3, 8))).round(2).tolist()
        got = as_number(answer(ps), 'The share')
        want = touched(ps)
        if np.isclose(got, sum(ps)):
            return f'For {ps} you give {got:.3f}: that is their sum, and it counts a picture twice that is touched twice.'
        if np.isclose(got, np.prod([1 - p for p in ps])):
            return f'For {ps} you give {got:.3f}: the probability that none is switched on.'
        if np.isclose(got, np.prod(ps)):
            return f'For {ps} you give {got:.4f}: the probability that all are switched on.'
        if not np.isclose(got, want):
            return f'For {ps} you give {got:.3f}, and it should be {want:.3f}.'
        single = as_number(answer(ps[:1]), 'The share')
        if not np.isclose(single, ps[0]):
            return f'For a single operation with p = {ps[0]} you give {single:.3f}.'


def eight_views(x):
    "A square picture in the eight positions that flips and quarter turns lead to: `(turns, flipped)` → the picture."
    views = {}
    for turns in range(4):
        views[turns, False] = np.rot90(x, turns)
        views[turns, True] = np.rot90(x[:, ::-1], turns)
    return views


def view_of(x, views):
    "Which of the views a picture is, or None."
    return next((name for name, view in views.items() if np.array_equal(view, x)), None)


@exercise('01-3', 'Flips and turns only')
class FlipsAndTurnsOnly:
    """
    Build a pipeline that can flip a picture horizontally and turn it by a random number of quarter turns,
    each with p = 0.5, and does nothing else. (A random number may be zero.) Use `pipeline`, or
    albumentations' own classes.
    """
    answer = 'my_pipeline'
    hints = (
        '`pipeline` takes a dict from name to probability. What is left out gets 0.',
        "The names are those of `SEVEN`: 'horizontal flip' and 'rotation by 90°'.",
        "`pipeline({'horizontal flip': .5, 'rotation by 90°': .5})`",
    )

    def start():
        my_pipeline = None

    def setup():
        from course_utils.techniques.augment import pipeline, SEVEN
        import albumentations as A

    def solution():
        my_pipeline = pipeline({'horizontal flip': .5, 'rotation by 90°': .5})

    @wrong('is no longer the picture flipped or turned')
    def all_seven():
        my_pipeline = pipeline(.5)

    @wrong('never turns')
    def flips_only():
        my_pipeline = pipeline({'horizontal flip': .5})

    @wrong('never flips')
    def turns_only():
        my_pipeline = pipeline({'rotation by 90°': .5})

    @wrong('leaves')
    def always_turns():
        my_pipeline = pipeline({'horizontal flip': .5, 'rotation by 90°': 1.})

    @wrong('flips')
    def rare_flips():
        my_pipeline = A.Compose([A.HorizontalFlip(p=.1), A.RandomRotate90(p=.5)])

    def check(answer, rng):
        x = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
        views = eight_views(x)
        seen = []
        for _ in range(400):
            seen.append(view_of(answer(image=x.copy())['image'], views))
            if seen[-1] is None:
                return f'After your pipeline a picture came out that is no longer the picture flipped or turned (it was view {len(seen)}): something changes its pixels.'
        turned = np.mean([turns > 0 for turns, _ in seen])
        flipped = np.mean([flip for _, flip in seen])
        if not turned:
            return 'In 400 views it never turns a picture.'
        if not flipped:
            return 'In 400 views it never flips a picture.'
        if abs(turned - .375) > .11:
            return f'It leaves {1 - turned:.0%} of the pictures unturned. With p = 0.5 that should be about 62 %: half are not asked, and a quarter of the others draw no turn.'
        if abs(flipped - .5) > .13:
            return f'It flips {flipped:.0%} of the pictures, and that should be about half.'


@exercise('01-4', 'A pipeline by yourself')
class APipelineByYourself:
    """
    Write `augment(x, ops, ps, rng)`. `ops` are functions from picture to picture, `ps` their
    probabilities. For each operation in order toss a coin of its own, `rng.random() < p`, and apply it if
    the coin says so. Return the picture.
    """
    answer = 'augment'
    hints = (
        'A loop over pairs: `for op, p in zip(ops, ps):`.',
        'The coin must be tossed inside the loop. Tossed before it, all operations switch on together.',
        'Inside: `if rng.random() < p: x = op(x)`. After the loop: `return x`.',
    )

    def start():
        def augment(x, ops, ps, rng):
            ...

    def solution():
        def augment(x, ops, ps, rng):
            for op, p in zip(ops, ps):
                if rng.random() < p:
                    x = op(x)
            return x

    @wrong('together')
    def one_coin():
        def augment(x, ops, ps, rng):
            coin = rng.random()
            for op, p in zip(ops, ps):
                if coin < p: x = op(x)
            return x

    @wrong('of the time')
    def coin_turned_round():
        def augment(x, ops, ps, rng):
            for op, p in zip(ops, ps):
                if rng.random() > p: x = op(x)
            return x

    @wrong('in another order')
    def backwards():
        def augment(x, ops, ps, rng):
            for op, p in zip(ops[::-1], ps[::-1]):
                if rng.random() < p: x = op(x)
            return x

    @wrong('of the time')
    def first_only():
        def augment(x, ops, ps, rng):
            for op, p in zip(ops, ps):
                if rng.random() < p: return op(x)
            return x

    def check(answer, rng):
        ops = [lambda x, k=k: x + (k,) for k in range(3)]  # each notes that it was there
        ps = (.5, .5, .2)
        coins = np.random.default_rng(int(rng.integers(1e9)))
        seen = [tuple(answer((), ops, ps, coins)) for _ in range(1500)]
        for k, p in enumerate(ps):
            share = np.mean([k in s for s in seen])
            if abs(share - p) > .07:
                return f'With p = {p} operation {k} is applied {share:.0%} of the time.'
        unordered = [s for s in seen if list(s) != sorted(s)]
        if unordered:
            return f'{unordered[0]}: the operations come in another order than in `ops`.'
        joint = np.mean([0 in s and 1 in s for s in seen])
        if abs(joint - .25) > .07:
            return f'Two operations, each with p = 0.5, are both applied {joint:.0%} of the time; with a coin each it would be 25 %. Do yours switch on together, or one in place of the other?'
