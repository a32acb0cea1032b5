"""Exercises of lesson 11, search: texts, hints, solutions, wrong answers and checks. Whoever wants to solve them stops reading here."""
import tempfile
from pathlib import Path

import numpy as np, pandas as pd

from course_utils.classroom.compare import Wrong, as_number, short_repr
from course_utils.classroom.exercise import exercise, wrong
from course_utils.classroom.guesses import quantity

quantity(
    '11', 'gain', 'accuracy of the best settings found on new pictures, minus that of the recipe by hand',
    widest=(-.2, .2), example=(0, .04), shown='{:+.1%}',
    expected=lambda r: r['gains']['test'])


@exercise('11-1', 'Which number goes into the report?')
class WhichNumberGoesIntoTheReport:
    """
    Write `to_report(trials)`: `trials` is a frame with a row for each trial and columns `valid` and
    `test`, like `tries`. You choose by `valid`. Which number tells what the chosen one is worth?
    """
    answer = 'to_report'
    hints = (
        'Two steps: which trial is chosen, and what is it worth on pictures that had no say in it?',
        '`trials.valid.idxmax()` is the trial that is chosen.',
        '`trials.test[trials.valid.idxmax()]`',
    )

    def start():
        def to_report(trials):
            ...

    def solution():
        def to_report(trials):
            return trials.test[trials.valid.idxmax()]

    @wrong('chosen by')
    def best_valid():
        def to_report(trials):
            return trials.valid.max()

    @wrong('may not choose')
    def best_test():
        def to_report(trials):
            return trials.test.max()

    @wrong('all trials')
    def mean_test():
        def to_report(trials):
            return trials.test.mean()

    @wrong('is chosen')
    def last_trial():
        def to_report(trials):
            return trials.test.iloc[-1]

    def check(answer, rng):
        n = int(rng.integers(12, 40))
        true = rng.normal(.75, .01, 40)[:n]
        valid = true + rng.normal(0, .03, n)
        test = true + rng.normal(0, .03, n)
        trials = pd.DataFrame(dict(valid=valid, test=test))
        trials.loc[n // 2, 'valid'] = .95
        trials.loc[n // 3, 'test'] = .93
        got = as_number(answer(trials), 'The number')
        best = trials.valid.idxmax()
        want = trials.test[best]
        if np.isclose(got, trials.valid.max()):
            return f'{got:.1%} is the score it was chosen by: of {n} trials it is the luckiest, too.'
        if np.isclose(got, trials.test.max()):
            return f'{got:.1%} is the highest on the test pictures. They may not choose, or they are no test any more.'
        if np.isclose(got, trials.test.mean()) and not np.isclose(got, want):
            return f'{got:.1%} is the mean of all trials, and one of them was chosen.'
        if not np.isclose(got, want):
            return f'Trial {best} is chosen, with {trials.valid[best]:.1%}. On the test pictures it has {want:.1%}, and you give {got:.1%}.'


@exercise('11-2', 'How much of it was luck?')
class HowMuchOfItWasLuck:
    """
    Write `luck_of(trials)` for the same frame: the **optimism**. By how much does the chosen trial look
    better than the mean of all, on `valid`, minus by how much it is better than the mean of all, on
    `test`? So it does not count if one set of pictures is harder than the other. Then try it:
    `luck_of(tries)`.
    """
    answer = 'luck_of'
    hints = (
        'Two gains of the same trial, each over the mean of its own column.',
        '`gain = trials.loc[trials.valid.idxmax()] - trials.mean()` has both, with only these two columns.',
        "`gain = lambda what: trials[what][trials.valid.idxmax()] - trials[what].mean()`, then "
        "`gain('valid') - gain('test')`.",
    )

    def start():
        def luck_of(trials):
            ...

    def solution():
        def luck_of(trials):
            best = trials.valid.idxmax()
            gain = lambda what: trials[what][best] - trials[what].mean()
            return gain('valid') - gain('test')

    @wrong('harder')
    def difference_of_sets():
        def luck_of(trials):
            best = trials.valid.idxmax()
            return trials.valid[best] - trials.test[best]

    @wrong('sign')
    def turned_round():
        def luck_of(trials):
            best = trials.valid.idxmax()
            gain = lambda what: trials[what][best] - trials[what].mean()
            return gain('test') - gain('valid')

    @wrong('one trial')
    def best_of_both():
        def luck_of(trials):
            return (trials.valid.max() - trials.valid.mean()) - (trials.test.max() - trials.test.mean())

    @wrong('should be')
    def valid_gain():
        def luck_of(trials):
            return trials.valid.max() - trials.valid.mean()

    def check(answer, rng):
        n = int(rng.integers(12, 40))
        valid = rng.normal(.75, .02, n)
        test = rng.normal(.68, .02, n)
        trials = pd.DataFrame(dict(valid=valid, test=test))
        trials.loc[n // 2, 'valid'] = .86
        trials.loc[n // 3, 'test'] = .78
        got = as_number(answer(trials), 'The optimism')
        best = trials.loc[trials.valid.idxmax()]
        mean = trials.mean()
        gain = best - mean
        highest_gain = trials.max() - mean
        want = gain.valid - gain.test
        if np.isclose(got, best.valid - best.test):
            return f'You give {got:.1%}. In it is that the test pictures are harder for all trials: {mean.valid:.1%} on the mean against {mean.test:.1%}.'
        if np.isclose(got, -want):
            return f'You give {got:.1%}: the sign is the other one. What looks better than it is has an optimism above zero.'
        if np.isclose(got, highest_gain.valid - highest_gain.test):
            return f'You give {got:.1%}, from the highest of either column. Only one trial is chosen, by `valid`, and followed to `test`.'
        if not np.isclose(got, want):
            return f'The chosen trial looks {gain.valid:+.1%} better and is {gain.test:+.1%} better. The optimism should be {want:.1%}, and you give {got:.1%}.'


@exercise('11-3', 'A pruner with patience')
class APrunerWithPatience:
    """
    Write `give_up(scores, patience)`: `scores` are a trial's accuracies so far, one an epoch. Is it true
    that the **last** `patience` epochs brought nothing above the best of those before? With no epoch
    before them: `False`.
    """
    answer = 'give_up'
    hints = (
        'Cut the list in two: the last `patience` ones, and those before.',
        '`scores[-patience:]` and `scores[:-patience]`. Compare the highest of either. What if the '
        'second is empty?',
        '`len(scores) > patience and max(scores[-patience:]) <= max(scores[:-patience])`',
    )

    def start():
        def give_up(scores, patience):
            ...

    def solution():
        def give_up(scores, patience):
            return len(scores) > patience and max(scores[-patience:]) <= max(scores[:-patience])

    @wrong('best of those before')
    def last_against_one():
        def give_up(scores, patience):
            return len(scores) > patience and scores[-1] <= scores[-1 - patience]

    @wrong('ValueError')
    def nothing_to_compare():
        def give_up(scores, patience):
            return max(scores[-patience:]) <= max(scores[:-patience])

    @wrong('too early')
    def gives_up_early():
        def give_up(scores, patience):
            return len(scores) <= patience or max(scores[-patience:]) <= max(scores[:-patience])

    @wrong('equal')
    def equal_counts_as_better():
        def give_up(scores, patience):
            return len(scores) > patience and max(scores[-patience:]) < max(scores[:-patience])

    @wrong('still rising')
    def turned_round():
        def give_up(scores, patience):
            return len(scores) > patience and max(scores[-patience:]) > max(scores[:-patience])

    @wrong('give the trial up')
    def last_score_only():
        def give_up(scores, patience):
            return len(scores) > patience and scores[-1] <= max(scores[:-patience])

    def check(answer, rng):
        p = int(rng.integers(2, 5))
        rising = np.sort(rng.uniform(.5, .9, p + 4)).round(3).tolist()
        lowest, top = rising[0], rising[-1]
        gives_up = lambda scores: bool(answer(scores, p))
        if gives_up(rising):
            return f'{short_repr(rising[-3:])} at the end, patience {p}: the trial is still rising, and you give it up.'
        early_top = [top, lowest, *rising[1:1 + p]]
        if not gives_up(early_top):
            return f'{short_repr(early_top[:4])} …, patience {p}: none of the last {p} is above {top}, the best of those before, and you go on.'
        level = [lowest, top] + [top] * p
        if not gives_up(level):
            return f'{top} again and again, patience {p}: equal is nothing above the best, and you go on.'
        low = [lowest - .1] * p
        if gives_up(low):
            return f'{p} epochs, patience {p}: there is none before them to compare with, so that is too early.'
        late_top = [lowest, top] + [lowest] * (p - 1)
        if gives_up(late_top):
            return f'{short_repr(late_top)}, patience {p}: {top} is among the last {p} and above all before, and you give the trial up.'


class KilledSearch:
    "Runs a learner's search in a folder, and can kill it in the middle."
    def __init__(self, search, n):
        self.search, self.n = search, n
        self.left = None  # what the file held when the kill came

    def run(self, folder, calls, kill=None):
        "Its result. `calls` takes the settings of each trial; trial `kill` stops it, and what the file then holds is kept."
        file = Path(folder)/'trials.json'
        def objective(settings):
            if len(calls) == kill:
                self.left = file.read_bytes() if file.exists() else None
                raise RuntimeError('killed by the check')
            calls.append(settings)
            return settings * 2
        return self.search(objective, lambda rng: float(rng.random()), self.n, file)

    def run_killed(self, folder, calls, kill):
        "Leaves the file as the kill left it: one that really kills runs no `finally`."
        try: self.run(folder, calls, kill)
        except Wrong: pass
        file = Path(folder)/'trials.json'
        file.unlink(missing_ok=True)
        if self.left is not None: file.write_bytes(self.left)


@exercise('11-4', 'A search that survives')
class ASearchThatSurvives:
    """
    Write `survives(objective, draw, n, file)`, a search of `n` trials. `draw(rng)` gives settings,
    `objective(settings)` a score, and either may be **killed** in the middle. `file` is a `Path`, perhaps
    with nothing there yet. Called again, the search goes on where it was: no finished trial is run twice,
    and the settings are those of a search that was never stopped. The result is the list of the `n` scores.
    """
    answer = 'survives'
    hints = (
        'Write down each score when it is there, not at the end. And let the draw belong to the place, '
        'not to the call.',
        'Begin with `done = json.loads(file.read_text()) if file.exists() else []`, and go on with '
        '`range(len(done), n)`. The settings of a place: `draw(np.random.default_rng(place))`.',
        'In the loop: `done.append(objective(draw(np.random.default_rng(place))))`, then '
        '`file.write_text(json.dumps(done))`.',
    )

    def start():
        def survives(objective, draw, n, file):
            ...

    def setup():
        import json, numpy as np

    def solution():
        def survives(objective, draw, n, file):
            done = json.loads(file.read_text()) if file.exists() else []
            for place in range(len(done), n):
                done.append(objective(draw(np.random.default_rng(place))))
                file.write_text(json.dumps(done))
            return done

    @wrong('were run twice')
    def written_in_finally():
        def survives(objective, draw, n, file):
            done = json.loads(file.read_text()) if file.exists() else []
            try:
                for place in range(len(done), n): done.append(objective(draw(np.random.default_rng(place))))
            finally: file.write_text(json.dumps(done))
            return done

    @wrong('run twice')
    def written_at_end():
        def survives(objective, draw, n, file):
            done = json.loads(file.read_text()) if file.exists() else []
            for place in range(len(done), n): done.append(objective(draw(np.random.default_rng(place))))
            file.write_text(json.dumps(done))
            return done

    @wrong('never stopped')
    def one_generator():
        def survives(objective, draw, n, file):
            done, rng = json.loads(file.read_text()) if file.exists() else [], np.random.default_rng(0)
            for place in range(len(done), n):
                done.append(objective(draw(rng)))
                file.write_text(json.dumps(done))
            return done

    @wrong('different settings')
    def same_seed():
        def survives(objective, draw, n, file):
            done = json.loads(file.read_text()) if file.exists() else []
            for place in range(len(done), n):
                done.append(objective(draw(np.random.default_rng(0))))
                file.write_text(json.dumps(done))
            return done

    @wrong('scores, and')
    def every_place_again():
        def survives(objective, draw, n, file):
            done = json.loads(file.read_text()) if file.exists() else []
            for place in range(n):
                done.append(objective(draw(np.random.default_rng(place))))
                file.write_text(json.dumps(done))
            return done

    def check(answer, rng):
        n = int(rng.integers(6, 10))
        kill = int(rng.integers(2, 5))
        search = KilledSearch(answer, n)
        calls, calls_before_kill, calls_after_kill = [], [], []
        with tempfile.TemporaryDirectory() as undisturbed, tempfile.TemporaryDirectory() as disturbed:
            scores = search.run(undisturbed, calls)
            search.run_killed(disturbed, calls_before_kill, kill)
            scores_after_kill = search.run(disturbed, calls_after_kill)
        if len(set(calls)) < len(calls):
            return f'{n} trials had {len(set(calls))} different settings among them: each place needs a generator of its own.'
        if not isinstance(scores_after_kill, list) or len(scores_after_kill) != n:
            count = len(scores_after_kill) if isinstance(scores_after_kill, list) else "no list of"
            return f'After a kill you give {short_repr(scores_after_kill)}: {count} scores, and {n} were asked for.'
        surplus = len(calls_before_kill) + len(calls_after_kill) - n
        if surplus > 0:
            return f'Killed after {kill} of {n} trials, and called again, it ran {len(calls_after_kill)} more: {surplus} finished ones were run twice.'
        if scores_after_kill != scores:
            return f'Killed after {kill} trials, and called again, the settings are not those of a search that was never stopped: the next is {calls_after_kill[0]:.3f}, and should be {calls[kill]:.3f}.'
