"""A JupyterLab of its own, started and stopped: for the bench and the browser tests."""
import json, os, secrets, shutil, socket, subprocess, sys, time, urllib.error, urllib.request
from pathlib import Path

from course_utils.config import root
from data_scripts.lab import NO_NEWS, lab_options

ROOT = root()
JUPYTER_FOLDERS = dict(
    JUPYTER_CONFIG_DIR='config',
    JUPYTER_DATA_DIR='data',
    JUPYTER_RUNTIME_DIR='runtime',
    IPYTHONDIR='ipython',
    JUPYTERLAB_SETTINGS_DIR='settings',
    JUPYTERLAB_WORKSPACES_DIR='workspaces',
)


def free_port() -> int:
    "A port of this machine that nobody listens at."
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def wait_for(
    condition,             # called until it gives something true
    timeout_s: float,
    message,               # of the failure: text, or a function that gives it
    every_s: float = .1,
):
    "What the condition gives. After `timeout_s` it raises `TimeoutError`."
    end = time.monotonic() + timeout_s
    while True:
        result = condition()
        if result: return result
        if time.monotonic() > end: raise TimeoutError(message() if callable(message) else message)
        time.sleep(every_s)


class LabServer:
    "A JupyterLab on a copy of the notebooks."
    def __init__(self,
        home: Path,                      # an empty folder for everything it writes
        notebooks: Path = ROOT/'nbs',
        **environment                    # of the server, and so of its kernels
    ):
        self.home = Path(home)
        self.environment = environment
        self.token = secrets.token_hex(16)
        self.port = free_port()
        self.url = f'http://127.0.0.1:{self.port}'
        self.root = self.home/'notebooks'
        # JupyterLab saves by itself: never work on the originals
        if notebooks.exists(): shutil.copytree(notebooks, self.root)
        else: self.root.mkdir(parents=True)

    def __enter__(self):
        folders = {name: str(self.home/folder) for name, folder in JUPYTER_FOLDERS.items()}
        for folder in folders.values(): os.makedirs(folder)
        page_config = self.home/'config'/'labconfig'/'page_config.json'
        page_config.parent.mkdir()
        page_config.write_text(json.dumps(NO_NEWS))
        paths = [str(ROOT)]
        if os.environ.get('PYTHONPATH'): paths.append(os.environ['PYTHONPATH'])
        environment = {**os.environ, **folders, **self.environment, 'PYTHONPATH': os.pathsep.join(paths)}
        command = [sys.executable, '-m', 'jupyterlab', *lab_options(self.root, self.port), '--no-browser',
                   f'--IdentityProvider.token={self.token}']
        self.log = open(self.home/'server.log', 'w')
        self.server = subprocess.Popen(command, env=environment, cwd=self.root, stdin=subprocess.DEVNULL,
                                       stdout=self.log, stderr=subprocess.STDOUT)
        try: wait_for(self.status, 60, lambda: f'JupyterLab did not answer within 60 s:\n{self.log_tail()}')
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        "Stops the kernels, then the server, by its process id, and waits until it is gone."
        if self.server.poll() is None:
            self.stop_kernels()
            self.server.terminate()
            try: self.server.wait(15)
            except subprocess.TimeoutExpired:
                self.server.kill()
                self.server.wait()
        self.log.close()

    def stop_kernels(self):
        try:
            for kernel in self.api('kernels'): self.api(f"kernels/{kernel['id']}", 'DELETE')
        except OSError: pass  # it no longer answers: then it is stopped without

    def log_tail(self) -> str: return (self.home/'server.log').read_text()[-2000:]

    def api(self, path: str, method: str = 'GET'):
        "What the server's interface answers, as JSON."
        headers = {'Authorization': f'token {self.token}'}
        request = urllib.request.Request(f'{self.url}/api/{path}', method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=20) as answer: return json.loads(answer.read() or 'null')

    def status(self):
        "The server's answer, or None while it has none. Raises `RuntimeError` where it has ended."
        status = self.server.poll()
        if status is not None: raise RuntimeError(f'JupyterLab ended with status {status}:\n{self.log_tail()}')
        try: return self.api('status')
        except (OSError, urllib.error.URLError): return None
