"""Takes a network away from the course: weights, and an ONNX file that knows its classes, how to prepare a picture, how sure it may be,
and when it does not know. `answer` says what such a file makes of a picture."""
import copy, io, itertools, json, logging, warnings
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import asdict
from pathlib import Path

import numpy as np, onnxruntime, torch
from torch import nn

from course_utils.config import CourseError
from course_utils.data.loader import to_input
from course_utils.data.pictures import Pictures
from course_utils.models import norm_of
from course_utils.show.words import abridged
from course_utils.techniques.calibration import temperature
from course_utils.techniques.deep_features import N_MAPS, DeepClassifier, pool_maps
from course_utils.techniques.novelty import FEWEST_PICTURES, Novelty, find_threshold, fit_novelty
from course_utils.techniques.tta import symmetric_views
from course_utils.training.run import DataFacts, Run, held_out_groups, probabilities

KINDS = ('pt', 'onnx', 'json')  # endings of the files that `export` writes
PREPARATION = 'RGB; shorter side to `size` (bicubic), centre square; / 255, − mean, / std; channels first'
CONTRACT = dict(  # how a file becomes what the network wants, step by step: whoever does otherwise shows it another picture
    order=['first frame, decoded whole (a JPEG not at reduced size)', 'turned as its EXIF says', '8-bit RGB, transparency on white',
           'centre square', 'resize', '/ 255', '− mean', '/ std', 'channels first'],
    filter='bicubic',
    a=-.5,
    antialias=True,
    passes='across, then down, each rounded to 8 bits',
    as_in='Pillow: Image.resize(…, Image.Resampling.BICUBIC, box) twice, first across, then down',
)
TALKERS = ('torch.onnx', 'onnxscript', 'onnx_ir', 'torch.export')  # loggers
MOST_PICTURES = dict(train=4000, views=300)  # that the detector learns from; on which views are tried
VIEW_MAY_LOSE = .02  # accuracy, for a view that is shown beside the plain one


# ---- the file ----

