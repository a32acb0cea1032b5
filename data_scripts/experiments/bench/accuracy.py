"""Wall time to the accuracy of fastai's plain recipe: the course, fastai's `fine_tune`, a loop of timm's pieces."""
import math, os, time
from collections import deque

import numpy as np, torch
from fastai.callback.core import Callback
from torch.nn.functional import cross_entropy

from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.models import create_model, norm_of
from course_utils.training.learner import default_device
from course_utils.training.recipe import Recipe
from course_utils.training.train import train
from course_utils.techniques.ladder import LITE
from data_scripts.experiments.bench.timing import bench_row
from data_scripts.experiments.engine import pick
from data_scripts.experiments.peers import Files


class Clock(Callback):
    "Validation accuracies, with the seconds since it was made: all that a learner waits for counts."
    order = 95  # after whatever else looks at an epoch

    def __init__(self):
        self.start = time.perf_counter()
        self.seen = []  # (seconds, accuracy)

    def see(self, accuracy): self.seen.append((time.perf_counter() - self.start, float(accuracy)))

    def until(self, target: float) -> float:
        "Seconds to this accuracy; infinite where it was not reached."
        return next((seconds for seconds, accuracy in self.seen if accuracy >= target), math.inf)

    def after_epoch(self):
        if hasattr(self.learn, 'history'): self.see(self.learn.history.rows[-1]['valid_accuracy'])
        else: self.see(self.learn.recorder.values[-1][-1])  # a plain fastai Learner


FASTAI_RATES = (5e-4, 2e-3, 8e-3)  # fine_tune's own, a quarter and four times of it


def plain_fastai(pics, seed: int, epochs: int, rate: float = 2e-3) -> Clock:
    "Chapter 1 of fastbook: files, resized one by one, `aug_transforms`, `vision_learner`, `fine_tune`."
    from fastai.vision.all import (
        CategoryBlock, ColReader, DataBlock, ImageBlock, IndexSplitter, Normalize, Resize, accuracy, aug_transforms, set_seed, vision_learner)
    clock = Clock()
    set_seed(seed)
    mean, std = norm_of(create_model(LITE, pretrained=False))
    normalize = Normalize.from_stats(mean, std, cuda=torch.cuda.is_available())
    block = DataBlock((ImageBlock, CategoryBlock), get_x=ColReader('path'), get_y=ColReader('label'),
                      splitter=IndexSplitter(pics.valid), item_tfms=Resize(pics.size), batch_tfms=[*aug_transforms(), normalize])
    loaders = block.dataloaders(pics.table, bs=64)
    learn = vision_learner(loaders, LITE, pretrained=False, normalize=False, metrics=accuracy, cbs=clock)
    body = learn.model[0].model  # vision_learner would fetch the weights: they are packaged
    loaded = body.load_state_dict(create_model(LITE).state_dict(), strict=False)
    assert not loaded.missing_keys
    with learn.no_bar(), learn.no_logging(): learn.fine_tune(epochs, rate)
    return clock


def best_fastai_rate(pics, epochs: int) -> float:
    "Of three rates the one with which fastai ends best, so that it is no poor opponent."
    finals = {rate: plain_fastai(pics, 0, epochs, rate).seen[-1][1] for rate in FASTAI_RATES}
    return max(finals, key=finals.get)


def timm_loader(pics, idx, mean, std, device, **options):
    "timm's loader on the files, without its prefetcher, which needs a GPU."
    from timm.data import create_loader
    most = 8 if torch.cuda.is_available() else 2
    workers = min(most, os.cpu_count())
    return create_loader(Files(pics, idx), (3, pics.size, pics.size), 64, use_prefetcher=False, num_workers=workers,
                         mean=mean, std=std, device=device, persistent_workers=False, **options)


def timm_style(pics, seed: int, epochs: int) -> Clock:
    "timm's own pieces, with the defaults of its training script where it has one: loader, augmentation, AdamW, cosine with a warm-up epoch."
    from timm.optim import create_optimizer_v2
    from timm.scheduler import CosineLRScheduler
    clock = Clock()
    torch.manual_seed(seed)
    device = default_device()
    model = create_model(LITE, len(pics.classes))
    mean, std = norm_of(model)
    model.to(device)
    opt = create_optimizer_v2(model, 'adamw', lr=1e-3, weight_decay=.05)
    batches = timm_loader(pics, pics.train, mean, std, device, is_training=True)
    valid = timm_loader(pics, pics.valid, mean, std, device, crop_pct=1.)
    schedule = CosineLRScheduler(opt, t_initial=epochs + 1, warmup_t=1, warmup_lr_init=1e-5, t_in_epochs=True)
    for epoch in range(epochs + 1):
        schedule.step(epoch)
        model.train()
        for x, y in batches:
            cross_entropy(model(x.to(device)), y.to(device)).backward()
            opt.step()
            opt.zero_grad()
        clock.see(accuracy_of(model, valid, device))
    return clock


def accuracy_of(model, batches, device) -> float:
    "The share of a loader's pictures that are named right."
    model.eval()
    hits = []
    with torch.inference_mode():
        for x, y in batches:
            named = model(x.to(device)).argmax(1).cpu()
            hits += (named == y).tolist()
    return np.mean(hits)


def course(source: dict, seed: int, epochs: int) -> Clock:
    "Lesson 02: pictures decoded once (and that time counts here), early stages frozen, one-cycle."
    clock = Clock()
    views = 8 if source['source'] == 'solar' else 2
    recipe = Recipe(LITE, epochs, pretrained=True, lr_max=1e-3, bs=32, seed=seed, freeze_stages=5, kept_views=views, callbacks=(clock,))
    train(load_pictures(**source, cache=False), recipe, quiet=True)
    return clock


def accuracy(
    source: str,               # a data set by name
    limit: int | None = None,  # at most about this many pictures
) -> dict:
    "Three ways to fine-tune the same network on the same pictures with the same seeds, until each is as good as fastai's plain recipe is at its end."
    source = dict(
        source=source,
        size=pick(smoke=32, cpu=128, gpu=224),
        limit=pick(smoke=160, cpu=limit, gpu=None),
    )
    try: pics = load_pictures(**source)
    except CourseError as error: raise CourseError(f'This row needs pictures that are not here. {error}') from None
    epochs = pick(smoke=1, cpu=12, gpu=12)  # enough that fastai's network learns, too
    rate = best_fastai_rate(pics, epochs)
    ways = {
        'course': lambda seed: course(source, seed, epochs),
        'fastai fine_tune': lambda seed: plain_fastai(pics, seed, epochs, rate),
        'timm loop': lambda seed: timm_style(pics, seed, epochs),
    }
    seconds = {name: [] for name in ways}
    finals = {name: [] for name in ways}
    for seed in range(pick(smoke=1, cpu=5)):
        order = deque(ways)
        order.rotate(-seed)
        clocks = {name: ways[name](seed) for name in order}
        target = clocks['fastai fine_tune'].seen[-1][1]
        for name in ways:
            seconds[name].append(clocks[name].until(target))
            finals[name].append(round(clocks[name].seen[-1][1], 4))
    reached = {name: sum(map(math.isfinite, times)) for name, times in seconds.items()}
    return bench_row(seconds, f"{pics.name}: seconds to the accuracy that fastai's fine_tune({epochs}) ends with", final_accuracy=finals, fastai_rate=rate,
                     reached=reached, size=pics.size, pictures=len(pics.train), majority=round(pics.majority, 4))
