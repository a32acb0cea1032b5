"Folds: every picture held out once, shares even, groups whole; and one sentence for what cannot be."
import os

import numpy as np, pandas as pd, pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from course_utils.config import CourseError
from course_utils.data.folds import group_parts, stratified_folds
from course_utils.data.pictures import load_pictures
from course_utils.data.sources import find_source
from course_utils.data.split import with_split

TWO = ('cat', 'dog')


@pytest.fixture(autouse=True)
def private_cache(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path/'cache'))
    monkeypatch.delenv('COURSE_DATA', raising=False)


def save_pictures(folder, n, seed=0):
    "Pictures of random colours."
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for i in range(n):
        pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder/f'{i:03d}.png')


def class_folders(root, n):
    for label, name in enumerate(TWO): save_pictures(root/name, n, label)
    return root


def load(root, **options): return load_pictures(str(root), size=32, cache=False, **options)


def names(pics, places): return [os.path.relpath(path, '/') for path in pics.table.path.iloc[places]]


# ---- picture by picture ----

@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=2, max_size=6), st.integers(2, 7), st.integers(0, 1000))
def test_strata_and_sizes_differ_by_at_most_one(counts, folds, seed):
    strata = np.repeat(np.arange(len(counts)), counts)
    numbers = stratified_folds(strata, folds, seed)
    by_stratum = pd.crosstab(strata, numbers).reindex(columns=range(folds), fill_value=0)
    assert (by_stratum.max(axis=1) - by_stratum.min(axis=1)).max() <= 1
    assert np.ptp(by_stratum.sum()) <= 1
    has_enough = np.array(counts) >= folds
    assert (by_stratum[has_enough] >= 1).all(axis=None)


def test_the_seed_decides():
    strata = np.repeat([0, 1], 50)
    first, again, other_seed = (stratified_folds(strata, 4, seed) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other_seed).any()


@pytest.mark.parametrize('options', [{}, dict(limit=24), dict(split='random'), dict(seed=3)])
def test_every_picture_is_held_out_once(tmp_path, options):
    root = class_folders(tmp_path/'pics', 18)
    all_pics = [load(root, fold=fold, **options) for fold in range(4)]
    held_out = [name for pics in all_pics for name in names(pics, pics.valid)]
    assert len(held_out) == len(set(held_out)) == len(all_pics[0])
    assert all(list(pics.table.path) == list(all_pics[0].table.path) for pics in all_pics)
    counts = [np.bincount(pics.y[pics.valid], minlength=2) for pics in all_pics]
    assert np.ptp(counts, axis=0).max() <= 1
    assert 'Held out: fold 2 of 4' in all_pics[2].report()


def test_without_a_fold_a_plain_folder_is_split_as_ever(tmp_path):
    root = class_folders(tmp_path/'pics', 18)
    pics = load(root)
    _, layout = find_source(str(root))
    assert pics.table.split.tolist() == with_split(layout.table, layout.classes, .25, 0).split.tolist()
    assert 'fold' not in pics.table
    assert 'Split' not in pics.report()


def test_a_class_of_too_few_pictures_is_told(tmp_path):
    root = tmp_path/'pics'
    save_pictures(root/'cat', 12)
    save_pictures(root/'dog', 3, 1)
    assert 'Not every fold holds out dog' in load(root, fold=0).report()
    assert 'Not every fold' not in load(root, fold=0, folds=3).report()


# ---- parts of the data set's own ----

def in_parts(root, parts):
    for k, part in enumerate(parts):
        for label, name in enumerate(TWO): save_pictures(root/part/name, 8, 10 * k + label)
    return root


def held_out_parts(root, **options) -> set:
    "The parts from which pictures are held out, over all folds."
    all_pics = [load(root, fold=fold, **options) for fold in range(4)]
    paths = [path for pics in all_pics for path in pics.table.path.iloc[pics.valid]]
    return {path.split(os.sep)[-3] for path in paths}


