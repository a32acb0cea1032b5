#!/usr/bin/env bash
# Question: roc_auc_score is given a fold in which all pictures have the
#   same class. What happens, and what does
#   cross_val_score(scoring='roc_auc') say of five folds, one of which is
#   such a fold?
# Guess, before the run: roc_auc_score raises ValueError, so the mistake
#   is found at once.
# Seen: No error: it returns nan with a warning. cross_val_score gives nan
#   for that fold, its mean() is nan, and GridSearchCV, in which the fold
#   is the same for all settings, gives all of them rank 1. nanmean hides
#   the lost fold.
# Version: seen with scikit-learn 1.9.1. (Older releases raised
#   ValueError.)
# What a course should do: Split so that each fold holds each class, and
#   check this before training. Treat a score that is no number as an
#   error. For rare defects take the AUC once over all held-out
#   predictions, not the mean over folds.
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
import warnings
warnings.filterwarnings("ignore")
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

rng = np.random.default_rng(0)
y = np.r_[np.zeros(20, int), rng.integers(0, 2, 80)]  # as files lie in a folder: the first fifth is all good
x = rng.normal(size=(100, 3)) + y[:, None]

alone = roc_auc_score([1, 1, 1], [.1, .5, .9])
folds = cross_val_score(LogisticRegression(), x, y, cv=KFold(5), scoring="roc_auc")
grid = GridSearchCV(LogisticRegression(), dict(C=[1e-4, 1e4]), cv=KFold(5), scoring="roc_auc").fit(x, y)
print("expected: ValueError")
print("seen:", alone, folds.round(2), "mean", folds.mean(), "ranks", grid.cv_results_["rank_test_score"])
assert np.isnan(alone) and np.isnan(folds[0]) and np.isnan(folds.mean())
assert np.isfinite(folds[1:]).all()
assert set(grid.cv_results_["rank_test_score"]) == {1}
PY
