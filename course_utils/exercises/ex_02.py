"""Exercises of lesson 02, transfer learning: texts, hints, solutions, wrong answers and checks. Whoever wants to solve them stops reading here."""
import copy

import numpy as np, torch
from torch import nn

from course_utils.classroom.compare import WHERE_INTERVAL_LIES, as_number, as_numbers
from course_utils.classroom.exercise import exercise, wrong
from course_utils.classroom.guesses import quantity
from course_utils.report.stats import difference, verdict


def transfer_run(r):
    "What was recorded of the training that the lesson recommends."
    return r['runs']['frozen, then unfrozen']


quantity(
    '02', 'gain', 'accuracy of frozen, then unfrozen, minus that of scratch',
    widest=(-.2, .4), example=(.05, .15), shown='{:+.1%}',
    expected=lambda r: (r['gain'], *r['gain_interval']))
quantity(
    '02', 'accuracy', 'accuracy of frozen, then unfrozen',
    widest=(0, 1), shown='{:.1%}',
    expected=lambda r: [transfer_run(r)[k] for k in ('valid_accuracy', 'low', 'high')])
quantity(
    '02', 'seconds', 'seconds of the main training',
    widest=(1, 10000), log=True, shown='{:.0f}',
    expected=lambda r: [transfer_run(r)['seconds'] * factor for factor in (1, 1 / 3, 3)])


@exercise('02-1', 'How large is the new head?')
class HowLargeIsTheNewHead:
    """
    A linear head turns `features` numbers into `classes` numbers. Write `head_size(features, classes)`:
    how many parameters does it have?
    """
    answer = 'head_size'
    hints = (
        '`nn.Linear(features, classes)` has two tensors. Which?',
        'One weight for each pair of a feature and a class, and a bias for each class.',
        '`features * classes + classes`',
    )

    def start():
        def head_size(features, classes):
            ...

    def solution():
        def head_size(features, classes):
            return features * classes + classes

    @wrong('bias')
    def no_bias():
        def head_size(features, classes):
            return features * classes

    @wrong('every pair')
    def total():
        def head_size(features, classes):
            return features + classes

    @wrong('for each class, not for each feature')
    def bias_for_features():
        def head_size(features, classes):
            return features * classes + features

    @wrong('has')
    def fixed_features():
        def head_size(features, classes):
            return 1280 * classes + classes

    def check(answer, rng):
        f = int(rng.integers(100, 1200))
        c = int(rng.integers(3, 50))
        got = as_number(answer(f, c), 'The number of parameters')
        want = sum(p.numel() for p in nn.Linear(f, c).parameters())
        if got == f * c:
            return f'For {f} features and {c} classes you give {got:,.0f}. There are {c} more: nn.Linear has a bias, too.'
        if got == f + c:
            return f'For {f} features and {c} classes you give {got:,.0f}. There is a weight for every pair of a feature and a class.'
        if got == f * c + f:
            return f'You give {got:,.0f}: the bias is one number for each class, not for each feature.'
        if got != want:
            return f'nn.Linear({f}, {c}) has {want:,} parameters, and you give {got:,.0f}.'


def _channels_first(x):
    return x.transpose(0, 3, 1, 2)


