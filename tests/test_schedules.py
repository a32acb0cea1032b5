"Schedules: the formulas, every restart at the peak, equal to others where others are right, and what a run really uses."
import itertools, json, math, time
from dataclasses import FrozenInstanceError
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt, nbformat, numpy as np, pytest, torch
from fastai.callback.core import CancelFitException
from fastai.callback.schedule import SchedCos
from fastai.callback.tracker import EarlyStoppingCallback, ReduceLROnPlateau, SaveModelCallback
from fastai.optimizer import Adam
from hypothesis import given, settings, strategies as st

from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.explorers.schedules import patience_explorer, schedule_designer
from course_utils.report.stats import losses as picture_losses
from course_utils.show.draw import figure_to_pixels
from course_utils.techniques.schedules import (SGDR, EarlyStopping, ReduceOnPlateau, Snapshots, Staircase, cosine,
                                               cycle_position, ensemble_of, plateau, sgdr, staircase, stops_after)
from course_utils.training.keep import describe
from course_utils.training.learner import ValidateAtEnd, make_learner
from course_utils.training.recipe import Recipe, body_and_head
from course_utils.training.train import fit, train

S = torch.optim.lr_scheduler


@pytest.fixture(scope='module')
def pics(): return load_pictures('solar', size=32, limit=160).subset(48)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path))
    monkeypatch.delenv('COURSE_FRESH', raising=False)


def small_recipe(epochs=1, bs=16, **settings): return Recipe('resnet10t', epochs, bs=bs, **settings)


def learner(pics, **settings): return make_learner(pics, small_recipe(**settings), quiet=True, device='cpu')


def run_of(pics, epochs, keep=False, **settings):
    return train(pics, small_recipe(epochs, **settings), keep=keep, quiet=True, device='cpu')


def an_optimizer(momentum=0): return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1., momentum=momentum)


def by_torch(make, steps):
    opt = an_optimizer(momentum=.9)
    scheduler = make(opt)
    rates = []
    for _ in range(steps):
        rates.append(opt.param_groups[0]['lr'])
        opt.step()
        scheduler.step()
    return rates


def test_a_schedule_can_still_be_made_in_the_lesson_s_exercises():
    "In the notebook all is one namespace: what the exercises import must not replace what the lesson defines."
    cells = nbformat.read(Path(__file__).parent.parent/'nbs'/'04_sgdr.ipynb', 4).cells
    exported = [c.source for c in cells if c.cell_type == 'code' and c.source.startswith('#| export')]
    imports = next(c.source for c in cells if c.id == 'ex-04-imports')
    space = dict(__name__='lesson')
    for source in [*exported, imports]: exec(source, space)
    assert eval('SGDR(2, 3).story(242)', space).endswith('The run ends with a cycle.')
    with pytest.raises(CourseError, match='mult is 0'): eval('SGDR(2, 0)', space)


# ---- against torch ----

@pytest.mark.parametrize('steps, low', [(10, 0), (37, .1), (1000, 1e-3)])
def test_cosine_is_torch_s(steps, low):
    expected = by_torch(lambda o: S.CosineAnnealingLR(o, steps, low), steps)
    assert np.allclose([cosine(s, steps, 1., low) for s in range(steps)], expected, atol=1e-9)


@pytest.mark.parametrize('step_size, gamma', [(1, .5), (7, .1)])
def test_staircase_is_torch_s(step_size, gamma):
    expected = by_torch(lambda o: S.StepLR(o, step_size, gamma), 50)
    assert np.allclose([staircase(s, step_size, 1., gamma) for s in range(50)], expected)


@pytest.mark.parametrize('first', [1, 2, 5, 30])
@pytest.mark.parametrize('mult', [1, 2, 3, 4])
def test_restarts_are_torch_s_stepwise(first, mult):
    n = sum(first * mult**i for i in range(3)) + 2
    expected = by_torch(lambda o: S.CosineAnnealingWarmRestarts(o, first, mult, .05), n)
    assert np.allclose([sgdr(s, first, mult, low=.05) for s in range(n)], expected)


