"Transfer: what is frozen stays, what moves is known, heads fit, and feature maps have the size we say."
import time

import numpy as np, pytest, timm, torch
from fastai.vision.learner import create_head
from hypothesis import given, settings, strategies as st
from torch import nn

from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.data.sources import photo
from course_utils.explorers.transfer import map_explorer
from course_utils.models import create_model, name_picture, norm_of
from course_utils.show.activations import activation_grid
from course_utils.techniques.transfer import (HEADS, activations, article_head, fastai_head, fit_head, frozen_features,
                                              map_sizes, map_words)
from course_utils.training.batchnorm import FreezeBatchNorm, frozen_norms
from course_utils.training.learner import make_learner
from course_utils.training.recipe import Recipe
from course_utils.training.run import probabilities
from course_utils.training.train import train

LITE = 'tf_efficientnet_lite0'


@pytest.fixture(scope='module')
def pics(): return load_pictures('solar', size=32, limit=120)


def learner(pics, arch=LITE, **settings):
    return make_learner(pics, Recipe(arch, 1, bs=32, **settings), quiet=True, device='cpu')


def state_copy(model): return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def moved(pics, arch=LITE, callbacks=(), unfreeze=False, **settings):
    "Trains a frozen epoch; gives the learner and the names of tensors that moved."
    learn = learner(pics, arch, **settings)
    learn.freeze()
    if unfreeze: learn.unfreeze()
    old = state_copy(learn.model)
    learn.fit(1, 1e-2, cbs=callbacks)
    return learn, {name for name, tensor in learn.model.state_dict().items() if not torch.equal(old[name], tensor)}


def norm_names(model):
    "Names of all tensors that belong to BatchNorm layers."
    layers = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    return {f'{name}.{k}' for name, layer in layers for k in layer.state_dict()}


# ---- freezing ----

@pytest.mark.parametrize('arch', [LITE, 'resnet10t', 'regnetx_002'])
@pytest.mark.parametrize('head', [None, article_head])
def test_frozen_with_the_switch_only_the_head_moves(pics, arch, head):
    learn, names = moved(pics, arch, [FreezeBatchNorm], head=head)
    classifier = learn.model.pretrained_cfg['classifier']
    in_head = {name for name in learn.model.state_dict() if name.startswith(classifier)}
    assert names == in_head, 'all of the head moves, its BatchNorm too, and nothing else'
    head_ids = {id(p) for p in learn.model.get_classifier().parameters()}
    for p in learn.model.parameters():
        assert p.requires_grad == (id(p) in head_ids)
        assert (p in learn.opt.opt.state) == (id(p) in head_ids), 'a frozen parameter has no optimizer state'


@pytest.mark.parametrize('arch', [LITE, 'resnet10t'])
def test_frozen_without_the_switch_batchnorm_moves(pics, arch):
    learn, names = moved(pics, arch)
    classifier = learn.model.pretrained_cfg['classifier']
    norms = norm_names(learn.model)
    assert {name for name in names if not name.startswith(classifier)} <= norms
    assert {name for name in norms if 'running' in name} <= names
    weights = {name: p for name, p in learn.model.named_parameters() if name in norms}
    assert set(weights) <= names
    assert all(p in learn.opt.opt.state for p in weights.values()), 'fastai trains them'


def test_the_switch_does_nothing_to_what_is_not_frozen(pics):
    _, names = moved(pics, 'resnet10t', [FreezeBatchNorm], unfreeze=True)
    learn, names_without_switch = moved(pics, 'resnet10t', unfreeze=True)
    assert names == names_without_switch
    assert names >= norm_names(learn.model)


def test_unfreezing_after_the_switch_sets_everything_free(pics):
    recipe = Recipe('resnet10t', 1, freeze_epochs=1, batchnorm='still_in_frozen')
    run = train(pics, recipe, quiet=True, device='cpu')
    params = list(run.model.parameters())
    assert all(p.requires_grad for p in params)
    assert len(run.learn.opt.opt.state) == len(params)
    assert frozen_norms(run.learn) == []
    assert len(run.history) == 2


