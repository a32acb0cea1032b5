"Schedules by folds, and early stopping replayed: no picture has a say in its own measurement, and the sentences follow the numbers."
import json
from types import SimpleNamespace

import numpy as np, pytest

from course_utils.data.pictures import load_pictures
from course_utils.report import schedule_results as SR
from course_utils.training.run import Run
from data_scripts.experiments import schedules as S
from data_scripts.experiments.engine import measure
from data_scripts.experiments.measure import EXPERIMENTS


@pytest.fixture(autouse=True)
def smoke(monkeypatch, tmp_path):
    monkeypatch.setenv('COURSE_PROFILE', 'smoke')
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path))
    monkeypatch.delenv('COURSE_DATA', raising=False)
    return tmp_path


# ---- the experiment ----

@pytest.mark.parametrize('epochs', [3, 30, 60])
def test_restarts_end_with_the_run(epochs):
    arms = S.schedule_arms_by_name(epochs)
    for name in ('SGDR ×1', 'SGDR ×2'): assert arms[name].story(epochs).endswith('The run ends with a cycle.')

def test_halves_are_of_whole_modules():
    pics = load_pictures(size=32, fold=0)
    halves = S.two_halves(pics, 0)
    groups = pics.table.group.to_numpy()[pics.valid]
    assert not set(groups[halves == 0]) & set(groups[halves == 1])
    assert .2 < halves.mean() < .8
    assert (halves != S.two_halves(pics, 1)).any()

def test_halves_of_pictures_without_groups():
    pics = load_pictures(size=32, limit=100)
    bare = SimpleNamespace(valid=pics.valid, table=pics.table.drop(columns='group'))
    assert abs(S.two_halves(bare, 0).mean() - .5) < .05

def a_run(by_epoch, targets):
    by_epoch = np.array([[[1 - p, p] for p in epoch] for epoch in by_epoch])
    return Run(None, by_epoch[-1], np.array(targets), None, 1., None, arrays=dict(by_epoch=by_epoch))

def test_each_half_is_judged_by_what_the_other_chose():
    "All pictures are of class 1. The first half is best known after epoch 1, the second after epoch 3."
    run = a_run([[.9, .9, .2, .2], [.5, .5, .5, .5], [.1, .1, .9, .9]], [1] * 4)
    halves = np.array([0, 0, 1, 1])
    stopped, epochs = S.stopped_early(run, halves, patience=10)
    assert epochs == [3, 1]  # half 0 is judged by epoch 3, which half 1 chose, and the other way round
    assert stopped.probs[:, 1].tolist() == [.1, .1, .2, .2]
    impatient, epochs = S.stopped_early(run, halves, patience=1)
    assert epochs == [3, 1]
    assert run.probs[:, 1].tolist() == [.1, .1, .9, .9], 'the run stays as it was'

def test_patience_decides_when_to_stop():
    worse_first = a_run([[.6, .6], [.5, .5], [.9, .9]], [1, 1])
    halves = np.array([0, 1])
    assert S.stopped_early(worse_first, halves, patience=1)[1] == [1, 1]
    assert S.stopped_early(worse_first, halves, patience=2)[1] == [3, 3]

@pytest.mark.slow
def test_a_run_keeps_its_epochs_its_stops_and_its_snapshots(smoke):
    experiment = EXPERIMENTS['schedules']
    some = {key: trial for key, trial in experiment.trials().items() if key in ('SGDR ×2, fold 0', 'one-cycle, fold 0')}
    assert measure('schedules', some, experiment.measure, smoke/'schedules.json', lambda *a, **k: None) == 2
    rows = json.loads((smoke/'schedules.json').read_text())['runs']
    row = rows['SGDR ×2, fold 0']
    assert row['snapshots_at'] == [1, 3]
    assert len(row['ensemble_right']) == len(row['right']) == len(row['groups'])
    assert set(row['stopped']) == {'patience 2', 'patience 5', 'patience 10'}
    assert len(row['stopped']['patience 2']['loss']) == len(row['loss'])
    assert len(row['valid_losses']) == 3
    assert SR.stopping_measured().index.get_level_values('patience').tolist() == ['patience 2', 'patience 5', 'patience 10'] * 2
    assert len(SR.schedules_measured()) == 1


