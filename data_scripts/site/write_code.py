"""Writes the source that `code_of(…)` shows into the outputs of the lessons: part of `make tidy`."""
import argparse, ast, copy, re

import nbformat

from course_utils.config import root
from course_utils.show.html import code_of
from course_utils.show.words import plural
from data_scripts.lessons.notebooks import rewrite_notebooks

CALL = re.compile(r'^code_of\((?P<names>.*)\)$', re.M)


def course_names(notebook) -> dict:  # name → function or class
    "What a notebook imports from the course."
    names = {}
    for cell in notebook.cells:
        if cell.cell_type != 'code' or cell.source.startswith(('%', '!')): continue
        for node in ast.parse(cell.source).body:
            if isinstance(node, ast.ImportFrom) and node.module.startswith('course_utils'): exec(ast.unparse(node), names)
    return names


def with_code(notebook):
    "A copy of a notebook whose `code_of` cells show the source as the modules have it."
    notebook = copy.deepcopy(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == 'code' and CALL.search(cell.source)]
    names = course_names(notebook) if cells else {}
    for cell in cells:
        things = [names[name.strip()] for name in CALL.search(cell.source)['names'].split(',')]
        shown = {'text/markdown': code_of(*things).data, 'text/plain': '<IPython.core.display.Markdown object>'}
        cell.outputs = [nbformat.v4.new_output('execute_result', shown)]
    return notebook


def main(arguments=None):
    "Brings every lesson into step."
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    paths = sorted((root()/'nbs').glob('*.ipynb'))
    n_changed = rewrite_notebooks(paths, lambda notebook, path: with_code(notebook))
    print(f"Wrote the code of {plural(n_changed, 'notebook')}.")
