"""Exercises of lesson 03, the learning rate finder: texts, hints, solutions, wrong answers and checks. Whoever wants to solve them stops reading here."""
import copy

import numpy as np, torch
from torch import nn

from course_utils.classroom.compare import as_number, as_numbers
from course_utils.classroom.exercise import exercise, wrong
from course_utils.classroom.guesses import quantity
from course_utils.techniques.lr_finder import smooth


def best_rate(r):
    "With a factor of 4 to either side."
    rate = r['rates'][r['best']]
    return rate, rate / 4, rate * 4


def factor_between_rules(r):
    "With a factor of 2 to either side."
    medians = [rule['median'] for rule in r['rules'].values()]
    factor = max(medians) / min(medians)
    return factor, factor / 2, factor * 2


quantity(
    '03', 'rate', 'rate that trains best, of those the rules gave',
    widest=(1e-5, 1), example=(1e-3, 1e-2), log=True, shown='{:.1e}',
    expected=best_rate)
quantity(
    '03', 'factor', 'highest median rate of a rule over the lowest',
    widest=(1, 1000), log=True, shown='{:.0f}',
    expected=factor_between_rules)


@exercise('03-1', 'The rates of a sweep')
class TheRatesOfASweep:
    """
    Write `my_rates(start, end, n)`: `n` rates, the first is `start`, the last is `end`, and each is the
    same **factor** above the one before.
    """
    answer = 'my_rates'
    hints = (
        'There are n − 1 steps between n rates. Multiplied together, their factors give end / start.',
        'The factor of one step is `(end / start) ** (1 / (n - 1))`.',
        "`[start * (end / start) ** (i / (n - 1)) for i in range(n)]`, or NumPy's `geomspace`.",
    )

    def start():
        def my_rates(start, end, n):
            ...

    def setup():
        import numpy as np

    def solution():
        def my_rates(start, end, n):
            return [start * (end / start) ** (i / (n - 1)) for i in range(n)]

    @wrong('the same amount')
    def same_steps():
        def my_rates(start, end, n):
            return np.linspace(start, end, n)

    @wrong('The last rate')
    def short_of_the_end():
        def my_rates(start, end, n):
            return [start * (end / start) ** (i / n) for i in range(n)]

    @wrong('The first rate')
    def after_the_start():
        def my_rates(start, end, n):
            return [start * (end / start) ** ((i + 1) / n) for i in range(n)]

    @wrong('The factors')
    def uneven():
        def my_rates(start, end, n):
            inner = np.linspace(start, end, n)[1:-1] ** 1.1
            return np.r_[start, inner, end]

    def check(answer, rng):
        start = float(10 ** rng.uniform(-7, -4))
        end = float(10 ** rng.uniform(-1, 1))
        n = int(rng.integers(5, 40))
        got = as_numbers(answer(start, end, n), n, 'The list of rates')
        if not np.isclose(got[0], start):
            return f'The first rate is {got[0]:.2e}, and should be start = {start:.2e}.'
        if not np.isclose(got[-1], end):
            return f'The last rate is {got[-1]:.2e}, and should be end = {end:.2e}. Between {n} rates there are {n - 1} steps.'
        steps = np.diff(got)
        if np.allclose(steps, steps[0]):
            return f'Each rate is the same amount ({steps[0]:.2e}) above the one before: nearly all of them lie close to {end:.2g}. It should be the same factor.'
        factors = got[1:] / got[:-1]
        if not np.allclose(factors, factors[0]):
            return f'The factors between your rates run from {factors.min():.3g} to {factors.max():.3g}, and should all be {(end / start) ** (1 / (n - 1)):.3g}.'


