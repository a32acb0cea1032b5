"""Folders as people really have them: two pictures a class, 300 classes of four, a table, panoramas one pixel high. Every lesson ends in a result or a sentence."""
import ast, csv
from dataclasses import replace

import matplotlib.pyplot as plt, nbformat, numpy as np, pytest
from PIL import Image
from torch import nn

from course_utils.advice import recommend
from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.explorers import coverage
from course_utils.explorers.coverage import coverage_figure
from course_utils.report.intervals import differences_interval
from course_utils.techniques.dataset_shift import domains
from course_utils.techniques.search import hold_out
from course_utils.techniques.transfer import frozen_features
from data_scripts.lessons.notebooks import ROOT
from tests.test_pages import cells, run_cells


def stripes(k, shape=(48, 48)):
    "Noise on stripes, across or down."
    rng = np.random.default_rng(k)
    lines = np.indices(shape)[k % 2] // 4 % 2 * 120
    return (rng.integers(0, 128, (*shape, 3)) + lines[..., None]).astype(np.uint8)


def save_classes(folder, n_classes, n_each, shape=(48, 48)):
    "A folder a class."
    for label in range(n_classes):
        (folder/f'class{label}').mkdir(parents=True)
        for i in range(n_each):
            Image.fromarray(stripes(label + n_classes * i, shape)).save(folder/f'class{label}'/f'{i}.png')
    return folder


def save_with_table(folder, n=24):
    "A flat folder, and a table that says of which class each file is."
    folder.mkdir()
    rows = [(f'{i}.png', ('across', 'down')[i % 2]) for i in range(n)]
    for i, (name, _) in enumerate(rows): Image.fromarray(stripes(i)).save(folder/name)
    with open(folder/'labels.csv', 'w', newline='') as file: csv.writer(file).writerows([('file', 'label'), *rows])
    return folder/'labels.csv'


# ---- a table in place of folders ----

def test_a_recipe_is_written_beside_the_table_and_reads_it(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_PROFILE', 'smoke')
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path/'cache'))
    table = save_with_table(tmp_path/'flat')
    advised = recommend(str(table))
    assert advised.notebook.parent == table.parent
    [cell] = [c.source for c in nbformat.read(advised.notebook, 4).cells if 'load_pictures(FOLDER' in c.source]
    monkeypatch.chdir(table.parent)
    namespace = dict(Path=type(table), load_pictures=load_pictures)
    exec(cell, namespace)
    assert namespace['pics'].classes == ['across', 'down']
    assert len(namespace['pics']) == 24


def test_a_recipe_of_a_folder_reads_the_folder(tmp_path):
    advised = recommend(save_classes(tmp_path/'folders', 2, 6))
    [cell] = [c.source for c in nbformat.read(advised.notebook, 4).cells if 'load_pictures(FOLDER' in c.source]
    assert 'load_pictures(FOLDER, size' in cell


# ---- few pictures ----

@pytest.mark.fault
def test_two_kinds_need_two_pictures_each_in_both_parts(tmp_path):
    few = load_pictures(str(save_classes(tmp_path/'few', 2, 2)), size=32, cache=False)
    with pytest.raises(CourseError, match=r'few has too few pictures to compare two kinds \(to train on: .*\): .*add pictures'): domains(few)
    enough = load_pictures(str(save_classes(tmp_path/'enough', 2, 40)), size=32, cache=False)
    assert set(domains(enough)) == {'dark', 'bright'}


@pytest.mark.fault
def test_pictures_of_one_brightness_are_of_one_kind(tmp_path):
    pics = load_pictures(str(save_classes(tmp_path/'plain', 2, 12)), size=32, cache=False)
    with pytest.raises(CourseError, match='24 bright|18 bright'): domains(replace(pics, x=np.full_like(pics.x, 100)))


def test_a_rival_that_is_better_keeps_its_interval_below_zero():
    "Lesson 07 cut the intervals of differences at zero, as those of shares."
    namespace = dict(np=np, differences_interval=differences_interval)
    [source] = [c.source for c in nbformat.read(ROOT/'nbs/07_gradcam.ipynb', 4).cells if 'def difference_with_interval' in c.source]
    [function] = [node for node in ast.parse(source).body if getattr(node, 'name', '') == 'difference_with_interval']
    exec(ast.unparse(function), namespace)
    row = namespace['difference_with_interval'](np.linspace(-.5, -.1, 8))
    assert row['low'] < row['mean'] < row['high'] < 0
    row = namespace['difference_with_interval'](np.array([0., 1., 1., 0.]))
    assert row['low'] < 0, 'pointing: differences without a −1 are no accuracies'
    assert namespace['difference_with_interval'](np.array([-.5])) == dict(mean=-.5, low=-1, high=1)


@pytest.mark.fault
def test_none_to_choose_by_is_told(tmp_path):
    two = load_pictures(str(save_classes(tmp_path/'two', 2, 2)), size=32, cache=False)
    with pytest.raises(CourseError, match='None of the 2 training pictures of two .* add pictures'): hold_out(two)
    three = load_pictures(str(save_classes(tmp_path/'three', 2, 3)), size=32, cache=False)
    assert len(hold_out(three).valid)


@pytest.mark.fault
def test_a_body_needs_a_picture_to_look_at(tmp_path):
    pics = load_pictures(str(save_classes(tmp_path/'two', 2, 2)), size=32, cache=False)
    with pytest.raises(CourseError, match='two has no pictures'): frozen_features(nn.Identity(), pics, [])


def test_the_coverage_of_intervals_is_drawn_where_nothing_was_measured(tmp_path, monkeypatch):
    "It holds for all pictures: a folder of results of one's own need not have it."
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path))
    assert 'least share of intervals' in coverage_figure().alt


@pytest.mark.fault
def test_without_the_courses_results_the_coverage_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path))
    monkeypatch.setattr(coverage, 'root', lambda: tmp_path)
    with pytest.raises(CourseError, match='coverage.json is not there'): coverage_figure()


# ---- whole lessons ----

def two_a_class(folder): return save_classes(folder, 2, 2)


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.parametrize('lesson', ['07_gradcam', '06_tta', '12_your_pictures'])
@pytest.mark.parametrize('make', [two_a_class, save_with_table])
def test_a_lesson_ends_in_a_result_or_a_sentence(lesson, make, tmp_path, monkeypatch):
    for name, folder in dict(COURSE_CACHE='cache', COURSE_RESULTS='results', COURSE_HOME='home').items():
        monkeypatch.setenv(name, str(tmp_path/folder))
    (tmp_path/'results').mkdir()
    monkeypatch.setenv('COURSE_PROFILE', 'smoke')
    monkeypatch.setenv('COURSE_DATA', str(make(tmp_path/'pictures')))
    sources = [source for source in cells(lesson) if ast.parse(source).body]  # one cell is a comment alone
    try: run_cells(sources, dict(__name__='__main__'))
    except CourseError as e: assert str(e).endswith('.')
    finally: plt.close('all')
