"""Writes the README's first figure and its tables, of lessons and of the ladder, from the notebooks and results/: `make readme`."""
import argparse, io, json
from html import escape
from pathlib import Path

import matplotlib.pyplot as plt

from course_utils.config import CourseError, root, write_whole
from course_utils.explorers.ladder import draw_climbs
from course_utils.report.cases import case_in_words
from course_utils.report.headlines import headline_of
from course_utils.report.ladder_results import bottom_to_top, ladder_in_words, ladder_steps, ladders_measured, one_fold_words
from course_utils.report.results import read_results
from course_utils.show.words import plural
from data_scripts.site.articles import case_claims

ROOT = root()


def mark(
    name: str,  # of a table
    end: bool,
) -> str:
    "The comment that stands before or behind a table."
    return f"<!-- {name}:{'end' if end else 'start'} -->"


def markdown_row(cells) -> str: return f"| {' | '.join(cells)} |"


# ---- the whole course in one look ----

FIGURE = Path('nbs/images/ladder.svg')


def sums(ladders: dict) -> dict:  # data set in words → 'from 70.9% to 82.5%, +11.6% (+1.8% to +21.0%)'
    "What all rungs together added."
    found = {}
    for data, ladder in ladders.items():
        whole = bottom_to_top(ladder)
        if whole is None: continue
        bottom, *_, top = ladder.values()
        found[data] = f'from {bottom.accuracy[0]:.1%} to {top.accuracy[0]:.1%}, {whole.gain:+.1%} ({whole.low:+.1%} to {whole.high:+.1%}){one_fold_words(ladder)}'
    return found


def first_look(
    folder: Path = ROOT,
) -> str:  # Markdown; empty without a ladder
    "One sentence and one figure: how many pictures are named right at the bottom of the ladder, and how many at its top."
    found = sums(ladders_measured(folder/'results'))
    if not found: return ''
    results = '; '.join(f'**{data}** {words}' for data, words in found.items())
    sentence = f'Held-out pictures named right, by a network trained plainly from scratch and by the same one with all techniques: {results}.'
    return f'{sentence}\n\n![The ladder, a technique a rung. {"; ".join(found)}]({FIGURE.as_posix()})'


def climb_svg(ladders: dict) -> str:
    "The ladder's figure. It holds its numbers in words, by which `in_sync` knows an old one."
    with plt.rc_context({'svg.hashsalt': 'ladder', 'svg.fonttype': 'path'}):
        fig = draw_climbs(ladders)
        file = io.StringIO()
        fig.savefig(file, format='svg', metadata={'Date': None, 'Description': climb_words(ladders)})
        plt.close(fig)
    return file.getvalue()


def climb_words(ladders: dict) -> str:
    "All that the figure draws."
    lines = []
    for data, ladder in ladders.items():
        rungs = [f'{name} {" ".join(f"{share:.4f}" for share in seeds.accuracy)}' for name, seeds in ladder.items()]
        lines.append(f'{data}{one_fold_words(ladder)}: {", ".join(rungs)}')
    return '; '.join(lines)


def figure_in_sync(folder: Path = ROOT) -> bool:
    "Whether the figure shows the ladders of results/."
    ladders = ladders_measured(folder/'results')
    path = folder/FIGURE
    return not ladders or path.exists() and escape(climb_words(ladders), quote=False) in path.read_text(encoding='utf-8')


# ---- lessons ----

def lesson_table(
    folder: Path = ROOT,
) -> str:  # Markdown
    "One row a lesson: its title and summary from the notebook, minutes and gain from results/."
    timetable = read_results(folder/'results'/'lessons.json')
    rows = ['| lesson | what you learn | minutes on a CPU | what it adds |', '|---|---|--:|---|']
    for notebook in sorted((folder/'nbs').glob('[0-9]*.ipynb')):
        title, summary = title_and_summary(notebook)
        seconds = timetable.get(notebook.stem, {}).get('cpu', {}).get('seconds')
        minutes = '—' if seconds is None else f'{seconds / 60:.1f}'
        number = notebook.stem.split('_')[0]
        gain = headline_of(number, folder/'results') or '—'
        rows.append(markdown_row([f'[{title}](nbs/{notebook.name})', summary, minutes, gain]))
    return '\n'.join(rows)


