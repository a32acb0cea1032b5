"The finder: equal to two others, leaves nothing behind, and none of its rules ever raises."
import random

import numpy as np, pytest, torch
from fastai.callback import schedule as fastai_rules
from fastai.callback.core import Callback
from hypothesis import given, settings, strategies as st
from torch_lr_finder import LRFinder, TrainDataLoaderIter

from course_utils.techniques import lr_finder as lr
from course_utils.techniques.augment import pipeline
from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.training.untouched import KEEPERS, learner_state, untouched
from course_utils.techniques.lr_finder import RULES, Curve, lr_find, smooth
from course_utils.explorers.lr_finder import finder_explorer
from course_utils.training.train import fit
from course_utils.training.learner import make_learner


@pytest.fixture(scope='module')
def pics(): return load_pictures('solar', size=32, limit=160).subset(48)

@pytest.fixture
def new(pics, tmp_path):
    def make(**kw):
        learn = make_learner(pics, 'resnet10t', **dict(dict(bs=16, quiet=True, device='cpu'), **kw))
        learn.path = tmp_path  # fastai's finder writes there
        return learn
    return make


# ---- equal to others ----

class RawLosses(Callback):
    order = 59
    def before_fit(self): self.all = []
    def after_batch(self): self.all.append(self.loss.item())


@pytest.mark.parametrize('seed, n, end', [(0, 30, 10.), (1, 12, 1.)])
def test_equal_to_fastai(new, seed, n, end):
    ours = lr_find(new(seed=seed), n=n, end=end)
    theirs, raw = new(seed=seed), RawLosses()
    theirs.add_cb(raw)
    theirs.lr_find(num_it=n, end_lr=end, show_plot=False, suggest_funcs=None)
    assert len(ours.raw) == len(raw.all) >= 10 and ours.raw.tolist() == raw.all
    assert np.allclose(ours.lrs, theirs.recorder.lrs, rtol=1e-12)
    assert np.allclose(smooth(ours.raw), torch.stack(theirs.recorder.losses), rtol=1e-5)


def test_equal_to_torch_lr_finder(new):
    n, start, end = 20, 1e-5, 1.
    ours = lr_find(new(), start, start * (end / start) ** (n / (n - 1)), n)  # theirs reaches `end` at the last step, fastai's one later
    learn = new()
    learn.model.to(memory_format=torch.channels_last)
    opt = torch.optim.AdamW(learn.model.parameters(), lr=start, weight_decay=.01, fused=True)  # at high rates the last bit decides
    class Batches(TrainDataLoaderIter):
        def __init__(self): self._it = iter(b for _ in range(n) for b in learn.dls.train)
        def __next__(self): return next(self._it)
    finder = LRFinder(learn.model, opt, torch.nn.CrossEntropyLoss(), device='cpu')
    finder.range_test(Batches(), end_lr=end, num_iter=n, smooth_f=0, diverge_th=1e9)
    k = len(ours.raw)
    assert k >= 15 and np.allclose(ours.lrs, finder.history['lr'][:k]) and np.allclose(ours.raw, finder.history['loss'][:k], rtol=1e-3)


def test_smooth_is_the_weighted_mean():
    raw, beta = np.random.default_rng(0).random(30), .9
    for i in (0, 7, 29):
        w = beta ** np.arange(i, -1, -1)
        assert smooth(raw, beta)[i] == pytest.approx((w * raw[:i + 1]).sum() / w.sum())
    assert np.allclose(smooth(raw, 0.), raw) and len(smooth([])) == 0


def test_stops_when_the_loss_explodes(new):
    c = lr_find(new(), start=1e-3, end=1e4, n=60)
    assert len(c.raw) < 60 and (not np.isfinite(c.raw[-1]) or smooth(c.raw)[-1] > 4 * smooth(c.raw).min())
    assert 'lowest' in repr(c) or 'no longer a number' in repr(c)


@pytest.mark.parametrize('kw', [dict(start=0), dict(start=1, end=.1), dict(n=1), dict(end=float('inf')), dict(start=float('nan'))])
@pytest.mark.fault
def test_impossible_range(new, kw):
    with pytest.raises(CourseError, match='0 < start < end'): lr_find(new(), **kw)


# ---- leaves nothing behind ----

class Sloppy(Callback):
    "Hooks the model at every fit, and never unhooks it."
    def before_fit(self): self.learn.model.register_forward_hook(lambda *_: None)


def used(new, **kw):
    "A learner that has been trained, is in eval mode but for one layer, and has a callback that leaves hooks."
    learn = new(tfm=pipeline(.33), **kw)
    fit(learn, 1)
    learn.add_cb(Sloppy())
    learn.model.eval(); learn.model.fc.train()
    return learn


def left_behind(learn):
    before = learner_state(learn)
    lr_find(learn, n=8)
    after = learner_state(learn)
    return {part for part in before if before[part] != after[part]}


def test_leaves_nothing_behind(new): assert not left_behind(used(new))


