"""Guesses, their score, and result cards."""
import json, math
from types import SimpleNamespace

import numpy as np, pandas as pd, pytest
from hypothesis import given, settings, strategies as st

import course_utils.classroom.guesses as C
from course_utils.classroom.guesses import (JudgedGuess, as_pair, calibration, guess, guess_score, interval_score, quantities,
                                             result_card, result_verdict)
from course_utils.config import CourseError
from course_utils.training.recipe import Recipe


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_HOME', str(tmp_path/'home'))
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path/'results'))
    monkeypatch.setenv('COURSE_PROFILE', 'cpu')
    (tmp_path/'results').mkdir()
    return tmp_path


def measured(folder, **more):
    from course_utils.training.learner import device_name, versions
    r = {**dict(gain=.07, gain_interval=[.04, .10], runs={'frozen, then unfrozen': dict(valid_accuracy=.83, low=.80, high=.86, seconds=20.)}, device=device_name(), versions=versions()), **more}
    (folder/'results'/'lesson_02.json').write_text(json.dumps({'runs': {'solar cpu': r}}))


def pictures(name='solar', per_class=500):
    y = np.repeat([0, 1], [2 * per_class, per_class])
    return SimpleNamespace(name=name, classes=['fine', 'defective'], y=y, train=np.arange(len(y)), majority=2 / 3)


def a_run(train_loss=(.6, .4, .3), accuracy=.83, train_accuracy=.88, seconds=20.):
    h = pd.DataFrame(dict(train_loss=train_loss, train_accuracy=train_accuracy))
    return SimpleNamespace(history=h, accuracy=accuracy, seconds=seconds)


@pytest.fixture
def said(monkeypatch):
    "What was displayed, as text; `said.html` has it as HTML."
    class List(list): html = []
    out = List()
    out.html = []
    def display(o):
        out.append(repr(o))
        out.html.append(o.html() if callable(getattr(o, 'html', None)) else o.html)
    monkeypatch.setattr(C, 'display', display)
    return out


# ---- the rule ----

def test_the_interval_score_by_hand():
    assert interval_score(1, 3, 2) == 2
    assert interval_score(1, 3, 4) == 2 + 10
    assert interval_score(1, 3, .5) == 2 + 5


@given(st.floats(-2, 2), st.floats(.2, 3))
@settings(deadline=None, max_examples=15)
def test_the_rule_is_proper(mean, sd):
    "Nobody does better on average than with the 10 % and 90 % points of what they believe."
    x = np.random.default_rng(0).normal(mean, sd, 4000)
    cost = lambda low, high: (high - low) + 10 * np.maximum(low - x, 0).mean() + 10 * np.maximum(x - high, 0).mean()
    low, high = np.quantile(x, [.1, .9])
    honest = cost(low, high)
    for a, b in ((-.3, 0), (.3, 0), (0, .3), (0, -.3), (.3, -.3), (-.5, .5)): assert cost(low + a * sd, high + b * sd) > honest


def test_the_widest_guess_costs_one_and_factors_are_alike():
    q = quantities('03')['rate']
    assert guess_score(q, q.widest, 1e-3) == pytest.approx(1)
    assert guess_score(q, (1e-4, 1e-3), 1e-2) == pytest.approx(guess_score(q, (1e-3, 1e-2), 1e-1))
    assert guess_score(q, (1e-3, 1e-2), 3e-3) < guess_score(q, (1e-3, 1e-1), 3e-3) < guess_score(q, (1e-1, 1), 3e-3)


def test_a_single_number_is_a_range():
    q = quantities('02')['gain']
    assert as_pair(q, .1) == pytest.approx((.04, .16))
    assert as_pair(q, (0, .1)) == (0, .1)
    assert as_pair(q, np.array([0, .1])) == (0, .1)
    low, high = as_pair(quantities('03')['rate'], 1e-3)
    assert low < 1e-3 < high
    assert high / 1e-3 == pytest.approx(1e-3 / low)


@pytest.mark.parametrize('lesson, guesses, says', [
    ('02', dict(loss=1), "measures no 'loss': there is gain"), ('02', dict(gain=(.2, .1)), 'the lower number comes first'), ('02', dict(gain='much'), 'is a number, or low and high'),
    ('02', dict(gain=(1, 2, 3)), 'is a number, or low and high'), ('02', dict(gain=float('nan')), 'is a number'), ('03', dict(rate=(0, 1)), 'only be above 0'), ('77', {}, "Lesson '77' measures nothing")])
