"""The page of surprises, made from findings/README.md: what one would think of a library or data set, what is so, and what to do."""
import re
from dataclasses import dataclass

from nbdev.config import get_config

from course_utils.config import root

SURPRISES_PAGE = 'surprises'  # path below nbs/, without its ending
LABELS = {  # label in README.md → how the page begins the paragraph
    'Question': '',
    'What one would think': '**You would think:** ',
    'What is so': '**What is so:** ',
    'Version': '**Versions:** ',
    'What a course should do': '**What to do:** ',
}
FIRST_WORDS = """# Surprises

> Where good guesses about this field's libraries and data are wrong: {n} times.

For each the guess was written down before the run. Then the real thing was run, on valid input. A script shows each of them
and fails once it changes: it needs no course, only Python and a network.

Some more surprises are taught where you meet them: a preset whose defaults changed, and workers that draw the same, in
[lesson 01](01_augmentation.ipynb); restarts that a library misses in [lesson 04](04_sgdr.ipynb); a floor that lifts learning
rates in [lesson 05](05_differential_lrs.ipynb); merges of views that want other inputs in [lesson 06](06_tta.ipynb); a search
that believes dead trials in [lesson 11](11_search.ipynb)."""


@dataclass
class Surprise:
    "A section of findings/README.md."
    title: str
    script: str   # `NAME.sh`
    fields: dict  # label → one line of text


def one_line(text: str) -> str: return ' '.join(text.split())


def parsed(section: str) -> Surprise:
    "A section of README.md, without its `## `. Raises `ValueError` that names what it lacks."
    title, _, body = section.partition('\n')
    script = re.search(r'^Script: `(\w+\.sh)`$', body, re.M)
    pieces = re.split(r'^- ([^:\n]+): ', body, flags=re.M)[1:]
    fields = {label: one_line(text) for label, text in zip(pieces[::2], pieces[1::2])}
    lacking = [label for label in LABELS if not fields.get(label)]
    if not script: lacking.append('Script')
    if lacking: raise ValueError(f"findings/README.md, '{title}': no {', '.join(lacking)}")
    return Surprise(title, script[1], fields)


def read_findings() -> list:
    "All findings in their order."
    text = (root()/'findings'/'README.md').read_text(encoding='utf-8')
    _, *sections = re.split(r'^## ', text, flags=re.M)
    return [parsed(section) for section in sections]


def finding_cell(finding: Surprise) -> str:  # Markdown
    "A finding as a section of the page, with a link to its script."
    config = get_config()
    paragraphs = [start + markdown_escaped(finding.fields[label]) for label, start in LABELS.items()]
    link = f'[{finding.script}]({config.git_url}/blob/{config.branch}/findings/{finding.script})'
    return '\n\n'.join([f'## {finding.title}', *paragraphs, f'Script: {link}'])


def markdown_escaped(text: str) -> str:
    "A star, an underscore or an angle bracket of a formula or a name stays one: the text of README.md is plain."
    return re.sub(r'([*_<$])', r'\\\1', text)


def surprises_page() -> list:  # Markdown cells
    "The whole page."
    findings = read_findings()
    return [FIRST_WORDS.format(n=len(findings)), *map(finding_cell, findings)]
