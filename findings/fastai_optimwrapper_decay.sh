#!/usr/bin/env bash
# Question: fastai leaves weight decay off for BatchNorm and biases
#   (wd_bn_bias=False). Does that hold when torch's AdamW or SGD is used
#   through OptimWrapper?
# Guess, before the run: Yes; the Learner decides it, not the optimizer.
# Seen: No. With fastai's own Adam and SGD the BatchNorm weights and biases
#   keep their size; with OptimWrapper they shrink as fast as all weights
#   (to 0.60 of their size in 10 steps at lr 0.1, wd 0.5). The setting is
#   stored where only fastai's own decay step looks. No warning.
# Version: seen with fastai 2.8.7, torch 2.15.0.
# What a course should do: When comparing optimizers in fastai, say that
#   OptimWrapper decays everything. Use fastai's own Adam, or give torch's
#   optimizer two parameter groups by hand and set the decay of one to 0.
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
from functools import partial
import torch
from torch import nn
from fastai.vision.all import Adam, Callback, DataLoader, DataLoaders, Learner, OptimWrapper, SGD

torch.set_num_threads(1)

class NoGradient(Callback):
    def before_step(self):
        for p in self.learn.model.parameters():
            p.grad.zero_()

def shrink(opt, decay_all=False):
    torch.manual_seed(0)
    rows = list(zip(torch.randn(100, 3, 8, 8), torch.randint(0, 2, (100,))))
    dls = DataLoaders(DataLoader(rows, bs=10), DataLoader(rows[:10], bs=10))
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    learn = Learner(dls, net, loss_func=nn.CrossEntropyLoss(), opt_func=opt, wd_bn_bias=decay_all)
    before = {k: p.norm().item() for k, p in net.named_parameters()}
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, lr=0.1, wd=0.5, cbs=NoGradient())
    return {k: round(net.get_parameter(k).norm().item() / before[k], 2) for k in ("0.weight", "1.weight", "5.bias")}

seen = {
    "fastai Adam": shrink(Adam),
    "fastai SGD": shrink(SGD),
    "torch AdamW": shrink(partial(OptimWrapper, opt=torch.optim.AdamW)),
    "torch SGD": shrink(partial(OptimWrapper, opt=torch.optim.SGD)),
}
print("expected: BatchNorm weight (1.weight) and bias (5.bias) stay at 1.0 of their size with each optimizer")
for k, v in seen.items():
    print("seen:", k, v)
for k, v in seen.items():
    assert v["0.weight"] == 0.6
    assert (v["1.weight"], v["5.bias"]) == ((1.0, 1.0) if "fastai" in k else (0.6, 0.6)), k
PY
