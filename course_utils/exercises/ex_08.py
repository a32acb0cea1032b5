"""Scaling: texts, checks, hints and solutions. Whoever wants to solve them stops reading here."""


from course_utils.classroom.checker import brief, exercise, number, numbers
from course_utils.classroom.guesses import quantity

import numpy as np, pandas as pd, torch
from torch import nn

quantity('08', 'gain', 'accuracy of the wider network, minus that of the base', widest=(-.2, .2), example=(0, .05), shown='{:+.1%}',
         expected=lambda r: [r['gains']['wider'][k] for k in ('mean', 'low', 'high')])

@exercise('08-1', 'Twice the side', '''
    You double the side of the pictures. How many times as many **parameters** does a convolutional network with mean pooling have then, and how many times as many **multiply-adds**? Put both into `times`. Then compare with `cost_of(2 * size, **small_resnet())`.''',
    start='''
    times = None  # (parameters, multiply-adds)''',
    answer='times',
    hints=['A filter does not know how large the picture is.',
           'The filters stay as they are. Each is laid on so many more places: twice as many down, and twice as many across.',
           '`(1, 4)`'],
    solution='times = (1, 4)',
    wrong={'times = (4, 4)': 'The filters stay',
           'times = (1, 2)': 'down and across',
           'times = (2, 4)': 'The filters stay',
           'times = (1, 8)': 'were counted',
           'times = 4': 'two numbers'})
def check_08_1(answer, rng):
    if not (isinstance(answer, (tuple, list)) and len(answer) == 2): return f'You give {brief(answer)}, and two numbers were asked for, in brackets.'
    size, width = 8 * int(rng.integers(2, 6)), int(rng.integers(4, 12))
    layers = [nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)]
    def work(side):
        x, total = torch.zeros(1, 3, side, side), 0
        for l in layers: x = l(x); total += x.numel() * l.weight[0].numel()
        return total
    parameters, multiply_adds = numbers(list(answer), 2)
    if not np.isclose(parameters, 1): return f'You say {parameters:g} times the parameters. The filters stay as they are: {sum(p.numel() for l in layers for p in l.parameters()):,} numbers in a small network, at every size.'
    if np.isclose(multiply_adds, 2): return 'Twice as many places down and across: not twice together.'
    if not np.isclose(multiply_adds, work(2 * size) / work(size)): return f'You say {multiply_adds:g} times. In a small network {work(size):,} multiply-adds were counted at {size} pixels, and {work(2 * size):,} at {2 * size}.'

@exercise('08-2', 'Count a convolution', '''
    Write `conv_macs(c_in, c_out, kernel, height, width, groups)`: the multiply-adds of `nn.Conv2d(c_in, c_out, kernel, groups=groups)` for one picture whose **output** is `height` × `width`. With groups, each filter sees `c_in / groups` channels only. That is how ResNeXt saves work.''',
    start='''
    def conv_macs(c_in, c_out, kernel, height, width, groups):
        ...''',
    answer='conv_macs',
    hints=["The size of the output times the size of a filter. Which numbers make up a filter?",
           'The output has `c_out * height * width` numbers. A filter has `kernel * kernel` places for each channel it sees.',
           '`c_out * height * width * kernel * kernel * c_in // groups`'],
    solution='''
    def conv_macs(c_in, c_out, kernel, height, width, groups):
        return c_out * height * width * kernel * kernel * c_in // groups''',
    wrong={'''
    def conv_macs(c_in, c_out, kernel, height, width, groups):
        return c_out * height * width * kernel * kernel * c_in''': 'times too many',
           '''
    def conv_macs(c_in, c_out, kernel, height, width, groups):
        return c_out * height * width * kernel * c_in // groups''': 'high and wide',
           '''
    def conv_macs(c_in, c_out, kernel, height, width, groups):
        return c_out * kernel * kernel * c_in // groups''': 'of weights',
           '''
    def conv_macs(c_in, c_out, kernel, height, width, groups):
        return 2 * c_out * height * width * kernel * kernel * c_in // groups''': 'have'})
def check_08_2(answer, rng):
    groups, kernel = int(rng.integers(3, 6)), int(rng.choice([3, 5, 7]))
    c_in, c_out, h, w = groups * int(rng.integers(2, 6)), groups * int(rng.integers(2, 6)), int(rng.integers(4, 9)), int(rng.integers(10, 20))
    layer = nn.Conv2d(c_in, c_out, kernel, groups=groups)
    with torch.no_grad(): out = layer(torch.zeros(1, c_in, h + kernel - 1, w + kernel - 1))
    got, want = number(answer(c_in, c_out, kernel, h, w, groups), 'The number of multiply-adds'), out.numel() * layer.weight[0].numel()
    if got == want * groups: return f'You give {got:,.0f}, {groups} times too many: with {groups} groups a filter sees {c_in // groups} of the {c_in} channels.'
    if got * kernel == want: return f'You give {got:,.0f}, {kernel} times too few: a filter is {kernel} places high and wide.'
    if got == layer.weight.numel(): return f'{got:,.0f} is the number of weights. Each filter is laid on {h} × {w} places.'
    if got != want: return f'{c_in} channels to {c_out}, kernel {kernel}, output {h} × {w}, {groups} groups: these have {want:,} multiply-adds, and you give {got:,.0f}.'

