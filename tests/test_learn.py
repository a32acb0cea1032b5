"""Checks never hang or raise, and no saved answer is lost."""
import json, os, queue, random, signal, subprocess, sys, threading, time
from pathlib import Path

import numpy as np, psutil, pytest
from jupyter_client import BlockingKernelClient

import course_utils.classroom.answers as A, course_utils.classroom.checker as L
from course_utils.config import CourseError
from course_utils.classroom.answers import answers_record
from course_utils.classroom.checker import Verdict, check, hint, judge, progress, solution
from course_utils.classroom.compare import as_numbers
from course_utils.classroom.exercise import Exercise
from .browser.lab import Lab

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_HOME', str(tmp_path/'home'))
    return tmp_path/'home'


def an_exercise(check, function=True, **kwargs):
    return Exercise('99-1', 'Double', 'Write it.', 'def f(x):\n    ...' if function else 'f = None', 'f', ('a', 'b', 'c'), '', {}, check, **{'limit_s': .5, **kwargs})


def doubles(f, rng):
    x = rng.random(4)
    got = as_numbers(f(x), 4, 'The result')
    if not np.allclose(got, 2 * x): return f'You give {got.round(2).tolist()}.'


def forever(x):
    while True: pass

def sleeps(x): time.sleep(60)

def stubborn(x):
    while True:
        try: time.sleep(.001)
        except: pass  # noqa: E722

def raises(x): return {}['lr']
def leaves(x): sys.exit(3)
def recurses(x): return recurses(x)
def shapes(x): return x[:2]
def words(x): return ['a'] * 4
def changes(x):
    x *= 2
    return x
def prints(x):
    for _ in range(20_000): print('x' * 100)
    return 2 * x
def nothing(x): 2 * x
def takes_none(): return 1
def fine(x): return 2 * x


@pytest.mark.parametrize('f, says', [
    (forever, 'stopped after 0.5 seconds'), (sleeps, 'stopped after 0.5 seconds'), (stubborn, 'stopped after 0.5 seconds'),
    (raises, "stops with KeyError: 'lr', in the line `def raises(x): return {}['lr']`"), (leaves, 'stops with SystemExit: 3'), (recurses, 'RecursionError'),
    (shapes, 'has the shape (2,), and should have (4,)'), (words, "is ['a'"), (changes, 'changes what it is given'),
    (nothing, 'gives None. What it has worked out must be returned'), (takes_none, 'takes 0 positional arguments but 1 was given'),
    (3, 'should be a function'), (None, 'nothing in `f` yet')], ids=lambda v: getattr(v, '__name__', None))
@pytest.mark.fault
def test_whatever_a_function_does_there_is_one_sentence(f, says):
    if says.startswith('is ['): says = 'should be numbers'
    start = time.monotonic()
    v = judge(an_exercise(doubles), f)
    assert not v.right, v.sentence
    assert says in v.sentence, v.sentence
    assert '\n' not in v.sentence, v.sentence
    assert time.monotonic() - start < 5


def test_what_is_printed_is_counted_and_not_kept(capsys):
    v = judge(an_exercise(doubles, limit_s=5), prints)
    assert v.right
    assert '6,060,000 characters' in v.note
    assert not capsys.readouterr().out


def test_right_is_right(): assert judge(an_exercise(doubles), fine).right


@pytest.mark.fault
def test_a_value_of_any_kind_gets_a_sentence():
    ex = an_exercise(lambda v, rng: None if v.start == 1 else 'no', function=False)
    assert judge(ex, slice(1, 2)).right
    assert 'is not of the kind that is asked for' in judge(ex, 7).sentence


def test_random_numbers_go_on_as_if_nothing_had_been_checked():
    import torch
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    want = random.random(), np.random.rand(), float(torch.rand(()))
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    judge(an_exercise(lambda f, rng: (random.random(), np.random.rand(), torch.rand(()), None)[-1]), fine)
    assert (random.random(), np.random.rand(), float(torch.rand(()))) == want


def test_the_limit_works_in_another_thread_too():
    "There the system has no timer for us."
    out = []
    def inside():
        for f in (forever, fine, forever): out.append(judge(an_exercise(doubles), f))
    t = threading.Thread(target=inside, daemon=True)
    t.start()
    t.join(20)
    assert not t.is_alive()
    assert ['stopped' in v.sentence for v in out] == [True, False, True]
    assert out[1].right


