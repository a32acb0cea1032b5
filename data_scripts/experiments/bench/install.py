"""From a fresh clone to a JupyterLab that answers: today's course and an earlier build of it, each in a clone of its own, in turn.

Nothing is taken from a cache: every turn has new folders for uv's and pip's, and removes them and the environment after it."""
import os, secrets, shutil, subprocess, sys, tempfile, time, urllib.error, urllib.request
from contextlib import suppress
from pathlib import Path

from course_utils.config import CourseError, root
from course_utils.machine.places import environment_program
from data_scripts.experiments.bench.timing import bench_row, in_turn
from data_scripts.experiments.engine import pick
from data_scripts.experiments.lab_server import free_port

EARLIER = '9626fdf'  # the build before uv: pip alone, by make
PATIENCE_S = 1800
# What a lesson's first cell imports; timed in a process of its own, before anything else has imported it.
FIRST_IMPORT = 'from fastai.vision.all import *; import timm, ipywidgets, matplotlib.pyplot'
TIMED = f'import time; start = time.perf_counter(); exec({FIRST_IMPORT!r}); print(time.perf_counter() - start)'


def start_commands() -> dict:  # way → (commit, a function of a port: the command)
    "How a learner starts each of them."
    return {
        'course': ('HEAD', lambda port: [sys.executable, 'course.py', 'lab', '--no-browser', '--port', str(port)]),
        'before, with pip': (EARLIER, lambda port: ['make', 'lab', f'PORT={port}', f'PYTHON={sys.executable}']),
    }


def learner_environment(folder: Path, token: str) -> dict:
    "A new learner's: no caches, no settings of this process, and Python keeps what it compiles."
    environment = dict(os.environ)
    for name in ('PYTHONPATH', 'PYTHONDONTWRITEBYTECODE', 'VIRTUAL_ENV', 'COURSE_CACHE'): environment.pop(name, None)
    folders = {name: str(folder/name) for name in ('UV_CACHE_DIR', 'PIP_CACHE_DIR', 'JUPYTER_CONFIG_DIR', 'JUPYTER_DATA_DIR', 'JUPYTER_RUNTIME_DIR')}
    return environment | folders | dict(JUPYTER_TOKEN=token, BROWSER='true')


def wait_until_it_answers(process: subprocess.Popen, port: int, token: str):
    "Asks for the server's state until it comes. Raises `CourseError` where the process ends before."
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if process.poll() is not None: raise CourseError(f'It ended before it answered, with status {process.returncode}.')
        with suppress(OSError, urllib.error.URLError):
            urllib.request.urlopen(f'http://127.0.0.1:{port}/api/status?token={token}', timeout=5)
            return
        time.sleep(.1)
    raise CourseError(f'It did not answer within {PATIENCE_S} s.')


def stop(process: subprocess.Popen):
    "And whatever it has started: make passes no signal on."
    with suppress(ProcessLookupError): os.killpg(process.pid, 15)
    process.wait(60)


def seconds_to_answer(command: list, clone: Path, environment: dict, port: int) -> float:
    "From the command to the server's first answer; then it is stopped."
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=clone, env=environment, start_new_session=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_it_answers(process, port, environment['JUPYTER_TOKEN'])
        return time.perf_counter() - start
    finally: stop(process)


def processor_seconds() -> float:
    "Of all processes that this one has started and that have ended."
    times = os.times()
    return times.children_user + times.children_system


def first_start(commit: str, command, folder: Path) -> dict:  # seconds: `install`, to the first answer; `import`, of the first; `again`, a second start
    "A clone, its first start, its first import and its second start; nothing of it stays."
    clone = folder/'course'
    subprocess.run(['git', 'clone', '--quiet', str(root()), str(clone)], check=True)
    subprocess.run(['git', 'checkout', '--quiet', commit], cwd=clone, check=True)
    environment = learner_environment(folder, secrets.token_hex(16))
    port = free_port()
    before = processor_seconds()
    install_s = seconds_to_answer(command(port), clone, environment, port)
    processor_s = processor_seconds() - before
    python = environment_program(clone/'.venv', 'python')
    printed = subprocess.run([str(python), '-c', TIMED], cwd=clone, env=environment, capture_output=True, text=True, check=True).stdout
    again_s = seconds_to_answer(command(port), clone, environment, port)
    frozen = subprocess.run([str(python), '-m', 'pip', 'freeze', '--exclude-editable'], env=environment, capture_output=True, text=True, check=True)
    return dict(install=install_s, processor=processor_s, first_import=float(printed), again=again_s, packages=frozen.stdout.split())


def install() -> dict:
    "Fresh clone to an answering JupyterLab: seconds, with what the first import and a second start take; and do both hold the same packages?"
    seen = {way: [] for way in start_commands()}

    def way(name: str):
        commit, command = start_commands()[name]

        def call() -> float:
            folder = Path(tempfile.mkdtemp(prefix='install-'))
            try: seen[name].append(first_start(commit, command, folder))
            finally: shutil.rmtree(folder, ignore_errors=True)
            return seen[name][-1]['install']
        return call

    seconds = in_turn({name: way(name) for name in seen}, pick(smoke=1, cpu=2), warm=False)
    ours, earlier = [set(turns[-1]['packages']) for turns in seen.values()]
    return bench_row(seconds, 'fresh clone to an answering JupyterLab, nothing cached: seconds', turns=seconds,
                     processor_s=turns_of(seen, 'processor'), first_import=turns_of(seen, 'first_import'),
                     second_start=turns_of(seen, 'again'),
                     only_in_course=sorted(ours - earlier), only_before=sorted(earlier - ours))


def turns_of(
    seen: dict,  # way → what `first_start` gave, a turn each
    part: str,
) -> dict:       # way → seconds
    "One figure of every turn."
    seconds = {}
    for name, turns in seen.items(): seconds[name] = [round(turn[part], 2) for turn in turns]
    return seconds
