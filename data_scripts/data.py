"""Fetches one of the sources' data sets and makes class folders of it: `make data NAME=cats_dogs`."""
import argparse, json, os, shutil, sys, warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from filelock import FileLock, Timeout
from PIL import Image
from tqdm import tqdm

from course_utils.config import CourseError, data_dir
from data_scripts.fetch import check_room, disk, fetch, from_mirror, is_address, kept_path, size, unpack
from data_scripts.sources import SOURCES, split

ABOUT = 'about.json'
PARTS = 'train', 'valid', 'test'


def source(name):
    "The description of a data set. Raises `CourseError` for a name that is none."
    if name in SOURCES: return SOURCES[name]
    sizes = ', '.join(f'{n} ({size(sum(a.bytes for a in s.archives))})' for n, s in SOURCES.items())
    raise CourseError(f"{f'There is no data set {name!r}' if name else 'NAME= is missing'}: choose one of {sizes}, as in make data NAME=cats_dogs.")


def about(folder: Path) -> dict:
    "What was written beside a whole data set; empty where there is none."
    try: return json.loads((folder/ABOUT).read_text(encoding='utf-8'))
    except (OSError, ValueError): return {}


def describe(d: dict) -> str:
    "One line: how many pictures, and whether that is all of them."
    found = f"{d['pictures']:,} pictures" + (f", {len(d['set_aside']):,} files set aside" if d['set_aside'] else '')
    return f"subset, {found}" if d['subset'] else found


@contextmanager
def alone(lock: Path, what: str):
    "Nobody else is at work on `what` meanwhile. The kernel frees the lock of a killed run."
    lock.parent.mkdir(parents=True, exist_ok=True)
    try: held = FileLock(lock).acquire(timeout=0)
    except Timeout: raise CourseError(f"Another command is at work on {what}: wait until it has ended.") from None
    with held: yield


# ---- reading every picture once ----

def unreadable(path: Path, jfif: bool = False) -> str:
    "Why a file is no picture to learn from; empty for one that is."
    if path.stat().st_size == 0: return 'the file is empty'
    with open(path, 'rb') as f:
        if jfif and b'JFIF' not in f.read(10): return 'no JFIF header'
    try:
        with Image.open(path) as im:
            im.draft('RGB', (32, 32))  # all of a JPEG is read, but little of it computed
            im.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning): return 'too many pixels to be safe to open'
    except Image.UnidentifiedImageError: return 'not a picture'
    except Exception as e: return str(e).splitlines()[0] if str(e) else type(e).__name__  # PIL's plugins raise many kinds
    return ''


def check(rows: list, jfif: bool) -> list[str]:
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter('ignore')
        warnings.simplefilter('error', Image.DecompressionBombWarning)
        found = pool.map(lambda r: unreadable(r[2], jfif), rows)
        return list(tqdm(found, total=len(rows), desc='reading pictures', unit='file', disable=None, leave=False))


# ---- from archives to class folders ----

def arrange(src: Path, made: Path, s) -> dict:
    "Moves the pictures of the unpacked archives into class folders. Returns what is there, for `about.json`."
    try: rows = s.listing(src)
    except (CourseError, MemoryError): raise
    except OSError as e:
        if not isinstance(e, (FileNotFoundError, NotADirectoryError)): raise
        raise CourseError(f"The archives are not laid out as {s.title} is: there is no {Path(e.filename).relative_to(src)}.") from None
    except Exception as e: raise CourseError(f"The archives are not laid out as {s.title} is ({type(e).__name__}: {e}).") from None
    why = check(rows, s.jfif)
    good = [r for r, w in zip(rows, why) if not w]
    counts = {p: {} for p in PARTS}
    for part, c, f in split(good, s.cut) if s.cut else good:
        if not c or c != Path(c).name or c.startswith('.') or not c.isprintable(): raise CourseError(f"{c!a} is no name for a class folder: the archives are not those of {s.title}.")
        put(f, made/part/c/f.name)
        counts[part][c] = counts[part].get(c, 0) + 1
    if len(counts['train']) < 2 or not counts['test'] or set().union(*counts.values()) != counts['train'].keys():
        raise CourseError(f"The archives hold readable pictures of {len(counts['train'])} classes to train and of {len(counts['test'])} to test: they are not those of {s.title}.")
    aside = {f.relative_to(src).as_posix(): w for (_, _, f), w in zip(rows, why) if w}
    for f in aside: put(src/f, made/'.set_aside'/f)
    for name, where in s.beside.items():
        if not (src/where).is_dir(): raise CourseError(f"The archives are not laid out as {s.title} is: there is no {where}.")
        put(src/where, made/name)
    return dict(pictures=len(good), counts={p: n for p, n in counts.items() if n}, set_aside=aside, beside=list(s.beside))


