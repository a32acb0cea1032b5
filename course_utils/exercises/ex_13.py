"""Exercises of lesson 13, newer techniques: texts, hints, solutions, wrong answers and checks. Whoever wants to solve them stops reading here."""
import numpy as np

from course_utils.classroom.compare import as_number, as_numbers, short_repr
from course_utils.classroom.exercise import exercise, wrong
from course_utils.classroom.guesses import quantity

quantity(
    '13', 'gain', 'accuracy with mixup, minus that without',
    widest=(-.2, .2), example=(-.02, .04), shown='{:+.1%}',
    expected=lambda r: [r['gains']['+ mixup'][k] for k in ('gain', 'low', 'high')])


@exercise('13-1', 'The label of a mixed picture')
class TheLabelOfAMixedPicture:
    """
    Write `mixed_label(first, second, share, n_classes)`: the label of a picture that is `share` of one of class
    `first` and the rest of one of class `second`, as a list of `n_classes` probabilities. The two may be
    of the same class.
    """
    answer = 'mixed_label'
    hints = (
        'The labels are mixed as the pixels are.',
        'Begin with zeros. Add `share` at one place, and the rest at the other.',
        '`label[first] += share`, then `label[second] += 1 - share`: with `+=` two of one class give 1.',
    )

    def start():
        def mixed_label(first, second, share, n_classes):
            ...

    def solution():
        def mixed_label(first, second, share, n_classes):
            label = [0.] * n_classes
            label[first] += share
            label[second] += 1 - share
            return label

    @wrong('the same class')
    def overwritten():
        def mixed_label(first, second, share, n_classes):
            label = [0.] * n_classes
            label[first] = share
            label[second] = 1 - share
            return label

    @wrong('are asked for')
    def turned_round():
        def mixed_label(first, second, share, n_classes):
            label = [0.] * n_classes
            label[first] += 1 - share
            label[second] += share
            return label

    @wrong('shape')
    def two_numbers():
        def mixed_label(first, second, share, n_classes):
            return [share, 1 - share]

    def check(answer, rng):
        n = int(rng.integers(4, 9))
        first, second = (int(c) for c in rng.permutation(n)[:2])
        share = round(float(rng.uniform(.55, .95)), 2)
        want = np.zeros(n)
        want[[first, second]] = share, 1 - share
        got = as_numbers(answer(first, second, share, n), n)
        if not np.allclose(got, want):
            return f'For {share:g} of class {first} and the rest of class {second}, these probabilities are asked for: {want.tolist()}. You give {short_repr(got)}.'
        if not np.allclose(as_numbers(answer(first, first, share, n), n).sum(), 1):
            return f'Two pictures of the same class, {first}, have a label that is certain. Your probabilities add up to something else than 1.'


@exercise('13-2', 'The most that smoothing lets it learn')
class TheMostThatSmoothingLetsItLearn:
    """
    Labels are smoothed by `share`. What probability does the loss want for the true class, of `n_classes`? Write
    `wanted(share, n_classes)`. Then compare with your run: is the network less sure of its training pictures?
    """
    answer = 'wanted'
    hints = (
        'The loss is lowest where the answer is the label itself.',
        'What is left to the true class is `1 - share`. But the share that is given away goes to all classes alike.',
        '`1 - share + share / n_classes`',
    )

    def start():
        def wanted(share, n_classes):
            ...

    def solution():
        def wanted(share, n_classes):
            return 1 - share + share / n_classes

    @wrong('to all classes')
    def nothing_back():
        def wanted(share, n_classes):
            return 1 - share

    @wrong('is asked for')
    def shared_by_the_rest():
        def wanted(share, n_classes):
            return 1 - share / n_classes

    def check(answer, rng):
        share, n = round(float(rng.uniform(.05, .4)), 2), int(rng.integers(3, 9))
        got = as_number(answer(share, n), 'The probability')
        want = 1 - share + share / n
        if np.isclose(got, 1 - share):
            return f'You give {got:.3f}. The share {share:g} goes to all classes, and the true one is one of these {n}.'
        if not np.isclose(got, want):
            return f'With {share:g} and {n} classes {want:.3f} is asked for, and you give {got:.3f}.'


@exercise('13-3', 'How far back an average reaches')
class HowFarBackAnAverageReaches:
    """
    An average keeps `decay` of itself at each step. After how many **whole** steps has a weight of today less than
    half its say? Write `half_life(decay)`. How many epochs is that, with `len(pics.train) // recipe.bs` steps in one?
    """
    answer = 'half_life'
    hints = (
        'After n steps `decay ** n` is left of what was there.',
        'Multiply until it is below one half, and count.',
        '`n = 1`, and `while decay ** n >= .5: n += 1`',
    )

    def start():
        def half_life(decay):
            ...

    def solution():
        def half_life(decay):
            n = 1
            while decay ** n >= .5: n += 1
            return n

    @wrong('still has')
    def too_few():
        def half_life(decay):
            n = 1
            while decay ** n >= .5: n += 1
            return n - 1

    @wrong('already after')
    def mean_age():
        def half_life(decay):
            return round(1 / (1 - decay)) + 1

    @wrong('whole number')
    def no_whole_number():
        import math
        def half_life(decay):
            return math.log(.5) / math.log(decay)

    def check(answer, rng):
        decay = round(float(rng.uniform(.93, .995)), 4)
        got = as_number(answer(decay), 'The number of steps')
        if got != int(got): return f'You give {got:.2f}, and a whole number of steps was asked for.'
        if decay ** got >= .5:
            return f'After {got:.0f} steps with {decay:g} it still has {decay ** got:.3f} of its say.'
        if decay ** (got - 1) < .5:
            return f'You give {got:.0f}, and it is below one half already after {got - 1:.0f}: {decay ** (got - 1):.3f}.'
