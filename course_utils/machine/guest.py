"""The course as a guest on a platform that has its own Python: Colab, Kaggle. The first cell of a lesson fetches it and calls `settle`.

The platform keeps its torch, its NumPy and all else that it has: only what is missing is installed, and a torch outside the range
of pyproject.toml is a sentence, not an attempt."""
import importlib, importlib.metadata, os, re, subprocess, sys, tempfile
from contextlib import suppress
from pathlib import Path

from packaging.requirements import Requirement

from course_utils.config import CourseError
from course_utils.machine.software import locked_versions, normalised, project, public_version

PLATFORMS = {  # name → the variable that only this platform sets
    'Colab': 'COLAB_RELEASE_TAG',
    'Kaggle': 'KAGGLE_KERNEL_RUN_TYPE',
}
REMEDY = {  # where torch is too old or too new
    'Colab': 'choose a runtime of another version (Runtime, Change runtime type)',
    'Kaggle': 'choose the latest environment (Settings, Environment)',
}
NETWORK = {  # where nothing can be fetched
    'Colab': 'try again in a minute',
    'Kaggle': 'switch on Internet in the notebook\'s Settings, which wants a confirmed phone number, and run this cell again',
}
# A platform has its own server, and notebooks are not run from inside it.
NOT_NEEDED = {'jupyterlab', 'jupyter-server', 'jupyter-client', 'nbclient', 'onnxscript'}
# Already loaded, or built for the platform's GPU: another version would break the kernel.
KEPT = ('torch', 'torchvision', 'torchaudio', 'triton', 'numpy', 'scipy', 'pandas', 'pillow', 'matplotlib', 'ipython', 'ipykernel',
        'ipywidgets', 'scikit-learn', 'packaging', 'traitlets', 'requests', 'psutil', 'tqdm')


def platform(environment=os.environ) -> str | None:
    "Whose guest is this kernel? None: nobody's."
    return next((name for name, variable in PLATFORMS.items() if variable in environment), None)


def declared() -> list:  # of `packaging.requirements.Requirement`
    "What the course needs, with the ranges that it allows, but for the server."
    requirements = [Requirement(text) for text in project()['dependencies']]
    return [r for r in requirements if normalised(r.name) not in NOT_NEEDED]


def installed_version(name: str) -> str | None:
    "None where it is not installed."
    try: return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError: return None


def is_allowed(requirement, version: str) -> bool:
    "2.9.0+cu126 is 2.9.0, built for the platform's GPU."
    return requirement.specifier.contains(public_version(version), prereleases=True)


def torch_problem(
    requirements: list,
    version_of=installed_version,  # name → version, or None
    host: str = 'Colab',
) -> str:
    "A sentence where the platform's torch is outside the range; nothing where it is inside."
    requirement = next(r for r in requirements if r.name == 'torch')
    version = version_of('torch')
    if version and is_allowed(requirement, version): return ''
    found = f'has torch {version}' if version else 'has no torch'
    return (f'{host} {found}, and the course needs torch{requirement.specifier}: {REMEDY[host]}, '
            'or work on your own machine with make lab.')


def missing_requirements(
    requirements: list,
    locked: dict,                  # name → the version that the course was tested with
    version_of=installed_version,
) -> list:  # for pip
    "What is not there, or is of a version that the course does not allow: at the version that it was tested with."
    missing = []
    for requirement in requirements:
        version = version_of(requirement.name)
        if version and is_allowed(requirement, version): continue
        name = normalised(requirement.name)
        missing.append(f'{name}=={locked[name]}' if name in locked else str(requirement))
    return missing


def install_missing(missing: list, host: str, version_of=installed_version):
    "Installs with pip, and holds on to what the platform has. Raises `CourseError` where that is not possible."
    kept = {name: version_of(name) for name in KEPT}
    wanted = {normalised(re.split('[=<>!~]', text)[0]) for text in missing}
    lines = [f'{name}=={version}' for name, version in kept.items() if version and name not in wanted]
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder)/'kept.txt'
        constraints.write_text('\n'.join(lines) + '\n')
        command = [sys.executable, '-m', 'pip', 'install', '--quiet', '-c', str(constraints), *missing]
        process = subprocess.run(command, capture_output=True, text=True)
    if not process.returncode: return
    last = (process.stderr.strip().splitlines() or ['pip said nothing'])[-1]
    raise CourseError(f'{host} could not install {", ".join(missing)} ({last}): {NETWORK[host]}.')


def enable_sliders():
    "ipywidgets 8 needs Colab's manager for widgets from elsewhere; version 7, which Colab has, works by itself."
    version = installed_version('ipywidgets') or '0'
    if int(version.split('.')[0]) < 8: return
    with suppress(ImportError): importlib.import_module('google.colab.output').enable_custom_widget_manager()


def settle(version_of=installed_version) -> str:  # a sentence: what was done
    "Makes the course usable in this kernel. Raises `CourseError` where the platform's torch does not fit, or nothing can be installed."
    host = platform()
    if not host: return ''
    requirements = declared()
    problem = torch_problem(requirements, version_of, host)
    if problem: raise CourseError(problem)
    missing = missing_requirements(requirements, locked_versions(), version_of)
    if missing:
        install_missing(missing, host, version_of)
        importlib.invalidate_caches()
    if host == 'Colab': enable_sliders()
    return f"The course is ready on {host}, with its torch {version_of('torch')}; installed: {', '.join(missing) or 'nothing'}."
