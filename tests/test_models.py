"Models: weights that come with pip, normalisation as each model wants it, and a clear word for the rest."
import time

import numpy as np, pytest, timm, torch

from course_utils import models
from course_utils.config import CourseError
from course_utils.data.sources import photo
from course_utils.models import PACKAGED, count, create_model, load_by_order, name_picture, norm_of, packaged_file, packaged_weights

CATS, CUPS = {'Egyptian cat', 'tiger cat', 'tabby'}, {'espresso', 'cup', 'coffee mug'}


@pytest.mark.parametrize('arch', PACKAGED)
def test_packaged_weights_name_cat_and_coffee(arch):
    model = create_model(arch)
    cat, cup = (name_picture(model, photo(n, 224), k=3) for n in ('chelsea', 'coffee'))
    assert cat[0][0] in CATS and sum(p for n, p in cat if n in CATS) > .7, cat
    assert cup[0][0] in CUPS and cup[0][1] > .8, cup


@pytest.mark.parametrize('arch', PACKAGED)
def test_wrong_normalisation_is_caught(arch):
    "The usual ImageNet values are wrong for these models. The configuration says so, and the two photographs show it."
    assert norm_of(create_model(arch, pretrained=False)) == ((.5,) * 3, (.5,) * 3)
    model, usual = create_model(arch), ((.485, .456, .406), (.229, .224, .225))
    sure = lambda norm: np.mean([name_picture(model, photo(n, 224), k=1, norm=norm)[0][1] for n in ('chelsea', 'coffee')])
    assert sure(None) > sure(usual)


@pytest.mark.parametrize('arch', PACKAGED)
def test_packaged_weights_arrive_one_to_one(arch):
    state = create_model(arch).state_dict()
    for new, old in zip(state.values(), packaged_weights(arch)): assert torch.equal(new, old)


@pytest.mark.fault
def test_order_and_shape_are_checked():
    model, tensors = create_model('tf_efficientnet_lite0', pretrained=False), list(packaged_weights('tf_efficientnet_lite0'))
    with pytest.raises(ValueError, match='295 tensors'): load_by_order(model, tensors[:-1])
    with pytest.raises(ValueError, match='is .* the tensor is'): load_by_order(model, tensors[::-1])


@pytest.mark.fault
def test_damaged_weights_are_refused(tmp_path):
    bad = tmp_path/'weights.pth'
    raw = bytearray(packaged_file('tf_efficientnet_lite0').read_bytes()); raw[1000] ^= 1; bad.write_bytes(raw)
    with pytest.raises(CourseError, match='reinstall'): packaged_weights('tf_efficientnet_lite0', bad)


@pytest.mark.fault
def test_missing_package(monkeypatch):
    monkeypatch.setitem(PACKAGED, 'tf_efficientnet_lite0', ('no_such_package', 'x.pth', ''))
    with pytest.raises(CourseError, match='no_such_package'): packaged_file('tf_efficientnet_lite0')


@pytest.mark.fault
def test_unknown_model():
    with pytest.raises(CourseError) as e: create_model('resnet81')
    assert 'resnet81' in str(e.value) and 'resnet18' in str(e.value) and '\n' not in str(e.value)


@pytest.mark.fault
def test_weights_that_cannot_be_had(monkeypatch):
    def refused(*a, **k): raise OSError('no route to host')
    monkeypatch.setattr(timm, 'create_model', refused)
    with pytest.raises(CourseError, match='could not be downloaded') as e: create_model('resnet18', pretrained=True)
    assert 'tf_efficientnet_lite0' in str(e.value)


@pytest.mark.fault
def test_without_a_network_the_hub_is_not_asked_for_long(monkeypatch):
    import huggingface_hub
    def no_name(*a, **k): raise OSError('Name or service not known')
    monkeypatch.setattr(huggingface_hub.constants, 'HF_HUB_OFFLINE', False)
    monkeypatch.setattr(models.socket, 'getaddrinfo', no_name)
    start = time.perf_counter()
    with pytest.raises(CourseError, match='could not be downloaded'): create_model('resnet18', pretrained=True)
    assert time.perf_counter() - start < 20  # the hub's own retries take 46 s


def test_any_timm_name_gets_a_head():
    for arch in ('resnet10t', 'regnetx_002', 'convnext_atto'):
        model = create_model(arch, 3, pretrained=False).eval()
        assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 3)


def test_count():
    model = create_model('resnet10t', 2, pretrained=False)
    n = sum(p.numel() for p in model.parameters())
    for p in model.get_classifier().parameters(): p.requires_grad_(False)
    assert count(model) == dict(parameters=n, trainable=n - 2 * 512 - 2)
