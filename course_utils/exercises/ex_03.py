"""The learning rate finder: texts, checks, hints and solutions. Whoever wants to solve them stops reading here."""


from course_utils.classroom.checker import exercise, numbers, number
from course_utils.classroom.guesses import quantity

import copy, numpy as np, torch
from torch import nn

from course_utils.techniques.lr_finder import smooth

quantity('03', 'rate', 'rate that trains best, of those the rules gave', widest=(1e-5, 1), example=(1e-3, 1e-2), log=True, shown='{:.1e}',
         expected=lambda r: (r['rates'][r['best']], r['rates'][r['best']] / 4, r['rates'][r['best']] * 4))
quantity('03', 'factor', 'highest median rate of a rule over the lowest', widest=(1, 1000), log=True, shown='{:.0f}',
         expected=lambda r: (f := max(v['median'] for v in r['rules'].values()) / min(v['median'] for v in r['rules'].values()), f / 2, f * 2))

@exercise('03-1', 'The rates of a sweep', '''
    Write `my_rates(start, end, n)`: `n` rates, the first is `start`, the last is `end`, and each is the same **factor** above the one before.''',
    start='''
    def my_rates(start, end, n):
        ...''',
    answer='my_rates',
    hints=['There are n − 1 steps between n rates. Multiplied together, their factors give end / start.',
           'The factor of one step is `(end / start) ** (1 / (n - 1))`.',
           '`[start * (end / start) ** (i / (n - 1)) for i in range(n)]`, or NumPy\'s `geomspace`.'],
    solution='''
    def my_rates(start, end, n):
        return [start * (end / start) ** (i / (n - 1)) for i in range(n)]''',
    before='import numpy as np',
    wrong={'''
    def my_rates(start, end, n):
        return np.linspace(start, end, n)''': 'the same amount',
           '''
    def my_rates(start, end, n):
        return [start * (end / start) ** (i / n) for i in range(n)]''': 'The last rate',
           '''
    def my_rates(start, end, n):
        return [start * (end / start) ** ((i + 1) / n) for i in range(n)]''': 'The first rate',
           '''
    def my_rates(start, end, n):
        return np.exp(np.linspace(np.log(start) ** .5 if start > 1 else np.log(start), np.log(end), n) ** 1) if n < 3 else np.r_[start, np.linspace(start, end, n)[1:-1] ** 1.1, end]''': 'The factors'})
def check_03_1(answer, rng):
    start, end, n = float(10 ** rng.uniform(-7, -4)), float(10 ** rng.uniform(-1, 1)), int(rng.integers(5, 40))
    got = numbers(answer(start, end, n), n, 'The list of rates')
    if not np.isclose(got[0], start): return f'The first rate is {got[0]:.2e}, and should be start = {start:.2e}.'
    if not np.isclose(got[-1], end): return f'The last rate is {got[-1]:.2e}, and should be end = {end:.2e}. Between {n} rates there are {n - 1} steps.'
    if np.allclose(np.diff(got), np.diff(got)[0]): return f'Each rate is the same amount ({np.diff(got)[0]:.2e}) above the one before: nearly all of them lie close to {end:.2g}. It should be the same factor.'
    factors = got[1:] / got[:-1]
    if not np.allclose(factors, factors[0]): return f'The factors between your rates run from {factors.min():.3g} to {factors.max():.3g}, and should all be {(end / start) ** (1 / (n - 1)):.3g}.'

