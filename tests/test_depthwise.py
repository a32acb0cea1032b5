"The weight gradient of depthwise convolutions with large windows: torch's own, up to rounding."
import copy, pickle

import pytest, torch
from hypothesis import given, settings, strategies as st
from torch import nn

from course_utils.data.pictures import load_pictures
from course_utils.models import create_model
from course_utils.training.depthwise import QuickDepthwiseConv2d, depthwise_weight_gradient, quicken_depthwise
from course_utils.training.learner import make_learner
from course_utils.training.recipe import Recipe

WINDOWS, SIDES = st.sampled_from([3, 5, 7]), st.integers(1, 17)


@settings(deadline=None, max_examples=60)
@given(window=WINDOWS, is_padded=st.booleans(), height=SIDES, width=SIDES, is_last=st.booleans())
def test_it_is_torch_s_gradient(window, is_padded, height, width, is_last):
    torch.manual_seed(0)
    if not is_padded: height, width = height + window - 1, width + window - 1
    padding = window // 2 if is_padded else 0
    conv = nn.Conv2d(6, 6, window, 1, padding, groups=6, bias=False).double()
    maps = torch.randn(4, 6, height, width, dtype=torch.double)
    if is_last: maps = maps.contiguous(memory_format=torch.channels_last)
    out = conv(maps)
    back = torch.randn_like(out)
    out.backward(back)
    ours = depthwise_weight_gradient(maps, back, conv.padding)
    assert torch.allclose(ours, conv.weight.grad, atol=1e-10)


@pytest.mark.parametrize('padding', [0, 2])
def test_gradcheck(padding):
    conv = nn.Conv2d(3, 3, 5, 1, padding, groups=3, bias=False).double()
    quicken_depthwise(conv)
    assert type(conv) is QuickDepthwiseConv2d
    maps = torch.randn(2, 3, 5, 6, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda maps, weight: conv._conv_forward(maps, weight, None), (maps, conv.weight))


def gradients(model: nn.Module, pictures: torch.Tensor) -> list:
    torch.manual_seed(0)  # drop-out
    model.train()(pictures).logsumexp(1).sum().backward()
    return [parameter.grad for parameter in model.parameters()]


def test_a_whole_network():
    "At 96 px the last maps of Lite0 have 3 pixels; a 5×5 window is larger."
    plain = create_model('tf_efficientnet_lite0', 2, pretrained=False)
    quick = copy.deepcopy(plain)
    quicken_depthwise(quick)
    n_quick = sum(isinstance(layer, QuickDepthwiseConv2d) for layer in quick.modules())
    assert n_quick == 7  # its 5×5 windows at stride 1; timm pads those at stride 2 with a class of its own
    pictures = torch.randn(4, 3, 96, 96)
    for ours, torchs in zip(gradients(quick, pictures), gradients(plain, pictures)):
        assert torch.allclose(ours, torchs, rtol=1e-3, atol=1e-4 * float(torchs.abs().max()) + 1e-7)


def test_answers_stay_bit_by_bit():
    plain = create_model('tf_efficientnet_lite0', 2, pretrained=False).eval()
    quick = copy.deepcopy(plain)
    quicken_depthwise(quick)
    pictures = torch.randn(2, 3, 96, 96)
    with torch.no_grad(): assert torch.equal(quick(pictures), plain(pictures))
    assert plain.state_dict().keys() == quick.state_dict().keys()
    with torch.no_grad(): assert torch.equal(pickle.loads(pickle.dumps(quick))(pictures), plain(pictures))


@pytest.mark.parametrize('conv', [
    nn.Conv2d(6, 6, 5, groups=6),
    nn.Conv2d(6, 6, 5, groups=3, bias=False),
    nn.Conv2d(6, 12, 5, groups=6, bias=False),
    nn.Conv2d(6, 6, 3, groups=6, bias=False),
    nn.Conv2d(6, 6, 5, padding='same', groups=6, bias=False),
    nn.Conv2d(6, 6, 5, 2, groups=6, bias=False),
    nn.Conv2d(6, 6, 5, dilation=2, groups=6, bias=False),
    nn.Conv2d(6, 6, 5, padding=2, padding_mode='reflect', groups=6, bias=False),
], ids=['bias', 'groups of two', 'two outputs a channel', 'window of 3', 'padding by name', 'stride', 'dilation', 'reflected'])
def test_other_convolutions_are_left_alone(conv):
    quicken_depthwise(conv)
    assert type(conv) is nn.Conv2d


def test_without_onednn_nothing_changes(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, 'is_available', lambda: False)
    conv = nn.Conv2d(6, 6, 5, groups=6, bias=False)
    quicken_depthwise(conv)
    assert type(conv) is nn.Conv2d


def test_a_learner_on_a_processor_has_it():
    learn = make_learner(load_pictures('solar', size=32, limit=64), Recipe('tf_efficientnet_lite0', 1), quiet=True, device='cpu')
    assert any(isinstance(layer, QuickDepthwiseConv2d) for layer in learn.model.modules())
