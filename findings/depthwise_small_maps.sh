#!/usr/bin/env bash
# Question: A depthwise 5x5 convolution, 1152 channels, batch of 32, padding
#   2, on maps of 4x4 pixels: how long does the gradient of its weights take
#   on one thread of an x86 processor, in forward passes? (The last stage of
#   EfficientNet-Lite0 has three of them, at pictures of 128 px.) And how
#   long on maps of 6x6 pixels, with more than twice as much to add up?
# Guess, before the run: Two or three forward passes, and two or three.
# Seen: About 50 forward passes on 4x4, 7 to 20 on 6x6: the smaller map takes
#   as long as the larger one at the least, on some days four times as long. oneDNN's own
#   kernel wants maps that hold the whole window; for smaller ones it falls
#   back to a rearrangement and a matrix product for each channel. A plain
#   sum of products, 25 of them in Python, takes a seventh of the time and
#   is the same number up to rounding. And the library's own forward pass
#   is a quicker gradient than its gradient, on maps of 8 pixels, too: the
#   channels of all pictures as channels of one depthwise convolution, and
#   what came back as its windows.
# Version: seen with torch 2.15.0; AVX2 is asked for, so that newer
#   processors show the same. With AVX512 the small maps are less slow, and
#   the convolution in place of the gradient takes half of its time, too.
# What a course should do: Write the gradient as a convolution (this course's
#   `training/depthwise.py`), or fine-tune on pictures whose last map is not
#   smaller than the largest window: the late stages, which are the ones
#   that learn, are the ones it slows.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.15.0 \
    numpy==2.4.6

cd "$work"
ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 "$work/venv/bin/python" - <<'PY'
import time
import torch
from torch.nn import functional as F

torch.set_num_threads(1)
CHANNELS, WINDOW, PADDING = 1152, 5, 2


def milliseconds(f):
    f()
    taken = []
    for _ in range(15):
        start = time.perf_counter()
        f()
        taken.append(1000 * (time.perf_counter() - start))
    return min(taken)  # what else runs only adds


def sum_of_products(x, back):
    side = x.shape[-1]
    padded = F.pad(x, [PADDING] * 4)
    rows = []
    for i in range(WINDOW):
        for j in range(WINDOW):
            rows.append((padded[:, :, i:i + side, j:j + side] * back).sum((0, 2, 3)))
    return torch.stack(rows, 1).view(CHANNELS, 1, WINDOW, WINDOW)


def as_convolution(x, back):
    planes = x.reshape(1, -1, *x.shape[2:])
    windows = back.reshape(-1, 1, *back.shape[2:])
    gradient = F.conv2d(planes, windows, None, 1, PADDING, 1, len(windows))
    return gradient.view(len(x), CHANNELS, 1, WINDOW, WINDOW).sum(0)


seen = {}
for side in (4, 6, 8):
    torch.manual_seed(0)
    x = torch.randn(32, CHANNELS, side, side).contiguous(memory_format=torch.channels_last)
    w = torch.randn(CHANNELS, 1, WINDOW, WINDOW)
    back = torch.randn_like(x)

    def forward(): return F.conv2d(x, w, None, 1, PADDING, 1, CHANNELS)

    def weight_gradient():
        return torch.ops.aten.convolution_backward(
            back, x, w, None, [1, 1], [PADDING] * 2, [1, 1], False, [0, 0], CHANNELS, [False, True, False])[1]

    seen[side] = (milliseconds(forward), milliseconds(weight_gradient),
                  milliseconds(lambda: sum_of_products(x, back)), milliseconds(lambda: as_convolution(x, back)))
    for other in (sum_of_products, as_convolution):
        difference = (weight_gradient() - other(x, back)).abs().max() / weight_gradient().abs().max()
        assert difference < 1e-5, difference

print("expected: the gradient of the weights takes two or three forward passes, on a smaller map less time than on a larger one")
for side, (forward_ms, gradient_ms, products_ms, convolution_ms) in seen.items():
    print(f"seen: maps of {side}x{side}: forward {forward_ms:.1f} ms, gradient of the weights {gradient_ms:.1f} ms "
          f"({gradient_ms / forward_ms:.0f} times), as a sum of products {products_ms:.1f} ms, "
          f"as a convolution {convolution_ms:.1f} ms")
assert seen[4][1] > 10 * seen[4][0], "the gradient on small maps has become quick"
assert seen[4][1] > .8 * seen[6][1], "the smaller map has become the quicker one"
assert seen[4][1] > 2 * seen[4][2]
assert seen[4][1] > 2 * seen[4][3]
assert seen[8][1] > 1.2 * seen[8][3], "the gradient has become quicker than a convolution in its place"
PY
