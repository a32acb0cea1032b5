"""The case studies: each runs on a stand-in of its data set, says what to do without it, and publishes no photograph of others."""
import json, re

import nbformat
import numpy as np, pandas as pd
import pytest
from PIL import Image

from course_utils.report import cases as C, results
from course_utils.data import decode
from course_utils.config import CourseError
from course_utils.data.pictures import load_pictures
from course_utils.data.sources import photo
from course_utils.data.split import stratified_split
from course_utils.report.stats import Seeds
from course_utils.show.figures import show
from data_scripts.lessons import command, notebooks, run as runner, timetable

CASES = notebooks.list_notebooks('cases')
IMAGE = re.compile(r'<img|data:image')


# ---- stand-ins: as `make data` leaves them, of a few crops of scikit-image's photographs ----

def write_set(folder, counts, files='{c}_{i}'):
    "Class folders in parts, and about.json. `counts`: part → pictures a class; `files`: class → beginning of its files' names."
    rng = np.random.default_rng(0)
    classes = files if isinstance(files, dict) else {c: c for c in files}
    for part, n in counts.items():
        for k, (c, start) in enumerate(classes.items()):
            (folder/part/c).mkdir(parents=True)
            whole = np.roll(photo(('chelsea', 'coffee', 'astronaut', 'rocket')[k % 4], 200), k // 4, 2)
            for i in range(n):
                y, x = rng.integers(0, 100, 2)
                Image.fromarray(whole[y:y + 96, x:x + 96]).save(folder/part/c/f'{start}_{part}{i}.jpg')
    n = sum(counts.values()) * len(classes)
    facts = dict(title=f'Stand-in for {folder.name}', pictures=n, subset=True, licence='CC0', page='', beside=['trimaps'])
    (folder/'about.json').write_text(json.dumps(facts))


@pytest.fixture(scope='session')
def stand_ins(tmp_path_factory):
    top = tmp_path_factory.mktemp('data sets')
    write_set(top/'cats_dogs', dict(train=20, valid=10, test=2), ('Cat', 'Dog'))
    write_set(top/'rock_paper_scissors', dict(train=16, test=8), ('paper', 'rock', 'scissors'))
    breeds = dict(Chihuahua='n02085620', beagle='n02088364', boxer='n02108089', pug='n02110958', borzoi='n02090622', dingo='n02115641')
    write_set(top/'dog_breeds', dict(train=10, test=4), breeds)
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
    nb, seconds = runner.run_notebook(path, 'smoke', fresh=True, scratch=tmp_path/'run')
    print(f'{path.stem}: {seconds:.1f} s')
    assert not published_findings(nb, path.stem)
    kept = json.loads((tmp_path/'run'/'results'/f'case_{path.stem}.json').read_text())['runs']['smoke']
    assert kept['subset'] is True
    assert kept['pictures'] > 0
    for kind in ('reproduction', 'course'):
        row = kept['table'][kind]
        assert 0 <= row['low'] <= row['accuracy'] <= row['high'] <= 1, kind
        assert row['seeds'] == 1, kind
        assert row['minutes'] > 0, kind
        assert row['device'], kind
        assert row['data'], kind


def test_without_its_pictures_a_case_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('COURSE_DATA_DIR', str(tmp_path/'none'))
    monkeypatch.setenv('COURSE_CACHE', str(tmp_path/'cache'))
    with pytest.raises(CourseError, match=r'^Nothing was run. The pictures of cats_dogs have not been fetched: make data NAME=cats_dogs fetches them'):
        command.main(['--only', 'cats_dogs', '--profile', 'smoke'])
    assert capsys.readouterr().out.startswith('cats_dogs was not run. The pictures of cats_dogs have not been fetched')


@pytest.mark.parametrize('path', CASES, ids=lambda p: p.stem)
def test_the_first_cell_asks_for_the_pictures(path):
    "So that one without them ends there, before anything was computed."
    code = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == 'code' and cell.id != 'door']
    first = next(cell.source for cell in code if not cell.source.startswith('#| default_exp'))
    assert f"case_card('{path.stem}'" in first


# ---- nothing of others is published ----

PHOTOGRAPHS = re.compile(r'\b(grid|photo|fromarray|analyse|map_grid|overlay|view_explorer|maps_explorer|imshow|Explorer|gallery|maps_gallery|error_page|top_losses_page)\(|show\([\w.]*\.x\b')
DRAWN = re.compile(r'\b(curves|dots|show)\(')

