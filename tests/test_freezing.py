"Frozen stages: the same training as without the cut, and a network that is whole afterwards."
from dataclasses import replace
from functools import partial

import numpy as np, pytest, timm, torch
from fastai.callback.core import Callback
from torch import nn
from torch.nn.functional import cross_entropy

from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.models import create_model, norm_of
from course_utils.data.loader import to_input
from course_utils.techniques.layer_groups import per_stage
from course_utils.techniques.lr_finder import lr_find
from course_utils.techniques.tta import symmetric_views
from course_utils.training import frozen_maps
from course_utils.training.freezing import cut, frozen_names, stages, still
from course_utils.training.frozen_maps import FrozenMaps, MapLoader, SYMMETRIES, make_room, symmetric_view
from course_utils.training.learner import make_learner
from course_utils.training.recipe import Recipe
from course_utils.training.train import fit, train
from course_utils.training.untouched import learner_state

RECIPE = Recipe('resnet10t', 2, freeze_stages=3, schedule='constant', bs=16)
train_on_cpu = partial(train, quiet=True, device='cpu')
learner_on_cpu = partial(make_learner, quiet=True, device='cpu')


@pytest.fixture(scope='module')
def pics(): return load_pictures('solar', size=32, limit=96)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path))
    return tmp_path


def lived_in(arch: str) -> nn.Module:
    "An untrained network whose BatchNorm layers have statistics and weights of their own."
    torch.manual_seed(0)
    model = timm.create_model(arch, num_classes=3)
    for module in model.modules():
        if not isinstance(module, nn.BatchNorm2d): continue
        nn.init.uniform_(module.weight, .5, 1.5)
        nn.init.uniform_(module.bias, -.2, .2)
        module.running_mean.uniform_(-.2, .2)
        module.running_var.uniform_(.5, 1.5)
    return model


def without(model: nn.Module, names: list) -> nn.Module:
    for name in names: model.set_submodule(name, nn.Identity())
    return model


# ---- the cut ----

@pytest.mark.parametrize('arch, names', [
    ('tf_efficientnet_lite0', ['conv_stem', 'bn1', 'blocks.0', 'blocks.1', 'blocks.2']),
    ('resnet10t', ['conv1', 'bn1', 'act1', 'maxpool', 'layer1', 'layer2', 'layer3']),
    ('regnetx_002', ['stem', 's1', 's2', 's3']),
    ('convnext_atto', ['stem', 'stages.0', 'stages.1', 'stages.2']),
    ('densenet121', None),
    ('vit_tiny_patch16_224', ['patch_embed']),  # what comes after it adds the places: the rest of the frozen stages stays in the network
])
def test_front_and_rest_are_the_network(arch, names):
    size = 224 if 'vit' in arch else 64
    model = lived_in(arch).eval()
    x = torch.randn(2, 3, size, size)
    with torch.no_grad():
        expected = model(x)
        found = cut(model, 4, x)
        got = without(model, found.names)(found.front(x))
    assert found.names == names or names is None
    assert torch.allclose(got, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def test_batchnorm_is_folded():
    found = cut(lived_in('tf_efficientnet_lite0'), 5, torch.randn(2, 3, 64, 64))
    assert not [module for module in found.front.modules() if isinstance(module, nn.BatchNorm2d)]


def test_the_cut_leaves_the_network_alone():
    model = lived_in('resnet10t')
    before = {name: value.clone() for name, value in model.state_dict().items()}
    cut(model, 3, torch.randn(2, 3, 64, 64))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_dropout_after_the_last_frozen_stage_stays_awake():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(.5), nn.Conv2d(4, 2, 3))
    model.group_matcher = lambda coarse: dict(stem=r'^0', blocks=r'^2')
    assert cut(model, 1, torch.randn(2, 3, 8, 8)).names == ['0']


def test_stages_are_those_of_lesson_05():
    model = create_model('tf_efficientnet_lite0', 2, pretrained=False)
    named = dict(model.named_parameters())
    for names, group in list(zip(stages(model), per_stage(model)))[:-1]:
        assert {id(named[name]) for name in names} == {id(p) for p in group}


@pytest.mark.parametrize('n', [-1, 6, 99])
def test_no_such_stages(n):
    with pytest.raises(CourseError, match='can only be 0 to 5'): frozen_names(lived_in('resnet10t'), n)


# ---- training ----

def plain_losses(pics, recipe) -> list:
    "What anyone would write: frozen parameters without a gradient, their modules in `eval` mode, all of the network in every step."
    learn = learner_on_cpu(pics, recipe)
    model = learn.model.to(memory_format=torch.channels_last)
    frozen = frozen_names(model, recipe.freeze_stages)
    opt = torch.optim.AdamW(model.parameters(), lr=recipe.lr_max, weight_decay=recipe.wd)
    losses = []
    for _ in range(recipe.epochs):
        model.train()
        still(model, frozen)
        total = n = 0
        for x, y in learn.dls.train:
            loss = cross_entropy(model(x), y)
            loss.backward()
            opt.step()
            opt.zero_grad()
            total += loss.item() * len(y)
            n += len(y)
        losses.append(total / n)
    return losses


