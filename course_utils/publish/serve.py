"""Shows an exported classifier as an app: `python -m course_utils app MODEL.onnx`.

Gradio 6 wants an older Pillow than the course, so the app runs in an environment of its own, which `--install` makes once."""
import argparse, os, subprocess, sys, tempfile, venv
from importlib.util import find_spec
from pathlib import Path

from course_utils.config import CourseError, cache_dir
from course_utils.publish.space import write_space

APP_IMPORTS = 'import gradio, numpy, onnxruntime, PIL'


def app_environment() -> Path:
    "The Python of the environment that `install_app` makes."
    folder = cache_dir()/'app_environment'
    return folder/('Scripts/python.exe' if os.name == 'nt' else 'bin/python')


def import_trouble(python: Path) -> str:
    "Why that Python cannot import what the app needs; empty where it can."
    if not python.exists(): return 'there is no environment for it yet'
    environment = dict(os.environ, GRADIO_ANALYTICS_ENABLED='False')
    try: done = subprocess.run([str(python), '-c', APP_IMPORTS], env=environment, capture_output=True, text=True)
    except OSError as e: return str(e.strerror or e)
    if not done.returncode: return ''
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f'it ended with status {done.returncode}'


def install_app(requirements: Path):
    "Makes the environment and installs what the app needs. Raises `CourseError` where pip cannot."
    python = app_environment()
    venv.create(python.parents[1], with_pip=True, clear=True)
    command = [str(python), '-m', 'pip', 'install', '--quiet', '-r', str(requirements)]
    if not subprocess.run(command).returncode: return
    raise CourseError("What the app needs could not be installed: the lines above say why; try again with a network.")


def app_python(space: Path, install: bool) -> str:
    "A Python that can import Gradio. Raises `CourseError` where there is none and none may be installed, or where what was installed does not work."
    if find_spec('gradio'): return sys.executable
    python = app_environment()
    trouble = import_trouble(python)
    if not trouble: return str(python)
    if not install: raise CourseError(f"The app needs Gradio, which is not here ({trouble}): add --install, and it gets an environment of its own.")
    install_app(space/'requirements.txt')
    trouble = import_trouble(python)
    if trouble: raise CourseError(f"What the app needs was installed and cannot be imported ({trouble}): mend what that names, then try again with --install.")
    return str(python)


def main(arguments: list | None=None):
    "`MODEL.onnx --host --port --install`. Runs until Ctrl-C."
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model', help='an ONNX file that export wrote')
    parser.add_argument('--host', default='127.0.0.1', help='who may come: 0.0.0.0 lets others in')
    parser.add_argument('--port', type=int, default=7860)
    parser.add_argument('--install', action='store_true', help='install Gradio in an environment of its own, if it is missing')
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix='space-') as work:
        space = write_space(options.model, Path(work)/'space')
        python = app_python(space, options.install)
        environment = dict(os.environ, GRADIO_SERVER_NAME=options.host, GRADIO_SERVER_PORT=str(options.port))
        status = subprocess.run([python, 'app.py'], cwd=space, env=environment).returncode
    if status: raise CourseError(f"The app has ended with status {status}: the lines above say why; is port {options.port} in use? --port names another.")
