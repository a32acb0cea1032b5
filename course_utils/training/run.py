"""A finished training, and what a network says of pictures."""
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np, pandas as pd, torch
from fastai.learner import Learner
from torch import nn

from course_utils.data.loader import to_input
from course_utils.data.pictures import Pictures
from course_utils.models import norm_of
from course_utils.training.recipe import Recipe


def cross_entropy(
    probs: np.ndarray,    # `(N, n_classes)` probabilities
    targets: np.ndarray,  # `(N,)` labels
) -> np.ndarray:          # `(N,)`
    "−log of the probability that each picture's own class was given. A probability of nought counts as 1e-12."
    of_target = probs[np.arange(len(targets)), targets]
    return -np.log(of_target.clip(1e-12))


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


def predict(
    model: nn.Module,
    loader,  # of batches (pictures normalised, `(B, 3, H, W)`; labels)
) -> tuple[np.ndarray, np.ndarray]:  # probabilities `(N, n_classes)`, labels `(N,)`
    "Probabilities for all the pictures of a loader, in its order."
    model.eval()
    with torch.inference_mode():
        batches = [(model(x).float().softmax(1).cpu(), y.cpu()) for x, y in loader]
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
    model.eval()
    with torch.inference_mode():
        chunks = (to_input(images[i:i + bs], mean, std, device) for i in range(0, len(images), bs))
        return torch.cat([model(x).float().softmax(1).cpu() for x in chunks]).numpy()
