"""Writes a smaller version of a fetched data set for a classroom: `make mirror NAME=cats_dogs KEEP=200 SIZE=224`.

The archives have the layout of the original ones, so `make data MIRROR=` treats them alike; manifest.json says that they are smaller."""
import argparse, gzip, io, json, os, tarfile, zipfile
from pathlib import Path

from PIL import Image, ImageOps
from tqdm import tqdm

from course_utils.config import CourseError, data_dir, file_sha256, format_bytes, write_whole
from course_utils.data.sources import read_facts
from data_scripts.datasets.arrange import SPLIT_PARTS
from data_scripts.datasets.download import MANIFEST, is_address
from data_scripts.datasets.mirror_list import read_manifest
from data_scripts.datasets.prepare import disk_errors, data_set_lock, source_named
from data_scripts.datasets.sources.source import PictureFile, cut_training, picture_paths


# ---- which pictures ----

def choose(files: list[PictureFile], n_kept: int) -> list[PictureFile]:
    "At most `n_kept` pictures of each class, every part of the split in proportion, and one at least."
    chosen = []
    for class_name in sorted({file.class_name for file in files}):
        by_part = {part: [] for part in SPLIT_PARTS}
        for file in files:
            if file.class_name == class_name: by_part[file.part].append(file)
        by_part = {part: in_part for part, in_part in by_part.items() if in_part}
        for part, n in shares(by_part, n_kept).items(): chosen += draw(by_part[part], n)
    return chosen


def shares(by_part: dict, n_kept: int) -> dict:  # part → number
    "How many of each part's pictures are kept."
    total = sum(map(len, by_part.values()))
    n_kept = min(n_kept, total)
    numbers = {}
    for part, files in by_part.items():
        share = round(n_kept * len(files) / total)
        numbers[part] = max(1, share)
    numbers['train'] += n_kept - sum(numbers.values())  # what the rounding took or gave
    return numbers


def draw(files: list[PictureFile], n: int) -> list[PictureFile]:
    "`n` pictures of one class and part. The same names give the same ones."
    part = files[0].part
    as_training = [file._replace(part='train') for file in files]
    drawn = cut_training(as_training, lambda total: dict(drawn=n, left=total - n))
    return [file._replace(part=part) for file in drawn if file.part == 'drawn']


# ---- smaller pictures ----

def shrinker(size: int):
    "Gives a function from a picture's file to its bytes, the shorter side scaled down to `size` pixels. A smaller one stays as it is."
    def shrink(path, resampling=Image.Resampling.BICUBIC) -> bytes:
        with Image.open(path) as picture:
            shorter = min(picture.size)
            if shorter <= size: return path.read_bytes()
            picture = ImageOps.exif_transpose(picture)
            # numbers of colours cannot be averaged
            if picture.mode == 'P' and resampling != Image.Resampling.NEAREST: picture = picture.convert('RGB')
            picture = picture.resize([round(n * size / shorter) for n in picture.size], resampling)
        buffer = io.BytesIO()
        if path.suffix.lower() == '.png': picture.save(buffer, 'PNG')
        else: picture.convert('RGB').save(buffer, 'JPEG', quality=92)
        return buffer.getvalue()
    return shrink


# ---- archives ----

def write_archive(
    path: Path,
    suffix: str,  # `.zip`, `.gz` or `.tar`
    members,      # (name, bytes) of each file
):
    "The same members give the same bytes."
    if suffix == '.zip': return write_zip(path, members)
    with open(path, 'wb') as file:
        if suffix == '.tar': return write_tar(file, members)
        with gzip.GzipFile('', 'wb', fileobj=file, mtime=0) as stream: write_tar(stream, members)


def write_zip(path: Path, members):
    "A zip archive, without dates."
    with zipfile.ZipFile(path, 'w') as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o644 << 16
            archive.writestr(info, data)


