"""The weight gradient of depthwise convolutions on maps smaller than their window, on a processor.

oneDNN has no kernel of its own for it on AVX2 and rearranges each channel for a matrix product: measured with torch 2.15.0, 60 times the
forward pass for a 5×5 window on maps of 3 or 4 pixels, the last maps of EfficientNet-Lite0 at 96 and 128 px. Here it is a sum of
products for each place of the window, the same number up to rounding (findings/depthwise_small_maps.sh)."""
import torch
from torch import nn
from torch.nn import functional as F


class SmallMapConv(torch.autograd.Function):
    "A depthwise convolution without a bias, at dilation 1, with its weight gradient as a sum of products."

    @staticmethod
    def forward(ctx, maps, weight, stride, padding):
        ctx.save_for_backward(maps, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(maps, weight, None, stride, padding, groups=len(weight))

    @staticmethod
    def backward(ctx, output_gradient):
        maps, weight = ctx.saved_tensors
        map_gradient = weight_gradient = None
        if ctx.needs_input_grad[0]:
            map_gradient = torch.ops.aten.convolution_backward(
                output_gradient, maps, weight, None, ctx.stride, ctx.padding, [1, 1], False, [0, 0], len(weight), [True, False, False])[0]
        if ctx.needs_input_grad[1]:
            weight_gradient = depthwise_weight_gradient(maps, output_gradient, weight.shape, ctx.stride, ctx.padding)
        return map_gradient, weight_gradient, None, None


def depthwise_weight_gradient(
    maps: torch.Tensor,             # `(B, C, H, W)`, what went in
    output_gradient: torch.Tensor,  # `(B, C, H_out, W_out)`
    shape,                          # of the weight: `(C, 1, h, w)`
    stride,                         # two numbers, down and across
    padding,                        # two numbers
) -> torch.Tensor:                  # `(C, 1, h, w)`
    "For each place of the window: what it saw times what came back, summed over pictures and places. Where it saw the padding, nothing is added."
    gradient = maps.new_zeros(shape)
    for row in range(shape[2]):
        rows_in, rows_out = seen_at(row, maps.shape[2], output_gradient.shape[2], stride[0], padding[0])
        for column in range(shape[3]):
            columns_in, columns_out = seen_at(column, maps.shape[3], output_gradient.shape[3], stride[1], padding[1])
            products = maps[:, :, rows_in, columns_in] * output_gradient[:, :, rows_out, columns_out]
            gradient[:, 0, row, column] = products.sum((0, 2, 3))
    return gradient


def seen_at(
    place: int,  # in the window, along one axis
    n_in: int,   # pixels of the map along it
    n_out: int,  # pixels of the output
    stride: int,
    padding: int,
) -> tuple[slice, slice]:  # pixels of the map, and the outputs for which the window's place lay on them
    "Both are empty where it lay on the padding only."
    first = max(0, -((place - padding) // stride))
    last = min(n_out - 1, (n_in - 1 + padding - place) // stride)
    n_seen = max(0, last - first + 1)
    start = first * stride + place - padding
    return slice(start, start + n_seen * stride, stride), slice(first, first + n_seen)


class SmallMapConv2d(nn.Conv2d):
    "An `nn.Conv2d` that takes this road where gradients are kept and a map is smaller than the window."

    def _conv_forward(self, maps, weight, bias):
        is_small = min(maps.shape[-2:]) < max(self.kernel_size)
        learns = torch.is_grad_enabled() and weight.requires_grad
        if bias is not None or not (is_small and learns): return super()._conv_forward(maps, weight, bias)
        return SmallMapConv.apply(maps, weight, self.stride, self.padding)


def is_depthwise(layer: nn.Module) -> bool:
    "A plain convolution whose channels do not mix, as `SmallMapConv` takes it, with a window that oneDNN has no kernel for."
    if type(layer) is not nn.Conv2d or layer.bias is not None or isinstance(layer.padding, str): return False
    is_plain = layer.dilation == (1, 1) and layer.padding_mode == 'zeros'
    return is_plain and layer.groups == layer.in_channels == layer.out_channels > 1 and max(layer.kernel_size) > 3


def quicken_small_maps(
    model: nn.Module,  # on a processor
):
    "Its depthwise convolutions with a window above 3×3 become `SmallMapConv2d`, in place: the same weights, the same answers."
    for layer in model.modules():
        if is_depthwise(layer): layer.__class__ = SmallMapConv2d
