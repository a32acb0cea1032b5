"""Exercises of lesson 08, scaling: texts, hints, solutions, wrong answers and checks. Whoever wants to solve them stops reading here."""
import numpy as np, pandas as pd, torch
from torch import nn

from course_utils.classroom.compare import as_number, as_numbers, short_repr
from course_utils.classroom.exercise import exercise, wrong
from course_utils.classroom.guesses import quantity

quantity(
    '08', 'gain', 'accuracy of the wider network, minus that of the base',
    widest=(-.2, .2), example=(0, .05), shown='{:+.1%}',
    expected=lambda r: [r['gains']['wider'][k] for k in ('mean', 'low', 'high')])


def counted_work(layers, side):
    "Multiply-adds of convolutions for one picture of that side."
    x = torch.zeros(1, 3, side, side)
    total = 0
    for layer in layers:
        x = layer(x)
        total += x.numel() * layer.weight[0].numel()
    return total


@exercise('08-1', 'Twice the side')
class TwiceTheSide:
    """
    You double the side of the pictures. How many times as many **parameters** does a convolutional network
    with mean pooling have then, and how many times as many **multiply-adds**? Put both into `times`. Then
    compare with `cost_of(2 * size, **small_resnet())`.
    """
    answer = 'times'
    hints = (
        'A filter does not know how large the picture is.',
        'The filters stay as they are. Each is laid on so many more places: twice as many down, and '
        'twice as many across.',
        '`(1, 4)`',
    )

    def start():
        times = None  # (parameters, multiply-adds)

    def solution():
        times = (1, 4)

    @wrong('The filters stay')
    def more_parameters():
        times = (4, 4)

    @wrong('down and across')
    def one_side():
        times = (1, 2)

    @wrong('The filters stay')
    def parameters_of_sides():
        times = (2, 4)

    @wrong('were counted')
    def three_dimensions():
        times = (1, 8)

    @wrong('two numbers')
    def one_number():
        times = 4

    def check(answer, rng):
        if not (isinstance(answer, (tuple, list)) and len(answer) == 2):
            return f'You give {short_repr(answer)}, and two numbers were asked for, in brackets.'
        size = 8 * int(rng.integers(2, 6))
        width = int(rng.integers(4, 12))
        first = nn.Conv2d(3, width, 3, padding=1)
        layers = [first, nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)]
        parameters, multiply_adds = as_numbers(list(answer), 2)
        if not np.isclose(parameters, 1):
            n = sum(p.numel() for layer in layers for p in layer.parameters())
            return f'You say {parameters:g} times the parameters. The filters stay as they are: {n:,} numbers in a small network, at every size.'
        if np.isclose(multiply_adds, 2):
            return 'Twice as many places down and across: not twice together.'
        work, work_at_twice = counted_work(layers, size), counted_work(layers, 2 * size)
        if not np.isclose(multiply_adds, work_at_twice / work):
            return f'You say {multiply_adds:g} times. In a small network {work:,} multiply-adds were counted at {size} pixels, and {work_at_twice:,} at {2 * size}.'


@exercise('08-2', 'Count a convolution')
class CountAConvolution:
    """
    Write `conv_macs(c_in, c_out, kernel, height, width, groups)`: the multiply-adds of `nn.Conv2d(c_in,
    c_out, kernel, groups=groups)` for one picture whose **output** is `height` × `width`. With groups,
    each filter sees `c_in / groups` channels only. That is how ResNeXt saves work.
    """
    answer = 'conv_macs'
    hints = (
        'The size of the output times the size of a filter. Which numbers make up a filter?',
        'The output has `c_out * height * width` numbers. A filter has `kernel * kernel` places for each '
        'channel it sees.',
        '`c_out * height * width * kernel * kernel * c_in // groups`',
    )

    def start():
        def conv_macs(c_in, c_out, kernel, height, width, groups):
            ...

    def solution():
        def conv_macs(c_in, c_out, kernel, height, width, groups):
            return c_out * height * width * kernel * kernel * c_in // groups

    @wrong('times too many')
    def groups_forgotten():
        def conv_macs(c_in, c_out, kernel, height, width, groups):
            return c_out * height * width * kernel * kernel * c_in

    @wrong('high and wide')
    def flat_kernel():
        def conv_macs(c_in, c_out, kernel, height, width, groups):
            return c_out * height * width * kernel * c_in // groups

    @wrong('of weights')
    def weights_only():
        def conv_macs(c_in, c_out, kernel, height, width, groups):
            return c_out * kernel * kernel * c_in // groups

    @wrong('have')
    def doubled():
        def conv_macs(c_in, c_out, kernel, height, width, groups):
            return 2 * c_out * height * width * kernel * kernel * c_in // groups

    def check(answer, rng):
        groups = int(rng.integers(3, 6))
        kernel = int(rng.choice([3, 5, 7]))
        c_in = groups * int(rng.integers(2, 6))
        c_out = groups * int(rng.integers(2, 6))
        h = int(rng.integers(4, 9))
        w = int(rng.integers(10, 20))
        layer = nn.Conv2d(c_in, c_out, kernel, groups=groups)
        with torch.no_grad(): output = layer(torch.zeros(1, c_in, h + kernel - 1, w + kernel - 1))
        got = as_number(answer(c_in, c_out, kernel, h, w, groups), 'The number of multiply-adds')
        want = output.numel() * layer.weight[0].numel()
        if got == want * groups:
            return f'You give {got:,.0f}, {groups} times too many: with {groups} groups a filter sees {c_in // groups} of the {c_in} channels.'
        if got * kernel == want:
            return f'You give {got:,.0f}, {kernel} times too few: a filter is {kernel} places high and wide.'
        if got == layer.weight.numel():
            return f'{got:,.0f} is the number of weights. Each filter is laid on {h} × {w} places.'
        if got != want:
            return f'{c_in} channels to {c_out}, kernel {kernel}, output {h} × {w}, {groups} groups: these have {want:,} multiply-adds, and you give {got:,.0f}.'


