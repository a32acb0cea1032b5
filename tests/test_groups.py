"Groups: every parameter once, the rates the optimizer really holds, and how far weights move."
import numpy as np, pytest, torch
from fastai.optimizer import OptimWrapper
from hypothesis import given, strategies as st
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from torch import nn

from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.show.explorer import Slider
from course_utils.techniques.layer_groups import UpdateRatio, group_modules, group_table, inspect_groups, layer_decay_rates, per_layer, per_stage, rates_of, three_groups
from course_utils.explorers.layer_groups import draw_rates, group_colours, rates_explorer
from course_utils.models import create_model
from course_utils.training.recipe import body_and_head
from course_utils.training.learner import make_learner
from course_utils.training.train import train
from course_utils.techniques.transfer import article_head

ARCHS = ['resnet18', 'resnet10t', 'regnetx_002', 'tf_efficientnet_lite0', 'convnext_atto', 'vit_tiny_patch16_224', 'densenet121', 'mobilenetv3_small_050',
         'swin_tiny_patch4_window7_224', 'efficientnetv2_rw_t']
SPLITTERS = [three_groups, per_stage, per_layer]
RATE = st.floats(1e-8, 1.)

@pytest.fixture(scope='module')
def pics(): return load_pictures('solar', size=32, limit=120)

def learner(pics, **kwargs): return make_learner(pics, 'resnet10t', quiet=True, device='cpu', bs=32, **kwargs)


# ---- groups ----

@pytest.mark.parametrize('splitter', SPLITTERS)
@pytest.mark.parametrize('arch', ARCHS)
def test_every_parameter_is_in_one_group(arch, splitter):
    model = create_model(arch, 3, pretrained=False)
    groups = splitter(model)
    assert sorted(id(p) for ps in groups for p in ps) == sorted(id(p) for p in model.parameters()) and all(groups)
    assert {id(p) for p in groups[-1]} == {id(p) for p in body_and_head(model)[1]}, 'the last group is what freeze leaves free'
    order = {id(p): k for k, p in enumerate(model.parameters())}
    starts = [min(order[id(p)] for p in ps) for ps in groups]
    assert starts == sorted(starts), 'from the input to the head'


def test_three_groups_of_resnet_are_fastai_s():
    model = create_model('resnet18', 2, pretrained=False)
    early = [model.conv1, model.bn1, model.layer1, model.layer2]  # fastai cuts a resnet's body after its second layer
    groups = three_groups(model)
    assert [id(p) for p in groups[0]] == [id(p) for m in early for p in m.parameters()] and len(groups) == 3


def test_what_stands_beside_the_classifier_goes_with_the_last_stage():
    model = create_model('convnext_atto', 2, pretrained=False)
    assert group_modules(model, per_stage)[-2:] == [['stages.3', 'head.norm'], ['head.fc']]


def test_a_new_head_is_one_group(pics):
    learn = learner(pics, head=article_head, splitter=per_stage)
    learn.create_opt()
    assert len(learn.opt.param_lists[-1]) == len(list(article_head(512, 2).parameters()))
    assert group_modules(learn.model, per_stage)[-1] == ['fc']


@pytest.mark.parametrize('splitter', SPLITTERS)
@pytest.mark.parametrize('arch', ARCHS[:6])
def test_table_adds_up(arch, splitter):
    model = create_model(arch, 3, pretrained=False)
    t = group_table(model, splitter)
    assert t.parameters.sum() == sum(p.numel() for p in model.parameters()) and t.tensors.sum() == len(list(model.parameters())) and t.index[-1] == 'head'
    named = dict(model.named_parameters())
    for modules, ps in zip(group_modules(model, splitter), splitter(model)):
        assert {id(p) for n, p in named.items() if any(n == m or n.startswith(m + '.') for m in modules)} == {id(p) for p in ps}


def test_a_splitter_of_one_s_own_can_be_looked_at():
    model = create_model('resnet10t', 2, pretrained=False)
    def own(m): return [list(m.conv1.parameters()), [p for n, p in m.named_parameters() if not n.startswith('conv1')]]
    assert group_table(model, own).modules.tolist()[0] == 'conv1'


