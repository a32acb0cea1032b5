"Groups: every parameter once, the rates the optimizer really holds, and how far weights move."
from types import SimpleNamespace

import numpy as np, pandas as pd, pytest, timm, torch
from fastai.optimizer import OptimWrapper
from hypothesis import given, strategies as st
from timm.optim import create_optimizer_v2, param_groups_layer_decay
from timm.scheduler import CosineLRScheduler
from torch import nn

from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.explorers.layer_groups import draw_rates, group_colours, measured_rates_explorer
from course_utils.models import create_model
from course_utils.show.diagrams import group_sizes
from course_utils.techniques.layer_groups import (UpdateRatio, group_modules, group_table, inspect_groups, layer_decay_rates,
                                                  per_layer, per_stage, rates_of, three_groups)
from course_utils.techniques.transfer import article_head
from course_utils.training.learner import make_learner
from course_utils.training.recipe import Recipe, body_and_head
from course_utils.training.train import train

ARCHS = ['resnet18', 'resnet10t', 'regnetx_002', 'tf_efficientnet_lite0', 'convnext_atto', 'vit_tiny_patch16_224',
         'densenet121', 'mobilenetv3_small_050', 'swin_tiny_patch4_window7_224', 'efficientnetv2_rw_t']
SPLITTERS = [three_groups, per_stage, per_layer]
RATE = st.floats(1e-8, 1.)


@pytest.fixture(scope='module')
def pics(): return load_pictures('solar', size=32, limit=120)


def small_recipe(epochs=1, **settings): return Recipe('resnet10t', epochs, bs=32, **settings)


def learner(pics, **settings): return make_learner(pics, small_recipe(**settings), quiet=True, device='cpu')


def ids(params) -> list: return [id(p) for p in params]


def flat_ids(groups) -> list: return [id(p) for group in groups for p in group]


# ---- groups ----

@pytest.mark.parametrize('splitter', SPLITTERS)
@pytest.mark.parametrize('arch', ARCHS)
def test_every_parameter_is_in_one_group(arch, splitter):
    model = create_model(arch, 3, pretrained=False)
    groups = splitter(model)
    assert all(groups)
    assert sorted(flat_ids(groups)) == sorted(ids(model.parameters()))
    assert set(ids(groups[-1])) == set(ids(body_and_head(model)[1])), 'the last group is what freeze leaves free'
    order = {id(p): k for k, p in enumerate(model.parameters())}
    starts = [min(map(order.get, ids(group))) for group in groups]
    assert starts == sorted(starts), 'from the input to the head'


def test_three_groups_of_resnet_are_fastai_s():
    model = create_model('resnet18', 2, pretrained=False)
    early = [model.conv1, model.bn1, model.layer1, model.layer2]  # fastai cuts a resnet's body after its second layer
    groups = three_groups(model)
    assert len(groups) == 3
    assert ids(groups[0]) == flat_ids(module.parameters() for module in early)


@pytest.mark.parametrize('arch', ARCHS)
def test_the_diagram_s_groups_are_cut_as_the_network_s(arch):
    model = create_model(arch, 3, pretrained=False)
    stages = [ids(group) for group in per_stage(model)]
    held = [sum(stage[0] in ids(group) for stage in stages) for group in three_groups(model)]
    assert held == group_sizes(len(stages))


def test_what_stands_beside_the_classifier_goes_with_the_last_stage():
    model = create_model('convnext_atto', 2, pretrained=False)
    assert group_modules(model, per_stage)[-2:] == [['stages.3', 'head.norm'], ['head.fc']]


def test_a_new_head_is_one_group(pics):
    learn = learner(pics, head=article_head, groups=per_stage)
    learn.create_opt()
    assert len(learn.opt.param_lists[-1]) == len(list(article_head(512, 2).parameters()))
    assert group_modules(learn.model, per_stage)[-1] == ['fc']


@pytest.mark.parametrize('splitter', SPLITTERS)
@pytest.mark.parametrize('arch', ARCHS[:6])
def test_table_adds_up(arch, splitter):
    model = create_model(arch, 3, pretrained=False)
    table = group_table(model, splitter)
    assert table.parameters.sum() == sum(p.numel() for p in model.parameters())
    assert table.tensors.sum() == len(list(model.parameters()))
    assert table.index[-1] == 'head'


@pytest.mark.parametrize('splitter', SPLITTERS)
@pytest.mark.parametrize('arch', ARCHS[:6])
def test_modules_of_a_group_hold_its_parameters(arch, splitter):
    model = create_model(arch, 3, pretrained=False)
    for modules, group in zip(group_modules(model, splitter), splitter(model)):
        starts = tuple(f'{module}.' for module in modules)
        below = [p for name, p in model.named_parameters() if name in modules or name.startswith(starts)]
        assert set(ids(below)) == set(ids(group))


def test_three_groups_have_names_and_others_have_numbers():
    model = create_model('resnet10t', 2, pretrained=False)
    assert group_table(model, three_groups).index.tolist() == ['early', 'middle', 'head']
    assert group_table(model, per_stage).index.tolist() == ['0', '1', '2', '3', '4', 'head']


