"""The house rules. Each guard is a function that returns findings; beside it, a test shows it finding something."""
import copy, json, re, shutil, subprocess, sys
from html.parser import HTMLParser
from importlib.metadata import distributions
from pathlib import Path

import nbformat
import pytest
import yaml

from data_scripts.site.build import readme
from data_scripts.lessons.run import KERNEL, WIDGET, clean, lessons

ROOT = Path(__file__).parent.parent


def git_files(folder=ROOT):
    "What is committed or about to be."
    r = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard', '-z'], cwd=folder, capture_output=True, text=True)
    if r.returncode: pytest.skip('This copy of the course is no git repository, so nothing is committed in it.', allow_module_level=True)
    return [f for f in r.stdout.split('\0') if f and (folder/f).is_file()]


NOTEBOOKS = [f for f in git_files() if f.endswith('.ipynb')]


# ---- the exported modules are what the notebooks say ----

def export_findings(folder, work):
    "Exports the notebooks of `folder` into `work` and compares."
    shutil.copytree(folder, work, ignore=lambda d, names: [n for n in names if n[0] in '._' and n != '__init__.py'
                    or Path(d) == Path(folder) and n not in ('nbs', 'settings.ini', 'pyproject.toml', 'course_utils')
                    or Path(d).name == 'course_utils' and n != '__init__.py'])
    r = subprocess.run([sys.executable, '-c', 'from nbdev.doclinks import nbdev_export; nbdev_export()'], cwd=work, capture_output=True, text=True)
    if r.returncode: return [f'nbdev_export failed: {r.stderr.strip().splitlines()[-1]}']
    here, there = ({p.relative_to(d/'course_utils').as_posix(): p.read_text() for p in (d/'course_utils').rglob('*.py')} for d in (Path(folder), work))
    return [f'course_utils/{n} is not what the notebooks export: run make tidy' for n in sorted(here.keys() | there.keys()) if here.get(n) != there.get(n)]


def test_export_in_sync(tmp_path): assert not export_findings(ROOT, tmp_path/'w')


def test_export_guard_bites(tmp_path):
    for d in ('nbs', 'course_utils'): shutil.copytree(ROOT/d, tmp_path/'c'/d, ignore=shutil.ignore_patterns('__pycache__', '.*'))
    for f in ('settings.ini', 'pyproject.toml'): shutil.copy(ROOT/f, tmp_path/'c')
    (tmp_path/'c'/'course_utils'/'config.py').open('a').write('# edited by hand\n')
    (tmp_path/'c'/'course_utils'/'left_over.py').write_text('')
    found = ' '.join(export_findings(tmp_path/'c', tmp_path/'w'))
    assert 'config.py' in found and 'left_over.py' in found and '_modidx' not in found


# ---- notebooks ----

class _Imgs(HTMLParser):
    def __init__(self): super().__init__(); self.without = 0
    def handle_starttag(self, tag, attrs):
        if tag == 'img' and not (dict(attrs).get('alt') or '').strip(): self.without += 1


def imgs_without_alt(html):
    p = _Imgs(); p.feed(html); p.close()
    return p.without


def notebook_findings(nb, name, is_lesson=False):
    "What a reader, a screen reader or a merge would trip over."
    out = []
    if 'widgets' in nb['metadata']: out.append('widget state is saved: GitHub refuses to show such notebooks')
    if clean(nb) != nb: out.append('outputs or metadata are not clean: run make tidy')
    if is_lesson and not any(c.get('outputs') for c in nb['cells']): out.append('a lesson without outputs')
    for n, c in enumerate(nb['cells'], 1):
        source = ''.join(c['source'])
        if c['cell_type'] == 'markdown':
            if n == 1 and re.search(r'^>.*\n\s*\S', source, re.M): out.append('cell 1: text after the summary, which nbdev leaves out of the site')
            if imgs_without_alt(source) or re.search(r'!\[\s*\]\(', source): out.append(f'cell {n}: a picture without alt text')
            for line in source.splitlines():
                # A published number names its source, by a link or in words, in the same line.
                if re.search(r'\b\d{1,3}\.\d+ ?%', line) and not re.search(r'\]\(|[Ss]ource|doi', line): out.append(f'cell {n}: a measured number typed by hand: {line.strip()[:80]}')
        for o in c.get('outputs', []):
            data = o.get('data', {})
            if o['output_type'] == 'error': out.append(f"cell {n}: an error, {o['ename']}")
            if WIDGET in data: out.append(f'cell {n}: a widget, which no published page can show')
            for mime in data:
                alt = o['metadata'].get(mime, {}).get('alt') or re.search(r'^#\|[ \t]*fig-alt:[ \t]*\S', source, re.M)
                if mime.startswith('image/') and not alt and not 'text/html' in data: out.append(f'cell {n}: a figure without alt text (#| fig-alt: …)')
            if imgs_without_alt(''.join(data.get('text/html', ''))): out.append(f'cell {n}: an <img> without alt text')
    return [f'{name}: {f}' for f in out]


