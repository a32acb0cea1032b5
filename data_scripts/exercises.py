"""Writes the section Exercises of every lesson from nbs/exercises/: part of `make tidy`."""
import copy, sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from course_utils.classroom.checker import all_exercises# noqa: E402
from data_scripts.lessons import write as write_notebook  # noqa: E402

INTRO = """## Exercises

The cells below are yours. Change one and run it: `check` says whether it is right, or what is wrong. `hint('{0}-1')` has three hints that say more each time, `solution('{0}-1')` shows code that passes, and
`progress()` what you have done so far. Your answers stay on this machine. The checks and solutions lie in `nbs/exercises/`."""
IMPORTS = 'from course_utils.learn import check, hint, progress, solution'


def notebook(lesson, folder=ROOT): return next((folder/'nbs').glob(f'{lesson}_*.ipynb'))


def section(lesson) -> list:
    "The cells: (kind, id, source)."
    out = [('markdown', f'ex-{lesson}', INTRO.format(lesson)), ('code', f'ex-{lesson}-imports', IMPORTS)]
    for key, ex in all_exercises().items():
        if not key.startswith(lesson): continue
        out += [('markdown', f'ex-{key}', f'### {key} · {ex.title}\n\n{ex.task}'), ('code', f'ex-{key}-answer', f"{ex.start}\n\ncheck('{key}', {ex.answer})")]
    return out + [('code', f'ex-{lesson}-progress', 'progress()')]


def with_exercises(nb, lesson):
    "A copy of a lesson whose section Exercises is as nbs/exercises/ has it. Outputs stay where the source is the same."
    nb, old = copy.deepcopy(nb), {c.id: c for c in nb.cells}
    headings = [i for i, c in enumerate(nb.cells) if c.cell_type == 'markdown' and c.source.startswith('## ')]
    start = next(i for i in headings if nb.cells[i].source.startswith('## Exercises'))
    end = next(i for i in headings if i > start)
    cells = []
    for kind, id, source in section(lesson):
        cell = getattr(nbformat.v4, f'new_{kind}_cell')(source, id=id)
        if kind == 'code' and id in old and old[id].source == source: cell.outputs = old[id].outputs
        cells.append(cell)
    nb.cells[start:end] = cells
    return nb


def main():
    changed = 0
    for lesson in sorted({key[:2] for key in all_exercises()}):
        path = notebook(lesson)
        nb = nbformat.read(path, 4)
        new = with_exercises(nb, lesson)
        if new != nb: write_notebook(new, path); changed += 1
    print(f'Wrote the exercises of {changed} lesson{"s" * (changed != 1)}.')


if __name__ == '__main__': main()
