"Test-time augmentation: exact views, the same numbers as fastai and ttach, exact tests, calibration against its definitions."
import itertools
from copy import deepcopy

import albumentations as A, numpy as np, pytest, torch, ttach
from fastai.vision.all import (CrossEntropyLossFlat, DataLoaders, Datasets, IntToFloatTensor, Learner, Normalize, PILImage,
                               TfmdDL, ToTensor, Transform)
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax
from scipy.stats import binom
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss
from torch import nn

from course_utils.techniques.augment import share_generator
from course_utils.config import CourseError
from course_utils.data.loader import PictureLoader
from course_utils.data.painted import sideways
from course_utils.data.pictures import load_pictures
from course_utils.data.split import stratified_split
from course_utils.models import create_model, norm_of
from course_utils.techniques.calibration import brier, ece, ece_by_chance, reliability, scores, temper, temperature
from course_utils.techniques.tta import (Turn, average, by_number, by_view, changes, random_views, spread,
                                         symmetric_views, tta, tta_logits)
from course_utils.explorers.tta import view_explorer
from course_utils.training.run import cross_entropy as nll, predict


@pytest.fixture(scope='module')
def pics():
    p = load_pictures('solar', size=32, limit=160)
    p.classes = [*p.classes, 'neither']  # a third answer, which no picture has for its label
    return p

@pytest.fixture(scope='module')
def model(pics):
    "A network with random weights, and a head that makes much of little: its answers differ from view to view."
    torch.manual_seed(0)
    m = create_model('resnet10t', 3, pretrained=False).train()
    for bn in m.modules():
        if isinstance(bn, nn.BatchNorm2d): bn.momentum = 1.
    with torch.inference_mode():
        m(normalised(m, pics.x))
        head, z = m.eval().get_classifier(), m(normalised(m, pics.x))
        scale = .5 / z.std(0)
        head.weight.mul_(scale[:, None])
        head.bias.sub_(z.mean(0)).mul_(scale)
    return m

@pytest.fixture(scope='module')
def tfm(): return A.Compose([A.D4(), A.RandomResizedCrop((32, 32), scale=(.7, 1)), A.RandomBrightnessContrast(p=.5)])

@pytest.fixture(scope='module')
def logits(model, pics): return tta_logits(model, pics, symmetric_views())

def normalised(model, x):
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in norm_of(model))
    return (torch.tensor(np.asarray(x)).permute(0, 3, 1, 2) / 255 - mean) / std


# ---- views ----

def test_the_eight_views_are_the_group_of_the_square():
    x = np.arange(2 * 5 * 5 * 3, dtype=np.uint8).reshape(2, 5, 5, 3)
    views, out = symmetric_views(), [v(x) for v in symmetric_views()]
    assert len({o.tobytes() for o in out}) == 8
    assert (out[0] == x).all()
    assert str(views[0]) == 'plain'
    for a, b in itertools.product(views, views): assert a(b(x)).tobytes() in {o.tobytes() for o in out}, 'two of them make a third'
    for o in out:
        assert o.dtype == x.dtype
        assert sorted(o[0].reshape(-1, 3).tolist()) == sorted(x[0].reshape(-1, 3).tolist())
    assert len({str(v) for v in views}) == 8

def test_four_views_keep_rows_and_columns():
    x = np.broadcast_to(np.arange(4, dtype=np.uint8)[:, None, None], (1, 4, 4, 3))  # rows differ, columns do not
    four = symmetric_views(quarters=False)
    assert [str(v) for v in four] == ['plain', '180', 'mirror', 'mirror 180'] == [str(v) for v in symmetric_views()[::2]]
    for v in four: assert (v(x)[..., 0] == v(x)[:, :, :1, 0]).all()
    assert not (Turn(1)(x)[..., 0] == Turn(1)(x)[:, :, :1, 0]).all()

