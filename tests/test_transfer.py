"Transfer: what is frozen stays, what moves is known, heads fit, and feature maps have the size we say."
import time

import numpy as np, pytest, timm, torch
from hypothesis import given, settings, strategies as st
from torch import nn

from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.data.sources import photo
from course_utils.models import create_model, norm_of
from course_utils.training.learner import make_learner
from course_utils.training.train import train
from course_utils.techniques.transfer import HEADS, activation_grid, activations, article_head, fastai_head, fit_head, frozen_features, map_sizes, map_words
from course_utils.training.batchnorm import FreezeBatchNorm, frozen_norms
from course_utils.explorers.transfer import map_explorer

LITE = 'tf_efficientnet_lite0'


@pytest.fixture(scope='module')
def pics(): return load_pictures('solar', size=32, limit=120)

def learner(pics, arch=LITE, **kwargs): return make_learner(pics, arch, quiet=True, device='cpu', bs=32, **kwargs)

def moved(pics, arch=LITE, cbs=(), unfreeze=False, **kwargs):
    "Trains a frozen epoch; gives the learner and the names of tensors that moved."
    learn = learner(pics, arch, **kwargs)
    learn.freeze()
    if unfreeze: learn.unfreeze()
    before = {k: v.clone() for k, v in learn.model.state_dict().items()}
    learn.fit(1, 1e-2, cbs=cbs)
    return learn, {k for k, v in learn.model.state_dict().items() if not torch.equal(before[k], v)}

def of_batchnorm(model): return {f'{n}.{k}' for n, m in model.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) for k in m.state_dict()}


# ---- freezing ----

@pytest.mark.parametrize('arch', [LITE, 'resnet10t', 'regnetx_002'])
@pytest.mark.parametrize('head', [None, article_head])
def test_frozen_with_the_switch_only_the_head_moves(pics, arch, head):
    learn, names = moved(pics, arch, [FreezeBatchNorm], head=head)
    place = learn.model.pretrained_cfg['classifier']
    assert names == {k for k in learn.model.state_dict() if k.startswith(place)}, 'all of the head moves, its BatchNorm too, and nothing else'
    of_head = {id(p) for p in learn.model.get_classifier().parameters()}
    for p in learn.model.parameters():
        assert p.requires_grad == (id(p) in of_head)
        assert (p in learn.opt.opt.state) == (id(p) in of_head), 'a frozen parameter has no optimizer state'


@pytest.mark.parametrize('arch', [LITE, 'resnet10t'])
def test_frozen_without_the_switch_batchnorm_moves(pics, arch):
    learn, names = moved(pics, arch)
    place, bn = learn.model.pretrained_cfg['classifier'], of_batchnorm(learn.model)
    assert {k for k in names if not k.startswith(place)} <= bn
    assert {k for k in bn if 'running' in k} <= names
    weights = {k for k, p in learn.model.named_parameters() if k in bn}
    assert weights <= names and all(p in learn.opt.opt.state for k, p in learn.model.named_parameters() if k in weights), 'fastai trains them'


def test_the_switch_does_nothing_to_what_is_not_frozen(pics):
    _, names = moved(pics, 'resnet10t', [FreezeBatchNorm], unfreeze=True)
    learn, all_of_it = moved(pics, 'resnet10t', unfreeze=True)
    assert names == all_of_it >= of_batchnorm(learn.model)


def test_unfreezing_after_the_switch_sets_everything_free(pics):
    run = train(pics, 'resnet10t', epochs=1, freeze_epochs=1, cbs=[FreezeBatchNorm], quiet=True, device='cpu')
    assert all(p.requires_grad for p in run.model.parameters()) and len(run.learn.opt.opt.state) == len(list(run.model.parameters()))
    assert frozen_norms(run.learn) == [] and len(run.history) == 2


def test_layer_norms_stay_with_the_switch_and_move_without(pics):
    assert moved(pics, 'convnext_atto', [FreezeBatchNorm])[1] == {'head.fc.weight', 'head.fc.bias'}
    assert 'head.norm.weight' in moved(pics, 'convnext_atto')[1], 'fastai trains LayerNorm in a frozen body, too'


