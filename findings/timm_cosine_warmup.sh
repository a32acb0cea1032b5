#!/usr/bin/env bash
# Question: timm's create_scheduler_v2 with 10 epochs, 3 of them warm-up,
#   and lr 0.1: does the lr reach 0.1, and where does it end?
# Guess, before the run: Warm-up climbs to 0.1 by epoch 3, then the cosine
#   falls from 0.1 to 0 over the other 7.
# Seen: The lr never reaches 0.1. The cosine counts from epoch 0, so after
#   the warm-up it goes on at 0.079 (its value at epoch 3). With
#   warmup_prefix=True it reaches 0.1, but then the returned number of
#   epochs is 13, not 10; who loops over 10 stops at a third of the lr.
#   Calling step(epoch) instead of step(epoch + 1) plays the first lr twice.
# Version: seen with timm 1.0.31, torch 2.15.0.
# What a course should do: Loop over the number of epochs that
#   create_scheduler_v2 returns. Plot the lr of a dry run before training.
#   When comparing lr values, state the largest lr really used.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.15.0 \
    torchvision==0.29.2 \
    numpy==2.4.6 \
    pillow==13.0.0 \
    timm==1.0.31

cd "$work"
"$work/venv/bin/python" - <<'PY'
import torch
from torch import nn
from timm.scheduler import create_scheduler_v2

def dry(shift=1, **more):
    opt = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    s, n = create_scheduler_v2(opt, num_epochs=10, warmup_epochs=3, warmup_lr=1e-5, min_lr=0, **more)
    lrs = []
    for e in range(n):
        lrs.append(round(opt.param_groups[0]["lr"], 4))
        s.step(e + shift)
    return n, lrs

n, lrs = dry()
m, prefix = dry(warmup_prefix=True)
_, late = dry(shift=0)
print("expected: 10 epochs, top lr 0.1 both ways")
print("seen: plain", n, lrs, "top", max(lrs))
print("seen: warmup_prefix", m, prefix, "lr at epoch 10:", prefix[9])
print("seen: step(epoch)", late[:4])
assert n == 10 and abs(max(lrs) - 0.0794) < 1e-3
assert m == 13 and max(prefix) == 0.1 and 0.03 < prefix[9] < 0.04
assert late[0] == late[1]
PY
