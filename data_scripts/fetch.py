"""Fetches archives and unpacks them. Neither the network is trusted, nor what an archive says of itself."""
import gzip, hashlib, json, re, shutil, stat, tarfile, time, zipfile, zlib
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import requests, urllib3
from tqdm import tqdm

from course_utils.config import CourseError

STALL_S, SLOWEST = 30, 1000  # an attempt ends after so many seconds without a byte, or with fewer bytes a second than this
TRIES, WAIT_S = 4, 1         # attempts in a row that bring nothing new; the first wait between them, then twice as long each time
CHUNK = 1 << 18
ALLOWED, SPARE = 10, 10_000_000  # an archive may unpack to so many times its size, and so many bytes more
MANIFEST, MANIFEST_MOST = 'manifest.json', 1 << 20


@dataclass(frozen=True)
class Archive:
    "One file to fetch."
    address: str   # or, out of a mirror that is a folder, its path
    bytes: int
    sha256: str
    name: str = '' # in a mirror and in messages; by default the end of the address
    note: str = '' # what a mirror says of its own version
    def __post_init__(self): object.__setattr__(self, 'name', self.name or self.address.rsplit('/', 1)[-1])


def size(n: float) -> str:
    "A number of bytes as people say it."
    return f'{n / 1e6:,.0f} MB' if n >= 1e7 else f'{n / 1e6:.1f} MB' if n >= 1e5 else f'{n:,.0f} bytes'


@contextmanager
def disk(folder: Path, variable: str = 'COURSE_DATA_DIR'):
    "What the disk refuses ends in one sentence."
    try: yield
    except OSError as e:
        raise CourseError(f"Nothing more can be written in {folder} ({e.strerror or e}): make room there or make it writable, or set {variable} to another folder.") from None


def check_room(folder: Path, need: int):
    "Raises `CourseError` where the disk under `folder` has not `need` bytes to spare."
    there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.is_dir())
    free = shutil.disk_usage(there).free
    if free < need: raise CourseError(f"{size(need)} of disk are needed in {folder}, where {size(free)} are free: make room, or set COURSE_DATA_DIR to a folder on another disk.")


# ---- the network ----

class Broken(Exception):
    "An attempt that failed, and may go better the next time."


class Refused(Broken):
    "The server has nothing from this byte on: begin again."


def patiently(attempt, address, have=lambda: 0):
    "Tries until `attempt` succeeds, or until `TRIES` in a row have raised `Broken` and brought nothing new."
    best, tries = have(), 0
    while True:
        try: return attempt()
        except Broken as e:
            now = have()
            best, tries = (now, 0) if now > best else (best, tries + 1)
            if tries == TRIES:
                kept = f', and what has come, {size(now)}, is kept for the next run' if now else ''
                raise CourseError(f"{address} could not be fetched: {e}, {TRIES} times in a row{kept}; try again later, or name another MIRROR.") from None
            wait = WAIT_S * 2**max(tries - 1, 0)
            tqdm.write(f'{e}: trying again in {wait:g} s.')
        time.sleep(wait)


@contextmanager
def answer(address, begin=0):
    "The server's answer from byte `begin` on: 200 or 206. Raises `Broken` where it may go better the next time, else `CourseError`."
    headers = {'Accept-Encoding': 'identity', **({'Range': f'bytes={begin}-'} if begin else {})}
    try: r = requests.get(address, headers=headers, stream=True, timeout=STALL_S)
    except ValueError as e: raise CourseError(f"{address} is no address that can be fetched ({e}): check MIRROR.") from None
    except requests.RequestException as e: raise Broken(_why(e)) from None
    with r:
        says = f'{r.status_code} {r.reason or ""}'.strip()
        if r.status_code in (408, 425, 429) or r.status_code >= 500: raise Broken(f'the server answers {says}')
        if r.status_code == 416 and begin: raise Refused(f'the server answers {says}')
        if r.status_code not in (200, 206): raise CourseError(f"{address} answers {says}, so the file is not to be had there: name another MIRROR, or look at the data set's page.")
        yield r


def _why(e):
    if isinstance(e, (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)): return f'nothing came for {STALL_S:g} s'
    if isinstance(e, requests.exceptions.SSLError): return 'the certificate of the server cannot be trusted'
    if isinstance(e, requests.TooManyRedirects): return 'the server sends from one address to the next without end'
    return 'there is no connection to the server' if isinstance(e, requests.ConnectionError) else 'the connection was cut'


