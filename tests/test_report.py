"Figures describe themselves, intervals hold, and measured numbers are written only where they belong."
import json

import matplotlib.pyplot as plt, numpy as np, pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import bootstrap, t

from course_utils.config import CourseError
from course_utils.data.sources import photo
from course_utils.report import results
from course_utils.report.cards import Card
from course_utils.report.results import record
from course_utils.report.intervals import differences_interval, mean_interval, proportion_interval
from course_utils.report.stats import Seeds, bootstrap_interval, compare, difference, gains, interval, losses, relative_change
from course_utils.show.draw import figure_to_pixels, grid
from course_utils.show.figures import show


def test_a_figure_needs_words():
    with pytest.raises(CourseError, match='alt text'): show(photo('coffee', 32), '  ')


def test_figure_has_alternative_text_and_is_closed():
    fig, ax = plt.subplots()
    out = show(fig, 'A "quoted" <b>line</b>.')._repr_mimebundle_()
    assert 'alt="A &quot;quoted&quot; &lt;b&gt;line&lt;/b&gt;."' in out['text/html']
    assert not plt.get_fignums()


def test_grid_places_pictures():
    x = [np.full((8, 8, 3), v, np.uint8) for v in (10, 90, 200)]
    g = grid(x, columns=2, cell=16)
    assert g.shape == (40, 40, 3)
    assert (g[:16, :16] == 10).all()
    assert (g[:16, 20:36] == 90).all()
    assert (g[20:36, :16] == 200).all()
    assert (g[20:, 20:] == 255).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_interval_is_near_the_normal_one(seed):
    v = np.random.default_rng(seed).normal(3, 2, 400)
    low, high = interval(v)
    half = 1.96 * v.std() / 20
    assert abs(low - (v.mean() - half)) < .25 * half
    assert abs(high - (v.mean() + half)) < .25 * half


@pytest.mark.parametrize('method', [interval, bootstrap_interval])
def test_interval_over_seeds_too(method):
    "One row is the plain interval; rows that differ widen it; rows all alike do not."
    rng = np.random.default_rng(0)
    v = rng.random(500)
    differing = v + np.linspace(-.2, .2, 5)[:, None]
    plain = method(v)
    assert np.allclose(plain, method(v[None]), atol=.005)
    assert np.allclose(plain, method(np.tile(v, (5, 1))), atol=.005)
    low, high = method(differing)
    assert high - low > 2 * (plain[1] - plain[0])
    assert low < v.mean() < high


def test_the_bootstrap_is_not_wider_for_few_seeds_if_it_is_told_so():
    v = np.random.default_rng(0).random(500)
    low, high = bootstrap_interval(v + np.linspace(-.2, .2, 5)[:, None], widen=False)
    of_seeds = .2 * np.sqrt(.5) / np.sqrt(5)
    of_pictures = v.std() / np.sqrt(500)
    assert np.isclose(high - low, 2 * 1.96 * np.hypot(of_seeds, of_pictures), rtol=.15)


@pytest.mark.parametrize('k', [3, 5, 12])
def test_few_seeds_are_made_up_for_as_by_student(k):
    "Where only seeds differ, the interval is about as wide as Student's, and at least as right."
    rng = np.random.default_rng(k)
    hits = {False: [], True: []}
    for _ in range(300):
        d = rng.normal(size=(k, 1)) + np.zeros((k, 20))
        for widen in hits:
            low, high = bootstrap_interval(d, n=400, widen=widen)
            hits[widen].append(low <= 0 <= high)
    half = t.ppf(.975, k - 1) * d[:, 0].std(ddof=1) / k**.5
    assert np.ptp(bootstrap_interval(d)) == pytest.approx(2 * half, rel=.3 if k == 3 else .15)
    bare, widened = np.mean(hits[False]), np.mean(hits[True])
    assert widened >= .92
    assert widened >= bare
    if k <= 5: assert bare < .9


def test_interval_covers():
    "Of many samples, about 95 in 100 intervals hold the true mean."
    rng = np.random.default_rng(0)
    intervals = [interval(rng.random(300) < .8) for _ in range(300)]
    hits = sum(low <= .8 <= high for low, high in intervals)
    assert 270 <= hits <= 297


