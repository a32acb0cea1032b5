"Grad-CAM: equal to the library and to CAM where theory says so, right on any order of axes, and its scores know truth from noise."
import time
from statistics import median
from types import SimpleNamespace

import cv2, numpy as np, pytest, torch
from hypothesis import given, settings, strategies as st
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from course_utils.config import CourseError
from course_utils.data import painted
from course_utils.data.pictures import load_pictures
from course_utils.data.sources import photo
from course_utils.explorers.gradcam import maps_explorer
from course_utils.models import create_model, norm_of
from course_utils.report.stats import interval
from course_utils.techniques import gradcam as G
from course_utils.techniques.transfer import article_head
from course_utils.training.recipe import Recipe
from course_utils.training.run import probabilities
from course_utils.training.train import train

LITE = 'tf_efficientnet_lite0'
REAL = [(LITE, True, 'bn2'), (LITE, True, 'blocks.4'), ('resnet18', False, 'layer4'), ('regnetx_002', False, 's3')]


@pytest.fixture(scope='module')
def pics(): return load_pictures('solar', size=64, limit=240)

def made(arch, pretrained=False, n=3, size=64, batch=4):
    "A model in eval mode whose random BatchNorm statistics are not all zero and one, and a batch."
    torch.manual_seed(0)
    model = create_model(arch, n, pretrained).eval()
    return model, torch.randn(batch, 3, size, size)

def scaled(maps, size):
    "As pytorch-grad-cam scales: each map from 0 to 1, as large as its picture."
    unit = lambda m: (m - m.min()) / (1e-7 + (m - m.min()).max())
    return np.stack([unit(cv2.resize(unit(m), (size, size))) for m in maps])

def library(model, x, classes, layer, transform=None):
    with GradCAM(model=model, target_layers=[model.get_submodule(layer)], reshape_transform=transform) as cam:
        return cam(input_tensor=x, targets=[ClassifierOutputTarget(int(c)) for c in classes])


# ---- the map ----

@pytest.mark.parametrize('arch, pretrained, layer', REAL)
def test_equal_to_pytorch_grad_cam(arch, pretrained, layer):
    model, x = made(arch, pretrained)
    classes = [0, 1, 2, 1]
    ours = scaled(G.gradcam(model, x, classes, layer), 64)
    assert (ours.max((1, 2)) > 0).any(), 'blank maps would be equal to anything blank'
    assert np.abs(ours - library(model, x, classes, layer)).max() <= 1e-5


def test_equal_to_pytorch_grad_cam_on_photographs_and_imagenet_s_own_head():
    model = create_model(LITE)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in norm_of(model))
    x = torch.stack([(torch.tensor(photo(n, 128)).permute(2, 0, 1) / 255 - mean) / std for n in ('chelsea', 'coffee', 'rocket')])
    said = model.eval()(x).argmax(1)
    assert np.abs(scaled(G.gradcam(model, x, layer='bn2'), 128) - library(model, x, said, 'bn2')).max() <= 1e-5


def test_swin_whose_channels_come_last():
    model, x = made('swin_tiny_patch4_window7_224', size=224, batch=2)
    layer = 'layers.2'
    ours = scaled(G.gradcam(model, x, [1, 2], layer), 224)
    assert np.abs(ours - library(model, x, [1, 2], layer, lambda t: t.permute(0, 3, 1, 2))).max() <= 1e-5
    wrong = scaled(G.gradcam(SimpleModel(model), x, [1, 2], layer), 224)
    assert np.allclose(ours, wrong), 'square maps are told apart by their shape alone'

class SimpleModel(nn.Module):
    "A model that does not say in which order its axes are."
    def __init__(self, m):
        super().__init__()
        self.m = m
    def forward(self, x): return self.m(x)
    def named_modules(self, *a, **k): return self.m.named_modules(*a, **k)


@given(c=st.integers(1, 9), h=st.integers(1, 9))
def test_order_of_axes(c, h):
    t, says = torch.rand(2, h, h, c), SimpleNamespace(output_fmt='NHWC')
    assert G.channels_first(t, says).shape == (2, c, h, h)
    assert G.channels_first(t.permute(0, 3, 1, 2), SimpleNamespace()).shape == (2, c, h, h)
    if c != h: assert G.channels_first(t, SimpleNamespace()).shape == G.channels_first(t.permute(0, 3, 1, 2), says).shape == (2, c, h, h)


