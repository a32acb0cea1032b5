"Scaling: what is counted is right, what is cut still fits, and the smallest that is enough is chosen with its doubt."
import json, math
from types import SimpleNamespace

import numpy as np, pandas as pd, pytest, timm, torch
from hypothesis import given, settings, strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.explorers.scaling import scaling_explorer
from course_utils.models import PACKAGED, count, create_model
from course_utils.techniques import scaling
from course_utils.report.intervals import paired_difference_interval
from course_utils.report import scaling_results
from course_utils.report.headlines import headline_of
from course_utils.report.scaling_results import scaling_in_words, scaling_measured, scaling_verdict, scalings_measured
from course_utils.report.stats import relative_change
from course_utils.techniques.scaling import (SMALL_ARCH, axes_of, costs, macs, milliseconds, saved_bytes, shallow_efficientnet, small_resnet, smallest_enough, with_weights)
from course_utils.training.learner import build_model
from course_utils.training.recipe import Recipe
from course_utils.training.train import train
from data_scripts.experiments import engine, measure as M

LITE = 'tf_efficientnet_lite0'


@pytest.fixture(scope='module')
def pics(): return load_pictures('solar', size=32, limit=120)

def by_torch(model, x):
    with FlopCounterMode(display=False) as counter, torch.no_grad(): model.eval()(x)
    return counter.get_total_flops() // 2

def small_model(pics, options): return build_model(Recipe(SMALL_ARCH, 1, model=options), len(pics.classes))

def scaled(pics, **scale): return small_model(pics, small_resnet(**scale))


# ---- counting ----

@pytest.mark.parametrize('arch', [LITE, 'resnet10t', 'regnetx_002', 'resnext50_32x4d', 'convnext_atto', 'tf_efficientnetv2_b0', 'mobilenetv3_small_050'])
@pytest.mark.parametrize('size', [32, 65])
def test_macs_are_torch_s(arch, size):
    model = create_model(arch, pretrained=False).train()
    assert macs(model, size) == by_torch(model, torch.zeros(1, 3, size, size))
    assert not any(m._forward_hooks for m in model.modules())

def test_macs_leave_the_model_as_it_was():
    model = create_model('resnet10t', pretrained=False).train()
    model.layer1.eval()  # a stage that is kept still
    before = {k: v.clone() for k, v in model.state_dict().items()}
    macs(model, 32)
    assert model.training and model.layer2[0].bn1.training
    assert not model.layer1[0].bn1.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())

def test_hooks_are_taken_off_where_the_picture_does_not_fit():
    model = create_model('vit_tiny_patch16_224', pretrained=False)
    with pytest.raises(AssertionError): macs(model, 64)
    assert not any(m._forward_hooks for m in model.modules())
    assert model.training

def test_attention_is_missed_as_the_lesson_says():
    model = create_model('vit_tiny_patch16_224', pretrained=False)
    assert macs(model, 224) < by_torch(model, torch.zeros(1, 3, 224, 224))

def test_saved_bytes_by_hand():
    # saved: the input for the linear layer's weight, its output's ReLU as ReLU's result, and that again (once) for the second layer
    model = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5))
    assert saved_bytes(model, torch.randn(7, 10)) == 4 * 7 * (10 + 20)
    assert saved_bytes(nn.Sequential(nn.Linear(10, 20), nn.Sigmoid()), torch.randn(7, 10)) == 4 * 7 * (10 + 20)

def test_nothing_is_saved_where_nothing_is_learnt():
    model = nn.Linear(10, 20).requires_grad_(False)
    assert saved_bytes(model, torch.randn(7, 10)) == 0

def test_saved_bytes_grow_with_batch_and_picture(pics):
    model = scaled(pics).train()
    one, batch, large = (saved_bytes(model, torch.randn(b, 3, s, s)) for b, s in ((2, 32), (4, 32), (2, 64)))
    assert batch == pytest.approx(2 * one, rel=.02)
    assert large == pytest.approx(4 * one, rel=.1)

def test_parameters_are_not_saved_memory():
    x = torch.randn(1, 1000)
    assert saved_bytes(nn.Linear(1000, 1000), x) == x.nbytes

def test_costs_leave_the_model_alone_and_order_models(pics):
    model = scaled(pics).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    small = costs(model, 32, bs=8, n=3)
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    large = costs(scaled(pics, width=4), 32, bs=8, n=3)
    assert small['parameters'] == count(model)['parameters']
    assert small['parameter_mb'] == pytest.approx(4e-6 * small['parameters'])
    assert all(large[k] > small[k] > 0 for k in ('parameters', 'macs', 'saved_mb', 'step_ms', 'forward_ms'))
    assert small['step_ms'] > small['forward_ms']