def test_random_views_are_the_same_again_and_differ_from_each_other(pics, tfm):
    x = pics.x[pics.valid[:6]]
    once, again = ([v(x) for v in random_views(tfm, 4, seed=3)] for _ in range(2))
    for a, b in zip(once, again): assert (a == b).all()
    assert (once[0] == x).all()
    assert len({o.tobytes() for o in once}) == 5
    other = random_views(tfm, 4, seed=4)[1]
    assert (other(x) != once[1]).any(), 'a view is the same however often it is drawn'
    assert (other(x) == other(x)).all(), 'a view is the same however often it is drawn'

def test_random_views_leave_the_training_s_transform_alone(pics, tfm):
    def draws(): return [tfm(image=x)['image'].tobytes() for x in pics.x[:5]]
    share_generator(tfm, 0)
    want = draws()
    share_generator(tfm, 0)
    for v in random_views(tfm): v(pics.x[:5])
    assert draws() == want

def test_own_kinds_of_views(model, pics):
    darker = lambda x: (x * .5).astype(np.uint8)
    got = tta_logits(model, pics, [Turn(), darker])
    with torch.inference_mode(): want = model(normalised(model, darker(pics.x[pics.valid])))
    assert np.allclose(got[1], want.numpy(), atol=1e-4)
    assert not np.allclose(got[0], got[1], atol=1e-2)


# ---- logits ----

def test_the_plain_view_is_predict_s_answer(model, pics, logits):
    dl = PictureLoader(pics.x[pics.valid], pics.y[pics.valid], *norm_of(model), bs=64, num_workers=0)
    probs, y = predict(model, dl)
    assert logits.shape == (8, len(pics.valid), 3)
    assert np.abs(average(logits[:1]) - probs).max() < 1e-6
    assert (y == pics.y[pics.valid]).all()

@pytest.mark.parametrize('bs', [1, 7, 1000])
def test_the_size_of_a_batch_changes_nothing(model, pics, tfm, bs):
    idx, views = pics.valid[:9], random_views(tfm)
    assert np.allclose(tta_logits(model, pics, views, idx, bs), tta_logits(model, pics, views, idx), atol=1e-4)

def test_pictures_by_number_in_that_order(model, pics, logits):
    some = [5, 2, 7]
    assert np.allclose(tta_logits(model, pics, symmetric_views(), pics.valid[some]), logits[:, some], atol=1e-4)
    probs, y = tta(model, pics, symmetric_views(), pics.valid[some])
    assert (y == pics.y[pics.valid[some]]).all()
    assert np.allclose(probs, average(logits[:, some]), atol=1e-5)

def test_by_default_the_plain_view_and_the_mirror(model, pics, logits):
    "The turned views are for networks that know them."
    plain, mirrored = 0, [str(view) for view in symmetric_views()].index('mirror')
    probs, _ = tta(model, pics)
    assert np.allclose(probs, average(logits[[plain, mirrored]]), atol=1e-5)
    assert np.abs(probs - average(logits)).max() > 1e-3, 'with this network eight views must give other answers than two'

def test_the_model_is_left_in_eval_mode_and_unchanged(pics, model):
    m = deepcopy(model).train()
    before = {k: v.clone() for k, v in m.state_dict().items()}
    tta_logits(m, pics, symmetric_views(), pics.valid[:4])
    assert not m.training
    assert all(torch.equal(v, before[k]) for k, v in m.state_dict().items())

def test_no_views():
    with pytest.raises(CourseError, match='no views'): tta_logits(None, None, [])

@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_the_device_is_the_model_s(model, pics, logits):
    got = tta_logits(deepcopy(model).cuda(), pics, symmetric_views())
    assert np.abs(average(got) - average(logits)).max() < .02


# ---- the same as ttach ----

def by_ttach(module, model, pics):
    with torch.inference_mode():
        return ttach.ClassificationTTAWrapper(module, ttach.aliases.d4_transform())(normalised(model, pics.x[pics.valid])).double().numpy()