PARTS = {
    'train and valid are pooled': (('train', 'valid'), {}, {'train', 'valid'}),
    'a test part beside them stays unseen': (('train', 'valid', 'test'), {}, {'train', 'valid'}),
    'a test part that would be held out is pooled': (('train', 'test'), {}, {'train', 'test'}),
    'all parts, where they are to be split anew': (('train', 'valid', 'test'), dict(split='random'), {'train', 'valid', 'test'}),
}


@pytest.mark.parametrize('name', PARTS)
def test_folds_are_made_of_what_the_split_uses(tmp_path, name):
    parts, options, pooled = PARTS[name]
    assert held_out_parts(in_parts(tmp_path/'pics', parts), **options) == pooled


# ---- groups ----

@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=8, max_size=40), st.integers(2, 5), st.integers(0, 1000))
def test_groups_stay_whole_and_no_part_is_empty(sizes, folds, seed):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    strata = np.random.default_rng(seed).integers(0, 2, len(groups))
    parts = group_parts(groups, strata, np.full(folds, 1 / folds), seed)
    assert pd.Series(parts).groupby(groups).nunique().max() == 1
    assert set(parts) == set(range(folds))
    # no part is further from its share than the largest group is large
    assert abs(np.bincount(parts) - len(groups) / folds).max() <= max(sizes)


def test_even_groups_fill_even_parts():
    groups = np.repeat(np.arange(40), 30)
    strata = np.tile([0] * 20 + [1] * 10, 40)
    parts = group_parts(groups, strata, np.full(4, .25))
    assert np.bincount(parts).tolist() == [300] * 4
    assert [strata[parts == part].sum() for part in range(4)] == [100] * 4


def test_classes_are_balanced_although_groups_are_of_one_class():
    groups = np.repeat(np.arange(16), 10)
    strata = (groups < 8).astype(int)
    for seed in range(10):
        parts = group_parts(groups, strata, np.full(4, .25), seed)
        assert [strata[parts == part].sum() for part in range(4)] == [20] * 4


def table_with_groups(root, n_groups=8, size=4, **changes):
    "A table of files, classes and groups."
    save_pictures(root/'images', n_groups * size)
    files = [f'{i:03d}.png' for i in range(n_groups * size)]
    labels = [TWO[i % 2] for i in range(n_groups * size)]
    films = np.repeat([f'film {k}' for k in range(n_groups)], size)
    columns = dict(file=files, label=labels, film=films) | changes
    pd.DataFrame(columns).to_csv(root/'table.csv', index=False)
    return root/'table.csv'


def n_divided(pics) -> int:
    "How many groups are on both sides."
    return int((pics.table.groupby('group').split.nunique() > 1).sum())


def test_a_table_may_name_its_groups(tmp_path):
    table = table_with_groups(tmp_path)
    pics = load(table, group_column='film')
    assert n_divided(pics) == 0
    assert len(pics.valid) == 8
    assert 'Split by group: 2 of 8 groups are held out, whole.' in pics.report()
    assert "groups in 'film'" in pics.report()
    folds = [load(table, group_column='film', fold=fold) for fold in range(4)]
    assert all(n_divided(pics) == 0 for pics in folds)
    assert sorted(sum((names(pics, pics.valid) for pics in folds), [])) == sorted(names(pics, range(len(pics))))


def test_random_splits_groups_and_says_so(tmp_path):
    pics = load(table_with_groups(tmp_path), group_column='film', split='random')
    assert n_divided(pics) > 0
    assert "split='own' holds out whole groups" in pics.report()


def test_a_split_of_its_own_that_divides_groups_is_told(tmp_path):
    parts = ['valid' if i % 4 == 0 else 'train' for i in range(32)]
    table = table_with_groups(tmp_path, split=parts)
    assert 'of 8 groups 8 are on both sides' in load(table, group_column='film').report()
    assert n_divided(load(table, group_column='film', fold=0)) == 0


def test_a_picture_without_a_group_is_alone(tmp_path):
    films = ['' if i < 8 else f'film {i // 4}' for i in range(32)]
    pics = load(table_with_groups(tmp_path, film=films), group_column='film')
    assert pics.table.group.nunique() == 8 + 6


