"""Checks this machine, and says how to put right what is wrong: `make doctor`. With --preflight, prints this machine's speed as JSON."""
import argparse, json, sys

from course_utils.machine.doctor import CheckResults, run_checks


def main(arguments=None):
    "Prints what was found. What does not work ends in its sentence and status 1."
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--preflight', metavar='PROFILE', help='time a few training and validation steps at this profile')
    options = parser.parse_args(arguments)
    if options.preflight:
        from course_utils.machine.preflight import time_machine  # later: the doctor must speak where torch is broken
        print(json.dumps(time_machine(options.preflight)))
        return
    results = CheckResults(run_checks())
    lines = repr(results).splitlines()
    print('\n'.join(lines[:-1]))
    print('Sliders can only be asked in JupyterLab: run from course_utils.machine.doctor import doctor; doctor() in a notebook.')
    if results.state == 'bad': sys.exit(results.sentence)
    print(results.sentence)
