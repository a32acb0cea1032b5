"Measurements over seeds: nothing is lost by a kill, nothing stale is kept, every run is what it says, and the lessons read them."
import json, signal, subprocess, sys, time
from pathlib import Path

import numpy as np, pytest
from hypothesis import given, settings, strategies as st

from course_utils.report import stats as report
from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.models import create_model
from course_utils.report.stats import Seeds, gains, told
from course_utils.techniques.transfer import linear_head
from data_scripts.experiments import measure as M

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def smoke(monkeypatch, tmp_path):
    monkeypatch.setenv('COURSE_PROFILE', 'smoke')
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path))
    monkeypatch.delenv('COURSE_DATA', raising=False)

def quiet(*a, **k): pass

def tiny(seeds, **kw): return {f'a, seed {s}': dict(dict(arm='a', size=32, limit=100, seed=s), **kw) for s in seeds}

def kept(path): return json.loads(path.read_text())['runs']


# ---- the engine ----

def test_measure_goes_on(tmp_path):
    "A kept run is kept; a changed setting is measured again; what is no longer asked for goes."
    calls, path = [], tmp_path/'x.json'
    one = lambda arm, size, limit, seed: calls.append(seed) or dict(v=seed)
    def stops(arm, size, limit, seed):
        if seed == 1: raise KeyboardInterrupt
        return one(arm, size, limit, seed)
    with pytest.raises(KeyboardInterrupt): M.measure('x', tiny(range(3)), stops, path, quiet)
    assert calls == [0] and list(kept(path)) == ['a, seed 0']
    assert M.measure('x', tiny(range(3)), one, path, quiet) == 2 and calls == [0, 1, 2]
    assert M.measure('x', tiny(range(3)), one, path, quiet) == 0
    assert M.measure('x', tiny([1], limit=101), one, path, quiet) == 1 and list(kept(path)) == ['a, seed 1']
    assert [p.name for p in tmp_path.iterdir()] == ['x.json']


@pytest.mark.parametrize('stale', ['settings', 'data', 'versions'])
def test_what_was_measured_otherwise_is_measured_again(tmp_path, stale):
    path, one = tmp_path/'x.json', lambda **kw: dict(v=1)
    M.measure('x', tiny([0]), one, path, quiet)
    old = json.loads(path.read_text())
    old['runs']['a, seed 0'][stale] = {'other': 1}
    path.write_text(json.dumps(old))
    assert M.measure('x', tiny([0]), one, path, quiet) == 1


def test_settings_that_are_functions_are_told_apart(tmp_path):
    path, one = tmp_path/'x.json', lambda **kw: dict(v=1)
    assert M.measure('x', tiny([0], head=M.linear_head), one, path, quiet) == 1
    assert M.measure('x', tiny([0], head=M.linear_head), one, path, quiet) == 0
    assert M.measure('x', tiny([0], head=M.article_head), one, path, quiet) == 1


def test_killed_measurement_goes_on(tmp_path):
    "SIGKILL at several moments: the file holds whole runs, and the rest is measured afterwards."
    code = f'''
import sys, time; sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from data_scripts.experiments import measure as M
def one(size, limit, seed): print('go', flush=True); time.sleep(.05); return dict(v=[seed] * 20000)
M.measure('x', {{f'seed {{s}}': dict(size=32, limit=100, seed=s) for s in range(6)}}, one, Path({str(tmp_path)!r})/'x.json', lambda *a, **k: None)
'''
    for delay in (.02, .09, .17):
        p = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE)
        p.stdout.readline(); time.sleep(delay); p.send_signal(signal.SIGKILL); p.wait()
        if (tmp_path/'x.json').exists(): assert all(len(r['v']) == 20000 for r in kept(tmp_path/'x.json').values())
    subprocess.run([sys.executable, '-c', code], check=True, stdout=subprocess.PIPE)
    assert len(kept(tmp_path/'x.json')) == 6


def test_the_command_says_what_there_is_and_what_it_did(monkeypatch):
    monkeypatch.setenv('COURSE_DATA', 'solar')  # `main` sets it for what it calls; here it must not outlive the test
    go = lambda *a: subprocess.run([sys.executable, ROOT/'data_scripts'/'measure.py', *a], capture_output=True, text=True)
    r = go('nothing')
    assert r.returncode and 'there are transfer' in r.stderr and len(r.stderr.strip().splitlines()) == 1
    with pytest.raises(CourseError, match="no data set named 'no_such'"): M.main(['rates', '--data', 'no_such'])


