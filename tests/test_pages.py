"""The course home and the cheat sheet: what they draw from results/, and that every line of the sheet runs."""
import ast, inspect, json, re
from dataclasses import replace

import nbformat
import numpy as np
import pytest
import yaml
from PIL import Image

from course_utils.data.sources import photo
from data_scripts.lessons.notebooks import ROOT, list_notebooks

NBS = ROOT/'nbs'


def cells(name, kind='code'): return [c.source for c in nbformat.read(NBS/f'{name}.ipynb', 4).cells if c.cell_type == kind and not c.id.startswith('door')]


def run_cells(sources, ns):
    "Runs cells as a kernel does: the value of a cell's last line is shown."
    shown = []
    ns.setdefault('display', shown.append)
    for source in sources:
        tree = ast.parse(source)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, 'cell', 'exec'), ns)
        if last and (value := eval(compile(ast.Expression(last.value), 'cell', 'eval'), ns)) is not None: shown.append(value)
    return shown


# ---- the cheat sheet ----

SHEET = next(s for s in cells('cheat_sheet', 'markdown') if s.startswith('## From what you see'))
ROWS = [[c.strip() for c in row.strip('|').split('|')] for row in SHEET.splitlines() if row.startswith('|')][2:]
LINES = [line for row in ROWS for line in re.findall('<br>`([^`]+)`', row[1])]


@pytest.fixture(scope='module')
def sheet():
    "What the sheet's imports give."
    ns = {}
    exec(cells('cheat_sheet')[0], ns)
    return ns


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    "A folder of two classes of small photographs."
    folder, rng = tmp_path_factory.mktemp('data')/'small', np.random.default_rng(0)
    for name in ('chelsea', 'coffee'):
        (folder/name).mkdir(parents=True)
        whole = photo(name, 120)
        for i in range(12):
            y, x = rng.integers(0, 50, 2)
            Image.fromarray(whole[y:y + 64, x:x + 64]).save(folder/name/f'{i}.png')
    return folder


@pytest.mark.slow
def test_every_line_of_the_sheet_runs(sheet, small, tmp_path):
    "In their order, in one kernel, as they stand; only the epochs are cut to one."
    assert len(LINES) == len(ROWS) >= 18
    with pytest.MonkeyPatch.context() as m:
        for name, value in dict(COURSE_DATA=small, COURSE_CACHE=tmp_path, COURSE_PROFILE='smoke').items(): m.setenv(name, str(value))
        train = sheet['train']
        def train_one_epoch(pics, recipe, **options):
            return train(pics, replace(recipe, epochs=1), quiet=True, **options)
        def objective(trial): return trial.suggest_float('x', 0, 1)
        ns = dict(sheet, arch='tf_efficientnet_lite0', objective=objective, train=train_one_epoch)
        shown = {line: run_cells([line], ns) for line in LINES}
    assert all(shown[line] for line in LINES if not re.match(r'\w+ = ', line)), 'a line without a value teaches nothing'


@pytest.mark.parametrize('line', ['train(pics, replace(recipe, smoothing=.1))', 'train(pics, arch, 8)', 'find_rate(pics)', 'tta(run.model)'])
def test_a_line_that_is_out_of_date_fails(line, sheet, small, monkeypatch):
    monkeypatch.setenv('COURSE_DATA', str(small))
    ns = dict(sheet, arch='regnetx_002', recipe=sheet['Recipe']('regnetx_002', 1), pics=sheet['load_pictures'](size=32, cache=False), run=type('Run', (), dict(model=None)))
    with pytest.raises((TypeError, NameError)): run_cells([line], ns)


def test_every_row_names_a_lesson_that_is_there():
    named = [re.findall(r'\[lesson (\d\d)\]\((\d\d_\w+\.ipynb)\)', row[1]) for row in ROWS]
    assert all(len(n) == 1 and n[0][1].startswith(n[0][0]) and (NBS/n[0][1]).exists() for n in named)
    assert {n[0][0] for n in named} >= {p.name[:2] for p in list_notebooks()}


def test_the_calls_are_as_the_modules_have_them(sheet):
    nb = nbformat.read(NBS/'cheat_sheet.ipynb', 4)
    cell = next(c for c in nb.cells if c.cell_type == 'code' and 'inspect.signature' in c.source)
    fresh = run_cells([cell.source], dict(sheet))[0].data
    assert ''.join(cell.outputs[0].data['text/markdown']) == fresh, 'the table of calls is out of date: make lessons ONLY=cheat_sheet PROFILE=cpu SAVE=1'
    for name in ('train', 'lr_find', 'tta'):
        row = re.search(rf'`{name}\((.*?)\)`:', fresh)[1]
        assert all(p in row for p in inspect.signature(sheet[name]).parameters if p != 'kwargs')


# ---- what both draw from the ladder ----

@pytest.fixture
def ladder(tmp_path, monkeypatch):
    "Writes a ladder as `make ladder` does: rung → share of pictures named right."
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path))
    monkeypatch.setenv('COURSE_PROFILE', 'smoke')
    rng = np.random.default_rng(0)
    def write(rungs):
        runs, hard = {}, rng.random((5, 300))
        for arm, share in rungs.items():
            for fold in range(5):
                hit = hard[fold] + rng.normal(0, .02, 300) < share
                runs[f'{arm} {fold}'] = dict(settings=dict(arm=arm, seed=fold, fold=fold), right=''.join(map(str, hit.astype(int))), loss=list(np.where(hit, .2, 1.5)),
                                             seconds=60., data='solar cpu', device='CPU, 2 threads', date='2026-01-01', versions=dict(torch='2'))
        (tmp_path/'ladder.json').write_text(json.dumps(dict(runs=runs)))
    return write


