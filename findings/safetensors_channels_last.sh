#!/usr/bin/env bash
# Question: A convolutional network was trained in channels_last, as is
#   usual for speed. What does safetensors.torch.save_file make of its
#   state_dict?
# Guess, before the run: It saves: weights are made contiguous in silence,
#   and only the memory format is lost.
# Seen: ValueError: 'You are trying to save a non contiguous tensor'. The
#   training is over when this comes. save_model saves the same network:
#   it makes weights contiguous by default, save_file does not. Kernels of
#   1 x 1, or of one input channel, pass in save_file, too, for they count
#   as contiguous in both formats: so the same code works on a network of
#   pointwise layers and fails on the next. torch.save takes all, and
#   keeps the format.
# Version: seen with safetensors 0.8.0, torch 2.15.0.
# What a course should do: Take save_model, or save {name:
#   weight.contiguous() for name, weight in state_dict.items()}. Try
#   saving once before a long training.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.15.0 \
    numpy==2.4.6 \
    safetensors==0.8.0 \
    packaging

cd "$work"
"$work/venv/bin/python" - <<'PY'
import torch
from safetensors.torch import load_file, save_file, save_model
from torch import nn

def outcome(save, thing):
    try:
        save(thing, "a.safetensors")
        return "saved"
    except ValueError as error:
        return str(error)[:60]

net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)).to(memory_format=torch.channels_last)
pointwise = nn.Sequential(nn.Conv2d(3, 8, 1)).to(memory_format=torch.channels_last)
one_channel = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8)).to(memory_format=torch.channels_last)
seen = {
    "3 x 3": outcome(save_file, net.state_dict()),
    "3 x 3, save_model": outcome(save_model, net),
    "1 x 1": outcome(save_file, pointwise.state_dict()),
    "depthwise": outcome(save_file, one_channel.state_dict()),
}
print("expected: saved, all")
print("seen:", seen)
assert "non contiguous" in seen["3 x 3"]
assert seen["3 x 3, save_model"] == seen["1 x 1"] == seen["depthwise"] == "saved"
whole = {name: weight.contiguous() for name, weight in net.state_dict().items()}
assert outcome(save_file, whole) == "saved"
assert torch.equal(load_file("a.safetensors")["0.weight"], net[0].weight)
PY
