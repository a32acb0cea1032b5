"""The way in: one command on every system, an environment by uv or pip, and the course as a guest in Colab and Kaggle."""
import argparse, ast, configparser, io, json, os, subprocess, sys, zipfile
from pathlib import Path
from types import SimpleNamespace

import nbformat, pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from course_utils.__main__ import COMMANDS
from course_utils.config import CourseError
from course_utils.machine import entry, environment as E, guest, places, warm
from data_scripts import lab, testing
from data_scripts.site import write_door as D

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow


# ---- what differs between systems ----

@pytest.mark.parametrize('windows, end', [(False, 'bin/python'), (True, 'Scripts/python.exe')])
def test_where_an_environment_keeps_its_programs(windows, end):
    assert places.environment_program(Path('my env'), 'python', windows).as_posix() == f'my env/{end}'


@pytest.mark.parametrize('windows, typed', [(False, 'make lab PORT=8890'), (True, 'py course.py lab --port 8890')])
def test_what_is_typed(windows, typed): assert places.typed_command('lab', 'PORT=8890', windows) == typed


@pytest.mark.parametrize('windows, typed', [(False, 'A=b make lab'), (True, '$env:A="b"; py course.py lab')])
def test_a_variable_is_set(windows, typed): assert places.with_variable('A', 'b', places.typed_command('lab', windows=windows), windows) == typed


def test_a_folder_is_made_writable():
    assert places.writable_again(Path('a b'), windows=False) == 'chmod -R u+rwX "a b"'
    assert places.writable_again(Path('a b'), windows=True) == 'icacls "a b" /reset /T'


def test_children_read_and_write_utf8():
    code = "print('→')"
    environment = places.child_environment(dict(os.environ, LC_ALL='C', PYTHONCOERCECLOCALE='0'))
    printed = subprocess.run([sys.executable, '-c', code], env=environment, capture_output=True)
    assert printed.stdout.decode('utf-8').startswith('→')


def test_without_it_the_sign_is_lost():
    "As on a Windows console: the variable is what helps."
    environment = dict(os.environ, PYTHONIOENCODING='cp1252')
    code = "print('→')"
    assert subprocess.run([sys.executable, '-c', code], env=environment, capture_output=True).returncode == 1


def test_no_sentence_ends_in_an_error():
    stream = io.TextIOWrapper(io.BytesIO(), encoding='cp1252')
    places.use_utf8(stream)
    print('→', file=stream)
    assert stream.encoding == 'utf-8'


def test_windows_waits_for_its_child():
    "There is no exec there: the child's status is handed on."
    assert places.hand_over([sys.executable, '-c', 'raise SystemExit(7)'], dict(os.environ), windows=True) == 7


def test_elsewhere_the_process_becomes_the_command():
    code = 'import os, sys; from course_utils.machine.places import hand_over; print(os.getpid(), flush=True); ' \
           'hand_over([sys.executable, "-c", "import os; print(os.getpid())"], dict(os.environ), windows=False)'
    first, second = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True).stdout.split()
    assert first == second


def test_a_port_in_use_is_seen_on_windows(monkeypatch):
    "SO_REUSEADDR would hide it there."
    asked = []
    class Probe:
        def __enter__(self): return self
        def __exit__(self, *_): pass
        def setsockopt(self, *option): asked.append(option)
        def bind(self, place): pass
    monkeypatch.setattr(lab.socket, 'socket', Probe)
    monkeypatch.setattr(lab, 'IS_WINDOWS', True)
    lab.check_port('8888')
    assert not asked


def fork_findings(folder: Path) -> list:
    "Calls that Windows has not: os.fork, os.kill of a group, fcntl, resource, os.geteuid without a question before."
    found = []
    for path in sorted(folder.rglob('*.py')):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            name = ast.unparse(node) if isinstance(node, ast.Attribute) else ''
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if name in ('os.fork', 'os.killpg', 'os.setsid', 'signal.SIGKILL') or {'fcntl', 'resource', 'pwd', 'grp'} & set(modules):
                found.append(f'{path.name}: {name or modules}')
    return found


def test_what_learners_run_does_not_fork(): assert not fork_findings(ROOT/'course_utils')


def test_a_planted_fork_is_found(tmp_path):
    (tmp_path/'a.py').write_text('import os, fcntl\nos.fork()\n')
    assert len(fork_findings(tmp_path)) == 2


