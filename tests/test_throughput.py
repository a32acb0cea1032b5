"An epoch's pictures must come as fast as the model can train on them."
import itertools, time
from statistics import median

import torch

from course_utils.augment import pipeline
from course_utils.data import load_pictures
from course_utils.train import make_learner


def pictures_per_s(learn, opt, batches):
    "Full training steps on `batches`."
    n, start = 0, time.perf_counter()
    for x, y in batches:
        torch.nn.functional.cross_entropy(learn.model(x), y).backward()
        opt.step(); opt.zero_grad()
        n += len(y)
    return n / (time.perf_counter() - start)


def test_pictures_come_as_fast_as_they_are_learnt(capsys):
    "Real pictures, augmented at p = 0.33, against one batch that is there already; the two in turn, so that a noisy machine hits both."
    pics = load_pictures('solar', size=96, limit=600)
    learn = make_learner(pics, 'tf_efficientnet_lite0', tfm=pipeline(.33), bs=32, quiet=True, device='cpu')
    learn.model.to(memory_format=torch.channels_last).train()
    opt = torch.optim.AdamW(learn.model.parameters(), 1e-4)
    ready, n = learn.dls.train.one_batch(), 4
    pictures_per_s(learn, opt, itertools.repeat(ready, n))
    real, synthetic = [], []
    batches = itertools.chain.from_iterable(itertools.repeat(learn.dls.train))
    for _ in range(12):
        synthetic.append(pictures_per_s(learn, opt, itertools.repeat(ready, n)))
        real.append(pictures_per_s(learn, opt, itertools.islice(batches, n)))
    ratio = median(r / s for r, s in zip(real, synthetic))
    with capsys.disabled(): print(f'\n  input pipeline: {median(real):.0f} pictures/s with real pictures, {median(synthetic):.0f} with a ready batch; ratio {ratio:.3f} (median of 12 pairs)')
    assert ratio >= .9
