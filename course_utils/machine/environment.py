"""The course's environment: made and filled before anything else can run, so only the standard library is imported here.

`course.py` calls it. uv fills the environment where it can be had, else pip does, with the same versions from constraints.txt."""
import hashlib, os, re, shutil, subprocess, sys
from contextlib import suppress
from pathlib import Path

from course_utils.config import CourseError, root
from course_utils.machine.places import child_environment, environment_program, find_program, typed_command

EXTRAS = {  # what is installed → the extra of pyproject.toml
    'lab': '',      # what learners need
    'test': 'dev',  # what the tests and the site need as well
    'hub': 'hub',   # data sets in Hugging Face's formats
}
ROOM = '8 GB of free disk'
VERSION_FILES = ('constraints.txt', 'pyproject.toml')


class Environment:
    "A folder with a Python of its own and the course's packages."
    def __init__(self,
        folder: Path,          # `.venv`
        course: Path,          # where course.py lies
        locked: bool = True,   # with the versions of constraints.txt; False: the newest that pyproject.toml allows
    ):
        self.folder, self.course, self.locked = Path(folder), Path(course), locked
        self.python = environment_program(self.folder, 'python')

    # ---- is it ready? ----

    def mark(self, part: str) -> Path:
        "The file that says which versions were installed."
        return self.folder/f'.ready-{part}'

    @property
    def cpu_mark(self) -> Path: return self.folder/'.cpu'

    def digest(self) -> str:
        "Changes with the versions, and where the folder has been moved: the course is installed by its place."
        digest = hashlib.sha256(str(self.course).encode())
        for name in VERSION_FILES: digest.update((self.course/name).read_bytes())
        return digest.hexdigest()

    def is_ready(self, part: str) -> bool:
        "Was this part installed, with these versions? The tests' packages hold the learner's."
        parts = ('lab', 'test') if part == 'lab' else (part,)
        return any(read_mark(self.mark(name)) == self.digest() for name in parts)

    def ready_parts(self) -> list:
        "What has been installed, with whatever versions."
        return [part for part in EXTRAS if self.mark(part).exists()]

    # ---- made and filled ----

    def make(self):
        "A new environment, where there is none. Raises `CourseError` where Python cannot make one."
        if self.python.exists(): return
        shutil.rmtree(self.folder, ignore_errors=True)
        made = subprocess.run([sys.executable, '-m', 'venv', str(self.folder)])
        if not made.returncode: return
        shutil.rmtree(self.folder, ignore_errors=True)
        raise CourseError(f'{sys.executable} could not make an environment: on Debian and Ubuntu, install python3-venv '
                          '(apt install python3-venv) and try again.')

    def requirement(self, part: str) -> list:
        "What the installer is told: the course as it lies here, one of its extras, and which versions."
        extra = EXTRAS[part]
        course = f'{self.course}[{extra}]' if extra else str(self.course)
        versions = ['-c', str(self.course/'constraints.txt')] if self.locked else []
        return [*versions, '-e', course]

    def fill(self, part: str, cpu: bool = False):
        "Installs a part, with uv where it can be had. Raises `CourseError` where neither uv nor pip could."
        print(f'Installing {in_words(part)} into {self.folder.name}.', flush=True)
        uv = self.uv()
        if cpu: cpu = self.fill_for_cpu(uv, part)
        done = cpu or self.fill_by_uv(uv, part) or self.fill_by_pip(part)
        if not done:
            raise CourseError(f'The installation failed: the lines above say why. It needs a network and {ROOM}; '
                              'the same command tries again.')
        if cpu: self.cpu_mark.touch()
        self.mark(part).write_text(self.digest())

    def fill_by_uv(self, uv: str | None, part: str, extra_options: tuple = ()) -> bool:
        "The same packages as with pip. What is loaded first is compiled, as pip does with everything: else the first cell would have to."
        if not uv: return False
        options = list(extra_options)
        # with this variable, Python keeps nothing that it compiles later
        compile_all = part != 'lab' or bool(os.environ.get('PYTHONDONTWRITEBYTECODE'))
        if compile_all: options.append('--compile-bytecode')
        if not sys.stderr.isatty(): options.append('--quiet')
        command = [uv, 'pip', 'install', '--python', str(self.python), *options, *self.requirement(part)]
        done = runs(command, child_environment(os.environ) | places_for_uv(self.pip_settings()))
        if done and not compile_all: self.compile_first_imports()
        if not done and not extra_options: print('uv could not: pip goes on.', flush=True)
        return done

    def compile_first_imports(self):
        "Beside what comes next: nobody waits for it."
        command = [str(self.python), '-m', 'course_utils.machine.warm']
        subprocess.Popen(command, cwd=self.course, env=child_environment(os.environ), stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def fill_by_pip(self, part: str) -> bool:
        "With the installer that every Python has."
        options = [] if sys.stdout.isatty() else ['--quiet']
        return runs([*self.pip(), 'install', *options, *self.requirement(part)], child_environment(os.environ))

    def fill_for_cpu(self, uv: str | None, part: str) -> bool:
        "torch without CUDA, from torch's own index, whose address uv knows. Where that cannot be had, a sentence says so."
        if not sys.platform.startswith('linux'):
            print("--cpu: on this system the ordinary torch has no CUDA libraries, so there is nothing to leave out.", flush=True)
            return False
        done = self.fill_by_uv(uv, part, extra_options=('--torch-backend', 'cpu'))
        if not done:
            reason = "torch's own index could not be reached" if uv else 'there is no uv here'
            print(f'--cpu: {reason}, so the ordinary torch is installed: 4 GB more, and it runs on a processor all the same.', flush=True)
        return done

    # ---- its installers ----

    def pip(self) -> list: return [str(self.python), '-m', 'pip', '--disable-pip-version-check']

    def uv(self) -> str | None:
        "uv from the path, else from the package index into a folder of the environment; None where it cannot be had."
        if os.environ.get('COURSE_INSTALLER') == 'pip': return None
        found = find_program('uv')
        if found: return found
        tools = self.folder/'.tools'
        program = environment_program(tools, 'uv', windows=False)
        if sys.platform == 'win32': program = program.with_suffix('.exe')
        if program.exists(): return str(program)
        version = locked_version((self.course/'constraints.txt').read_text(encoding='utf-8'), 'uv')
        runs([*self.pip(), 'install', '--quiet', '--target', str(tools), version], child_environment(os.environ), quiet=True)
        return str(program) if program.exists() else None

    def pip_settings(self) -> dict:
        "What pip has been told of where packages lie: setting → value."
        listed = subprocess.run([*self.pip(), 'config', 'list'], capture_output=True, text=True, env=child_environment(os.environ))
        return parse_pip_settings(listed.stdout)


# ---- around it ----

def in_words(part: str) -> str:
    "A part, as the learner is told of it."
    return dict(lab='the course (about 6 GB, a few minutes)', test='what the tests and the site need',
                hub="what Hugging Face's data sets need")[part]


def read_mark(path: Path) -> str:
    "What a mark says; nothing where there is none."
    with suppress(OSError): return path.read_text().strip()
    return ''


def runs(command: list, environment: dict, quiet: bool = False) -> bool:
    "Did the command end well? Its lines are shown, unless nobody needs them."
    output = subprocess.DEVNULL if quiet else None
    try: return subprocess.run(command, env=environment, stdout=output, stderr=output).returncode == 0
    except OSError: return False  # not a program of this system


def locked_version(
    constraints: str,  # text of constraints.txt
    name: str,
) -> str:  # `uv==0.13.9`, or the bare name where no version is locked
    "The line of a package in the constraints."
    line = re.search(rf'^{re.escape(name)}==\S+', constraints, re.M)
    return line[0] if line else name


SETTING = re.compile(r"^(?P<place>[^.]+)\.(?P<name>[\w-]+)='(?P<value>.*)'$", re.M)
PLACES = {  # pip's setting → uv's variable, and what stands between several values
    'index-url': ('UV_DEFAULT_INDEX', ' '),
    'extra-index-url': ('UV_INDEX', ' '),
    'find-links': ('UV_FIND_LINKS', ','),
    'trusted-host': ('UV_INSECURE_HOST', ' '),
    'cert': ('SSL_CERT_FILE', ' '),
}


def parse_pip_settings(
    text: str,  # of `pip config list`
) -> dict:      # setting → value; a variable counts more than a section on installing, and that more than a general one
    "What pip has been told of where packages lie."
    found = {}
    order = ('global', 'install', ':env:')
    matches = [match for match in SETTING.finditer(text) if match['place'] in order]
    for match in sorted(matches, key=lambda match: order.index(match['place'])): found[match['name']] = match['value']
    return {name: value for name, value in found.items() if name in PLACES}


def places_for_uv(
    settings: dict,  # of `parse_pip_settings`
) -> dict:           # environment variables
    "The same for uv, which does not read pip's settings. Where there are several indexes, the best version of all counts, as with pip."
    variables = {}
    for name, value in settings.items():
        variable, separator = PLACES[name]
        variables[variable] = separator.join(re.split(r'\s+|\\n', value.strip()))
    if 'UV_INDEX' in variables: variables['UV_INDEX_STRATEGY'] = 'unsafe-best-match'
    return {name: value for name, value in variables.items() if name not in os.environ}


def make_ready(
    part: str,                # of `EXTRAS`
    environment: Environment,
    cpu: bool = False,        # torch without CUDA
    again: bool = False,      # whatever the marks say
):
    "Makes and fills an environment where it is not ready. Raises `CourseError`."
    if cpu and not environment.cpu_mark.exists() and environment.ready_parts():
        print('--cpu: the environment is made anew, without CUDA.', flush=True)
        remove_environment(environment.folder)
    ready = environment.python.exists() and environment.is_ready(part)
    if ready and not again: return
    environment.make()
    parts = {*environment.ready_parts(), part} if again else {part}
    if again: [environment.mark(name).unlink(missing_ok=True) for name in EXTRAS]
    for name in EXTRAS:
        if name in parts: environment.fill(name, cpu or environment.cpu_mark.exists())


def remove_environment(folder: Path):
    "Raises `CourseError` where a program of it still runs, as Windows wants."
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists(): raise CourseError(f'{folder} could not be removed: stop JupyterLab and every program that uses it, then try again.')


REMOVED = ('.venv', '.venv-newest', '.cache', '_proc', '_docs', '.pytest_cache', '.hypothesis', 'course_utils.egg-info')


def clean_course(course: Path | None = None):
    "Removes what the commands made; keeps data sets and answers."
    course = course or root()
    for name in REMOVED: remove_environment(course/name)
    print('Removed the environment, the caches and the built site.')


def explain_missing(package: str) -> str:
    "The sentence for a part that is not installed."
    return f'{package} is not installed: `{typed_command("env", "EXTRA=hub")}` brings it.'