def test_another_c_library_is_left_alone(monkeypatch):
    "macOS and Windows have no mallopt."
    from course_utils import config
    class Library: pass
    monkeypatch.setattr(config.ctypes, 'CDLL', lambda _: Library())
    config.keep_memory(2**30)


@pytest.mark.parametrize('most, asked', [(2**28, [2**28]), (2**25, [2**28, 2**25])])
def test_an_older_glibc_is_asked_for_less(monkeypatch, most, asked):
    from course_utils import config
    thresholds = []

    class Library:
        def mallopt(self, name, value):
            if name != config.M_MMAP_THRESHOLD: return 1
            thresholds.append(value)
            return int(value <= most)

    monkeypatch.setattr(config.ctypes, 'CDLL', lambda _: Library())
    config.keep_memory(2**30)
    assert thresholds == asked


# ---- course.py ----

def bare(*arguments, **more):
    "course.py with the standard library alone, and nothing on the path: no make, no bash, no git."
    return subprocess.run([sys.executable, '-S', str(ROOT/'course.py'), *arguments], capture_output=True, text=True,
                          env=dict(PATH=os.devnull), **more)


def test_course_py_needs_nothing_installed(tmp_path):
    shown = bare(cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()[1:len(COMMANDS) + 1]
    assert [line.split()[0] for line in lines] == list(COMMANDS)


@pytest.mark.fault
def test_no_such_command():
    refused = bare('labs')
    assert refused.returncode == 1
    assert refused.stderr.startswith("There is no command 'labs': there are lab, doctor")


def test_an_old_python_can_read_course_py():
    "It must say its sentence there: nothing in it is newer than Python 3.6."
    ast.parse((ROOT/'course.py').read_text(), feature_version=(3, 6))


@pytest.mark.fault
def test_an_old_python_without_a_newer_one():
    code = f"import runpy, sys; sys.version_info = (3, 9, 2); sys.argv = ['course.py', 'lab']; runpy.run_path({str(ROOT/'course.py')!r}, run_name='__main__')"
    refused = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=dict(PATH=os.devnull))
    assert refused.returncode == 1
    assert 'no Python from 3.11 up was found' in refused.stderr


def test_an_old_python_starts_a_newer_one(tmp_path):
    "The first on the path that answers; an empty shell of that name is passed over."
    (tmp_path/'python3.11').write_text('#!/bin/sh\nexit 127\n')
    (tmp_path/'python3.12').symlink_to(sys.executable)
    (tmp_path/'python3.11').chmod(0o755)
    code = f"import runpy, sys; sys.version_info = (3, 9, 2); sys.argv = ['course.py']; runpy.run_path({str(ROOT/'course.py')!r}, run_name='__main__')"
    shown = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=dict(PATH=str(tmp_path)))
    assert shown.returncode == 0, shown.stderr
    assert 'opens JupyterLab' in shown.stdout


def test_every_command_has_a_part(): assert {command.part for command in COMMANDS.values()} <= set(E.EXTRAS)


def test_hugging_face_needs_its_own():
    assert entry.needed_part('data', ['hf:a/b']) == 'hub'
    assert entry.needed_part('data', ['cats_dogs']) == 'lab'


def test_options_may_stand_anywhere():
    options, rest = entry.options_of(['lab', '--port', '8890', '--cpu'])
    assert options == argparse.Namespace(cpu=True, again=False, newest=False)
    assert rest == ['lab', '--port', '8890']


def test_make_only_names():
    "Every recipe of the Makefile is one call of course.py."
    lines = [line.strip() for line in (ROOT/'Makefile').read_text().splitlines() if line.startswith('\t')]
    assert all(line.startswith(('$(COURSE) ', '@awk', '@echo')) for line in lines)


# ---- the environment ----

