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
from course_utils.training.run import Run, probabilities

KINDS = ('pt', 'onnx', 'json')  # endings of the files that `export` writes
PREPARATION = 'RGB; shorter side to `size` (bicubic), centre square; / 255, − mean, / std; channels first'
TALKERS = ('torch.onnx', 'onnxscript', 'onnx_ir', 'torch.export')  # loggers


# ---- the file ----

def export(
    model: Run | nn.Module,
    pics: Pictures,         # those it was trained on: their classes and size
    folder,                 # where to
    name: str='model',      # of the files; where it is taken, one with a number is used
) -> dict:                  # files `pt`, `onnx`, `json`, and the largest difference in probability between the ONNX file and the model
    """Writes weights, ONNX model and its facts. The ONNX file takes pictures `(B, 3, size, size)`, any B, gives logits `(B, n_classes)`, and
    carries labels (in order), mean, std and size as JSON in its metadata. Raises `CourseError` where it cannot write."""
    folder = Path(folder)
    model = cpu_copy(getattr(model, 'model', model))
    stem = free_stem(folder, name, KINDS)
    files = {kind: folder/f'{stem}.{kind}' for kind in KINDS}
    facts = export_facts(model, pics)
    images = np.resize(np.asarray(pics.x[:3]), (3, pics.size, pics.size, 3))
    try:
        write_onnx(model, images, facts, files['onnx'])
        torch.save(model.state_dict(), files['pt'])
        files['json'].write_text(json.dumps(facts, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')
    except OSError as e:
        raise CourseError(f"The model could not be written into {folder} ({e.strerror or e}): allow it there, or name another folder.") from None
    return files | dict(difference=largest_difference(model, images, files['onnx']))


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


def export_facts(model: nn.Module, pics: Pictures) -> dict:
    "What somebody must know who uses the file."
    mean, std = norm_of(model)
    return dict(
        labels=list(pics.classes),
        size=pics.size,
        mean=list(mean),
        std=list(std),
        arch=model.pretrained_cfg.get('architecture', ''),
        prepare=PREPARATION,
    )


def write_onnx(
    model: nn.Module,
    images,           # `(3, size, size, 3)` uint8, with which the model is traced
    facts: dict,      # goes into the metadata, as JSON
    file: Path,
):
    "Writes the network as ONNX, for batches of any size."
    batch = to_input(images, *norm_of(model)).contiguous()
    any_batch = ({0: torch.export.Dim('batch')},)
    with quiet():
        program = torch.onnx.export(model, (batch,), dynamo=True, verbose=False, dynamic_shapes=any_batch,
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
    model: nn.Module,
    images,           # `(3, size, size, 3)` uint8
    file: Path,       # ONNX
) -> float:
    "Between the probabilities of the ONNX file and those of the model, for one picture and for three at once."
    session = onnxruntime.InferenceSession(str(file), providers=['CPUExecutionProvider'])
    batch = to_input(images, *norm_of(model)).contiguous().numpy()
    expected = probabilities(model, images)
    differences = []
    for n in (1, len(batch)):
        logits = session.run(None, {'pictures': batch[:n]})[0]
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
        image, *_ = read_picture(file, facts['size'])
        x = (image / np.float32(255) - mean) / std
        logits += session.run(None, {'pictures': x.transpose(2, 0, 1)[None]})
    logits = np.concatenate(logits)
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return facts['labels'], odds / odds.sum(1, keepdims=True)