def test_leaves_nothing_behind_in_a_new_learner(new):
    learn = new()
    assert not left_behind(learn) and learn.opt is None


@pytest.mark.parametrize('part', list(KEEPERS))
def test_each_restoration_is_needed(new, part, monkeypatch):
    "The mutants: with any one of the six taken out, the check above turns red, and by that part."
    monkeypatch.delitem(KEEPERS, part)
    assert part in left_behind(used(new))


def test_there_are_six(): assert list(KEEPERS) == ['weights', 'BatchNorm buffers', 'optimizer state', 'random numbers', 'train or eval mode', 'hooks and callbacks']


def spoil(what):
    def go(learn):
        p = next(learn.model.parameters())
        dict(weights=lambda: p.data.add_(1e-6), grads=lambda: setattr(p, 'grad', torch.ones_like(p)), learns=lambda: p.requires_grad_(False), buffers=lambda: next(learn.model.buffers()).add_(1),
             moments=lambda: learn.opt.opt.state[p]['exp_avg'].add_(1e-6), rate=lambda: learn.opt.set_hyper('lr', .123), no_opt=lambda: setattr(learn, 'opt', None),
             python=random.random, numpy=np.random.rand, torch=lambda: torch.rand(1), loader=lambda: learn.dls.train.rng.random(), augmentation=lambda: learn.dls.train.tfm(image=np.zeros((32, 32, 3), np.uint8)),
             mode=lambda: learn.model.fc.eval(), hook=lambda: learn.model.fc.register_forward_hook(print), rows=lambda: learn.history.rows.append({}),
             callback=lambda: learn.add_cb(Callback()), recorder=lambda: learn.recorder.losses.append(1))[what]()
    return go


@pytest.mark.parametrize('what', ['weights', 'grads', 'learns', 'buffers', 'moments', 'rate', 'no_opt', 'python', 'numpy', 'torch', 'loader', 'augmentation', 'mode', 'hook', 'rows', 'callback', 'recorder'])
def test_the_fingerprint_sees_it_and_untouched_puts_it_back(new, what):
    learn = used(new)
    before = learner_state(learn)
    with pytest.raises(KeyError), untouched(learn):
        spoil(what)(learn)
        assert learner_state(learn) != before
        raise KeyError  # an error inside must not keep it from putting back
    assert learner_state(learn) == before


@pytest.mark.parametrize('trained_before', [False, True])
def test_fit_after_it_is_fit_without_it(new, trained_before):
    def run(finder):
        learn = new(tfm=pipeline(.33))
        if trained_before: fit(learn, 1)
        if finder: lr_find(learn, n=7)  # ends within an epoch
        fit(learn, 1)
        return learn
    a, b = run(False), run(True)
    assert all(torch.equal(x, y) for x, y in zip(a.model.state_dict().values(), b.model.state_dict().values()))
    drop = lambda rows: [{k: v for k, v in r.items() if k != 'seconds'} for r in rows]
    assert drop(a.history.rows) == drop(b.history.rows) and a.recorder.lrs == b.recorder.lrs


def test_fastai_s_own_does_change_the_training(new):
    "fastai/fastai issues 2892 and 3013. Should this fail one day, lesson 03 has a sentence to change."
    learn = used(new)
    before = learner_state(learn)
    learn.lr_find(num_it=8, show_plot=False, suggest_funcs=None)
    after = learner_state(learn)
    assert before['weights'] == after['weights'] and before['random numbers'] != after['random numbers']


# ---- rules ----

def falls_then_explodes(n=80, noise=0., seed=0):
    t = np.linspace(0, 1, n)
    return np.geomspace(1e-6, 1, n), .7 - .3 / (1 + np.exp(-20 * (t - .5))) + 2 * np.clip(t - .8, 0, 1) + noise * np.random.default_rng(seed).normal(size=n)


@pytest.mark.parametrize('seed', range(12))
@pytest.mark.parametrize('mine, theirs', [('minimum', 'minimum'), ('steepest', 'steep'), ('valley', 'valley'), ('slide', 'slide')])
def test_rules_are_fastai_s(mine, theirs, seed):
    lrs, losses = falls_then_explodes(noise=.002 * seed, seed=seed)
    want, _ = getattr(fastai_rules, theirs)(torch.tensor(lrs), torch.tensor(losses), 100)
    assert RULES[mine](lrs, losses).rate == pytest.approx(want, rel=1e-6)


def test_valley_where_fastai_takes_the_last_rate():
    lrs, losses = np.geomspace(1e-5, 1, 20), np.r_[1., np.full(19, .5)]
    assert fastai_rules.valley(torch.tensor(lrs), torch.tensor(losses), 20)[0] == 1. and RULES['valley'](lrs, losses).rate == lrs[0]


@pytest.mark.parametrize('sma', [1, 5, 20])
def test_smoothed_gradient_is_the_keras_finder_s(sma):
    lrs, losses = falls_then_explodes(noise=.05)
    derivatives = [0] * sma + [(losses[i] - losses[i - sma]) / sma for i in range(sma, len(lrs))]
    assert RULES['smoothed_gradient'](lrs, losses, sma=sma).rate == lrs[np.argmin(derivatives)]