@pytest.fixture
def env(tmp_path, monkeypatch) -> E.Environment:
    "A course in a folder whose name holds a space and other letters; its installers note what they are asked."
    course = tmp_path/'my cöurse'
    course.mkdir()
    (course/'constraints.txt').write_text('torch==2.15.0\nuv==0.13.9\n')
    (course/'pyproject.toml').write_text('[project]\n')
    environment = E.Environment(course/'.venv', course)
    environment.asked = []
    environment.refuses = ()

    def note(command, variables, quiet=False):
        environment.asked.append(command)
        return not any(word in command for word in environment.refuses)

    def make():
        environment.python.parent.mkdir(parents=True, exist_ok=True)
        environment.python.touch()

    monkeypatch.setattr(E, 'runs', note)
    monkeypatch.setattr(environment, 'make', make)
    monkeypatch.setattr(environment, 'pip_settings', dict)
    monkeypatch.setattr(environment, 'compile_first_imports', lambda: environment.asked.append(['compiled']))
    monkeypatch.setattr(E, 'find_program', lambda name: '/opt/uv')
    monkeypatch.delenv('PYTHONDONTWRITEBYTECODE', raising=False)
    monkeypatch.delenv('COURSE_INSTALLER', raising=False)
    return environment


def test_uv_installs_what_is_locked(env):
    E.make_ready('lab', env)
    command, _ = env.asked
    assert command[-4:] == ['-c', str(env.course/'constraints.txt'), '-e', str(env.course)]
    assert '/opt/uv' in command


def test_a_second_time_nothing_is_asked(env):
    E.make_ready('lab', env)
    env.asked.clear()
    E.make_ready('lab', env)
    assert not env.asked


def test_other_versions_are_installed(env):
    E.make_ready('lab', env)
    env.asked.clear()
    (env.course/'constraints.txt').write_text('torch==2.16.0\n')
    E.make_ready('lab', env)
    assert env.asked


def test_a_folder_that_was_moved_is_installed_again(env):
    E.make_ready('lab', env)
    moved = env.course.rename(env.course.parent/'elsewhere')
    assert not E.Environment(moved/'.venv', moved).is_ready('lab')


def test_the_tests_packages_hold_the_learners(env):
    E.make_ready('test', env)
    assert env.is_ready('lab')


def test_where_uv_fails_pip_goes_on(env, capsys):
    env.refuses = ('/opt/uv',)
    E.make_ready('lab', env)
    assert env.asked[-1][1:3] == ['-m', 'pip']
    assert 'uv could not: pip goes on.' in capsys.readouterr().out
    assert env.is_ready('lab')


def test_both_are_asked_for_the_same(env):
    env.refuses = ('/opt/uv',)
    E.make_ready('lab', env)
    by_uv, by_pip = (command[command.index('-c'):] for command in env.asked)
    assert by_uv == by_pip


def test_pip_where_it_is_wanted(env, monkeypatch):
    monkeypatch.setenv('COURSE_INSTALLER', 'pip')
    E.make_ready('lab', env)
    assert '/opt/uv' not in env.asked[0]


@pytest.mark.fault
def test_where_neither_can(env):
    env.refuses = ('install',)
    with pytest.raises(CourseError, match='The installation failed.*the same command tries again'): E.make_ready('lab', env)
    assert not env.is_ready('lab')


def test_without_kept_bytecode_all_is_compiled(env, monkeypatch):
    monkeypatch.setenv('PYTHONDONTWRITEBYTECODE', '1')
    E.make_ready('lab', env)
    assert '--compile-bytecode' in env.asked[0]
    assert ['compiled'] not in env.asked


def test_again_installs_every_part(env):
    E.make_ready('lab', env)
    E.make_ready('test', env)
    env.asked.clear()
    E.make_ready('lab', env, again=True)
    assert [command[-1] for command in env.asked if command != ['compiled']] == [str(env.course), f'{env.course}[dev]']


def test_uv_comes_from_the_index_into_a_folder_of_its_own(env, monkeypatch):
    "Where it is not on the path. It is no package of the environment: what pip lists is the same."
    monkeypatch.setattr(E, 'find_program', lambda name: None)
    env.make()
    assert env.uv() is None
    assert env.asked[-1][-3:] == ['--target', str(env.folder/'.tools'), 'uv==0.13.9']


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='elsewhere the ordinary torch has no CUDA')
def test_without_cuda(env):
    E.make_ready('lab', env, cpu=True)
    assert ['--torch-backend', 'cpu'] == env.asked[0][env.asked[0].index('--torch-backend'):][:2]
    assert env.cpu_mark.exists()


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='elsewhere the ordinary torch has no CUDA')
def test_without_cuda_where_that_index_cannot_be_reached(env, capsys):
    env.refuses = ('--torch-backend',)
    E.make_ready('lab', env, cpu=True)
    said = capsys.readouterr().out
    assert "--cpu: torch's own index could not be reached, so the ordinary torch is installed" in said
    assert env.is_ready('lab')
    assert not env.cpu_mark.exists()


