"""Exercises of lesson 06, test-time augmentation: texts, hints, solutions, wrong answers and checks. Whoever wants to solve them stops reading here."""
import copy

import numpy as np, torch
from scipy.stats import binomtest
from torch import nn

from course_utils.classroom.compare import as_number, as_numbers
from course_utils.classroom.exercise import exercise, wrong
from course_utils.classroom.guesses import quantity
from course_utils.techniques.tta import average, symmetric_views


def gain_range(r):
    "The recorded interval is over pictures only, and rounding alone moves the training: −14.5 % and −30.5 % with the same seed."
    gain = r['gains']['trained without, 8 flips and turns']['gain']
    return gain, gain - .2, gain + .2


quantity(
    '06', 'gain', 'accuracy of eight views, minus that of the plain picture',
    widest=(-.5, .5), example=(-.01, .03), shown='{:+.1%}',
    expected=gain_range)
quantity(
    '06', 'sideways', 'accuracy of eight views where a turn changes the label',
    widest=(0, 1), example=(.8, 1), shown='{:.1%}',
    expected=lambda r: (r['sideways']['all eight views']['accuracy'], *r['sideways_interval']))
quantity(
    '06', 'seconds', 'seconds of the main training',
    widest=(1, 10000), log=True, shown='{:.0f}',
    expected=lambda r: (r['seconds'], r['seconds'] / 3, r['seconds'] * 3))


@exercise('06-1', 'The same weight for every view')
class TheSameWeightForEveryView:
    """
    fastai's `tta(n=7)` makes seven random passes and a plain one, and gives the plain one the weight
    `beta=0.25`. Which `beta` makes that the plain mean of all eight? Put it into `fair`. Change it, and
    watch `np.abs(average(logits, beta=fair) - average(logits)).max()`.
    """
    answer = 'fair'
    hints = (
        'In a plain mean every view has the same weight. How many views are there?',
        'The plain view is one of eight, and the seven others share what is left.',
        '`1 / 8`',
    )

    def start():
        fair = None  # a number from 0 to 1

    def solution():
        fair = 1 / 8

    @wrong('as much as two views')
    def fastai_weight():
        fair = .25

    @wrong('seven of them are random')
    def random_views_only():
        fair = 1 / 7

    @wrong('weight of the plain view')
    def weight_of_others():
        fair = 7 / 8

    @wrong('is no weight')
    def percent():
        fair = 12.5

    @wrong('The answers differ')
    def one_half():
        fair = .5

    def check(answer, rng):
        beta = as_number(answer, 'The weight')
        if not 0 <= beta <= 1:
            return f'{beta:g} is no weight: that runs from 0 to 1, and 0.1 is a tenth.'
        if np.isclose(beta, .25):
            return 'With 0.25, which is what fastai takes, the plain view counts as much as two views of a plain mean.'
        if np.isclose(beta, 1 / 7):
            return 'There are eight views: seven of them are random, and the plain one is there, too.'
        if np.isclose(beta, 7 / 8):
            return '7/8 is what the others share. `beta` is the weight of the plain view.'
        logits = rng.normal(size=(8, 50, 3)) * 2
        distance = np.abs(average(logits, beta=beta) - average(logits)).max()
        if distance > 1e-6:
            return f'The answers differ from the plain mean of eight by up to {distance:.3f}, for 50 random pictures.'


def p_value(n):
    "McNemar's, where all of `n` changed pictures go the same way."
    return binomtest(n, n).pvalue