def test_the_limit_leaves_no_timer_behind():
    old = signal.getsignal(signal.SIGALRM)
    for f in (forever, fine): judge(an_exercise(doubles), f)
    assert signal.getsignal(signal.SIGALRM) is old
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    end = time.monotonic() + .7
    while time.monotonic() < end: pass  # a timer left behind would ring here


def test_three_rounds_of_fresh_inputs():
    seen = []
    judge(an_exercise(lambda f, rng: seen.append(rng.random())), fine)
    assert len(set(seen)) == 3


# ---- the learner's commands ----

RIGHT = 'def head_size(features, classes):\n    return features * classes + classes'


def head_size(features, classes): return features * classes
def the_right_one(features, classes): return features * classes + classes


def test_a_path_through_an_exercise(capsys, home):
    said = lambda: capsys.readouterr().out
    check('02-1', head_size)
    assert '✗ 02-1: not yet.' in (out := said())
    assert "hint('02-1')" in out
    assert 'bias' in out
    for k in (1, 2, 3, 3):
        hint('02-1')
        assert f'Hint {k} of 3.' in (out := said())
        assert ("solution('02-1')" in out) == (k == 3)
    progress()
    assert '02-1 … not yet, 1 try' in said()
    check('02-1', the_right_one)
    assert '✓ 02-1: right.' in said()
    progress()
    out = said()
    assert '1 of ' in out
    assert '02-1 ✓ done, 2 tries' in out
    assert '02-2 ○ open' in out
    row = json.loads((home/'answers.json').read_text())['exercises']['02-1']
    assert 'return features * classes + classes' in row['answer']
    assert row['tries'] == 2
    assert row['hints'] == 3
    check('02-1', head_size)
    assert '✗' in said()
    progress()
    assert '02-1 ✓ done, 2 tries' in said(), 'done stays done'


def test_looking_at_the_solution_first_is_told(capsys):
    solution('02-1')
    check('02-1', the_right_one)
    progress()
    out = capsys.readouterr().out
    assert 'return features * classes + classes' in out
    assert '02-1 ✓ done after the solution' in out


def test_an_exercise_that_is_not_there():
    with pytest.raises(CourseError, match="There is no exercise '02-9': there are 02-1, 02-2"): check('02-9', 1)


def test_the_table_is_for_everybody(capsys, monkeypatch):
    said = []
    monkeypatch.setattr(L, 'display', said.append)
    check('02-1', head_size)
    progress()
    html = said[1]._repr_html_()
    assert '<caption' in html
    assert '<th scope="row"' in html
    assert 'aria-label=' in html
    assert '…' in html
    assert 'role="status"' in said[0]._repr_html_()
    assert '<code>' in Verdict('1', False, 'use `a < b`')._repr_html_()
    assert 'a &lt; b' in Verdict('1', False, 'use `a < b`')._repr_html_()


# ---- the record ----

@pytest.mark.fault
def test_a_disk_that_refuses_takes_nothing_but_the_keeping(capsys, tmp_path, monkeypatch):
    (tmp_path/'file').write_text('')
    monkeypatch.setenv('COURSE_HOME', str(tmp_path/'file'/'home'))
    check('02-1', the_right_one)
    out = capsys.readouterr().out
    assert '✓ 02-1: right.' in out
    assert 'could not be kept' in out


@pytest.mark.parametrize('text', ['', '{"exercises": {"02-1": ', '[1]', 'null', '{"exercises": 3}', '{"exercises": {"02-1": null}}'])
@pytest.mark.fault
def test_a_damaged_record_is_kept_aside(text, home, capsys):
    home.mkdir()
    (home/'answers.json').write_text(text)
    check('02-1', the_right_one)
    assert 'could not be read' in capsys.readouterr().out
    assert [p.read_text() for p in home.glob('answers-damaged-*.json')] == [text]
    assert json.loads((home/'answers.json').read_text())['exercises']['02-1']['done']


SAVER = """
import sys
from course_utils.classroom.answers import answers_record
for i in range(int(sys.argv[2])):
    with answers_record() as record: record['exercises'][f'{sys.argv[1]}-{i}'] = dict(answer='x' * 5000)
    print(i, flush=True)
"""
# What the record would be without its care: written in place. The test below must find it out.
NAIVE = """
import contextlib, json, time, course_utils.classroom.answers as l
from course_utils.config import home_dir
@contextlib.contextmanager
def answers_record():
    path = home_dir()/'answers.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    record = json.loads(path.read_text()) if path.exists() else {'exercises': {}}
    yield record
    text = json.dumps(record)
    with path.open('w') as f:
        f.write(text[:len(text) // 2]); f.flush(); time.sleep(.002); f.write(text[len(text) // 2:])
l.answers_record = answers_record
"""


