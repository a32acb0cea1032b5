"""The built site, read as files: links, headings, pictures, left-overs, sizes. tests/browser/test_site.py opens it in a browser."""
import base64, io, json, os, re, shutil, subprocess, sys, threading, urllib.error, urllib.request
from functools import lru_cache, partial
from http.server import ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import numpy as np, pytest
from PIL import Image

from data_scripts.site import build as site, pages as finishing
from data_scripts.site.build import failure
from data_scripts.site.emblems import DRAWINGS, emblem
from data_scripts.site.pages import Lesson, Page
from data_scripts.site.pictures import is_chart, mark_charts
from data_scripts.site.processors import LONG_OUTPUT, fold_long, fold_summary, formula, join_imports, mathml, take_card
from data_scripts.site.weight import Loads, is_outside, page_weight, target

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent
MOST_BYTES = 2_190_000   # of a page, with all it may load, uncompressed
TRY_IT_BYTES = 12_000_000


class Read(Loads):
    "What the checks want to know of a page."
    def __init__(self, text):
        self.ids, self.links, self.headings, self.faults, self.text = [], [], [], [], []
        self.open = {k: 0 for k in ('script', 'style', 'pre', 'code', 'main', 'math')}
        super().__init__(text)

    def handle_starttag(self, tag, attrs):
        super().handle_starttag(tag, attrs)
        a = dict(attrs)
        if tag in self.open: self.open[tag] += 1
        if 'id' in a: self.ids.append(a['id'])
        if tag == 'a' and a.get('href'): self.links.append(a['href'])
        if tag == 'img' and not (a.get('alt') or '').strip(): self.faults.append(f'an image without alt: {str(a.get("src"))[:60]}')
        if re.fullmatch('h[1-6]', tag) and self.open['main']: self.headings.append(int(tag[1]))

    def handle_endtag(self, tag):
        super().handle_endtag(tag)
        if self.open.get(tag): self.open[tag] -= 1

    def handle_data(self, data):
        super().handle_data(data)
        if self.open['style']: return
        if not self.open['script'] and not self.open['code'] and not self.open['pre']: self.text.append(data)
        elif self.open['pre'] and not self.open['script']: self.faults += [f'a left-over in code: {o}' for o in re.findall(r'^\s*(#\|.*|:::.*)', data, re.M)]


@lru_cache(None)
def read(path): return Read(path.read_text(encoding='utf-8'))


def findings(page, docs):
    "Everything wrong with a page that can be read off its HTML."
    r, faults = read(page), []
    faults += r.faults
    for href in r.links:
        if is_outside(href) or href.startswith('mailto:'): continue
        file, anchor = target(page, href, docs)
        if not file.exists(): faults.append(f'a broken link: {href}')
        elif anchor and anchor not in read(file).ids: faults.append(f'a link to an anchor that is not there: {href}')
    for href in r.loads:
        if href.startswith(('data:', '#')): continue
        if is_outside(href): faults.append(f'something from elsewhere: {href}')
        elif not target(page, href, docs)[0].exists(): faults.append(f'something that is not there: {href}')
    if r.headings.count(1) != 1: faults.append(f'{r.headings.count(1)} headings of the first level')
    faults += [f'a heading of level {b} after one of level {a}' for a, b in zip(r.headings, r.headings[1:]) if b > a + 1]
    text = ' '.join(r.text)
    faults += [f'a left-over: {o}' for o in re.findall(r':::\S*|#\|\s*\w*|\$[^\s$][^$\n]{0,80}\$|\\\(|\\\[|\\(?:frac|text|sum|alpha|eta)\b', text)]
    faults += [f'an id that is there twice: {o}' for o in {i for i in r.ids if r.ids.count(i) > 1}]
    return faults


def pages(docs): return sorted(docs.rglob('*.html'))


def test_every_page(docs):
    assert {f'{p.relative_to(ROOT).with_suffix("")}.html' for p in (ROOT/'nbs').rglob('*.ipynb') if not any(o[0] in '._' for o in p.relative_to(ROOT).parts)} \
        <= {p.relative_to(docs).as_posix() for p in pages(docs)}, 'a notebook has no page at its own address'
    found = {p.relative_to(docs).as_posix(): f for p in pages(docs) if (f := findings(p, docs))}
    assert not found, json.dumps(found, indent=1)


def test_the_style_sheets_fetch_nothing(docs):
    assert not [(p.name, u) for p in docs.rglob('*.css') for u in re.findall(r'(?:url\(|@import)\s*["\']?((?:https?:)?//[^"\')]+)', p.read_text(encoding='utf-8'))]


