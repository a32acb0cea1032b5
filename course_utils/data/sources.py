"""Where pictures come from: the solar cells of a package, a folder of class folders, or what `make data` has fetched.

A source lists files with their labels, and opens none of them. Its table has a row per file: path, label, stratum (what
is held out in proportion), split (empty where the source brings none) and what else the source knows."""
import json, os
from pathlib import Path

import numpy as np, pandas as pd
from PIL import Image, ImageOps

from course_utils.config import CourseError, data_dir

FACTS_FILE = 'about.json'  # `make data` writes it beside the folders of a data set
FACTS = {'title', 'pictures', 'subset', 'beside'}  # a file without these is somebody else's

SPLIT_FOLDERS = dict(
    train='train', training='train',
    valid='valid', val='valid', validation='valid',
    test='test', testing='test',
)
SYSTEM_FILES = ('thumbs.db', 'desktop.ini')


# ---- by name ----

def source_name(source: str | None) -> str:
    "What was asked for: the name or folder given, else that of `COURSE_DATA`, else `solar`."
    return str(source or os.environ.get('COURSE_DATA') or 'solar')


def data_names() -> list:
    "The names that COURSE_DATA knows on this machine: `solar` and what `make data` has fetched."
    fetched = subfolders(data_dir()) if data_dir().is_dir() else []
    return ['solar', *(folder.name for folder in fetched)]


def find_source(
    source: str | None = None,  # a name out of `data_names()` or a folder; None reads `COURSE_DATA`, which unset means `solar`
) -> tuple[str, pd.DataFrame, list]:  # the name shown; a row per file; the class names
    "Finds the files of a data set. Raises `CourseError` for an unknown name."
    name = source_name(source)
    if name == 'solar': return name, *solar_cells()
    if is_folder(name): return Path(name).name or name, *class_folders(name)
    if name in data_names(): return name, *class_folders(data_dir()/name)
    raise CourseError(f"There is no data set named '{name}': it can be {', '.join(data_names())}, or a folder of class folders.")


def is_folder(name: str) -> bool:
    "Does it name a folder, be it there or not, and no data set?"
    return os.sep in name or name.startswith(('.', '~')) or Path(name).is_dir()


# ---- solar cells ----

def solar_cells() -> tuple[pd.DataFrame, list]:  # a row per cell: path, label, stratum, split, probability, type; the class names
    """ELPV: 2,624 electroluminescence photographs of solar cells (Buerhop-Lutz et al. 2018; Deitsch et al. 2019,
    doi 10.1016/j.solener.2019.02.067). They come with a package, so the course needs no download. Defective from
    probability 0.5 up, as in the published work; the graded probability (0, 1/3, 2/3, 1) and the module's type
    (mono, poly) stay in the table."""
    import elpv_dataset
    folder = Path(elpv_dataset.__file__).parent/'data'
    table = pd.read_csv(folder/'labels.csv', sep=r'\s+', names=['path', 'probability', 'type'])
    table['path'] = [str(folder/path) for path in table.path]
    table['label'] = (table.probability >= .5).astype(int)
    table['stratum'] = table.probability.round(2).astype(str) + ' ' + table.type
    table['split'] = ''
    return table, ['functional', 'defective']


# ---- class folders ----

def class_folders(
    folder,  # one folder a class in it; folders named train and valid (or val, or test) above them are kept as the split
) -> tuple[pd.DataFrame, list]:  # a row per file: path, label, stratum, split; the class names
    "Lists a folder of class folders. Raises `CourseError` where there is none, or nothing in it to learn."
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise CourseError(f"There is no folder {folder}: COURSE_DATA needs a folder of class folders or the name of a data set.")
    rows = []
    for part_folder, split in split_folders(folder).items():
        for class_folder in subfolders(part_folder):
            rows += [(str(path), class_folder.name, split) for path in class_files(class_folder)]
    if not rows:
        raise CourseError(f"{folder} has no pictures in class folders: it needs one folder for each class, with that class's pictures in it.")
    table = pd.DataFrame(rows, columns=['path', 'label', 'split'])
    classes = sorted(table.label.unique())
    table['stratum'] = table.label
    table['label'] = table.label.map(classes.index)
    return table, classes


def split_folders(folder: Path) -> dict:  # folder of class folders → `train` or `valid`; '' where all of them are one
    "The parts that a data set brings along. A test part stands in for validation where there is none, else it stays unseen."
    besides = read_facts(folder).get('beside', ())  # such as the pets' masks: no class, and no part of the split
    folders = [path for path in subfolders(folder) if path.name not in besides]
    names = {path: SPLIT_FOLDERS.get(path.name.lower()) for path in folders}
    found = set(names.values())
    if None in found or not found > {'train'}: return {folder: ''}
    held_out = 'valid' if 'valid' in found else 'test'
    parts = {'train': 'train', held_out: 'valid'}
    return {path: parts[name] for path, name in names.items() if name in parts}


def class_files(class_folder: Path) -> list:
    "Every file below a class folder, in order."
    paths = sorted(class_folder.rglob('*'))
    return [path for path in paths if path.is_file() and not is_hidden(path.relative_to(class_folder))]


def is_hidden(path) -> bool:
    "Is any part of a path one that systems leave behind and people do not see?"
    parts = Path(path).parts
    return any(part.startswith('.') or part.lower() in SYSTEM_FILES for part in parts)


def subfolders(folder: Path) -> list:
    "The folders in a folder, in order, but for hidden ones."
    paths = sorted(Path(folder).iterdir())
    return [path for path in paths if path.is_dir() and not is_hidden(path.name)]


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