def cam(model, x, layer, weights, classes):
    "Class activation maps (Zhou et al. 2016): the map's channels weighted by the rows of a linear head."
    kept = []
    hook = model.get_submodule(layer).register_forward_hook(lambda m, i, o: kept.append(o.detach()))
    with torch.no_grad(): model(x)
    hook.remove()
    return torch.einsum('bc,bchw->bhw', weights[classes], kept[0])


@pytest.mark.parametrize('arch, layer', [(LITE, 'bn2'), ('resnet18', 'layer4'), ('regnetx_002', 's4')])
def test_on_pooling_and_a_linear_head_it_is_cam(arch, layer):
    model, x = made(arch, size=96)
    classes = [2, 0, 1, 2]
    full = cam(model, x, layer, model.get_classifier().weight.detach(), classes)
    h, w = full.shape[1:]
    assert np.allclose(G.gradcam(model, x, classes, layer), full.relu() / (h * w), atol=1e-6)
    assert (full < 0).any()
    assert (full > 0).any()


def test_fastbook_s_error_is_not_ours():
    "Chapter 18 takes the weights of the head's last layer, which weigh its 512 hidden units: the shapes fit, the map is another."
    model, x = made('resnet18')
    model.fc = article_head(512, 3).eval()
    last = model.fc[-1].weight.detach()
    full = cam(model, x, 'layer4', last, [0, 1, 2, 0]).relu() / 4
    ours = torch.tensor(G.gradcam(model, x, [0, 1, 2, 0], 'layer4'))
    assert last.shape == (3, 512)
    assert torch.corrcoef(torch.stack([full.flatten(), ours.flatten()]))[0, 1] < .9
    assert np.allclose(ours, by_nudging(model, x, [0, 1, 2, 0]), atol=1e-3 * float(ours.max()))

def by_nudging(model, x, classes, step=1e-6):
    "Grad-CAM at the last map without any gradient: each channel is raised a little, everywhere, and the logit watched."
    model.double()
    with torch.no_grad():
        a, alpha = model.forward_features(x.double()), []
        for k in range(a.shape[1]):
            up, down = a.clone(), a.clone()
            up[:, k] += step
            down[:, k] -= step
            alpha.append(((model.forward_head(up) - model.forward_head(down))[np.arange(len(x)), classes]) / (2 * step * a[0, 0].numel()))
    model.float()
    return (torch.stack(alpha, 1)[..., None, None] * a).sum(1).relu().float()


def test_what_writes_in_place_does_not_spoil_the_map():
    "In timm's resnet the shortcut is added onto what bn2 gave out. The library then shows the sum's map, on a CPU."
    model, x = made('resnet18')
    layer = 'layer4.1.bn2'
    out_of_place = create_model('resnet18', 3, False).eval()
    out_of_place.load_state_dict(model.state_dict())
    block = out_of_place.layer4[1]
    block.forward = lambda x: nn.functional.relu(block.bn2(block.conv2(block.act1(block.drop_block(block.bn1(block.conv1(x)))))) + x)
    assert torch.allclose(model(x), out_of_place(x))
    ours, truth = (scaled(G.gradcam(m, x, 1, layer), 64) for m in (model, out_of_place))
    assert np.allclose(ours, truth, atol=1e-5)
    assert np.abs(truth - library(out_of_place, x, [1] * 4, layer)).max() <= 1e-5
    assert np.abs(library(model, x, [1] * 4, layer) - truth).max() > .1


