"""Runs the course's tests: `check` the fast ones, `test` all of them, `test-offline` all of them without a network.

All of them run file by file in several processes: `ARGS='-n 0'` takes one."""
import argparse, os, shutil, subprocess, sys

import psutil

from course_utils.config import CourseError, root

FAST = ('-q', '-m', 'not slow and not browser and not timing')
MAX_WORKERS = 4
WORKER_BYTES = 4 * 2**30  # one that trains, with a kernel and a browser beside it


def n_workers(
    cores: int,   # that there are
    memory: int,  # bytes, in all
) -> int:
    "Processes that run test files side by side: a core and 4 GiB for each."
    return max(1, min(cores, MAX_WORKERS, memory // WORKER_BYTES))


# A file stays in one process: its tests share what it trained.
SIDE_BY_SIDE = ('-n', str(n_workers(os.cpu_count() or 1, psutil.virtual_memory().total)), '--dist', 'loadfile')
# Inside the new network only the loopback device is there, and it is down.
OFFLINE = ('unshare', '-rn', sys.executable, 'tests/offline/loopback.py')
TEST_KINDS = {  # command → pytest's arguments, what is said after
    'check': (FAST, 'Checked: style and fast tests pass.', 'The check failed'),
    'test': (SIDE_BY_SIDE, 'Tested: everything passes.', 'Tests failed'),
    'test-offline': (SIDE_BY_SIDE, 'Tested without a network: everything passes.', 'Tests without a network failed'),
}


def can_cut_off() -> bool:
    "May this user have a network of its own, in which nothing is? Linux only."
    if not shutil.which('unshare'): return False
    return subprocess.run(['unshare', '-rn', 'true'], capture_output=True).returncode == 0


def pytest_command(kind: str, arguments: list) -> list:
    "The command that runs the tests. Raises `CourseError` where the network cannot be cut off."
    fixed, _, _ = TEST_KINDS[kind]
    pytest = ['-m', 'pytest', *fixed, *arguments]
    if kind != 'test-offline': return [sys.executable, *pytest]
    if can_cut_off(): return [*OFFLINE, sys.executable, *pytest]
    raise CourseError('make test-offline needs Linux and the right to use unshare -n; make test cuts the network off inside Python instead.')


def main(arguments: list | None = None):
    "Runs them in the course's folder. Raises `CourseError` where one fails."
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('kind', choices=list(TEST_KINDS))
    options, rest = parser.parse_known_args(arguments)
    _, passed, failed = TEST_KINDS[options.kind]
    process = subprocess.run(pytest_command(options.kind, rest), cwd=root())
    if process.returncode: raise CourseError(f'{failed}: see the lines above.')
    print(passed)
