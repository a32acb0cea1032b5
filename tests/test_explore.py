"The explorer without a browser: what it refuses, what it draws, and what its page twin carries."
import base64, html, io, json, re
from html.parser import HTMLParser
import cv2, matplotlib.pyplot as plt, numpy as np, pytest
from PIL import Image
from skimage.data import chelsea
from course_utils.config import CourseError
from course_utils.show.canvas import Canvas
from course_utils.show.draw import figure_to_pixels, grid
from course_utils.show.explorer import PAGE_BYTES, RIM, Explorer, Slider
from course_utils.show.explorer.sprite import wrap_columns

P = Slider('p', 'P')
Q = Slider('q', 'Q')


def scene(p, q=0.):
    "A smooth picture that is different everywhere and at every p: (40, 96, 3)."
    y, x = np.mgrid[:40, :96]
    red = x*2 + 0*y
    green = y*4 + 0*x
    blue = np.full_like(x, 250*p)
    return np.stack([red, green, blue], -1).astype(np.uint8), f'p {p:.2f}, q {q:.2f}'


def blank(height, width, grey=0): return np.full((height, width, 3), grey, np.uint8)


def counted():
    "A draw that notes what it was called with."
    calls = []
    def draw(**values):
        calls.append(values)
        return scene(**values)
    return draw, calls


class Parts(HTMLParser):
    "Tags and attributes as a browser reads them."
    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.text = ''
        self.feed(text)
    def handle_starttag(self, tag, attrs): self.tags.append((tag, dict(attrs)))
    def handle_data(self, data): self.text += data
    def find(self, tag): return [attributes for name, attributes in self.tags if name == tag]


def spec(text): return json.loads(Parts(text).find('figure')[0]['data-explorer'])


def sheet(text) -> Image.Image:
    "The sprite of the first slider."
    src = Parts(text).find('img')[0]['src']
    return Image.open(io.BytesIO(base64.b64decode(src.split(',')[1])))


def frames(text):
    "The pictures in a page twin, in the order of the slider."
    s = spec(text)
    pixels = np.array(sheet(text).convert('RGB'))
    height = s['h'] + 2*RIM
    width = s['w'] + 2*RIM
    found = []
    for k in range(len(s['says'])):
        row, column = divmod(k, s['cols'])
        cell = pixels[row*height:(row + 1)*height, column*width:(column + 1)*width]
        found.append(cell[RIM:-RIM, RIM:-RIM])
    return found


def test_bundle():
    e = Explorer(scene, [P], alt='A scene.', title='Title')
    bundle = e._repr_mimebundle_()
    assert set(bundle) == {'application/vnd.jupyter.widget-view+json', 'text/html', 'text/plain'}
    assert bundle['application/vnd.jupyter.widget-view+json']['model_id'] == e.widget.model_id
    assert bundle['text/plain'] == 'Title: A scene.'
    assert bundle['text/html'] == e.html()


@pytest.mark.parametrize('kw, says', [
    (dict(value=1.2), "'p' is set to 1.2"),
    (dict(value=-.1), "'p' is set to -0.1"),
    (dict(value=float('nan')), 'set to nan'),
    (dict(step=0), 'step 0'),
    (dict(step=-1), 'step -1'),
    (dict(min=1), 'min must be less'),
    (dict(min=2, value=2), 'min must be less'),
])
@pytest.mark.fault
def test_bad_slider(kw, says):
    with pytest.raises(CourseError, match=re.escape(says)) as e: Slider('p', 'P', **kw)
    assert '\n' not in str(e.value)


@pytest.mark.fault
def test_bad_explorer():
    with pytest.raises(CourseError, match='at least one slider'): Explorer(scene, [], alt='x')
    with pytest.raises(CourseError, match='name of its own'): Explorer(scene, [P, Slider('p', 'Q')], alt='x')
    e = Explorer(scene, [P], alt='x')
    with pytest.raises(CourseError, match="'p' is set to 1.5"): e.draw_at(p=1.5)
    with pytest.raises(CourseError, match="no slider 'z'"): e.draw_at(z=.5)


@pytest.mark.parametrize('result', [
    None,
    3,
    (1, 2, 3),
    ('no picture', 'x'),
    (np.zeros((4, 4), np.uint8), 'x'),
    (np.zeros((4, 4, 3)), 'x'),
])
@pytest.mark.fault
def test_bad_draw(result):
    e = Explorer(lambda p: result, [P], alt='x')
    with pytest.raises(CourseError, match='draw must return'): e.html()
    assert 'draw must return' in e._live.sentence.value


@pytest.mark.fault
def test_pictures_of_two_sizes():
    e = Explorer(lambda p: (blank(4 + round(10*p), 4), 'x'), [P], alt='x')
    with pytest.raises(CourseError, match='one size'): e.html()


def test_positions():
    twentieths = [round(.05*k, 10) for k in range(21)]
    assert P.positions() == twentieths
    assert Slider('p', 'P', 0., 1., .3).positions() == [0, .3, .6, .9]
    assert Slider('k', 'K', 1, 9, 2, 3).positions() == [1, 3, 5, 7, 9]
    hundredths = Slider('p', 'P', step=.01).positions()
    assert len(hundredths) <= 41
    assert hundredths[:2] == [0, .03]
    assert Slider('p', 'P', step=.01, value=.5).positions() == twentieths, 'the start and the leftmost'
    assert 26 in Slider('near', 'bits', 0, 96, 2, 26).positions()


