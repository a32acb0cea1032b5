"""Batches of pictures in memory, augmented and normalised."""
import random

import numpy as np, torch
from fastai.data.load import DataLoader

from course_utils.data.check_augment import check_augment


def to_input(
    images,      # `(B, H, W, 3)` uint8, array or tensor
    mean, std,   # three numbers each, for pictures in [0, 1]
    device=None, # None: where the pictures are
) -> torch.Tensor:  # `(B, 3, H, W)` float32, channels last
    "Pictures as a network wants them: the only place that divides by 255."
    if not torch.is_tensor(images): images = torch.tensor(np.asarray(images))
    scale = 1 / (255 * torch.tensor(std))
    shift = torch.tensor(mean) / torch.tensor(std)
    # bytes in (B, H, W, 3) seen as (B, 3, H, W) are channels-last already, so this costs no copy
    x = images.to(device).permute(0, 3, 1, 2).float()
    x *= scale.view(3, 1, 1).to(x.device)
    x -= shift.view(3, 1, 1).to(x.device)
    return x


class PictureLoader(DataLoader):
    """A fastai loader over pictures in memory. Batches are `(B, 3, H, W)` float32, normalised, channels last, and `(B,)`
    int64. Raises `CourseError` for a transform that gives something else than such pictures."""
    def __init__(self,
        x,           # `(N, H, W, 3)` uint8
        y,           # `(N,)` labels
        mean, std,   # what the network's configuration normalises by
        tfm=None,    # an albumentations transform of one picture, `(H, W, 3)` uint8 → the same
        repeats=1,   # views of each picture in one epoch
        **kwargs     # of fastai's loader: `bs`, `shuffle`, `drop_last`, `num_workers`
    ):
        if len(x): check_augment(tfm, x[0])
        super().__init__(range(len(y) * repeats), **kwargs)
        self.x = x
        self.y = torch.as_tensor(y)
        self.mean, self.std = mean, std
        self.tfm = tfm
        self.repeats = repeats

    def seed_tfm(self, seed):
        "Sets the augmentation's generator."
        # One for all operations: with set_random_seed (or Compose's seed=) albumentations gives each operation the same
        # stream, and operations with the same p switch on and off together.
        if self.tfm is None or not hasattr(self.tfm, 'set_random_state'): return
        self.tfm.set_random_state(np.random.default_rng(seed), random.Random(seed))

    def before_iter(self):
        "Anew each epoch, from fastai's generator."
        self.seed_tfm(self.rng.randrange(2**31))

    def wif(self):
        "In each worker, from the worker's own seed."
        self.seed_tfm(torch.utils.data.get_worker_info().seed % 2**31)

    def create_batches(self, samps):
        for chunk in self.chunkify(samps):
            places = np.asarray(chunk) % len(self.y)
            images = self.augmented(self.x[places])
            yield torch.from_numpy(images), self.y[places]

    def augmented(self, images):
        "The pictures, each after a draw of its own."
        if self.tfm is None: return images
        return np.stack([self.tfm(image=image)['image'] for image in images])

    def after_batch(self, batch):
        images, labels = batch
        return to_input(images, self.mean, self.std), labels