def test_an_environment_with_cuda_is_made_anew(env):
    E.make_ready('lab', env)
    (env.folder/'left over').touch()
    E.make_ready('lab', env, cpu=True)
    assert not (env.folder/'left over').exists()


def test_the_newest_versions_are_not_locked(env):
    env.locked = False
    assert env.requirement('lab') == ['-e', str(env.course)]


PIP_LIST = """global.index-url='https://mirror.example/pypi'
global.extra-index-url='https://a.example https://b.example'
install.index-url='https://second.example'
:env:.find-links='/wheels'
user.index-url='https://nobody.example'
global.timeout='60'
"""


def test_pips_places_are_uvs_places(monkeypatch):
    for name in ('UV_INDEX', 'UV_DEFAULT_INDEX', 'UV_FIND_LINKS', 'UV_INDEX_STRATEGY'): monkeypatch.delenv(name, raising=False)
    assert E.places_for_uv(E.parse_pip_settings(PIP_LIST)) == dict(
        UV_DEFAULT_INDEX='https://second.example', UV_INDEX='https://a.example https://b.example', UV_FIND_LINKS='/wheels',
        UV_INDEX_STRATEGY='unsafe-best-match')


def test_a_learners_own_uv_settings_count_more(monkeypatch):
    monkeypatch.setenv('UV_DEFAULT_INDEX', 'https://mine.example')
    assert 'UV_DEFAULT_INDEX' not in E.places_for_uv({'index-url': 'https://other.example'})


