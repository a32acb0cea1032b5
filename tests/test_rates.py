"Differential rates by folds: peaks are chosen where fold 0 is not seen, every setting has its own, and the sentences follow the numbers."
import json
from dataclasses import replace

import numpy as np, pandas as pd, pytest

from course_utils.config import CourseError
from course_utils.report import rate_results as RR
from course_utils.report.headlines import headline_of
from course_utils.techniques.layer_groups import rates_of
from course_utils.training.keep import describe
from course_utils.training.recipe import Recipe, body_and_head
from course_utils.training.train import Diverged
from data_scripts.experiments import rates as R
from data_scripts.experiments.engine import measure
from data_scripts.experiments.measure import EXPERIMENTS


@pytest.fixture(autouse=True)
def smoke(monkeypatch, tmp_path):
    monkeypatch.setenv('COURSE_PROFILE', 'smoke')
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path))
    monkeypatch.delenv('COURSE_DATA', raising=False)
    return tmp_path

def write(folder, name, runs): (folder/f'{name}.json').write_text(json.dumps(dict(runs=runs)))


# ---- peaks ----

def peak_rows(best):
    "Rows of the search: the loss is lowest at the best peak of each setting."
    rows = {}
    for key, trial in EXPERIMENTS['peaks'].trials().items():
        settings = trial.settings()
        rows[key] = dict(settings=settings, valid_loss=abs(np.log(settings['peak'] / best[settings['setting']])))
    return rows

BEST = dict(zip(R.RATE_SETTINGS, (6e-4, 2e-3, 2e-3, 6e-4)))

def test_the_lowest_loss_chooses_the_peak_of_each_setting(smoke):
    write(smoke, 'peaks', peak_rows(BEST))
    assert R.chosen_peaks('solar') == BEST

def test_without_all_peaks_there_are_no_arms(smoke):
    with pytest.raises(CourseError, match='measure peaks first'): R.rates_arms()
    rows = peak_rows(BEST)
    rows.popitem()
    write(smoke, 'peaks', rows)
    with pytest.raises(CourseError, match='measure peaks first'): R.rates_arms()
    rows = peak_rows(BEST)
    for row in rows.values():
        if row['settings']['setting'] == 'one rate': row['valid_loss'] = None
    write(smoke, 'peaks', rows)
    with pytest.raises(CourseError, match='measure peaks first'): R.rates_arms()

def test_a_peak_without_an_answer_is_not_chosen(smoke):
    rows = peak_rows(BEST)
    for row in rows.values():
        if row['valid_loss'] == 0 and row['settings']['setting'] == 'one rate': row['valid_loss'] = None
    write(smoke, 'peaks', rows)
    assert R.chosen_peaks('solar') == BEST | {'one rate': 2e-3}

def test_peaks_are_judged_where_the_held_out_fold_is_not_seen():
    trial = next(iter(EXPERIMENTS['peaks'].trials().values()))
    whole = trial.pictures()
    inner = R.inner_pictures(whole, trial.fold)
    assert trial.fold == 0
    assert 0 not in set(inner.table.fold)
    assert set(inner.table.fold.iloc[inner.valid]) == {1}
    assert set(inner.table.fold.iloc[inner.train]) == {2, 3}
    assert len(inner) == len(whole.train)
    groups = inner.table.group.to_numpy()
    assert not set(groups[inner.train]) & set(groups[inner.valid])

def test_the_search_trains_on_as_many_pictures_as_the_measurement(smoke):
    write(smoke, 'peaks', peak_rows(BEST))
    searched = next(iter(EXPERIMENTS['peaks'].trials().values()))
    measured = next(iter(EXPERIMENTS['rates'].trials().values()))
    inner = R.inner_pictures(searched.pictures(), 0)
    n_searched = len(searched.part_of(inner).train)
    assert n_searched == pytest.approx(len(measured.part_of(measured.pictures()).train), abs=6)

def test_a_training_that_bursts_has_no_answer(monkeypatch):
    def bursts(*a, **k): raise Diverged('The training loss is no longer a number.')
    monkeypatch.setattr(R, 'train', bursts)
    trial = next(iter(EXPERIMENTS['peaks'].trials().values()))
    assert R.measure_peak(trial) == dict(valid_loss=None, error='The training loss is no longer a number.')

def test_want_of_memory_is_no_answer_of_a_peak(monkeypatch):
    def no_room(*a, **k): raise CourseError('The memory does not hold a training step.')
    monkeypatch.setattr(R, 'train', no_room)
    trial = next(iter(EXPERIMENTS['peaks'].trials().values()))
    with pytest.raises(CourseError, match='memory'): R.measure_peak(trial)


# ---- arms ----

