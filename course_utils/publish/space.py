"""A folder that can be hosted: the app, what it needs, and a model card. `python -m course_utils space MODEL.onnx --out folder`."""
import argparse, platform, shutil
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from string import Template

from packaging.requirements import Requirement

from course_utils.config import CourseError, write_whole
from course_utils.publish import app
from course_utils.report.intervals import proportion_interval
from course_utils.show.words import escaped_markdown
from course_utils.techniques.answer import SHIPPED_TO_ASK, open_model, standalone

CARD = Path(__file__).with_name('card.md')
GRADIO = '6.31.0'  # with which it was tried
GRADIO_WANTS = ('numpy>=1.0,<3.0', 'pillow>=8.0,<13.0')  # what its metadata says of the packages in NEEDED
NEEDED = ('numpy', 'pillow', 'onnxruntime')  # beside Gradio
PYTHON = '.'.join(platform.python_version_tuple()[:2])
IMPORT = 'from course_utils.techniques.answer import'


def card_blanks(
    facts: dict,  # of the file
    title: str,
) -> dict:        # name of a blank → what goes there
    "What a model card says. What nobody told the file is said to be unknown."
    told = facts.get('card') or {}
    data = 'Not told.'
    if told.get('training'): data = f"{told['training']} pictures of *{escaped_markdown(told['pictures'])}* to train on, {told['held_out']} held out."
    troubles = '\n'.join(f'- {escaped_markdown(trouble)}' for trouble in told.get('troubles', ())) or 'None was noted.'
    return dict(title=title, gradio=installed('gradio', GRADIO), python=PYTHON, n_classes=len(facts['labels']), data=data,
                accuracy=accuracy_words(facts), classes=', '.join(map(escaped_markdown, facts['labels'])), unlike=app.detector_words(facts), troubles=troubles,
                prepare=f"{'; '.join(facts['contract']['order'])} ({facts['contract']['filter']}, a = {facts['contract']['a']}, antialiased; size {facts['size']}).",
                temperature=f"{facts['temperature']:.3f}")


def accuracy_words(facts: dict) -> str:
    "How many held-out pictures are named right, with an interval, for the model card and the page."
    told = facts.get('card') or {}
    n, right, by_group = told.get('held_out', 0), told.get('right', 0), told.get('by_group')
    if not n: return 'Not measured: the file was written without held-out pictures.'
    low, high = held_out_interval(by_group) if by_group else proportion_interval([True] * right + [False] * (n - right))
    grouped = f', of {len(by_group)} groups,' if by_group else ''
    return f'{right / n:.1%} of {n} held-out pictures{grouped} are named right ({low:.1%} to {high:.1%}, nineteen times out of twenty).'


def held_out_interval(
    by_group: list,  # [pictures, of these right] of each held-out group, such as a module
) -> tuple:          # low, high
    "Interval of the accuracy: pictures of one group are alike, and tell less than as many of as many groups."
    answers, groups = [], []
    for group, (n, right) in enumerate(by_group):
        answers += [True] * right + [False] * (n - right)
        groups += [group] * n
    return proportion_interval(answers, groups=groups)


def installed(package: str, otherwise: str='') -> str:
    "The version that is installed here."
    try: return version(package)
    except PackageNotFoundError: return otherwise


def requirements() -> str:
    """The version of Gradio that is here, or with which it was tried, and of every other package the version that is here. Where this
    Gradio cannot do with that one, the range that it asks for: the newest of it is installed then, and may be another tomorrow."""
    wanted = {}
    for line in gradio_wants():
        requirement = Requirement(line)
        wanted[requirement.name.lower()] = requirement.specifier
    lines = [f"gradio=={installed('gradio', GRADIO)}"]
    lines += [package + version_wanted(installed(package), wanted.get(package)) for package in NEEDED]
    return '\n'.join(lines) + '\n'


def gradio_wants() -> tuple | list:
    "What the Gradio that is here asks for, as in `pip`; without one, what the one with which it was tried does."
    try: return requires('gradio') or GRADIO_WANTS
    except PackageNotFoundError: return GRADIO_WANTS


def version_wanted(
    here: str,   # the version of a package that is here; empty where it is not
    asked=None,  # a `SpecifierSet`, or None where Gradio does not ask for the package
) -> str:        # as it follows the package's name
    "This one version, or all that Gradio takes where it does not take this one."
    if here and (asked is None or asked.contains(here, prereleases=True)): return f'=={here}'
    return str(asked or '')


def space_app() -> str:
    "The app's own text, with `answer` beside it."
    text = Path(app.__file__).read_text(encoding='utf-8')
    if text.count(IMPORT) != 1: raise CourseError(f"The app was changed: '{IMPORT}' no longer stands in it once.")
    return text.replace(IMPORT, 'from answer import')


def write_space(
    onnx_file,            # written by `export`
    folder,               # is made
    title: str='A classifier',
) -> Path:                # the folder
    "Writes app.py, answer.py, model.onnx, requirements.txt and README.md. Raises `CourseError` where it cannot, or for a file of another kind."
    folder = Path(folder)
    facts = shipped_facts(onnx_file)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(onnx_file, folder/'model.onnx')
        write_whole(folder/'answer.py', standalone(SHIPPED_TO_ASK) + '\n')
        write_whole(folder/'app.py', space_app())
        write_whole(folder/'requirements.txt', requirements())
        write_whole(folder/'README.md', Template(CARD.read_text(encoding='utf-8')).substitute(card_blanks(facts, title)))
    except OSError as e:
        raise CourseError(f"The space could not be written into {folder} ({e.strerror or e}): allow it there, or name another folder.") from None
    return folder


def shipped_facts(onnx_file) -> dict:
    "The facts in an exported file. Raises `CourseError` where there are none."
    if not Path(onnx_file).is_file(): raise CourseError(f"There is no file {onnx_file}: export(run, pics, folder) writes one.")
    try: facts = open_model(onnx_file)[1]
    except Exception: raise CourseError(f"{onnx_file} is no ONNX file that can be run: export(run, pics, folder) writes one.") from None
    if 'labels' in facts and 'contract' in facts: return facts
    raise CourseError(f"{onnx_file} does not say how a picture is prepared for it: write it again with export(run, pics, folder).")


def main(arguments: list | None=None):
    "`MODEL.onnx --out folder`."
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('model', help='an ONNX file that export wrote')
    parser.add_argument('--out', default='space')
    parser.add_argument('--title', default='A classifier')
    options = parser.parse_args(arguments)
    folder = write_space(options.model, options.out, options.title)
    print(f'Written: {folder}. Try it: pip install -r {folder}/requirements.txt, then python {folder}/app.py.')
