"Measurements over seeds: nothing is lost by a kill, nothing stale is kept, every run is what it says, and the lessons read them."
import json, signal, subprocess, sys, time
from pathlib import Path

import numpy as np, pytest
from hypothesis import given, settings, strategies as st

from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.models import create_model
from course_utils.report.results import fold_gains, measured, measured_on, measured_regime, shared_rows
from course_utils.report.stats import Seeds, gains, verdict
from course_utils.techniques.transfer import article_head, frozen_features, linear_head
from course_utils.training.recipe import Recipe
from data_scripts.experiments import measure as M
from data_scripts.experiments.engine import Trial, measure

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def smoke(monkeypatch, tmp_path):
    monkeypatch.setenv('COURSE_PROFILE', 'smoke')
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path))
    monkeypatch.delenv('COURSE_DATA', raising=False)

def quiet(*a, **k): pass

def tiny(seeds, limit=100, **changes):
    trials = [Trial('a', Recipe('resnet10t', 1, seed=seed, **changes), 32, limit) for seed in seeds]
    return {f'a, seed {trial.seed}': trial for trial in trials}

def kept(path): return json.loads(path.read_text())['runs']


# ---- the engine ----

def test_measure_goes_on(tmp_path):
    "A kept run is kept; a changed setting is measured again; what is no longer asked for goes."
    calls, path = [], tmp_path/'x.json'
    measure_one = lambda trial: calls.append(trial.seed) or dict(v=trial.seed)
    def stops(trial):
        if trial.seed == 1: raise KeyboardInterrupt
        return measure_one(trial)
    with pytest.raises(KeyboardInterrupt): measure('x', tiny(range(3)), stops, path, quiet)
    assert calls == [0]
    assert list(kept(path)) == ['a, seed 0']
    assert measure('x', tiny(range(3)), measure_one, path, quiet) == 2
    assert calls == [0, 1, 2]
    assert measure('x', tiny(range(3)), measure_one, path, quiet) == 0
    assert measure('x', tiny([1], limit=101), measure_one, path, quiet) == 1
    assert list(kept(path)) == ['a, seed 1']
    assert [p.name for p in tmp_path.iterdir()] == ['x.json']


@pytest.mark.parametrize('stale', ['settings', 'data', 'versions'])
def test_what_was_measured_otherwise_is_measured_again(tmp_path, stale):
    path, measure_one = tmp_path/'x.json', lambda trial: dict(v=1)
    measure('x', tiny([0]), measure_one, path, quiet)
    old = json.loads(path.read_text())
    old['runs']['a, seed 0'][stale] = {'other': 1}
    path.write_text(json.dumps(old))
    assert measure('x', tiny([0]), measure_one, path, quiet) == 1


def test_settings_that_are_functions_are_told_apart(tmp_path):
    path, measure_one = tmp_path/'x.json', lambda trial: dict(v=1)
    assert measure('x', tiny([0], head=linear_head), measure_one, path, quiet) == 1
    assert measure('x', tiny([0], head=linear_head), measure_one, path, quiet) == 0
    assert measure('x', tiny([0], head=article_head), measure_one, path, quiet) == 1


def test_killed_measurement_goes_on(tmp_path):
    "SIGKILL at several moments: the file holds whole runs, and the rest is measured afterwards."
    code = f'''
import time
from pathlib import Path
from course_utils.training.recipe import Recipe
from data_scripts.experiments.engine import Trial, measure
def one(trial):
    print('go', flush=True)
    time.sleep(.05)
    return dict(v=[trial.seed] * 20000)
trials = {{f'seed {{s}}': Trial('a', Recipe('resnet10t', 1, seed=s), 32, 100) for s in range(6)}}
measure('x', trials, one, Path({str(tmp_path)!r})/'x.json', lambda *a, **k: None)
'''
    path = tmp_path/'x.json'
    n_kept = []
    for n_begun, delay in ((1, .02), (1, .05), (2, .01)):  # at the second 'go', the first run is kept
        p = subprocess.Popen([sys.executable, '-c', code], cwd=ROOT, stdout=subprocess.PIPE)
        for _ in range(n_begun): p.stdout.readline()
        time.sleep(delay)
        p.send_signal(signal.SIGKILL)
        p.wait()
        rows = kept(path) if path.exists() else {}
        n_kept.append(len(rows))
        assert {len(row['v']) for row in rows.values()} <= {20000}
    assert n_kept == sorted(n_kept), 'what was kept stays, and something was'
    assert n_kept[-1] > 0, 'what was kept stays, and something was'
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    assert len(kept(path)) == 6


