"""What a data set is described by, and what the descriptions share."""
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from course_utils.config import CourseError
from data_scripts.datasets.download import Archive

SUFFIXES = ('.jpg', '.jpeg', '.png')


class PictureFile(NamedTuple):
    "A picture of a data set, as its archives lay it out or as `make data` did."
    part: str        # `train`, `valid` or `test`
    class_name: str
    path: Path


@dataclass(frozen=True)
class Source:
    "A data set."
    title: str
    page: str                    # where a person reads about it
    licence: str                 # as far as the page says
    archives: tuple[Archive, ...]  # sizes and checksums of the original files
    list_files: Callable         # unpacked folder → [PictureFile]
    pack: Callable               # [PictureFile], shrink → {archive: [(member, bytes)]}, in the same layout, for `make mirror`
    cut: Callable | None = None  # number of training pictures → {part: number}, where the articles' split is finer than the archive's
    jfif: bool = False           # set aside what has no JFIF header
    extra_folders: dict = field(default_factory=dict)  # folder beside the class folders → where it lies in the archives
    room: float = 1.2            # bytes on disk, the archives not counted, for each byte of the archives

    @property
    def bytes(self) -> int:
        "What is to be fetched, in all."
        return sum(archive.bytes for archive in self.archives)


def picture_paths(folder: Path) -> list[Path]:
    "Every picture file below, in order. Files that macOS and Windows leave behind are none."
    paths = sorted(path for path in folder.rglob('*') if path.suffix.lower() in SUFFIXES)
    return [path for path in paths if path.is_file() and not path.name.startswith('.')]


def listed(
    wanted: dict,       # name of a file → its part and its class
    paths: list[Path],  # what was unpacked
) -> list[PictureFile]:
    "The files that official lists name. A list says names only: what is opened is what was unpacked."
    by_name = {path.name: path for path in paths}
    missing = sorted(wanted.keys() - by_name.keys())
    if missing:
        raise CourseError(f"The lists name {len(missing)} pictures that the archives do not hold, the first {missing[0]!a}: the archives do not belong together.")
    return [PictureFile(*wanted[name], by_name[name]) for name in sorted(wanted)]


def cut_training(
    files: list[PictureFile],
    cut: Callable,  # number of training pictures → {part: number}
    seed: int = 0,
) -> list[PictureFile]:
    "Cuts the training pictures into parts of the wanted sizes, each class in proportion. The same names and seed give the same parts."
    training = {}
    result = []
    for file in files:
        if file.part == 'train': training.setdefault(file.class_name, []).append(file)
        else: result.append(file)
    n_train = sum(map(len, training.values()))
    sizes = cut(n_train)
    n_before = 0
    for class_name in sorted(training):
        shuffled = sorted(training[class_name], key=lambda file: file.path.name)
        random.Random(f'{seed} {class_name}').shuffle(shuffled)
        n_after = n_before + len(shuffled)
        total = start = 0
        for part, n in sizes.items():
            # The parts' sizes up to this class less those before it: every class gets its share, and the sums are exact.
            total += n
            stop = round(n_after * total / n_train) - round(n_before * total / n_train)
            result += [file._replace(part=part) for file in shuffled[start:stop]]
            start = stop
        n_before = n_after
    return result