@exercise('03-2', 'Smooth the losses', '''
    Write `my_smoothed(raw, beta)`: the exponentially weighted mean of the losses so far, one for each loss, corrected for its start at nought. `mean = beta * mean + (1 - beta) * loss`, and what comes out at step t (from 1) is `mean / (1 - beta**t)`.''',
    start='''
    def my_smoothed(raw, beta):
        ...''',
    answer='my_smoothed',
    hints=['One loop. One number is carried from step to step, and another one is noted.',
           'Carry `mean` on uncorrected; correct only what you note. `enumerate(raw, 1)` counts from 1.',
           'In the loop: `mean = beta * mean + (1 - beta) * loss`, then `out.append(mean / (1 - beta ** t))`.'],
    solution='''
    def my_smoothed(raw, beta):
        out, mean = [], 0.
        for t, loss in enumerate(raw, 1):
            mean = beta * mean + (1 - beta) * loss
            out.append(mean / (1 - beta ** t))
        return out''',
    wrong={'''
    def my_smoothed(raw, beta):
        out, mean = [], 0.
        for loss in raw:
            mean = beta * mean + (1 - beta) * loss
            out.append(mean)
        return out''': 'begins at nought',
           '''
    def my_smoothed(raw, beta):
        out, mean = [], 0.
        for t, loss in enumerate(raw, 1):
            mean = (1 - beta) * mean + beta * loss
            out.append(mean / (1 - (1 - beta) ** t))
        return out''': 'changed places',
           '''
    def my_smoothed(raw, beta):
        out, mean = [], 0.
        for t, loss in enumerate(raw, 1):
            mean = (beta * mean + (1 - beta) * loss) / (1 - beta ** t)
            out.append(mean)
        return out''': 'At step'})
def check_03_2(answer, rng):
    raw, beta = (rng.random(int(rng.integers(10, 30))) + .5).round(3).tolist(), round(float(rng.uniform(.7, .95)), 2)
    got, want = numbers(answer(raw, beta), len(raw), 'The list of smoothed losses'), smooth(raw, beta)
    if np.isclose(got[0], (1 - beta) * raw[0]): return f'Your first value is {got[0]:.3f} for a loss of {raw[0]:.3f}: the mean begins at nought, and that is not corrected.'
    if np.allclose(got, smooth(raw, 1 - beta)): return f'For beta = {beta} your curve is hardly smoothed: beta and 1 − beta have changed places.'
    if not np.allclose(got, want): return f'At step {(k := int(np.argmax(~np.isclose(got, want)))) + 1} you give {got[k]:.4f}, and it should be {want[k]:.4f}.'

@exercise('03-3', 'A rule that can say no', '''
    Write `my_steepest(lrs, losses)`: the rate at which the loss falls fastest **for each factor of the rate**, that is, against log(rate). Where the loss never falls to less than 97 % of its first value, or holds a `nan`, return the text `'no answer'`.''',
    start='''
    def my_steepest(lrs, losses):
        ...''',
    answer='my_steepest',
    hints=['First the curves without an answer, then the slope.',
           'Slope between two points: difference of the losses over difference of `np.log(lrs)`. The smallest (most negative) is the steepest fall.',
           '`if np.isnan(losses).any() or losses.min() > .97 * losses[0]: return "no answer"`, then `lrs[np.argmin(np.diff(losses) / np.diff(np.log(lrs)))]`.'],
    before='import numpy as np',
    solution='''
    def my_steepest(lrs, losses):
        if np.isnan(losses).any() or losses.min() > .97 * losses[0]: return 'no answer'
        return lrs[np.argmin(np.diff(losses) / np.diff(np.log(lrs)))]''',
    wrong={'''
    def my_steepest(lrs, losses):
        if np.isnan(losses).any() or losses.min() > .97 * losses[0]: return 'no answer'
        return lrs[np.argmin(losses)]''': 'is lowest',
           '''
    def my_steepest(lrs, losses):
        if np.isnan(losses).any() or losses.min() > .97 * losses[0]: return 'no answer'
        return lrs[np.argmin(np.diff(losses) / np.diff(lrs))]''': 'falls fastest at',
           '''
    def my_steepest(lrs, losses):
        if np.isnan(losses).any(): return 'no answer'
        return lrs[np.argmin(np.diff(losses) / np.diff(np.log(lrs)))]''': 'flat curve',
           '''
    def my_steepest(lrs, losses):
        if losses.min() > .97 * losses[0]: return 'no answer'
        return lrs[np.argmin(np.diff(losses) / np.diff(np.log(lrs)))]''': 'a nan',
           '''
    def my_steepest(lrs, losses):
        if np.isnan(losses).any() or losses.min() > .99 * losses[0]: return 'no answer'
        return lrs[np.argmin(np.diff(losses) / np.diff(np.log(lrs)))]''': 'to 98 %',
           '''
    def my_steepest(lrs, losses):
        if np.isnan(losses).any() or losses.min() > .9 * losses[0]: return 'no answer'
        return lrs[np.argmin(np.diff(losses) / np.diff(np.log(lrs)))]''': 'to 95 %'})
