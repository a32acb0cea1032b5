"""Exercises of lesson 00, overfitting: texts, hints, solutions, wrong answers and checks. Whoever wants to solve them stops reading here."""
import copy

import numpy as np, pandas as pd, torch
from torch import nn

from course_utils.classroom.compare import as_number, as_numbers
from course_utils.classroom.exercise import exercise, wrong
from course_utils.classroom.guesses import quantity

quantity(
    '00', 'accuracy', 'share of held-out pictures named right',
    widest=(0, 1), example=(.80, .90), shown='{:.1%}',
    expected=lambda r: (r['accuracy'], *r['interval']))
quantity(
    '00', 'valid_loss', 'validation loss at the end',
    widest=(0, 3), shown='{:.2f}',
    expected=lambda r: (r['valid_loss'], .8 * r['valid_loss'], 1.2 * r['valid_loss']))
quantity(
    '00', 'seconds', 'seconds of the main training',
    widest=(1, 10000), log=True, shown='{:.0f}',
    expected=lambda r: (r['seconds'], r['seconds'] / 3, r['seconds'] * 3))


@exercise('00-1', 'Twice as long')
class TwiceAsLong:
    """
    Train the same network for twice as many epochs. Say beforehand, to yourself, what happens to the
    **last** validation loss. Then put into `my_look` the first run,

    the longer one, and what you see: `'higher'` or `'lower'`.
    """
    answer = 'my_look'
    hints = (
        'The number of epochs stands in `recipe`; everything else stays as it was.',
        'The last validation loss of a run is `run.valid_loss`. Compare the two.',
        '`longer = train(pics, replace(recipe, epochs=2 * epochs), keep=True)`, then look at '
        '`longer.valid_loss - run.valid_loss`: above zero means higher.',
    )

    def start():
        my_look = None  # (run, train(pics, replace(recipe, epochs=2 * epochs), keep=True), '…')

    def setup():
        run, longer = a_run([.6, .5, .55, .6]), a_run([.6, .5, .5, .55, .6, .7, .8, .9])

    def solution():
        longer = train(pics, replace(recipe, epochs=2 * epochs), keep=True)
        my_look = run, longer, 'higher' if longer.valid_loss > run.valid_loss else 'lower'

    @wrong('from 0.600 after 4 epochs to 0.900 after 8')
    def lower():
        my_look = run, longer, 'lower'

    @wrong('three things')
    def no_word():
        my_look = run, longer

    @wrong("can be 'higher' or 'lower'")
    def other_word():
        my_look = run, longer, 'better'

    @wrong('twice as long')
    def same_run():
        my_look = run, run, 'lower'

    @wrong('twice as long')
    def wrong_order():
        my_look = longer, run, 'lower'

    @wrong('other held-out pictures')
    def fewer_pictures():
        my_look = run, a_run([.6] * 8, n=7), 'lower'

    def check(answer, rng):
        if not (isinstance(answer, (tuple, list)) and len(answer) == 3):
            return 'Give three things in brackets: the run, the longer run, and a word.'
        first, longer, word = answer
        epochs = len(first.history)
        more_epochs = len(longer.history)
        if more_epochs != 2 * epochs:
            return f'The first run has {epochs} epochs and the second {more_epochs}: it should be twice as long.'
        if not np.array_equal(first.targets, longer.targets):
            return f'The two runs have other held-out pictures ({len(first.targets)} and {len(longer.targets)}), so their losses cannot be compared.'
        if word not in ('higher', 'lower'):
            return f"The word can be 'higher' or 'lower', and yours is '{word}'."
        is_higher = longer.valid_loss > first.valid_loss
        if (word == 'higher') != is_higher:
            return f'You say {word}, but the last validation loss goes from {first.valid_loss:.3f} after {epochs} epochs to {longer.valid_loss:.3f} after {more_epochs}.'


def random_history(rng, n):
    "`n` epochs, of which neither the last nor that of the highest accuracy has the lowest loss."
    history = pd.DataFrame(dict(
        epoch=range(1, n + 1),
        train_accuracy=np.sort(rng.uniform(.7, 1, n)),
        valid_accuracy=rng.uniform(.5, .68, n),
        valid_loss=rng.permutation(n) / 10 + .3))
    history.loc[n - 1, 'valid_loss'] = 2.
    most_accurate = (history.valid_loss.idxmin() + 1) % (n - 1)
    history.loc[most_accurate, 'valid_accuracy'] = .69
    return history