@pytest.mark.parametrize('limit', [13, 41])
def test_the_start_is_always_a_position(limit):
    for value in np.arange(.01, 1, .01).round(2).tolist():
        places = Slider('p', 'P', .01, .99, .01, value).positions(limit)
        assert value in places
        assert len(places) <= limit
        assert np.allclose(np.diff(places), places[1] - places[0])


def test_whole_sliders_give_ints():
    draw, calls = counted()
    Explorer(draw, [Slider('p', 'P', 0, 3, 1, 2)], alt='x').draw_at(p=1)
    e = Explorer(draw, [Slider('p', 'P', 0, 1, 1, 0)], alt='x', master=Slider('all', 'All'))
    e._live.master.value = .8
    assert {type(call['p']) for call in calls} == {int}
    assert e.values == {'p': 1}


def test_moving_one_draws_once():
    draw, calls = counted()
    e = Explorer(draw, [P, Q], alt='x')
    before = e._live.picture.value
    calls.clear()
    e._live.sliders['p'].value = .5
    assert calls == [{'p': .5, 'q': 0.}]
    assert e._live.picture.value != before
    assert 'p 0.50, q 0.00' in e._live.sentence.value
    e._live.sliders['p'].value = 0.
    e._live.sliders['p'].value = .5
    assert len(calls) == 1, 'a position seen before is not drawn again'


def test_master_moves_all_and_draws_once():
    draw, calls = counted()
    e = Explorer(draw, [P, Slider('q', 'Q', max=.5)], alt='x', master=Slider('all', 'All', value=.2))
    def stands(): return [widget.value for widget in e._live.sliders.values()]
    assert stands() == [.2, .2]
    calls.clear()
    e._live.master.value = .8
    assert calls == [{'p': .8, 'q': .5}], 'one drawing; q goes as far as its own range'
    assert stands() == [.8, .5]
    e._live.sliders['q'].value = .1
    assert calls[1:] == [{'p': .8, 'q': .1}]
    assert e._live.master.value == .8


@pytest.mark.fault
def test_draw_error_is_said_and_passes():
    def draw(p):
        if p > .5: raise ValueError('too\nmuch <b>')
        return scene(p)
    e = Explorer(draw, [P], alt='x')
    e.widget
    e._live.sliders['p'].value = .6
    assert 'could not be drawn: ValueError: too much &lt;b&gt;' in e._live.sentence.value
    e._live.sliders['p'].value = .4
    assert 'p 0.40' in e._live.sentence.value


def test_alt_text():
    e = Explorer(scene, [Slider('p', 'P', value=.5)], alt='A "scene".')
    e.widget
    assert e._live.picture.tooltip == 'A "scene". p 0.50, q 0.00'
    assert Parts(e.html()).find('img')[0]['alt'] == 'A "scene". p 0.50, q 0.00'


HOSTILE = '<script>alert(1)</script></figure>"\'`${x}&amp;<!-- \u2028 ]]>'


@pytest.mark.fault
def test_hostile_strings_stay_text():
    e = Explorer(lambda p: (scene(p)[0], HOSTILE), [Slider('p', HOSTILE)], alt=HOSTILE, title=HOSTILE)
    seen = ' '.join(HOSTILE.split())
    parts = Parts(e.html())
    plain = Parts(Explorer(scene, [P], alt='x', title='t').html())
    assert [tag for tag, _ in parts.tags] == [tag for tag, _ in plain.tags], 'a string became a tag'
    assert spec(e.html())['says'] == [HOSTILE]*21
    assert parts.text.count(seen) == 3
    assert parts.find('img')[0]['alt'] == f'{seen} {seen}'
    e.widget
    assert html.escape(HOSTILE) in e._live.sentence.value
    assert html.escape(HOSTILE) in e._live.box.children[0].children[0].value


def test_page_needs_nothing():
    text = Explorer(scene, [P, Q], alt='x').html()
    assert not re.search(r'https?:|@import|url\(|href', text)
    assert not re.search(r'\n\s', text)
    for img in Parts(text).find('img'): assert img['src'].startswith('data:image/webp;base64,')
    for track in spec(text)['more']: assert track['src'].startswith('data:image/webp;base64,')


def test_page_brings_its_style_and_script():
    "They are files beside the module; nothing is left of the template they are put into."
    text = Explorer(scene, [P], alt='x', title='T').html()
    assert 'figure.explorer img{position:absolute' in text
    assert 'document.querySelectorAll' in text
    assert not re.search(r'\$\w', text)


def test_spaces_in_a_sentence_stay():
    e = Explorer(lambda p: (scene(p)[0], 'two  spaces'), [P], alt='x')
    assert spec(e.html())['says'][0] == 'two  spaces'