def test_probabilities_are_ttach_s(model, pics):
    got, _ = tta(model, pics, symmetric_views(), bs=1000)
    assert np.abs(got - by_ttach(nn.Sequential(model, nn.Softmax(1)), model, pics)).max() < 1e-6

def test_averaged_logits_are_ttach_s(model, pics, logits):
    want = softmax(by_ttach(model, model, pics), axis=1)
    assert np.abs(average(logits, 'logits') - want).max() < 1e-6
    assert np.abs(average(logits) - want).max() > 1e-3, 'the two ways of averaging must be told apart by this network'

def test_ttach_tells_a_missing_view(model, pics, logits):
    want = by_ttach(nn.Sequential(model, nn.Softmax(1)), model, pics)
    for k in range(8): assert np.abs(average(np.delete(logits, k, 0)) - want).max() > 1e-4


# ---- what a merge wants: lesson 06's table. Should a library mend it, the table has a row to change ----

def merged(kind, views):
    "ttach's merge of the outputs for some views."
    merger = ttach.base.Merger(kind, len(views))
    for view in views: merger.append(torch.as_tensor(view))
    return merger.result.numpy()

SURE = np.array([[[-6., 2.]], [[-6., 2.]]])  # two views, both sure of the second class

def test_gmean_of_logits_turns_a_sure_answer_round():
    assert average(SURE)[0].argmax() == 1
    assert merged('gmean', SURE)[0].argmax() == 0
    assert np.isnan(merged('gmean', [*SURE, SURE[0]])).any(), 'an odd number of negative ones has no root'

def test_tsharpen_of_logits_is_no_number(): assert np.isnan(merged('tsharpen', SURE)).any()

@settings(deadline=None)
@given(arrays(float, (4, 3, 3), elements=st.floats(-8, 8)))
def test_averaged_logits_are_the_geometric_mean_of_probabilities(z):
    geometric = merged('gmean', softmax(z, axis=-1))
    geometric /= geometric.sum(axis=1, keepdims=True)
    assert np.allclose(average(z, 'logits'), geometric)

@pytest.mark.parametrize('kind', ['gmean', 'tsharpen'])
def test_merges_of_probabilities_name_the_class_that_all_views_name(kind):
    assert merged(kind, softmax(SURE, axis=-1))[0].argmax() == 1

@pytest.mark.parametrize('kind, total', [('gmean', .43589), ('tsharpen', 1.19829), ('max', 1.9), ('sum', 2.)])
def test_merges_of_probabilities_need_not_sum_to_one(kind, total):
    unsure = np.array([[[.95, .05]], [[.05, .95]]])  # two views that disagree
    assert merged(kind, unsure).sum() == pytest.approx(total, abs=1e-4)


# ---- the same as fastai ----

