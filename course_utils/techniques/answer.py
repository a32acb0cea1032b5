"""What an exported file says of a picture: read here, in the app, and in a page. It needs NumPy, Pillow and ONNX Runtime alone.

`standalone()` writes these functions, and those that read a picture, into one file that needs nothing of the course."""
import inspect, json, os, warnings

import numpy as np, onnxruntime
from PIL import Image

from course_utils.data.decode import STANDALONE, read_picture

MAX_PIXELS = 50_000_000  # of a picture that somebody hands in
MAX_BYTES = 20_000_000
IMPORTS = 'import json, os, warnings\nimport numpy as np, onnxruntime\nfrom PIL import Image, ImageOps'


def open_model(
    onnx_file,  # written by `export`
) -> tuple:     # the session; its facts by name
    "Opens an exported file. One thread: a picture takes milliseconds, and several at once would wait for each other."
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(onnx_file), options, providers=['CPUExecutionProvider'])
    metadata = session.get_modelmeta().custom_metadata_map
    return session, {name: json.loads(value) for name, value in metadata.items()}


def network_input(
    images,  # `(B, size, size, 3)` uint8
    facts,   # of the file
):           # `(B, 3, size, size)` float32
    "As the file wants pictures."
    mean, std = np.array(facts['mean'], np.float32), np.array(facts['std'], np.float32)
    x = (images / np.float32(255) - mean) / std
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def calibrated(logits, facts):  # `(B, n_classes)` both
    "Probabilities, by the temperature that was fitted on held-out pictures."
    logits = logits / np.float32(facts.get('temperature', 1))
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return odds / odds.sum(1, keepdims=True)


def classify(
    onnx_file,  # written by `export`
    files,      # pictures
) -> tuple:     # labels; probabilities `(number of files, number of labels)`
    "Classifies pictures from the exported file alone."
    session, facts = open_model(onnx_file)
    logits = []
    for file in files:
        image, *_ = read_picture(file, facts['size'], facts.get('grey_range'))
        logits += session.run(['logits'], {'pictures': network_input(image[None], facts)})
    return facts['labels'], calibrated(np.concatenate(logits), facts)


def views_of(image, facts):  # `(size, size, 3)` → `(V, size, size, 3)`
    "The picture, then mirrored and turned in the ways that did the network no harm."
    turned = []
    for quarters, is_mirrored in facts.get('views', [[0, False]]):
        view = image[:, ::-1] if is_mirrored else image
        turned.append(np.rot90(view, quarters))
    return np.stack(turned)


def answer(
    session, facts,  # see `open_model`
    image,           # `(size, size, 3)` uint8
) -> dict:
    """All that the file says of a picture. `probs` `(n_classes,)`; `views`, the same for each view; `agree`, how many of these name
    the same class; `map` `(h, w)`, zero or more: where the evidence for that class lies, or None; `distance` and `is_unlike`: None
    where the file has no detector."""
    names = [output.name for output in session.get_outputs()]
    values = session.run(names, {'pictures': network_input(views_of(image, facts), facts)})
    outputs = dict(zip(names, values))
    views = calibrated(outputs['logits'], facts)
    named = int(views[0].argmax())
    evidence = outputs['maps'][0, named].clip(0) if 'maps' in outputs else None
    unlike = facts.get('unlike')
    distance = float(outputs['distance'][0]) if unlike else None
    return dict(
        probs=views[0],
        named=named,
        views=views,
        agree=int((views.argmax(1) == named).sum()),
        map=evidence,
        distance=distance,
        is_unlike=distance > unlike['threshold'] if unlike else None,
    )


def refused(
    path,  # of a file that somebody handed in
    max_bytes: int=MAX_BYTES,
    max_pixels: int=MAX_PIXELS,
) -> str:
    "Why a file is not read, in one sentence; empty where it may be. Only its head is looked at."
    n_bytes = os.path.getsize(path) if os.path.exists(path) else 0
    if n_bytes > max_bytes: return f'This file has {n_bytes / 1e6:.0f} MB, and at most {max_bytes / 1e6:.0f} are taken: make the picture smaller.'
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            with Image.open(path) as file: width, height = file.size
    except Image.DecompressionBombError: width = height = max_pixels
    except Exception: return 'This file is no picture that can be read here: take a JPEG, PNG, WebP, GIF or BMP.'
    if width * height <= max_pixels: return ''
    return f'This picture has {width * height / 1e6:.0f} million pixels, and at most {max_pixels / 1e6:.0f} million are taken: make it smaller.'


SHIPPED = (open_model, network_input, calibrated, classify)
SHIPPED_TO_ASK = (views_of, answer, refused)


def standalone(
    functions=(),  # more of them: `SHIPPED_TO_ASK`
) -> str:
    "Code that classifies pictures from an exported file, and needs NumPy, Pillow and ONNX Runtime alone: the course's own functions."
    sources = [inspect.getsource(function).rstrip() for function in (*STANDALONE, *SHIPPED, *functions)]
    limits = f'MAX_BYTES, MAX_PIXELS = {MAX_BYTES:_}, {MAX_PIXELS:_}'
    return '\n\n'.join([IMPORTS, limits, *sources] if functions else [IMPORTS, *sources])
