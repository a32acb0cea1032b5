"""A frozen network's features of several depths, and a linear head on them: the first result of transfer, in one pass.

Early maps hold edges and texture, late ones whole objects, and which of them a task needs is not known beforehand. So all are
pooled, and the head chooses (Evci et al. 2022, Head2Toe, arXiv 2201.03529)."""
import time
from dataclasses import dataclass

import numpy as np, pandas as pd, torch
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn

from course_utils.config import CourseError
from course_utils.data.pictures import Pictures
from course_utils.models import create_model, norm_of
from course_utils.techniques.imbalance import BalancedLoss
from course_utils.training.freezing import weights_key
from course_utils.training.frozen_maps import FrozenMaps
from course_utils.training.identity import fingerprint
from course_utils.training.learner import default_device
from course_utils.training.recipe import Recipe
from course_utils.training.run import DataFacts, Run, cross_entropy, held_out_files, held_out_groups


N_MAPS = 3  # of the last stages, beside the last map of all


def pool_maps(
    maps: list,  # of `(B, c, h, w)`, or `(B, places, c)` where they are rows of tokens
) -> torch.Tensor:  # `(B, F)`
    "Of each map the means over its places, then the maxima."
    pooled = []
    for each_map in maps:
        places = each_map.flatten(2) if each_map.ndim == 4 else each_map.transpose(1, 2)
        pooled += [places.mean(2), places.amax(2)]
    return torch.cat(pooled, 1)


class PooledDepths(nn.Module):
    "A timm model's maps of several depths, each pooled by its mean and its maximum. Raises `CourseError` where timm cannot give them."
    def __init__(self,
        body: nn.Module,  # a timm model
        n_maps: int = N_MAPS,
    ):
        super().__init__()
        if not hasattr(body, 'forward_intermediates'):
            raise CourseError(f"timm gives no maps of several depths for {type(body).__name__}: choose another network.")
        self.body = body
        self.n_maps = n_maps

    @property
    def pretrained_cfg(self): return self.body.pretrained_cfg

    def maps(self, x) -> list:  # `(B, 3, H, W)` normalised → the maps, the last one of all at the end
        last, maps = self.body.forward_intermediates(x, indices=self.n_maps)
        return [*maps, last]

    def forward(self, x): return pool_maps(self.maps(x))  # `(B, 3, H, W)` normalised → `(B, F)`


def view_features(
    model: nn.Module,          # a timm model; it is left in `eval` mode
    pics: Pictures,
    views: int = 1,            # 1, 2, 4, 8: symmetric views
    n_maps: int = N_MAPS,      # see `PooledDepths`
    bs: int = 64,
    cache: bool = True,        # keep the features, found again by the pictures' and the weights' content
) -> list:                     # of each view `(N, F)` float32, of all pictures, held-out ones too
    "One pass of the frozen network over each view of all pictures."
    network = PooledDepths(model, n_maps).eval().to(memory_format=torch.channels_last)
    device = next(model.parameters()).device
    key = f'{weights_key(network)} {n_maps} maps' if cache else ''
    store = FrozenMaps(pics.x, network, key, *norm_of(network), views, device, bs, torch.float32, keep=cache)
    everything = np.arange(len(pics))
    for view in range(views): store.fill(view, everything)
    return store.maps


def deep_features(
    model: nn.Module,          # a timm model; it is left in `eval` mode
    pics: Pictures,
    views: int = 1,            # 1, 2, 4, 8: symmetric views, their features averaged
    n_maps: int = N_MAPS,      # see `PooledDepths`
    bs: int = 64,
    cache: bool = True,        # see `view_features`
) -> np.ndarray:               # `(N, F)` float32, of all pictures, held-out ones too
    "The mean of `view_features`."
    return np.asarray(sum(view_features(model, pics, views, n_maps, bs, cache)) / views)


@dataclass
class LinearHead:
    "A standardised logistic regression: `W (x − mean) / deviation + b`."
    mean: np.ndarray       # `(F,)`
    deviation: np.ndarray  # `(F,)`
    weight: np.ndarray     # `(n_classes, F)`
    bias: np.ndarray       # `(n_classes,)`

    def logits(self, features: np.ndarray) -> np.ndarray:  # `(N, n_classes)`
        return (features - self.mean) / self.deviation @ self.weight.T + self.bias

    def probs(self, features: np.ndarray) -> np.ndarray:  # `(N, n_classes)`
        return softmax(self.logits(features), axis=1)


def fit_linear_head(
    features: np.ndarray,  # `(N, F)`
    labels: np.ndarray,    # `(N,)`
    n_classes: int,
    C: float = .01,        # scikit-learn's inverse of the strength of weight decay; far above 1 it stops short of its minimum (findings/)
    balanced: bool = False,  # do all classes weigh the same, however many pictures they have?
) -> LinearHead:
    "scikit-learn's logistic regression on standardised features. Raises `CourseError` where there is one class only."
    present = np.unique(labels)
    if len(present) < 2: raise CourseError("There are pictures of one class only, so there is nothing to tell them from: add another class.")
    scaler = StandardScaler().fit(features)
    weigh = 'balanced' if balanced else None
    fitted = LogisticRegression(C=C, max_iter=300, class_weight=weigh).fit(scaler.transform(features), labels)
    weight, bias = fitted.coef_, fitted.intercept_
    if len(present) == 2:  # scikit-learn gives one row of weights, half of which is each class's
        weight = np.concatenate([-weight, weight]) / 2
        bias = np.concatenate([-bias, bias]) / 2
    all_weights = np.zeros((n_classes, features.shape[1]))
    all_biases = np.full(n_classes, -30.)  # a class without a picture is never named
    all_weights[present], all_biases[present] = weight, bias
    return LinearHead(scaler.mean_, scaler.scale_, all_weights, all_biases)


