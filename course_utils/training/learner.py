"""A fastai `Learner` from a `Recipe`."""
import os, platform, time
from dataclasses import replace
from functools import partial
from importlib.metadata import version

import fastai, numpy as np, torch
from fastai.callback.core import Callback, CancelFitException, CancelValidException
from fastai.callback.fp16 import AMPMode, MixedPrecision
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.optimizer import OptimWrapper
from fastai.torch_core import set_seed
from torch import nn
from tqdm import tqdm

from course_utils.config import CourseError
from course_utils.data.pictures import Pictures
from course_utils.models import create_model, norm_of, picture_problem, refuse_size
from course_utils.training.depthwise import quicken_depthwise
from course_utils.training.freezing import FreezeStages, frozen_names
from course_utils.training.recipe import Recipe


class History(Callback):
    "Keeps loss and accuracy of every epoch, on training pictures (as they were seen, in train mode) and validation pictures."
    order = 55        # after fastai's Recorder
    total_seconds = 0.  # of all epochs since the kernel started

    def __init__(self, quiet=False):
        self.quiet = quiet
        self.bar = None

    def before_fit(self):
        self.rows = getattr(self, 'rows', [])
        self.arrays = getattr(self, 'arrays', {})  # what other callbacks want kept
        batches = self.n_epoch * len(self.dls.train)
        self.bar = tqdm(total=batches, disable=self.quiet, leave=False, unit='batch')

    def before_epoch(self):
        self.start = time.perf_counter()
        self.sums = {}

    def after_batch(self):
        # sums stay on the device: one number read out of it less at every step
        count, hits, loss = self.sums.get(self.training, (0, 0, 0))
        count = count + len(self.y)
        hits = hits + (self.pred.argmax(1) == self.y).sum()
        loss = loss + self.loss.detach() * len(self.y)
        self.sums[self.training] = (count, hits, loss)
        if self.training: self.bar.update()

    def after_epoch(self):
        row = dict(epoch=len(self.rows) + 1)
        for part, training in (('train', True), ('valid', False)):
            count, hits, loss = self.sums.get(training, (0, 0, 0))
            if count: row |= {f'{part}_loss': float(loss) / count, f'{part}_accuracy': float(hits) / count}
        seconds = time.perf_counter() - self.start
        self.rows.append(row | dict(lr=self.opt.hypers[-1]['lr'], seconds=seconds))
        History.total_seconds += seconds
        self.bar.set_postfix_str(', '.join(f'{k} {v:.3f}' for k, v in row.items() if k != 'epoch'))
        if not np.isfinite(row.get('train_loss', 0)): raise CancelFitException  # `fit` says why


class ValidateAtEnd(Callback):
    """No look at the held-out pictures after each epoch: `train` looks once, when the network is finished. For trainings that are
    compared by their ends; where early stages are frozen, a look can take as long as an epoch."""
    order = 1000  # last: what was done before a validation by others is undone by them after it, also where there is none
    def before_validate(self): raise CancelValidException


def check_validates(callback: Callback):
    "For callbacks that follow the held-out pictures: raises `CourseError` where the training does not look at them after each epoch."
    if not hasattr(callback.learn, 'validate_at_end'): return
    raise CourseError(f'{callback.name} needs a look at the held-out pictures after each epoch: leave ValidateAtEnd out.')


class ToDeviceFormat(Callback):
    "Channels last: the memory layout in which convolutions of small pictures are fastest on CPUs and GPUs."
    order = -1  # before anything that wraps the model
    def before_fit(self): self.learn.model.to(memory_format=torch.channels_last)


def default_device() -> torch.device:
    "The GPU where there is one."
    return torch.device('cuda' if torch.cuda.is_available() else 'cpu')


def device_name(device=None) -> str:
    "What a number was measured on: the GPU's name, or the processor's kind and the threads torch uses."
    device = torch.device(device or default_device())
    if device.type == 'cuda': return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' * (threads > 1)}"


def versions() -> dict:
    "What the numbers of a run depend on beside its recipe."
    return dict(
        python=platform.python_version(),
        torch=torch.__version__,
        fastai=fastai.__version__,
        timm=version('timm'),
        albumentations=version('albumentations'),
    )