def test_weight(docs):
    sizes = {p.relative_to(docs).as_posix(): page_weight(p, docs) for p in pages(docs)}
    assert sizes.pop('try_it/index.html') <= TRY_IT_BYTES  # a runtime and a network, where they could be fetched
    heaviest = max(sizes, key=sizes.get)
    print(f'\nheaviest page: {heaviest}, {sizes[heaviest]/1e6:.2f} MB with all it loads')
    assert sizes[heaviest] <= MOST_BYTES


def test_sitemap(docs):
    base = re.search(r'^\s*site-url: (\S+)', (ROOT/'_quarto.yml').read_text(), re.M)[1] + '/'
    listed = [e.text for e in ElementTree.parse(docs/'sitemap.xml').findall('.//{*}loc')]
    assert sorted(listed) == sorted(base + p.relative_to(docs).as_posix() for p in pages(docs) if p.parent != docs)


def test_search_index(docs):
    entries = json.loads((docs/'search.json').read_text(encoding='utf-8'))
    assert any(e['href'].startswith('nbs/04_sgdr.html') and 'warm restart' in (e['title'] + e['text']).lower() for e in entries)
    for e in entries:
        file, anchor = target(docs/'index.html', e['href'], docs)
        assert file.exists(), e['href']
        assert (not anchor or anchor in read(file).ids), e['href']
    assert not [e['href'] for e in entries if re.search(r'base64|data-explorer|#\|', e['text'])]


def test_reference_is_there(docs):
    "The signature and the parameters come from the module: nothing was run to get them."
    text = re.sub(r'<[^>]+>', '', (docs/'nbs/reference/training.html').read_text(encoding='utf-8'))
    assert 'def train(' in text
    assert 'lr_max' in text
    assert '>source</a>' in (docs/'nbs/reference/training.html').read_text(encoding='utf-8')


def test_a_lesson_shows_its_code_and_an_exercise_its_hints(docs):
    plain_text = lambda p: re.sub(r'<[^>]+>', '', p.read_text(encoding='utf-8'))
    assert re.search(r'def sgdr\(\s*step', plain_text(docs/'nbs/04_sgdr.html'))
    text = plain_text(docs/'nbs/exercises/ex_05.html')
    assert 'Hint 1 of 3' in text
    assert 'my_rates = slice(1e-4, 1e-2)' in text


# ---- the guards bite ----

FAULTS = {
    'something from elsewhere': '<img alt="x" src="https://example.org/x.png">',
    'something from elsewhere: //': '<script src="//cdn.example.org/x.js"></script>',
    'something from elsewhere: https://fonts': '<style>@import "https://fonts.example.org/x.css";</style>',
    'an image without alt': '<img src="data:image/webp;base64,AAAA">',
    'a left-over: $x$': '<p>where $x$ is</p>',
    'a left-over: :::': '<p>::: {.note}</p>',
    'a left-over in code: #| export': '<pre><code>#| export\nx = 1</code></pre>',
    'a broken link': '<a href="nowhere.html">x</a>',
    'a link to an anchor': '<a href="04_sgdr.html#nowhere">x</a>',
    'a heading of level 4 after one of level': '<h2>a</h2><h4>b</h4>',
    '2 headings of the first level': '<h1>again</h1>',
    'an id that is there twice': '<p id="twin">a</p><p id="twin">b</p>',
}


@pytest.mark.parametrize('finding', FAULTS)
def test_guard_bites(finding, docs):
    page = docs/'nbs/planted.html'
    try:
        page.write_text((docs/'nbs/index.html').read_text(encoding='utf-8').replace('</main>', FAULTS[finding] + '</main>'), encoding='utf-8')
        read.cache_clear()
        assert any(finding in f for f in findings(page, docs)), findings(page, docs)
    finally:
        page.unlink()
        read.cache_clear()


def test_weight_guard_bites(docs):
    page = docs/'nbs/planted.html'
    try:
        page.write_text(f'<img alt="x" src="data:image/webp;base64,{"A" * MOST_BYTES}">', encoding='utf-8')
        assert page_weight(page, docs) > MOST_BYTES
    finally: page.unlink()


def test_an_import_from_elsewhere_is_taken_out(tmp_path):
    (tmp_path/'a.css').write_text('@import url(https://fonts.example.org/css2?family=A:wght@300;400&display=swap);b{c:d}@import "local.css";')
    (tmp_path/'p.html').write_text('<body></body>')
    finishing.finish(tmp_path)
    assert (tmp_path/'a.css').read_text() == 'b{c:d}@import "local.css";'


# ---- formulas ----

