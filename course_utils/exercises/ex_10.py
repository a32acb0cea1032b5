"""Exercises of lesson 10, when the data are the trouble: texts, hints, solutions, wrong answers and checks. Whoever wants to solve them stops reading here."""
import numpy as np

from course_utils.classroom.compare import as_number, as_numbers, short_repr
from course_utils.classroom.exercise import exercise, wrong
from course_utils.classroom.guesses import quantity
from course_utils.techniques.imbalance import adjust, class_rates


def worst_elsewhere(r):
    "Accuracy on the kind that was not trained on, in the worse of the two cases."
    crossed = [row for row in r['shift'] if row['trained_on'] not in ('half and half', row['tested_on'])]
    worst = min(crossed, key=lambda row: row['accuracy'])
    return [worst[k] for k in ('accuracy', 'low', 'high')]


quantity(
    '10', 'gain', 'balanced accuracy with weights, minus that without',
    widest=(-.3, .5), example=(.05, .2), shown='{:+.1%}',
    expected=lambda r: [r['gains']['weights'][k] for k in ('mean', 'low', 'high')])
quantity(
    '10', 'elsewhere', 'accuracy on the kind that was not trained on, in the worse case',
    widest=(0, 1), example=(.6, .8), shown='{:.1%}',
    expected=worst_elsewhere)


@exercise('10-1', 'How many alarms are right?')
class HowManyAlarmsAreRight:
    """
    A class is 2 % of production. A network finds 80 % of it, and raises a false alarm on 5 % of the rest.
    Which share of all alarms is right? Guess first. Then put the number, from 0 to 1, into `right_alarms`.
    """
    answer = 'right_alarms'
    hints = (
        'Think of 1,000 pictures. How many are of the class, and how many of the others raise an alarm?',
        '20 are of the class and 16 of them are found. 980 are not, and 5 % of those raise an alarm.',
        '`.02 * .8 / (.02 * .8 + .98 * .05)`',
    )

    def start():
        right_alarms = None  # right alarms / all alarms

    def solution():
        right_alarms = .02 * .8 / (.02 * .8 + .98 * .05)

    @wrong('recall')
    def recall_only():
        right_alarms = .8

    @wrong('as frequent as the rest')
    def even_classes():
        right_alarms = .8 / (.8 + .05)

    @wrong('only on the rest')
    def alarms_on_all():
        right_alarms = .02 * .8 / (.02 * .8 + .05)

    @wrong('share of all pictures')
    def share_of_pictures():
        right_alarms = .02 * .8

    @wrong('a share')
    def percent():
        right_alarms = 24.6

    @wrong('Of 100,000 pictures')
    def one_half():
        right_alarms = .5

    def check(answer, rng):
        got = as_number(answer, 'The share')
        share, recall, alarm = .02, .8, .05
        found = share * recall
        false_alarms = (1 - share) * alarm
        is_near = lambda value: abs(got - value) < .002
        if not 0 <= got <= 1:
            return f'{got:g} is not from 0 to 1, and a share is: 7 of 100 are 0.07.'
        if is_near(recall):
            return f'{got:.2f} is the recall: the share of the class that is found. Asked for is the share of the alarms that are right.'
        if is_near(recall / (recall + alarm)):
            return f'{got:.2f} would be right if the class were as frequent as the rest.'
        if is_near(found):
            return f'{got:.3f} is the share of all pictures that are a right alarm. Divide it by the share that is an alarm at all.'
        if np.isclose(got, found / (found + alarm), atol=5e-4):
            return f'{got:.4f} is near: but false alarms are raised only on the rest, which is {1 - share:.0%} of all.'
        if not np.isclose(got, found / (found + false_alarms), atol=5e-4):
            return f'You give {got:.4f}. Of 100,000 pictures {1e5 * found:,.0f} are a right alarm and {1e5 * false_alarms:,.0f} a false one.'


def random_answers(rng, n, rare):
    "Answers `(N,)`, labels `(N,)` and their rates, until no two of recall, precision and accuracy are the same by chance."
    chances = np.where(np.arange(3) == rare, .2, .4)
    differ = False
    while not differ:
        y = np.r_[[0, 1, 2] * 4, rng.choice(3, n, p=chances)]
        named = np.where(rng.random(len(y)) < .6, y, rng.permutation(y))
        named[:6] = [rare, (rare + 1) % 3] * 3
        true = class_rates(named, y, rare)
        shares = np.sort([true['recall'], true['precision'], (named == y).mean()])
        differ = np.diff(shares).min() > .005
    return named, y, true


