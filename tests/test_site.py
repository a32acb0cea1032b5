"""The built site, read as files: links, headings, pictures, left-overs, sizes. tests/browser/test_site.py opens it in a browser."""
import json, re, shutil, subprocess, sys, threading, urllib.error, urllib.request
from functools import lru_cache, partial
from html.parser import HTMLParser
from http.server import ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import pytest

from data_scripts.site import build as site
from data_scripts.site.processors import formula, mathml

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent
MOST_BYTES = 2_500_000   # of a page, with all it loads, uncompressed
LOADS = {('link', 'href'), ('script', 'src'), ('img', 'src'), ('img', 'srcset'), ('source', 'src'), ('source', 'srcset'), ('iframe', 'src'),
         ('video', 'src'), ('audio', 'src'), ('embed', 'src'), ('object', 'data'), ('input', 'src')}
QUIET = {'canonical', 'next', 'prev', 'alternate'}   # <link rel=…> that fetch nothing


class Read(HTMLParser):
    "What the checks want to know of a page."
    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.loads, self.headings, self.faults, self.text = [], [], [], [], [], []
        self.open = {k: 0 for k in ('script', 'style', 'pre', 'code', 'main', 'math')}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if tag in self.open: self.open[tag] += 1
        if 'id' in a: self.ids.append(a['id'])
        if tag == 'a' and a.get('href'): self.links.append(a['href'])
        if tag == 'img' and not (a.get('alt') or '').strip(): self.faults.append(f'an image without alt: {str(a.get("src"))[:60]}')
        if re.fullmatch('h[1-6]', tag) and self.open['main']: self.headings.append(int(tag[1]))
        self.loads += [a[k] for t, k in LOADS if t == tag and a.get(k) and not (tag == 'link' and set(a.get('rel', '').split()) & QUIET)]
        self.loads += re.findall(r'url\(["\']?([^"\')]+)', a.get('style') or '')

    def handle_endtag(self, tag):
        if self.open.get(tag): self.open[tag] -= 1

    def handle_data(self, data):
        if self.open['style']: self.loads += re.findall(r'url\(["\']?([^"\')]+)', data) + re.findall(r'@import\s+["\']([^"\']+)', data)
        elif not self.open['script'] and not self.open['code'] and not self.open['pre']: self.text.append(data)
        elif self.open['pre'] and not self.open['script']: self.faults += [f'a left-over in code: {o}' for o in re.findall(r'^\s*(#\|.*|:::.*)', data, re.M)]


@lru_cache(None)
def read(path): return Read(path.read_text(encoding='utf-8'))


def target(page, href, docs):
    "(file, anchor) of a link inside the site."
    u = urlsplit(href)
    path = unquote(u.path)
    root = site.site_root()
    if path.startswith(root): file = docs/path.removeprefix(root)
    else: file = (page.parent/path).resolve() if path else page
    return file/'index.html' if file.is_dir() else file, unquote(u.fragment)


def outside(href): return bool(re.match(r'(?:https?:)?//', href))


def findings(page, docs):
    "Everything wrong with a page that can be read off its HTML."
    r, faults = read(page), []
    faults += r.faults
    for href in r.links:
        if outside(href) or href.startswith('mailto:'): continue
        file, anchor = target(page, href, docs)
        if not file.exists(): faults.append(f'a broken link: {href}')
        elif anchor and anchor not in read(file).ids: faults.append(f'a link to an anchor that is not there: {href}')
    for href in r.loads:
        if href.startswith(('data:', '#')): continue
        if outside(href): faults.append(f'something from elsewhere: {href}')
        elif not target(page, href, docs)[0].exists(): faults.append(f'something that is not there: {href}')
    if r.headings.count(1) != 1: faults.append(f'{r.headings.count(1)} headings of the first level')
    faults += [f'a heading of level {b} after one of level {a}' for a, b in zip(r.headings, r.headings[1:]) if b > a + 1]
    text = ' '.join(r.text)
    faults += [f'a left-over: {o}' for o in re.findall(r':::\S*|#\|\s*\w*|\$[^\s$][^$\n]{0,80}\$|\\\(|\\\[|\\(?:frac|text|sum|alpha|eta)\b', text)]
    faults += [f'an id that is there twice: {o}' for o in {i for i in r.ids if r.ids.count(i) > 1}]
    return faults


def weight(page, docs):
    "Bytes of a page and of all it loads from the site, also through its style sheets."
    files, todo = set(), [page]
    while todo:
        f = todo.pop()
        if f in files or not f.exists(): continue
        files.add(f)
        if f == page: todo += [target(f, h, docs)[0] for h in read(f).loads if not h.startswith('data:') and not outside(h)]
        elif f.suffix == '.css': todo += [(f.parent/urlsplit(h).path).resolve() for h in re.findall(r'url\(["\']?([^"\')]+\.woff2[^"\')]*)', f.read_text(encoding='utf-8'))]
    return sum(f.stat().st_size for f in files)


def pages(docs): return sorted(docs.rglob('*.html'))


def test_every_page(docs):
    assert {f'{p.relative_to(ROOT).with_suffix("")}.html' for p in (ROOT/'nbs').rglob('*.ipynb') if not any(o[0] in '._' for o in p.relative_to(ROOT).parts)} \
        <= {p.relative_to(docs).as_posix() for p in pages(docs)}, 'a notebook has no page at its own address'
    found = {p.relative_to(docs).as_posix(): f for p in pages(docs) if (f := findings(p, docs))}
    assert not found, json.dumps(found, indent=1)


def test_the_style_sheets_fetch_nothing(docs):
    assert not [(p.name, u) for p in docs.rglob('*.css') for u in re.findall(r'(?:url\(|@import)\s*["\']?((?:https?:)?//[^"\')]+)', p.read_text(encoding='utf-8'))]


def test_weight(docs):
    sizes = {p.relative_to(docs).as_posix(): weight(p, docs) for p in pages(docs)}
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
        assert weight(page, docs) > MOST_BYTES
    finally: page.unlink()


def test_an_import_from_elsewhere_is_taken_out(tmp_path):
    (tmp_path/'a.css').write_text('@import url(https://fonts.example.org/css2?family=A:wght@300;400&display=swap);b{c:d}@import "local.css";')
    (tmp_path/'p.html').write_text('<body></body>')
    site.finish(tmp_path)
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
    if not shutil.which('quarto'): pytest.skip('Quarto is not installed here; the workflow that publishes has it.')
    for name in ('nbs', 'course_utils', 'data_scripts'): shutil.copytree(ROOT/name, tmp_path/name)
    for name in ('_quarto.yml', 'settings.ini', 'pyproject.toml'): shutil.copy(ROOT/name, tmp_path)
    subprocess.run([sys.executable, '-m', 'course_utils', 'site', '--engine', 'quarto'], cwd=tmp_path, check=True)
    page_addresses = lambda d: {PurePosixPath(p.relative_to(d)) for p in pages(d)}
    assert page_addresses(tmp_path/'_docs') == page_addresses(docs)
    assert not [f for p in pages(tmp_path/'_docs') for f in findings(p, tmp_path/'_docs') if 'id that' not in f]


def test_the_workflows_call_make():
    import yaml
    for name in ('test', 'publish'):
        steps = [s for job in yaml.safe_load((ROOT/f'.github/workflows/{name}.yml').read_text())['jobs'].values() for s in job['steps']]
        assert f'make {dict(test="test", publish="site")[name]}' in [s.get('run') for s in steps]
        assert (name == 'publish') == any('quarto' in s.get('uses', '') for s in steps)
