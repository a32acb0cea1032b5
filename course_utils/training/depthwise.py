"""The weight gradient of depthwise convolutions with large windows, on a processor, as a depthwise convolution of its own.

oneDNN has a quick kernel for 3×3 windows. For larger ones it takes several times the forward pass: measured with torch 2.15.0, 4 to 6
times for a 5×5 window on maps of 8 to 48 pixels, 60 times on maps of 3 or 4 pixels with AVX2 (findings/depthwise_small_maps.sh). What is
written here gives the same numbers up to rounding."""
import torch
from torch import nn
from torch.nn import functional as F

SMALLEST_WINDOW = 5  # side from which on oneDNN is slow


class QuickDepthwise(torch.autograd.Function):
    "A depthwise convolution without a bias, at stride 1 and dilation 1, whose weight gradient is a convolution."

    @staticmethod
    def forward(ctx, maps, weight, padding):
        ctx.save_for_backward(maps, weight)
        ctx.padding = padding
        return F.conv2d(maps, weight, None, 1, padding, groups=len(weight))

    @staticmethod
    def backward(ctx, output_gradient):
        maps, weight = ctx.saved_tensors
        map_gradient = weight_gradient = None
        if ctx.needs_input_grad[0]:
            map_gradient = torch.ops.aten.convolution_backward(
                output_gradient, maps, weight, None, [1, 1], ctx.padding, [1, 1], False, [0, 0], len(weight), [True, False, False])[0]
        if ctx.needs_input_grad[1]: weight_gradient = depthwise_weight_gradient(maps, output_gradient, ctx.padding)
        return map_gradient, weight_gradient, None


def depthwise_weight_gradient(
    maps: torch.Tensor,             # `(B, C, H, W)`, what went in
    output_gradient: torch.Tensor,  # `(B, C, H_out, W_out)`
    padding,                        # two numbers, down and across
) -> torch.Tensor:                  # `(C, 1, h, w)`
    """In one channel of one picture a weight's gradient is what it saw times what came back, summed over places: the map,
    convolved with the output gradient as its window. So the channels of all pictures are those of one depthwise convolution."""
    n, channels, height, width = maps.shape
    planes = maps.reshape(1, n * channels, height, width)
    windows = output_gradient.reshape(n * channels, 1, *output_gradient.shape[2:])
    of_pictures = F.conv2d(planes, windows, None, 1, padding, groups=n * channels)
    return of_pictures.view(n, channels, 1, *of_pictures.shape[2:]).sum(0)


class QuickDepthwiseConv2d(nn.Conv2d):
    "An `nn.Conv2d` that takes this road where its weight learns."

    def _conv_forward(self, maps, weight, bias):
        learns = torch.is_grad_enabled() and weight.requires_grad
        if bias is not None or not learns: return super()._conv_forward(maps, weight, bias)
        return QuickDepthwise.apply(maps, weight, self.padding)


def is_slow_depthwise(layer: nn.Module) -> bool:
    "A plain convolution at stride 1 whose channels do not mix, with a window that oneDNN has no quick kernel for."
    if type(layer) is not nn.Conv2d or layer.bias is not None or isinstance(layer.padding, str): return False
    is_plain = layer.stride == layer.dilation == (1, 1) and layer.padding_mode == 'zeros'
    return is_plain and layer.groups == layer.in_channels == layer.out_channels > 1 and max(layer.kernel_size) >= SMALLEST_WINDOW


def quicken_depthwise(
    model: nn.Module,  # on a processor
):
    """Its depthwise convolutions with windows of 5×5 and more become `QuickDepthwiseConv2d`, in place: the same weights, the same answers.
    Without oneDNN nothing changes: there torch's own gradient is the quicker one, 11 ms against 18 (112 channels, 8 px)."""
    if not torch.backends.mkldnn.is_available(): return
    for layer in model.modules():
        if is_slow_depthwise(layer): layer.__class__ = QuickDepthwiseConv2d
