"""The case studies: each runs on a stand-in of its data set, says what to do without it, and publishes no photograph of others."""
import json, re

import nbformat
import numpy as np
import pytest
from PIL import Image

from course_utils.report import cases as C
from course_utils.data import pictures as D
from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.data.sources import photo
from course_utils.data.split import stratified_split
from course_utils.report.stats import Seeds
from course_utils.show.figures import show
from data_scripts.lessons.run import run as L

CASES = L.lessons('cases')
IMAGE = re.compile(r'<img|data:image')


# ---- stand-ins: as `make data` leaves them, of a few crops of scikit-image's photographs ----

def write_set(folder, counts, files='{c}_{i}'):
    "Class folders in parts, and about.json. `counts`: part → pictures a class; `files`: class → beginning of its files' names."
    rng, classes = np.random.default_rng(0), files if isinstance(files, dict) else {c: c for c in files}
    for part, n in counts.items():
        for k, (c, start) in enumerate(classes.items()):
            (folder/part/c).mkdir(parents=True)
            whole = np.roll(photo(('chelsea', 'coffee', 'astronaut', 'rocket')[k % 4], 200), k // 4, 2)
            for i in range(n):
                y, x = rng.integers(0, 100, 2)
                Image.fromarray(whole[y:y + 96, x:x + 96]).save(folder/part/c/f'{start}_{part}{i}.jpg')
    n = sum(counts.values()) * len(classes)
    (folder/'about.json').write_text(json.dumps(dict(title=f'Stand-in for {folder.name}', pictures=n, subset=True, licence='CC0', page='', beside=['trimaps'])))


@pytest.fixture(scope='session')
def stand_ins(tmp_path_factory):
    top = tmp_path_factory.mktemp('data sets')
    write_set(top/'cats_dogs', dict(train=20, valid=10, test=2), ('Cat', 'Dog'))
    write_set(top/'rock_paper_scissors', dict(train=16, test=8), ('paper', 'rock', 'scissors'))
    write_set(top/'dog_breeds', dict(train=10, test=4), dict(Chihuahua='n02085620', beagle='n02088364', boxer='n02108089', pug='n02110958', borzoi='n02090622', dingo='n02115641'))
    write_set(top/'cifar10', dict(train=12, valid=4, test=4), ('airplane', 'bird', 'cat', 'dog', 'frog', 'truck'))
    write_set(top/'pets', dict(train=4, test=4), ('Abyssinian', 'american_bulldog'))
    (top/'pets'/'trimaps').mkdir()
    for p in (top/'pets').glob('t*/*/*.jpg'):
        mask = np.full((96, 96), 2, np.uint8)
        mask[30:70, 30:70] = 1
        Image.fromarray(mask).save(top/'pets'/'trimaps'/f'{p.stem}.png')
    return top


@pytest.mark.parametrize('path', CASES, ids=lambda p: p.stem)
def test_case(path, tmp_path, stand_ins, monkeypatch):
    monkeypatch.setenv('COURSE_DATA_DIR', str(stand_ins))
    nb, seconds = L.run(path, 'smoke', fresh=True, scratch=tmp_path/'run')
    print(f'{path.stem}: {seconds:.1f} s')
    assert not (over := L.over_budget(seconds, 'smoke', L.budget_s(path, 'smoke'))), over
    assert not published_findings(nb, path.stem)
    kept = json.loads((tmp_path/'run'/'results'/f'case_{path.stem}.json').read_text())['runs']['smoke']
    assert kept['subset'] is True and kept['pictures'] > 0
    for who in ('reproduction', 'course'):
        row = kept['table'][who]
        assert 0 <= row['low'] <= row['accuracy'] <= row['high'] <= 1 and row['seeds'] == 1 and row['minutes'] > 0 and row['device'] and row['data'], who


def test_without_its_pictures_a_case_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('COURSE_DATA_DIR', str(tmp_path/'none'))
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path/'cache'))
    with pytest.raises(CourseError, match=r'^Nothing was run. The pictures of cats_dogs have not been fetched: make data NAME=cats_dogs fetches them'):
        L.main(['--only', 'cats_dogs', '--profile', 'smoke'])
    assert capsys.readouterr().out.startswith('cats_dogs was not run. The pictures of cats_dogs have not been fetched')


@pytest.mark.parametrize('path', CASES, ids=lambda p: p.stem)
def test_the_first_cell_asks_for_the_pictures(path):
    "So that one without them ends there, before anything was computed."
    first = next(c.source for c in nbformat.read(path, 4).cells if c.cell_type == 'code' and not c.source.startswith('#| default_exp'))
    assert f"case_card('{path.stem}'" in first


