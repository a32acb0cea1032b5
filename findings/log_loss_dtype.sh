#!/usr/bin/env bash
# Question: A model gives probability 0 to the true class of one picture.
#   What does scikit-learn's log_loss charge for it when the same
#   probabilities are stored as float64, float32 or float16?
# Guess, before the run: The same in all three: probabilities are clipped at
#   1e-15, which costs 34.5.
# Seen: 36.04 in float64, 15.94 in float32, 6.93 in float16. The clip is the
#   machine epsilon of the array's own type. So the same predictions rank
#   differently, and a half precision export looks better calibrated than
#   its parent.
# Version: seen with scikit-learn 1.9.1 (the fixed clip of 1e-15 went away
#   in the 1.x series).
# What a course should do: Turn predictions to float64 before any log loss,
#   or better: keep the logits and take the loss from them. State the type
#   beside the number. Never compare log losses of float16 and float32
#   exports directly.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    numpy==2.4.6 \
    scipy==1.17.1 \
    scikit-learn==1.9.1

cd "$work"
"$work/venv/bin/python" - <<'PY'
import numpy as np
from sklearn.metrics import log_loss

p = np.array([[0.0, 1.0], [0.1, 0.9]])
truth = [0, 1]
cost = {}
for kind in ("float64", "float32", "float16"):
    wrong = np.array([[0.0, 1.0]], kind)
    cost[kind] = float(log_loss([0], wrong, labels=[0, 1]))
print("expected: one sure and wrong answer costs 34.5 in every type")
print("seen:", {k: round(v, 2) for k, v in cost.items()})
assert abs(cost["float64"] - 36.04) < 0.01
assert abs(cost["float32"] - 15.94) < 0.01
assert abs(cost["float16"] - 6.93) < 0.01
for kind, v in cost.items():
    assert abs(v + np.log(np.finfo(kind).eps)) < 0.01

# Which of two models is better can change with the type alone.
careful = np.full((100, 2), 0.15)
careful[:, 0] = 0.85
sure = np.tile([1.0, 0.0], (100, 1))
sure[:2] = [0.0, 1.0]
y = [0] * 100
a = [float(log_loss(y, m, labels=[0, 1])) for m in (careful, sure)]
b = [float(log_loss(y, m.astype("float16"), labels=[0, 1])) for m in (careful, sure)]
print("careful against sure: float64", np.round(a, 3), "float16", np.round(b, 3))
assert a[0] < a[1] and b[0] > b[1]
PY
