"The page of surprises: every script in findings/ has its section, every section its script, and both say the same."
import re

import pytest

from course_utils.config import root
from data_scripts.site import reference
from data_scripts.site.surprises import LABELS, SURPRISES_PAGE, markdown_escaped, finding_cell, parsed, read_findings, surprises_page

FINDINGS = read_findings()
SCRIPTS = sorted(path.name for path in (root()/'findings').glob('*.sh'))
SECTION = """A title

Script: `some_thing.sh`

- Question: What comes
  out?
- What one would think: 1: the usual.
- What is so: 2 * 3.
- Version: Seen with x 1.0.
- What a course should do: Look.
"""


def test_every_script_is_on_the_page(): assert sorted(finding.script for finding in FINDINGS) == SCRIPTS


def test_page_is_made(): assert SURPRISES_PAGE in reference.page_names()


def test_page_is_written_as_it_is_made(monkeypatch):
    for name in ('reference_page', 'exercise_page'): monkeypatch.setattr(reference, name, lambda part: [part])
    pages = reference.made_pages()
    assert pages[SURPRISES_PAGE] == surprises_page()
    assert pages['reference/data'] == ['data']


def test_page_has_a_section_a_finding():
    cells = surprises_page()
    titles = [cell.partition('\n')[0] for cell in cells[1:]]
    assert titles == [f'## {finding.title}' for finding in FINDINGS]


def header(script: str) -> str:
    "The comment at the top of a script, in one line."
    lines = (root()/'findings'/script).read_text(encoding='utf-8').splitlines()
    comment = [line[1:].strip() for line in lines[1:] if line.startswith('#')]
    return ' '.join(comment)


@pytest.mark.parametrize('script', SCRIPTS)
def test_guess_stands_at_the_top_of_the_script(script):
    "In front of what was seen, with a version."
    words = header(script)
    places = [words.find(label) for label in ('Question:', 'Guess, before the run:', 'Seen:', 'Version:', 'What a course should do:')]
    assert min(places) >= 0
    assert places == sorted(places)


def test_parsed_takes_a_colon_inside_and_joins_lines():
    finding = parsed(SECTION)
    assert finding.fields['Question'] == 'What comes out?'
    assert finding.fields['What one would think'] == '1: the usual.'
    assert list(finding.fields) == list(LABELS)


@pytest.mark.parametrize('label', [*LABELS, 'Script'])
def test_a_section_that_lacks_something_stops_the_build(label):
    lacking = re.sub(rf'^(- )?{label}: .*\n', '', SECTION, flags=re.M)
    with pytest.raises(ValueError, match=f"'A title': no.*{label}"): parsed(lacking)


def test_plain_text_stays_plain():
    assert markdown_escaped('5 * 3 < a_b') == r'5 \* 3 \< a\_b'
    assert r'2 \* 3.' in finding_cell(parsed(SECTION))