def build_model(
    recipe: Recipe,
    n_classes: int,
    size: int | None = None,  # side of the pictures, in pixels; None: it is not asked whether the network takes them
) -> nn.Module:  # logits `(B, n_classes)` for a normalised `(B, 3, H, W)`
    """A recipe's network, untrained but for ImageNet weights, with its own head in the classifier's place where it names one.
    One that is made for a single size (timm's `img_size`) is made for that of the pictures. Raises `CourseError` where a
    network cannot take them, or has not what the recipe asks for."""
    model = new_model(recipe, n_classes)
    problem = picture_problem(model, size, n_classes) if size else ''
    if not problem: return model
    try:
        resized = new_model(replace(recipe, model=dict(img_size=size) | recipe.model), n_classes)
        if not picture_problem(resized, size, n_classes): return resized
    except Exception: pass  # it has no such option, no such size, or weights for its own size alone
    refuse_size(model, recipe.arch, size, n_classes, problem)


def new_model(recipe: Recipe, n_classes: int) -> nn.Module:
    "A recipe's network as timm makes it, with the recipe's head where it names one."
    model = create_model(recipe.arch, n_classes, recipe.pretrained, **recipe.model)
    if recipe.head:
        n_features = getattr(model, 'head_hidden_size', None) or model.num_features
        place = model.pretrained_cfg['classifier']
        if not isinstance(place, str):
            raise CourseError(f"{recipe.arch} has {len(place)} classifiers ({', '.join(place)}), so one head cannot take their place: leave head out, or choose another network.")
        model.set_submodule(place, recipe.head(n_features, n_classes))
    return model


def check_groups(recipe: Recipe, model: nn.Module):
    "Raises `CourseError` where the recipe's groups cannot be made of this network's parameters."
    name = getattr(recipe.groups, '__name__', 'groups')
    try:
        groups = [list(group) for group in recipe.groups(model)]
        if not groups or not all(groups): raise ValueError('a group is empty')
    except CourseError: raise
    except Exception as e:
        first_line = str(e).partition('\n')[0].rstrip('.')
        reason = first_line or type(e).__name__
        raise CourseError(f"{name} cannot part the parameters of {recipe.arch} ({reason}): leave groups out for its body and its head, or choose another network.") from None


def has_bf16(device: torch.device) -> bool:
    "A GPU that calculates in bfloat16 itself. Where it is emulated, as on any CPU without it, a step takes several times as long."
    return device.type == 'cuda' and torch.cuda.is_bf16_supported(including_emulation=False)


def make_learner(
    pics: Pictures,
    recipe: Recipe,
    device=None,        # None: the GPU where there is one
    quiet: bool=False,  # no progress bar
) -> Learner:
    """A fastai Learner with `History`, channels last, and bfloat16 on a GPU that has it. Raises `CourseError` for a network,
    groups or an augmentation that cannot do with these pictures."""
    set_seed(recipe.seed)
    device = torch.device(device) if device else default_device()
    on_cpu = device.type == 'cpu'
    model = build_model(recipe, len(pics.classes), pics.size)
    check_groups(recipe, model)
    if on_cpu: quicken_depthwise(model)
    workers = recipe.workers
    if workers is None: workers = 0 if on_cpu else min(8, os.cpu_count())
    mean, std = norm_of(recipe.model.get('base', recipe.arch))  # a network made from another one takes that one's
    dls = pics.loaders(mean, std, bs=recipe.bs, tfm=recipe.augment, repeats=recipe.repeats, workers=workers, device=device)
    callbacks = [History(quiet), ToDeviceFormat()]
    if has_bf16(device): callbacks.append(MixedPrecision(amp_mode=AMPMode.BF16))
    if recipe.freeze_stages:
        frozen_names(model, recipe.freeze_stages)  # says at once where there are not so many
        callbacks.append(FreezeStages(recipe.freeze_stages, recipe.kept_views))
    # on a GPU torch's own choice: there a fused step wants gradients with the weights' strides, which depthwise ones may not have
    adamw = partial(OptimWrapper, opt=torch.optim.AdamW, fused=on_cpu or None)
    learn = Learner(dls, model.to(device), loss_func=CrossEntropyLossFlat(), opt_func=adamw,
                    wd=recipe.wd, splitter=recipe.groups, cbs=callbacks)
    learn.remove_cbs([cb for cb in learn.cbs if cb.name == 'progress'])  # fastai's own bar: History has one
    learn.logger = lambda *_: None
    return learn
