"""What differs between systems: where an environment keeps its programs, how a program is handed over to, what a terminal can write,
what is typed. Windows, macOS and Linux differ here and nowhere else. Only the standard library: this runs before anything is installed."""
import os, shutil, subprocess, sys
from pathlib import Path

IS_WINDOWS = os.name == 'nt'


def programs_folder(
    environment: Path,
    windows: bool = IS_WINDOWS,
) -> Path:
    "The folder in which an environment keeps its programs: `Scripts` on Windows, `bin` elsewhere."
    return Path(environment)/('Scripts' if windows else 'bin')


def environment_program(
    environment: Path,
    name: str,            # `python`, `uv`
    windows: bool = IS_WINDOWS,
) -> Path:
    "A program of an environment, with the ending that Windows wants."
    return programs_folder(environment, windows)/(f'{name}.exe' if windows else name)


def typed_command(
    name: str,            # of a command: `lab`
    settings: str = '',   # as make takes them: `PORT=8890`
    windows: bool = IS_WINDOWS,
) -> str:
    "What a learner types: `make lab PORT=8890`, and on Windows, which has no make, `py course.py lab --port 8890`."
    if not windows: return f'make {name} {settings}'.strip()
    options = []
    for setting in settings.split():
        key, _, value = setting.partition('=')
        options.append(f'--{key.lower()} {value}')
    return ' '.join(['py course.py', name, *options])


def with_variable(
    variable: str,        # `COURSE_DATA`
    value: str,
    command: str,
    windows: bool = IS_WINDOWS,
) -> str:
    "A command with an environment variable set: one line in a Unix shell, two commands in PowerShell."
    if windows: return f'$env:{variable}="{value}"; {command}'
    return f'{variable}={value} {command}'


def writable_again(
    folder: Path,
    windows: bool = IS_WINDOWS,
) -> str:
    "The command that gives a folder's owner the right to write again."
    if windows: return f'icacls "{folder}" /reset /T'
    return f'chmod -R u+rwX "{folder}"'


def child_environment(
    environment: dict,    # of this process
) -> dict:
    """The environment of what the course starts. Text is UTF-8 on every system: on Windows, files and consoles would else be
    read and written in the code page of the country, and the course's signs are in none of them."""
    child = dict(environment)
    child['PYTHONUTF8'] = '1'
    # albumentations 2 would ask a server for its newest version at import
    child.setdefault('NO_ALBUMENTATIONS_UPDATE', '1')
    return child


def use_utf8(stream):
    "Has a stream write UTF-8, and a sign that a console cannot show as `?`: no sentence ends in an error."
    if hasattr(stream, 'reconfigure'): stream.reconfigure(encoding='utf-8', errors='replace')


def hand_over(
    command: list,        # program and arguments
    environment: dict,
    windows: bool = IS_WINDOWS,
) -> int:
    """Runs a command in place of this process, where the system can: signals then reach it, and no second Python waits.
    Windows cannot (its `execve` returns to the terminal at once), so there it is a child. Returns the child's status."""
    sys.stdout.flush()
    if not windows: os.execve(command[0], command, environment)
    return run_child(command, environment)


def run_child(command: list, environment: dict) -> int:
    "Runs a command and waits. Ctrl-C reaches it too: it may end in its own way."
    process = subprocess.Popen(command, env=environment)
    while True:
        try: return process.wait()
        except KeyboardInterrupt: continue


def find_program(
    name: str,
    path: str | None = None,  # where to look; None: the PATH
) -> str | None:
    "A program on the path."
    return shutil.which(name, path=path)