def test_torch_s_closed_form_misses_restarts_at_3():
    "Should torch mend it, lesson 04 has a sentence to change."
    scheduler = S.CosineAnnealingWarmRestarts(an_optimizer(), 1, 3)
    restart = sum(3**i for i in range(5))
    scheduler.step(restart)
    assert scheduler.get_last_lr()[0] < .01
    assert sgdr(restart, 1, 3) == 1.
    for epoch in range(restart):  # everywhere else up to there they agree
        scheduler.step(epoch)
        assert scheduler.get_last_lr()[0] == pytest.approx(sgdr(epoch, 1, 3), abs=1e-9)


def test_one_cycle_is_two_cosines(pics):
    learn = learner(pics, bs=8)
    fit(learn, 4, lr_max=.01)
    rates = learn.recorder.lrs
    n_up = math.ceil(len(rates) * .25)
    n_down = len(rates) - n_up
    assert np.allclose(rates[:n_up], [cosine(s, n_up, .01 / 25, .01) for s in range(n_up)])
    assert np.allclose(rates[n_up:], [cosine(s, n_down, .01, .01 / 1e5) for s in range(n_down)])


def test_one_cycle_is_torch_s():
    "fastai's position is step/n, torch's peak is at step pct·n - 1: the same curve on another grid."
    total = 100
    share_up = (.25 * total + 1) / (total + 1)
    expected = by_torch(lambda o: S.OneCycleLR(o, 1., total_steps=total + 1, pct_start=share_up, div_factor=25,
                                               final_div_factor=1e5 / 25), total)
    up = [cosine(s, 25, 1 / 25, 1.) for s in range(25)]
    down = [cosine(s, 75, 1., 1e-5) for s in range(75)]
    assert np.allclose(up + down, expected, atol=1e-9)


# ---- against fastai ----

def test_cosine_is_fastai_s():
    expected = [SchedCos(.3, .01)(s / 40) for s in range(41)]
    assert np.allclose([cosine(s, 40, .3, .01) for s in range(41)], expected)


@pytest.mark.parametrize('cycles, length, mult', [(2, 1, 2), (3, 1, 2), (2, 2, 3)])
def test_run_is_fastai_s_sgdr_away_from_restarts(pics, cycles, length, mult):
    epochs = sum(length * mult**i for i in range(cycles))
    ours = learner(pics)
    fit(ours, epochs, 1e-3, SGDR(length, mult))
    theirs = learner(pics)
    theirs.fit_sgdr(cycles, length, 1e-3, cycle_mult=mult)
    n = len(ours.dls.train)
    assert len(ours.recorder.lrs) == len(theirs.recorder.lrs) == epochs * n
    no_restart = [s for s in range(epochs * n) if cycle_position(s, length * n, mult)[1]]
    our_rates = np.array(ours.recorder.lrs)[no_restart]
    assert np.allclose(our_rates, np.array(theirs.recorder.lrs)[no_restart], atol=1e-3 * 1e-5)


def test_fastai_divides_by_zero_where_we_do_not(pics):
    learn = learner(pics)
    with pytest.raises(ZeroDivisionError): learn.fit_sgdr(2, 1, cycle_mult=1)
    fit(learn, 2, 1e-3, SGDR(1, 1))
    n = len(learn.dls.train)
    assert [s for s, lr in enumerate(learn.recorder.lrs) if lr == 1e-3] == [0, n]


def test_fastai_s_third_cycle_begins_at_zero_where_ours_is_at_the_peak(pics):
    "`fit_sgdr` with its default multiplier, in fastai 2.8.7. Should fastai mend it, lesson 04 has a sentence to change."
    theirs = learner(pics)
    theirs.fit_sgdr(3, 1, 1e-3)
    ours = learner(pics)
    fit(ours, 7, 1e-3, SGDR(1, 2))
    third = 3 * len(ours.dls.train)  # after cycles of one and of two epochs
    assert theirs.recorder.lrs[third] == pytest.approx(0, abs=1e-12)
    assert ours.recorder.lrs[third] == 1e-3


