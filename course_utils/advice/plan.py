"""A recipe that fits a folder of pictures: as large an input as the minutes allow, then fine-tuning, where there are minutes left."""
from dataclasses import dataclass, replace

import numpy as np, torch
from torch import nn

from course_utils.advice.findings import FEW_PICTURES, UNEVEN, class_counts, flips
from course_utils.advice.series import Leak
from course_utils.config import profile
from course_utils.data.pictures import Pictures
from course_utils.models import create_model
from course_utils.show.words import plural
from course_utils.techniques.deep_features import PooledDepths
from course_utils.techniques.imbalance import BalancedLoss
from course_utils.techniques.scaling import milliseconds
from course_utils.training.depthwise import quicken_depthwise
from course_utils.training.freezing import cut, still
from course_utils.training.learner import default_device
from course_utils.training.recipe import Recipe

PLAN_SIZES = (96, 128, 160, 192, 224)  # pixels; the first where the minutes are too few for any
LR_MAX = 2e-4       # behind a warm head; at 1e-3 the first epochs undo what it knows, and the training loss rises
FREEZE_STAGES = 5   # that fine-tuning leaves alone
TRIAL_FOLDS = 3     # of the training pictures, by which fine-tuning is tried
FEWEST_EPOCHS = 3   # fewer are not worth a trial
HEAD_PRODUCTS = 400 # of features and weights, about as many as the fit of a linear head takes


@dataclass
class Plan:
    "How to learn from a folder of pictures, and how long it will take."
    recipe: Recipe   # of the fine-tuning; its network, views and weighing are those of the frozen half, too
    size: int        # side of the pictures, in pixels
    folds: int       # of the training pictures, by which fine-tuning is tried; 0: it is not
    minutes: float   # at the most, on this machine
    neighbours: str = ''  # the order in which neighbours are alike, as in a series: folds then hold out whole runs

    @property
    def weighs_classes(self) -> bool:
        "Do errors on rare classes count more in the loss?"
        return BalancedLoss in self.recipe.callbacks

    def with_neighbours(self, leak: Leak | None) -> 'Plan':
        "The same plan for pictures whose neighbours are found to be alike. Groups that are known are in the table already."
        if leak is None or not leak.is_clear or leak.is_grouped: return self
        return replace(self, neighbours=leak.order)

    def __str__(self):
        recipe = self.recipe
        views = ', plain and mirrored' if recipe.kept_views > 1 else ''
        weighed = '; classes weighed' if self.weighs_classes else ''
        if self.folds:
            tuning = (f'then {plural(recipe.epochs, "epoch")} of the late stages, tried in {self.folds} folds of the training pictures '
                      'and kept only if they show a gain')
        else: tuning = 'no fine-tuning'
        return (f'{recipe.arch} at {self.size}×{self.size} pixels: a linear head on frozen features of several depths{views}; '
                f'{tuning}{weighed}. At most about {self.minutes:g} minutes on this machine, from timed steps.')


def make_plan(
    pics: Pictures,
    minutes: float,   # that all of it may take
    arch: str='tf_efficientnet_lite0',
) -> Plan:
    """A recipe for these pictures. The frozen half gets the largest input that the minutes allow: a step of each part is timed.
    Then it sees each picture mirrored, too, if that keeps the class and the minutes allow it. Fine-tuning gets the minutes that
    are left, if they are enough to try it on folds of the training pictures."""
    counts = class_counts(pics, pics.train)
    costs = timed_costs(arch, len(pics.classes), len(pics.train))
    size = largest_size(minutes, Work(len(pics), len(pics.train), 1, costs))
    work = Work(len(pics), len(pics.train), 2, costs)
    may_mirror = flips(pics.classes).level != 'trouble'
    if not may_mirror or work.frozen_minutes(size) > minutes: work = replace(work, views=1)
    epochs = affordable_epochs(minutes, work, size)
    folds = TRIAL_FOLDS if epochs and len(pics.train) >= FEW_PICTURES else 0
    is_uneven = counts.max() >= UNEVEN * max(1, counts.min())
    recipe = Recipe(arch, epochs or FEWEST_EPOCHS, pretrained=True, freeze_stages=FREEZE_STAGES, kept_views=work.views, lr_max=LR_MAX,
                    bs=32, batchnorm='still', callbacks=(BalancedLoss,) if is_uneven else ())
    needed = work.frozen_minutes(size) + (work.tuning_minutes(size, epochs) if folds else 0)
    return Plan(recipe, size, folds, float(f'{needed:.2g}'))