def test_formulas():
    f = formula(r'\eta_t = \tfrac12 \left(1 + \cos \frac{\pi T_{cur}}{T_i}\right)')
    assert 'msub' in {e.tag.split('}')[-1] for e in ElementTree.fromstring(f).iter()}
    assert '<mfrac><mn>1</mn><mn>2</mn></mfrac>' in f
    assert mathml('`$x$`, $x$ for $5 or $6\n```sh\necho $HOME $PATH\n```\n') == f'`$x$`, {formula("x")} for $5 or $6\n```sh\necho $HOME $PATH\n```\n'


@pytest.mark.parametrize('tex', [r'\nonsense x', 'x_', r'\left(x', r'\begin{aligned}a&=b\\c&=d\end{aligned}'])
def test_a_formula_that_cannot_be_written_stops_the_build(tex):
    with pytest.raises(ValueError, match='cannot be written'): formula(tex)


# ---- make serve ----

def test_unknown_addresses(docs):
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(site.Handler, directory=str(docs)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f'http://127.0.0.1:{server.server_port}'
        for path in ('/nowhere.html', '/nbs/deep/er/nowhere'):
            with pytest.raises(urllib.error.HTTPError) as e: urllib.request.urlopen(address + path)
            body = e.value.read().decode()
            assert e.value.code == 404
            assert 'There is no page at this address' in body
            for href in Read(body).links: assert urllib.request.urlopen(address + href).read(), href
        assert b'course home' in urllib.request.urlopen(address + '/').read()
    finally:
        server.shutdown()
        server.server_close()


# ---- the other engine, where it is installed ----

def test_same_addresses_with_quarto(docs, tmp_path):
    if not shutil.which('quarto'):
        sentence = 'Quarto is not installed here; the workflow that tests on GitHub has it.'
        if os.environ.get('COURSE_REQUIRE_QUARTO') == '1': pytest.fail(sentence)
        pytest.skip(sentence)
    for name in ('nbs', 'course_utils', 'data_scripts', 'findings'): shutil.copytree(ROOT/name, tmp_path/name)
    for name in ('_quarto.yml', 'settings.ini', 'pyproject.toml'): shutil.copy(ROOT/name, tmp_path)
    env = dict(os.environ, PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ['PYTHONPATH']]))
    subprocess.run([sys.executable, '-m', 'course_utils', 'site', '--engine', 'quarto'], cwd=tmp_path, env=env, check=True)
    page_addresses = lambda d: {PurePosixPath(p.relative_to(d)) for p in pages(d)}
    assert page_addresses(tmp_path/'_docs') == page_addresses(docs)
    assert not [f for p in pages(tmp_path/'_docs') for f in findings(p, tmp_path/'_docs') if 'id that' not in f]
    assert max(page_weight(p, tmp_path/'_docs') for p in pages(tmp_path/'_docs')) <= MOST_BYTES


# What Quarto 1.6.40 puts into the head of every page with HTML output.
QUARTO_HEAD = """<head><script src="https://cdnjs.cloudflare.com/ajax/libs/require.js/2.3.6/require.min.js" integrity="sha512-c3" crossorigin="anonymous"></script>
<script src="https://cdnjs.cloudflare.com/ajax/libs/jquery/3.5.1/jquery.min.js" integrity="sha512-bL" crossorigin="anonymous" data-relocate-top="true"></script>
<script type="application/javascript">define('jquery', [],function() {return window.jQuery;})</script>
<script src="site_libs/quarto.js"></script></head><body><main></main></body>"""


def test_quartos_foreign_scripts_are_taken_out():
    text = finishing.without_foreign_scripts(QUARTO_HEAD, None)
    assert re.findall('<script[^>]*>', text) == ['<script src="site_libs/quarto.js">']


# ---- the workflows ----

def workflow(name):
    import yaml
    return yaml.safe_load((ROOT/f'.github/workflows/{name}.yml').read_text())


def uses(name): return [step['uses'] for job in workflow(name)['jobs'].values() for step in job.get('steps', []) if 'uses' in step]


def test_the_tests_run_make_and_build_the_site_that_is_published():
    steps = workflow('test')['jobs']['test']['steps']
    runs = [step.get('run') for step in steps]
    order = [runs.index('make test'), runs.index('make site ENGINE=quarto'), runs.index('make site')]
    upload = next(k for k, step in enumerate(steps) if 'upload-pages-artifact' in step.get('uses', ''))
    assert order == sorted(order)
    assert upload > order[-1], 'the site that is published is the one built last'
    assert any('quarto-actions' in name for name in uses('test'))


