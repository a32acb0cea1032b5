"Models: weights that come with pip, normalisation as each model wants it, and a clear word for the rest."
import time

import huggingface_hub, numpy as np, pytest, timm, torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_utils import models
from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.data.sources import photo
from course_utils.models import PACKAGED, count, create_model, forward_in_parts, load_by_order, name_picture, norm_of, packaged_file, packaged_weights
from course_utils.techniques.layer_groups import per_stage, three_groups
from course_utils.training.learner import build_model, make_learner
from course_utils.training.recipe import Recipe, body_and_head
from course_utils.training.train import train

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


# ---- does it take these pictures? ----

def built(arch, size=64, **options): return build_model(Recipe(arch, 1, **options), 2, size)


def refusal(arch, size=64, **options):
    with pytest.raises(CourseError) as e: built(arch, size, **options)
    message = str(e.value)
    assert '\n' not in message
    assert message.endswith('.')
    return message


MADE_FOR_ONE_SIZE = ['vit_tiny_patch16_224', 'swin_tiny_patch4_window7_224', 'mixer_s16_224', 'levit_128s', 'deit_tiny_distilled_patch16_224', 'pit_ti_distilled_224']


@pytest.mark.parametrize('arch', MADE_FOR_ONE_SIZE)
def test_networks_of_one_size_are_made_for_the_pictures(arch):
    model = built(arch, 64)
    assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 2)


def test_a_size_of_ones_own_stays():
    "It was asked for, and fits or does not."
    assert 'load them with size=96' in refusal('vit_tiny_patch16_224', 64, model=dict(img_size=96))


@pytest.mark.parametrize('arch, size, taken', [('inception_v3', 64, 96), ('efficientformer_l1', 64, 224), ('halonet26t', 128, 256)])
@pytest.mark.fault
def test_a_size_that_a_network_cannot_take(arch, size, taken):
    assert refusal(arch, size) == f'{arch} cannot take pictures of {size}×{size} pixels: load them with size={taken}, or choose another network.'


@pytest.mark.fault
def test_no_size_helps():
    message = refusal('resnet10t', model=dict(in_chans=1))
    assert message.startswith('resnet10t cannot be trained on these pictures (')
    assert message.endswith(': choose another network.')


@pytest.mark.fault
def test_a_head_of_another_shape():
    message = refusal('resnet10t', head=lambda n_features, n_classes: nn.Linear(n_features, 5))
    assert 'it gives (1, 5), not one logit for each of 2 classes' in message


@pytest.mark.fault
def test_one_head_for_two_classifiers():
    message = refusal('deit_tiny_distilled_patch16_224', head=nn.Linear)
    assert 'has 2 classifiers (head, head_dist)' in message


@pytest.mark.fault
def test_an_option_that_a_network_has_not():
    assert refusal('resnet10t', model=dict(moon=1)).startswith("resnet10t has no option 'moon': leave it out")


def test_the_trial_leaves_no_trace():
    "No draw, no mode and no running mean differs from those of a network that was not tried."
    torch.manual_seed(1)
    tried, draw_tried = built('efficientnet_b0'), torch.rand(3)
    torch.manual_seed(1)
    untried, draw_untried = built('efficientnet_b0', None), torch.rand(3)
    assert torch.equal(draw_tried, draw_untried)
    assert all(module.training for module in tried.modules())
    pairs = zip(tried.state_dict().values(), untried.state_dict().values())
    assert all(torch.equal(a, b) for a, b in pairs)


def test_modules_that_were_still_stay_still():
    model = create_model('resnet10t', 2, pretrained=False)
    model.bn1.eval()
    assert not models.picture_problem(model, 64, 2)
    assert not model.bn1.training
    assert model.layer1.training


# ---- groups ----

@pytest.fixture(scope='module')
def pics(): return load_pictures('solar', size=64, limit=60, cache=False)


@pytest.mark.parametrize('arch, groups', [('poolformer_s12', three_groups), ('rdnet_tiny', per_stage)])
@pytest.mark.fault
def test_groups_that_a_network_has_not(pics, arch, groups):
    with pytest.raises(CourseError) as e: train(pics, Recipe(arch, 1, groups=groups), quiet=True, device='cpu')
    assert f'{groups.__name__} cannot part the parameters of {arch} (' in str(e.value)
    assert 'leave groups out' in str(e.value)


@pytest.mark.parametrize('groups', [lambda model: [], lambda model: [[], list(model.parameters())], lambda model: 3])
@pytest.mark.fault
def test_groups_that_are_none(pics, groups):
    with pytest.raises(CourseError, match='cannot part the parameters of resnet10t'): make_learner(pics, Recipe('resnet10t', 1, groups=groups), quiet=True, device='cpu')


def test_both_classifiers_are_the_head():
    model = create_model('deit_tiny_distilled_patch16_224', 2, pretrained=False)
    body, head = body_and_head(model)
    assert len(head) == 4
    assert len(body) + len(head) == len(list(model.parameters()))


@pytest.mark.parametrize('arch', ['vit_tiny_patch16_224', 'pit_ti_distilled_224'])
def test_they_are_trained_kept_and_found(pics, arch, tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path))
    recipe = Recipe(arch, 1, freeze_epochs=1, bs=16)
    trained, found = (train(pics, recipe, keep=True, quiet=True, device='cpu') for _ in range(2))
    assert found.kept.startswith('found')
    images = torch.zeros(2, 3, 64, 64)
    with torch.no_grad(): assert torch.equal(trained.model.eval()(images), found.model(images))


# ---- a processor takes few pictures at a time ----

@given(st.integers(1, 50))
@settings(max_examples=10, deadline=None)
def test_parts_are_the_whole(n):
    "And no part is larger than 8."
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()).eval()
    sizes = []
    network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    x = torch.randn(n, 3, 5, 5)
    with torch.no_grad(): parts, whole = forward_in_parts(network, x), network(x)
    assert torch.allclose(parts, whole, atol=1e-6)
    assert sum(sizes[:-1]) == n and max(sizes[:-1]) <= 8
