#!/usr/bin/env bash
# Question: In timm one architecture has several weights (tags). How often
#   do the tags of one architecture ask for different input, for instance
#   another mean?
# Guess, before the run: Nearly never for the mean (under 2 % of
#   architectures); it belongs to the architecture.
# Seen: 34 of the 313 architectures with two or more tags (11 %) mix means,
#   among them efficientnet_b0, mobilenetv3_large_100 (three different
#   means: 0, 0.485 and 0.5), tf_efficientnet_b0 and mobilenetv4_conv_small.
#   28 % mix crop_pct, 24 % the training size. 308 of 1826 tags should be
#   tested at another size than trained, but resolve_model_data_config gives
#   the training size unless use_test_size=True.
# Version: seen with timm 1.0.31 (the list of weights changes with each
#   release).
# What a course should do: Build the transform from the loaded model's own
#   configuration, never from the architecture's name or from ImageNet's
#   mean. Write the full tag into the course. Save the mean, std, size and
#   crop next to the exported ONNX file.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.15.0 \
    torchvision==0.29.2 \
    numpy==2.4.6 \
    pillow==13.0.0 \
    timm==1.0.31

cd "$work"
"$work/venv/bin/python" - <<'PY'
import warnings
warnings.filterwarnings("ignore")
from collections import defaultdict
import timm
from timm.data import resolve_data_config
from timm.models import get_pretrained_cfg

tags = defaultdict(dict)
for name in timm.list_models(pretrained=True):
    tags[name.split(".")[0]][name] = get_pretrained_cfg(name)
several = {a: t for a, t in tags.items() if len(t) > 1}
mixed = {f: {a for a, t in several.items() if len({str(getattr(c, f)) for c in t.values()}) > 1}
         for f in ("mean", "crop_pct", "interpolation", "input_size")}
every = [c for t in tags.values() for c in t.values()]
tested = sum(c.test_input_size is not None for c in every)
means = sorted({c.mean[0] for c in tags["mobilenetv3_large_100"].values()})
print("expected: under 2 % of architectures mix means")
print("seen: architectures with several tags", len(several), "mixing:", {f: len(a) for f, a in mixed.items()},
      "; own test size:", tested, "of", len(every), "tags; mobilenetv3_large_100 means", means)
assert len(several) == 313 and len(mixed["mean"]) == 34
assert {"efficientnet_b0", "tf_efficientnet_b0", "mobilenetv3_large_100", "mobilenetv4_conv_small"} <= mixed["mean"]
assert len(mixed["crop_pct"]) == 88 and len(mixed["input_size"]) == 76
assert (tested, len(every)) == (308, 1826) and means == [0.0, 0.485, 0.5]

cfg = tags["resnet50"]["resnet50.a1_in1k"].to_dict()
plain = resolve_data_config(pretrained_cfg=cfg)
test = resolve_data_config(pretrained_cfg=cfg, use_test_size=True)
print("resnet50.a1_in1k:", plain["input_size"], "with use_test_size:", test["input_size"])
assert plain["input_size"][1] == 224 and test["input_size"][1] == 288
PY
