"""Real photographs, read once, resized once, and kept in memory as bytes."""
import json, os
from pathlib import Path

import numpy as np, pandas as pd
from PIL import Image, ImageOps

from course_utils.config import CourseError, data_dir


def solar_cells() -> tuple[pd.DataFrame, list]:  # a row per cell: path, label, stratum, split, probability, type; the class names
    """ELPV: 2,624 electroluminescence photographs of solar cells (Buerhop-Lutz et al. 2018; Deitsch et al. 2019,
    doi 10.1016/j.solener.2019.02.067). Defective from probability 0.5 up, as in the published work; the graded
    probability (0, 1/3, 2/3, 1) and the module's type (mono, poly) stay in the table."""
    import elpv_dataset
    folder = Path(elpv_dataset.__file__).parent/'data'
    t = pd.read_csv(folder/'labels.csv', sep=r'\s+', names=['path', 'probability', 'type'])
    t['path'] = [str(folder/p) for p in t.path]
    t['label'] = (t.probability >= .5).astype(int)
    t['stratum'] = t.probability.round(2).astype(str) + ' ' + t.type
    t['split'] = ''
    return t, ['functional', 'defective']


def about(
    source: str | None = None  # a name out of `data_names()` or a folder; None reads `COURSE_DATA`
) -> dict:  # title, pictures, subset, licence, set_aside, beside and more; empty for other pictures
    "What `make data` wrote about a data set."
    source = str(source or os.environ.get('COURSE_DATA') or 'solar')
    for folder in (Path(source).expanduser(), data_dir()/source):
        try: d = json.loads((folder/'about.json').read_text(encoding='utf-8'))
        except (OSError, ValueError): continue
        if isinstance(d, dict) and {'title', 'pictures', 'subset', 'beside'} <= d.keys(): return d
    return {}


def how_many(source: str | None = None) -> str:
    "Whether a fetched data set is whole, for cards: 'CIFAR-10: subset, 4,000 pictures'. Empty for other pictures."
    return f"{d['title']}: {'subset, ' if d['subset'] else 'all of its '}{d['pictures']:,} pictures" if (d := about(source)) else ''

SPLITS = dict(train='train', training='train', valid='valid', val='valid', validation='valid', test='test', testing='test')


def class_folders(folder) -> tuple[pd.DataFrame, list]:  # a row per file: path, label, stratum, split; the class names
    "Lists a folder of class folders. Raises `CourseError` where there is none, or nothing in it to learn."
    folder = Path(folder).expanduser()
    if not folder.is_dir(): raise CourseError(f"There is no folder {folder}: COURSE_DATA needs a folder of class folders or the name of a data set.")
    beside = about(folder).get('beside', ())  # such as the pets' masks: no class, and no part of the split
    subs = [d for d in subfolders(folder) if d.name not in beside]
    splits = {d: SPLITS[d.name.lower()] for d in subs if d.name.lower() in SPLITS}
    if not (set(splits.values()) > {'train'} and len(splits) == len(subs)): splits = {folder: ''}
    held_out = 'valid' if 'valid' in splits.values() else 'test'
    rows = [(str(f), c.name, held if held in ('', 'train') else 'valid')
            for d, held in splits.items() if held in ('', 'train', held_out)
            for c in subfolders(d) for f in sorted(c.rglob('*')) if f.is_file() and not hidden(f.relative_to(d))]
    t = pd.DataFrame(rows, columns=['path', 'label', 'split'])
    if not rows: raise CourseError(f"{folder} has no pictures in class folders: it needs one folder for each class, with that class's pictures in it.")
    classes = sorted(t.label.unique())
    t['stratum'], t['label'] = t.label, t.label.map(classes.index)
    return t, classes


def hidden(path): return any(p.startswith('.') or p.lower() in ('thumbs.db', 'desktop.ini') for p in Path(path).parts)


def subfolders(folder): return [p for p in sorted(Path(folder).iterdir()) if p.is_dir() and not hidden(p.name)]


def data_names() -> list:
    "The names that COURSE_DATA knows on this machine: `solar` and what `make data` has fetched."
    return ['solar'] + ([p.name for p in subfolders(data_dir())] if data_dir().is_dir() else [])


def find_source(
    source: str | None = None  # a name out of `data_names()` or a folder; None reads `COURSE_DATA`, which unset means `solar`
) -> tuple[str, pd.DataFrame, list]:  # the name shown; the files; the class names
    "Finds the files of a data set. Raises `CourseError` for an unknown name."
    source = str(source or os.environ.get('COURSE_DATA') or 'solar')
    if source == 'solar': return source, *solar_cells()
    if os.sep in source or source.startswith(('.', '~')) or Path(source).is_dir(): return Path(source).name or source, *class_folders(source)
    if source in data_names(): return source, *class_folders(data_dir()/source)
    raise CourseError(f"There is no data set named '{source}': it can be {', '.join(data_names())}, or a folder of class folders.")


def photo(name: str='chelsea', size: int=128) -> np.ndarray:  # `(size, size, 3)` uint8 RGB
    "A colour photograph that scikit-image carries: `chelsea` (a cat), `coffee`, `astronaut` or `rocket`. CC0 or public domain."
    import skimage.data
    return np.asarray(ImageOps.fit(Image.fromarray(getattr(skimage.data, name)()), (size, size), Image.Resampling.BICUBIC))
