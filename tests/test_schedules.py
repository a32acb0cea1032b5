"Schedules: the formulas, every restart at the peak, equal to others where others are right, and what a run really uses."
import json, math, time
from pathlib import Path
from dataclasses import FrozenInstanceError
from types import SimpleNamespace

import nbformat, numpy as np, pytest, torch
from fastai.callback.core import CancelFitException
from fastai.callback.schedule import SchedCos
from fastai.callback.tracker import EarlyStoppingCallback, ReduceLROnPlateau, SaveModelCallback
from hypothesis import given, settings, strategies as st

from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.report.stats import losses as per_picture
from course_utils.techniques.schedules import EarlyStopping, ReduceOnPlateau, SGDR, Snapshots, Staircase, cosine, ensemble_of, plateau, sgdr, staircase, stops_after, where
from course_utils.explorers.schedules import patience_explorer, schedule_designer
from course_utils.training.keep import describe
from course_utils.training.train import fit, train
from course_utils.training.learner import make_learner

S = torch.optim.lr_scheduler


@pytest.fixture(scope='module')
def pics(): return load_pictures('solar', size=32, limit=160).subset(48)

def by_torch(make, steps, momentum=.9):
    opt = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1., momentum=momentum)
    s, rates = make(opt), []
    for _ in range(steps): rates.append(opt.param_groups[0]['lr']); opt.step(); s.step()
    return rates

def test_a_schedule_can_still_be_made_in_the_lesson_s_exercises():
    "In the notebook all is one namespace: what the exercises import must not replace what the lesson defines."
    cells = nbformat.read(Path(__file__).parent.parent/'nbs'/'04_sgdr.ipynb', 4).cells
    of_lesson = [c.source for c in cells if c.cell_type == 'code' and c.source.startswith('#| export')]
    imports = next(c.source for c in cells if c.id == 'ex-04-imports')
    space = dict(__name__='lesson')
    for source in [*of_lesson, imports]: exec(source, space)
    assert eval('SGDR(2, 3).story(242)', space).endswith('The run ends with a cycle.')
    with pytest.raises(CourseError, match='mult is 0'): eval('SGDR(2, 0)', space)


# ---- against torch ----

@pytest.mark.parametrize('steps, low', [(10, 0), (37, .1), (1000, 1e-3)])
def test_cosine_is_torch_s(steps, low): assert np.allclose([cosine(s, steps, 1., low) for s in range(steps)], by_torch(lambda o: S.CosineAnnealingLR(o, steps, low), steps), atol=1e-9)

@pytest.mark.parametrize('every, gamma', [(1, .5), (7, .1)])
def test_staircase_is_torch_s(every, gamma): assert np.allclose([staircase(s, every, 1., gamma) for s in range(50)], by_torch(lambda o: S.StepLR(o, every, gamma), 50))

@pytest.mark.parametrize('first', [1, 2, 5, 30])
@pytest.mark.parametrize('mult', [1, 2, 3, 4])
def test_restarts_are_torch_s_stepwise(first, mult):
    n = sum(first * mult**i for i in range(3)) + 2
    assert np.allclose([sgdr(s, first, mult, low=.05) for s in range(n)], by_torch(lambda o: S.CosineAnnealingWarmRestarts(o, first, mult, .05), n))

def test_torch_s_closed_form_misses_restarts_at_3():
    "Should torch mend it, lesson 04 has a sentence to change."
    opt = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.)
    s, at = S.CosineAnnealingWarmRestarts(opt, 1, 3), sum(3**i for i in range(5))
    s.step(at)
    assert s.get_last_lr()[0] < .01 and sgdr(at, 1, 3) == 1.
    for e in range(at):  # everywhere else up to there they agree
        s.step(e); assert s.get_last_lr()[0] == pytest.approx(sgdr(e, 1, 3), abs=1e-9)

