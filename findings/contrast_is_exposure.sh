#!/usr/bin/env bash
# Question: albumentations' RandomBrightnessContrast with brightness_limit 0
#   and a contrast limit alone: is the mean of a picture kept, as contrast
#   does it in torchvision's ColorJitter and in Pillow? And what does a
#   brightness of 0.2 add to a dark picture?
# Guess, before the run: The mean is kept, the grey levels move away from it.
#   Brightness adds a fifth of the picture's own light.
# Seen: Contrast multiplies from black, so a factor of 1.2 makes every picture
#   20 % lighter, as a longer exposure would: a mean of 60 becomes 72. Not
#   one level stays. The ratio of any two levels is kept, which torchvision's
#   and Pillow's contrast changes. Brightness 0.2 adds 51 levels to any
#   picture: a dark one with a mean of 20 becomes 3.6 times as light.
# Version: seen with albumentations 2.0.8, torchvision 0.29.2, pillow 13.0.0.
# What a course should do: Call it a change of exposure, not of contrast.
#   Whoever wants contrast without light takes it from torchvision, or moves
#   the levels about the mean in a line of numpy. Choose the brightness limit
#   by the darkest pictures, or set brightness_by_max=False.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.15.0 \
    torchvision==0.29.2 \
    numpy==2.4.6 \
    pillow==13.0.0 \
    albumentations==2.0.8

cd "$work"
NO_ALBUMENTATIONS_UPDATE=1 "$work/venv/bin/python" - <<'PY'
import albumentations as A, numpy as np, torch
from PIL import Image, ImageEnhance
from torchvision.transforms.v2 import functional as F

picture = np.full((32, 32, 3), 40, np.uint8)
picture[16:] = 80

def levels(image): return [int(v) for v in np.unique(image)]

def by_albumentations(image, brightness=0, contrast=0, **more):
    limits = dict(brightness_limit=(brightness,) * 2, contrast_limit=(contrast,) * 2)
    return A.RandomBrightnessContrast(**limits, p=1, **more)(image=image)["image"]

ours = by_albumentations(picture, contrast=.2)
vision = F.adjust_contrast(torch.from_numpy(picture).permute(2, 0, 1), 1.2).permute(1, 2, 0).numpy()
pillow = np.asarray(ImageEnhance.Contrast(Image.fromarray(picture)).enhance(1.2))
print("expected: levels 36 and 84, mean 60")
for name, image in {"albumentations": ours, "torchvision": vision, "Pillow": pillow}.items():
    print(f"seen: {name}: levels {levels(image)}, mean {image.mean():.0f}")
dark = np.full((32, 32, 3), 20, np.uint8)
lit, relative = (by_albumentations(dark, brightness=.2, brightness_by_max=by_max) for by_max in (True, False))
print(f"expected: brightness 0.2 makes a mean of 20 one of 24; seen: {lit.mean():.0f}, with brightness_by_max=False {relative.mean():.0f}")
assert levels(ours) == [48, 96] and levels(vision) == [36, 84] and levels(pillow) == [36, 84]
assert round(lit.mean()) == 71 and round(relative.mean()) == 24
PY