@pytest.mark.fault
def test_an_odd_guess_gets_one_sentence(lesson, guesses, says):
    with pytest.raises(CourseError, match=says.replace('(', r'\(')): guess(lesson, **guesses)


# ---- a guess and its result ----

def test_a_guess_meets_its_result(said, places):
    measured(places)
    guess('02', gain=(.0, .1))
    result_card('02', pictures(), a_run(), gain=.06)
    calibration()
    assert 'It is written down.' in said[0]
    assert 'your guess +0.0% to +10.0%: holds it' in said[1]
    assert '1 of 1 ranges held the truth' in said[2]
    guess('02', gain=(.05, .07))
    assert 'your first guess, +0.0% to +10.0%, stays' in said[3]


def test_the_lessons_own_guess_does_not_count(said, places):
    measured(places)
    guess('02', gain=quantities('02')['gain'].example)
    result_card('02', pictures(), a_run(), gain=.06)
    calibration()
    assert 'write down your own' in said[0]
    assert 'No guess of yours' in said[2]
    guess('02', gain=(0, .2))
    calibration()
    assert 'The result is known already' in said[3]
    assert 'No guess of yours' in said[4]


def test_too_narrow_is_told(said):
    q = quantities('02')['gain']
    message = C.calibration_message([JudgedGuess(q, (.0, .01), .1)] * 6)
    text, html = message.text, message.html
    too_wide, held = JudgedGuess(q, (0, 1), .1), [JudgedGuess(q, (0, 1), .1)] * 8
    missed = [JudgedGuess(q, (0, .01), .1)] * 2
    assert '0 of 6 ranges held the truth, where 4.8 should' in text
    assert 'too narrow' in text
    assert '<ul>' in html
    assert 'too wide' in C.calibration_message([too_wide] * 20).text
    assert 'about as wide' in C.calibration_message(held + missed).text


def test_the_form_writes_down_what_is_in_it(said):
    g = C.Guess('02', C.write_down('02', {}))
    form = g.form()
    row = form.children[1].children[1].children
    row[0].value, row[1].value = .01, .02
    row[2].click()
    assert 'It is written down.' in form.children[0].value
    assert '+1.0% to +2.0%' in form.children[0].value
    row[0].value = .5
    row[2].click()
    assert 'the lower number comes first' in form.children[0].value
    assert {'text/html', 'text/plain', 'application/vnd.jupyter.widget-view+json'} == set(g._repr_mimebundle_())


# ---- the card ----

@pytest.mark.parametrize('x, word', [(.07, 'as expected'), (.041, 'as expected'), (.099, 'as expected'), (.12, 'near'), (.02, 'near'), (.14, 'off'), (-.05, 'off'), (math.nan, 'off')])
def test_how_near(x, word): assert result_verdict(quantities('02')['gain'], (.07, .04, .10), x) == word


def test_a_sign_and_a_word_say_it_too(said, places):
    measured(places)
    result_card('02', pictures(), a_run(), gain=.06, accuracy=.84)
    assert said[0].startswith('✓ Lesson 02: as expected.')
    assert '≈' not in said[0]
    assert 'expected +7.0% (+4.0% to +10.0%), obtained +6.0%' in said[0]
    assert 'torch' in said[0]
    result_card('02', pictures(), a_run(), gain=.11)
    assert said[1].startswith('≈ Lesson 02: near.')
    result_card('02', pictures(), a_run(accuracy=.6), gain=-.3)
    assert said[2].startswith('✗ Lesson 02: off.')
    for h in said.html:
        assert '<caption' in h
        assert 'scope="col"' in h
        assert 'scope="row"' in h