def test_colours_differ():
    for n in range(1, 20): assert len(set(group_colours(n))) == n


# ---- rates ----

def optimizer_rates(learn): return [g['lr'] for g in learn.opt.opt.param_groups]

@pytest.mark.parametrize('lr, want', [(1e-3, [1e-3] * 3), (slice(1e-3), [1e-4, 1e-4, 1e-3]), (slice(1e-5, 1e-3), [1e-5, 1e-4, 1e-3]), ([1e-5, 5e-4, 1e-3], [1e-5, 5e-4, 1e-3])])
def test_rates_are_those_in_torch_s_optimizer(pics, lr, want):
    assert rates_of(lr, 3) == pytest.approx(want)
    run = train(pics, 'resnet10t', 1, lr_max=lr, splitter=three_groups, schedule='constant', quiet=True, device='cpu', bs=32)
    assert optimizer_rates(run.learn) == pytest.approx(want)


def test_decay_reaches_the_optimizer(pics):
    learn = learner(pics, splitter=per_stage)
    learn.create_opt()
    rates = layer_decay_rates(per_stage(learn.model), 1e-3, .5)
    learn.opt.set_hyper('lr', rates)
    assert optimizer_rates(learn) == rates == [1e-3 * .5 ** k for k in range(len(rates))][::-1]


@given(a=RATE, b=RATE, n=st.integers(2, 30))
def test_a_slice_is_even_in_powers(a, b, n):
    used = rates_of(slice(a, b), n)
    assert len(used) == n and used[0] == pytest.approx(a) and used[-1] == pytest.approx(b)
    assert np.allclose(np.diff(np.log(used)), np.log(b / a) / (n - 1), atol=1e-6)


@given(b=RATE, n=st.integers(2, 30))
def test_a_slice_with_one_end_gives_a_tenth(b, n): assert rates_of(slice(b), n) == pytest.approx([b / 10] * (n - 1) + [b])


@given(lr=RATE, decay=st.floats(.01, 1.), n=st.integers(1, 30))
def test_decay_is_one_factor(lr, decay, n):
    rates = layer_decay_rates(n, lr, decay)
    assert len(rates) == n and rates[-1] == lr and np.allclose(np.array(rates[:-1]), decay * np.array(rates[1:]))
    assert rates_of(rates, n) == rates


@pytest.mark.parametrize('decay', [0, -1, 1.01, float('nan')])
def test_decay_out_of_range(decay):
    with pytest.raises(CourseError, match='up to 1'): layer_decay_rates(3, 1e-3, decay)


def test_wrong_number_of_rates():
    with pytest.raises(CourseError, match='2 rates for 3 groups'): rates_of([1e-3, 1e-2], 3)


def test_timm_s_layer_decay_waits_for_timm_s_scheduler():
    opt = create_optimizer_v2(create_model('resnet18', 2, pretrained=False), 'adamw', lr=1e-3, layer_decay=.7)
    assert {g['lr'] for g in opt.param_groups} == {1e-3} and len({g['lr_scale'] for g in opt.param_groups}) > 5
    torch.optim.lr_scheduler.CosineAnnealingLR(opt, 10)
    assert {g['lr'] for g in opt.param_groups} == {1e-3}, "PyTorch's scheduler does not know the scale"
    opt = create_optimizer_v2(create_model('resnet18', 2, pretrained=False), 'adamw', lr=1e-3, layer_decay=.7)
    CosineLRScheduler(opt, t_initial=10)
    for g in opt.param_groups: assert g['lr'] == pytest.approx(1e-3 * g['lr_scale'])


# ---- equal to plain PyTorch ----

