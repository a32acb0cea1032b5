"""The entries of a folder, listed once and held in memory: what a layout is, is decided from this list.

Links are followed. What cannot be followed, a link without a target or a folder that may not be opened, is kept with the
reason, so that it is never passed by unmentioned."""
import os
from dataclasses import dataclass, field
from functools import cached_property

from PIL import Image

from course_utils.config import CourseError

# What systems, archives, NAS boxes and notebooks leave behind, and people do not see. Hidden names begin with a dot.
SYSTEM_NAMES = {
    'thumbs.db', 'desktop.ini', '__macosx', '@eadir', '#recycle', '$recycle.bin', 'system volume information', 'lost+found',
    '.ipynb_checkpoints', '__pycache__',
}
PICTURE_ENDINGS = {
    '.png', '.apng', '.jpg', '.jpeg', '.jpe', '.jfif', '.gif', '.bmp', '.dib', '.tif', '.tiff', '.webp', '.avif', '.avifs',
    '.heic', '.heif', '.jp2', '.j2k', '.jpx', '.ppm', '.pgm', '.pbm', '.pnm', '.tga', '.ico', '.pcx', '.psd', '.sgi', '.dcm',
    '.exr', '.hdr', '.dng', '.cr2', '.nef', '.arw', '.svg',
}
N_SNIFFED = 5  # files without a known ending that are opened to see whether a folder holds pictures

LOST_LINK = "a link whose target is gone"
LOST_CIRCLE = "a link that leads back into a folder around it"


@dataclass
class Folder:
    "A folder and everything below it."
    name: str
    path: str
    entries: dict = field(default_factory=dict)  # name → path of a file, or `Folder`; in the order of names
    lost: dict = field(default_factory=dict)     # path → why it cannot be followed

    @cached_property
    def files(self) -> list:
        "Paths of the files right in it."
        return [entry for entry in self.entries.values() if isinstance(entry, str)]

    @cached_property
    def folders(self) -> list:
        "The folders right in it."
        return [entry for entry in self.entries.values() if isinstance(entry, Folder)]

    @cached_property
    def all_files(self) -> list:
        "Paths of the files below it, at any depth, in the order of their parts."
        paths = []
        for entry in self.entries.values():
            if isinstance(entry, str): paths.append(entry)
            else: paths += entry.all_files
        return paths

    @cached_property
    def all_lost(self) -> dict:
        "What cannot be followed, at any depth: path → why."
        lost = dict(self.lost)
        for folder in self.folders: lost |= folder.all_lost
        return lost

    @cached_property
    def pictures(self) -> list:
        "Paths of the files right in it that look like pictures."
        return [path for path in self.files if is_picture_name(path)]

    @cached_property
    def holds_pictures(self) -> bool:
        "Is there a picture at any depth? Told by the names, or, where no name has a known ending, by a look into some files."
        return any(map(is_picture_name, self.all_files)) or any(map(opens_as_picture, self.all_files[:N_SNIFFED]))


def is_picture_name(path: str) -> bool:
    "Does a file's name end as pictures' names do?"
    return os.path.splitext(path)[1].lower() in PICTURE_ENDINGS


def opens_as_picture(path: str) -> bool:
    "Does a file without a telling name begin like a picture?"
    try:
        with Image.open(path): return True
    except Exception: return False


def is_system_name(name: str) -> bool:
    "Is it a name that people do not see?"
    return name.startswith('.') or name.lower() in SYSTEM_NAMES


def list_folder(folder) -> Folder:
    "A folder with everything below it. Raises `CourseError` where it may not be opened."
    path = str(folder)
    tree = read_folder(os.path.basename(os.path.abspath(path)), path, ancestors=())
    if path in tree.lost: raise CourseError(f"The folder {path} cannot be read ({tree.lost[path]}): allow it for your user, or choose another folder.")
    return tree


def read_folder(
    name: str, path: str,
    ancestors: tuple,  # device and number of the folders above it: a link back to one of them would never end
) -> Folder:
    folder = Folder(name, path)
    try:
        with os.scandir(path) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        stat = os.stat(path)
    except OSError as e:
        folder.lost[path] = f'the folder may not be opened: {e.strerror}'
        return folder
    ancestors = (*ancestors, (stat.st_dev, stat.st_ino))
    for entry in entries:
        if not is_system_name(entry.name): add_entry(folder, entry, ancestors)
    return folder


def add_entry(folder: Folder, entry: os.DirEntry, ancestors: tuple):
    "Puts a file or folder where it belongs, or says why it is lost."
    try:
        if entry.is_file(): folder.entries[entry.name] = entry.path
        elif not entry.is_dir(): folder.lost[entry.path] = LOST_LINK if entry.is_symlink() else 'no ordinary file'
        elif entry.is_symlink() and leads_back(entry, ancestors): folder.lost[entry.path] = LOST_CIRCLE
        else: folder.entries[entry.name] = read_folder(entry.name, entry.path, ancestors)
    except OSError as e: folder.lost[entry.path] = e.strerror or str(e)


def leads_back(entry: os.DirEntry, ancestors: tuple) -> bool:
    "Does a link lead to one of the folders around it?"
    stat = entry.stat()
    return (stat.st_dev, stat.st_ino) in ancestors


# ---- in words ----

def some_names(names, n: int = 5) -> str:
    "The first `n` names in words: 'a, b and 3 more'."
    names = [str(name) for name in names]
    shown = ', '.join(names[:n])
    if len(names) <= n: return shown
    return f'{shown} and {len(names) - n:,} more'


def counted(n: int, noun: str) -> str:
    "A number with its noun: '1 file', '1,200 files'."
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def contents_in_words(folder: Folder) -> str:
    "What a folder holds that is no class: 'empty', 'no pictures', '8 links whose target is gone', '12 pictures'."
    n_files = len(folder.all_files)
    if folder.holds_pictures: return counted(n_files, 'file')
    if folder.all_lost:
        reason = next(iter(folder.all_lost.values()))
        return f'{len(folder.all_lost):,} × {reason}'
    return 'no pictures' if n_files else 'empty'
