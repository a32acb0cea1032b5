"""What a check of this machine says, and the words and commands that several checks share."""
import sys
from dataclasses import dataclass
from pathlib import Path

from course_utils.config import root
from course_utils.machine.places import environment_program

STATES = {  # state → level of `show.palette.LEVELS`, from the best to the worst
    'good': 'good',     # nothing to do
    'look': 'near',     # worth a look, the course runs
    'bad': 'trouble',   # something that the course needs does not work
}


@dataclass
class CheckResult:
    "What one check found."
    state: str      # one of `STATES`
    found: str      # commands stand between backticks, here and in `fix`
    fix: str = ''   # a command or a sentence; empty where all is well
    name: str = ''  # of the check


def good(found: str) -> CheckResult: return CheckResult('good', found)


def error_line(error: Exception) -> str:
    "The kind of an error and the first line of its message."
    lines = str(error).splitlines()
    return f'{type(error).__name__}: {lines[0]}' if lines else type(error).__name__


def home_path(path) -> str:
    "As the learner would type it in the course's folder."
    path = Path(path)
    return str(path.relative_to(root())) if path.is_relative_to(root()) else str(path)


def shortened(items: list, n: int=5) -> str:
    "The first `n` items in a line, and how many more there are."
    line = '; '.join(items[:n])
    if len(items) > n: line += f' and {len(items) - n:,} more'
    return line


def gigabytes(n_bytes: float) -> str: return f'{n_bytes / 1e9:.1f} GB'


def reinstall() -> str:
    "Installs what is missing or of another version, whatever the environment's marks say."
    return f'`{quoted(course_python())} course.py doctor --again`'


def is_course_environment(prefix) -> bool:
    "Is this folder the course's own .venv?"
    return Path(prefix).resolve() == (root()/'.venv').resolve()


def course_python() -> str:
    "This Python, as a learner in the course's folder types it."
    if not is_course_environment(sys.prefix): return sys.executable
    return str(environment_program(Path('.venv'), 'python'))


def quoted(program: str) -> str:
    "A folder's name may hold spaces."
    return f'"{program}"' if ' ' in program else program


def install_again(package: str) -> str:
    "Installs one package again, files and all."
    return f'`{quoted(course_python())} -m pip install --force-reinstall --no-deps -c constraints.txt {package}`'
