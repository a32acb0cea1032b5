#!/usr/bin/env bash
# Question: A Learner holds SaveModelCallback (or EarlyStoppingCallback)
#   among its callbacks. After the training one calls learn.validate(). Does
#   this leave the callback and the saved file alone?
# Guess, before the run: Yes: the callback is for the training loop only,
#   and says so.
# Seen: No. With monitor='accuracy' validate raises IndexError. With
#   monitor='valid_loss' it says 'Better model found', takes the accuracy
#   for the loss (the place in the list is counted with the training loss,
#   which validate does not have), and overwrites the saved file with the
#   weights of the moment.
# Version: seen with fastai 2.8.7.
# What a course should do: Give tracker callbacks to fit (cbs=... in
#   fit_one_cycle), not to the Learner. Then validate is safe. Keep the best
#   file under a name of its own.
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
import contextlib
import io
import warnings
warnings.filterwarnings("ignore")
import torch
from torch import nn
from fastai.vision.all import DataLoader, DataLoaders, EarlyStoppingCallback, Learner, SaveModelCallback, accuracy

torch.set_num_threads(1)

def learner(cbs=None):
    torch.manual_seed(0)
    rows = list(zip(torch.randn(120, 5), torch.randint(0, 2, (120,))))
    dls = DataLoaders(DataLoader(rows[:100], bs=10), DataLoader(rows[100:], bs=10))
    return Learner(dls, nn.Linear(5, 2), loss_func=nn.CrossEntropyLoss(), metrics=accuracy, cbs=cbs, path=".")

def validate(cb, in_fit=False):
    learn = learner(None if in_fit else [cb])
    with contextlib.redirect_stdout(io.StringIO()):
        learn.fit(2, 0.05, cbs=[cb] if in_fit else None)
    file = learn.path / learn.model_dir / "model.pth"
    with torch.no_grad():
        learn.model.weight.fill_(7.0)
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            r = list(learn.validate())
    except IndexError:
        return "IndexError"
    kept = torch.load(file)
    w = (kept["model"] if "model" in kept else kept)["weight"]
    text = said.getvalue()
    claim = float(text.split("valid_loss value: ")[1].split()[0].rstrip(".")) if "valid_loss value: " in text else None
    return dict(loss=round(r[0], 3), accuracy=round(r[1], 3), claimed_loss=claim, file_overwritten=bool((w == 7).all()))

seen = {
    "accuracy": validate(SaveModelCallback(monitor="accuracy")),
    "accuracy, early stopping": validate(EarlyStoppingCallback(monitor="accuracy", patience=5)),
    "valid_loss": validate(SaveModelCallback(monitor="valid_loss")),
    "valid_loss, given to fit": validate(SaveModelCallback(monitor="valid_loss"), in_fit=True),
}
print("expected: validate returns loss and accuracy, and touches no file")
for k, v in seen.items():
    print("seen:", k, v)
assert seen["accuracy"] == "IndexError" and seen["accuracy, early stopping"] == "IndexError"
bad, good = seen["valid_loss"], seen["valid_loss, given to fit"]
assert bad["file_overwritten"] and abs(bad["claimed_loss"] - bad["accuracy"]) < 1e-3
assert not good["file_overwritten"] and good["claimed_loss"] is None
PY
