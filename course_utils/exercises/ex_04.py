"""Exercises of lesson 04, schedules with restarts: texts, hints, solutions, wrong answers and checks. Whoever wants to solve them stops reading here."""
import numpy as np

from course_utils.classroom.compare import as_number, as_numbers
from course_utils.classroom.exercise import exercise, wrong
from course_utils.classroom.guesses import quantity
from course_utils.techniques.schedules import SGDR, cosine, sgdr

quantity(
    '04', 'loss_change', 'validation loss of SGDR ×2, minus that of one-cycle',
    widest=(-1, 1), example=(-.1, .1), shown='{:+.3f}',
    expected=lambda r: [r['table']['SGDR ×2'][k] for k in ('loss_change', 'loss_low', 'loss_high')])


@exercise('04-1', 'How long are five cycles?')
class HowLongAreFiveCycles:
    """
    How many epochs do five cycles take, with a first cycle of 2 epochs and a multiplier of 3? Work it out,
    then ask `SGDR(2, 3).story(…)`.
    """
    answer = 'my_epochs'
    hints = (
        'Write down the five lengths first. Each is three times the one before.',
        '2, 6, 18, … and then add them all up.',
        '2 · (1 + 3 + 9 + 27 + 81)',
    )

    def start():
        my_epochs = None  # a number

    def solution():
        my_epochs = sum(2 * 3 ** i for i in range(5))

    @wrong('the length of the last cycle')
    def last_cycle():
        my_epochs = 2 * 3 ** 4

    @wrong('each cycle is three times the one before')
    def multiplied():
        my_epochs = 2 * 3 * 5

    @wrong('ends mid-cycle')
    def sixth_cycle():
        my_epochs = 2 * 3 ** 5

    @wrong('ends with cycle 4')
    def four_cycles():
        my_epochs = 80

    def check(answer, rng):
        got = as_number(answer, 'The number of epochs')
        if got == 162:
            return f'{got:.0f} is the length of the last cycle alone. How long are all five?'
        if got == 30:
            return f'{got:.0f} is 2 · 3 · 5. But each cycle is three times the one before, so they grow.'
        if got != 242:
            cycles = SGDR(2, 3).cycles(max(1, got))
            n = len(cycles)
            end = f'ends with cycle {n}.' if sum(cycles) == got else f'ends mid-cycle, in cycle {n}.'
            return f'A run of {got:g} epochs {end}'


