"""Checks of what is installed: Python, packages, fonts, weights, photographs, a start without a network, the tests' browser."""
import base64, hashlib, importlib.metadata, importlib.util, re, shutil, socket, sys, tomllib, warnings
from contextlib import contextmanager
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from course_utils.config import root
from course_utils.machine.checks import CheckResult, error_line, good, install_again, is_course_environment, reinstall, shortened
from course_utils.machine.places import typed_command

GLYPHS = '×−→…±≥≤≈·½°Δ✓'  # beyond ASCII, in figures and tables of the course
BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')


def project() -> dict:
    "What pyproject.toml says of the package."
    return tomllib.loads((root()/'pyproject.toml').read_text(encoding='utf-8'))['project']


def check_python(
    version=None,  # (3, 12, 1)
    prefix=None,   # of the environment
) -> CheckResult:
    "Is it new enough, and is it the course's own?"
    version = '.'.join(map(str, version or sys.version_info[:3]))
    prefix = prefix or sys.prefix
    needed = project()['requires-python']  # >=3.11
    if not SpecifierSet(needed).contains(version):
        return CheckResult('bad', f"{version}, and the course needs {needed.removeprefix('>=')} or newer",
                           f"`{typed_command('clean')}`, then `/path/to/a/newer/python3 course.py lab`")
    if not is_course_environment(prefix):
        return CheckResult('look', f"{version}, but not that of the course's .venv: it is {prefix}", f"Start with `{typed_command('lab')}`, which uses .venv.")
    return good(f'{version}, in .venv')


# ---- packages ----

def normalised(name: str) -> str:
    "A package's name as indexes compare it: `Fast_AI` is `fast-ai`."
    return re.sub(r'[-_.]+', '-', name.strip()).lower()


def locked_versions(
    text: str | None=None,  # of a constraints file; None: the course's own
) -> dict:                  # name → version
    "The versions that the course was tested with."
    if text is None: text = (root()/'constraints.txt').read_text(encoding='utf-8')
    lines = [line.split('#')[0].strip() for line in text.splitlines()]
    pairs = [line.partition('==') for line in lines]
    return {normalised(name): version for name, _, version in pairs if version}


def installed_requirements(name: str) -> list:
    "What a package asks for; nothing where it is not installed."
    try: return importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError: return []


def drawn_in(
    requirements,                         # `fastai>=2.8`, …
    requires_of=installed_requirements,   # name → its requirements
) -> set:  # names
    "All that a list of requirements draws in on this machine."
    seen = set()
    todo = [Requirement(text) for text in requirements]
    while todo:
        requirement = todo.pop()
        name = normalised(requirement.name)
        for extra in ('', *requirement.extras):
            if (name, extra) in seen: continue
            seen.add((name, extra))
            further = [Requirement(text) for text in requires_of(requirement.name)]
            todo += [r for r in further if not r.marker or r.marker.evaluate(dict(extra=extra))]
    return {name for name, _ in seen}


def installed_versions() -> dict:  # name → version
    "Every package of this environment."
    pairs = [(d.metadata['Name'], d.version) for d in importlib.metadata.distributions()]
    return {normalised(name): version for name, version in pairs if name}


def public_version(version: str) -> str:
    "2.15.0+cpu is 2.15.0, built for a machine without a GPU."
    return version.split('+')[0]


def check_packages(
    constraints=None,  # text of a constraints file; None: the course's own
    installed=None,    # name → version
    needed=None,       # names that must be there
) -> CheckResult:
    "Is every package there, at the version that the course was tested with? Those that only the tests need may be missing."
    if installed is None: installed = installed_versions()
    if needed is None: needed = drawn_in(project()['dependencies'])
    wanted = locked_versions(constraints)
    missing = [f'{name} {version} is missing' for name, version in wanted.items() if name in needed and name not in installed]
    wrong = []
    for name, version in wanted.items():
        if name not in installed: continue
        if public_version(installed[name]) != public_version(version): wrong.append(f'{name} is {installed[name]}, not {version}')
    if wrong or missing: return CheckResult('bad', shortened(missing + wrong), reinstall())
    return good(f'all {len(wanted.keys() & installed.keys())} at the versions of constraints.txt')


# ---- fonts ----

def missing_glyphs(family) -> list:
    "Draws every sign; matplotlib warns where it leaves a box."
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    figure = Figure()
    FigureCanvasAgg(figure)
    figure.text(.1, .5, GLYPHS, family=family)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        figure.canvas.draw()
    matches = [re.match(r'Glyph (\d+)', str(warning.message)) for warning in caught]
    return [chr(int(match[1])) for match in matches if match]


