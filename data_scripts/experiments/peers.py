"""What other libraries make of the same task, for the bench and for the tests that show them equal to the course."""
from copy import deepcopy

import numpy as np, torch
from fastai.vision.all import (
    CrossEntropyLossFlat, DataLoaders, Datasets, IntToFloatTensor, Learner, Normalize, PILImage, TfmdDL, ToTensor, Transform)
from PIL import Image

from course_utils.models import norm_of
from course_utils.techniques.augment import share_generator
from course_utils.techniques.tta import Turn


class Files(torch.utils.data.Dataset):
    "Pictures read from their files, one by one, as timm's and torchvision's own data sets do."
    def __init__(self,
        pics,                  # `Pictures`
        idx,                   # which of them
        transform=None,        # a PIL picture → a tensor
        memory: bool = False,  # from the course's decoded array instead
    ):
        self.pics, self.idx, self.transform, self.memory = pics, idx, transform, memory

    def __len__(self): return len(self.idx)

    def __getitem__(self, i):
        k = self.idx[i]
        if self.memory: picture = Image.fromarray(self.pics.x[k])
        else: picture = Image.open(self.pics.table.path[k]).convert('RGB')
        return self.transform(picture), int(self.pics.y[k])


class FastaiDraws(Transform):
    "fastai draws the views itself, each pass from that view's seed."
    split_idx = 0

    def __init__(self,
        views: list,
        n: int,  # pictures in a pass
    ):
        self.views, self.n = views, n
        self.calls = 0

    def encodes(self, picture: PILImage):
        view = self.views[self.calls // self.n]
        i = self.calls % self.n
        self.calls += 1
        if isinstance(view, Turn): return PILImage.create(view(np.array(picture)[None])[0])
        if i == 0: share_generator(view.tfm, view.seed)
        return PILImage.create(view.tfm(image=np.array(picture))['image'])


def fastai_tta(
    model,
    pics,             # `Pictures`
    idx,              # which of them
    views: list,      # without the plain one
    **options         # of fastai's `Learner.tta`
) -> torch.Tensor:    # probabilities `(N, n_classes)`
    "fastai's `tta` on the course's own views."
    def picture(i): return PILImage.create(np.asarray(pics.x[i]))
    def label(i): return int(pics.y[i])
    mean, std = norm_of(model)
    data = Datasets(list(idx), [[picture], [label]])
    loader = TfmdDL(data, bs=16, num_workers=0, after_item=[FastaiDraws(views, len(idx)), ToTensor()],
                    after_batch=[IntToFloatTensor(), Normalize.from_stats(mean, std, cuda=False)])
    learn = Learner(DataLoaders(loader, loader, device='cpu'), deepcopy(model), loss_func=CrossEntropyLossFlat())
    with learn.no_bar(): return learn.tta(n=len(views), **options)[0]