# ---- the experiments ----

@pytest.mark.parametrize('name', ['schedules', 'rates', 'transfer'])
def test_an_experiment_measures_what_it_says(name, tmp_path):
    runs, one = M.EXPERIMENTS[name]
    runs = {k: r for k, r in runs().items() if r['seed'] == 0}
    assert M.measure(name, runs, one, tmp_path/f'{name}.json', quiet) == len(runs)
    for r in kept(tmp_path/f'{name}.json').values():
        assert len(r['right']) == len(r['loss']) > 10 and r['accuracy'] == pytest.approx(np.mean([int(v) for v in r['right']]))
        assert r['valid_loss'] == pytest.approx(np.mean(r['loss']), abs=2e-3) and r['seconds'] > 0
    by = report.measured(name)
    assert {arm.removesuffix(', ensemble') for arm in by} == {r['arm'] for r in runs.values()} and 'Measured on solar' in report.measured_on(name)


def test_snapshots_are_measured_too(tmp_path):
    runs = {k: r for k, r in M.schedules_runs().items() if k in ('SGDR ×2, seed 0', 'one-cycle, seed 0')}
    M.measure('schedules', runs, M.measure_schedule, tmp_path/'schedules.json', quiet)
    r = kept(tmp_path/'schedules.json')['SGDR ×2, seed 0']
    assert len(r['ensemble_right']) == len(r['right']) and r['snapshots_at'] == [1, 3]
    by = report.measured('schedules')
    assert set(by) == {'SGDR ×2', 'SGDR ×2, ensemble', 'one-cycle'}
    assert by['SGDR ×2, ensemble'].right[0].tolist() == [int(v) for v in r['ensemble_right']] and by['SGDR ×2, ensemble'].loss[0].tolist() == r['ensemble_loss']


def test_a_share_is_a_share_and_takes_the_same_steps(monkeypatch):
    class Enough(Exception): pass
    seen = []
    def train(pics, repeats, **settings): seen.append((len(pics.train), repeats)); raise Enough
    monkeypatch.setattr(M, 'train', train)
    for share in (.25, 1.):
        with pytest.raises(Enough): M.measure_transfer('scratch', share, 32, 160, arch='regnetx_002', seed=0)
    (quarter, four), (whole, once) = seen
    assert quarter == pytest.approx(whole / 4, abs=2) and (four, once) == (4, 1)


def test_a_head_on_a_share_sees_the_features_of_that_share(monkeypatch):
    "The rows kept are the pictures of the share: a head that only looks at their number would be given away."
    seen = []
    monkeypatch.setattr(M, 'fit_head', lambda head, x, y, **kw: seen.append((x, y)) or head)
    M.measure_head('tf_efficientnet_lite0', linear_head, .25, 32, 160, 0, 32)
    from course_utils.techniques.transfer import frozen_features
    pics = load_pictures(size=32, limit=160)
    part = pics.subset(round(.25 * len(pics.train)), seed=0)
    x, y = frozen_features(create_model('tf_efficientnet_lite0'), part, part.train)
    assert np.allclose(seen[0][0], x, atol=1e-4) and (seen[0][1] == y).all()


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
    by = report.measured('x')
    assert by['a'].right.shape == by['b'].loss.shape == (2, 40) and by['a'].seconds == 2.
    assert by['a'].right[1].tolist() == [int(v) for v in runs['a, seed 2']['right']]
    assert report.measured('nothing') == {} and 'Not measured yet' in report.measured_on('nothing')


@settings(max_examples=20, deadline=None)
@given(st.floats(.05, .95), st.integers(0, 10**6))
def test_gains_are_paired(p, seed):
    "The same answers give no gain at all, whatever their spread; swapping the two swaps the sign."
    rng = np.random.default_rng(seed)
    make = lambda: Seeds((rng.random((3, 50)) < p).astype(float), rng.random((3, 50)), 1.)
    a, b = make(), make()
    same, ab, ba = (gains(dict(x=x, y=y), 'y').iloc[0] for x, y in ((a, a), (a, b), (b, a)))
    assert (same.gain, same.low, same.high, same.loss_change) == (0, 0, 0, 0)
    assert ab.gain == pytest.approx(-ba.gain) and ab.low == pytest.approx(-ba.high, abs=.02) and ab.low <= ab.gain <= ab.high


def test_told():
    assert (told(.01, .02), told(-.02, -.01), told(-.01, .02)) == ('better', 'worse', 'not told apart')
