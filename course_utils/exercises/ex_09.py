"""Exercises of lesson 09, the ladder: texts, hints, solutions, wrong answers and checks. Whoever wants to solve them stops reading here."""
import numpy as np, pandas as pd

from course_utils.classroom.compare import WHERE_INTERVAL_LIES, as_number, as_numbers, short_repr
from course_utils.classroom.exercise import exercise, wrong
from course_utils.classroom.guesses import quantity
from course_utils.report.intervals import differences_interval
from course_utils.report.stats import Seeds, bootstrap_interval, verdict


def with_transfer(r):
    "Accuracy and its range, as far to either side as the gain's."
    row = r['yours']['+ transfer']
    accuracy = row['accuracy']
    return accuracy, accuracy + row['low'] - row['gain'], accuracy + row['high'] - row['gain']


quantity(
    '09', 'gain', 'accuracy that transfer adds to augmentation',
    widest=(-.2, .4), example=(0, .1), shown='{:+.1%}',
    expected=lambda r: [r['yours']['+ transfer'][k] for k in ('gain', 'low', 'high')])
quantity(
    '09', 'accuracy', 'accuracy with augmentation and transfer',
    widest=(0, 1), shown='{:.1%}',
    expected=with_transfer)


@exercise('09-1', 'Leave one rung out')
class LeaveOneRungOut:
    """
    Augmentation was the first rung. Does fine-tuning still need it, now that the network has seen a million photographs?
    `climbed('+ fine-tuning', without=['+ augmentation'])` is the rung without it: its frozen stages see each picture once,
    and not in all views. Make it `small`, `climb` it once with each of `own_seeds`, and put into `my_finding`: `mine['+ fine-tuning']`, the
    `Seeds` of your runs **without** augmentation, and what the held-out pictures say of the one without:

    `'better'`, `'worse'` or `'not clear'`. Guess first. With so few seeds expect a wide interval.
    """
    answer = 'my_finding'
    hints = (
        'The difference is paired by seed and picture, and it needs an interval.',
        '`differences_interval(without.right - with_it.right)`, from `course_utils.report.intervals`.',
        "If the interval lies above zero: 'better'. Below: 'worse'. If it holds zero: 'not "
        "clear'. `verdict(low, high)` says just that.",
    )

    def start():
        my_finding = None  # (mine['+ fine-tuning'], Seeds.from_runs(…), '…')

    def setup():
        import numpy as np
        from course_utils.report.intervals import differences_interval
        from course_utils.report.stats import Seeds, verdict
        def made(hits, first=0): return Seeds.from_runs([a_run([.5] * 3, hits=hits + k, first=first) for k in range(2)])
        mine = {'+ fine-tuning': made(400)}
        own_seeds, limit = (0, 1), None
        climbed = lambda name, without: name
        small = lambda rung: rung
        climb = lambda rung, seed, limit: a_run([.5] * 3, hits=404 + seed, first=40)
        with_it, without, good = mine['+ fine-tuning'], made(404, 40), made(500)

    def solution():
        from course_utils.report.intervals import differences_interval
        from course_utils.report.stats import verdict
        rung = small(climbed('+ fine-tuning', without=['+ augmentation']))
        with_it, without = mine['+ fine-tuning'], Seeds.from_runs([climb(rung, seed, limit) for seed in own_seeds])
        my_finding = with_it, without, verdict(*differences_interval(without.right - with_it.right))

    @wrong('holds zero')
    def better_though_not_clear():
        my_finding = with_it, without, 'better'

    @wrong('lies above zero')
    def better_missed():
        my_finding = with_it, good, 'not clear'

    @wrong('lies below zero')
    def worse_missed():
        my_finding = good, with_it, 'better'

    @wrong('the same runs twice')
    def same_runs():
        my_finding = with_it, with_it, 'not clear'

    @wrong('The word can be')
    def other_word():
        my_finding = with_it, without, 'I think so'

    @wrong('Seeds.from_runs')
    def run_for_seeds():
        my_finding = with_it, a_run([.5] * 3), 'not clear'

    @wrong('cannot be paired')
    def one_seed_only():
        my_finding = with_it, Seeds.from_runs([a_run([.5] * 3)]), 'not clear'

    @wrong('three things')
    def no_word():
        my_finding = with_it, without

    def check(answer, rng):
        if not (isinstance(answer, (tuple, list)) and len(answer) == 3):
            return 'Give three things in brackets: the `Seeds` with augmentation, those without, and a word.'
        augmented, bare, word = answer
        if not all(isinstance(seeds, Seeds) for seeds in (augmented, bare)):
            return f'The first two should be `Seeds`, and are {short_repr(augmented)} and {short_repr(bare)}: `Seeds.from_runs` makes one from a list of runs.'
        if word not in WHERE_INTERVAL_LIES:
            return f"The word can be {', '.join(map(repr, WHERE_INTERVAL_LIES))}, and yours is '{word}'."
        if augmented.right.shape != bare.right.shape:
            return f'{augmented.right.shape} and {bare.right.shape} seeds and pictures cannot be paired: take the same seeds and the same limit.'
        if np.array_equal(augmented.loss, bare.loss):
            return f'These are the same runs twice, or two recipes with the same loss for all {augmented.right.shape[1]} pictures.'
        gain = bare.right - augmented.right
        low, high = differences_interval(gain)
        right_word = verdict(low, high)
        if word != right_word:
            return f"You say '{word}'. The difference is {gain.mean():+.1%}, and its interval, {low:+.1%} to {high:+.1%}, {WHERE_INTERVAL_LIES[right_word]}."