class FastaiDraws(Transform):
    "fastai draws the views itself, each pass from that view's seed."
    split_idx = 0
    def __init__(self, views, n): self.views, self.n, self.calls = views, n, 0
    def encodes(self, x: PILImage):
        v, i = self.views[self.calls // self.n], self.calls % self.n
        self.calls += 1
        if isinstance(v, Turn): return PILImage.create(v(np.array(x)[None])[0])
        if i == 0: share_generator(v.tfm, v.seed)
        return PILImage.create(v.tfm(image=np.array(x))['image'])

def by_fastai(model, pics, idx, views, **kwargs):
    data = Datasets(list(idx), [[lambda i: PILImage.create(np.asarray(pics.x[i]))], [lambda i: int(pics.y[i])]])
    dl = TfmdDL(data, bs=16, num_workers=0, after_item=[FastaiDraws(views, len(idx)), ToTensor()],
                after_batch=[IntToFloatTensor(), Normalize.from_stats(*norm_of(model), cuda=False)])
    learn = Learner(DataLoaders(dl, dl, device='cpu'), deepcopy(model), loss_func=CrossEntropyLossFlat())
    with learn.no_bar(): return learn.tta(n=len(views), **kwargs)[0]

@pytest.mark.parametrize('kind', ['random', 'symmetric'])
@pytest.mark.parametrize('beta', [.25, 0., 1., .7])
def test_equal_to_fastai_with_beta(model, pics, tfm, kind, beta):
    idx, views = pics.valid[:20], random_views(tfm) if kind == 'random' else symmetric_views()
    got = average(tta_logits(model, pics, views, idx, bs=16), beta=beta)
    assert np.abs(got - by_fastai(model, pics, idx, views[1:], beta=beta).numpy()).max() < 1e-6

@pytest.mark.parametrize('n', [1, 4])
def test_the_plain_mean_is_fastai_s_with_a_beta_of_one_in_all(model, pics, tfm, n):
    idx, views = pics.valid[:20], random_views(tfm, n)
    got = average(tta_logits(model, pics, views, idx, bs=16))
    assert np.abs(got - by_fastai(model, pics, idx, views[1:], beta=1 / (n + 1)).numpy()).max() < 1e-6
    if n == 4: assert np.abs(got - by_fastai(model, pics, idx, views[1:]).numpy()).max() > 1e-4, "fastai's default weighs the plain view more"

def test_fastai_tells_another_seed(model, pics, tfm):
    idx = pics.valid[:20]
    got = average(tta_logits(model, pics, random_views(tfm, seed=1), idx, bs=16), beta=.25)
    assert np.abs(got - by_fastai(model, pics, idx, random_views(tfm, seed=0)[1:]).numpy()).max() > 1e-3

def test_fastai_s_largest_probabilities_sum_to_more_than_one(model, pics, tfm):
    "`use_max=True` in fastai 2.8.7; an average of ours sums to one."
    idx, views = pics.valid[:20], random_views(tfm)
    largest = by_fastai(model, pics, idx, views[1:], use_max=True).numpy().sum(axis=1)
    probs, _ = tta(model, pics, views, idx)
    assert largest.min() > 1
    assert largest.max() > 1.1
    assert np.allclose(probs.sum(axis=1), 1)


# ---- averages ----

LOGITS = st.tuples(st.integers(2, 6), st.integers(1, 5), st.integers(2, 4)).flatmap(
    lambda s: st.tuples(arrays(float, s, elements=st.floats(-12, 12)), arrays(int, s[1], elements=st.integers(0, s[2] - 1))))

@settings(deadline=None)
@given(pair=LOGITS, kind=st.sampled_from(['probs', 'logits']))
def test_an_average_loses_at_most_what_its_views_lose_on_the_mean(pair, kind):
    z, y = pair
    p, views = average(z, kind), [average(one[None]) for one in z]
    assert np.allclose(p.sum(1), 1)
    assert (p >= 0).all()
    assert (nll(p, y) <= np.mean([nll(v, y) for v in views], 0) + 1e-9).all()
    if kind == 'probs':
        assert (brier(p, y) <= np.mean([brier(v, y) for v in views], 0) + 1e-9).all()
        assert (p.max(1) <= np.mean([v.max(1) for v in views], 0) + 1e-9).all()

@settings(deadline=None)
@given(pair=LOGITS)
def test_averages_by_hand(pair):
    z, _ = pair
    p = softmax(z, axis=-1)
    assert np.allclose(average(z), p.mean(0))
    assert np.allclose(average(z, beta=.3), .3 * p[0] + .7 * p[1:].mean(0))
    product = np.exp(np.log(p.clip(1e-300)).mean(0))  # the mean of logits is the geometric mean of probabilities
    assert np.allclose(average(z, 'logits'), product / product.sum(1, keepdims=True))
    assert np.allclose(average(z[:1]), average(z[:1], 'logits'))
    assert np.allclose(average(z, beta=1), p[0])

@pytest.mark.parametrize('kwargs', [dict(beta=-.1), dict(beta=1.1), dict(kind='votes')])
def test_averages_that_there_are_not(kwargs):
    with pytest.raises(CourseError): average(np.zeros((2, 3, 2)), **kwargs)

def test_one_view_has_no_beta():
    with pytest.raises(CourseError, match='1 views'): average(np.zeros((1, 3, 2)), beta=.5)

@settings(deadline=None)
@given(pair=LOGITS)
def test_spread(pair):
    z, _ = pair
    p, wide = softmax(z, axis=-1), spread(z)
    assert (wide >= 0).all()
    assert (wide <= .5 + 1e-12).all()
    assert np.allclose(spread(np.repeat(z[:1], 4, 0)), 0)
    i = 0
    assert wide[i] == pytest.approx(np.std([p[v, i, p[:, i].mean(0).argmax()] for v in range(len(z))]))


# ---- number of views, each view ----

def test_by_number_ends(logits, pics):
    y = pics.y[pics.valid]
    t = by_number(logits, y)
    for k, p in ((1, average(logits[:1])), (8, average(logits))):
        assert t.accuracy[k] == pytest.approx((p.argmax(1) == y).mean())
        assert t.loss[k] == pytest.approx(nll(p, y).mean())

def test_by_number_is_the_mean_over_all_choices(logits, pics):
    y = pics.y[pics.valid]
    four = logits[:4]
    all_pairs = [nll(average(four[[0, k]]), y).mean() for k in (1, 2, 3)]
    assert by_number(four, y, orders=3000).loss[2] == pytest.approx(np.mean(all_pairs), abs=.05 * np.ptp(all_pairs))

def test_by_view(logits, pics):
    y = pics.y[pics.valid]
    t = by_view(logits, y, symmetric_views())
    for k, name in enumerate(t.index):
        p = average(logits[[k]])
        assert t.accuracy[name] == pytest.approx((p.argmax(1) == y).mean())
        assert t.nll[name] == pytest.approx(nll(p, y).mean())
        assert t.same_answer[name] == pytest.approx((p.argmax(1) == average(logits[:1]).argmax(1)).mean())
    assert t.same_answer['plain'] == 1


# ---- McNemar ----

def exact(b, c):
    "McNemar's exact test from its definition: twice the smaller tail of a fair coin, at most 1."
    return min(1., 2 * binom.cdf(min(b, c), b + c, .5)) if b + c else 1.

@settings(deadline=None)
@given(before=st.lists(st.integers(0, 2), min_size=1, max_size=40), data=st.data())
def test_changes_by_hand(before, data):
    n = len(before)
    after, y = (data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)) for _ in range(2))
    won, lost, p = changes(np.eye(3)[before], np.eye(3)[after], np.array(y))
    assert won.tolist() == [i for i in range(n) if before[i] != y[i] == after[i]]
    assert lost.tolist() == [i for i in range(n) if before[i] == y[i] != after[i]]
    assert p == pytest.approx(exact(len(won), len(lost)))