@exercise('00-2', 'The gap where it counts')
class TheGapWhereItCounts:
    """
    Write `gap(history)`: the generalisation gap (training accuracy minus validation accuracy) in the epoch
    with the **lowest validation loss**. `history` is a table like `run.history`,

    with columns `train_accuracy`, `valid_accuracy` and `valid_loss`.
    """
    answer = 'gap'
    hints = (
        'First find the row, then subtract two numbers of that row.',
        '`history.valid_loss.idxmin()` is the label of the row with the lowest loss.',
        '`row = history.loc[history.valid_loss.idxmin()]`, and then `row.train_accuracy - '
        'row.valid_accuracy`.',
    )

    def start():
        def gap(history):
            ...

    def solution():
        def gap(history):
            row = history.loc[history.valid_loss.idxmin()]
            return row.train_accuracy - row.valid_accuracy

    @wrong('the gap at the end')
    def last_epoch():
        def gap(history):
            row = history.iloc[-1]
            return row.train_accuracy - row.valid_accuracy

    @wrong('the wrong way round')
    def turned_round():
        def gap(history):
            row = history.loc[history.valid_loss.idxmin()]
            return row.valid_accuracy - row.train_accuracy

    @wrong('is lowest in epoch')
    def highest_accuracy():
        def gap(history):
            row = history.loc[history.valid_accuracy.idxmax()]
            return row.train_accuracy - row.valid_accuracy

    def check(answer, rng):
        n = int(rng.integers(6, 12))
        h = random_history(rng, n)
        best = h.valid_loss.idxmin()
        gaps = h.train_accuracy - h.valid_accuracy
        got = as_number(answer(h), 'The gap')
        if np.isclose(got, gaps[n - 1]):
            return f'{got:.3f} is the gap at the end, in epoch {n}.'
        if np.isclose(got, -gaps[best]):
            return f'{got:.3f} is the wrong way round: the gap is positive where training accuracy is higher.'
        if not np.isclose(got, gaps[best]):
            return f'You get {got:.3f}. The validation loss is lowest in epoch {best + 1}, and there the gap is {gaps[best]:.3f}.'


@exercise('00-3', 'Recall by hand')
class RecallByHand:
    """
    Write `recall(targets, answers, n)`: a list with, for each class 0 … n − 1, the share of **its**
    pictures that were found. Where a class has no picture at all, put `float('nan')`: there is nothing to
    find.
    """
    answer = 'recall'
    hints = (
        'Of the pictures whose target is class k, how many have k as their answer, too?',
        '`targets == k` picks the pictures of a class; the mean of `answers[targets == k] == k` is a share.',
        "In a loop over `range(n)`: `of_k = targets == k`, then `(answers[of_k] == k).mean()` if "
        "`of_k.any()`, else `float('nan')`.",
    )

    def start():
        def recall(targets, answers, n):
            ...

    def solution():
        def recall(targets, answers, n):
            out = []
            for k in range(n):
                of_k = targets == k
                out.append((answers[of_k] == k).mean() if of_k.any() else float('nan'))
            return out

    @wrong('that is precision')
    def precision():
        def recall(targets, answers, n):
            return [(targets[answers == k] == k).mean() if (targets == k).any() else float('nan') for k in range(n)]

    @wrong('has no picture here')
    def zero_for_nan():
        def recall(targets, answers, n):
            return [(answers[targets == k] == k).mean() if (targets == k).any() else 0. for k in range(n)]

    @wrong('pictures of class')
    def share_of_all():
        def recall(targets, answers, n):
            return [((answers == k) & (targets == k)).mean() if (targets == k).any() else float('nan') for k in range(n)]

    def check(answer, rng):
        n = 4
        empty = int(rng.integers(n))
        classes = [k for k in range(n) if k != empty]
        targets = rng.permutation(np.repeat(classes, [30, 20, 12]))
        answers = np.where(rng.random(62) < .6, targets, rng.integers(0, n, 62))
        # so that recall is not precision: the first class is missed three times, and named nine times for others
        first = classes[0]
        missed = np.flatnonzero(targets == first)[:3]
        taken = np.flatnonzero(targets != first)[:9]
        answers[missed] = (first + 1) % n
        answers[taken] = first
        got = as_numbers(answer(targets, answers, n), n, 'The list of recalls')
        if not np.isnan(got[empty]):
            return f"Class {empty} has no picture here, and you give {got[empty]:.3f}: that should be float('nan')."
        for k in classes:
            in_class = targets == k
            named = answers == k
            recall = named[in_class].mean()
            precision = in_class[named].mean() if named.any() else 0
            if not np.isclose(got[k], recall) and np.isclose(got[k], precision):
                return f'For class {k} you give {got[k]:.3f}: that is precision, the share of the answers {k} that are true.'
            if not np.isclose(got[k], recall):
                return f'There are {in_class.sum()} pictures of class {k}, and {named[in_class].sum()} are found: {recall:.3f}. You give {got[k]:.3f}.'


def small_network():
    return nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(),
        nn.Linear(8, 3)).eval()


def random_batch(n):
    return torch.randn(n, 4), torch.randint(3, (n,))