@exercise('08-3', 'The same time, not the same epochs')
class TheSameTimeNotTheSameEpochs:
    """
    Write `epochs_for(budget, run_seconds, run_epochs)`: a training of `run_epochs` epochs took
    `run_seconds`. How many **whole** epochs of it fit into `budget` seconds? Then give the base as much
    time as the costliest network had: `epochs_for(table.seconds.max(), runs['base'].seconds, epochs)`.
    """
    answer = 'epochs_for'
    hints = (
        'How long does one epoch take?',
        '`run_seconds / run_epochs`. How often does that fit into the budget, as a whole number, not '
        'rounded up?',
        '`int(budget // (run_seconds / run_epochs))`',
    )

    def start():
        def epochs_for(budget, run_seconds, run_epochs):
            ...

    def setup():
        import math

    def solution():
        def epochs_for(budget, run_seconds, run_epochs):
            return int(budget // (run_seconds / run_epochs))

    @wrong('whole number')
    def fractional():
        def epochs_for(budget, run_seconds, run_epochs):
            return budget / (run_seconds / run_epochs)

    @wrong('would take')
    def rounded_up():
        def epochs_for(budget, run_seconds, run_epochs):
            return math.ceil(budget / (run_seconds / run_epochs))

    @wrong('whole trainings')
    def whole_trainings():
        def epochs_for(budget, run_seconds, run_epochs):
            return int(budget // run_seconds)

    @wrong('There is time for')
    def half_as_many():
        def epochs_for(budget, run_seconds, run_epochs):
            return int(budget // (run_seconds / run_epochs)) // 2

    def check(answer, rng):
        epochs = int(rng.integers(3, 9))
        epoch_s = float(rng.uniform(3, 30))
        want = int(rng.integers(2 * epochs, 40))
        budget = (want + float(rng.uniform(.2, .8))) * epoch_s
        training_s = epochs * epoch_s
        got = as_number(answer(budget, training_s, epochs), 'The number of epochs')
        if got != int(got):
            return f'You give {got:.2f}, and a whole number of epochs was asked for.'
        if got > want:
            return f'{got:.0f} epochs of {epoch_s:.1f} s would take {got * epoch_s:.0f} s, and there are {budget:.0f}.'
        if got == budget // training_s:
            return f'{got:.0f} is the number of whole trainings of {epochs} epochs in {budget:.0f} s. How many epochs are there?'
        if got < want:
            return f'You give {got:.0f} epochs, {got * epoch_s:.0f} s. There is time for more: {budget:.0f} s.'


def random_models(rng, names, margin):
    "The cheapest first, then shuffled: left open, good enough by its mean, shown, shown, and the best."
    macs = np.sort(rng.uniform(10, 900, 5)).round()
    difference = -margin * np.array([2.5, .8, .5, .2, 0])
    side = margin * np.array([1.8, .5, .3, .1, 0])
    table = pd.DataFrame(
        dict(macs=macs, difference=difference, low=difference - side, high=difference + side), index=names)
    return table.iloc[rng.permutation(5)]


@exercise('08-4', 'The smallest that is shown')
class TheSmallestThatIsShown:
    """
    Write `smallest_shown(table, margin)`: `table` has a row for each model, with columns `macs`, and
    `difference`, `low` and `high` of its accuracy from the best one's (so 0.0 for the best itself). The
    result is the name of the model with the fewest `macs` whose **whole interval** says: not worse than
    the best by more than `margin`.
    """
    answer = 'smallest_shown'
    hints = (
        'First sieve the rows, then take the cheapest of those that are left.',
        'The worst that the interval allows is `low`. It may not lie below `-margin`.',
        '`table[table.low >= -margin].macs.idxmin()`',
    )

    def start():
        def smallest_shown(table, margin):
            ...

    def solution():
        def smallest_shown(table, margin):
            return table[table.low >= -margin].macs.idxmin()

    @wrong('by its mean')
    def mean_only():
        def smallest_shown(table, margin):
            return table[table.difference >= -margin].macs.idxmin()

    @wrong('left open')
    def open_counts_too():
        def smallest_shown(table, margin):
            return table[table.high >= -margin].macs.idxmin()

    @wrong('is cheaper')
    def highest_low():
        def smallest_shown(table, margin):
            return table[table.low >= -margin].low.idxmax()

    @wrong('a name')
    def macs_only():
        def smallest_shown(table, margin):
            return table[table.low >= -margin].macs.min()

    def check(answer, rng):
        names = [f'model {chr(97 + k)}' for k in rng.permutation(5)]
        margin = float(rng.uniform(.005, .03))
        table = random_models(rng, names, margin)
        got = answer(table, margin)
        if not isinstance(got, str) or got not in names:
            return f'You give {short_repr(got)}, and a name from the index was asked for.'
        row = table.loc[got]
        left_open, good_by_mean, want, *_ = names
        if got == good_by_mean:
            return f'{got} is good enough by its mean, {row.difference:+.2%}, and its interval reaches down to {row.low:+.2%}, below {-margin:+.2%}.'
        if got == left_open:
            return f'{got} is left open at best: its interval is {row.low:+.2%} to {row.high:+.2%}, and the margin is {margin:.2%}.'
        if got != want:
            return f'{got} is good enough, and {want} is cheaper: {table.macs[want]:.0f} against {row.macs:.0f}, with {table.low[want]:+.2%} at the worst.'
