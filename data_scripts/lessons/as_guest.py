"""A lesson as Colab or Kaggle would run it: another environment's Python, an empty folder, no git, and the course from an archive.

`python -m data_scripts.lessons.as_guest Colab /path/to/platform/bin/python` says how long it takes from the first cell to a slider that moves."""
import argparse, os, shutil, subprocess, sys, tempfile, time
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from jupyter_client import KernelManager

from course_utils.config import CourseError, root
from course_utils.machine.guest import PLATFORMS
from data_scripts.site.write_door import CELL_ID, repository, with_door

WORK_FOLDERS = dict(Colab='content', Kaggle='kaggle/working')
# The sliders are found among all objects of the kernel: no variable of the lesson holds them.
MOVES = '''
import gc, ipywidgets
sliders = [thing for thing in gc.get_objects() if isinstance(thing, ipywidgets.FloatSlider)]
pictures = [thing for thing in gc.get_objects() if isinstance(thing, ipywidgets.Image)]
seen = [pictures[0].value]
for step in range(1, 9):
    sliders[0].value = sliders[0].min + (sliders[0].max - sliders[0].min) * step / 8
    seen.append(pictures[0].value)
models = {(thing._model_module, thing._model_module_version) for thing in gc.get_objects() if isinstance(thing, ipywidgets.DOMWidget)}
print(len(set(seen)), 'pictures of', len(seen), 'positions;', *sorted(map(str, models)))
'''


@dataclass
class GuestTrial:
    "What was seen."
    platform: str
    first_cell_s: float = 0.
    slider_s: float = 0.
    said: list = field(default_factory=list)  # what the first cell and the moves print


def pack_course(folder: Path):
    "The course as its host packs it at a commit: the archive of the branch."
    repo = repository()
    command = ['git', 'archive', '--format=zip', f'--prefix={repo.name}-{repo.branch}/', '-o', str(folder/f'{repo.branch}.zip'), 'HEAD']
    subprocess.run(command, cwd=root(), check=True)


def guest_environment(platform: str, archives: Path, python: Path) -> dict:
    "Nothing of this process's course: the platform's variable, and the place of the archive."
    kept = {name: value for name, value in os.environ.items() if not name.startswith(('COURSE_', 'PYTHON', 'JUPYTER', 'VIRTUAL_ENV'))}
    path = os.pathsep.join([str(python.parent), os.defpath])
    return kept | {PLATFORMS[platform]: 'emulated', 'COURSE_ARCHIVES': archives.as_uri(), 'PATH': path, 'COURSE_PROFILE': 'smoke'}


class GuestKernel:
    "A kernel of the platform's Python, in a folder of its own."
    def __init__(self, python: Path, folder: Path, environment: dict):
        self.manager = KernelManager()
        self.manager.kernel_spec.argv = [str(python), '-m', 'ipykernel_launcher', '-f', '{connection_file}']
        self.manager.start_kernel(cwd=str(folder), env=environment)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(300)

    def run(self, code: str) -> str:
        "What a cell prints. Raises `CourseError` where it fails."
        printed = []

        def keep(message):
            if message['msg_type'] == 'stream': printed.append(message['content']['text'])

        reply = self.client.execute_interactive(code, timeout=1800, output_hook=keep)['content']
        if reply['status'] == 'ok': return ''.join(printed).strip()
        raise CourseError(f"{reply['ename']}: {reply['evalue']}")

    def stop(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def try_as_guest(platform: str, python: Path, lesson: str = '01_augmentation') -> GuestTrial:
    "Runs a lesson's cells until the first explorer is there, and moves its slider. Raises `CourseError` where a cell fails."
    trial = GuestTrial(platform)
    work = Path(tempfile.mkdtemp(prefix='guest-'))
    folder = work/WORK_FOLDERS[platform]
    folder.mkdir(parents=True)
    pack_course(work)
    path = root()/'nbs'/f'{lesson}.ipynb'
    notebook = with_door(nbformat.read(path, 4), repository(), f'nbs/{lesson}.ipynb')
    kernel = GuestKernel(python, folder, guest_environment(platform, work, python))
    try:
        start = time.perf_counter()
        for cell in notebook.cells:
            if cell.cell_type != 'code': continue
            printed = kernel.run(cell.source)
            if cell.id == CELL_ID:
                trial.first_cell_s = time.perf_counter() - start
                trial.said.append(printed)
            if 'explorer(' in cell.source: break
        trial.said.append(kernel.run(MOVES))
        trial.slider_s = time.perf_counter() - start
    finally:
        kernel.stop()
        shutil.rmtree(work, ignore_errors=True)
    return trial


def main(arguments: list | None = None):
    "Says what was seen."
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('platform', choices=list(PLATFORMS))
    parser.add_argument('python', type=Path)
    parser.add_argument('--lesson', default='01_augmentation')
    options = parser.parse_args(arguments)
    try: trial = try_as_guest(options.platform, options.python, options.lesson)
    except CourseError as error: sys.exit(str(error))
    print('\n'.join(trial.said))
    print(f'{trial.platform}: first cell {trial.first_cell_s:.0f} s, to a moving slider {trial.slider_s:.0f} s.')


if __name__ == '__main__': main()