def saver(home, name, n, before=''):
    return subprocess.Popen([sys.executable, '-c', before + SAVER, name, str(n)], stdout=subprocess.PIPE, text=True, cwd=ROOT,
                            env=dict(os.environ, COURSE_HOME=str(home), PYTHONPATH=os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])))


def losses_after_kills(home, kills, before=''):
    "Kills a saving process `kills` times, at moments of no choosing; returns what was lost."
    lost = []
    for k in range(kills):
        p = saver(home, f'run{k}', 100_000, before)
        first = p.stdout.readline()
        time.sleep(random.random() * .05)
        p.kill()
        told = [first, *p.stdout.read().splitlines()]  # told = saved, so it must be there
        p.wait()
        last = max(int(t) for t in told if t.strip())
        try: there = json.loads((home/'answers.json').read_text())['exercises']
        except ValueError:
            lost.append(f'after kill {k} the file is no JSON')
            (home/'answers.json').unlink()
            continue
        lost += [f'run{k}-{i}' for i in range(last + 1) if f'run{k}-{i}' not in there]
        lost += [f'run{j}-0' for j in range(k) if f'run{j}-0' not in there and not lost]
    return lost


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='kills as Unix does')
@pytest.mark.fault
def test_sigkill_during_writes_loses_nothing(home): assert not losses_after_kills(home, 12)


IN_A_NOTEBOOK = """
import os
from course_utils.classroom.answers import answers_record
print(os.getpid())
for i in range(100_000):
    with answers_record() as record: record['exercises'][f'{os.getpid()}-{i}'] = dict(answer='x' * 5000)
    print(i)
"""

@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='kills as Unix does')
@pytest.mark.parametrize('killed', ['kernel', 'server'])
@pytest.mark.fault
def test_sigkill_of_jupyter_loses_nothing(home, tmp_path, killed):
    "The kernel of a notebook, or the server above it, in the middle of saving. What was told as saved is there."
    with Lab(tmp_path/'lab', COURSE_HOME=str(home)) as lab:
        id, told = lab.api('kernels', 'POST')['id'], []
        client = BlockingKernelClient(connection_file=str(next((lab.home/'runtime').glob(f'kernel-{id}.json'))))
        client.load_connection_file()
        # Without heartbeats: with them a kernel that is silent for a second counts as dead.
        client.start_channels(hb=False)
        client.wait_for_ready(60)
        client.execute(IN_A_NOTEBOOK)
        def listen(timeout):
            content = client.get_iopub_msg(timeout=timeout)['content']
            assert 'ename' not in content, content
            told.extend(content.get('text', '').split())
        while len(told) < 20: listen(30)
        pid = int(told[0])
        if killed == 'kernel': os.kill(pid, signal.SIGKILL)
        else:
            lab.server.kill()
            for _ in range(100):  # its kernel finds out, and goes
                if not psutil.pid_exists(pid): break
                time.sleep(.1)
        try:
            while True: listen(.5)
        except queue.Empty: pass
        client.stop_channels()
    there = json.loads((home/'answers.json').read_text())['exercises']
    assert all(f'{pid}-{i}' in there for i in told[1:])


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='kills as Unix does')
def test_the_kill_test_finds_a_careless_record(home): assert losses_after_kills(home, 12, NAIVE)


@pytest.mark.fault
def test_two_notebooks_at_once_lose_nothing(home):
    those = [saver(home, name, 40) for name in 'abc']
    for p in those:
        p.communicate(timeout=60)
        assert p.returncode == 0
    assert len(json.loads((home/'answers.json').read_text())['exercises']) == 120


@pytest.mark.fault
def test_a_lock_that_is_held_is_told(home, monkeypatch):
    monkeypatch.setattr(A, 'FileLock', lambda path, timeout: __import__('filelock').FileLock(path, timeout=.1))
    home.mkdir()
    with A.FileLock(home/'answers.lock', timeout=1), pytest.raises(CourseError, match='Another notebook has held'):
        with answers_record(): pass