@pytest.mark.parametrize('master', [None, Slider('all', 'All')])
def test_frames_are_the_drawings(master):
    e = Explorer(scene, [Slider('p', 'P', value=.5), Slider('q', 'Q', value=.1)], alt='x', master=master)
    page = e.html()
    found = frames(page)
    positions = e.sliders[0].positions()
    assert len(found) == len(positions) == 21
    for k, p in enumerate(positions):
        values = {'p': p, 'q': p} if master else {'p': p}
        wanted, says = e.draw_at(**values)
        assert found[k].shape == wanted.shape
        assert np.abs(found[k].astype(int) - wanted).mean() < 4, f'frame at {p} is another one'
        assert spec(page)['says'][k] == says


def test_page_starts_where_it_was_specified():
    e = Explorer(scene, [Slider('p', 'P', value=.5)], alt='x')
    e.widget
    e._live.sliders['p'].value = .9
    s = spec(e.html())
    assert Parts(e.html()).find('input')[0]['value'] == '0.5'
    style = Parts(e.html()).find('img')[0]['style']
    left = float(re.search(r'left:(-[\d.]+)%', style)[1])
    pixels = (10 % s['cols'])*(s['w'] + 2*RIM) + RIM
    assert left == pytest.approx(-100*pixels/s['w'], abs=1e-4)


def test_size_on_the_page():
    "Noise is what WebP can do least about: even so the page stays within its budget, if need be smaller."
    rng = np.random.default_rng(0)
    cat = cv2.resize(chelsea(), (960, 400)).astype(int)
    def noisy(p):
        noise = rng.normal(0, 40*p, (400, 960, 3))
        return np.clip(cat + noise, 0, 255).astype(np.uint8), 'x'
    text = Explorer(noisy, [P], alt='x').html()
    s = spec(text)
    assert len(text) < PAGE_BYTES*4/3 + 12_000 < 450_000
    assert s['w']/s['h'] == pytest.approx(2.4, abs=.02)
    assert f'width:960px;aspect-ratio:{s["w"]}/{s["h"]}' in text
    assert max(sheet(text).size) <= 16383


@pytest.mark.parametrize('height, width', [(8, 3000), (3000, 8)])
def test_wide_and_tall_pictures(height, width):
    e = Explorer(lambda p: (blank(height, width, round(200*p)), 'x'), [P], alt='x')
    assert len(frames(e.html())) == 21


# ---- canvas ----

def test_canvas_draws_where_the_axes_say():
    c = Canvas((0, 10), (0, 1), 'x', 'y')
    empty = c.draw()
    line = [0, 10], [.5, .5], '#ff0000', 2
    picture = c.draw([line])
    rows, columns = np.nonzero((picture != empty).any(-1))
    assert picture.shape == (300, 720, 3)
    assert np.array_equal(empty, c.draw())
    assert picture[rows, columns, 0].max() == 255
    (left, height), (right, _) = c.to_pixels([(0, .5), (10, .5)])
    assert abs(rows.mean() - (300 - height)) < 1.5
    assert abs(columns.min() - left) < 3
    assert abs(columns.max() - right) < 3


def test_canvas_cuts_off_and_leaves_out():
    "Nothing is drawn outside the axes, and what is no number is left out."
    c = Canvas((1e-6, 1), (0, 1), 'rate', 'loss', 'log')
    is_outside = np.ones(c.blank.shape[:2], bool)
    is_outside[c.axes_area] = False
    lines = [
        ([1e-9, 1e-3, 10], [-1e30, 5., 1e30], '#00ff00', 3),
        ([1e-3] * 3, [np.nan, np.inf, .5], '#0000ff', 1),
        ([], [], '#0000ff', 1),
    ]
    marks = [(1e-3, '#ff0000', 'a'), (.99, '#ff0000', 'a long name at the edge')]
    wild = c.draw(lines, marks)
    assert (wild[is_outside] == c.blank[is_outside]).all()
    assert (wild != c.blank).any()


# ---- where a frame may be cut for a narrow screen ----

@pytest.mark.parametrize('n', [2, 5, 8, 10])
def test_a_grid_wraps_between_its_pictures(n):
    pictures = np.random.default_rng(0).integers(0, 200, (2*n, 40, 40, 3), np.uint8)
    assert wrap_columns([grid(pictures, n, cell=80)]) == n


def test_a_chart_stays_in_one_piece():
    fig, ax = plt.subplots(figsize=(6, 3))
    ax.plot([0, 1], [0, 1])
    assert wrap_columns([figure_to_pixels(fig)]) == 1


def test_all_frames_must_have_the_gap():
    pictures = np.zeros((4, 40, 40, 3), np.uint8)
    gapped = grid(pictures, 4, cell=80)
    assert wrap_columns([gapped, np.zeros_like(gapped)]) == 1


def test_the_page_says_in_how_many_columns_its_frames_wrap():
    def draw(p): return grid(np.full((5, 40, 40, 3), int(200*p), np.uint8), 5, cell=80), 'Grey.'
    page = Explorer(draw, [Slider('p', 'Grey')], alt='Five pictures.').html()
    assert json.loads(html.unescape(re.search('data-explorer="([^"]*)"', page)[1]))['columns'] == 5
