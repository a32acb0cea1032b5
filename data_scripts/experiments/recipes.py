"""What the recipe that `recommend` writes is worth on folders of several kinds, in five minutes each.

`python -m data_scripts.experiments.recipes` writes results/recipes.json, a row as soon as it is finished. A folder of few pictures is
drawn from a large data set, and all the others judge it: its own held-out quarter would be too few. A data set that is taken as it is
is judged by its own held-out part. Both halves are judged, so that a recipe that ends worse than it began is seen."""
import argparse, os, shutil, tempfile, time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from course_utils.advice.advice import recommend
from course_utils.advice.choice import choose_half
from course_utils.config import CourseError, profile
from course_utils.data.pictures import Pictures, load_pictures
from course_utils.report.intervals import differences_interval, proportion_interval
from course_utils.report.results import read_results, result_row, write_results
from course_utils.techniques.copies import leave_out
from course_utils.techniques.deep_features import linear_probe
from course_utils.techniques.near_duplicates import leaked
from course_utils.training.run import Run, groups_in, probabilities

RECIPE_RESULTS = 'recipes'
DRAW_SEED = 0


@dataclass(frozen=True)
class LearnersFolder:
    "Pictures that a learner might have."
    data: str              # the data set that they come from
    n: int | None = None   # drawn from it; None: all, as they lie there


FOLDERS = {
    'cats and dogs, 400': LearnersFolder('cats_dogs', 400),
    'cats and dogs, 100': LearnersFolder('cats_dogs', 100),
    'dog breeds': LearnersFolder('dog_breeds'),
    'rock, paper, scissors': LearnersFolder('rock_paper_scissors'),
    'solar cells': LearnersFolder('solar'),
}


def drawn_places(labels: np.ndarray, n: int) -> np.ndarray:
    "About `n` places by lot, each class in proportion."
    rng = np.random.default_rng(DRAW_SEED)
    share = n / len(labels)
    of_class = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    return np.concatenate([rng.permutation(places)[:round(share * len(places))] for places in of_class])


def drawn_folders(folder: LearnersFolder, place: Path) -> tuple[Path, Path]:
    "Copies of the drawn pictures and of all others, in two folders of class folders."
    pics = load_pictures(folder.data, size=32)
    drawn = set(drawn_places(pics.y, folder.n))
    for i, path in enumerate(pics.table.path):
        part = place/('drawn' if i in drawn else 'others')/pics.classes[pics.y[i]]
        part.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, part/f'{i} {Path(path).name}')
    return place/'drawn', place/'others'


@dataclass
class Worth:
    "Both halves of a recipe, and what it took."
    pics: Pictures
    frozen: Run
    kept: Run
    epochs: int   # of the fine-tuning, where it was tried
    words: str    # on the choice
    seconds: float


def run_both_halves(source: str | Path, minutes: float) -> Worth:
    "As the notebook of the recipe does it, from the look at the folder to the half that is kept."
    start = time.perf_counter()
    advice = recommend(source, write=False, minutes=minutes)
    pics = load_pictures(str(source), size=advice.size)
    pics = leave_out(pics, leaked(pics))
    frozen = linear_probe(pics, advice.recipe)
    choice = choose_half(pics, frozen, advice.recipe, advice.plan.folds, advice.plan.neighbours)
    tried_epochs = advice.recipe.epochs if choice.trial else 0
    return Worth(pics, frozen, choice.run, tried_epochs, choice.words, time.perf_counter() - start)


def judged(worth: Worth, judges: Pictures | None) -> dict:
    "Right or not, by the held-out pictures of the folder, or by all of others: shares with intervals, and the difference of the halves."
    if judges is None:
        labels, groups = worth.pics.y[worth.pics.valid], groups_in(worth.pics, worth.pics.valid)
        answers = [run.probs for run in (worth.frozen, worth.kept)]
    else:
        labels, groups = judges.y, None
        answers = [probabilities(run.model, judges.x) for run in (worth.frozen, worth.kept)]
    frozen, kept = [(probs.argmax(1) == labels).astype(float)[None] for probs in answers]
    low, high = proportion_interval(kept, groups=groups)
    row = dict(judged_by=len(labels), accuracy=float(kept.mean()), interval=[float(low), float(high)], frozen=float(frozen.mean()))
    if worth.kept is worth.frozen: return row
    gain = kept - frozen
    return row | dict(gain=[float(gain.mean()), *map(float, differences_interval(gain, groups=groups))])


@contextmanager
def empty_cache(place: Path):
    "Nothing is found that was computed before, as on the first day: otherwise the seconds would be too few."
    before = os.environ.get('COURSE_CACHE')
    os.environ['COURSE_CACHE'] = str(place)
    try: yield
    finally:
        if before is None: del os.environ['COURSE_CACHE']
        else: os.environ['COURSE_CACHE'] = before


def measure_recipe(folder: LearnersFolder, minutes: float) -> dict:
    "A row of results. Raises `CourseError` where the data set is not here."
    with tempfile.TemporaryDirectory() as work, empty_cache(Path(work)/'cache'):
        source, judges = folder.data, None
        if folder.n:
            source, others = drawn_folders(folder, Path(work))
        worth = run_both_halves(source, minutes)
        if folder.n: judges = load_pictures(str(others), size=worth.pics.size)
        found = judged(worth, judges)
    return result_row(**found, data=folder.data, pictures=len(worth.pics), training=len(worth.pics.train), classes=len(worth.pics.classes),
                      size=worth.pics.size, minutes=minutes, epochs=worth.epochs, is_tuned=worth.kept is not worth.frozen,
                      words=worth.words, seconds=round(worth.seconds, 1))


def main(arguments: list | None=None):
    "Measures the folders that are named; at profile smoke nothing is written."
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('only', nargs='*', help=f"which of {'; '.join(FOLDERS)}; by default all")
    parser.add_argument('--minutes', type=float, help='for each recipe; 5 by default')
    options = parser.parse_args(arguments)
    for name in options.only:
        if name not in FOLDERS: raise CourseError(f"There is no folder '{name}': there are {'; '.join(FOLDERS)}.")
    minutes = options.minutes or profile().pick(smoke=.2, cpu=5)
    for name in options.only or FOLDERS:
        row = measure_recipe(FOLDERS[name], minutes)
        half = 'fine-tuned' if row['is_tuned'] else 'frozen'
        print(f"{name}: {row['accuracy']:.1%} of {row['judged_by']:,} pictures, {half}, {row['size']} px, {row['seconds']:.0f} s.", flush=True)
        if profile().name == 'smoke': continue
        kept = read_results(RECIPE_RESULTS).get('runs', {}) | {name: row}
        in_order = {key: kept[key] for key in FOLDERS if key in kept}
        write_results(RECIPE_RESULTS, dict(runs=in_order), sort=False)


if __name__ == '__main__': main()
