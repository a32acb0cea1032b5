"""One helper that every lesson uses, thin over fastai's Learner."""
import gc, traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from fastai.learner import Learner

from course_utils.config import CourseError, keep_memory


def out_of_memory(e) -> bool:
    "GPUs, torch on a processor, its convolutions and NumPy each say it in their own way."
    return isinstance(e, (MemoryError, torch.OutOfMemoryError)) or isinstance(e, RuntimeError) and any(s in str(e) for s in ("can't allocate memory", 'bad_alloc', 'could not create a', 'out of memory'))


def forget_way_back():
    "Where one failed, torch's queue holds the rest of it, and the activations that it needs, until the next begins."
    torch.zeros((), requires_grad=True).backward()


def black_step(learn: Learner, bs: int):
    "One step on `bs` black pictures and a quarter more; before it, as many are shown at once as in validation."
    model, x = learn.model.train(), learn.dls.train.x
    learning = [p for p in model.parameters() if p.requires_grad]
    device, buffers, n = learning[0].device, [(b, b.clone()) for b in model.buffers()], bs + -(-bs // 4)
    try:
        others = [torch.empty_like(p) for p in learning for _ in range(4)]  # noqa: F841 — AdamW's two, and a Learner in this one's place
        with torch.autocast(device.type, torch.bfloat16, enabled=hasattr(learn, 'mixed_precision')):
            black = torch.zeros(2 * n, 3, *x.shape[1:3], device=device).contiguous(memory_format=torch.channels_last)
            with torch.no_grad(): model(black)
            out = model(black[:n])
        out.float().mean().backward()
    finally:
        model.zero_grad()
        with torch.no_grad():
            for b, was in buffers: b.copy_(was)


def batch_that_fits(learn: Learner) -> int | None:
    "The largest half, quarter, … of the batch for which one step finds room: tried out. None: not even two pictures."
    bs = learn.dls.train.bs
    while (bs := bs // 2) >= 2:
        try:
            # in a thread of its own: where oneDNN once found no room for a kernel, that thread gets none ever after
            with ThreadPoolExecutor(1) as thread: thread.submit(black_step, learn, bs).result()
            return bs
        except Exception as e:
            if not out_of_memory(e): raise
            traceback.clear_frames(e.__traceback__)


def too_little_memory(learn: Learner) -> CourseError:
    "A sentence that says what there was no room for, and what there is room for."
    forget_way_back()
    gc.collect()
    keep_memory(0)  # what a larger batch left on the heap lies in pieces that no smaller one may fit into
    if torch.cuda.is_available(): torch.cuda.empty_cache()
    n, side, fits = learn.dls.train.bs, learn.dls.train.x.shape[1], batch_that_fits(learn)
    what = f"The memory does not hold a training step of {n} pictures of {side}×{side} pixels"
    if not fits: return CourseError(f"{what}, nor of 2: load the pictures at a smaller size, such as size={max(32, side // 2)}, or take a smaller model.")
    try: black_step(learn, fits)  # the thread that ran out may be the one that gets no kernel ever after
    except Exception as e:
        if not out_of_memory(e): raise
        return CourseError(f"{what}, and what is left of it is of no use: restart the kernel and pass bs={fits}, or load the pictures at a smaller size.")
    return CourseError(f"{what}: pass bs={fits}, which fits, or load the pictures at a smaller size.")


@contextmanager
def left_usable(learn: Learner):
    "Whatever ends a training inside (Ctrl-C, an error), the Learner can be used again. Raises `CourseError` where memory ran out."
    loss, dl, own = learn.loss_func, learn.dls.train, set(vars(learn.dls.train))
    try: yield
    except BaseException as e:
        # what a callback changed for the training, such as lesson 10's weighted loss: fastai asks callbacks to tidy up only where it knows the exception
        learn.loss_func = loss
        for name in set(vars(dl)) - own: delattr(dl, name)
        # fastai leaves these open: bfloat16 would stay on for all that follows, and the batch would keep its memory
        amp = getattr(getattr(learn, 'mixed_precision', None), 'autocast', None)
        if amp and torch.is_autocast_enabled(amp.device): amp.__exit__(None, None, None)
        learn._end_cleanup()
        learn.loss_grad = None  # fastai forgets this one: it holds all that the step has made, where the way back failed
        if not (out_of_memory(e) and hasattr(learn.dls.train, 'x')): raise
        traceback.clear_frames(e.__traceback__)  # what the step had made is held there
        raise too_little_memory(learn) from None
    finally:
        if (bar := getattr(getattr(learn, 'history', None), 'bar', None)) is not None: bar.close()
