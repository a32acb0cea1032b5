"Pictures of more than 8 bits: one rule for a data set, and grey levels that mean in each picture what they mean in the next."
import inspect, struct, warnings

import cv2, numpy as np, pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from course_utils.config import CourseError
from course_utils.data.decode import STANDALONE, decode, read_picture, to_rgb
from course_utils.data.greys import find_grey_range, grey_extremes, grey_levels
from course_utils.data.pictures import load_pictures
from course_utils.training.recipe import Recipe
from course_utils.training.train import train


@pytest.fixture(autouse=True)
def private_cache(tmp_path, monkeypatch):
    "No test sees what another has kept."
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path/'cache'))


def blocks(seed=0):
    "Grey levels 0 to 255, `(96, 96)`: blocks of 8×8, so that no resizing mixes them."
    levels = np.random.default_rng(seed).integers(0, 256, (12, 12))
    return levels.repeat(8, 0).repeat(8, 1)


GREYS = blocks()
N_LEVELS = len(np.unique(GREYS))


def tif(values, dtype=np.uint16): return 'tif', np.asarray(values).astype(dtype)
def png(values, dtype=np.uint16): return 'png', np.asarray(values).astype(dtype)
def fractions(values): return tif(values, np.float32)


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def levels(path, grey_range=None):
    "The grey levels `(96, 96)` that become of a file."
    return read_picture(path, 96, grey_range)[0][..., 0].astype(int)


# ---- one file ----

SAME = {  # name → suffix, values that show what `GREYS` show
    '8 bits': tif(GREYS, np.uint8),
    '16 bits': tif(GREYS * 257),
    '14 bits': tif(GREYS * 64),
    '12 bits': tif(GREYS * 16),
    '12 bits, big-endian': tif(GREYS * 16, '>u2'),
    '12 bits, PNG': png(GREYS * 16),
    '10 bits, PNG': png(GREYS * 4),
    '10 bits': tif(GREYS * 4),
    '12 bits in 32': tif(GREYS * 16, np.int32),
    '8 bits in 16': tif(GREYS),
    'thermal': tif(7000 + GREYS * 4),
    'CT in 32 bits': tif(GREYS * 8 - 1000, np.int32),
    'float, 0 to 255': fractions(GREYS),
    'float, 0 to 1': fractions(GREYS / 255),
    'float, -1 to 1': fractions(GREYS / 127.5 - 1),
    'float, CT': fractions(GREYS * 8 - 1000),
    'float, tiny': fractions(GREYS * 1e-6),
}


@pytest.mark.parametrize('name', SAME)
def test_the_same_picture_in_every_depth(tmp_path, name):
    suffix, values = SAME[name]
    found = levels(write(tmp_path/f'x.{suffix}', values))
    assert len(np.unique(found)) > .92 * N_LEVELS
    assert abs(found.mean() - GREYS.mean()) < 2
    assert np.abs(found - GREYS).max() <= 3  # 4080 of 4095 is 254


def test_a_fifth_of_the_light_is_a_fifth(tmp_path):
    found = levels(write(tmp_path/'x.tif', (GREYS * .2).astype(np.float32)))
    assert abs(found.mean() - GREYS.mean() / 5) < 1


@pytest.mark.parametrize('odd', [255, 256, 65535])
def test_an_odd_pixel_decides_nothing(tmp_path, odd):
    values = np.full((64, 64), 120, np.uint16)
    values[0, 0] = odd
    assert read_picture(write(tmp_path/'x.tif', values), 64)[0][8:, 8:].tolist() == np.full((56, 56, 3), 120).tolist()


@pytest.mark.parametrize('value', [0, 7, 4000, 65535])
@pytest.mark.parametrize('dtype', [np.uint16, np.int32, np.float32])
@pytest.mark.fault
def test_one_value_only(tmp_path, value, dtype):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        found = levels(write(tmp_path/'x.tif', np.full((40, 40), value, dtype)))
    assert len(np.unique(found)) == 1


