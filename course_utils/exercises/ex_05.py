"""Differential learning rates: texts, checks, hints and solutions. Whoever wants to solve them stops reading here."""


from course_utils.classroom.checker import exercise, number, numbers
from course_utils.classroom.guesses import quantity

import numpy as np, timm, torch

from course_utils.techniques.layer_groups import layer_decay_rates, per_stage, rates_of

quantity('05', 'spread_loss', 'validation loss with spread 100, minus that with one rate', widest=(-.5, .5), example=(-.05, .05), shown='{:+.3f}',
         expected=lambda r: [r['by_spread']['100'][k] for k in ('loss_change', 'loss_low', 'loss_high')])
quantity('05', 'gain', 'accuracy of three groups, minus that of one rate', widest=(-.2, .2), shown='{:+.1%}',
         expected=lambda r: [r['runs'][f"three groups, spread {r['spread']}"][k] for k in ('gain', 'low', 'high')])
quantity('05', 'seconds', 'seconds of the main training', widest=(1, 10000), log=True, shown='{:.0f}',
         expected=lambda r: (s := r['runs'][f"three groups, spread {r['spread']}"]['seconds'], s / 3, 3 * s))

@exercise('05-1', 'A slice for near pictures', '''
    Which `slice` gives three groups rates that are each a tenth of the next, with 0.01 for the head? Put it into `my_rates`, and check it with `rates_of(my_rates, 3)`.''',
    start='''
    my_rates = None  # slice(…, …)''',
    answer='my_rates',
    hints=['`slice(a, b)` gives the first group a, the last one b, and spaces the others evenly in powers.',
           'From the head two steps down, a tenth each.',
           '0.01, a tenth is 0.001, a tenth of that is 0.0001: `slice(1e-4, 1e-2)`.'],
    solution='my_rates = slice(1e-4, 1e-2)',
    wrong={'my_rates = slice(1e-3, 1e-2)': 'each 3.2 times',
           'my_rates = slice(1e-2)': 'all groups but the last',
           'my_rates = slice(1e-2, 1e-4)': 'The head gets',
           'my_rates = [1e-4, 1e-3, 1e-2]': 'a list'})
def check_05_1(answer, rng):
    if not isinstance(answer, slice): return f'{answer} is a list or a number, and a slice was asked for. (A list works in `train`, too.)'
    if answer.start is None: return f'{answer.stop:g} alone gives {[float(f"{r:.1e}") for r in rates_of(answer, 3)]}: all groups but the last get a tenth of it, and the same.'
    rates = rates_of(answer, 3)
    if not np.isclose(rates[-1], 1e-2): return f'The head gets {rates[-1]:.1e}, and should get 0.01.'
    if not np.isclose(rates[0], 1e-4): return f'That gives {[float(f"{r:.1e}") for r in rates]}, each {rates[1] / rates[0]:.1f} times the one before, and should be 10 times.'

@exercise('05-2', 'Layer-wise decay', '''
    Write `my_decay(n, lr, decay)`: the rates of `n` groups, first group first. The head, which is last, gets `lr`; every other group gets `decay` times the rate of the group after it.''',
    start='''
    def my_decay(n, lr, decay):
        ...''',
    answer='my_decay',
    hints=['Begin at the head and go down. How many steps is group g away from it?',
           'Group g, counted from 0, is n − 1 − g steps away.',
           '`[lr * decay ** (n - 1 - g) for g in range(n)]`'],
    solution='''
    def my_decay(n, lr, decay):
        return [lr * decay ** (n - 1 - g) for g in range(n)]''',
    wrong={'''
    def my_decay(n, lr, decay):
        return [lr * decay ** g for g in range(n)]''': 'the wrong way round',
           '''
    def my_decay(n, lr, decay):
        return [lr * decay ** (n - g) for g in range(n)]''': 'The head gets',
           '''
    def my_decay(n, lr, decay):
        return [lr * (1 - (1 - decay) * (n - 1 - g) / (n - 1)) for g in range(n)]''': 'times that of group'})
def check_05_2(answer, rng):
    n, lr, decay = int(rng.integers(4, 12)), float(10 ** rng.uniform(-4, -2)), round(float(rng.uniform(.5, .9)), 2)
    got, want = numbers(answer(n, lr, decay), n, 'The list of rates'), layer_decay_rates(n, lr, decay)
    if np.allclose(got, want[::-1], rtol=1e-6): return f'The first group gets {got[0]:.1e} and the head {got[-1]:.1e}: that is the wrong way round.'
    if not np.isclose(got[-1], lr): return f'The head gets {got[-1]:.2e}, and should get lr = {lr:.2e}.'
    g = int(np.argmax(~np.isclose(got, want)))
    if not np.allclose(got, want): return f'With decay = {decay}, the rate of group {g} is {got[g] / got[g + 1]:.2f} times that of group {g + 1}.'