def test_milliseconds_is_the_median_without_the_first(monkeypatch):
    now, takes = [0.], iter([100., 1., 5., 2., 90., 3.])
    monkeypatch.setattr(scaling.time, 'perf_counter', lambda: now[0])
    def f(): now[0] += next(takes)
    assert milliseconds(f, n=5) == 3000

@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_costs_on_a_gpu(pics):
    out = costs(scaled(pics).cuda(), 64)
    assert out['peak_mb'] > out['parameter_mb']


# ---- axes ----

@given(st.floats(.1, 4), st.floats(.1, 4))
@settings(max_examples=40, deadline=None)
def test_small_resnet_scales(depth, width):
    v = small_resnet(depth, width)
    assert abs(sum(v['layers']) - 8 * depth) <= 4
    assert min(v['layers']) >= 1
    assert max(v['layers']) - min(v['layers']) <= 1
    assert all(c % 2 == 0 and c >= 2 for c in v['channels'])

def test_axes_cost_what_the_lesson_says(pics):
    "Twice the depth: about twice; width and side 1.5 times: about 2.25 times; a little of each: about as much."
    work = {name: macs(small_model(pics, a.model), a.size) for name, a in axes_of(64).items()}
    times = {name: v / work['base'] for name, v in work.items()}
    assert times['half the pictures'] == 1
    assert .4 < times['half as deep'] < .7
    assert 1.7 < times['deeper'] < 2.2
    assert times['wider'] == pytest.approx(2.25, abs=.1)
    assert times['larger pictures'] == pytest.approx(2.25, abs=.1)
    assert 1.9 < times['a little of each'] < 2.6

def test_larger_pictures_cost_no_parameters(pics):
    n = {name: count(small_model(pics, a.model))['parameters'] for name, a in axes_of(64).items()}
    assert n['larger pictures'] == n['base'] < n['a little of each']
    assert n['half as deep'] < n['base'] < n['deeper']


# ---- shallow ----

@pytest.mark.parametrize('base', [LITE, 'tf_efficientnetv2_b0'])
@pytest.mark.parametrize('share', [.25, .5, .75, 1])
def test_shallow_keeps_the_first_blocks(base, share):
    packaged = base in PACKAGED
    whole, cut = create_model(base, pretrained=packaged), shallow_efficientnet(packaged, base=base, share_kept=share)
    assert [len(s) for s in cut.blocks] == [max(1, round(share * len(s))) for s in whole.blocks]
    if packaged: assert all(torch.equal(v, whole.state_dict()[k]) for k, v in cut.state_dict().items())
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode(): same = torch.equal(cut.eval()(x), whole.eval()(x)) if packaged else cut(x).shape == whole(x).shape
    assert same == (share == 1 or not packaged)

@pytest.mark.parametrize('share', [0, -1, 1.5])
def test_shallow_refuses(share):
    with pytest.raises(CourseError, match='share_kept'): shallow_efficientnet(share_kept=share)

def test_shallow_trains_and_is_found_again(pics, tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path))
    recipe = Recipe('shallow_efficientnet', 1, pretrained=True, model=dict(share_kept=.5))
    go = lambda: train(pics, recipe, keep=True, quiet=True, device='cpu')
    first, again = go(), go()
    assert not first.kept.startswith('found')
    assert again.kept.startswith('found')
    assert all(torch.equal(a, b) for a, b in zip(first.model.state_dict().values(), again.model.cpu().state_dict().values()))

def test_where_weights_cannot_be_had_it_says_so(capsys):
    assert with_weights([LITE]) == [LITE]
    assert capsys.readouterr().out == ''
    assert with_weights(['tf_efficientnetv2_b0', 'resnext50_32x4d']) == list(PACKAGED)
    said = capsys.readouterr().out
    assert 'tf_efficientnetv2_b0, resnext50_32x4d need' in said
    assert LITE in said
    assert with_weights(['resnext50_32x4d', LITE]) == [LITE]
    assert 'Used: ' + LITE in capsys.readouterr().out

def test_the_names_at_profile_gpu_are_timm_s():
    for name in [f'tf_efficientnetv2_{s}' for s in ('b0', 'b1', 'b2', 'b3', 's', 'm', 'l')] + ['resnext50_32x4d']: assert timm.is_model_pretrained(name)


# ---- choosing ----

def models(**rows): return pd.DataFrame({n: dict(zip(('macs', 'difference', 'low', 'high'), r)) for n, r in rows.items()}).T

