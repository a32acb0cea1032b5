"""What `recommend`'s recipe is worth on other folders: how it is drawn, judged, kept and told."""
import json, os

import numpy as np, pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from course_utils.config import CourseError
from course_utils.report.recipe_results import RECIPE_COLUMNS, recipes_in_words, recipes_measured
from data_scripts.experiments import recipes
from data_scripts.experiments.recipes import LearnersFolder, drawn_folders, drawn_places, measure_recipe


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(10, 200), min_size=2, max_size=6), st.floats(.1, .9))
def test_each_class_is_drawn_in_proportion_and_no_picture_twice(counts, share):
    labels = np.repeat(np.arange(len(counts)), counts)
    places = drawn_places(labels, share * len(labels))
    assert len(set(places)) == len(places)
    drawn = np.bincount(labels[places], minlength=len(counts))
    assert np.abs(drawn - share * np.array(counts)).max() <= .5 + 1e-9


@pytest.fixture(scope='module')
def stripes(tmp_path_factory):
    "120 pictures of stripes, across or down."
    folder = tmp_path_factory.mktemp('stripes')
    rng = np.random.default_rng(0)
    for name in ('across', 'down'):
        (folder/name).mkdir()
        for k in range(60):
            line = np.repeat(rng.integers(0, 256, 16), 4)
            picture = np.broadcast_to(line, (64, 64)).astype(np.uint8)
            Image.fromarray(picture.T if name == 'across' else picture).save(folder/name/f'{k}.png')
    return folder


def test_drawn_and_others_are_all_pictures(stripes, tmp_path):
    drawn, others = drawn_folders(LearnersFolder(str(stripes), 40), tmp_path)
    n_drawn, n_others = [len(list(part.glob('*/*.png'))) for part in (drawn, others)]
    assert (n_drawn, n_others) == (40, 80)


@pytest.mark.slow
def test_a_recipe_is_judged_by_the_pictures_that_were_not_drawn(stripes, monkeypatch):
    monkeypatch.setenv('COURSE_PROFILE', 'smoke')
    monkeypatch.setenv('COURSE_CACHE', 'a cache that is left alone')
    row = measure_recipe(LearnersFolder(str(stripes), 60), minutes=.1)
    assert row['judged_by'] == 60
    assert row['accuracy'] > .8  # a line across and a line down: a linear head tells them apart
    assert row['interval'][0] <= row['accuracy'] <= row['interval'][1]
    assert os.environ['COURSE_CACHE'] == 'a cache that is left alone'


def test_an_unknown_folder_is_refused():
    with pytest.raises(CourseError, match="There is no folder 'cats'"): recipes.main(['cats'])


ROW = dict(judged_by=500, accuracy=.9, interval=[.87, .93], frozen=.88, pictures=400, classes=2, size=224, minutes=5, epochs=4,
           is_tuned=False, seconds=120., device='CPU', versions=dict(torch='2'), date='2026-01-01')


def kept_in(place, **changes):
    (place/'recipes.json').write_text(json.dumps(dict(runs=dict(birds=ROW | changes))))
    return place/'recipes.json'


@pytest.mark.parametrize('changes, words', [
    (dict(epochs=0), 'fine-tuning was not tried'),
    (dict(), 'did not clearly beat'),
    (dict(is_tuned=True, gain=[.02, .01, .03]), '+2.0% (+1.0% to +3.0%) to the frozen one, better'),
    (dict(is_tuned=True, gain=[-.02, -.03, -.01]), 'to the frozen one, worse'),
])
def test_which_half_was_kept_is_told(changes, words, tmp_path):
    assert words in recipes_in_words(kept_in(tmp_path, **changes))


def test_the_days_of_all_folders_are_told(tmp_path):
    assert recipes_in_words(kept_in(tmp_path)).endswith('torch 2, 2026-01-01.')
    later = dict(runs=dict(birds=ROW, cells=ROW | dict(date='2026-01-03')))
    (tmp_path/'recipes.json').write_text(json.dumps(later))
    assert recipes_in_words(tmp_path/'recipes.json').endswith('torch 2, 2026-01-01 to 2026-01-03.')


def test_a_folder_is_a_row(tmp_path):
    table = recipes_measured(kept_in(tmp_path))
    assert list(table.columns) == RECIPE_COLUMNS
    assert table.loc['birds', 'kept'] == 'frozen' and table.loc['birds', 'minutes'] == 2


def test_nothing_measured_is_an_empty_table(tmp_path):
    (tmp_path/'none.json').write_text('{}')
    assert recipes_measured(tmp_path/'none.json').empty and recipes_in_words(tmp_path/'none.json') == ''
