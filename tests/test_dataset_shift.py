"Rare classes, kinds of pictures, light and views: equal to the references, and what each function promises."
import json
from dataclasses import replace
from pathlib import Path

import albumentations as A, numpy as np, pandas as pd, pytest, torch
from fastai.callback.core import Callback
from hypothesis import given, settings, strategies as st
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.explorers import dataset_shift as explorers
from course_utils.show.explorer import Slider
from course_utils.techniques import dataset_shift as D, imbalance
from course_utils.techniques.augment import share_generator
from course_utils.techniques.transfer import fit_head, linear_head
from course_utils.training.learner import make_learner
from course_utils.training.recipe import Recipe
from course_utils.training.train import train

LESSON = Path(__file__).resolve().parent.parent/'nbs'/'10_troubled_data.ipynb'

def from_lesson(cell_id, **names):
    "What a cell of the lesson defines, for whoever has the names that it needs; its checks and what it shows are left out."
    cells = {cell['id']: ''.join(cell['source']) for cell in json.loads(LESSON.read_text())['cells']}
    definitions = cells[cell_id].split('\n\n')
    exec('\n\n'.join(part for part in definitions if part.startswith(('from', 'import', 'def'))), names)
    return names


@pytest.fixture(scope='module')
def pics(): return load_pictures('solar', size=32, limit=200)

@pytest.fixture
def rng(): return np.random.default_rng(0)

LABELS = st.lists(st.integers(0, 3), min_size=2, max_size=60).map(np.array)


# ---- a rare class ----

@settings(max_examples=200, deadline=None)
@given(y=st.lists(st.integers(0, 2), min_size=30, max_size=200).map(lambda l: np.array([0, 1, 2] * 8 + l)), share=st.floats(0, 1), seed=st.integers(0, 99))
def test_only_the_rare_class_goes(y, share, seed):
    rare = int(np.bincount(y).argmin())
    most = imbalance.most_per_100(y, rare)
    per_100 = max(1, round(share * most))
    i = imbalance.make_rare(y, rare, per_100, seed)
    assert len(set(i)) == len(i)
    assert set(np.flatnonzero(y != rare)) <= set(i)
    k, others = (y[i] == rare).sum(), (y != rare).sum() / 2
    assert k == max(1, round(per_100 / 100 * others))
    assert k <= (y == rare).sum()
    assert set(imbalance.make_rare(y, rare, 1, seed)) <= set(i), 'fewer pictures are some of the more'

@pytest.mark.parametrize('n', range(1, 101))
def test_of_a_hundred(n): assert imbalance.most_per_100(np.repeat([0, 1], [100, n]), 1) == n

def test_no_more_than_there_are(pics):
    rare = imbalance.rarest(pics)
    assert pics.classes[rare] == 'defective'
    most = imbalance.most_per_100(pics.y[pics.train], rare)
    for wrong in (0, most + 1):
        with pytest.raises(CourseError, match=f'1 to {most} pictures'): imbalance.make_rare(pics.y[pics.train], rare, wrong)

def test_rarest_is_held_out_too(pics):
    table = pd.DataFrame(dict(label=[0] * 9 + [1] * 5 + [2] * 3, split=['train'] * 8 + ['valid'] + ['train'] * 4 + ['valid'] + ['train'] * 3))
    assert imbalance.rarest(replace(pics, table=table, classes=['a', 'b', 'c'])) == 1, 'class c is the rarest, but no picture could show it'
    table = pd.DataFrame(dict(label=[0] * 50 + [1] * 3, split=['train'] * 48 + ['valid'] * 2 + ['train'] * 2 + ['valid']))
    assert imbalance.rarest(replace(pics, table=table, classes=['a', 'b'])) == 0, 'class b is too rare already to be made rarer'
    alone = table[(table.label == 1) | (table.split == 'train')]
    with pytest.raises(CourseError, match='enough pictures'): imbalance.rarest(replace(pics, table=alone, classes=['a', 'b']))

@settings(max_examples=200, deadline=None)
@given(y=LABELS, more=LABELS)
def test_held_out_pictures_stand_for_training_s_shares(y, more):
    y_train = np.r_[y, more]  # every class of y is in training
    w = imbalance.as_common_as(y, y_train)
    there = np.isin(y_train, y)
    for c in set(y): assert w[y == c].sum() == pytest.approx((y_train == c).sum() / there.sum())
    assert w.sum() == pytest.approx(1)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(4, 80), classes=st.integers(2, 5))