def test_the_same_training_as_without_the_cut(pics):
    run = train_on_cpu(pics, RECIPE)
    assert np.allclose(run.history.train_loss, plain_losses(pics, RECIPE), rtol=2e-3)


def test_the_last_held_out_loss_is_the_whole_network_s(pics):
    run = train_on_cpu(pics, RECIPE)
    assert abs(run.history.valid_loss.iloc[-1] - run.valid_loss) < 2e-3


@pytest.mark.parametrize('more', [dict(), dict(kept_views=8), dict(freeze_epochs=1)])
def test_frozen_stages_stay_to_the_bit(pics, more):
    recipe = replace(RECIPE, **more)
    before = {name: value.clone() for name, value in learner_on_cpu(pics, recipe).model.state_dict().items()}
    after = train_on_cpu(pics, recipe).model.state_dict()
    changed = {name.split('.')[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {'layer3', 'layer4', 'fc'}


def saved_bytes(learn) -> int:
    "What a step keeps for its backward pass."
    total = 0

    weights = {p.data_ptr() for p in learn.model.parameters()}  # they are there anyway

    def keep(tensor):
        nonlocal total
        total += tensor.nbytes * (tensor.data_ptr() not in weights)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor): learn.fit(1)
    return total


def test_less_is_kept_for_the_backward_pass(pics):
    recipe = replace(RECIPE, arch='tf_efficientnet_lite0', freeze_stages=5)
    plain = saved_bytes(learner_on_cpu(pics, replace(recipe, freeze_stages=0)))
    frozen = saved_bytes(learner_on_cpu(pics, recipe))
    assert frozen < .6 * plain


def test_a_rate_of_zero_takes_the_same_road(pics):
    recipe = replace(RECIPE, freeze_stages=0, groups=per_stage, lr_max=[0, 0, 0, 1e-3, 1e-3, 1e-3])
    run = train_on_cpu(pics, recipe)
    frozen = train_on_cpu(pics, replace(RECIPE, lr_max=1e-3))
    assert np.allclose(run.probs, frozen.probs, atol=1e-5)


@pytest.mark.parametrize('later', [1e-3, [1e-3] * 6])
@pytest.mark.parametrize('n_stages', [0, 1])
def test_a_rate_of_zero_ends_with_its_fit(pics, later, n_stages):
    learn = learner_on_cpu(pics, replace(RECIPE, freeze_stages=n_stages, groups=per_stage))
    weight = learn.model.get_submodule('layer2.0.conv1').weight
    before = weight.detach().clone()
    fit(learn, 1, [0, 0, 0, 1e-3, 1e-3, 1e-3], 'constant')
    assert torch.equal(weight, before)
    fit(learn, 1, later, 'constant')
    assert not torch.equal(weight, before)


@pytest.mark.fault
@pytest.mark.parametrize('n_stages, lr_max', [(3, 1e-3), (0, [0, 0, 0, 1e-3, 1e-3, 1e-3])])
def test_whole_after_an_error(pics, n_stages, lr_max):
    learn = learner_on_cpu(pics, replace(RECIPE, freeze_stages=n_stages, groups=per_stage))
    modules = dict(learn.model.named_modules())
    loaders = learn.dls

    class Fail(Callback):
        def after_step(self): raise RuntimeError('stop')

    with pytest.raises(RuntimeError, match='stop'): fit(learn, 1, lr_max, callbacks=[Fail()])
    assert dict(learn.model.named_modules()) == modules
    assert learn.dls is loaders


def test_the_finder_leaves_no_trace(pics):
    learn = learner_on_cpu(pics, RECIPE)
    before = learner_state(learn)
    curve = lr_find(learn, n=10)
    assert len(curve.lrs) and learner_state(learn) == before


def test_other_weights_are_another_front(pics):
    learn = learner_on_cpu(pics, RECIPE)
    learn.fit(1)
    first = learn.freeze_stages.cut
    learn.fit(1)
    assert learn.freeze_stages.cut is first
    with torch.no_grad(): learn.model.conv1[0].weight.mul_(2)
    learn.fit(1)
    assert learn.freeze_stages.cut is not first


# ---- kept views ----

@pytest.mark.parametrize('n', [1, 2, 4, 8])
def test_views_are_those_of_lesson_06(pics, n):
    images = pics.x[:3]
    expected = {view(images).tobytes() for view in symmetric_views()}
    x = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)
    got = [symmetric_view(x, *view).permute(0, 2, 3, 1).contiguous().numpy().tobytes() for view in SYMMETRIES[n]]
    assert len(set(got)) == n
    assert set(got) <= expected


