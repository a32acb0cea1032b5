"The finder: equal to two others, leaves nothing behind, and none of its rules ever raises."
import random

import numpy as np, pytest, torch
from fastai.callback import schedule as fastai_rules
from fastai.callback.core import Callback
from hypothesis import given, settings, strategies as st
from torch_lr_finder import LRFinder, TrainDataLoaderIter

from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.explorers.lr_finder import finder_explorer
from course_utils.techniques.augment import pipeline
from course_utils.techniques.lr_finder import RULES, Curve, lr_find, smooth
from course_utils.training.learner import make_learner
from course_utils.training.recipe import Recipe
from course_utils.training.train import fit
from course_utils.training.untouched import KEEPERS, learner_state, untouched


@pytest.fixture(scope='module')
def pics(): return load_pictures('solar', size=32, limit=160).subset(48)


@pytest.fixture
def new(pics, tmp_path):
    "Makes a small learner, by a recipe with these settings."
    def make(bs=16, **settings):
        learn = make_learner(pics, Recipe('resnet10t', 1, bs=bs, **settings), quiet=True, device='cpu')
        learn.path = tmp_path  # fastai's finder writes there
        return learn
    return make


# ---- equal to others ----

class RawLosses(Callback):
    order = 59
    def before_fit(self): self.losses = []
    def after_batch(self): self.losses.append(self.loss.item())


@pytest.mark.parametrize('seed, n, end', [(0, 30, 10.), (1, 12, 1.)])
def test_equal_to_fastai(new, seed, n, end):
    ours = lr_find(new(seed=seed), n=n, end=end)
    theirs = new(seed=seed)
    raw = RawLosses()
    theirs.add_cb(raw)
    theirs.lr_find(num_it=n, end_lr=end, show_plot=False, suggest_funcs=None)
    assert len(ours.raw) >= 10
    assert ours.raw.tolist() == raw.losses
    assert np.allclose(ours.lrs, theirs.recorder.lrs, rtol=1e-12)
    assert np.allclose(smooth(ours.raw), torch.stack(theirs.recorder.losses), rtol=1e-5)


class Batches(TrainDataLoaderIter):
    "What torch_lr_finder draws its batches from: as many epochs of a fastai loader as it takes."
    def __init__(self, loader, epochs): self._it = iter(batch for _ in range(epochs) for batch in loader)
    def __next__(self): return next(self._it)


def test_equal_to_torch_lr_finder(new):
    n, start, end = 20, 1e-5, 1.
    ours = lr_find(new(), start, start * (end / start) ** (n / (n - 1)), n)  # theirs reaches `end` at the last step, fastai's one later
    learn = new()
    learn.model.to(memory_format=torch.channels_last)
    opt = torch.optim.AdamW(learn.model.parameters(), lr=start, weight_decay=.01, fused=True)  # at high rates the last bit decides
    finder = LRFinder(learn.model, opt, torch.nn.CrossEntropyLoss(), device='cpu')
    finder.range_test(Batches(learn.dls.train, n), end_lr=end, num_iter=n, smooth_f=0, diverge_th=1e9)
    k = len(ours.raw)
    assert k >= 15
    assert np.allclose(ours.lrs, finder.history['lr'][:k])
    assert np.allclose(ours.raw, finder.history['loss'][:k], rtol=1e-3)


def test_smooth_is_the_weighted_mean():
    raw = np.random.default_rng(0).random(30)
    beta = .9
    for i in (0, 7, 29):
        weights = beta ** np.arange(i, -1, -1)
        assert smooth(raw, beta)[i] == pytest.approx((weights * raw[:i + 1]).sum() / weights.sum())
    assert np.allclose(smooth(raw, 0.), raw)
    assert len(smooth([])) == 0


def test_stops_when_the_loss_explodes(new):
    curve = lr_find(new(), start=1e-3, end=1e4, n=60)
    smoothed = smooth(curve.raw)
    assert len(curve.raw) < 60
    assert not np.isfinite(curve.raw[-1]) or smoothed[-1] > 4 * smoothed.min()
    assert 'lowest' in repr(curve) or 'no longer a number' in repr(curve)