@pytest.mark.parametrize('name', NOTEBOOKS)
def test_notebook(name):
    is_lesson = re.match(r'nbs/\d[^/]*\.ipynb$', name)
    assert not notebook_findings(nbformat.read(ROOT/name, 4), name, is_lesson)


def good_notebook():
    v4 = nbformat.v4
    code = v4.new_code_cell('#| fig-alt: two lines that part\nplot()', outputs=[
        v4.new_output('display_data', {'image/png': 'aGk='}), v4.new_output('stream', name='stdout', text='1\n'),
        v4.new_output('display_data', {'text/html': '<img src="x" alt="a cell">'})])
    text = v4.new_markdown_cell('# T\n\nThey report 85.0 % ([source](https://example.org)). ![a cell](x.png)')
    return v4.new_notebook(cells=[text, code], metadata=copy.deepcopy(KERNEL))


def set_widgets(nb): nb.metadata['widgets'] = {}
def set_view(nb): nb.cells[1].outputs[2].data[WIDGET] = {}
def set_error(nb): nb.cells[1].outputs.append(nbformat.v4.new_output('error', ename='ValueError', evalue='', traceback=[]))
def set_stderr(nb): nb.cells[1].outputs[1]['name'] = 'stderr'
def set_count(nb): nb.cells[1]['execution_count'] = 3
def set_time(nb): nb.cells[1].metadata['execution'] = {'iopub.status.busy': '2026-01-01'}
def set_address(nb): nb.cells[1].outputs[1]['text'] = '<object object at 0x7f0123456789>'
def no_outputs(nb): nb.cells[1]['outputs'] = []
def no_fig_alt(nb): nb.cells[1]['source'] = 'plot()'
def empty_fig_alt(nb): nb.cells[1]['source'] = '#| fig-alt:\nplot()'
def no_img_alt(nb): nb.cells[1].outputs[2].data['text/html'] = '<p><img src="x"></p>'
def empty_img_alt(nb): nb.cells[1].outputs[2].data['text/html'] = '<img src="x" alt=" ">'
def no_md_alt(nb): nb.cells[0]['source'] += '\n![](x.png)'
def text_in_title(nb): nb.cells[0]['source'] = '# T\n\n> Summary.\n\nMore.'
def typed_number(nb): nb.cells[0]['source'] += '\n\nWe reach 93.4 % here.'


def test_a_good_notebook_has_no_findings(): assert not notebook_findings(good_notebook(), 'good', True)


@pytest.mark.parametrize('spoil, finding', [
    (set_widgets, 'widget state'), (set_view, 'a widget'), (set_error, 'an error'), (set_stderr, 'not clean'), (set_count, 'not clean'),
    (set_time, 'not clean'), (set_address, 'not clean'), (no_outputs, 'without outputs'), (no_fig_alt, 'a figure without alt'),
    (empty_fig_alt, 'a figure without alt'), (no_img_alt, '<img> without alt'), (empty_img_alt, '<img> without alt'),
    (no_md_alt, 'a picture without alt'), (typed_number, 'typed by hand'), (text_in_title, 'after the summary')], ids=lambda x: getattr(x, '__name__', ''))
def test_notebook_guard_bites(spoil, finding):
    nb = good_notebook()
    spoil(nb)
    assert finding in ' '.join(notebook_findings(nb, 'bad', True))


# ---- files ----

PATHS = re.compile(r'(?<![\w.~-])/(?:root|work|home|tmp)/')
INDEX = re.compile(r'pypi\.org|pythonhosted\.|download\.pytorch\.org|--(?:extra-)?index-url|--find-[l]inks|https?://[^\s"]*/simple\b')
PICTURES = ('.png', '.jpg', '.jpeg', '.webp', '.gif', '.bmp', '.tif', '.tiff', '.tar', '.gz', '.zip')