@exercise('03-2', 'Smooth the losses')
class SmoothTheLosses:
    """
    Write `my_smoothed(raw, beta)`: the exponentially weighted mean of the losses so far, one for each
    loss, corrected for its start at zero. `mean = beta * mean + (1 - beta) * loss`, and what comes out
    at step t (from 1) is `mean / (1 - beta**t)`.
    """
    answer = 'my_smoothed'
    hints = (
        'One loop. One number is carried from step to step, and another one is noted.',
        'Carry `mean` on uncorrected; correct only what you note. `enumerate(raw, 1)` counts from 1.',
        'In the loop: `mean = beta * mean + (1 - beta) * loss`, then `out.append(mean / (1 - beta ** t))`.',
    )

    def start():
        def my_smoothed(raw, beta):
            ...

    def solution():
        def my_smoothed(raw, beta):
            out, mean = [], 0.
            for t, loss in enumerate(raw, 1):
                mean = beta * mean + (1 - beta) * loss
                out.append(mean / (1 - beta ** t))
            return out

    @wrong('begins at zero')
    def uncorrected():
        def my_smoothed(raw, beta):
            out, mean = [], 0.
            for loss in raw:
                mean = beta * mean + (1 - beta) * loss
                out.append(mean)
            return out

    @wrong('changed places')
    def beta_exchanged():
        def my_smoothed(raw, beta):
            out, mean = [], 0.
            for t, loss in enumerate(raw, 1):
                mean = (1 - beta) * mean + beta * loss
                out.append(mean / (1 - (1 - beta) ** t))
            return out

    @wrong('At step')
    def correction_carried_on():
        def my_smoothed(raw, beta):
            out, mean = [], 0.
            for t, loss in enumerate(raw, 1):
                mean = (beta * mean + (1 - beta) * loss) / (1 - beta ** t)
                out.append(mean)
            return out

    def check(answer, rng):
        raw = (rng.random(int(rng.integers(10, 30))) + .5).round(3).tolist()
        beta = round(float(rng.uniform(.7, .95)), 2)
        got = as_numbers(answer(raw, beta), len(raw), 'The list of smoothed losses')
        want = smooth(raw, beta)
        if np.isclose(got[0], (1 - beta) * raw[0]):
            return f'Your first value is {got[0]:.3f} for a loss of {raw[0]:.3f}: the mean begins at zero, and that is not corrected.'
        if np.allclose(got, smooth(raw, 1 - beta)):
            return f'For beta = {beta} your curve is hardly smoothed: beta and 1 − beta have changed places.'
        k = int(np.argmax(~np.isclose(got, want)))  # the first that is wrong
        if not np.allclose(got, want):
            return f'At step {k + 1} you give {got[k]:.4f}, and it should be {want[k]:.4f}.'


def sweep_curve(rng, lrs):
    "Losses of a sweep, as they often look: level, a small step, a fall, and a rise."
    middle = rng.uniform(-4, -2)
    width = rng.uniform(.25, .4)
    x = np.log10(lrs)
    fall = .4 / (1 + np.exp(-(x - middle) / width))
    rise = .08 * (x > middle + 1.5) * (x - middle - 1.5) ** 2
    step = .03 * np.clip((x + 5.5) / .05, 0, 1)
    return .7 - fall + rise - step


def falls_to(share, losses):
    "The same curve, made flatter or steeper so that its lowest loss is that share of its first."
    lowest_fall = losses[0] - losses.min()
    return losses[0] + (losses - losses[0]) * (1 - share) * losses[0] / lowest_fall


def shown_rate(rate):
    "A rate for a sentence; a text as it is."
    return rate if isinstance(rate, str) else f'{rate:.1e}'


