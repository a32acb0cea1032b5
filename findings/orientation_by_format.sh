#!/usr/bin/env bash
# Question: A picture carries the EXIF orientation 6 (turn by 90 degrees),
#   stored as JPEG, PNG, WebP, TIFF and AVIF. Which readers turn it:
#   Pillow's Image.open, OpenCV's imread in colour, OpenCV with
#   IMREAD_UNCHANGED?
# Guess, before the run: Pillow never turns by itself. OpenCV turns JPEG
#   only, and never with IMREAD_UNCHANGED.
# Seen: OpenCV 5 turns JPEG, PNG, WebP and TIFF, but not AVIF. With
#   IMREAD_UNCHANGED it still turns TIFF. Pillow turns TIFF by itself while
#   loading the pixels (the size changes after load) and no other. So the
#   two libraries agree on TIFF only, and for AVIF neither turns.
# Version: seen with OpenCV 5.0.0 and Pillow 13.0.0.
# What a course should do: Pass every picture through
#   ImageOps.exif_transpose after Image.open, and use one reader for
#   training and use. If OpenCV reads, test one turned file per format.
#   Masks and boxes must go through the same reader as the picture.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    numpy==2.4.6 \
    pillow==13.0.0 \
    opencv-python-headless==5.0.0.93

cd "$work"
"$work/venv/bin/python" - <<'PY'
import io
import cv2
import numpy as np
from PIL import Image, ImageOps

wide = Image.fromarray(np.repeat(np.array([[255] * 40 + [0] * 60], np.uint8), 30, 0)).convert("RGB")
exif = Image.Exif()
exif[0x112] = 6
seen = {}
for kind in ("jpeg", "png", "webp", "tiff", "avif"):
    b = io.BytesIO()
    wide.save(b, kind, exif=exif)
    im = Image.open(io.BytesIO(b.getvalue()))
    im.load()
    raw = np.frombuffer(b.getvalue(), np.uint8)
    turned = lambda shape: shape[0] > shape[1]
    seen[kind] = dict(
        pillow=im.height > im.width,
        pillow_transposed=ImageOps.exif_transpose(im).height > 30,
        opencv=turned(cv2.imdecode(raw, cv2.IMREAD_COLOR).shape),
        opencv_unchanged=turned(cv2.imdecode(raw, cv2.IMREAD_UNCHANGED).shape))
print("expected: Pillow never, OpenCV only for JPEG, never with IMREAD_UNCHANGED")
for kind, s in seen.items():
    print("seen:", kind, s)
assert {k for k, s in seen.items() if s["pillow"]} == {"tiff"}
assert {k for k, s in seen.items() if s["opencv"]} == {"jpeg", "png", "webp", "tiff"}
assert {k for k, s in seen.items() if s["opencv_unchanged"]} == {"tiff"}
assert all(s["pillow_transposed"] for s in seen.values())
PY