def test_rates_are_sklearn_s(seed, n, classes):
    rng = np.random.default_rng(seed)
    y, said, w = rng.integers(0, classes, n), rng.integers(0, classes, n), rng.random(n) + .01
    got = imbalance.class_rates(said, y, 1, w)
    assert got['accuracy'] == pytest.approx(metrics.accuracy_score(y, said, sample_weight=w))
    assert got['balanced_accuracy'] == pytest.approx(np.mean([w[(y == c) & (said == c)].sum() / w[y == c].sum() for c in set(y)]))
    if 1 in y: assert got['recall'] == pytest.approx(metrics.recall_score(y == 1, said == 1, sample_weight=w))
    else: assert np.isnan(got['recall'])
    if 1 in said: assert got['precision'] == pytest.approx(metrics.precision_score(y == 1, said == 1, sample_weight=w))
    else: assert np.isnan(got['precision'])
    if set(said) <= set(y): assert imbalance.class_rates(said, y, 1)['balanced_accuracy'] == pytest.approx(metrics.balanced_accuracy_score(y, said))

CURVE = from_lesson('72a80eab', np=np)
AUC = from_lesson('auc-by-hand', np=np)['auc_by_hand']
WEIGHTS = from_lesson('c665a243', torch=torch)['weights_by_hand']

@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 80), levels=st.sampled_from([3, 10, 10_000]))
def test_curve_and_areas_by_hand_are_sklearn_s(seed, n, levels):
    rng = np.random.default_rng(seed)
    p, hit, w = rng.integers(0, levels, n) / levels, rng.random(n) < .4, rng.random(n) + .01
    hit[:2] = True, False
    assert CURVE['average_precision'](p, hit, w) == pytest.approx(metrics.average_precision_score(hit, p, sample_weight=w))
    assert AUC(p, hit) == pytest.approx(metrics.roc_auc_score(hit, p))
    precision, recall = CURVE['precision_recall'](p, hit, w)
    P, R, _ = metrics.precision_recall_curve(hit, p, sample_weight=w)
    assert np.allclose(precision[::-1], P[:-1])
    assert np.allclose(recall[::-1], R[:-1])


# ---- remedies ----

@settings(max_examples=100, deadline=None)
@given(y=LABELS)
def test_class_weights_are_sklearn_s(y):
    w, there = imbalance.class_weights(y, 5).numpy(), np.unique(y)
    assert np.array_equal(WEIGHTS(torch.tensor(y), 5).numpy(), w), 'the lesson\'s by hand'
    assert np.allclose(w[there], compute_class_weight('balanced', classes=there, y=y))
    assert not w[np.setdiff1d(range(5), there)].any()
    assert np.allclose([w[c] * (y == c).sum() for c in there], len(y) / len(there)), 'every class weighs the same'

@pytest.mark.parametrize('classes', [2, 7])
def test_losses_are_torch_s(classes):
    torch.manual_seed(0)
    z, y = torch.randn(64, classes, requires_grad=True), torch.randint(classes, (64,))
    w = torch.rand(classes) + .1
    for ours, theirs in ((imbalance.weighted_cross_entropy(z, y, w), F.cross_entropy(z, y, weight=w)), (imbalance.focal_loss(z, y, 0), F.cross_entropy(z, y))):
        assert torch.allclose(ours, theirs, atol=1e-6)
        assert torch.allclose(*(torch.autograd.grad(l, z, retain_graph=True)[0] for l in (ours, theirs)), atol=1e-6)

@pytest.mark.parametrize('gamma', [.5, 2, 5])
def test_focal_loss_is_torchvision_s(gamma):
    torch.manual_seed(0)
    z, y = torch.randn(64, 2) * 3, torch.randint(2, (64,))
    want = sigmoid_focal_loss(z[:, 1] - z[:, 0], y.float(), alpha=-1, gamma=gamma, reduction='mean')
    assert torch.allclose(imbalance.focal_loss(z, y, gamma), want, atol=1e-6)
    assert not torch.allclose(imbalance.focal_loss(z, y, gamma), imbalance.focal_loss(z, y, 0))