def test_processes_share_a_measurement(tmp_path):
    "Two at once: each trial is measured once, by one of them, and no row of the other is lost."
    code = f'''
import time
from pathlib import Path
from course_utils.training.recipe import Recipe
from data_scripts.experiments.engine import Trial, measure
def one(trial):
    print(trial.seed, flush=True)
    time.sleep(.3)
    return dict(v=trial.seed)
trials = {{f'seed {{s}}': Trial('a', Recipe('resnet10t', 1, seed=s), 32, 100) for s in range(12)}}
print('ready', flush=True)
input()
measure('x', trials, one, Path({str(tmp_path)!r})/'x.json', lambda *a, **k: None)
'''
    both = [subprocess.Popen([sys.executable, '-c', code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(2)]
    for p in both: p.stdout.readline()
    for p in both:
        p.stdin.write('go\n')
        p.stdin.flush()
    shares = [p.communicate()[0].split() for p in both]
    assert sorted(map(int, sum(shares, []))) == list(range(12))
    assert all(shares), 'each had some'
    assert list(kept(tmp_path/'x.json')) == [f'seed {s}' for s in range(12)]
    assert [p.name for p in tmp_path.iterdir()] == ['x.json']


def test_the_command_says_what_there_is_and_what_it_did(monkeypatch):
    monkeypatch.setenv('COURSE_DATA', 'solar')  # `main` sets it for what it calls; here it must not outlive the test
    r = subprocess.run([sys.executable, '-m', 'course_utils', 'measure', 'nothing'], cwd=ROOT, capture_output=True, text=True)
    assert r.returncode
    assert 'there are transfer' in r.stderr
    assert len(r.stderr.strip().splitlines()) == 1
    with pytest.raises(CourseError, match="no data set named 'no_such'"): M.main(['rates', '--data', 'no_such'])


# ---- the experiments ----

@pytest.mark.parametrize('name', ['transfer', 'newer'])
def test_an_experiment_measures_what_it_says(name, tmp_path):
    experiment = M.EXPERIMENTS[name]
    trials = {key: trial for key, trial in experiment.trials().items() if trial.seed == 0}
    assert measure(name, trials, experiment.measure, tmp_path/f'{name}.json', quiet) == len(trials)
    for r in kept(tmp_path/f'{name}.json').values():
        assert len(r['right']) == len(r['loss']) > 10
        assert r['accuracy'] == pytest.approx(np.mean([int(v) for v in r['right']]))
        assert r['valid_loss'] == pytest.approx(np.mean(r['loss']), abs=2e-3)
        assert r['seconds'] > 0
    by_arm = measured(name)
    assert {arm.removesuffix(', ensemble') for arm in by_arm} == {trial.arm for trial in trials.values()}
    assert 'Measured on solar' in measured_on(name)
    assert measured_regime(name).startswith('Trained so: pictures of 32 px, ')


def test_a_share_is_a_share_and_takes_the_same_steps(monkeypatch):
    class Enough(Exception): pass
    seen = []
    def train(pics, recipe, quiet):
        seen.append((len(pics.train), recipe.repeats))
        raise Enough
    monkeypatch.setattr(M, 'train', train)
    for share in (.25, 1.):
        with pytest.raises(Enough): M.measure_transfer(Trial('scratch', Recipe('regnetx_002', 1), 32, 160, share))
    (quarter, four), (whole, once) = seen
    assert quarter == pytest.approx(whole / 4, abs=2)
    assert (four, once) == (4, 1)


def test_a_head_on_a_share_sees_the_features_of_that_share(monkeypatch):
    "The rows kept are the pictures of the share: a head that only looks at their number would be given away."
    seen = []
    monkeypatch.setattr(M, 'fit_head', lambda head, x, y, **kw: seen.append((x, y)) or head)
    M.measure_head(Trial('a', Recipe('tf_efficientnet_lite0', 3, head=linear_head, bs=32), 32, 160, .25))
    pics = load_pictures(size=32, limit=160)
    part = pics.subset(round(.25 * len(pics.train)), seed=0)
    x, y = frozen_features(create_model('tf_efficientnet_lite0'), part, part.train)
    assert np.allclose(seen[0][0], x, atol=1e-4)
    assert (seen[0][1] == y).all()


# ---- what the lessons read ----

def write(tmp_path, name, arms, seeds=2, n=40):
    rng, runs = np.random.default_rng(0), {}
    for arm, p in arms.items():
        for s in range(seeds):
            ok = rng.random(n) < p
            runs[f'{arm}, seed {s}'] = dict(right=''.join(f'{v:d}' for v in ok), loss=rng.random(n).tolist(), seconds=s + 1., settings=dict(arm=arm, seed=s),
                                            data='solar abc', device='CPU', versions=dict(torch='2'), date='2026-01-01')
    (tmp_path/f'{name}.json').write_text(json.dumps(dict(runs=runs)))
    return runs


def test_measured_keeps_to_the_seeds_all_have(tmp_path):
    runs = write(tmp_path, 'x', dict(a=.9, b=.2), seeds=3)
    del runs['b, seed 1']
    (tmp_path/'x.json').write_text(json.dumps(dict(runs=runs)))
    by_arm = measured('x')
    assert by_arm['a'].right.shape == by_arm['b'].loss.shape == (2, 40)
    assert by_arm['a'].seconds == 2.
    assert by_arm['a'].right[1].tolist() == [int(v) for v in runs['a, seed 2']['right']]
    assert measured('nothing') == {}
    assert 'Not measured yet' in measured_on('nothing')
    assert measured_regime('nothing') == ''


def test_measured_joins_folds(tmp_path):
    "Each fold judges other pictures, as many as it has: they stand beside one another, with their folds and their groups."
    runs = {}
    for arm, fold, right, groups in (('a', 0, '110', [1, 1, 2]), ('a', 1, '01', [3, 3]), ('b', 1, '11', [3, 3]), ('b', 0, '000', [1, 1, 2])):
        settings = dict(arm=arm, seed=fold, fold=fold)
        runs[f'{arm}, fold {fold}'] = dict(right=right, loss=[.5] * len(right), groups=groups, seconds=1., settings=settings,
                                           data='solar abc', device='CPU', versions=dict(torch='2'), date='2026-01-01')
    (tmp_path/'y.json').write_text(json.dumps(dict(runs=runs)))
    by_arm = measured('y')
    assert by_arm['a'].right.tolist() == [[1, 1, 0, 0, 1]]
    assert by_arm['b'].right.tolist() == [[0, 0, 0, 1, 1]]
    assert by_arm['b'].folds.tolist() == [0, 0, 0, 1, 1]
    assert by_arm['b'].groups.tolist() == [1, 1, 2, 3, 3]
    assert gains(by_arm, 'a').gain.item() == pytest.approx(-1 / 5)
    assert '5 pictures, each held out once, in 2 folds' in measured_on('y')
    del runs['b, fold 1']
    (tmp_path/'y.json').write_text(json.dumps(dict(runs=runs)))
    assert '3 pictures of one fold' in measured_on('y'), 'a fold that is being measured does not count'


def test_shared_rows_are_those_of_the_seeds_all_have(tmp_path):
    runs = write(tmp_path, 'x', dict(a=.9, b=.2), seeds=3)
    del runs['b, seed 1']
    (tmp_path/'x.json').write_text(json.dumps(dict(runs=runs)))
    by_setting = shared_rows('x')
    assert {setting: list(rows) for setting, rows in by_setting.items()} == dict(a=[0, 2], b=[0, 2])
    assert by_setting['a'][2]['seconds'] == 3.
    del runs['b, seed 0'], runs['b, seed 2']
    (tmp_path/'x.json').write_text(json.dumps(dict(runs=runs)))
    assert list(shared_rows('x')) == ['a'], 'a setting without a row is none yet'
    assert shared_rows('nothing') == {}


@pytest.mark.parametrize('changes, said', [
    (dict(kept_views=1), ' not augmented'), (dict(kept_views=2), ' augmented'), (dict(augment='turns'), ' augmented'), ({}, ' not augmented')])
def test_one_view_of_each_picture_is_no_augmentation(tmp_path, changes, said):
    recipe = dict(epochs=3, pretrained=False) | changes
    settings = dict(arm='a', seed=0, size=64, recipe=recipe)
    (tmp_path/'x.json').write_text(json.dumps(dict(runs=dict(a=dict(settings=settings)))))
    assert measured_regime('x') == f'Trained so: pictures of 64 px, 3 epochs,{said}.'


def test_over_folds_every_picture_is_held_out_once():
    trials = [trial for trial in M.EXPERIMENTS['ladder'].trials().values() if trial.arm == 'baseline']
    held_out = [path for trial in trials for path in trial.pictures().table.query("split == 'valid'").path]
    assert len(held_out) == len(set(held_out))
    assert {trial.seed for trial in trials} == {trial.fold for trial in trials}


@settings(max_examples=20, deadline=None)
@given(st.floats(.05, .95), st.integers(0, 10**6))
def test_gains_are_paired(p, seed):
    "The same answers give no gain, whatever their spread, and an interval around zero that is not certain; swapping the two swaps the sign."
    rng = np.random.default_rng(seed)
    make = lambda: Seeds((rng.random((3, 50)) < p).astype(float), rng.random((3, 50)), 1.)
    a, b = make(), make()
    same, ab, ba = (gains(dict(x=x, y=y), 'y').iloc[0] for x, y in ((a, a), (a, b), (b, a)))
    assert same.gain == same.loss_change == 0
    assert same.low == -same.high < 0  # fifty pictures on which two models agree do not show that they always do
    assert ab.gain == pytest.approx(-ba.gain)
    assert ab.low == pytest.approx(-ba.high, abs=.02)
    assert ab.low <= ab.gain <= ab.high


def test_each_setting_is_compared_with_its_own_reference(tmp_path):
    runs = write(tmp_path, 'x', dict(a=.9, b=.2, c=.5))
    assert fold_gains('x', dict(b='a').get).empty, 'seeds on one split are no folds'
    for run in runs.values(): run['settings']['fold'] = run['settings']['seed']
    (tmp_path/'x.json').write_text(json.dumps(dict(runs=runs)))
    by_arm = measured('x')
    table = fold_gains('x', dict(a='a', b='a', c='elsewhere').get)
    assert list(table.index) == ['b'], 'its own reference, or one that was not measured, makes no row'
    assert table.gain.item() == pytest.approx(by_arm['b'].right.mean() - by_arm['a'].right.mean())
    assert fold_gains('x', lambda setting: None).empty
    assert fold_gains('nothing', lambda setting: 'a').empty

def test_verdict():
    assert (verdict(.01, .02), verdict(-.02, -.01), verdict(-.01, .02)) == ('better', 'worse', 'not clear')


def test_older_measurements_say_that_they_split_at_random(tmp_path):
    def said(**facts):
        row = dict(data='solar 0', right='1' * 4, loss=[.1] * 4, seconds=1., settings=dict(arm='a', seed=0), device='CPU', versions=dict(torch='2'), date='today', **facts)
        (tmp_path/'old.json').write_text(json.dumps(dict(runs={'a, seed 0': row})))
        return measured_on(tmp_path/'old.json')
    assert '4 held-out pictures drawn at random, cells of the same modules in training, 1 seed,' in said()
    assert 'at random' not in said(groups=[0, 0, 1, 1])