def test_one_cycle_is_torch_s(pics):
    learn = make_learner(pics, 'resnet10t', bs=8, quiet=True, device='cpu')
    fit(learn, 4, lr_max=.01)
    n = len(learn.recorder.lrs)
    # fastai's position is step/n, torch's peak is at step pct·n - 1: the same curve on another grid
    up, down = [s for s in range(n) if s / n < .25], [s for s in range(n) if s / n >= .25]
    assert np.allclose([learn.recorder.lrs[s] for s in up], [cosine(s, len(up), .01 / 25, .01) for s in range(len(up))])
    assert np.allclose([learn.recorder.lrs[s] for s in down], [cosine(s, len(down), .01, .01 / 1e5) for s in range(len(down))])
    total = 100
    want = by_torch(lambda o: S.OneCycleLR(o, 1., total_steps=total + 1, pct_start=(.25 * total + 1) / (total + 1), div_factor=25, final_div_factor=1e5 / 25), total)
    mine = [cosine(s, 25, 1 / 25, 1.) if s < 25 else cosine(s - 25, 75, 1., 1e-5) for s in range(total)]
    assert np.allclose(mine, want, atol=1e-9)


# ---- against fastai ----

def test_cosine_is_fastai_s(): assert np.allclose([cosine(s, 40, .3, .01) for s in range(41)], [SchedCos(.3, .01)(s / 40) for s in range(41)])

@pytest.mark.parametrize('cycles, length, mult', [(2, 1, 2), (3, 1, 2), (2, 2, 3)])
def test_run_is_fastai_s_sgdr_away_from_restarts(pics, cycles, length, mult):
    epochs = sum(length * mult**i for i in range(cycles))
    ours, theirs = (make_learner(pics, 'resnet10t', bs=16, quiet=True, device='cpu') for _ in range(2))
    fit(ours, epochs, 1e-3, SGDR(length, mult))
    theirs.fit_sgdr(cycles, length, 1e-3, cycle_mult=mult)
    n = len(ours.dls.train)
    assert len(ours.recorder.lrs) == len(theirs.recorder.lrs) == epochs * n
    away = [s for s in range(epochs * n) if where(s, length * n, mult)[1]]
    assert np.allclose(np.array(ours.recorder.lrs)[away], np.array(theirs.recorder.lrs)[away], atol=1e-3 * 1e-5)

def test_fastai_divides_by_nought_where_we_do_not(pics):
    learn = make_learner(pics, 'resnet10t', bs=16, quiet=True, device='cpu')
    with pytest.raises(ZeroDivisionError): learn.fit_sgdr(2, 1, cycle_mult=1)
    fit(learn, 2, 1e-3, SGDR(1, 1))
    n = len(learn.dls.train)
    assert [s for s, lr in enumerate(learn.recorder.lrs) if lr == 1e-3] == [0, n]


# ---- the property ----

@settings(max_examples=300, deadline=None)
@given(first=st.integers(1, 30), mult=st.integers(1, 4) | st.sampled_from([1.5, 2.5]), cycles=st.integers(1, 5), n=st.integers(1, 50), peak=st.floats(1e-6, 10), share=st.floats(0, .99), data=st.data())
def test_every_restart_has_exactly_the_peak(first, mult, cycles, n, peak, share, data):
    steps, low, start = first * n, peak * share, 0
    for i in range(cycles):
        assert where(start, steps, mult)[:2] == (i, 0) and sgdr(start, steps, mult, peak, low) == peak
        length = where(start, steps, mult)[2]
        assert length == round(steps * mult**i)
        inside = data.draw(st.integers(0, length - 1))
        assert low <= sgdr(start + inside, steps, mult, peak, low) <= peak and where(start + inside, steps, mult) == (i, inside, length)
        if length > 1: assert sgdr(start + length - 1, steps, mult, peak, low) < peak
        start += length


@pytest.mark.parametrize('mult', [1, 2, 3, 4, 1.5])
@pytest.mark.parametrize('n', [1, 7, 30])
def test_every_restart_of_a_whole_run(mult, n):
    "All first cycles of 1 to 30 epochs, through the fraction done that `fit` passes: fastai's epoch/epochs plus rounding errors."
    for first in range(1, 31):
        s = SGDR(first, mult)
        starts = np.cumsum([0] + [round(first * n * mult**i) for i in range(4)])
        epochs = math.ceil((starts[-1] + first * n * mult**4) / n)
        f = s.for_run(epochs, n)
        for start in starts.tolist():
            pos = start // n / epochs
            for _ in range(start % n): pos += 1 / (epochs * n)
            assert f(pos) == 1.


@given(decay=st.floats(.1, 1), low=st.floats(0, .5), cycle=st.integers(0, 4))
def test_peaks_decay(decay, low, cycle): assert sgdr(10 * cycle, 10, 1, 1., low, decay) == max(decay**cycle, low)


# ---- what a run uses, and keeps ----