@exercise('02-2', 'A trap in the input')
class ATrapInTheInput:
    """
    A body expects its pictures as in its own training. Write `normalised(x, mean, std)`: `x` holds bytes,
    an array `(B, H, W, 3)` of uint8; the result is float, `(B, 3, H, W)`, scaled to 0…1, then minus `mean`
    and divided by `std`, which are three numbers each, one for each colour.
    """
    answer = 'normalised'
    hints = (
        'Three things: bytes to 0…1, then mean and deviation, then the colours to the front. While the '
        'colours come last, the three numbers fit by themselves.',
        'Bytes reach to 255. `(x / 255 - mean) / std` works for arrays with the colours last.',
        '`((x / 255 - np.array(mean)) / np.array(std)).transpose(0, 3, 1, 2)`',
    )

    def start():
        def normalised(x, mean, std):
            ...

    def setup():
        import numpy as np

    def solution():
        def normalised(x, mean, std):
            scaled = (x / 255 - np.array(mean)) / np.array(std)
            return scaled.transpose(0, 3, 1, 2)

    @wrong('255')
    def bytes_as_they_are():
        def normalised(x, mean, std):
            return ((x - np.array(mean)) / np.array(std)).transpose(0, 3, 1, 2)

    @wrong('shape')
    def channels_last():
        def normalised(x, mean, std):
            return (x / 255 - np.array(mean)) / np.array(std)

    @wrong('before')
    def mean_too_late():
        def normalised(x, mean, std):
            return (x / 255 / np.array(std) - np.array(mean)).transpose(0, 3, 1, 2)

    @wrong('reshape')
    def reshaped():
        def normalised(x, mean, std):
            return ((x / 255 - np.array(mean)) / np.array(std)).reshape(len(x), 3, *x.shape[1:3])

    @wrong('the mean of your result')
    def one_half():
        def normalised(x, mean, std):
            return ((x / 255 - .5) / .5).transpose(0, 3, 1, 2)

    def check(answer, rng):
        b, h, w = (int(v) for v in rng.integers(2, 6, 3))
        w += 5  # so that no two axes are mistaken for each other
        x = rng.integers(0, 256, (b, h, w, 3), dtype=np.uint8)
        mean = rng.uniform(.3, .6, 3).round(3).tolist()
        std = rng.uniform(.15, .3, 3).round(3).tolist()
        got = as_numbers(answer(x, mean, std), (b, 3, h, w), 'The result')
        want = _channels_first((x / 255 - mean) / std)
        is_right = np.allclose(got, want, atol=1e-4)
        has_right_numbers = np.allclose(np.sort(got, None), np.sort(want, None), atol=1e-4)
        if np.abs(got).max() > 100:
            return f'Your result reaches {np.abs(got).max():.0f}. Bytes go to 255, and the body wants 0…1 before mean and deviation.'
        if np.allclose(got, _channels_first(x / 255 / std - mean), atol=1e-4):
            return f'Yours runs from {got.min():.2f} to {got.max():.2f}: the mean is taken off before the division by the deviation.'
        if has_right_numbers and not is_right:
            return f'The numbers are right and lie in wrong places: first {got.flat[0]:.2f} … {got.flat[-1]:.2f}. `reshape` cuts rows anew; moving axes takes `transpose` or `permute`.'
        if not is_right:
            return f'For mean {mean} and deviation {std} the mean of your result is {got.mean():.3f}, and should be {want.mean():.3f}.'


def small_body(width):
    "Two convolutions with BatchNorm, in train mode."
    return nn.Sequential(
        nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU(),
        nn.Conv2d(width, 4, 3), nn.BatchNorm2d(4),
        nn.AdaptiveAvgPool2d(1), nn.Flatten()).train()


@exercise('02-3', 'Freeze a body')
class FreezeABody:
    """
    Write `freeze(body)`: afterwards no parameter of `body` asks for a gradient, and a batch passed through
    it leaves BatchNorm's running statistics alone. It need not return anything.
    """
    answer = 'freeze'
    changes = True
    hints = (
        'Freezing parameters is one thing, BatchNorm\'s statistics another. The lesson\'s table "what '
        'moved" shows both.',
        'Parameters: `p.requires_grad_(False)` for every `p` of `body.parameters()`. Statistics move in '
        'train mode only.',
        '`for p in body.parameters(): p.requires_grad_(False)`, and then `body.eval()`.',
    )

    def start():
        def freeze(body):
            ...

    def setup():
        from torch import nn

    def solution():
        def freeze(body):
            for p in body.parameters(): p.requires_grad_(False)
            body.eval()

    @wrong('running means')
    def parameters_only():
        def freeze(body):
            for p in body.parameters(): p.requires_grad_(False)

    @wrong('still ask for a gradient')
    def mode_only():
        def freeze(body):
            body.eval()

    @wrong('still ask for a gradient')
    def convolutions_only():
        def freeze(body):
            body.eval()
            for m in body.modules():
                if isinstance(m, nn.Conv2d): m.requires_grad_(False)

    @wrong('must stay as they are')
    def zeroed():
        def freeze(body):
            for p in body.parameters(): p.requires_grad_(False); p.data.zero_()
            body.eval()

    def check(answer, rng):
        torch.manual_seed(int(rng.integers(1e6)))
        body = small_body(width=int(rng.integers(4, 9)))
        old = copy.deepcopy(body.state_dict())
        answer(body)
        parameters = dict(body.named_parameters())
        free = [name for name, p in parameters.items() if p.requires_grad]
        if free:
            return f"{len(free)} of {len(parameters)} parameters still ask for a gradient: {', '.join(free[:3])}."
        if any(not torch.equal(p, old[name]) for name, p in parameters.items()):
            return 'Your function has changed the weights. They must stay as they are: they are what was paid for.'
        with torch.enable_grad(): body(torch.randn(8, 3, 8, 8) + 3)
        moved = (body[1].running_mean - old['1.running_mean']).abs().max()
        if moved > 0:
            return f"After a batch, BatchNorm's running means have moved by up to {moved:.3f}. They move in train mode, and no gradient is needed for that."