def test_layer_norms_stay_with_the_switch_and_move_without(pics):
    _, names = moved(pics, 'convnext_atto', [FreezeBatchNorm])
    assert names == {'head.fc.weight', 'head.fc.bias'}
    _, names = moved(pics, 'convnext_atto')
    assert 'head.norm.weight' in names, 'fastai trains LayerNorm in a frozen body, too'


def test_equal_to_freezing_by_hand(pics):
    recipe = Recipe(LITE, 0, freeze_epochs=2, lr_max=1e-3, schedule='constant', pretrained=True, bs=32,
                    batchnorm='still_in_frozen')
    learn = make_learner(pics, recipe, quiet=True, device='cpu')
    model = learn.model.to(memory_format=torch.channels_last)
    for p in model.parameters(): p.requires_grad_(False)
    head = model.get_classifier().requires_grad_(True)
    opt = torch.optim.AdamW(head.parameters(), lr=1e-3, weight_decay=.01)
    losses = []
    for _ in range(2):
        model.eval()
        total = n = 0
        for x, y in learn.dls.train:
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            opt.step()
            opt.zero_grad()
            total += loss.item() * len(y)
            n += len(y)
        losses.append(total / n)
    run = train(pics, recipe, quiet=True, device='cpu')
    assert np.allclose(losses, run.history.train_loss, rtol=1e-4)
    for a, b in zip(head.parameters(), run.model.get_classifier().parameters()): assert torch.allclose(a, b, atol=1e-5)


def test_runs_with_callback_classes_are_kept_and_told_apart(pics, tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path))

    def go(*callbacks):
        recipe = Recipe('resnet10t', 0, freeze_epochs=1, callbacks=callbacks, head=article_head)
        return train(pics, recipe, keep=True, quiet=True, device='cpu')

    first = go(FreezeBatchNorm)
    assert first.kept.startswith('kept')
    again = go(FreezeBatchNorm)
    assert again.kept.startswith('found')
    assert np.array_equal(first.probs, again.probs)
    assert go().kept.startswith('kept')
    with pytest.raises(CourseError, match='or their classes'): go(FreezeBatchNorm())


# ---- heads ----

@pytest.mark.parametrize('name', HEADS)
@given(n_in=st.integers(1, 40), n_out=st.integers(2, 7), batch=st.integers(2, 5))
@settings(max_examples=10, deadline=None)
def test_head_shapes(name, n_in, n_out, batch):
    assert HEADS[name](n_in, n_out)(torch.randn(batch, n_in)).shape == (batch, n_out)


def layers_in_order(head, x) -> list:
    "The kinds of layers that a forward pass goes through, with the width that each gives out."
    passed = []

    def note(layer, inputs, output): passed.append((type(layer).__name__, output.shape[1]))

    hooks = [layer.register_forward_hook(note) for layer in head.modules() if not list(layer.children())]
    head(x)
    for hook in hooks: hook.remove()
    return passed


def test_article_head_passes_its_features_through_the_article_s_layers():
    "*Improving model accuracy*: BatchNorm, dropout, 512 units with ReLU, BatchNorm and dropout again, and a unit a class."
    assert layers_in_order(article_head(1280, 3), torch.randn(4, 1280)) == [
        ('BatchNorm1d', 1280),
        ('Dropout', 1280),
        ('Linear', 512),
        ('ReLU', 512),
        ('BatchNorm1d', 512),
        ('Dropout', 512),
        ('Linear', 3),
    ]


def test_article_head_blanks_half_of_its_units_in_training_and_none_afterwards():
    "The article's dropout is one half, before the 512 units and after them."
    head = article_head(400, 3)
    torch.manual_seed(0)
    x = torch.randn(200, 400)
    shares = []

    def note(layer, inputs, output):
        was_active = inputs[0] != 0
        shares.append(float((output[was_active] == 0).float().mean()))

    for layer in head.modules():
        if isinstance(layer, nn.Dropout): layer.register_forward_hook(note)
    head(x)
    assert shares == pytest.approx([.5, .5], abs=.02)
    shares.clear()
    head.eval()(x)
    assert shares == [0, 0]