@pytest.mark.parametrize('frozen', [False, True])
@pytest.mark.parametrize('surrounding', [torch.no_grad, torch.enable_grad])
def test_leaves_nothing_behind(frozen, surrounding):
    model, x = made('resnet10t')
    if frozen: model.requires_grad_(False)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with surrounding():
        was = torch.is_grad_enabled()
        assert G.gradcam(model, x).shape == (4, 4, 4)
        assert torch.is_grad_enabled() == was
        for bad in ('fc', 'nowhere'):
            with pytest.raises(CourseError): G.gradcam(model, x, layer=bad)
            assert torch.is_grad_enabled() == was
        G.candidate_layers(model, 64)
    assert not any(m._forward_hooks or m._backward_hooks for m in model.modules())
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_a_look_in_the_middle_of_a_training_changes_nothing():
    "Between `backward` and `step`, with a BatchNorm that is kept still. The library leaves eval mode and gradients of its own."
    model, x = made('resnet10t')
    model.train().bn1.eval()
    model(x).logsumexp(1).sum().backward()
    modes = [module.training for module in model.modules()]
    gradients = [p.grad.clone() for p in model.parameters()]
    G.gradcam(model, x)
    G.candidate_layers(model, 64)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(p.grad, before) for p, before in zip(model.parameters(), gradients))
    library(model, x, [1] * 4, 'layer4')
    assert not any(module.training for module in model.modules())
    assert not all(torch.equal(p.grad, before) for p, before in zip(model.parameters(), gradients))


def test_asks_for_the_class_the_model_says():
    model, x = made('resnet10t')
    said = model(x).argmax(1)
    assert np.array_equal(G.gradcam(model, x), G.gradcam(model, x, said))
    assert not np.array_equal(G.gradcam(model, x), G.gradcam(model, x, (said + 1) % 3))


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU')
def test_gpu_as_cpu():
    model, x = made(LITE, True)
    here = G.gradcam(model, x, 1, 'bn2')
    assert np.allclose(here, G.gradcam(model.cuda(), x, 1, 'bn2'), atol=1e-3 * here.max())


def test_on_a_device_that_is_not_the_picture_s():
    "`meta` stands for any other device: the batch must go where the model is."
    model, x = made('resnet10t')
    seen = []
    model.register_forward_pre_hook(lambda m, i: seen.append(i[0].device.type))
    with pytest.raises((NotImplementedError, RuntimeError)): G.gradcam(model.to('meta'), x, 1, 'layer4')
    assert seen == ['meta']


def times_the_library_s():
    "How many times as long as pytorch-grad-cam this takes: medians of nine, turn by turn."
    model, x = made(LITE, True, batch=16)
    seconds = {'ours': [], 'library': []}
    with GradCAM(model=model, target_layers=[model.bn2]) as theirs:
        targets = [ClassifierOutputTarget(1)] * 16
        work = {'ours': lambda: scaled(G.gradcam(model, x, [1] * 16, 'bn2'), 64), 'library': lambda: theirs(input_tensor=x, targets=targets)}
        assert np.abs(work['ours']() - work['library']()).max() <= 1e-5
        for _ in range(9):
            for name, f in work.items():
                start = time.perf_counter()
                f()
                seconds[name].append(time.perf_counter() - start)
    return median(seconds['ours']) / median(seconds['library'])

def test_not_much_slower_than_the_library(): assert times_the_library_s() <= 2

@pytest.mark.timing
def test_at_least_as_fast_as_the_library(): assert times_the_library_s() <= 1


# ---- layers ----

@pytest.mark.parametrize('arch, size, deepest', [(LITE, 64, (2, 2)), ('resnet18', 64, (2, 2)), ('regnetx_002', 128, (4, 4)), ('convnext_atto', 64, (2, 2)), ('densenet121', 64, (2, 2)),
                                                 ('mobilenetv3_small_050', 64, (2, 2)), ('swin_tiny_patch4_window7_224', 224, (7, 7)), ('vgg11', 64, (2, 2)), ('mambaout_femto', 64, (2, 2))])
def test_candidates_of_many_models_have_maps(arch, size, deepest):
    model, x = made(arch, size=size, batch=2)
    layers = G.candidate_layers(model, size)
    sides = [h for h, _ in layers.values()]
    assert sides == sorted(sides, reverse=True)
    assert list(layers.values())[-1] == deepest
    assert len(layers) >= 4
    for layer, hw in layers.items(): assert G.gradcam(model, x, 1, layer).shape == (2, *hw)


