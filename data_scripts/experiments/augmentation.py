"""Augmentation by folds: the sweep of *Generalizing your model*, p from 0 to a third, with a network that does over-fit.

A small network from scratch on a quarter of the training pictures, which it sees forty times: without augmentation it learns them by
heart. Each network judges its held-out pictures three times: as they are, and in the two lights of lesson 10's lamp.

What it costs: about 490 pictures of 96 px, 40 epochs: 1 to 2 minutes a training on one core. 5 trainings a fold."""
from dataclasses import replace

import numpy as np

from course_utils.techniques.augment import pipeline
from course_utils.techniques.dataset_shift import relight
from course_utils.training.recipe import Recipe
from course_utils.training.run import probabilities
from course_utils.training.train import train
from data_scripts.experiments.engine import Trial, arm, per_picture, pick, run_numbers

AUGMENT_ARCH = 'regnetx_002'
SWEPT = (0, .05, .1, .2, .33)  # probabilities of each of the seven operations
LAMPS = {  # name of a light → `relight`
    'darker': dict(gamma=1.6),
    'brighter': dict(gamma=.6),
}


def augmentation_arms() -> list:
    "The same training at each p. Every p sees as many pictures as often."
    epochs = pick(smoke=1, cpu=40, gpu=60)
    size = pick(smoke=32, cpu=96, gpu=128)
    recipe = Recipe(AUGMENT_ARCH, epochs, lr_max=3e-3, bs=32)
    arms = []
    for p in SWEPT:
        at_p = replace(recipe, augment=pipeline(p) if p else None)
        arms.append(arm(f'p = {p:g}', at_p, size, share=.25, labels=dict(p=p, lamps=LAMPS)))
    return arms


def measure_augmentation(trial: Trial) -> dict:
    "The answers in three lights, and how much of the training pictures is known in the end."
    pics = trial.part_of(trial.pictures())
    run = train(pics, trial.recipe, quiet=True)
    numbers = run_numbers(run)
    images = np.asarray(pics.x[pics.valid])
    for light, dials in LAMPS.items():
        relit = replace(run, probs=probabilities(run.model, relight(images, **dials)))
        numbers |= per_picture(relit, f'{light}_')
    return numbers | dict(train_accuracy=float(run.history.train_accuracy.iloc[-1]))
