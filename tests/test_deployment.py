"What a network loses on its way to a user: the resizes of libraries, and the words that lesson 12 makes of the results."
import asyncio, json

import cv2, numpy as np, pytest
from PIL import Image

from course_utils.config import CourseError, root
from course_utils.data.decode import read_picture
from course_utils.report import deployment
from data_scripts.experiments import int8, resizes, visit
from data_scripts.experiments.engine import cells_and_folds

RESIZE = dict(name="Pillow's", size=96, accuracy=.8, loses=[0, -.001, .001], changed=0., grey_levels=0., library='Pillow 1', pictures=100,
              folds=4, date='2026-01-01')
ROWS = [
    RESIZE,
    RESIZE | dict(name='A', loses=[-.02, -.03, -.01], changed=.06, grey_levels=5., library='B 2'),
    RESIZE | dict(name='C', loses=[.001, -.002, .004], changed=.01, grey_levels=1.5, library='B 2'),
]
FORMAT = dict(name='float32', accuracy=.85, loses=[0, -.001, .001], bytes=13_600_000, milliseconds=2., pictures=100, folds=5, size=96,
              versions=dict(timm='1'), date='2026-01-01')
FORMATS = [
    FORMAT,
    FORMAT | dict(name='weights of 16 bits', loses=[-.001, -.004, .002], bytes=7_000_000),
    FORMAT | dict(name='8 bits, static, defaults', accuracy=.6, loses=[-.25, -.3, -.2], bytes=3_600_000),
    FORMAT | dict(name='8 bits, per channel', accuracy=.84, loses=[-.01, -.02, .001], bytes=3_900_000, milliseconds=3.),
]


# ---- the resizes ----

@pytest.fixture(scope='module')
def squares():
    rng = np.random.default_rng(0)
    return [np.repeat(rng.integers(0, 256, (90, 90, 1), dtype=np.uint8), 3, 2) for _ in range(2)]


def test_the_courses_resize_is_that_of_read_picture(squares, tmp_path):
    Image.fromarray(squares[0]).save(tmp_path/'a.png')
    read = resizes.read_squares([tmp_path/'a.png'])
    assert np.array_equal(read[0], squares[0])
    assert np.array_equal(resizes.by_pillow(read, 32)[0], read_picture(tmp_path/'a.png', 32)[0])


def test_the_centre_square_is_read(tmp_path):
    wide = np.zeros((40, 60, 3), np.uint8)
    wide[:, 10:50] = 200
    Image.fromarray(wide).save(tmp_path/'a.png')
    assert (resizes.read_squares([tmp_path/'a.png'])[0] == 200).all()


def test_opencvs_area_is_the_mean_of_a_block(squares):
    small = resizes.by_opencv(cv2.INTER_AREA)(squares, 30)
    means = squares[0].reshape(30, 3, 30, 3, 3).mean((1, 3))
    assert np.abs(small[0] - means).max() <= .51


def test_torchvision_with_antialias_is_nearly_pillow(squares):
    apart = resizes.by_tensors('bicubic', True)(squares, 32).astype(int) - resizes.by_pillow(squares, 32)
    assert np.abs(apart).max() <= 1


def test_without_antialias_it_is_another_picture(squares):
    apart = resizes.by_tensors('bicubic', False)(squares, 32).astype(int) - resizes.by_pillow(squares, 32)
    assert np.abs(apart).mean() > 5


@pytest.mark.browser
def test_a_canvas_that_need_not_resize_shows_the_bytes(squares):
    try: resizes.browser_version()
    except CourseError: pytest.skip('there is no browser here')
    assert np.array_equal(resizes.by_canvas('')(squares, 90), np.stack(squares))


@pytest.mark.browser
def test_the_browser_answers_where_an_event_loop_runs():
    async def ask(): return resizes.browser_version()
    try: version = resizes.in_thread(asyncio.run, ask())  # the thread of the tests may have a loop already
    except CourseError: pytest.skip('there is no browser here')
    assert version.startswith('Chromium')


@pytest.mark.fault
def test_without_a_browser_the_others_remain(monkeypatch, capsys):
    monkeypatch.setattr(visit, 'BROWSERS', ())
    assert resizes.browser_resizes() == {}
    assert 'Playwright or Chromium is missing' in capsys.readouterr().out


def test_each_cell_is_judged_by_the_head_that_has_not_seen_it():
    class Constant:
        def __init__(self, label): self.label = label
        def logits(self, features): return np.eye(2)[[self.label] * len(features)]
    named = resizes.fold_answers([Constant(0), Constant(1)], np.array([0, 1, 0]), np.zeros((3, 4)))
    assert named.tolist() == [0, 1, 0]


def test_a_finished_row_is_kept():
    resize = resizes.Resize(None, 'B 2')
    assert resizes.is_measured(ROWS[1], resize, 100)
    assert not resizes.is_measured(ROWS[1], resize, 99)
    assert not resizes.is_measured(ROWS[1], resizes.Resize(None, 'B 3'), 100)
    assert not resizes.is_measured(None, resize, 100)


