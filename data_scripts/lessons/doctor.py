"""Checks this machine, and says how to put right what is wrong: `make doctor`. With --preflight, prints this machine's speed as JSON."""
import argparse, json, sys
from pathlib import Path


from course_utils.machine.doctor import Findings, examine
from course_utils.machine.preflight import figures


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--preflight', metavar='PROFILE', help='time a few training and validation steps at this profile')
    a = p.parse_args(argv)
    if a.preflight: print(json.dumps(figures(a.preflight))); return
    found = Findings(examine())
    print('\n'.join(repr(found).splitlines()[:-1]))
    print('Sliders can only be asked in JupyterLab: run doctor() in nbs/reference/doctor.ipynb.')
    if found.state == 'bad': sys.exit(found.sentence)
    print(found.sentence)


if __name__ == '__main__': main()
