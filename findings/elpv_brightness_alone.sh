#!/usr/bin/env bash
# Question: How well does the mean grey of a cell alone, one number, tell
#   defect from good cells in ELPV (label over 0.5 against under)?
# Guess, before the run: Hardly: area under the curve about 0.55 to 0.6, for
#   the cells were brought to one size and corrected, and cracks are small.
# Seen: 0.75 for mono and 0.76 for poly cells: defect cells are darker. The
#   contrast (standard deviation) says nothing: 0.50 and 0.52.
# Version: seen with elpv-dataset 1.0.0.post1.
# What a course should do: Report this one-number baseline beside every
#   network. Beware of augmentations and normalisations that change the
#   brightness of each picture by itself (they take the hint away) and of
#   cameras with another exposure (the hint then misleads).
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    numpy==2.4.6 \
    scipy==1.17.1 \
    scikit-learn==1.9.1 \
    elpv-dataset==1.0.0.post1

cd "$work"
"$work/venv/bin/python" - <<'PY'
import numpy as np
from elpv_dataset.utils import load_dataset
from sklearn.metrics import roc_auc_score

images, share, kind = load_dataset()
flat = images.reshape(len(images), -1).astype(np.float64)
mean, contrast = flat.mean(1), flat.std(1)
kind = np.array([str(k) for k in kind])
seen = {}
for k in ("mono", "poly"):
    m = kind == k
    seen[k] = (round(1 - roc_auc_score(share[m] > 0.5, mean[m]), 3), round(roc_auc_score(share[m] > 0.5, contrast[m]), 3))
print("expected: area under the curve of darkness at most 0.6")
print("seen (darkness, contrast):", seen)
for dark, spread in seen.values():
    assert 0.73 < dark < 0.78 and 0.48 < spread < 0.54
PY