# ---- one network of it all ----

class DeepClassifier(nn.Module):
    """A frozen network, its pooled depths and a linear head on them, as one network that gives logits: it can be exported.

    It answers to the names that timm's networks have, so Grad-CAM and the detector of unlike pictures take it as one of them."""
    def __init__(self,
        body: nn.Module,   # a timm model
        n_classes: int,
        n_maps: int = N_MAPS,  # see `PooledDepths`
    ):
        super().__init__()
        self.depths = PooledDepths(body, n_maps)
        size = body.pretrained_cfg.get('input_size', (3, 224, 224))
        black = torch.zeros(1, *size, device=next(body.parameters()).device)
        with torch.no_grad(): n_features = self.depths.eval()(black).shape[1]
        self.register_buffer('mean', torch.zeros(n_features))
        self.register_buffer('scale', torch.ones(n_features))  # 1 / deviation: it keeps its digits in 16 bits, too
        self.head = nn.Linear(n_features, n_classes)

    @property
    def pretrained_cfg(self): return self.depths.pretrained_cfg

    @property
    def feature_info(self) -> list:
        "The ends of the body's stages, by their names in here."
        return [dict(info, module=f"depths.body.{info['module']}") for info in self.depths.body.feature_info]

    def with_head(self, head: LinearHead) -> 'DeepClassifier':
        "The same network, which names what this head names."
        values = [head.mean, 1 / head.deviation, head.weight, head.bias]
        tensors = [self.mean, self.scale, self.head.weight, self.head.bias]
        with torch.no_grad():
            for tensor, value in zip(tensors, values, strict=True): tensor.copy_(torch.as_tensor(value))
        return self

    def get_classifier(self) -> nn.Linear: return self.head

    def forward_features(self, x) -> list: return self.depths.maps(x)

    def forward_head(self, maps: list, pre_logits: bool = False):
        standardised = (pool_maps(maps) - self.mean) * self.scale
        return standardised if pre_logits else self.head(standardised)

    def forward(self, x): return self.forward_head(self.forward_features(x))

    def map_layer(self) -> nn.Linear:
        """The layer whose evidence is Grad-CAM at the last map. In the mean over places, the gradient of a mean and that of a
        maximum are the same: 1 / (h·w). So each channel weighs as much as its mean and its maximum do in the head together."""
        n = self.depths.body.num_features
        weight = (self.head.weight * self.scale)[:, -2 * n:]
        layer = nn.Linear(n, len(weight), bias=False)
        with torch.no_grad(): layer.weight.copy_(weight[:, :n] + weight[:, n:])
        return layer


# ---- trained ----

def recipe_features(
    pics: Pictures,
    recipe: Recipe,  # its network, and its `kept_views`
) -> np.ndarray:     # `(V, N, F)` float32: of each view, of all pictures
    "What a recipe's network gives before it is trained, in the views by which the recipe trains."
    body = create_model(recipe.arch).to(default_device())
    return np.stack(view_features(body, pics, max(1, recipe.kept_views)))


def recipe_head(
    features: np.ndarray,  # `(V, N, F)`
    labels: np.ndarray,    # `(N,)`
    places: np.ndarray,    # of the pictures that it learns from
    n_classes: int,
    recipe: Recipe,        # does it weigh the classes?
) -> LinearHead:
    "A linear head that has seen each view of these pictures."
    rows = np.concatenate([view[places] for view in features])
    balanced = BalancedLoss in recipe.callbacks
    return fit_linear_head(rows, np.tile(labels[places], len(features)), n_classes, balanced=balanced)


def linear_probe(
    pics: Pictures,
    recipe: Recipe,  # its network, its views, and whether it weighs the classes: what it says of epochs is left alone
) -> Run:            # with a `DeepClassifier`, in one row of history
    "The frozen half of transfer: features of several depths, and a linear head that has seen the training pictures."
    start = time.perf_counter()
    features = recipe_features(pics, recipe)
    head = recipe_head(features, pics.y, pics.train, len(pics.classes), recipe)
    body = create_model(recipe.arch).to(default_device())
    network = DeepClassifier(body, len(pics.classes)).with_head(head).to(default_device())
    probs = head.probs(features[0])
    seconds = time.perf_counter() - start
    data = DataFacts(pics.classes, pics.size, *norm_of(body), pics.found.grey_range, fingerprint=fingerprint(pics))
    return Run(probe_history(pics, probs, seconds), probs[pics.valid], pics.y[pics.valid], None, seconds, network,
               recipe=recipe, files=held_out_files(pics), data=data, groups=held_out_groups(pics))


def probe_history(
    pics: Pictures,
    probs: np.ndarray,  # `(N, n_classes)`, of all pictures
    seconds: float,
) -> pd.DataFrame:
    "One row, as of one epoch."
    row = dict(epoch=1)
    for part, places in (('train', pics.train), ('valid', pics.valid)):
        labels = pics.y[places]
        row[f'{part}_loss'] = cross_entropy(probs[places], labels).mean()
        row[f'{part}_accuracy'] = (probs[places].argmax(1) == labels).mean()
    return pd.DataFrame([row | dict(lr=np.nan, seconds=seconds)])
