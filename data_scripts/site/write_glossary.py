"""Writes the glossary's page, and each lesson's section Words of this lesson, from the terms: part of `make tidy`."""
import argparse, copy, itertools
from pathlib import Path

import nbformat

from course_utils.classroom.glossary import TERMS, Term, occurrences
from course_utils.config import root
from data_scripts.lessons.notebooks import write_notebook

ROOT = root()
PAGE = 'nbs/glossary.ipynb'
MOST_BORROWED = 6  # words of other lessons named at a lesson's end
WRITTEN = ('ex-', 'card-', 'words-')  # ids of cells that are written by scripts, and no prose of the lesson
CHEAT_SHEET = 'What to try when: [the cheat sheet](cheat_sheet.ipynb).'


def lessons(
    folder: Path=ROOT,  # of the course
) -> dict:  # number → notebook
    "Every lesson."
    return {path.name[:2]: path for path in sorted((folder/'nbs').glob('[0-9][0-9]_*.ipynb'))}


def prose(nb) -> str:
    "What its authors have written, without what scripts have."
    cells = [cell for cell in nb.cells if cell.cell_type == 'markdown' and not cell.id.startswith(WRITTEN)]
    return '\n'.join(cell.source for cell in cells)


def title(nb) -> str: return nb.cells[0].source.splitlines()[0].removeprefix('# ')


def sort_key(t: Term) -> str: return t.name.lower()


def terms_in_order() -> list: return sorted(TERMS.values(), key=sort_key)


def words(
    lesson: str,
    text: str,  # its prose
) -> tuple[list, list]:
    "The terms that a lesson explains, and those of other lessons that it uses most, twice or more."
    explained = [t for t in terms_in_order() if t.lesson == lesson]
    foreign = [t for t in terms_in_order() if t.lesson != lesson]
    counts = {t: occurrences(t, text, own_lesson=False) for t in foreign}
    used = sorted((t for t in foreign if counts[t] > 1), key=lambda t: -counts[t])
    return explained, sorted(used[:MOST_BORROWED], key=sort_key)


def words_section(
    lesson: str,
    text: str,  # its prose
) -> str:
    "The cell at a lesson's end. A heading of its own keeps it out of the exercises."
    explained, borrowed = words(lesson, text)
    paragraphs = ['## Words of this lesson']
    if explained: paragraphs.append(f'{_links(explained)}.')
    if borrowed: paragraphs.append(f"{'From' if explained else 'All from'} other lessons: {_links(borrowed)}.")
    return '\n\n'.join([*paragraphs, CHEAT_SHEET])


def _links(terms) -> str: return ', '.join(f'[{t.name}](glossary.ipynb#{t.anchor})' for t in terms)


def with_words(nb, lesson: str):
    "A copy of a lesson with its words before the Summary."
    nb = copy.deepcopy(nb)
    id = f'words-{lesson}'
    nb.cells = [cell for cell in nb.cells if cell.id != id]
    summary = next(i for i, cell in enumerate(nb.cells) if _is_summary(cell))
    nb.cells.insert(summary, nbformat.v4.new_markdown_cell(words_section(lesson, prose(nb)), id=id))
    return nb


def _is_summary(cell) -> bool: return cell.cell_type == 'markdown' and cell.source.startswith('## Summary')


def entry(
    t: Term,
    links: dict,   # a lesson's number → a link to it
    borrowers: list,  # links to the lessons that use the term
) -> str:
    "A term on the page. JupyterLab makes an anchor of the heading as it stands; the site makes lower case of it, so that a term with capitals gets one more."
    anchor = '' if t.anchor == t.anchor.lower() else f'<a id="{t.anchor}"></a>\n\n'
    again = f" Met again in {', '.join(borrowers)}." if borrowers else ''
    return f"{anchor}### {t.name}\n\n{t.body()}\n\nExplained in {links[t.lesson]}.{again}"


def with_terms(
    page,               # the notebook of the glossary
    folder: Path=ROOT,  # of the course
):
    "A copy of the page in which the terms stand as they are now, a cell a letter. The cells before them stay."
    page = copy.deepcopy(page)
    links, borrowed = {}, {}  # by a lesson's number
    for lesson, path in lessons(folder).items():
        nb = nbformat.read(path, 4)
        links[lesson] = f'[{title(nb)}]({path.name})'
        _, borrowed[lesson] = words(lesson, prose(nb))
    page.cells = [cell for cell in page.cells if not cell.id.startswith('terms-')]
    for letter, terms in itertools.groupby(terms_in_order(), lambda t: t.name[0].upper()):
        paragraphs = [f'## {letter}']
        for t in terms:
            borrowers = [links[lesson] for lesson in links if t in borrowed[lesson]]
            paragraphs.append(entry(t, links, borrowers))
        page.cells.append(nbformat.v4.new_markdown_cell('\n\n'.join(paragraphs), id=f'terms-{letter.lower()}'))
    return page


def write_all(
    folder: Path=ROOT,  # of the course
) -> int:
    "Writes the notebooks whose words have changed, lessons first. Returns how many."
    changed = 0
    for lesson, path in lessons(folder).items():
        nb = nbformat.read(path, 4)
        changed += _write_changed(nb, with_words(nb, lesson), path)
    path = folder/PAGE
    page = nbformat.read(path, 4)
    return changed + _write_changed(page, with_terms(page, folder), path)


def _write_changed(old, new, path) -> bool:
    if new == old: return False
    write_notebook(new, path)
    return True


def main(
    argv: list | None=None,  # there are none; None takes those of the command line
):
    "Writes the words into the course's notebooks."
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    changed = write_all()
    print(f'Wrote the words of {changed} notebook{"s" * (changed != 1)}.')


if __name__ == '__main__': main()