# ---- what lesson 04 reads ----

def rows(shares, stopped, folds=4, n=160):
    "Rows of the schedules: schedule → share named right at the end, and after early stopping."
    rng = np.random.default_rng(0)
    def answers(share):
        right = ''.join(f'{value:d}' for value in np.arange(n) < share * n)
        return dict(right=right, loss=(1 - share + .01 * rng.random(n)).tolist())
    runs = {}
    for fold in range(folds):
        for name, share in shares.items():
            run = dict(settings=dict(arm=name, seed=fold, fold=fold), seconds=1., groups=(np.arange(n) % 16 + 100 * fold).tolist(),
                       valid_losses=[1.] * 30, data='solar abc', device='CPU', versions=dict(torch='2'), date='2026-01-01', **answers(share))
            run['stopped'] = {patience: dict(answers(value), epochs=[4, 6]) for patience, value in stopped.items()}
            if name.startswith('SGDR'): run |= {f'ensemble_{key}': value for key, value in answers(share + .1).items()}
            runs[f'{name}, fold {fold}'] = run
    return runs

def write(folder, runs, name='schedules'): (folder/f'{name}.json').write_text(json.dumps(dict(runs=runs)))

SHARES = {'constant': .6, 'SGDR ×2': .8, 'one-cycle': .7, 'cosine': .7}
STOPPED = {'patience 2': .6, 'patience 10': .7}

def test_schedules_against_one_cycle(smoke):
    write(smoke, rows(SHARES, STOPPED))
    table = SR.schedules_measured()
    assert table.gain.to_dict() == pytest.approx({'constant': -.1, 'SGDR ×2': .1, 'cosine': 0})
    words = SR.schedules_in_words(table)
    assert words.startswith('Against one-cycle. Better: SGDR ×2')
    assert 'Worse: constant' in words
    assert 'No clear difference: cosine' in words
    averages = SR.ensembles_measured()
    assert averages.gain.to_dict() == pytest.approx({'SGDR ×2, ensemble': .1})
    assert SR.ensembles_in_words(averages).startswith('Against the last network of the same run. Better: SGDR ×2, ensemble')

def test_early_stopping_against_the_whole_run(smoke):
    write(smoke, rows(SHARES, STOPPED))
    table = SR.stopping_measured()
    assert table.gain['constant', 'patience 2'] == pytest.approx(0)
    assert table.gain['SGDR ×2', 'patience 2'] == pytest.approx(-.2)
    assert table.epoch['cosine', 'patience 10'] == 5
    assert table.of_epochs['cosine', 'patience 10'] == 30
    words = SR.stopping_in_words(table).splitlines()
    assert words[0].startswith('Patience 2, against the whole run. Worse: ')
    assert 'Better: constant' in words[1]
    assert SR.stopping_verdict(SR.stoppings_measured()) == (
        'Solar cells, by folds: early stopping over 4 schedules, patience 2: 3 hurt, 1 not clear; patience 10: 1 helped, 1 hurt, 2 not clear.')

def test_a_fold_under_way_counts_in_no_column(smoke):
    runs = rows(SHARES, STOPPED, folds=2)
    runs.popitem()
    runs['constant, fold 1']['stopped']['patience 2']['epochs'] = [20, 20]
    write(smoke, runs)
    assert SR.stopping_measured().epoch['constant', 'patience 2'] == 5

def test_a_measurement_that_is_under_way_or_of_an_old_regime(smoke):
    assert SR.stoppings_measured() == {}
    empty = SR.schedules_measured()
    assert SR.schedules_in_words(empty) == SR.ensembles_in_words(empty) == SR.stopping_in_words(empty) == SR.stopping_verdict({}) == ''
    write(smoke, rows({'constant': .6}, STOPPED, folds=1))
    assert SR.schedules_measured().empty
    assert SR.ensembles_measured().empty
    assert len(SR.stopping_measured()) == 2
    runs = rows(SHARES, STOPPED, folds=2)
    runs.popitem()
    write(smoke, runs)
    assert len(SR.schedules_measured()) == 3
    assert len(SR.stopping_measured()) == 8
    for row in runs.values():
        del row['settings']['fold']
        del row['stopped']
    write(smoke, runs)
    assert SR.schedules_measured().empty
    assert SR.stopping_measured().empty
