#!/usr/bin/env bash
# Question: A colour JPEG is read as grey: OpenCV with IMREAD_GRAYSCALE, and
#   Pillow with convert('L'). How far apart are the pixels? And in colour?
# Guess, before the run: Colour may differ by a level; grey by at most two,
#   the rounding of the same formula.
# Seen: Colour is equal bit for bit. Grey differs by up to 19 levels on a
#   test card with usual 4:2:0 colour, and by 7 even with full colour.
#   OpenCV takes the brightness channel out of the file; Pillow decodes to
#   RGB, where colours out of range are clipped, and computes grey from
#   that. Pillow does as OpenCV does once draft('L', size) was called.
# Version: seen with OpenCV 5.0.0 and Pillow 13.0.0.
# What a course should do: Choose one way to grey for training and for use.
#   To match a pipeline in Pillow, read colour in OpenCV and convert
#   afterwards (within one level of Pillow).
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
from PIL import Image

n = 256
y, x = np.mgrid[:n, :n] / n
card = np.stack([127 + 120 * np.sin(9 * x + 3 * y), 127 + 120 * np.sin(7 * y + 1), 127 + 120 * np.cos(30 * x * y)], -1)
card[60:120, 60:120] = (255, 0, 0)
card[130:180, 60:180] = (0, 0, 255)
card[::16] = (0, 255, 0)
rgb = Image.fromarray(card.clip(0, 255).astype(np.uint8))
gap = lambda a, b: int(np.abs(a.astype(int) - b.astype(int)).max())
seen = {}
for name, sub in (("4:4:4", 0), ("4:2:0", 2)):
    b = io.BytesIO()
    rgb.save(b, "jpeg", quality=90, subsampling=sub)
    raw = np.frombuffer(b.getvalue(), np.uint8)
    open_ = lambda: Image.open(io.BytesIO(b.getvalue()))
    colour = cv2.imdecode(raw, cv2.IMREAD_COLOR)
    grey = cv2.imdecode(raw, cv2.IMREAD_GRAYSCALE)
    pil = np.asarray(open_().convert("L"))
    draft = open_()
    draft.draft("L", draft.size)
    seen[name] = dict(colour=gap(colour[..., ::-1], np.asarray(open_())), grey=gap(grey, pil),
                      grey_with_draft=gap(grey, np.asarray(draft)),
                      converted_later=gap(cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY), pil))
print("expected: grey differs by at most 2 levels")
print("seen:", seen)
for s in seen.values():
    assert s["colour"] == 0 and s["grey_with_draft"] == 0 and s["converted_later"] <= 1
assert seen["4:4:4"]["grey"] >= 5 and seen["4:2:0"]["grey"] >= 12
PY