def check_fonts(
    family=None,  # None: matplotlib's own
) -> CheckResult:
    "Is matplotlib's font here, and can it draw every sign?"
    from matplotlib import font_manager, rcParams
    family = family or rcParams['font.family']
    fix = (f"`{sys.executable} -c 'import matplotlib; print(matplotlib.matplotlib_fname())'` names the file that sets font.family: "
           f"take that line out, and run {install_again('matplotlib')} if it sets none.")
    properties = font_manager.FontProperties(family=family)
    try: path = font_manager.findfont(properties, fallback_to_default=False)
    except ValueError:
        families = [family] if isinstance(family, str) else family
        return CheckResult('bad', f"no font of the family {', '.join(families)}", fix)
    name = font_manager.get_font(path).family_name
    missing = missing_glyphs(family)
    if missing: return CheckResult('look', f"{name} has no {' '.join(missing)}: figures show boxes there", fix)
    return good(f"{name} draws {' '.join(GLYPHS)}")


# ---- weights and photographs ----

def has_digest(path_of, sha256: str) -> bool:
    "Has the file this checksum? One that is missing has none."
    try: return hashlib.sha256(path_of().read_bytes()).hexdigest() == sha256
    except (OSError, ValueError): return False  # `CourseError` is a ValueError


def check_weights(
    files=None,  # timm name → path
) -> CheckResult:
    "Are the packaged ImageNet weights the published ones?"
    from course_utils.models import PACKAGED, packaged_file
    path_of = files.get if files else packaged_file
    damaged = []
    for arch, (package, _, sha256) in PACKAGED.items():
        if not has_digest(lambda: path_of(arch), sha256): damaged.append((arch, package))
    if not damaged: return good(f"{', '.join(PACKAGED)}: the published checksums")
    archs, packages = zip(*damaged)
    return CheckResult('bad', f"missing or damaged: {', '.join(archs)}", install_again(' '.join(packages)))


def is_whole(file) -> bool:
    "Has a file of a package the checksum that pip's list gives?"
    try: content = Path(file.locate()).read_bytes()
    except OSError: return False
    digest = hashlib.new(file.hash.mode, content).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b'=').decode() == file.hash.value


def check_photographs(
    files=None,  # as `importlib.metadata.files` gives them
) -> CheckResult:
    "Is every file of the default data set what its package lists?"
    if files is None:
        try: files = importlib.metadata.files('elpv-dataset')
        except importlib.metadata.PackageNotFoundError: return CheckResult('bad', 'the package elpv-dataset is missing', reinstall())
    listed = [file for file in files or () if file.hash]
    if not listed: return CheckResult('look', 'the package elpv-dataset lists no checksums', install_again('elpv-dataset'))
    damaged = [file.name for file in listed if not is_whole(file)]
    if damaged: return CheckResult('bad', f'missing or changed: {shortened(damaged)}', install_again('elpv-dataset'))
    return good(f'solar: all {len(listed):,} files with the checksums of their package')


# ---- without a network ----

@contextmanager
def no_network():
    "Inside, this process finds no address and opens no connection. Raised is an `OSError` that says so."
    def refuse(*_, **__): raise ConnectionRefusedError('it asked for a network')
    old = socket.getaddrinfo, socket.socket.connect, socket.socket.connect_ex
    socket.getaddrinfo = socket.socket.connect = socket.socket.connect_ex = refuse
    try: yield
    finally: socket.getaddrinfo, socket.socket.connect, socket.socket.connect_ex = old


def start_of_a_lesson():
    "How every lesson begins: photographs, and a network with ImageNet weights."
    from course_utils.data.decode import decode
    from course_utils.data.sources import photo, solar_cells
    from course_utils.models import create_model
    table, _ = solar_cells()
    decode(list(table.path[:2]), 64, quiet=True)
    photo('chelsea')
    create_model('tf_efficientnet_lite0', 2)


def check_offline(start=start_of_a_lesson) -> CheckResult:
    "Does a lesson's beginning work where no connection can be opened?"
    try:
        with no_network(): start()
    except Exception as error:
        return CheckResult('bad', f'a lesson could not begin without one ({error_line(error)})', reinstall())
    return good('with every connection of this process refused, photographs were read and a network was built with its '
                'ImageNet weights. Only that was tried here; `make test-offline` runs every lesson so')


def check_browser(
    tests=None,  # are the tests installed?
    path=None,   # of a Chromium
) -> CheckResult | None:  # None where no tests are installed
    "Chromium, where the tests are installed."
    if tests is None: tests = bool(importlib.util.find_spec('playwright'))
    if not tests: return None
    if path is None: path = next(filter(None, map(shutil.which, BROWSERS)), '')
    if path: return good(Path(path).name)
    return CheckResult('look', 'no Chromium: `make test` leaves out the browser tests', 'On Debian and Ubuntu: `sudo apt install chromium`')