@pytest.mark.parametrize('schedule', [SGDR(1, 2), SGDR(1, 1, .1, .5), SGDR(1, 1.5), Staircase(1, .5)])
def test_a_run_uses_it(pics, schedule):
    run = train(pics, 'resnet10t', 3, lr_max=[1e-3, 1e-2], schedule=schedule, bs=16, quiet=True, device='cpu')
    n = len(run.learn.dls.train)
    assert np.allclose(run.learn.recorder.lrs, [1e-2 * schedule(s, n) for s in range(3 * n)], rtol=1e-12)


def test_a_schedule_can_be_kept(pics, tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path)); monkeypatch.delenv('COURSE_FRESH', raising=False)
    go = lambda s: train(pics, 'resnet10t', 1, schedule=s, keep=True, bs=16, quiet=True, device='cpu').learn
    assert go(SGDR(1, 2)) and not go(SGDR(1, 2)) and go(SGDR(1, 3)) and go(Staircase(1))
    assert json.dumps(describe(SGDR(2, 3, .1, .9))) == '["SGDR", {"first": 2, "mult": 3, "low": 0.1, "decay": 0.9}]'
    with pytest.raises(FrozenInstanceError): SGDR().first = 3


@pytest.mark.parametrize('make', [lambda: SGDR(0), lambda: SGDR(1, .5), lambda: SGDR(1, 2, 1.5), lambda: SGDR(1, 2, 0, -1), lambda: Staircase(0), lambda: SGDR(float('nan'))])
@pytest.mark.fault
def test_impossible_schedules(make):
    with pytest.raises(CourseError, match='can only be from'): make()


@pytest.mark.parametrize('first, mult, epochs, want', [(1, 2, 15, '4 cycles of 1, 2, 4, 8 epochs: 15 epochs in all. The run ends with a cycle.'), (3, 1, 9, '3 cycles of 3, 3, 3 epochs: 9 epochs in all. The run ends with a cycle.'),
                                                       (1, 1.5, 4.75, '3 cycles of 1, 1.5, 2.25 epochs: 4.75 epochs in all. The run ends with a cycle.'), (2, 3, 8, '2 cycles of 2, 6 epochs: 8 epochs in all. The run ends with a cycle.')])
def test_story(first, mult, epochs, want): assert SGDR(first, mult).story(epochs) == want

def test_story_warns():
    assert 'Warning: the run of 9 epochs ends mid-cycle, 2 of 8 epochs into it, at 85% of the highest rate. Take 7 or 15.' in SGDR(1, 2).story(9)
    assert SGDR(10, 2).story(3).endswith('Take 10.')

@given(first=st.integers(1, 30), mult=st.integers(1, 4), k=st.integers(1, 5))
def test_total_is_exact(first, mult, k):
    total = sum(first * mult**i for i in range(k))
    s = SGDR(first, mult)
    assert sum(s.cycles(total)) == total and len(s.cycles(total)) == k and 'Warning' not in s.story(total)
    if total > 1: assert ('Warning' in s.story(total - 1)) == (total - 1 != sum(s.cycles(total)[:-1]))


# ---- snapshots ----

def test_snapshots(pics):
    settings = dict(schedule=SGDR(1, 2), bs=16, quiet=True, device='cpu')
    run = train(pics, 'resnet10t', 4, cbs=[Snapshots], **settings)
    plainly = train(pics, 'resnet10t', 4, **settings)
    snaps = run.arrays['snapshots']
    assert run.arrays['snapshots_at'].tolist() == [1, 3] and np.array_equal(run.probs, plainly.probs), 'watching changes nothing'
    first = train(pics, 'resnet10t', 1, **dict(settings, schedule=SGDR(1, 1)))
    assert np.allclose(snaps[0], first.probs, atol=1e-5) and np.allclose(ensemble_of(run), (snaps[0] + snaps[1]) / 2)
    with pytest.raises(CourseError, match='No cycle has ended'): ensemble_of(plainly)

def test_no_snapshots_without_restarts(pics):
    with pytest.raises(CourseError, match='need a schedule with restarts'): train(pics, 'resnet10t', 1, cbs=[Snapshots], bs=16, quiet=True)

def test_a_run_with_snapshots_is_kept_with_them(pics, tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path)); monkeypatch.delenv('COURSE_FRESH', raising=False)
    a, b = (train(pics, 'resnet10t', 1, schedule=SGDR(1, 1), cbs=[Snapshots], keep=True, bs=16, quiet=True, device='cpu') for _ in range(2))
    assert a.learn and not b.learn and a.arrays.keys() == b.arrays.keys() == {'snapshots', 'snapshots_at'}
    assert np.array_equal(ensemble_of(a), ensemble_of(b)) and np.array_equal(a.probs, b.probs)


