"""Look for trouble in a folder of pictures before you train, get a recipe that fits, and take the model away as one file that needs no course."""
import contextlib, copy, inspect, io, itertools, json, logging, warnings
from pathlib import Path

import numpy as np, onnxruntime, torch

from course_utils.config import CourseError
from course_utils.data.decode import STANDALONE, read_picture
from course_utils.data.pictures import Pictures
from course_utils.models import norm_of


def free_stem(folder: Path, name: str, kinds) -> str:
    "`name`, or where a file of that name and one of `kinds` is there already, the same with a number."
    names = (name if n == 1 else f'{name}-{n}' for n in itertools.count(1))
    return next(stem for stem in names if not any((folder/f'{stem}.{k}').exists() for k in kinds))


def standalone() -> str:
    "Code that classifies pictures from an exported file, and needs NumPy, Pillow and ONNX Runtime alone: the course's own functions."
    code = '\n\n'.join(inspect.getsource(f).rstrip() for f in (*STANDALONE, classify))
    return f'import json, os, warnings\nimport numpy as np, onnxruntime\nfrom PIL import Image, ImageOps\n\n{code}'


def classify(
    onnx_file,  # written by `export`
    files,      # pictures
) -> tuple:     # labels; probabilities `(number of files, number of labels)`
    "Classifies pictures from the exported file alone."
    session = onnxruntime.InferenceSession(str(onnx_file), providers=['CPUExecutionProvider'])
    facts = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
    mean, std = (np.array(facts[k], np.float32) for k in ('mean', 'std'))
    logits = []
    for file in files:
        x = (read_picture(file, facts['size'])[0] / np.float32(255) - mean) / std
        logits += session.run(None, {'pictures': x.transpose(2, 0, 1)[None]})
    e = np.concatenate(logits)
    e = np.exp(e - e.max(1, keepdims=True))
    return facts['labels'], e / e.sum(1, keepdims=True)


def for_model(model, x) -> torch.Tensor:  # `(N, 3, H, W)` float32
    "Pictures `(N, H, W, 3)` uint8 as the model wants them."
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in norm_of(model))
    return (torch.tensor(np.asarray(x)).permute(0, 3, 1, 2) / 255 - mean) / std


def on_cpu(model): return copy.deepcopy(model).cpu().float().eval().to(memory_format=torch.contiguous_format)


def probabilities(model, x) -> np.ndarray:  # `(N, n_classes)`
    "What a model says to pictures `(N, H, W, 3)` uint8, on the CPU in float32. The model stays as it is."
    model = on_cpu(model)
    with torch.inference_mode(): return torch.cat([model(for_model(model, p)).softmax(1) for p in np.array_split(x, -(-len(x) // 64))]).numpy()


@contextlib.contextmanager
def quiet():
    "Exporting talks much: only what goes wrong is let through, as an exception."
    loggers = [logging.getLogger(n) for n in ('torch.onnx', 'onnxscript', 'onnx_ir', 'torch.export')]
    levels = [l.level for l in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter('ignore')
        for l in loggers: l.setLevel(logging.CRITICAL)
        try: yield
        finally:
            for l, level in zip(loggers, levels): l.setLevel(level)


def export(
    model,             # a `Run`, or a model
    pics: Pictures,    # those it was trained on: their classes and size
    folder,            # where to
    name: str='model', # of the files; where it is taken, one with a number is used
) -> dict:             # files `pt`, `onnx`, `json`, and the largest difference in probability between the ONNX file and the model
    """Writes weights, ONNX model and its facts. The ONNX file takes pictures `(B, 3, size, size)`, any B, gives logits `(B, n_classes)`, and
    carries labels (in order), mean, std and size as JSON in its metadata. Raises `CourseError` where it cannot write."""
    model, folder, kinds = on_cpu(getattr(model, 'model', model)), Path(folder), ('pt', 'onnx', 'json')
    stem, (mean, std) = free_stem(folder, name, kinds), norm_of(model)
    files = {k: folder/f'{stem}.{k}' for k in kinds}
    facts = dict(labels=list(pics.classes), size=pics.size, mean=list(mean), std=list(std), arch=model.pretrained_cfg.get('architecture', ''),
                 prepare='RGB; shorter side to `size` (bicubic), centre square; / 255, − mean, / std; channels first')
    x = np.resize(np.asarray(pics.x[:3]), (3, pics.size, pics.size, 3))
    batch = for_model(model, x)
    try:
        with quiet():
            program = torch.onnx.export(model, (batch,), dynamo=True, verbose=False, input_names=['pictures'], output_names=['logits'],
                                        dynamic_shapes=({0: torch.export.Dim('batch')},))
            program.model.metadata_props.update({k: json.dumps(v, ensure_ascii=False) for k, v in facts.items()})
            program.save(str(files['onnx']), external_data=False)
        torch.save(model.state_dict(), files['pt'])
        files['json'].write_text(json.dumps(facts, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')
    except OSError as e: raise CourseError(f"The model could not be written into {folder} ({e.strerror or e}): allow it there, or name another folder.") from None
    session, expected = onnxruntime.InferenceSession(str(files['onnx']), providers=['CPUExecutionProvider']), probabilities(model, x)
    said = lambda n: torch.tensor(session.run(None, {'pictures': batch[:n].numpy()})[0]).softmax(1).numpy()
    return files | dict(difference=max(float(np.abs(said(n) - expected[:n]).max()) for n in (1, 3)))