def test_mcnemar_published():
    "The table of 10 against 3 changes: p = 0.0923, two-sided exact."
    y = np.zeros(13, int)
    before = np.eye(2)[[1] * 10 + [0] * 3]
    assert changes(before, before[:, ::-1], y)[2] == pytest.approx(2 * sum(binom.pmf(k, 13, .5) for k in range(4))) == pytest.approx(.0923, abs=1e-4)

def test_nothing_changed():
    won, lost, p = changes(np.eye(2)[[0, 1]], np.eye(2)[[0, 1]], np.array([0, 0]))
    assert not len(won)
    assert not len(lost)
    assert p == 1


# ---- calibration ----

def slow_ece(probs, y, bins):
    "From the definition, bin by bin: intervals open on the left, closed on the right."
    total = 0
    for b in range(bins):
        inside = [i for i in range(len(y)) if b / bins < probs[i].max() <= (b + 1) / bins]
        if inside: total += len(inside) * abs(np.mean([probs[i].argmax() == y[i] for i in inside]) - np.mean([probs[i].max() for i in inside]))
    return total / len(y)

@pytest.fixture(scope='module')
def forecast():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(3000, 4)) * 2
    p = softmax(z, axis=1)
    y = np.array([rng.choice(4, p=q) for q in p])
    return z, p, y  # labels drawn from the probabilities: calibrated

