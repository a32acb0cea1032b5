"""The course's notebooks as files: which there are, and how they are cleaned and written."""
import copy, re
from pathlib import Path

import nbformat

from course_utils.config import CourseError, root, write_whole

ROOT = root()
WIDGET = 'application/vnd.jupyter.widget-view+json'
KERNEL = {'kernelspec': {'display_name': 'python3', 'language': 'python', 'name': 'python3'}}


# ---- which there are ----

def is_case(path: Path) -> bool:
    "Is it a case study?"
    return path.parent.name == 'cases'


def is_lesson(path: Path) -> bool:
    "Is it a numbered lesson?"
    return path.resolve().parent == nbs_folder(path) and path.stem[0].isdigit()


def nbs_folder(path: Path) -> Path:
    "The folder `nbs` that a notebook lies in."
    return next(parent for parent in path.resolve().parents if parent.name == 'nbs')


def list_notebooks(
    only: str = '',  # beginnings of names in nbs/, with commas between them: `00,03`, `index` or `cats_dogs`; empty means every lesson, and no case
    folder: Path = ROOT,
) -> list[Path]:
    "The lessons' notebooks in order. Raises `CourseError` where a beginning fits none."
    nbs = folder/'nbs'
    lessons = sorted(nbs.glob('[0-9]*.ipynb'))
    beginnings = [word.strip() for word in only.split(',') if word.strip()]
    if not beginnings: return lessons
    pages = sorted(nbs.glob('[a-z]*.ipynb'))
    in_folders = sorted(nbs.glob('*/[a-z0-9]*.ipynb'))
    notebooks = lessons + pages + in_folders

    def name(path: Path) -> str: return path.relative_to(nbs).with_suffix('').as_posix()

    def fits(path: Path, beginning: str) -> bool:
        return name(path).startswith(beginning) or is_case(path) and path.stem.startswith(beginning)

    for beginning in beginnings:
        if not any(fits(path, beginning) for path in notebooks):
            names = ', '.join(map(name, notebooks))
            raise CourseError(f"ONLY={beginning} fits no lesson; there are {names or 'none yet'}.")
    return [path for path in notebooks if any(fits(path, beginning) for beginning in beginnings)]


# ---- cleaned and written ----

def clean(
    notebook: dict,
    folders: tuple = (),  # of this machine, which outputs may name; they become `.`
) -> dict:
    "A copy with what a reader needs and nothing that differs from run to run or from machine to machine."
    notebook = copy.deepcopy(notebook)
    notebook['metadata'] = copy.deepcopy(KERNEL)
    for cell in notebook['cells']:
        cell['metadata'] = {}
        if cell['cell_type'] != 'code': continue
        cell['execution_count'] = None
        outputs = [clean_output(output, folders) for output in cell['outputs']]
        cell['outputs'] = [output for output in outputs if output]
    return notebook


def clean_output(output: dict, folders: tuple) -> dict | None:
    "An output without counts, widgets and places of one machine; None where nothing is left for a reader."
    if output['output_type'] == 'stream': return clean_stream(output, folders)
    if 'execution_count' in output: output['execution_count'] = None
    data = output.get('data')
    if data is None: return output
    was_widget = data.pop(WIDGET, None)
    output['metadata'] = {mime: value for mime, value in output['metadata'].items() if mime in data}
    # What is left of a widget without a page of its own is a line like `VBox(children=…)`: of no use to a reader.
    if not data or (was_widget and set(data) == {'text/plain'}): return None
    for mime, value in data.items():
        if mime.startswith('text/') or mime == 'image/svg+xml': data[mime] = clean_text(value, folders)
        elif isinstance(value, str): data[mime] = value.rstrip()
    return output


def clean_stream(output: dict, folders: tuple) -> dict | None:
    "What was printed; what went to stderr is left out."
    if output['name'] == 'stderr': return None
    output['text'] = clean_text(output['text'], folders)
    return output if output['text'] else None


def clean_text(text, folders: tuple) -> str:
    "Without names of folders of this machine, and without addresses in memory."
    text = ''.join(text)
    for folder in sorted(map(str, folders), key=len, reverse=True): text = text.replace(folder, '.')
    return re.sub(r' at 0x[0-9a-fA-F]{6,}', '', text)


def write_notebook(
    notebook: dict,
    path: Path,
):
    "Writes the notebook as nbdev does, in one step: a reader sees the old file or the new one, never half of it."
    notebook = nbformat.from_dict(notebook)
    write_whole(path, nbformat.writes(notebook) + '\n')


def rewrite_notebooks(
    paths,   # of notebooks
    change,  # (notebook, path) → the notebook as it should be, a copy
) -> int:
    "Writes those that should be others. Returns how many."
    n_changed = 0
    for path in paths:
        notebook = nbformat.read(path, 4)
        new = change(notebook, path)
        if new == notebook: continue
        write_notebook(new, path)
        n_changed += 1
    return n_changed


def clean_all(folder: Path = ROOT) -> int:
    "Cleans every notebook as it lies, without running it. Returns how many were not clean."
    paths = [path for path in sorted((folder/'nbs').rglob('*.ipynb')) if '.ipynb_checkpoints' not in path.parts]
    return rewrite_notebooks(paths, lambda notebook, path: clean(notebook, (path.parent, folder)))
