"""Writes the way in from a browser into the lessons and pages: badges for Colab and Kaggle, and the first cell that fetches the course
there. Part of `make tidy`. Every address is made here from settings.ini, so that a fork's badges open the fork."""
import argparse, configparser, copy
from dataclasses import dataclass
from pathlib import Path

import nbformat

from course_utils.config import root
from course_utils.show.words import plural
from data_scripts.lessons.notebooks import rewrite_notebooks

ROOT = root()
BADGES_ID, CELL_ID = 'door-badges', 'door'
CELL = """#| hide
# In Colab and Kaggle this fetches the course. Anywhere else it does nothing.
import os, sys
if {{'COLAB_RELEASE_TAG', 'KAGGLE_KERNEL_RUN_TYPE'}} & set(os.environ):
    import io, urllib.request, zipfile
    course = '{address}'
    archives = os.environ.get('COURSE_ARCHIVES', f'{{course}}/archive')
    for version in ('v{version}', '{branch}'):
        try: archive = urllib.request.urlopen(f'{{archives}}/{{version}}.zip').read()
        except OSError as error: archive, reason = None, error
        if archive: break
    if not archive: raise SystemExit(f'The course could not be fetched ({{reason}}): '
                                     'switch on the notebook\\'s Internet, and run this again.')
    files = zipfile.ZipFile(io.BytesIO(archive))
    files.extractall()
    sys.path[:0] = [os.path.abspath(files.namelist()[0].split('/')[0])]
    from course_utils.machine.guest import settle
    print(settle())"""


@dataclass(frozen=True)
class Repository:
    "Where the course is published: from settings.ini."
    user: str
    name: str
    branch: str
    version: str

    @property
    def address(self) -> str: return f'https://github.com/{self.user}/{self.name}'

    def colab(self, path: str) -> str:
        "Opens a notebook of the branch in Colab."
        return f'https://colab.research.google.com/github/{self.user}/{self.name}/blob/{self.branch}/{path}'

    def kaggle(self, path: str) -> str:
        "Makes a Kaggle notebook of it."
        return f'https://kaggle.com/kernels/welcome?src={self.address}/blob/{self.branch}/{path}'


def repository(folder: Path = ROOT) -> Repository:
    "What settings.ini says."
    parser = configparser.ConfigParser()
    parser.read(folder/'settings.ini', encoding='utf-8')
    settings = parser['DEFAULT']
    return Repository(settings['user'], settings['repo'], settings['branch'], settings['version'])


def badges(
    repo: Repository,
    path: str,      # of the notebook in the repository: `nbs/01_augmentation.ipynb`
    images: str,    # the way to nbs/images from there
) -> str:  # Markdown
    "Two links, drawn as badges."
    colab = f'[![Open in Colab]({images}/open_in_colab.svg)]({repo.colab(path)})'
    kaggle = f'[![Open in Kaggle]({images}/open_in_kaggle.svg)]({repo.kaggle(path)})'
    return f'{colab} {kaggle}'


def fetching_cell(repo: Repository) -> str:
    "Code that fetches the course at the page's version: its tag where there is one, else the branch."
    return CELL.format(address=repo.address, version=repo.version, branch=repo.branch)


def with_door(
    notebook: dict,
    repo: Repository,
    path: str,
) -> dict:
    "A copy of a notebook whose second and third cells are the badges and the code that fetches the course."
    notebook = copy.deepcopy(notebook)
    depth = path.count('/') - 1
    images = '../' * depth + 'images'
    notebook.cells = [cell for cell in notebook.cells if cell.id not in (BADGES_ID, CELL_ID)]
    notebook.cells[1:1] = [
        nbformat.v4.new_markdown_cell(badges(repo, path, images), id=BADGES_ID),
        nbformat.v4.new_code_cell(fetching_cell(repo), id=CELL_ID),
    ]
    return notebook


def notebooks_with_a_door(folder: Path = ROOT) -> list:
    "Every lesson, page and case study that runs code of the course."
    paths = sorted((folder/'nbs').glob('*.ipynb')) + sorted((folder/'nbs'/'cases').glob('*.ipynb'))
    return [path for path in paths if 'course_utils' in path.read_text(encoding='utf-8')]


def write_all_doors(folder: Path = ROOT) -> int:
    "Writes the notebooks whose way in has changed. Returns how many."
    repo = repository(folder)
    def change(notebook, path): return with_door(notebook, repo, path.relative_to(folder).as_posix())
    return rewrite_notebooks(notebooks_with_a_door(folder), change)


def main(arguments: list | None = None):
    "Writes the badges and first cells of the course's notebooks."
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    changed = write_all_doors()
    print(f"Wrote the way in of {plural(changed, 'notebook')}.")
