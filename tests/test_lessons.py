"""Every lesson runs top to bottom at profile smoke, in a fresh kernel."""
import json, os, signal, subprocess, sys, time
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from course_utils.config import CourseError
from course_utils.data.sources import photo
from data_scripts.lessons.notebooks import WIDGET, clean, list_notebooks
from data_scripts.lessons.run import LessonFailed, run_notebook
from data_scripts.lessons.timetable import over_budget, save_run

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow
CODE, TEXT = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell


@pytest.mark.parametrize('path', list_notebooks(), ids=lambda p: p.stem)
def test_lesson(path, tmp_path):
    "Its seconds are told and not judged: a machine may be three times as slow on another day. `make lessons` judges them."
    _, seconds = run_notebook(path, 'smoke', fresh=True, scratch=tmp_path/'run')
    print(f'{path.stem}: {seconds:.1f} s')


@pytest.fixture(scope='session')
def colour_photographs(tmp_path_factory):
    "A folder as a learner may have one: three classes of unequal size, several formats and sizes, a file that is no picture."
    folder, rng = tmp_path_factory.mktemp('data')/'my photographs', np.random.default_rng(0)
    for name, n in (('cat', 60), ('coffee', 40), ('rocket', 30)):
        (folder/name).mkdir(parents=True)
        picture = photo({'cat': 'chelsea'}.get(name, name), 300)
        for i in range(n):
            (y, x), side = rng.integers(0, 100, 2), rng.integers(120, 200)
            Image.fromarray(picture[y:y + side, x:x + side]).save(folder/name/f'{name} {i}.{("jpg", "png", "webp")[i % 3]}')
    (folder/'cat'/'notes.jpg').write_text('not a picture')
    return folder


@pytest.mark.parametrize('path', list_notebooks(), ids=lambda p: p.stem)
def test_lesson_on_a_folder_of_colour_photographs(path, tmp_path, colour_photographs, monkeypatch):
    "What it decoded is kept in a cache of its own, with the file that is no picture: so it did read this folder."
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path/'cache'))
    notebook, _ = run_notebook(path, 'smoke', data=str(colour_photographs), scratch=tmp_path/'run')
    assert str(colour_photographs/'cat'/'notes.jpg') in unreadable_files(tmp_path/'cache')
    if path.stem == '00_overfitting': assert 'my photographs' in json.dumps(notebook)


def unreadable_files(cache) -> set:
    "Files that were set aside when pictures were decoded."
    kept = [json.loads(path.read_text()) for path in (cache/'pictures').glob('*/info.json')]
    return {name for info in kept for name in info['found']['unreadable']}


def test_a_lesson_that_reads_other_pictures_is_seen(tmp_path, colour_photographs, monkeypatch):
    "The check above can fail: here the folder is asked for and not used."
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path/'cache'))
    path = course(tmp_path, CODE("from course_utils.data.pictures import load_pictures\nload_pictures('solar', size=32, limit=60)"))
    run_notebook(path, 'smoke', data=str(colour_photographs), scratch=tmp_path/'run')
    assert list((tmp_path/'cache'/'pictures').iterdir())
    assert not unreadable_files(tmp_path/'cache')


def test_the_course_home_says_ready(tmp_path):
    nb, _ = run_notebook(ROOT/'nbs'/'index.ipynb', scratch=tmp_path/'run')
    assert next(c for c in nb.cells if c.cell_type == 'code' and c.id != 'door').outputs[0].text.startswith('Ready.')


def course(folder, *cells, name='00_probe'):
    "A course of one lesson."
    (folder/'nbs').mkdir(parents=True, exist_ok=True)
    path = folder/'nbs'/f'{name}.ipynb'
    nbformat.write(nbformat.v4.new_notebook(cells=[TEXT('# Probe\n\n> A lesson to test with.'), *cells]), path)
    return path


def test_a_lesson_finds_its_modules_settings_and_places(tmp_path):
    path = course(tmp_path, CODE("""
        import os, course_utils.config as c
        assert c.profile().name == os.environ['COURSE_PROFILE'] == 'smoke'
        assert (c.root()/'settings.ini').exists() and c.results_dir() != c.root()/'results'
        assert os.environ['COURSE_DATA'] == 'mine' and 'COURSE_FRESH' not in os.environ
        (c.results_dir()/'lesson_00.json').write_text('{}')"""))
    nb, seconds = run_notebook(path, 'smoke', data='mine', scratch=tmp_path/'run')
    assert 0 < seconds < 60
    assert (tmp_path/'run'/'results'/'lesson_00.json').exists()
    assert not list((tmp_path/'results').iterdir()), 'a run without save leaves the kept results alone'


@pytest.mark.parametrize('fresh', [False, True])
def test_a_fresh_run_finds_nothing_that_was_kept(fresh, tmp_path, monkeypatch):
    "Maps of frozen stages found from an earlier run would make its seconds too few."
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path/'cache'))
    (tmp_path/'cache'/'maps').mkdir(parents=True)
    (tmp_path/'cache'/'maps'/'kept.npy').touch()
    path = course(tmp_path, CODE("""
        from course_utils.config import cache_dir
        found = list(cache_dir().rglob('*.npy'))
        (cache_dir()/'new').mkdir(parents=True)
        len(found)"""))
    notebook, _ = run_notebook(path, fresh=fresh, scratch=tmp_path/'run')
    assert notebook.cells[-1].outputs[0].data['text/plain'] == ('0' if fresh else '1')
    assert (tmp_path/'cache'/'new').exists() == (not fresh)
    assert not (tmp_path/'run'/'cache').exists(), 'what a fresh run has kept goes with it'


