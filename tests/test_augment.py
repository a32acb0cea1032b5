"Augmentation: the maths of p, the explorer's draws, and the trap in a seeded Compose."
import copy

import albumentations as A, numpy as np, pytest, torch
from hypothesis import given, settings, strategies as st
from scipy.stats import binom

from course_utils.config import CourseError
from course_utils.data.sources import photo
from course_utils.explorers.augment import probability_explorer
from course_utils.techniques.augment import SEVEN, AffineJitter, Draws, band, bending, check_p, pipeline, share_generator, touched

CAT = photo('chelsea', 48)
P = st.floats(0, 1)


def is_cat(image): return np.array_equal(image, CAT)


@pytest.mark.parametrize('p', [-.01, 1.01, 7, float('nan')])
@pytest.mark.fault
def test_p_out_of_range(p):
    calls = [
        lambda: check_p(p),
        lambda: pipeline(p),
        lambda: pipeline({'noise': p}),
        lambda: touched([p]),
    ]
    for call in calls:
        with pytest.raises(CourseError, match='between 0 and 1'): call()


@pytest.mark.fault
def test_unknown_operation():
    with pytest.raises(CourseError, match='no operation named'): pipeline({'sharpen': .5})


def test_pipeline_takes_one_p_or_one_each():
    assert {t.p for t in pipeline(.2).transforms} == {.2}
    assert [t.p for t in pipeline({'noise': .7}).transforms] == [0, 0, 0, .7, 0, 0, 0]


def test_p_zero_changes_nothing():
    transform = pipeline(0)
    assert all(is_cat(transform(image=CAT)['image']) for _ in range(50))


def test_every_operation_works_on_grey_and_colour():
    grey = np.repeat(CAT.mean(2, keepdims=True).astype(np.uint8), 3, 2)
    for name, make in SEVEN.items():
        for x in (CAT, grey):
            images = [make(1.)(image=x)['image'] for _ in range(8)]
            assert all(image.shape == x.shape for image in images), name
            assert all(image.dtype == np.uint8 for image in images), name
            assert any(not np.array_equal(image, x) for image in images), name


@given(st.lists(P, min_size=1, max_size=7))
def test_touched_is_one_minus_the_product(ps):
    q = 1.
    for p in ps: q *= 1 - p
    assert touched(ps) == pytest.approx(1 - q)


@given(st.integers(1, 200), P)
def test_band_holds_what_it_says(n, share):
    low, high = band(n, share)
    assert 0 <= low <= high <= n
    assert binom.cdf(high, n, share) - binom.cdf(low - 1, n, share) >= .95 - 1e-9


def share_touched(transform, n=4000):
    x = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    images = [transform(image=x)['image'] for _ in range(n)]
    return np.mean([not np.array_equal(image, x) for image in images])


NEVER_SAME = {
    'flip': lambda p: A.HorizontalFlip(p=p),
    'flop': lambda p: A.VerticalFlip(p=p),
    'invert': lambda p: A.InvertImg(p=p),
}


@pytest.mark.parametrize('p', [.05, .2, .33])
def test_albumentations_touches_the_share_we_expect(p):
    n = 4000
    low, high = band(n, touched([p] * 3), .9999)
    assert low <= n * share_touched(pipeline(p, NEVER_SAME, seed=1), n) <= high


def test_seeded_compose_is_the_trap_it_is_said_to_be():
    "The reason for share_generator. If this fails, albumentations has mended it: drop share_generator and the lesson's section."
    def operations(): return [make(.33) for make in NEVER_SAME.values()]
    n = 4000
    low, high = band(n, touched([.33] * 3), .9999)
    assert not low <= n * share_touched(A.Compose(operations(), seed=1), n) <= high
    assert low <= n * share_touched(share_generator(A.Compose(operations()), 1), n) <= high


@pytest.mark.parametrize('changes, levels', [(dict(contrast_limit=(.2, .2)), [48, 96]), (dict(brightness_limit=(.2, .2)), [91, 131])])
def test_contrast_multiplies_from_black_and_brightness_adds_a_fifth_of_white(changes, levels):
    "What lesson 01 says of both. If this fails, albumentations has changed them: change the lesson."
    picture = np.full((8, 8, 3), 40, np.uint8)
    picture[4:] = 80
    limits = dict(contrast_limit=(0, 0), brightness_limit=(0, 0)) | changes
    assert np.unique(A.RandomBrightnessContrast(**limits, p=1)(image=picture)['image']).tolist() == levels


def test_same_seed_same_views():
    for make in (lambda: pipeline(.5, seed=3), lambda: bending(3)):
        a = make()
        b = make()
        for _ in range(20): assert np.array_equal(a(image=CAT)['image'], b(image=CAT)['image'])


# ── the article's preset ──

VIEWS = {'as it is': CAT, 'flipped': CAT[:, ::-1], 'flopped': CAT[::-1], 'turned': CAT[::-1, ::-1]}


