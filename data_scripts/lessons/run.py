"""Runs a notebook top to bottom in a fresh kernel, on a copy of the notebooks, and says which cell failed."""
import asyncio, os, re, shutil, signal, sys, time
from contextlib import suppress
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from tqdm import tqdm

from course_utils.config import CourseError, cache_dir, data_dir
from data_scripts.lessons.notebooks import ROOT, nbs_folder, write_notebook
from data_scripts.lessons.timetable import budget_s

WATCH = "--IPKernelApp.exec_lines=__import__('data_scripts.lessons.spent').lessons.spent.watch()"  # it leaves no name behind


class LessonFailed(CourseError):
    "A cell failed. The message names the lesson, the cell, its first lines and the error's last line."


class PicturesMissing(Exception):
    "A case study found that its data set has not been fetched. The message says how to fetch it."


class Client(NotebookClient):
    "Shows where the run is, and remembers the cell for the message if it fails."
    bar = None              # tqdm's
    position = (0, None)    # number of the cell that runs, and the cell
    is_interrupted = False

    def __init__(self, notebook, **options):
        super().__init__(notebook, on_notebook_start=self.watch_for_ctrl_c, **options)

    async def watch_for_ctrl_c(self, notebook):
        # nbclient takes any cancelled run for a dead kernel, so remember that it was Ctrl-C.
        task = asyncio.current_task()

        def stop():
            self.is_interrupted = True
            task.cancel()

        with suppress(RuntimeError, NotImplementedError):  # not in the main thread, or no signals on this system
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop)

    async def async_execute_cell(self, cell, cell_index, **options):
        is_code = cell.cell_type == 'code'
        if is_code:
            self.position = cell_index, cell
            self.bar.set_description(f'{self.bar.lesson}, cell {cell_index + 1}', refresh=True)
        try: return await super().async_execute_cell(cell, cell_index, **options)
        finally:
            if is_code: self.bar.update()


def run_notebook(
    path: Path,                   # a lesson's notebook, in a folder `nbs`
    profile: str = 'smoke',
    data: str = '',               # `COURSE_DATA`; empty leaves what is set
    fresh: bool = False,          # find nothing that was kept, as on the first day: no training, no maps of frozen stages, no decoded pictures
    scratch: Path | None = None,  # where the copies go; `.cache/lessons/PROFILE` by default
    watched: bool = False,        # the run is kept: write down what its seconds go to, and compare it with no earlier one
    cells: list | None = None,    # ids of those that are run; None: all
) -> tuple[dict, float]:          # the executed notebook, and the seconds it took
    "Runs a copy of the lesson in a fresh kernel. Raises `LessonFailed`, or `PicturesMissing` for a case study without its data set."
    # Inside the course's folder, so that a kernel which looks upwards for settings.ini finds it.
    scratch = scratch or cache_dir()/'lessons'/profile
    copied = copy_course(path, scratch)
    environment = kernel_environment(profile, data, fresh, scratch)
    # Watched only where the seconds are kept: a thread beside those of a lesson is not for every run.
    if watched: environment |= dict(COURSE_SPENT=str(scratch/'spent.json'), COURSE_REFERENCE='1')
    arguments = ['--IPKernelApp.log_level=50']
    if 'COURSE_SPENT' in environment: arguments.append(WATCH)

    notebook = nbformat.read(path, as_version=4)
    if cells is not None: notebook.cells = [cell for cell in notebook.cells if cell.id in cells]
    budget = budget_s(path, profile)
    client = Client(notebook, kernel_name='python3', timeout=budget and 10*budget, coalesce_streams=True,
                    extra_arguments=arguments, resources={'metadata': {'path': str(copied.parent)}})
    start = time.monotonic()
    failure = execute(client, path.stem, environment)
    seconds = time.monotonic() - start
    if fresh: shutil.rmtree(scratch/'cache', ignore_errors=True)  # it can hold gigabytes
    write_notebook(notebook, copied)
    if failure:
        number, cell = client.position
        raise LessonFailed(f'{path.stem} failed in cell {number + 1}, which begins\n{first_lines(cell)}\nwith {failure}')
    return notebook, seconds


def copy_course(path: Path, scratch: Path) -> Path:
    "Copies notebooks and results to where the run may write. Returns the notebook's copy."
    nbs = nbs_folder(path)
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(nbs, scratch/'nbs', ignore=shutil.ignore_patterns('.*'))
    # Lessons read each other's numbers, so the copy starts from the kept ones.
    results = nbs.parent/'results'
    results.mkdir(exist_ok=True)
    shutil.copytree(results, scratch/'results')
    return scratch/'nbs'/path.resolve().relative_to(nbs)


def kernel_environment(profile: str, data: str, fresh: bool, scratch: Path) -> dict:
    "The kernel's: it writes into the copy, and finds the course's modules and pictures; kept trainings, too, unless it is to be fresh."
    paths = [str(ROOT)]
    if os.environ.get('PYTHONPATH'): paths.append(os.environ['PYTHONPATH'])
    environment = os.environ | dict(
        COURSE_PROFILE=profile,
        COURSE_RESULTS=str(scratch/'results'),
        COURSE_HOME=str(scratch/'home'),
        COURSE_CACHE=str(cache_dir()),
        COURSE_DATA_DIR=str(data_dir()),
        PYTHONPATH=os.pathsep.join(paths),
    )
    if data: environment['COURSE_DATA'] = data
    if fresh: environment |= dict(COURSE_FRESH='1', COURSE_CACHE=str(scratch/'cache'))  # maps that were kept would make its seconds too few
    return environment


def execute(client: Client, name: str, environment: dict) -> str | None:
    "Runs all cells behind a progress bar. Returns why it failed, or None."
    n_code = sum(cell.cell_type == 'code' for cell in client.nb.cells)
    # disable=None: no bar where nobody looks, as in CI's log.
    with tqdm(total=n_code, unit='cell', disable=None, file=sys.stderr, leave=False,
              bar_format='{desc} {bar} {n_fmt}/{total_fmt} [{elapsed}]') as bar:
        bar.lesson = name
        client.bar = bar
        try: client.execute(env=environment)
        except CellExecutionError as error:
            if error.ename == 'NotFetched': raise PicturesMissing(error.evalue) from None
            return last_line(error)
        except CellTimeoutError: return f'it ran longer than {client.timeout} s and was stopped'
        except (DeadKernelError, asyncio.CancelledError):
            if client.is_interrupted: raise KeyboardInterrupt from None
            return 'the kernel died, most often for want of memory'


def last_line(error: CellExecutionError) -> str:
    "Kind and message of a cell's error; all lines of a `CourseError`, which is for the learner."
    text = re.sub(r'\x1b\[[0-9;]*m', '', f'{error.ename}: {error.evalue}').strip()
    return text if error.ename == 'CourseError' else text.splitlines()[0]


def first_lines(cell, n: int = 3) -> str:
    "How a cell begins."
    lines = [line for line in cell.source.splitlines() if line.strip()]
    shown = lines[:n]
    if len(lines) > n: shown.append('…')
    return '\n'.join(f'    {line}' for line in shown)
