"""Train a Learner, look at what it did, and have the Learner back as it was: `untouched`, for the finder of lesson 03.

`KEEPERS` is the table of what is kept; `learner_state` tells by a fingerprint of each part whether it is as it was."""
import copy, hashlib, random
from collections.abc import Callable
from contextlib import contextmanager

import numpy as np, torch
from fastai.learner import Learner, Metric
from fastai.optimizer import Optimizer

from course_utils.models import keep_modes

# Each `keep_…` notes one part of a Learner and returns the function that puts it back.


def torch_optimizer(opt):
    "The torch optimizer in fastai's OptimWrapper; fastai's own optimizers, and None, stay."
    return getattr(opt, 'opt', opt)


def param_groups(opt) -> list:
    "The settings of each group of parameters, of a torch or a fastai optimizer."
    return opt.hypers if isinstance(opt, Optimizer) else opt.param_groups


def is_hooks(name: str, value) -> bool:
    "Is this attribute of a module one of torch's dicts of hooks?"
    return 'hooks' in name and isinstance(value, dict)


def recorded_metrics(learn: Learner) -> list:
    "The metrics that callbacks hold, such as the Recorder's losses."
    return [value for callback in learn.cbs for value in vars(callback).values() if isinstance(value, Metric)]


def shallow(value):
    "Lists and dicts are copied, so that what is added later is not in the copy."
    return copy.copy(value) if isinstance(value, (list, dict)) else value


def shallow_vars(thing, skip=()) -> dict:
    "The attributes of an object, as they are now."
    return {name: shallow(value) for name, value in vars(thing).items() if name not in skip}


# ---- keep and put back ----

def keep_weights(learn: Learner) -> Callable:
    "Weights, gradients, and which of them learn."
    kept = []
    for p in learn.model.parameters():
        grad = None if p.grad is None else p.grad.clone()
        kept.append((p, p.detach().clone(), grad, p.requires_grad))

    def put_back():
        for p, value, grad, learns in kept:
            p.data = value
            p.grad = grad
            p.requires_grad = learns
    return put_back


def keep_buffers(learn: Learner) -> Callable:
    "BatchNorm's running means and variances, and its count of batches."
    kept = []
    for module in learn.model.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None: kept.append((module, name, buffer, buffer.clone()))

    def put_back():
        for module, name, buffer, value in kept:
            buffer.data = value
            module._buffers[name] = buffer
    return put_back


def keep_optimizer(learn: Learner) -> Callable:
    "Moments and rates; where there was no optimizer yet, there is none afterwards."
    opt = learn.opt
    if opt is None: return lambda: setattr(learn, 'opt', None)
    inner = torch_optimizer(opt)
    state = {p: copy.deepcopy(moments) for p, moments in inner.state.items()}
    settings = [group_settings(group) for group in param_groups(inner)]

    def put_back():
        learn.opt = opt
        inner.state.clear()
        inner.state.update(state)
        for group, kept in zip(param_groups(inner), settings):
            for name in set(group) - set(kept) - {'params'}: del group[name]
            group.update(kept)
    return put_back


def group_settings(group: dict) -> dict:
    "A group's rate, weight decay and so on, but not its parameters."
    return {name: copy.copy(value) for name, value in group.items() if name != 'params'}


def augmentations(learn: Learner) -> list:
    "The loaders' transforms that draw random numbers."
    transforms = [getattr(loader, 'tfm', None) for loader in learn.dls.loaders]
    return [transform for transform in transforms if hasattr(transform, 'py_random')]


def keep_rng(learn: Learner) -> Callable:
    "Python's, NumPy's and torch's generators, and those of the loaders and their augmentation."
    python_state = random.getstate()
    numpy_state = np.random.get_state()
    torch_state = torch.get_rng_state()
    cuda_states = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    loaders = [(loader, loader.rng, loader.rng.getstate()) for loader in learn.dls.loaders if hasattr(loader, 'rng')]
    generators = [(tfm, copy.deepcopy((tfm.random_generator, tfm.py_random))) for tfm in augmentations(learn)]

    def put_back():
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        torch.set_rng_state(torch_state)
        if cuda_states: torch.cuda.set_rng_state_all(cuda_states)
        for loader, rng, state in loaders:
            rng.setstate(state)
            loader.rng = rng
        for tfm, pair in generators: tfm.set_random_state(*pair)
    return put_back


def keep_mode(learn: Learner) -> Callable: return keep_modes(learn.model)


