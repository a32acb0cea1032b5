#!/usr/bin/env bash
# Question: In albumentations, what does the p of a child do inside
#   SomeOf(n=2), compared with OneOf?
# Guess, before the run: The same as in OneOf: p is the weight in the draw,
#   and what is drawn is applied. So SomeOf(n=2) changes each picture by
#   exactly two children.
# Seen: In OneOf p is a weight and the drawn child always runs, even a
#   nested Compose(p=0.5). In SomeOf (and RandomOrder) the draw is even, p
#   is no weight, and the drawn child then runs with its own p. With four
#   children of the default p=0.5 and n=2, one child runs on average; a
#   quarter of the pictures stay as they are.
# Version: seen with albumentations 2.0.8.
# What a course should do: Write p=1 for every child of SomeOf or
#   RandomOrder, or choose other values with this in mind. Measure how many
#   pictures come out unchanged; it should be one printed line in the
#   notebook.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    numpy==2.4.6 \
    opencv-python-headless==5.0.0.93 \
    albumentations==2.0.8

cd "$work"
"$work/venv/bin/python" - <<'PY'
import os
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
import warnings
warnings.filterwarnings("ignore")
import albumentations as A
import numpy as np

class Mark(A.ImageOnlyTransform):
    def __init__(self, place, p=0.5):
        super().__init__(p=p)
        self.place = place
    def apply(self, img, **more):
        img = img.copy()
        img[0, self.place] = 255
        return img

black = np.zeros((8, 8, 3), np.uint8)

def rates(transform, rounds=4000):
    c = A.Compose([transform], seed=0)
    marks = np.array([c(image=black)["image"][0, :4, 0] > 0 for _ in range(rounds)])
    return marks.mean(0).round(2), marks.sum(1)

half, count = rates(A.SomeOf([Mark(i) for i in range(4)], n=2, p=1))
weighted, _ = rates(A.SomeOf([Mark(0, p=1.0)] + [Mark(i, p=0.1) for i in (1, 2, 3)], n=2, p=1))
order, _ = rates(A.RandomOrder([Mark(i) for i in range(4)], n=2, p=1))
one, _ = rates(A.OneOf([Mark(0, p=0.1), Mark(1, p=0.1)], p=1))
nested, _ = rates(A.OneOf([A.Compose([Mark(0, p=1.0)], p=0.5), Mark(1, p=0.5)], p=1))
print("expected: SomeOf(n=2) of four runs each child in half of the pictures, two per picture")
print("seen: SomeOf", half, f"children per picture {count.mean():.2f}, none at all {np.mean(count == 0):.0%};",
      "unequal p", weighted, "RandomOrder", order, "OneOf", one[:2], "OneOf with a nested Compose", nested[:2])
assert np.allclose(half, 0.25, atol=0.03) and np.allclose(order, 0.25, atol=0.03)
assert abs(np.mean(count == 0) - 0.25) < 0.03
assert abs(weighted[0] - 0.5) < 0.03 and np.allclose(weighted[1:], 0.05, atol=0.02)
assert np.allclose(one[:2], 0.5, atol=0.03) and np.allclose(nested[:2], 0.5, atol=0.03)
PY