@exercise('06-2', 'When is it more than chance?')
class WhenIsItMoreThanChance:
    """
    TTA puts some pictures right and spoils none. Write `least(level)`: how many pictures must that be at
    least, so that McNemar's two-sided p lies below `level`? If TTA did nothing, each changed picture would
    go either way like a coin.
    """
    answer = 'least'
    hints = (
        'With n changed pictures, how likely is it that all of them go the same way?',
        'All heads: 0.5 ** n. All tails: the same. The two together are p.',
        'Count up n from 1 until `2 * .5 ** n < level`.',
    )

    def start():
        def least(level):
            ...

    def solution():
        def least(level):
            n = 1
            while 2 * .5 ** n >= level: n += 1
            return n

    @wrong('either way')
    def one_sided():
        def least(level):
            n = 1
            while .5 ** n >= level: n += 1
            return n

    @wrong('fewer are enough')
    def one_more():
        def least(level):
            n = 1
            while 2 * .5 ** n >= level: n += 1
            return n + 1

    @wrong('whole number')
    def fractional():
        def least(level):
            return 1 / level

    @wrong('is not below')
    def two_too_few():
        def least(level):
            n = 1
            while 2 * .5 ** (n + 2) >= level: n += 1
            return n

    def check(answer, rng):
        level = float(10 ** rng.uniform(-4, -1.2))
        got = as_number(answer(level), 'The number of pictures')
        if got != int(got) or got < 1:
            return f'For the level {level:.3g} you give {got:.3g}. A number of pictures is a whole number, 1 at least.'
        n = int(min(got, 1000))
        p = p_value(n)
        if p / 2 < level <= p:
            return f'For the level {level:.3g} you give {n}. The test is two-sided: {n} pictures could all go either way, all right or all wrong, and p is {p:.3g}.'
        if p >= level:
            return f'For the level {level:.3g} you give {n}. Their p is {p:.3g}, which is not below the level.'
        if n > 1 and p_value(n - 1) < level:
            return f'For the level {level:.3g} you give {n}, and fewer are enough: {n - 1} have a p of {p_value(n - 1):.3g}.'


def views_by_name(x):
    "Each of the eight views, as `symmetric_views` calls it → what it makes of the pictures."
    return {str(view): view(x) for view in symmetric_views()}


def view_name(x, views):
    "Which view made these pictures, or None."
    return next((name for name, view in views.items() if np.array_equal(view, x)), None)


@exercise('06-3', 'A third question: mirrored or not?')
class AThirdQuestionMirroredOrNot:
    """
    Half of the pictures are mirrored, and the label says which. Which of the eight views keep **that**
    label? Put all of them into the list `keeping`, taken from `symmetric_views()`. A picture that is
    mirrored and turned may look like one that was mirrored the other way.
    """
    answer = 'keeping'
    hints = (
        'Write an R on paper and turn the sheet. Then look at it from behind.',
        'A turn never makes a mirrored R out of a plain one. Every mirroring does, whatever turn comes '
        'after it.',
        '`[v for v in symmetric_views() if not v.mirror]`',
    )

    def start():
        keeping = None  # a list of views, such as [views[0]]

    def setup():
        from course_utils.techniques.tta import Turn, symmetric_views
        views = symmetric_views()

    def solution():
        keeping = [v for v in symmetric_views() if not v.mirror]

    @wrong('mirrors')
    def every_other_view():
        keeping = symmetric_views()[::2]

    @wrong('mirrors')
    def no_quarter_turns():
        keeping = symmetric_views(quarters=False)

    @wrong('mirrors')
    def all_views():
        keeping = symmetric_views()

    @wrong('is not in your list')
    def half_of_them():
        keeping = symmetric_views()[:4:2]

    @wrong('twice')
    def twice_each():
        keeping = symmetric_views()[:4] * 2

    @wrong('functions')
    def names_only():
        keeping = ['plain', '90']

    def check(answer, rng):
        if not isinstance(answer, (list, tuple)) or not all(map(callable, answer)):
            return 'Give a list of views: functions, as `symmetric_views()` gives them.'
        x = rng.integers(0, 256, (2, 6, 6, 3), dtype=np.uint8)
        views = views_by_name(x)
        right_names = [name for name in views if 'mirror' not in name]
        names = [view_name(view(x), views) for view in answer]
        mistakes = [str(view) for view, name in zip(answer, names) if name not in right_names]
        if mistakes:
            return f"'{mistakes[0]}' mirrors a picture, or changes it otherwise, so a plain one would get the label of a mirrored one. {len(mistakes)} of your {len(names)} views do."
        if len(set(names)) < len(names):
            return f"{len(names)} views, and some are there twice: {', '.join(names)}."
        missing = [name for name in right_names if name not in names]
        if missing:
            return f"'{missing[0]}' keeps the label and is not in your list of {len(names)}."


