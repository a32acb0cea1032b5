"""Measures what takes longer than a lesson, over folds or seeds, into results/NAME.json: `make measure ONLY=schedules`.

Every finished run is written at once and in one step, so a killed measurement goes on where it was. Several processes share one
measurement: `OMP_NUM_THREADS=1 make measure ONLY=schedules` in two terminals takes about half of the time on two cores. On another data set (`--data`)
or at another profile than `cpu` the file has their names, too: results/schedules_cats_dogs.json.

An experiment is a function that lists its arms, each a Recipe with a name, and one that measures an arm at one seed."""
import argparse, os, time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.models import count, create_model
from course_utils.report.results import read_results
from course_utils.show.words import plural
from course_utils.techniques.augment import pipeline
from course_utils.techniques.ladder import (
    LITE, TOP, climb, climbed, found_rate, graded_training, left_out, longer_training, rungs, same_training)
from course_utils.techniques.newer_techniques import newer_recipes
from course_utils.techniques.scaling import SMALL_ARCH, axes_of, macs
from course_utils.techniques.transfer import article_head, fastai_head, fit_head, frozen_features, linear_head
from course_utils.training.learner import default_device
from course_utils.training.recipe import Recipe
from course_utils.training.run import Run, held_out_groups
from course_utils.training.train import train
from data_scripts.experiments.augmentation import augmentation_arms, measure_augmentation
from data_scripts.experiments.engine import (
    N_FOLDS, Trial, arm, experiment_path, measure, over_folds, over_seeds, pick, run_numbers)
from data_scripts.experiments.finder import finder_arms, measure_finder
from data_scripts.experiments.rates import measure_peak, measure_rates, peaks_arms, rates_arms
from data_scripts.experiments.schedules import measure_schedule, schedules_arms
from data_scripts.experiments.views import measure_views, views_arms

SMALL = 'regnetx_002'
PEAK = 2e-3  # the highest rate of a fine-tuning


def train_trial(trial: Trial) -> Run:
    "Trains as the recipe says, on a share of the pictures where the trial has one."
    recipe = replace(trial.recipe, repeats=round(1 / trial.share))
    return train(trial.part_of(trial.pictures()), recipe, quiet=True)


def measure_training(trial: Trial) -> dict: return run_numbers(train_trial(trial))


# ---- transfer: lesson 02 ----

TRAIN_SHARES = (.05, .1, .25, .5, 1.)


def transfer_arms() -> list:
    """Scratch and transfer for about the same time: the epochs are what it allows on a processor, validation included, and
    `seconds` says whether it came out equal. Epochs are of all training pictures: with a share of them, each is seen more often."""
    def epochs(n: int) -> int: return pick(smoke=1, cpu=n, gpu=5 * n)
    scratch = Recipe(LITE, epochs(3), lr_max=PEAK, bs=32)
    small = replace(scratch, arch=SMALL, epochs=epochs(6), lr_max=3e-3)
    tuned = replace(scratch, pretrained=True, freeze_epochs=epochs(2), epochs=epochs(2), batchnorm='still_in_frozen')
    frozen = replace(tuned, freeze_epochs=epochs(3), epochs=0)
    on_features = Recipe(LITE, pick(smoke=3, cpu=20), pretrained=True, bs=32, head=linear_head)

    def shares(name: str, recipe: Recipe) -> list:
        return [arm(f'{name}, {share:.0%}', recipe, share=share) for share in pick(smoke=(.25, 1.), cpu=TRAIN_SHARES)]

    return [
        *shares('scratch, small network', small),
        *shares('frozen, then unfrozen', tuned),
        *shares('frozen body', on_features),
        arm('frozen body, article head, 100%', replace(on_features, head=article_head)),
        arm('frozen body, fastai head, 100%', replace(on_features, head=fastai_head)),
        arm('frozen body, BatchNorm still, 100%', frozen),
        arm('frozen body, BatchNorm moves, 100%', replace(frozen, batchnorm='learns')),
        arm('scratch, 100%', scratch),
    ]


def measure_transfer(trial: Trial) -> dict:
    "A recipe with a head trains that alone, on features that are computed once."
    return measure_head(trial) if trial.recipe.head else measure_training(trial)


