"Models: weights that come with pip, normalisation as each model wants it, and a clear word for the rest."
import time

import huggingface_hub, numpy as np, pytest, timm, torch

from course_utils import models
from course_utils.config import CourseError
from course_utils.data.sources import photo
from course_utils.models import PACKAGED, count, create_model, load_by_order, name_picture, norm_of, packaged_file, packaged_weights

LITE0 = 'tf_efficientnet_lite0'
CATS = {'Egyptian cat', 'tiger cat', 'tabby'}
CUPS = {'espresso', 'cup', 'coffee mug'}
IMAGENET_NORM = (.485, .456, .406), (.229, .224, .225)


@pytest.mark.parametrize('arch', PACKAGED)
def test_packaged_weights_name_cat_and_coffee(arch):
    model = create_model(arch)
    cat = name_picture(model, photo('chelsea', 224), k=3)
    assert cat[0][0] in CATS
    assert sum(p for name, p in cat if name in CATS) > .7, cat
    name, p = name_picture(model, photo('coffee', 224), k=3)[0]
    assert name in CUPS
    assert p > .8


def mean_confidence(model, norm):
    "Probability of the likeliest name, over the two photographs."
    names = [name_picture(model, photo(name, 224), k=1, norm=norm) for name in ('chelsea', 'coffee')]
    return np.mean([p for [(_, p)] in names])


@pytest.mark.parametrize('arch', PACKAGED)
def test_wrong_normalisation_is_caught(arch):
    "The usual ImageNet values are wrong for these models. The configuration says so, and the two photographs show it."
    assert norm_of(create_model(arch, pretrained=False)) == ((.5,) * 3, (.5,) * 3)
    model = create_model(arch)
    assert mean_confidence(model, None) > mean_confidence(model, IMAGENET_NORM)


@pytest.mark.parametrize('arch', [*PACKAGED, 'resnet10t', 'convnext_atto'])
def test_the_name_says_the_normalisation(arch):
    "No network is built for it."
    assert norm_of(arch) == norm_of(create_model(arch, pretrained=False))


@pytest.mark.parametrize('arch', PACKAGED)
def test_packaged_weights_arrive_one_to_one(arch):
    state = create_model(arch).state_dict()
    weights = packaged_weights(arch)
    assert len(state) == len(weights)
    assert all(torch.equal(new, old) for new, old in zip(state.values(), weights))


@pytest.mark.fault
def test_order_and_shape_are_checked():
    model = create_model(LITE0, pretrained=False)
    tensors = list(packaged_weights(LITE0))
    with pytest.raises(ValueError, match='295 tensors'): load_by_order(model, tensors[:-1])
    with pytest.raises(ValueError, match='is .* the tensor is'): load_by_order(model, tensors[::-1])


@pytest.mark.fault
def test_damaged_weights_are_refused(tmp_path):
    content = bytearray(packaged_file(LITE0).read_bytes())
    content[1000] ^= 1
    damaged = tmp_path/'weights.pth'
    damaged.write_bytes(content)
    with pytest.raises(CourseError, match='reinstall'): packaged_weights(LITE0, damaged)


@pytest.mark.fault
def test_missing_package(monkeypatch):
    monkeypatch.setitem(PACKAGED, LITE0, ('no_such_package', 'x.pth', ''))
    with pytest.raises(CourseError, match='no_such_package'): packaged_file(LITE0)


@pytest.mark.fault
def test_unknown_model():
    with pytest.raises(CourseError) as e: create_model('resnet81')
    message = str(e.value)
    assert 'resnet81' in message
    assert 'resnet18' in message
    assert '\n' not in message


def refuse(*_, **__): raise OSError('no route to host')


@pytest.mark.fault
def test_weights_that_cannot_be_had(monkeypatch):
    monkeypatch.setattr(timm, 'create_model', refuse)
    with pytest.raises(CourseError, match='could not be downloaded') as e: create_model('resnet18', pretrained=True)
    assert LITE0 in str(e.value)


@pytest.mark.fault
def test_without_a_network_the_hub_is_not_asked_for_long(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, 'HF_HUB_OFFLINE', False)
    monkeypatch.setattr(models.socket, 'getaddrinfo', refuse)
    start = time.perf_counter()
    with pytest.raises(CourseError, match='could not be downloaded'): create_model('resnet18', pretrained=True)
    assert time.perf_counter() - start < 20  # the hub's own retries take 46 s


@pytest.mark.parametrize('arch', ['resnet10t', 'regnetx_002', 'convnext_atto'])
def test_any_timm_name_gets_a_head(arch):
    model = create_model(arch, 3, pretrained=False).eval()
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 3)


def test_count():
    model = create_model('resnet10t', 2, pretrained=False)
    n = sum(p.numel() for p in model.parameters())
    for p in model.get_classifier().parameters(): p.requires_grad_(False)
    assert count(model) == dict(parameters=n, trainable=n - 2 * 512 - 2)
