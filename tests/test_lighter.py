"""What a page does not need is left out, and what it shows stays as it was: pictures, icons, rules of a theme."""
import base64, io
from importlib.resources import files

import numpy as np, pytest
from fontTools.ttLib import TTFont
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data_scripts.site import lighter
from data_scripts.site.weight import Loads, loaded_files, page_weight

pytestmark = pytest.mark.slow


def address_of(picture, kind='webp'):
    data = io.BytesIO()
    picture.save(data, kind, lossless=True)
    return f'data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}'


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8))
DOT = Image.new('RGB', (2, 2))


# ---- pictures ----

@pytest.mark.parametrize('kind', ['webp', 'png'])
def test_a_picture_in_a_file_is_the_same_bytes(kind, tmp_path):
    address = address_of(NOISE, kind)
    text = lighter.with_picture_files(f'<img alt="a" src="{address}">', '../pictures', tmp_path)
    file = next(tmp_path.iterdir())
    assert file.read_bytes() == base64.b64decode(address.split(',')[1])
    assert f'src="../pictures/{file.name}"' in text
    assert 'width="60" height="40"' in text


def test_two_pages_share_a_picture(tmp_path):
    for place in ('../a', 'a'): lighter.with_picture_files(f'<img src="{address_of(NOISE)}">', place, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_further_sheet_of_an_explorer_is_a_file_too(tmp_path):
    spec = f'{{&quot;more&quot;: [{{&quot;src&quot;: &quot;{address_of(NOISE)}&quot;}}]}}'
    text = lighter.with_picture_files(f'<figure data-explorer="{spec}"></figure>', 'p', tmp_path)
    assert Loads(text).loads == [f'p/{next(tmp_path.iterdir()).name}']


def test_a_small_picture_stays_in_the_page(tmp_path):
    page = f'<img src="{address_of(DOT)}">'
    assert lighter.with_picture_files(page, 'p', tmp_path) == page


# ---- rules ----

SHEET = ('@charset "UTF-8";/*! MIT .gone */.kept,.gone{a:b}.gone{c:d}p:not(.gone){e:f}.kept:is(.gone,.kept),.gone .kept{g:h}'
         '@media (min-width:1px){.gone{i:j}.kept{k:l}}@keyframes x{from{m:n}to{o:p}}@font-face{q:r}.w-1\\.5{s:t}a[href$=".gone"]{u:v}')
LIGHT = ('@charset "UTF-8";/*! MIT .gone */.kept{a:b}p:not(.gone){e:f}.kept:is(.gone,.kept){g:h}'
         '@media (min-width:1px){.kept{k:l}}@keyframes x{from{m:n}to{o:p}}@font-face{q:r}a[href$=".gone"]{u:v}')


def test_rules_of_classes_that_nobody_names_go(): assert lighter.with_used_rules(SHEET, {'kept'}) == LIGHT


def test_a_rule_stays_where_its_class_is_named(): assert lighter.with_used_rules(SHEET, {'kept', 'gone', 'w-1.5'}) == SHEET


CLASSES = [f'c{k}' for k in range(6)]


@given(st.lists(st.lists(st.sampled_from(CLASSES), min_size=1, max_size=3), max_size=6), st.sets(st.sampled_from(CLASSES)))
def test_what_remains_is_what_a_page_can_match(selectors, words):
    sheet = ''.join(f".{'.'.join(classes)}{{x:y}}" for classes in selectors)
    expected = ''.join(f".{'.'.join(classes)}{{x:y}}" for classes in selectors if words.issuperset(classes))
    assert lighter.with_used_rules(sheet, words) == expected


def test_most_of_a_theme_is_left_out(docs):
    for name in ('cosmo', 'darkly'):
        whole = next(files('smalldocs').joinpath('').rglob(f'{name}.min.css'))
        assert (docs/f'site_libs/themes/{name}.min.css').stat().st_size < .3 * whole.stat().st_size


# ---- icons ----

def test_icons_that_no_page_shows_have_no_rule():
    sheet = '@font-face{}.bi-search::before{content:"\\f52a"}.bi-123::before{content:"\\f67f"}'
    assert lighter.with_used_icons(sheet, {'search'}) == '@font-face{}.bi-search::before{content:"\\f52a"}'


def drawn(font, code_point):
    "The outline of an icon, in the font's own words."
    from fontTools.pens.recordingPen import RecordingPen
    pen = RecordingPen()
    glyphs = font.getGlyphSet()
    glyphs[font.getBestCmap()[code_point]].draw(pen)
    return pen.value


def test_every_icon_that_is_shown_is_drawn_as_before(docs):
    folder = docs/'site_libs/bootstrap-icons'
    sheet = (folder/'bootstrap-icons.min.css').read_text(encoding='utf-8')
    small = TTFont(next(folder.rglob('*.woff')))
    whole = TTFont(next(files('smalldocs').joinpath('').rglob('bootstrap-icons.woff')))
    others = ''.join(path.read_text(encoding='utf-8') for path in docs.rglob('*.css'))
    code_points = {int(digits, 16) for digits in lighter.CODE_POINT.findall(sheet + others)} & set(whole.getBestCmap())
    assert len(code_points) > 10
    assert all(drawn(small, code_point) == drawn(whole, code_point) for code_point in code_points)
    assert not list(folder.rglob('*.woff2'))


def test_the_font_of_the_icons_is_small(docs):
    assert next((docs/'site_libs/bootstrap-icons').rglob('*.woff')).stat().st_size < 10_000


# ---- weight ----

def test_a_page_weighs_what_it_loads(tmp_path):
    (tmp_path/'a.css').write_text('@font-face{src:url("f.woff2")}')
    (tmp_path/'f.woff2').write_bytes(bytes(1000))
    (tmp_path/'p.webp').write_bytes(bytes(200))
    page = tmp_path/'index.html'
    page.write_text('<link rel="stylesheet" href="a.css"><link rel="next" href="other.html"><img src="p.webp"><img src="p.webp">'
                    '<script src="https://example.org/x.js"></script><img src="data:,">')
    assert {file.name for file in loaded_files(page, tmp_path)} == {'index.html', 'a.css', 'f.woff2', 'p.webp'}
    assert page_weight(page, tmp_path) == page.stat().st_size + 1200 + len('@font-face{src:url("f.woff2")}')