def test_adjusting_is_bayes(rng):
    "Two classes of known densities: the posterior for one prior becomes that for another; back again; and equal shares move the threshold."
    x, old, new = rng.normal(size=500), np.array([.9, .1]), np.array([.3, .7])
    density = np.exp(-(x[:, None] - np.array([0., 1.]))**2 / 2)
    posterior = lambda prior: density * prior / (density * prior).sum(1, keepdims=True)
    assert np.allclose(imbalance.adjust(posterior(old), old, new), posterior(new))
    assert np.allclose(imbalance.adjust(posterior(old), old, old), posterior(old))
    p = posterior(old)
    assert np.array_equal(imbalance.adjust(p, old).argmax(1) == 1, p[:, 1] > .1)
    assert np.isfinite(imbalance.adjust(np.array([[1., 0.]]), np.array([1., 0.]))).all(), 'a class that training never saw'

def test_cost(rng):
    p, hit = rng.random(300), rng.random(300) < .2
    assert imbalance.alarm_cost(p, hit, 2, 10) == pytest.approx(1), 'never raising an alarm'
    assert imbalance.alarm_cost(p, hit, 0, 10) == pytest.approx((~hit).sum() / (10 * hit.sum())), 'always raising one'
    w = rng.random(300)
    assert imbalance.alarm_cost(p, hit, .4, 7, w) == pytest.approx((7 * w[hit & (p < .4)].sum() + w[~hit & (p >= .4)].sum()) / (7 * w[hit].sum()))

def test_a_threshold_is_judged_on_the_other_half(rng):
    p = rng.random(4000)
    is_rare = rng.random(4000) < p
    elsewhere = imbalance.cost_by_halves(p, is_rare, miss=4)
    best = min(imbalance.alarm_cost(p, is_rare, threshold, 4) for threshold in np.arange(.01, 1, .01))
    assert best <= elsewhere < best + .02

def test_best_threshold_for_honest_probabilities(rng):
    "Elkan's 1 / (1 + k), on probabilities that mean what they say."
    p = rng.random(200_000)
    hit = rng.random(len(p)) < p
    for k in (1, 4, 9):
        best = min(np.arange(.02, .99, .02), key=lambda t: imbalance.alarm_cost(p, hit, t, k))
        assert best == pytest.approx(1 / (1 + k), abs=.04)


def test_head_with_loss_and_chances():
    "A rare class that overlaps with the other: each remedy finds more of it than none; and by default fit_head is what it was."
    torch.manual_seed(0)
    x, y = torch.randn(600, 8), (torch.arange(600) < 30).long()
    x[y == 1] += .6
    w = imbalance.class_weights(y, 2)
    go = lambda **kw: fit_head(linear_head(8, 2), x, y, lr=1e-2, epochs=15, **kw)(x).argmax(1)[y == 1].float().mean()
    torch.manual_seed(1)
    plain = go()
    torch.manual_seed(1)
    assert go(loss=F.cross_entropy) == plain
    torch.manual_seed(1)
    weighted = go(loss=lambda z, t: imbalance.weighted_cross_entropy(z, t, w))
    torch.manual_seed(1)
    sampled = go(draw=w[y])
    assert weighted > plain + .3
    assert sampled > plain + .3

def test_balanced_loss_only_while_training(pics):
    "What a step sees is torch's weighted loss; the validation loss is the plain one; afterwards the learner has its own again."
    i = imbalance.make_rare(pics.y[pics.train], 1, 10)
    few = pics.take(np.r_[pics.train[i], pics.valid])
    learn = make_learner(few, Recipe('resnet10t', 1, bs=16), quiet=True, device='cpu')
    before, seen = learn.loss_func, []
    class Watch(Callback):
        order = 90
        def after_loss(self):
            w = imbalance.class_weights(few.y[few.train], 2) if self.training else None
            seen.append((self.training, float(self.loss.detach()), float(F.cross_entropy(self.pred, self.y, weight=w).detach())))
    learn.fit(1, 1e-3, cbs=[imbalance.BalancedLoss, Watch])
    assert {t for t, _, _ in seen} == {True, False}
    assert all(a == pytest.approx(b, abs=1e-5) for _, a, b in seen)
    assert learn.loss_func is before

