"The cells of lessons that read measurements run whatever results/ holds: nothing, seeds of an old regime, a fold that is under way, all folds."
import json
from pathlib import Path

import nbformat
import numpy as np, pytest

from course_utils.config import CourseError
from course_utils.training.recipe import Recipe
from data_scripts.lessons import measured as shown_anew
from data_scripts.lessons.measured import READING_CELLS, show_measured

ROOT = Path(__file__).resolve().parent.parent
EXPERIMENTS = {  # lesson → what it reads
    '01_augmentation': 'augmentation', '03_lr_finder': 'finder', '05_differential_lrs': 'rates', '09_ladder': 'left_out'}
ARMS = {  # experiment → settings; after a comma, further answers of a training
    'augmentation': {'p = 0': ('', 'darker'), 'p = 0.1': ('', 'darker'), 'p = 0.33': ('', 'darker')},
    'finder': {'AdamW, batch 16, fixed 1e-3': ('',), 'AdamW, batch 16, valley': ('',), 'SGD, batch 16, fixed 1e-3': ('',),
               'SGD, batch 16, valley': ('',)},
    'rates': {'one rate': ('',), 'one rate, BatchNorm moves': ('',), 'three groups, spread 10': ('',), 'decay 0.7 over stages': ('',)},
    'left_out': {'+ ensemble': ('',), 'without one-cycle': ('',), 'a bigger model': ('',)},
}
STATES = ('nothing', 'old', 'begun', 'under way', 'whole')


def rows(experiment, folds, n=64, is_old=False):
    rng = np.random.default_rng(0)
    runs = {}
    for fold in range(folds):
        for setting, answers in ARMS[experiment].items():
            recipe = vars(Recipe('x', 3, 1, True)) | dict(groups='g')
            settings = dict(arm=setting, seed=fold, fold=fold, peak=1e-3, size=96, recipe=recipe)
            if is_old: del settings['fold']
            run = dict(settings=settings, seconds=1., groups=(np.arange(n) // 8 + 9 * fold).tolist(), train_accuracy=.9, rate=1e-3, answered=True, data='solar abc',
                       device='CPU', versions=dict(torch='2'), date='2026-01-01', n_views={'mirror': 2})
            for answer in answers:
                prefix = f'{answer}_' if answer else ''
                run[f'{prefix}right'] = ''.join(map(str, rng.integers(0, 2, n)))
                run[f'{prefix}loss'] = rng.random(n).round(3).tolist()
            runs[f'{setting}, fold {fold}'] = run
    return runs

def results_in(folder, experiment, state):
    "Writes what results/ holds of an experiment, on both data sets."
    if state == 'nothing': return
    runs = rows(experiment, dict(begun=1, old=3).get(state, 3), is_old=state == 'old')
    if state == 'begun': runs = dict(list(runs.items())[:1])
    if state == 'under way': runs.popitem()
    for name in (experiment, f'{experiment}_cats_dogs'): (folder/f'{name}.json').write_text(json.dumps(dict(runs=runs)))

def sources(lesson):
    cells = json.loads((ROOT/'nbs'/f'{lesson}.ipynb').read_text())['cells']
    return {cell['id']: ''.join(cell['source']) for cell in cells if cell['cell_type'] == 'code'}

def namespace_of(lesson):
    "What the first cells of a lesson import."
    code = sources(lesson)
    names = {}
    for source in code.values():
        lines = source.split('\nP = profile()')[0]
        is_import = lines.removeprefix('#| export\n').startswith(('from ', 'import '))
        if is_import: exec(lines, names)
        if 'at_a_glance(' in source: return names
    raise AssertionError(f'{lesson} has no card')

@pytest.mark.parametrize('state', STATES)
@pytest.mark.parametrize('lesson', EXPERIMENTS)
def test_reading_cells(monkeypatch, tmp_path, capsys, lesson, state):
    experiment = EXPERIMENTS[lesson]
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path))
    monkeypatch.setenv('COURSE_PROFILE', 'smoke')
    results_in(tmp_path, experiment, state)
    names = namespace_of(lesson)
    shown = []
    names['display'] = shown.append
    code = sources(lesson)
    for cell in READING_CELLS[lesson]: exec(code[cell], names)
    said = capsys.readouterr().out
    is_measured = state in ('under way', 'whole')
    assert bool(shown) == is_measured
    assert ('each held out once' in said) == is_measured
    assert ('No clear difference' in said) == is_measured
    assert 'ot measured' not in said


# ---- shown anew, without training ----

def a_lesson(folder, number):
    "A lesson that reads a number, with the output of a day on which it was another, and a cell that must not run."
    def code(id, source, outputs=()): return nbformat.v4.new_code_cell(source, id=id, outputs=list(outputs))
    def said(text): return nbformat.v4.new_output('stream', name='stdout', text=text)
    cells = [
        code('imports', 'import json\nfrom pathlib import Path\ndef at_a_glance(name): print("the card of", name)\nat_a_glance("06_tta")', [said('old card')]),
        code('trains', 'raise RuntimeError("trained")', [said('trained for an hour')]),
        code('reads', 'print(json.loads(Path("../results/tta.json").read_text())["number"])', [said('1\n')]),
    ]
    for name in ('nbs', 'results'): (folder/name).mkdir()
    (folder/'results'/'tta.json').write_text(json.dumps(dict(number=number)))
    path = folder/'nbs'/'06_tta.ipynb'
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path

@pytest.mark.slow
@pytest.mark.parametrize('number', [1, 2])
def test_new_measurements_are_shown_and_nothing_is_trained(monkeypatch, tmp_path, number):
    monkeypatch.setitem(READING_CELLS, '06_tta', ['reads'])
    path = a_lesson(tmp_path, number)
    assert show_measured(path, 'cpu', tmp_path/'run') == (number == 2)
    texts = [cell.outputs[0].text for cell in nbformat.read(path, as_version=4).cells]
    assert texts == ['old card', 'trained for an hour', f'{number}\n']

@pytest.mark.slow
def test_what_a_lesson_shows_is_what_results_hold(monkeypatch, tmp_path):
    written = []
    monkeypatch.setattr(shown_anew, 'write_notebook', lambda *a: written.append(a))
    assert show_measured(ROOT/'nbs'/'06_tta.ipynb', 'cpu', tmp_path/'run') is False
    assert written == []

def test_a_lesson_that_reads_no_measurement_says_so(tmp_path):
    with pytest.raises(CourseError, match='00_overfitting reads no measurement'): show_measured(ROOT/'nbs'/'00_overfitting.ipynb', 'cpu', tmp_path)

@pytest.mark.parametrize('lesson', READING_CELLS)
def test_every_reading_cell_is_there(lesson): assert set(READING_CELLS[lesson]) <= sources(lesson).keys()
