#!/usr/bin/env bash
# Question: scikit-learn can fit a temperature (CalibratedClassifierCV with
#   method 'temperature'). What is the fitted beta_ (one over the
#   temperature) for a model that is already well calibrated?
# Guess, before the run: About 1, for two classes and for three, whether the
#   model offers decision_function or only predict_proba.
# Seen: About 1 for three classes, and for two classes through
#   predict_proba. But about 0.5 for two classes through decision_function:
#   the one logit d becomes the pair (-d, d), so softmax sees twice the
#   distance. The probabilities that come out are right; only the number is
#   halved (a temperature of 2 is reported for a perfect model).
# Version: the method is new in scikit-learn 1.8; seen with 1.9.1.
# What a course should do: Do not print 1/beta_ of a two-class model as 'the
#   temperature' beside one fitted on softmax logits. Compare calibration by
#   log loss or a reliability diagram, or check first what a calibrated toy
#   model gives.
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
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

rng = np.random.default_rng(0)
n = 20_000
X = rng.normal(size=(2 * n, 3))
two = (rng.random(2 * n) < 1 / (1 + np.exp(-X @ [1, -2, 0.5]))).astype(int)
weights = rng.normal(size=(3, 3)) * 2
share = np.exp(X @ weights)
share /= share.sum(1, keepdims=True)
three = (share.cumsum(1) > rng.random((2 * n, 1))).argmax(1)

class OnlyProba(ClassifierMixin, BaseEstimator):
    def __init__(self, inner=None):
        self.inner = inner
    def fit(self, X, y):
        self.classes_ = self.inner.classes_
        return self
    def predict_proba(self, X):
        return self.inner.predict_proba(X)
    def predict(self, X):
        return self.inner.predict(X)

def beta(model, y):
    c = CalibratedClassifierCV(FrozenEstimator(model), method="temperature").fit(X[n:], y[n:])
    return float(c.calibrated_classifiers_[0].calibrators[0].beta_), c.predict_proba(X)

fit = lambda y: LogisticRegression(C=1e6).fit(X[:n], y[:n])
m2, m3 = fit(two), fit(three)
b3, _ = beta(m3, three)
b2, out = beta(m2, two)
bp, _ = beta(OnlyProba(m2).fit(X, two), two)
change = np.abs(out - m2.predict_proba(X)).max()
print("expected: beta_ near 1 in all three cases")
print(f"seen: three classes {b3:.2f}, two by predict_proba {bp:.2f}, two by decision_function {b2:.2f}; "
      f"probabilities move by at most {change:.3f}")
assert 0.9 < b3 < 1.1 and 0.9 < bp < 1.1
assert 0.45 < b2 < 0.55
assert change < 0.02
PY