@pytest.mark.fault
def test_a_failing_cell_is_named(tmp_path):
    path = course(tmp_path, CODE('a = 1'), CODE('b = 2\nc = 3\nd = 4\nraise ValueError("far\\ntoo far")'))
    with pytest.raises(LessonFailed) as e: run_notebook(path, scratch=tmp_path/'run')
    assert str(e.value) == '00_probe failed in cell 3, which begins\n    b = 2\n    c = 3\n    d = 4\n    …\nwith ValueError: far'


@pytest.mark.fault
def test_a_dead_kernel_is_named(tmp_path):
    path = course(tmp_path, CODE('import os; os._exit(1)'))
    with pytest.raises(LessonFailed, match='the kernel died'): run_notebook(path, scratch=tmp_path/'run')


@pytest.mark.parametrize('profile, seconds, late', [('smoke', 59, False), ('smoke', 61, True), ('cpu', 359, False), ('cpu', 361, True), ('gpu', 9999, False)])
def test_budget(profile, seconds, late): assert bool(over_budget(seconds, profile)) == late


def test_only(tmp_path):
    for n in ('00_a', '01_b', '03_c'): course(tmp_path, name=n)
    names = lambda only: [p.stem for p in list_notebooks(only, tmp_path)]
    assert names('') == ['00_a', '01_b', '03_c']
    assert names('03') == ['03_c']
    assert names('00, 03_c') == ['00_a', '03_c']
    with pytest.raises(CourseError, match='ONLY=07 fits no lesson; there are 00_a, 01_b, 03_c'): names('07')


def test_save_keeps_outputs_results_and_seconds(tmp_path):
    path = course(tmp_path, CODE("""
        import os, sys, ipywidgets, warnings
        from pathlib import Path
        from course_utils.config import results_dir
        (results_dir()/'lesson_00.json').write_text('{"headline": "+1"}')
        print(os.getcwd()); print(object()); warnings.warn('never mind')
        display(ipywidgets.IntSlider())"""), CODE("""
        class Both:
            def _repr_mimebundle_(self, **kw):
                import ipywidgets
                return {**ipywidgets.IntSlider()._repr_mimebundle_(), 'text/html': '<b>static</b>'}
        Both()"""))
    ids = [c.id for c in nbformat.read(path, 4).cells]
    nb, seconds = run_notebook(path, scratch=tmp_path/'run')
    save_run(path, nb, seconds, 'cpu', tmp_path/'run')
    kept = nbformat.read(path, 4)
    nbformat.validate(kept)
    assert [c.id for c in kept.cells] == ids
    text = path.read_text()
    assert not [bad for bad in (WIDGET, 'widget-state', 'stderr', 'iopub', str(tmp_path), ' at 0x') if bad in text]
    printed, two_outputs = kept.cells[1].outputs, kept.cells[2].outputs
    assert [o.get('text') for o in printed] == ['.\n<object object>\n'], 'neither the warning nor the bare widget is kept'
    assert two_outputs[0].data['text/html'] == '<b>static</b>'
    assert clean(kept) == kept, 'cleaning twice changes nothing'
    assert json.loads((tmp_path/'results'/'lesson_00.json').read_text()) == {'headline': '+1'}
    row = json.loads((tmp_path/'results'/'lessons.json').read_text())['00_probe']['cpu']
    assert row['seconds'] > 0
    assert {'device', 'cores', 'torch_threads', 'date', 'versions'} <= row.keys()
    assert not list(tmp_path.rglob('*.part'))


def test_nbdev_would_change_nothing_in_a_saved_notebook(tmp_path):
    path = course(tmp_path, CODE('import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()\nprint(1)\n2'))
    nb, seconds = run_notebook(path, scratch=tmp_path/'run')
    save_run(path, nb, seconds, 'cpu', tmp_path/'run')
    before = path.read_text()
    from execnb.nbio import read_nb, write_nb
    from nbdev.clean import clean_nb
    nb = read_nb(path)
    clean_nb(nb)
    write_nb(nb, path)
    assert path.read_text() == before


def command(*args, **env):
    return subprocess.run([sys.executable, '-m', 'course_utils', 'lessons', *args], cwd=ROOT, capture_output=True, text=True, env={**os.environ, **env})


@pytest.mark.parametrize('args, sentence', [
    (['--profile', 'tpu'], "COURSE_PROFILE is 'tpu'"), (['--only', '99'], 'ONLY=99 fits no lesson'),
    (['--save', '--profile', 'smoke'], 'SAVE=1 keeps what learners will read'), (['--save', '--profile', 'cpu', '--data', 'x'], 'leave DATA out'),
    (['--measured', '--profile', 'smoke'], 'MEASURED=1 writes what learners will read')])
@pytest.mark.fault
def test_wrong_use_gets_one_sentence(args, sentence):
    r = command(*args)
    assert r.returncode == 1
    assert sentence in r.stderr
    assert len(r.stderr.strip().splitlines()) == 1


@pytest.mark.fault
def test_ctrl_c_leaves_the_notebook_as_it_was(tmp_path):
    path = course(tmp_path, CODE("from pathlib import Path; Path('started').touch()\nimport time; time.sleep(60)"))
    before = path.read_bytes()
    code = f"""
import sys
from pathlib import Path
from data_scripts.lessons.run import run_notebook
try: run_notebook(Path({str(path)!r}), scratch=Path({str(tmp_path/'run')!r}))
except KeyboardInterrupt: sys.exit('stopped')"""
    p = subprocess.Popen([sys.executable, '-c', code], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    for _ in range(300):
        if (tmp_path/'run'/'nbs'/'started').exists(): break
        time.sleep(.1)
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=30)
    assert p.returncode == 1
    assert 'stopped' in err
    assert path.read_bytes() == before
