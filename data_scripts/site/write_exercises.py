"""Writes the section Exercises of every lesson from `course_utils/exercises`: part of `make tidy`."""
import argparse, copy
from pathlib import Path

import nbformat

from course_utils.classroom.exercise import all_exercises, exercises_of
from course_utils.config import root
from data_scripts.lessons.notebooks import write_notebook

INTRO = """## Exercises

The cells below are yours. Change one and run it: `check` says whether it is right, or what is wrong. `hint('{0}-1')` has three hints that say more each time, `solution('{0}-1')` shows code that passes, and
`progress()` what you have done so far. Your answers stay on this machine. The checks and solutions lie in `course_utils/exercises/`."""
IMPORT_CELL = 'from course_utils.classroom.checker import check, hint, progress, solution'


def notebook(
    lesson: str,  # `03`
) -> Path:
    "The lesson's file."
    return next((root()/'nbs').glob(f'{lesson}_*.ipynb'))


def exercise_section(lesson: str) -> list:  # of (kind, id, source)
    "The cells of a lesson's section Exercises."
    cells = [
        ('markdown', f'ex-{lesson}', INTRO.format(lesson)),
        ('code', f'ex-{lesson}-imports', IMPORT_CELL),
    ]
    for ex in exercises_of(lesson):
        cells.append(('markdown', f'ex-{ex.key}', f'### {ex.key} · {ex.title}\n\n{ex.task}'))
        code = f"{ex.start}\n\ncheck('{ex.key}', {ex.answer})"
        cells.append(('code', f'ex-{ex.key}-answer', code))
    cells.append(('code', f'ex-{lesson}-progress', 'progress()'))
    return cells


def with_exercises(
    nb: dict,     # the notebook
    lesson: str,
) -> dict:
    "A copy of a lesson whose section is as `course_utils/exercises` has it. Outputs stay where the same answer is checked."
    nb = copy.deepcopy(nb)
    old = {cell.id: cell for cell in nb.cells}
    headings = [i for i, cell in enumerate(nb.cells) if _is_heading(cell)]
    start = next(i for i in headings if nb.cells[i].source.startswith('## Exercises'))
    end = next(i for i in headings if i > start)
    written = [_cell(kind, id, source, old.get(id)) for kind, id, source in exercise_section(lesson)]
    nb.cells[start:end] = written
    return nb


def _is_heading(cell) -> bool: return cell.cell_type == 'markdown' and cell.source.startswith('## ')


def _cell(kind, id, source, old):
    "A new cell, with the outputs of the old one of that id: they say `still as it came`, whatever stands above the check."
    if kind == 'markdown': return nbformat.v4.new_markdown_cell(source, id=id)
    checks_the_same = old and _last_line(old.source) == _last_line(source)
    return nbformat.v4.new_code_cell(source, id=id, outputs=old.outputs if checks_the_same else [])


def _last_line(source) -> str: return source.splitlines()[-1]


def main(
    argv: list | None=None,  # there are none; None takes those of the command line
):
    "Writes the lessons whose exercises have changed."
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    changed = 0
    for lesson in sorted({key[:2] for key in all_exercises()}):
        path = notebook(lesson)
        old = nbformat.read(path, 4)
        new = with_exercises(old, lesson)
        if new == old: continue
        write_notebook(new, path)
        changed += 1
    print(f'Wrote the exercises of {changed} lesson{"s" * (changed != 1)}.')


if __name__ == '__main__': main()
