"""The commands answer, and wrong use gets one clear sentence and a non-zero status."""
import os, re, signal, socket, subprocess, sys, time, urllib.request
from pathlib import Path

import pytest

from course_utils.__main__ import COMMANDS
from course_utils.machine.entry import SETUP
from data_scripts import lab
from data_scripts.site import build

ROOT = Path(__file__).parent.parent
ENTRY = [sys.executable, '-m', 'course_utils']


def command(*arguments):
    return subprocess.run([*ENTRY, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=60)


def one_sentence(r, *parts):
    assert r.returncode != 0, r.stderr
    assert len(r.stderr.strip().splitlines()) == 1, r.stderr
    assert all(p in r.stderr for p in parts), r.stderr


def test_make_prints_its_commands():
    r = subprocess.run(['make'], cwd=ROOT, capture_output=True, text=True)
    documented = set(re.findall(r'make ([a-z-]+)  +\w', r.stdout))
    phony = set(re.search(r'\.PHONY: (.+)', (ROOT/'Makefile').read_text())[1].split())
    assert r.returncode == 0
    assert documented == phony
    assert {'lab', 'test', 'lessons', 'site', 'serve'} <= documented


@pytest.mark.slow
@pytest.mark.parametrize('name', COMMANDS)
def test_every_command_says_help(name):
    "Each is there, and its first line names it."
    r = command(name, '--help')
    assert r.returncode == 0, r.stderr
    assert r.stdout.startswith('usage: ')
    assert f' {name} ' in r.stdout.splitlines()[0]


def test_without_a_command_all_are_listed():
    assert [line.split()[0] for line in command().stdout.splitlines()[1:]] == list(COMMANDS)


@pytest.mark.fault
def test_no_such_command(): one_sentence(command('labs'), "There is no command 'labs': there are lab, doctor")


def test_make_calls_the_entry():
    "The Makefile passes arguments on and does nothing else: every command it calls is in the table."
    called = set(re.findall(r'\$\(COURSE\) (\S+)', (ROOT/'Makefile').read_text()))
    assert {'lab', 'doctor', 'lessons', 'site', 'tidy'} <= called <= {*COMMANDS, *SETUP}


@pytest.mark.parametrize('args', [['lab', '--no-browser'], ['serve']], ids=['lab', 'serve'])
@pytest.mark.fault
def test_a_port_in_use(args):
    with socket.create_server(('127.0.0.1', 0)) as s:
        port = s.getsockname()[1]
        one_sentence(command(*args, '--port', port), f'Port {port} cannot be used', 'PORT=')


@pytest.mark.fault
def test_no_site_yet(tmp_path, monkeypatch):
    monkeypatch.setattr(build, 'DOCS', tmp_path/'_docs')
    with socket.create_server(('127.0.0.1', 0)) as s: port = s.getsockname()[1]
    with pytest.raises(SystemExit, match='There is no site in _docs/ yet'): build.main(['serve', '--port', str(port)])


@pytest.mark.parametrize('port', ['0', '70000', 'lab', '-1'])
@pytest.mark.fault
def test_no_port(port): one_sentence(command('lab', f'--port={port}'), f'PORT={port} is no port')


def test_own_pictures_are_named_from_where_the_learner_stands(tmp_path, monkeypatch):
    "`COURSE_DATA=folder make lab`: kernels start in another folder. The name of a fetched data set stays a name."
    (tmp_path/'my pictures').mkdir()
    monkeypatch.chdir(tmp_path)
    for given, want in {'my pictures': str(tmp_path/'my pictures'), 'cats_dogs': 'cats_dogs'}.items():
        monkeypatch.setenv('COURSE_DATA', given)
        assert lab.lab_environment()['COURSE_DATA'] == want


@pytest.mark.slow
@pytest.mark.fault
def test_lab_answers_with_the_course_home(tmp_path):
    with socket.create_server(('127.0.0.1', 0)) as s: port = s.getsockname()[1]
    folders = {f'JUPYTER_{n}_DIR': str(tmp_path/n) for n in ('CONFIG', 'DATA', 'RUNTIME')}
    start = time.monotonic()
    p = subprocess.Popen([*ENTRY, 'lab', '--no-browser', f'--port={port}'], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         env={**os.environ, **folders, 'JUPYTER_TOKEN': 'secret'})
    try:
        get = lambda path: urllib.request.urlopen(f'http://127.0.0.1:{port}{path}', timeout=10)
        for _ in range(300):
            try:
                get('/api/status?token=secret')
                break
            except OSError:
                time.sleep(.1)
                assert p.poll() is None, p.communicate()[0]
        print(f'JupyterLab answered after {time.monotonic() - start:.1f} s')
        home = get('/?token=secret')
        assert '/lab/workspaces/course/tree/nbs/index.ipynb' in home.url
        assert home.status == 200
        assert b'"nbs/index.ipynb"' in get('/api/contents/nbs/index.ipynb?token=secret').read()
        assert b'apputils-extension:announcements' in get('/lab?token=secret').read(), 'the news are not switched off'
        with pytest.raises(urllib.error.HTTPError, match='403'): get('/api/contents')  # no token, no files
        with pytest.raises(OSError): socket.create_connection(('127.0.0.2', port), timeout=2)  # and nobody else is listened to
    finally:
        p.send_signal(signal.SIGTERM)
        printed, _ = p.communicate(timeout=30)
    assert printed.strip().endswith('JupyterLab has stopped.')
    assert p.returncode == 0