def test_balanced_sampler(pics):
    "Half of what an epoch draws is of the rare class, within what chance allows; every other epoch is the loader's own."
    few = pics.take(np.r_[pics.train[imbalance.make_rare(pics.y[pics.train], 1, 10)], pics.valid])
    drawn = []
    class Watch(Callback):
        def before_batch(self):
            if self.training: drawn.extend(self.y.tolist())
    learn = make_learner(few, Recipe('resnet10t', 1, bs=8, repeats=4), quiet=True, device='cpu')
    learn.fit(1, 1e-4, cbs=[imbalance.BalancedSampler, Watch])
    share, n = np.mean(drawn), len(drawn)
    assert abs(share - .5) < 3.5 * np.sqrt(.25 / n)
    assert share > 3 * few.y[few.train].mean()
    drawn.clear()
    learn.fit(1, 1e-4, cbs=[Watch])
    assert np.mean(drawn) == pytest.approx(few.y[few.train].mean(), abs=.03)

def test_weighted_runs_are_kept(pics, tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path))
    monkeypatch.delenv('COURSE_FRESH', raising=False)
    go = lambda *callbacks: train(pics, Recipe('resnet10t', 1, bs=32, callbacks=callbacks), keep=True, quiet=True, device='cpu').learn
    assert go(imbalance.BalancedLoss), 'it is trained'
    assert not go(imbalance.BalancedLoss), 'it is found'
    assert go(), 'without the weights it is another'


# ---- kinds, light, two samples ----

def test_domains(pics):
    assert (D.domains(pics) == pics.table.type.to_numpy()).all()
    other = replace(pics, table=pics.table.drop(columns='type'))
    kind, light = D.domains(other), other.x.mean((1, 2, 3))
    for c in (0, 1):
        assert abs((kind[other.y == c] == 'dark').mean() - .5) < .03, 'both kinds in every class'
        assert light[(other.y == c) & (kind == 'dark')].max() <= light[(other.y == c) & (kind == 'bright')].min()

def test_relight(pics):
    x = pics.x[:4]
    assert np.array_equal(D.relight(x), x)
    want = np.round(255 * ((((x / 255)**.5 - .5) * 1.3 + .5) + .1).clip(0, 1)).astype(np.uint8)
    assert np.array_equal(D.relight(x, .1, 1.3, .5), want)
    assert (D.relight(x, contrast=0) == 128).all()
    assert (D.relight(x, brightness=1) == 255).all()
    assert D.relight(x, gamma=2).mean() < x.mean()
    for wrong in (dict(gamma=0), dict(contrast=-1)):
        with pytest.raises(CourseError, match='gamma must be above 0'): D.relight(x, **wrong)