@pytest.mark.parametrize('bins', [1, 5, 10, 15])
def test_ece_by_definition(forecast, bins):
    _, p, y = forecast
    assert ece(p, y, bins) == pytest.approx(slow_ece(p, y, bins), abs=1e-12)
    t = reliability(p, y, bins)
    assert (t.n * (t.accuracy - t.confidence).abs()).sum() / t.n.sum() == pytest.approx(ece(p, y, bins))
    assert t.n.sum() == len(y)
    assert ((t.low < t.confidence) & (t.confidence <= t.high)).all()

def test_reliability_is_scikit_learn_s():
    rng = np.random.default_rng(1)
    top = rng.uniform(.5001, .9999, 2000)  # two classes: the confidence is the probability of the named one
    p, hit = np.c_[top, 1 - top], rng.random(2000) < top**2
    want_accuracy, want_confidence = calibration_curve(hit, top, n_bins=10)
    t = reliability(p, np.where(hit, 0, 1), 10)
    assert np.allclose(t.accuracy, want_accuracy)
    assert np.allclose(t.confidence, want_confidence)

def test_edges_of_bins():
    sure = np.array([[1., 0.], [.5, .5], [0., 1.]])
    assert ece(sure, np.array([0, 0, 1]), 2) == pytest.approx(.5 / 3)
    assert ece(np.eye(2)[[0, 0]], np.array([1, 1])) == 1

def test_scores_are_scikit_learn_s(forecast):
    _, p, y = forecast
    s = scores(p, y)
    assert s['nll'] == pytest.approx(log_loss(y, p))
    assert s['accuracy'] == pytest.approx((p.argmax(1) == y).mean())
    assert s['brier'] == pytest.approx(brier_score_loss(y, p, labels=range(4), scale_by_half=False))

def test_chance_alone_gives_some_ece(forecast):
    _, p, y = forecast
    mean, high = ece_by_chance(p[:300])
    inside = [ece(p[i:i + 300], y[i:i + 300]) for i in range(0, 3000, 300)]
    assert 0 < mean < high
    assert np.mean(inside) == pytest.approx(mean, rel=.35)
    assert np.mean(np.array(inside) > high) <= .3
    sharp = softmax(3 * forecast[0], axis=1)
    assert ece(sharp, y) > 2 * ece_by_chance(sharp)[1], 'a network that is far too sure is found out'

@pytest.mark.parametrize('t', [.4, 1., 3.])
def test_temperature_is_found_again(forecast, t):
    z, p, y = forecast
    assert temperature(z * t, y) == pytest.approx(t, rel=.12)
    assert nll(softmax(z * t / temperature(z * t, y), axis=1), y).mean() <= nll(softmax(z * t, axis=1), y).mean() + 1e-9

def test_temperature_is_lbfgs_s(forecast):
    "As in the paper's own code: torch's L-BFGS on the same loss."
    z, y = torch.tensor(forecast[0] * 2.5), torch.tensor(forecast[2])
    t = torch.nn.Parameter(torch.full((1,), 1.5, dtype=torch.double))
    opt = torch.optim.LBFGS([t], lr=.1, max_iter=500, tolerance_grad=1e-10)
    def closure():
        opt.zero_grad()
        loss = nn.functional.cross_entropy(z / t, y)
        loss.backward()
        return loss
    opt.step(closure)
    assert temperature(z.numpy(), y.numpy()) == pytest.approx(float(t.detach()), rel=1e-3)

def test_each_half_gets_the_other_s_temperature(forecast):
    z, y = forecast[0][:400] * 3, forecast[2][:400]
    p, ts = temper(z, y)
    half = stratified_split(y, .5, 0)
    own = temperature(z[half], y[half]), temperature(z[~half], y[~half])
    assert ts == pytest.approx(own)
    assert own[0] != pytest.approx(own[1])
    assert np.allclose(p[~half], softmax(z[~half] / own[0], axis=1))
    assert np.allclose(p[half], softmax(z[half] / own[1], axis=1))
    assert (p.argmax(1) == z.argmax(1)).all()
    assert nll(p, y).mean() < nll(softmax(z, axis=1), y).mean()