# ---- the property ----

@settings(max_examples=300, deadline=None)
@given(
    first=st.integers(1, 30),
    mult=st.integers(1, 4) | st.sampled_from([1.5, 2.5]),
    cycles=st.integers(1, 5),
    n=st.integers(1, 50),
    peak=st.floats(1e-6, 10),
    share=st.floats(0, .99),
    data=st.data(),
)
def test_every_restart_has_exactly_the_peak(first, mult, cycles, n, peak, share, data):
    steps = first * n
    low = peak * share
    start = 0
    for i in range(cycles):
        cycle, done, length = cycle_position(start, steps, mult)
        assert (cycle, done) == (i, 0)
        assert length == round(steps * mult**i)
        assert sgdr(start, steps, mult, peak, low) == peak
        done = data.draw(st.integers(0, length - 1))
        assert cycle_position(start + done, steps, mult) == (i, done, length)
        assert low <= sgdr(start + done, steps, mult, peak, low) <= peak
        if length > 1: assert sgdr(start + length - 1, steps, mult, peak, low) < peak
        start += length


@pytest.mark.parametrize('mult', [1, 2, 3, 4, 1.5])
@pytest.mark.parametrize('n', [1, 7, 30])
def test_every_restart_of_a_whole_run(mult, n):
    "All first cycles of 1 to 30 epochs, through the fraction done that `fit` passes: fastai's epoch/epochs plus rounding errors."
    for first in range(1, 31):
        lengths = [round(first * n * mult**i) for i in range(4)]
        starts = np.cumsum([0, *lengths])
        epochs = math.ceil((starts[-1] + first * n * mult**4) / n)
        factor = SGDR(first, mult).for_run(epochs, n)
        for start in starts.tolist():
            done = start // n / epochs
            for _ in range(start % n): done += 1 / (epochs * n)
            assert factor(done) == 1.


@given(decay=st.floats(.1, 1), low=st.floats(0, .5), cycle=st.integers(0, 4))
def test_peaks_decay(decay, low, cycle): assert sgdr(10 * cycle, 10, 1, 1., low, decay) == max(decay**cycle, low)


# ---- what a run uses, and keeps ----

@pytest.mark.parametrize('schedule', [SGDR(1, 2), SGDR(1, 1, .1, .5), SGDR(1, 1.5), Staircase(1, .5)])
def test_a_run_uses_it(pics, schedule):
    run = run_of(pics, 3, lr_max=[1e-3, 1e-2], schedule=schedule)
    n = len(run.learn.dls.train)
    assert np.allclose(run.learn.recorder.lrs, [1e-2 * schedule(s, n) for s in range(3 * n)], rtol=1e-12)


def test_a_schedule_can_be_kept(pics, empty_cache):
    def is_trained(schedule): return run_of(pics, 1, keep=True, schedule=schedule).learn is not None
    assert is_trained(SGDR(1, 2))
    assert not is_trained(SGDR(1, 2))
    assert is_trained(SGDR(1, 3))
    assert is_trained(Staircase(1))


def test_a_schedule_is_known_by_its_numbers():
    assert json.dumps(describe(SGDR(2, 3, .1, .9))) == '["SGDR", {"first": 2, "mult": 3, "low": 0.1, "decay": 0.9}]'
    with pytest.raises(FrozenInstanceError): SGDR().first = 3


@pytest.mark.parametrize('make', [
    lambda: SGDR(0),
    lambda: SGDR(1, .5),
    lambda: SGDR(1, 2, 1.5),
    lambda: SGDR(1, 2, 0, -1),
    lambda: Staircase(0),
    lambda: SGDR(float('nan')),
])
@pytest.mark.fault
def test_impossible_schedules(make):
    with pytest.raises(CourseError, match='can only be from'): make()


