"The bench: ways take turns, ratios are of one turn, and what is timed gives the same results."
import json, math, subprocess

import numpy as np, pytest

from course_utils.config import CourseError, root
from course_utils.data.pictures import load_pictures
from data_scripts.experiments.bench import command as B, fine_tuning
from data_scripts.experiments.bench.accuracy import Clock, accuracy
from data_scripts.experiments.bench.features import held_out_hits
from data_scripts.experiments.bench.install import EARLIER
from data_scripts.experiments.bench.timing import bench_row, differences, in_turn
from data_scripts.experiments.bench.waiting import imports

pytestmark = pytest.mark.slow
ROOT = root()


@pytest.fixture(autouse=True)
def smoke(monkeypatch, tmp_path):
    monkeypatch.setenv('COURSE_PROFILE', 'smoke')
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path/'results'))


def test_ways_take_turns():
    "One warm-up each, then turn after turn, each begun by another; a way may count its seconds itself."
    called = []
    seconds = in_turn({'ours': lambda: called.append('a'), 'peer': lambda: (called.append('b'), 2.)[1]}, 3)
    assert ''.join(called) == 'baab' * 2
    assert len(seconds['ours']) == 3
    assert seconds['peer'] == [2.] * 3
    assert max(seconds['ours']) < 1


def test_a_ratio_is_the_median_of_the_turns():
    "A machine that is ten times slower for one turn changes no ratio."
    r = bench_row({'ours': [1., 10., 1.], 'peer': [2., 20., 3.]}, 'x')
    assert r['ratio'] == {'peer': 2.}
    assert r['range'] == {'peer': [2., 3.]}
    assert r['median'] == {'ours': 1., 'peer': 3.}
    assert r['n'] == 3


def test_what_was_not_reached_is_not_a_number_made_up():
    r = bench_row({'ours': [math.inf] * 3, 'peer': [1., 2., 3.]}, 'x')
    assert r['median']['ours'] is None
    assert r['ratio']['peer'] == 0
    several = bench_row({'ours': [math.inf, 2., math.inf], 'peer': [math.inf, 3., math.inf], 'other': [1., 1., 1.]}, 'x')
    assert several['ratio']['peer'] == 1.5
    assert bench_row({'ours': [math.inf], 'peer': [math.inf]}, 'x')['ratio']['peer'] is None
    assert bench_row({'ours': [.000341]}, 'x')['median']['ours'] == .000341
    assert '—' in B.row_line('x', r)
    json.dumps(r, allow_nan=False)


def test_the_clock():
    c = Clock()
    for a in (.5, .8, .7): c.see(a)
    assert c.until(.8) == c.seen[1][0]
    assert c.until(.4) == c.seen[0][0]
    assert c.until(.9) == math.inf


@pytest.mark.parametrize('name, tolerance', [('lr_finder', 1e-5), ('grad_cam', 1e-5), ('tta', 1e-6)])
def test_peers_say_the_same(name, tolerance):
    r = B.ROWS[name]()
    assert set(r['difference']) == set(r['ratio']), r['difference']
    assert max(r['difference'].values()) <= tolerance, r['difference']


def test_a_wrong_peer_would_show():
    assert differences(dict(course=[1., 2.], right=[1., 2., 3.], wrong=[1., 2.5])) == {'right': 0., 'wrong': .5}


@pytest.fixture
def earlier_commit():
    "Skips the test where this clone does not hold the earlier build."
    found = subprocess.run(['git', 'cat-file', '-e', EARLIER], cwd=ROOT, capture_output=True)
    if found.returncode: pytest.skip('This clone does not hold the earlier build: git fetch --unshallow brings it.')