def published_findings(nb, name):
    "Photographs in outputs, or cells that would put them there. A picture of a case is a drawing of numbers, or wrapped in `learner_only`."
    out, holders = [], set()
    for n, c in enumerate(nb['cells'], 1):
        if c['cell_type'] != 'code': continue
        source = ''.join(c['source'])
        outputs = c.get('outputs', [])
        kinds = [kind for output in outputs for kind in output.get('data', {})]
        images = bool(IMAGE.search(json.dumps(outputs))) or any(kind.startswith('image/') for kind in kinds)
        code = '\n'.join(l for l in source.splitlines() if not re.match(r'\s*(from|import|def) ', l))
        wrapped = 'learner_only(' in code
        if images and (wrapped or not DRAWN.search(code)): out.append(f'{name}, cell {n}: an output with a picture that may be a photograph')
        # A name that holds photographs may be made anywhere; shown, it is wrapped.
        holders |= {m.group(1) for l in code.splitlines() if (m := re.match(r'(\w+)(?:, \w+)* = ', l)) and PHOTOGRAPHS.search(l)}
        last = code.strip().splitlines()[-1:] or ['']
        if not wrapped and (any(PHOTOGRAPHS.search(l) and not re.match(r'\s*\w+(, \w+)* = ', l) for l in code.splitlines())
                            or last[0] in holders or re.search(rf"(show|display)\(({'|'.join(holders) or '-'})\b", code)):
            out.append(f'{name}, cell {n}: shows photographs without learner_only')
    return out


@pytest.mark.parametrize('path', CASES, ids=lambda p: p.stem)
def test_nothing_of_others_is_published(path): assert not published_findings(nbformat.read(path, 4), path.stem)


def cell(source, html=''):
    "A notebook of code cells, parted by ---; the last has an output."
    cells = [nbformat.v4.new_code_cell(part) for part in source.split('\n---\n')]
    if html: cells[-1].outputs = [nbformat.v4.new_output('display_data', {'text/html': html})]
    return nbformat.v4.new_notebook(cells=cells)

IMG = '<img alt="a" src="data:image/webp;base64,aGk=">'

@pytest.mark.parametrize('source, html', [
    ("learner_only(show(grid(pics.x), 'a'))", IMG), ('pics.x[0]', IMG), ("show(grid(pics.x), 'a')", ''), ('e = analyse(r, pics)\ne', ''), ("show(pics.x[0], 'a')", ''),
    ('e = analyse(r, pics)\n---\ne', ''), ("rows = map_grid(x, m)\n---\nshow(rows, 'a')", ''), ("ax.imshow(pics.x[0])\nshow(fig, 'a')", ''), ('display(e)', IMG)])
def test_the_guard_finds_photographs(source, html): assert published_findings(cell(source, html), 'a')


@pytest.mark.parametrize('source, html', [
    ("learner_only(show(grid(pics.x), 'a'))", '<p>text</p>'), ("show(fig, 'a')", IMG), ('curves(run)', IMG), ('e = analyse(r, pics)\ne.matrix', '<table></table>'),
    ('e = analyse(r, pics)\n---\nlearner_only(e)', ''), ('from course_utils.data import grid', ''), ("rows = map_grid(x, m)\nlearner_only(show(rows, 'a'))", '')])
def test_the_guard_lets_drawings_pass(source, html): assert not published_findings(cell(source, html), 'a')


def test_pictures_are_drawn_for_a_learner_and_not_for_the_site(monkeypatch):
    thing = C.learner_only(show(photo(size=32), 'A cat.'))
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
    assert row['accuracy'] == .625
    assert row['low'] <= .625 <= row['high']
    assert row['low'] < row['high']
    assert (row['data'], row['minutes'], row['seeds'], row['what']) == ('1,500 + 4', 1.5, 2, 'a network; 64 px')
    assert row['device']
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
    assert [i[0] for i in t.index] == ['article', *['reproduction', 'course'] * 2]
    assert 'this run' in t.index[1][1]
    assert 'this run' not in t.index[3][1]
    assert list(t.minutes) == ['', '1.2', '', '', '1.2']
    assert t.seeds.iloc[1] == '2'
    assert t.low.iloc[1] == '40.0%'
    assert (t.iloc[2] == '').all()
    assert (t.iloc[3] == '').all()
    kept = json.loads((tmp_path/'case_probe.json').read_text())['runs']
    assert kept.keys() == {'smoke', 'gpu'}
    assert kept['gpu']['more'] == 1
    assert kept['gpu']['pictures'] == 1504