def test_equal_to_freezing_by_hand(pics):
    learn = learner(pics, pretrained=True)
    model = learn.model.to(memory_format=torch.channels_last)
    for p in model.parameters(): p.requires_grad_(False)
    head = model.get_classifier().requires_grad_(True)
    opt, losses = torch.optim.AdamW(head.parameters(), lr=1e-3, weight_decay=.01), []
    for _ in range(2):
        model.eval(); total = n = 0
        for x, y in learn.dls.train:
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward(); opt.step(); opt.zero_grad()
            total, n = total + loss.item() * len(y), n + len(y)
        losses.append(total / n)
    run = train(pics, LITE, epochs=0, freeze_epochs=2, lr_max=1e-3, schedule='constant', pretrained=True, bs=32, cbs=[FreezeBatchNorm], quiet=True, device='cpu')
    assert np.allclose(losses, run.history.train_loss, rtol=1e-4)
    for a, b in zip(head.parameters(), run.model.get_classifier().parameters()): assert torch.allclose(a, b, atol=1e-5)


def test_runs_with_callback_classes_are_kept_and_told_apart(pics, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path))
    go = lambda cbs: train(pics, 'resnet10t', epochs=0, freeze_epochs=1, cbs=cbs, head=article_head, keep=True, quiet=True, device='cpu')
    first, again, other = go([FreezeBatchNorm]), go([FreezeBatchNorm]), go([])
    assert first.kept.startswith('kept') and again.kept.startswith('found') and other.kept.startswith('kept')
    assert np.array_equal(first.probs, again.probs)
    with pytest.raises(CourseError, match='or their classes'): go([FreezeBatchNorm()])


# ---- heads ----

@pytest.mark.parametrize('name', HEADS)
@given(n_in=st.integers(1, 40), n_out=st.integers(2, 7), batch=st.integers(2, 5))
@settings(max_examples=10, deadline=None)
def test_head_shapes(name, n_in, n_out, batch):
    assert HEADS[name](n_in, n_out)(torch.randn(batch, n_in)).shape == (batch, n_out)


def test_article_head_is_the_article_s():
    kinds = [type(m).__name__ for m in article_head(1280, 3)]
    assert kinds == ['BatchNorm1d', 'Dropout', 'Linear', 'ReLU', 'BatchNorm1d', 'Dropout', 'Linear']
    assert sum(p.numel() for p in article_head(2048, 3).parameters()) == 2 * 2048 + 2048 * 512 + 512 + 2 * 512 + 512 * 3 + 3


def test_fastai_head_is_fastai_s():
    from fastai.vision.learner import create_head
    theirs = create_head(640, 3)  # concat pooling doubles 640
    assert [tuple(p.shape) for p in fastai_head(1280, 3).parameters()] == [tuple(p.shape) for p in theirs.parameters()]


@pytest.mark.parametrize('arch', [LITE, 'resnet10t', 'regnetx_002', 'convnext_atto', 'mobilenetv3_small_050', 'vgg11'])
def test_any_body_takes_a_head(pics, arch):
    learn = learner(pics, arch, head=article_head)
    x, y = learn.dls.one_batch()
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
    before = {k: v.clone() for k, v in model.state_dict().items()}
    a, b = frozen_features(model, pics, pics.valid)[0], frozen_features(model, pics, pics.valid, norm=((0., 0., 0.), (1., 1., 1.)))[0]
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items()) and not torch.allclose(a, b, atol=1e-2)


@pytest.mark.parametrize('name', HEADS)
def test_fit_head_learns_and_repeats(name):
    g = torch.Generator().manual_seed(0)
    y = torch.arange(130) % 2
    x = torch.randn(130, 16, generator=g) + 2 * y[:, None]
    def go():
        torch.manual_seed(0)
        return fit_head(HEADS[name](16, 2), x, y, epochs=40, lr=1e-2, bs=64)
    a, b = go(), go()
    assert not a.training and all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values()))
    assert (a(x).argmax(1) == y).float().mean() > .9


