#!/usr/bin/env bash
# Question: A held-out set has 50 pictures each of two classes; a third
#   class has none there. The model errs once, and names that third class.
#   What do macro F1 and balanced accuracy say?
# Guess, before the run: About 0.99 both: a class without a picture is
#   left out of the mean.
# Seen: Macro F1 is 0.66, balanced accuracy 0.99. F1 takes the mean over
#   all classes that are named or there, so the empty one counts with 0.
#   Balanced accuracy leaves it out (with a warning). Had the model named
#   one of the two classes by mistake instead, macro F1 would be 0.99.
# Version: seen with scikit-learn 1.9.1, numpy 2.4.6; it is long-standing
#   behaviour.
# What a course should do: Give labels= to f1_score, the classes that have
#   a picture there. With rare classes and small folds count the pictures
#   of each class first. Do not compare macro F1 of two folds that hold
#   different classes.
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
from sklearn.metrics import balanced_accuracy_score, f1_score

truth = [0] * 50 + [1] * 50
unseen = [0] * 49 + [2] + [1] * 50
seen = [0] * 49 + [1] + [1] * 50
f1 = f1_score(truth, unseen, average="macro")
balanced = balanced_accuracy_score(truth, unseen)
usual = f1_score(truth, seen, average="macro")
told = f1_score(truth, unseen, average="macro", labels=[0, 1])
print("expected: 0.99 for all")
print(f"seen: macro F1 {f1:.3f}, balanced accuracy {balanced:.3f}, macro F1 with another mistake {usual:.3f}, with labels= {told:.3f}")
assert abs(f1 - 2 / 3) < .01 and balanced > .985 and usual > .985 and told > .985
PY