def test_arms_differ_in_their_rates_alone(smoke):
    write(smoke, 'peaks', peak_rows(BEST))
    arms = {trial.arm: trial for trial in R.rates_arms()}
    assert list(arms) == ['one rate', 'one rate, BatchNorm moves', 'three groups, spread 10', 'three groups, spread 100',
                          'three groups, spread 100, BatchNorm moves', 'decay 0.7 over stages']
    alike = [describe(replace(trial.recipe, lr_max=0, groups=body_and_head, batchnorm='still')) for trial in arms.values()]
    assert alike == alike[:1] * len(arms)
    for name, trial in arms.items():
        still = name.removesuffix(', BatchNorm moves')
        assert trial.recipe.batchnorm == ('still' if still == name else 'learns')
        assert trial.recipe.freeze_epochs == 1
        assert trial.recipe.freeze_stages == 0
        assert trial.settings()['peak'] == BEST[still]
        n_groups = {'one rate': 2, 'decay 0.7 over stages': 9}.get(still, 3)
        assert max(rates_of(trial.recipe.lr_max, n_groups)) == pytest.approx(BEST[still])

@pytest.mark.slow
def test_one_of_each_is_measured(smoke):
    peaks = EXPERIMENTS['peaks']
    first = dict([next(iter(peaks.trials().items()))])
    assert measure('peaks', first, peaks.measure, smoke/'peaks.json', lambda *a, **k: None) == 1
    write(smoke, 'peaks', peak_rows(BEST))
    rates = EXPERIMENTS['rates']
    first = dict([next(iter(rates.trials().items()))])
    assert measure('rates', first, rates.measure, smoke/'rates.json', lambda *a, **k: None) == 1
    row = next(iter(json.loads((smoke/'rates.json').read_text())['runs'].values()))
    assert len(row['right']) == len(row['groups']) > 10


# ---- what lesson 05 reads ----

def rate_rows(shares, folds=4, n=160):
    "Rows of `rates`: setting → share named right."
    runs = {}
    rng = np.random.default_rng(0)
    for fold in range(folds):
        for setting, share in shares.items():
            recipe = vars(Recipe('x', 3, 1, True, batchnorm='still')) | dict(groups='g')
            runs[f'{setting}, fold {fold}'] = dict(
                settings=dict(arm=setting, seed=fold, fold=fold, peak=1e-3, size=128, recipe=recipe),
                right=''.join(f'{value:d}' for value in np.arange(n) < share * n),
                loss=(1 - share + .01 * rng.random(n)).tolist(), seconds=1., groups=(np.arange(n) % 16 + 100 * fold).tolist(),
                data='solar abc', device='CPU', versions=dict(torch='2'), date='2026-01-01')
    return runs

SHARES = {'one rate': .8, 'one rate, BatchNorm moves': .7, 'three groups, spread 10': .85, 'three groups, spread 100': .75,
          'three groups, spread 100, BatchNorm moves': .75, 'decay 0.7 over stages': .8}

def test_groups_are_compared_with_one_rate(smoke):
    write(smoke, 'rates', rate_rows(SHARES))
    table = RR.rates_measured()
    assert list(table.index) == ['three groups, spread 10', 'three groups, spread 100', 'decay 0.7 over stages']
    assert table.gain.tolist() == pytest.approx([.05, -.05, 0])
    assert set(table.peak) == {1e-3}
    words = RR.rates_in_words(table)
    assert words.startswith('Against one rate. Better: three groups, spread 10, accuracy +5.0%')
    assert 'Worse: three groups, spread 100' in words
    assert 'No clear difference: decay 0.7 over stages' in words
    assert 'each held out once, in 4 folds' in RR.rates_measured_on()
    assert 'the head alone first, BatchNorm still' in RR.rates_measured_on()

def test_what_batchnorm_does_when_it_moves(smoke):
    write(smoke, 'rates', rate_rows(SHARES | {'one rate, BatchNorm moves': .7}))
    costs = RR.norm_costs()
    assert costs.gain.to_dict() == pytest.approx({'one rate': -.1, 'three groups, spread 100': 0})
    words = RR.norm_in_words(costs)
    assert words.startswith('With BatchNorm moving one rate lost, accuracy -10.0%')
    assert 'three groups, spread 100 showed no clear difference' in words
    write(smoke, 'rates', rate_rows(SHARES | {'one rate, BatchNorm moves': .9}))
    assert 'one rate gained, accuracy +10.0%' in RR.norm_in_words(RR.norm_costs())
    mixed = RR.norm_costs().assign(loss_change=.1, loss_low=.09, loss_high=.11)
    assert 'one rate gained in one and lost in the other' in RR.norm_in_words(mixed)