@pytest.mark.parametrize('first, mult, epochs, summary', [
    (1, 2, 15, '4 cycles of 1, 2, 4, 8 epochs: 15 epochs in all.'),
    (3, 1, 9, '3 cycles of 3, 3, 3 epochs: 9 epochs in all.'),
    (1, 1.5, 4.75, '3 cycles of 1, 1.5, 2.25 epochs: 4.75 epochs in all.'),
    (2, 3, 8, '2 cycles of 2, 6 epochs: 8 epochs in all.'),
])
def test_story(first, mult, epochs, summary):
    assert SGDR(first, mult).story(epochs) == f'{summary} The run ends with a cycle.'


def test_story_warns():
    warning = 'Warning: the run of 9 epochs ends mid-cycle, 2 of 8 epochs into it, at 85% of the highest rate. Take 7 or 15.'
    assert warning in SGDR(1, 2).story(9)
    assert SGDR(10, 2).story(3).endswith('Take 10.')


@given(first=st.integers(1, 30), mult=st.integers(1, 4), k=st.integers(1, 5))
def test_total_is_exact(first, mult, k):
    total = sum(first * mult**i for i in range(k))
    schedule = SGDR(first, mult)
    lengths = schedule.cycles(total)
    assert sum(lengths) == total
    assert len(lengths) == k
    assert 'Warning' not in schedule.story(total)
    if total > 1: assert ('Warning' in schedule.story(total - 1)) == (total - 1 != sum(lengths[:-1]))


# ---- snapshots ----

def test_snapshots(pics):
    run = run_of(pics, 4, schedule=SGDR(1, 2), callbacks=(Snapshots,))
    unwatched = run_of(pics, 4, schedule=SGDR(1, 2))
    snapshots = run.arrays['snapshots']
    assert run.arrays['snapshots_at'].tolist() == [1, 3]
    assert np.array_equal(run.probs, unwatched.probs), 'watching changes nothing'
    first_cycle = run_of(pics, 1, schedule=SGDR(1, 1))
    assert np.allclose(snapshots[0], first_cycle.probs, atol=1e-5)
    assert np.allclose(ensemble_of(run), (snapshots[0] + snapshots[1]) / 2)
    with pytest.raises(CourseError, match='No cycle has ended'): ensemble_of(unwatched)


def test_no_snapshots_without_restarts(pics):
    recipe = small_recipe(callbacks=(Snapshots,))
    with pytest.raises(CourseError, match='need a schedule with restarts'): train(pics, recipe, quiet=True)


def test_a_run_with_snapshots_is_kept_with_them(pics, empty_cache):
    a, b = [run_of(pics, 1, keep=True, schedule=SGDR(1, 1), callbacks=(Snapshots,)) for _ in range(2)]
    assert a.learn is not None
    assert b.learn is None
    assert a.arrays.keys() == b.arrays.keys() == {'snapshots', 'snapshots_at'}
    assert np.array_equal(ensemble_of(a), ensemble_of(b))
    assert np.array_equal(a.probs, b.probs)


# ---- early stopping ----

def driven(cb, losses):
    "fastai's own callback, fed with these losses: after which epoch it stopped, if so, and the rate of each epoch."
    recorder = SimpleNamespace(metric_names=['epoch', 'valid_loss'])
    cb.learn = SimpleNamespace(recorder=recorder, opt=SimpleNamespace(hypers=[dict(lr=1.)]))
    cb.before_fit()
    rates = []
    for cb.learn.epoch, loss in enumerate(losses):
        rates.append(cb.learn.opt.hypers[-1]['lr'])
        recorder.values = [[loss]]
        try: cb.after_epoch()
        except CancelFitException: return cb.learn.epoch + 1, rates
    return None, rates


EIGHTHS = st.integers(0, 12).map(lambda k: k / 8)  # exact in binary, with many ties
LOSSES = st.lists(EIGHTHS, min_size=1, max_size=25)


