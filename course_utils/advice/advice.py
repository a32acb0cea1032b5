"""`recommend`: findings, recipe and notebook of a folder of pictures in one call, and the table that shows them."""
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from course_utils.advice.findings import LEVEL_SIGNS, Finding, all_findings
from course_utils.advice.notebook import recipe_notebook, write_recipe_notebook
from course_utils.advice.plan import Plan, make_plan
from course_utils.advice.series import find_leak
from course_utils.config import CourseError, data_dir, profile
from course_utils.data.pictures import Pictures, load_pictures
from course_utils.data.sources import is_table
from course_utils.show.html import LEFT, LINE_BREAK, ALIGN_TOP, cell, element, frame, join, table
from course_utils.show.words import plural
from course_utils.techniques.near_duplicates import near_pairs
from course_utils.training.recipe import Recipe

CELL_STYLE = f'{LEFT};{ALIGN_TOP}'
ADVICE_COLUMNS = ('looked at', 'found', 'what it means', 'what the recipe does')


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
        rows = map(finding_row, self.findings)
        found = table(ADVICE_COLUMNS, rows, element('b', self.headline), style=CELL_STYLE)
        recipe = element('p', element('b', 'Recipe'), ' · ', self.plan)
        return frame('info', found, recipe, element('p', self.message), width='72em', role=None, style='overflow-wrap:anywhere')


def finding_row(finding: Finding) -> tuple:
    "A finding as a row of the table."
    sign, colour = LEVEL_SIGNS[finding.level]
    coloured_sign = element('span', sign, style=f'color:{colour}')
    head = join([coloured_sign, ' ', finding.name, LINE_BREAK, element('small', finding.level)])
    return cell(head, 'row', CELL_STYLE), finding.found, finding.means, finding.does


def recommend(
    folder: str | Path | None=None,  # a folder of pictures, a table of files and classes, or the name of a fetched data set; None reads `COURSE_DATA`
    write: bool=True,                # write the starting notebook into the folder, or beside the table
    minutes: float | None=None,      # that both halves of the recipe may take; None: 5, at profile smoke less
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
    leak = find_leak(pics, plan.recipe.arch)
    plan = plan.with_neighbours(leak)
    findings = all_findings(pics, pairs, leak, plan.recipe.arch, plan.size)
    notebook, message = None, ''
    table_name = Path(source).name if is_table(source) else ''
    recipe = recipe_notebook(pics.name, findings, plan, table_name)
    if write: notebook, message = write_recipe_notebook(recipe, place)
    return Advice(pics.name, findings, plan, pairs, pics, notebook, message)


def picture_folder(source: str) -> Path:
    "The folder of that path, that in which a table lies, or where `make data` puts a data set of that name."
    path = Path(source).expanduser()
    if is_table(source): return path.parent
    return path if path.is_dir() else data_dir()/source
