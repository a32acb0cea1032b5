"""Overfitting: texts, checks, hints and solutions. Whoever wants to solve them stops reading here."""


from course_utils.classroom.checker import exercise, number, numbers
from course_utils.classroom.guesses import quantity

import copy, numpy as np, pandas as pd, torch
from torch import nn

quantity('00', 'accuracy', 'share of held-out pictures named right', widest=(0, 1), example=(.80, .90), shown='{:.1%}',
         expected=lambda r: (r['accuracy'], *r['interval']))
quantity('00', 'valid_loss', 'validation loss at the end', widest=(0, 3), shown='{:.2f}',
         expected=lambda r: (r['valid_loss'], .8 * r['valid_loss'], 1.2 * r['valid_loss']))
quantity('00', 'seconds', 'seconds of the main training', widest=(1, 10000), log=True, shown='{:.0f}',
         expected=lambda r: (s := r['seconds'], s / 3, 3 * s))

@exercise('00-1', 'Twice as long', '''
    Train the same network for twice as many epochs. Say beforehand, to yourself, what happens to the **last** validation loss. Then put into `my_look` the first run,
    the longer one, and what you see: `'higher'` or `'lower'`.''',
    start='''
    my_look = None  # (run, train(pics, arch, 2 * epochs, lr_max=3e-3, keep=True), '…')''',
    answer='my_look',
    hints=['`train` takes the number of epochs as its third argument; everything else stays as it was.',
           'The last validation loss of a run is `run.valid_loss`. Compare the two.',
           '`longer = train(pics, arch, 2 * epochs, lr_max=3e-3, keep=True)`, then look at `longer.valid_loss - run.valid_loss`: above nought means higher.'],
    before='run, longer = a_run([.6, .5, .55, .6]), a_run([.6, .5, .5, .55, .6, .7, .8, .9])',
    solution='''
    longer = train(pics, arch, 2 * epochs, lr_max=3e-3, keep=True)
    my_look = run, longer, 'higher' if longer.valid_loss > run.valid_loss else 'lower\'''',
    wrong={"my_look = run, longer, 'lower'": 'from 0.600 after 4 epochs to 0.900 after 8',
           "my_look = run, longer": 'three things',
           "my_look = run, longer, 'better'": "can be 'higher' or 'lower'",
           "my_look = run, run, 'lower'": 'twice as long',
           "my_look = longer, run, 'lower'": 'twice as long',
           "my_look = run, a_run([.6] * 8, n=7), 'lower'": 'other held-out pictures'})
def check_00_1(answer, rng):
    if not (isinstance(answer, (tuple, list)) and len(answer) == 3): return 'Give three things in brackets: the run, the longer run, and a word.'
    first, longer, word = answer
    a, b = len(first.history), len(longer.history)
    if b != 2 * a: return f'The first run has {a} epochs and the second {b}: it should be twice as long.'
    if not np.array_equal(first.targets, longer.targets): return f'The two runs have other held-out pictures ({len(first.targets)} and {len(longer.targets)}), so their losses cannot be compared.'
    if word not in ('higher', 'lower'): return f"The word can be 'higher' or 'lower', and yours is '{word}'."
    if (word == 'higher') != (longer.valid_loss > first.valid_loss):
        return f'You say {word}, but the last validation loss goes from {first.valid_loss:.3f} after {a} epochs to {longer.valid_loss:.3f} after {b}.'

@exercise('00-2', 'The gap where it counts', '''
    Write `gap(history)`: the generalisation gap (training accuracy minus validation accuracy) in the epoch with the **lowest validation loss**. `history` is a table like `run.history`,
    with columns `train_accuracy`, `valid_accuracy` and `valid_loss`.''',
    start='''
    def gap(history):
        ...''',
    answer='gap',
    hints=['First find the row, then subtract two numbers of that row.',
           '`history.valid_loss.idxmin()` is the label of the row with the lowest loss.',
           '`row = history.loc[history.valid_loss.idxmin()]`, and then `row.train_accuracy - row.valid_accuracy`.'],
    solution='''
    def gap(history):
        row = history.loc[history.valid_loss.idxmin()]
        return row.train_accuracy - row.valid_accuracy''',
    wrong={'''
    def gap(history):
        row = history.iloc[-1]
        return row.train_accuracy - row.valid_accuracy''': 'the gap at the end',
           '''
    def gap(history):
        row = history.loc[history.valid_loss.idxmin()]
        return row.valid_accuracy - row.train_accuracy''': 'the wrong way round',
           '''
    def gap(history):
        row = history.loc[history.valid_accuracy.idxmax()]
        return row.train_accuracy - row.valid_accuracy''': 'is lowest in epoch'})
