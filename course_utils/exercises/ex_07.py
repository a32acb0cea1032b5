"""Grad-CAM: texts, checks, hints and solutions. Whoever wants to solve them stops reading here."""


from course_utils.classroom.checker import exercise, number, numbers
from course_utils.classroom.guesses import quantity

import numpy as np, torch
from torch import nn

quantity('07', 'on_mark', 'share of the evidence on the mark, for the network trained on marked pictures', widest=(0, 1), example=(.1, .4), shown='{:.1%}',
         expected=lambda r: [r['on_mark']['trained on marked pictures'][k] for k in ('mean', 'low', 'high')])

@exercise('07-1', 'What a blind map scores', '''
    A square mark has a side of one eighth of the picture's. A map that has not looked is equally high everywhere. Which share of its sum lies on the mark? Put it into `blind`. Then look at the lesson's numbers for the mark again.''',
    start='''
    blind = None  # a number from 0 to 1''',
    answer='blind',
    hints=['Draw a chequered picture, eight by eight. How many fields does the mark cover?',
           'One of 64.',
           '`1 / 64`'],
    solution='blind = 1 / 64',
    wrong={'blind = 1 / 8': 'the side alone',
           'blind = 1 / 4': 'has a score of',
           'blind = 1.5625': 'from 0 to 1'})
