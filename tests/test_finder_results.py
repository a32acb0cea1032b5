"The finder's rules by folds: what is swept and trained, and what lesson 03 says of it."
import json
from dataclasses import replace

import numpy as np, pytest

from course_utils.config import CourseError
from course_utils.report import finder_results as FR
from course_utils.report.headlines import headline_of
from course_utils.techniques.lr_finder import RULES, Suggestion
from course_utils.training.train import Diverged
from data_scripts.experiments import finder as F
from data_scripts.experiments.engine import measure
from data_scripts.experiments.measure import EXPERIMENTS


@pytest.fixture(autouse=True)
def smoke(monkeypatch, tmp_path):
    monkeypatch.setenv('COURSE_PROFILE', 'smoke')
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path))
    monkeypatch.delenv('COURSE_DATA', raising=False)
    F.sweep_of.cache_clear()
    return tmp_path

def a_trial(name): return next(replace(trial, fold=0) for trial in F.finder_arms() if trial.arm == name)


# ---- the experiment ----

def test_arms_are_all_rules_for_each_optimizer_and_batch_size():
    arms = F.finder_arms()
    assert len(arms) == 2 * 2 * (1 + len(RULES))
    assert {trial.recipe.bs for trial in arms} == set(F.EPOCHS)
    assert {trial.labels['rule'] for trial in arms} == {F.FIXED, *RULES}

class Answers:
    def __init__(self, rate): self.rate = rate
    def suggest(self): return {rule: Suggestion(self.rate, '') for rule in RULES}

def test_a_fixed_rate_sweeps_nothing(monkeypatch):
    def no_sweep(*a): raise AssertionError('swept')
    monkeypatch.setattr(F, 'sweep_of', no_sweep)
    assert F.rate_of_rule(a_trial('SGD, batch 16, fixed 1e-3')) == 1e-3

@pytest.mark.parametrize('rate, used, answered', [(.02, .02, True), (None, 1e-3, False)])
def test_a_rule_without_an_answer_trains_at_the_fixed_rate(monkeypatch, rate, used, answered):
    rates = []
    def trained(pics, trial, rate):
        rates.append(rate)
        return F.class_shares(pics), pics.y[pics.valid]
    monkeypatch.setattr(F, 'sweep_of', lambda *a: Answers(rate))
    monkeypatch.setattr(F, 'trained_probs', trained)
    row = F.measure_finder(a_trial('AdamW, batch 16, valley'))
    assert rates == [used]
    assert (row['rate'], row['answered'], row['ended']) == (used, answered, True)

def test_a_training_that_bursts_is_left_with_the_shares_of_the_classes(monkeypatch):
    def bursts(*a): raise Diverged('no longer a number')
    monkeypatch.setattr(F, 'fit', bursts)
    trial = a_trial('SGD, batch 16, fixed 1e-3')
    row = F.measure_finder(trial)
    pics = trial.pictures()
    assert not row['ended']
    assert row['accuracy'] == pytest.approx(pics.majority)

def test_want_of_memory_is_no_answer_of_a_rule(monkeypatch):
    def no_room(*a): raise CourseError('The memory does not hold a training step.')
    monkeypatch.setattr(F, 'fit', no_room)
    with pytest.raises(CourseError, match='memory'): F.measure_finder(a_trial('SGD, batch 16, fixed 1e-3'))

@pytest.mark.slow
def test_sgd_is_sgd_and_one_of_each_is_measured(smoke):
    trial = a_trial('SGD, batch 16, minimum')
    learn = F.new_learner(trial.pictures(), trial.recipe, 'SGD')
    learn.create_opt()
    assert type(learn.opt.opt).__name__ == 'SGD'
    experiment = EXPERIMENTS['finder']
    some = {key: t for key, t in experiment.trials().items() if key in ('SGD, batch 16, minimum, fold 0', 'SGD, batch 16, fixed 1e-3, fold 0')}
    assert measure('finder', some, experiment.measure, smoke/'finder.json', lambda *a, **k: None) == 2
    rows = json.loads((smoke/'finder.json').read_text())['runs']
    assert len({len(row['groups']) for row in rows.values()} | {len(row['right']) for row in rows.values()}) == 1
    assert {row['ended'] for row in rows.values()} == {True}


