"""Exercises of lesson 07, Grad-CAM: texts, hints, solutions, wrong answers and checks. Whoever wants to solve them stops reading here."""
import numpy as np, torch
from torch import nn

from course_utils.classroom.compare import as_number, as_numbers
from course_utils.classroom.exercise import exercise, wrong
from course_utils.classroom.guesses import quantity

quantity(
    '07', 'on_mark', 'share of the evidence on the mark, for the network trained on marked pictures',
    widest=(0, 1), example=(.1, .4), shown='{:.1%}',
    expected=lambda r: [r['on_mark']['trained on marked pictures'][k] for k in ('mean', 'low', 'high')])


@exercise('07-1', 'What a blind map scores')
class WhatABlindMapScores:
    """
    A square mark has a side of one eighth of the picture's. A map that has not looked is equally high
    everywhere. Which share of its sum lies on the mark? Put it into `blind`. Then look at the lesson's
    numbers for the mark again.
    """
    answer = 'blind'
    hints = (
        'Draw a chequered picture, eight by eight. How many fields does the mark cover?',
        'One of 64.',
        '`1 / 64`',
    )

    def start():
        blind = None  # a number from 0 to 1

    def solution():
        blind = 1 / 64

    @wrong('the side alone')
    def side_only():
        blind = 1 / 8

    @wrong('has a score of')
    def one_quarter():
        blind = 1 / 4

    @wrong('from 0 to 1')
    def percent():
        blind = 1.5625

    def check(answer, rng):
        got = as_number(answer, 'The share')
        side = 8 * int(rng.integers(4, 20))
        mask = np.zeros((side, side), bool)
        mask[-side // 8:, -side // 8:] = True
        want = mask.mean()
        if not 0 <= got <= 1:
            return f'{got:g} is no share: that runs from 0 to 1, and 3 of 100 are 0.03.'
        if np.isclose(got, 1 / 8):
            return 'One eighth is the side alone: the mark is that high and that wide.'
        if not np.isclose(got, want, atol=2e-4):
            return f'On a picture of {side} by {side} the mark has {mask.sum()} of {mask.size} places, so a level map has a score of {want:.4f}, and you give {got:.4f}.'


@exercise('07-2', 'Energy in a mask')
class EnergyInAMask:
    """
    Write `inside(map, mask)`: two arrays `(H, W)`, a map of numbers from zero up, and `True` where the
    truth lies. The result is the share of the map's sum that lies inside. A map that is blank everywhere
    has 0.
    """
    answer = 'inside'
    hints = (
        'A sum inside, over a sum of all.',
        '`map[mask].sum()` is the sum inside. What if the whole sum is zero?',
        '`map[mask].sum() / map.sum() if map.sum() else 0.`',
    )

    def start():
        def inside(map, mask):
            ...

    def solution():
        def inside(map, mask):
            return map[mask].sum() / map.sum() if map.sum() else 0.

    @wrong('blank map')
    def blank_divided_by_zero():
        def inside(map, mask):
            return map[mask].sum() / map.sum()

    @wrong('times the mean')
    def ratio_of_means():
        def inside(map, mask):
            return map[mask].mean() / map.mean() if map.sum() else 0.

    @wrong('of all')
    def inner_over_outer():
        def inside(map, mask):
            return map[mask].sum() / map[~mask].sum() if map.sum() else 0.

    @wrong('should be')
    def share_of_places():
        def inside(map, mask):
            return mask.mean()

    def check(answer, rng):
        shape = tuple(int(v) for v in rng.integers(6, 20, 2))
        heat = rng.random(shape)
        mask = rng.random(shape) < .2
        mask[0, :2] = True, False
        got = as_number(answer(heat, mask), 'The energy')
        want = heat[mask].sum() / heat.sum()
        if np.isclose(got, heat[mask].mean() / heat.mean()):
            return f'{got:.3f} is how high the map is inside, as times the mean of all. Asked for is the share of the sum.'
        if np.isclose(got, heat[mask].sum() / heat[~mask].sum()):
            return f'{got:.3f} is the sum inside over the sum outside. Divide by the sum of all.'
        if not np.isclose(got, want):
            return f'For {mask.sum()} of {mask.size} places you give {got:.4f}, and it should be {want:.4f}.'
        blank = as_number(answer(np.zeros(shape), mask), 'The energy of a blank map')
        if blank != 0:
            return f'For a blank map you give {blank:g}, and it has no energy anywhere: 0.'


@exercise('07-3', 'Class activation map')
class ClassActivationMap:
    """
    Where a network ends in mean pooling and one linear layer, no gradient is needed. Write `my_cam(maps,
    weight, k)`: `maps` is the last layer's output, an array `(C, h, w)`; `weight` the linear layer's,
    `(classes, C)`. The result is the map of class `k`, `(h, w)`: all channels, each times its weight for
    that class, added up; what speaks against the class becomes 0.
    """
    answer = 'my_cam'
    hints = (
        'One weight for each channel: a row of `weight`.',
        '`weight[k]` has the shape (C,). With two more axes, `weight[k][:, None, None]`, it fits the '
        'maps. After the sum, cut off below zero.',
        '`np.maximum((weight[k][:, None, None] * maps).sum(0), 0)`',
    )

    def start():
        def my_cam(maps, weight, k):
            ...

    def setup():
        import numpy as np

    def solution():
        def my_cam(maps, weight, k):
            return np.maximum((weight[k][:, None, None] * maps).sum(0), 0)

    @wrong('against the class')
    def not_clipped():
        def my_cam(maps, weight, k):
            return (weight[k][:, None, None] * maps).sum(0)

    @wrong('before the sum')
    def clipped_too_early():
        def my_cam(maps, weight, k):
            return np.maximum(weight[k][:, None, None] * maps, 0).sum(0)

    @wrong('for every class')
    def no_weights():
        def my_cam(maps, weight, k):
            return np.maximum(maps, 0).sum(0)

    @wrong('shape')
    def not_added_up():
        def my_cam(maps, weight, k):
            return weight[k][:, None, None] * maps

    @wrong('should reach')
    def mean_of_channels():
        def my_cam(maps, weight, k):
            return np.maximum((weight[k][:, None, None] * maps).mean(0), 0)

    def check(answer, rng):
        c, classes, h, w = (int(v) for v in rng.integers(4, 9, 4))
        w += 3  # so that no two axes are mistaken for each other
        maps = rng.normal(size=(c, h, w))
        weight = rng.normal(size=(classes, c))
        k = int(rng.integers(classes))
        got = as_numbers(answer(maps, weight, k), (h, w), 'The map')
        want = np.einsum('c,chw->hw', weight[k], maps).clip(0)
        clipped_too_early = (weight[k][:, None, None] * maps).clip(0).sum(0)
        if got.min() < 0:
            return f'Your map goes down to {got.min():.2f}. What speaks against the class becomes 0.'
        if np.allclose(got, clipped_too_early):
            return 'You cut off below zero before the sum. A channel that speaks against the class may outweigh one that speaks for it: add first.'
        if np.allclose(got, maps.clip(0).sum(0)):
            return 'Your map is the same for every class: the weights of class k are not in it.'
        if not np.allclose(got, want):
            return f'Your map for class {k} reaches {got.max():.3f}, and should reach {want.max():.3f}.'


def tanh_body(width):
    return nn.Sequential(nn.Conv2d(3, width, 3, stride=2), nn.Tanh()).eval()


def softplus_head(width, classes):
    return nn.Sequential(
        nn.Conv2d(width, 6, 3, padding=1), nn.Softplus(),
        nn.Flatten(), nn.Linear(54, classes)).eval()


def maps_by_hand(body, head, x, k=None, pooled=True):
    "Grad-CAM for class `k`, or for all together where it is None; without `pooled` weighed place by place."
    maps = body(x).detach().requires_grad_()
    logits = head(maps)
    chosen = logits if k is None else logits[:, k]
    weights = torch.autograd.grad(chosen.sum(), maps)[0]
    if pooled: weights = weights.mean((2, 3), keepdim=True)
    return (weights * maps).sum(1).relu().detach().numpy()


@exercise('07-4', 'Grad-CAM in your own lines')
class GradCAMInYourOwnLines:
    """
    Write `grad_cam(body, head, x, k)`: `body(x)` gives maps `(B, C, h, w)`, `head(maps)` gives logits `(B,
    classes)`. The result, `(B, h, w)`: each channel of the maps, times the **mean over its places** of the
    gradient of class `k`'s logit; added up over the channels; zero where that is below. Both parts are
    in eval mode.
    """
    answer = 'grad_cam'
    hints = (
        'Three steps: the maps, as a tensor of its own that wants a gradient; the gradient of the logit '
        'of class k; the weighted sum.',
        '`maps = body(x).detach().requires_grad_()`, and then `torch.autograd.grad(head(maps)[:, '
        'k].sum(), maps)[0]`, which has the shape of the maps.',
        '`alpha = gradient.mean((2, 3), keepdim=True)`, and `(alpha * maps).sum(1).relu().detach()`.',
    )

    def start():
        def grad_cam(body, head, x, k):
            ...

    def setup():
        import torch

    def solution():
        def grad_cam(body, head, x, k):
            maps = body(x).detach().requires_grad_()
            gradient = torch.autograd.grad(head(maps)[:, k].sum(), maps)[0]
            alpha = gradient.mean((2, 3), keepdim=True)
            return (alpha * maps).sum(1).relu().detach()

    @wrong('Zero where')
    def not_clipped():
        def grad_cam(body, head, x, k):
            maps = body(x).detach().requires_grad_()
            gradient = torch.autograd.grad(head(maps)[:, k].sum(), maps)[0]
            return (gradient.mean((2, 3), keepdim=True) * maps).sum(1).detach()

    @wrong('place by place')
    def place_by_place():
        def grad_cam(body, head, x, k):
            maps = body(x).detach().requires_grad_()
            gradient = torch.autograd.grad(head(maps)[:, k].sum(), maps)[0]
            return (gradient * maps).sum(1).relu().detach()

    @wrong('all classes')
    def every_class():
        def grad_cam(body, head, x, k):
            maps = body(x).detach().requires_grad_()
            gradient = torch.autograd.grad(head(maps).sum(), maps)[0]
            return (gradient.mean((2, 3), keepdim=True) * maps).sum(1).relu().detach()

    @wrong('should reach')
    def no_gradient():
        def grad_cam(body, head, x, k):
            return body(x).sum(1).relu()

    def check(answer, rng):
        torch.manual_seed(int(rng.integers(1e6)))
        classes = int(rng.integers(3, 6))
        width = int(rng.integers(4, 8))
        b = int(rng.integers(2, 5))
        body = tanh_body(width)
        head = softplus_head(width, classes)
        x = torch.randn(b, 3, 8, 8)
        k = int(rng.integers(classes))
        got = as_numbers(answer(body, head, x, k), (b, 3, 3), 'The map')
        want = maps_by_hand(body, head, x, k)
        if got.min() < 0:
            return f'Your map goes down to {got.min():.3f}. Zero where it speaks against the class.'
        if np.allclose(got, maps_by_hand(body, head, x, k, pooled=False), atol=1e-5):
            return 'You weigh place by place. Grad-CAM takes the mean of the gradient over the places, one weight for each channel.'
        if np.allclose(got, maps_by_hand(body, head, x), atol=1e-5):
            return f'That is the gradient of all classes together. Take the logit of class {k} alone.'
        if not np.allclose(got, want, atol=1e-5):
            return f'For class {k} your map reaches {got.max():.4f}, and should reach {want.max():.4f}.'
