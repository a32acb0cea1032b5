"""Exercises of lesson 05, differential learning rates: texts, hints, solutions, wrong answers and checks. Whoever wants to solve them stops reading here."""
import numpy as np, timm, torch

from course_utils.classroom.compare import as_number, as_numbers
from course_utils.classroom.exercise import exercise, wrong
from course_utils.classroom.guesses import quantity
from course_utils.techniques.layer_groups import layer_decay_rates, per_stage, rates_of


def grouped_run(r):
    "What was recorded of the training that the lesson recommends."
    return r['runs'][f"three groups, spread {r['spread']}"]


quantity(
    '05', 'spread_loss', 'validation loss with spread 100, minus that with one rate',
    widest=(-.5, .5), example=(-.05, .05), shown='{:+.3f}',
    expected=lambda r: [r['by_spread']['100'][k] for k in ('loss_change', 'loss_low', 'loss_high')])
quantity(
    '05', 'gain', 'accuracy of three groups, minus that of one rate',
    widest=(-.2, .2), shown='{:+.1%}',
    expected=lambda r: [grouped_run(r)[k] for k in ('gain', 'low', 'high')])
quantity(
    '05', 'seconds', 'seconds of the main training',
    widest=(1, 10000), log=True, shown='{:.0f}',
    expected=lambda r: [grouped_run(r)['seconds'] * factor for factor in (1, 1 / 3, 3)])


@exercise('05-1', 'A slice for near pictures')
class ASliceForNearPictures:
    """
    Which `slice` gives three groups rates that are each a tenth of the next, with 0.01 for the head? Put
    it into `my_rates`, and check it with `rates_of(my_rates, 3)`.
    """
    answer = 'my_rates'
    hints = (
        '`slice(a, b)` gives the first group a, the last one b, and spaces the others evenly in powers.',
        'From the head two steps down, a tenth each.',
        '0.01, a tenth is 0.001, a tenth of that is 0.0001: `slice(1e-4, 1e-2)`.',
    )

    def start():
        my_rates = None  # slice(…, …)

    def solution():
        my_rates = slice(1e-4, 1e-2)

    @wrong('each 3.2 times')
    def wrong_start():
        my_rates = slice(1e-3, 1e-2)

    @wrong('all groups but the last')
    def one_number():
        my_rates = slice(1e-2)

    @wrong('The head gets')
    def turned_round():
        my_rates = slice(1e-2, 1e-4)

    @wrong('a list')
    def as_list():
        my_rates = [1e-4, 1e-3, 1e-2]

    def check(answer, rng):
        if not isinstance(answer, slice):
            return f'{answer} is a list or a number, and a slice was asked for. (A list works in `train`, too.)'
        rates = rates_of(answer, 3)
        shown = [float(f"{rate:.1e}") for rate in rates]
        if answer.start is None:
            return f'{answer.stop:g} alone gives {shown}: all groups but the last get a tenth of it, and the same.'
        if not np.isclose(rates[-1], 1e-2):
            return f'The head gets {rates[-1]:.1e}, and should get 0.01.'
        if not np.isclose(rates[0], 1e-4):
            return f'That gives {shown}, each {rates[1] / rates[0]:.1f} times the one before, and should be 10 times.'


@exercise('05-2', 'Layer-wise decay')
class LayerWiseDecay:
    """
    Write `my_decay(n, lr, decay)`: the rates of `n` groups, first group first. The head, which is last,
    gets `lr`; every other group gets `decay` times the rate of the group after it.
    """
    answer = 'my_decay'
    hints = (
        'Begin at the head and go down. How many steps is group g away from it?',
        'Group g, counted from 0, is n − 1 − g steps away.',
        '`[lr * decay ** (n - 1 - g) for g in range(n)]`',
    )

    def start():
        def my_decay(n, lr, decay):
            ...

    def solution():
        def my_decay(n, lr, decay):
            return [lr * decay ** (n - 1 - g) for g in range(n)]

    @wrong('the wrong way round')
    def turned_round():
        def my_decay(n, lr, decay):
            return [lr * decay ** g for g in range(n)]

    @wrong('The head gets')
    def one_step_too_low():
        def my_decay(n, lr, decay):
            return [lr * decay ** (n - g) for g in range(n)]

    @wrong('times that of group')
    def straight_line():
        def my_decay(n, lr, decay):
            return [lr * (1 - (1 - decay) * (n - 1 - g) / (n - 1)) for g in range(n)]

    def check(answer, rng):
        n = int(rng.integers(4, 12))
        lr = float(10 ** rng.uniform(-4, -2))
        decay = round(float(rng.uniform(.5, .9)), 2)
        got = as_numbers(answer(n, lr, decay), n, 'The list of rates')
        want = layer_decay_rates(n, lr, decay)
        if np.allclose(got, want[::-1], rtol=1e-6):
            return f'The first group gets {got[0]:.1e} and the head {got[-1]:.1e}: that is the wrong way round.'
        if not np.isclose(got[-1], lr):
            return f'The head gets {got[-1]:.2e}, and should get lr = {lr:.2e}.'
        g = int(np.argmax(~np.isclose(got, want)))  # the first group that is wrong
        if not np.allclose(got, want):
            return f'With decay = {decay}, the rate of group {g} is {got[g] / got[g + 1]:.2f} times that of group {g + 1}.'


def group_count(groups):
    "For a sentence."
    return len(groups) if isinstance(groups, (list, tuple)) else 'no list of'