@pytest.mark.usefixtures('earlier_commit')
def test_fine_tuning_beside_the_build_before():
    row = B.ROWS['fine_tune_solar']()
    assert set(row['accuracy']) == {'frozen stages, ten epochs', 'all layers, twelve epochs, the build before', 'deep features'}
    assert all(0 < accuracy <= 1 for values in row['accuracy'].values() for accuracy in values)
    assert all(peak > 100 for values in row['peak_mib'].values() for peak in values)
    left = subprocess.run(['git', 'worktree', 'list'], cwd=ROOT, capture_output=True, text=True).stdout
    assert 'earlier' not in left, 'the folder of the earlier build is taken away'


@pytest.mark.fault
def test_a_clone_without_the_build_before(monkeypatch):
    monkeypatch.setattr(fine_tuning, 'EARLIER', '0' * 40)
    with pytest.raises(CourseError, match='not in this clone'), fine_tuning.earlier_build(): pass


def test_larger_pictures_and_views():
    row = B.ROWS['features']()
    assert list(row['accuracy']) == ['32 px, 1 view', '32 px, 8 views', '64 px, 1 view', '64 px, 8 views']
    assert all(0 < accuracy <= 1 for values in row['accuracy'].values() for accuracy in values)


def test_every_picture_is_answered_once():
    pics = [load_pictures('solar', size=32, limit=160, fold=k, split='random') for k in range(4)]
    answer_itself = np.eye(2)[pics[0].y]
    assert sum(held_out_hits(answer_itself, fold).sum() for fold in pics) == 160
    no_news = np.zeros((160, 1))  # the head can name only the class of most training pictures
    majority = max(np.bincount(pics[0].y))
    assert sum(held_out_hits(no_news, fold).sum() for fold in pics) == majority


def test_time_to_accuracy():
    r = accuracy('solar')
    assert set(r['median']) == {'course', 'fastai fine_tune'}
    assert r['reached']['fastai fine_tune'] == 1
    assert all(0 < a[0] < 1 for a in r['final_accuracy'].values())
    assert 0 < r['deep_features_accuracy'][0] < 1


def test_command(tmp_path, capsys):
    "Rows are kept one by one, in one order, and a row without its pictures says so."
    B.main(['lessons'])
    B.main(['input_pipeline', 'lessons'])
    kept = json.loads((tmp_path/'results'/'bench.json').read_text())
    assert list(kept) == ['input_pipeline', 'lessons']
    assert len(kept['input_pipeline']['ratio']) == 6
    assert all(k in kept['input_pipeline'] for k in ('device', 'processor', 'cores', 'versions', 'date', 'run', 'took_s', 'median', 'n'))
    assert {'ttach', 'torchvision', 'torch'} <= set(kept['lessons']['versions'])
    assert capsys.readouterr().out.count('lessons: 00_overfitting') == 2
    with pytest.raises(CourseError, match=f"There is no row 'speed': there are {', '.join(B.ROWS)}"): B.main(['speed'])


def test_without_the_pictures(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv('COURSE_DATA_DIR', str(tmp_path))
    monkeypatch.setitem(B.ROWS, 'accuracy_colour', lambda: accuracy('cats_dogs'))
    with pytest.raises(CourseError, match='Not complete: accuracy_colour could not be measured'): B.main(['accuracy_colour', 'lessons'])
    assert 'accuracy_colour: not measured. This row needs pictures that are not here.' in capsys.readouterr().out
    assert list(json.loads((tmp_path/'results'/'bench.json').read_text())) == ['lessons']


def test_a_row_that_fails_takes_no_other_with_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(B.ROWS, 'tta', lambda: 1 / 0)
    with pytest.raises(CourseError, match='Not complete: tta'): B.main(['tta', 'lessons'])
    assert "tta: not measured. ZeroDivisionError" in capsys.readouterr().out
    assert (tmp_path/'results'/'bench.json').exists()


@pytest.mark.timing
@pytest.mark.usefixtures('earlier_commit')
def test_import_is_no_slower_than_fastai():
    r = imports()
    assert r['ratio']['fastai'] >= 1 / 1.1, r
    assert r['median']['the build before'] > 0
