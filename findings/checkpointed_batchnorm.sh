#!/usr/bin/env bash
# Question: Gradient checkpointing saves memory: what lies between the
#   checkpoints is computed once more in the backward pass. In timm it is
#   model.set_grad_checkpointing(). After one training step, are the gradients
#   and the running statistics of BatchNorm those of a step without it?
# Guess, before the run: The same gradients, and the same statistics: the
#   second pass repeats the first.
# Seen: The gradients are the same. But each BatchNorm between the
#   checkpoints counts two batches for each step, and its statistics move
#   twice: with momentum 0.1 they take 0.19 of a batch, as if the momentum
#   were 0.19. Those outside (the first and the last of an EfficientNet) move
#   once. So the weights that are trained are the same, and what the network
#   answers in eval mode is not: after ten steps from scratch, the statistics
#   still on their way, some pictures change their class. In long runs both
#   arrive; what stays is the noise of a shorter memory.
# Version: seen with torch 2.15.0, timm 1.0.31.
# What a course should do: Keep BatchNorm still where one fine-tunes with
#   checkpoints, or give the inner layers the momentum 1 - sqrt(1 - m), and
#   never compare validation figures of runs with and without checkpoints as
#   if only the memory had changed.
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
import timm, torch
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(0)
pictures = torch.randn(10, 16, 3, 64, 64) + torch.linspace(-1, 1, 10)[:, None, None, None, None]
labels = torch.randint(0, 2, (10, 16))

def trained(checkpoints, steps):
    "A network after so many steps, and the gradients of the first."
    torch.manual_seed(0)
    net = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=2).train()
    net.set_grad_checkpointing(checkpoints)
    optimizer = torch.optim.SGD(net.parameters(), lr=.01)
    for step in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(pictures[step]), labels[step]).backward()
        if step == 0: first = [p.grad.clone() for p in net.parameters()]
        optimizer.step()
    return net, first

def norms(net): return [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]

plain, gradients = trained(False, 1)
saved, again = trained(True, 1)
print("expected: one batch counted for each step, running statistics alike")
counts = [int(layer.num_batches_tracked) for layer in norms(saved)]
print("seen: batches counted, first, inner (all alike), last:", counts[0], sorted(set(counts[1:-1])), counts[-1])
apart = max(float((a - b).abs().max()) for a, b in zip(gradients, again))
largest = max(float(a.abs().max()) for a in gradients)
print(f"seen: gradients at most {apart:.1e} apart, the largest is {largest:.2f}")
moved = [float((layer.running_mean.abs().sum())) for layer in (norms(plain)[1], norms(saved)[1])]
print(f"seen: running mean of an inner layer after one step, with over without checkpoints: {moved[1] / moved[0]:.3f}")

plain, saved = (trained(checkpoints, 10)[0].eval() for checkpoints in (False, True))
weights = max(float((a - b).detach().abs().max()) for a, b in zip(plain.parameters(), saved.parameters()))
with torch.no_grad(): answers = [net(pictures[-1]).softmax(1) for net in (plain, saved)]
difference = float((answers[0] - answers[1]).abs().max())
print(f"seen: after ten steps weights at most {weights:.1e} apart, probabilities in eval mode {difference:.3f}")

assert {int(layer.num_batches_tracked) for layer in norms(trained(False, 1)[0])} == {1}
assert counts[0] == counts[-1] == 1 and set(counts[1:-1]) == {2}
assert apart < 1e-3 * largest
assert abs(moved[1] / moved[0] - 1.9) < .001
assert weights < 1e-3 and difference > .01
PY