def test_maps_are_the_front_s(pics):
    model = lived_in('resnet10t')
    mean, std = norm_of(model)
    x = to_input(pics.x[:5], mean, std)
    front = cut(model, 3, x).front
    maps = FrozenMaps(pics.x, front, 'key', mean, std, 8, 'cpu')
    maps.fill(3, np.arange(5))
    expected = front(symmetric_view(x, *SYMMETRIES[8][3]))
    got = maps.rows(np.full(5, 3), np.arange(5))
    assert torch.allclose(got, expected, rtol=2e-3, atol=2e-3)


def test_each_view_is_computed_once(pics):
    seen = []

    def front(x):
        seen.append(len(x))
        return x

    mean, std = (0., 0., 0.), (1., 1., 1.)
    first = FrozenMaps(pics.x, front, 'key', mean, std, 4, 'cpu')
    for view in range(4): first.fill(view, np.arange(60))
    seen.clear()
    other = FrozenMaps(pics.x, front, 'key', mean, std, 8, 'cpu')  # another training, eight views: four are there
    for view in range(8): other.fill(view, np.arange(60))
    assert sum(seen) == 1 + 4 * 60  # one to learn the shape


def test_two_kinds_of_numbers_lie_in_two_files(pics):
    "Else each would write over the other's."
    whole = FrozenMaps(pics.x, nn.Identity(), 'key', (0.,) * 3, (1.,) * 3, 1, 'cpu', dtype=torch.float32)
    whole.fill(0, np.arange(60))
    before = np.array(whole.maps[0])
    half = FrozenMaps(pics.x, nn.Identity(), 'key', (0.,) * 3, (1.,) * 3, 1, 'cpu')
    half.fill(0, np.arange(60))
    again = FrozenMaps(pics.x, nn.Identity(), 'key', (0.,) * 3, (1.,) * 3, 1, 'cpu', dtype=torch.float32)
    assert again.is_done[0][:60].all()
    assert np.array_equal(again.maps[0], before)


def test_every_view_is_drawn_as_often(pics):
    drawn = []

    class Maps:
        def fill(self, view, idx): pass
        def rows(self, view, idx):
            drawn.extend(view)
            return torch.zeros(len(idx))

    loader = MapLoader(Maps(), range(64), np.zeros(64), 8, bs=16, shuffle=True, num_workers=0)
    for _ in range(50): list(loader)
    counts = np.bincount(drawn, minlength=8)
    assert counts.sum() == 3200
    assert abs(counts - 400).max() < 5 * np.sqrt(400)  # five standard deviations


def test_views_are_learnt_from(pics):
    plain = train_on_cpu(pics, RECIPE)
    turned = train_on_cpu(pics, replace(RECIPE, kept_views=8))
    assert not np.allclose(plain.history.train_loss, turned.history.train_loss, rtol=1e-3)
    again = train_on_cpu(pics, replace(RECIPE, kept_views=8))
    assert np.array_equal(again.probs, turned.probs)


@pytest.mark.fault
def test_what_16_bits_cannot_hold(pics):
    maps = FrozenMaps(pics.x, lambda x: x * 1e6, 'key', (0., 0., 0.), (1., 1., 1.), 1, 'cpu')
    with pytest.raises(CourseError, match='kept_views=0'): maps.fill(0, np.arange(4))


def test_old_maps_make_room(tmp_path):
    for i in range(4): np.save(tmp_path/f'{i}.npy', np.ones(100_000))
    make_room(tmp_path, limit=2e6)
    assert len(list(tmp_path.glob('*.npy'))) == 2


def test_maps_whose_file_made_room_are_computed_anew(pics, cache):
    "What was done stands in a file of its own, which is small and may outlive that of the maps."
    maps_of_view = partial(FrozenMaps, pics.x, lambda x: x, 'key', (0., 0., 0.), (1., 1., 1.), 1, 'cpu')
    first = maps_of_view()
    first.fill(0, np.arange(4))
    before = np.array(first.maps[0][:4])
    assert before.any()
    for file in (cache/'maps').glob('*.npy'):
        if not file.stem.endswith('_done'): file.unlink()
    again = maps_of_view()
    again.fill(0, np.arange(4))
    assert np.array_equal(again.maps[0][:4], before)


@pytest.mark.fault
@pytest.mark.parametrize('change, words', [
    (dict(kept_views=3), 'kept_views is 3'),
    (dict(kept_views=8, freeze_stages=0), 'set freeze_stages'),
    (dict(kept_views=8, augment=len), 'leave out augment'),
])
def test_recipes_that_contradict_themselves(change, words):
    with pytest.raises(CourseError, match=words): replace(RECIPE, **change)


def test_maps_are_read_from_where_they_were_kept(pics, monkeypatch):
    recipe = replace(RECIPE, kept_views=4)
    first = train_on_cpu(pics, recipe)
    computed = []
    compute = FrozenMaps.compute
    def counted(self, places, *view):
        computed.append(len(places))
        return compute(self, places, *view)
    monkeypatch.setattr(frozen_maps.FrozenMaps, 'compute', counted)
    again = train_on_cpu(pics, recipe)
    assert sum(computed) == 1
    assert np.array_equal(first.probs, again.probs)