def test_fastai_head_is_fastai_s():
    theirs = create_head(640, 3)  # concat pooling doubles 640
    assert [tuple(p.shape) for p in fastai_head(1280, 3).parameters()] == [tuple(p.shape) for p in theirs.parameters()]


@pytest.mark.parametrize('arch', [LITE, 'resnet10t', 'regnetx_002', 'convnext_atto', 'mobilenetv3_small_050', 'vgg11'])
def test_any_body_takes_a_head(pics, arch):
    learn = learner(pics, arch, head=article_head)
    x, _ = learn.dls.one_batch()
    assert learn.model(x[:2]).shape == (2, 2)


# ---- features ----

@pytest.mark.parametrize('arch', [LITE, 'resnet10t', 'convnext_atto', 'mobilenetv3_small_050'])
def test_frozen_features_are_what_the_head_gets(pics, arch):
    model = create_model(arch, 2, pretrained=False).eval()
    x, y = frozen_features(model, pics, pics.valid)
    assert np.array_equal(y, pics.y[pics.valid])
    batches = torch.cat([b for b, _ in pics.loaders(*norm_of(model), device='cpu').valid])
    with torch.no_grad(): assert torch.allclose(model.get_classifier()(x), model(batches), atol=1e-4)


def test_frozen_features_leave_the_model_alone_and_hear_another_normalisation(pics):
    model = create_model(LITE)
    old = state_copy(model)
    a, _ = frozen_features(model, pics, pics.valid)
    b, _ = frozen_features(model, pics, pics.valid, norm=((0., 0., 0.), (1., 1., 1.)))
    assert all(torch.equal(old[name], tensor) for name, tensor in model.state_dict().items())
    assert not torch.allclose(a, b, atol=1e-2)


@pytest.mark.parametrize('name', HEADS)
def test_fit_head_learns_and_repeats(name):
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(130) % 2
    x = torch.randn(130, 16, generator=generator) + 2 * y[:, None]

    def go():
        torch.manual_seed(0)
        return fit_head(HEADS[name](16, 2), x, y, epochs=40, lr=1e-2, bs=64)

    a = go()
    b = go()
    assert not a.training
    assert all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values()))
    assert (a(x).argmax(1) == y).float().mean() > .9


def test_fit_head_survives_a_batch_of_one():
    head = fit_head(article_head(4, 2), torch.randn(65, 4), torch.arange(65) % 2, epochs=1, bs=64)
    assert head(torch.randn(3, 4)).isfinite().all()


# ---- what layers see ----

def test_activations_are_what_the_layer_gives():
    model = create_model('resnet10t', pretrained=False).eval()
    image = photo('chelsea', 64)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in norm_of(model))
    x = ((torch.tensor(image).permute(2, 0, 1) / 255 - mean) / std)[None]
    stem = nn.Sequential(model.conv1, model.bn1, model.act1, model.maxpool, model.layer1)
    with torch.no_grad(): expected = stem(x)[0]
    assert np.allclose(activations(model, image, 'layer1'), expected, atol=1e-5)
    assert not any(m._forward_hooks for m in model.modules()), 'no hook is left behind'
    with pytest.raises(CourseError, match="no layer named 'layer9'"): activations(model, image, 'layer9')
    assert activations(model, image, 'bn1').min() < 0, 'before the ReLU that works in its place'


def test_who_looks_leaves_the_mode(pics):
    model = create_model('resnet10t', pretrained=False).train()
    model.layer1.eval()
    modes = [module.training for module in model.modules()]
    activations(model, photo('chelsea', 64), 'layer1')
    frozen_features(model, pics, pics.valid[:2])
    name_picture(model, photo('chelsea', 64))
    probabilities(model, pics.x[:2])
    assert [module.training for module in model.modules()] == modes