def test_choice_is_the_deepest_that_is_fine_enough():
    model, _ = made(LITE)
    assert G.target_layer(model, 64) == 'blocks.4'
    assert G.target_layer(model, 128) == 'bn2'
    assert G.target_layer(model, 32) == 'blocks.2'
    assert G.target_layer(model, 32, least=99) == 'blocks.0', 'where none is fine enough, the finest'


@pytest.mark.parametrize('call, says', [
    (lambda: G.gradcam(*made('resnet10t'), layer='layer9'), "no layer named 'layer9'"),
    (lambda: G.gradcam(*made('resnet10t'), layer='fc'), r"'fc' gives out numbers of shape \(4, 3\)"),
    (lambda: G.gradcam(*made('vit_tiny_patch16_224', size=224, batch=1)), 'rows of tokens'),
    (lambda: G.gradcam(*made('vit_tiny_patch16_224', size=224, batch=1), layer='blocks.3'), r'\(1, 197, 192\)'),
    (lambda: G.target_layer(nn.Sequential(nn.Conv2d(3, 3, 3)), 64), 'name the layer yourself'),
])
@pytest.mark.fault
def test_what_cannot_be_mapped_is_said_in_one_sentence(call, says):
    with pytest.raises(CourseError, match=says) as e: call()
    assert str(e.value).count('. ') == 0


def test_a_layer_that_takes_no_part():
    model, x = made('resnet10t')
    model.spare = nn.Conv2d(3, 3, 1)
    with pytest.raises(CourseError, match='takes no part'): G.gradcam(model, x, layer='spare')


def test_table_says_coarse_and_blank(pics):
    model, _ = made(LITE, True, n=2)
    x = np.asarray(pics.x[:6])
    t = G.layer_table(model, x)
    assert list(t['map']) == ['32×32', '16×16', '8×8', '4×4', '2×2', '2×2']
    assert list(t.stride) == [2, 4, 8, 16, 32, 32]
    with torch.no_grad():
        model.classifier.weight.copy_(-model.classifier.weight.abs())
        model.classifier.bias.zero_()
    t = G.layer_table(model, x)
    assert t.blank['bn2'] == 1, "the last map is zero or more here, and every weight is below zero"
    assert 'Blank for 100%' in G.layer_words(t, 'bn2')
    assert 'Coarse: each place stands for 32×32' in G.layer_words(t, 'bn2')
    assert 'Coarse' not in G.layer_words(t, 'blocks.4')
    assert 'the best of these' in G.layer_words(t, t.score.idxmax())


def test_score_without_masks_knows_where_the_evidence_is():
    "A model that answers to brightness in the left upper quarter only: hiding that is worse than hiding anything else."
    class Quarter(nn.Module):
        pretrained_cfg = dict(mean=(0., 0., 0.), std=(1., 1., 1.))
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(1))
        def forward(self, x):
            s = 4 * self.w * (x[:, :, :16, :16].mean((1, 2, 3)) - x.mean((1, 2, 3)) - .2)
            return torch.stack([-s, s], 1)
    x = np.full((5, 32, 32, 3), 40, np.uint8)
    x[:, :16, :16] = 220
    at, off = np.zeros((2, 5, 32, 32), np.float32)
    at[:, :16, :16] = 1
    off[:, 16:, 16:] = 1
    one = np.ones(5, int)
    assert G.hidden_fall(Quarter(), x, at, one).mean() > .01
    assert 0 > G.hidden_fall(Quarter(), x, off, one).mean()


# ---- scores ----

def test_scores_by_hand():
    maps, masks = np.zeros((4, 4, 4)), np.zeros((4, 4, 4), bool)
    masks[:, :2, :2] = True
    maps[0, 0, 0] = 3  # three quarters inside, the highest inside
    maps[0, 3, 3] = 1
    maps[1, 0, 0] = 1  # the other way round
    maps[1, 3, 3] = 3
    maps[2] = 1                               # everywhere alike
    assert G.energy(maps, masks).tolist() == [.75, .25, .25, 0]
    assert G.pointing(maps, masks).tolist() == [1, 0, .25, 0]


