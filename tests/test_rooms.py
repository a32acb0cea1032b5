"""The rooms: no import goes upwards, a picture passes each once and in order, and the package stands without scripts and tests."""
import ast, os, subprocess, sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# A room imports only from rooms of a lower floor, and within itself.
FLOORS = [
    ['config'], ['show'], ['data'], ['models'], ['training'], ['techniques'], ['report'], ['explorers'],
    ['advice', 'classroom', 'machine', 'publish'], ['data_scripts'],
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


# ---- imports ----

def room_of(module: str) -> str | None:
    "The room of a module by its dotted name: `course_utils.data.loader` lies in `data`. None for the package itself, and for libraries."
    parts = module.split('.')
    if parts[0] == 'data_scripts': return 'data_scripts'
    if parts[0] == 'tests': return 'tests'
    if parts[0] != 'course_utils' or len(parts) == 1: return None
    return 'classroom' if parts[1] == 'exercises' else parts[1]  # which the classroom collects and shows


def imported_modules(tree, package: str) -> list:  # of (line, dotted name)
    "Every import of a file, also those inside functions; relative ones are made absolute."
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import): found += [(node.lineno, alias.name) for alias in node.names]
        if not isinstance(node, ast.ImportFrom): continue
        base = node.module or ''
        if node.level:
            folders = package.split('.')[:len(package.split('.')) - node.level + 1]
            base = '.'.join(filter(None, ['.'.join(folders), base]))
        # `from course_utils import models` names a module, too
        found += [(node.lineno, f'{base}.{alias.name}') for alias in node.names]
    return found


def python_files(folder: Path) -> list:
    files = [*(folder/'course_utils').rglob('*.py'), *(folder/'data_scripts').rglob('*.py')]
    return sorted(path for path in files if path.name != '_modidx.py')


def import_findings(folder: Path) -> list:
    "Imports that go upwards; anything of the package that imports scripts or tests; files that bend the path."
    faults = []
    for path in python_files(folder):
        place = path.relative_to(folder)
        module = '.'.join(place.with_suffix('').parts)
        package = module.removesuffix('.__init__') if path.name == '__init__.py' else module.rpartition('.')[0]
        if place.as_posix() == 'course_utils/__main__.py': continue  # the commands: see below
        own_room = room_of(module)
        tree = ast.parse(path.read_text())
        for line, name in imported_modules(tree, package):
            room = room_of(name)
            if room == 'tests': faults.append(f'{place}:{line} imports tests')
            elif own_room in FLOOR and room in FLOOR and own_room != room and FLOOR[room] >= FLOOR[own_room]:
                faults.append(f'{place}:{line} imports {name}: {own_room} lies below {room}')
        if 'sys.path.insert' in path.read_text(): faults.append(f'{place} bends sys.path')
    return faults


def test_no_import_goes_upwards(): assert not import_findings(ROOT)


def test_every_room_has_a_floor():
    names = [path.name.removesuffix('.py') for path in (ROOT/'course_utils').iterdir() if path.name[0] not in '_.']
    rooms = {room_of(f'course_utils.{name}') for name in names}
    assert rooms | {'data_scripts'} == set(FLOOR)


def test_the_map_is_in_the_order_of_the_floors():
    import course_utils
    words = [line.split()[0] for line in course_utils.__doc__.splitlines() if line[:1].isalpha() and line.split()[0] in FLOOR]
    floors = [FLOOR[word] for word in words]
    assert len(words) >= 11
    assert floors == sorted(floors)


@pytest.mark.parametrize('file, line', [
    ('course_utils/data/loader.py', 'from course_utils.training.run import Run'),
    ('course_utils/data/loader.py', 'from ..training import run'),
    ('course_utils/data/loader.py', 'import course_utils.training.run'),
    ('course_utils/show/draw.py', 'def f():\n    from course_utils import models'),
    ('course_utils/advice/a.py', 'from course_utils.machine import doctor'),
    ('course_utils/report/stats.py', 'from data_scripts.site import build'),
    ('data_scripts/experiments/bench.py', 'from tests.test_tta import by_fastai'),
    ('data_scripts/lab.py', 'import sys\nsys.path.insert(0, "x")'),
])
def test_a_planted_import_is_found(file, line, tmp_path):
    path = tmp_path/file
    path.parent.mkdir(parents=True)
    path.write_text(line)
    assert len(import_findings(tmp_path)) == 1


