#!/usr/bin/env bash
# Question: Two classifiers see the same 50 pictures. The second is right on
#   k more and never loses one. From which k does a 95 % interval of scipy's
#   bootstrap leave zero out, and does that agree with the exact paired
#   test?
# Guess, before the run: Both agree, or differ by one picture: the exact
#   McNemar test needs 6 wins to 0.
# Seen: BCa, the default method, leaves zero out from 3 wins to 0 (exact p =
#   0.25). Percentile does so from 4 to 0 (p = 0.125), basic from 5 to 0 (p
#   = 0.0625). The exact test needs 6 to 0. With no differing picture at all
#   BCa gives nan.
# Version: seen with scipy 1.17.1, numpy 2.4.6. It follows from the method,
#   so older versions do the same.
# What a course should do: Compare two models on the same pictures with the
#   exact McNemar test (binomtest on the pictures where they differ). Show
#   the counts of wins and losses. Do not call a bootstrap interval that
#   misses zero a proof when fewer than about ten pictures differ.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    numpy==2.4.6 \
    scipy==1.17.1

cd "$work"
"$work/venv/bin/python" - <<'PY'
import warnings
import numpy as np
from scipy.stats import binomtest, bootstrap

warnings.filterwarnings("ignore")
pictures = 50

def interval(wins, method):
    gain = np.zeros(pictures)
    gain[:wins] = 1
    ci = bootstrap((gain,), np.mean, method=method, n_resamples=20_000, rng=1).confidence_interval
    return ci.low, ci.high

first = {}
for method in ("BCa", "percentile", "basic"):
    first[method] = next(k for k in range(1, 12) if interval(k, method)[0] > 1e-9)
first["exact"] = next(k for k in range(1, 12) if binomtest(k, k).pvalue < 0.05)
print("expected: bootstrap and exact test agree within one win (6 to 0)")
print("seen: wins needed", first, "exact p at 3 to 0:", binomtest(3, 3).pvalue)
assert first == {"BCa": 3, "percentile": 4, "basic": 5, "exact": 6}, first
assert all(np.isnan(v) for v in interval(0, "BCa"))
assert interval(0, "percentile") == (0, 0)
PY
