#!/usr/bin/env bash
# Question: fastai's FocalLoss(gamma=2, weight=w): what does one picture of
#   a class of weight 5 cost that the network already gets right with p =
#   0.9?
# Guess, before the run: 5 * (1 - 0.9)**2 * -log(0.9), about 0.005: the
#   class weight times the focal loss.
# Seen: 0.088, about 17 times as much. fastai takes p back out of the loss
#   that has been weighted already, so it sees 0.9**5 = 0.59 instead of 0.9,
#   and the focus hardly dampens the picture. For weights under 1 the
#   reverse: a wrong picture of a frequent class is dampened as if it were
#   right. And the mean divides by the number of pictures, so with gamma=0
#   it is not the weighted cross entropy of torch.
# Version: seen with fastai 2.8.7, torch 2.15.0.
# What a course should do: Do not give class weights to fastai's FocalLoss.
#   Take reduction='none' without weight and multiply by w[y] oneself, or
#   sample the rare class more often. Check one picture by hand.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.15.0 \
    torchvision==0.29.2 \
    numpy==2.4.6 \
    fastai==2.8.7 \
    fastcore==1.14.5 \
    fasttransform==0.0.2 \
    fastprogress==1.1.6 \
    plum-dispatch==2.9.0

cd "$work"
"$work/venv/bin/python" - <<'PY'
import warnings
warnings.filterwarnings("ignore")
import math
import torch
from torch import nn
from fastai.losses import FocalLoss

def one(p, weight, gamma=2.0):
    logits = torch.tensor([[math.log(p), math.log(1 - p)]])
    return FocalLoss(gamma=gamma, weight=torch.tensor([weight, 1.0]))(logits, torch.tensor([0])).item()

hand = lambda p, w: w * (1 - p) ** 2 * -math.log(p)
seen = {(p, w): (round(one(p, w), 4), round(hand(p, w), 4)) for p, w in ((0.9, 1.0), (0.9, 5.0), (0.1, 0.1))}
print("expected: fastai gives weight times focal loss")
print("seen (p, weight): (fastai, by hand)", seen)
assert abs(one(0.9, 1.0) - hand(0.9, 1.0)) < 1e-5
assert 15 < one(0.9, 5.0) / hand(0.9, 5.0) < 20
assert one(0.1, 0.1) < 0.1 * hand(0.1, 0.1)
for p, w in ((0.9, 5.0), (0.1, 0.1)):
    assert abs(one(p, w) - w * (1 - p**w) ** 2 * -math.log(p)) < 1e-4

torch.manual_seed(0)
logits, y, w = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1]), torch.tensor([1.0, 2, 3, 4])
a = FocalLoss(gamma=0.0, weight=w)(logits, y).item()
b = nn.CrossEntropyLoss(weight=w)(logits, y).item()
print(f"gamma=0 with weights: fastai {a:.3f}, cross entropy {b:.3f}, ratio {a / b:.3f}")
assert abs(a / b - w[y].mean().item()) < 1e-3
PY