def check_07_1(answer, rng):
    got, side = number(answer, 'The share'), 8 * int(rng.integers(4, 20))
    mask = np.zeros((side, side), bool); mask[-side // 8:, -side // 8:] = True
    want = mask.mean()
    if not 0 <= got <= 1: return f'{got:g} is no share: that runs from 0 to 1, and 3 of 100 are 0.03.'
    if np.isclose(got, 1 / 8): return 'One eighth is the side alone: the mark is that high and that wide.'
    if not np.isclose(got, want, atol=2e-4): return f'On a picture of {side} by {side} the mark has {mask.sum()} of {mask.size} places, so a level map has a score of {want:.4f}, and you give {got:.4f}.'

@exercise('07-2', 'Energy in a mask', '''
    Write `inside(map, mask)`: two arrays `(H, W)`, a map of numbers from nought up, and `True` where the truth lies. The result is the share of the map's sum that lies inside. A map that is blank everywhere has 0.''',
    start='''
    def inside(map, mask):
        ...''',
    answer='inside',
    hints=['A sum inside, over a sum of all.',
           '`map[mask].sum()` is the sum inside. What if the whole sum is nought?',
           '`map[mask].sum() / map.sum() if map.sum() else 0.`'],
    solution='''
    def inside(map, mask):
        return map[mask].sum() / map.sum() if map.sum() else 0.''',
    wrong={'''
    def inside(map, mask):
        return map[mask].sum() / map.sum()''': 'blank map',
           '''
    def inside(map, mask):
        return map[mask].mean() / map.mean() if map.sum() else 0.''': 'times the mean',
           '''
    def inside(map, mask):
        return map[mask].sum() / map[~mask].sum() if map.sum() else 0.''': 'of all',
           '''
    def inside(map, mask):
        return mask.mean()''': 'should be'})
def check_07_2(answer, rng):
    shape = tuple(int(v) for v in rng.integers(6, 20, 2))
    m, mask = rng.random(shape), rng.random(shape) < .2
    mask[0, :2] = True, False
    got, want = number(answer(m, mask), 'The energy'), m[mask].sum() / m.sum()
    if np.isclose(got, m[mask].mean() / m.mean()): return f'{got:.3f} is how high the map is inside, as times the mean of all. Asked for is the share of the sum.'
    if np.isclose(got, m[mask].sum() / m[~mask].sum()): return f'{got:.3f} is the sum inside over the sum outside. Divide by the sum of all.'
    if not np.isclose(got, want): return f'For {mask.sum()} of {mask.size} places you give {got:.4f}, and it should be {want:.4f}.'
    blank = number(answer(np.zeros(shape), mask), 'The energy of a blank map')
    if blank != 0: return f'For a blank map you give {blank:g}, and it has no energy anywhere: 0.'

@exercise('07-3', 'Class activation map', '''
    Where a network ends in mean pooling and one linear layer, no gradient is needed. Write `my_cam(maps, weight, k)`: `maps` is the last layer's output, an array `(C, h, w)`; `weight` the linear layer's, `(classes, C)`. The result is the map of class `k`, `(h, w)`: all channels, each times its weight for that class, added up; what speaks against the class becomes 0.''',
    start='''
    def my_cam(maps, weight, k):
        ...''',
    answer='my_cam',
    hints=['One weight for each channel: a row of `weight`.',
           '`weight[k]` has the shape (C,). With two more axes, `weight[k][:, None, None]`, it fits the maps. After the sum, cut off below nought.',
           '`np.maximum((weight[k][:, None, None] * maps).sum(0), 0)`'],
    before='import numpy as np',
    solution='''
    def my_cam(maps, weight, k):
        return np.maximum((weight[k][:, None, None] * maps).sum(0), 0)''',
    wrong={'''
    def my_cam(maps, weight, k):
        return (weight[k][:, None, None] * maps).sum(0)''': 'against the class',
           '''
    def my_cam(maps, weight, k):
        return np.maximum(weight[k][:, None, None] * maps, 0).sum(0)''': 'before the sum',
           '''
    def my_cam(maps, weight, k):
        return np.maximum(maps, 0).sum(0)''': 'for every class',
           '''
    def my_cam(maps, weight, k):
        return weight[k][:, None, None] * maps''': 'shape',
           '''
    def my_cam(maps, weight, k):
        return np.maximum((weight[k][:, None, None] * maps).mean(0), 0)''': 'should reach'})
def check_07_3(answer, rng):
    c, classes, h, w = (int(v) for v in rng.integers(4, 9, 4))
    maps, weight, k = rng.normal(size=(c, h, w + 3)), rng.normal(size=(classes, c)), int(rng.integers(classes))
    got, plain = numbers(answer(maps, weight, k), (h, w + 3), 'The map'), np.einsum('c,chw->hw', weight[k], maps)
    want = plain.clip(0)
    if got.min() < 0: return f'Your map goes down to {got.min():.2f}. What speaks against the class becomes 0.'
    if np.allclose(got, (weight[k][:, None, None] * maps).clip(0).sum(0)): return 'You cut off below nought before the sum. A channel that speaks against the class may outweigh one that speaks for it: add first.'
    if np.allclose(got, maps.clip(0).sum(0)): return 'Your map is the same for every class: the weights of class k are not in it.'
    if not np.allclose(got, want): return f'Your map for class {k} reaches {got.max():.3f}, and should reach {want.max():.3f}.'

@exercise('07-4', 'Grad-CAM in your own lines', '''
    Write `grad_cam(body, head, x, k)`: `body(x)` gives maps `(B, C, h, w)`, `head(maps)` gives logits `(B, classes)`. The result, `(B, h, w)`: each channel of the maps, times the **mean over its places** of the gradient of class `k`'s logit; added up over the channels; nought where that is below. Both parts are in eval mode.''',
    start='''
    def grad_cam(body, head, x, k):
        ...''',
    answer='grad_cam',
    hints=['Three steps: the maps, as a tensor of its own that wants a gradient; the gradient of the logit of class k; the weighted sum.',
           '`maps = body(x).detach().requires_grad_()`, and then `torch.autograd.grad(head(maps)[:, k].sum(), maps)[0]`, which has the shape of the maps.',
           '`alpha = gradient.mean((2, 3), keepdim=True)`, and `(alpha * maps).sum(1).relu().detach()`.'],
    before='import torch',
    solution='''
    def grad_cam(body, head, x, k):
        maps = body(x).detach().requires_grad_()
        gradient = torch.autograd.grad(head(maps)[:, k].sum(), maps)[0]
        alpha = gradient.mean((2, 3), keepdim=True)
        return (alpha * maps).sum(1).relu().detach()''',
    wrong={'''
    def grad_cam(body, head, x, k):
        maps = body(x).detach().requires_grad_()
        gradient = torch.autograd.grad(head(maps)[:, k].sum(), maps)[0]
        return (gradient.mean((2, 3), keepdim=True) * maps).sum(1).detach()''': 'Nought where',
           '''
    def grad_cam(body, head, x, k):
        maps = body(x).detach().requires_grad_()
        gradient = torch.autograd.grad(head(maps)[:, k].sum(), maps)[0]
        return (gradient * maps).sum(1).relu().detach()''': 'place by place',
           '''
    def grad_cam(body, head, x, k):
        maps = body(x).detach().requires_grad_()
        gradient = torch.autograd.grad(head(maps).sum(), maps)[0]
        return (gradient.mean((2, 3), keepdim=True) * maps).sum(1).relu().detach()''': 'all classes',
           '''
    def grad_cam(body, head, x, k):
        return body(x).sum(1).relu()''': 'should reach'})
def check_07_4(answer, rng):
    torch.manual_seed(int(rng.integers(1e6)))
    classes, width, b = int(rng.integers(3, 6)), int(rng.integers(4, 8)), int(rng.integers(2, 5))
    body = nn.Sequential(nn.Conv2d(3, width, 3, stride=2), nn.Tanh()).eval()
    head = nn.Sequential(nn.Conv2d(width, 6, 3, padding=1), nn.Softplus(), nn.Flatten(), nn.Linear(54, classes)).eval()
    x, k = torch.randn(b, 3, 8, 8), int(rng.integers(classes))
    def by(pooled, every=False):
        maps = body(x).detach().requires_grad_()
        g = torch.autograd.grad(head(maps).sum() if every else head(maps)[:, k].sum(), maps)[0]
        return ((g.mean((2, 3), keepdim=True) if pooled else g) * maps).sum(1).relu().detach().numpy()
    got, want = numbers(answer(body, head, x, k), (b, 3, 3), 'The map'), by(True)
    if got.min() < 0: return f'Your map goes down to {got.min():.3f}. Nought where it speaks against the class.'
    if np.allclose(got, by(False), atol=1e-5): return 'You weigh place by place. Grad-CAM takes the mean of the gradient over the places, one weight for each channel.'
    if np.allclose(got, by(True, True), atol=1e-5): return f'That is the gradient of all classes together. Take the logit of class {k} alone.'
    if not np.allclose(got, want, atol=1e-5): return f'For class {k} your map reaches {got.max():.4f}, and should reach {want.max():.4f}.'
