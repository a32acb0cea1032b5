"Figures describe themselves, intervals hold, and measured numbers are written only where they belong."
import json

import matplotlib.pyplot as plt, numpy as np, pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import t

from course_utils.report import stats as report
from course_utils.config import CourseError
from course_utils.show.draw import grid
from course_utils.data.sources import photo


def test_a_figure_needs_words():
    with pytest.raises(CourseError, match='alt text'): report.show(photo('coffee', 32), '  ')


def test_figure_has_alternative_text_and_is_closed():
    fig, ax = plt.subplots()
    out = report.show(fig, 'A "quoted" <b>line</b>.')._repr_mimebundle_()
    assert 'alt="A &quot;quoted&quot; &lt;b&gt;line&lt;/b&gt;."' in out['text/html'] and not plt.get_fignums()


def test_grid_places_pictures():
    x = [np.full((8, 8, 3), v, np.uint8) for v in (10, 90, 200)]
    g = grid(x, columns=2, cell=16)
    assert g.shape == (40, 40, 3) and (g[:16, :16] == 10).all() and (g[:16, 20:36] == 90).all() and (g[20:36, :16] == 200).all() and (g[20:, 20:] == 255).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_interval_is_near_the_normal_one(seed):
    v = np.random.default_rng(seed).normal(3, 2, 400)
    low, high = report.interval(v)
    half = 1.96 * v.std() / 20
    assert abs(low - (v.mean() - half)) < .25 * half and abs(high - (v.mean() + half)) < .25 * half


def test_interval_over_seeds_too():
    "One row is the plain interval; rows that differ widen it; rows all alike do not."
    rng = np.random.default_rng(0)
    v = rng.random(500)
    plain, alike, apart = report.interval(v), report.interval(np.tile(v, (5, 1))), report.interval(v + np.linspace(-.2, .2, 5)[:, None])
    assert np.allclose(plain, report.interval(v[None]), atol=.005) and np.allclose(plain, alike, atol=.005)
    assert apart[1] - apart[0] > 2 * (plain[1] - plain[0]) and apart[0] < v.mean() < apart[1]
    bare = report.interval(v + np.linspace(-.2, .2, 5)[:, None], few=False)
    assert np.isclose(bare[1] - bare[0], 2 * 1.96 * np.hypot(.2 * np.sqrt(.5) / np.sqrt(5), v.std() / np.sqrt(500)), rtol=.15)


@pytest.mark.parametrize('k', [3, 5, 12])
def test_few_seeds_are_made_up_for_as_by_student(k):
    "Where only seeds differ, the interval is about as wide as Student's, and at least as right."
    rng, bare, stretched = np.random.default_rng(k), [], []
    for _ in range(300):
        d = rng.normal(size=(k, 1)) + np.zeros((k, 20))
        for few, hits in ((False, bare), (True, stretched)):
            low, high = report.interval(d, n=400, few=few)
            hits.append(low <= 0 <= high)
    half = t.ppf(.975, k - 1) * d[:, 0].std(ddof=1) / k**.5
    assert np.ptp(report.interval(d)) == pytest.approx(2 * half, rel=.3 if k == 3 else .15)
    assert np.mean(stretched) >= .92 and np.mean(stretched) >= np.mean(bare) and (k > 5 or np.mean(bare) < .9)


def test_interval_covers():
    "Of many samples, about 95 in 100 intervals hold the true mean."
    rng = np.random.default_rng(0)
    hits = sum(low <= .8 <= high for low, high in (report.interval(rng.random(300) < .8, n=400) for _ in range(300)))
    assert 270 <= hits <= 297


def run_with(right_of):
    "A run whose answers are right where `right_of` says so, each with probability 0.8."
    import pandas as pd
    from course_utils.training.run import Run
    right_of = np.asarray(right_of)
    targets = np.arange(len(right_of)) % 2
    answers = np.where(right_of, targets, 1 - targets)
    probs = np.full((len(targets), 2), .2); probs[np.arange(len(targets)), answers] = .8
    return Run(pd.DataFrame([dict(train_accuracy=1., valid_loss=.5)]), probs, targets, {}, 2., None)


def test_difference_is_paired():
    rng = np.random.default_rng(0)
    a = rng.random(600) < .7
    b = a.copy(); b[np.flatnonzero(a)[:30]] = False   # worse on 30 pictures, equal on the rest
    mean, low, high = report.difference(run_with(a), run_with(b))
    assert mean == pytest.approx(.05) and 0 < low < mean < high
    assert high - low < .6 * np.subtract(*report.interval(a)[::-1]), 'pairing must narrow the interval'
    assert report.difference(run_with(a), run_with(a)) == (0, 0, 0)
    assert report.difference(run_with(a), run_with(b), of=report.losses)[0] == pytest.approx(.05 * (np.log(.8 / .2)) * -1)


def test_compare_has_a_row_a_run():
    t = report.compare({'a': run_with([1, 1, 1, 0] * 50), 'b': run_with([1, 0] * 100)})
    assert t.valid_accuracy.tolist() == [.75, .5] and t.gap.tolist() == [.25, .5] and (t.low <= t.valid_accuracy).all() and (t.high >= t.valid_accuracy).all()
    assert t.valid_loss['a'] == pytest.approx(-.75 * np.log(.8) - .25 * np.log(.2), abs=1e-3)


def test_as_picture():
    fig, ax = plt.subplots(figsize=(2, 1), dpi=100)
    assert report.as_picture(fig).shape == (100, 200, 3) and not plt.get_fignums()


def test_nothing_is_recorded_unasked(tmp_path, monkeypatch):
    monkeypatch.delenv('COURSE_RESULTS', raising=False)
    monkeypatch.setattr(report, 'results_dir', lambda: tmp_path)
    report.record('00', 'solar', accuracy=1.)
    assert not list(tmp_path.iterdir())


def test_record_keeps_other_profiles(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path))
    monkeypatch.setenv('COURSE_PROFILE', 'cpu'); report.record('00', 'solar', headline='as measured', accuracy=.5)
    monkeypatch.setenv('COURSE_PROFILE', 'smoke'); report.record('00', 'solar', headline='not this', accuracy=.1)
    monkeypatch.setenv('COURSE_PROFILE', 'cpu'); report.record('00', 'mine', headline='nor this', accuracy=.9)
    kept = json.loads((tmp_path/'lesson_00.json').read_text())
    assert kept['headline'] == 'as measured' and {k: v['accuracy'] for k, v in kept['runs'].items()} == {'solar cpu': .5, 'solar smoke': .1, 'mine cpu': .9}
    assert all(v['device'] and v['versions'] and v['date'] for v in kept['runs'].values())
    report.record('00', 'solar cells 480', headline='of the example folder')
    assert json.loads((tmp_path/'lesson_00.json').read_text())['headline'] == 'of the example folder'


def test_card_escapes():
    assert '<script>' not in report.Card({'You need': '<script>alert(1)</script>'})._repr_mimebundle_()['text/html']
