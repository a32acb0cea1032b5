"""Search: texts, checks, hints and solutions. Whoever wants to solve them stops reading here."""


from course_utils.classroom.checker import Wrong, brief, exercise, number
from course_utils.classroom.guesses import quantity

import numpy as np, pandas as pd, tempfile
from pathlib import Path

quantity('11', 'gain', 'accuracy of the best settings found on new pictures, minus that of the recipe by hand', widest=(-.2, .2), example=(0, .04), shown='{:+.1%}',
         expected=lambda r: r['gains']['test'])

@exercise('11-1', 'Which number goes into the report?', '''
    Write `to_report(trials)`: `trials` is a frame with a row for each trial and columns `valid` and `test`, like `tries`. You choose by `valid`. Which number tells what the chosen one is worth?''',
    start='''
    def to_report(trials):
        ...''',
    answer='to_report',
    hints=['Two steps: which trial is chosen, and what is it worth on pictures that had no say in it?',
           '`trials.valid.idxmax()` is the trial that is chosen.',
           '`trials.test[trials.valid.idxmax()]`'],
    solution='''
    def to_report(trials):
        return trials.test[trials.valid.idxmax()]''',
    wrong={'''
    def to_report(trials):
        return trials.valid.max()''': 'chosen by',
           '''
    def to_report(trials):
        return trials.test.max()''': 'may not choose',
           '''
    def to_report(trials):
        return trials.test.mean()''': 'all trials',
           '''
    def to_report(trials):
        return trials.test.iloc[-1]''': 'is chosen'})