def names_by(column):
    "The names of a column's rows, the highest first."
    return list(column.sort_values(ascending=False).index)


@exercise('09-2', 'Ten minutes to spend')
class TenMinutesToSpend:
    """
    Which rungs would you climb first if time is short? Write `worth_first(table)`: `table` is a frame with
    a row for each rung and columns `gain` and `seconds`, like `yours`; the result is the list of its
    rungs' names, the one with the most gain **per minute** first. Then try it: `worth_first(yours)`.
    """
    answer = 'worth_first'
    hints = (
        'A new column first, then sort by it, then take the names.',
        '`table.gain / (table.seconds / 60)` is the gain per minute; `sort_values(ascending=False)` '
        'sorts a column.',
        '`list((table.gain / table.seconds).sort_values(ascending=False).index)`',
    )

    def start():
        def worth_first(table):
            ...

    def solution():
        def worth_first(table):
            return list((table.gain / table.seconds).sort_values(ascending=False).index)

    @wrong('sorted by gain alone')
    def gain_only():
        def worth_first(table):
            return list(table.gain.sort_values(ascending=False).index)

    @wrong('the wrong way round')
    def turned_round():
        def worth_first(table):
            return list((table.gain / table.seconds).sort_values().index)

    @wrong('names in a list')
    def values():
        def worth_first(table):
            return (table.gain / table.seconds).sort_values(ascending=False)

    @wrong('rungs')
    def best_only():
        def worth_first(table):
            return [(table.gain / table.seconds).idxmax()]

    @wrong('comes first')
    def seconds_only():
        def worth_first(table):
            return list(table.seconds.sort_values().index)

    def check(answer, rng):
        names = [f'rung {chr(97 + k)}' for k in rng.permutation(8)[:6]]
        gains = rng.uniform(.01, .1, 6).round(3)
        seconds = rng.uniform(20, 400, 6).round()
        table = pd.DataFrame(dict(gain=gains, seconds=seconds), index=names)
        got = answer(table)
        if not isinstance(got, (list, tuple)) or not all(isinstance(n, str) for n in got):
            return f'You give {short_repr(got)}, and the names in a list were asked for.'
        got = list(got)
        rate = table.gain / table.seconds * 60
        want = names_by(rate)
        if len(got) != len(want):
            return f'You give {len(got)} of the {len(want)} rungs.'
        if got == want[::-1]:
            return f'{got[0]} comes first with you, with {rate[got[0]]:.3f} a minute, and {got[-1]} last, with {rate[got[-1]]:.3f}: the wrong way round.'
        if got == names_by(table.gain) != want:
            return f'That is sorted by gain alone: {got[0]} adds {table.gain[got[0]]:.1%} and takes {table.seconds[got[0]] / 60:.1f} minutes.'
        if got != want:
            return f'{got[0]} comes first with you, with {rate.get(got[0], np.nan):.3f} a minute, and {want[0]} has {rate[want[0]]:.3f}. Is the rest in order, too?'


@exercise('09-3', 'Intervals for a whole ladder')
class IntervalsForAWholeLadder:
    """
    A ladder of n rungs has n intervals, each right with probability `level`. All of them together shall be
    right with probability 0.95. Write `level_each(n)`: which `level` must each have, if they err
    independently?
    """
    answer = 'level_each'
    hints = (
        'All n are right: what is the probability of that, if each is right with probability `level`?',
        '`level ** n` should be 0.95.',
        '`.95 ** (1 / n)`',
    )

    def start():
        def level_each(n):
            ...

    def solution():
        def level_each(n):
            return .95 ** (1 / n)

    @wrong('all of them are right')
    def level_of_one():
        def level_each(n):
            return .95

    @wrong('narrower')
    def power_for_root():
        def level_each(n):
            return .95 ** n

    @wrong('Bonferroni')
    def bonferroni():
        def level_each(n):
            return 1 - .05 / n

    @wrong('narrower')
    def complement():
        def level_each(n):
            return 1 - .95 ** (1 / n)

    @wrong('from 0 to 1')
    def percent():
        def level_each(n):
            return 95

    def check(answer, rng):
        n = int(rng.integers(3, 15))
        got = as_number(answer(n), 'The level')
        if not 0 < got < 1:
            return f'For {n} rungs you give {got:g}. A probability runs from 0 to 1.'
        if got < .949:
            return f'For {n} rungs you give {got:.4f}. That makes each interval narrower than one of 95 %, and it should be wider: every one more can err.'
        if np.isclose(got, 1 - .05 / n, atol=1e-7):
            return f"1 − 0.05/{n} = {got:.5f} is Bonferroni's level. It is safe whatever hangs together; if they err independently, {got ** n:.4f} is more than 0.95."
        if not np.isclose(got, .95 ** (1 / n), atol=1e-6):
            return f'For {n} rungs you give {got:.4f}. Then all of them are right with probability {got ** n:.3f}.'


