"""Early stages that stay as they are for a whole training: they run without a graph, with BatchNorm folded into the convolutions.

The network is cut in two. The *front* are the frozen modules that follow one another from the picture on; it is a copy, in `eval`
mode, and nothing is kept for a backward pass. The *rest* is the network itself with `nn.Identity` in their places, so what trains
is small, and what it learns is in the network already."""
from copy import deepcopy
from functools import partial
from typing import NamedTuple

import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from course_utils.config import CourseError
from course_utils.data.loader import to_input
from course_utils.models import evaluating
from course_utils.training.frozen_maps import FrozenMaps, MapLoader
from course_utils.training.identity import sha16


def stages(model: nn.Module) -> list:  # lists of names of parameters, from the picture on; the classifier's are in the last
    "A timm model's stages as timm tells them: in most networks the stem is the first."
    from timm.models import group_parameters  # timm is imported where it is used: see `models`
    return list(group_parameters(model, model.group_matcher(coarse=True)).values())


def frozen_names(
    model: nn.Module,  # a timm model
    n: int,            # stages
) -> set:
    "The names of the parameters in the first `n` stages. Raises `CourseError` where the model has no more than these."
    groups = stages(model)
    if not 0 <= n < len(groups):
        raise CourseError(f"freeze_stages is {n}, but it can only be 0 to {len(groups) - 1}: this network has {len(groups)} stages, and the last has to learn.")
    return {name for group in groups[:n] for name in group}


# ---- which modules follow one another ----

class Call(NamedTuple):
    "A module's call in one forward pass."
    name: str
    module: nn.Module
    taken: object  # the tensor that went in
    given: object  # the tensor that came out


def trace(model: nn.Module, x: torch.Tensor) -> list:  # of `Call`; an outer module comes before the modules in it
    "Every call of a module that takes one tensor, in `eval` mode. The model's own mode stays."
    calls, hooks = [], []

    def add(name, module):
        def before(_, inputs): calls.append([name, module, inputs, None])

        def after(_, inputs, output):
            call = next(call for call in reversed(calls) if call[1] is module and call[3] is None)
            call[3] = output

        hooks.extend([module.register_forward_pre_hook(before), module.register_forward_hook(after)])

    for name, module in model.named_modules():
        if name: add(name, module)
    try:
        with evaluating(model), torch.random.fork_rng(devices=[]), torch.no_grad(): model(x)
    finally:
        for hook in hooks: hook.remove()
    return [Call(name, module, inputs[0], output) for name, module, inputs, output in calls if len(inputs) == 1]


def front_names(
    model: nn.Module,
    frozen: set,      # names of parameters
    x: torch.Tensor,  # a batch as the model takes it
) -> list:            # names of modules, the largest that are frozen as a whole
    "The frozen modules that follow one another from the picture on, each on what the one before gives."
    learning = {name for name, _ in model.named_parameters()} - frozen

    def is_frozen(call: Call) -> bool: return not any(name.startswith(f'{call.name}.') for name in learning)

    def has_parameters(call: Call) -> bool: return next(call.module.parameters(), None) is not None

    calls = trace(model, x)
    chain, current = [], x
    while True:
        following = [call for call in calls if call.taken is current and is_frozen(call) and torch.is_tensor(call.given)]
        if not following: break
        chosen = following[0]
        chain.append(chosen)
        current = chosen.given
        # an activation in place gives the tensor that it took: what lies in a chosen module, or was called before, is no successor
        later = calls[calls.index(chosen) + 1:]
        calls = [call for call in later if not call.name.startswith(f'{chosen.name}.')]
    # what has nothing to learn belongs to the module before it, and a dropout after the last stage has to stay awake
    while chain and not has_parameters(chain[-1]): chain.pop()
    return [call.name for call in chain]


# ---- BatchNorm in the convolution before it ----

def fold_batchnorm(
    front: nn.Module,  # in `eval` mode; it is changed
    x: torch.Tensor,   # a batch
) -> nn.Module:        # the same
    "Multiplies every still BatchNorm into the convolution whose output it takes (Jacob et al. 2018, arXiv 1712.05877, section 3.2)."
    calls = trace(front, x)
    taken_by = {}
    for call in calls: taken_by.setdefault(id(call.taken), []).append(call)
    for conv in calls:
        if not isinstance(conv.module, nn.Conv2d): continue
        users = taken_by.get(id(conv.given), [])
        norm = users[0] if users else None
        if norm is None or not isinstance(norm.module, nn.BatchNorm2d): continue
        front.set_submodule(conv.name, fuse_conv_bn_eval(conv.module, norm.module))
        front.set_submodule(norm.name, getattr(norm.module, 'act', nn.Identity()))  # timm's holds the activation, too
    return front


# ---- the cut ----

class Cut(NamedTuple):
    "A network in two parts: `rest(front(x))` is `model(x)`."
    front: nn.Sequential  # a copy
    names: list           # of the modules it is a copy of
    frozen: set           # names of all parameters that do not learn, those behind the front too