# ---- early stopping ----

def driven(cb, losses):
    "fastai's own callback, fed with these losses: after which epoch it stopped, if so, and the rate of each epoch."
    cb.learn = SimpleNamespace(recorder=SimpleNamespace(metric_names=['epoch', 'valid_loss']), opt=SimpleNamespace(hypers=[dict(lr=1.)]))
    cb.before_fit()
    rates = []
    for cb.learn.epoch, loss in enumerate(losses):
        rates.append(cb.learn.opt.hypers[-1]['lr'])
        cb.learn.recorder.values = [[loss]]
        try: cb.after_epoch()
        except CancelFitException: return cb.learn.epoch + 1, rates
    return None, rates

LOSSES = st.lists(st.integers(0, 12).map(lambda k: k / 8), min_size=1, max_size=25)  # exact in binary, with many ties

@settings(max_examples=300, deadline=None)
@given(losses=LOSSES, patience=st.integers(1, 6), min_delta=st.sampled_from([0, .125, .25]))
def test_replay_is_fastai_s(losses, patience, min_delta):
    stop, best = stops_after(losses, patience, min_delta)
    assert stop == driven(EarlyStoppingCallback(patience=patience, min_delta=min_delta), losses)[0]
    assert 1 <= best <= (stop or len(losses)) and (stop is None or stop - best == patience)
    if not min_delta: assert losses[best - 1] == min(losses[:stop])

def test_the_article_s_numbers():
    "Best at 14, patience 2: stops at epoch 16 of 20, as *Improving model accuracy* reports."
    assert stops_after([1 - .05 * e for e in range(14)] + [.4] * 6, 2, 1e-4) == (16, 14)

def test_no_better_loss_at_all(): assert stops_after([float('nan')] * 3, 2) == (2, 0)

CONSTANT = dict(lr_max=1e-2, schedule='constant', bs=16, quiet=True, device='cpu')

def test_a_stopped_run_is_the_replay(pics):
    "Same epochs, the same stop, and the weights of the best epoch, as fastai's two callbacks give them."
    whole = train(pics, 'resnet10t', 8, **CONSTANT)
    losses = whole.history.valid_loss.tolist()
    patience = next(p for p in (1, 2, 3) if stops_after(losses, p)[0])
    class Patient(EarlyStopping): pass
    Patient.patience = patience
    run = train(pics, 'resnet10t', 8, cbs=[Patient], **CONSTANT)
    stop, best = stops_after(losses, patience, Patient.min_delta)
    assert run.history.valid_loss.tolist() == losses[:stop] and best < stop
    loss = -np.log(run.probs[np.arange(len(run.targets)), run.targets]).mean()
    assert loss == pytest.approx(losses[best - 1], abs=1e-4) and abs(loss - losses[stop - 1]) > 1e-3
    assert run.valid_loss == pytest.approx(per_picture(run).mean()) and f'valid loss {run.valid_loss:.3f}' in repr(run), 'loss and accuracy are of one network'

    class Forgets(Patient):
        def after_fit(self): pass
    assert not np.allclose(train(pics, 'resnet10t', 8, cbs=[Forgets], **CONSTANT).probs, run.probs), 'the test sees weights that do not come back'

def test_early_stopping_is_fastai_s(pics, tmp_path):
    ours, theirs = (make_learner(pics, 'resnet10t', bs=16, quiet=True, device='cpu') for _ in range(2))
    theirs.path = tmp_path
    fit(ours, 8, 1e-2, 'constant', [EarlyStopping])
    fit(theirs, 8, 1e-2, 'constant', [SaveModelCallback(min_delta=1e-4), EarlyStoppingCallback(patience=2, min_delta=1e-4)])
    assert len(ours.history.rows) == len(theirs.history.rows)
    assert all(torch.equal(a, b) for a, b in zip(ours.model.state_dict().values(), theirs.model.state_dict().values()))