def test_folds_hold_out_whole_modules():
    pics, folds = cells_and_folds(32, 400)
    assert set(folds) == {0, 1, 2, 3}
    assert (pics.table.assign(fold=folds).groupby('module').fold.nunique() == 1).all()


def test_an_interval_of_fewer_bits_is_over_modules():
    "Ten cells of each module are named wrong together: modules, not cells, are what was seen."
    folds, modules = np.repeat(range(4), 200), np.repeat(range(80), 10)
    plain = np.ones(800, int)
    lost = (modules % 10 > 0).astype(int)  # two modules of each fold
    numbers = [{name: dict(right=plain[folds == k] if name == 'float32' else lost[folds == k], bytes=1, seconds=1.)
                for name in int8.NETWORK_FORMATS} for k in range(4)]

    def width(groups):
        low, high = int8.summarised(numbers, folds, groups)['8 bits, per channel']['loses'][1:]
        return high - low
    assert width(modules) > 1.5 * width(None)


# ---- the words ----

def test_the_words_are_those_of_the_rows():
    words = deployment.resize_words(ROWS)
    assert 'At 96 px 1 of 2 other resizes clearly costs accuracy; the lowest is A, -2.0 (-3.0 to -1.0) points.' in words
    assert 'answers change: 6.0% of them with A.' in words
    assert "The nearest to the course's own is C, 1.50 grey levels apart" in words


def test_where_no_resize_costs_anything_it_says_so():
    assert 'At 96 px none of 1 other resizes clearly costs' in deployment.resize_words([ROWS[0], ROWS[2]])


def test_a_slow_format_is_not_the_best():
    slow = FORMAT | dict(name='8 bits, slow', accuracy=.849, loses=[-.001, -.02, .01], milliseconds=70.)
    words = deployment.format_words([*FORMATS, slow])
    assert '(8 bits, per channel)' in words
    assert '70 ms with 8 bits, slow' in words


def test_the_words_of_fewer_bits():
    words = deployment.format_words(FORMATS)
    assert 'cost up to 25.0 points (8 bits, static, defaults)' in words
    assert 'the best that are no slower change -1.0 (-2.0 to +0.1) points (8 bits, per channel)' in words
    assert "is 'weights of 16 bits', 7.0 MB in place of 13.6" in words


def test_a_file_that_surely_costs_little_is_chosen():
    cheap = FORMAT | dict(name='8 bits, x', loses=[-.001, -.009, .007], bytes=3_900_000)
    assert deployment.smallest_harmless([*FORMATS, cheap])['name'] == '8 bits, x'


def test_where_no_interval_is_narrow_enough_no_file_is_praised():
    unsure = FORMAT | dict(name='weights of 16 bits', loses=[0., -.05, .05], bytes=7_000_000)
    assert deployment.smallest_harmless([FORMAT, unsure]) is None
    assert 'no whole interval shows' in deployment.harmless_words([FORMAT, unsure])


def test_the_tables_have_a_row_each():
    assert list(deployment.resize_table(ROWS).points) == ['', '-2.0 (-3.0 to -1.0)', '+0.1 (-0.2 to +0.4)']
    assert list(deployment.format_table(FORMATS).MB) == [13.6, 7., 3.6, 3.9]


def test_the_words_of_two_processors():
    seven = FORMAT | dict(name='8 bits, per channel, reduce_range', loses=[-.03, -.04, -.02])
    alone = FORMAT | dict(name='8 bits, per channel, reduce_range, convolutions alone', loses=[-.02, -.03, -.01])
    overflowing = FORMAT | dict(name='8 bits, per channel', loses=[-.15, -.2, -.1])
    words = deployment.overflow_words([overflowing, seven, alone], FORMATS)
    assert 'changes -1.0 (-2.0 to +0.1) points where sums of bytes have room, and -15.0 (-20.0 to -10.0) where they overflow' in words
    assert 'it is -3.0 (-4.0 to -2.0) there, and -2.0 (-3.0 to -1.0) if the convolutions alone' in words


def test_the_notes_name_the_libraries():
    assert 'Pillow 1, B 2' in deployment.resize_note(ROWS)
    assert '100 cells, each held out once in 5 folds of cells drawn at random' in deployment.format_note(FORMATS)
    assert '5 folds of whole modules' in deployment.format_note([FORMAT | dict(split='module')])


@pytest.mark.parametrize('find', [deployment.resize_rows, deployment.format_rows])
def test_what_was_not_measured_is_said(find, tmp_path):
    with pytest.raises(CourseError, match='data_scripts.experiments.nothing makes one'): find(tmp_path/'nothing.json')


def test_the_largest_size_is_shown(tmp_path):
    small = RESIZE | dict(size=32)
    (tmp_path/'x.json').write_text(json.dumps(dict(runs=dict(a=RESIZE, b=small))))
    assert [row['size'] for row in deployment.resize_rows(tmp_path/'x.json')] == [96]
    assert [row['size'] for row in deployment.resize_rows(tmp_path/'x.json', 32)] == [32]


@pytest.mark.parametrize('name', ['resizes', *deployment.FORMAT_RESULTS.values()])
def test_the_course_has_measured(name):
    assert json.loads((root()/'results'/f'{name}.json').read_text())['runs']
