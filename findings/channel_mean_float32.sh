#!/usr/bin/env bash
# Question: To normalise pictures one takes the mean of each channel: pixels
#   as float32, reshape(-1, 3).mean(axis=0). Is that right for 50 million
#   pixels (about 1000 photographs of 224 x 224)?
# Guess, before the run: Right to at least four digits: numpy adds in pairs,
#   which keeps the error small.
# Seen: With all pixels at 0.5 the mean comes out as 0.168, and the standard
#   deviation as 0.20 instead of 0. Pairwise addition works only along the
#   last, contiguous axis. Along the first axis numpy adds row by row, and a
#   float32 sum of halves stops growing at 2**23. mean() over everything at
#   once gives 0.5; so does dtype=float64.
# Version: seen with numpy 2.4.6; it is long-standing behaviour.
# What a course should do: Give dtype=np.float64 to mean and std over
#   pixels, or keep the pixels as uint8 (then numpy adds in float64 anyway).
#   Check the result against the mean of per-picture means.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    numpy==2.4.6

cd "$work"
"$work/venv/bin/python" - <<'PY'
import numpy as np

n = 50_000_000
x = np.full((n, 3), 0.5, np.float32)
by_axis = x.mean(axis=0)
whole = float(x.mean())
careful = x.mean(axis=0, dtype=np.float64)
print("expected: 0.5 from each way")
print("seen: mean(axis=0)", by_axis, "mean of all", whole, "with float64", careful)
assert np.allclose(by_axis, 2**23 / n, rtol=1e-3), by_axis
assert abs(whole - 0.5) < 1e-6
assert np.allclose(careful, 0.5)
del x

u = np.full((4_000_000, 3), 128, np.uint8)
assert np.allclose(u.mean(axis=0), 128)

# Real-looking pixels: already the third digit is gone at 8 million pixels.
z = np.random.default_rng(0).random((8_000_000, 3), dtype=np.float32)
gap = np.abs(z.std(axis=0) / z.std(axis=0, dtype=np.float64) - 1).max()
print(f"random pixels, 8 million: standard deviation off by {gap:.2%}")
assert gap > 0.001
PY