def test_a_splitter_of_one_s_own_can_be_looked_at():
    model = create_model('resnet10t', 2, pretrained=False)

    def first_and_rest(model):
        rest = [p for name, p in model.named_parameters() if not name.startswith('conv1')]
        return [list(model.conv1.parameters()), rest]

    assert group_table(model, first_and_rest).modules.tolist()[0] == 'conv1'


def test_colours_differ():
    for n in range(1, 20): assert len(set(group_colours(n))) == n


# ---- rates ----

def optimizer_rates(learn): return [g['lr'] for g in learn.opt.opt.param_groups]


@pytest.mark.parametrize('lr, expected', [
    (1e-3, [1e-3, 1e-3, 1e-3]),
    (slice(1e-3), [1e-4, 1e-4, 1e-3]),
    (slice(1e-5, 1e-3), [1e-5, 1e-4, 1e-3]),
    ([1e-5, 5e-4, 1e-3], [1e-5, 5e-4, 1e-3]),
])
def test_rates_are_those_in_torch_s_optimizer(pics, lr, expected):
    assert rates_of(lr, 3) == pytest.approx(expected)
    run = train(pics, small_recipe(lr_max=lr, groups=three_groups, schedule='constant'), quiet=True, device='cpu')
    assert optimizer_rates(run.learn) == pytest.approx(expected)


def test_decay_reaches_the_optimizer(pics):
    learn = learner(pics, groups=per_stage)
    learn.create_opt()
    rates = layer_decay_rates(per_stage(learn.model), 1e-3, .5)
    learn.opt.set_hyper('lr', rates)
    falling = [1e-3 * .5 ** k for k in range(len(rates))]
    assert rates == falling[::-1]
    assert optimizer_rates(learn) == rates


@given(a=RATE, b=RATE, n=st.integers(2, 30))
def test_a_slice_is_even_in_powers(a, b, n):
    rates = rates_of(slice(a, b), n)
    assert len(rates) == n
    assert rates[0] == pytest.approx(a)
    assert rates[-1] == pytest.approx(b)
    assert np.allclose(np.diff(np.log(rates)), np.log(b / a) / (n - 1), atol=1e-6)


@given(b=RATE, n=st.integers(2, 30))
def test_a_slice_with_one_end_gives_a_tenth(b, n):
    assert rates_of(slice(b), n) == pytest.approx([b / 10] * (n - 1) + [b])


@given(lr=RATE, decay=st.floats(.01, 1.), n=st.integers(1, 30))
def test_decay_is_one_factor(lr, decay, n):
    rates = layer_decay_rates(n, lr, decay)
    assert len(rates) == n
    assert rates[-1] == lr
    assert np.allclose(np.array(rates[:-1]), decay * np.array(rates[1:]))
    assert rates_of(rates, n) == rates


@pytest.mark.parametrize('decay', [0, -1, 1.01, float('nan')])
def test_decay_out_of_range(decay):
    with pytest.raises(CourseError, match='up to 1'): layer_decay_rates(3, 1e-3, decay)


def test_wrong_number_of_rates():
    with pytest.raises(CourseError, match='2 rates for 3 groups'): rates_of([1e-3, 1e-2], 3)


def decayed_by_timm():
    model = create_model('resnet18', 2, pretrained=False)
    return create_optimizer_v2(model, 'adamw', lr=1e-3, layer_decay=.7)


def test_timm_s_layer_decay_waits_for_timm_s_scheduler():
    opt = decayed_by_timm()
    assert {g['lr'] for g in opt.param_groups} == {1e-3}
    assert len({g['lr_scale'] for g in opt.param_groups}) > 5
    torch.optim.lr_scheduler.CosineAnnealingLR(opt, 10)
    assert {g['lr'] for g in opt.param_groups} == {1e-3}, "PyTorch's scheduler does not know the scale"
    opt = decayed_by_timm()
    CosineLRScheduler(opt, t_initial=10)
    for g in opt.param_groups: assert g['lr'] == pytest.approx(1e-3 * g['lr_scale'])

def test_timm_s_layer_is_a_block():
    "What lesson 05 says of Lite0 and of B7: so many layers, the first so slow, more than half below a thousandth."
    def scales(arch):
        with torch.device('meta'): model = timm.create_model(arch)
        return sorted({g['lr_scale'] for g in param_groups_layer_decay(model, layer_decay=.75)})
    deep = scales('tf_efficientnet_b7')
    assert (len(scales('tf_efficientnet_lite0')), len(deep)) == (18, 57)
    assert deep[0] == pytest.approx(1e-7, rel=.05)
    assert sum(scale < 1e-3 for scale in deep) > len(deep) / 2


# ---- equal to plain PyTorch ----

def grouped_adamw(model, rates):
    groups = [dict(params=params, lr=lr) for params, lr in zip(three_groups(model), rates)]
    return torch.optim.AdamW(groups, weight_decay=.01)


