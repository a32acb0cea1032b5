"""Are neighbours in a folder alike, as in a film or a burst? Then a random split asks a network for what it has seen.

Frozen features and a linear head answer twice: with single pictures held out at random, and with whole runs of neighbours
held out, in the order of the files' names or of the times at which the photographs were taken."""
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np, pandas as pd
from PIL import Image
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from course_utils.data.folds import stratified_folds
from course_utils.data.parts import part_named
from course_utils.data.pictures import Pictures
from course_utils.models import create_model
from course_utils.report.intervals import differences_interval
from course_utils.techniques.neighbours import answers_by_fold, group_folds
from course_utils.techniques.transfer import frozen_features
from course_utils.training.learner import default_device

N_RUNS = 32      # runs of neighbours, where there are pictures enough
SHORTEST = 5     # pictures in a run
FOLDS = 4
REPEATS = 3      # of the folds, each time drawn anew
LEAST_GAIN = .01 # a smaller difference is passed over
MOST = 3000      # pictures that are looked at
RIDGE = 1000.    # of the linear head, for features of variance 1
TIMES = (36867, 36868, 306)  # EXIF: taken, digitised, changed


@dataclass
class Leak:
    "What a random split promises, and what is left of it where neighbours are held out together."
    order: str         # what neighbours are: 'in file order', 'in the order of capture', 'by module', 'by group'
    n_runs: int        # of neighbours, or groups
    random: float      # accuracy
    apart: float       # accuracy where whole runs are held out
    low: float         # 95 % interval of the difference
    high: float

    @property
    def gain(self) -> float:
        "By how much the random split is too good."
        return self.random - self.apart

    @property
    def is_clear(self) -> bool:
        "Is the difference none of chance, and of a size that matters?"
        return self.low > 0 and self.gain >= LEAST_GAIN

    @property
    def is_grouped(self) -> bool:
        "Is it known which pictures belong together?"
        return self.order.startswith('by ')

    @property
    def unit(self) -> str:
        "What belongs together: a module, a group."
        return self.order.removeprefix('by ')

    @property
    def points(self) -> str:
        "'3.2 points'"
        return f'{100 * self.gain:.1f} points'


def find_leak(
    pics: Pictures,
    arch: str='tf_efficientnet_lite0',  # whose frozen features are taken
) -> Leak | None:
    "The order in which neighbours help most. None where there are too few pictures to tell."
    orders = neighbour_runs(pics)
    if not orders: return None
    places = np.flatnonzero(np.any([runs >= 0 for runs in orders.values()], axis=0))
    model = create_model(arch, len(pics.classes), pretrained=True).to(default_device())
    features, labels = (values.numpy() for values in frozen_features(model, pics, places))
    leaks = [leak_of(order, runs[places], features, labels) for order, runs in orders.items()]
    return max(leaks, key=lambda leak: leak.low)


def leak_of(
    order: str,
    runs: np.ndarray,      # `(N,)`; below zero for pictures that are left out
    features: np.ndarray,  # `(N, C)`
    labels: np.ndarray,    # `(N,)`
) -> Leak:
    "Answers with single pictures held out at random, against those with whole runs held out."
    is_used = runs >= 0
    runs, features, labels = runs[is_used], features[is_used], labels[is_used]
    at_random, apart = [], []
    for seed in range(REPEATS):
        at_random.append(answers_by_fold(features, labels, stratified_folds(labels, FOLDS, seed), ridge_answers))
        apart.append(answers_by_fold(features, labels, group_folds(runs, labels, FOLDS, seed), ridge_answers))
    difference = np.mean(at_random, axis=0) - np.mean(apart, axis=0)
    low, high = differences_interval(difference, groups=runs)
    return Leak(order, len(np.unique(runs)), float(np.mean(at_random)), float(np.mean(apart)), low, high)


def ridge_answers(features, labels, unseen) -> np.ndarray:  # `(M,)` labels of the unseen `(M, F)`
    "A ridge classifier's, fitted to `(N, F)` features and `(N,)` labels: milliseconds, where there are many folds."
    head = make_pipeline(StandardScaler(), RidgeClassifier(alpha=RIDGE))
    return head.fit(features, labels).predict(unseen)


# ---- who is whose neighbour ----

