"The explorer without a browser: what it refuses, what it draws, and what its page twin carries."
import base64, html, io, json, re
import numpy as np, pytest
from html.parser import HTMLParser
from PIL import Image
from course_utils.config import CourseError
from course_utils.show.explorer import PAGE_BYTES, RIM, Explorer, Slider
from course_utils.show.canvas import Canvas

def scene(p, q=0.):
    "A smooth picture that is different everywhere and at every p: (40, 96, 3)."
    y, x = np.mgrid[:40, :96]
    return np.stack([x*2 + 0*y, y*4 + 0*x, np.full_like(x, 250*p)], -1).astype(np.uint8), f'p {p:.2f}, q {q:.2f}'

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
        self.tags, self.text = [], ''
        self.feed(text)
    def handle_starttag(self, tag, attrs): self.tags.append((tag, dict(attrs)))
    def handle_data(self, data): self.text += data
    def all(self, tag): return [a for t, a in self.tags if t == tag]

def spec(text): return json.loads(Parts(text).all('figure')[0]['data-explorer'])

def frames(text):
    "The pictures in a page twin, in the order of the slider."
    s = spec(text)
    sheet = np.array(Image.open(io.BytesIO(base64.b64decode(Parts(text).all('img')[0]['src'].split(',')[1]))).convert('RGB'))
    h, w = s['h'] + 2*RIM, s['w'] + 2*RIM
    return [sheet[(i//s['cols'])*h+RIM:][:s['h'], (i % s['cols'])*w+RIM:][:, :s['w']] for i in range(len(s['says']))]

def test_bundle():
    e = Explorer(scene, [Slider('p', 'P')], alt='A scene.', title='Title')
    b = e._repr_mimebundle_()
    assert set(b) == {'application/vnd.jupyter.widget-view+json', 'text/html', 'text/plain'}
    assert b['application/vnd.jupyter.widget-view+json']['model_id'] == e.widget.model_id
    assert b['text/plain'] == 'Title: A scene.' and b['text/html'] == e.html()

@pytest.mark.parametrize('kw, says', [
    (dict(value=1.2), "'p' is set to 1.2"), (dict(value=-.1), "'p' is set to -0.1"), (dict(value=float('nan')), 'set to nan'),
    (dict(step=0), 'step 0'), (dict(step=-1), 'step -1'), (dict(min=1), 'min must be less'), (dict(min=2, value=2), 'min must be less')])
@pytest.mark.fault
def test_bad_slider(kw, says):
    with pytest.raises(CourseError, match=re.escape(says)) as e: Slider('p', 'P', **kw)
    assert '\n' not in str(e.value)

@pytest.mark.fault
def test_bad_explorer():
    with pytest.raises(CourseError, match='at least one slider'): Explorer(scene, [], alt='x')
    with pytest.raises(CourseError, match='name of its own'): Explorer(scene, [Slider('p', 'P'), Slider('p', 'Q')], alt='x')
    e = Explorer(scene, [Slider('p', 'P')], alt='x')
    with pytest.raises(CourseError, match="'p' is set to 1.5"): e.at(p=1.5)
    with pytest.raises(CourseError, match="no slider 'z'"): e.at(z=.5)

@pytest.mark.parametrize('result', [None, 3, (1, 2, 3), ('no picture', 'x'), (np.zeros((4, 4), np.uint8), 'x'), (np.zeros((4, 4, 3)), 'x')])
@pytest.mark.fault
def test_bad_draw(result):
    e = Explorer(lambda p: result, [Slider('p', 'P')], alt='x')
    with pytest.raises(CourseError, match='draw must return'): e.html()
    assert 'draw must return' in e._live.sentence.value

@pytest.mark.fault
def test_pictures_of_two_sizes():
    e = Explorer(lambda p: (np.zeros((4 + round(10*p), 4, 3), np.uint8), 'x'), [Slider('p', 'P')], alt='x')
    with pytest.raises(CourseError, match='one size'): e.html()

def test_positions():
    assert Slider('p', 'P').positions() == [round(.05*i, 10) for i in range(21)]
    assert Slider('p', 'P', 0., 1., .3).positions() == [0, .3, .6, .9]
    assert Slider('k', 'K', 1, 9, 2, 3).positions() == [1, 3, 5, 7, 9]
    many = Slider('p', 'P', step=.01).positions()
    assert len(many) <= 41 and many[:2] == [0, .03]
    assert Slider('p', 'P', step=.01, value=.5).positions() == [round(.05*i, 10) for i in range(21)], 'the start and the leftmost'
    for value in np.arange(.01, 1, .01).round(2).tolist():
        for most in (13, 41):
            places = Slider('p', 'P', .01, .99, .01, value).positions(most)
            assert value in places and len(places) <= most and np.allclose(np.diff(places), places[1] - places[0])
    assert 26 in Slider('near', 'bits', 0, 96, 2, 26).positions()

def test_whole_sliders_give_ints():
    draw, calls = counted()
    Explorer(draw, [Slider('p', 'P', 0, 3, 1, 2)], alt='x').at(p=1)
    e = Explorer(draw, [Slider('p', 'P', 0, 1, 1, 0)], alt='x', master=Slider('all', 'All'))
    e._live.master.value = .8
    assert all(type(c['p']) is int for c in calls) and e.values == {'p': 1}

def test_moving_one_draws_once():
    draw, calls = counted()
    e = Explorer(draw, [Slider('p', 'P'), Slider('q', 'Q')], alt='x')
    before = (e.widget, e._live.picture.value)[1]
    calls.clear()
    e._live.sliders['p'].value = .5
    assert calls == [{'p': .5, 'q': 0.}] and e._live.picture.value != before and 'p 0.50, q 0.00' in e._live.sentence.value
    e._live.sliders['p'].value = 0.
    e._live.sliders['p'].value = .5
    assert len(calls) == 1, 'a position seen before is not drawn again'

def test_master_moves_all_and_draws_once():
    draw, calls = counted()
    e = Explorer(draw, [Slider('p', 'P'), Slider('q', 'Q', max=.5)], alt='x', master=Slider('all', 'All', value=.2))
    assert [w.value for w in e._live.sliders.values()] == [.2, .2]
    calls.clear()
    e._live.master.value = .8
    assert calls == [{'p': .8, 'q': .5}], 'one drawing; q goes as far as its own range'
    assert [w.value for w in e._live.sliders.values()] == [.8, .5]
    e._live.sliders['q'].value = .1
    assert calls[1:] == [{'p': .8, 'q': .1}] and e._live.master.value == .8

@pytest.mark.fault
def test_draw_error_is_said_and_passes():
    def draw(p):
        if p > .5: raise ValueError('too\nmuch <b>')
        return scene(p)
    e = Explorer(draw, [Slider('p', 'P')], alt='x')
    e.widget
    e._live.sliders['p'].value = .6
    assert 'could not be drawn: ValueError: too much &lt;b&gt;' in e._live.sentence.value
    e._live.sliders['p'].value = .4
    assert 'p 0.40' in e._live.sentence.value

def test_alt_text():
    e = Explorer(scene, [Slider('p', 'P', value=.5)], alt='A "scene".')
    e.widget
    assert e._live.picture.tooltip == 'A "scene". p 0.50, q 0.00'
    assert Parts(e.html()).all('img')[0]['alt'] == 'A "scene". p 0.50, q 0.00'

HOSTILE = '<script>alert(1)</script></figure>"\'`${x}&amp;<!-- \u2028 ]]>'

@pytest.mark.fault
def test_hostile_strings_stay_text():
    e = Explorer(lambda p: (scene(p)[0], HOSTILE), [Slider('p', HOSTILE)], alt=HOSTILE, title=HOSTILE)
    seen = ' '.join(HOSTILE.split())
    parts, plain = Parts(e.html()), Parts(Explorer(scene, [Slider('p', 'P')], alt='x', title='t').html())
    assert [t for t, _ in parts.tags] == [t for t, _ in plain.tags], 'a string became a tag'
    assert spec(e.html())['says'] == [HOSTILE]*21 and parts.text.count(seen) == 3
    assert parts.all('img')[0]['alt'] == f'{seen} {seen}'
    e.widget
    assert html.escape(HOSTILE) in e._live.sentence.value and html.escape(HOSTILE) in e._live.box.children[0].children[0].value

def test_page_needs_nothing():
    text = Explorer(scene, [Slider('p', 'P')], alt='x').html()
    assert not re.search(r'https?:|@import|url\(|href', text) and not re.search(r'\n\s', text)
    assert all(o['src'].startswith('data:image/webp;base64,') for o in Parts(text).all('img'))

def test_frames_are_the_drawings():
    for kw in (dict(), dict(master=Slider('all', 'All'))):
        e = Explorer(scene, [Slider('p', 'P', value=.5), Slider('q', 'Q', value=.1)], alt='x', **kw)
        got, places = frames(e.html()), e.sliders[0].positions()
        assert len(got) == len(places) == 21
        for f, p in zip(got, places):
            wanted, says = e.at(p=p, **({'q': p} if kw else {}))
            assert f.shape == wanted.shape and np.abs(f.astype(int) - wanted).mean() < 4, f'frame at {p} is another one'
            assert spec(e.html())['says'][places.index(p)] == says

def test_page_starts_where_it_was_specified():
    e = Explorer(scene, [Slider('p', 'P', value=.5)], alt='x')
    e.widget
    e._live.sliders['p'].value = .9
    s, img = spec(e.html()), Parts(e.html()).all('img')[0]
    assert Parts(e.html()).all('input')[0]['value'] == '0.5'
    left = float(re.search(r'left:(-[\d.]+)%', img['style'])[1])
    assert left == pytest.approx(-100*((10 % s['cols'])*(s['w'] + 2*RIM) + RIM)/s['w'], abs=1e-4)

def test_size_on_the_page():
    "Noise is what WebP can do least about: even so the page stays within its budget, if need be smaller."
    rng = np.random.default_rng(0)
    noisy = lambda p: (np.clip(scene_large() + rng.normal(0, 40*p, (400, 960, 3)), 0, 255).astype(np.uint8), 'x')
    text = Explorer(noisy, [Slider('p', 'P')], alt='x').html()
    s = spec(text)
    assert len(text) < PAGE_BYTES*4/3 + 12_000 < 450_000
    assert s['w']/s['h'] == pytest.approx(2.4, abs=.02) and f'width:960px;aspect-ratio:{s["w"]}/{s["h"]}' in text
    sheet = Image.open(io.BytesIO(base64.b64decode(Parts(text).all('img')[0]['src'].split(',')[1])))
    assert max(sheet.size) <= 16383

def scene_large():
    import cv2
    from skimage.data import chelsea
    return cv2.resize(chelsea(), (960, 400)).astype(int)

def test_wide_and_tall_pictures():
    for h, w in ((8, 3000), (3000, 8)):
        e = Explorer(lambda p: (np.full((h, w, 3), round(200*p), np.uint8), 'x'), [Slider('p', 'P')], alt='x')
        assert len(frames(e.html())) == 21


def test_canvas_draws_where_the_axes_say():
    c = Canvas((0, 10), (0, 1), 'x', 'y')
    blank, picture = c.draw(), c.draw([([0, 10], [.5, .5], '#ff0000', 2)])
    rows, columns = np.nonzero((picture != blank).any(-1))
    assert picture.shape == (300, 720, 3) and np.array_equal(blank, c.draw()) and picture[rows, columns, 0].max() == 255
    (_, middle), (left, _), (right, _) = (c.to_pixels([p])[0] for p in ((5, .5), (0, .5), (10, .5)))
    assert abs(rows.mean() - (300 - middle)) < 1.5 and abs(columns.min() - left) < 3 and abs(columns.max() - right) < 3


def test_canvas_cuts_off_and_leaves_out():
    "Nothing is drawn outside the axes, and what is no number is left out."
    c = Canvas((1e-6, 1), (0, 1), 'rate', 'loss', 'log')
    outside = np.ones(c.blank.shape[:2], bool); outside[c.inside] = False
    wild = c.draw([([1e-9, 1e-3, 10], [-1e30, 5., 1e30], '#00ff00', 3), ([1e-3] * 3, [np.nan, np.inf, .5], '#0000ff', 1), ([], [], '#0000ff', 1)], [(1e-3, '#ff0000', 'a'), (.99, '#ff0000', 'a long name at the edge')])
    assert (wild[outside] == c.blank[outside]).all() and (wild != c.blank).any()