def epoch_by_hand(model, batches, opt):
    "What `one_epoch` should do."
    model.train()
    total = n = 0
    for x, y in batches:
        loss = nn.functional.cross_entropy(model(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item() * len(y)
        n += len(y)
    return total / n


def losses_by_batch(start, batches):
    "The loss of each batch in such an epoch."
    model = copy.deepcopy(start)
    opt = torch.optim.SGD(model.parameters(), lr=.5)
    return [epoch_by_hand(model, [batch], opt) for batch in batches]


def flat_weights(model):
    "All parameters as one row."
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@exercise('00-4', 'One epoch, by yourself')
class OneEpochByYourself:
    """
    Write `one_epoch(model, batches, opt)`: put the model in train mode, take one step for each `(x, y)` of
    `batches` with cross-entropy, and return the mean loss **over pictures**. It is the inside of
    `train_by_hand` above; try it without looking.
    """
    answer = 'one_epoch'
    changes = True
    hints = (
        'Four things for each batch: the loss, its gradient, a step, and the gradient back to zero.',
        '`loss = torch.nn.functional.cross_entropy(model(x), y)`, then `loss.backward()`, `opt.step()`, '
        '`opt.zero_grad()`. And `model.train()` before the loop.',
        'The last batch may be smaller. Add up `loss.item() * len(y)` and `len(y)`, and divide at the end.',
    )

    def start():
        def one_epoch(model, batches, opt):
            for x, y in batches:
                ...  # loss, gradient, step

    def setup():
        import torch

    def solution():
        def one_epoch(model, batches, opt):
            model.train()
            total = n = 0
            for x, y in batches:
                loss = torch.nn.functional.cross_entropy(model(x), y)
                opt.zero_grad()
                loss.backward()
                opt.step()
                total, n = total + loss.item() * len(y), n + len(y)
            return total / n

    @wrong('No weight has moved')
    def no_step():
        def one_epoch(model, batches, opt):
            model.train()
            return sum(torch.nn.functional.cross_entropy(model(x), y).item() for x, y in batches) / len(batches)

    @wrong('model.train()')
    def eval_mode():
        def one_epoch(model, batches, opt):
            total = n = 0
            for x, y in batches:
                loss = torch.nn.functional.cross_entropy(model(x), y)
                opt.zero_grad(); loss.backward(); opt.step()
                total, n = total + loss.item() * len(y), n + len(y)
            return total / n

    @wrong('opt.zero_grad()')
    def gradients_add_up():
        def one_epoch(model, batches, opt):
            model.train()
            total = n = 0
            for x, y in batches:
                loss = torch.nn.functional.cross_entropy(model(x), y)
                loss.backward(); opt.step()
                total, n = total + loss.item() * len(y), n + len(y)
            return total / n

    @wrong('mean over batches')
    def mean_of_batches():
        def one_epoch(model, batches, opt):
            model.train()
            total = 0
            for x, y in batches:
                loss = torch.nn.functional.cross_entropy(model(x), y)
                opt.zero_grad(); loss.backward(); opt.step()
                total += loss.item()
            return total / len(batches)

    @wrong('The mean loss over all pictures')
    def last_loss():
        def one_epoch(model, batches, opt):
            model.train()
            for x, y in batches:
                loss = torch.nn.functional.cross_entropy(model(x), y)
                opt.zero_grad(); loss.backward(); opt.step()
            return loss.item()

    def check(answer, rng):
        torch.manual_seed(int(rng.integers(1e6)))
        start = small_network()
        batches = [random_batch(n) for n in (8, 8, 2)]
        model, by_hand = copy.deepcopy(start), copy.deepcopy(start)
        with torch.enable_grad():
            result = answer(model, batches, torch.optim.SGD(model.parameters(), lr=.5))
            want = epoch_by_hand(by_hand, batches, torch.optim.SGD(by_hand.parameters(), lr=.5))
        weights, wanted_weights = flat_weights(model), flat_weights(by_hand)
        if torch.equal(weights, flat_weights(start)):
            return 'No weight has moved: after `loss.backward()`, the optimiser takes its step.'
        if torch.equal(model[1].running_mean, start[1].running_mean):
            return "BatchNorm's running means have not moved, so the model was in eval mode: it wants `model.train()`."
        if not torch.allclose(weights, wanted_weights, atol=1e-4):
            return f'After {len(batches)} batches your weights are off by up to {(weights - wanted_weights).abs().max():.3f}. Gradients add up from batch to batch until you call `opt.zero_grad()`.'
        got = as_number(result, 'The mean loss')
        mean_of_batches = np.mean(losses_by_batch(start, batches))
        if np.isclose(got, mean_of_batches, rtol=1e-4) and not np.isclose(got, want, rtol=1e-4):
            return f'You return {got:.4f}, the mean over batches. The last batch has only {len(batches[-1][1])} pictures and counts less: {want:.4f}.'
        if not np.isclose(got, want, rtol=1e-4):
            return f'You return {got:.4f}. The mean loss over all pictures is {want:.4f}.'