def check_11_1(answer, rng):
    n, true = int(rng.integers(12, 40)), rng.normal(.75, .01, 40)
    trials = pd.DataFrame(dict(valid=true[:n] + rng.normal(0, .03, n), test=true[:n] + rng.normal(0, .03, n)))
    trials.loc[n // 2, 'valid'], trials.loc[n // 3, 'test'] = .95, .93
    got, best = number(answer(trials), 'The number'), trials.valid.idxmax()
    if np.isclose(got, trials.valid.max()): return f'{got:.1%} is the score it was chosen by: of {n} trials it is the luckiest, too.'
    if np.isclose(got, trials.test.max()): return f'{got:.1%} is the highest on the test pictures. They may not choose, or they are no test any more.'
    if np.isclose(got, trials.test.mean()) and not np.isclose(got, trials.test[best]): return f'{got:.1%} is the mean of all trials, and one of them was chosen.'
    if not np.isclose(got, trials.test[best]): return f'Trial {best} is chosen, with {trials.valid[best]:.1%}. On the test pictures it has {trials.test[best]:.1%}, and you give {got:.1%}.'

@exercise('11-2', 'How much of it was luck?', '''
    Write `luck_of(trials)` for the same frame: the **optimism**. By how much does the chosen trial look better than the mean of all, on `valid`, minus by how much it is better than the mean of all, on `test`? So it does not count if one set of pictures is harder than the other. Then try it: `luck_of(tries)`.''',
    start='''
    def luck_of(trials):
        ...''',
    answer='luck_of',
    hints=['Two gains of the same trial, each over the mean of its own column.',
           '`gain = trials.loc[trials.valid.idxmax()] - trials.mean()` has both, with only these two columns.',
           "`gain = lambda what: trials[what][trials.valid.idxmax()] - trials[what].mean()`, then `gain('valid') - gain('test')`."],
    solution='''
    def luck_of(trials):
        best = trials.valid.idxmax()
        gain = lambda what: trials[what][best] - trials[what].mean()
        return gain('valid') - gain('test')''',
    wrong={'''
    def luck_of(trials):
        best = trials.valid.idxmax()
        return trials.valid[best] - trials.test[best]''': 'harder',
           '''
    def luck_of(trials):
        best = trials.valid.idxmax()
        gain = lambda what: trials[what][best] - trials[what].mean()
        return gain('test') - gain('valid')''': 'sign',
           '''
    def luck_of(trials):
        return (trials.valid.max() - trials.valid.mean()) - (trials.test.max() - trials.test.mean())''': 'one trial',
           '''
    def luck_of(trials):
        return trials.valid.max() - trials.valid.mean()''': 'should be'})
def check_11_2(answer, rng):
    n = int(rng.integers(12, 40))
    trials = pd.DataFrame(dict(valid=rng.normal(.75, .02, n), test=rng.normal(.68, .02, n)))
    trials.loc[n // 2, 'valid'], trials.loc[n // 3, 'test'] = .86, .78
    got, best, mean = number(answer(trials), 'The optimism'), trials.loc[trials.valid.idxmax()], trials.mean()
    want = (best.valid - mean.valid) - (best.test - mean.test)
    if np.isclose(got, best.valid - best.test): return f'You give {got:.1%}. In it is that the test pictures are harder for all trials: {mean.valid:.1%} on the mean against {mean.test:.1%}.'
    if np.isclose(got, -want): return f'You give {got:.1%}: the sign is the other one. What looks better than it is has an optimism above nought.'
    if np.isclose(got, (trials.valid.max() - mean.valid) - (trials.test.max() - mean.test)): return f'You give {got:.1%}, from the highest of either column. Only one trial is chosen, by `valid`, and followed to `test`.'
    if not np.isclose(got, want): return f'The chosen trial looks {best.valid - mean.valid:+.1%} better and is {best.test - mean.test:+.1%} better. The optimism should be {want:.1%}, and you give {got:.1%}.'

@exercise('11-3', 'A pruner with patience', '''
    Write `give_up(scores, patience)`: `scores` are a trial's accuracies so far, one an epoch. Is it true that the **last** `patience` epochs brought nothing above the best of those before? With no epoch before them: `False`.''',
    start='''
    def give_up(scores, patience):
        ...''',
    answer='give_up',
    hints=['Cut the list in two: the last `patience` ones, and those before.',
           '`scores[-patience:]` and `scores[:-patience]`. Compare the highest of either. What if the second is empty?',
           '`len(scores) > patience and max(scores[-patience:]) <= max(scores[:-patience])`'],
    solution='''
    def give_up(scores, patience):
        return len(scores) > patience and max(scores[-patience:]) <= max(scores[:-patience])''',
    wrong={'''
    def give_up(scores, patience):
        return len(scores) > patience and scores[-1] <= scores[-1 - patience]''': 'best of those before',
           '''
    def give_up(scores, patience):
        return max(scores[-patience:]) <= max(scores[:-patience])''': 'ValueError',
           '''
    def give_up(scores, patience):
        return len(scores) <= patience or max(scores[-patience:]) <= max(scores[:-patience])''': 'too early',
           '''
    def give_up(scores, patience):
        return len(scores) > patience and max(scores[-patience:]) < max(scores[:-patience])''': 'equal',
           '''
    def give_up(scores, patience):
        return len(scores) > patience and max(scores[-patience:]) > max(scores[:-patience])''': 'still rising',
           '''
    def give_up(scores, patience):
        return len(scores) > patience and scores[-1] <= max(scores[:-patience])''': 'give the trial up'})
def check_11_3(answer, rng):
    p = int(rng.integers(2, 5))
    rising = np.sort(rng.uniform(.5, .9, p + 4)).round(3).tolist()
    top, dip = rising[-1], [rising[0] - .1] * p
    says = lambda scores: bool(answer(scores, p))
    if says(rising): return f'{brief(rising[-3:])} at the end, patience {p}: the trial is still rising, and you give it up.'
    if not says([top, rising[0], *rising[1:1 + p]]): return f'{brief([top, rising[0], *rising[1:3]])} …, patience {p}: none of the last {p} is above {top}, the best of those before, and you go on.'
    if not says([rising[0], top] + [top] * p): return f'{top} again and again, patience {p}: equal is nothing above the best, and you go on.'
    if says(dip[:p]): return f'{p} epochs, patience {p}: there is none before them to compare with, so that is too early.'
    late = [rising[0], top] + [rising[0]] * (p - 1)
    if says(late): return f'{brief(late)}, patience {p}: {top} is among the last {p} and above all before, and you give the trial up.'

@exercise('11-4', 'A search that survives', '''
    Write `survives(objective, draw, n, file)`, a search of `n` trials. `draw(rng)` gives settings, `objective(settings)` a score, and either may be **killed** in the middle. `file` is a `Path`, perhaps with nothing there yet. Called again, the search goes on where it was: no finished trial is run twice, and the settings are those of a search that was never stopped. The result is the list of the `n` scores.''',
    start='''
    def survives(objective, draw, n, file):
        ...''',
    answer='survives',
    hints=['Write down each score when it is there, not at the end. And let the draw belong to the place, not to the call.',
           'Begin with `done = json.loads(file.read_text()) if file.exists() else []`, and go on with `range(len(done), n)`. The settings of a place: `draw(np.random.default_rng(place))`.',
           'In the loop: `done.append(objective(draw(np.random.default_rng(place))))`, then `file.write_text(json.dumps(done))`.'],
    before='import json, numpy as np',
    solution='''
    def survives(objective, draw, n, file):
        done = json.loads(file.read_text()) if file.exists() else []
        for place in range(len(done), n):
            done.append(objective(draw(np.random.default_rng(place))))
            file.write_text(json.dumps(done))
        return done''',
    wrong={'''
    def survives(objective, draw, n, file):
        done = json.loads(file.read_text()) if file.exists() else []
        try:
            for place in range(len(done), n): done.append(objective(draw(np.random.default_rng(place))))
        finally: file.write_text(json.dumps(done))
        return done''': 'were run twice',
           '''
    def survives(objective, draw, n, file):
        done = json.loads(file.read_text()) if file.exists() else []
        for place in range(len(done), n): done.append(objective(draw(np.random.default_rng(place))))
        file.write_text(json.dumps(done))
        return done''': 'run twice',
           '''
    def survives(objective, draw, n, file):
        done, rng = json.loads(file.read_text()) if file.exists() else [], np.random.default_rng(0)
        for place in range(len(done), n):
            done.append(objective(draw(rng)))
            file.write_text(json.dumps(done))
        return done''': 'never stopped',
           '''
    def survives(objective, draw, n, file):
        done = json.loads(file.read_text()) if file.exists() else []
        for place in range(len(done), n):
            done.append(objective(draw(np.random.default_rng(0))))
            file.write_text(json.dumps(done))
        return done''': 'different settings',
           '''
    def survives(objective, draw, n, file):
        done = json.loads(file.read_text()) if file.exists() else []
        for place in range(n):
            done.append(objective(draw(np.random.default_rng(place))))
            file.write_text(json.dumps(done))
        return done''': 'scores, and'})
def check_11_4(answer, rng):
    n, kill, left = int(rng.integers(6, 10)), int(rng.integers(2, 5)), []
    def tried(folder, kill=None):
        calls = []
        def objective(settings):
            if len(calls) == kill:
                left.extend(p.read_bytes() for p in Path(folder).glob('trials.json'))
                raise RuntimeError('killed by the check')
            calls.append(settings)
            return settings * 2
        return calls, lambda: answer(objective, lambda rng: float(rng.random()), n, Path(folder)/'trials.json')
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        calls, run = tried(one); scores = run()
        before, run = tried(two, kill)
        try: run()
        except Wrong: pass
        file = Path(two)/'trials.json'  # as the kill left it: one that really kills runs no `finally`
        file.unlink(missing_ok=True)
        for kept in left: file.write_bytes(kept)
        after, run = tried(two); again = run()
    if len(set(calls)) < len(calls): return f'{n} trials had {len(set(calls))} different settings among them: each place needs a generator of its own.'
    if not isinstance(again, list) or len(again) != n: return f'After a kill you give {brief(again)}: {len(again) if isinstance(again, list) else "no list of"} scores, and {n} were asked for.'
    if len(before) + len(after) > n: return f'Killed after {kill} of {n} trials, and called again, it ran {len(after)} more: {len(before) + len(after) - n} finished ones were run twice.'
    if again != scores: return f'Killed after {kill} trials, and called again, the settings are not those of a search that was never stopped: the next is {after[0]:.3f}, and should be {calls[kill]:.3f}.'