def test_means_are_those_of_each_name_with_their_intervals():
    rng = np.random.default_rng(0)
    values = {'all alike': np.full(50, .25), 'spread': rng.random(400)}
    table = C.means(values)
    assert list(table.columns) == ['mean', 'low', 'high']
    assert list(table.index) == list(values)
    assert table.loc['all alike'].tolist() == [.25, .25, .25]
    mean, low, high = table.loc['spread']
    half = 1.96 * values['spread'].std() / 20  # of the normal interval
    assert mean == values['spread'].mean()
    assert abs(low - (mean - half)) < .25 * half
    assert abs(high - (mean + half)) < .25 * half


@pytest.mark.parametrize('profile, words', [('cpu', 'over pictures, of one seed'), ('gpu', 'over 3 seeds and pictures')])
def test_words_say_what_an_interval_is_over(profile, words, monkeypatch):
    monkeypatch.setenv('COURSE_PROFILE', profile)
    assert C.interval_words() == words


def test_numbers_of_a_table_are_json():
    table = pd.DataFrame(dict(gain=[.5, 1], words=['a', 'b']), index=pd.MultiIndex.from_tuples([('x', 'y'), ('z', 'y')]))
    assert C.table_numbers(table) == {'x against y': dict(gain=.5), 'z against y': dict(gain=1.)}
    assert C.table_numbers(pd.DataFrame(dict(n=[3]), index=[.05])) == {'0.05': dict(n=3.)}


def test_nothing_is_recorded_in_a_learners_session(tmp_path, monkeypatch):
    monkeypatch.delenv('COURSE_RESULTS', raising=False)
    monkeypatch.setattr(results, 'results_dir', lambda: tmp_path)
    C.record_case('probe', Few(), {})
    assert not list(tmp_path.iterdir())


# ---- finding the pictures ----

def test_a_stand_in_is_taken_only_where_the_set_itself_is_missing(stand_ins, monkeypatch):
    monkeypatch.setenv('COURSE_DATA_DIR', str(stand_ins))
    assert C.case_source('cats_dogs') == C.case_source('cats_dogs', ('pets',)) == 'cats_dogs'
    assert C.case_source('cifar100', ('cifar10',)) == 'cifar10'
    with pytest.raises(C.NotFetched, match='make data NAME=cifar100 fetches them'): C.case_source('cifar100')


def test_the_card_says_subset_and_licence(stand_ins, monkeypatch):
    monkeypatch.setenv('COURSE_DATA_DIR', str(stand_ins))
    rows = C.case_card('cats_dogs', 'an article', 'need', 'able').rows
    assert rows['Pictures'] == 'Stand-in for cats_dogs: subset, 64 pictures.'
    assert rows['Licence'].startswith('CC0')
    assert rows['Article'] == 'an article'


def test_cases_run_when_they_are_asked_for():
    assert CASES
    assert all(map(notebooks.is_case, CASES))
    assert not any(map(notebooks.is_case, notebooks.list_notebooks()))
    assert [p.stem for p in notebooks.list_notebooks('cats_dogs')] == [p.stem for p in notebooks.list_notebooks('cases/cats_dogs')] == ['cats_dogs']
    assert timetable.budget_s(CASES[0], 'cpu') == 600
    assert not timetable.over_budget(599, 'cpu', 600)
    assert timetable.over_budget(601, 'cpu', 600)


# ---- a limited set is not decoded whole ----

def test_limit_chooses_before_it_decodes_and_chooses_the_same(stand_ins, tmp_path, monkeypatch):
    monkeypatch.setenv('COURSE_DATA_DIR', str(stand_ins))
    write_set(tmp_path/'no split', {'': 15}, ('a', 'b', 'c'))
    for name in ('dog_breeds', str(tmp_path/'no split')):
        whole = load_pictures(name, 32, cache=False)
        read, read_picture = [], decode.read_picture
        with monkeypatch.context() as m:
            m.setattr(decode, 'read_picture', lambda path, size: read.append(path) or read_picture(path, size))
            few = load_pictures(name, 32, limit=14, cache=False)
        strata = whole.table.stratum + whole.table.split
        same = whole.take(np.flatnonzero(stratified_split(strata, 14 / len(whole))))
        assert len(read) == len(few) < len(whole)
        assert (few.x == same.x).all()
        assert few.table.equals(same.table)


def test_a_case_that_was_not_run_is_dashes(tmp_path):
    assert set(C.case_in_words('cats_dogs', tmp_path).values()) == {'—'}
    assert list(C.case_in_words('cats_dogs', tmp_path)) == C.CASE_WORDS