@settings(max_examples=300, deadline=None)
@given(losses=LOSSES, patience=st.integers(1, 6), min_delta=st.sampled_from([0, .125, .25]))
def test_replay_is_fastai_s(losses, patience, min_delta):
    stop, best = stops_after(losses, patience, min_delta)
    expected, _ = driven(EarlyStoppingCallback(patience=patience, min_delta=min_delta), losses)
    assert stop == expected
    assert 1 <= best <= (stop or len(losses))
    assert stop is None or stop - best == patience
    if not min_delta: assert losses[best - 1] == min(losses[:stop])


def test_the_article_s_numbers():
    "Best at 14, patience 2: stops at epoch 16 of 20, as *Improving model accuracy* reports."
    losses = [1 - .05 * epoch for epoch in range(14)] + [.4] * 6
    assert stops_after(losses, 2, 1e-4) == (16, 14)


def test_no_better_loss_at_all(): assert stops_after([float('nan')] * 3, 2) == (2, 0)


CONSTANT = dict(lr_max=1e-2, schedule='constant')


@pytest.fixture(scope='module')
def whole_run(pics): return run_of(pics, 8, **CONSTANT)


@pytest.fixture(scope='module')
def patient(whole_run):
    "Early stopping with the shortest patience that stops this run."
    class Patient(EarlyStopping): pass
    losses = whole_run.history.valid_loss.tolist()
    Patient.patience = next(p for p in (1, 2, 3) if stops_after(losses, p)[0])
    return Patient


@pytest.fixture(scope='module')
def stopped_run(pics, patient): return run_of(pics, 8, callbacks=(patient,), **CONSTANT)


def test_a_stopped_run_is_the_replay(whole_run, patient, stopped_run):
    "Same epochs, the same stop, and the weights of the best epoch, as fastai's two callbacks give them."
    losses = whole_run.history.valid_loss.tolist()
    stop, best = stops_after(losses, patient.patience, patient.min_delta)
    assert stopped_run.history.valid_loss.tolist() == losses[:stop]
    assert best < stop
    of_target = stopped_run.probs[np.arange(len(stopped_run.targets)), stopped_run.targets]
    loss = -np.log(of_target).mean()
    assert loss == pytest.approx(losses[best - 1], abs=1e-4)
    assert abs(loss - losses[stop - 1]) > 1e-3


def test_loss_and_accuracy_of_a_stopped_run_are_of_one_network(stopped_run):
    assert stopped_run.valid_loss == pytest.approx(picture_losses(stopped_run).mean())
    assert f'valid loss {stopped_run.valid_loss:.3f}' in repr(stopped_run)


def test_weights_that_do_not_come_back_would_be_seen(pics, patient, stopped_run):
    class Forgets(patient):
        def after_fit(self): pass

    forgetful = run_of(pics, 8, callbacks=(Forgets,), **CONSTANT)
    assert not np.allclose(forgetful.probs, stopped_run.probs)


def test_early_stopping_is_fastai_s(pics, tmp_path):
    ours = learner(pics)
    fit(ours, 8, 1e-2, 'constant', [EarlyStopping])
    theirs = learner(pics)
    theirs.path = tmp_path
    their_callbacks = [SaveModelCallback(min_delta=1e-4), EarlyStoppingCallback(patience=2, min_delta=1e-4)]
    fit(theirs, 8, 1e-2, 'constant', their_callbacks)
    assert len(ours.history.rows) == len(theirs.history.rows)
    pairs = zip(ours.model.state_dict().values(), theirs.model.state_dict().values())
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize('frozen', [dict(freeze_stages=3), dict(freeze_stages=3, kept_views=2)])
def test_early_stopping_puts_the_best_weights_into_a_network_with_frozen_stages(pics, frozen):
    "The stages stand before the network while it is fitted, and are back when the best weights are."
    first_is_best = type('FirstIsBest', (EarlyStopping,), dict(min_delta=1e9))
    recipe = small_recipe(epochs=5, schedule='constant', lr_max=1e-2, callbacks=(first_is_best,), **frozen)
    run = train(pics, recipe, quiet=True, device='cpu')
    first, *_, last = run.history.valid_loss
    assert run.valid_loss == pytest.approx(first, rel=1e-3) != last
    assert len(run.history) == 3


