"""From unpacked archives to class folders: every picture is read once, and what cannot be read is set aside."""
import os, warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from course_utils.config import CourseError
from course_utils.data.decode import unreadable_reason
from data_scripts.datasets.sources.source import PictureFile, Source, cut_training

SPLIT_PARTS = ('train', 'valid', 'test')


# ---- reading every picture once ----

def why_unreadable(path: Path, jfif: bool = False) -> str:
    "Why a file is no picture to learn from; empty for one that is."
    if path.stat().st_size == 0: return 'the file is empty'
    if jfif and not has_jfif_header(path): return 'no JFIF header'
    try:
        with Image.open(path) as picture:
            picture.draft('RGB', (32, 32))  # all of a JPEG is read, but little of it computed
            picture.load()
    except Exception as e: return unreadable_reason(e)
    return ''


def has_jfif_header(path: Path) -> bool:
    with open(path, 'rb') as file: return b'JFIF' in file.read(10)


def check_arranged(files: list[PictureFile], jfif: bool) -> list[str]:
    "For each file, why it is no picture to learn from; empty for one that is."
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter('ignore')
        warnings.simplefilter('error', Image.DecompressionBombWarning)
        reasons = pool.map(lambda file: why_unreadable(file.path, jfif), files)
        return list(tqdm(reasons, total=len(files), desc='reading pictures', unit='file', disable=None, leave=False))


# ---- moving them ----

def arrange(
    src: Path,   # the unpacked archives
    made: Path,  # where class folders are made
    source: Source,
) -> dict:
    "Moves the pictures into class folders. Returns what is there, for about.json. Raises `CourseError` where the archives are laid out otherwise."
    files = list_pictures(src, source)
    reasons = check_arranged(files, source.jfif)
    readable = [file for file, reason in zip(files, reasons) if not reason]
    if source.cut: placed = cut_training(readable, source.cut)
    else: placed = readable
    for file in placed:
        check_class_name(file.class_name, source)
        move(file.path, made/file.part/file.class_name/file.path.name)
    counts = count_by_part(placed)
    check_totals(counts, source)
    set_aside = {file.path.relative_to(src).as_posix(): reason for file, reason in zip(files, reasons) if reason}
    for name in set_aside: move(src/name, made/'.set_aside'/name)
    for name, folder in source.extra_folders.items():
        if not (src/folder).is_dir(): raise other_layout(source, f': there is no {folder}')
        move(src/folder, made/name)
    counts = {part: of_classes for part, of_classes in counts.items() if of_classes}
    return dict(pictures=len(readable), counts=counts, set_aside=set_aside, beside=list(source.extra_folders))


def other_layout(source: Source, detail: str) -> CourseError:
    return CourseError(f"The archives are not laid out as {source.title} is{detail}.")


def list_pictures(src: Path, source: Source) -> list[PictureFile]:
    "What the source finds in its archives. They may hold anything, so any error may come of it."
    try: return source.list_files(src)
    except (CourseError, MemoryError): raise
    except (FileNotFoundError, NotADirectoryError) as e:
        raise other_layout(source, f': there is no {Path(e.filename).relative_to(src)}') from None
    except OSError: raise
    except Exception as e: raise other_layout(source, f' ({type(e).__name__}: {e})') from None


def count_by_part(files: list[PictureFile]) -> dict:  # part → {class: number of pictures}
    "Every part, be it empty; classes in the order in which they come."
    counts = {part: Counter() for part in SPLIT_PARTS}
    for file in files: counts[file.part][file.class_name] += 1
    return {part: dict(of_classes) for part, of_classes in counts.items()}


def check_class_name(name: str, source: Source):
    "Raises `CourseError` for a class that would be no plain folder."
    is_plain = name and name == Path(name).name and not name.startswith('.') and name.isprintable()
    if not is_plain: raise CourseError(f"{name!a} is no name for a class folder: the archives are not those of {source.title}.")


def check_totals(counts: dict, source: Source):
    "Raises `CourseError` unless there are two classes to train, and no others to test."
    train, test = counts['train'], counts['test']
    classes = set().union(*counts.values())
    if len(train) < 2 or not test or classes != train.keys():
        raise CourseError(f"The archives hold readable pictures of {len(train)} classes to train and of {len(test)} to test: they are not those of {source.title}.")


def move(path: Path, target: Path):
    "Moves a file or a folder. Raises `CourseError` where something is in its place."
    if target.exists(): raise CourseError(f"The archives hold {target.name!a} twice for one class.")
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(path, target)
