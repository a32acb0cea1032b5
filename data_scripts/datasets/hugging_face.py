"""Data sets in Hugging Face's formats as class folders: `make data NAME=hf:owner/name`, or a local folder of pictures or parquet files.

The package datasets reads them; it is an extra (`hub`), and no lesson needs it. Pictures are written as they are stored, byte by byte."""
import importlib.util, re
from datetime import date
from pathlib import Path

from tqdm import tqdm

from course_utils.config import CourseError
from course_utils.machine.environment import explain_missing

PREFIX = 'hf:'
HUB_PARTS = {  # their names → the course's
    'train': 'train', 'training': 'train',
    'validation': 'valid', 'valid': 'valid', 'val': 'valid', 'dev': 'valid',
    'test': 'test', 'testing': 'test',
}
LABEL_NAMES = ('label', 'labels', 'fine_label', 'class', 'target', 'category')
FORMATS = {'JPEG': '.jpg', 'PNG': '.png', 'WEBP': '.webp', 'BMP': '.bmp', 'GIF': '.gif', 'TIFF': '.tif'}


# ---- what is asked for ----

def is_hub_name(name: str) -> bool:
    "`hf:owner/name`, `hf:./folder` or `hf:pictures.parquet`."
    return name.startswith(PREFIX)


def folder_name(name: str) -> str:
    "What the data set is called here: `hf:owner/My Set` is `my_set`."
    last = Path(name.removeprefix(PREFIX)).name
    return re.sub(r'\W+', '_', last.removesuffix('.parquet')).strip('_').lower() or 'hub'


def load_parts(place: str) -> dict:  # their name of a part → a `datasets.Dataset`
    "Reads a data set of the hub, a folder or a parquet file. Raises `CourseError` where it cannot be had."
    if not importlib.util.find_spec('datasets'): raise CourseError(explain_missing('datasets'))
    import datasets
    path = Path(place).expanduser()
    try: return dict(datasets.load_dataset(**loading_arguments(place, path)))
    except Exception as error:
        where = f'{path}' if path.exists() else f"'{place}' on the hub"
        lines = str(error).splitlines() or ['']
        raise CourseError(f'{where} could not be read as a data set ({type(error).__name__}: {lines[0]}): '
                          'name it as owner/name, or give a folder with pictures or parquet files.') from None


def loading_arguments(place: str, path: Path) -> dict:
    "How `datasets.load_dataset` is asked: what lies on this disk comes before the hub."
    if path.is_file(): return dict(path='parquet', data_files={'train': str(path)})
    if not path.is_dir(): return dict(path=place)
    files = sorted(path.rglob('*.parquet'))
    if not files: return dict(path='imagefolder', data_dir=str(path))
    return dict(path='parquet', data_files=parquet_parts(files))


def parquet_parts(files: list) -> dict:  # part → files
    "By the first word of a file's name, as the hub names them: `train-00000-of-00002.parquet`."
    parts = {}
    for file in files:
        word = re.split(r'[-_.]', file.name)[0].lower()
        parts.setdefault(word if word in HUB_PARTS else 'train', []).append(str(file))
    return parts


# ---- which columns ----

def picture_column(features: dict) -> str:
    "The column that holds the pictures. Raises `CourseError` where there is none, or more than one."
    from datasets import Image
    names = [name for name, feature in features.items() if isinstance(feature, Image)]
    if len(names) == 1: return names[0]
    raise CourseError(f"One column of pictures is needed, and there are {len(names)} among {', '.join(features)}: "
                      'choose a data set for classification of images.')


def label_column(
    features: dict,
    wanted: str = '',  # as the learner names it
) -> str:
    "The column that holds the class. Raises `CourseError` where it cannot be told."
    from datasets import ClassLabel
    if wanted in features: return wanted
    if wanted: raise CourseError(f"There is no column '{wanted}': there are {', '.join(features)}.")
    classes = [name for name, feature in features.items() if isinstance(feature, ClassLabel)]
    if len(classes) == 1: return classes[0]
    named = [name for name in LABEL_NAMES if name in (classes or features)]
    if len(named) == 1: return named[0]
    raise CourseError(f"Which column holds the class? There are {', '.join(features)}: say it with --label NAME.")


def class_name(feature, value) -> str:
    "The name of a class as a folder can carry it."
    if value is None or (isinstance(value, int) and value < 0): return ''  # the hub's sign for a hidden label
    name = feature.int2str(value) if hasattr(feature, 'int2str') else str(value)
    return re.sub(r'[\\/:*?"<>|\x00-\x1f]', '_', name).strip('. ') or '_'


# ---- into class folders ----

def encoded(picture: dict) -> bytes:
    "A picture's bytes as they are stored, in the table or in a file of their own."
    return picture['bytes'] or Path(picture['path']).read_bytes()


def suffix_of(content: bytes) -> str:
    "By what the bytes are, not by a name; empty for what is no picture."
    import io
    from PIL import Image
    try:
        with Image.open(io.BytesIO(content)) as picture: return FORMATS.get(picture.format, '')
    except Exception: return ''


def write_part(rows, pictures: str, labels: str, folder: Path, part: str) -> tuple[dict, int]:
    "Writes the pictures of a part. Returns how many of each class, and how many rows had no class or no picture."
    from datasets import Image
    feature = rows.features[labels]
    rows = rows.cast_column(pictures, Image(decode=False))
    counts, left_out = {}, 0
    for number, row in enumerate(tqdm(rows, desc=part, unit='picture', disable=None, leave=False)):
        name = class_name(feature, row[labels])
        content = encoded(row[pictures]) if row[pictures] else b''
        suffix = suffix_of(content)
        if not name or not suffix:
            left_out += 1
            continue
        target = folder/part/name/f'{number:06}{suffix}'
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        counts[name] = counts.get(name, 0) + 1
    return counts, left_out


def write_folders(
    parts: dict,      # as `load_parts`
    folder: Path,     # empty
    label: str = '',  # the column of the class; empty: found
) -> dict:            # for about.json
    "Writes class folders of every part. Raises `CourseError` where there are fewer than two classes."
    features = next(iter(parts.values())).features
    pictures, labels = picture_column(features), label_column(features, label)
    counts, left_out, skipped = {}, 0, []
    for name, rows in parts.items():
        if name not in HUB_PARTS:
            skipped.append(name)
            continue
        written, without = write_part(rows, pictures, labels, folder, HUB_PARTS[name])
        left_out += without
        if written: counts[HUB_PARTS[name]] = written
    classes = set().union(*counts.values()) if counts else set()
    if len(classes) < 2: raise CourseError(f'The pictures have {len(classes)} classes in the column {labels!r}, and two are needed: say which column with --label NAME.')
    total = sum(sum(of_part.values()) for of_part in counts.values())
    return dict(pictures=total, counts=counts, without_class=left_out, parts_not_read=skipped, columns=[pictures, labels])


def hub_facts(name: str, parts: dict) -> dict:
    "What about.json says of where it came from, as far as the data set says."
    place = name.removeprefix(PREFIX)
    info = next(iter(parts.values())).info
    is_local = Path(place).expanduser().exists()
    page = str(Path(place).expanduser().resolve()) if is_local else f'https://huggingface.co/datasets/{place}'
    return dict(name=folder_name(name), title=folder_name(name), page=page, licence=info.license or 'not said', date=date.today().isoformat(),
                subset=False, archives={}, set_aside={}, beside=[])

