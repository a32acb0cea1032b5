"""Takes a network away from the course: weights, an ONNX file that knows its classes and how to prepare a picture, and plain code
that classifies with that file alone."""
import copy, inspect, io, itertools, json, logging, warnings
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np, onnxruntime, torch
from torch import nn

from course_utils.config import CourseError
from course_utils.data.decode import STANDALONE, read_picture
from course_utils.data.loader import to_input
from course_utils.data.pictures import Pictures
from course_utils.models import norm_of
from course_utils.show.words import abridged
from course_utils.training.run import DataFacts, Run

KINDS = ('pt', 'onnx', 'json')  # endings of the files that `export` writes
PREPARATION = 'RGB; shorter side to `size` (bicubic), centre square; / 255, − mean, / std; channels first'
TALKERS = ('torch.onnx', 'onnxscript', 'onnx_ir', 'torch.export')  # loggers


# ---- the file ----

def export(
    model: Run | nn.Module,
    pics: Pictures | None=None,  # those it was trained on: a run knows them and may leave them out, a bare network does not
    folder=None,                 # where to; a run may be followed by it at once
    name: str='model',           # of the files; where it is taken, one with a number is used
) -> dict:                       # files `pt`, `onnx`, `json`, and the largest difference in probability between the ONNX file and the model
    """Writes weights, ONNX model and its facts. The ONNX file takes pictures `(B, 3, size, size)`, any B, gives logits `(B, n_classes)`, and
    carries labels (in order), size, mean, std, the range of greys and the way to resize as JSON in its metadata: those of the
    pictures that the run was trained on. Raises `CourseError` where it cannot write, or where `pics` are others."""
    if isinstance(pics, str | Path): pics, folder, name = None, pics, folder or name  # export(run, folder, name)
    if folder is None: raise CourseError("export was not told where to: give it a folder, export(run, folder).")
    network = cpu_copy(getattr(model, 'model', model))
    data = data_of(model, network, pics)
    images = trial_images(data.size)
    folder = Path(folder)
    stem = free_stem(folder, name, KINDS)
    files = {kind: folder/f'{stem}.{kind}' for kind in KINDS}
    facts = export_facts(network, data)
    try:
        write_onnx(network, to_input(images, data.mean, data.std).contiguous(), facts, files['onnx'])
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
    )


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
                                    input_names=['pictures'], output_names=['logits'])
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


# ---- the plain code ----

def standalone() -> str:
    "Code that classifies pictures from an exported file, and needs NumPy, Pillow and ONNX Runtime alone: the course's own functions."
    functions = [inspect.getsource(function).rstrip() for function in (*STANDALONE, classify)]
    imports = 'import json, os, warnings\nimport numpy as np, onnxruntime\nfrom PIL import Image, ImageOps'
    return '\n\n'.join([imports, *functions])


def classify(
    onnx_file,  # written by `export`
    files,      # pictures
) -> tuple:     # labels; probabilities `(number of files, number of labels)`
    "Classifies pictures from the exported file alone."
    session = onnxruntime.InferenceSession(str(onnx_file), providers=['CPUExecutionProvider'])
    metadata = session.get_modelmeta().custom_metadata_map
    facts = {name: json.loads(value) for name, value in metadata.items()}
    mean = np.array(facts['mean'], np.float32)
    std = np.array(facts['std'], np.float32)
    logits = []
    for file in files:
        image, *_ = read_picture(file, facts['size'], facts.get('grey_range'))
        x = (image / np.float32(255) - mean) / std
        logits += session.run(None, {'pictures': x.transpose(2, 0, 1)[None]})
    logits = np.concatenate(logits)
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return facts['labels'], odds / odds.sum(1, keepdims=True)