def cut(
    model: nn.Module,  # a timm model
    n: int,            # stages that stay as they are
    x: torch.Tensor,   # a batch as the model takes it, to try it on
    more=frozenset(),  # names of further parameters that do not learn
) -> Cut:
    """Finds the front. It is shorter than the frozen stages where the network does something between two modules, and empty where
    it begins so. Raises `CourseError` where there are no such stages."""
    frozen = frozen_names(model, n) | set(more)
    names = front_names(model, frozen, x)
    front = nn.Sequential(*[deepcopy(model.get_submodule(name)) for name in names])
    front.eval().requires_grad_(False)
    folded = fold_batchnorm(deepcopy(front), x)
    with torch.no_grad(): is_equal = torch.allclose(folded(x), front(x), rtol=1e-3, atol=1e-3)
    return Cut(folded if is_equal else front, names, frozen)


def still(model: nn.Module, frozen: set):
    "Modules whose parameters are all frozen go to `eval` mode, and no frozen parameter learns."
    for name, parameter in model.named_parameters():
        if name in frozen: parameter.requires_grad_(False)
    for name, module in model.named_modules():
        below = {f'{name}.{parameter}' for parameter, _ in module.named_parameters()}
        if name and below and below <= frozen: module.eval()


def weights_state(model: nn.Module, names: list) -> list:
    "Changes whenever a weight or a buffer in these modules does: torch counts the changes."
    modules = [model.get_submodule(name) for name in names]
    return [(id(t), t._version) for module in modules for t in module.state_dict(keep_vars=True).values()]


def weights_key(front: nn.Module) -> str:
    "16 hexadecimal digits of what the front is and of its weights."
    weights = b''.join(value.detach().cpu().numpy().tobytes() for value in front.state_dict().values())
    return sha16(f'{front} {sha16(weights)}'.encode())


def run_front(front: nn.Module, bf16: bool, x: torch.Tensor) -> torch.Tensor:
    "Pictures → maps, in float32, without a graph."
    with torch.no_grad(), torch.autocast(x.device.type, torch.bfloat16, enabled=bf16): return front(x).float()


class FreezeStages(Callback):
    """While a network is fitted, its frozen stages stand before it: they see each held-out picture once, and each training picture
    once a step, or, with `kept_views`, once for each of its symmetric views. Afterwards the network is whole again."""
    order = -2  # before whatever else looks at the network

    def __init__(self,
        n: int = 0,           # stages
        kept_views: int = 0,  # 0: training pictures are augmented as the recipe says; 1, 2, 4, 8: each step draws one of so many symmetric views
        names=frozenset(),    # of further parameters that do not learn
    ):
        self.n, self.kept_views, self.names = n, kept_views, set(names)
        self.cut = self.taken_out = None

    def freeze_also(self, names: set):
        "Parameters that do not learn in the next fits, beside those of the stages."
        if names != self.names: self.cut = None
        self.names = names

    def before_fit(self):
        learn, train = self.learn, self.dls.train
        if self.cut is None or self.state != weights_state(learn.model, self.cut.names):
            x = to_input(train.x[:2], train.mean, train.std, self.dls.device)
            self.cut = cut(learn.model, self.n, x, self.names)
            self.state = weights_state(learn.model, self.cut.names)
            self.maps = self.frozen_maps(self.dls) if self.cut.names else None
        still(learn.model, self.cut.frozen)
        if not self.cut.names: return  # nothing can be taken out: the stages are still, and no more
        self.whole_dls = self.dls
        self.taken_out = {name: learn.model.get_submodule(name) for name in self.cut.names}
        for name in self.cut.names: learn.model.set_submodule(name, nn.Identity())
        learn.dls = self.front_loaders()

    def frozen_maps(self, dls) -> FrozenMaps:
        "The store of maps of all pictures, those of other folds too."
        bf16 = hasattr(self.learn, 'mixed_precision')
        self.front = partial(run_front, self.cut.front, bf16)
        loader = dls.train
        key = weights_key(self.cut.front) + (' in bfloat16' if bf16 else '')
        dtype = torch.float16 if self.kept_views else torch.float32  # held-out pictures alone need little room
        return FrozenMaps(loader.pool, self.front, key, loader.mean, loader.std, self.kept_views or 1, dls.device, dtype=dtype)

    def front_loaders(self) -> DataLoaders:
        "Loaders of maps in place of pictures."
        train, valid = self.whole_dls.train, self.whole_dls.valid
        options = dict(num_workers=0, device=self.whole_dls.device)
        held_out = MapLoader(self.maps, valid.places, valid.y, bs=valid.bs, **options)
        learning = train
        if self.kept_views:
            learning = MapLoader(self.maps, train.places, train.y, self.kept_views, train.repeats,
                                 bs=train.bs, shuffle=True, drop_last=True, **options)
        loaders = DataLoaders(learning, held_out, device=self.whole_dls.device)
        loaders.c = self.whole_dls.c  # callbacks ask for the number of classes
        return loaders

    def before_batch(self):
        "Training pictures as the loader and the callbacks before this one made them pass through the front here."
        if self.taken_out and self.training and not self.kept_views: self.learn.xb = (self.front(self.x),)

    def before_train(self): still(self.model, self.cut.frozen)

    def put_back(self):
        "The network and its loaders as they were; nothing happens where they are."
        if self.taken_out is None: return
        for name, module in self.taken_out.items(): self.learn.model.set_submodule(name, module)
        self.learn.dls = self.whole_dls
        self.taken_out = None

    def after_fit(self): self.put_back()
