"""One worker of a search: `python -m course_utils sweep mine --n 20`

Start it in as many shells, on as many machines, as reach the storage (COURSE_STORAGE: a file, or a database's address): they share
the trials. Stop one, kill one, start it again: no finished trial is lost, and none is counted twice."""
import argparse
from dataclasses import replace

from course_utils.data.pictures import load_pictures
from course_utils.techniques.search import Report, hold_out, open_study, search
from course_utils.techniques.search_storage import open_storage
from course_utils.training.recipe import Recipe
from course_utils.training.train import train


def changed(
    recipe: Recipe,
    trial,  # Optuna's
) -> Recipe:
    "The recipe of a trial. Write your own changes into it; another space needs another name of the search."
    rate = trial.suggest_float('lr', 1e-4, 1e-2, log=True)
    bs = 2 ** trial.suggest_int('log2_bs', 3, 6)
    return replace(recipe, lr_max=rate, bs=bs)


def main(arguments=None):
    "Works on a search until it has its trials, and prints them."
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('name', help='of the search; the same pictures and settings in every worker')
    parser.add_argument('--n', type=int, default=20, help='finished trials, of all workers together')
    parser.add_argument('--data', help='a data set by name, or a folder of class folders')
    parser.add_argument('--arch', default='tf_efficientnet_lite0', help='a timm model')
    parser.add_argument('--epochs', type=int, default=3)
    parser.add_argument('--limit', type=int, help='at most about this many pictures')
    parser.add_argument('--every', type=int, default=5, help='whole seconds between two heartbeats; after six without one, a trial is taken for dead')
    options = parser.parse_args(arguments)
    pics = hold_out(load_pictures(options.data, limit=options.limit))  # the validation pictures are left for the test
    recipe = Recipe(options.arch, options.epochs, pretrained=True)

    def objective(trial) -> float:
        run = train(pics, replace(changed(recipe, trial), callbacks=(Report(trial),)), quiet=True)
        return run.accuracy

    study = open_study(options.name, storage=open_storage(every=options.every))
    print(search(study, objective, options.n).to_string())