def test_clean_keeps_data_and_answers(tmp_path):
    for name in ('.venv', '.cache', '_docs', '.data', '.home'): (tmp_path/name).mkdir()
    E.clean_course(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['.data', '.home']


@pytest.mark.fault
def test_no_environment_can_be_made(tmp_path, monkeypatch):
    monkeypatch.setattr(E.sys, 'executable', '/bin/false')
    with pytest.raises(CourseError, match='install python3-venv'): E.Environment(tmp_path/'.venv', tmp_path).make()
    assert not (tmp_path/'.venv').exists()


def test_what_is_compiled_first_can_be_imported():
    "A name that is no more would be passed over in silence."
    import importlib.util
    missing = [name for name in warm.FIRST_IMPORTS if importlib.util.find_spec(name) is None]
    assert not missing


# ---- the tests' own command ----

@pytest.mark.parametrize('kind, words', [('check', ['-m', 'not slow and not browser and not timing', '-x']), ('test', ['--dist', 'loadfile', '-x'])])
def test_what_pytest_is_told(kind, words): assert testing.pytest_command(kind, ['-x'])[-len(words):] == words


@pytest.mark.parametrize('cores, gib, n', [(1, 64, 1), (2, 24, 2), (2, 3, 1), (4, 7, 1), (64, 512, 4)])
def test_as_many_processes_as_the_machine_holds(cores, gib, n): assert testing.n_workers(cores, gib * 2**30) == n


@pytest.mark.fault
def test_a_network_that_cannot_be_cut_off(monkeypatch):
    monkeypatch.setattr(testing, 'can_cut_off', lambda: False)
    with pytest.raises(CourseError, match='needs Linux and the right to use unshare'): testing.pytest_command('test-offline', [])


# ---- as a guest ----

REQUIREMENTS = [Requirement(text) for text in ('torch>=2.8,<3', 'timm>=1.0', 'numpy', 'elpv-dataset')]
LOCKED = {'timm': '1.0.31', 'elpv-dataset': '1.0'}


def versions(**installed): return lambda name: installed.get(name)


@pytest.mark.parametrize('variable, name', [('COLAB_RELEASE_TAG', 'Colab'), ('KAGGLE_KERNEL_RUN_TYPE', 'Kaggle'), ('HOME', None)])
def test_whose_guest(variable, name): assert guest.platform({variable: 'x'}) == name


@pytest.mark.parametrize('version', ['2.8.0', '2.9.1+cu126', '2.15.0+cpu'])
def test_the_platforms_torch_is_kept(version): assert not guest.torch_problem(REQUIREMENTS, versions(torch=version))


@pytest.mark.fault
@pytest.mark.parametrize('version', ['2.1.0+cu118', '3.0.0', None])
def test_a_torch_outside_the_range_is_one_sentence(version):
    problem = guest.torch_problem(REQUIREMENTS, versions(torch=version), 'Kaggle')
    assert problem.startswith(f'Kaggle has torch {version}' if version else 'Kaggle has no torch')
    assert 'needs torch<3,>=2.8' in problem
    assert problem.count('. ') == 0


def test_only_what_is_missing_is_installed():
    assert guest.missing_requirements(REQUIREMENTS, LOCKED, versions(torch='2.9', numpy='1.26', timm='1.0.20')) == ['elpv-dataset==1.0']


def test_what_is_too_old_is_installed(): assert 'timm==1.0.31' in guest.missing_requirements(REQUIREMENTS, LOCKED, versions(timm='0.9'))


@given(st.sampled_from(['2.8.0', '2.9.0', '2.10.0', '2.15.0', '2.99']), st.sampled_from(['', '+cpu', '+cu126', '+rocm6']))
def test_the_build_of_torch_does_not_matter(version, build):
    assert guest.is_allowed(REQUIREMENTS[0], version + build)


def test_the_servers_packages_are_not_asked_for(): assert not {'jupyterlab', 'nbclient'} & {r.name for r in guest.declared()}


def test_the_range_of_torch_holds_the_locked_one():
    requirement = next(r for r in guest.declared() if r.name == 'torch')
    assert guest.is_allowed(requirement, guest.locked_versions()['torch'])


def test_all_that_is_locked_is_allowed():
    locked = guest.locked_versions()
    assert not [r.name for r in guest.declared() if not guest.is_allowed(r, locked[guest.normalised(r.name)])]


def test_at_home_nothing_is_done(monkeypatch):
    for variable in guest.PLATFORMS.values(): monkeypatch.delenv(variable, raising=False)
    assert guest.settle() == ''


@pytest.mark.fault
def test_settle_with_an_old_torch(monkeypatch):
    monkeypatch.setenv('COLAB_RELEASE_TAG', 'x')
    with pytest.raises(CourseError, match=r'Colab has torch 2\.1\.0\+cu118, and the course needs torch'): guest.settle(versions(torch='2.1.0+cu118'))


@pytest.mark.fault
def test_a_platform_without_a_network(monkeypatch):
    monkeypatch.setattr(guest.subprocess, 'run', lambda *_, **__: subprocess.CompletedProcess([], 1, '', 'no route'))
    with pytest.raises(CourseError, match='no route.*switch on Internet'): guest.install_missing(['timm==1.0.31'], 'Kaggle')


def test_what_the_platform_has_is_held(monkeypatch):
    held = []
    def run(command, **_):
        held.append(Path(command[command.index('-c') + 1]).read_text())
        return subprocess.CompletedProcess([], 0)
    monkeypatch.setattr(guest.subprocess, 'run', run)
    guest.install_missing(['timm==1.0.31'], 'Colab', versions(torch='2.9.0+cu126', numpy='2.0.2'))
    assert held == ['torch==2.9.0+cu126\nnumpy==2.0.2\n']


@pytest.mark.parametrize('version, asked', [('7.7.1', 0), ('8.1.5', 1)])
def test_sliders_get_colabs_manager_where_they_need_it(monkeypatch, version, asked):
    "Version 7 is Colab's own."
    calls = []
    module = SimpleNamespace(enable_custom_widget_manager=lambda: calls.append(1))
    monkeypatch.setitem(sys.modules, 'google.colab.output', module)
    monkeypatch.setattr(guest, 'installed_version', versions(ipywidgets=version))
    guest.enable_sliders()
    assert len(calls) == asked


# ---- badges and the first cell ----

FORK = D.Repository('ana', 'my-fork', 'main', '0.2.0')


def notebook():
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell('# T', id='t'), nbformat.v4.new_code_cell('x', id='x')])


def test_a_forks_badges_open_the_fork():
    written = nbformat.writes(D.with_door(notebook(), FORK, 'nbs/01_a.ipynb'))
    assert 'ana/my-fork/blob/main/nbs/01_a.ipynb' in written
    assert 'course-team' not in written


def test_written_twice_is_written_once():
    once = D.with_door(notebook(), FORK, 'nbs/01_a.ipynb')
    assert D.with_door(once, FORK, 'nbs/01_a.ipynb') == once


