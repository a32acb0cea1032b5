"""Raise the rate a little at every step, watch the loss, and read off a rate worth training with."""
import copy, hashlib, random
from contextlib import contextmanager

import numpy as np, torch
from fastai.learner import Learner, Metric
from fastai.optimizer import Optimizer


def keep_weights(learn):
    copied = lambda t: None if t is None else t.clone()
    old = [(p, p.detach().clone(), copied(p.grad), p.requires_grad) for p in learn.model.parameters()]
    def back():
        for p, value, grad, learns in old: p.data, p.grad, p.requires_grad = value, grad, learns
    return back


def keep_buffers(learn):
    "BatchNorm's running means and variances, and its count of batches."
    old = [(m, name, b, b.clone()) for m in learn.model.modules() for name, b in m._buffers.items() if b is not None]
    def back():
        for m, name, b, value in old: b.data = value; m._buffers[name] = b
    return back


def hypers(opt): return opt.hypers if isinstance(opt, Optimizer) else opt.param_groups


def plain(opt): return getattr(opt, 'opt', opt)  # the torch optimizer in fastai's OptimWrapper


def keep_optimizer(learn):
    "Moments and rates; where there was no optimizer yet, there is none afterwards."
    opt, inner = learn.opt, plain(learn.opt)
    if opt is None:
        def back(): learn.opt = None
        return back
    state = {p: copy.deepcopy(s) for p, s in inner.state.items()}
    groups = [{k: copy.copy(v) for k, v in g.items() if k != 'params'} for g in hypers(inner)]
    def back():
        learn.opt = opt
        inner.state.clear(); inner.state.update(state)
        for g, old in zip(hypers(inner), groups):
            for k in set(g) - set(old) - {'params'}: del g[k]
            g.update(old)
    return back


def keep_rng(learn):
    "Python's, NumPy's and torch's generators, and those of the loaders and their augmentation."
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    old = random.getstate(), np.random.get_state(), torch.get_rng_state()
    loaders = [(dl, dl.rng, dl.rng.getstate()) for dl in learn.dls.loaders if hasattr(dl, 'rng')]
    tfms = [dl.tfm for dl in learn.dls.loaders if hasattr(getattr(dl, 'tfm', None), 'py_random')]
    drawn = [(t, copy.deepcopy((t.random_generator, t.py_random))) for t in tfms]
    def back():
        random.setstate(old[0]); np.random.set_state(old[1]); torch.set_rng_state(old[2])
        if cuda: torch.cuda.set_rng_state_all(cuda)
        for dl, rng, state in loaders: rng.setstate(state); dl.rng = rng
        for t, generators in drawn: t.set_random_state(*generators)
    return back


def keep_mode(learn):
    "Train or eval mode of every module."
    old = [(m, m.training) for m in learn.model.modules()]
    def back():
        for m, training in old: m.training = training
    return back


def keep_callbacks(learn):
    "The model's hooks, the list of callbacks, and what each of them and the Learner have noted."
    hooks = [(d, dict(d)) for m in learn.model.modules() for name, d in vars(m).items() if 'hooks' in name and isinstance(d, dict)]
    noted = [*learn.cbs, *learn.metrics]
    noted += [v for cb in learn.cbs for v in vars(cb).values() if isinstance(v, Metric)]  # the Recorder's own
    copied = lambda v: copy.copy(v) if isinstance(v, (list, dict)) else v
    old = [(o, {k: copied(v) for k, v in vars(o).items()}) for o in noted]
    of_learn, cbs = {k: copied(v) for k, v in vars(learn).items() if k not in ('opt', 'cbs')}, list(learn.cbs)
    def back():
        for d, was in hooks: d.clear(); d.update(was)
        for k in set(vars(learn)) - set(of_learn) - {'opt', 'cbs'}: del vars(learn)[k]
        vars(learn).update(of_learn); learn.cbs[:] = cbs
        for o, was in old: vars(o).clear(); vars(o).update(was)
    return back

KEEPERS = {'weights': keep_weights, 'BatchNorm buffers': keep_buffers, 'optimizer state': keep_optimizer,
           'random numbers': keep_rng, 'train or eval mode': keep_mode, 'hooks and callbacks': keep_callbacks}


@contextmanager
def untouched(learn: Learner):
    "Train inside as you like: afterwards, or after an error, the Learner is as it was, to the last bit."
    back = [keep(learn) for keep in KEEPERS.values()]
    try: yield learn
    finally:
        for put_back in back: put_back()


def state_of(learn: Learner) -> dict:  # part → fingerprint
    "A fingerprint of each part of a Learner that training changes."
    inner, model = plain(learn.opt), learn.model
    simple = lambda o: {k: v for k, v in vars(o).items() if isinstance(v, (int, float, str, list, dict, torch.Tensor, type(None)))}
    metrics = [v for cb in learn.cbs for v in vars(cb).values() if isinstance(v, Metric)]
    parts = {
        'weights': [(name, p, p.grad, p.requires_grad) for name, p in model.named_parameters()],
        'BatchNorm buffers': list(model.named_buffers()),
        'optimizer state': inner and [[inner.state.get(p, {}) for p in model.parameters()], [{k: v for k, v in g.items() if k != 'params'} for g in hypers(inner)]],
        'random numbers': [random.getstate(), np.random.get_state(), torch.get_rng_state(), torch.cuda.get_rng_state_all() if torch.cuda.is_available() else 0,
                           [(dl.rng.getstate(), str(dl.tfm.random_generator.bit_generator.state) if hasattr(getattr(dl, 'tfm', None), 'py_random') else 0) for dl in learn.dls.loaders]],
        'train or eval mode': [m.training for m in model.modules()],
        'hooks and callbacks': [[sorted(k for k, d in vars(m).items() if 'hooks' in k and d) for m in model.modules()], [(id(cb), simple(cb)) for cb in learn.cbs],
                                [simple(m) for m in metrics], {k: v for k, v in simple(learn).items() if k != 'opt'}]}
    return {name: hashlib.sha256(in_bytes(o)).hexdigest()[:12] for name, o in parts.items()}


def in_bytes(o) -> bytes:
    if isinstance(o, torch.Tensor): o = o.detach().cpu().float().contiguous().numpy() if o.dtype == torch.bfloat16 else o.detach().cpu().contiguous().numpy()
    if isinstance(o, np.ndarray): return repr(o.shape).encode() + o.tobytes()
    if isinstance(o, dict): o = list(o.items())
    return b'[' + b','.join(map(in_bytes, o)) + b']' if isinstance(o, (list, tuple)) else repr(o).encode()