@exercise('03-3', 'A rule that can say no')
class ARuleThatCanSayNo:
    """
    Write `my_steepest(lrs, losses)`: the rate at which the loss falls fastest **for each factor of the
    rate**, that is, against log(rate). Where the loss never falls to less than 97 % of its first value, or
    holds a `nan`, return the text `'no answer'`.
    """
    answer = 'my_steepest'
    hints = (
        'First the curves without an answer, then the slope.',
        'Slope between two points: difference of the losses over difference of `np.log(lrs)`. The '
        'smallest (most negative) is the steepest fall.',
        '`if np.isnan(losses).any() or losses.min() > .97 * losses[0]: return "no answer"`, then '
        '`lrs[np.argmin(np.diff(losses) / np.diff(np.log(lrs)))]`.',
    )

    def start():
        def my_steepest(lrs, losses):
            ...

    def setup():
        import numpy as np

    def solution():
        def my_steepest(lrs, losses):
            if np.isnan(losses).any() or losses.min() > .97 * losses[0]: return 'no answer'
            return lrs[np.argmin(np.diff(losses) / np.diff(np.log(lrs)))]

    @wrong('is lowest')
    def lowest_loss():
        def my_steepest(lrs, losses):
            if np.isnan(losses).any() or losses.min() > .97 * losses[0]: return 'no answer'
            return lrs[np.argmin(losses)]

    @wrong('falls fastest at')
    def slope_of_rate():
        def my_steepest(lrs, losses):
            if np.isnan(losses).any() or losses.min() > .97 * losses[0]: return 'no answer'
            return lrs[np.argmin(np.diff(losses) / np.diff(lrs))]

    @wrong('flat curve')
    def answers_flat_curves():
        def my_steepest(lrs, losses):
            if np.isnan(losses).any(): return 'no answer'
            return lrs[np.argmin(np.diff(losses) / np.diff(np.log(lrs)))]

    @wrong('a nan')
    def answers_nan():
        def my_steepest(lrs, losses):
            if losses.min() > .97 * losses[0]: return 'no answer'
            return lrs[np.argmin(np.diff(losses) / np.diff(np.log(lrs)))]

    @wrong('to 98 %')
    def answers_98_percent():
        def my_steepest(lrs, losses):
            if np.isnan(losses).any() or losses.min() > .99 * losses[0]: return 'no answer'
            return lrs[np.argmin(np.diff(losses) / np.diff(np.log(lrs)))]

    @wrong('to 95 %')
    def refuses_95_percent():
        def my_steepest(lrs, losses):
            if np.isnan(losses).any() or losses.min() > .9 * losses[0]: return 'no answer'
            return lrs[np.argmin(np.diff(losses) / np.diff(np.log(lrs)))]

    def check(answer, rng):
        lrs = np.geomspace(1e-6, 1, 60)
        losses = sweep_curve(rng, lrs)
        x = np.log(lrs)
        result = answer(lrs, losses)
        want = lrs[np.argmin(np.diff(losses) / np.diff(x))]
        got = as_number(result, 'The rate')
        if np.isclose(got, lrs[losses.argmin()]):
            return f'At {got:.1e} the loss is lowest. Where does it fall fastest?'
        two_steps = 2.01 * (x[1] - x[0])
        is_near = got > 0 and np.abs(np.log(got / want)) < two_steps
        if not is_near:
            return f'You give {got:.1e}. Against log(rate) the loss falls fastest at {want:.1e}; against the rate itself, small rates always seem steep.'
        flat = answer(lrs, .7 - .005 * rng.random(60))
        if flat != 'no answer':
            return f"For a flat curve you give {shown_rate(flat)}: it should be 'no answer'."
        with_nan = losses.copy()
        with_nan[int(rng.integers(40, 60)):] = np.nan
        broken = answer(lrs, with_nan)
        if broken != 'no answer':
            return f"For a curve that holds a nan you give {shown_rate(broken)}: it should be 'no answer'."
        shallow = answer(lrs, falls_to(.98, losses))
        if shallow != 'no answer':
            return f"For a curve that falls to 98 % of its first value you give {shown_rate(shallow)}: it should be 'no answer'."
        deeper = answer(lrs, falls_to(.95, losses))
        if isinstance(deeper, str):
            return f"For a curve that falls to 95 % of its first value you give '{deeper}': below 97 % there is a rate to give."


def norm_network():
    return nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(),
        nn.Linear(8, 3)).eval()


def batch_of_16():
    return torch.randn(16, 6), torch.randint(3, (16,))


