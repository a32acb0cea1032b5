"""Writes the README's tables, of lessons and of the ladder, from the notebooks and results/: `make readme`."""
import argparse, json
from pathlib import Path

from course_utils.config import CourseError, root, write_whole
from course_utils.report.results import read_results

ROOT = root()


def mark(
    name: str,  # of a table
    end: bool,
) -> str:
    "The comment that stands before or behind a table."
    return f"<!-- {name}:{'end' if end else 'start'} -->"


def markdown_row(cells) -> str: return f"| {' | '.join(cells)} |"


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
        gain = read_results(folder/'results'/f'lesson_{number}.json').get('headline', '—')
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
    "One row a rung of lesson 09: accuracy, what it added to the rung below with its interval, minutes of one training."
    runs = read_results(folder/'results'/'lesson_09.json').get('runs', {})
    rungs = runs.get('solar cpu', {}).get('ladder', [])
    if not rungs: return 'Not measured yet: `make ladder`.'
    head = ['| rung | accuracy | added | 95 % interval | minutes |', '|---|--:|--:|--:|--:|']
    return '\n'.join(head + [rung_row(rung) for rung in rungs])


def rung_row(rung: dict) -> str:
    "A rung of the ladder; the lowest has nothing below it to add to."
    gain = interval = '—'
    if rung.get('gain') is not None: gain = f"{rung['gain']:+.1%}"
    if 'low' in rung: interval = f"{rung['low']:+.1%} to {rung['high']:+.1%}"
    return markdown_row([rung['rung'], f"{rung['accuracy']:.1%}", gain, interval, f"{rung['minutes']:.1f}"])


TABLES = dict(lessons=lesson_table, ladder=ladder_table)


# ---- into the file ----

def in_sync(folder: Path = ROOT) -> bool:
    "Whether the README shows what the tables say."
    text = (folder/'README.md').read_text()
    return all(table(folder) in text for table in TABLES.values())


def update(folder: Path = ROOT):
    "Writes the tables between their marks. Raises `CourseError` where the README has not each mark once."
    text = (folder/'README.md').read_text()
    for name, table in TABLES.items():
        start = mark(name, False)
        end = mark(name, True)
        if text.count(start) != 1 or text.count(end) != 1: raise CourseError(f'README.md needs {start} and {end}, once each.')
        head, _ = text.split(start)
        _, tail = text.split(end)
        text = f'{head}{start}\n{table(folder)}\n{end}{tail}'
    write_whole(folder/'README.md', text)


def main(arguments=None):
    "Writes the tables into README.md."
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    update()
    print('README.md: the tables of lessons and of the ladder are up to date.')