# ---- minutes ----

@dataclass
class Costs:
    "Seconds on this machine."
    size: int      # of the pictures that were timed, in pixels
    forward: float # of one picture through the whole network
    step: float    # of one picture in a training step of the stages that learn
    head: float    # of the fit of one linear head on one view of the training pictures

    def scaled(self, size: int) -> float:
        "How many times the pixels that were timed a picture has."
        return (size / self.size)**2


@dataclass
class Work:
    "What there is to do."
    pictures: int
    training: int  # pictures of these
    views: int     # of each
    costs: Costs

    def frozen_minutes(self, size: int) -> float:
        "A pass over all pictures, and a head."
        one_pass = self.pictures * self.costs.forward * self.costs.scaled(size)
        return self.views * (one_pass + self.costs.head) / 60

    def epoch_minutes(self, size: int) -> float:
        "One epoch of every fold, and of the last training on all: together as many pictures as `TRIAL_FOLDS` trainings have."
        return TRIAL_FOLDS * self.training * self.costs.step * self.costs.scaled(size) / 60

    def trial_minutes(self, size: int) -> float:
        "What fine-tuning takes beside its epochs: a pass of the frozen stages, and two heads for each fold."
        heads = 2 * TRIAL_FOLDS * self.views * self.costs.head / 60
        return self.frozen_minutes(size) + heads

    def tuning_minutes(self, size: int, epochs: int) -> float:
        "All of the fine-tuning."
        return self.trial_minutes(size) + epochs * self.epoch_minutes(size)


def timed_costs(
    arch: str,
    n_classes: int,
    n_train: int,    # pictures that a linear head learns from
) -> Costs:
    "Times a step of each part at one size."
    device = default_device()
    # with little to do a GPU is not at work
    size, bs = (128, 32) if device.type == 'cpu' else (224, 64)
    model = create_model(arch, n_classes, pretrained=False).to(device).eval()
    x = torch.randn(bs, 3, size, size, device=device).contiguous(memory_format=torch.channels_last)
    network = PooledDepths(model).to(memory_format=torch.channels_last)

    def forward():
        with torch.inference_mode(): return network(x)

    n_features = forward().shape[1]
    forward_s = milliseconds(forward, 2, device) / 1000 / bs
    return Costs(size, forward_s, step_seconds(model, x), head_seconds(n_train, n_features, n_classes))


def step_seconds(
    model: nn.Module,  # is cut
    x: torch.Tensor,   # a batch
) -> float:            # of one picture
    "A training step of the stages that learn, on the maps of those that are frozen."
    parts = cut(model, FREEZE_STAGES, x)
    with torch.no_grad(): maps = parts.front(x)
    for name in parts.names: model.set_submodule(name, nn.Identity())
    still(model, parts.frozen)
    if x.device.type == 'cpu': quicken_depthwise(model)  # as the training will
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])

    def step():
        model(maps).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return milliseconds(step, 2, x.device) / 1000 / len(x)


def head_seconds(n_train: int, n_features: int, n_classes: int) -> float:
    "The fit of a linear head, from one product of a few pictures' features with weights."
    rows = min(n_train, 500)
    features = np.ones((rows, n_features), np.float32)
    weights = np.ones((n_features, 1 if n_classes == 2 else n_classes), np.float32)
    return HEAD_PRODUCTS * n_train / rows * milliseconds(lambda: features @ weights, 3) / 1000


# ---- what they allow ----

def largest_size(
    minutes: float,
    work: Work,
) -> int:
    "The largest of `PLAN_SIZES` at which the minutes allow the frozen half; the smallest at profile smoke."
    if profile().name == 'smoke': return PLAN_SIZES[0]
    fitting = [size for size in PLAN_SIZES if work.frozen_minutes(size) <= minutes]
    return max([PLAN_SIZES[0], *fitting])


def affordable_epochs(
    minutes: float,
    work: Work,
    size: int,
) -> int:  # 0: fine-tuning is not tried
    "The epochs that fit into the minutes that the frozen half leaves."
    if profile().name == 'smoke': return 1
    left = minutes - work.frozen_minutes(size) - work.trial_minutes(size)
    epochs = int(left / work.epoch_minutes(size)) if left > 0 else 0
    if epochs < FEWEST_EPOCHS: return 0
    return min(epochs, profile().pick(smoke=1, cpu=12, gpu=20))