@exercise('05-3', 'Two groups')
class TwoGroups:
    """
    Write a splitter `first_and_rest(model)`: two lists of parameters, the first stage of the body alone,
    and all the rest with the head. `per_stage(model)` gives the stages as lists.
    """
    answer = 'first_and_rest'
    changes = True
    hints = (
        '`per_stage(model)` is a list of lists. You need its first, and all the others put together.',
        'Lists are put together with `+`, many of them with `sum(lists, [])`.',
        '`first, *rest = per_stage(model)`, then `return [first, sum(rest, [])]`.',
    )

    def start():
        def first_and_rest(model):
            ...

    def setup():
        from course_utils.techniques.layer_groups import per_stage, per_layer

    def solution():
        def first_and_rest(model):
            first, *rest = per_stage(model)
            return [first, sum(rest, [])]

    @wrong('holds lists')
    def list_of_lists():
        def first_and_rest(model):
            first, *rest = per_stage(model)
            return [first, rest]

    @wrong('in no group')
    def head_lost():
        def first_and_rest(model):
            first, *rest, head = per_stage(model)
            return [first, sum(rest, [])]

    @wrong('in both groups')
    def first_stage_twice():
        def first_and_rest(model):
            return [per_stage(model)[0], list(model.parameters())]

    @wrong('The first group has')
    def head_apart():
        def first_and_rest(model):
            *body, head = per_stage(model)
            return [sum(body, []), head]

    @wrong('groups, and there should be 2')
    def all_stages():
        def first_and_rest(model):
            return per_stage(model)

    def check(answer, rng):
        torch.manual_seed(0)
        name = ('resnet10t', 'regnetx_002', 'tf_efficientnet_lite0')[int(rng.integers(3))]
        with torch.device('meta'): model = timm.create_model(name, num_classes=int(rng.integers(2, 9)))
        got = answer(model)
        if group_count(got) != 2:
            return f"For {name} you give {group_count(got)} groups, and there should be 2."
        first, rest = got
        if not all(isinstance(p, torch.Tensor) for p in [*first, *rest]):
            return f'A group of {name} holds lists where there should be tensors: put the stages together into one list.'
        names = {id(p): tensor_name for tensor_name, p in model.named_parameters()}
        first_ids = [id(p) for p in first]
        rest_ids = [id(p) for p in rest]
        lost = [names[i] for i in names if i not in first_ids + rest_ids]
        doubled = [names[i] for i in first_ids if i in rest_ids]
        if lost:
            return f'{len(lost)} tensors of {name} are in no group, {lost[-1]} among them: they would never learn.'
        if doubled:
            return f'{len(doubled)} tensors of {name} are in both groups, {doubled[0]} among them.'
        want = len(per_stage(model)[0])
        if len(first) != want:
            return f'The first group has {len(first)} tensors of {name}, and its first stage has {want}.'


def length(tensors):
    "The root of the sum of all squares."
    return float(torch.cat([t.flatten() for t in tensors]).norm())


@exercise('05-4', 'How far did it move?')
class HowFarDidItMove:
    """
    Write `update_ratio(before, after)` for two lists of tensors, the parameters of a group before and
    after a step: the length of the whole move over the length of the whole weight **before**. The length
    is the square root of the sum of all squares, over all tensors together.
    """
    answer = 'update_ratio'
    hints = (
        'Two sums of squares over all tensors, one of the differences, one of the weights. One root each '
        'at the end.',
        '`sum(((a - b) ** 2).sum() for a, b in zip(after, before))` is the square of the move.',
        'Divide that by `sum((b ** 2).sum() for b in before)` and take the root: `(… / …) ** .5`.',
    )

    def start():
        def update_ratio(before, after):
            ...

    def setup():
        import torch

    def solution():
        def update_ratio(before, after):
            move = sum(((a - b) ** 2).sum() for a, b in zip(after, before))
            size = sum((b ** 2).sum() for b in before)
            return (move / size) ** .5

    @wrong('mean of the ratios')
    def mean_of_ratios():
        def update_ratio(before, after):
            return sum((a - b).norm() / b.norm() for a, b in zip(after, before)) / len(before)

    @wrong('root')
    def no_root():
        def update_ratio(before, after):
            return sum(((a - b) ** 2).sum() for a, b in zip(after, before)) / sum((b ** 2).sum() for b in before)

    @wrong('after the step')
    def length_of_new():
        def update_ratio(before, after):
            return (sum(((a - b) ** 2).sum() for a, b in zip(after, before)) / sum((a ** 2).sum() for a in after)) ** .5

    @wrong('should be')
    def first_tensor():
        def update_ratio(before, after):
            return (after[0] - before[0]).norm() / before[0].norm()

    def check(answer, rng):
        torch.manual_seed(int(rng.integers(1e6)))
        scales = {(5, 4): 1., (7,): .1, (3, 2): 3.}  # by shape
        old = [torch.randn(*shape) * scale for shape, scale in scales.items()]
        new = [b + torch.randn_like(b) * .3 + .5 * b for b in old]
        got = as_number(answer(old, new), 'The ratio')
        moves = [a - b for a, b in zip(new, old)]
        want = length(moves) / length(old)
        ratios = [float(move.norm() / b.norm()) for move, b in zip(moves, old)]
        if np.isclose(got, np.mean(ratios), rtol=1e-4):
            return f'{got:.4f} is the mean of the ratios of single tensors. Small tensors count as much as large ones there; all together it is {want:.4f}.'
        if np.isclose(got, want ** 2, rtol=1e-4):
            return f'{got:.4f} is the square of the ratio: the root is missing.'
        if np.isclose(got, length(moves) / length(new), rtol=1e-4):
            return f'{got:.4f} divides by the weight after the step, and it should be the one before.'
        if not np.isclose(got, want, rtol=1e-4):
            return f'You give {got:.4f}, and it should be {want:.4f}.'