@given(st.integers(0, 2**31), st.floats(.001, 1e6))
@settings(max_examples=30)
def test_scores_do_not_depend_on_the_scale_and_lie_in_0_1(seed, factor):
    rng = np.random.default_rng(seed)
    maps, masks = rng.random((3, 8, 8)), rng.random((3, 8, 8)) < .3
    for f in (G.energy, G.pointing):
        v = f(maps, masks)
        assert np.allclose(v, f(maps * factor, masks))
        assert (v >= 0).all()
        assert (v <= 1 + 1e-12).all()
    assert np.allclose(G.energy(maps, masks) + G.energy(maps, ~masks), 1)


def test_a_random_map_scores_the_mask_s_share_and_the_truth_scores_one():
    masks = np.zeros((400, 32, 32), bool)
    masks[:, 8:16, 20:28] = True
    share = masks[0].mean()
    s = G.score_maps(masks.astype(np.float32), masks)
    assert (s['Grad-CAM'] == 1).all().all()
    for what in ('energy', 'pointing'):
        low, high = interval(s['random map'][what], level=.999)
        assert low < share < high
    low, high = interval(s['Grad-CAM'].energy - s['centre blob'].energy)
    assert low > 0
    assert set(s) == {'Grad-CAM', 'random map', 'centre blob', "another picture's map"}


# ---- painted truths ----

@pytest.mark.parametrize('size', [32, 64, 128])
def test_a_crack_is_dark_thin_and_where_the_mask_says(size):
    x, where, rng = photo('coffee', size), [], np.random.default_rng(0)
    for _ in range(40):
        y, mask = painted.paint_crack(x, rng)
        changed = (x != y).any(-1)
        assert (y <= x).all()
        assert not (changed & ~cv2.dilate(mask.astype(np.uint8), np.ones((3, 3))).astype(bool)).any()
        assert 0 < mask.mean() < .12
        assert (x.astype(int) - y)[mask].mean() > 5
        where.append(np.argwhere(mask).mean(0) / size)
    assert np.std(where, 0).min() > .1, 'anywhere in the picture'


def test_crack_task_keeps_the_split_and_pairs_the_pictures(pics):
    task, masks = painted.crack_task(pics)
    n, of = len(task) // 2, np.flatnonzero(pics.y == 0)
    assert task.classes == ['clean', 'cracked']
    assert n == len(of)
    assert (task.y == np.repeat([0, 1], n)).all()
    assert (task.table.path[:n].to_numpy() == task.table.path[n:].to_numpy()).all()
    assert (task.table.split[:n].to_numpy() == task.table.split[n:].to_numpy()).all()
    assert (task.x[:n] == pics.x[of]).all()
    assert not masks[:n].any()
    assert masks[n:].any((1, 2)).all()
    changed = (task.x[n:] != task.x[:n]).any(-1)
    assert not (changed & ~masks[n:]).any(), 'nothing is painted outside its mask'
    again, _ = painted.crack_task(pics)
    assert (again.x == task.x).all()
    assert (painted.crack_task(pics, seed=1)[0].x != task.x).any()


def test_mark_is_where_its_mask_says(pics):
    where = pics.y == 1
    marked = painted.planted(pics, where)
    changed = (marked.x != pics.x).any(-1)
    assert not changed[~where].any()
    assert not (changed & ~painted.mark_mask(64)).any()
    assert changed[where][:, painted.mark_mask(64)].mean() > .9
    assert marked.table is pics.table
    assert not np.shares_memory(marked.x, pics.x)


def test_two_classes_are_the_largest(pics):
    many = load_pictures('solar', size=64, limit=240)
    many.classes, many.table['label'] = ['a', 'b', 'c'], np.r_[np.zeros(100, int), np.ones(40, int), np.full(len(many) - 140, 2)]
    two = painted.two_classes(many)
    assert two.classes == ['a', 'c']
    assert (np.bincount(two.y) == [100, len(many) - 140]).all()
    assert set(painted.two_classes(pics).y) == {0, 1}


# ---- what the maps are for ----

@pytest.fixture(scope='module')
def recipe(): return Recipe(LITE, 2, freeze_epochs=1, pretrained=True, lr_max=2e-3, batchnorm='still_in_frozen', bs=32)


