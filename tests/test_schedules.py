"Schedules: the formulas, every restart at the peak, equal to others where others are right, and what a run really uses."
import json, math, time
from dataclasses import FrozenInstanceError

import numpy as np, pytest, torch
from fastai.callback.schedule import SchedCos
from hypothesis import given, settings, strategies as st

from course_utils.config import CourseError
from course_utils.data import load_pictures
from course_utils.schedules import SGDR, Snapshots, Staircase, cosine, schedule_designer, sgdr, staircase, where
from course_utils.train import describe, fit, make_learner, train

S = torch.optim.lr_scheduler


@pytest.fixture(scope='module')
def pics(): return load_pictures('solar', size=32, limit=160).subset(48)

def by_torch(make, steps, momentum=.9):
    opt = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1., momentum=momentum)
    s, rates = make(opt), []
    for _ in range(steps): rates.append(opt.param_groups[0]['lr']); opt.step(); s.step()
    return rates


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
    plan = SGDR(1, 2)
    snaps = Snapshots(plan)
    settings = dict(schedule=plan, bs=16, quiet=True, device='cpu')
    run = train(pics, 'resnet10t', 4, cbs=[snaps], **settings)
    plainly = train(pics, 'resnet10t', 4, **settings)
    assert snaps.at == [1, 3] and np.array_equal(run.probs, plainly.probs), 'watching changes nothing'
    first = train(pics, 'resnet10t', 1, **dict(settings, schedule=SGDR(1, 1)))
    assert np.allclose(snaps.probs[0], first.probs, atol=1e-5) and np.allclose(snaps.mean(), (snaps.probs[0] + snaps.probs[1]) / 2)

def test_no_snapshots():
    with pytest.raises(CourseError, match='No cycle has ended'): Snapshots(SGDR(5)).mean()


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