def neighbour_runs(
    pics: Pictures,
    limit: int | None=None,  # pictures that are looked at; None: `MOST`
) -> dict:                  # order → `(N,)`, the number of the run, −1 for pictures that are left out
    "The groups of pictures that have some; else runs of neighbours by name, and by time where the files say it."
    if 'group' in pics.table: return group_runs(pics)
    if len(pics) < 2 * FOLDS * SHORTEST: return {}
    names = pics.table.label.map(dict(enumerate(pics.classes)))
    keys = [name_key(path, name) for path, name in zip(pics.table.path, names)]
    orders = {'in file order': numbered_runs(keys, pics.y, limit)}
    times = capture_times(pics.table.path)
    if times: orders['in the order of capture'] = numbered_runs(times, pics.y, limit)
    return orders


def group_runs(pics: Pictures) -> dict:  # as `neighbour_runs`
    "The groups that the pictures' table names, where they are enough for folds."
    numbers, names = pd.factorize(pics.table.group)
    if len(names) < 2 * FOLDS: return {}
    unit = 'module' if 'module' in pics.table else 'group'
    return {f'by {unit}': without_rest(numbers, np.arange(len(pics)))}


def numbered_runs(
    keys: list,          # what is sorted by
    labels: np.ndarray,  # `(N,)`
    limit: int | None=None,  # see `neighbour_runs`
) -> np.ndarray:         # as in `neighbour_runs`
    """Runs of about equal length. Where the classes interleave, as in cell1 to cell9 of two folders, a run is of all classes. Else
    each class has its own runs, four or more: if one held a whole class, nothing would be left to learn that from."""
    order = np.array(sorted(range(len(keys)), key=lambda place: keys[place]))
    runs = cut_into(order, min(N_RUNS, len(keys) // SHORTEST))
    n_runs_of = pd.Series(runs).groupby(labels).nunique()
    if (n_runs_of >= 2 * FOLDS).all(): return without_rest(runs, order, limit)
    n_classes = len(n_runs_of)
    runs = np.full(len(keys), -1)
    for label in n_runs_of.index:
        in_class = order[labels[order] == label]
        n_runs = max(FOLDS, min(len(in_class) // SHORTEST, N_RUNS // n_classes))
        runs[in_class] = runs.max() + 1 + np.arange(len(in_class)) * n_runs // len(in_class)
    return without_rest(runs, order, limit)


def cut_into(order: np.ndarray, n_runs: int) -> np.ndarray:
    "The number of the run of each place, where places are sorted by `order`."
    runs = np.empty(len(order), int)
    runs[order] = np.arange(len(order)) * n_runs // len(order)
    return runs


def without_rest(runs: np.ndarray, order: np.ndarray, limit: int | None=None) -> np.ndarray:
    "Of many pictures, the first ones of each run: about `limit` in all. The others get −1."
    limit = limit or MOST
    if len(runs) <= limit: return runs
    place_in_run = pd.Series(runs[order]).groupby(runs[order]).cumcount().to_numpy()
    is_rest = np.empty(len(runs), bool)
    is_rest[order] = place_in_run >= max(1, limit // len(np.unique(runs)))
    return np.where(is_rest, -1, runs)


def name_key(path: str, class_name: str) -> list:
    "By which files are sorted: folders below that of the class, then the name, numbers as numbers. Pictures of two classes interleave."
    parts = Path(path).parts
    class_places = [k for k, part in enumerate(parts[:-1]) if part == class_name or part_named(part)]
    inner = parts[class_places[-1] + 1:] if class_places else parts[-1:]
    return natural_key('/'.join(inner))


def natural_key(name: str) -> list:
    "'cell10' comes after 'cell9'."
    pieces = re.split(r'(\d+)', name.casefold())
    return [(int(piece), '') if piece.isdecimal() else (-1, piece) for piece in pieces]


def capture_times(paths) -> list | None:  # a time for each file
    "When each photograph was taken; None where more than one in ten does not say it, or there are fewer different times than a quarter of the files."
    times = [capture_time(path) for path in paths]
    known = [time for time in times if time]
    if len(known) < .9 * len(times) or len(set(known)) < len(times) / 4: return None
    return [time or datetime.max for time in times]


def capture_time(path) -> datetime | None:
    "From a file's EXIF; None where there is none."
    try:
        with Image.open(path) as file: exif = file.getexif()
    except Exception: return None
    tags = dict(exif) | dict(exif.get_ifd(0x8769))
    for tag in TIMES:
        try: return datetime.strptime(str(tags[tag]), '%Y:%m:%d %H:%M:%S')
        except (KeyError, ValueError): continue
    return None

