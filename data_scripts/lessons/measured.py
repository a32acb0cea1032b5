"""Shows in the lessons what was measured since they ran, without training anew: `make lessons MEASURED=1`.

Only the cells that read results/ are run, after those that import. Their outputs take the place of the old ones; all others stay,
and so do the lesson's minutes."""
from pathlib import Path

import nbformat

from course_utils.config import CourseError
from data_scripts.lessons.notebooks import clean, nbs_folder, write_notebook
from data_scripts.lessons.run import run_notebook

READING_CELLS = {  # lesson → ids of the cells that need nothing but its imports and results/
    '01_augmentation': ['by-folds'],
    '03_lr_finder': ['by-folds'],
    '04_sgdr': ['4643ea99', '0ad66e02', '71ffa326'],
    '05_differential_lrs': ['2a337c06', '0a409f73', '30cdc83e', 'peaks-searched', '2f82cf6c'],
    '06_tta': ['views-by-folds'],
    '08_scaling': ['by-folds'],
    '09_ladder': ['ff2222c5', '3755d72b'],
    '12_your_pictures': ['recipe-worth', 'bits-table', 'bits-words'],
    '13_newer_techniques': ['measured13', 'measured-on13'],
}


def importing_cells(notebook) -> list:
    "Ids of the code cells down to the lesson's card: they import, and train nothing."
    code = [cell for cell in notebook.cells if cell.cell_type == 'code']
    with_card = next(place for place, cell in enumerate(code) if 'at_a_glance(' in cell.source)
    return [cell.id for cell in code[:with_card + 1]]


def show_measured(
    path: Path,     # a lesson's notebook
    profile: str,   # whose measurements: cpu or gpu
    scratch: Path,  # where the copy runs
) -> bool:          # did anything change?
    "Runs the cells of a lesson that read measurements, and writes their outputs into it. Raises `CourseError` for a lesson without."
    if path.stem not in READING_CELLS:
        raise CourseError(f"{path.stem} reads no measurement that can be shown alone: there are {', '.join(READING_CELLS)}.")
    reading = READING_CELLS[path.stem]
    notebook = nbformat.read(path, as_version=4)
    executed, _ = run_notebook(path, profile, scratch=scratch, cells=importing_cells(notebook) + reading)
    course = nbs_folder(path).parent
    shown = {cell['id']: cell['outputs'] for cell in clean(executed, (scratch/'nbs', scratch, course))['cells']}
    stale = [cell for cell in notebook.cells if cell.id in reading and cell.outputs != shown[cell.id]]
    for cell in stale: cell.outputs = shown[cell.id]
    if stale: write_notebook(notebook, path)
    return bool(stale)