def check_03_3(answer, rng):
    lrs = np.geomspace(1e-6, 1, 60)
    middle, width = rng.uniform(-4, -2), rng.uniform(.25, .4)
    x = np.log10(lrs)
    losses = .7 - .4 / (1 + np.exp(-(x - middle) / width)) + .08 * (x > middle + 1.5) * (x - middle - 1.5) ** 2 - .03 * np.clip((x + 5.5) / .05, 0, 1)
    x = np.log(lrs)
    got, want = answer(lrs, losses), lrs[(slopes := np.diff(losses) / np.diff(x)).argmin()]
    got = number(got, 'The rate')
    if np.isclose(got, lrs[losses.argmin()]): return f'At {got:.1e} the loss is lowest. Where does it fall fastest?'
    near = np.abs(np.log(got / want)) < 2.01 * (x[1] - x[0]) if got > 0 else False
    if not near: return f'You give {got:.1e}. Against log(rate) the loss falls fastest at {want:.1e}; against the rate itself, small rates always seem steep.'
    flat = .7 - .005 * rng.random(60)
    if (said := answer(lrs, flat)) != 'no answer': return f"For a flat curve you give {said if isinstance(said, str) else f'{said:.1e}'}: it should be 'no answer'."
    broken = losses.copy(); broken[int(rng.integers(40, 60)):] = np.nan
    if (said := answer(lrs, broken)) != 'no answer': return f"For a curve that holds a nan you give {said if isinstance(said, str) else f'{said:.1e}'}: it should be 'no answer'."
    falls_to = lambda share: losses[0] + (losses - losses[0]) * (1 - share) * losses[0] / (losses[0] - losses.min())
    if (said := answer(lrs, falls_to(.98))) != 'no answer': return f"For a curve that falls to 98 % of its first value you give {said if isinstance(said, str) else f'{said:.1e}'}: it should be 'no answer'."
    if isinstance(said := answer(lrs, falls_to(.95)), str): return f"For a curve that falls to 95 % of its first value you give '{said}': below 97 % there is a rate to give."

def sweep_by_hand(model, batches, lrs):
    "What `my_sweep` should do, on a copy."
    model = copy.deepcopy(model).train()
    opt, losses = torch.optim.SGD(model.parameters(), lr=1.), []
    for (x, y), lr in zip(batches, lrs):
        opt.param_groups[0]['lr'] = lr
        loss = nn.functional.cross_entropy(model(x), y)
        opt.zero_grad(); loss.backward(); opt.step()
        losses.append(loss.item())
    return losses