def view_name(image) -> str:
    "Which of the four flips a picture is; `bent` where it is none of them."
    return next((name for name, view in VIEWS.items() if np.array_equal(image, view)), 'bent')


def test_bending_flips_both_ways_and_bends_as_often_as_the_article_says():
    "*CIFAR-100 transfer learning with EfficientNet*: each flip with p = 0.5, each of two distortions with p = 0.2."
    n = 600
    transform = bending(0)
    names = [view_name(transform(image=CAT)['image']) for _ in range(n)]
    low, high = band(n, touched([.2, .2]), .9999)
    assert low <= names.count('bent') <= high, 'one of the two distortions'
    unbent = n - names.count('bent')
    for name in VIEWS:
        low, high = band(unbent, .25, .9999)
        assert low <= names.count(name) <= high, f'{name}: two independent flips, each every second time'


# Pixels that each operation moves, in the mean over 2500 draws of albumentations 0.5.2, the release of the article's year, with
# its defaults: measured with that release as in `pixels_moved`. Its standard error is at most 1 %.
MOVED_IN_2020 = {
    ('grid', 64): 3.80,
    ('grid', 224): 13.58,
    ('elastic', 64): 28.29,
    ('elastic', 224): 39.94,
}


def bends() -> dict:
    "The two distortions of the preset, always on."
    operations = dict(zip(('grid', 'elastic'), bending().transforms[2:]))
    for operation in operations.values(): operation.p = 1
    return operations


def pixels_moved(operation, size, n=700):
    "How far what a pixel shows has come, in the mean over pixels and draws: the values of the picture are the places of its pixels."
    y, x = np.mgrid[:size, :size].astype(np.float32)
    places = np.dstack([x, y, np.zeros_like(x)])
    transform = share_generator(A.Compose([operation]), 0)
    moved = []
    for _ in range(n):
        step = transform(image=places)['image'] - places
        moved.append(np.hypot(step[..., 0], step[..., 1]).mean())
    return float(np.mean(moved))


@pytest.mark.parametrize('name, size', MOVED_IN_2020)
def test_bending_moves_pixels_as_far_as_in_2020(name, size):
    assert pixels_moved(bends()[name], size) == pytest.approx(MOVED_IN_2020[name, size], rel=.1)


def test_todays_defaults_move_pixels_less_than_in_2020():
    "The reason for the rebuilt preset. If this fails, albumentations' defaults have changed again: look at lesson 01."
    assert pixels_moved(A.ElasticTransform(), 224, 20) < .01 * MOVED_IN_2020['elastic', 224]
    assert pixels_moved(A.GridDistortion(), 224, 200) < .8 * MOVED_IN_2020['grid', 224]


def grid_line_2020(size, factors):
    "Where the columns come from: the formula of `grid_distortion` in albumentations 0.5.2, whose last step ends at the edge."
    step = size // 5
    line = np.zeros(size)
    before = 0
    for i, factor in enumerate(factors):
        start = i * step
        end = min(start + step, size)
        is_cut = start + step > size
        after = size if is_cut else before + step * factor
        line[start:end] = np.linspace(before, after, end - start)
        before = after
    return line


def from_lines(x, y):
    "Mean displacement of a grid, given where its columns and its rows come from."
    places = np.arange(len(x))
    return np.hypot((x - places)[None], (y - places)[:, None]).mean()


def grid_today(operation, size):
    params = operation.get_params_dependent_on_data(dict(shape=(size, size, 3)), {})
    return from_lines(params['map_x'][0], params['map_y'][:, 0])


@pytest.mark.parametrize('size', [*range(32, 40), 135, 225, 311, 320])
def test_grid_moves_pixels_as_far_as_in_2020_at_other_sizes(size):
    rng = np.random.default_rng(0)
    old = [from_lines(*(grid_line_2020(size, rng.uniform(.7, 1.3, 6)) for _ in 'xy')) for _ in range(1500)]
    operation = bends()['grid']
    operation.set_random_seed(0)
    new = [grid_today(operation, size) for _ in range(1500)]
    assert np.mean(new) == pytest.approx(np.mean(old), rel=.1)


def darkest(operation, shape) -> int:
    "Of a white picture after an operation: less than 255 is paint that the operation brought."
    white = np.full((*shape, 3), 255, np.uint8)
    return min(operation(image=white)['image'].min() for _ in range(4))


@pytest.mark.parametrize('name', ['grid', 'elastic'])
def test_bending_paints_no_edge_at_any_size(name):
    operation = bends()[name]
    assert min(darkest(operation, (size, size)) for size in range(32, 321)) == 255


SIDE = st.integers(32, 320)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(['grid', 'elastic']), SIDE, SIDE)
def test_bending_paints_no_edge_in_a_rectangle(name, height, width):
    assert darkest(bends()[name], (height, width)) == 255


