"""Everything that decides a training, in one value that can be compared, changed in one place, kept and found again."""
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import nn

from course_utils.config import CourseError

BATCHNORM = ('learns', 'still_in_frozen', 'still')
KEPT_VIEWS = (0, 1, 2, 4, 8)


def body_and_head(model: nn.Module) -> list:  # two lists of parameters
    "A timm model's parameters in two groups: all but the classifier, and the classifier."
    classifiers = model.get_classifier()  # a tuple of two in distilled networks
    if isinstance(classifiers, nn.Module): classifiers = (classifiers,)
    head = [p for classifier in classifiers for p in classifier.parameters()]
    ids = {id(p) for p in head}
    body = [p for p in model.parameters() if id(p) not in ids]
    return [body, head]


@dataclass(frozen=True)
class Recipe:
    "How to train. `dataclasses.replace(recipe, epochs=12)` gives another one that differs in that alone."
    arch: str                          # a timm name
    epochs: int                        # in which all groups learn
    freeze_epochs: int = 0             # before these, in which only the last group learns
    pretrained: bool = False           # start from ImageNet weights?
    freeze_stages: int = 0             # of the network, from the picture on, that stay as they are in all epochs: see `FreezeStages`
    kept_views: int = 0                # 1, 2, 4, 8: the frozen stages see so many symmetric views of each picture once, and training draws among them
    lr_max: float | slice | list = 1e-3  # the highest rate; a slice or a list gives each group its own
    schedule: str | Callable = 'one_cycle'  # see `fit`
    augment: object = None             # an albumentations transform for the training pictures
    repeats: int = 1                   # views of each training picture in one epoch
    bs: int = 64                       # pictures in a batch
    wd: float = .01                    # decoupled weight decay
    seed: int = 0                      # of the head, the order of pictures and their augmentation
    groups: Callable = body_and_head   # model → lists of parameters, one a group
    head: Callable | None = None       # (number of features, number of classes) → a module in the classifier's place
    batchnorm: str = 'learns'          # one of `BATCHNORM`: see `norm_callbacks`
    callbacks: tuple = ()              # fastai callbacks; a run with classes of them can be kept, one with objects cannot
    workers: int | None = None         # processes that prepare batches; None: 0 on a CPU, up to 8 beside a GPU
    model: dict = field(default_factory=dict)  # options of the network, for `timm.create_model`: `drop_rate`, `drop_path_rate`, …

    def __post_init__(self):
        if self.batchnorm not in BATCHNORM:
            raise CourseError(f"batchnorm is '{self.batchnorm}', but it can only be {', '.join(BATCHNORM)}.")
        if self.kept_views not in KEPT_VIEWS:
            raise CourseError(f"kept_views is {self.kept_views}, but it can only be {', '.join(map(str, KEPT_VIEWS))}.")
        if self.kept_views and not self.freeze_stages:
            raise CourseError("kept_views asks for frozen stages that see the views: set freeze_stages, too.")
        if self.kept_views and self.augment is not None:
            raise CourseError("kept_views are the only augmentation there can be, because the frozen stages see nothing else: leave out augment or kept_views.")
        if self.epochs < 0 or self.freeze_epochs < 0 or self.epochs + self.freeze_epochs == 0:
            raise CourseError(f"epochs is {self.epochs} and freeze_epochs {self.freeze_epochs}: together they can only be 1 or more.")
