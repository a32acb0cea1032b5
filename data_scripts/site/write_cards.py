"""Writes the minutes and the result that were measured last into the cards of the lessons and case studies: part of `make tidy`.

A card is shown before its lesson has run, so the run that is kept shows the numbers of the run before."""
import argparse, copy, re
from html import escape
from pathlib import Path

from course_utils.config import root
from course_utils.report.cards import measured_minutes
from course_utils.report.headlines import headline_of
from course_utils.show.words import plural
from data_scripts.lessons.notebooks import rewrite_notebooks

MINUTES = re.compile(r'(Minutes(?:</b> ·|:) )(?:(?!This kernel).)*?(?=This kernel)')
RESULT = re.compile(r'(after your guess\)</b></summary>).*?(?=</details>)')


def with_numbers(
    text: str,      # of a card, HTML or plain
    minutes: str,   # as `measured_minutes` says; empty where they are not known
    headline: str,  # as `headline_of` says
) -> str:
    "The card with these numbers."
    text = MINUTES.sub(lambda match: match[1] + (f'{minutes}. ' if minutes else ''), text)
    return RESULT.sub(lambda match: match[1] + escape(headline), text)


def with_card(notebook, name: str):
    "A copy of a notebook whose card shows what was measured last."
    notebook = copy.deepcopy(notebook)
    minutes, headline = measured_minutes(name), headline_of(name.split('_')[0])
    for cell in notebook.cells:
        for output in cell.get('outputs', []):
            data = output.get('data', {})
            if 'course-card' not in data.get('text/html', ''): continue
            for kind in ('text/html', 'text/plain'): data[kind] = with_numbers(data[kind], minutes, headline)
    return notebook


def lessons_and_cases(folder: Path) -> list:
    "Notebooks that begin with a card."
    return sorted([*folder.glob('[0-9][0-9]_*.ipynb'), *folder.glob('cases/*.ipynb')])


def main(arguments=None):
    "Brings every card into step."
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    paths = lessons_and_cases(root()/'nbs')
    n_changed = rewrite_notebooks(paths, lambda notebook, path: with_card(notebook, path.stem))
    print(f"Wrote the card of {plural(n_changed, 'notebook')}.")