def test_in_light(pics):
    lit = D.in_light(pics, 20, brightness=.2)
    assert 15 <= len(lit) <= 20 < len(pics.valid)
    assert np.array_equal(lit.x, D.relight(pics.x[pics.valid[::-(-len(pics.valid) // 20)]], .2))
    assert len(D.in_light(pics, 10**6)) == len(pics.valid)

def test_lighting_changes_pictures_and_seeds_repeat(pics):
    shown = [D.lighting()(image=pics.x[0])['image'] for _ in range(10)]
    assert len({s.tobytes() for s in shown}) > 5

def test_told_apart(rng):
    a, b = rng.normal(size=(200, 20)), rng.normal(size=(200, 20))
    assert abs(D.told_apart(a, b) - .5) < .12
    assert D.told_apart(a, b + .6) > .9
    assert D.told_apart(a[:2], b[:3] + 9) >= 0
    with pytest.raises(CourseError, match='at least two'): D.told_apart(a, b[:1])
    features, is_b = np.r_[a, b], np.repeat([0, 1], 200)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e4, max_iter=2000)).fit(features, is_b)
    leaky = metrics.roc_auc_score(is_b, model.decision_function(features))
    assert leaky > D.told_apart(a, b) + .05, 'judged on what it has learnt from, it would find a difference that is not there'

def test_feature_gap(rng):
    a = rng.normal(size=(4000, 5))
    assert D.feature_gap(a, a) == 0
    assert D.feature_gap(a, a + 2) == pytest.approx(2, rel=.05)
    assert D.feature_gap(torch.tensor(a), 3 * a) < .1


# ---- views ----

@given(views=st.integers(1, 6), draws=st.integers(0, 12))
def test_expected_views(views, draws):
    "Against the exact count over all draws, by dynamic programming."
    p = np.eye(views + 1)[0]
    for _ in range(draws): p = np.array([p[k] * k / views + (p[k - 1] * (views - k + 1) / views if k else 0) for k in range(views + 1)])
    assert D.expected_views(views, draws) == pytest.approx(p @ np.arange(views + 1))

def test_delivered(pics):
    small, flip = pics.subset(60), share_generator(A.Compose([A.HorizontalFlip(p=.5)]), 0)
    loader = lambda tfm, repeats: small.loaders((.5,) * 3, (.2,) * 3, bs=1, tfm=tfm, repeats=repeats, device='cpu').train
    n = len(small.train)
    assert D.delivered(loader(None, 3), 2) == (6 * n, n)
    handed, different = D.delivered(loader(flip, 2))
    assert handed == 2 * n
    assert abs(different / n - 1.5) < 4 * .5 / np.sqrt(n)
    assert D.delivered(loader(flip, 2), 8)[1] == pytest.approx(2 * n, abs=2)


# ---- explorers ----

def test_rare_explorer(pics):
    slider = Slider('per_100', 'x', 1, 41, 4, 41)
    rows = {q: dict(accuracy=.9, recall=.25, balanced_accuracy=.6, always=1 - q / 150, pictures=q) for q in slider.positions()}
    e = explorers.rare_explorer(pics, 1, pd.DataFrame(rows).T, slider)
    sizes = {e.draw_at(per_100=q)[0].shape for q in slider.positions()}
    assert len(sizes) == 1
    assert 'finds 25 and misses 75' in e.draw_at()[1]
    assert '41 training pictures of defective, 27.3% of all' in e.draw_at()[1]
    orange = lambda q: (e.draw_at(per_100=q)[0][:190] == (213, 94, 0)).all(-1).sum()
    assert orange(41) > 4 * orange(5) > 0

def test_threshold_explorer(rng):
    p, hit = rng.random(200), rng.random(200) < .3
    e = explorers.threshold_explorer(p, hit, name='crack')
    says = e.draw_at(threshold=.5, miss=4)[1]
    assert f'recall {(p[hit] >= .5).mean():.0%}' in says
    assert 'by the formula: 0.20' in says
    assert f'{1000 * (~hit & (p >= .5)).mean():.0f} are false alarms' in says

def test_lighting_explorer(pics):
    measured = {v: dict(told_apart=.5 + v, a=(.8 - v, .9), b=(.8, .7)) for v in (0., .1, .2)}
    e = explorers.lighting_explorer([pics.x[0]] * 8, measured, ['a', 'b'])
    assert e.draw_at()[1].startswith('Brightness +0.10. a: accuracy 70.0%, confidence 90.0%; b: accuracy 80.0%')
    assert 'AUC 0.60' in e.draw_at()[1]
    assert (e.draw_at(place=0)[0] != e.draw_at(place=2)[0]).any()


@pytest.mark.parametrize('kept_views', [0, 2])
@pytest.mark.parametrize('callback', [imbalance.BalancedLoss, imbalance.BalancedSampler])
def test_classes_are_weighed_behind_frozen_stages_too(pics, callback, kept_views):
    "The loaders of maps know the classes, and each loader has its own way to draw again afterwards."
    drawn = []
    class Watch(Callback):
        order = 90
        def before_batch(self):
            if self.training: drawn.extend(self.y.tolist())
    few = pics.take(np.r_[pics.train[imbalance.make_rare(pics.y[pics.train], 1, 10)], pics.valid])
    recipe = Recipe('resnet10t', 2, bs=8, repeats=4, freeze_stages=2, kept_views=kept_views, callbacks=(callback,))
    learn = make_learner(few, recipe, quiet=True, device='cpu')
    before = learn.loss_func
    learn.fit(1, 1e-4, cbs=[callback, Watch])
    if callback is imbalance.BalancedSampler: assert np.mean(drawn) > 3 * few.y[few.train].mean()
    assert learn.loss_func is before
    assert 'shuffle_fn' not in vars(learn.dls.train)
