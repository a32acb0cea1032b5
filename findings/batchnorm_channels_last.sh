#!/usr/bin/env bash
# Question: Pictures with a large offset and a small spread (raw 16-bit
#   values around 10000, spread 1) go through BatchNorm2d in training mode
#   on the CPU. Is the measured variance the same in the usual and in the
#   channels_last layout?
# Guess, before the run: Yes: both give 1.00, for the CPU adds up in double
#   precision or by a stable formula.
# Seen: The usual layout gives 0.998, as it should. channels_last gives
#   about 90, and the output has a spread of 0.1 instead of 1. At an offset
#   of 100000 it is thousands. Up to an offset of 1000 both agree. The two
#   layouts run different code; only one keeps the digits.
# Version: seen with torch 2.15.0 on the CPU.
# What a course should do: Take the mean away (Normalize) before the
#   network, always, and never feed raw 16-bit values into the first
#   BatchNorm. When a model in channels_last trains badly on the CPU,
#   compare one batch with the usual layout.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.15.0 \
    numpy==2.4.6

cd "$work"
"$work/venv/bin/python" - <<'PY'
import torch
from torch import nn

torch.set_num_threads(1)
seen = {}
for offset in (0, 100, 1_000, 10_000, 100_000):
    g = torch.Generator().manual_seed(0)
    x = (torch.randn(32, 8, 64, 64, generator=g, dtype=torch.float64) + offset).float()
    row = []
    for layout in (torch.contiguous_format, torch.channels_last):
        bn = nn.BatchNorm2d(8, momentum=1.0)
        y = bn(x.contiguous(memory_format=layout))
        row += [round(bn.running_var.mean().item(), 3), round(y.std().item(), 3)]
    seen[offset] = row
print("expected: variance 0.998 and output spread 1.0 in both layouts at every offset")
for offset, row in seen.items():
    print(f"seen: offset {offset}: usual layout variance {row[0]} spread {row[1]}; channels_last variance {row[2]} spread {row[3]}")
for offset, row in seen.items():
    assert abs(row[0] - 0.998) < 0.005 and abs(row[1] - 1) < 0.01
    if offset <= 1000:
        assert abs(row[2] - 0.998) < 0.005
assert seen[10_000][2] > 10 and seen[10_000][3] < 0.5
assert seen[100_000][2] > 1000
PY