@exercise('10-2', 'Recall and precision')
class RecallAndPrecision:
    """
    Write `recall_precision(said, y, rare)`: two arrays, the class named and the true class of each
    picture, and the class in question. The result is `(recall, precision)`. Where there is nothing to
    divide by, the number is `float('nan')`: whoever names the class never has no precision.
    """
    answer = 'recall_precision'
    hints = (
        'Both count the same thing above the line: pictures of the class that are named so. Below it '
        'they differ.',
        'Recall divides by the pictures that are there, `(y == rare).sum()`. Precision divides by those '
        'that are named.',
        "`found = ((said == rare) & (y == rare)).sum()`; then `found / n if n else float('nan')` for both n.",
    )

    def start():
        def recall_precision(said, y, rare):
            ...

    def solution():
        def recall_precision(said, y, rare):
            found = ((said == rare) & (y == rare)).sum()
            share = lambda n: found / n if n else float('nan')
            return share((y == rare).sum()), share((said == rare).sum())

    @wrong('the other way round')
    def turned_round():
        def recall_precision(said, y, rare):
            found = ((said == rare) & (y == rare)).sum()
            share = lambda n: found / n if n else float('nan')
            return share((said == rare).sum()), share((y == rare).sum())

    @wrong('never named')
    def zero_if_never_named():
        def recall_precision(said, y, rare):
            found = ((said == rare) & (y == rare)).sum()
            return found / (y == rare).sum(), found / max(1, (said == rare).sum())

    @wrong('ZeroDivisionError')
    def error_if_never_named():
        def recall_precision(said, y, rare):
            found = int(((said == rare) & (y == rare)).sum())
            return found / int((y == rare).sum()), found / int((said == rare).sum())

    @wrong('The recall')
    def accuracy_for_recall():
        def recall_precision(said, y, rare):
            share = lambda of: (said == y)[of].mean() if of.any() else float('nan')
            return (said == y).mean(), share(said == rare)

    @wrong('The precision')
    def accuracy_for_precision():
        def recall_precision(said, y, rare):
            share = lambda of: (said == y)[of].mean() if of.any() else float('nan')
            return share(y == rare), (said == y).mean()

    @wrong('no picture is of class')
    def zero_if_no_such_picture():
        def recall_precision(said, y, rare):
            found, named = ((said == rare) & (y == rare)).sum(), (said == rare).sum()
            return found / max(1, (y == rare).sum()), found / named if named else float('nan')

    def check(answer, rng):
        pair = 'The pair of recall and precision'
        n = int(rng.integers(60, 200))
        rare = int(rng.integers(0, 3))
        named, y, true = random_answers(rng, n, rare)
        recall, precision = as_numbers(answer(named, y, rare), 2, pair)
        in_class = (y == rare).sum()
        called = (named == rare).sum()
        if np.allclose([recall, precision], [true['precision'], true['recall']]):
            return f"{recall:.3f} is the precision and {precision:.3f} the recall: you give them the other way round."
        if not np.isclose(recall, true['recall']):
            return f"The recall you give is {recall:.3f}. There are {in_class} pictures of class {rare}, and {round(in_class * true['recall'])} of them are named so."
        if not np.isclose(precision, true['precision']):
            return f"The precision you give is {precision:.3f}. {called} pictures are named {rare}, and {round(called * true['precision'])} of them are."
        other_class = np.full(len(y), (rare + 1) % 3)
        _, precision = as_numbers(answer(other_class, y, rare), 2, pair)
        if not np.isnan(precision):
            return f'Where class {rare} is never named, you give a precision of {precision:g}. There is nothing to divide by: nan.'
        recall, _ = as_numbers(answer(named, other_class, rare), 2, pair)
        if not np.isnan(recall):
            return f'Where no picture is of class {rare}, you give a recall of {recall:g}. There is nothing to divide by: nan.'


def row_sums_one(p):
    "The same, each row divided by its sum."
    return p / p.sum(1, keepdims=True)


def first_row(p):
    "For a sentence."
    return short_repr(p[0].round(3).tolist())


@exercise('10-3', 'Move the threshold')
class MoveTheThreshold:
    """
    Write `evened(probs, y)`: `probs` are probabilities `(N, C)` of a network that was trained on pictures
    with the labels `y`, `0 … C−1`. The result is what they would be if all classes had been equally
    frequent; rows sum to 1. Afterwards try it on a network that was trained **with weights**:
    `probs['weights'][0]`. Its classes were even already, and now the rare one is counted twice.
    """
    answer = 'evened'
    hints = (
        'A frequent class is more probable before anybody looks at the picture. Take that out again.',
        'Divide each column by the share of its class in `y`: `np.bincount(y)` counts.',
        '`p = probs / np.bincount(y, minlength=probs.shape[1])`, then divide each row by its sum: `p / '
        'p.sum(1, keepdims=True)`.',
    )

    def start():
        def evened(probs, y):
            ...

    def setup():
        import numpy as np

    def solution():
        def evened(probs, y):
            p = probs / np.bincount(y, minlength=probs.shape[1])
            return p / p.sum(1, keepdims=True)

    @wrong('sums to')
    def rows_do_not_sum_to_1():
        def evened(probs, y):
            return probs / (np.bincount(y, minlength=probs.shape[1]) / len(y))

    @wrong('still more frequent')
    def multiplied():
        def evened(probs, y):
            p = probs * np.bincount(y, minlength=probs.shape[1])
            return p / p.sum(1, keepdims=True)

    @wrong('from the labels')
    def divided_by_mean():
        def evened(probs, y):
            p = probs / probs.mean(0)
            return p / p.sum(1, keepdims=True)

    @wrong('should be')
    def square_root():
        def evened(probs, y):
            p = probs / np.sqrt(np.bincount(y, minlength=probs.shape[1]))
            return p / p.sum(1, keepdims=True)

    def check(answer, rng):
        c = int(rng.integers(2, 5))
        n = int(rng.integers(20, 60))
        class_sizes = rng.permutation(np.arange(1, c + 1) ** 2 * 7)
        y = np.repeat(np.arange(c), class_sizes)
        probs = rng.dirichlet(np.linspace(.5, 2, c), n)
        got = as_numbers(answer(probs, y), (n, c), 'The result')
        counts = np.bincount(y)
        want = adjust(probs, counts / len(y))
        if not np.allclose(got.sum(1), 1, atol=1e-6):
            return f'Your first row sums to {got[0].sum():.3f}. Divide each row by its sum at the end.'
        if np.allclose(got, row_sums_one(probs * counts)):
            return f'With {counts.tolist()} pictures of the classes, yours makes the most frequent one still more frequent: divide, do not multiply.'
        if np.allclose(got, row_sums_one(probs / probs.mean(0))):
            return 'You divide by the mean of the probabilities. The shares in training come from the labels `y`; how frequent a class is among these pictures is another matter.'
        if not np.allclose(got, want, atol=1e-6):
            return f'With {counts.tolist()} pictures of the classes, the row {first_row(probs)} becomes {first_row(got)} with you, and should be {first_row(want)}.'