# ---- nothing of others is published ----

PHOTOGRAPHS = re.compile(r'\b(grid|photo|fromarray|analyse|map_grid|overlay|view_explorer|maps_explorer|imshow|Explorer|_gallery|top_losses_page)\(|show\([\w.]*\.x\b')
DRAWN = re.compile(r'\b(curves|dots|show)\(')

def published_findings(nb, name):
    "Photographs in outputs, or cells that would put them there. A picture of a case is a drawing of numbers, or wrapped in `only_here`."
    out, holders = [], set()
    for n, c in enumerate(nb['cells'], 1):
        if c['cell_type'] != 'code': continue
        source, images = ''.join(c['source']), bool(IMAGE.search(json.dumps(c.get('outputs', [])))) or any(m.startswith('image/') for o in c.get('outputs', []) for m in o.get('data', {}))
        code = '\n'.join(l for l in source.splitlines() if not re.match(r'\s*(from|import|def) ', l))
        wrapped = 'only_here(' in code
        if images and (wrapped or not DRAWN.search(code)): out.append(f'{name}, cell {n}: an output with a picture that may be a photograph')
        # A name that holds photographs may be made anywhere; shown, it is wrapped.
        holders |= {m.group(1) for l in code.splitlines() if (m := re.match(r'(\w+)(?:, \w+)* = ', l)) and PHOTOGRAPHS.search(l)}
        last = code.strip().splitlines()[-1:] or ['']
        if not wrapped and (any(PHOTOGRAPHS.search(l) and not re.match(r'\s*\w+(, \w+)* = ', l) for l in code.splitlines())
                            or last[0] in holders or re.search(rf"(show|display)\(({'|'.join(holders) or '-'})\b", code)):
            out.append(f'{name}, cell {n}: shows photographs without only_here')
    return out


@pytest.mark.parametrize('path', CASES, ids=lambda p: p.stem)
def test_nothing_of_others_is_published(path): assert not published_findings(nbformat.read(path, 4), path.stem)


def cell(source, html=''):
    outputs = [nbformat.v4.new_output('display_data', {'text/html': html})] if html else []
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s, outputs=outputs if s == source.split('\n---\n')[-1] else []) for s in source.split('\n---\n')])

IMG = '<img alt="a" src="data:image/webp;base64,aGk=">'

@pytest.mark.parametrize('source, html', [
    ("only_here(show(grid(pics.x), 'a'))", IMG), ('pics.x[0]', IMG), ("show(grid(pics.x), 'a')", ''), ('e = analyse(r, pics)\ne', ''), ("show(pics.x[0], 'a')", ''),
    ('e = analyse(r, pics)\n---\ne', ''), ("rows = map_grid(x, m)\n---\nshow(rows, 'a')", ''), ("ax.imshow(pics.x[0])\nshow(fig, 'a')", ''), ('display(e)', IMG)])
def test_the_guard_finds_photographs(source, html): assert published_findings(cell(source, html), 'a')


@pytest.mark.parametrize('source, html', [
    ("only_here(show(grid(pics.x), 'a'))", '<p>text</p>'), ("show(fig, 'a')", IMG), ('curves(run)', IMG), ('e = analyse(r, pics)\ne.matrix', '<table></table>'),
    ('e = analyse(r, pics)\n---\nonly_here(e)', ''), ('from course_utils.data import grid', ''), ("rows = map_grid(x, m)\nonly_here(show(rows, 'a'))", '')])
def test_the_guard_lets_drawings_pass(source, html): assert not published_findings(cell(source, html), 'a')


def test_pictures_are_drawn_for_a_learner_and_not_for_the_site(monkeypatch):
    thing = C.only_here(show(photo(size=32), 'A cat.'))
    assert '<img' in thing._repr_mimebundle_()['text/html']
    monkeypatch.setenv('COURSE_RESULTS', 'somewhere')
    assert thing._repr_mimebundle_() == {'text/plain': 'A cat.\nPictures are shown when you run this: they are not ours to publish.'}


# ---- the table ----

class Few:
    "As much of `Pictures` as a row needs."
    train, valid, size, name = range(1500), range(4), 64, 'probe'
    def __len__(self): return 1504


