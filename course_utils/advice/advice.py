"""`recommend`: findings, recipe and notebook of a folder of pictures in one call, and the table that shows them."""
import html, os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from course_utils.advice.findings import LEVEL_SIGNS, Finding, all_findings
from course_utils.advice.notebook import recipe_notebook, write_notebook
from course_utils.advice.plan import Plan, make_plan
from course_utils.config import CourseError, data_dir, profile
from course_utils.data.pictures import Pictures, load_pictures
from course_utils.show.palette import BLUE
from course_utils.show.words import plural
from course_utils.techniques.near_duplicates import near_pairs
from course_utils.training.recipe import Recipe

FRAME_STYLE = (f'border:1px solid #8886;border-left:4px solid {BLUE};border-radius:6px;padding:.6em 1em;margin:.5em 0;'
               'max-width:72em;overflow-wrap:anywhere')
CELL_STYLE = 'style="text-align:left;vertical-align:top"'


@dataclass
class Advice:
    "What `recommend` found, the recipe, and the notebook it wrote. Shows itself as a table."
    name: str             # of the pictures
    findings: list        # of `Finding`
    plan: Plan
    pairs: pd.DataFrame   # near-duplicates
    pics: Pictures        # at 64 pixels
    notebook: Path | None=None
    message: str=''       # where the notebook is

    def __getitem__(self, name: str) -> Finding:
        return next(finding for finding in self.findings if finding.name == name)

    @property
    def recipe(self) -> Recipe:
        "How to train on these pictures."
        return self.plan.recipe

    @property
    def size(self) -> int:
        "The side at which the recipe wants the pictures, in pixels."
        return self.plan.size

    @property
    def troubles(self) -> list:
        "The names of the findings that are trouble."
        return [finding.name for finding in self.findings if finding.level == 'trouble']

    @property
    def headline(self) -> str:
        "The pictures and their troubles in a sentence."
        names = f": {', '.join(self.troubles)}" if self.troubles else ''
        return f"{self.name}: {plural(len(self.pics), 'picture')}, {plural(len(self.troubles), 'trouble')}{names}."

    def __repr__(self):
        lines = [self.headline]
        for finding in self.findings:
            sign, _ = LEVEL_SIGNS[finding.level]
            lines.append(f'{sign} {finding.name}: {finding.found} {finding.means} The recipe: {finding.does}')
        lines.append(f'Recipe: {self.plan}')
        if self.message: lines.append(self.message)
        return '\n'.join(lines)

    def _repr_html_(self):
        columns = ('looked at', 'found', 'what it means', 'what the recipe does')
        heads = ''.join(f'<th scope="col" {CELL_STYLE}>{name}</th>' for name in columns)
        rows = ''.join(map(finding_row, self.findings))
        caption = f'<caption style="text-align:left"><b>{html.escape(self.headline)}</b></caption>'
        table = f'<table>{caption}<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
        recipe = f'<p><b>Recipe</b> · {html.escape(str(self.plan))}</p><p>{html.escape(self.message)}</p>'
        return f'<div class="course-card" style="{FRAME_STYLE}">{table}{recipe}</div>'


def finding_row(finding: Finding) -> str:
    "A finding as a row of the table."
    sign, colour = LEVEL_SIGNS[finding.level]
    head = f'<span style="color:{colour}">{sign}</span> {html.escape(finding.name)}<br><small>{finding.level}</small>'
    texts = (finding.found, finding.means, finding.does)
    cells = ''.join(f'<td {CELL_STYLE}>{html.escape(text)}</td>' for text in texts)
    return f'<tr><th scope="row" {CELL_STYLE}>{head}</th>{cells}</tr>'


def recommend(
    folder: str | Path | None=None,  # a folder of class folders, or the name of a fetched data set; None reads `COURSE_DATA`
    write: bool=True,                # write the starting notebook into the folder
    minutes: float | None=None,      # that a training may take; None: 5, at profile smoke less
) -> Advice:
    "Looks for trouble in a folder, and writes a recipe for it. Raises `CourseError` where there is nothing to learn from, or nowhere to write."
    if not isinstance(folder, str | Path | None):
        raise CourseError(f"recommend was given a {type(folder).__name__}, but it looks at files: give it the path of the folder of your pictures.")
    source = str(folder or os.environ.get('COURSE_DATA') or 'solar')
    place = picture_folder(source)
    if write and not place.is_dir():
        raise CourseError(f"'{source}' is no folder, so no recipe can be written into it: give recommend the folder of your pictures, or write=False.")
    pics = load_pictures(source, size=64)
    pairs = near_pairs(pics)
    plan = make_plan(pics, minutes or profile().pick(smoke=.5, cpu=5))
    findings = all_findings(pics, pairs, plan.recipe.arch, plan.size)
    notebook, message = None, ''
    if write: notebook, message = write_notebook(recipe_notebook(pics.name, findings, plan), place)
    return Advice(pics.name, findings, plan, pairs, pics, notebook, message)


def picture_folder(source: str) -> Path:
    "The folder of that path, or where `make data` puts a data set of that name."
    path = Path(source).expanduser()
    return path if path.is_dir() else data_dir()/source
