"""Schedules by folds, and early stopping replayed on their curves.

A small network from scratch, augmented and long enough to use what a schedule does at its end. Every run keeps what the network says of
the held-out pictures after each epoch, so that early stopping can be replayed: the loss of one half of the modules says when to stop,
and the other half judges what is handed back. Then they change places. So no picture has a say in its own measurement.

What it costs: all training pictures, 96 px, 30 epochs: 2 to 3 minutes a training on one core. 6 trainings a fold."""
from dataclasses import replace

import numpy as np, torch
from fastai.callback.core import Callback

from course_utils.techniques.ladder import augmented, baseline, symmetries
from course_utils.techniques.schedules import SGDR, Snapshots, Staircase, ensemble_of, stops_after
from course_utils.training.learner import check_validates
from course_utils.training.recipe import Recipe
from course_utils.training.run import Run, cross_entropy, held_out_groups
from course_utils.training.train import train
from data_scripts.experiments.engine import Trial, arm, per_picture, pick, run_numbers

SCHEDULE_ARCH = 'regnetx_002'
PATIENCES = (2, 5, 10)
MIN_DELTA = 1e-4


def schedule_arms_by_name(epochs: int) -> dict:  # name → as a recipe's `schedule`
    "Restarts end with the run: ×1 in three equal cycles, ×2 in four that double. The step falls twice."
    third = max(epochs // 3, 1)
    return {
        'constant': 'constant',
        'step': Staircase(step_size=third),
        'cosine': 'cosine',
        'SGDR ×1': SGDR(first=third, mult=1),
        'SGDR ×2': SGDR(first=max(epochs // 15, 1), mult=2),
        'one-cycle': 'one_cycle',
    }


def schedules_arms() -> list:
    "The same network, pictures and epochs under each schedule."
    epochs = pick(smoke=3, cpu=30, gpu=60)
    size = pick(smoke=32, cpu=96, gpu=128)
    views = augmented(baseline(symmetries())).recipe.augment
    recipe = Recipe(SCHEDULE_ARCH, epochs, lr_max=3e-3, bs=32, augment=views)
    arms = []
    for name, schedule in schedule_arms_by_name(epochs).items():
        callbacks = (EpochAnswers, Snapshots) if isinstance(schedule, SGDR) else (EpochAnswers,)
        scheduled = replace(recipe, schedule=schedule, callbacks=callbacks)
        arms.append(arm(name, scheduled, size, labels=dict(patiences=PATIENCES, min_delta=MIN_DELTA)))
    return arms


def measure_schedule(trial: Trial) -> dict:
    "The losses of all epochs; what early stopping hands back; with restarts, what the networks at the ends of the cycles say together."
    pics = trial.pictures()
    run = train(pics, trial.recipe, quiet=True)
    numbers = dict(run_numbers(run), valid_losses=run.history.valid_loss.round(4).tolist())
    halves = two_halves(pics, trial.seed)
    stops = {}
    for patience in PATIENCES:
        stopped, epochs = stopped_early(run, halves, patience)
        stops[f'patience {patience}'] = dict(per_picture(stopped), epochs=epochs)
    numbers['stopped'] = stops  # beside the others: it is no schedule
    ends = run.arrays.get('snapshots_at', ())
    if not len(ends): return numbers
    averaged = replace(run, probs=ensemble_of(run))
    return numbers | per_picture(averaged, 'ensemble_') | dict(snapshots_at=ends.tolist())


# ---- early stopping, replayed ----

class EpochAnswers(Callback):
    "Keeps the validation probabilities after every epoch."
    order = 57  # after Snapshots

    def before_fit(self):
        check_validates(self)
        self.by_epoch = []

    def before_validate(self): self.batches = []

    def after_batch(self):
        if not self.training: self.batches.append(self.pred.detach().float().softmax(1).cpu())

    def after_epoch(self): self.by_epoch.append(torch.cat(self.batches).numpy())

    def after_fit(self): self.learn.history.arrays |= dict(by_epoch=np.array(self.by_epoch))


def two_halves(pics, seed: int) -> np.ndarray:  # `(N_valid,)` 0 or 1
    "Half of the held-out groups, or pictures where there are none, by lot."
    groups = held_out_groups(pics)
    names, unit = np.unique(np.arange(len(pics.valid)) if groups is None else groups, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    return (order % 2)[unit]


def stopped_early(
    run: Run,            # with `by_epoch` among its arrays
    halves: np.ndarray,  # of `two_halves`
    patience: int,
) -> tuple:  # the run with the probabilities of the network handed back; the epoch of each half
    "Each half of the pictures is judged by the network that the other half's loss would have handed back."
    by_epoch = run.arrays['by_epoch']
    probs = run.probs.copy()
    epochs = []
    for half in (0, 1):
        judging = halves == half
        deciding = ~judging
        losses = [cross_entropy(answers[deciding], run.targets[deciding]).mean() for answers in by_epoch]
        _, best = stops_after(losses, patience, MIN_DELTA)
        probs[judging] = by_epoch[best - 1][judging]
        epochs.append(best)
    return replace(run, probs=probs), epochs