def random_pictures(rng, n, size, mean, deviation):
    "Noise, `(n, size, size, 3)` of bytes; mean and deviation differ a little from picture to picture."
    means = rng.normal(mean, 4, (n, 1, 1, 1))
    deviations = rng.normal(deviation, 2, (n, 1, 1, 1))
    values = means + deviations * rng.normal(size=(n, size, size, 3))
    return values.clip(0, 255).astype(np.uint8)


@exercise('10-4', 'Told apart by pixels alone')
class ToldApartByPixelsAlone:
    """
    Does it take a network to notice other pictures? Write `told_by_pixels(a, b)`: two arrays of pictures
    `(N, H, W, 3)` and `(M, H, W, 3)`; for each picture two features, the **mean** and the **standard
    deviation** of its pixels; the result is the AUC that `told_apart` gives for them. Afterwards try it on
    your two kinds:

    `told_by_pixels(pics.x[pics.train[on_train == here]], pics.x[pics.train[on_train == there]])`
    """
    answer = 'told_by_pixels'
    limit_s = 20.
    hints = (
        '`told_apart` wants a row for each picture and a column for each feature.',
        '`x.mean((1, 2, 3))` is the mean of each picture, `x.std((1, 2, 3))` its deviation.',
        '`features = lambda x: np.stack([x.mean((1, 2, 3)), x.std((1, 2, 3))], 1)`',
    )

    def start():
        def told_by_pixels(a, b):
            ...

    def setup():
        import numpy as np
        from course_utils.techniques.dataset_shift import told_apart

    def solution():
        def told_by_pixels(a, b):
            features = lambda x: np.stack([x.mean((1, 2, 3)), x.std((1, 2, 3))], 1)
            return told_apart(features(a), features(b))

    @wrong('contrast')
    def mean_only():
        def told_by_pixels(a, b):
            features = lambda x: x.mean((1, 2, 3))[:, None]
            return told_apart(features(a), features(b))

    @wrong('brightness')
    def deviation_only():
        def told_by_pixels(a, b):
            features = lambda x: x.std((1, 2, 3))[:, None]
            return told_apart(features(a), features(b))

    @wrong('one half is alike')
    def turned_round():
        def told_by_pixels(a, b):
            features = lambda x: np.stack([x.mean((1, 2, 3)), x.std((1, 2, 3))], 1)
            return 1 - told_apart(features(a), features(b))

    @wrong('drawn alike')
    def set_as_feature():
        def told_by_pixels(a, b):
            x, which = np.concatenate([a, b]), np.arange(len(a) + len(b)) >= len(a)
            f = np.stack([x.mean((1, 2, 3)), x.std((1, 2, 3)), which], 1)
            return told_apart(f[~which], f[which])

    def check(answer, rng):
        n = int(rng.integers(60, 90))
        size = int(rng.integers(5, 9))
        pictures = lambda mean, deviation: random_pictures(rng, n, size, mean, deviation)
        base = pictures(120, 20)
        brighter = pictures(130, 20)
        harder = pictures(120, 26)
        similar = pictures(120, 20)
        light = as_number(answer(base, brighter), 'The AUC')
        contrast = as_number(answer(base, harder), 'The AUC')
        alike = as_number(answer(base, similar), 'The AUC')
        if light < .15:
            return f'Pictures that are clearly brighter give {light:.2f}: one half is alike, and 1 is told apart for certain.'
        if light < .8:
            return f'Two sets that differ in brightness give {light:.2f}: is the mean of each picture among your features?'
        if contrast < .8:
            return f'Two sets that differ in contrast alone give {contrast:.2f}: is the deviation of each picture among your features?'
        if alike > .8:
            return f'Two sets that are drawn alike give {alike:.2f}: something other than mean and deviation tells them apart.'
