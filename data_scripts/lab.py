"""Starts JupyterLab at the course home: `make lab`."""
import argparse, json, os, signal, socket, subprocess, sys
from pathlib import Path

from course_utils.config import root
from course_utils.machine.places import IS_WINDOWS, typed_command

ROOT = root()
HOME_NOTEBOOK = 'nbs/index.ipynb'
NO_NEWS = {'disabledExtensions': {'@jupyterlab/apputils-extension:announcements': True}}


def lab_options(
    folder,  # what JupyterLab shows
    port,
) -> list:
    "JupyterLab's options for the course; the browser tests start it with the same."
    options = [
        '--ip=127.0.0.1',
        f'--port={port}',
        '--ServerApp.port_retries=0',
        f'--ServerApp.root_dir={folder}',
        '--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate',
        '--LabApp.extension_manager=readonly',
        # Pictures of a moving slider are sent at once.
        '--ServerApp.kernel_websocket_connection_class=course_utils.machine.server.PromptConnection',
    ]
    is_administrator = hasattr(os, 'geteuid') and os.geteuid() == 0
    if is_administrator: options.append('--allow-root')
    return options


def lab_environment() -> dict:
    "The server's, and so the kernels'."
    folder_of_python = str(Path(sys.executable).parent)
    environment = dict(os.environ)
    # The environment's own kernel comes before one of the same name in the home folder.
    environment['JUPYTER_PREFER_ENV_PATH'] = '1'
    environment['PATH'] = os.pathsep.join([folder_of_python, os.environ.get('PATH', '')])
    environment.setdefault('HF_HUB_DISABLE_TELEMETRY', '1')
    # A folder or a table is named from where the learner stands; kernels start elsewhere.
    data = environment.get('COURSE_DATA', '')
    folder = Path(data).expanduser()
    if data and folder.exists(): environment['COURSE_DATA'] = str(folder.resolve())
    return environment


def check_port(port: str):
    "Ends with a sentence where the port is none, or cannot be used."
    if not port.isdigit() or not 0 < int(port) < 65536: sys.exit(f'PORT={port} is no port: use a number from 1 to 65535.')
    number = int(port)
    with socket.socket() as probe:
        # As servers do, so that a port whose last connection has just closed counts as free. On Windows the same option
        # would let a second server take a port that is in use.
        if not IS_WINDOWS: probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try: probe.bind(('127.0.0.1', number))
        except OSError as error:
            another = typed_command('lab', f'PORT={number % 65535 + 1}')
            sys.exit(f'Port {port} cannot be used ({error.strerror}): try another, as in {another}.')


def switch_off_news():
    "Lab asks for news at its start unless its environment says no."
    page = Path(sys.prefix)/'etc'/'jupyter'/'labconfig'/'page_config.json'
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(json.dumps(NO_NEWS))


def start_lab(port: str, browser: bool) -> subprocess.Popen:
    "JupyterLab at the course home, in a process of its own."
    command = [
        sys.executable, '-m', 'jupyterlab',
        *lab_options(ROOT, port),
        f'--ServerApp.open_browser={browser}',
        '--ServerApp.answer_yes=True',
        '--log-level=WARN',  # quiet, but for what goes wrong and the address with its token
        # A workspace of its own: another project's open tabs are not looked for here.
        f'--LabApp.default_url=/lab/workspaces/course/tree/{HOME_NOTEBOOK}',
    ]
    return subprocess.Popen(command, env=lab_environment())


def wait_until_stopped(lab: subprocess.Popen) -> int:
    "Its status. Ctrl-C reaches JupyterLab too: wait until it has stopped its kernels."
    while True:
        try: return lab.wait()
        except KeyboardInterrupt: pass


def main(arguments=None):
    "Starts JupyterLab and waits for its end."
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--port', default='8888')
    parser.add_argument('--no-browser', action='store_true')
    options = parser.parse_args(arguments)
    check_port(options.port)
    switch_off_news()
    lab = start_lab(options.port, browser=not options.no_browser)
    print(f'JupyterLab starts on http://127.0.0.1:{options.port}/ and opens the course home; Ctrl-C stops it.', flush=True)
    signal.signal(signal.SIGTERM, lambda *_: lab.terminate())
    status = wait_until_stopped(lab)
    if status > 0: sys.exit(f'JupyterLab stopped with status {status}: the lines above say why.')
    print('JupyterLab has stopped.')