def test_the_bootstrap_over_pictures_is_scipys():
    values = np.random.default_rng(0).gamma(2, size=400)
    theirs = bootstrap((values,), np.mean, n_resamples=4000, method='percentile', rng=np.random.default_rng(1))
    assert np.allclose(bootstrap_interval(values, n=4000), theirs.confidence_interval, atol=.1 * np.ptp(theirs.confidence_interval))


def test_changes_of_a_mean_are_paired():
    rng = np.random.default_rng(0)
    small = rng.gamma(2, size=(3, 400))
    assert relative_change(small, small) == (0, 0, 0)
    assert relative_change(small, small * .55) == pytest.approx((-.45,) * 3)
    with pytest.raises(CourseError, match='same pictures'): relative_change(small, small[:, :5])


def run_with(right_of):
    "A run whose answers are right where `right_of` says so, each with probability 0.8."
    import pandas as pd
    from course_utils.training.run import Run
    right_of = np.asarray(right_of)
    targets = np.arange(len(right_of)) % 2
    answers = np.where(right_of, targets, 1 - targets)
    probs = np.full((len(targets), 2), .2)
    probs[np.arange(len(targets)), answers] = .8
    return Run(pd.DataFrame([dict(train_accuracy=1., valid_loss=.5)]), probs, targets, {}, 2., None)


def test_difference_is_paired():
    rng = np.random.default_rng(0)
    a = rng.random(600) < .7
    b = a.copy()
    b[np.flatnonzero(a)[:30]] = False   # worse on 30 pictures, equal on the rest
    mean, low, high = difference(run_with(a), run_with(b))
    assert mean == pytest.approx(.05)
    assert 0 < low < mean < high
    assert high - low < .6 * np.subtract(*interval(a)[::-1]), 'pairing must narrow the interval'
    mean, low, high = difference(run_with(a), run_with(a))
    assert mean == 0
    assert -.005 < low < 0, 'alike on 600 pictures is not alike'
    assert low == -high
    assert difference(run_with(a), run_with(a), score=losses) == (0, 0, 0)
    assert difference(run_with(a), run_with(b), score=losses)[0] == pytest.approx(.05 * (np.log(.8 / .2)) * -1)


def seeds_with(right_of, seeds=(0, 1), **changes):
    "Two trainings alike, with these seeds."
    from dataclasses import replace
    from course_utils.training.recipe import Recipe
    runs = [replace(run_with(right_of), recipe=Recipe('resnet10t', 1, seed=seed)) for seed in seeds]
    return replace(Seeds.from_runs(runs), **changes)


def with_files(names):
    from dataclasses import replace
    return replace(run_with([1, 0, 1, 1]), files=list(names))


def test_a_difference_over_other_numbers_of_pictures_is_refused():
    with pytest.raises(CourseError, match='8 held-out pictures and 4'): difference(run_with([1] * 8), run_with([1] * 4))
    with pytest.raises(CourseError, match='8 held-out pictures and 4'):
        gains({'a': seeds_with([1] * 8), 'b': seeds_with([1] * 4)}, 'b')


def test_a_difference_over_other_labels_is_refused():
    from dataclasses import replace
    a = run_with([1, 0, 1, 1])
    b = replace(a, targets=1 - a.targets)
    with pytest.raises(CourseError, match='other labels'): difference(a, b)
    with pytest.raises(CourseError, match='other labels'): Seeds.from_runs([a, b])
    with pytest.raises(CourseError, match='other labels'):
        gains({'a': seeds_with([1, 0, 1, 1]), 'b': seeds_with([1, 0, 1, 1], targets=b.targets)}, 'b')


def test_a_difference_over_two_splits_is_refused():
    "The labels may be alike, as where classes come in order."
    with pytest.raises(CourseError, match='two splits'): difference(with_files('abcd'), with_files('abce'))
    assert difference(with_files('abcd'), with_files('abcd'))[0] == 0
    assert difference(with_files('abcd'), run_with([1, 0, 1, 1]))[0] == 0, 'not known of one: nothing to refuse'


