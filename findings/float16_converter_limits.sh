#!/usr/bin/env bash
# Question: onnxconverter-common turns an ONNX model to float16. What
#   becomes of weights like 20000, 3e-8 and 1e-9? (BatchNorm keeps
#   variances, which can be large or tiny.)
# Guess, before the run: As in numpy: 20000 stays (float16 goes up to
#   65504), 3e-8 rounds to the smallest float16, 1e-9 becomes 0.
# Seen: 20000 becomes 10000, and every non-zero value under 1e-7 in size
#   becomes 1e-7 with its sign. The converter has its own limits, 1e-7 and
#   10000, inside the range of the type. It says so only in warnings. A
#   BatchNorm variance of 40000 so turns to 10000 and doubles the output.
# Version: seen with onnxconverter-common 1.16.0, onnx 1.23.2.
# What a course should do: Pass max_finite_val=65504 to the converter.
#   Before a conversion, list the initialisers outside 1e-7..10000. Compare
#   outputs of both models on real pictures, not only on random numbers.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    numpy==2.4.6 \
    onnx==1.23.2 \
    onnxconverter-common==1.16.0 \
    protobuf==7.36.2

cd "$work"
"$work/venv/bin/python" - <<'PY'
import warnings
import numpy as np
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnxconverter_common import float16

w = np.array([20000, 65000, 3e-8, 1e-9, -1e-9, 0], np.float32)
plain = w.astype(np.float16)
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    got = numpy_helper.to_array(float16.convert_tensor_float_to_float16(numpy_helper.from_array(w, "w")))
print("expected (numpy):", plain)
print("seen (converter):", got, "with", len(said), "warnings")
assert plain[0] == 20000 and plain[3] == 0
assert list(got[:2]) == [10000, 10000]
assert np.allclose(got[2:5].astype(float), [1e-7, 1e-7, -1e-7], rtol=0.3) and got[5] == 0

one = lambda v, n: numpy_helper.from_array(np.array([v], np.float32), n)
g = helper.make_graph(
    [helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"])], "g",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 1, 1])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 1, 1])],
    [one(1, "s"), one(0, "b"), one(0, "m"), one(40000, "v")])
model = helper.make_model(g, opset_imports=[helper.make_opsetid("", 15)])
x = np.full((1, 1, 1, 1), 200, np.float32)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    out = {k: float(ReferenceEvaluator(float16.convert_float_to_float16(model, keep_io_types=True, op_block_list=[], **a)).run(None, {"x": x})[0].item())
           for k, a in {"default": {}, "max 65504": {"max_finite_val": 65504}}.items()}
print("BatchNorm with variance 40000 on 200: expected 1, seen", out)
assert abs(out["default"] - 2) < 0.05 and abs(out["max 65504"] - 1) < 0.05
PY
