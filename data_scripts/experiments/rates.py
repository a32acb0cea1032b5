"""Differential rates by folds: one rate against groups of layers, each setting at a peak of its own.

The head is trained first, BatchNorm stays still, no stage is frozen. One pair shows what BatchNorm does when it moves.

`peaks` chooses the peak, the head's rate, once for all folds. Fold 0 is not looked at: fold 1 judges, and training pictures are
drawn from folds 2 and 3, as many as in `rates`. So fold 1 has a say in its own measurement; all settings have that alike.
`rates` then measures each setting at its peak with every picture held out once.

What it costs: half of the training pictures, seen eight times, 128 px, Lite0 whole: 2 to 3 minutes a training on one core. `peaks`
has 16 of them, `rates` 24."""
from dataclasses import replace

import numpy as np

from course_utils.config import CourseError
from course_utils.data.folds import hold_out_fold
from course_utils.data.pictures import Pictures, load_pictures
from course_utils.models import create_model
from course_utils.report.rate_results import peak_losses
from course_utils.techniques.ladder import LITE, augmented, baseline, symmetries
from course_utils.techniques.layer_groups import layer_decay_rates, per_stage, three_groups
from course_utils.training.learner import ValidateAtEnd
from course_utils.training.recipe import Recipe
from course_utils.training.train import Diverged, train
from data_scripts.experiments.engine import N_FOLDS, Trial, arm, experiment_path, pick, read_runs, run_numbers

PEAKS = (6e-5, 2e-4, 6e-4, 2e-3)  # of the head; about three times as high each
DECAY = .7
BATCHNORM_PAIR = ('one rate', 'three groups, spread 100')  # measured with BatchNorm moving, too


# ---- settings ----

def one_rate(peak: float) -> dict: return dict(lr_max=peak)


def spread_10(peak: float) -> dict: return dict(groups=three_groups, lr_max=slice(peak / 10, peak))


def spread_100(peak: float) -> dict: return dict(groups=three_groups, lr_max=slice(peak / 100, peak))


def decay_over_stages(peak: float) -> dict:
    n_stages = len(per_stage(create_model(LITE, pretrained=False)))
    return dict(groups=per_stage, lr_max=layer_decay_rates(n_stages, peak, DECAY))


RATE_SETTINGS = {  # name → the head's rate → what changes in the recipe
    'one rate': one_rate,
    'three groups, spread 10': spread_10,
    'three groups, spread 100': spread_100,
    f'decay {DECAY} over stages': decay_over_stages,
}


def rates_recipe() -> Recipe:
    "What all settings have in common: an epoch of the head alone, and three of all layers; each shows a picture twice."
    views = augmented(baseline(symmetries())).recipe.augment
    epochs = pick(smoke=1, cpu=3, gpu=8)
    return Recipe(LITE, epochs, freeze_epochs=1, pretrained=True, batchnorm='still', augment=views, bs=32, repeats=2,
                  callbacks=(ValidateAtEnd,))


def rates_size() -> int: return pick(smoke=32, cpu=128, gpu=224)


# ---- which peak? ----

def peaks_arms() -> list:
    "Every setting at every peak. Three quarters of two folds are as many pictures as half of three."
    recipe = rates_recipe()
    arms = []
    for name, change in RATE_SETTINGS.items():
        for peak in pick(smoke=PEAKS[-2:], cpu=PEAKS):
            labels = dict(setting=name, peak=peak, judged_by=1)
            arms.append(arm(f'{name} at {peak:g}', replace(recipe, **change(peak)), rates_size(), share=.75, labels=labels))
    return arms


def measure_peak(trial: Trial) -> dict:
    "A training that never sees the trial's fold. One whose loss stops being a number has no answer."
    pics = inner_pictures(trial.pictures(), trial.fold)
    try: run = train(trial.part_of(pics), trial.recipe, quiet=True)
    except Diverged as error: return dict(valid_loss=None, error=str(error))
    return run_numbers(run)


def inner_pictures(
    pics: Pictures,  # of a fold, see `load_pictures`
    fold: int,       # that is held out
) -> Pictures:
    "The training pictures of a fold alone, with the next fold held out of them."
    places = np.flatnonzero(pics.table.fold != fold)
    training = pics.take(places)
    return replace(training, table=hold_out_fold(training.table, (fold + 1) % N_FOLDS))


def chosen_peaks(
    data: str,  # a data set's name
) -> dict:      # name of a setting → peak
    "The peak of each setting with the lowest loss. Raises `CourseError` where they are not all measured."
    rows = read_runs(experiment_path('peaks', data)).values()
    searched = peak_losses(rows).dropna(how='all')  # a setting that bursts at every peak has none
    if len(rows) < len(peaks_arms()) or set(searched.index) != RATE_SETTINGS.keys():
        raise CourseError(f'The peaks of the settings are not all chosen on {data} yet: measure peaks first.')
    return searched.idxmin(axis=1).to_dict()


# ---- each at its peak ----

def rates_arms() -> list:
    "Every setting at its peak, and a pair of them with BatchNorm moving."
    peaks = chosen_peaks(load_pictures(size=32).name)
    recipe = rates_recipe()
    arms = []
    for name, change in RATE_SETTINGS.items():
        at_peak = replace(recipe, **change(peaks[name]))
        settled = dict(size=rates_size(), share=.5, labels=dict(peak=peaks[name]))
        arms.append(arm(name, at_peak, **settled))
        if name in BATCHNORM_PAIR: arms.append(arm(f'{name}, BatchNorm moves', replace(at_peak, batchnorm='learns'), **settled))
    return arms


def measure_rates(trial: Trial) -> dict:
    run = train(trial.part_of(trial.pictures()), trial.recipe, quiet=True)
    return run_numbers(run)
