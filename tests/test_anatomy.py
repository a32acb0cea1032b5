"""What every lesson has: a picture to move or to read early, little code to scroll past, a diagram, and an end."""
import re
from types import SimpleNamespace

import pytest
from execnb.nbio import read_nb

from course_utils.config import root
from data_scripts.site.processors import IMPORT_LINE, fold_summary

LESSONS = sorted((root()/'nbs').glob('[0-9][0-9]_*.ipynb'))
FIRST = 8        # cells before which the first curve, picture or slider stands
CODE_LINES = 200  # that a reader of the page scrolls past
WIDTH = 100      # characters
VISUAL = ('image/png', 'image/svg+xml', 'application/vnd.jupyter.widget-view+json')


def outputs(cell) -> str:
    "All that a cell shows, as text."
    parts = [str(value) for output in cell.get('outputs', []) for value in output.get('data', {}).values()]
    return ' '.join(parts)


def is_visual(cell) -> bool:
    "Does it show a picture, a curve or something to move?"
    kinds = {kind for output in cell.get('outputs', []) for kind in output.get('data', {})}
    return bool(kinds & set(VISUAL)) or '<img' in outputs(cell) or '<svg' in outputs(cell)


def content(cells) -> list:
    "The cells a learner reads: without the door, the badges, imports and directives alone."
    def is_plumbing(cell):
        lines = [line for line in cell.source.splitlines() if line.strip() and not line.startswith('#|')]
        is_import = bool(lines) and IMPORT_LINE.match(lines[0])
        return cell.get('id', '').startswith('door') or not lines or '#| hide' in cell.source or bool(is_import)
    return [cell for cell in cells if not is_plumbing(cell)]


def first_visual(cells) -> int:
    "Which of the cells a learner reads shows something first, from 1."
    return next((place for place, cell in enumerate(content(cells), 1) if is_visual(cell)), len(cells))


def open_code(cells) -> list:
    "The lines of code that the page does not fold and no exercise asks for."
    lines = []
    for cell in content(cells):
        is_exercise = cell.get('id', '').startswith('ex-')
        if cell.cell_type != 'code' or is_exercise or fold_summary(cell.source): continue
        lines += [line for line in cell.source.splitlines() if line.strip() and not line.startswith('#|')]
    return lines


def wide_lines(cells) -> list:
    "Lines of code over the width, wherever they stand."
    sources = [cell.source for cell in cells if cell.cell_type == 'code']
    return [line for source in sources for line in source.splitlines() if len(line) > WIDTH]


def has_diagram(cells) -> bool:
    "Is one of the house's diagrams drawn?"
    imported = ' '.join(cell.source for cell in cells if cell.cell_type == 'code')
    return bool(re.search(r'course_utils\.show\.(idea_)?diagrams', imported))


def ends_in_three_lines(cells) -> bool:
    "Does the lesson say what was seen, why, and what to do tomorrow?"
    ends = [cell for cell in cells if re.search(r'^conclusion\(', cell.source, re.M)]
    return len(ends) == 1 and 'What to do tomorrow' in outputs(ends[0])


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def cells(request): return read_nb(request.param).cells


def test_something_to_see_comes_early(cells): assert first_visual(cells) <= FIRST


def test_little_code_is_shown(cells): assert len(open_code(cells)) <= CODE_LINES


def test_no_line_of_code_is_wide(cells): assert wide_lines(cells) == []


def test_it_has_a_diagram(cells): assert has_diagram(cells)


def test_it_ends_in_three_lines(cells): assert ends_in_three_lines(cells)


# ---- the measures bite ----

def a_cell(source: str, kind: str='code', shown: dict | None=None):
    outputs = [dict(output_type='display_data', data=shown)] if shown else []
    cell = SimpleNamespace(source=source, cell_type=kind, outputs=outputs, id='x')
    cell.get = lambda key, default=None: getattr(cell, key, default)
    return cell


def test_a_late_picture_is_late():
    text = [a_cell('words', 'markdown')] * FIRST
    assert first_visual([*text, a_cell('show()', shown={'image/png': ''})]) == FIRST + 1


def test_imports_do_not_count():
    imports = [a_cell('from x import y')] * FIRST
    assert first_visual([*imports, a_cell('show()', shown={'image/png': ''})]) == 1


def test_code_is_counted_where_it_is_open():
    assert len(open_code([a_cell('a = 1\n\nb = 2')])) == 2
    assert open_code([a_cell('\n'.join(f'a{i} = {i}' for i in range(30)))]) == []


def test_a_wide_line_is_found(): assert wide_lines([a_cell('x' * (WIDTH + 1))])


def test_an_end_that_was_not_run_is_none(): assert not ends_in_three_lines([a_cell("conclusion('a', 'b', 'c')")])


# ---- all pages: nothing is announced that was not measured ----

PAGES = sorted((root()/'nbs').rglob('*.ipynb'))


def unmeasured(cells) -> list:
    "What a page shows of numbers that nobody has measured."
    shown = [output.get('text', '') for cell in cells for output in cell.get('outputs', [])] + [outputs(cell) for cell in cells]
    words = [''.join(text) for text in shown] + [cell.source for cell in cells if cell.cell_type == 'markdown']
    return [text[:60] for text in words if 'ot measured yet' in text]


@pytest.mark.parametrize('path', PAGES, ids=lambda path: path.stem)
def test_no_page_says_not_measured_yet(path): assert unmeasured(read_nb(path).cells) == []


def test_a_page_that_says_so_is_found():
    printed = a_cell('x')
    printed.outputs = [dict(output_type='stream', text='Not measured yet: make ladder\n')]
    assert unmeasured([printed])
    assert unmeasured([a_cell('Not measured yet.', 'markdown')])
