"""From a folder of pictures to a page that others can visit, in one command: `python -m course_utils recommend FOLDER --run`.

Without `--run` it says what it found and writes the recipe, which can be opened and changed before it is run."""
import argparse, time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from course_utils.advice.advice import recommend
from course_utils.config import CourseError, write_whole


def printed_text(cell: nbformat.NotebookNode) -> str:
    "What a cell has printed, without its tables and pictures."
    texts = []
    for output in cell.get('outputs', []):
        if output.output_type == 'stream' and output.name == 'stdout': texts.append(output.text)
    return ''.join(texts)


def print_cell(cell, cell_index, execute_reply):
    "Tells what a cell has printed as soon as it has run: nbclient's `on_cell_executed`."
    print(printed_text(cell), end='', flush=True)


def run_recipe(
    path: Path,  # of the notebook that `recommend` wrote, in the folder of the pictures
) -> float:      # seconds
    "Runs it where it lies, and writes the results into it. Raises `CourseError` where a cell fails."
    notebook = nbformat.read(path, as_version=4)
    resources = dict(metadata=dict(path=str(path.parent)))
    client = NotebookClient(notebook, kernel_name='python3', timeout=None, coalesce_streams=True, resources=resources,
                            extra_arguments=['--IPKernelApp.log_level=50'], on_cell_executed=print_cell)
    start = time.perf_counter()
    try: client.execute()
    except CellExecutionError as error:
        fault = f'{error.ename}: {error.evalue}'
        raise CourseError(f"The recipe has stopped ({fault}): open {path}, where the cell that failed says more.") from None
    except DeadKernelError:
        raise CourseError(f"The recipe has stopped, perhaps for lack of memory: choose a smaller size in {path}.") from None
    finally: write_whole(path, nbformat.writes(notebook) + '\n')
    return time.perf_counter() - start


def main(arguments: list | None=None):
    "`FOLDER --minutes --run`."
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', help='a folder with a folder of pictures for each class, or a table of files and classes')
    parser.add_argument('--minutes', type=float, help='that training may take, on this machine; 5 by default')
    parser.add_argument('--run', action='store_true', help='run the recipe, too: it ends with an ONNX file, a page and an app')
    options = parser.parse_args(arguments)
    if options.minutes is not None and options.minutes <= 0: raise CourseError('Training needs a moment: give --minutes a number above 0.')
    advice = recommend(options.folder, minutes=options.minutes)
    print(advice, flush=True)
    if not options.run:
        print(f'Run it: open it, or add --run. It lies in {advice.notebook.parent}.')
        return
    seconds = run_recipe(advice.notebook)
    print(f'{seconds / 60:.1f} minutes. The notebook with all its results: {advice.notebook}.')