def test_fit_head_survives_a_batch_of_one():
    fit_head(article_head(4, 2), torch.randn(65, 4), torch.arange(65) % 2, epochs=1, bs=64)


# ---- what layers see ----

def test_activations_are_what_the_layer_gives():
    model, x = create_model('resnet10t', pretrained=False).eval(), photo('chelsea', 64)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in norm_of(model))
    with torch.no_grad(): want = model.layer1(model.maxpool(model.act1(model.bn1(model.conv1(((torch.tensor(x).permute(2, 0, 1) / 255 - mean) / std)[None])))))[0]
    assert np.allclose(activations(model, x, 'layer1'), want, atol=1e-5)
    assert not any(m._forward_hooks for m in model.modules()), 'no hook is left behind'
    with pytest.raises(CourseError, match="no layer named 'layer9'"): activations(model, x, 'layer9')


def test_one_scale_and_one_choice_of_channels_for_all_rows():
    quiet, loud = np.random.default_rng(0).random((2, 12, 5, 5)).astype(np.float32) * np.array([.1, 1.])[:, None, None, None]
    picture, (low, high), channels = activation_grid([quiet, loud], k=4)
    assert picture.dtype == np.uint8 and len(channels) == 4
    assert high <= loud.max() and high > quiet.max(), 'the quiet row is not stretched'


# ---- sizes of feature maps ----

ARCHS = [LITE, 'resnet18', 'regnetx_002', 'convnext_atto', 'mobilenetv3_small_050', 'densenet121', 'vgg11']

@pytest.mark.parametrize('size', [32, 50, 64, 97])
@pytest.mark.parametrize('arch', ARCHS)
def test_map_sizes_against_a_real_forward_pass(arch, size):
    model = timm.create_model(arch, features_only=True).eval()
    with torch.no_grad(): out = model(torch.zeros(1, 3, size, size))
    assert [tuple(m[1:]) for m in map_sizes(arch, size)] == [tuple(o.shape[1:]) for o in out]
    with torch.no_grad(): last = timm.create_model(arch).eval().forward_features(torch.zeros(1, 3, size, size))
    assert map_sizes(arch, size)[-1][2:] == tuple(last.shape[2:])


@pytest.mark.parametrize('arch, size, want', [('vit_tiny_patch16_224', 96, (192, 6, 6)), ('swin_tiny_patch4_window7_224', 128, (768, 4, 4))])
def test_map_sizes_of_models_built_for_one_size(arch, size, want): assert tuple(map_sizes(arch, size)[-1][1:]) == want


def test_the_article_s_analysis():
    assert map_sizes('resnet50', 256)[-1][2:] == (8, 8) and map_sizes('resnet50', 64)[-1][2:] == (2, 2)


@given(st.integers(32, 400))
@settings(max_examples=25, deadline=None)
def test_the_warning_comes_under_four(size):
    h = map_sizes('resnet18', size)[-1][2]
    assert h == -(-size // 32) and ('Warning' in map_words('resnet18', size)) == (h < 4)


def test_the_size_advised_is_enough_and_the_one_before_is_not():
    words = map_words(LITE, 64)
    advised = int(words.split('From ')[1].split(' pixels')[0])
    assert map_sizes(LITE, advised)[-1][2] >= 4 > map_sizes(LITE, advised - 32)[-1][2]


@pytest.mark.fault
def test_what_cannot_pass_gets_one_sentence():
    with pytest.raises(CourseError, match='cannot pass through') as e: map_sizes('vgg11', 16)
    assert '\n' not in str(e.value)
    with pytest.raises(CourseError, match='no model named'): map_sizes('resnet81', 64)


def test_map_explorer():
    e = map_explorer(LITE, photo('chelsea', 96))
    small, words = e.at(size=64)
    assert '2×2' in words and 'Warning' in words and small.shape == e.at(size=320)[0].shape and 'Warning' not in e.at(size=320)[1]
    start = time.perf_counter()
    for s in range(32, 321, 32): e.at(size=s)
    assert time.perf_counter() - start < 3, 'drawn fast enough to drag'