def file_findings(name, text):
    "What belongs to one machine. Text in notebooks is searched as it is stored, outputs included."
    out = [f'{name}: a path of one machine: {m.group()}' for m in PATHS.finditer(text)]
    return out + [f'{name}: an address of a package index: {m.group()}' for m in INDEX.finditer(text)]


def picture_findings(names):
    "Pictures are made by the course, and lie in one place; data sets are fetched, never committed."
    return [f'{n}: pictures and archives are not committed outside nbs/images' for n in names
            if n.lower().endswith(PICTURES) and not n.startswith('nbs/images/')]


def test_files():
    found = picture_findings(git_files())
    for f in git_files():
        try: found += file_findings(f, (ROOT/f).read_text(encoding='utf-8'))
        except UnicodeDecodeError: pass
    assert not found


@pytest.mark.parametrize('text', ['x = "/' + 'root/a"', 'see /' + 'work/b', '(/' + 'home/me/c)', "'/" + "tmp/x'", 'file:///' + 'tmp/x',
                                  'https://pypi' + '.org/project/x', 'https://files.python' + 'hosted.org/x', '--index' + '-url x', 'http://localhost:1/x/sim' + 'ple/'])
def test_file_guard_bites(text): assert file_findings('f', text)


@pytest.mark.parametrize('text', ['../shared/work/x', 'nbs/home/x', 'https://example.org/home/x', 'Shift+Enter', '~/work/x', 'a/tmp/b'])
def test_file_guard_lets_pass(text): assert not file_findings('f', text)


def test_picture_guard_bites(): assert len(picture_findings(['nbs/images/a.webp', 'tests/a.JPG', 'a.tar.gz', 'nbs/x.py'])) == 2


# ---- versions ----

def constraint_findings(text, installed):
    "Every line a version, and every installed package at its version."
    lines = [l for l in text.splitlines() if l and not l.startswith('#')]
    out = [f'not name==version: {l}' for l in lines if not re.fullmatch(r'[A-Za-z0-9._-]+==[A-Za-z0-9.!+_-]+', l)]
    norm = lambda n: re.sub(r'[-_.]+', '-', n).lower()
    locked = {norm(l.split('==')[0]): l.split('==')[1] for l in lines if '==' in l}
    own = {'pip', 'setuptools', 'wheel', 'course-utils'}
    return out + [f'{n} is {v}, constraints.txt says {locked.get(norm(n))}' for n, v in installed if norm(n) not in own and locked.get(norm(n)) != v]


def test_constraints():
    # A package that pytest's own start put on the path twice is the same package.
    assert not constraint_findings((ROOT/'constraints.txt').read_text(), sorted({(d.metadata['Name'], d.version) for d in distributions()}))


def test_constraint_guard_bites():
    good = '# why\nTorch_Vision==1.0\n'
    assert not constraint_findings(good, [('torch-vision', '1.0'), ('pip', '9')])
    assert constraint_findings(good, [('torch-vision', '1.1')]) and constraint_findings(good, [('new', '1')])
    for bad in ('a>=1', 'a @ https://x/y.whl', '-e .', 'a'): assert constraint_findings(bad, [])


# ---- pages that are written by hand ----

