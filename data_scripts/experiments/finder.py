"""The rules of the learning rate finder by folds: two optimizers, two batch sizes, at least 300 steps of training.

Each fold has a sweep of its own for each optimizer and batch size, as a learner would make it, and every rule reads the same one. So a
rule whose rate changes from sweep to sweep pays for it. Beside the rules stands a fixed 1e-3, for which nothing is swept.

What it costs: a small network from scratch, 64 px, five or ten epochs: about a minute a training on one core. 24 trainings and 4 sweeps
a fold."""
import time
from dataclasses import replace
from functools import lru_cache, partial

import numpy as np, torch
from fastai.optimizer import OptimWrapper

from course_utils.data.pictures import Pictures
from course_utils.techniques.ladder import augmented, baseline, symmetries
from course_utils.techniques.lr_finder import RULES, Curve, lr_find
from course_utils.training.learner import ValidateAtEnd, make_learner
from course_utils.training.recipe import Recipe
from course_utils.training.run import Run, held_out_groups, predict
from course_utils.training.train import Diverged, fit
from data_scripts.experiments.engine import Trial, arm, pick, run_numbers

FINDER_ARCH = 'regnetx_002'
FIXED = 'fixed 1e-3'
FIXED_RATE = 1e-3  # AdamW's default in torch
EPOCHS = {16: 5, 64: 10}  # batch size → epochs on a processor: at least 300 steps each, in about the same time
OPTIMIZERS = {  # name → what fastai's Learner makes an optimizer of; None: the course's AdamW
    'AdamW': None,
    'SGD': partial(OptimWrapper, opt=torch.optim.SGD, momentum=.9),
}


def finder_arms() -> list:
    "Every rule for each optimizer and batch size; those that read one sweep stand together."
    views = augmented(baseline(symmetries())).recipe.augment
    steps = pick(smoke=30, cpu=100)
    arms = []
    for optimizer in OPTIMIZERS:
        for bs, epochs in EPOCHS.items():
            epochs = pick(smoke=1, cpu=epochs, gpu=20)
            recipe = Recipe(FINDER_ARCH, epochs, lr_max=FIXED_RATE, bs=bs, augment=views)
            for rule in [FIXED, *RULES]:
                labels = dict(optimizer=optimizer, rule=rule, sweep_steps=steps)
                arms.append(arm(f'{optimizer}, batch {bs}, {rule}', recipe, labels=labels))
    return arms


def measure_finder(trial: Trial) -> dict:
    "With it, the rate, whether the rule had an answer, and whether the training came to an end."
    pics = trial.pictures()
    rate = rate_of_rule(trial)
    start = time.perf_counter()
    probs, targets = trained_probs(pics, trial, rate or FIXED_RATE)
    seconds = time.perf_counter() - start
    ended = probs is not None
    if not ended: probs = class_shares(pics)
    run = Run(None, probs, targets, None, seconds, None, groups=held_out_groups(pics))
    return dict(run_numbers(run), rate=rate or FIXED_RATE, answered=rate is not None, ended=ended)


def new_learner(pics: Pictures, recipe: Recipe, optimizer: str):
    "A learner with this optimizer."
    learn = make_learner(pics, recipe, quiet=True)
    if OPTIMIZERS[optimizer]: learn.opt_func = OPTIMIZERS[optimizer]
    return learn


def rate_of_rule(trial: Trial) -> float | None:
    "What the trial's rule reads off the sweep; None where it has no answer."
    rule = trial.labels['rule']
    if rule == FIXED: return FIXED_RATE
    curve = sweep_of(trial.labels['optimizer'], trial.recipe.bs, trial.fold, trial.size, trial.limit)
    return curve.suggest()[rule].rate


@lru_cache(maxsize=1)
def sweep_of(optimizer: str, bs: int, fold: int, size: int, limit: int | None) -> Curve:
    "The sweep that all rules read. The same whenever it is made."
    same = [trial for trial in finder_arms() if trial.labels['optimizer'] == optimizer and trial.recipe.bs == bs]
    recipe = replace(same[0].recipe, seed=fold)
    pics = replace(same[0], fold=fold, size=size, limit=limit).pictures()
    learn = new_learner(pics, recipe, optimizer)
    return lr_find(learn, n=same[0].labels['sweep_steps'])


def trained_probs(pics: Pictures, trial: Trial, rate: float) -> tuple:  # probabilities `(N, n_classes)` or None, labels `(N,)`
    "What a training at this rate says of the held-out pictures; None where its loss stopped being a number."
    learn = new_learner(pics, trial.recipe, trial.labels['optimizer'])
    try: fit(learn, trial.recipe.epochs, rate, trial.recipe.schedule, [ValidateAtEnd])
    except Diverged: return None, pics.y[pics.valid]
    probs, targets = predict(learn.model, learn.dls.valid)
    return (probs if np.isfinite(probs).all() else None), targets


def class_shares(pics: Pictures) -> np.ndarray:  # `(N_valid, n_classes)`
    "What is left to say where a training came to nothing: how frequent each class is in training."
    shares = np.bincount(pics.y[pics.train], minlength=len(pics.classes)) / len(pics.train)
    return np.tile(shares, (len(pics.valid), 1))