def test_smallest_enough():
    t = models(large=(100, 0., 0., 0.), good=(50, -.002, -.008, .004), open=(20, -.005, -.03, .02), bad=(10, -.1, -.12, -.08), edge=(15, -.02, -.03, -.005))
    chosen, by_mean, shown = smallest_enough(t)
    assert chosen.verdict.to_dict() == dict(bad='worse, shown', edge='open', open='open', good='good enough, shown', large='best')
    assert (by_mean, shown) == ('open', 'good')
    assert smallest_enough(t, margin=.5)[1:] == ('bad', 'bad')
    assert smallest_enough(t, margin=0)[1:] == ('large', 'large')
    assert smallest_enough(t[::-1])[1:] == (by_mean, shown), 'the order of the rows does not matter'

def test_two_perfect_models_on_8_pictures_are_left_open():
    "A tie is no proof: the smaller one is what the means say, and not shown."
    low, high = paired_difference_interval(np.ones(8), np.ones(8))
    for best in ((10, 0., 0., 0.), (10, 0., low, high), (10, 1e-9, 0., 0.)):
        chosen, by_mean, shown = smallest_enough(models(small=(1, 0., low, high), best=best))
        assert chosen.verdict.to_dict() == dict(small='open', best='best')
        assert (by_mean, shown) == ('small', 'best')

def test_smallest_enough_by_another_cost():
    t = models(a=(1, 0., 0., 0.), b=(2, 0., -.001, .001)).assign(step_ms=[5., 1.])
    assert smallest_enough(t)[2] == 'a'
    assert smallest_enough(t, cost='step_ms')[2] == 'b'

@pytest.mark.parametrize('margin', [-.01, math.nan])
def test_smallest_enough_refuses(margin):
    with pytest.raises(CourseError, match='margin'): smallest_enough(models(a=(1, 0., 0., 0.)), margin=margin)

