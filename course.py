"""The course's commands on every system: `python course.py lab`. With no command it lists them.

Only the standard library, and nothing that an old Python cannot read: it may be an old one that is asked to start."""
import os, subprocess, sys

HOME = os.path.dirname(os.path.abspath(__file__))
NEWER = ('python3.11', 'python3.12', 'python3.13', 'python3.14', 'python3', 'python')
PROBE = 'import sys; sys.exit(sys.version_info < (3, 11))'


def is_new_enough(program):
    "Does it answer, and is it Python 3.11 or newer? Some names on the path are empty shells."
    with open(os.devnull, 'w') as nowhere:
        try: return subprocess.call([program, '-c', PROBE], stdout=nowhere, stderr=nowhere) == 0
        except OSError: return False


def start_newer():
    "Starts this file again with a Python that is new enough, where there is one."
    programs = [program for program in NEWER if is_new_enough(program)]
    if not programs:
        version = '.'.join(map(str, sys.version_info[:2]))
        sys.exit('The course needs Python 3.11 or newer, and this is %s: no Python from 3.11 up was found. Install one from '
                 'python.org, and start course.py with it.' % version)
    sys.exit(subprocess.call([programs[0], os.path.join(HOME, 'course.py')] + sys.argv[1:]))


if __name__ == '__main__':
    if sys.version_info < (3, 11): start_newer()
    sys.path[0] = HOME
    from course_utils.machine.entry import main
    main()