def keep_hooks(learn: Learner) -> Callable:
    "The functions that are called as the model runs."
    kept = []
    for module in learn.model.modules():
        kept += [(value, dict(value)) for name, value in vars(module).items() if is_hooks(name, value)]

    def put_back():
        for hooks, functions in kept:
            hooks.clear()
            hooks.update(functions)
    return put_back


def keep_callbacks(learn: Learner) -> Callable:
    "The model's hooks, the list of callbacks, and what each of them and the Learner have noted."
    put_back_hooks = keep_hooks(learn)
    callbacks = list(learn.cbs)
    notes = [(thing, shallow_vars(thing)) for thing in [*learn.cbs, *learn.metrics, *recorded_metrics(learn)]]
    attributes = shallow_vars(learn, skip=('opt', 'cbs'))

    def put_back():
        put_back_hooks()
        for name in set(vars(learn)) - set(attributes) - {'opt', 'cbs'}: del vars(learn)[name]
        vars(learn).update(attributes)
        learn.cbs[:] = callbacks
        for thing, values in notes:
            vars(thing).clear()
            vars(thing).update(values)
    return put_back


KEEPERS = {
    'weights': keep_weights,
    'BatchNorm buffers': keep_buffers,
    'optimizer state': keep_optimizer,
    'random numbers': keep_rng,
    'train or eval mode': keep_mode,
    'hooks and callbacks': keep_callbacks,
}


@contextmanager
def untouched(learn: Learner):
    "Train inside as you like: afterwards, or after an error, the Learner is as it was, to the last bit."
    put_back_all = [keep(learn) for keep in KEEPERS.values()]
    try: yield learn
    finally:
        for put_back in put_back_all: put_back()


# ---- is it as it was? ----

NOTES = (int, float, str, list, dict, torch.Tensor, type(None))


def plain_notes(thing) -> dict:
    "The attributes of an object that are numbers, words, tensors, or lists and dicts of them."
    return {name: value for name, value in vars(thing).items() if isinstance(value, NOTES)}


def optimizer_content(learn: Learner):
    "Moments and settings, in the order of the model's parameters; None where there is no optimizer."
    opt = torch_optimizer(learn.opt)
    if opt is None: return None
    moments = [opt.state.get(p, {}) for p in learn.model.parameters()]
    return moments, [group_settings(group) for group in param_groups(opt)]


def rng_content(learn: Learner) -> list:
    "The states of all generators that a training draws from."
    states = [random.getstate(), np.random.get_state(), torch.get_rng_state()]
    if torch.cuda.is_available(): states.append(torch.cuda.get_rng_state_all())
    states += [loader.rng.getstate() for loader in learn.dls.loaders]
    return states + [str(tfm.random_generator.bit_generator.state) for tfm in augmentations(learn)]


def callbacks_content(learn: Learner) -> list:
    "Names of the hooks in use, and the notes of callbacks, metrics and the Learner."
    hooks = []
    for module in learn.model.modules():
        hooks.append(sorted(name for name, value in vars(module).items() if 'hooks' in name and value))
    callbacks = [(id(callback), plain_notes(callback)) for callback in learn.cbs]
    metrics = [plain_notes(metric) for metric in recorded_metrics(learn)]
    own_notes = plain_notes(learn)
    own_notes.pop('opt', None)
    return [hooks, callbacks, metrics, own_notes]


CONTENTS = {  # the same parts as in `KEEPERS`
    'weights': lambda learn: [(name, p, p.grad, p.requires_grad) for name, p in learn.model.named_parameters()],
    'BatchNorm buffers': lambda learn: list(learn.model.named_buffers()),
    'optimizer state': optimizer_content,
    'random numbers': rng_content,
    'train or eval mode': lambda learn: [module.training for module in learn.model.modules()],
    'hooks and callbacks': callbacks_content,
}


def learner_state(learn: Learner) -> dict:  # part → fingerprint
    "A fingerprint of each part of a Learner that training changes."
    return {part: content_hash(content(learn)) for part, content in CONTENTS.items()}


def content_hash(content) -> str:
    "12 hexadecimal digits that change with any number in it."
    return hashlib.sha256(as_bytes(content)).hexdigest()[:12]


def as_bytes(content) -> bytes:
    "Tensors, arrays, lists, dicts and whatever else has a `repr`, as bytes."
    if isinstance(content, torch.Tensor):
        tensor = content.detach().cpu().contiguous()
        content = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    if isinstance(content, np.ndarray): return repr(content.shape).encode() + content.tobytes()
    if isinstance(content, dict): content = list(content.items())
    if isinstance(content, (list, tuple)): return b'[' + b','.join(map(as_bytes, content)) + b']'
    return repr(content).encode()