def put(f, to):
    if to.exists(): raise CourseError(f"The archives hold {to.name!a} twice for one class.")
    to.parent.mkdir(parents=True, exist_ok=True)
    os.replace(f, to)


@contextmanager
def scratch(work: Path):
    "Two empty folders to unpack and to build in. What was downloaded beside them stays for the next run."
    folders = work/'unpacked', work/'made'
    def clear():
        for f in folders: shutil.rmtree(f, ignore_errors=True)
    clear()  # what a killed run left
    for f in folders: f.mkdir(parents=True)
    try: yield folders
    finally:
        clear()
        with suppress(OSError): work.rmdir()  # where nothing was downloaded


def there(target: Path, work: Path) -> dict:
    "`about.json` of a data set that is whole already. Raises `CourseError` where something else is in its place."
    if not target.exists(): return {}
    if not (d := about(target)): raise CourseError(f"{target} is there already, but make data did not make it: move it away first.")
    shutil.rmtree(work, ignore_errors=True)  # of a run killed at its very end
    print(f"{target.name} is there already: {describe(d)}, in {target}; to fetch it again, remove that folder first.")
    return d


def make(name: str, mirror: str = '', folder: Path | None = None) -> dict:  # about.json
    "Fetches, verifies, unpacks and arranges a data set into `folder`/`name`, or finds it there. Raises `CourseError`."
    s, folder = source(name), folder or data_dir()
    target, work = folder/name, folder/'.fetch'/name
    if d := there(target, work): return d
    with disk(folder), alone(folder/'.fetch'/f'{name}.lock', name), scratch(work) as (unpacked, made):
        if d := there(target, work): return d  # another run has just ended
        archives = from_mirror(s.archives, mirror) if mirror else s.archives
        total = sum(a.bytes for a in archives)
        here = lambda a: a.bytes if not is_address(a.address) else p.stat().st_size if (p := kept_path(a, work)).exists() else 0
        check_room(folder, int(total * s.room) + total - sum(map(here, archives)))
        print(f"{s.title}: {s.page}\nLicence: {s.licence}.", flush=True)
        fetched = [fetch(a, work) for a in archives]
        for a, path in zip(archives, fetched): unpack(path, unpacked, a.name)
        d = dict(name=name, title=s.title, page=s.page, licence=s.licence, date=date.today().isoformat(),
                 subset=[a.sha256 for a in archives] != [a.sha256 for a in s.archives],
                 archives={a.name: dict(address=a.address, bytes=a.bytes, sha256=a.sha256, note=a.note) for a in archives}, **arrange(unpacked, made, s))
        (made/ABOUT).write_text(json.dumps(d, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')
        os.rename(made, target)
        for path in work.iterdir():
            if path.is_file(): path.unlink()  # the archives: all of their pictures are in place
    parts = ', '.join(f'{sum(n.values()):,} {p}' for p, n in d['counts'].items())
    print(f"{name}: {describe(d)} ({parts}), in {target}; use it with COURSE_DATA={name}.")
    return d


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('name', nargs='?', default='', help=', '.join(SOURCES))
    p.add_argument('--mirror', default='', help='a folder or an address with the archives and their manifest.json')
    a = p.parse_args(argv)
    make(a.name, a.mirror)


if __name__ == '__main__':
    try: main()
    except CourseError as e: sys.exit(str(e))
    except KeyboardInterrupt: sys.exit('Stopped: what was fetched is kept, and the same command goes on from there.')