def test_a_row_holds_what_was_measured():
    s = Seeds(np.array([[1., 1, 0, 0], [1, 1, 1, 0]]), np.zeros((2, 4)), 90.)
    row = C.measured_row(s, Few(), 'a network')
    assert row['accuracy'] == .625 and row['low'] <= .625 <= row['high'] and row['low'] < row['high']
    assert (row['data'], row['minutes'], row['seeds'], row['what']) == ('1,500 + 4', 1.5, 2, 'a network; 64 px') and row['device']
    assert C.measured_row(s, Few(), 'a network', minutes=7)['minutes'] == 7


def test_the_table_shows_what_was_measured_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path))
    row = lambda acc: dict(what='w', data='1 + 2', accuracy=acc, low=acc - .1, high=acc + .1, device='CPU', minutes=1.25, seeds=2)
    for name, acc in (('smoke', .3), ('gpu', .9)):
        monkeypatch.setenv('COURSE_PROFILE', name)
        C.record_case('probe', Few(), dict(course=row(acc)), more=1)
    monkeypatch.setenv('COURSE_PROFILE', 'cpu')
    t = C.case_table('probe', C.published('theirs', '16,000 + 4,000', .85), reproduction=row(.5))
    assert list(t.accuracy) == ['85.0%', '50.0%', '', '', '90.0%'], 'article, this run, and what was kept; smoke is no measurement'
    assert [i[0] for i in t.index] == ['article', *['reproduction', 'course'] * 2] and 'this run' in t.index[1][1] and 'this run' not in t.index[3][1]
    assert list(t.minutes) == ['', '1.2', '', '', '1.2'] and t.seeds.iloc[1] == '2' and t.low.iloc[1] == '40.0%'
    assert (t.iloc[2] == '').all() and (t.iloc[3] == '').all()
    kept = json.loads((tmp_path/'case_probe.json').read_text())['runs']
    assert kept.keys() == {'smoke', 'gpu'} and kept['gpu']['more'] == 1 and kept['gpu']['pictures'] == 1504


def test_nothing_is_recorded_in_a_learners_session(tmp_path, monkeypatch):
    monkeypatch.delenv('COURSE_RESULTS', raising=False)
    monkeypatch.setattr(C, 'results_dir', lambda: tmp_path)
    C.record_case('probe', Few(), {})
    assert not list(tmp_path.iterdir())


# ---- finding the pictures ----

def test_a_stand_in_is_taken_only_where_the_set_itself_is_missing(stand_ins, monkeypatch):
    monkeypatch.setenv('COURSE_DATA_DIR', str(stand_ins))
    assert C.case_source('cats_dogs') == C.case_source('cats_dogs', ('pets',)) == 'cats_dogs' and C.case_source('cifar100', ('cifar10',)) == 'cifar10'
    with pytest.raises(C.NotFetched, match='make data NAME=cifar100 fetches them'): C.case_source('cifar100')


def test_the_card_says_subset_and_licence(stand_ins, monkeypatch):
    monkeypatch.setenv('COURSE_DATA_DIR', str(stand_ins))
    rows = C.case_card('cats_dogs', 'an article', 'need', 'able').rows
    assert rows['Pictures'] == 'Stand-in for cats_dogs: subset, 64 pictures.' and rows['Licence'].startswith('CC0') and rows['Article'] == 'an article'


def test_cases_run_when_they_are_asked_for():
    assert CASES and all(map(L.is_case, CASES)) and not any(map(L.is_case, L.lessons()))
    assert [p.stem for p in L.lessons('cats_dogs')] == [p.stem for p in L.lessons('cases/cats_dogs')] == ['cats_dogs']
    assert L.budget_s(CASES[0], 'cpu') == 600 and not L.over_budget(599, 'cpu', 600) and L.over_budget(601, 'cpu', 600)


# ---- a limited set is not decoded whole ----

def test_limit_chooses_before_it_decodes_and_chooses_the_same(stand_ins, tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_DATA_DIR', str(stand_ins))
    write_set(tmp_path/'no split', {'': 15}, ('a', 'b', 'c'))
    for name in ('dog_breeds', str(tmp_path/'no split')):
        whole, read = load_pictures(name, 32, cache=False), []
        with monkeypatch.context() as m:
            m.setattr(D, 'read_picture', lambda p, size, of=D.read_picture: read.append(p) or of(p, size))
            few = load_pictures(name, 32, limit=14, cache=False)
        same = whole.take(np.flatnonzero(stratified_split(whole.table.stratum + whole.table.split, 14 / len(whole))))
        assert len(read) == len(few) < len(whole) and (few.x == same.x).all() and few.table.equals(same.table)