IMPOSSIBLE = [dict(start=0), dict(start=1, end=.1), dict(n=1), dict(end=float('inf')), dict(start=float('nan'))]


@pytest.mark.parametrize('sweep', IMPOSSIBLE)
@pytest.mark.fault
def test_impossible_range(new, sweep):
    with pytest.raises(CourseError, match='0 < start < end'): lr_find(new(), **sweep)


# ---- leaves nothing behind ----

class Sloppy(Callback):
    "Hooks the model at every fit, and never unhooks it."
    def before_fit(self): self.learn.model.register_forward_hook(lambda *_: None)


def used(new):
    "A learner that has been trained, is in eval mode but for one layer, and has a callback that leaves hooks."
    learn = new(augment=pipeline(.33))
    fit(learn, 1)
    learn.add_cb(Sloppy())
    learn.model.eval()
    learn.model.fc.train()
    return learn


def left_behind(learn):
    before = learner_state(learn)
    lr_find(learn, n=8)
    after = learner_state(learn)
    return {part for part in before if before[part] != after[part]}


def test_leaves_nothing_behind(new): assert not left_behind(used(new))


def test_leaves_nothing_behind_in_a_new_learner(new):
    learn = new()
    assert not left_behind(learn)
    assert learn.opt is None


@pytest.mark.parametrize('part', list(KEEPERS))
def test_each_restoration_is_needed(new, part, monkeypatch):
    "The mutants: with any one of them taken out, the check above turns red, and by that part."
    monkeypatch.delitem(KEEPERS, part)
    assert part in left_behind(used(new))


def test_every_part_that_training_changes_is_put_back(new):
    "With nothing put back, a sweep changes each part of the fingerprint, and none that `untouched` does not know."
    learn = used(new)
    before = learner_state(learn)
    fit(learn, 1)
    after = learner_state(learn)
    changed = {part for part in before if before[part] != after[part]}
    assert changed == set(before) == set(KEEPERS)
    assert len(KEEPERS) == 6, 'lesson 03 says six'


def first_parameter(learn): return next(learn.model.parameters())


def spoil_gradient(learn):
    p = first_parameter(learn)
    p.grad = torch.ones_like(p)


def spoil_optimizer(learn): learn.opt = None


SPOILERS = dict(
    weights=lambda learn: first_parameter(learn).data.add_(1e-6),
    grads=spoil_gradient,
    learns=lambda learn: first_parameter(learn).requires_grad_(False),
    buffers=lambda learn: next(learn.model.buffers()).add_(1),
    moments=lambda learn: learn.opt.opt.state[first_parameter(learn)]['exp_avg'].add_(1e-6),
    rate=lambda learn: learn.opt.set_hyper('lr', .123),
    no_opt=spoil_optimizer,
    python=lambda learn: random.random(),
    numpy=lambda learn: np.random.rand(),
    torch=lambda learn: torch.rand(1),
    loader=lambda learn: learn.dls.train.rng.random(),
    augmentation=lambda learn: learn.dls.train.tfm(image=np.zeros((32, 32, 3), np.uint8)),
    mode=lambda learn: learn.model.fc.eval(),
    hook=lambda learn: learn.model.fc.register_forward_hook(print),
    rows=lambda learn: learn.history.rows.append({}),
    callback=lambda learn: learn.add_cb(Callback()),
    recorder=lambda learn: learn.recorder.losses.append(1),
)


@pytest.mark.parametrize('name', SPOILERS)
def test_the_fingerprint_sees_it_and_untouched_puts_it_back(new, name):
    learn = used(new)
    before = learner_state(learn)
    with pytest.raises(KeyError), untouched(learn):
        SPOILERS[name](learn)
        assert learner_state(learn) != before
        raise KeyError  # an error inside must not keep it from putting back
    assert learner_state(learn) == before