@lru_cache(maxsize=1)
def features_once(arch: str, size: int, limit: int | None) -> tuple:
    "The pictures; features and labels to train on and held out; the seconds it took."
    pics = load_pictures(size=size, limit=limit)
    body = create_model(arch)
    start = time.perf_counter()
    body.to(default_device())
    training = frozen_features(body, pics, pics.train)
    held_out = frozen_features(body, pics, pics.valid)
    return pics, training, held_out, time.perf_counter() - start


def measure_head(trial: Trial) -> dict:
    "The body's features are the same for every head, share and seed: `seconds` counts them in."
    recipe = trial.recipe
    pics, (x, y), (valid_x, valid_y), seconds = features_once(recipe.arch, trial.size, trial.limit)
    part = pics.subset(round(trial.share * len(pics.train)), seed=0)
    row_of = {path: i for i, path in enumerate(pics.table.path.iloc[pics.train])}
    rows = torch.tensor([row_of[path] for path in part.table.path.iloc[part.train]])
    start = time.perf_counter()
    torch.manual_seed(recipe.seed)
    head = recipe.head(x.shape[1], len(pics.classes))
    epochs = round(recipe.epochs / trial.share)
    model = fit_head(head, x[rows], y[rows], epochs=epochs, bs=recipe.bs, seed=recipe.seed)
    with torch.inference_mode(): probs = model(valid_x).softmax(1).numpy()
    seconds = trial.share * seconds + time.perf_counter() - start
    return run_numbers(Run(None, probs, valid_y.numpy(), None, seconds, model, groups=held_out_groups(pics)))


# ---- scaling: lesson 08 ----

TUNED = {  # name → a timm network with ImageNet weights
    'Lite0': LITE,
    'Lite1': 'tf_efficientnet_lite1',
    'Lite2': 'tf_efficientnet_lite2',
}


def scaling_arms() -> list:
    """One small network from scratch, scaled along each axis, and networks of three sizes fine-tuned as on the ladder: the last stages
    on kept views of frozen early ones. By folds: 10 trainings a fold of 2 to 6 minutes each on one core, about 40 minutes a fold."""
    size = pick(smoke=32, cpu=96, gpu=128)
    epochs = pick(smoke=1, cpu=16, gpu=30)
    arms = []
    scratch = Recipe(SMALL_ARCH, epochs, lr_max=3e-3, augment=pipeline(.33))
    for name, scaled in axes_of(size).items():
        labels = dict(kind='from scratch', variant=name)
        recipe = replace(scratch, model=scaled.model)
        arms.append(arm(f'from scratch, {name}', recipe, scaled.size, share=scaled.share, labels=labels))
    on_ladder = climbed('+ one-cycle').recipe
    tuned = replace(on_ladder, kept_views=min(on_ladder.kept_views, 4))  # half the views: half the passes through frozen stages
    for name, arch in TUNED.items():
        labels = dict(kind='fine-tuned', variant=name)
        arms.append(arm(f'fine-tuned, {name}', replace(tuned, arch=arch), size, labels=labels))
    return arms


def measure_scaling(trial: Trial) -> dict:
    "With it, what a network costs."
    run = train_trial(trial)
    return dict(run_numbers(run), train_accuracy=float(run.history.train_accuracy.iloc[-1]),
                parameters=count(run.model)['parameters'], macs=macs(run.model, trial.size))


# ---- the ladder: lesson 09 ----

def rung_arm(name: str, rung, **more) -> Trial: return arm(name, rung.recipe, rung.size, rung=rung, **more)


def ladder_arms() -> list: return [rung_arm(name, rung) for name, rung in rungs().items()]


def left_out_arms() -> list:
    "The top, and the top less each technique."
    return [rung_arm(name, rung) for name, rung in ({TOP: climbed(TOP)} | left_out()).items()]


def top_arms() -> list:
    "Rungs and the longer trainings by the papers' protocol: cells drawn at random, so that neighbours of one module are on both sides."
    rungs = [climbed('+ transfer'), climbed(TOP), longer_training(), graded_training()]
    return [rung_arm(f'{rung.name}, cells drawn at random', rung, split='random') for rung in rungs]


def longer_arms() -> list:
    "The longer training by the data set's own split: about 20 minutes a fold on one core."
    rung = longer_training()
    return [rung_arm(rung.name, rung)]


