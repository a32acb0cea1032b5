"Neighbours that are alike: found in series and in the solar cells, not where names were shuffled."
import shutil
from datetime import datetime
from pathlib import Path

import numpy as np, pandas as pd, pytest
from PIL import Image

from course_utils.advice import series
from course_utils.advice.findings import neighbours
from course_utils.advice.series import capture_time, capture_times, find_leak, natural_key, neighbour_runs, numbered_runs
from course_utils.data.decode import Found
from course_utils.data.pictures import Pictures, load_pictures
from course_utils.data.sources import solar_cells

CLASSES = ('flower', 'leaf')


@pytest.fixture(autouse=True)
def private_cache(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path/'cache'))
    monkeypatch.delenv('COURSE_DATA', raising=False)


def series_folder(root, names, times=None, n_series=20, length=10, seed=0):
    """A folder of series: each has a light and a pattern of its own, and of those the labels know little. `names[i]` is the name
    of the file, `times[i]` when it was taken."""
    rng = np.random.default_rng(seed)
    for name in CLASSES: (root/name).mkdir(parents=True)
    for number in range(n_series):
        pattern = rng.integers(60, 196, (8, 8, 3))
        label = number % 2
        for k in range(length):
            place = number * length + k
            noise = rng.integers(-30, 31, (64, 64, 3))
            pixels = np.kron(pattern, np.ones((8, 8, 1))) + noise
            pixels[:6] += 25 * label  # a little that all of a class have
            image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
            options = {}
            if times is not None:
                exif = Image.Exif()
                exif[306] = times[place]
                options = dict(exif=exif)
            image.save(root/CLASSES[label]/f'{names[place]}.png', **options)
    return root


N = 200
IN_ORDER = [f'img{i}' for i in range(N)]
SHUFFLED = [f'img{i}' for i in np.random.default_rng(1).permutation(N)]


def leak_in(root): return find_leak(load_pictures(str(root), size=64, cache=False))


def test_series_are_found(tmp_path):
    root = series_folder(tmp_path/'series', IN_ORDER)
    leak = leak_in(root)
    assert leak.is_clear
    assert leak.gain > .1
    finding = neighbours(load_pictures(str(root), size=64), leak)
    assert finding.level == 'trouble'
    assert 'Neighbours in file order are alike' in finding.means
    assert f'{leak.points} too good' in finding.means


def test_shuffled_names_are_not(tmp_path):
    root = series_folder(tmp_path/'shuffled', SHUFFLED)
    leak = leak_in(root)
    assert not leak.is_clear
    assert neighbours(load_pictures(str(root), size=64), leak).level == 'fine'


def test_the_time_of_capture_tells_series_whose_names_are_shuffled(tmp_path):
    times = [f'2024:05:{1 + i // 60:02d} 10:{i % 60:02d}:00' for i in range(N)]
    leak = leak_in(series_folder(tmp_path/'timed', SHUFFLED, times))
    assert leak.order == 'in the order of capture'
    assert leak.is_clear


def test_few_pictures_cannot_tell(tmp_path):
    root = series_folder(tmp_path/'few', IN_ORDER, n_series=2)
    assert leak_in(root) is None
    finding = neighbours(load_pictures(str(root), size=64), None)
    assert finding.level == 'fine'


def test_groups_of_a_table_are_held_out_whole(tmp_path):
    root = series_folder(tmp_path/'grouped', SHUFFLED)
    rows = [(f'{CLASSES[i // 10 % 2]}/{SHUFFLED[i]}.png', CLASSES[i // 10 % 2], f'film {i // 10}') for i in range(N)]
    pd.DataFrame(rows, columns=['file', 'label', 'film']).to_csv(root/'films.csv', index=False)
    pics = load_pictures(str(root/'films.csv'), size=64, group_column='film', cache=False)
    leak = find_leak(pics)
    finding = neighbours(pics, leak)
    assert leak.order == 'by group'
    assert finding.level == 'note'
    assert finding.does == 'Holds out whole groups.'
    divided = load_pictures(str(root/'films.csv'), size=64, group_column='film', split='random', cache=False)
    assert 'divides groups' in neighbours(divided, leak).does


def test_solar_cells_as_a_plain_folder(tmp_path):
    "As somebody has them who copies the files into class folders: here every other sixty of them."
    table, classes = solar_cells()
    for name in classes: (tmp_path/'cells'/name).mkdir(parents=True)
    few = table[table.index // 60 % 2 == 0]
    for path, label in zip(few.path, few.label): shutil.copy(path, tmp_path/'cells'/classes[label]/Path(path).name)
    leak = leak_in(tmp_path/'cells')
    assert leak.is_clear
    assert leak.order == 'in file order'


# ---- runs ----

def test_numbers_in_names_are_numbers():
    names = ['b2', 'cell10', 'cell9', 'Cell1', 'a']
    assert sorted(names, key=natural_key) == ['a', 'b2', 'Cell1', 'cell9', 'cell10']


def test_classes_that_interleave_share_runs():
    labels = np.tile([0, 1], 200)
    runs = numbered_runs(list(range(400)), labels)
    assert len(np.unique(runs)) == series.N_RUNS
    assert pd.Series(labels).groupby(runs).nunique().min() == 2


def test_no_run_holds_a_whole_class_where_names_begin_with_it():
    "As n02085620_1.jpg: one held-out run would leave nothing of the class to learn from."
    labels = np.repeat(np.arange(20), 27)
    keys = [(label, i) for i, label in enumerate(labels)]
    runs = numbered_runs(keys, labels)
    by_class = pd.Series(runs).groupby(labels).nunique()
    assert (by_class >= series.FOLDS).all()
    assert pd.Series(labels).groupby(runs).nunique().max() == 1


def test_of_many_pictures_runs_keep_their_first(monkeypatch):
    monkeypatch.setattr(series, 'MOST', 320)
    labels = np.tile([0, 1], 800)
    runs = numbered_runs(list(range(1600)), labels)
    assert (runs >= 0).sum() == 320
    first = np.flatnonzero(runs == 3)
    assert first.tolist() == list(range(150, 160))


def test_folders_below_a_class_come_first():
    table = pd.DataFrame(dict(path=[f'/d/cat/film{k}/{i}.png' for k in (10, 9) for i in range(40)], label=0, split='train'))
    table = pd.concat([table, table.assign(label=1, path=table.path.str.replace('cat', 'dog'))], ignore_index=True)
    pics = Pictures('made', np.zeros((160, 8, 8, 3), np.uint8), ['cat', 'dog'], table, Found())
    [runs] = neighbour_runs(pics).values()
    film = table.path.str.extract(r'film(\d+)')[0].to_numpy()
    assert runs[film == '9'].max() < runs[film == '10'].min()


@pytest.mark.parametrize('silent, differing, is_told', [(2, 18, True), (3, 17, False), (0, 5, True), (0, 4, False)])
def test_when_times_of_capture_are_told(monkeypatch, silent, differing, is_told):
    "Of 20 files: at most one in ten silent, at least a quarter of the times different."
    times = [None] * silent + [datetime(2020, 1, 1 + i % differing) for i in range(20 - silent)]
    monkeypatch.setattr(series, 'capture_time', times.__getitem__)
    assert (capture_times(range(20)) is not None) == is_told


def test_a_file_without_a_time(tmp_path):
    Image.new('RGB', (8, 8)).save(tmp_path/'a.png')
    (tmp_path/'b.png').write_text('no picture')
    assert capture_time(tmp_path/'a.png') is None
    assert capture_time(tmp_path/'b.png') is None
