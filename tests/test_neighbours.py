"Neighbours in the files: runs are cut, held out whole, and the seams between series are found."
import numpy as np, pytest
from hypothesis import given, settings, strategies as st

from course_utils.config import CourseError
from course_utils.techniques.neighbours import answers_by_fold, cut_runs, edge_profiles, group_folds, seam_jumps


@given(st.integers(1, 300), st.integers(1, 70))
@settings(max_examples=60, deadline=None)
def test_runs_are_neighbours_of_one_length(n, length):
    runs = cut_runs(n, length)
    assert len(runs) == n
    assert (np.diff(runs) >= 0).all()
    assert (np.bincount(runs)[:-1] == length).all()


def test_a_run_has_a_picture():
    with pytest.raises(CourseError, match='one picture at least'): cut_runs(10, 0)


def test_groups_stay_whole():
    groups = cut_runs(240, 20)
    folds = group_folds(groups, np.arange(240) % 2)
    assert all(len(set(folds[groups == group])) == 1 for group in range(12))
    assert np.bincount(folds).tolist() == [60] * 4


def series(n_series=8, length=30, n_features=12, seed=0):
    "Pictures' features in series: the label is the series', and so is what features show."
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 3, (n_series, n_features))
    labels = np.repeat(np.arange(n_series) % 2, length)
    return np.repeat(centres, length, 0) + rng.normal(0, 1, (n_series * length, n_features)), labels


def test_a_random_split_flatters_where_a_series_has_one_label():
    features, labels = series()
    folds = np.random.default_rng(0).permutation(len(labels)) % 4
    at_random = answers_by_fold(features, labels, folds).mean()
    together = answers_by_fold(features, labels, group_folds(cut_runs(len(labels), 30), labels)).mean()
    assert at_random > .95
    assert together < .8


def test_jumps_are_highest_at_the_seams():
    features, _ = series()
    jumps = seam_jumps(features)
    seams = [30, 60, 90, 120, 150, 180, 210]
    found = [seam for seam in seams if jumps[seam] == np.nanmax(jumps[seam - 10:seam + 11])]
    assert found == seams
    assert np.isnan(jumps[:20]).all()
    assert np.isnan(jumps[-20:]).all()


def test_profiles_do_not_see_brightness():
    images = np.random.default_rng(0).integers(60, 120, (3, 16, 16, 3)).astype(np.uint8)
    assert np.allclose(edge_profiles(images), edge_profiles(images + 40), atol=1e-3)
