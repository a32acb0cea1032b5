"""Schedules with restarts: texts, checks, hints and solutions. Whoever wants to solve them stops reading here."""


from course_utils.classroom.checker import exercise, number, numbers
from course_utils.classroom.guesses import quantity

import numpy as np

from course_utils.techniques.schedules import SGDR, cosine, sgdr

quantity('04', 'loss_change', 'validation loss of SGDR ×2, minus that of one-cycle', widest=(-1, 1), example=(-.1, .1), shown='{:+.3f}',
         expected=lambda r: [r['table']['SGDR ×2'][k] for k in ('loss_change', 'loss_low', 'loss_high')])

@exercise('04-1', 'How long are five cycles?', '''
    How many epochs do five cycles take, with a first cycle of 2 epochs and a multiplier of 3? Work it out, then ask `SGDR(2, 3).story(…)`.''',
    start='''
    my_epochs = None  # a number''',
    answer='my_epochs',
    hints=['Write down the five lengths first. Each is three times the one before.',
           '2, 6, 18, … and then add them all up.',
           '2 · (1 + 3 + 9 + 27 + 81)'],
    solution='my_epochs = sum(2 * 3 ** i for i in range(5))',
    wrong={'my_epochs = 2 * 3 ** 4': 'the length of the last cycle',
           'my_epochs = 2 * 3 * 5': 'each cycle is three times the one before',
           'my_epochs = 2 * 3 ** 5': 'ends mid-cycle',
           'my_epochs = 80': 'ends with cycle 4'})
def check_04_1(answer, rng):
    got, plan = number(answer, 'The number of epochs'), SGDR(2, 3)
    if got == 162: return f'{got:.0f} is the length of the last cycle alone. How long are all five?'
    if got == 30: return f'{got:.0f} is 2 · 3 · 5. But each cycle is three times the one before, so they grow.'
    if got != 242:
        cycles = plan.cycles(max(1, got))
        return f'A run of {got:g} epochs ' + (f'ends with cycle {len(cycles)}.' if sum(cycles) == got else f'ends mid-cycle, in cycle {len(cycles)}.')

@exercise('04-2', 'Half a cosine', '''
    Write `annealed(step, steps, peak, low)`: the rate at `step`, from `peak` at step 0 along half a cosine down to `low` at `step == steps`.''',
    start='''
    def annealed(step, steps, peak, low):
        ...''',
    answer='annealed',
    hints=['The cosine runs from 1 to −1 while its angle runs from 0 to π. You need a share from 1 to 0.',
           'The share is `(1 + cos(pi * step / steps)) / 2`.',
           '`low + (peak - low) * (1 + cos(pi * step / steps)) / 2`, with `cos` and `pi` from `math`.'],
    before='from math import cos, pi',
    solution='''
    from math import cos, pi

    def annealed(step, steps, peak, low):
        return low + (peak - low) * (1 + cos(pi * step / steps)) / 2''',
    wrong={'''
    def annealed(step, steps, peak, low):
        return peak * (1 + cos(pi * step / steps)) / 2''': 'At the end',
           '''
    def annealed(step, steps, peak, low):
        return low + (peak - low) * (1 + cos(2 * pi * step / steps)) / 2''': 'At the end',
           '''
    def annealed(step, steps, peak, low):
        return low + peak * (1 + cos(pi * step / steps)) / 2''': 'At the beginning',
           '''
    def annealed(step, steps, peak, low):
        return peak - (peak - low) * step / steps''': 'a straight line',
           '''
    def annealed(step, steps, peak, low):
        return low + (peak - low) * cos(pi * step / steps / 2)''': 'should be'})
