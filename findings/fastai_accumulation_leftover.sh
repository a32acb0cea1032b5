#!/usr/bin/env bash
# Question: fastai's GradientAccumulation(n_acc=64) with 100 pictures an
#   epoch in batches of 10: how many optimizer steps does an epoch make, and
#   what becomes of the rest?
# Guess, before the run: n_acc counts pictures; two steps an epoch, the
#   second for the rest at the end of the epoch.
# Seen: One step after 70 pictures. The 30 left are carried into the next
#   epoch (3 epochs make 4 steps), and those left at the end of the training
#   are lost. With n_acc larger than all pictures of a fit there is no step
#   at all: the model stays as it was, while losses and a full learning rate
#   curve are recorded and nothing warns. A group holds 70 pictures but is
#   divided by 64.
# Version: seen with fastai 2.8.7.
# What a course should do: Choose n_acc as a multiple of the batch size and
#   below the size of the training set. Check after the first epoch that a
#   weight has changed. Plan the number of epochs by optimizer steps, not by
#   batches.
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
import torch
from torch import nn
from fastai.vision.all import Callback, DataLoader, DataLoaders, GradientAccumulation, Learner, SGD

torch.set_num_threads(1)

class Count(Callback):
    order = 100
    def before_fit(self):
        self.steps = 0
    def after_step(self):
        self.steps += 1

def run(n_acc, epochs):
    torch.manual_seed(0)
    rows = list(zip(torch.randn(100, 5), torch.randint(0, 2, (100,))))
    dls = DataLoaders(DataLoader(rows, bs=10), DataLoader(rows[:10], bs=10))
    net = nn.Linear(5, 2)
    before = net.weight.detach().clone()
    count = Count()
    learn = Learner(dls, net, loss_func=nn.CrossEntropyLoss(), opt_func=SGD, cbs=[GradientAccumulation(n_acc), count])
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(epochs, 0.1)
    return dict(steps=count.steps, recorded=len(learn.recorder.lrs), left=net.weight.grad.abs().sum().item() > 0,
                changed=not torch.equal(before, net.weight.detach()))

seen = {(n, e): run(n, e) for n, e in ((64, 1), (64, 3), (1000, 3))}
print("expected: steps 2, 6 and 3")
for k, v in seen.items():
    print("seen: n_acc, epochs", k, v)
assert seen[64, 1] == dict(steps=1, recorded=10, left=True, changed=True)
assert seen[64, 3]["steps"] == 4 and seen[64, 3]["left"]
assert seen[1000, 3] == dict(steps=0, recorded=30, left=True, changed=False)
PY
