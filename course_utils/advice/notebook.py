"""The notebook that `recommend` writes: `template.md` with its blanks filled.

In the template a fence is a code cell, what lies between fences is text, and a line `---` parts two cells of text. Blanks are
written as `$name`. They are filled after the template was cut into cells, so nothing that a folder says can begin a cell."""
import re
from pathlib import Path
from string import Template

import nbformat

from course_utils.advice.findings import LEVEL_SIGNS, Finding
from course_utils.advice.plan import Plan
from course_utils.config import CourseError, write_whole
from course_utils.show.words import escaped_markdown
from course_utils.techniques.answer import standalone
from course_utils.techniques.export import free_stem

NOTEBOOK_TEMPLATE = Path(__file__).with_name('template.md')
RECIPE_KERNEL = dict(display_name='python3', language='python', name='python3')


def template_cells(text: str) -> list:  # (`code` or `text`, source)
    "The template, cut into cells."
    cells = []
    for k, part in enumerate(re.split(r'^```(?:python)?$', text, flags=re.MULTILINE)):
        in_fence = k % 2 == 1
        sources = [part] if in_fence else re.split(r'^---$', part, flags=re.MULTILINE)
        kind = 'code' if in_fence else 'text'
        cells += [(kind, source.strip()) for source in sources if source.strip()]
    return cells


def finding_line(finding: Finding) -> str:
    "A finding as an item of a list in Markdown."
    sign, _ = LEVEL_SIGNS[finding.level]
    found, means, does = map(escaped_markdown, (finding.found, finding.means, finding.does))
    return f'- {sign} **{finding.name}** {found} {means} *{does}*'


def known_troubles(findings: list) -> list:
    "What a model card says of the pictures, in sentences."
    return [f'{finding.found} {finding.means}' for finding in findings if finding.level == 'trouble']


def blanks(
    name: str,       # of the pictures
    findings: list,
    plan: Plan,
    table: str='',   # see `recipe_notebook`
) -> dict:           # name of a blank → what goes there
    "What the template's blanks are filled with."
    recipe = plan.recipe
    classes = ''.join(f'{callback.__name__}, ' for callback in recipe.callbacks)
    return dict(
        name=escaped_markdown(name),
        findings='\n'.join(map(finding_line, findings)),
        standalone=standalone(),
        troubles=repr(known_troubles(findings)),
        table=f'/{table!r}' if table else '',
        size=plan.size,
        arch=repr(recipe.arch),
        epochs=recipe.epochs,
        freeze_stages=recipe.freeze_stages,
        kept_views=recipe.kept_views,
        lr_max=recipe.lr_max,
        bs=recipe.bs,
        batchnorm=recipe.batchnorm,
        folds=plan.folds,
        neighbours=repr(plan.neighbours),
        callbacks=f'({classes.rstrip()})',
    )


def recipe_notebook(
    name: str,       # of the pictures
    findings: list,
    plan: Plan,
    table: str='',   # the name of the file beside it that says which picture is of which class; '': the folder tells
) -> nbformat.NotebookNode:
    "The notebook. Names and findings are text in it: none of their characters is Markdown or HTML."
    values = blanks(name, findings, plan, table)
    cells = []
    for k, (kind, source) in enumerate(template_cells(NOTEBOOK_TEMPLATE.read_text(encoding='utf-8'))):
        new_cell = nbformat.v4.new_code_cell if kind == 'code' else nbformat.v4.new_markdown_cell
        cell_id = f'recipe-{k}'  # nbformat would draw one at random, and the same notebook would be written twice
        cells.append(new_cell(Template(source).substitute(values), id=cell_id))
    return nbformat.v4.new_notebook(cells=cells, metadata=dict(kernelspec=RECIPE_KERNEL))


def write_recipe_notebook(
    notebook: nbformat.NotebookNode,
    folder: Path,
) -> tuple[Path, str]:  # the file, and what was done in a sentence
    """Writes `recipe.ipynb`, or where that is taken `recipe-2.ipynb`, and so on. One that is there with the same content is not
    written again. Raises `CourseError` where the folder cannot be written."""
    text = nbformat.writes(notebook) + '\n'
    try:
        path = notebook_with(text, folder)
        if path: return path, f'A notebook that does all this lies in the folder: {path.name}.'
        path = folder/f"{free_stem(folder, 'recipe', ['ipynb'])}.ipynb"
        write_whole(path, text)
    except OSError as e:
        raise CourseError(f"The recipe could not be written into {folder} ({e.strerror or e}): allow it there, or write=False.") from None
    taken = '' if path.stem == 'recipe' else 'recipe.ipynb was there already and is left as it is. '
    return path, f'{taken}A notebook that does all this was written into the folder: {path.name}.'


def notebook_with(text: str, folder: Path) -> Path | None:
    "The recipe in the folder that holds this very text."
    for path in sorted(folder.glob('recipe*.ipynb')):
        if path.read_text(encoding='utf-8', errors='replace') == text: return path
    return None