def check_00_2(answer, rng):
    n = int(rng.integers(6, 12))
    h = pd.DataFrame(dict(epoch=range(1, n + 1), train_accuracy=np.sort(rng.uniform(.7, 1, n)), valid_accuracy=rng.uniform(.5, .68, n), valid_loss=rng.permutation(n) / 10 + .3))
    h.loc[n - 1, 'valid_loss'] = 2.
    best, top = h.valid_loss.idxmin(), (h.valid_loss.idxmin() + 1) % (n - 1)
    h.loc[top, 'valid_accuracy'] = .69  # the highest accuracy lies in another epoch than the lowest loss
    at = lambda i: h.train_accuracy[i] - h.valid_accuracy[i]
    got = number(answer(h), 'The gap')
    if np.isclose(got, at(n - 1)): return f'{got:.3f} is the gap at the end, in epoch {n}.'
    if np.isclose(got, -at(best)): return f'{got:.3f} is the wrong way round: the gap is positive where training accuracy is higher.'
    if not np.isclose(got, at(best)): return f'You get {got:.3f}. The validation loss is lowest in epoch {best + 1}, and there the gap is {at(best):.3f}.'

@exercise('00-3', 'Recall by hand', '''
    Write `recall(targets, answers, n)`: a list with, for each class 0 … n − 1, the share of **its** pictures that were found. Where a class has no picture at all, put `float('nan')`: there is nothing to find.''',
    start='''
    def recall(targets, answers, n):
        ...''',
    answer='recall',
    hints=['Of the pictures whose target is class k, how many have k as their answer, too?',
           '`targets == k` picks the pictures of a class; the mean of `answers[targets == k] == k` is a share.',
           "In a loop over `range(n)`: `of_k = targets == k`, then `(answers[of_k] == k).mean()` if `of_k.any()`, else `float('nan')`."],
    solution='''
    def recall(targets, answers, n):
        out = []
        for k in range(n):
            of_k = targets == k
            out.append((answers[of_k] == k).mean() if of_k.any() else float('nan'))
        return out''',
    wrong={'''
    def recall(targets, answers, n):
        return [(targets[answers == k] == k).mean() if (targets == k).any() else float('nan') for k in range(n)]''': 'that is precision',
           '''
    def recall(targets, answers, n):
        return [(answers[targets == k] == k).mean() if (targets == k).any() else 0. for k in range(n)]''': 'has no picture here',
           '''
    def recall(targets, answers, n):
        return [((answers == k) & (targets == k)).mean() if (targets == k).any() else float('nan') for k in range(n)]''': 'pictures of class'})
def check_00_3(answer, rng):
    n, empty = 4, int(rng.integers(4))
    targets = rng.permutation(np.repeat([k for k in range(n) if k != empty], [30, 20, 12]))
    answers = np.where(rng.random(62) < .6, targets, rng.integers(0, n, 62))
    first = next(k for k in range(n) if k != empty)
    answers[np.flatnonzero(targets == first)[:3]], answers[np.flatnonzero(targets != first)[:9]] = (first + 1) % n, first  # so that recall is not precision
    got = numbers(answer(targets, answers, n), n, 'The list of recalls')
    if not np.isnan(got[empty]): return f"Class {empty} has no picture here, and you give {got[empty]:.3f}: that should be float('nan')."
    for k in set(range(n)) - {empty}:
        of_k, said = targets == k, answers == k
        want, precision = (answers[of_k] == k).mean(), (targets[said] == k).mean() if said.any() else 0
        if not np.isclose(got[k], want) and np.isclose(got[k], precision): return f'For class {k} you give {got[k]:.3f}: that is precision, the share of the answers {k} that are true.'
        if not np.isclose(got[k], want): return f'There are {of_k.sum()} pictures of class {k}, and {(answers[of_k] == k).sum()} are found: {want:.3f}. You give {got[k]:.3f}.'

def epoch_by_hand(model, batches, opt):
    "What `one_epoch` should do."
    model.train()
    total = n = 0
    for x, y in batches:
        loss = nn.functional.cross_entropy(model(x), y)
        opt.zero_grad(); loss.backward(); opt.step()
        total, n = total + loss.item() * len(y), n + len(y)
    return total / n