def test_todays_default_grid_paints_an_edge():
    "The other reason for the rebuilt preset."
    assert darkest(A.GridDistortion(p=1), (224, 224)) == 0


def test_affine_jitter_moves_three_points_by_its_reach_at_most():
    operation = AffineJitter(20)
    corners = 32 + np.array([[21, 21], [21, -21], [-21, -21]])  # 64 // 2, and 64 // 3 to each side
    params = [operation.get_params_dependent_on_data(dict(shape=(64, 64, 3)), {}) for _ in range(300)]
    moved = [np.c_[corners, np.ones(3)] @ p['matrix'].T - corners for p in params]
    assert np.abs(moved).max() == pytest.approx(20, abs=.5)


def test_affine_jitter_without_reach_changes_nothing():
    assert is_cat(AffineJitter(0, p=1)(image=CAT)['image'])


# ── workers ──

class Views(torch.utils.data.Dataset):
    "One picture again and again, augmented; the sum of its pixels says which view it is."
    def __init__(self, transform): self.transform = transform
    def __len__(self): return 8
    def __getitem__(self, i): return int(self.transform(image=CAT)['image'].astype(int).sum())


def two_epochs(transform) -> list:
    loader = torch.utils.data.DataLoader(Views(transform), 1, num_workers=2, multiprocessing_context='fork')
    return [[int(view) for view in loader] for _ in range(2)]


@pytest.mark.parametrize('seed', [None, 0])
def test_plain_loader_is_the_trap_it_is_said_to_be(seed):
    """Why the course's loader seeds by epoch and worker (test_data.py: `test_workers_draw_differently`,
    `test_each_epoch_augments_anew_and_a_seed_repeats_it`). If this fails, albumentations has mended it: change lesson 01."""
    tints = [A.RandomBrightnessContrast(p=1), A.RGBShift(p=1)]
    first, second = two_epochs(A.Compose(tints, seed=seed))
    assert first[::2] == first[1::2], 'both workers draw the same'
    assert first == second, 'each epoch draws the same'


def test_a_copy_draws_as_the_original_does_unless_it_is_seeded():
    "What lesson 01 shows without workers."
    transform = A.Compose([A.RandomBrightnessContrast(p=1), A.RGBShift(p=1)])
    plain = copy.deepcopy(transform)
    seeded = share_generator(copy.deepcopy(transform), 1)
    views = [transform(image=CAT)['image'] for _ in range(4)]
    assert all(np.array_equal(plain(image=CAT)['image'], view) for view in views)
    assert not any(np.array_equal(seeded(image=CAT)['image'], view) for view in views)


# ── the explorer's draws ──

@settings(max_examples=40, deadline=None)
@given(st.lists(P, min_size=7, max_size=7), st.lists(P, min_size=7, max_size=7), st.integers(0, 50))
def test_raising_p_only_switches_on(a, b, seed):
    draws = Draws(CAT, 5, seed=seed)
    low = draws.switched_on(np.minimum(a, b))
    high = draws.switched_on(np.maximum(a, b))
    assert not (low & ~high).any()


def test_draws_at_the_ends():
    draws = Draws(CAT, 6)
    assert all(is_cat(view) for view in draws.views([0] * 7))
    assert draws.switched_on([1] * 7).all()


def test_views_do_not_depend_on_the_way_there():
    by_detour = Draws(CAT, 6, seed=2)
    for p in (.1, .4, .9, .4): views = by_detour.views([p] * 7)
    for view, expected in zip(views, Draws(CAT, 6, seed=2).views([.4] * 7)): assert np.array_equal(view, expected)


def test_views_apply_what_is_on_in_the_pipelines_order():
    draws = Draws(CAT, 12, seed=5)
    views = draws.views([.5] * 7)
    for i, switches in enumerate(draws.switched_on([.5] * 7)):
        x = CAT
        operations = [make(1.) for make in SEVEN.values()]
        for op, is_on, seed in zip(operations, switches, draws.seeds[i]):
            op.set_random_seed(int(seed))
            if is_on: x = op(image=x)['image']
        assert np.array_equal(x, views[i])


def test_coins_are_fair():
    draws = Draws(CAT, 2000, seed=1)
    for p in (.05, .33, .8):
        n = draws.switched_on([p] * 7).any(1).sum()
        low, high = band(2000, touched([p] * 7), .9999)
        assert low <= n <= high


def test_explorer_says_what_it_shows():
    explorer = probability_explorer([CAT], n=20, seed=4)
    draws = Draws(CAT, 20, seed=4)
    for p in (0., .1, .33, 1.):
        picture, sentence = explorer.draw_at(**explorer.values_at(p))
        n_touched = draws.switched_on([p] * 7).any(1).sum()
        low, high = band(20, touched([p] * 7))
        assert sentence.startswith(f'{n_touched} of 20 pictures are touched.')
        assert f'{low} to {high} of 20' in sentence
        assert picture.shape[2] == 3
        assert picture.dtype == np.uint8
