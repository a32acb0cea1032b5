"The cells of lessons that read measurements run whatever results/ holds: nothing, seeds of an old regime, a fold that is under way, all folds."
import json
from pathlib import Path

import numpy as np, pytest

from course_utils.training.recipe import Recipe

ROOT = Path(__file__).resolve().parent.parent
CELLS = {  # lesson → the experiment it reads, the cells that do
    '01_augmentation': ('augmentation', ['by-folds']),
    '03_lr_finder': ('finder', ['by-folds']),
    '05_differential_lrs': ('rates', ['2a337c06', '0a409f73', '30cdc83e', '2f82cf6c']),
}
ARMS = {  # experiment → settings; after a comma, further answers of a training
    'augmentation': {'p = 0': ('', 'darker'), 'p = 0.1': ('', 'darker'), 'p = 0.33': ('', 'darker')},
    'finder': {'AdamW, batch 16, fixed 1e-3': ('',), 'AdamW, batch 16, valley': ('',), 'SGD, batch 16, fixed 1e-3': ('',),
               'SGD, batch 16, valley': ('',)},
    'rates': {'one rate': ('',), 'one rate, BatchNorm moves': ('',), 'three groups, spread 10': ('',), 'decay 0.7 over stages': ('',)},
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
@pytest.mark.parametrize('lesson', CELLS)
def test_reading_cells(monkeypatch, tmp_path, capsys, lesson, state):
    experiment, cells = CELLS[lesson]
    monkeypatch.setenv('COURSE_RESULTS', str(tmp_path))
    monkeypatch.setenv('COURSE_PROFILE', 'smoke')
    results_in(tmp_path, experiment, state)
    names = namespace_of(lesson)
    shown = []
    names['display'] = shown.append
    code = sources(lesson)
    for cell in cells: exec(code[cell], names)
    said = capsys.readouterr().out
    is_measured = state in ('under way', 'whole')
    assert bool(shown) == is_measured
    assert ('each held out once' in said) == is_measured
    assert ('No clear difference' in said) == is_measured
    assert 'ot measured' not in said