def test_a_column_of_groups_is_not_taken_for_the_class(tmp_path):
    table = table_with_groups(tmp_path)
    pd.read_csv(table).rename(columns=dict(label='animal')).to_csv(table, index=False)
    assert load(table, group_column='film').classes == list(TWO)


# ---- refused ----

REFUSED = {
    'a fold too high': (dict(fold=4), 'of 4 folds it can only be a whole number from 0 to 3'),
    'a fold below zero': (dict(fold=-1), 'from 0 to 3'),
    'half a fold': (dict(fold=.5), 'whole number'),
    'True is no fold': (dict(fold=True), 'whole number'),
    'one fold': (dict(fold=0, folds=1), 'from 2 up'),
    'folds without a fold': (dict(folds=0), 'from 2 up'),
    'more folds than pictures': (dict(fold=0, folds=40), '36 pictures for 40 folds'),
    'groups of a folder': (dict(group_column='film'), "pass csv='…' with the table"),
}


@pytest.mark.parametrize('name', REFUSED)
def test_what_cannot_be_is_refused_with_a_sentence(tmp_path, name):
    options, sentence = REFUSED[name]
    root = class_folders(tmp_path/'pics', 18)
    with pytest.raises(CourseError) as e: load(root, **options)
    assert sentence in str(e.value)
    assert '\n' not in str(e.value)


GROUPS_REFUSED = {
    'a column that is not there': (dict(group_column='series'), {}, "no column 'series'"),
    'one group': (dict(group_column='film'), dict(film=['film'] * 32), 'All pictures are of one group'),
    'one group in folds': (dict(group_column='film', fold=0, folds=2), dict(film=['film'] * 32), "pass split='random'"),
    'more folds than groups': (dict(group_column='film', fold=0, folds=9), {}, '8 groups for 9 folds, and each fold needs one: choose folds=8'),
}


@pytest.mark.parametrize('name', GROUPS_REFUSED)
def test_groups_that_cannot_be_are_refused(tmp_path, name):
    options, changes, sentence = GROUPS_REFUSED[name]
    table = table_with_groups(tmp_path, **changes)
    with pytest.raises(CourseError) as e: load(table, **options)
    assert sentence in str(e.value)


# ---- solar cells ----

def solar_table(**options):
    return load_pictures('solar', size=32, limit=400, cache=False, **options).table


def test_solar_cells_are_split_by_module():
    table = solar_table()
    assert (table.groupby('group').split.nunique() == 1).all()
    assert (table.groupby('module').split.nunique() == 1).all()
    twice = table.split[table.module.isin([30, 39])]
    assert twice.nunique() == 1


@pytest.mark.parametrize('seed', range(4))
def test_the_module_split_is_near_its_share_and_even_in_class(seed):
    _, layout = find_source('solar')
    table = with_split(layout.table, layout.classes, .25, seed, by_group=True)
    held_out = table.split == 'valid'
    assert abs(held_out.mean() - .25) < .015
    assert abs(table.label[held_out].mean() - table.label.mean()) < .01
    assert abs((table.type[held_out] == 'mono').mean() - (table.type == 'mono').mean()) < .06


@pytest.mark.parametrize('seed', range(4))
def test_folds_of_modules_are_even(seed):
    from course_utils.data.folds import with_folds
    _, layout = find_source('solar')
    table, notes = with_folds(layout.table, layout.classes, 4, seed, by_group=True)
    sizes = table.fold.value_counts()
    shares = table.groupby('fold').label.mean()
    assert np.ptp(sizes) <= 40
    assert np.ptp(shares) < .03
    assert notes == []


def test_random_is_the_split_of_papers():
    table = solar_table(split='random')
    assert (table.groupby('group').split.nunique() == 2).mean() > .8


def test_the_report_says_which_split_it_is():
    by_module = load_pictures('solar', size=32, limit=400, cache=False).report()
    at_random = load_pictures('solar', size=32, limit=400, cache=False, split='random').report()
    assert 'Split by module: ' in by_module
    assert 'Split picture by picture: ' in at_random