@pytest.mark.fault
@pytest.mark.parametrize('follower', [EarlyStopping, ReduceOnPlateau, Snapshots])
def test_who_follows_the_held_out_pictures_says_so(pics, follower):
    recipe = small_recipe(epochs=2, schedule=SGDR(1, 1), callbacks=(ValidateAtEnd, follower))
    with pytest.raises(CourseError, match='leave ValidateAtEnd out'): train(pics, recipe, quiet=True, device='cpu')


def test_patience_is_part_of_a_kept_run(pics, empty_cache):
    names = dict(__module__=EarlyStopping.__module__, __qualname__='EarlyStopping')
    same_name = type('EarlyStopping', (EarlyStopping,), dict(patience=5, **names))
    assert describe(EarlyStopping)[1] == dict(patience=2, min_delta=1e-4)
    assert describe(same_name) != describe(EarlyStopping)

    def is_trained(cb): return run_of(pics, 1, keep=True, callbacks=(cb,), **CONSTANT).learn is not None

    assert is_trained(EarlyStopping)
    assert not is_trained(EarlyStopping)
    assert is_trained(same_name)
    assert not is_trained(same_name)


def test_patience_explorer():
    explorer = patience_explorer({'a': [1, .9, .95, .96, .97, .5], 'b': [1, .8, .6, .5, .4, .3]})
    picture, words = explorer.draw_at()
    assert 'a: stops after epoch 4, takes epoch 2 with loss 0.900 (at the end 0.500, lowest 0.500)' in words
    assert '; b: runs to its end' in words
    patient_picture, patient_words = explorer.draw_at(patience=5)
    assert 'a: runs to its end, takes epoch 6' in patient_words
    assert (picture != patient_picture).any()
    assert 'b: runs to its end, takes epoch 6 with loss 0.300' in explorer.draw_at(min_delta=.05)[1]


# ---- reduce on a plateau ----

def by_torch_plateau(losses, **how):
    opt = an_optimizer()
    scheduler = S.ReduceLROnPlateau(opt, threshold=0, eps=0, **how)
    rates = []
    for loss in losses:
        rates.append(opt.param_groups[0]['lr'])
        scheduler.step(loss)
    return rates


@settings(max_examples=300, deadline=None)
@given(losses=LOSSES, patience=st.integers(1, 5), factor=st.sampled_from([.5, .1]), low=st.sampled_from([0, .05]))
def test_plateau_is_fastai_s_with_the_factor_inverted_and_torch_s_with_one_epoch_less(losses, patience, factor, low):
    rates = plateau(losses, patience, factor, low=low)
    _, fastai_rates = driven(ReduceLROnPlateau(patience=patience, factor=1 / factor, min_lr=low), losses)
    assert np.allclose(rates, fastai_rates)
    assert np.allclose(rates, by_torch_plateau(losses, factor=factor, patience=patience - 1, min_lr=low))


def test_factor_as_it_is_raises_the_rate_in_fastai():
    _, fastai_rates = driven(ReduceLROnPlateau(patience=1, factor=.1), [1., 2., 2.])
    assert fastai_rates[-1] == pytest.approx(10)
    assert plateau([1., 2., 2.], 1, .1)[-1] == pytest.approx(.1)


class EveryEpoch(ReduceOnPlateau):
    "Every epoch after the first is a plateau."
    patience = 1
    min_delta = 9
    factor = .1


