"The GPU's report: without a GPU it says so and writes nothing; its parts are tried on a processor."
import json, subprocess, sys
from pathlib import Path

import pytest, torch

from course_utils.config import CourseError
from data_scripts.experiments import gpu_report as G

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')


@pytest.fixture
def results(monkeypatch, tmp_path):
    monkeypatch.setenv('COURSE_PROFILE', 'smoke')
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path/'results'))
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path/'cache'))
    return tmp_path/'results'


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU here')
def test_without_a_gpu(results):
    r = subprocess.run([sys.executable, '-m', 'course_utils', 'gpu-report'], cwd=ROOT, capture_output=True, text=True)
    assert r.returncode == 0
    assert 'no GPU' in r.stdout
    assert 'nothing was written' in r.stdout
    assert not r.stderr
    assert not results.exists()


def test_speed(results):
    "A row a way, each beside the one above it; compiling is judged by what it gives back."
    rows = G.speed('resnet10t', 'cpu', turns=1, backend='eager')
    assert [r['setting'] for r in rows] == list(G.CHANGES)
    assert all(r['pictures/s'] > 0 for r in rows)
    assert rows[0]['note'] == ''
    assert all('times as fast as the line above' in r['note'] for r in rows[1:])
    assert 's to compile: it ' in rows[-1]['note']


def test_a_way_is_what_it_says():
    "bfloat16 in the forward pass only, the layout of weights and pictures, and one step a step."
    seen = []
    class Net(torch.nn.Conv2d):
        def forward(self, x):
            logits = super().forward(x)
            seen_weights.append(self.weight.detach().clone())
            seen.append((logits.dtype, x.is_contiguous(memory_format=torch.channels_last), self.weight.is_contiguous(memory_format=torch.channels_last)))
            return logits.mean((2, 3))
    net, x, y = Net(3, 4, 3), torch.randn(2, 3, 8, 8), torch.tensor([0, 1])
    weights, seen_weights = net.weight.detach().clone(), []
    for way in (dict(bf16=False, channels_last=False), dict(bf16=True, channels_last=False), dict(bf16=True, channels_last=True)):
        assert G.stepper(net, x, y, compiled=False, **way)(2) > 0
    assert seen == [(torch.float32, False, False)] * 2 + [(torch.bfloat16, False, False)] * 2 + [(torch.bfloat16, True, True)] * 2
    assert torch.equal(net.weight, weights), 'each way trains a network of its own'
    assert all(torch.equal(a, weights) and not torch.equal(b, weights) and b.dtype == torch.float32 for a, b in zip(seen_weights[::2], seen_weights[1::2]))


def test_without_a_compiler(results):
    "The other ways are measured all the same."
    def broken(*_, **__): raise RuntimeError('No compiler here.')
    rows = G.speed('resnet10t', 'cpu', turns=1, backend=broken)
    assert [r['setting'] for r in rows] == list(G.CHANGES)[:-1]
    assert '+ torch.compile does not run here' in rows[-1]['note']


def test_when_compiling_pays():
    assert G.payback(10., .002, .001) == 'it pays after 10,000 pictures'
    assert G.payback(10., .001, .001) == G.payback(10., .001, .002) == 'it does not pay'


def test_top(results):
    rows = G.top()
    assert rows
    assert all(r['what'] == 'top of the ladder' and 0 < r['accuracy'] < 1 and '2 folds' in r['note'] for r in rows)
    assert len(json.loads((results/'top.json').read_text())['runs']) == 2 * len(rows)


def test_a_case_without_its_pictures(results, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv('COURSE_DATA_DIR', str(tmp_path/'none'))
    kept = G.measure_all({'case dog_breeds': lambda: G.case('dog_breeds')}, results/'gpu_report.json')
    assert not kept
    assert 'case dog_breeds: not measured. The pictures of dog_breeds have not been fetched' in capsys.readouterr().out


def test_a_case(results, monkeypatch):
    "Its table becomes two rows; a trial at another profile than gpu is not kept among the results."
    row = lambda a: dict(what='a network', accuracy=a, low=a - .1, high=a + .1, minutes=.5, seeds=2)
    def run(path, profile, fresh, scratch):
        assert path.exists()
        assert profile == 'smoke'
        assert fresh
        (scratch/'results').mkdir(parents=True)
        (scratch/'results'/'case_cats_dogs.json').write_text(json.dumps(dict(runs=dict(smoke=dict(table=dict(reproduction=row(.6), course=row(.9)))))))
        return None, 100.
    monkeypatch.setattr(G, 'run_notebook', run)
    a, b = G.case('cats_dogs')
    assert (a['setting'], b['setting']) == ('reproduction', 'course')
    assert b['accuracy'] == .9
    assert b['seconds'] == 30.
    assert 'a network; 80.0% to 100.0%, 2 seeds' in b['note']
    assert '100 s' in b['note']
    assert not results.exists()


def test_parts_are_kept_one_by_one(results, capsys):
    "A part that fails leaves the others, and those of an earlier run."
    path = results/'gpu_report.json'
    def broken(): raise CourseError('No room.')
    G.measure_all({'a': lambda: [dict(what='a', accuracy=.5)], 'b': broken}, path)
    kept = G.measure_all({'a': broken, 'b': lambda: [{'what': 'b', 'pictures/s': 3.}]}, path)
    assert list(kept) == ['a', 'b'] == list(json.loads(path.read_text()))
    assert all(k['device'] and k['versions'] and k['date'] for k in kept.values())
    t = G.report_table(kept)
    assert list(t.columns) == G.COLUMNS
    assert t.device.notna().all()
    assert t.accuracy.tolist()[0] == .5
    assert t['pictures/s'].tolist()[1] == 3.
    assert capsys.readouterr().out.count('not measured. No room.') == 2


@gpu
def test_memory_is_seen():
    with G.watch_memory(.01) as peak:
        x = torch.zeros(2**30, dtype=torch.uint8, device='cuda')
        torch.cuda.synchronize()
        import time
        time.sleep(.1)
        del x
    assert peak.gigabytes >= .9
