"""One worker of a search: python data_scripts/sweep.py mine --n 20

Start it in as many shells, on as many machines, as reach the storage (COURSE_STORAGE: a file, or a database's address): they share
the trials. Stop one, kill one, start it again: no trial is lost and none is done twice."""
import argparse, sys
from pathlib import Path

from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.techniques.search import Report, hold_out, open_study, search
from course_utils.training.train import train


def drawn(trial) -> dict:
    "The settings of a trial. Write your own here; another space needs another name of the search."
    return dict(lr_max=trial.suggest_float('lr', 1e-4, 1e-2, log=True), bs=2 ** trial.suggest_int('log2_bs', 3, 6))


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('name', help='of the search; the same pictures and settings in every worker')
    p.add_argument('--n', type=int, default=20, help='finished trials, of all workers together')
    p.add_argument('--data', help='a data set by name, or a folder of class folders')
    p.add_argument('--arch', default='tf_efficientnet_lite0', help='a timm model')
    p.add_argument('--epochs', type=int, default=3)
    p.add_argument('--limit', type=int, help='at most about this many pictures')
    p.add_argument('--every', type=float, default=5, help='seconds between two heartbeats; after six without one, a trial is given back')
    a = p.parse_args(argv)
    pics = hold_out(load_pictures(a.data, limit=a.limit))  # the validation pictures are left for the test
    objective = lambda trial: train(pics, a.arch, a.epochs, **drawn(trial), pretrained=True, cbs=[Report(trial)], quiet=True).accuracy
    print(search(open_study(a.name), objective, a.n, a.every).to_string())

