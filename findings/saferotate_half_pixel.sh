#!/usr/bin/env bash
# Question: What does albumentations' SafeRotate do to a picture that it turns by
#   0 degrees, and by a quarter turn?
# Guess, before the run: Nothing at 0; at 90 what numpy.rot90 does. Rotate does so.
# Seen: It moves the picture by half a pixel along both axes, whatever the angle
#   and the size, and bilinear interpolation then averages four neighbours. A
#   bright line of one pixel comes out two pixels wide at half its contrast, and so
#   does the line in a mask; a chequerboard of single pixels comes out grey. Rotate
#   gives the same bytes at 0, and what rot90 gives at 90.
# Version: seen with albumentations 2.0.8, opencv 5.0.0.
# What a course should do: For fine cracks turn by quarters (RandomRotate90, D4),
#   which move pixels and mix none. Where any angle is meant, take Rotate, and
#   look at the picture at 0 degrees first: what it lost there it loses always.
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

def turned(kind, angle, **targets):
    return A.Compose([kind(limit=(angle, angle), p=1)])(**targets)

def ramp(size):
    "Each pixel holds its own place, so a move can be read from the values."
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    return np.stack([x, y, 0 * x], -1)

def moved(kind, angle, size):
    "By how many pixels the middle of the picture moved, beside numpy.rot90."
    image = ramp(size)
    seen = turned(kind, angle, image=image)["image"]
    off = (seen - np.rot90(image, angle // 90)) * size
    middle = slice(size // 4, 3 * size // 4)
    return np.abs(off[middle, middle, :2]).mean((0, 1)).round(3)

for size in (64, 65, 300):
    for angle in (0, 90, 180):
        safe, plain = moved(A.SafeRotate, angle, size), moved(A.Rotate, angle, size)
        print(f"{size} px, {angle} degrees: SafeRotate is off by {safe}, Rotate by {plain} pixels")
        assert np.allclose(safe, .5, atol=.01) and np.allclose(plain, 0, atol=.01)

crack = np.zeros((64, 64, 3), np.uint8)
crack[:, 20] = 200
seen = turned(A.SafeRotate, 0, image=crack, mask=crack[..., 0] // 200)
profile = seen["image"][32, 18:23, 0]
print("a line of one pixel, value 200, turned by 0 degrees:", profile)
assert sorted(profile)[-2:] == [100, 100] and profile.sum() == 200
mask_at = np.flatnonzero(seen["mask"][32])
print("expected: the line and its mask at 20; seen:", np.flatnonzero(seen["image"][32, :, 0]), "and", mask_at)
assert len(mask_at) == 2
board = (np.indices((64, 64)).sum(0) % 2 * 200).astype(np.uint8)
board = np.dstack([board] * 3)
grey = turned(A.SafeRotate, 0, image=board)["image"][8:-8, 8:-8]
print("a chequerboard of 0 and 200 comes out as", np.unique(grey))
assert grey.min() == grey.max() == 100
PY