# ---- what lesson 03 reads ----

def rows(shares, folds=4, n=160):
    "Rows of the rules: setting → share named right."
    runs = {}
    rng = np.random.default_rng(0)
    for fold in range(folds):
        for setting, share in shares.items():
            runs[f'{setting}, fold {fold}'] = dict(
                settings=dict(arm=setting, seed=fold, fold=fold), rate=1e-3 * (fold + 1), answered=fold > 0, ended=True,
                right=''.join(f'{value:d}' for value in np.arange(n) < share * n),
                loss=(1 - share + .01 * rng.random(n)).tolist(), seconds=1., groups=(np.arange(n) % 16 + 100 * fold).tolist(),
                data='solar abc', device='CPU', versions=dict(torch='2'), date='2026-01-01')
    return runs

def write(folder, runs, name='finder'): (folder/f'{name}.json').write_text(json.dumps(dict(runs=runs)))

SHARES = {'AdamW, batch 16, fixed 1e-3': .8, 'AdamW, batch 16, valley': .7, 'AdamW, batch 16, smoothed_gradient': .8,
          'SGD, batch 64, fixed 1e-3': .6, 'SGD, batch 64, valley': .8, 'SGD, batch 64, smoothed_gradient': .7}

def test_each_rule_is_compared_with_the_fixed_rate_of_its_training(smoke):
    write(smoke, rows(SHARES))
    table = FR.finder_measured()
    assert table.gain.to_dict() == pytest.approx({
        ('AdamW, batch 16', 'valley'): -.1, ('AdamW, batch 16', 'smoothed gradient'): 0,
        ('SGD, batch 64', 'valley'): .2, ('SGD, batch 64', 'smoothed gradient'): .1})
    row = table.loc['AdamW, batch 16', 'valley']
    assert (row.rate, row.lowest, row.highest, row.answers) == pytest.approx((2.5e-3, 1e-3, 4e-3, 3))
    words = FR.finder_in_words(table).splitlines()
    assert words[0].startswith('AdamW, batch 16, against a fixed 1e-3. Worse: valley')
    assert 'No clear difference: smoothed gradient' in words[0]
    assert words[1].startswith('SGD, batch 64, against a fixed 1e-3. Better: valley')

def test_a_fold_under_way_counts_in_no_column(smoke):
    runs = rows(SHARES, folds=3)
    runs.popitem()
    write(smoke, runs)
    row = FR.finder_measured().loc['AdamW, batch 16', 'valley']
    assert (row.rate, row.lowest, row.highest, row.answers) == pytest.approx((1.5e-3, 1e-3, 2e-3, 1))

def test_the_list_of_lessons_says_what_all_rules_did_once_they_were_measured(smoke):
    (smoke/'lesson_03.json').write_text('{"headline": "one seed"}')
    assert headline_of('03', smoke) == 'one seed'
    write(smoke, rows(SHARES))
    assert headline_of('03', smoke).startswith('Solar cells, AdamW, by folds: the lowest loss by the rule smoothed gradient')

def test_the_sentences_on_all_trainings(smoke):
    write(smoke, rows(SHARES))
    tables = FR.finders_measured()
    assert FR.rules_in_words(tables['solar cells']) == (
        'Over 2 trainings, against a fixed 1e-3. Valley: 1 helped, 1 hurt; smoothed gradient: 1 helped, 1 not clear. '
        'The highest rate of a rule over the folds is so many times its lowest (geometric mean): smoothed gradient 4.0, valley 4.0.')
    assert FR.finder_verdict(tables) == (
        'Solar cells, AdamW, by folds: the lowest loss by the rule smoothed gradient; all rules against a fixed 1e-3: 1 hurt, 1 not clear. '
        'Solar cells, SGD, by folds: the lowest loss by the rule valley; all rules against a fixed 1e-3: 2 helped.')

def test_nothing_is_said_where_nothing_was_measured_by_folds(smoke):
    assert FR.finders_measured() == {}
    empty = FR.finder_measured()
    assert FR.finder_in_words(empty) == FR.rules_in_words(empty) == FR.finder_verdict({}) == ''
    just_begun = rows({'AdamW, batch 16, fixed 1e-3': .8}, folds=1)
    write(smoke, just_begun)
    assert FR.finder_measured().empty
