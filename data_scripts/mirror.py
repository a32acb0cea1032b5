"""Writes a smaller version of a fetched data set for a classroom: `make mirror NAME=cats_dogs KEEP=200 SIZE=224`.

The archives have the layout of the original ones, so `make data MIRROR=` treats them alike; manifest.json says that they are smaller."""
import argparse, gzip, io, json, os, sys, tarfile, zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from PIL import Image, ImageOps
from tqdm import tqdm

from course_utils.config import CourseError, data_dir, write_whole
from data_scripts.data import PARTS, about, alone, source
from data_scripts.fetch import MANIFEST, checksum, disk, manifest, size
from data_scripts.sources import pictures, split


def number(text, what, least, most):
    if not text.isdecimal() or not least <= int(text) <= most: raise CourseError(f"{what}={text} cannot be: it needs a whole number from {least} to {most:,}.")
    return int(text)


def choose(rows: list, keep: int) -> list:
    "At most `keep` pictures of each class, every part of the split in proportion, and one at least."
    out = []
    for c in sorted({r[1] for r in rows}):
        parts = {p: own for p in PARTS if (own := [f for part, of, f in rows if (part, of) == (p, c)])}
        total = sum(map(len, parts.values()))
        n = {p: max(1, round(min(keep, total) * len(own) / total)) for p, own in parts.items()}
        n['train'] += min(keep, total) - sum(n.values())  # what the rounding took or gave
        for p, own in parts.items():
            out += [(p, c, f) for part, _, f in split([('train', c, f) for f in own], lambda m: dict(train=n[p], left=m - n[p])) if part == 'train']
    return out


def shrinker(side: int):
    "Gives a picture's bytes, its shorter side scaled down to `side` pixels. A smaller one stays as it is."
    def shrink(path, how=Image.Resampling.BICUBIC):
        with Image.open(path) as im:
            if min(im.size) <= side: return path.read_bytes()
            im, f = ImageOps.exif_transpose(im), io.BytesIO()
            if im.mode == 'P' and how != Image.Resampling.NEAREST: im = im.convert('RGB')  # numbers of colours cannot be averaged
            im = im.resize([round(n * side / min(im.size)) for n in im.size], how)
        if path.suffix.lower() == '.png': im.save(f, 'PNG')
        else: im.convert('RGB').save(f, 'JPEG', quality=92)
        return f.getvalue()
    return shrink


def write_archive(path: Path, kind: str, members):
    "A .zip, .gz or .tar archive; the same members give the same bytes."
    if kind == '.zip':
        with zipfile.ZipFile(path, 'w') as z:
            for name, data in members:
                info = zipfile.ZipInfo(name)
                info.external_attr = 0o644 << 16
                z.writestr(info, data)
        return
    with open(path, 'wb') as f, (gzip.GzipFile('', 'wb', fileobj=f, mtime=0) if kind == '.gz' else f) as g, tarfile.open(fileobj=g, mode='w') as t:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))


def write(name: str, keep: int, side: int, to: Path) -> dict:  # file → sha256, bytes, note
    "Writes the archives of a smaller version into the mirror `to`, beside what it holds. Raises `CourseError`."
    s, folder = source(name), data_dir()/name
    if not (d := about(folder)): raise CourseError(f"{name} is not in {data_dir()} yet: fetch it first, with make data NAME={name}.")
    every = [(part, f.parent.name, f) for part in PARTS if (folder/part).is_dir() for f in pictures(folder/part)]
    rows, new = choose(every, keep), {}
    note = f"subset: {len(rows)} of {d['pictures']} pictures, at most {keep} a class, shorter side at most {side} px"
    with disk(to, 'MIRROR'), alone(to/'.lock', f'the mirror {to}'):
        old = manifest(str(to)) if (to/MANIFEST).exists() else {}
        for file, members in s.pack(rows, shrinker(side)).items():
            part = to/f'.{file}.part'
            try:
                write_archive(part, Path(file).suffix, tqdm(members, desc=file, unit='file', disable=None, leave=False))
                new[file] = dict(sha256=checksum(part), bytes=part.stat().st_size, note=note)
                os.replace(part, to/file)
            finally: part.unlink(missing_ok=True)
        write_whole(to/MANIFEST, json.dumps({**old, **new}, indent=1, sort_keys=True) + '\n')
    print(f"{name}: {len(rows):,} of {d['pictures']:,} pictures, {size(sum(f['bytes'] for f in new.values()))}, in {to}; learners fetch them with make data NAME={name} MIRROR={to}.")
    return new


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('name', nargs='?', default='')
    p.add_argument('--keep', default='', help='pictures of each class, at most')
    p.add_argument('--size', default='', help='shorter side in pixels, at most')
    p.add_argument('--mirror', default='', help='the folder to write into; by default .mirror beside the data sets')
    a = p.parse_args(argv)
    source(a.name)
    if '://' in a.mirror: raise CourseError(f"A mirror is written into a folder, not to {a.mirror}: name a folder, and serve it from there.")
    write(a.name, number(a.keep or '200', 'KEEP', 4, 10**6), number(a.size or '224', 'SIZE', 16, 10**4), Path(a.mirror).expanduser() if a.mirror else data_dir()/'.mirror')


if __name__ == '__main__':
    try: main()
    except CourseError as e: sys.exit(str(e))
    except KeyboardInterrupt: sys.exit('Stopped: the mirror is as it was before.')