@pytest.mark.parametrize('file, line', [
    ('course_utils/training/run.py', 'from course_utils.data.loader import to_input'),
    ('course_utils/techniques/tta.py', 'from ..data.pictures import Pictures\nfrom .augment import pipeline'),
    ('data_scripts/lab.py', 'from course_utils.config import root'),
])
def test_an_import_downwards_is_let_pass(file, line, tmp_path):
    path = tmp_path/file
    path.parent.mkdir(parents=True)
    path.write_text(line)
    assert not import_findings(tmp_path)


def test_the_commands_are_imported_when_they_are_called():
    "`python -m course_utils` alone loads no script and no torch."
    code = "import sys, course_utils.__main__\nprint([m for m in sys.modules if m.split('.')[0] in ('data_scripts', 'torch')])"
    r = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert r.stdout.strip() == '[]', r.stderr


# ---- the way of one picture ----

WAY_OF_A_PICTURE = """
import sys
from course_utils.config import root
from course_utils.data.pictures import load_pictures
from course_utils.report.stats import compare
from course_utils.techniques.augment import pipeline
from course_utils.training.recipe import Recipe
from course_utils.training.train import train

HOUSE = str(root()/'course_utils')
passed = []  # rooms, as they are first entered in each stage


def watch(frame, event, argument):
    if event != 'call' or not frame.f_code.co_filename.startswith(HOUSE): return
    module = frame.f_globals.get('__name__', '')
    if module.count('.') and frame.f_code.co_name != '<module>': entered.append('.'.join(module.split('.')[1:]))


def stage(call):
    global entered
    entered = []
    sys.setprofile(watch)
    try: result = call()
    finally: sys.setprofile(None)
    passed.append(list(dict.fromkeys(entered)))
    return result


pics = stage(lambda: load_pictures('solar', size=32, limit=60, cache=False))
tfm = stage(lambda: pipeline(.2))
run = stage(lambda: train(pics, Recipe('resnet10t', 1, augment=tfm, bs=16), quiet=True))
table = stage(lambda: compare(dict(a=run, b=run)))
print(passed)
"""


@pytest.fixture(scope='module')
def stages_of_a_picture(tmp_path_factory):
    "For each stage the modules in the order in which they are first entered: load, augment, train, report."
    env = dict(os.environ, COURSE_CACHE=str(tmp_path_factory.mktemp('cache')), PYTHONPATH=os.pathsep.join([str(ROOT), os.environ['PYTHONPATH']]))
    r = subprocess.run([sys.executable, '-c', WAY_OF_A_PICTURE], cwd=ROOT, capture_output=True, text=True, env=env)
    assert r.returncode == 0, r.stderr
    return ast.literal_eval(r.stdout.splitlines()[-1])


def in_order(names, wanted) -> list:
    "Those of `wanted` that were entered, in the order in which they were."
    return [name for name in names if name in wanted]


@pytest.mark.slow
def test_a_picture_passes_the_rooms_in_order(stages_of_a_picture):
    "It is found, decoded, split; augmented; made a network, a batch, a training and probabilities; reported. Each place is entered once a stage, and none of a higher floor."
    load, augment, training, report = stages_of_a_picture
    found = ['data.pictures', 'data.sources', 'data.decode']
    assert in_order(load, found) == found
    trained = ['training.train', 'training.learner', 'models', 'data.loader', 'training.run']
    assert in_order(training, trained) == trained
    assert augment[0] == 'techniques.augment'
    assert report[0] == 'report.stats'
    for modules, highest in ((load, 'data'), (augment, 'techniques'), (training, 'techniques'), (report, 'report')):
        rooms = {name.split('.')[0] for name in modules}
        assert max(map(FLOOR.get, rooms)) <= FLOOR[highest], modules


@pytest.mark.slow
def test_what_a_picture_does_not_need_is_not_entered(stages_of_a_picture):
    "No drawing, no classroom, no doctor on the way."
    rooms = {name.split('.')[0] for modules in stages_of_a_picture for name in modules}
    assert not rooms & {'show', 'explorers', 'advice', 'classroom', 'machine'}