def recipe(sheet):
    return run_cells([s for s in cells('cheat_sheet') if 'tables' in s], dict(sheet))


def test_the_sheet_says_what_is_clear_and_advises_against_nothing(ladder, sheet, capsys):
    ladder({'baseline': .6, '+ augmentation': .7, '+ transfer': .7, '+ found rate': .6, '+ one-cycle': .8})
    table = recipe(sheet)[0]
    printed = capsys.readouterr().out
    assert 'Solar cells, from ' in printed
    assert 'eft out' not in printed
    assert list(table.index) == ['+ augmentation', '+ transfer', '+ found rate', '+ one-cycle']
    verdicts = [words.partition('), ')[2].partition(';')[0] for words in table['solar cells']]
    assert verdicts == ['better', 'not clear', 'worse', 'better']


CASE_TITLES = ['Cats and dogs', 'Dog breeds', 'CIFAR', 'Rock, paper, scissors']


def test_without_a_ladder_both_pages_say_so(tmp_path, monkeypatch, sheet, capsys):
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path))
    sentence = 'Not measured yet: make ladder\n'
    assert sheet['ladder_measured_on']() + '\n' == sentence
    assert recipe(sheet) == []
    assert capsys.readouterr().out == sentence
    minutes, case_table = run_cells(cells('index')[1:], {})
    assert capsys.readouterr().out == sentence
    assert [type(shown).__name__ for shown in (minutes, case_table)] == ['Markdown'] * 2
    assert case_table.data.splitlines()[2:] == [f'| {case} | — | — | — | — | ' for case in CASE_TITLES], 'what was not run stays empty'


def test_the_home_page_draws_the_ladder_and_the_minutes(ladder, tmp_path, capsys):
    ladder({'baseline': .6, '+ augmentation': .7, '+ transfer': .8})
    (tmp_path/'lessons.json').write_text(json.dumps({'00_overfitting': dict(cpu=dict(seconds=90), smoke=dict(seconds=9)), '03_lr_finder': dict(cpu=dict(seconds=150)), '04_sgdr': {}}))
    (tmp_path/'lesson_03.json').write_text('{"headline": "it falls"}')
    row = dict(accuracy=.5, low=.4, high=.6, data='20 + 10', minutes=2)
    (tmp_path/'case_dog_breeds.json').write_text(json.dumps(dict(runs=dict(cpu=dict(source='dog_breeds', table=dict(reproduction=row, course=row))))))
    figure, minutes, case_table = run_cells(cells('index')[1:], {})
    assert '| Dog breeds | 50.0% (40.0% to 60.0%) | 50.0% (40.0% to 60.0%) | 20 + 10 of dog_breeds | 2 | ' in case_table.data.splitlines()
    printed = capsys.readouterr().out
    assert re.search(r'Solar cells, from (5\d|6\d)\.\d% at the bottom to (7\d|8\d)\.\d% at the top: \+.+, better, 1\.0 minutes a training', figure.alt)
    assert 'Solar cells, from' in printed
    assert re.search(r'  \+ transfer: \+\d+\.\d% \(.+\), better', printed)
    assert '5 folds' in printed
    assert minutes.data.splitlines()[2:] == ['| [00](00_overfitting.ipynb) | 1.5 | — |', '| [03](03_lr_finder.ipynb) | 2.5 | it falls |', '| all | 4 | |']


# ---- the home page and the README say the same ----

def test_home_and_readme_name_the_same_commands_and_lessons():
    home, readme = '\n'.join(cells('index', 'markdown')), (ROOT/'README.md').read_text()
    commands = lambda text: re.findall(r'^(make \w+) +#', text, re.M)
    assert commands(home) == commands(readme) == ['make lab', 'make test']
    listed = re.findall(r'^\d+\. \[.+?\]\((\w+\.ipynb)\)', home, re.M)
    assert listed == [p.name for p in list_notebooks()]
    assert all(f'(nbs/{n})' in readme for n in listed)


# ---- the pictures that stand for the site ----

def test_favicon_and_card_are_there_and_named():
    site = yaml.safe_load((ROOT/'_quarto.yml').read_text())['website']
    card = ROOT/site['image'].removeprefix('/')  # without the stroke smalldocs would look beside each page
    assert Image.open(card).size == (1200, 630)
    assert card.stat().st_size < 300_000
    assert (ROOT/site['favicon']).read_text().startswith('<svg')
    assert site['open-graph']
    assert site['twitter-card']['card-style'] == 'summary_large_image'


def test_the_card_is_drawn_from_the_title():
    from data_scripts.site.card import draw_card
    card = draw_card(dict(title='One two', description='three four five six'))
    assert card.size == (1200, 630)
    assert card.tobytes() == draw_card(dict(title='One two', description='three four five six')).tobytes()
    assert card.tobytes() != draw_card(dict(title='Another', description='three four five six')).tobytes()
