"""Normalisation layers that stay as they are while a network is fine-tuned."""
from fastai.callback.core import Callback
from fastai.torch_core import norm_types
from torch import nn


def frozen_norms(learn) -> list:
    "The normalisation layers (BatchNorm, LayerNorm, …) whose parameters all lie in frozen groups."
    frozen_groups = learn.opt.param_lists[:learn.opt.frozen_idx]
    frozen_ids = {id(p) for group in frozen_groups for p in group}

    def is_frozen(layer: nn.Module) -> bool:
        parameters = list(layer.parameters())
        return bool(parameters) and all(id(p) in frozen_ids for p in parameters)

    return [m for m in learn.model.modules() if isinstance(m, norm_types) and is_frozen(m)]


class FreezeBatchNorm(Callback):
    """Keeps BatchNorm and other normalisation layers of frozen groups as they are. fastai's `freeze` trains their
    weights (`train_bn`) and lets BatchNorm's statistics move."""
    def before_train(self):
        for layer in frozen_norms(self.learn):
            layer.eval().requires_grad_(False)


class StillBatchNorm(Callback):
    "Keeps the normalisation layers of all groups as they are, for the whole training."
    def before_train(self):
        for layer in self.learn.model.modules():
            if isinstance(layer, norm_types): layer.eval().requires_grad_(False)


def norm_callbacks(
    batchnorm: str,  # `learns`: as fastai has it; `still_in_frozen`: still where a group is frozen; `still`: always
) -> list:
    "The callbacks that a recipe's `batchnorm` stands for."
    return {'learns': [], 'still_in_frozen': [FreezeBatchNorm], 'still': [StillBatchNorm]}[batchnorm]