def test_the_search_for_peaks_says_which_settings_forgive(smoke):
    assert RR.peaks_searched().empty
    assert RR.forgiven_in_words(RR.peaks_searched()) == ''
    losses = {'one rate': {6e-4: .3, 2e-3: None}, 'three groups, spread 10': {6e-4: .33, 2e-3: .3}, 'decay 0.7 over stages': {6e-4: .4, 2e-3: .3}}
    rows = {f'{setting} at {peak}': dict(settings=dict(setting=setting, peak=peak), valid_loss=loss)
            for setting, by_peak in losses.items() for peak, loss in by_peak.items()}
    write(smoke, 'peaks', rows)
    table = RR.peaks_searched()
    assert list(table.columns) == [6e-4, 2e-3]
    assert np.isnan(table.loc['one rate', 2e-3])
    words = RR.forgiven_in_words(table)
    assert words.endswith(': one rate 0.0006; three groups, spread 10 0.0006, 0.002; decay 0.7 over stages 0.002.')

def test_the_list_of_lessons_says_what_groups_did_once_they_were_measured(smoke):
    (smoke/'lesson_05.json').write_text('{"headline": "one seed"}')
    assert headline_of('05', smoke) == 'one seed'
    write(smoke, 'rates', rate_rows(SHARES))
    assert headline_of('05', smoke).startswith('Far: solar cells: by folds the best with groups, three groups, spread 10, is better than')

@pytest.mark.parametrize('best, said', [(.9, 'better than'), (.6, 'worse than'), (.8, 'not clearly other than')])
def test_the_end_of_the_lesson_says_what_came_out(smoke, best, said):
    write(smoke, 'rates', rate_rows({'one rate': .8, 'three groups, spread 10': best}))
    words = RR.rates_verdict({'far: solar cells': RR.rates_measured()})
    assert words.startswith(f'Far: solar cells: by folds the best with groups, three groups, spread 10, is {said} one rate (accuracy')
    assert 'chosen' not in words, 'there was nothing to choose'

def test_the_end_of_the_lesson_says_among_how_many_the_best_was_chosen(smoke):
    write(smoke, 'rates', rate_rows(SHARES))
    words = RR.rates_verdict({'far: solar cells': RR.rates_measured()})
    assert words.endswith('); it was chosen as the lowest loss of 3 on these same pictures, so its numbers look a little too good.')

def test_the_end_of_the_lesson_can_be_of_two_minds(smoke):
    write(smoke, 'rates', rate_rows({'one rate': .8, 'three groups, spread 10': .9}))
    mixed = RR.rates_measured().assign(loss_change=.1, loss_low=.09, loss_high=.11)
    assert 'partly better than one rate' in RR.rates_verdict({'x': mixed})

@pytest.mark.parametrize('near, far, said', [(.9, .8, 'as the rule says'), (.8, .9, 'the other way round'), (.8, .8, 'not clear')])
def test_near_and_far(smoke, near, far, said):
    tables = []
    for share in (near, far):
        write(smoke, 'rates', rate_rows({'one rate': .8, 'three groups, spread 10': share}))
        tables.append(RR.rates_measured())
    differences = RR.near_minus_far(*tables)
    row = differences.loc['three groups, spread 10']
    assert row['mean'] == pytest.approx(near - far)
    widths = [table.iloc[0] for table in tables]
    assert row.low == pytest.approx(row['mean'] - np.hypot(widths[0].gain - widths[0].low, widths[1].high - widths[1].gain))
    assert RR.rule_in_words(differences).endswith(f'), {said}.')

def test_nothing_is_said_where_nothing_was_measured_by_folds(smoke):
    empty = pd.DataFrame()
    old = rate_rows({'one rate 0.002': .8, 'three groups, spread 10': .8})
    for row in old.values(): del row['settings']['fold']
    write(smoke, 'rates', old)
    for data in ('solar', 'cats_dogs'):
        assert RR.rates_measured(data).empty
        assert RR.norm_costs(data).empty
        assert RR.rates_measured_on(data) == ''
    assert RR.rates_in_words(empty) == RR.norm_in_words(empty) == RR.rule_in_words(empty) == RR.rates_verdict({}) == ''
    assert RR.near_minus_far(empty, empty).empty

@pytest.mark.parametrize('settings', [('one rate',), ('three groups, spread 10',), ('one rate', 'one rate, BatchNorm moves')])
def test_a_measurement_that_has_just_begun_is_read(smoke, settings):
    write(smoke, 'rates', rate_rows({name: SHARES[name] for name in settings}, folds=1))
    assert RR.rates_measured().empty
    assert len(RR.norm_costs()) == len(settings) - 1