def test_a_trained_model_s_maps_find_painted_cracks(recipe):
    task, masks = painted.crack_task(load_pictures('solar', size=64, limit=500))
    run = train(task, recipe, quiet=True, device='cpu')
    k = np.array([i for i in task.valid if task.y[i] == 1])
    s = G.score_maps(G.maps_of(run.model, task.x[k], 1, 'blocks.4'), masks[k])
    for rival in ('random map', 'centre blob', "another picture's map"):
        low, high = interval(s['Grad-CAM'].energy - s[rival].energy)
        assert low > 0, (rival, low, high, run)
    untrained = G.score_maps(G.maps_of(create_model(LITE, 2, False), task.x[k], 1, 'blocks.4'), masks[k])
    assert interval(s['Grad-CAM'].energy - untrained['Grad-CAM'].energy)[0] > 0, 'the map must depend on what was learnt (Adebayo et al. 2018)'


def test_the_shortcut_shows_on_the_map_and_not_in_the_accuracy():
    two = painted.two_classes(load_pictures('solar', size=64, limit=240))
    marked, swapped = painted.planted(two, two.y == 1), painted.planted(two, two.y == 0)
    # seed 0's clean network looks at that corner of its own accord: 2.0 to 3 times, as the processor rounds; other seeds 8 to 48
    recipe = Recipe('resnet10t', 10, lr_max=2e-3, bs=16, seed=2)
    shortcut, clean = (train(p, recipe, quiet=True, device='cpu') for p in (marked, two))
    accuracy_on = lambda p: (probabilities(shortcut.model, p.x[p.valid]).argmax(1) == p.y[p.valid]).mean()
    assert shortcut.accuracy > clean.accuracy
    assert shortcut.accuracy > .95 > accuracy_on(two) > accuracy_on(swapped)
    k = np.array([i for i in marked.valid if marked.y[i] == 1])
    layer, where = G.target_layer(clean.model, 64, least=8), np.broadcast_to(painted.mark_mask(64), (len(k), 64, 64))
    sits = [G.energy(G.maps_of(r.model, marked.x[k], 1, layer), where).mean() for r in (shortcut, clean)]
    assert sits[0] >= 3 * sits[1], sits
    assert sits[0] > 3 * where.mean(), sits


# ---- pictures ----

def test_maps_are_as_large_as_pictures_and_keep_their_units(pics):
    model, _ = made('resnet10t', n=2)
    x = np.asarray(pics.x[:5])
    m = G.maps_of(model, x, [0, 1, 0, 1, 0], bs=2)
    assert m.shape == (5, 64, 64)
    assert m.dtype == np.float32
    assert (m >= 0).all()
    assert np.allclose(m[1], G.maps_of(model, x[1:2], 1)[0], atol=1e-5), 'a map does not depend on its batch'
    with torch.no_grad(): model.get_classifier().weight.mul_(.1)
    assert np.allclose(G.maps_of(model, x, [0, 1, 0, 1, 0]), m * .1, atol=1e-5)


def test_weak_evidence_looks_weak():
    x, m = np.full((2, 16, 16, 3), 128, np.uint8), np.zeros((2, 16, 16), np.float32)
    m[0, 4:8, 4:8], m[1, 4:8, 4:8] = 1, .1
    g = G.map_grid(x, m, cell=16)
    strong, weak = (g[-20:-4, k * 20:k * 20 + 16].astype(int) for k in (0, 1))
    lift = lambda a: np.abs(a - a[15, 15]).max()
    assert lift(strong) > 4 * lift(weak)


def test_explorer_draws_every_position(pics):
    model, _ = made('resnet10t', n=2)
    x = np.asarray(pics.x[:3])
    maps = {name: G.maps_of(model, x, 1, name) for name in G.candidate_layers(model, 64)}
    e = maps_explorer(x, maps, 'layer', {name: 'words.' for name in maps}, 'Layers')
    said = [e.draw_at(k=k)[1] for k in range(len(maps))]
    assert all(s.startswith(f'{n}: words. Scale') for s, n in zip(said, maps))
    assert 'type="range"' in e.html()