def chunks(r):
    "What comes, as it comes. Raises `Broken` where it stalls or is cut."
    start, got = time.monotonic(), 0
    while True:
        try: chunk = r.raw.read1(CHUNK)  # read() would wait until the chunk is full, however slowly that goes
        except (urllib3.exceptions.HTTPError, OSError) as e: raise Broken(_why(e)) from None
        if not chunk: return
        yield chunk
        got += len(chunk)
        if (now := time.monotonic()) - start > STALL_S:
            if got < SLOWEST * (now - start): raise Broken(f'only {size(got)} came in {now - start:.0f} s')
            start, got = now, 0


def download(archive: Archive, path: Path):
    "Fetches the archive into `path`, going on where an earlier attempt or an earlier run stopped."
    have = lambda: path.stat().st_size if path.exists() else 0
    if have() > archive.bytes: path.unlink()
    # disable=None: no bar where nobody looks, as in CI's log.
    with tqdm(total=archive.bytes, desc=archive.name, unit='B', unit_scale=True, disable=None, leave=False) as bar:
        def attempt():
            bar.n = begin = have()
            if begin == archive.bytes: return
            try:
                with answer(archive.address, begin) as r: _append(r, archive, path, begin, bar)
            except Refused: path.unlink(); raise
        patiently(attempt, archive.address, have)


def _append(r, archive, path, begin, bar):
    length = r.headers.get('Content-Length', '')
    if r.status_code == 206:
        m = re.fullmatch(r'bytes (\d+)-\d+/(\d+|\*)', r.headers.get('Content-Range', '').strip())
        if not m or int(m[1]) != begin: raise Refused('the server sent another part than was asked for')
        length = m[2]
    else: begin = bar.n = 0  # a server without ranges begins again
    if length.isdecimal() and int(length) != archive.bytes: _wrong_length(path, archive, f'{int(length):,}')
    with open(path, 'ab' if begin else 'wb') as f:
        for chunk in chunks(r):
            if (begin := begin + len(chunk)) > archive.bytes: break
            f.write(chunk)
            bar.update(len(chunk))
    if begin > archive.bytes: _wrong_length(path, archive, 'more')
    if begin < archive.bytes: raise Broken(f'the connection was cut at {size(begin)} of {size(archive.bytes)}')


def _wrong_length(path, archive, found):
    path.unlink(missing_ok=True)
    raise CourseError(f"{archive.address} has {found} bytes instead of {archive.bytes:,}, so it is not the file it should be: name another MIRROR, or look at the data set's page.")


def is_address(mirror: str) -> bool: return '://' in mirror


def manifest(mirror: str) -> dict:  # file → sha256, bytes, note
    "What a mirror holds. Raises `CourseError` where it is none."
    if is_address(mirror):
        where = f'{mirror.rstrip("/")}/{MANIFEST}'
        def read():
            with answer(where) as r:
                text = b''
                for chunk in chunks(r):
                    text += chunk
                    if len(text) > MANIFEST_MOST: raise CourseError(f"{where} is longer than any list of archives: check MIRROR.")
                if (n := r.headers.get('Content-Length', '')).isdecimal() and len(text) < int(n): raise Broken('the connection was cut')
            return text
        text = patiently(read, where)
    else:
        where = Path(mirror).expanduser()/MANIFEST
        try: text = where.read_bytes()
        except OSError as e: raise CourseError(f"{where} cannot be read ({e.strerror}): MIRROR needs a folder or an address with a {MANIFEST}.") from None
    try:
        files = json.loads(text)
        for f in files.values():
            if not (re.fullmatch('[0-9a-f]{64}', f['sha256']) and type(f['bytes']) is int and f['bytes'] > 0 and isinstance(f.get('note', ''), str)): raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CourseError(f"{where} is not a list of archives: each file needs its sha256 (64 digits), its bytes and a note.") from None
    return files


def from_mirror(archives, mirror: str) -> list[Archive]:
    "The same archives as a mirror has them. Raises `CourseError` where it lacks one."
    files = manifest(mirror)
    if missing := [a.name for a in archives if a.name not in files]:
        raise CourseError(f"The mirror {mirror} has no {' and no '.join(missing)}: it has {', '.join(sorted(files)) or 'nothing'}.")
    where = lambda name: f'{mirror.rstrip("/")}/{quote(name)}' if is_address(mirror) else str(Path(mirror).expanduser()/name)
    return [replace(a, address=where(a.name), **{k: files[a.name].get(k, '') for k in ('bytes', 'sha256', 'note')}) for a in archives]


def checksum(path: Path) -> str:
    with open(path, 'rb') as f: return hashlib.file_digest(f, 'sha256').hexdigest()