@exercise('08-3', 'The same time, not the same epochs', '''
    Write `epochs_for(budget, run_seconds, run_epochs)`: a training of `run_epochs` epochs took `run_seconds`. How many **whole** epochs of it fit into `budget` seconds? Then give the base as much time as the dearest network had: `epochs_for(table.seconds.max(), runs['base'].seconds, epochs)`.''',
    start='''
    def epochs_for(budget, run_seconds, run_epochs):
        ...''',
    answer='epochs_for',
    hints=['How long does one epoch take?',
           '`run_seconds / run_epochs`. How often does that fit into the budget, as a whole number, not rounded up?',
           '`int(budget // (run_seconds / run_epochs))`'],
    before='import math',
    solution='''
    def epochs_for(budget, run_seconds, run_epochs):
        return int(budget // (run_seconds / run_epochs))''',
    wrong={'''
    def epochs_for(budget, run_seconds, run_epochs):
        return budget / (run_seconds / run_epochs)''': 'whole number',
           '''
    def epochs_for(budget, run_seconds, run_epochs):
        return math.ceil(budget / (run_seconds / run_epochs))''': 'would take',
           '''
    def epochs_for(budget, run_seconds, run_epochs):
        return int(budget // run_seconds)''': 'whole trainings',
           '''
    def epochs_for(budget, run_seconds, run_epochs):
        return int(budget // (run_seconds / run_epochs)) // 2''': 'There is time for'})
def check_08_3(answer, rng):
    epochs, each = int(rng.integers(3, 9)), float(rng.uniform(3, 30))
    want = int(rng.integers(2 * epochs, 40))
    budget, seconds = (want + float(rng.uniform(.2, .8))) * each, epochs * each
    got = number(answer(budget, seconds, epochs), 'The number of epochs')
    if got != int(got): return f'You give {got:.2f}, and a whole number of epochs was asked for.'
    if got > want: return f'{got:.0f} epochs of {each:.1f} s would take {got * each:.0f} s, and there are {budget:.0f}.'
    if got == budget // seconds: return f'{got:.0f} is the number of whole trainings of {epochs} epochs in {budget:.0f} s. How many epochs are there?'
    if got < want: return f'You give {got:.0f} epochs, {got * each:.0f} s. There is time for more: {budget:.0f} s.'

@exercise('08-4', 'The smallest that is shown', '''
    Write `smallest_shown(table, margin)`: `table` has a row for each model, with columns `macs`, and `difference`, `low` and `high` of its accuracy from the best one's (so 0.0 for the best itself). The result is the name of the model with the fewest `macs` whose **whole interval** says: not worse than the best by more than `margin`.''',
    start='''
    def smallest_shown(table, margin):
        ...''',
    answer='smallest_shown',
    hints=['First sieve the rows, then take the cheapest of those that are left.',
           'The worst that the interval allows is `low`. It may not lie below `-margin`.',
           '`table[table.low >= -margin].macs.idxmin()`'],
    solution='''
    def smallest_shown(table, margin):
        return table[table.low >= -margin].macs.idxmin()''',
    wrong={'''
    def smallest_shown(table, margin):
        return table[table.difference >= -margin].macs.idxmin()''': 'by its mean',
           '''
    def smallest_shown(table, margin):
        return table[table.high >= -margin].macs.idxmin()''': 'left open',
           '''
    def smallest_shown(table, margin):
        return table[table.low >= -margin].low.idxmax()''': 'is cheaper',
           '''
    def smallest_shown(table, margin):
        return table[table.low >= -margin].macs.min()''': 'a name'})
def check_08_4(answer, rng):
    names, margin = [f'model {chr(97 + k)}' for k in rng.permutation(5)], float(rng.uniform(.005, .03))
    d, side = -margin * np.array([2.5, .8, .5, .2, 0]), margin * np.array([1.8, .5, .3, .1, 0])  # open, by its mean, shown, shown, best
    table = pd.DataFrame(dict(macs=np.sort(rng.uniform(10, 900, 5)).round(), difference=d, low=d - side, high=d + side), index=names).iloc[rng.permutation(5)]
    got = answer(table, margin)
    if not isinstance(got, str) or got not in names: return f'You give {brief(got)}, and a name from the index was asked for.'
    r = table.loc[got]
    if got == names[1]: return f'{got} is good enough by its mean, {r.difference:+.2%}, and its interval reaches down to {r.low:+.2%}, below {-margin:+.2%}.'
    if got == names[0]: return f'{got} is left open at best: its interval is {r.low:+.2%} to {r.high:+.2%}, and the margin is {margin:.2%}.'
    if got != names[2]: return f'{got} is good enough, and {names[2]} is cheaper: {table.macs[names[2]]:.0f} against {r.macs:.0f}, with {table.low[names[2]]:+.2%} at the worst.'