def test_equal_to_groups_by_hand(pics):
    rates = [1e-5, 1e-4, 1e-3]
    learn = learner(pics)
    model, losses = learn.model.to(memory_format=torch.channels_last), []
    opt = torch.optim.AdamW([dict(params=ps, lr=lr) for ps, lr in zip(three_groups(model), rates)], weight_decay=.01)
    for _ in range(2):
        model.train(); total = n = 0
        for x, y in learn.dls.train:
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward(); opt.step(); opt.zero_grad()
            total, n = total + loss.item() * len(y), n + len(y)
        losses.append(total / n)
    run = train(pics, 'resnet10t', 2, lr_max=rates, splitter=three_groups, schedule='constant', quiet=True, device='cpu', bs=32)
    assert np.allclose(losses, run.history.train_loss, rtol=1e-4)


# ---- the inspector ----

def test_update_ratio_by_hand(pics):
    rates, steps = [1e-4, 1e-3, 1e-2], 2
    learn = learner(pics, splitter=three_groups)
    model = learn.model.to(memory_format=torch.channels_last).train()
    groups = three_groups(model)
    opt, want, flat = torch.optim.AdamW([dict(params=ps, lr=lr) for ps, lr in zip(groups, rates)], weight_decay=.01), [], lambda ps: torch.cat([p.detach().flatten() for p in ps]).double()
    for (x, y), _ in zip(learn.dls.train, range(steps)):
        before = [flat(ps) for ps in groups]
        nn.functional.cross_entropy(model(x), y).backward()
        opt.step(); opt.zero_grad()
        want.append([float((flat(ps) - b).norm() / b.norm()) for ps, b in zip(groups, before)])
    again = learner(pics, splitter=three_groups)
    ratio = UpdateRatio(steps)
    again.fit(1, rates, cbs=[ratio])
    again.history.bar.close()
    assert len(ratio.rows) == steps and np.allclose(ratio.rows, want, rtol=1e-3)


def test_plain_sgd_moves_by_rate_times_gradient(pics):
    learn = learner(pics, splitter=body_and_head, wd=0.)
    learn.opt_func = lambda params, lr, **kw: OptimWrapper(params, opt=torch.optim.SGD, lr=lr)
    seen = {}
    class Gradients(UpdateRatio):
        def before_step(self):
            super().before_step()
            seen['ratio'] = [lr * torch.cat([p.grad.flatten() for p in ps]).norm() / torch.cat([p.detach().flatten() for p in ps]).norm() for ps, lr in zip(self.opt.param_lists, (.01, .1))]
    cb = Gradients(1)
    learn.fit(1, [.01, .1], cbs=[cb])
    learn.history.bar.close()
    assert np.allclose(cb.rows[0], [float(r) for r in seen['ratio']], rtol=1e-3)


def test_inspector_tells_rates_really_set(pics):
    t = inspect_groups(learner(pics, splitter=three_groups), slice(1e-5, 1e-3), k=5)
    assert t.index.tolist() == ['early', 'middle', 'head'] and np.allclose(t.rate, rates_of(slice(1e-5, 1e-3), 3)) and (t.ratio > 0).all()
    slow = inspect_groups(learner(pics, splitter=three_groups), slice(1e-7, 1e-3), k=5)
    assert slow.ratio['early'] < t.ratio['early'] / 10


# ---- the explorer ----

@pytest.mark.parametrize('power, times', [(0., '1'), (.1, '1.26'), (1., '10'), (1.5, '31.6'), (3., '1,000')])
def test_explorer_shows_the_optimizer_s_numbers(power, times):
    e = rates_explorer(['early', 'middle', 'head'], lambda p: slice(1e-3 / 10 ** p, 1e-3), Slider('power', 'spread', 0., 3., .1, 1.), 'Rates')
    picture, words = e.at(power=power)
    used = rates_of(slice(1e-3 / 10 ** power, 1e-3), 3)
    assert f'{used[0]:.2e}' in words and f'{used[-1]:.2e}' in words and f': {times} times as fast' in words
    assert picture.dtype == np.uint8 and picture.shape == e.at(power=2.)[0].shape


def test_a_longer_bar_is_a_higher_rate():
    blue = lambda rate: int((draw_rates(['a', 'b', 'c'], [rate] * 3) == group_colours(3)[0]).all(2).sum())
    assert blue(1e-6) < blue(1e-4) < blue(1e-2) and blue(1e-9) >= 0 and blue(9.) > 0