def export(
    model: Run | nn.Module,
    pics: Pictures | None=None,  # those it was trained on: a run knows them and may leave them out, a bare network does not
    folder=None,                 # where to; a run may be followed by it at once
    name: str='model',           # of the files; where it is taken, one with a number is used
    troubles=(),                 # sentences for the model card: what is known to be wrong with the pictures
) -> dict:                       # files `pt`, `onnx`, `json`, and the largest difference in probability between the ONNX file and the model
    """Writes weights, ONNX model and its facts. The ONNX file takes pictures `(B, 3, size, size)`, any B, gives `logits (B, n_classes)`,
    where the network allows it `maps (B, n_classes, h, w)`: the evidence by place, and where it was told the pictures `distance (B,)`
    from those it was trained on. As JSON in its metadata it carries labels (in order), size, mean, std, the range of greys, the way to
    resize step by step, the temperature, the views and the threshold that were found on held-out pictures. Raises `CourseError` where
    it cannot write, or where `pics` are others."""
    if isinstance(pics, str | Path): pics, folder, name = None, pics, folder or name  # export(run, folder, name)
    if folder is None: raise CourseError("export was not told where to: give it a folder, export(run, folder).")
    network = cpu_copy(getattr(model, 'model', model))
    data = data_of(model, network, pics)
    images = trial_images(data.size)
    folder = Path(folder)
    stem = free_stem(folder, name, KINDS)
    files = {kind: folder/f'{stem}.{kind}' for kind in KINDS}
    facts, novelty = export_facts(network, data), None
    facts |= held_out_facts(model, network, pics, troubles)
    if pics is not None: novelty, facts['unlike'] = detector(network, pics)
    try:
        whole = with_outputs(network, to_input(images, data.mean, data.std), novelty)
        facts['map'] = map_shows(whole)
        write_onnx(whole, to_input(images, data.mean, data.std).contiguous(), facts, files['onnx'])
        torch.save(network.state_dict(), files['pt'])
        files['json'].write_text(json.dumps(facts, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')
    except OSError as e:
        raise CourseError(f"The model could not be written into {folder} ({e.strerror or e}): allow it there, or name another folder.") from None
    return files | dict(difference=largest_difference(network, images, data, files['onnx']))


def data_of(
    model: Run | nn.Module,
    network: nn.Module,      # its network, on the CPU
    pics: Pictures | None,
) -> DataFacts:
    "What it was trained on: a run says it itself. Raises `CourseError` where nobody says it, or where `pics` do not fit."
    data = getattr(model, 'data', None)
    if isinstance(data, DataFacts):
        if pics is not None: check_same_data(data, pics)
        return data
    if pics is None:
        raise CourseError("A network alone does not know what it was trained on: give export the pictures, too, export(model, pics, folder).")
    data = DataFacts(pics.classes, pics.size, *norm_of(network), pics.found.grey_range)
    n_outputs = count_outputs(network, data)
    if n_outputs != len(data.classes):
        raise CourseError(f"The network has {n_outputs} outputs, but these pictures have {len(data.classes)} classes ({abridged(data.classes)}): export it with the pictures that it was trained on.")
    return data


def check_same_data(data: DataFacts, pics: Pictures):
    "Raises `CourseError` where the pictures are not of the classes and the size that the run was trained on."
    remedy = 'leave the pictures out, export(run, folder), or train on these'
    if tuple(pics.classes) != data.classes:
        same_names = set(pics.classes) == set(data.classes)
        order = ' in another order' if same_names else ''
        raise CourseError(f"The run was trained on the classes {abridged(data.classes)}, but these pictures have {abridged(pics.classes)}{order}: {remedy}.")
    if pics.size != data.size:
        raise CourseError(f"The run was trained on pictures of {data.size}×{data.size} pixels, but these have {pics.size}×{pics.size}: {remedy}.")


def count_outputs(network: nn.Module, data: DataFacts) -> int:
    "How many classes the network tells apart."
    black = to_input(trial_images(data.size)[:1], data.mean, data.std)
    with torch.inference_mode(): return network(black).shape[1]


def trial_images(size: int) -> np.ndarray:  # `(3, size, size, 3)` uint8
    "Noise, to try a network on."
    return np.random.default_rng(0).integers(0, 256, (3, size, size, 3), np.uint8)


def free_stem(
    folder: Path,
    name: str,
    endings,       # of the files that must not be there
) -> str:
    "`name`, or where a file of that name with one of `endings` is there already, the same with a number."
    for n in itertools.count(1):
        stem = name if n == 1 else f'{name}-{n}'
        if not any((folder/f'{stem}.{ending}').exists() for ending in endings): return stem


def cpu_copy(model: nn.Module) -> nn.Module:
    "A copy on the CPU, in float32 and `eval` mode. The model stays as it is."
    return copy.deepcopy(model).cpu().float().eval().to(memory_format=torch.contiguous_format)


def export_facts(network: nn.Module, data: DataFacts) -> dict:
    "What somebody must know who uses the file."
    return dict(
        labels=list(data.classes),
        size=data.size,
        mean=list(data.mean),
        std=list(data.std),
        grey_range=data.grey_range and list(data.grey_range),
        resize=data.resize,
        arch=network.pretrained_cfg.get('architecture', ''),
        prepare=PREPARATION,
        contract=CONTRACT,
    )


# ---- what held-out pictures say ----

def held_out_facts(
    model: Run | nn.Module,
    network: nn.Module,        # its network, on the CPU
    pics: Pictures | None,
    troubles,                  # sentences
) -> dict:
    "The temperature, the views that do no harm, and what a model card says. Of a bare network without pictures nothing is known."
    probs, targets = getattr(model, 'probs', None), getattr(model, 'targets', None)
    groups = None if probs is None else getattr(model, 'groups', None)  # a bare network may have some of its own: of channels
    if probs is None and pics is not None and len(pics.valid):
        probs, targets, groups = probabilities(network, pics.x[pics.valid]), pics.y[pics.valid], held_out_groups(pics)
    n = 0 if probs is None else len(probs)
    facts = dict(temperature=1., views=[[0, False], [0, True]], unlike=None)
    if n >= FEWEST_PICTURES: facts['temperature'] = temperature(np.log(probs.clip(1e-12)), targets)
    if pics is not None and len(pics.valid) >= FEWEST_PICTURES: facts['views'] = harmless_views(network, pics)
    is_right = probs.argmax(1) == targets if n else np.zeros(0, bool)
    name, training = (pics.name, len(pics.train)) if pics is not None else ('', 0)
    facts['card'] = dict(pictures=name, training=training, held_out=n, right=int(is_right.sum()), by_group=group_tallies(groups, is_right),
                         troubles=list(troubles))
    return facts


def group_tallies(
    groups: np.ndarray | None,  # `(N,)`, such as modules; None where there are no groups
    is_right: np.ndarray,       # `(N,)` bool
) -> list | None:               # [pictures, of these right] of each group
    "What an interval of the accuracy is made from where pictures are alike: the file keeps them, whoever shows it computes."
    if groups is None: return None
    _, places = np.unique(groups, return_inverse=True)
    pictures, right = np.bincount(places), np.bincount(places, is_right)
    return np.stack([pictures, right], axis=1).astype(int).tolist()


def evenly(places: np.ndarray, n: int) -> np.ndarray:
    "At most `n` of them, evenly spread."
    return places[::-(-len(places) // n)]


def harmless_views(network: nn.Module, pics: Pictures) -> list:  # [quarter turns, mirrored?], the plain one first
    "Flips and turns of a square that lose hardly any accuracy: a cell has no upside, a cat has."
    places = evenly(pics.valid, MOST_PICTURES['views'])
    images, labels = np.asarray(pics.x[places]), pics.y[places]
    kept, least = [], 0.
    for view in symmetric_views():
        accuracy = (probabilities(network, view(images)).argmax(1) == labels).mean()
        if not kept: least = accuracy - VIEW_MAY_LOSE
        if accuracy >= least: kept.append([view.quarters, view.mirror])
    return kept


def detector(network: nn.Module, pics: Pictures) -> tuple[Novelty | None, dict | None]:
    "What is unlike the training pictures: fitted on these, its threshold found on the held-out ones."
    if not hasattr(network, 'forward_head') or len(pics.valid) < FEWEST_PICTURES: return None, None
    places = evenly(pics.train, MOST_PICTURES['train'])
    novelty = fit_novelty(detector_features(network, pics.x[places]), pics.y[places])
    if novelty is None: return None, None
    held_out = torch.from_numpy(detector_features(network, pics.x[pics.valid]))
    threshold = find_threshold(novelty(held_out).numpy(), groups=held_out_groups(pics))
    found = asdict(threshold)
    return novelty, dict(threshold=found['value'], false_alarms=found['false_alarms'], pictures=found['pictures'])


def detector_features(
    network: nn.Module,
    images,               # `(N, size, size, 3)` uint8
    bs: int=64,
) -> np.ndarray:          # `(N, n)`
    "What the detector compares, see `features_and_early`."
    mean, std = norm_of(network)
    with_early = has_early_maps(network, to_input(np.asarray(images[:1]), mean, std))
    parts = []
    with torch.inference_mode():
        for i in range(0, len(images), bs):
            x = to_input(np.asarray(images[i:i + bs]), mean, std)
            parts.append(features_and_early(network, x, with_early)[1])
    return torch.cat(parts).numpy()


def has_early_maps(
    network: nn.Module,
    x,                # pictures, normalised
) -> bool:
    "Does timm hand out the maps that the network makes on the way to the same last features? It is tried, not believed."
    if isinstance(network, DeepClassifier): return True
    if not hasattr(network, 'forward_intermediates'): return False
    with torch.inference_mode():
        try: features, _ = network.forward_intermediates(x, indices=N_MAPS)
        except (AssertionError, NotImplementedError, TypeError, ValueError): return False
        return torch.allclose(features, network.forward_features(x), rtol=1e-3, atol=1e-3)


def features_and_early(
    network: nn.Module,
    x,                 # pictures, normalised
    with_early: bool,  # see `has_early_maps`
) -> tuple:            # the last features, as `forward_head` takes them; `(B, n)` that tell what is unlike the training pictures
    """These are the means and maxima of earlier maps. The last features of a network that was trained for a few classes forget what
    tells other pictures apart: of 120 photographs of cats and dogs, those of a network for solar cells called 38 % unlike, the
    earlier maps all. Where there are none, the last features have to do."""
    if not with_early:
        features = network.forward_features(x)
        return features, network.forward_head(features, pre_logits=True)
    if isinstance(network, DeepClassifier):
        features = network.forward_features(x)
        return features, pool_maps(features[:-1])
    features, maps = network.forward_intermediates(x, indices=N_MAPS)
    return features, pool_maps(maps)


# ---- what the file gives out ----

class Outputs(nn.Module):
    "A network that gives its map, too, and how far a picture is from those it was trained on."
    def __init__(
        self,
        network: nn.Module,          # of timm, or a `DeepClassifier`
        last: nn.Linear | None,      # see `last_layer`
        novelty: Novelty | None,
        with_early: bool=False,      # see `has_early_maps`
    ):
        super().__init__()
        self.network, self.last, self.novelty, self.with_early = network, last, novelty, with_early

    def forward(self, x):
        features, compared = features_and_early(self.network, x, self.with_early)
        outputs = [self.network.forward_head(features)]
        if self.last is not None: outputs.append(evidence_maps(last_map(features), self.last))
        if self.novelty is not None: outputs.append(self.novelty(compared))
        return tuple(outputs)

    @property
    def names(self) -> list:
        present = dict(logits=True, maps=self.last is not None, distance=self.novelty is not None)
        return [name for name, is_there in present.items() if is_there]


def last_map(features):  # `(B, n, h, w)`
    "Of a network that hands on maps of several depths, the last."
    return features[-1] if isinstance(features, list) else features


def evidence_maps(
    features,         # `(B, n, h, w)`, the last feature map
    last: nn.Linear,
):                    # `(B, n_classes, h, w)`
    """CAM (Zhou et al. 2016, arXiv 1512.04150): each place's share in each logit. Behind a mean over h·w places and one linear layer
    the gradient of a logit is the layer's weight / (h·w) at every place, so this is Grad-CAM times h·w, without a gradient."""
    return torch.einsum('bnhw,cn->bchw', features, last.weight)


def last_layer(
    network: nn.Module,
    x,                  # pictures, normalised
) -> nn.Linear | None:  # None where its map is not to be had without a gradient
    """The linear layer behind the mean over places, if that is how the network comes to its logits: it is tried, not believed.
    Of features of several depths, the layer that stands for the last map."""
    if not hasattr(network, 'forward_head'): return None
    if isinstance(network, DeepClassifier): return network.map_layer() if ends_in_a_map(network, x) else None
    last = network.get_classifier()
    with torch.inference_mode():
        features = network.forward_features(x)
        if not isinstance(last, nn.Linear) or features.ndim != 4: return None
        if features.shape[1] != last.in_features: return None
        logits = network.forward_head(features)
        by_place = evidence_maps(features, last).mean((2, 3))
        if last.bias is not None: by_place = by_place + last.bias
        is_same = torch.allclose(by_place, logits, rtol=1e-3, atol=1e-3)
    return last if is_same else None


def map_shows(whole: nn.Module) -> str:  # of `with_outputs`
    "What stands in the map: 'all' of the evidence, that of the 'last' depth alone, or '' where there is no map."
    if getattr(whole, 'last', None) is None: return ''
    return 'last' if isinstance(whole.network, DeepClassifier) else 'all'


def ends_in_a_map(network: nn.Module, x) -> bool:
    "Not in rows of tokens, and with as many channels as the network says."
    with torch.inference_mode(): features = last_map(network.forward_features(x))
    return features.ndim == 4 and features.shape[1] == network.depths.body.num_features


def with_outputs(network: nn.Module, x, novelty: Novelty | None) -> nn.Module:
    "The network with the outputs that it can have."
    last = last_layer(network, x)
    if last is None and novelty is None: return network
    return Outputs(network, last, novelty, novelty is not None and has_early_maps(network, x))


def write_onnx(
    network: nn.Module,
    batch: torch.Tensor,  # `(3, 3, size, size)`, normalised, with which it is traced
    facts: dict,          # goes into the metadata, as JSON
    file: Path,
):
    "Writes the network as ONNX, for batches of any size."
    any_batch = ({0: torch.export.Dim('batch')},)
    with quiet():
        program = torch.onnx.export(network, (batch,), dynamo=True, verbose=False, dynamic_shapes=any_batch,
                                    input_names=['pictures'], output_names=getattr(network, 'names', ['logits']))
        metadata = {name: json.dumps(value, ensure_ascii=False) for name, value in facts.items()}
        program.model.metadata_props.update(metadata)
        program.save(str(file), external_data=False)


@contextmanager
def quiet():
    "Exporting talks much: only what goes wrong is let through, as an exception."
    loggers = [logging.getLogger(name) for name in TALKERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter('ignore')
        for logger in loggers: logger.setLevel(logging.CRITICAL)
        try: yield
        finally:
            for logger, level in zip(loggers, levels): logger.setLevel(level)


def largest_difference(
    network: nn.Module,
    images,           # `(3, size, size, 3)` uint8
    data: DataFacts,
    file: Path,       # ONNX
) -> float:
    "Between the probabilities of the ONNX file and those of the network, for one picture and for three at once."
    session = onnxruntime.InferenceSession(str(file), providers=['CPUExecutionProvider'])
    batch = to_input(images, data.mean, data.std).contiguous()
    with torch.inference_mode(): expected = network(batch).softmax(1).numpy()
    differences = []
    for n in (1, len(batch)):
        logits = session.run(None, {'pictures': batch[:n].numpy()})[0]
        probs = torch.tensor(logits).softmax(1).numpy()
        differences.append(float(np.abs(probs - expected[:n]).max()))
    return max(differences)
