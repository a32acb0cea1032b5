"""Where pictures come from: the solar cells of a package, a folder, a table of files and classes, or what `make data` has fetched.

A source lists files with their labels. Its table has a row per file: path, label, stratum (what is held out in
proportion), split (empty where the source brings none) and what else the source knows. How a folder is read: `layouts`."""
import json, os
from pathlib import Path

import numpy as np, pandas as pd
from PIL import Image, ImageOps

from course_utils.config import CourseError, data_dir
from course_utils.data.layouts import read_layout
from course_utils.data.listing import is_system_name
from course_utils.data.modules import module_groups, module_numbers
from course_utils.data.rows import AS_IT_LIES, Layout, Reading, to_layout
from course_utils.data.tables import chosen_table, is_table_name

FACTS_FILE = 'about.json'  # `make data` writes it beside the folders of a data set
FACTS = {'title', 'pictures', 'subset', 'beside'}  # a file without these is somebody else's


# ---- by name ----

def source_name(source: str | None) -> str:
    "What was asked for: the name or folder given, else that of `COURSE_DATA`, else `solar`."
    return str(source or os.environ.get('COURSE_DATA') or 'solar')


def data_names() -> list:
    "The names that COURSE_DATA knows on this machine: `solar` and what `make data` has fetched."
    if not data_dir().is_dir(): return ['solar']
    paths = sorted(data_dir().iterdir())
    fetched = [path.name for path in paths if path.is_dir() and not is_system_name(path.name)]
    return ['solar', *fetched]


def find_source(
    source: str | None = None,     # a name out of `data_names()`, a folder or a table; None reads `COURSE_DATA`, which unset means `solar`
    reading: Reading = AS_IT_LIES,  # how a folder is to be read
) -> tuple[str, Layout]:  # the name shown; the files with their classes
    "Finds the files of a data set. Raises `CourseError` for an unknown name, and for what cannot be read as its author meant it."
    if reading.csv and source is None: return table_source(str(reading.csv), reading)
    name = source_name(source)
    if is_table(name): return table_source(name, reading)
    if name == 'solar': return name, solar_layout(reading)
    if is_folder(name): folder = Path(name).expanduser()
    elif name in data_names(): folder = data_dir()/name
    else: raise CourseError(f"There is no data set named '{name}': it can be {', '.join(data_names())}, or a folder of class folders.")
    masks = read_facts(folder).get('beside', ())  # such as the pets'
    layout = read_layout(folder, reading, tuple(masks))
    if is_folder(name) and name in data_names():
        fetched = f'the data set of that name, {data_dir()/name}'
        layout.notes.append(same_name_note(name, f'the folder ./{name}', fetched))
    return Path(name).name or name, layout


def is_folder(name: str) -> bool:
    "Does it name a folder, be it there or not, and no data set?"
    return os.sep in name or name.startswith(('.', '~')) or Path(name).is_dir()


def is_table(name: str) -> bool:
    "Does it name a table, be it there or not?"
    return is_table_name(name) and not Path(name).is_dir()


def table_source(path: str, reading: Reading) -> tuple[str, Layout]:
    "The files that a table names. They lie beside it, or in the folder above."
    name = Path(path).stem
    found = chosen_table(path, None, reading)
    return name, to_layout(name, found, reading)


def solar_layout(reading: Reading) -> Layout:
    "The solar cells. Raises `CourseError` for what only a folder can be told."
    if not reading.is_default:
        raise CourseError("pattern=, csv= and columns say how a folder is read, and 'solar' comes from a package: give load_pictures your folder as its first argument.")
    table, classes = solar_cells()
    if not Path('solar').is_dir(): return Layout(table, classes)
    return Layout(table, classes, [same_name_note('solar', 'the solar cells of the course', 'the folder ./solar')])


def same_name_note(name: str, taken: str, passed: str) -> str:
    "Which of two was taken, and which was passed by."
    return f"'{name}' is the name of two things: {taken} was taken; to take {passed}, give its path."


# ---- solar cells ----

def solar_cells() -> tuple[pd.DataFrame, list]:  # a row per cell: path, label, stratum, split, probability, type, module, group; the class names
    """ELPV: 2,624 electroluminescence photographs of solar cells (Buerhop-Lutz et al. 2018; Deitsch et al. 2019,
    doi 10.1016/j.solener.2019.02.067). They come with a package, so the course needs no download. Defective from
    probability 0.5 up, as in the published work; the graded probability (0, 1/3, 2/3, 1) and the module's type
    (mono, poly) stay in the table.

    `module` (1 to 44) is recovered, see `data.modules`; `group` is what is held out whole: the module, where one that was
    photographed twice is one group."""
    import elpv_dataset
    folder = Path(elpv_dataset.__file__).parent/'data'
    table = pd.read_csv(folder/'labels.csv', sep=r'\s+', names=['path', 'probability', 'type'])
    table['path'] = [str(folder/path) for path in table.path]
    table['label'] = (table.probability >= .5).astype(int)
    table['stratum'] = table.probability.round(2).astype(str) + ' ' + table.type
    table['split'] = ''
    table['module'] = module_numbers()
    table['group'] = module_groups()
    return table, ['functional', 'defective']


# ---- what is known of a fetched data set ----

def read_facts(folder: Path) -> dict:
    "What `make data` wrote into a data set's folder; empty where it made none, or another one wrote that file."
    try: facts = json.loads((folder/FACTS_FILE).read_text(encoding='utf-8'))
    except (OSError, ValueError): return {}
    return facts if isinstance(facts, dict) and FACTS <= facts.keys() else {}


def data_facts(
    source: str | None = None,  # a name out of `data_names()` or a folder; None reads `COURSE_DATA`
) -> dict:  # title, pictures, subset, licence, set_aside, beside and more; empty for other pictures
    "What `make data` wrote about a data set."
    name = source_name(source)
    return read_facts(Path(name).expanduser()) or read_facts(data_dir()/name)


def subset_note(source: str | None = None) -> str:
    "Whether a fetched data set is whole, for cards: 'CIFAR-10: subset, 4,000 pictures'. Empty for other pictures."
    facts = data_facts(source)
    if not facts: return ''
    share = 'subset, ' if facts['subset'] else 'all of its '
    return f"{facts['title']}: {share}{facts['pictures']:,} pictures"


# ---- colour photographs ----

def photo(
    name: str = 'chelsea',  # `chelsea` (a cat), `coffee`, `astronaut` or `rocket`
    size: int = 128,        # side in pixels
) -> np.ndarray:            # `(size, size, 3)` uint8 RGB
    """A colour photograph that scikit-image carries, CC0 or public domain. Solar cells are grey: these show what colour
    operations do."""
    import skimage.data
    picture = Image.fromarray(getattr(skimage.data, name)())
    square = ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(square)