@exercise('04-2', 'Half a cosine')
class HalfACosine:
    """
    Write `annealed(step, steps, peak, low)`: the rate at `step`, from `peak` at step 0 along half a cosine
    down to `low` at `step == steps`.
    """
    answer = 'annealed'
    hints = (
        'The cosine runs from 1 to −1 while its angle runs from 0 to π. You need a share from 1 to 0.',
        'The share is `(1 + cos(pi * step / steps)) / 2`.',
        '`low + (peak - low) * (1 + cos(pi * step / steps)) / 2`, with `cos` and `pi` from `math`.',
    )

    def start():
        def annealed(step, steps, peak, low):
            ...

    def setup():
        from math import cos, pi

    def solution():
        from math import cos, pi

        def annealed(step, steps, peak, low):
            return low + (peak - low) * (1 + cos(pi * step / steps)) / 2

    @wrong('At the end')
    def ends_at_zero():
        def annealed(step, steps, peak, low):
            return peak * (1 + cos(pi * step / steps)) / 2

    @wrong('At the end')
    def two_halves():
        def annealed(step, steps, peak, low):
            return low + (peak - low) * (1 + cos(2 * pi * step / steps)) / 2

    @wrong('At the beginning')
    def starts_too_high():
        def annealed(step, steps, peak, low):
            return low + peak * (1 + cos(pi * step / steps)) / 2

    @wrong('a straight line')
    def straight_line():
        def annealed(step, steps, peak, low):
            return peak - (peak - low) * step / steps

    @wrong('should be')
    def quarter_cosine():
        def annealed(step, steps, peak, low):
            return low + (peak - low) * cos(pi * step / steps / 2)

    def check(answer, rng):
        steps = 4 * int(rng.integers(10, 50))
        peak = float(rng.uniform(1e-3, 1e-1))
        low = peak * float(rng.uniform(.05, .3))
        rate = lambda step: as_number(answer(step, steps, peak, low), 'The rate')
        first = rate(0)
        if not np.isclose(first, peak):
            return f'At the beginning your rate is {first:.2e}, and should be peak = {peak:.2e}.'
        last = rate(steps)
        if not np.isclose(last, low):
            return f'At the end your rate is {last:.2e}, and should be low = {low:.2e}.'
        quarter = rate(steps // 4)
        want = cosine(steps // 4, steps, peak, low)
        if np.isclose(quarter, peak - (peak - low) / 4):
            return f'A quarter of the way down your rate is {quarter:.2e}: that is a straight line. A cosine is still at {want:.2e}.'
        if not np.isclose(quarter, want):
            return f'A quarter of the way your rate is {quarter:.2e}, and should be {want:.2e}.'


@exercise('04-3', 'Never miss a restart')
class NeverMissARestart:
    """
    Write `rate_at(epoch, first, mult)` for whole numbers: the share of the highest rate at the
    **beginning** of `epoch`, with warm restarts down to zero. The first cycle is `first` epochs long,
    each next one `mult` times as long as the one before. At every restart it is 1, whatever the numbers.
    """
    answer = 'rate_at'
    hints = (
        'Where in its cycle does the epoch lie? Take off one cycle after the other.',
        '`while epoch >= length: epoch, length = epoch - length, length * mult`, with `length = first` '
        'before it. Whole numbers have no rounding, logarithms do.',
        'After that loop, `epoch` counts from the last restart: `(1 + cos(pi * epoch / length)) / 2`.',
    )

    def start():
        def rate_at(epoch, first, mult):
            ...

    def setup():
        from math import cos, pi, log, floor

    def solution():
        from math import cos, pi

        def rate_at(epoch, first, mult):
            length = first
            while epoch >= length:
                epoch, length = epoch - length, length * mult
            return (1 + cos(pi * epoch / length)) / 2

    @wrong('restarts too often')
    def all_cycles_alike():
        def rate_at(epoch, first, mult):
            return (1 + cos(pi * (epoch % first) / first)) / 2

    @wrong('A restart is missed')
    def rounded_logarithm():
        def rate_at(epoch, first, mult):
            if mult == 1: return (1 + cos(pi * (epoch % first) / first)) / 2
            i = floor(log(1 - epoch / first * (1 - mult), mult) - 1e-12)
            i = max(i, 0)
            done = epoch - first * (mult ** i - 1) / (mult - 1)
            return (1 + cos(pi * done / (first * mult ** i))) / 2

    @wrong('multiplier 1')
    def grows_at_multiplier_1():
        def rate_at(epoch, first, mult):
            i = 0
            while mult > 1 and epoch >= first * (mult ** (i + 1) - 1) // (mult - 1): i += 1
            done = epoch - (first * (mult ** i - 1) // (mult - 1) if mult > 1 else 0)
            return (1 + cos(pi * done / (first * mult ** i))) / 2

    @wrong('should be')
    def half_an_epoch_late():
        def rate_at(epoch, first, mult):
            length = first
            while epoch >= length: epoch, length = epoch - length, length * mult
            return (1 + cos(pi * (epoch + .5) / length)) / 2 if epoch else 1.

    def check(answer, rng):
        first = int(rng.integers(2, 30))
        mult = int(rng.integers(2, 5))
        rate = lambda epoch, mult: as_number(answer(epoch, first, mult), 'The rate')
        lengths = [first * mult ** i for i in range(5)]
        for k in range(1, 6):
            restart = sum(lengths[:k])
            got = rate(restart, mult)
            if not np.isclose(got, 1):
                return f'A restart is missed: with first = {first} and mult = {mult}, epoch {restart} begins cycle {k + 1}, and you give {got:.3f}.'
        epoch = first * 2
        got = rate(epoch, mult)
        if np.isclose(got, 1):
            return f'With first = {first} and mult = {mult} you give {got:.3f} in epoch {epoch}: it restarts too often, for the second cycle is {first * mult} epochs long.'
        epoch = first * 3
        got = rate(epoch, 1)
        if not np.isclose(got, 1):
            return f'With multiplier 1 all cycles are {first} epochs long. Epoch {epoch} is a restart, and you give {got:.3f}.'
        epoch = first + int(rng.integers(1, first * mult))
        got = rate(epoch, mult)
        want = sgdr(epoch, first, mult)
        if not np.isclose(got, want):
            return f'With first = {first} and mult = {mult} you give {got:.3f} in epoch {epoch}, and it should be {want:.3f}.'


def chosen_classes(snapshots):
    "By the mean probability."
    return np.mean(snapshots, 0).argmax(1)


def voted_classes(snapshots, classes):
    "By a vote, in which being sure counts for nothing."
    votes = [np.eye(classes)[s.argmax(1)] for s in snapshots]
    return np.mean(votes, 0).argmax(1)


@exercise('04-4', 'Average the last snapshots')
class AverageTheLastSnapshots:
    """
    Write `my_ensemble(snapshots, k)`. Each snapshot is an array `(pictures, classes)` of probabilities,
    the latest comes last. Return the class of each picture, `(pictures,)`, according to the mean
    **probability** of the last `k` snapshots.
    """
    answer = 'my_ensemble'
    hints = (
        'First the mean, then the choice. The other way round it is a vote, and being sure counts for '
        'nothing.',
        '`snapshots[-k:]` are the last k. `np.mean(…, 0)` averages over them.',
        '`np.mean(snapshots[-k:], 0).argmax(1)`',
    )

    def start():
        def my_ensemble(snapshots, k):
            ...

    def setup():
        import numpy as np

    def solution():
        def my_ensemble(snapshots, k):
            return np.mean(snapshots[-k:], 0).argmax(1)

    @wrong('the first')
    def first_ones():
        def my_ensemble(snapshots, k):
            return np.mean(snapshots[:k], 0).argmax(1)

    @wrong('a vote')
    def vote():
        def my_ensemble(snapshots, k):
            votes = np.mean([np.eye(s.shape[1])[s.argmax(1)] for s in snapshots[-k:]], 0)
            return votes.argmax(1)

    @wrong('all')
    def all_snapshots():
        def my_ensemble(snapshots, k):
            return np.mean(snapshots, 0).argmax(1)

    @wrong('pictures differ')
    def last_one():
        def my_ensemble(snapshots, k):
            return snapshots[-1].argmax(1)

    def check(answer, rng):
        n, k = 300, 3
        classes = int(rng.integers(3, 6))
        snapshots = [rng.dirichlet([.5] * classes, n) for _ in range(6)]
        got = as_numbers(answer(snapshots, k), n, 'The list of classes')
        if np.array_equal(got, chosen_classes(snapshots[:k])):
            return f'These are the classes of the first {k} snapshots. The latest come last.'
        if np.array_equal(got, chosen_classes(snapshots)):
            return f'These are the classes of all {len(snapshots)} snapshots, and only the last {k} were asked for.'
        want = chosen_classes(snapshots[-k:])
        differ = (got != want).sum()
        if np.array_equal(got, voted_classes(snapshots[-k:], classes)):
            return f'This is a vote: {differ} of {n} pictures come out otherwise where the probabilities are averaged.'
        if not np.array_equal(got, want):
            return f'{differ} of {n} pictures differ from the mean of the last {k} snapshots.'