def check_04_2(answer, rng):
    steps, peak = 4 * int(rng.integers(10, 50)), float(rng.uniform(1e-3, 1e-1))
    low = peak * float(rng.uniform(.05, .3))
    at = lambda s: number(answer(s, steps, peak, low), 'The rate')
    if not np.isclose(at(0), peak): return f'At the beginning your rate is {at(0):.2e}, and should be peak = {peak:.2e}.'
    if not np.isclose(at(steps), low): return f'At the end your rate is {at(steps):.2e}, and should be low = {low:.2e}.'
    quarter, want = at(steps // 4), cosine(steps // 4, steps, peak, low)
    if np.isclose(quarter, peak - (peak - low) / 4): return f'A quarter of the way down your rate is {quarter:.2e}: that is a straight line. A cosine is still at {want:.2e}.'
    if not np.isclose(quarter, want): return f'A quarter of the way your rate is {quarter:.2e}, and should be {want:.2e}.'

@exercise('04-3', 'Never miss a restart', '''
    Write `rate_at(epoch, first, mult)` for whole numbers: the share of the highest rate at the **beginning** of `epoch`, with warm restarts down to nought. The first cycle is `first` epochs long, each next one `mult` times as long as the one before. At every restart it is 1, whatever the numbers.''',
    start='''
    def rate_at(epoch, first, mult):
        ...''',
    answer='rate_at',
    hints=['Where in its cycle does the epoch lie? Take off one cycle after the other.',
           '`while epoch >= length: epoch, length = epoch - length, length * mult`, with `length = first` before it. Whole numbers have no rounding, logarithms do.',
           'After that loop, `epoch` counts from the last restart: `(1 + cos(pi * epoch / length)) / 2`.'],
    before='from math import cos, pi, log, floor',
    solution='''
    from math import cos, pi

    def rate_at(epoch, first, mult):
        length = first
        while epoch >= length:
            epoch, length = epoch - length, length * mult
        return (1 + cos(pi * epoch / length)) / 2''',
    wrong={'''
    def rate_at(epoch, first, mult):
        return (1 + cos(pi * (epoch % first) / first)) / 2''': 'restarts too often',
           '''
    def rate_at(epoch, first, mult):
        if mult == 1: return (1 + cos(pi * (epoch % first) / first)) / 2
        i = floor(log(1 - epoch / first * (1 - mult), mult) - 1e-12)
        i = max(i, 0)
        done = epoch - first * (mult ** i - 1) / (mult - 1)
        return (1 + cos(pi * done / (first * mult ** i))) / 2''': 'A restart is missed',
           '''
    def rate_at(epoch, first, mult):
        i = 0
        while mult > 1 and epoch >= first * (mult ** (i + 1) - 1) // (mult - 1): i += 1
        done = epoch - (first * (mult ** i - 1) // (mult - 1) if mult > 1 else 0)
        return (1 + cos(pi * done / (first * mult ** i))) / 2''': 'multiplier 1',
           '''
    def rate_at(epoch, first, mult):
        length = first
        while epoch >= length: epoch, length = epoch - length, length * mult
        return (1 + cos(pi * (epoch + .5) / length)) / 2 if epoch else 1.''': 'should be'})
def check_04_3(answer, rng):
    first, mult = int(rng.integers(2, 30)), int(rng.integers(2, 5))
    at = lambda e, m: number(answer(e, first, m), 'The rate')
    for k in range(1, 6):
        restart = sum(first * mult ** i for i in range(k))
        if not np.isclose(at(restart, mult), 1): return f'A restart is missed: with first = {first} and mult = {mult}, epoch {restart} begins cycle {k + 1}, and you give {at(restart, mult):.3f}.'
    e = first * 2
    if np.isclose(at(e, mult), 1): return f'With first = {first} and mult = {mult} you give {at(e, mult):.3f} in epoch {e}: it restarts too often, for the second cycle is {first * mult} epochs long.'
    e = first * 3
    if not np.isclose(at(e, 1), 1): return f'With multiplier 1 all cycles are {first} epochs long. Epoch {e} is a restart, and you give {at(e, 1):.3f}.'
    e = first + int(rng.integers(1, first * mult))
    if not np.isclose(at(e, mult), want := sgdr(e, first, mult)): return f'With first = {first} and mult = {mult} you give {at(e, mult):.3f} in epoch {e}, and it should be {want:.3f}.'

@exercise('04-4', 'Average the last snapshots', '''
    Write `my_ensemble(snapshots, k)`. Each snapshot is an array `(pictures, classes)` of probabilities, the latest comes last. Return the class of each picture, `(pictures,)`, according to the mean **probability** of the last `k` snapshots.''',
    start='''
    def my_ensemble(snapshots, k):
        ...''',
    answer='my_ensemble',
    hints=['First the mean, then the choice. The other way round it is a vote, and being sure counts for nothing.',
           '`snapshots[-k:]` are the last k. `np.mean(…, 0)` averages over them.',
           '`np.mean(snapshots[-k:], 0).argmax(1)`'],
    before='import numpy as np',
    solution='''
    def my_ensemble(snapshots, k):
        return np.mean(snapshots[-k:], 0).argmax(1)''',
    wrong={'''
    def my_ensemble(snapshots, k):
        return np.mean(snapshots[:k], 0).argmax(1)''': 'the first',
           '''
    def my_ensemble(snapshots, k):
        votes = np.mean([np.eye(s.shape[1])[s.argmax(1)] for s in snapshots[-k:]], 0)
        return votes.argmax(1)''': 'a vote',
           '''
    def my_ensemble(snapshots, k):
        return np.mean(snapshots, 0).argmax(1)''': 'all',
           '''
    def my_ensemble(snapshots, k):
        return snapshots[-1].argmax(1)''': 'pictures differ'})
def check_04_4(answer, rng):
    n, classes, k = 300, int(rng.integers(3, 6)), 3
    shots = [rng.dirichlet([.5] * classes, n) for _ in range(6)]
    got = numbers(answer(shots, k), n, 'The list of classes')
    of = lambda s: np.mean(s, 0).argmax(1)
    if np.array_equal(got, of(shots[:k])): return f'These are the classes of the first {k} snapshots. The latest come last.'
    if np.array_equal(got, of(shots)): return f'These are the classes of all {len(shots)} snapshots, and only the last {k} were asked for.'
    vote = np.mean([np.eye(classes)[s.argmax(1)] for s in shots[-k:]], 0).argmax(1)
    if np.array_equal(got, vote): return f'This is a vote: {(got != of(shots[-k:])).sum()} of {n} pictures come out otherwise where the probabilities are averaged.'
    if not np.array_equal(got, of(shots[-k:])): return f'{(got != of(shots[-k:])).sum()} of {n} pictures differ from the mean of the last {k} snapshots.'
