#!/usr/bin/env bash
# Question: Copies of a picture have the same features to the last bit. Does
#   torch.cdist give them the distance 0, and each row of cdist(x, x) a 0 on
#   the diagonal?
# Guess, before the run: Yes: the difference of two equal numbers is 0.
# Seen: Up to 25 rows yes. From 26 rows on cdist multiplies matrices, a² + b²
#   - 2ab in 32 bits, and what is left after the cancelling goes through a
#   root: of 50 copies among 1,050 rows of 1,280 features about a third are
#   not at 0 but at up to 0.035, and on the diagonal stands up to 0.04. So
#   `distance == 0` finds some copies and not others, and which ones depends
#   on how many rows are asked at once. scikit-learn's euclidean_distances,
#   which adds in 64 bits, gives 0 for all 50, and so does cdist when told
#   not to multiply.
# Version: seen with torch 2.15.0, scikit-learn 1.9.1.
# What a course should do: Look for copies by a checksum of the pixels. For
#   near copies take a threshold far above the rounding (here 1e-3 of the
#   usual distance), or compute_mode='donot_use_mm_for_euclid_dist'.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.15.0 \
    numpy==2.4.6 \
    scipy==1.17.1 \
    scikit-learn==1.9.1

cd "$work"
"$work/venv/bin/python" - <<'PY'
import numpy as np, torch
from sklearn.metrics.pairwise import euclidean_distances

torch.set_num_threads(1)
torch.manual_seed(0)
features = 2 * torch.rand(1000, 1280)
rows = torch.cat([features, features[:50]])  # the last fifty are copies of the first

def of_copies(distances): return np.array([float(distances[i, 1000 + i]) for i in range(50)])

asked = torch.cdist(rows, rows)
told = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
seen = {"cdist": of_copies(asked), "cdist without matrices": of_copies(told),
        "scikit-learn": of_copies(euclidean_distances(rows.numpy()))}
print(f"expected: 50 of 50 copies at distance 0; the usual distance is {float(asked[0, 1]):.0f}")
for name, distances in seen.items(): print(f"seen: {name}: {(distances == 0).sum()} at 0, the farthest at {distances.max():.3f}")
diagonals = {n: float(torch.cdist(rows[:n], rows[:n]).diagonal().max()) for n in (25, 26, 1050)}
print("seen: largest number on the diagonal, by rows:", diagonals)

assert (seen["cdist"] == 0).sum() < 50 and .005 < seen["cdist"].max() < .2
assert (seen["cdist without matrices"] == 0).all() and (seen["scikit-learn"] == 0).all()
assert diagonals[25] == 0 and diagonals[26] > .005
PY
