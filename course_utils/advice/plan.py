"""A recipe that fits a folder of pictures: as large an input as they have and the minutes allow."""
from dataclasses import dataclass

import numpy as np

from course_utils.advice.findings import FEW_PICTURES, UNEVEN, class_counts, file_sides, flips, is_grey
from course_utils.config import profile
from course_utils.data.pictures import Pictures
from course_utils.models import create_model
from course_utils.show.words import plural
from course_utils.techniques.augment import pipeline
from course_utils.techniques.imbalance import BalancedLoss
from course_utils.techniques.scaling import costs
from course_utils.training.learner import default_device
from course_utils.training.recipe import Recipe

PLAN_SIZES = (96, 128, 160, 192, 224)  # pixels; 64 where none of them will do
LR_MAX = 2e-3


@dataclass
class Plan:
    "How to train on a folder of pictures, and how long it will take."
    recipe: Recipe
    size: int         # side of the pictures, in pixels
    operations: dict  # of `recipe.augment`: name → probability
    minutes: float    # of the training, on this machine

    @property
    def weighs_classes(self) -> bool:
        "Do errors on rare classes count more in the loss?"
        return BalancedLoss in self.recipe.callbacks

    def __str__(self):
        recipe = self.recipe
        body = f' and {recipe.epochs} of all' if recipe.epochs else ''
        operations = ', '.join(f'{name} {p:g}' for name, p in self.operations.items())
        weighed = '; classes weighed' if self.weighs_classes else ''
        return (f"{recipe.arch} at {self.size}×{self.size} pixels; {plural(recipe.freeze_epochs, 'epoch')} of the head alone{body}; "
                f'batches of {recipe.bs}, highest rate {recipe.lr_max:g}; {operations}{weighed}. '
                f'About {self.minutes:g} minutes on this machine, from a timed step.')


def make_plan(
    pics: Pictures,
    minutes: float,   # that a training may take
    arch: str='tf_efficientnet_lite0',
) -> Plan:
    "A recipe for these pictures. The input is as large as they are, and as `minutes` of training allow: a step is timed."
    counts = class_counts(pics, pics.train)
    n_train = len(pics.train)
    bs = 32 if n_train >= FEW_PICTURES else 16
    half = half_of_epochs(n_train, bs)
    # In so few steps, BatchNorm's statistics get halfway from ImageNet's to those of a small batch, and the answers get worse:
    # the body stays as it is.
    if n_train < FEW_PICTURES: epochs = dict(epochs=0, freeze_epochs=2 * half)
    else: epochs = dict(epochs=half, freeze_epochs=half)
    minutes_at = timed_minutes(arch, len(pics.classes), n_train * half, bs)
    size = largest_size(pics, minutes, minutes_at)
    operations = fitting_operations(pics)
    is_uneven = counts.max() >= UNEVEN * max(1, counts.min())
    recipe = Recipe(arch, pretrained=True, lr_max=LR_MAX, bs=bs, augment=pipeline(operations), batchnorm='still_in_frozen',
                    callbacks=(BalancedLoss,) if is_uneven else (), **epochs)
    return Plan(recipe, size, operations, round(minutes_at(size), 1))


def half_of_epochs(n_train: int, bs: int) -> int:
    "Half of the epochs that take about as many steps as the profile can afford."
    steps, low, high = profile().pick(smoke=(30, 1, 4), cpu=(360, 3, 12), gpu=(1500, 3, 30))
    n_epochs = steps / max(1, n_train // bs)
    return int(np.clip(round(n_epochs / 2), low, high))


def timed_minutes(
    arch: str,
    n_classes: int,
    n_views: int,   # pictures in the epochs of all layers
    bs: int,
):                  # size in pixels → minutes of the whole training
    "Times a training step at one size. Others take as much more or less time as they have pixels."
    device = default_device()
    # with little to do a GPU is not at work
    timed_size, timed_bs = (64, 8) if device.type == 'cpu' else (224, bs)
    model = create_model(arch, n_classes, pretrained=False).to(device)
    step_s = costs(model, timed_size, bs=timed_bs, n=2)['step_ms'] / 1000
    # an epoch of the head costs under half of one of all
    return lambda size: n_views * 1.4 * step_s * (size / timed_size)**2 / 60


def largest_size(
    pics: Pictures,
    minutes: float,
    minutes_at,      # size → minutes
) -> int:
    "The largest of `SIZES` that most files have and the minutes allow, 64 at least. Profile smoke takes 64."
    if profile().name == 'smoke': return 64
    median_side = np.median(file_sides(pics)[:, 0])
    fitting = [size for size in PLAN_SIZES if size <= median_side and minutes_at(size) <= minutes]
    return max([64, *fitting])


def fitting_operations(pics: Pictures) -> dict:  # name → probability
    "Of the augmentation: no flips where names of classes speak of sides, no colours where pictures have none."
    operations = {'brightness and contrast': .2}
    if flips(pics.classes).level != 'trouble': operations['horizontal flip'] = .5
    if not is_grey(pics.x).any(): operations['RGB shift'] = .2
    return operations