@exercise('02-4', 'Without the switch')
class WithoutTheSwitch:
    """
    Set `batchnorm='learns'` in "frozen body" above, so that BatchNorm stays alive, and train it. Put into
    `my_finding` the run with the switch, the one without, and what the held-out pictures say of the one
    **without**:

    `'better'`, `'worse'` or `'not clear'`.
    """
    answer = 'my_finding'
    hints = (
        'A difference of two accuracies means little without its interval.',
        '`difference(without, runs["frozen body"])`, from `course_utils.report.stats`, gives the mean '
        'difference and its 95 % interval over pictures.',
        "If the interval lies above zero: 'better'. Below: 'worse'. If it holds zero: 'not clear'.",
    )

    def start():
        alive_recipe = replace(frozen, batchnorm='learns')
        my_finding = None  # (runs['frozen body'], train(half, alive_recipe, keep=True), '…')

    def setup():
        from dataclasses import replace
        from course_utils.report.stats import difference
        from course_utils.training.recipe import Recipe
        frozen = Recipe('resnet10t', 5)
        fixed, alive = a_run([.5] * 6, hits=380), a_run([.5] * 6, hits=384, first=40)
        good = a_run([.5] * 6, hits=480)

    def solution():
        from course_utils.report.stats import difference
        fixed = runs['frozen body']
        alive_recipe = replace(frozen, batchnorm='learns')
        alive = train(half, alive_recipe, keep=True)
        mean, lowest, highest = difference(alive, fixed)
        word = 'better' if lowest > 0 else 'worse'
        if lowest <= 0 <= highest: word = 'not clear'
        my_finding = fixed, alive, word

    @wrong('holds zero')
    def better_though_not_clear():
        my_finding = fixed, alive, 'better'

    @wrong('lies above zero')
    def better_missed():
        my_finding = fixed, good, 'not clear'

    @wrong('lies below zero')
    def worse_missed():
        my_finding = good, fixed, 'better'

    @wrong('the same run twice')
    def same_run():
        my_finding = fixed, fixed, 'not clear'

    @wrong('The word can be')
    def other_word():
        my_finding = fixed, alive, 'I think so'

    @wrong('three things')
    def no_word():
        my_finding = fixed, alive

    def check(answer, rng):
        if not (isinstance(answer, (tuple, list)) and len(answer) == 3):
            return 'Give three things in brackets: two runs, and a word.'
        fixed, alive, word = answer
        if word not in WHERE_INTERVAL_LIES:
            return f"The word can be {', '.join(map(repr, WHERE_INTERVAL_LIES))}, and yours is '{word}'."
        if fixed is alive or np.array_equal(fixed.probs, alive.probs):
            return f'These are the same run twice, or two that answer alike for all {len(fixed.targets)} pictures.'
        mean, low, high = difference(alive, fixed)
        right_word = verdict(low, high)
        if word != right_word:
            return f"You say '{word}'. The difference is {mean:+.1%}, and its interval, {low:+.1%} to {high:+.1%}, {WHERE_INTERVAL_LIES[right_word]}."