@exercise('00-4', 'One epoch, by yourself', '''
    Write `one_epoch(model, batches, opt)`: put the model in train mode, take one step for each `(x, y)` of `batches` with cross-entropy, and return the mean loss **over pictures**. It is the inside of `train_by_hand` above; try it without looking.''',
    start='''
    def one_epoch(model, batches, opt):
        for x, y in batches:
            ...  # loss, gradient, step''',
    answer='one_epoch', changes=True,
    hints=['Four things for each batch: the loss, its gradient, a step, and the gradient back to nought.',
           '`loss = torch.nn.functional.cross_entropy(model(x), y)`, then `loss.backward()`, `opt.step()`, `opt.zero_grad()`. And `model.train()` before the loop.',
           'The last batch may be smaller. Add up `loss.item() * len(y)` and `len(y)`, and divide at the end.'],
    before='import torch',
    solution='''
    def one_epoch(model, batches, opt):
        model.train()
        total = n = 0
        for x, y in batches:
            loss = torch.nn.functional.cross_entropy(model(x), y)
            opt.zero_grad()
            loss.backward()
            opt.step()
            total, n = total + loss.item() * len(y), n + len(y)
        return total / n''',
    wrong={'''
    def one_epoch(model, batches, opt):
        model.train()
        return sum(torch.nn.functional.cross_entropy(model(x), y).item() for x, y in batches) / len(batches)''': 'No weight has moved',
           '''
    def one_epoch(model, batches, opt):
        total = n = 0
        for x, y in batches:
            loss = torch.nn.functional.cross_entropy(model(x), y)
            opt.zero_grad(); loss.backward(); opt.step()
            total, n = total + loss.item() * len(y), n + len(y)
        return total / n''': 'model.train()',
           '''
    def one_epoch(model, batches, opt):
        model.train()
        total = n = 0
        for x, y in batches:
            loss = torch.nn.functional.cross_entropy(model(x), y)
            loss.backward(); opt.step()
            total, n = total + loss.item() * len(y), n + len(y)
        return total / n''': 'opt.zero_grad()',
           '''
    def one_epoch(model, batches, opt):
        model.train()
        total = 0
        for x, y in batches:
            loss = torch.nn.functional.cross_entropy(model(x), y)
            opt.zero_grad(); loss.backward(); opt.step()
            total += loss.item()
        return total / len(batches)''': 'mean over batches',
           '''
    def one_epoch(model, batches, opt):
        model.train()
        for x, y in batches:
            loss = torch.nn.functional.cross_entropy(model(x), y)
            opt.zero_grad(); loss.backward(); opt.step()
        return loss.item()''': 'The mean loss over all pictures'})
def check_00_4(answer, rng):
    torch.manual_seed(int(rng.integers(1e6)))
    start = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).eval()
    batches = [(torch.randn(n, 4), torch.randint(3, (n,))) for n in (8, 8, 2)]
    mine, theirs = copy.deepcopy(start), copy.deepcopy(start)
    with torch.enable_grad():
        got = answer(mine, batches, torch.optim.SGD(mine.parameters(), lr=.5))
        want = epoch_by_hand(theirs, batches, torch.optim.SGD(theirs.parameters(), lr=.5))
    flat = lambda m: torch.cat([p.detach().flatten() for p in m.parameters()])
    if torch.equal(flat(mine), flat(start)): return 'No weight has moved: after `loss.backward()`, the optimiser takes its step.'
    if torch.equal(mine[1].running_mean, start[1].running_mean): return "BatchNorm's running means have not moved, so the model was in eval mode: it wants `model.train()`."
    if not torch.allclose(flat(mine), flat(theirs), atol=1e-4): return f'After {len(batches)} batches your weights are off by up to {(flat(mine) - flat(theirs)).abs().max():.3f}. Gradients add up from batch to batch until you call `opt.zero_grad()`.'
    losses = [float(v) for v in losses_by_batch(start, batches)]
    got = number(got, 'The mean loss')
    if np.isclose(got, np.mean(losses), rtol=1e-4) and not np.isclose(got, want, rtol=1e-4): return f'You return {got:.4f}, the mean over batches. The last batch has only {len(batches[-1][1])} pictures and counts less: {want:.4f}.'
    if not np.isclose(got, want, rtol=1e-4): return f'You return {got:.4f}. The mean loss over all pictures is {want:.4f}.'

def losses_by_batch(start, batches):
    "The loss of each batch in such an epoch."
    model = copy.deepcopy(start)
    opt = torch.optim.SGD(model.parameters(), lr=.5)
    return [epoch_by_hand(model, [batch], opt) for batch in batches]
