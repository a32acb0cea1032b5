"""Test-time views by folds: a network is trained once, and judged with many sets of views.

Two trainings a fold: one has seen mirrored pictures, one also turned ones. Both are the ladder's '+ one-cycle', 131 to 300 s on one
core, and a minute more for all views. The sets are the symmetries of a square, and crops of the picture as it lies in its file: a
photograph is not square, and the plain view is its centre."""
from collections.abc import Callable
from dataclasses import replace

import numpy as np, torch
from PIL import Image, ImageOps

from course_utils.data.decode import open_picture, to_rgb
from course_utils.data.pictures import Pictures
from course_utils.techniques.ladder import climbed
from course_utils.techniques.tta import average, logits_of, symmetric_views, tta_logits
from course_utils.training.run import Run
from course_utils.training.train import train
from data_scripts.experiments.engine import Trial, arm, per_picture, run_numbers

TRAININGS = {'trained with mirrors': 2, 'trained with turns': 8}  # name → symmetric views that training draws among
VIEW_SETS = ('mirror', 'four flips', 'eight symmetries', 'three squares', 'five crops', 'random crops')
CORNERS_AND_CENTRE = ((0, 0), (1, 0), (0, 1), (1, 1), (.5, .5))
VIEW_BATCH = 128  # pictures judged at once
ZOOM = 1.1   # of the article's random views, at most


def views_arms() -> list:
    "The ladder's '+ one-cycle' at the recipe's own rate, with and without turned pictures in training."
    rung = climbed('+ one-cycle')
    labels = dict(views=list(VIEW_SETS))
    arms = []
    for name, n_views in TRAININGS.items():
        recipe = replace(rung.recipe, kept_views=n_views)
        arms.append(arm(name, recipe, rung.size, labels=labels))
    return arms


def measure_views(trial: Trial) -> dict:
    "The plain picture's answers, those of each set of views, and how many views a set has."
    pics = trial.pictures()
    run = train(pics, trial.recipe, quiet=True)
    numbers = run_numbers(run)
    logits = view_logits(run, pics, trial.seed)
    for name, of_views in logits.items():
        averaged = replace(run, probs=average(of_views))
        numbers |= per_picture(averaged, f'{name}_')
    return numbers | dict(n_views={name: len(of_views) for name, of_views in logits.items()})


def view_logits(
    run: Run,
    pics: Pictures,
    seed: int,  # of the random crops
) -> dict:      # name of a set → logits `(V, N, C)`
    "What the network says of each view of the held-out pictures. Sets that are the plain picture and nothing else are left out."
    symmetric = tta_logits(run.model, pics, symmetric_views())
    plain = symmetric[:1]
    sets = {
        'mirror': symmetric[[0, 4]],
        'four flips': symmetric[::2],
        'eight symmetries': symmetric,
    }
    for name, images in crop_sets(pics, seed).items():
        logits = logits_in_memory(run.model, images)
        # the article averages its random views with the centre of the picture
        sets[name] = np.concatenate([plain, logits]) if name == 'random crops' else logits
    return sets


def logits_in_memory(
    model,        # in `eval` mode
    images,       # `(V, N, size, size, 3)` uint8
) -> np.ndarray:  # `(V, N, C)`
    "What a network says of pictures that lie in memory, view by view."
    with torch.inference_mode():
        return np.stack([logits_of(model, view, VIEW_BATCH) for view in images])


# ---- crops of the picture in the file ----

def crop_sets(
    pics: Pictures,
    seed: int,  # of the random crops
) -> dict:      # name of a set → `(V, N, size, size, 3)` uint8
    "The held-out pictures, cut anew out of their files."
    rng = np.random.default_rng(seed)
    crops = {
        'three squares': cut_held_out(pics, three_squares),
        'five crops': cut_held_out(pics, five_crops),
        'random crops': mirrored_at_random(cut_held_out(pics, random_crops(rng)), rng),
    }
    if are_square(pics): del crops['three squares']  # one and the same
    return crops


def are_square(pics: Pictures) -> bool:
    "Are all files square?"
    sides = [size.split('×') for size in pics.found.sizes]
    return all(width == height for width, height in sides)


def three_squares(width: int, height: int) -> list:  # of (left, top, side)
    "The largest squares at both ends of the longer side, and in its middle, where the plain view is."
    side = min(width, height)
    return [box_at((share, share), width, height, side) for share in (0, .5, 1)]


def five_crops(width: int, height: int) -> list:  # of (left, top, side)
    "The corners and the centre, 7/8 of the shorter side (224 of 256, as in Krizhevsky et al. 2012)."
    side = min(width, height) * 7 / 8
    return [box_at(place, width, height, side) for place in CORNERS_AND_CENTRE]


def random_crops(rng, n: int = 4) -> Callable:
    "The views of *What breed is that dog?*: squares from anywhere in the picture, a little larger or smaller."
    def find_boxes(width, height):
        sides = min(width, height) / rng.uniform(1, ZOOM, n)
        return [box_at(rng.uniform(size=2), width, height, side) for side in sides]
    return find_boxes


def box_at(
    place,         # two shares: 0 is left or top, 1 right or bottom
    width: int,
    height: int,
    side: float,   # in pixels of the file
) -> tuple:        # left, top, side
    "The square of this side at a place of the picture."
    return place[0] * (width - side), place[1] * (height - side), side


def cut_held_out(
    pics: Pictures,
    find_boxes: Callable,  # (width, height) → list of (left, top, side), as many for each picture
) -> np.ndarray:           # `(V, N, size, size, 3)` uint8
    "Squares of the held-out files, resized as `load_pictures` does it. For files of 8 bits a colour."
    by_picture = []
    for path in pics.table.path.iloc[pics.valid]:
        with open_picture(path) as file: picture = to_rgb(ImageOps.exif_transpose(file), pics.found.grey_range)
        squares = [cut_square(picture, box, pics.size) for box in find_boxes(*picture.size)]
        by_picture.append(np.stack(squares))
    return np.stack(by_picture, axis=1)


def cut_square(
    picture: Image.Image,
    box: tuple,    # left, top, side
    size: int,     # side of the square returned, in pixels
) -> np.ndarray:   # `(size, size, 3)` uint8
    "`decode.centre_square`, from another place."
    left, top, side = box
    height = picture.size[1]
    across = picture.resize((size, height), Image.Resampling.BICUBIC, (left, 0, left + side, height))
    return np.asarray(across.resize((size, size), Image.Resampling.BICUBIC, (0, top, size, top + side)))


def mirrored_at_random(images: np.ndarray, rng) -> np.ndarray:  # `(V, N, size, size, 3)`
    "Half of the views mirrored."
    is_mirrored = rng.random(images.shape[:2]) < .5
    images[is_mirrored] = images[is_mirrored][:, :, ::-1]
    return images
