"""Wall time to the accuracy of fastai's plain recipe: the course beside `fine_tune`."""
import math, time

import torch
from fastai.callback.core import Callback

from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.models import create_model, norm_of
from course_utils.training.recipe import Recipe
from course_utils.training.train import train
from course_utils.techniques.deep_features import deep_features, fit_linear_head
from course_utils.techniques.ladder import LITE
from data_scripts.experiments.bench.timing import bench_row, four_digits
from data_scripts.experiments.engine import pick


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


def course(source: dict, seed: int, epochs: int) -> Clock:
    "Lesson 02: pictures decoded once (and that time counts here); a linear head on deep features; then early stages frozen, one-cycle."
    clock = Clock()
    pics = load_pictures(**source, cache=False)
    features = deep_features(create_model(LITE), pics, cache=False)
    head = fit_linear_head(features[pics.train], pics.y[pics.train], len(pics.classes))
    named = head.probs(features[pics.valid]).argmax(1)
    clock.see((named == pics.y[pics.valid]).mean())
    views = 8 if source['source'] == 'solar' else 2
    recipe = Recipe(LITE, epochs, pretrained=True, lr_max=1e-3, bs=32, seed=seed, freeze_stages=5, kept_views=views, callbacks=(clock,))
    train(pics, recipe, quiet=True)
    return clock


def best_fastai(pics, epochs: int) -> tuple[float, Clock]:
    "Of three rates the one with which fastai ends best on the first fold, so that it is no poor opponent; and that training."
    clocks = {rate: plain_fastai(pics, 0, epochs, rate) for rate in FASTAI_RATES}
    best = max(clocks, key=lambda rate: clocks[rate].seen[-1][1])
    return best, clocks[best]


def accuracy(
    source: str,               # a data set by name
    limit: int | None = None,  # at most about this many pictures
) -> dict:
    """The course and fastai fine-tune the same network on the same pictures, five folds: the seconds until each is as good as fastai is at
    its end. The course's deep features are its first result and its fine-tuning goes on from there."""
    source = dict(
        source=source,
        size=pick(smoke=32, cpu=128, gpu=224),
        limit=pick(smoke=160, cpu=limit, gpu=None),
        folds=5,
    )
    try: pics = load_pictures(**source, fold=0)
    except CourseError as error: raise CourseError(f'This row needs pictures that are not here. {error}') from None
    epochs = pick(smoke=1, cpu=12, gpu=12)  # enough that fastai's network learns, too
    rate, of_first_fold = best_fastai(pics, epochs)
    seconds = {'course': [], 'fastai fine_tune': []}
    finals, firsts = {name: [] for name in seconds}, []
    for fold in range(pick(smoke=1, cpu=5)):
        held_out = dict(source, fold=fold)
        clocks = {
            'course': course(held_out, fold, epochs),
            'fastai fine_tune': plain_fastai(load_pictures(**held_out), fold, epochs, rate) if fold else of_first_fold,
        }
        target = clocks['fastai fine_tune'].seen[-1][1]
        firsts.append(round(clocks['course'].seen[0][1], 4))
        for name in seconds:
            seconds[name].append(clocks[name].until(target))
            finals[name].append(round(clocks[name].seen[-1][1], 4))
        print(f'fold {fold}:', {name: four_digits(times[-1]) for name, times in seconds.items()}, flush=True)
    reached = {name: sum(map(math.isfinite, times)) for name, times in seconds.items()}
    return bench_row(seconds, f"{pics.name}: seconds to the accuracy that fastai's fine_tune({epochs}) ends with", final_accuracy=finals,
                     deep_features_accuracy=firsts, fastai_rate=rate, reached=reached, size=pics.size, pictures=len(pics.train),
                     majority=round(pics.majority, 4))