@pytest.mark.parametrize('schedule', ['constant', SGDR(1, 2)])
def test_a_run_reduces(pics, schedule):
    "Every group, by what `plateau` says, on top of what the schedule gives."
    run = run_of(pics, 4, lr_max=[1e-3, 1e-2], schedule=schedule, callbacks=(EveryEpoch,))
    n = len(run.learn.dls.train)
    shares = plateau(run.history.valid_loss, 1, .1, 9)
    assert np.allclose(shares, [1, 1, .1, .01])
    factors = [1. if schedule == 'constant' else schedule(s, n) for s in range(4 * n)]
    expected = [1e-2 * factor * shares[s // n] for s, factor in enumerate(factors)]
    assert np.allclose(run.learn.recorder.lrs, expected, rtol=1e-9)
    body, head = [hyper['lr'] for hyper in run.learn.opt.hypers]
    assert head == pytest.approx(10 * body)


def test_fastai_s_callback_changes_nothing_with_a_torch_optimizer(pics):
    "fastai #4046. Should fastai mend it, lesson 04 has a sentence to change."
    learn = learner(pics)
    learn.fit(3, 1e-2, cbs=[ReduceLROnPlateau(patience=1, min_delta=9)])
    assert set(learn.recorder.lrs) == {1e-2}


RATES = [1e-4, 1e-2]  # of body and head


def rates_after(learn, callback) -> list:
    "Of body and head after two epochs, the second of which is a plateau."
    learn.fit(2, np.array(RATES), cbs=[callback])
    return [hyper['lr'] for hyper in learn.opt.hypers]


def test_fastai_s_floor_lifts_a_group_below_it(pics, capsys):
    "`min_lr` in fastai 2.8.7. Should fastai mend it, lesson 05 has a sentence and a cell to change."
    learn = learner(pics, groups=body_and_head)
    learn.opt_func = Adam
    body, head = rates_after(learn, ReduceLROnPlateau(patience=1, min_delta=9, min_lr=1e-3))
    assert body == pytest.approx(10 * RATES[0]), 'ten times as fast as before'
    assert head == pytest.approx(RATES[1] / 10)
    assert 'reducing lr' in capsys.readouterr().out


class WithFloor(EveryEpoch):
    low = .5


def test_our_floor_lifts_no_group(pics):
    "It is a share of what the schedule gives, the same for all groups."
    run = run_of(pics, 4, lr_max=RATES, schedule='constant', groups=body_and_head, callbacks=(WithFloor,))
    assert [hyper['lr'] for hyper in run.learn.opt.hypers] == pytest.approx([.5 * rate for rate in RATES])


# ---- designer ----

PLACES = [dict(first=first, mult=mult, epochs=epochs, low=.1, decay=.8)
          for first, mult, epochs in itertools.product((1, 15, 30), (1., 1.5, 4.), (1, 60))]


def test_designer():
    explorer = schedule_designer()
    for place in PLACES:
        picture, words = explorer.draw(**place)
        assert picture.shape == (300, 760, 3)
        assert 'epochs in all' in words
    assert 'Warning' in explorer.draw_at(first=4)[1]
    assert 'Warning' not in explorer.draw_at()[1]


def median_seconds(draw, times):
    seconds = []
    for k in range(times):
        start = time.perf_counter()
        draw(k)
        seconds.append(time.perf_counter() - start)
    return np.median(seconds)


def test_designer_follows_the_hand():
    "Drawn anew it takes a third of what matplotlib takes for one such curve, in the same run: about a twentieth on a quiet machine."
    explorer = schedule_designer()
    epochs = np.arange(60 * 16) / 16

    def with_matplotlib(k):
        fig, ax = plt.subplots(figsize=(7.6, 3), dpi=100)
        ax.plot(epochs, np.cos(epochs))
        ax.set(xlabel='epoch', ylabel='share of the highest rate')
        return figure_to_pixels(fig)

    ours = median_seconds(lambda k: explorer.draw(**PLACES[k]), len(PLACES))
    assert ours < median_seconds(with_matplotlib, 9) / 3
