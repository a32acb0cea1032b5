"""The engine of measurements: trials, one after another, each kept as soon as it is finished.

Every finished trial is written at once and in one step, so a killed measurement goes on where it was. In one process one at a time:
two slow each other down. Where there are cores to spare, start the command once more: each process takes the next trial that is
neither kept nor being measured. Give each its cores with `OMP_NUM_THREADS`."""
import hashlib, os, time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np, torch
from filelock import FileLock, Timeout

from course_utils.config import cache_dir, profile, results_dir
from course_utils.data.pictures import Pictures, load_pictures
from course_utils.report.results import experiment_name, read_results, result_row, write_results
from course_utils.report.stats import is_right, losses
from course_utils.training.keep import describe, fingerprint
from course_utils.training.learner import device_name, versions
from course_utils.training.recipe import Recipe


def pick(**choices):
    "The choice for the profile in force."
    return profile().pick(**choices)


N_FOLDS = 4  # every picture is held out once


def cells_and_folds(size: int, limit: int | None) -> tuple[Pictures, np.ndarray]:
    "The solar cells, and the number of the fold of whole modules that each is held out in."
    numbers = None
    for fold in range(N_FOLDS):
        pics = load_pictures('solar', size=size, limit=limit, fold=fold, folds=N_FOLDS)
        if numbers is None: numbers = np.zeros(len(pics), int)
        numbers[pics.valid] = fold
    return pics, numbers


@dataclass(frozen=True)
class Trial:
    "One training of an experiment."
    arm: str                   # what is compared with the other arms, by name
    recipe: Recipe
    size: int                  # side of the pictures, in pixels
    limit: int | None = None   # at most about this many pictures
    share: float = 1.          # of the training pictures; each is then seen more often, so that the steps are as many
    rung: object = None        # `techniques.ladder.Rung`, where it is one of the ladder
    fold: int | None = None    # held out, of `N_FOLDS`; None: the data set's own split
    split: str = 'own'         # as in `load_pictures`
    labels: dict = field(default_factory=dict)  # what else a table of results asks for

    @property
    def seed(self) -> int: return self.recipe.seed

    def pictures(self) -> Pictures:
        return load_pictures(size=self.size, limit=self.limit, split=self.split, fold=self.fold, folds=N_FOLDS)

    def part_of(self, pics: Pictures) -> Pictures:
        "The share of the training pictures, and all that are held out."
        return pics.subset(round(self.share * len(pics.train)))

    def settings(self) -> dict:
        "All that decides the outcome, as JSON."
        facts = dict(vars(self), seed=self.seed, recipe=vars(self.recipe))
        labels = facts.pop('labels')
        return describe(facts | labels)


def arm(
    name: str,
    recipe: Recipe,
    size: int | None = None,  # None: small pictures, as most experiments have them
    **more                    # of `Trial`
) -> Trial:
    "An arm of an experiment, at the seed of its recipe. All pictures, but for a trial at smoke."
    if size is None: size = pick(smoke=32, cpu=64, gpu=128)
    return Trial(name, recipe, size, pick(smoke=160, cpu=None), **more)


def over_seeds(
    arms: list,  # of `Trial`
) -> dict:       # name of a run → `Trial`
    "Seed after seed, so that a measurement stopped early leaves whole seeds."
    trials = {}
    for seed in range(pick(smoke=2, cpu=5)):
        for trial in arms:
            trials[f'{trial.arm}, seed {seed}'] = replace(trial, recipe=replace(trial.recipe, seed=seed))
    return trials


def over_folds(
    arms: list,            # of `Trial`
    n_folds: int=N_FOLDS,  # the first so many
) -> dict:                 # name of a run → `Trial`
    "Fold after fold, each with a seed of its own, so that a measurement stopped early leaves whole folds."
    trials = {}
    for fold in range(pick(smoke=min(2, n_folds), cpu=n_folds)):
        for trial in arms:
            trials[f'{trial.arm}, fold {fold}'] = replace(trial, fold=fold, recipe=replace(trial.recipe, seed=fold))
    return trials


# ---- what is kept of a run ----

def per_picture(run, prefix: str = '') -> dict:
    "For paired intervals: whether each held-out picture is named right (a digit each), and its loss."
    digits = ''.join(f'{value:.0f}' for value in is_right(run))
    rounded = [round(float(value), 3) for value in losses(run)]
    return {f'{prefix}right': digits, f'{prefix}loss': rounded}