@pytest.mark.fault
def test_what_is_no_number_is_black(tmp_path):
    values = GREYS.astype(np.float32)
    values[:8], values[8:16, :8], values[8:16, 8:16] = np.nan, np.inf, -np.inf
    found = levels(write(tmp_path/'x.tif', values))
    assert found[:6].max() == 0
    assert (found[10, 2], found[10, 12]) == (255, 0)
    assert np.abs(found[20:] - GREYS[20:]).max() <= 1


@pytest.mark.fault
def test_no_numbers_at_all():
    assert grey_levels(np.full((4, 4), np.nan)).max() == 0


@pytest.mark.parametrize('shape', [(1, 5000), (5000, 1), (1, 1), (2, 9)])
@pytest.mark.fault
def test_panoramas_of_one_pixel(tmp_path, shape):
    values = np.random.default_rng(0).integers(0, 4096, shape).astype(np.uint16)
    assert read_picture(write(tmp_path/'x.tif', values), 32)[0].shape == (32, 32, 3)
    assert read_picture(write(tmp_path/'x.png', values), 32, (0, 4095))[0].shape == (32, 32, 3)


# ---- the rule ----

whole_numbers = st.lists(st.integers(-70_000, 70_000), min_size=1, max_size=60)
some_fractions = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60)


def as_values(numbers): return np.array(numbers, np.int32 if isinstance(numbers[0], int) else np.float32)


@settings(max_examples=200, deadline=None)
@given(st.lists(whole_numbers, min_size=1, max_size=5) | st.lists(some_fractions, min_size=1, max_size=5))
def test_black_is_below_white_whatever_was_found(pictures):
    low, high = find_grey_range([grey_extremes(as_values(numbers)) for numbers in pictures])
    assert low < high


@settings(max_examples=200, deadline=None)
@given(whole_numbers, st.integers(-1000, 1000), st.integers(1, 70_000))
def test_brighter_stays_brighter(numbers, low, width):
    values = np.sort(as_values(numbers))
    found = grey_levels(values, (low, low + width)).astype(int)
    assert (np.diff(found) >= 0).all()
    assert (found[values <= low] == 0).all()
    assert (found[values >= low + width] == 255).all()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([10, 12, 14, 16]))
def test_bits_that_are_used_are_found(seed, bits):
    values = np.random.default_rng(seed).integers(0, 2**bits, (40, 40)).astype(np.uint16)
    assert find_grey_range([grey_extremes(values)]) == (0, 2**bits - 1)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 8))
def test_up_to_eight_odd_pixels_decide_nothing(seed, n):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 4096, (64, 64)).astype(np.uint16)
    values.flat[rng.choice(values.size, n, replace=False)] = 65535
    assert find_grey_range([grey_extremes(values)]) == (0, 4095)


def test_small_bright_spots_are_no_odd_pixels():
    "Cells under a microscope: a handful of pixels in a hundred thousand are what it is all about."
    values = np.full((300, 300), 150, np.uint16)
    values[100:106, 100:106] = 3900
    low, high = find_grey_range([grey_extremes(values)])
    assert (low, high) == (0, 4095)


def test_of_two_hundred_pictures_an_odd_one_decides_nothing():
    usual, odd = (0, 4000, True), (0, 65535, True)
    assert find_grey_range([usual] * 250 + [odd]) == (0, 4095)
    assert find_grey_range([usual] * 5 + [odd]) == (0, 65535)


# ---- a data set ----

def write_set(folder, pictures: dict, n=4):
    "Two classes of `n` files of each kind: suffix and values."
    for class_name in 'ab':
        for kind, (suffix, values) in pictures.items():
            for i in range(n): write(folder/class_name/f'{kind}{i}.{suffix}', values)
    return folder


def of_kind(pics, kind):
    "The grey levels of the data set's pictures of one kind."
    chosen = pics.table.path.str.contains(f'/{kind}')
    return pics.x[chosen.to_numpy()][..., 0].astype(int)