def sweep_by_hand(model, batches, lrs):
    "What `my_sweep` should do, on a copy."
    model = copy.deepcopy(model).train()
    opt = torch.optim.SGD(model.parameters(), lr=1.)
    losses = []
    for (x, y), lr in zip(batches, lrs):
        opt.param_groups[0]['lr'] = lr
        loss = nn.functional.cross_entropy(model(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


def mode_name(is_training):
    return 'train' if is_training else 'eval'


@exercise('03-4', 'A sweep that leaves nothing behind')
class ASweepThatLeavesNothingBehind:
    """
    Write `my_sweep(model, batches, lrs)`. In train mode, take one step of plain SGD for each `(x, y)` of
    `batches`, with the rate that stands in the same place of `lrs`, and return the list of losses.
    Afterwards the **model is as it was**: weights, BatchNorm's running statistics, and mode.
    """
    answer = 'my_sweep'
    changes = True
    hints = (
        'There are two ways: train a copy, or train the model and put back what it was.',
        '`model.state_dict()` holds weights and running statistics, but it holds references: it changes '
        'while you train. And it does not hold the mode.',
        '`copy.deepcopy(model)` gives a model of its own. Train that one, with '
        '`torch.optim.SGD(twin.parameters(), lr=lr)` for each step.',
    )

    def start():
        def my_sweep(model, batches, lrs):
            ...

    def setup():
        import copy, torch

    def solution():
        def my_sweep(model, batches, lrs):
            twin, losses = copy.deepcopy(model).train(), []
            opt = torch.optim.SGD(twin.parameters(), lr=1.)
            for (x, y), lr in zip(batches, lrs):
                opt.param_groups[0]['lr'] = lr
                loss = torch.nn.functional.cross_entropy(twin(x), y)
                opt.zero_grad()
                loss.backward()
                opt.step()
                losses.append(loss.item())
            return losses

    @wrong('The weights are no longer')
    def reference_to_weights():
        def my_sweep(model, batches, lrs):
            before, losses = model.state_dict(), []
            model.train()
            for (x, y), lr in zip(batches, lrs):
                opt = torch.optim.SGD(model.parameters(), lr=lr)
                loss = torch.nn.functional.cross_entropy(model(x), y)
                opt.zero_grad(); loss.backward(); opt.step()
                losses.append(loss.item())
            model.load_state_dict(before); model.eval()
            return losses

    @wrong("BatchNorm's running")
    def weights_only():
        def my_sweep(model, batches, lrs):
            before, losses = [p.detach().clone() for p in model.parameters()], []
            model.train()
            for (x, y), lr in zip(batches, lrs):
                opt = torch.optim.SGD(model.parameters(), lr=lr)
                loss = torch.nn.functional.cross_entropy(model(x), y)
                opt.zero_grad(); loss.backward(); opt.step()
                losses.append(loss.item())
            for p, old in zip(model.parameters(), before): p.data = old
            model.eval()
            return losses

    @wrong('now it is in train mode')
    def left_in_train_mode():
        def my_sweep(model, batches, lrs):
            before, losses = copy.deepcopy(model.state_dict()), []
            model.train()
            for (x, y), lr in zip(batches, lrs):
                opt = torch.optim.SGD(model.parameters(), lr=lr)
                loss = torch.nn.functional.cross_entropy(model(x), y)
                opt.zero_grad(); loss.backward(); opt.step()
                losses.append(loss.item())
            model.load_state_dict(before)
            return losses

    @wrong('now it is in eval mode')
    def always_eval_mode():
        def my_sweep(model, batches, lrs):
            before, losses = copy.deepcopy(model.state_dict()), []
            model.train()
            for (x, y), lr in zip(batches, lrs):
                opt = torch.optim.SGD(model.parameters(), lr=lr)
                loss = torch.nn.functional.cross_entropy(model(x), y)
                opt.zero_grad(); loss.backward(); opt.step()
                losses.append(loss.item())
            model.load_state_dict(before); model.eval()
            return losses

    @wrong('The loss at step')
    def first_rate_only():
        def my_sweep(model, batches, lrs):
            twin, losses = copy.deepcopy(model).train(), []
            opt = torch.optim.SGD(twin.parameters(), lr=lrs[0])
            for x, y in batches:
                loss = torch.nn.functional.cross_entropy(twin(x), y)
                opt.zero_grad(); loss.backward(); opt.step()
                losses.append(loss.item())
            return losses

    def check(answer, rng):
        torch.manual_seed(int(rng.integers(1e6)))
        model = norm_network()
        batches = [batch_of_16() for _ in range(8)]
        lrs = np.geomspace(1e-2, 2, 8).tolist()
        old = copy.deepcopy(model.state_dict())
        twin = copy.deepcopy(model)
        with torch.enable_grad():
            result = answer(model, batches, lrs)
            want = sweep_by_hand(twin, batches, lrs)
        got = as_numbers(result, len(lrs), 'The list of losses')
        k = int(np.argmax(~np.isclose(got, want, rtol=1e-3)))  # the first that is wrong
        if not np.allclose(got, want, rtol=1e-3):
            return f'The loss at step {k + 1} is {got[k]:.4f}, and should be {want[k]:.4f}: is the rate of every step set, and the gradient back at zero?'
        moves = [(p.detach() - old[name]).abs().max() for name, p in model.named_parameters()]
        moved = float(max(moves))
        if moved:
            return f'The weights are no longer what they were: off by up to {moved:.3f}. What you kept may be a reference to them, not a copy.'
        running_mean = model[1].running_mean
        if not torch.equal(running_mean, old['1.running_mean']):
            return f"BatchNorm's running means have moved by up to {(running_mean - old['1.running_mean']).abs().max():.3f}. They are buffers, not parameters."
        for mode in (False, True):
            model.train(mode)
            with torch.enable_grad(): answer(model, batches, lrs)
            if {model.training, model[1].training} != {mode}:
                return f"The model was in {mode_name(mode)} mode, and now it is in {mode_name(not mode)} mode."
