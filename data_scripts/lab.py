"""Starts JupyterLab at the course home: `make lab`."""
import argparse, json, os, signal, socket, subprocess, sys
from pathlib import Path

from course_utils.config import root

ROOT = root()

HOME = 'nbs/index.ipynb'


def options(root, port) -> list:
    "JupyterLab's options for the course; the browser tests start it with the same."
    return ['--ip=127.0.0.1', f'--port={port}', '--ServerApp.port_retries=0', f'--ServerApp.root_dir={root}',
            '--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate', '--LabApp.extension_manager=readonly',
            # Pictures of a moving slider are sent at once.
            '--ServerApp.kernel_websocket_connection_class=course_utils.machine.server.PromptConnection',
            *(['--allow-root'] if hasattr(os, 'geteuid') and os.geteuid() == 0 else [])]


def environment() -> dict:
    "The server's, and so the kernels'."
    # The environment's own kernel comes before one of the same name in the home folder.
    env = dict(os.environ, JUPYTER_PREFER_ENV_PATH='1', PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get('PATH', '')]))
    env.setdefault('HF_HUB_DISABLE_TELEMETRY', '1')
    # A folder is named from where the learner stands; kernels start elsewhere.
    if (data := env.get('COURSE_DATA')) and (folder := Path(data).expanduser()).is_dir(): env['COURSE_DATA'] = str(folder.resolve())
    return env


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--port', default='8888')
    p.add_argument('--no-browser', action='store_true')
    a = p.parse_args(argv)
    if not a.port.isdigit() or not 0 < int(a.port) < 65536: sys.exit(f'PORT={a.port} is no port: use a number from 1 to 65535.')
    with socket.socket() as s:
        # As servers do, so that a port whose last connection has just closed counts as free.
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try: s.bind(('127.0.0.1', int(a.port)))
        except OSError as e: sys.exit(f'Port {a.port} cannot be used ({e.strerror}): try another, as in make lab PORT={int(a.port) % 65535 + 1}.')

    # Lab asks for news at its start unless its environment says no.
    page = Path(sys.prefix)/'etc'/'jupyter'/'labconfig'/'page_config.json'
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(json.dumps({'disabledExtensions': {'@jupyterlab/apputils-extension:announcements': True}}))
    lab = subprocess.Popen([sys.executable, '-m', 'jupyterlab', *options(ROOT, a.port), '--ServerApp.open_browser=' + str(not a.no_browser),
                            '--ServerApp.answer_yes=True', '--log-level=WARN',  # quiet, but for what goes wrong and the address with its token
                            # A workspace of its own: another project's open tabs are not looked for here.
                            f'--LabApp.default_url=/lab/workspaces/course/tree/{HOME}'], env=environment())
    print(f'JupyterLab starts on http://127.0.0.1:{a.port}/ and opens the course home; Ctrl-C stops it.', flush=True)
    signal.signal(signal.SIGTERM, lambda *_: lab.terminate())
    # Ctrl-C reaches JupyterLab too: wait until it has stopped its kernels.
    while True:
        try: code = lab.wait(); break
        except KeyboardInterrupt: pass
    if code > 0: sys.exit(f'JupyterLab stopped with status {code}: the lines above say why.')
    print('JupyterLab has stopped.')


if __name__ == '__main__': main()