def load(folder, **options): return load_pictures(str(folder), size=96, **options)


def test_dark_and_bright_keep_their_distance(tmp_path):
    "Each by itself, the two would look alike."
    write_set(tmp_path/'d', {'bright': fractions(GREYS), 'dark': fractions(GREYS * .2)})
    pics = load(tmp_path/'d')
    assert pics.found.grey_range == (0, 255)
    assert abs(of_kind(pics, 'dark').mean() / of_kind(pics, 'bright').mean() - .2) < .01


def test_a_dark_picture_of_12_bits_stays_dark(tmp_path):
    "By itself it would pass for 8 bits, or 10."
    write_set(tmp_path/'d', {'bright': png(GREYS * 16), 'dark': png(GREYS // 2)})
    pics = load(tmp_path/'d')
    assert pics.found.grey_range == (0, 4095)
    assert of_kind(pics, 'dark').max() <= 8


def test_files_of_8_bits_beside_them_stay_as_they_are(tmp_path):
    write_set(tmp_path/'d', {'deep': png(GREYS * 16), 'usual': png(GREYS, np.uint8)})
    pics = load(tmp_path/'d')
    assert (of_kind(pics, 'usual') == GREYS).all()
    assert np.abs(of_kind(pics, 'deep') - GREYS).max() <= 1
    assert '12 bits in 16-bit files: 0 to 4,095 become black to white in 8 pictures' in pics.report()


def test_held_out_pictures_decide_nothing(tmp_path):
    write_set(tmp_path/'d'/'train', {'x': png(GREYS * 4)})
    write_set(tmp_path/'d'/'valid', {'x': png(GREYS * 257)})
    assert load(tmp_path/'d').found.grey_range == (0, 1023)


def test_only_held_out_pictures_are_deep(tmp_path):
    write_set(tmp_path/'d'/'train', {'x': png(GREYS, np.uint8)})
    write_set(tmp_path/'d'/'valid', {'x': png(GREYS * 16)})
    assert load(tmp_path/'d').found.grey_range == (0, 4095)


def test_files_of_8_bits_have_no_range(tmp_path):
    write_set(tmp_path/'d', {'x': png(GREYS, np.uint8)})
    pics = load(tmp_path/'d')
    assert pics.found.grey_range is None
    assert 'black to white' not in pics.report()


@pytest.mark.parametrize('name, sentence', [
    ('14 bits', '14 bits in 16-bit files: 0 to 16,383 become black to white in 8 pictures'),
    ('thermal', 'Greys in 16-bit files: 7,000 to 8,020 become black to white'),
    ('12 bits in 32', '12 bits in 32-bit files: 0 to 4,095 become'),
    ('CT in 32 bits', 'Greys in 32-bit files: -1,000 to 1,040 become'),
    ('float, 0 to 1', 'Greys in files of fractions: 0 to 1 become'),
    ('float, -1 to 1', 'Greys in files of fractions: -1 to 1 become'),
])
def test_the_report_tells_the_rule(tmp_path, name, sentence):
    report = load(write_set(tmp_path/'d', {'x': SAME[name]})).report()
    assert sentence in report
    assert 'grey_range=(low, high) sets another range.' in report


def test_the_range_can_be_set_and_is_part_of_the_cache(tmp_path):
    folder = write_set(tmp_path/'d', {'x': png(GREYS * 16)})
    by_itself, dark, again = load(folder), load(folder, grey_range=(0, 65535)), load(folder)
    assert dark.x.max() == 16
    assert dark.found.grey_range == (0, 65535)
    assert np.array_equal(by_itself.x, again.x)
    assert again.found.grey_range == (0, 4095)  # a tuple, from the cache too
    assert '0 to 65,535' in dark.report()


@pytest.mark.parametrize('grey_range', [(5, 5), (10, 0), (0,), 3, 'ab', (0, float('nan')), (None, 1)])
@pytest.mark.fault
def test_a_range_that_is_none(tmp_path, grey_range):
    folder = write_set(tmp_path/'d', {'x': SAME['12 bits']})
    with pytest.raises(CourseError, match='grey_range is .* but it can only be two numbers'): load(folder, grey_range=grey_range)


@pytest.mark.fault
def test_whole_numbers_and_fractions_want_two_rules(tmp_path):
    folder = write_set(tmp_path/'d', {'whole': SAME['12 bits'], 'float': SAME['float, 0 to 1']})
    with pytest.raises(CourseError) as e: load(folder)
    assert '8 pictures hold whole numbers (0 to 4,095) and 8 hold fractions (0 to 1)' in str(e.value)
    assert '\n' not in str(e.value)


def test_a_file_alone_comes_out_as_in_its_data_set(tmp_path):
    "What prediction does: the range of the data set, and the file."
    folder = write_set(tmp_path/'d', {'bright': png(GREYS * 16), 'dark': png(GREYS * 3)})
    pics = load(folder)
    for picture, path in zip(pics.x, pics.table.path):
        assert np.array_equal(read_picture(path, 96, pics.found.grey_range)[0], picture)


# ---- colours of 16 bits ----

COLOURS = np.stack([blocks(seed) for seed in range(3)], axis=2)


def write_colour(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    blue_first = [2, 1, 0, 3][:values.shape[2]]
    assert cv2.imwrite(str(path), values[..., blue_first].astype(np.uint16))
    return path


@pytest.mark.parametrize('suffix', ['png', 'tif'])
@pytest.mark.parametrize('factor, tolerance', [(257, 0), (64, 1), (16, 1), (4, 1)])
def test_colours_of_16_bits(tmp_path, suffix, factor, tolerance):
    x, mode, _ = read_picture(write_colour(tmp_path/f'x.{suffix}', COLOURS * factor), 96)
    assert mode == 'RGB 16 bits'
    assert np.abs(x.astype(int) - COLOURS).max() <= tolerance


def test_deep_colours_and_deep_greys_have_one_range(tmp_path):
    folder = write_set(tmp_path/'d', {'grey': png(GREYS * 3)})
    for name in 'ab': write_colour(folder/name/'colour.png', COLOURS * 16)
    pics = load(folder)
    assert pics.found.grey_range == (0, 4095)
    assert '12 bits in 16-bit files: 0 to 4,095 become black to white in 10 pictures' in pics.report()
    assert of_kind(pics, 'grey').max() < 50


def test_transparent_deep_colours_lie_on_white(tmp_path):
    alpha = np.where(np.arange(96) < 48, 65535, 0)
    values = np.dstack([COLOURS * 16, np.broadcast_to(alpha, (96, 96))])
    x, mode, _ = read_picture(write_colour(tmp_path/'x.png', values), 96)
    assert mode == 'RGBA 16 bits'
    assert (x[:, 56:] == 255).all()
    assert np.abs(x[:, :40].astype(int) - COLOURS[:, :40]).max() <= 1


UPRIGHT = {  # what a camera noted → how its picture is turned
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    6: lambda x: np.rot90(x, -1),
    8: lambda x: np.rot90(x),
}


def write_tiff(path, colours, orientation, byteorder):
    "Colours of 16 bits with a note of which side is up, which neither Pillow nor OpenCV writes."
    SHORT, LONG = 3, 4
    height, width, _ = colours.shape
    content = colours.astype(f'{byteorder}u2').tobytes()
    first_pixel = 8
    bits_at = first_pixel + len(content)
    entries_at = bits_at + 6
    entries = [
        (256, LONG, 1, width), (257, LONG, 1, height), (258, SHORT, 3, bits_at), (259, SHORT, 1, 1), (262, SHORT, 1, 2),
        (273, LONG, 1, first_pixel), (274, SHORT, 1, orientation), (277, SHORT, 1, 3), (278, LONG, 1, height),
        (279, LONG, 1, len(content)),
    ]
    def packed(tag, kind, n, value):
        is_short = kind == SHORT and n == 1
        return struct.pack(f"{byteorder}HHI{'H2x' if is_short else 'I'}", tag, kind, n, value)

    magic = b'II' if byteorder == '<' else b'MM'
    head = magic + struct.pack(f'{byteorder}HI', 42, entries_at)
    bits = struct.pack(f'{byteorder}3H', 16, 16, 16)
    n_entries = struct.pack(f'{byteorder}H', len(entries))
    directory = b''.join(packed(*entry) for entry in entries)
    path.write_bytes(head + content + bits + n_entries + directory + b'\0' * 4)


@pytest.mark.parametrize('byteorder', '<>')
@pytest.mark.parametrize('orientation', UPRIGHT)
def test_deep_colours_are_turned_upright(tmp_path, orientation, byteorder):
    "OpenCV turns some of these TIFFs by itself, and fails on others."
    write_tiff(tmp_path/'x.tif', COLOURS * 16, orientation, byteorder)
    x, mode, _ = read_picture(tmp_path/'x.tif', 96)
    assert mode == 'RGB 16 bits'
    assert np.abs(x.astype(int) - UPRIGHT[orientation](COLOURS)).max() <= 1


# ---- the exported file ----

def test_a_picture_is_read_by_copied_source_alone(tmp_path):
    "Nothing else of the course is there, as in an exported classifier."
    code = '\n\n'.join(inspect.getsource(function) for function in STANDALONE)
    space = {}
    exec(f'import os, warnings\nimport numpy as np\nfrom PIL import Image, ImageOps\n\n{code}', space)
    for name, (suffix, values) in SAME.items():
        path = write(tmp_path/f'{name}.{suffix}', values)
        for grey_range in (None, (0, 4095)):
            copied, ours = (read(path, 64, grey_range)[0] for read in (space['read_picture'], read_picture))
            assert np.array_equal(copied, ours), name
    path = write_colour(tmp_path/'colour.png', COLOURS * 16)
    copied, ours = (read(path, 64)[0] for read in (space['read_picture'], read_picture))
    assert np.array_equal(copied, ours)


def test_a_picture_in_memory(tmp_path):
    picture = Image.fromarray((GREYS * 16).astype(np.uint16))
    assert np.abs(np.asarray(to_rgb(picture))[..., 0].astype(int) - GREYS).max() <= 1
    assert np.asarray(to_rgb(picture, (0, 65535))).max() == 16


# ---- what it is worth ----

def faint_stripes(direction, seed):
    "12 bits, `(72, 72)`: stripes of 2 % of the range, in one of two directions, under a changing light."
    rng = np.random.default_rng(2 * seed + direction)
    place = np.mgrid[:72, :72][direction]
    stripes = .02 * np.sin(.5 * place + rng.uniform(0, 6))
    noise = rng.normal(0, .01, (72, 72))
    return 2000 + 4095 * (stripes + noise + rng.uniform(-.1, .1))


def test_faint_stripes_of_12_bits_are_learnt_as_those_of_8(tmp_path):
    for direction in (0, 1):
        for seed in range(80):
            values = faint_stripes(direction, seed).round().astype(np.uint16)
            write(tmp_path/'d'/f'class{direction}'/f'{seed}.png', values)
    pics = load_pictures(str(tmp_path/'d'), size=64)
    tiny = dict(layers=(1, 1, 1, 1), channels=(8, 16, 16, 32), stem_width=8)
    run = train(pics, Recipe('resnet18d', 8, bs=16, lr_max=1e-2, model=tiny), quiet=True, device='cpu')
    assert run.accuracy == 1


def test_every_file_is_decoded_even_without_a_cache(tmp_path):
    paths = [write(tmp_path/f'{i}.png', (GREYS * 16).astype(np.uint16)) for i in range(3)]
    x, readable, found = decode(paths, 96)
    assert readable == [0, 1, 2]
    assert found.grey_range == (0, 4095)
    assert np.abs(x[..., 0].astype(int) - GREYS).max() <= 1
