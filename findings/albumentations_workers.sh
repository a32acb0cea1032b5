#!/usr/bin/env bash
# Question: A data set turns each picture by an angle that albumentations
#   draws, and torch's DataLoader has two workers. How many different angles
#   are there in three epochs of 64 pictures?
# Guess, before the run: 192. Each worker has a seed of its own, which is new
#   in each epoch; without a seed for the pipeline all the more.
# Seen: 32, with a seed and without one. The pipeline holds its own random
#   generator, and every worker begins with a copy of it as it was when the
#   loader was made: so the two workers draw the same 32 angles, and each
#   epoch, which starts new workers, draws them again. With
#   persistent_workers there are 96. With no workers 192.
#   The pictures behind a place in a batch change, so nothing looks wrong on
#   the screen: the training only has much less augmentation than it asks for.
# Version: seen with albumentations 2.0.8, torch 2.15.0.
# What a course should do: Seed the pipeline in worker_init_fn from torch's
#   seed of the worker: 192 different angles. The course's loader does.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.15.0 \
    numpy==2.4.6 \
    opencv-python-headless==5.0.0.93 \
    albumentations==2.0.8

cd "$work"
cat > angles.py <<'PY'
import zlib

import albumentations as A, numpy as np, torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

PICTURE = np.random.default_rng(0).random((33, 33), dtype=np.float32)

class Turned(Dataset):
    def __init__(self, seed): self.pipeline = A.Compose([A.Rotate((-90, 90), p=1)], seed=seed)
    def __len__(self): return 64
    def __getitem__(self, i):
        "The checksum of the same picture, turned: another angle, another number."
        return zlib.crc32(self.pipeline(image=PICTURE)["image"].tobytes())

def seed_worker(worker):
    info = get_worker_info()
    info.dataset.pipeline.set_random_seed(info.seed % 2**31)

def different(seed=None, **options):
    "Angles in three epochs that are not alike."
    loader = DataLoader(Turned(seed), batch_size=8, **options)
    return len({picture for epoch in range(3) for batch in loader for picture in batch.tolist()})

if __name__ == "__main__":
    torch.manual_seed(0)
    n = {
        "no workers": different(num_workers=0),
        "two workers": different(num_workers=2),
        "two workers, a seed": different(num_workers=2, seed=7),
        "two workers that persist": different(num_workers=2, persistent_workers=True),
        "two workers, seeded by torch": different(num_workers=2, worker_init_fn=seed_worker),
    }
    print("expected: 192 different angles in three epochs of 64 pictures")
    for name, angles in n.items(): print(f"seen: {name}: {angles}")
    assert list(n.values()) == [192, 32, 32, 96, 192]
PY
OMP_NUM_THREADS=1 "$work/venv/bin/python" angles.py