@pytest.mark.parametrize('more, run, pics, gain, cause', [
    (dict(device='NVIDIA H200'), a_run(seconds=300.), pictures(), .07, 'on CPU more seconds are normal'),
    (dict(), a_run((3.1, 1.2, .9), .66), pictures(), -.2, 'may be ten times too high'),
    (dict(), a_run((.70, .69, .69), .66), pictures(), -.2, 'may be ten times too low'),
    (dict(), a_run((.6, .3, .1), .66), pictures(), -.2, 'no better than always saying the most frequent class (66.7%)'),
    (dict(), a_run((.6, .3, .1), .70, .99), pictures(per_class=30), -.1, "Too few pictures: class 'defective' has 30"),
    (dict(versions={'torch': '1.0'}), a_run(), pictures(), .07, 'Other versions: torch'),
    (dict(), a_run(), pictures(), .4, 'Nothing in sight explains it'),
    (dict(), a_run(), pictures('my cats'), .07, 'no measured number for my cats')], ids=lambda v: v[:30] if isinstance(v, str) else '')
def test_the_likely_cause(said, places, more, run, pics, gain, cause):
    measured(places, **more)
    result_card('02', pics, run, gain=gain)
    assert cause in said[0]


def test_a_head_that_was_fitted_beforehand_is_not_said_to_be_slow(said, places):
    measured(places)
    result_card('02', pictures(), a_run((.06, .06, .06), .66), gain=-.2)
    assert 'hardly fell' not in said[0]


def test_nothing_is_explained_where_all_is_well(said, places):
    measured(places)
    result_card('02', pictures(), a_run(), gain=.07)
    assert len(said[0].splitlines()) == 4, said[0]


def test_smoke_compares_nothing(said, places, monkeypatch):
    measured(places)
    monkeypatch.setenv('COURSE_PROFILE', 'smoke')
    guess('02', gain=(0, .1))
    result_card('02', pictures(), a_run(), gain=-.5)
    calibration()
    assert 'not compared' in said[1]
    assert 'Profile smoke' in said[1]
    assert 'No guess of yours' in said[2]


def test_the_run_that_is_kept_is_not_judged_by_an_earlier_one(said, places, monkeypatch):
    measured(places)
    monkeypatch.setenv('COURSE_REFERENCE', '1')
    result_card('02', pictures(), a_run(), gain=-.5)
    assert said[0].startswith('· Lesson 02: not compared.')
    assert 'yours will be compared with it' in said[0]
    assert 'expected' not in said[0], 'a column without a value'


@pytest.mark.slow
@pytest.mark.parametrize('lr, cause', [(30., 'ten times too high'), (1e-7, 'ten times too low')])
def test_real_trainings_at_wrong_rates_are_named(lr, cause):
    "Not made-up curves: a small network on small pictures, trained at a hopeless rate."
    from course_utils.data.pictures import load_pictures
    from course_utils.training.train import train
    pics = load_pictures('solar', size=32, limit=240)
    run = train(pics, Recipe('resnet10t', 2, lr_max=lr, bs=16), quiet=True)
    assert cause in ' '.join(C.from_curves(pics, run, True))


def test_a_card_says_the_seconds_of_all_trainings(said, places, monkeypatch):
    "Lessons without one main training have seconds too; a kept run that was found cost none."
    from course_utils.data.pictures import load_pictures
    from course_utils.training.learner import History
    from course_utils.training.train import train
    monkeypatch.setenv('COURSE_CACHE', str(places/'cache'))
    monkeypatch.setattr(History, 'total_seconds', 0.)
    pics = load_pictures('solar', size=32, limit=160)
    runs = [train(pics, Recipe('resnet10t', 1, seed=seed), keep=True, quiet=True) for seed in (0, 0, 1)]
    assert History.total_seconds == pytest.approx(sum(r.history.seconds.sum() for r in (runs[0], runs[2])))
    monkeypatch.setattr(History, 'total_seconds', 75.4)
    result_card('04', pics, loss_change=-.1)
    assert ', 75 s for all trainings since the kernel started. python' in said[0]
    monkeypatch.setattr(History, 'total_seconds', 0.)
    result_card('04', pics, loss_change=-.1)
    assert 'all trainings' not in said[1]


def test_every_expected_value_can_be_read():
    "From the results that are kept: a name that has changed there would silently leave the card without its number."
    from course_utils.config import root
    for (lesson, name), q in C.QUANTITIES.items():
        path = root()/'results'/f'lesson_{lesson}.json'
        if not q.expected or not path.exists(): continue
        r = json.loads(path.read_text())['runs'].get('solar cpu')
        if r is None: continue
        value, low, high = map(float, q.expected(r))
        assert low <= value <= high, (lesson, name, value, low, high)
        assert q.widest[0] <= value <= q.widest[1], (lesson, name, value, low, high)
