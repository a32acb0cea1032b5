"""The site's *Try it* page: the course's own solar-cell network in the visitor's browser.

`python -m data_scripts.site.try_it` trains the network by the ladder's longer recipe, whole modules held out, and keeps its file in `models/`
beside this module. The site's build writes the page from that file, and no page where there is none."""
import argparse, json, tempfile, time
from dataclasses import replace
from pathlib import Path

import numpy as np

from course_utils.config import CourseError, profile
from course_utils.data.pictures import Pictures, load_pictures
from course_utils.data.sources import solar_cells
from course_utils.publish.page import write_page
from course_utils.publish.small import half_weights
from course_utils.report.intervals import proportion_interval
from course_utils.report.stats import is_right
from course_utils.techniques.export import evenly, export
from course_utils.techniques.ladder import longer_training
from course_utils.training.recipe import Recipe
from course_utils.training.run import Run
from course_utils.training.train import train
from data_scripts.site.pages import site_config

MODELS = Path(__file__).parent/'models'
PAGE_TITLE = 'Try it: is this solar cell defective?'
COURSE_PAGE = '../nbs/index.html'
ADDRESS = 'try_it/index.html'  # on the site
N_SAMPLES = 6
TROUBLES = (  # for the model card
    'The modules of the cells are recovered from their order, their sizes and their light, and are not told by the data set.',
    'Defective is what experts gave a probability of one half or more; of many cells they were not sure.',
)


# ---- the network ----

def page_recipe() -> tuple[Recipe, int]:  # it, and the side of the pictures in pixels
    "The ladder's longer training: its augmentation keeps it from being too sure of modules that it has not seen."
    rung = longer_training()
    return rung.recipe, rung.size


def train_network(folder: Path, **changes) -> tuple[Run, Path]:  # `changes` of the recipe, and `size`
    "Trains the network, and writes its file and the names of its sample cells into `folder`. Raises `CourseError` where it cannot."
    recipe, size = page_recipe()
    pics = load_pictures('solar', size=changes.pop('size', size), limit=profile().pick(smoke=160, cpu=None))
    run = train(pics, replace(recipe, **changes), keep=profile().name != 'smoke')
    return run, write_model_folder(run, pics, folder)


def write_model_folder(run: Run, pics: Pictures, folder: Path) -> Path:
    "The exported file with weights of 16 bits, which a visitor waits half as long for, and the names of sample cells."
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        whole = export(run, pics, work, troubles=TROUBLES)['onnx']
        file = half_weights(whole, folder/'solar.onnx')
    samples = json.dumps(sample_cells(pics), indent=1)
    (folder/'samples.json').write_text(samples + '\n', encoding='utf-8')
    return file


def sample_cells(pics: Pictures) -> list:  # (name of the file, its class)
    "Held-out cells, each class by turns."
    chosen = []
    for label, name in enumerate(pics.classes):
        places = pics.valid[pics.y[pics.valid] == label]
        wanted = evenly(places, N_SAMPLES // len(pics.classes))
        chosen += [(Path(pics.table.path.iloc[place]).name, name) for place in wanted]
    return chosen


# ---- the page ----

def sample_files(folder: Path) -> list:  # (file, its class)
    "The sample cells as they lie in the data set's package. Raises `CourseError` where one is not there."
    named = json.loads((folder/'samples.json').read_text(encoding='utf-8'))
    table, _ = solar_cells()
    paths = {Path(path).name: path for path in table.path}
    missing = [name for name, _ in named if name not in paths]
    if missing: raise CourseError(f'The solar cells have no file {missing[0]}: train the network of the page again.')
    return [(paths[name], label) for name, label in named]


def write_try_it(
    docs: Path,
    models: Path = MODELS,
) -> dict | None:  # see `write_page`; None where no network has been trained for it
    "Writes the page into the site, as try_it/index.html."
    file = models/'solar.onnx'
    if not file.exists(): return None
    written = write_page(file, docs/'try_it', PAGE_TITLE, sample_files(models), COURSE_PAGE)
    list_page(docs/'sitemap.xml', f"{site_config()['site-url']}/{ADDRESS}")
    return written


def list_page(sitemap: Path, address: str):
    "Adds an address to the site's map, where it has one."
    if not sitemap.exists(): return
    text = sitemap.read_text(encoding='utf-8')
    entry = f'  <url>\n    <loc>{address}</loc>\n  </url>\n'
    sitemap.write_text(text.replace('</urlset>', f'{entry}</urlset>'), encoding='utf-8')


def main(arguments: list | None=None):
    "Trains the network; at profile smoke it goes into a temporary folder."
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--folder', type=Path, help='where the file goes')
    parser.add_argument('--rate', type=float, help="the highest rate; the ladder's own by default")
    options = parser.parse_args(arguments)
    is_smoke = profile().name == 'smoke'
    folder = options.folder or (Path(tempfile.mkdtemp()) if is_smoke else MODELS)
    changes = dict(lr_max=options.rate) if options.rate else {}
    start = time.perf_counter()
    run, file = train_network(folder, **changes)
    low, high = proportion_interval(is_right(run), groups=run.groups)
    print(f'{file}, {file.stat().st_size / 1e6:.1f} MB: {np.mean(is_right(run)):.1%} ({low:.1%} to {high:.1%}) of {len(run.targets)} '
          f'held-out cells, in {(time.perf_counter() - start) / 60:.1f} minutes.')


if __name__ == '__main__': main()
