#!/usr/bin/env bash
# Question: ReplayCompose.replay applies one drawn augmentation to a second
#   picture. What happens when the second picture has another size?
# Guess, before the run: Each transform runs again with its drawn parameters
#   at the new size, noise is drawn anew, and the picture keeps its size.
# Seen: It depends. Flips, brightness, ISO noise and crops work. GaussNoise,
#   MultiplicativeNoise, PixelDropout, SaltAndPepper and Spatter raise an
#   error, for the record holds the noise picture itself. ElasticTransform
#   raises nothing: it returns a picture of the first picture's size, with
#   the rest cut off. The record of GaussNoise is as large as a float
#   picture.
# Version: seen with albumentations 2.0.8, OpenCV 5.0.0.
# What a course should do: Replay only on pictures of the same size (resize
#   first, then ReplayCompose). Assert the output shape. Do not store replay
#   records of noise for every picture.
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

rng = np.random.default_rng(0)
small = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
tall = np.concatenate([small, small])

def replay(transform):
    r = A.ReplayCompose([transform])(image=small)
    again = A.ReplayCompose.replay(r["replay"], image=small)["image"]
    assert np.array_equal(again, r["image"])
    try:
        return A.ReplayCompose.replay(r["replay"], image=tall)["image"].shape[:2]
    except ValueError:
        return "ValueError"

seen = {t.__class__.__name__: replay(t) for t in (
    A.HorizontalFlip(p=1), A.RandomBrightnessContrast(p=1), A.ISONoise(p=1), A.GaussNoise(p=1),
    A.MultiplicativeNoise(elementwise=True, p=1), A.PixelDropout(p=1), A.SaltAndPepper(p=1),
    A.Spatter(p=1), A.ElasticTransform(p=1))}
print("expected: (128, 64) for every transform")
print("seen:", seen)
for name in ("HorizontalFlip", "RandomBrightnessContrast", "ISONoise"):
    assert seen[name] == (128, 64), name
for name in ("GaussNoise", "MultiplicativeNoise", "PixelDropout", "SaltAndPepper", "Spatter"):
    assert seen[name] == "ValueError", name
assert seen["ElasticTransform"] == (64, 64)

record = A.ReplayCompose([A.GaussNoise(p=1)])(image=small)["replay"]
held = [v for v in record["transforms"][0]["params"].values() if isinstance(v, np.ndarray)]
print("arrays in the record of GaussNoise:", [(v.shape, str(v.dtype)) for v in held])
assert any(v.shape[:2] == (64, 64) for v in held)
PY