def test_gains_over_other_seeds_are_refused():
    right = [1, 0, 1, 1]
    with pytest.raises(CourseError, match='seeds 0, 1 and 2, 3'):
        gains({'a': seeds_with(right), 'b': seeds_with(right, seeds=(2, 3))}, 'b')
    with pytest.raises(CourseError, match='2 seeds and 3'):
        gains({'a': seeds_with(right), 'b': seeds_with(right, seeds=(0, 1, 2))}, 'b')


def test_interval_goes_by_the_values():
    rng = np.random.default_rng(0)
    right = (rng.random((3, 60)) < .8).astype(float)
    other = (rng.random((3, 60)) < .8).astype(float)
    module = np.arange(60) // 6
    assert interval(right) == proportion_interval(right)
    assert interval(right, groups=module) == proportion_interval(right, groups=module)
    assert interval(right - other, level=.9) == differences_interval(right - other, level=.9)
    assert interval(np.zeros(8)) == differences_interval(np.zeros(8))
    assert interval(np.zeros(8, bool)) == proportion_interval(np.zeros(8))
    assert interval(right * .3) == mean_interval(right * .3)


def test_an_accuracy_of_shares_stays_between_0_and_1():
    "As means over the frames of a hand."
    mean, low, high = Seeds(np.array([[1, .98, 1, 1], [1, 1, 1, .9]]), np.zeros((2, 4)), 1.).accuracy
    assert 0 <= low < mean < high == 1


def test_compare_has_a_row_a_run():
    t = compare({'a': run_with([1, 1, 1, 0] * 50), 'b': run_with([1, 0] * 100)})
    assert t.valid_accuracy.tolist() == [.75, .5]
    assert t.gap.tolist() == [.25, .5]
    assert (t.low <= t.valid_accuracy).all()
    assert (t.high >= t.valid_accuracy).all()
    assert t.valid_loss['a'] == pytest.approx(-.75 * np.log(.8) - .25 * np.log(.2), abs=1e-3)


def test_figure_to_pixels():
    fig, ax = plt.subplots(figsize=(2, 1), dpi=100)
    assert figure_to_pixels(fig).shape == (100, 200, 3)
    assert not plt.get_fignums()


def test_nothing_is_recorded_unasked(tmp_path, monkeypatch):
    monkeypatch.delenv('COURSE_RESULTS', raising=False)
    monkeypatch.setattr(results, 'results_dir', lambda: tmp_path)
    record('00', 'solar', accuracy=1.)
    assert not list(tmp_path.iterdir())


def test_record_keeps_other_profiles(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path))
    for profile, data, headline, accuracy in (('cpu', 'solar', 'as measured', .5), ('smoke', 'solar', 'not this', .1),
                                              ('cpu', 'mine', 'nor this', .9)):
        monkeypatch.setenv('COURSE_PROFILE', profile)
        record('00', data, headline=headline, accuracy=accuracy)
    table = json.loads((tmp_path/'lesson_00.json').read_text())
    assert table['headline'] == 'as measured'
    assert {k: run['accuracy'] for k, run in table['runs'].items()} == {'solar cpu': .5, 'solar smoke': .1, 'mine cpu': .9}
    for run in table['runs'].values():
        for fact in ('device', 'versions', 'date'): assert run[fact]
    record('00', 'solar cells 480', headline='of the example folder')
    assert json.loads((tmp_path/'lesson_00.json').read_text())['headline'] == 'of the example folder'


def test_every_layout_is_read_as_it_was_written(tmp_path):
    table = {'runs': {'b': dict(arm='×', right=[1, 0]), 'a': dict(arm='é', right=[])}}
    for options in (dict(), dict(sort=False), dict(lines=True)):
        results.write_results(tmp_path/'x.json', table, **options)
        assert results.read_results(tmp_path/'x.json') == table


@pytest.mark.parametrize('name, options', [('case_cats_dogs', {}), ('lessons', {}), ('bench', dict(sort=False)), ('ladder', dict(lines=True))])
def test_the_files_in_results_keep_their_layout(name, options, tmp_path):
    "Read and written again, they are what they were."
    results.write_results(tmp_path/'x.json', results.read_results(name), **options)
    assert (tmp_path/'x.json').read_bytes() == results.results_path(name).read_bytes()


def test_card_escapes():
    assert '<script>' not in Card({'You need': '<script>alert(1)</script>'})._repr_mimebundle_()['text/html']
