#!/usr/bin/env bash
# Question: A picture is stored as AVIF with quality=100 in Pillow, or as
#   lossless WebP with see-through parts. How far are the pixels read back
#   from the original?
# Guess, before the run: AVIF: not at all, or one level. Lossless WebP: not
#   at all.
# Seen: AVIF at quality 100 is off by more than 200 levels at sharp coloured
#   edges (11 on average on the test card), because the colour is stored at
#   half resolution unless subsampling='4:4:4' is given; even then it is off
#   by a few levels. Lossless WebP changes the colour under fully
#   transparent pixels unless exact=True, so convert('RGB') shows another
#   picture. PNG keeps all.
# Version: AVIF is in Pillow's own wheels since 11.3; seen with 13.0.0.
# What a course should do: Store pictures for training as PNG. For AVIF give
#   quality and subsampling both, and measure. Composite transparent
#   pictures on a chosen ground before convert('RGB').
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    numpy==2.4.6 \
    pillow==13.0.0

cd "$work"
"$work/venv/bin/python" - <<'PY'
import io
import numpy as np
from PIL import Image

n = 256
y, x = np.mgrid[:n, :n] / n
card = np.stack([127 + 120 * np.sin(9 * x + 3 * y), 127 + 120 * np.sin(7 * y + 1), 127 + 120 * np.cos(30 * x * y)], -1)
card[60:120, 60:120] = (255, 0, 0)
card[130:180, 60:180] = (0, 0, 255)
card[::16] = (0, 255, 0)
card = card.clip(0, 255).astype(np.uint8)

def back(im, kind, **more):
    b = io.BytesIO()
    im.save(b, kind, **more)
    return np.asarray(Image.open(io.BytesIO(b.getvalue())).convert("RGB")).astype(int)

rgb = Image.fromarray(card)
d = np.abs(back(rgb, "avif", quality=100) - card)
full = np.abs(back(rgb, "avif", quality=100, subsampling="4:4:4") - card)
clear = np.dstack([card, np.full((n, n), 255, np.uint8)])
clear[:100, :, 3] = 0
clear = Image.fromarray(clear)
hidden = {k: float(np.abs(back(clear, f, **a) - card).mean())
          for k, f, a in (("webp lossless", "webp", {"lossless": True}),
                          ("webp exact", "webp", {"lossless": True, "exact": True}), ("png", "png", {}))}
print("expected: AVIF quality=100 off by at most 1 level; lossless WebP by 0")
print(f"seen: AVIF max {d.max()} mean {d.mean():.1f}; with 4:4:4 max {full.max()}; transparent pictures, mean change:",
      {k: round(v, 1) for k, v in hidden.items()})
assert d.max() > 150 and d.mean() > 5
assert 1 < full.max() < 10
assert hidden["webp lossless"] > 20 and hidden["webp exact"] == 0 and hidden["png"] == 0
PY
