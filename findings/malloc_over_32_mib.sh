#!/usr/bin/env bash
# Question: glibc hands a block that is larger than its mmap threshold back to
#   the system as soon as it is freed, and the next one comes page by page,
#   zeroed. The threshold rises by itself, up to 32 MiB, and the manual page
#   mallopt(3) names these 32 MiB as the most that can be asked for, too. The
#   first map of 64 pictures at 128 px (32 channels of 64x64) has 32 MiB and
#   a header. Can a program ask for more, and what does it gain?
# Guess, before the run: mallopt refuses (it returns 0), as its manual says;
#   and some thousand pages are nothing beside a convolution.
# Seen: mallopt takes 256 MiB (it returns 1), and a pass of four layers, whose
#   maps have 32 and 64 MiB, gets no page anew where each pass had got 49,156
#   (192 MiB). It takes 0.2 to 0.3 of the time. With 16 pictures at a time
#   no page comes anew either way: what looked like "small batches suit the
#   processor's cache" was the system's zeroing.
# Version: seen with glibc 2.36 and torch 2.15.0. Older versions of glibc do
#   refuse; then 16 pictures at a time are the way.
# What a course should do: Ask for 256 MiB, and for 32 where that is refused
#   (`keep_memory` of this course), and look at 16 pictures at a time.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.15.0 \
    numpy==2.4.6

cat > "$work/passes.py" <<'PY'
import ctypes, platform, resource, sys, time

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
libc = ctypes.CDLL(None)
taken = libc.mallopt(M_MMAP_THRESHOLD, int(sys.argv[1]) * 2**20)
libc.mallopt(M_TRIM_THRESHOLD, 2**30)

import torch
from torch import nn

torch.set_num_threads(1)
layers = nn.Sequential(
    nn.Conv2d(3, 32, 3, stride=2, padding=1), nn.ReLU(),
    nn.Conv2d(32, 64, 1), nn.ReLU(),
)
layers = layers.to(memory_format=torch.channels_last)


def passes(pictures):
    "Pages given anew in a pass, and milliseconds for each picture."
    x = torch.zeros(pictures, 3, 128, 128).contiguous(memory_format=torch.channels_last)
    seconds, faults = [], []
    with torch.inference_mode():
        for _ in range(12):
            before, start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter()
            layers(x)
            seconds.append(time.perf_counter() - start)
            faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return sorted(faults)[6], 1000 * min(seconds) / pictures


print(taken, *passes(64), *passes(16), platform.libc_ver()[1])
PY

run() { env -u MALLOC_MMAP_THRESHOLD_ -u GLIBC_TUNABLES "$work/venv/bin/python" "$work/passes.py" "$1"; }
small=$(run 32)
large=$(run 256)
echo "threshold in MiB: taken by mallopt? pages anew and ms a picture with 64 pictures, the same with 16, glibc"
echo "32: $small"
echo "256: $large"
python3 - "$small" "$large" <<'PY'
import sys

small, large = [[float(word) for word in line.split()[:5]] for line in sys.argv[1:]]
assert large[0] == 1, 'mallopt refuses more than 32 MiB'
assert small[1] > 8000, 'pages were given anew'
assert large[1] < 100, 'none are'
assert small[3] < 100 and large[3] < 100, 'and none with 16 pictures at a time'
assert large[2] < .9 * small[2], 'which takes time'
PY
echo "As seen."