def test_publishing_waits_for_the_tests_of_its_commit():
    jobs = workflow('publish')['jobs']
    assert jobs['test']['uses'] == './.github/workflows/test.yml'
    assert jobs['deploy']['needs'] == 'test'
    assert workflow('test')[True]['workflow_call'] is None   # YAML reads `on` as true


# The first major version of each that runs on Node 24.
NODE_24 = {'actions/checkout': 5, 'actions/setup-python': 6, 'actions/upload-pages-artifact': 5, 'actions/deploy-pages': 5}


@pytest.mark.parametrize('name', ['test', 'publish', 'systems'])
def test_actions_run_on_node_24(name):
    used = dict(action.split('@v') for action in uses(name))
    assert not {action: version for action, version in used.items() if int(version) < NODE_24.get(action, 0)}


# ---- what is done to a page ----

PAGE = Page('nbs/01_augmentation.html', {'01_augmentation': Lesson('01', 'Why?'), '02_transfer_learning': Lesson('02', 'Whence?')}, '')


def test_every_lesson_has_a_picture_of_its_own(docs):
    lessons = sorted((docs/'nbs').glob('[0-9][0-9]_*.html'))
    numbers = [path.stem[:2] for path in lessons]
    assert numbers == sorted(DRAWINGS)
    assert len({emblem(number) for number in numbers}) == len(numbers)
    assert all('class="emblem"' in path.read_text(encoding='utf-8') for path in lessons)
    assert all(ElementTree.fromstring(emblem(number)).tag == 'svg' for number in numbers)


def test_a_lesson_says_its_number_wherever_its_title_stands(docs):
    text = (docs/'nbs/01_augmentation.html').read_text(encoding='utf-8')
    assert '<h1 class="title">01 · Augmentation</h1>' in text
    assert '>00 · Overfitting</span>' in text
    assert '<title>01 · Augmentation – ' in text


def test_a_long_listing_opens_at_a_click():
    code = '```python\ndef first(): ...\n' + 'x\n' * LONG_OUTPUT + '```'
    shown = fold_long(dict(output_type='execute_result', data={'text/markdown': code}))['data']['text/markdown']
    assert shown.startswith(f'<details class="folded"><summary>Source, {LONG_OUTPUT + 2} lines: first</summary>')
    assert code in shown
    printed = fold_long(dict(output_type='stream', name='stdout', text='x\n' * 40))
    assert printed['output_type'] == 'display_data'
    assert 'Printed, 40 lines' in printed['data']['text/markdown']


@pytest.mark.parametrize('output', [dict(output_type='stream', text='x\n'), dict(data={'text/html': 'x\n' * 99}), dict(data={'text/markdown': '- x\n' * 99})])
def test_what_is_short_or_no_listing_stays(output): assert fold_long(output) is output


def test_shown_icons_have_a_rule(docs):
    sheet = next(docs.rglob('bootstrap-icons*.css')).read_text(encoding='utf-8')
    shown = {name for p in pages(docs) for name in re.findall(r'class="bi bi-([\w-]+)', p.read_text(encoding='utf-8'))}
    assert shown
    assert all(f'.bi-{name}::before' in sheet for name in shown)


def test_only_the_known_broken_link_is_not_said():
    lines = 'warning: a: broken link /try_it/index.html\nwarning: a: broken link /other.html\n'
    assert site.without_known(lines) == 'warning: a: broken link /other.html\n'


def test_the_card_stands_before_the_first_code(docs):
    for path in (docs/'nbs').glob('[0-9][0-9]_*.html'):
        text = path.read_text(encoding='utf-8')
        assert 0 < text.index('<b>Minutes</b>') < text.index('<summary>'), path.name


def test_the_home_page_opens_with_an_explorer_and_shows_all_lessons(docs):
    text = (docs/'nbs/index.html').read_text(encoding='utf-8').split('<main')[1]
    assert text.index('class="explorer') < text.index('<section')
    assert text.count('class="tile-number"') == len(DRAWINGS)


def test_the_root_says_what_the_course_is(docs):
    text = (docs/'index.html').read_text(encoding='utf-8')
    image = re.search('property="og:image" content="([^"]+)"', text)[1]
    site_address = finishing.site_config()['site-url']
    assert image.startswith(f'{site_address}/')
    assert (docs/image.removeprefix(f'{site_address}/')).exists()
    assert '{' not in re.sub('<style.*?</style>', '', text)


def test_the_footer_leads_to_the_notice(docs):
    text = (docs/'nbs/index.html').read_text(encoding='utf-8')
    assert re.search(r'<div class="nav-footer-left">.*?href="[^"]+/NOTICE"', text, re.S)