def write_tar(stream, members):
    "A tar archive, without dates."
    with tarfile.open(fileobj=stream, mode='w') as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def write_mirror(
    name: str,    # of a data set that was fetched
    n_kept: int,  # pictures of each class, at most
    size: int,    # shorter side in pixels, at most
    mirror: Path,
) -> dict:        # file → sha256, bytes, note
    "Writes the archives of a smaller version into a mirror, beside what it holds. Raises `CourseError`."
    source = source_named(name)
    folder = data_dir()/name
    facts = read_facts(folder)
    if not facts: raise CourseError(f"{name} is not in {data_dir()} yet: fetch it first, with make data NAME={name}.")
    files = choose(prepared_files(folder), n_kept)
    note = f"subset: {len(files)} of {facts['pictures']} pictures, at most {n_kept} a class, shorter side at most {size} px"
    manifest = {}
    with disk_errors(mirror, 'MIRROR'), data_set_lock(mirror/'.lock', f'the mirror {mirror}'):
        listed_before = read_manifest(str(mirror)) if (mirror/MANIFEST).exists() else {}
        for archive, members in source.pack(files, shrinker(size)).items():
            manifest[archive] = write_whole_archive(mirror/archive, members) | dict(note=note)
        write_whole(mirror/MANIFEST, json.dumps(listed_before | manifest, indent=1, sort_keys=True) + '\n')
    total = format_bytes(sum(file['bytes'] for file in manifest.values()))
    print(f"{name}: {len(files):,} of {facts['pictures']:,} pictures, {total}, in {mirror}; learners fetch them with make data NAME={name} MIRROR={mirror}.")
    return manifest


def prepared_files(folder: Path) -> list[PictureFile]:
    "The pictures of a data set as `make data` left them."
    files = []
    for part in SPLIT_PARTS:
        paths = picture_paths(folder/part) if (folder/part).is_dir() else []
        files += [PictureFile(part, path.parent.name, path) for path in paths]
    return files


def write_whole_archive(path: Path, members) -> dict:  # sha256, bytes
    "An archive is as it was, or new and whole."
    part = path.with_name(f'.{path.name}.part')
    bar = tqdm(members, desc=path.name, unit='file', disable=None, leave=False)
    try:
        write_archive(part, path.suffix, bar)
        facts = dict(sha256=file_sha256(part), bytes=part.stat().st_size)
        os.replace(part, path)
    finally: part.unlink(missing_ok=True)
    return facts


# ---- the command ----

def whole_number(text: str, variable: str, least: int, largest: int) -> int:
    "Raises `CourseError` for anything else."
    if not text.isdecimal() or not least <= int(text) <= largest:
        raise CourseError(f"{variable}={text} cannot be: it needs a whole number from {least} to {largest:,}.")
    return int(text)


def main(argv: list[str] | None = None):
    "The command. Raises `CourseError`."
    parser = argparse.ArgumentParser(prog='course mirror', description=__doc__)
    parser.add_argument('name', nargs='?', default='')
    parser.add_argument('--keep', default='', help='pictures of each class, at most')
    parser.add_argument('--size', default='', help='shorter side in pixels, at most')
    parser.add_argument('--mirror', default='', help='the folder to write into; by default .mirror beside the data sets')
    arguments = parser.parse_args(argv)
    source_named(arguments.name)
    if is_address(arguments.mirror):
        raise CourseError(f"A mirror is written into a folder, not to {arguments.mirror}: name a folder, and serve it from there.")
    n_kept = whole_number(arguments.keep or '200', 'KEEP', 4, 10**6)
    size = whole_number(arguments.size or '224', 'SIZE', 16, 10**4)
    mirror = Path(arguments.mirror).expanduser() if arguments.mirror else data_dir()/'.mirror'
    try: write_mirror(arguments.name, n_kept, size, mirror)
    except KeyboardInterrupt: raise CourseError('Stopped: the mirror is as it was before.') from None