class RungMeasure:
    "Measures rungs; one that only adds views, or the frozen network's answer, to the one before is not trained again."
    def __init__(self):
        self.last = None  # `Trial`
        self.run = None   # of it
        self.rates = {}   # limit of pictures → the rate for all folds

    def __call__(self, trial: Trial) -> dict:
        "With it, the rate that was found."
        self.run = climb(trial.rung, trial.seed, trial.limit, trained=self.trained(trial),
                         fold=trial.fold, split=trial.split, rate=self.rate(trial))
        self.last = trial
        return dict(run_numbers(self.run), **self.run.config)

    def rate(self, trial: Trial) -> float:
        "Found on the rung that looks for it, one for all folds, and kept on the rungs above: each of them changes one thing."
        if trial.rung.rate_rule is None: return trial.recipe.lr_max
        if trial.limit not in self.rates:
            folds = range(pick(smoke=2, cpu=N_FOLDS))
            self.rates[trial.limit] = found_rate(climbed('+ found rate'), folds, trial.limit)
        return self.rates[trial.limit]

    def trained(self, trial: Trial) -> Run | None:
        "The run before, where it will do."
        if self.last is None: return None
        settings = [(t.seed, t.limit, t.fold, t.split) for t in (trial, self.last)]
        return self.run if settings[0] == settings[1] and same_training(trial.rung, self.last.rung) else None


measure_rung = RungMeasure()


# ---- newer techniques: lesson 13 ----

def newer_arms() -> list:
    """The recipe alone, with each technique, and with three that change different things. Pictures that are mixed have no kept
    views, so the frozen stages see every batch: that is why they are of 96 px."""
    size = pick(smoke=32, cpu=96, gpu=224)
    return [arm(name, recipe, size) for name, recipe in newer_recipes().items()]


# ---- the command ----

@dataclass(frozen=True)
class Experiment:
    "What is compared, and how one trial is measured."
    arms: Callable     # () → list of `Trial`
    measure: Callable  # `Trial` → numbers, JSON
    by_folds: bool = False  # every picture held out once; else seeds on one split
    n_folds: int = N_FOLDS  # so many of them: 1 is fold 0 alone

    def trials(self) -> dict:  # name of a run → `Trial`
        return over_folds(self.arms(), self.n_folds) if self.by_folds else over_seeds(self.arms())


EXPERIMENTS = {
    'transfer': Experiment(transfer_arms, measure_transfer),
    'peaks': Experiment(peaks_arms, measure_peak, by_folds=True, n_folds=1),
    'rates': Experiment(rates_arms, measure_rates, by_folds=True),
    'schedules': Experiment(schedules_arms, measure_schedule, by_folds=True),
    'ladder': Experiment(ladder_arms, measure_rung, by_folds=True),
    'top': Experiment(top_arms, measure_rung, by_folds=True),
    'longer': Experiment(longer_arms, measure_rung, by_folds=True),
    'left_out': Experiment(left_out_arms, measure_rung, by_folds=True),
    'scaling': Experiment(scaling_arms, measure_scaling, by_folds=True),
    'augmentation': Experiment(augmentation_arms, measure_augmentation, by_folds=True),
    'tta': Experiment(views_arms, measure_views, by_folds=True),
    'finder': Experiment(finder_arms, measure_finder, by_folds=True),
    'newer': Experiment(newer_arms, measure_training, by_folds=True),
}


def main(arguments=None):
    "Measures the experiments that are named."
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('only', nargs='*', help=f"which of {', '.join(EXPERIMENTS)}; by default all, one after the other")
    parser.add_argument('--data', help='a data set by name, or a folder of class folders; by default COURSE_DATA, else solar')
    options = parser.parse_args(arguments)
    for name in options.only:
        if name not in EXPERIMENTS: raise CourseError(f"There is no experiment '{name}': there are {', '.join(EXPERIMENTS)}.")
    if options.data: os.environ['COURSE_DATA'] = options.data
    data = load_pictures(size=32).name
    for name in options.only or EXPERIMENTS:
        experiment = EXPERIMENTS[name]
        trials = experiment.trials()
        path = experiment_path(name, data)
        n = measure(name, trials, experiment.measure, path)
        n_kept = len(read_results(path)['runs'])
        print(f"{name}: {plural(n, 'run')} measured here, {n_kept} of {len(trials)} kept, in {os.path.relpath(path)}.")
