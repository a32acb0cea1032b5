"""Trains a network as a recipe says."""
import os, time
from contextlib import contextmanager

import numpy as np, pandas as pd, torch
from fastai.callback.schedule import ParamScheduler, SchedCos  # its import also gives Learner its fit_one_cycle
from fastai.learner import Learner

from course_utils.config import CourseError
from course_utils.data.pictures import Pictures
from course_utils.training.batchnorm import norm_callbacks
from course_utils.training.freezing import FreezeStages
from course_utils.training.identity import fingerprint
from course_utils.training.keep import find_run, keep_run, run_config
from course_utils.training.learner import default_device, make_learner
from course_utils.training.memory import left_usable
from course_utils.training.recipe import Recipe
from course_utils.training.run import DataFacts, Run, cross_entropy, held_out_files, held_out_groups, predict

SCHEDULES = {  # name → a factor of the highest rate at the fraction done, 0…1; None: fastai's own one-cycle
    'one_cycle': None,
    'constant': lambda done: 1.,
    'cosine': SchedCos(1., 0.),
}


class Diverged(CourseError):
    "The training loss is no longer a number: a class of its own, so that a measurement tells this from want of memory."


def fit(
    learn: Learner,
    epochs: int,
    lr_max=1e-3,           # the highest rate; a slice or a list gives each group its own
    schedule='one_cycle',  # a name of `SCHEDULES`, a function of the fraction done (0…1) that gives a factor of `lr_max`, or an object with `for_run`
    callbacks=(),
):
    """Fits. `one_cycle` is a cosine up for a quarter, then a cosine down to zero (Smith 2018, arXiv 1803.09820). A schedule
    with a `for_run` (lesson 04) is told the epochs and the steps of one, and gives such a function. Raises `CourseError` where
    memory runs out, and `Diverged`, which is one, where the training loss is no longer a number."""
    learn.schedule = schedule  # for callbacks that follow it
    if isinstance(schedule, str) and schedule not in SCHEDULES:
        raise CourseError(f"schedule is '{schedule}', but it can only be one_cycle, constant, cosine or a function of the fraction done.")
    factor = SCHEDULES[schedule] if isinstance(schedule, str) else schedule
    if hasattr(factor, 'for_run'): factor = factor.for_run(epochs, len(learn.dls.train))
    with frozen_at_zero_rate(learn, lr_max), left_usable(learn):
        if factor is None: learn.fit_one_cycle(epochs, lr_max, cbs=callbacks)
        else: fit_by_factor(learn, epochs, lr_max, factor, callbacks)
    rows = learn.history.rows
    if not np.isfinite(rows[-1].get('train_loss', 0)):
        raise Diverged(f"The training loss is no longer a number after epoch {len(rows)}: the rate is too high for this model, try a tenth of it.")


@contextmanager
def frozen_at_zero_rate(learn: Learner, lr_max):
    "For one fit the groups whose rate is 0 take the road of frozen stages. Afterwards they can learn again."
    names = names_at_zero_rate(learn, lr_max)
    learning = [p for name, p in learn.model.named_parameters() if name in names and p.requires_grad]
    callbacks = []
    if hasattr(learn, 'freeze_stages'): learn.freeze_stages.freeze_also(names)
    elif names: callbacks = [FreezeStages(names=names)]
    with learn.added_cbs(callbacks):
        try: yield
        finally:
            for parameter in learning: parameter.requires_grad_(True)


def names_at_zero_rate(learn: Learner, lr_max) -> set:
    "Names of the parameters whose group has the rate 0."
    if isinstance(lr_max, (int, float)): return set()
    if learn.opt is None: learn.create_opt()
    learn.opt.set_hyper('lr', lr_max)
    at_zero = [params for params, hyper in zip(learn.opt.param_lists, learn.opt.hypers) if hyper['lr'] == 0]
    ids = {id(p) for params in at_zero for p in params}
    return {name for name, p in learn.model.named_parameters() if id(p) in ids}


def fit_by_factor(learn: Learner, epochs: int, lr_max, factor, callbacks):
    "Fits with each group's rate at `factor(fraction done)` of its highest."
    if learn.opt is None: learn.create_opt()
    learn.opt.set_hyper('lr', lr_max)
    # fastai spreads a slice or a list over the groups: these are the rates it makes of it
    peaks = np.array([hyper['lr'] for hyper in learn.opt.hypers])
    scheduler = ParamScheduler({'lr': lambda done: factor(done) * peaks})
    learn.fit(epochs, cbs=[scheduler, *callbacks])


def wants_fresh(fresh: bool | None) -> bool:
    "Should a kept run be trained again? None asks `COURSE_FRESH`."
    return os.environ.get('COURSE_FRESH') == '1' if fresh is None else fresh


def training_data(
    pics: Pictures,
    learn: Learner,
    config: dict | None,  # of the run, which holds the fingerprint already
) -> DataFacts:
    "What the learner is trained on."
    loader = learn.dls.valid
    pictures_key = config['data'] if config else fingerprint(pics)  # saves reading all pictures again
    return DataFacts(pics.classes, pics.size, loader.mean, loader.std, pics.found.grey_range, fingerprint=pictures_key)


def train(
    pics: Pictures,
    recipe: Recipe,
    *,
    keep: bool=False,         # keep the finished run, and find it again
    fresh: bool | None=None,  # train even if a kept run is there; None reads `COURSE_FRESH`
    device=None,              # None: the GPU where there is one
    quiet: bool=False,        # no progress bar
) -> Run:
    "Trains a model and returns the `Run`. Nothing is kept or resumed unless `keep` says so. Raises `Diverged` when the loss is no longer a number."
    device = torch.device(device) if device else default_device()
    config = run_config(pics, recipe, device) if keep else None
    found = find_run(pics, recipe, config, device) if keep and not wants_fresh(fresh) else None
    if found:
        if not quiet: print(f'Found, not trained: this recipe was trained before, in {found.seconds:.0f} s. fresh=True trains it again.')
        return found
    learn = make_learner(pics, recipe, device=device, quiet=quiet)
    callbacks = [*norm_callbacks(recipe.batchnorm), *recipe.callbacks]
    start = time.perf_counter()
    if recipe.freeze_epochs:
        learn.freeze()
        fit(learn, recipe.freeze_epochs, recipe.lr_max, recipe.schedule, callbacks)
        learn.unfreeze()
    fit(learn, recipe.epochs, recipe.lr_max, recipe.schedule, callbacks)
    seconds = time.perf_counter() - start
    probs, targets = predict(learn.model, learn.dls.valid)
    last = learn.history.rows[-1]
    last.setdefault('valid_loss', float(cross_entropy(probs, targets).mean()))
    last.setdefault('valid_accuracy', float((probs.argmax(1) == targets).mean()))
    run = Run(pd.DataFrame(learn.history.rows), probs, targets, config, seconds, learn.model, learn,
              arrays=learn.history.arrays, recipe=recipe, files=held_out_files(pics),
              data=training_data(pics, learn, config), groups=held_out_groups(pics))
    if keep:
        try: keep_run(run)
        except CourseError as e: print(e)  # a training is not lost for want of room on a disk
    return run