@pytest.mark.parametrize('trained_before', [False, True])
def test_fit_after_it_is_fit_without_it(new, trained_before):
    def run(finder):
        learn = new(augment=pipeline(.33))
        if trained_before: fit(learn, 1)
        if finder: lr_find(learn, n=7)  # ends within an epoch
        fit(learn, 1)
        return learn

    def rows(learn): return [{k: v for k, v in row.items() if k != 'seconds'} for row in learn.history.rows]

    a = run(False)
    b = run(True)
    assert all(torch.equal(x, y) for x, y in zip(a.model.state_dict().values(), b.model.state_dict().values()))
    assert rows(a) == rows(b)
    assert a.recorder.lrs == b.recorder.lrs


def test_fastai_s_own_does_change_the_training(new):
    "fastai/fastai issues 2892 and 3013. Should this fail one day, lesson 03 has a sentence to change."
    learn = used(new)
    before = learner_state(learn)
    learn.lr_find(num_it=8, show_plot=False, suggest_funcs=None)
    after = learner_state(learn)
    assert before['weights'] == after['weights']
    assert before['random numbers'] != after['random numbers']


# ---- rules ----

def falls_then_explodes(n=80, noise=0., seed=0):
    "Rates, and losses that fall along a logistic curve and rise in the last fifth."
    t = np.linspace(0, 1, n)
    fall = .3 / (1 + np.exp(-20 * (t - .5)))
    rise = 2 * np.clip(t - .8, 0, 1)
    noises = np.random.default_rng(seed).normal(size=n)
    return np.geomspace(1e-6, 1, n), .7 - fall + rise + noise * noises


@pytest.mark.parametrize('seed', range(12))
@pytest.mark.parametrize('name, fastai_name', [
    ('minimum', 'minimum'), ('steepest', 'steep'), ('valley', 'valley'), ('slide', 'slide')])
def test_rules_are_fastai_s(name, fastai_name, seed):
    lrs, losses = falls_then_explodes(noise=.002 * seed, seed=seed)
    expected, _ = getattr(fastai_rules, fastai_name)(torch.tensor(lrs), torch.tensor(losses), 100)
    assert RULES[name](lrs, losses).rate == pytest.approx(expected, rel=1e-6)


def test_valley_where_fastai_takes_the_last_rate():
    lrs = np.geomspace(1e-5, 1, 20)
    losses = np.r_[1., np.full(19, .5)]
    assert fastai_rules.valley(torch.tensor(lrs), torch.tensor(losses), 20)[0] == 1.
    assert RULES['valley'](lrs, losses).rate == lrs[0]


@pytest.mark.parametrize('sma', [1, 5, 20])
def test_smoothed_gradient_is_the_keras_finder_s(sma):
    lrs, losses = falls_then_explodes(noise=.05)
    derivatives = [0] * sma + [(losses[i] - losses[i - sma]) / sma for i in range(sma, len(lrs))]
    assert RULES['smoothed_gradient'](lrs, losses, sma=sma).rate == lrs[np.argmin(derivatives)]


RISING = np.geomspace(1e-7, 10, 100)
ODD = dict(
    flat=(RISING, np.full(100, .69)),
    zero=(RISING, np.zeros(100)),
    nan=(RISING, np.full(100, np.nan)),
    step_3=(RISING[:3], [.7, .7, 9.]),
    step_3_nan=(RISING[:4], [.7, .7, .7, np.nan]),
    one=(RISING[:1], [.7]),
    empty=([], []),
    rising=(RISING, RISING),
    negative_rates=(-RISING, 1 - RISING / 20),
    equal_rates=(np.ones(100), np.linspace(1, 0, 100)),
    unequal_lengths=(RISING, [.7] * 5),
)


@pytest.mark.parametrize('name', ODD)
@pytest.mark.parametrize('rule', RULES)
def test_no_answer_in_words(rule, name):
    suggestion = RULES[rule](*ODD[name])
    assert suggestion.rate is None
    assert suggestion.reason.startswith('No answer: ')
    assert suggestion.reason.endswith('.')


NUMBER = st.floats(allow_nan=True, allow_infinity=True, width=64) | st.floats(0, 3)


