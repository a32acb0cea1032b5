"""One random change a picture, at a random strength: TrivialAugment, Wide (Müller and Hutter 2021, arXiv 2103.10158), for lesson 13.

There is nothing to tune: neither which changes, nor how likely, nor how strong. The ranges are the paper's and torchvision's."""
from collections.abc import Callable
from typing import NamedTuple

import albumentations as A, numpy as np
from PIL import Image, ImageEnhance, ImageOps


def affine(image: Image.Image, *matrix) -> Image.Image:
    "The picture at `(a·x + b·y + c, d·x + e·y + f)`; what lies beyond its edge is black."
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)


class Operation(NamedTuple):
    "A change of a picture, and how strong it can be."
    apply: Callable            # (picture, strength) → picture
    low: float = 0.            # the weakest
    high: float = 0.           # the strongest; where both are 0 there is but one strength
    has_sign: bool = False     # does it go both ways?

    def strength(self, share: float, sign: int) -> float:  # share: 0 (weakest) … 1 (strongest); sign: −1 or 1
        "How strong it is at a share of its range."
        value = self.low + (self.high - self.low) * share
        return value * sign if self.has_sign else value


OPERATIONS = {  # all equally likely
    'nothing': Operation(lambda image, v: image),
    'shear across': Operation(lambda image, v: affine(image, 1, v, 0, 0, 1, 0), 0, .99, True),
    'shear down': Operation(lambda image, v: affine(image, 1, 0, 0, v, 1, 0), 0, .99, True),
    'move across': Operation(lambda image, v: affine(image, 1, 0, -int(v), 0, 1, 0), 0, 32, True),  # pixels
    'move down': Operation(lambda image, v: affine(image, 1, 0, 0, 0, 1, -int(v)), 0, 32, True),
    'rotate': Operation(lambda image, v: image.rotate(v), 0, 135, True),  # degrees
    'brightness': Operation(lambda image, v: ImageEnhance.Brightness(image).enhance(1 + v), 0, .99, True),
    'colour': Operation(lambda image, v: ImageEnhance.Color(image).enhance(1 + v), 0, .99, True),
    'contrast': Operation(lambda image, v: ImageEnhance.Contrast(image).enhance(1 + v), 0, .99, True),
    'sharpness': Operation(lambda image, v: ImageEnhance.Sharpness(image).enhance(1 + v), 0, .99, True),
    'posterize': Operation(lambda image, v: ImageOps.posterize(image, round(v)), 8, 2),  # bits that stay
    'solarize': Operation(lambda image, v: ImageOps.solarize(image, v), 255, 0),         # from this brightness on
    'stretch contrast': Operation(lambda image, v: ImageOps.autocontrast(image)),
    'equalize': Operation(lambda image, v: ImageOps.equalize(image)),
}


def operated(
    x: np.ndarray,  # picture `(H, W, 3)` uint8
    name: str,      # one of `OPERATIONS`
    share: float,   # of its range, 0…1
    sign: int = 1,  # −1 or 1
) -> np.ndarray:    # the same shape
    "A picture after one change."
    operation = OPERATIONS[name]
    return np.array(operation.apply(Image.fromarray(x), operation.strength(share, sign)))


class TrivialAugment(A.ImageOnlyTransform):
    "Draws one of `OPERATIONS`, one of 31 strengths, and a sign, for each picture anew."
    BINS = 31

    def get_params(self) -> dict:
        "What is drawn for one picture."
        return dict(
            name=self.py_random.choice(list(OPERATIONS)),
            share=self.py_random.randrange(self.BINS) / (self.BINS - 1),
            sign=self.py_random.choice((-1, 1)),
        )

    def apply(self, img, name, share, sign, **params): return operated(img, name, share, sign)