def test_the_way_on_says_what_the_next_lesson_asks():
    link = '<a href="02_transfer_learning.html" class="pagination-link"><span class="nav-page-text">02 · Transfer learning</span> <i></i></a>'
    assert '<span class="nav-page-question">Whence?</span>' in finishing.with_questions(link, PAGE)


def test_search_stands_outside_of_the_menu(docs):
    text = (docs/'nbs/index.html').read_text(encoding='utf-8')
    assert 0 < text.index('id="quarto-search"') < text.index('class="navbar-toggler"') < text.index('id="navbarCollapse"')


def test_long_lines_of_code_are_set_in_and_copied_as_they_are():
    code = f'<code class="sourceCode python">    x = {"y" * 70}\nz = 1</code>'
    text = finishing.with_hanging_lines(code, PAGE)
    assert re.sub('</?span[^>]*>', '', text) == code
    assert text.count('--in:8ch') == 1


def test_a_header_may_break_behind_an_underscore():
    table = '<table border="1"><thead><tr><th>train_loss</th></tr></thead></table>'
    assert '<th>train_<wbr>loss</th>' in finishing.with_wrapping_tables(table, PAGE)


def test_a_table_of_many_columns_is_set_smaller():
    row = '<td>1</td>' * 7
    assert '<table class="wide">' in finishing.with_wrapping_tables(f'<table><tr>{row}</tr></table>', PAGE)


def chart(share):
    "A picture of which `share` is white."
    pixels = np.full((100, 100, 3), 255, np.uint8)
    pixels[int(100*share):] = 90
    return Image.fromarray(pixels)


@pytest.mark.parametrize('share, expected', [(.9, True), (.2, False)])
def test_a_chart_is_mostly_paper(share, expected): assert is_chart(chart(share)) == expected


def test_charts_are_marked_and_photographs_are_not():
    def tag(picture):
        data = io.BytesIO()
        picture.save(data, 'webp', lossless=True)
        return f'<img alt="a" src="data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}">'
    marked = mark_charts(tag(chart(.9)) + tag(chart(.2)))
    assert marked.count('class="chart"') == 1
    assert marked.startswith('<img class="chart" alt="a"')


def test_some_charts_and_some_photographs_are_on_the_site(docs):
    text = ''.join(path.read_text(encoding='utf-8') for path in (docs/'nbs').glob('*.html'))
    assert len(re.findall('<img[^>]*class="chart"', text)) > 20
    assert len(re.findall('<img(?![^>]*class="chart")[^>]*/pictures/', text)) > 20


# ---- what is done to a notebook ----

def test_plumbing_is_folded():
    drawing = 'fig, ax = plt.subplots()\n' + 'ax.plot(x)\n' * 5
    assert fold_summary('import numpy as np') == 'Imports'
    assert fold_summary(drawing) == 'Code: the figure'
    assert fold_summary("record('01', x=1)") == 'Code: keeps the result'
    assert fold_summary('def long():\n' + '    x = 1\n' * 30) == 'Code, 31 lines: long'


def test_an_idea_stays_open(): assert fold_summary('def idea(x):\n    return x + 1') is None


def notebook_cell(source, **options):
    from execnb.nbio import mk_cell
    cell = mk_cell(source)
    cell.update(options)
    return cell


def test_the_card_is_taken_out_of_its_cell():
    card = dict(data={'text/html': '<div class="course-card"><b>Minutes</b></div>'})
    cell = notebook_cell('import a', outputs=[card, dict(data={})])
    taken = take_card([notebook_cell('x'), cell])
    assert taken.outputs == [card]
    assert cell.outputs == [dict(data={})]


def test_two_cells_of_imports_become_one():
    cells = [notebook_cell('import a'), notebook_cell('from b import c'), notebook_cell('x = 1'), notebook_cell('import d')]
    assert [cell.source for cell in join_imports(cells)] == ['import a\n\nfrom b import c', 'x = 1', 'import d']


# ---- a build that fails ----

def test_the_engines_words_are_shown_when_it_fails():
    sentence = failure('smalldocs', '\n'.join(f'line {k}' for k in range(100)))
    assert 'line 99' in sentence
    assert 'line 69' not in sentence


def test_an_engine_that_fails_ends_the_build(tmp_path, monkeypatch):
    engine = tmp_path/'engine'
    engine.write_text('#!/bin/sh\necho the page is broken >&2\nexit 3\n')
    engine.chmod(0o755)
    monkeypatch.setattr(site, 'PROC', tmp_path)
    with pytest.raises(SystemExit, match='the page is broken'): site.render(str(engine))