def title_and_summary(notebook: Path) -> tuple[str, str]:
    "From the notebook's first cell."
    first = json.loads(notebook.read_text())['cells'][0]
    lines = ''.join(first['source']).splitlines()
    title = next((line[2:] for line in lines if line.startswith('# ')), notebook.stem)
    summary = next((line[1:].strip() for line in lines if line.startswith('>')), '')
    return title, summary


# ---- the ladder ----

def ladder_table(
    folder: Path = ROOT,
) -> str:  # Markdown
    "For each data set: a sentence from bottom to top, and a row a rung with what it added to the one below, its interval, and the minutes of one training."
    ladders = ladders_measured(folder/'results')
    if not ladders: return 'Not measured yet: `make ladder`.'
    parts = []
    for data, ladder in ladders.items():
        heading = f'**{data.capitalize()}**, {judged_in_words(ladder)}: {ladder_in_words(ladder)}.'
        parts.append('\n'.join([heading, '', *rung_rows(ladder)]))
    return '\n\n'.join(parts)


def judged_in_words(ladder: dict) -> str:
    "How many pictures judge the rungs, and in how many folds: fewer than there are, while a measurement goes on."
    first = next(iter(ladder.values()))
    n_pictures = plural(first.right.shape[-1], 'picture')
    if first.n_trainings == 1: return f'{n_pictures} of one fold, one training a rung, intervals over pictures'
    return f'{n_pictures}, each held out once, in {first.n_trainings} folds'


def rung_rows(ladder: dict) -> list:
    "The lowest rung has nothing below it to add to."
    steps = ladder_steps(ladder)
    rows = ['| rung | accuracy | added | 95 % interval | minutes |', '|---|--:|--:|--:|--:|']
    for name, seeds in ladder.items():
        gain = interval = '—'
        if name in steps.index:
            step = steps.loc[name]
            gain = f'{step.gain:+.1%}'
            interval = f'{step.low:+.1%} to {step.high:+.1%}'
        rows.append(markdown_row([name, f'{seeds.accuracy[0]:.1%}', gain, interval, f'{seeds.seconds / 60:.1f}']))
    return rows


# ---- the sources' own data ----

def source_table(
    folder: Path = ROOT,
) -> str:  # Markdown
    "A row for each article: what it reports, and what its way and the course's gave here, on one split of the same pictures."
    rows = ['| article | it reports | its way, here | the course | pictures here, trained + held out | minutes |', '|---|---|--:|--:|---|--:|']
    for title, claim in case_claims().items():
        words = case_in_words(claim.page.removeprefix('cases/'), folder/'results')
        rows.append(markdown_row([f'[{title}](nbs/{claim.page}.ipynb)', claim.reported, *words.values()]))
    return '\n'.join(rows)


TABLES = dict(result=first_look, lessons=lesson_table, sources=source_table, ladder=ladder_table)


# ---- into the file ----

def in_sync(folder: Path = ROOT) -> bool:
    "Whether the README and its figure show what was measured."
    text = (folder/'README.md').read_text()
    return figure_in_sync(folder) and all(table(folder) in text for table in TABLES.values())


def update(folder: Path = ROOT):
    "Writes the tables between their marks, and the figure. Raises `CourseError` where the README has not each mark once."
    text = (folder/'README.md').read_text()
    for name, table in TABLES.items():
        start = mark(name, False)
        end = mark(name, True)
        if text.count(start) != 1 or text.count(end) != 1: raise CourseError(f'README.md needs {start} and {end}, once each.')
        head, _ = text.split(start)
        _, tail = text.split(end)
        text = f'{head}{start}\n{table(folder)}\n{end}{tail}'
    write_whole(folder/'README.md', text)
    if not figure_in_sync(folder): write_whole(folder/FIGURE, climb_svg(ladders_measured(folder/'results')))


def main(arguments=None):
    "Writes the tables into README.md, and its figure."
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    update()
    print('README.md: its figure and the tables of lessons, of the sources and of the ladder are up to date.')
