#!/usr/bin/env bash
# Question: In a training loop one looks at a Grad-CAM map now and then,
#   between backward() and step(), as with TensorBoard pictures, with
#   pytorch-grad-cam in its `with` block. Does the training go on as it
#   would have?
# Guess, before the run: Yes. The block closes the hooks, and a picture of
#   the network should not change it.
# Seen: No. The network is in eval mode for the rest of the epoch: BatchNorm
#   no longer learns its statistics, dropout is off. And the gradients of
#   the loss are gone: those of the last map's class score lie in their
#   place, so the next step() climbs down from that score. Leaving the block
#   puts neither back. (captum's LayerGradCam leaves both as they are.)
# Version: seen with grad-cam 1.5.7, captum 0.8.0, torch 2.15.0.
# What a course should do: Draw maps after step(), then call net.train() and
#   set the layers that were kept still to eval() again; or use a Grad-CAM
#   that asks torch.autograd.grad for the map's gradient alone.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.15.0 \
    torchvision==0.29.2 \
    captum==0.8.0 \
    grad-cam==1.5.7

cd "$work"
"$work/venv/bin/python" - <<'PY'
import torch
from captum.attr import LayerGradCam
from pytorch_grad_cam import GradCAM
from torch import nn
from torchvision.models import resnet18

torch.set_num_threads(1)
x = torch.randn(8, 3, 64, 64)
y = torch.randint(0, 2, (8,))

def looked_at(look):
    "Gradients of the loss, those after a look, and whether the network still trains."
    torch.manual_seed(0)
    net = resnet18(num_classes=2).train()
    nn.functional.cross_entropy(net(x), y).backward()
    before = {name: p.grad.clone() for name, p in net.named_parameters()}
    look(net)
    after = {name: p.grad for name, p in net.named_parameters()}
    same = all(after[name] is not None and torch.equal(after[name], g) for name, g in before.items())
    cosine = torch.cosine_similarity(before["fc.weight"].flatten(), after["fc.weight"].flatten(), dim=0)
    return same, float(cosine), net.training

def by_grad_cam(net):
    with GradCAM(model=net, target_layers=[net.layer4]) as cam: cam(input_tensor=x, targets=None)

def by_captum(net): LayerGradCam(net, net.layer4).attribute(x, target=y)

print("expected: gradients the same, and in training mode")
seen = {}
for name, look in {"grad-cam": by_grad_cam, "captum": by_captum}.items():
    seen[name] = looked_at(look)
    same, cosine, training = seen[name]
    print(f"seen: {name}: gradients the same: {same} (cosine of the last layer's {cosine:.2f}), in training mode: {training}")
assert seen["grad-cam"][0] is False and seen["grad-cam"][2] is False and seen["grad-cam"][1] < .9
assert seen["captum"][0] is True and seen["captum"][2] is True
PY
