"""A finished training, what it was trained on, and what a network says of pictures."""
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np, pandas as pd, torch
from fastai.learner import Learner
from torch import nn

from course_utils.data.loader import to_input
from course_utils.data.pictures import Pictures
from course_utils.models import evaluating, forward_in_parts, norm_of
from course_utils.training.recipe import Recipe


def cross_entropy(
    probs: np.ndarray,    # `(N, n_classes)` probabilities
    targets: np.ndarray,  # `(N,)` labels
) -> np.ndarray:          # `(N,)`
    "−log of the probability that each picture's own class was given. A probability of zero counts as 1e-12."
    of_target = probs[np.arange(len(targets)), targets]
    return -np.log(of_target.clip(1e-12))


RESIZE = 'bicubic (a = -0.5, antialiased), centre square, across and then down, JPEG decoded whole'  # how `read_picture` makes a picture of a file


@dataclass(frozen=True)
class DataFacts:
    "What a network was trained on, and so what it must be handed: this goes with it into the exported file."
    classes: tuple           # names, in the order of the outputs
    size: int                # side of the pictures, in pixels
    mean: tuple              # by which they were normalised, for pictures in [0, 1]
    std: tuple
    grey_range: tuple | None = None  # what became black and white in files of more than 8 bits; None: there were none
    resize: str = RESIZE
    fingerprint: str = ''    # of pictures, labels and split

    def __post_init__(self):
        for name in ('classes', 'mean', 'std', 'grey_range'):  # lists, where they come from JSON
            value = getattr(self, name)
            if value is not None: object.__setattr__(self, name, tuple(value))


@dataclass
class Run:
    "A finished training."
    history: pd.DataFrame  # a row per epoch: train and valid loss and accuracy, rate, seconds
    probs: np.ndarray      # `(N_valid, n_classes)` probabilities of `model`
    targets: np.ndarray    # `(N_valid,)` labels
    config: dict           # all that decided the outcome, as JSON; None where the run is not kept
    seconds: float         # of fitting, validation included
    model: nn.Module
    learn: Learner | None = None   # None where the run was found, not fitted
    kept: str = ''                 # where it is kept
    arrays: dict = field(default_factory=dict)  # what callbacks put into `history.arrays`
    recipe: Recipe | None = None   # how it was trained
    files: list | None = None      # class folder and file of each validation picture; None where they are not known
    data: DataFacts | None = None  # what it was trained on; None where the run was put together by hand
    groups: np.ndarray | None = None  # `(N_valid,)`: what is alike, such as the module of a cell; None where there are no groups

    @property
    def accuracy(self) -> float:
        "The share of held-out pictures that are named right."
        return float((self.probs.argmax(1) == self.targets).mean())

    @property
    def valid_loss(self) -> float:
        "Of `model`, which after early stopping is not that of the last epoch."
        return float(cross_entropy(self.probs, self.targets).mean())

    def __repr__(self):
        last = self.history.iloc[-1]
        kept = f' ({self.kept})' if self.kept else ''
        return (f"{len(self.history)} epochs in {self.seconds:.0f} s: train accuracy {last.train_accuracy:.1%}, "
                f"valid accuracy {self.accuracy:.1%}, valid loss {self.valid_loss:.3f}{kept}")


def held_out_files(pics: Pictures) -> list | None:
    "Class folder and file of each validation picture, by which two splits are told apart; None where a table has no paths."
    if 'path' not in pics.table: return None
    return ['/'.join(Path(path).parts[-2:]) for path in pics.table.path.iloc[pics.valid]]


def held_out_groups(pics: Pictures) -> np.ndarray | None:
    "The group of each validation picture, such as its module: intervals count groups, not pictures. None where a table has no groups."
    return groups_in(pics, pics.valid)


def groups_in(pics: Pictures, places: np.ndarray) -> np.ndarray | None:
    "The group of each of these pictures, where there are groups."
    return pics.table.group.to_numpy()[places] if 'group' in pics.table else None


def predict(
    model: nn.Module,
    loader,  # of batches (pictures normalised, `(B, 3, H, W)`; labels)
) -> tuple[np.ndarray, np.ndarray]:  # probabilities `(N, n_classes)`, labels `(N,)`
    "Probabilities for all the pictures of a loader, in its order. The model is left in `eval` mode."
    model.eval()
    with torch.inference_mode():
        batches = [(forward_in_parts(model, x).float().softmax(1).cpu(), y.cpu()) for x, y in loader]
    probs, labels = zip(*batches)
    return torch.cat(probs).numpy(), torch.cat(labels).numpy()


def probabilities(
    model: nn.Module,
    images,        # `(N, H, W, 3)` uint8
    bs: int = 64,  # pictures at once
) -> np.ndarray:   # `(N, n_classes)`
    "What a model says of pictures as they lie in memory: normalised as its configuration wants them, on its own device."
    device = next(model.parameters()).device
    mean, std = norm_of(model)
    with evaluating(model), torch.inference_mode():
        chunks = (to_input(images[i:i + bs], mean, std, device) for i in range(0, len(images), bs))
        return torch.cat([forward_in_parts(model, x).float().softmax(1).cpu() for x in chunks]).numpy()
