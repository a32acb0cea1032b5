"""What `course.py` does with a command: makes the environment ready for it, then hands over to `python -m course_utils NAME` in it.

Only the standard library is imported: nothing may be installed yet."""
import argparse, os, sys

from course_utils.__main__ import COMMANDS, usage
from course_utils.config import CourseError, root
from course_utils.machine.environment import EXTRAS, Environment, clean_course, make_ready
from course_utils.machine.places import child_environment, hand_over, use_utf8

SETUP = {  # commands of course.py alone: they make or remove what the others run in
    'env': 'installs everything, the tests\' packages too (--extra hub: Hugging Face\'s formats)',
    'clean': 'removes the environment, the caches and the built site; keeps data sets and answers',
}
LOCKED_TEST = 'tests/test_house.py::test_constraints'  # true of the locked versions alone
HELP = '''
Before any of them: --cpu leaves out the CUDA libraries (4 GB of the 6.5), --again installs again whatever the marks say,
--newest takes the newest versions that pyproject.toml allows, in an environment of its own.'''


def options_of(arguments: list) -> tuple[argparse.Namespace, list]:
    "The options that say how to install, wherever they stand, and the rest."
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument('--cpu', action='store_true')
    parser.add_argument('--again', action='store_true')
    parser.add_argument('--newest', action='store_true')
    return parser.parse_known_args(arguments)


def environment_for(options: argparse.Namespace) -> Environment:
    "The course's own, or the one with the newest versions."
    if options.newest: return Environment(root()/'.venv-newest', root(), locked=False)
    return Environment(root()/'.venv', root())


def needed_part(name: str, rest: list) -> str:
    "What a command needs installed: a key of `EXTRAS`."
    if name == 'data' and rest and rest[0].startswith('hf:'): return 'hub'
    return COMMANDS[name].part


def install_everything(environment: Environment, options: argparse.Namespace, rest: list):
    "`env`: the tests' packages, and extras that are named."
    parser = argparse.ArgumentParser(prog='course.py env')
    parser.add_argument('--extra', choices=list(EXTRAS), default='test')
    extra = parser.parse_args(rest).extra
    make_ready('lab', environment, options.cpu, options.again)
    make_ready(extra, environment)
    print(f'The environment is ready in {environment.folder.name}.')


def run_command(name: str, environment: Environment, options: argparse.Namespace, rest: list) -> int:
    "Makes the environment ready for a command, and hands over to it. Raises `CourseError`."
    make_ready('lab', environment, options.cpu, options.again)
    make_ready(needed_part(name, rest), environment)
    if options.newest and name in ('check', 'test'): rest = [*rest, '--deselect', LOCKED_TEST]
    python = str(environment.python)
    return hand_over([python, '-m', 'course_utils', name, *rest], child_environment(os.environ))


def main(arguments: list | None = None):
    "Runs a command. What goes wrong is one sentence on stderr, and status 1."
    for stream in (sys.stdout, sys.stderr): use_utf8(stream)
    options, rest = options_of(sys.argv[1:] if arguments is None else arguments)
    if not rest or rest[0] in ('-h', '--help'):
        setup = [f'  {name:12} {summary}' for name, summary in SETUP.items()]
        print('\n'.join([usage('python course.py NAME'), *setup]) + '\n' + HELP)
        return
    name, *rest = rest
    if name not in {**COMMANDS, **SETUP}: sys.exit(f"There is no command '{name}': there are {', '.join([*COMMANDS, *SETUP])}.")
    try:
        if name == 'clean': clean_course()
        elif name == 'env': install_everything(environment_for(options), options, rest)
        else: sys.exit(run_command(name, environment_for(options), options, rest))
    except CourseError as error: sys.exit(str(error))
    except KeyboardInterrupt: sys.exit('Stopped: the same command goes on from there.')
