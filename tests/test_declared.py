"""What is imported is declared, and the two files that say what the course is agree."""
import ast, configparser, re, sys, tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import course_utils

ROOT = Path(__file__).parent.parent
OWN = {'course_utils', 'data_scripts', 'tests'}
PROJECT = tomllib.loads((ROOT/'pyproject.toml').read_text())['project']
SETTINGS = configparser.ConfigParser(interpolation=None)
SETTINGS.read(ROOT/'settings.ini')


def normal(name: str) -> str:
    "A package's name as registries compare it."
    return re.sub(r'[-_.]+', '-', re.split(r'[<>=!~\[ ]', name)[0]).lower()


def imported(source: str) -> set:
    "The top-level names that a file imports from elsewhere."
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import): names |= {alias.name.split('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level: names.add(node.module.split('.')[0])
    return names - OWN - set(sys.stdlib_module_names)


def undeclared(folder: str, declared: set) -> set:
    "Packages that files below a folder import although nothing declares them."
    packages = packages_distributions()
    names = set().union(*(imported(path.read_text()) for path in (ROOT/folder).rglob('*.py')))
    needed = {normal(package) for name in names for package in packages.get(name, [])[:1]}
    return needed - declared


DECLARED = {normal(name) for name in PROJECT['dependencies']}
DEV = DECLARED | {normal(name) for name in PROJECT['optional-dependencies']['dev']}


def test_what_learners_import_is_declared(): assert not undeclared('course_utils', DECLARED)


@pytest.mark.parametrize('folder', ['data_scripts', 'tests'])
def test_what_authors_import_is_declared(folder): assert not undeclared(folder, DEV)


def test_an_undeclared_import_is_found(): assert 'torch' in undeclared('course_utils', DECLARED - {'torch'})


def test_versions_agree():
    assert SETTINGS['DEFAULT']['version'] == PROJECT['version']
    assert course_utils.__version__ == PROJECT['version']


def test_requirements_agree():
    assert {normal(name) for name in SETTINGS['DEFAULT']['requirements'].split()} == DECLARED
    assert {normal(name) for name in SETTINGS['DEFAULT']['dev_requirements'].split()} == DEV - DECLARED


def test_descriptions_agree(): assert SETTINGS['DEFAULT']['description'] == PROJECT['description']


def test_pythons_agree(): assert PROJECT['requires-python'] == f">={SETTINGS['DEFAULT']['min_python']}"
