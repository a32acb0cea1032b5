"The solar cells' modules: recovered as they are kept, and alike within."
import numpy as np, pytest

from course_utils.data.modules import MODULE_SIZES, PICTURED_TWICE, UNSEEN_STARTS, module_groups, module_numbers, module_table
from course_utils.data.sources import solar_cells
from data_scripts.datasets import solar_modules


@pytest.fixture(scope='module')
def found(): return solar_modules.recover_modules()


@pytest.fixture(scope='module')
def cells(): return solar_cells()[0]


def test_the_kept_modules_are_those_that_the_script_recovers(found):
    assert found['sizes'] == MODULE_SIZES
    assert found['twice'] == PICTURED_TWICE
    assert found['unseen'] == UNSEEN_STARTS


def test_every_module_is_of_one_type_and_there_are_as_many_as_published(cells):
    by_module = cells.groupby('module').type.agg(['nunique', 'first'])
    assert (by_module['nunique'] == 1).all()
    assert by_module['first'].value_counts().to_dict() == dict(poly=26, mono=18)


def test_the_cuts_are_seen_in_the_pictures(found):
    n_seen = found['n_inner'] - len(found['unseen'])
    assert n_seen / found['n_inner'] > .9
    assert found['by_chance'] < .1
    assert found['higher'] > .9


def test_neighbours_in_a_module_are_more_alike_than_across_a_cut(cells):
    "By a permutation: the cuts of each run moved along together explain less, whatever the shift."
    small = np.stack([solar_modules.small_picture(path) for path in cells.path])
    profiles = solar_modules.light_profiles(small)

    def within(numbers) -> float:
        "Variance within modules, all of them."
        codes = np.unique(numbers, return_inverse=True)[1]
        sizes = np.bincount(codes)
        means = np.stack([np.bincount(codes, column) / sizes for column in profiles.T], axis=1)
        return float(((profiles - means[codes])**2).mean())

    runs = (cells.type != cells.type.shift()).cumsum().to_numpy()
    moved = [within(shifted_within(module_numbers(), runs, shift)) for shift in range(5, 60, 5)]
    assert within(module_numbers()) < min(moved)


def shifted_within(numbers, runs, shift):
    "Module numbers rolled along within each run of a type."
    rolled = numbers.copy()
    for run in np.unique(runs):
        places = np.flatnonzero(runs == run)
        rolled[places] = np.roll(numbers[places], shift)
    return rolled


def test_the_module_that_is_there_twice_is_one_group():
    groups = module_groups()
    assert len(np.unique(groups)) == len(MODULE_SIZES) - 1
    assert np.array_equal(groups[1734:1784], groups[2276:2326])
    assert len(np.unique(groups[1734:1784])) == 1


def test_the_table_says_what_each_start_rests_on(cells):
    table = module_table(cells.type)
    assert table.known_by.value_counts().to_dict() == {'size and pictures': 33, 'type': 10, 'size': 1}
    assert table.cells.sum() == len(cells)
    assert cells.module[table['first'] - 1].tolist() == table.index.tolist()


# ---- the search for them, on made pictures ----

def made_cells(sizes, seed=0):
    "Small pictures whose light falls another way in each module."
    rng = np.random.default_rng(seed)
    light = [rng.normal(size=(30, 1)) + rng.normal(size=(1, 30)) for _ in sizes]
    numbers = np.repeat(np.arange(len(sizes)), sizes)
    return np.stack([light[number] + rng.normal(size=(30, 30)) for number in numbers])


@pytest.mark.parametrize('place', range(4))
def test_a_short_module_is_found_where_it_was_put(place):
    sizes = [60] * 4
    sizes[place] = 41
    small = made_cells(sizes, seed=place)
    jumps = solar_modules.run_jumps(small, [0, sum(sizes)])
    found = solar_modules.module_sizes(0, sum(sizes), jumps, solar_modules.Series(0, 0, 0))
    assert found == sizes


def test_a_repeated_series_is_found():
    small = made_cells([60] * 5)
    small[200:230] = small[20:50] + np.random.default_rng(1).normal(size=(30, 30, 30)) * .3
    assert solar_modules.repeated_series(small) == solar_modules.Series(20, 200, 30)


def test_the_series_overrules_the_jumps():
    "A short module is put where the series lies between two cuts, though the jumps say nothing."
    jumps = np.full(170, .5)
    assert solar_modules.module_sizes(0, 170, jumps, solar_modules.Series(60, 700, 50)) == [60, 50, 60]