def sidebar_findings(folder):
    "Every notebook is in the sidebar, and every entry is a notebook."
    config = yaml.safe_load((folder/'_quarto.yml').read_text())
    def entries(x):
        for e in x:
            if isinstance(e, str): yield e
            elif 'contents' in e: yield from entries(e['contents'])
            else: yield e['href']
    listed = list(entries(config['website']['sidebar']['contents']))
    there = [p.relative_to(folder).as_posix() for p in (folder/'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts]
    out = [f'{n} is not in the sidebar of _quarto.yml' for n in sorted(set(there) - set(listed))]
    out += [f'_quarto.yml lists {n}, which is not there' for n in sorted(set(listed) - set(there))]
    order = [n for n in listed if re.match(r'nbs/\d', n)]
    return out + ([] if order == sorted(order) else ['the lessons are out of order in the sidebar'])


def test_sidebar(): assert not sidebar_findings(ROOT)


def test_sidebar_guard_bites(tmp_path):
    (tmp_path/'nbs').mkdir()
    for n in ('00_a', '01_b', '02_c'): (tmp_path/'nbs'/f'{n}.ipynb').touch()
    side = [dict(section='Lessons', contents=['nbs/01_b.ipynb', 'nbs/00_a.ipynb', 'nbs/09_z.ipynb'])]
    (tmp_path/'_quarto.yml').write_text(yaml.safe_dump(dict(website=dict(sidebar=dict(contents=side)))))
    found = ' '.join(sidebar_findings(tmp_path))
    assert '02_c.ipynb is not in' in found and '09_z.ipynb, which is not' in found and 'out of order' in found


def link_findings(folder, name, text):
    "Links to files of the course that are not there."
    links = re.findall(r'\]\(([^)#\s]+)[^)]*\)', text)
    return [f'{name}: no {l}' for l in links if not re.match(r'[a-z]+:', l) and not (folder/name).parent.joinpath(l).exists()]


@pytest.mark.parametrize('name', ['README.md', 'CONTRIBUTING.md', *NOTEBOOKS])
def test_links(name):
    text = (ROOT/name).read_text()
    if name.endswith('.ipynb'): text = '\n'.join(''.join(c['source']) for c in json.loads(text)['cells'] if c['cell_type'] == 'markdown')
    assert not link_findings(ROOT, name, text)


def test_link_guard_bites():
    assert link_findings(ROOT, 'README.md', '[a](LICENSE) [b](nbs/none.ipynb#x) ![c](no.png) [d](https://example.org) [e](#here)') == ['README.md: no nbs/none.ipynb', 'README.md: no no.png']


def length_findings(text): return ['longer than a page'] if len(text.splitlines()) > 60 or len(text.split()) > 650 else []


def test_contributing_is_one_page(): assert not length_findings((ROOT/'CONTRIBUTING.md').read_text())
def test_length_guard_bites(): assert length_findings('a\n'*61) and length_findings('a '*651) and not length_findings('a\n'*60)


def test_readme_table(): assert readme.in_sync(), 'the table of lessons is out of date: run make readme'


def test_readme_table_says_what_was_measured(tmp_path):
    for d in ('nbs', 'results'): (tmp_path/d).mkdir()
    for n in ('00_a', '01_b'): nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(f'# Title {n}\n\n> Learns {n}.')]), tmp_path/'nbs'/f'{n}.ipynb')
    (tmp_path/'README.md').write_text('before\n' + ''.join(f'{readme.mark(w, False)}\nold\n{readme.mark(w, True)}\nafter\n' for w in readme.TABLES))
    assert not readme.in_sync(tmp_path)
    (tmp_path/'results'/'lessons.json').write_text('{"00_a": {"cpu": {"seconds": 90}, "smoke": {"seconds": 9}}}')
    (tmp_path/'results'/'lesson_00.json').write_text('{"headline": "less overfitting"}')
    readme.update(tmp_path)
    text = (tmp_path/'README.md').read_text()
    assert text.startswith('before\n') and text.endswith('after\n') and 'old' not in text and readme.in_sync(tmp_path)
    assert '| [Title 00_a](nbs/00_a.ipynb) | Learns 00_a. | 1.5 | less overfitting |\n| [Title 01_b](nbs/01_b.ipynb) | Learns 01_b. | — | — |' in text
    assert 'Not measured yet' in text
    (tmp_path/'results'/'lessons.json').write_text('{}')
    assert not readme.in_sync(tmp_path)


def test_readme_shows_the_ladder(tmp_path):
    (tmp_path/'results').mkdir()
    rows = [dict(rung='baseline', accuracy=.75, minutes=.5), dict(rung='+ x', accuracy=.8, minutes=1., gain=.05, low=-.01, high=.1)]
    (tmp_path/'results'/'lesson_09.json').write_text(json.dumps(dict(runs={'solar cpu': dict(ladder=rows)})))
    assert readme.ladder(tmp_path).splitlines()[2:] == ['| baseline | 75.0% | — | — | 0.5 |', '| + x | 80.0% | +5.0% | -1.0% to +10.0% | 1.0 |']


def test_lessons_are_numbered_from_nought():
    assert [int(p.stem[:2]) for p in lessons()] == list(range(len(lessons())))