def test_patience_is_part_of_a_kept_run(pics, tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path)); monkeypatch.delenv('COURSE_FRESH', raising=False)
    class Patient(EarlyStopping): patience = 5
    Named = type('EarlyStopping', (EarlyStopping,), dict(patience=5, __module__=EarlyStopping.__module__, __qualname__='EarlyStopping'))
    assert describe(EarlyStopping)[1] == dict(patience=2, min_delta=1e-4) and describe(Named) != describe(EarlyStopping)
    go = lambda cb: train(pics, 'resnet10t', 1, cbs=[cb], keep=True, **CONSTANT).learn
    assert go(EarlyStopping) and not go(EarlyStopping) and go(Named) and not go(Named)

def test_patience_explorer():
    curves = {'a': [1, .9, .95, .96, .97, .5], 'b': [1, .8, .6, .5, .4, .3]}
    e = patience_explorer(curves)
    assert 'a: stops after epoch 4, takes epoch 2 with loss 0.900 (at the end 0.500, lowest 0.500); b: runs to its end' in e.at()[1]
    assert 'a: runs to its end, takes epoch 6' in e.at(patience=5)[1] and (e.at()[0] != e.at(patience=5)[0]).any()
    assert 'b: runs to its end, takes epoch 6 with loss 0.300' in e.at(min_delta=.05)[1]


# ---- reduce on a plateau ----

@settings(max_examples=300, deadline=None)
@given(losses=LOSSES, patience=st.integers(1, 5), factor=st.sampled_from([.5, .1]), low=st.sampled_from([0, .05]))
def test_plateau_is_fastai_s_with_the_factor_inverted_and_torch_s_with_one_epoch_less(losses, patience, factor, low):
    mine = plateau(losses, patience, factor, low=low)
    assert np.allclose(mine, driven(ReduceLROnPlateau(patience=patience, factor=1 / factor, min_lr=low), losses)[1])
    opt = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.)
    s, rates = S.ReduceLROnPlateau(opt, factor=factor, patience=patience - 1, threshold=0, min_lr=low, eps=0), []
    for loss in losses: rates.append(opt.param_groups[0]['lr']); s.step(loss)
    assert np.allclose(mine, rates)

def test_factor_as_it_is_raises_the_rate_in_fastai():
    assert driven(ReduceLROnPlateau(patience=1, factor=.1), [1., 2., 2.])[1][-1] == pytest.approx(10) and plateau([1., 2., 2.], 1, .1)[-1] == pytest.approx(.1)

class Never(ReduceOnPlateau): patience, min_delta, factor = 1, 9, .1  # every epoch after the first is a plateau

@pytest.mark.parametrize('schedule', ['constant', SGDR(1, 2)])
def test_a_run_reduces(pics, schedule):
    "Every group, by what `plateau` says, on top of what the schedule gives."
    run = train(pics, 'resnet10t', 4, lr_max=[1e-3, 1e-2], schedule=schedule, cbs=[Never], bs=16, quiet=True, device='cpu')
    n, shares = len(run.learn.dls.train), plateau(run.history.valid_loss, 1, .1, 9)
    assert np.allclose(shares, [1, 1, .1, .01])
    plain = [1. if schedule == 'constant' else schedule(s, n) for s in range(4 * n)]
    assert np.allclose(run.learn.recorder.lrs, [1e-2 * p * shares[s // n] for s, p in enumerate(plain)], rtol=1e-9)
    rates = [h['lr'] for h in run.learn.opt.hypers]
    assert rates[1] == pytest.approx(10 * rates[0])

def test_fastai_s_callback_changes_nothing_with_a_torch_optimizer(pics):
    "fastai #4046. Should fastai mend it, lesson 04 has a sentence to change."
    learn = make_learner(pics, 'resnet10t', bs=16, quiet=True, device='cpu')
    learn.fit(3, 1e-2, cbs=[ReduceLROnPlateau(patience=1, min_delta=9)])
    assert set(learn.recorder.lrs) == {1e-2}


# ---- designer ----

def test_designer():
    e = schedule_designer()
    seconds = []
    for first in (1, 15, 30):
        for mult in (1., 1.5, 4.):
            for epochs in (1, 60):
                start = time.perf_counter(); picture, says = e.draw(first=first, mult=mult, low=.1, decay=.8, epochs=epochs); seconds.append(time.perf_counter() - start)
                assert picture.shape == (300, 760, 3) and 'epochs in all' in says
    assert np.median(seconds) < .04, 'a slider should follow the hand'  # 15 ms on a quiet machine
    assert 'Warning' in e.at(first=4)[1] and 'Warning' not in e.at()[1]