@exercise('09-4', 'The paired interval in your own lines')
class ThePairedIntervalInYourOwnLines:
    """
    Write `paired(a, b)`: two arrays `(seeds, pictures)` of losses, the same seeds and pictures in both.
    The result is the 95 % interval `(low, high)` of the mean of `a − b`, by the bootstrap: draw seeds
    **and** pictures again with replacement, the same ones for both, 2,000 times. Do not make it wider for
    few seeds. The lesson's `by_hand` does that; fold that cell away first.
    """
    answer = 'paired'
    limit_s = 20.
    hints = (
        'Take the difference first: then a and b cannot get different seeds or pictures.',
        'In a loop: draw as many rows as there are, and as many columns, with `rng.integers(n, size=n)`; '
        'keep the mean. At the end the quantiles 0.025 and 0.975.',
        '`d[rows][:, columns].mean()` is one of the 2,000 means; `np.quantile(means, [.025, .975])` the '
        'answer.',
    )

    def start():
        def paired(a, b):
            ...

    def setup():
        import numpy as np

    def solution():
        def paired(a, b):
            rng, d, means = np.random.default_rng(), a - b, []
            for _ in range(2000):
                rows, columns = (rng.integers(n, size=n) for n in d.shape)
                means.append(d[rows][:, columns].mean())
            return np.quantile(means, [.025, .975])

    @wrong('not paired')
    def not_paired():
        def paired(a, b):
            rng = np.random.default_rng()
            def again(x):
                rows, columns = (rng.integers(n, size=n) for n in x.shape)
                return x[rows][:, columns].mean()
            return np.quantile([again(a) - again(b) for _ in range(2000)], [.025, .975])

    @wrong('draws only pictures again')
    def pictures_only():
        def paired(a, b):
            rng, d = np.random.default_rng(), a - b
            return np.quantile([d[:, rng.integers(d.shape[1], size=d.shape[1])].mean() for _ in range(2000)], [.025, .975])

    @wrong('draws only seeds again')
    def seeds_only():
        def paired(a, b):
            rng, d = np.random.default_rng(), a - b
            return np.quantile([d[rng.integers(len(d), size=len(d))].mean() for _ in range(2000)], [.025, .975])

    @wrong('a − b')
    def turned_round():
        def paired(a, b):
            rng, d, means = np.random.default_rng(), b - a, []
            for _ in range(2000):
                rows, columns = (rng.integers(n, size=n) for n in d.shape)
                means.append(d[rows][:, columns].mean())
            return np.quantile(means, [.025, .975])

    @wrong('90 %')
    def interval_of_90_percent():
        def paired(a, b):
            rng, d, means = np.random.default_rng(), a - b, []
            for _ in range(2000):
                rows, columns = (rng.integers(n, size=n) for n in d.shape)
                means.append(d[rows][:, columns].mean())
            return np.quantile(means, [.05, .95])

    def check(answer, rng):
        seeds = 16
        pictures = int(rng.integers(120, 160))
        hardness = 4 * rng.normal(size=(1, 160))
        def centre_and_width(difference):
            "Of the learner's interval; the width as a share of what it should be."
            b = hardness[:, :pictures] + np.zeros((seeds, 1))
            low, high = as_numbers(answer(b + difference, b), 2, 'The interval')
            return (low + high) / 2, (high - low) / np.ptp(bootstrap_interval(difference, widen=False))
        by_picture = .5 + rng.normal(size=(1, pictures)) + np.zeros((seeds, 1))
        by_seed = .5 + .3 * rng.normal(size=(seeds, 1)) + np.zeros((1, pictures))
        centre, p = centre_and_width(by_picture)
        _, s = centre_and_width(by_seed)
        if centre * by_picture.mean() < 0:
            return f'The mean of a − b is {by_picture.mean():+.2f}, and your interval lies around {centre:+.2f}, its opposite.'
        if p < .3:
            return f'Where only the pictures differ, your interval is {p:.2f} times as wide as it should be: it draws only seeds again, and the pictures, too, are a sample.'
        if s < .3:
            return f'Where only the seeds differ, your interval is {s:.2f} times as wide as it should be: it draws only pictures again, and the seeds, too, are a sample.'
        if p > 1.5:
            return f'Where some pictures are hard for both, your interval is {p:.1f} times as wide as it should be: it is not paired. a and b must get the same pictures and seeds.'
        if abs((p + s) / 2 - 1) > .1:
            return f'Your interval is {(p + s) / 2:.2f} times as wide as it should be. An interval of 90 % would be 0.84 times; and are there 2,000 draws?'