up = np.geomspace(1e-7, 10, 100)
ODD = dict(flat=(up, np.full(100, .69)), zero=(up, np.zeros(100)), nan=(up, np.full(100, np.nan)), step_3=(up[:3], [.7, .7, 9.]), step_3_nan=(up[:4], [.7, .7, .7, np.nan]), one=(up[:1], [.7]), empty=([], []),
           rising=(up, up), negative_rates=(-up, 1 - up / 20), equal_rates=(np.ones(100), np.linspace(1, 0, 100)), unequal_lengths=(up, [.7] * 5))


@pytest.mark.parametrize('name', ODD)
@pytest.mark.parametrize('rule', RULES)
def test_no_answer_in_words(rule, name):
    s = RULES[rule](*ODD[name])
    assert s.rate is None and s.why.startswith('No answer: ') and s.why.endswith('.')


number = st.floats(allow_nan=True, allow_infinity=True, width=64) | st.floats(0, 3)


@settings(max_examples=150, deadline=None)
@given(losses=st.lists(number, max_size=60), lrs=st.none() | st.lists(number, max_size=60), sma=st.integers(1, 70))
@pytest.mark.fault
def test_no_rule_raises(losses, lrs, sma):
    lrs = np.geomspace(1e-7, 10, 60)[:len(losses)] if lrs is None else lrs
    for name, rule in RULES.items():
        s = rule(lrs, losses, **({'sma': sma} if name == 'smoothed_gradient' else {}))
        assert s.why and (s.rate is None or (np.isfinite(s.rate) and s.rate > 0))
        if s.rate is not None and name != 'minimum': assert min(lrs) <= s.rate <= max(lrs)


@settings(max_examples=50, deadline=None)
@given(losses=st.lists(number, min_size=1, max_size=60), n=st.integers(2, 100), beta=st.floats(0, .99))
@pytest.mark.fault
def test_no_curve_raises(losses, n, beta):
    c = Curve(np.geomspace(1e-7, 10, len(losses)), np.array(losses), n)
    with np.errstate(all='ignore'): assert len(c.suggest(beta)) == 5 and repr(c).endswith('.')


def answers(learn, **kw):
    c = lr_find(learn, **dict(dict(n=30), **kw))
    assert len(c.raw) and all(s.why for s in c.suggest().values())
    return c


@pytest.mark.fault
def test_one_batch_only(pics, tmp_path): answers(make_learner(pics, 'resnet10t', bs=64, quiet=True, device='cpu'))
@pytest.mark.fault
def test_step_of_one(new): assert not any(s.rate for s in answers(new(), n=2).suggest().values())


def test_frozen(new):
    learn = new(); learn.freeze()
    before = learner_state(learn)
    answers(learn)
    assert learner_state(learn) == before and not any(p.requires_grad for p in learn.model.parameters() if p.ndim == 4)


@pytest.mark.fault
def test_a_single_group_that_is_frozen(new):
    learn = new(splitter=lambda m: [list(m.parameters())])
    for p in learn.model.parameters(): p.requires_grad_(p.ndim == 1)
    answers(learn)


@pytest.mark.fault
def test_everything_frozen(new):
    learn = new(); learn.model.requires_grad_(False)
    with pytest.raises(CourseError, match='unfreeze'): lr_find(learn)


def test_after_fine_tune(new):
    learn = new(); learn.fine_tune(1)
    before = learner_state(learn)
    answers(learn)
    assert learner_state(learn) == before


@pytest.mark.fault
def test_no_number_from_the_first_step(new):
    learn = new()
    with torch.no_grad(): learn.model.fc.weight.fill_(float('nan'))
    c = lr_find(learn, n=20)
    assert len(c.raw) == 1 and 'no longer a number' in repr(c) and not any(s.rate for s in c.suggest().values())


# ---- explorer ----

def test_explorer():
    lrs, raw = falls_then_explodes(100, noise=.05)
    one = Curve(lrs, raw, 100)
    e = finder_explorer(one)
    for beta in (0., .48, .99):
        for sma in (1, 20, 40):
            picture, says = e.draw(beta=beta, sma=sma)
            assert picture.shape == (300, 720, 3) and 'valley' in says
    valley = lambda *curves: finder_explorer(*curves).draw(.9, 20)[1].split('valley ')[1].split(', slide')[0]
    assert valley(one) == f"{one.suggest(.9)['valley'].rate:.1e}"
    three = [Curve(*falls_then_explodes(100, noise=.3, seed=s), 100) for s in range(3)]
    rates = [c.suggest(.9)['valley'].rate for c in three]
    assert valley(*three) == f'{np.median(rates):.1e} ({min(rates):.1e} to {max(rates):.1e})'
    assert 'no answer' in finder_explorer(Curve(up, np.full(100, np.nan), 100)).draw(.9, 20)[1]
    assert len(e.html()) < 600_000
