#!/usr/bin/env bash
# Question: timm's layer decay, 0.75 in its signature and in the recipes of
#   vision transformers, multiplies the rate by 0.75 for each layer further
#   from the head. How much is left at the first layer of a convolutional
#   network of five stages?
# Guess, before the run: About 0.75 to the power of 5 or 6, a fifth: a stage
#   is what a layer is in a transformer.
# Seen: A layer is a block. ViT-B has 12 and a first rate of 0.024 of the
#   head's; EfficientNet-Lite0 0.0075; EfficientNet-B7, with 55 blocks,
#   0.0000001: a head at 1e-3 leaves the first stage at 1e-10. Half of B7's
#   layers learn at less than a thousandth of the head's rate. So with a
#   deeper network of the same family the same option freezes more of it, and
#   a comparison of sizes changes two things.
# Version: seen with timm 1.0.31, torch 2.15.0.
# What a course should do: Choose the rate of the first layer, r of the
#   head's, and take layer_decay = r ** (1 / (layers - 1)); or give rates by
#   stage, as lesson 05 does. timm's min_scale keeps a floor.
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
import timm, torch
from timm.optim import param_groups_layer_decay

def scales(name, **options):
    "The share of the head's rate that each layer learns at, the first layer first."
    with torch.device("meta"): net = timm.create_model(name, pretrained=False)
    groups = param_groups_layer_decay(net, layer_decay=.75, **options)
    return sorted({group["lr_scale"] for group in groups})

NETWORKS = ["vit_base_patch16_224", "resnet18", "tf_efficientnet_lite0", "tf_efficientnet_b7"]
first = {}
print("expected: about 0.2 for a convolutional network of five stages")
for name in NETWORKS:
    by_layer = scales(name)
    first[name] = by_layer[0]
    slow = sum(scale < 1e-3 for scale in by_layer)
    print(f"seen: {name}: {len(by_layer)} layers, the first at {by_layer[0]:.1e} of the head's rate, {slow} below a thousandth")
print(f"seen: with min_scale=.01 the first of B7 is at {scales('tf_efficientnet_b7', min_scale=.01)[0]:.2f}")

assert [len(scales(name)) for name in NETWORKS] == [14, 10, 18, 57]
assert first["tf_efficientnet_b7"] < 2e-7 and .007 < first["tf_efficientnet_lite0"] < .008
assert first["vit_base_patch16_224"] > .02
assert sum(scale < 1e-3 for scale in scales("tf_efficientnet_b7")) > 57 / 2
assert scales("tf_efficientnet_b7", min_scale=.01)[0] == .01
PY