def test_a_case_study_finds_the_badges(): assert '(../images/open_in_colab.svg)' in D.badges(FORK, 'nbs/cases/a.ipynb', '../images')


def test_settings_are_the_only_source(tmp_path):
    (tmp_path/'settings.ini').write_text('[DEFAULT]\nuser = u\nrepo = r\nbranch = b\nversion = 1\n')
    assert D.repository(tmp_path) == D.Repository('u', 'r', 'b', '1')


def test_at_home_the_first_cell_does_nothing(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name not in guest.PLATFORMS.values()}
    code = D.fetching_cell(FORK) + "\nprint('urllib.request' in sys.modules)"
    shown = subprocess.run([sys.executable, '-I', '-c', code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert shown.stdout == 'False\n', shown.stderr
    assert not list(tmp_path.iterdir())


def archive_of_course(folder: Path, name: str):
    "As the repository's host packs it: one folder, here with a course that says that it has settled."
    with zipfile.ZipFile(folder/name, 'w') as file:
        file.writestr('my-fork-0.2.0/course_utils/__init__.py', '')
        file.writestr('my-fork-0.2.0/course_utils/machine/__init__.py', '')
        file.writestr('my-fork-0.2.0/course_utils/machine/guest.py', f"def settle(): return 'settled by {name}'")


@pytest.mark.parametrize('names, used', [(['v0.2.0.zip', 'main.zip'], 'v0.2.0.zip'), (['main.zip'], 'main.zip')])
def test_there_it_fetches_the_pages_version(tmp_path, names, used):
    "The tag where there is one, else the branch."
    (tmp_path/'site').mkdir()
    (tmp_path/'work').mkdir()
    for name in names: archive_of_course(tmp_path/'site', name)
    environment = dict(os.environ, COLAB_RELEASE_TAG='x', COURSE_ARCHIVES=(tmp_path/'site').as_uri())
    shown = subprocess.run([sys.executable, '-I', '-c', D.fetching_cell(FORK)], cwd=tmp_path/'work', env=environment, capture_output=True, text=True)
    assert shown.stdout == f'settled by {used}\n', shown.stderr


@pytest.mark.fault
def test_there_without_a_network(tmp_path):
    environment = dict(os.environ, KAGGLE_KERNEL_RUN_TYPE='x', COURSE_ARCHIVES=(tmp_path/'nothing').as_uri())
    refused = subprocess.run([sys.executable, '-I', '-c', D.fetching_cell(FORK)], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert refused.returncode == 1
    assert refused.stderr.startswith('The course could not be fetched')


def test_lines_are_short(): assert max(map(len, D.fetching_cell(D.repository()).splitlines())) <= 100


def door_findings(folder: Path) -> list:
    "Notebooks whose way in is not what settings.ini makes of it."
    repo = D.repository(folder)
    found = []
    for path in D.notebooks_with_a_door(folder):
        notebook = nbformat.read(path, 4)
        if D.with_door(notebook, repo, path.relative_to(folder).as_posix()) != notebook: found.append(path.name)
    return found


def test_every_notebook_has_its_way_in(): assert not door_findings(ROOT), 'run make tidy'


def test_an_old_address_is_found(tmp_path):
    (tmp_path/'nbs').mkdir()
    (tmp_path/'settings.ini').write_text('[DEFAULT]\nuser = u\nrepo = r\nbranch = b\nversion = 1\n')
    path = tmp_path/'nbs'/'01_a.ipynb'
    with_code = notebook()
    with_code.cells[1].source = 'import course_utils'
    nbformat.write(D.with_door(with_code, FORK, 'nbs/01_a.ipynb'), path)
    assert door_findings(tmp_path) == ['01_a.ipynb']


def test_the_codespace_starts_the_course():
    config = json.loads((ROOT/'.devcontainer'/'devcontainer.json').read_text())
    words = f"{config['postCreateCommand']} {config['postAttachCommand']}".split()
    assert words.count('course.py') == 2
    assert {'env', 'lab'} <= set(words)
    assert config['forwardPorts'] == [8888]


def test_the_codespaces_python_is_allowed():
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(ROOT/'settings.ini')
    image = json.loads((ROOT/'.devcontainer'/'devcontainer.json').read_text())['image']
    assert image.endswith(f":{settings['DEFAULT']['min_python']}")