@settings(max_examples=150, deadline=None)
@given(losses=st.lists(NUMBER, max_size=60), lrs=st.none() | st.lists(NUMBER, max_size=60), sma=st.integers(1, 70))
@pytest.mark.fault
def test_no_rule_raises(losses, lrs, sma):
    if lrs is None: lrs = np.geomspace(1e-7, 10, 60)[:len(losses)]
    for name, find in RULES.items():
        window = dict(sma=sma) if name == 'smoothed_gradient' else {}
        rate, reason = find(lrs, losses, **window)
        assert reason
        if rate is None: continue
        assert np.isfinite(rate)
        assert rate > 0
        if name != 'minimum': assert min(lrs) <= rate <= max(lrs)


@settings(max_examples=50, deadline=None)
@given(losses=st.lists(NUMBER, min_size=1, max_size=60), n=st.integers(2, 100), beta=st.floats(0, .99))
@pytest.mark.fault
def test_no_curve_raises(losses, n, beta):
    curve = Curve(np.geomspace(1e-7, 10, len(losses)), np.array(losses), n)
    with np.errstate(all='ignore'): suggestions = curve.suggest(beta)
    assert len(suggestions) == 5
    assert repr(curve).endswith('.')


def answers(learn, n=30):
    curve = lr_find(learn, n=n)
    assert len(curve.raw)
    assert all(suggestion.reason for suggestion in curve.suggest().values())
    return curve


def has_answer(curve) -> bool: return any(suggestion.rate for suggestion in curve.suggest().values())


@pytest.mark.fault
def test_one_batch_only(new): answers(new(bs=64))


@pytest.mark.fault
def test_step_of_one(new): assert not has_answer(answers(new(), n=2))


def test_frozen(new):
    learn = new()
    learn.freeze()
    before = learner_state(learn)
    answers(learn)
    assert learner_state(learn) == before
    assert not any(p.requires_grad for p in learn.model.parameters() if p.ndim == 4)


def one_group(model): return [list(model.parameters())]


@pytest.mark.fault
def test_a_single_group_that_is_frozen(new):
    learn = new(groups=one_group)
    for p in learn.model.parameters(): p.requires_grad_(p.ndim == 1)
    answers(learn)


@pytest.mark.fault
def test_everything_frozen(new):
    learn = new()
    learn.model.requires_grad_(False)
    with pytest.raises(CourseError, match='unfreeze'): lr_find(learn)


def test_after_fine_tune(new):
    learn = new()
    learn.fine_tune(1)
    before = learner_state(learn)
    answers(learn)
    assert learner_state(learn) == before


@pytest.mark.fault
def test_no_number_from_the_first_step(new):
    learn = new()
    with torch.no_grad(): learn.model.fc.weight.fill_(float('nan'))
    curve = lr_find(learn, n=20)
    assert len(curve.raw) == 1
    assert 'no longer a number' in repr(curve)
    assert not has_answer(curve)


# ---- explorer ----

def valley_words(*curves):
    "What the explorer says of the valley."
    _, words = finder_explorer(*curves).draw(.9, 20)
    return words.split('valley ')[1].split(', slide')[0]


def test_explorer():
    explorer = finder_explorer(Curve(*falls_then_explodes(100, noise=.05), 100))
    for beta in (0., .48, .99):
        for sma in (1, 20, 40):
            picture, words = explorer.draw(beta=beta, sma=sma)
            assert picture.shape == (300, 720, 3)
            assert 'valley' in words
    assert len(explorer.html()) < 600_000


def test_explorer_says_the_rate_of_one_sweep_and_the_median_of_several():
    sweep = Curve(*falls_then_explodes(100, noise=.05), 100)
    assert valley_words(sweep) == f"{sweep.suggest(.9)['valley'].rate:.1e}"
    sweeps = [Curve(*falls_then_explodes(100, noise=.3, seed=seed), 100) for seed in range(3)]
    rates = [curve.suggest(.9)['valley'].rate for curve in sweeps]
    assert valley_words(*sweeps) == f'{np.median(rates):.1e} ({min(rates):.1e} to {max(rates):.1e})'


def test_explorer_says_where_there_is_no_answer():
    silent = Curve(RISING, np.full(100, np.nan), 100)
    assert 'no answer' in finder_explorer(silent).draw(.9, 20)[1]
