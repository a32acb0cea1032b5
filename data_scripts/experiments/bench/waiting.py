"""What a learner waits for: a slider's picture, imports, the first cell, a lesson."""
import ast, json, os, subprocess, sys, tempfile, time
from pathlib import Path
from statistics import median

import nbformat
from jupyter_client import KernelManager

from course_utils.config import CourseError, root
from course_utils.report.results import read_results
from data_scripts.experiments.bench.fine_tuning import earlier_build
from data_scripts.experiments.bench.timing import bench_row, in_turn, n_turns
from data_scripts.experiments.engine import pick
from data_scripts.experiments.lab_server import LabServer
from data_scripts.site.write_door import CELL_ID

ROOT = root()


# ---- sliders, in a real browser ----

def browser_times(folder: Path) -> tuple[dict, dict]:  # live: way → milliseconds; on the site: page → milliseconds
    "What the browser tests measure. Here they judge nothing."
    environment = dict(os.environ, COURSE_RECORD=str(folder), COURSE_REQUIRE_BROWSER='1')
    command = [sys.executable, '-m', 'pytest', '-q', '-s', 'tests/browser', '-k', 'test_speed or test_drag_to_paint', '-m', 'browser']
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if process.returncode:
        raise CourseError(f'The sliders could not be measured: {process.stdout.strip().splitlines()[-1]}.')
    return read_results(folder/'explorer_speed.json'), read_results(folder/'drag_to_paint.json')


def sliders() -> dict:
    "From a slider to its picture: in JupyterLab in turn with `interact` and matplotlib, 30 steps a turn, and on the site."
    with tempfile.TemporaryDirectory() as folder: live, site = browser_times(Path(folder))
    row = bench_row({'course, live': live['explorer-live'], 'interact and matplotlib': live['usual']}, 'slider to picture: milliseconds', 'ms')
    slowest = max(map(median, site.values()))  # of the pages that were tried
    ratio = row['median']['interact and matplotlib'] / slowest
    row['median']['course, on the site'] = round(slowest, 1)
    return row | dict(site_ratio=round(ratio, 2))


# ---- the wait before the first thing happens ----

TIMED_IMPORT = '''
import re, time
start = time.perf_counter()
{}
seconds = time.perf_counter() - start
status = open('/proc/self/status').read()  # ru_maxrss would be the parent's
print(seconds, int(re.search(r'VmHWM:\\s+(\\d+)', status)[1]) / 1024)
'''


def printed_numbers(code: str, place: Path) -> list:
    "What the code prints, in a process of its own, with the course that lies in a folder."
    environment = dict(os.environ, PYTHONPATH=str(place))
    process = subprocess.run([sys.executable, '-c', code], cwd=place, env=environment, capture_output=True, text=True, check=True)
    return [float(number) for number in process.stdout.split()]


def first_code(place: Path) -> str:
    "The first cell of lesson 00, of the course that lies in a folder."
    lesson = nbformat.read(place/'nbs'/'00_overfitting.ipynb', 4)
    return next(cell.source for cell in lesson.cells if cell.cell_type == 'code' and cell.get('id') != CELL_ID)


def first_imports(place: Path) -> str:
    "The lines of that cell that import."
    return '\n'.join(ast.unparse(node) for node in ast.parse(first_code(place)).body if isinstance(node, ast.Import | ast.ImportFrom))


def imports() -> dict:
    """In a new process each: seconds to import, and the most memory that took. The course, today's and an earlier build: what lesson 00's
    first cell imports; timm comes when the first network is made."""
    memory = {}

    def way(name: str, code: str, place: Path):
        def call() -> float:
            seconds, megabytes = printed_numbers(TIMED_IMPORT.format(code), place)
            memory.setdefault(name, []).append(megabytes)
            return seconds
        return call

    with earlier_build() as earlier:
        ways = {
            'course': (first_imports(ROOT), ROOT),
            'fastai': ('from fastai.vision.all import *', ROOT),
            'the build before': (first_imports(earlier), earlier),
        }
        seconds = in_turn({name: way(name, *parts) for name, parts in ways.items()}, n_turns())
    memory_mb = {name: median(values) for name, values in memory.items()}
    return bench_row(seconds, 'import: seconds', memory_mb={name: round(value) for name, value in memory_mb.items()},
                     memory_ratio=round(memory_mb['fastai'] / memory_mb['course'], 3))


def run_in_kernel(code: str):
    "Starts a kernel and runs a cell in it. Raises `CourseError` where the cell fails."
    manager = KernelManager(kernel_name='python3')
    manager.start_kernel(cwd=str(ROOT), stderr=subprocess.DEVNULL)  # it warns about TCP
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(60)
    reply = client.execute_interactive(code, timeout=120, output_hook=lambda _: None)
    if reply['content']['status'] != 'ok': raise CourseError('The first cell of lesson 00 failed.')
    return manager, client


def first_cell() -> dict:
    "From the start of the server, with the options of `make lab`, to the end of lesson 00's first cell: a kernel starts and runs it. Without a browser."
    code = first_code(ROOT)
    server_seconds = []

    def call() -> float:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            with LabServer(Path(folder)/'home'):
                server_seconds.append(time.perf_counter() - start)
                manager, client = run_in_kernel(code)
                seconds = time.perf_counter() - start
                client.stop_channels()
                manager.shutdown_kernel(now=True)
        return seconds

    seconds = in_turn({'course': call}, pick(smoke=1, cpu=5))
    return bench_row(seconds, 'make lab to the end of the first cell: seconds', server_s=round(median(server_seconds), 2))


def lesson_seconds() -> dict:
    "What the committed runs at profile cpu took: nothing is run for this row."
    timetable = json.loads((ROOT/'results'/'lessons.json').read_text())
    seconds = {}
    for name, runs in sorted(timetable.items()):
        if 'cpu' in runs and name[0].isdigit(): seconds[name] = runs['cpu']['seconds']
    total_minutes = round(sum(seconds.values()) / 60, 1)
    return dict(what='lessons at profile cpu: seconds', unit='s', n=1, median=seconds,
                ratio={}, range={}, total_minutes=total_minutes)