def test_a_temperature_judged_where_it_was_fitted_flatters(forecast):
    "Why the halves change over: on pictures without any signal, a temperature fitted to them seems better than it is."
    rng = np.random.default_rng(0)
    fitted, honest = [], []
    for _ in range(40):
        z, y = rng.normal(size=(16, 2)), rng.integers(0, 2, 16)
        fitted.append(nll(softmax(z / temperature(z, y), axis=1), y).mean())
        honest.append(nll(temper(z, y)[0], y).mean())
    assert np.mean(fitted) < np.log(2) < np.mean(honest)


# ---- when it hurts ----

def test_sideways_turns_half(pics):
    q = sideways(pics)
    assert q.classes == ['upright', 'sideways']
    assert abs((q.y == 1).sum() - len(pics) / 2) <= 1
    assert (q.x[q.y == 0] == pics.x[q.y == 0]).all()
    assert (q.x[q.y == 1] == Turn(1)(pics.x[q.y == 1])).all()
    assert (q.train == pics.train).all()
    assert pics.classes != q.classes
    assert (sideways(pics).y == q.y).all()
    assert abs(np.corrcoef(q.y, pics.y)[0, 1]) < .25, 'the new label has nothing to do with the old'

def test_a_view_that_changes_the_label_is_found():
    "A judge that sees stripes without a mistake: right by the four views that keep them, at chance by all eight."
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 400)
    keep = np.array([1, -1] * 4)  # quarter turns exchange the classes
    z = keep[:, None, None] * (4 * np.eye(2)[y] - 2)[None] + rng.normal(size=(8, 400, 2)) * .5
    t = by_view(z, y, symmetric_views())
    assert (t.accuracy.to_numpy() > .9).tolist() == (keep > 0).tolist()
    assert (t.same_answer.to_numpy() > .9).tolist() == (keep > 0).tolist()
    assert (average(z[::2]).argmax(1) == y).mean() > .99
    assert abs((average(z).argmax(1) == y).mean() - .5) < .1
    assert changes(average(z[:1]), average(z), y)[2] < 1e-6


# ---- the explorer ----

@pytest.mark.parametrize('kind', ['symmetric', 'random'])
def test_explorer(model, pics, logits, tfm, kind):
    idx = pics.valid[:12]
    views = symmetric_views() if kind == 'symmetric' else random_views(tfm)
    z = tta_logits(model, pics, views, idx)
    y = pics.y[idx]
    e = view_explorer(pics, z, views, idx, n=5)
    order = np.argsort(spread(z))
    sizes = set()
    for at in range(5):
        i = order[[0, 3, 6, 8, 11][at]]
        for k in (1, len(views)):
            picture, says = e.draw_at(picture=at, number=k)
            p = softmax(z[:k], axis=-1)[:, i].mean(0)
            sizes.add(picture.shape)
            assert f'{p[y[i]]:.2f}: the answer' in says
            assert pics.classes[y[i]] in says
            assert ('right' if p.argmax() == y[i] else 'wrong') in says
    assert len(sizes) == 1
    assert (e.draw_at(picture=2, number=1)[0] != e.draw_at(picture=2, number=len(views))[0]).any()

def test_explorer_draws_each_picture_s_own_views(model, pics, tfm):
    idx, views = pics.valid[:6], random_views(tfm)
    z = tta_logits(model, pics, views, idx)
    order = np.argsort(spread(z))
    e = view_explorer(pics, z, views, idx, n=6, cell=32)
    picture, _ = e.draw_at(picture=4, number=5)
    for k, view in enumerate(views): assert (picture[:32, 36 * k:36 * k + 32] == view(pics.x[idx])[order[4]]).all()