def dropout_network(classes):
    "With BatchNorm and Dropout, in train mode."
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU(),
        nn.Flatten(), nn.Dropout(.3), nn.Linear(54, classes)).train()
    nn.init.normal_(model[-1].weight, std=1.)
    return model


def four_views():
    "For tensors."
    return [
        lambda x: x,
        lambda x: x.flip(3),
        lambda x: x.flip(2),
        lambda x: x.rot90(1, (2, 3)),
    ]


def logits_of_views(model, x, views):
    "Of a copy in eval mode, `(views, pictures, classes)`."
    with torch.no_grad():
        logits = [copy.deepcopy(model).eval()(view(x)) for view in views]
        return torch.stack(logits).double().numpy()


@exercise('06-4', 'TTA in your own lines')
class TTAInYourOwnLines:
    """
    Write `averaged(model, x, views)`: `x` is a batch of pictures `(B, 3, H, W)`, ready for the network;
    each view takes such a batch and gives one; `model` gives logits `(B, C)`. The result is the mean over
    the views of the **probabilities**, `(B, C)`. The network may come in train mode, and a picture's
    answer must not hang on chance or on its neighbours.
    """
    answer = 'averaged'
    hints = (
        'Four things: the right mode, a network pass a view, probabilities out of logits, a mean.',
        'Dropout and BatchNorm mind the mode: `model.eval()`. Probabilities: `.softmax(1)`, before the '
        'mean. No gradient is needed: `with torch.no_grad():`.',
        '`torch.stack([model(view(x)).softmax(1) for view in views]).mean(0)`, after `model.eval()`.',
    )

    def start():
        def averaged(model, x, views):
            ...

    def setup():
        import torch

    def solution():
        def averaged(model, x, views):
            model.eval()
            with torch.no_grad():
                return torch.stack([model(view(x)).softmax(1) for view in views]).mean(0)

    @wrong('train mode')
    def train_mode():
        def averaged(model, x, views):
            with torch.no_grad():
                return torch.stack([model(view(x)).softmax(1) for view in views]).mean(0)

    @wrong('mean of the logits')
    def mean_of_logits():
        def averaged(model, x, views):
            model.eval()
            return torch.stack([model(view(x)) for view in views]).mean(0).softmax(1)

    @wrong('sum to')
    def total():
        def averaged(model, x, views):
            model.eval()
            return sum(model(view(x)).softmax(1) for view in views)

    @wrong('sum to')
    def logits():
        def averaged(model, x, views):
            model.eval()
            return torch.stack([model(view(x)) for view in views]).mean(0)

    @wrong('plain batch alone')
    def plain_batch():
        def averaged(model, x, views):
            model.eval()
            return model(x).softmax(1)

    @wrong('should be')
    def last_view():
        def averaged(model, x, views):
            model.eval()
            for view in views: p = model(view(x)).softmax(1)
            return p

    def check(answer, rng):
        torch.manual_seed(int(rng.integers(1e6)))
        classes = int(rng.integers(2, 5))
        b = int(rng.integers(5, 9))
        model = dropout_network(classes)
        x = torch.randn(b, 3, 8, 8)
        views = four_views()
        logits = logits_of_views(model, x, views)
        random_state = torch.get_rng_state()
        got = as_numbers(answer(model, x, views), (b, classes), 'The result')
        want = average(logits)
        distance = lambda probs: np.abs(got - probs).max()
        if not np.allclose(got.sum(1), 1, atol=1e-4):
            return f'The numbers of the first picture sum to {got[0].sum():.3f}. Probabilities sum to 1, and so does their mean.'
        if distance(average(logits, 'logits')) < 1e-5:
            return 'That is the mean of the logits, made into probabilities. Asked for is the mean of the probabilities: first softmax, then the mean.'
        if distance(average(logits[:1])) < 1e-5:
            return f'That is the answer for the plain batch alone, and there are {len(views)} views.'
        if distance(want) > 1e-4 and not torch.equal(torch.get_rng_state(), random_state):
            return f'Your answers are off by up to {distance(want):.3f}, and something was drawn at random: Dropout works in train mode. BatchNorm, too, minds the neighbours there.'
        if distance(want) > 1e-4:
            return f'For the first picture you give {got[0].round(3).tolist()}, and it should be {want[0].round(3).tolist()}.'