def test_equal_to_groups_by_hand(pics):
    rates = [1e-5, 1e-4, 1e-3]
    learn = learner(pics)
    model = learn.model.to(memory_format=torch.channels_last)
    opt = grouped_adamw(model, rates)
    losses = []
    for _ in range(2):
        model.train()
        total = n = 0
        for x, y in learn.dls.train:
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            opt.step()
            opt.zero_grad()
            total += loss.item() * len(y)
            n += len(y)
        losses.append(total / n)
    recipe = small_recipe(2, lr_max=rates, groups=three_groups, schedule='constant')
    run = train(pics, recipe, quiet=True, device='cpu')
    assert np.allclose(losses, run.history.train_loss, rtol=1e-4)


# ---- the inspector ----

def flat(params): return torch.cat([p.detach().flatten() for p in params])


def test_update_ratio_by_hand(pics):
    rates, steps = [1e-4, 1e-3, 1e-2], 2
    learn = learner(pics, groups=three_groups)
    model = learn.model.to(memory_format=torch.channels_last).train()
    groups = three_groups(model)
    opt = grouped_adamw(model, rates)
    expected = []
    for (x, y), _ in zip(learn.dls.train, range(steps)):
        old = [flat(group).double() for group in groups]
        nn.functional.cross_entropy(model(x), y).backward()
        opt.step()
        opt.zero_grad()
        moves = [flat(group).double() - o for group, o in zip(groups, old)]
        expected.append([float(move.norm() / o.norm()) for move, o in zip(moves, old)])
    again = learner(pics, groups=three_groups)
    ratio = UpdateRatio(steps)
    again.fit(1, rates, cbs=[ratio])
    again.history.bar.close()
    assert len(ratio.rows) == steps
    assert np.allclose(ratio.rows, expected, rtol=1e-3)


class GradientRatio(UpdateRatio):
    "Writes down what a step of plain SGD will be: rate times gradient, over the weights."
    rates = .01, .1

    def before_step(self):
        super().before_step()
        self.expected = []
        for params, lr in zip(self.opt.param_lists, self.rates):
            gradient = flat([p.grad for p in params])
            self.expected.append(float(lr * gradient.norm() / flat(params).norm()))


def test_plain_sgd_moves_by_rate_times_gradient(pics):
    learn = learner(pics, groups=body_and_head, wd=0.)
    learn.opt_func = lambda params, lr, **settings: OptimWrapper(params, opt=torch.optim.SGD, lr=lr)
    cb = GradientRatio(1)
    learn.fit(1, list(cb.rates), cbs=[cb])
    learn.history.bar.close()
    assert np.allclose(cb.rows[0], cb.expected, rtol=1e-3)


def test_inspector_tells_rates_really_set(pics):
    table = inspect_groups(learner(pics, groups=three_groups), slice(1e-5, 1e-3), k=5)
    assert table.index.tolist() == ['early', 'middle', 'head']
    assert np.allclose(table.rate, rates_of(slice(1e-5, 1e-3), 3))
    assert (table.ratio > 0).all()
    slow = inspect_groups(learner(pics, groups=three_groups), slice(1e-7, 1e-3), k=5)
    assert slow.ratio['early'] < table.ratio['early'] / 10


# ---- the explorer ----

def grid_of_runs() -> dict:
    "Made-up trainings: spread → head's rate → what the explorer reads of a run."
    def run(loss): return SimpleNamespace(history=pd.DataFrame(dict(valid_loss=[1., loss])))
    return {1: {1e-3: run(.5), 1e-2: run(.7)}, 100: {1e-3: run(.6), 1e-2: run(.4)}}


@pytest.mark.parametrize('spread, peak, early, loss', [(1, 1, 1e-3, .5), (1, 2, 1e-2, .7), (2, 1, 1e-5, .6), (2, 2, 1e-4, .4)])
def test_explorer_shows_rates_and_the_loss_that_they_gave(spread, peak, early, loss):
    explorer = measured_rates_explorer(['early', 'middle', 'head'], grid_of_runs())
    picture, words = explorer.draw_at(spread=spread, peak=peak)
    assert f'early layers at {early:.1e}' in words
    assert f'Validation loss at the end {loss:.3f}; the lowest of all 0.400, at spread 100 and 1.0e-02.' in words
    assert picture.dtype == np.uint8
    assert picture.shape == explorer.draw_at()[0].shape


def test_a_rate_that_only_one_spread_has_is_left_out():
    runs = grid_of_runs()
    runs[100][5e-2] = runs[100][1e-2]
    _, peaks = measured_rates_explorer(['early', 'middle', 'head'], runs).sliders
    assert peaks.max == 2


def test_each_position_is_another_picture():
    explorer = measured_rates_explorer(['early', 'middle', 'head'], grid_of_runs())
    pictures = {explorer.draw_at(spread=s, peak=p)[0].tobytes() for s in (1, 2) for p in (1, 2)}
    assert len(pictures) == 4


def test_a_longer_bar_is_a_higher_rate():
    first_colour = group_colours(3)[0]

    def length(rate):
        picture = draw_rates(['a', 'b', 'c'], [rate] * 3)
        return int((picture == first_colour).all(2).sum())

    assert length(1e-6) < length(1e-4) < length(1e-2)
    assert length(1e-9) >= 0
    assert length(9.) > 0