def kept_path(archive: Archive, folder: Path) -> Path:
    "Where the archive is fetched to. Its checksum is in the name, so that two versions are never mixed."
    return folder/f'{archive.sha256[:12]}-{archive.name}'


def fetch(archive: Archive, folder: Path) -> Path:
    "The archive on this disk, its size and checksum verified. One that lies in a mirror's folder is used where it lies."
    if not is_address(archive.address):
        path = Path(archive.address)
        try: length, found = path.stat().st_size, checksum(path)
        except OSError as e: raise CourseError(f"{path} cannot be read ({e.strerror}), though the mirror's {MANIFEST} lists it.") from None
        if length != archive.bytes: raise CourseError(f"{path} has {length:,} bytes, but the mirror's {MANIFEST} says {archive.bytes:,}: copy the mirror again.")
        if found != archive.sha256: raise CourseError(f"{path} has another checksum than the mirror's {MANIFEST} says: copy the mirror again.")
        return path
    path = kept_path(archive, folder)
    begun = path.exists()
    download(archive, path)
    if begun and checksum(path) != archive.sha256:  # what an earlier run left was not what it seemed
        path.unlink()
        download(archive, path)
    if (found := checksum(path)) != archive.sha256:
        path.unlink()
        raise CourseError(f"{archive.address} has the checksum {found[:12]}… instead of {archive.sha256[:12]}…, so it is not the file it should be and nothing of it was unpacked: name another MIRROR, or look at the data set's page.")
    return path


# ---- archives ----

class Limited:
    "A stream that ends in `CourseError` where it gives more than `most` bytes."
    def __init__(self, stream, most, name): self.stream, self.left, self.name = stream, most, name
    def read(self, n):
        data = self.stream.read(n)
        self.left -= len(data)
        if self.left < 0: refuse(self.name, 'it unpacks to far more than its size allows')
        return data


def refuse(name, why): raise CourseError(f"{name} was not unpacked: {why}.")


def unpack(path: Path, folder: Path, name: str = ''):
    """Unpacks a zip or tar archive of plain files into `folder`. Raises `CourseError` for a name that leaves the folder, a link
    or a device, and for far more than the archive's size, be it declared or real: pictures hardly compress."""
    name, most, total = name or path.name, ALLOWED * path.stat().st_size + SPARE, 0
    damaged = zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError, UnicodeError
    with tqdm(desc=f'unpacking {name}', unit='file', disable=None, leave=False) as bar:
        try:
            for member, declared, stream in (_zip if zipfile.is_zipfile(path) else _tar)(path, name, most):
                total += declared + 512
                if total > most: refuse(name, f'it says that it unpacks to more than {size(most)}, far more than its size allows')
                target = folder/inside(member, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                with stream, open(target, 'wb') as f:
                    shutil.copyfileobj(stream, f, CHUNK)
                    if f.tell() != declared: refuse(name, f'{member!a} is not as long as the archive says')
                bar.update()
        except damaged as e: refuse(name, f'it is damaged ({str(e) or type(e).__name__})')


def _zip(path, name, most):
    with zipfile.ZipFile(path) as z:
        for i in z.infolist():
            if i.is_dir(): continue
            if stat.S_IFMT(i.external_attr >> 16) not in (0, stat.S_IFREG): refuse(name, f'{i.filename!a} is a link or a device')
            if i.flag_bits & 1 or i.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED): refuse(name, f'{i.filename!a} is encrypted, or packed in an unusual way')
            yield i.filename, i.file_size, z.open(i)


def _tar(path, name, most):
    # Read as a stream, so that the real bytes are counted before tarfile makes anything of them.
    with open(path, 'rb') as f:
        plain = f.read(2) != b'\x1f\x8b'
        f.seek(0)
        with tarfile.open(fileobj=Limited(f if plain else gzip.GzipFile(fileobj=f), most + 2 * tarfile.RECORDSIZE, name), mode='r|') as t:
            for m in t:
                if m.isdir(): continue
                if not m.isreg() or m.issparse(): refuse(name, f'{m.name!a} is a link or a device')
                yield m.name, m.size, t.extractfile(m)


def inside(member: str, name: str) -> Path:
    "The member's path within a folder. Raises `CourseError` where it would lead out of it."
    parts = [p for p in member.split('/') if p not in ('', '.')]
    bad = member.startswith('/') or '..' in parts or not parts or re.search(r'[\\\x00-\x1f\ud800-\udfff]|^[A-Za-z]:', member)
    if bad: refuse(name, f'the name {member!a} leads out of the folder, or is none')
    return Path(*parts)
