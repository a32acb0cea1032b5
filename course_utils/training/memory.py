"""When the memory does not hold a training: what fits is tried out and said in one sentence, and the Learner stays usable.

Whatever ends a training, Ctrl-C included, `left_usable` puts right what fastai leaves behind."""
import gc, traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from fastai.learner import Learner

from course_utils.config import CourseError, keep_memory
from course_utils.models import out_of_memory


# ---- what fits ----

def free_memory():
    "Gives back all that a step which ran out of memory still holds."
    # Where a backward pass failed, torch's queue holds the rest of it, and the activations that it needs, until the next begins.
    torch.zeros((), requires_grad=True).backward()
    gc.collect()
    keep_memory(0)  # what a larger batch left on the heap lies in pieces that no smaller one may fit into
    if torch.cuda.is_available(): torch.cuda.empty_cache()


def optimizer_memory(parameters: list) -> list:
    "As much memory as AdamW's two moments take, and a Learner in this one's place."
    return [torch.empty_like(p) for p in parameters for _ in range(4)]


def trial_step(learn: Learner, bs: int):
    "One step on `bs` black pictures and a quarter more; before it, as many are shown at once as in validation."
    model = learn.model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    device = parameters[0].device
    height, width = learn.dls.train.x.shape[1:3]
    n = bs + -(-bs // 4)  # rounded up
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        held = optimizer_memory(parameters)  # noqa: F841 — in use while the step is tried
        with torch.autocast(device.type, torch.bfloat16, enabled=hasattr(learn, 'mixed_precision')):
            images = torch.zeros(2 * n, 3, height, width, device=device).contiguous(memory_format=torch.channels_last)
            with torch.no_grad(): model(images)
            logits = model(images[:n])
        logits.float().mean().backward()
    finally:
        model.zero_grad()
        with torch.no_grad():
            for buffer, value in buffers: buffer.copy_(value)


def fits(step) -> bool:
    "Does `step()` find room? Other errors than want of memory are raised."
    try: step()
    except Exception as e:
        if not out_of_memory(e): raise
        traceback.clear_frames(e.__traceback__)  # what the step had made is held there
        return False
    return True


def batch_that_fits(learn: Learner) -> int | None:
    "The largest half, quarter, … of the batch for which one step finds room: tried out. None: not even two pictures."
    def step_in_thread():
        # Where oneDNN once found no room for a kernel, that thread gets none ever after: so each trial has its own.
        with ThreadPoolExecutor(1) as thread: thread.submit(trial_step, learn, bs).result()

    bs = learn.dls.train.bs // 2
    while bs >= 2:
        if fits(step_in_thread): return bs
        bs //= 2


def memory_advice(learn: Learner) -> CourseError:
    "A sentence that says what there was no room for, and what there is room for."
    free_memory()
    n = learn.dls.train.bs
    size = learn.dls.train.x.shape[1]
    bs = batch_that_fits(learn)
    problem = f"The memory does not hold a training step of {n} pictures of {size}×{size} pixels"
    if not bs: return CourseError(f"{problem}, nor of 2: load the pictures at a smaller size, such as size={max(32, size // 2)}, or take a smaller model.")
    # The thread that ran out may be the one that gets no kernel ever after.
    if not fits(lambda: trial_step(learn, bs)):
        return CourseError(f"{problem}, and what is left of it is of no use: restart the kernel and pass bs={bs}, or load the pictures at a smaller size.")
    return CourseError(f"{problem}: pass bs={bs}, which fits, or load the pictures at a smaller size.")


# ---- a training that has ended, however it did ----

def end_autocast(learn: Learner):
    "fastai leaves it open after an error: bfloat16 would stay on for all that follows."
    autocast = getattr(getattr(learn, 'mixed_precision', None), 'autocast', None)
    if autocast and torch.is_autocast_enabled(autocast.device): autocast.__exit__(None, None, None)


def close_bar(learn: Learner):
    "Closes `History`'s bar of progress, where there is one."
    bar = getattr(getattr(learn, 'history', None), 'bar', None)
    if bar is not None: bar.close()


@contextmanager
def left_usable(learn: Learner):
    "Whatever ends a training inside (Ctrl-C, an error), the Learner can be used again. Raises `CourseError` where memory ran out."
    loss_func = learn.loss_func
    loader = learn.dls.train
    attributes = set(vars(loader))
    try: yield
    except BaseException as e:
        # What a callback changed for the training, such as lesson 10's weighted loss: fastai asks callbacks to tidy up
        # only where it knows the exception.
        learn.loss_func = loss_func
        for name in set(vars(loader)) - attributes: delattr(loader, name)
        if hasattr(learn, 'freeze_stages'): learn.freeze_stages.put_back()
        end_autocast(learn)
        learn._end_cleanup()  # the batch would keep its memory
        learn.loss_grad = None  # fastai forgets this one: it holds all that the step has made, where the backward pass failed
        if not out_of_memory(e) or not hasattr(loader, 'x'): raise
        traceback.clear_frames(e.__traceback__)
        raise memory_advice(learn) from None
    finally: close_bar(learn)