@exercise('03-4', 'A sweep that leaves nothing behind', '''
    Write `my_sweep(model, batches, lrs)`. In train mode, take one step of plain SGD for each `(x, y)` of `batches`, with the rate that stands in the same place of `lrs`, and return the list of losses. Afterwards the **model is as it was**: weights, BatchNorm's running statistics, and mode.''',
    start='''
    def my_sweep(model, batches, lrs):
        ...''',
    answer='my_sweep', changes=True,
    hints=['There are two ways: train a copy, or train the model and put back what it was.',
           '`model.state_dict()` holds weights and running statistics, but it holds references: it changes while you train. And it does not hold the mode.',
           '`copy.deepcopy(model)` gives a model of its own. Train that one, with `torch.optim.SGD(twin.parameters(), lr=lr)` for each step.'],
    before='import copy, torch',
    solution='''
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
        return losses''',
    wrong={'''
    def my_sweep(model, batches, lrs):
        before, losses = model.state_dict(), []
        model.train()
        for (x, y), lr in zip(batches, lrs):
            opt = torch.optim.SGD(model.parameters(), lr=lr)
            loss = torch.nn.functional.cross_entropy(model(x), y)
            opt.zero_grad(); loss.backward(); opt.step()
            losses.append(loss.item())
        model.load_state_dict(before); model.eval()
        return losses''': 'The weights are no longer',
           '''
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
        return losses''': "BatchNorm's running",
           '''
    def my_sweep(model, batches, lrs):
        before, losses = copy.deepcopy(model.state_dict()), []
        model.train()
        for (x, y), lr in zip(batches, lrs):
            opt = torch.optim.SGD(model.parameters(), lr=lr)
            loss = torch.nn.functional.cross_entropy(model(x), y)
            opt.zero_grad(); loss.backward(); opt.step()
            losses.append(loss.item())
        model.load_state_dict(before)
        return losses''': 'now it is in train mode',
           '''
    def my_sweep(model, batches, lrs):
        before, losses = copy.deepcopy(model.state_dict()), []
        model.train()
        for (x, y), lr in zip(batches, lrs):
            opt = torch.optim.SGD(model.parameters(), lr=lr)
            loss = torch.nn.functional.cross_entropy(model(x), y)
            opt.zero_grad(); loss.backward(); opt.step()
            losses.append(loss.item())
        model.load_state_dict(before); model.eval()
        return losses''': 'now it is in eval mode',
           '''
    def my_sweep(model, batches, lrs):
        twin, losses = copy.deepcopy(model).train(), []
        opt = torch.optim.SGD(twin.parameters(), lr=lrs[0])
        for x, y in batches:
            loss = torch.nn.functional.cross_entropy(twin(x), y)
            opt.zero_grad(); loss.backward(); opt.step()
            losses.append(loss.item())
        return losses''': 'The loss at step'})
def check_03_4(answer, rng):
    torch.manual_seed(int(rng.integers(1e6)))
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).eval()
    batches = [(torch.randn(16, 6), torch.randint(3, (16,))) for _ in range(8)]
    lrs, before, twin = np.geomspace(1e-2, 2, 8).tolist(), copy.deepcopy(model.state_dict()), copy.deepcopy(model)
    with torch.enable_grad(): got, want = answer(model, batches, lrs), sweep_by_hand(twin, batches, lrs)
    got = numbers(got, len(lrs), 'The list of losses')
    if not np.allclose(got, want, rtol=1e-3): return f'The loss at step {(k := int(np.argmax(~np.isclose(got, want, rtol=1e-3)))) + 1} is {got[k]:.4f}, and should be {want[k]:.4f}: is the rate of every step set, and the gradient back at nought?'
    moved = max(float((p.detach() - before[n]).abs().max()) for n, p in model.named_parameters())
    if moved: return f'The weights are no longer what they were: off by up to {moved:.3f}. What you kept may be a reference to them, not a copy.'
    if not torch.equal(model[1].running_mean, before['1.running_mean']): return f"BatchNorm's running means have moved by up to {(model[1].running_mean - before['1.running_mean']).abs().max():.3f}. They are buffers, not parameters."
    for mode in (False, True):
        model.train(mode)
        with torch.enable_grad(): answer(model, batches, lrs)
        if {model.training, model[1].training} != {mode}: return f"The model was in {'train' if mode else 'eval'} mode, and now it is in {'eval' if mode else 'train'} mode."