@given(st.lists(st.tuples(st.integers(1, 99), st.floats(-.1, -1e-4), st.floats(0, .05)), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_what_is_shown_is_never_smaller_than_what_the_means_say(rows):
    t = models(best=(100, 0., 0., 0.), **{f'm{k}': (m, d, d - w, d + w) for k, (m, d, w) in enumerate(rows)})
    chosen, by_mean, shown = smallest_enough(t)
    assert chosen.macs[by_mean] <= chosen.macs[shown]
    assert chosen.difference[by_mean] >= -.01
    assert shown == 'best' or chosen.low[shown] >= -.01


# ---- the article's finding ----

def test_relative_change():
    rng = np.random.default_rng(0)
    small = rng.gamma(2, size=(3, 400))
    assert relative_change(small, small) == (0, 0, 0)
    assert relative_change(small, small * .55) == pytest.approx((-.45,) * 3)
    mean, low, high = relative_change(small[0], rng.gamma(2, size=400))
    assert low < mean < high
    assert high - low > .05
    with pytest.raises(CourseError, match='same pictures'): relative_change(small, small[:, :5])

def test_the_interval_of_relative_change_covers():
    "Of 200 pairs without any true difference, about 95 in 100 intervals hold zero."
    rng = np.random.default_rng(1)
    hold = [low <= 0 <= high for low, high in (relative_change(*rng.gamma(2, size=(2, 300)), n=400, seed=k)[1:] for k in range(200))]
    assert .9 <= np.mean(hold) <= .99


# ---- explorer ----

def a_run(seconds, losses):
    history = pd.DataFrame(dict(valid_loss=losses, valid_accuracy=[1 - loss for loss in losses]))
    return SimpleNamespace(seconds=seconds, history=history)

def test_the_same_seconds_are_fewer_epochs_of_a_costlier_network():
    e = scaling_explorer(dict(small=a_run(10., [.5, .4, .3, .35]), large=a_run(40., [.6, .45, .25, .2])))
    says = {share: e.draw_at(share=share)[1] for share in (5, 25, 100)}
    assert says[25].startswith('After 10 s: ')
    assert 'small 4 epochs, loss 0.350, accuracy 65.0%' in says[25]
    assert 'large 1 epochs, loss 0.600' in says[25]
    assert 'large 4 epochs, loss 0.200' in says[100]
    assert says[5].count('has not finished its first epoch') == 2

def test_the_picture_moves_with_the_seconds():
    e = scaling_explorer(dict(small=a_run(10., [.5, .4, .3]), large=a_run(40., [.6, .45, .25])))
    pictures = [e.draw_at(share=share)[0] for share in (25, 50, 100)]
    assert len({picture.tobytes() for picture in pictures}) == 3
    assert len({picture.shape for picture in pictures}) == 1

def test_one_curve_and_too_many_are_refused():
    with pytest.raises(CourseError, match='at least two'): scaling_explorer(dict(one=a_run(1., [1.])))
    with pytest.raises(CourseError, match='at most 6'): scaling_explorer({str(k): a_run(1., [1.]) for k in range(7)})


# ---- measured by folds ----

@pytest.mark.slow
def test_measure_scaling(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_PROFILE', 'smoke')
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path))
    runs = M.EXPERIMENTS['scaling'].trials()
    assert len(runs) == 2 * (len(axes_of(32)) + len(M.TUNED))
    some = {k: v for k, v in runs.items() if v.labels['variant'] in ('half the pictures', 'half as deep', 'base') and v.fold == 0}
    assert engine.measure('scaling', some, M.measure_scaling, tmp_path/'scaling.json', say=lambda *a, **k: None) == len(some) == 3
    monkeypatch.setattr(scaling_results, 'MIN_FOLDS', 1)
    table = scaling_measured()
    assert list(table.index) == [('from scratch', 'half the pictures'), ('from scratch', 'half as deep')]
    half = table.loc['from scratch', 'half as deep']
    assert half.parameters < table.parameters['from scratch', 'half the pictures']
    assert 0 <= half.train_accuracy <= 1


def scaling_rows(shares, folds=4, n=160):
    "Rows of the measurement: setting → share named right."
    rng = np.random.default_rng(0)
    runs = {}
    for fold in range(folds):
        for place, (setting, share) in enumerate(shares.items()):
            runs[f'{setting}, fold {fold}'] = dict(
                settings=dict(arm=setting, seed=fold, fold=fold), parameters=1000 * (place + 1), macs=5000, train_accuracy=.9, seconds=1.,
                right=''.join(f'{value:d}' for value in np.arange(n) < share * n), loss=(1 - share + .01 * rng.random(n)).tolist(),
                groups=(np.arange(n) % 16 + 100 * fold).tolist(), data='solar abc', device='CPU', versions=dict(torch='2'), date='2026-01-01')
    return runs

SCALED_SHARES = {'from scratch, base': .7, 'from scratch, deeper': .8, 'fine-tuned, Lite0': .8, 'fine-tuned, Lite0, half as deep': .7,
                 'fine-tuned, Lite2': .8}

def test_variants_are_compared_with_the_base_of_their_kind(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path))
    (tmp_path/'scaling.json').write_text(json.dumps(dict(runs=scaling_rows(SCALED_SHARES))))
    table = scaling_measured()
    assert table.gain.to_dict() == pytest.approx({('from scratch', 'deeper'): .1, ('fine-tuned', 'Lite0, half as deep'): -.1, ('fine-tuned', 'Lite2'): 0})
    assert table.parameters['from scratch', 'deeper'] == 2000
    words = scaling_in_words(table).splitlines()
    assert words[0].startswith('From scratch, against base. Better: deeper, accuracy +10.0%')
    assert words[1].startswith('Fine-tuned, against Lite0. Worse: Lite0, half as deep')
    assert 'No clear difference: Lite2' in words[1]
    assert list(scalings_measured()) == ['solar cells']
    of_scratch, of_tuned = scaling_verdict(scalings_measured()).split('. ')
    assert of_scratch.startswith('Solar cells, from scratch, by folds, against base: 1 helped; the lowest loss of these: deeper, accuracy +10.0%')
    assert of_tuned.startswith('Solar cells, fine-tuned, by folds, against Lite0: 1 hurt, 1 not clear; none has a lower loss than Lite0, nearest: Lite2')
    assert headline_of('08', tmp_path) == f'{of_scratch}. {of_tuned}'.removesuffix('.')

def test_a_fold_under_way_counts_in_no_column(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path))
    runs = scaling_rows(SCALED_SHARES)
    runs.popitem()
    runs['from scratch, deeper, fold 3']['train_accuracy'] = 0.
    (tmp_path/'scaling.json').write_text(json.dumps(dict(runs=runs)))
    assert set(scaling_measured().train_accuracy) == {.9}

def test_two_folds_say_nothing_yet(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path))
    for folds, n_rows in ((2, 0), (3, 3)):
        (tmp_path/'scaling.json').write_text(json.dumps(dict(runs=scaling_rows(SCALED_SHARES, folds=folds))))
        assert len(scaling_measured()) == n_rows

def test_scaling_that_is_not_measured_by_folds_says_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path))
    assert scalings_measured() == {}
    assert scaling_in_words(scaling_measured()) == scaling_verdict(scalings_measured()) == ''
    just_begun = scaling_rows({'from scratch, deeper': .8}, folds=1)
    (tmp_path/'scaling.json').write_text(json.dumps(dict(runs=just_begun)))
    assert scaling_measured().empty
    old = scaling_rows(SCALED_SHARES)
    for row in old.values(): del row['settings']['fold']
    (tmp_path/'scaling.json').write_text(json.dumps(dict(runs=old)))
    assert scaling_measured().empty