def run_numbers(run) -> dict:
    "Accuracy, loss and seconds, the answer to every held-out picture, and its group (a module, a patient) where pictures have groups."
    groups = {} if run.groups is None else dict(groups=run.groups.tolist())
    return dict(accuracy=run.accuracy, valid_loss=run.valid_loss, seconds=round(run.seconds, 2), **per_picture(run), **groups)


# ---- where results lie ----

def experiment_path(name: str, data: str) -> Path:
    "Where the results lie. A trial run at smoke measures nothing, so it stays out of results/."
    profile_name = profile().name
    is_trial = profile_name == 'smoke' and not os.environ.get('COURSE_RESULTS')
    folder = cache_dir() if is_trial else results_dir()
    suffix = '_gpu' if profile_name == 'gpu' else ''
    return folder/f'{experiment_name(name, data)}{suffix}.json'


# ---- the engine ----

def conditions(trial: Trial) -> dict:
    "What all runs of a file have in common: the data, the versions, on a GPU also which."
    pics = trial.pictures()
    settled = dict(data=f'{pics.name} {fingerprint(pics)}', versions=versions())
    if torch.cuda.is_available(): settled['device'] = device_name()  # seconds of two GPUs do not belong into one table
    return settled


def is_kept(
    row: dict | None,  # of the results
    trial: Trial,
    settled: dict,        # `conditions`
) -> bool:
    "Was this trial measured, with these settings and under these conditions?"
    if row is None or row['settings'] != trial.settings(): return False
    return all(row[key] == value for key, value in settled.items())


def measure(
    name: str,       # of the experiment
    trials: dict,    # name of a run → `Trial`
    one,             # `Trial` → numbers, JSON
    path: Path,      # of the results
    say=print,
) -> int:            # how many were measured here
    """Measures the trials that `path` does not hold yet with these settings, on these data, with these versions. A trial that
    another process is measuring is left to it."""
    settled = conditions(next(iter(trials.values())))
    kept = kept_rows(path, trials, settled)
    todo = [key for key in trials if key not in kept]
    n_here = 0
    start = time.perf_counter()
    for key in todo:
        with claim(path, key) as is_free:
            is_done = is_kept(read_runs(path).get(key), trials[key], settled)  # by another process, meanwhile
            if is_done or not is_free: continue
            numbers = one(trials[key])
            n_kept = keep(path, trials, settled, key, numbers)
        n_here += 1
        minutes = (time.perf_counter() - start) / 60
        left = minutes / (n_kept - len(kept)) * (len(trials) - n_kept)
        say(f'{name}: {key}, {n_kept} of {len(trials)}, {minutes:.1f} minutes so far, about {left:.0f} left', flush=True)
    return n_here


def read_runs(path: Path) -> dict: return read_results(path).get('runs', {})


def kept_rows(path: Path, trials: dict, settled: dict) -> dict:  # name of a run → its row
    "The rows of these trials that need not be measured again, in the order of the trials."
    rows = read_runs(path)
    return {key: rows[key] for key, trial in trials.items() if is_kept(rows.get(key), trial, settled)}


def keep(path: Path, trials: dict, settled: dict, key: str, numbers: dict) -> int:  # how many are kept now
    "Adds a run to those that other processes may have written meanwhile."
    row = result_row(**numbers, settings=trials[key].settings(), data=settled['data'])
    with lock_of(path, 'written'):
        rows = kept_rows(path, trials, settled) | {key: row}
        in_order = {key: rows[key] for key in trials if key in rows}
        write_results(path, dict(runs=in_order), lines=True)
    return len(in_order)


# ---- several processes at one measurement ----

def lock_of(path: Path, subject: str) -> FileLock:
    "A lock that the kernel frees when its holder is killed. It lies in the cache, for in results/ it would be committed."
    digest = hashlib.sha256(f'{path.resolve()} {subject}'.encode()).hexdigest()[:16]
    folder = cache_dir()/'locks'
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder/digest)


@contextmanager
def claim(path: Path, key: str):
    "Yields whether the run is free: nobody else measures it meanwhile."
    try: held = lock_of(path, key).acquire(timeout=0)
    except Timeout:
        yield False
        return
    with held: yield True
