"""Writes the glossary's page, and each lesson's section Words of this lesson, from the terms: part of `make tidy`."""
import copy, itertools, sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from course_utils.classroom.glossary import TERMS, occurrences# noqa: E402
from data_scripts.lessons import write as write_notebook  # noqa: E402

PAGE = 'nbs/glossary.ipynb'
MOST = 6  # words of other lessons named at a lesson's end
OWN = ('ex-', 'card-', 'words-')  # cells that are written by scripts, and no prose of the lesson


def lessons(folder=ROOT) -> dict:
    "A lesson's number → its notebook."
    return {p.name[:2]: p for p in sorted((folder/'nbs').glob('[0-9][0-9]_*.ipynb'))}


def prose(nb) -> str:
    return '\n'.join(c.source for c in nb.cells if c.cell_type == 'markdown' and not c.id.startswith(OWN))


def title(nb) -> str: return nb.cells[0].source.splitlines()[0].removeprefix('# ')


def words(lesson, text) -> tuple[list, list]:
    "The terms that a lesson explains, and those of other lessons that it uses most, twice or more."
    here = [t for t in in_order() if t.lesson == lesson]
    used = {t: n for t in in_order() if t.lesson != lesson and (n := occurrences(t, text, own=False)) > 1}
    return here, sorted(sorted(used, key=lambda t: -used[t])[:MOST], key=key)


def key(t): return t.name.lower()
def in_order() -> list: return sorted(TERMS.values(), key=key)


def section(lesson, text) -> str:
    "The cell at a lesson's end. A heading of its own keeps it out of the exercises."
    link = lambda t: f'[{t.name}](glossary.ipynb#{t.anchor})'
    here, others = (', '.join(map(link, ts)) for ts in words(lesson, text))
    return '## Words of this lesson\n\n' + '\n\n'.join(([here + '.'] if here else []) + ([f"{'From' if here else 'All from'} other lessons: {others}."] if others else []) + ['What to try when: [the cheat sheet](cheat_sheet.ipynb).'])


def with_words(nb, lesson):
    "A copy of a lesson with its words before the Summary."
    nb = copy.deepcopy(nb)
    nb.cells = [c for c in nb.cells if c.id != f'words-{lesson}']
    at = next(i for i, c in enumerate(nb.cells) if c.cell_type == 'markdown' and c.source.startswith('## Summary'))
    nb.cells.insert(at, nbformat.v4.new_markdown_cell(section(lesson, prose(nb)), id=f'words-{lesson}'))
    return nb


def entry(t, links, met) -> str:
    "A term on the page. JupyterLab makes an anchor of the heading as it stands; the site makes lower case of it, so that a term with capitals gets one more."
    anchor = '' if t.anchor == t.anchor.lower() else f'<a id="{t.anchor}"></a>\n\n'
    return f"{anchor}### {t.name}\n\n{t.body()}\n\nExplained in {links[t.lesson]}." + (f" Met again in {', '.join(met)}." if met else '')


def with_terms(page, folder=ROOT):
    "A copy of the page in which the terms stand as they are now, a cell a letter. The cells before them stay."
    page = copy.deepcopy(page)
    links, others = {}, {}  # a lesson's number → a link to it, its words from other lessons
    for n, path in lessons(folder).items():
        nb = nbformat.read(path, 4)
        links[n], others[n] = f'[{title(nb)}]({path.name})', words(n, prose(nb))[1]
    page.cells = [c for c in page.cells if not c.id.startswith('terms-')]
    for letter, terms in itertools.groupby(in_order(), lambda t: t.name[0].upper()):
        text = '\n\n'.join([f'## {letter}', *(entry(t, links, [links[n] for n in links if t in others[n]]) for t in terms)])
        page.cells.append(nbformat.v4.new_markdown_cell(text, id=f'terms-{letter.lower()}'))
    return page


def main(folder=ROOT):
    changed = 0
    for path, write in [*((p, lambda nb, n=n: with_words(nb, n)) for n, p in lessons(folder).items()), (folder/PAGE, lambda nb: with_terms(nb, folder))]:
        nb = nbformat.read(path, 4)
        if (new := write(nb)) != nb: write_notebook(new, path); changed += 1
    print(f'Wrote the words of {changed} notebook{"s" * (changed != 1)}.')


if __name__ == '__main__': main()
