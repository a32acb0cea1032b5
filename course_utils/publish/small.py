"""A smaller file of the same network: weights of 16 bits, or of 8."""
import tempfile
from pathlib import Path

import numpy as np, onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, quantize_static

from course_utils.techniques.answer import network_input
from course_utils.techniques.export import quiet

LEAST_NUMBERS = 1024  # a smaller tensor is not worth a node


def half_weights(
    onnx_file,
    target,
) -> Path:
    """Weights kept in 16 bits and widened to 32 when the file is opened: half the size, the same speed, and every runtime computes as it
    did before, which cannot be said of a network that also computes in 16 bits."""
    model = onnx.load(onnx_file)
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < LEAST_NUMBERS: continue
        name = tensor.name
        values = numpy_helper.to_array(tensor).astype(np.float16)
        if not np.isfinite(values).all(): continue  # beyond 65,504
        tensor.CopyFrom(numpy_helper.from_array(values, f'{name}_half'))
        casts.append(helper.make_node('Cast', [f'{name}_half'], [name], to=TensorProto.FLOAT))
    for cast in reversed(casts): model.graph.node.insert(0, cast)
    onnx.save(model, target)
    return Path(target)


# ---- 8 bits ----

class Batches(CalibrationDataReader):
    "Pictures for the quantizer, which asks how large the numbers in between become."
    def __init__(
        self,
        images,   # `(N, size, size, 3)` uint8, training pictures
        facts,    # of the file
        bs: int=16,
    ):
        parts = [network_input(images[i:i + bs], facts) for i in range(0, len(images), bs)]
        self.batches = iter([dict(pictures=part) for part in parts])

    def get_next(self): return next(self.batches, None)


def without_noted_shapes(onnx_file, target):
    "What torch's exporter notes of shapes inside stops the quantizer, which infers them itself and then finds two."
    model = onnx.load(onnx_file)
    del model.graph.value_info[:]
    onnx.save(model, target)


def quantized(
    onnx_file,
    target,
    images,                    # `(N, size, size, 3)` uint8: training pictures, a hundred or more
    facts: dict,               # of the file
    per_channel: bool=True,    # a scale for each channel's weights; False is the quantizer's default, and ruins depthwise convolutions
    reduce_range: bool=True,   # weights of 7 bits, so that sums do not overflow on processors without VNNI
    kinds=('Conv',),           # of nodes; None: all that the quantizer knows. The map and the detector stay as they are
) -> Path:
    "The file with weights and numbers in between of 8 bits (static quantization, QDQ)."
    target = Path(target)
    with tempfile.TemporaryDirectory() as work, quiet():
        plain = Path(work)/'plain.onnx'
        without_noted_shapes(onnx_file, plain)
        reader = Batches(images, facts)
        quantize_static(plain, target, reader, per_channel=per_channel, reduce_range=reduce_range, op_types_to_quantize=kinds and list(kinds))
    with_facts_of(onnx_file, target)
    return target


def with_facts_of(onnx_file, target):
    "The quantizer drops what the file says of itself."
    model, facts = onnx.load(target), onnx.load(onnx_file).metadata_props
    del model.metadata_props[:]
    model.metadata_props.extend(facts)
    onnx.save(model, target)
