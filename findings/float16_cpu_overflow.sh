#!/usr/bin/env bash
# Question: A float16 ONNX model multiplies by 1000 and then by 0.001. The
#   middle value can pass 65504, the largest float16. What does ONNX Runtime
#   give on the CPU?
# Guess, before the run: Infinity, as the format says and as a graphics card
#   does. At the latest with all optimisations off.
# Seen: A finite, nearly right value (about 1000), with optimisations on and
#   off. Even when the middle value is made an output and shows infinity,
#   the end result stays finite. The CPU has no float16 kernels for these
#   steps, so the runtime computes in float32 between the two casts. The
#   reference evaluator of onnx gives infinity.
# Version: seen with onnxruntime 1.31.1 (x64), onnx 1.23.2.
# What a course should do: A float16 model that passes its test on the CPU
#   can still overflow in the browser or on a card. Check the range of the
#   middle values (make them outputs), or run the model once through
#   onnx.reference, before one ships float16.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    numpy==2.4.6 \
    onnx==1.23.2 \
    onnxruntime==1.31.1

cd "$work"
"$work/venv/bin/python" - <<'PY'
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

half = lambda v, n: numpy_helper.from_array(np.array([v], np.float16), n)
g = helper.make_graph(
    [helper.make_node("Mul", ["x", "w"], ["a"]), helper.make_node("Mul", ["a", "v"], ["y"])], "g",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT16, ["n"])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT16, ["n"])],
    [half(1000, "w"), half(0.001, "v")])
model = helper.make_model(g, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
x = np.array([1, 60, 1000], np.float16)
ref = ReferenceEvaluator(model).run(None, {"x": x})[0]
got = {}
for level in ("ORT_DISABLE_ALL", "ORT_ENABLE_ALL"):
    so = ort.SessionOptions()
    so.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    s = ort.InferenceSession(model.SerializeToString(), so, providers=["CPUExecutionProvider"])
    got[level] = s.run(None, {"x": x})[0]
print("expected: infinity for the last value, as in the reference:", ref)
print("seen:", got)
assert np.isinf(ref[2])
assert all(np.isfinite(v).all() and abs(float(v[2]) - 1000) < 2 for v in got.values())

# The middle value made an output shows what is really there.
g.output.append(helper.make_tensor_value_info("a", TensorProto.FLOAT16, ["n"]))
model = helper.make_model(g, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
s = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
y, a = s.run(None, {"x": x})
print("middle value as an output:", a, "and the result then:", y)
assert np.isinf(a[2])
PY