def test_one_scale_and_one_choice_of_channels_for_all_rows():
    quiet, loud = np.random.default_rng(0).random((2, 12, 5, 5)).astype(np.float32)
    quiet = quiet * .1
    picture, (low, high), channels = activation_grid([quiet, loud], k=4)
    assert picture.dtype == np.uint8
    assert len(channels) == 4
    assert quiet.max() < high <= loud.max(), 'the quiet row is not stretched'


# ---- sizes of feature maps ----

ARCHS = [LITE, 'resnet18', 'regnetx_002', 'convnext_atto', 'mobilenetv3_small_050', 'densenet121', 'vgg11']


@pytest.mark.parametrize('size', [32, 50, 64, 97])
@pytest.mark.parametrize('arch', ARCHS)
def test_map_sizes_against_a_real_forward_pass(arch, size):
    picture = torch.zeros(1, 3, size, size)
    stages = timm.create_model(arch, features_only=True).eval()
    with torch.no_grad(): maps = stages(picture)
    assert [tuple(m[1:]) for m in map_sizes(arch, size)] == [tuple(m.shape[1:]) for m in maps]
    model = timm.create_model(arch).eval()
    with torch.no_grad(): last = model.forward_features(picture)
    assert map_sizes(arch, size)[-1][2:] == tuple(last.shape[2:])


@pytest.mark.parametrize('arch, size, expected', [
    ('vit_tiny_patch16_224', 96, (192, 6, 6)),
    ('swin_tiny_patch4_window7_224', 128, (768, 4, 4)),
])
def test_map_sizes_of_models_built_for_one_size(arch, size, expected):
    assert tuple(map_sizes(arch, size)[-1][1:]) == expected


def test_the_article_s_analysis():
    assert map_sizes('resnet50', 256)[-1][2:] == (8, 8)
    assert map_sizes('resnet50', 64)[-1][2:] == (2, 2)


@given(st.integers(32, 400))
@settings(max_examples=25, deadline=None)
def test_the_warning_comes_under_four(size):
    height = map_sizes('resnet18', size)[-1][2]
    assert height == -(-size // 32)
    assert ('Warning' in map_words('resnet18', size)) == (height < 4)


def test_the_size_advised_is_enough_and_the_one_before_is_not():
    words = map_words(LITE, 64)
    advised = int(words.split('From ')[1].split(' pixels')[0])
    assert map_sizes(LITE, advised)[-1][2] >= 4
    assert map_sizes(LITE, advised - 32)[-1][2] < 4


@pytest.mark.fault
def test_what_cannot_pass_gets_one_sentence():
    with pytest.raises(CourseError, match='cannot pass through') as e: map_sizes('vgg11', 16)
    assert '\n' not in str(e.value)
    with pytest.raises(CourseError, match='no model named'): map_sizes('resnet81', 64)


# ---- the explorer ----

SIZES = range(32, 321, 32)


def test_map_explorer():
    explorer = map_explorer(LITE, photo('chelsea', 96))
    small_picture, small_words = explorer.draw_at(size=64)
    large_picture, large_words = explorer.draw_at(size=320)
    assert '2×2' in small_words
    assert 'Warning' in small_words
    assert 'Warning' not in large_words
    assert small_picture.shape == large_picture.shape


def test_map_explorer_asks_the_model_once_for_each_size():
    "What lets the slider follow the hand: to and fro, and the sizes are known."
    explorer = map_explorer(LITE, photo('chelsea', 96))
    map_sizes.cache_clear()
    for size in (*SIZES, *reversed(SIZES)): explorer.draw_at(size=size)
    assert map_sizes.cache_info().misses == len(SIZES)


@pytest.mark.timing
def test_map_explorer_is_drawn_fast_enough_to_drag():
    explorer = map_explorer(LITE, photo('chelsea', 96))
    start = time.perf_counter()
    for size in SIZES: explorer.draw_at(size=size)
    assert time.perf_counter() - start < 3