@exercise('05-3', 'Two groups', '''
    Write a splitter `first_and_rest(model)`: two lists of parameters, the first stage of the body alone, and all the rest with the head. `per_stage(model)` gives the stages as lists.''',
    start='''
    def first_and_rest(model):
        ...''',
    answer='first_and_rest', changes=True,
    hints=['`per_stage(model)` is a list of lists. You need its first, and all the others put together.',
           'Lists are put together with `+`, many of them with `sum(lists, [])`.',
           '`first, *rest = per_stage(model)`, then `return [first, sum(rest, [])]`.'],
    before='from course_utils.groups import per_stage, per_layer',
    solution='''
    def first_and_rest(model):
        first, *rest = per_stage(model)
        return [first, sum(rest, [])]''',
    wrong={'''
    def first_and_rest(model):
        first, *rest = per_stage(model)
        return [first, rest]''': 'holds lists',
           '''
    def first_and_rest(model):
        first, *rest, head = per_stage(model)
        return [first, sum(rest, [])]''': 'in no group',
           '''
    def first_and_rest(model):
        return [per_stage(model)[0], list(model.parameters())]''': 'in both groups',
           '''
    def first_and_rest(model):
        *body, head = per_stage(model)
        return [sum(body, []), head]''': 'The first group has',
           '''
    def first_and_rest(model):
        return per_stage(model)''': 'groups, and there should be 2'})
def check_05_3(answer, rng):
    torch.manual_seed(0)
    name = ('resnet10t', 'regnetx_002', 'tf_efficientnet_lite0')[int(rng.integers(3))]
    with torch.device('meta'): model = timm.create_model(name, num_classes=int(rng.integers(2, 9)))
    got = answer(model)
    if not isinstance(got, (list, tuple)) or len(got) != 2: return f"For {name} you give {len(got) if isinstance(got, (list, tuple)) else 'no list of'} groups, and there should be 2."
    if any(not isinstance(p, torch.Tensor) for group in got for p in group): return f'A group of {name} holds lists where there should be tensors: put the stages together into one list.'
    ids, every = [[id(p) for p in group] for group in got], {id(p): n for n, p in model.named_parameters()}
    lost, twice = [n for i, n in every.items() if i not in ids[0] + ids[1]], [every[i] for i in ids[0] if i in ids[1]]
    if lost: return f'{len(lost)} tensors of {name} are in no group, {lost[-1]} among them: they would never learn.'
    if twice: return f'{len(twice)} tensors of {name} are in both groups, {twice[0]} among them.'
    want = len(per_stage(model)[0])
    if len(ids[0]) != want: return f'The first group has {len(ids[0])} tensors of {name}, and its first stage has {want}.'

@exercise('05-4', 'How far did it move?', '''
    Write `update_ratio(before, after)` for two lists of tensors, the parameters of a group before and after a step: the length of the whole move over the length of the whole weight **before**. The length is the square root of the sum of all squares, over all tensors together.''',
    start='''
    def update_ratio(before, after):
        ...''',
    answer='update_ratio',
    hints=['Two sums of squares over all tensors, one of the differences, one of the weights. One root each at the end.',
           '`sum(((a - b) ** 2).sum() for a, b in zip(after, before))` is the square of the move.',
           'Divide that by `sum((b ** 2).sum() for b in before)` and take the root: `(… / …) ** .5`.'],
    before='import torch',
    solution='''
    def update_ratio(before, after):
        move = sum(((a - b) ** 2).sum() for a, b in zip(after, before))
        size = sum((b ** 2).sum() for b in before)
        return (move / size) ** .5''',
    wrong={'''
    def update_ratio(before, after):
        return sum((a - b).norm() / b.norm() for a, b in zip(after, before)) / len(before)''': 'mean of the ratios',
           '''
    def update_ratio(before, after):
        return sum(((a - b) ** 2).sum() for a, b in zip(after, before)) / sum((b ** 2).sum() for b in before)''': 'root',
           '''
    def update_ratio(before, after):
        return (sum(((a - b) ** 2).sum() for a, b in zip(after, before)) / sum((a ** 2).sum() for a in after)) ** .5''': 'after the step',
           '''
    def update_ratio(before, after):
        return (after[0] - before[0]).norm() / before[0].norm()''': 'should be'})
def check_05_4(answer, rng):
    torch.manual_seed(int(rng.integers(1e6)))
    before = [torch.randn(*shape) * scale for shape, scale in (((5, 4), 1.), ((7,), .1), ((3, 2), 3.))]
    after = [b + torch.randn_like(b) * .3 + .5 * b for b in before]
    got = number(answer(before, after), 'The ratio')
    length = lambda ts: float(torch.cat([t.flatten() for t in ts]).norm())
    move = length([a - b for a, b in zip(after, before)])
    want, each = move / length(before), [float((a - b).norm() / b.norm()) for a, b in zip(after, before)]
    if np.isclose(got, np.mean(each), rtol=1e-4): return f'{got:.4f} is the mean of the ratios of single tensors. Small tensors count as much as large ones there; all together it is {want:.4f}.'
    if np.isclose(got, want ** 2, rtol=1e-4): return f'{got:.4f} is the square of the ratio: the root is missing.'
    if np.isclose(got, move / length(after), rtol=1e-4): return f'{got:.4f} divides by the weight after the step, and it should be the one before.'
    if not np.isclose(got, want, rtol=1e-4): return f'You give {got:.4f}, and it should be {want:.4f}.'
