"""Fetches archives, and goes on where an earlier attempt or an earlier run stopped. The network is not trusted."""
import re, time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests, urllib3
from tqdm import tqdm

from course_utils.config import CourseError, file_sha256, format_bytes

STALL_S = 30    # an attempt ends after so many seconds without a byte,
SLOWEST = 1000  # or with fewer bytes a second than this
TRIES = 4       # attempts in a row that bring nothing new
WAIT_S = 1      # before the second of them; then twice as long each time
CHUNK = 1 << 18

BUSY_STATUS = (408, 425, 429)  # and all from 500 on: it may go better the next time
MANIFEST = 'manifest.json'     # in a mirror: its archives' checksums


@dataclass(frozen=True)
class Archive:
    "One file to fetch."
    address: str    # or, out of a mirror that is a folder, its path
    bytes: int
    sha256: str
    name: str = ''  # in a mirror and in messages; by default the end of the address
    note: str = ''  # what a mirror says of its own version

    def __post_init__(self):
        if not self.name: object.__setattr__(self, 'name', self.address.rsplit('/', 1)[-1])


def is_address(mirror: str) -> bool:
    "An address, and no folder?"
    return '://' in mirror


# ---- one answer ----

class TryAgain(Exception):
    "An attempt that failed, and may go better the next time."


class BeginAgain(TryAgain):
    "The server has nothing from this byte on."


def network_reason(error: Exception) -> str:
    "What went wrong, in a few words."
    if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)): return f'nothing came for {STALL_S:g} s'
    if isinstance(error, requests.exceptions.SSLError): return 'the certificate of the server cannot be trusted'
    if isinstance(error, requests.TooManyRedirects): return 'the server sends from one address to the next without end'
    if isinstance(error, requests.ConnectionError): return 'there is no connection to the server'
    return 'the connection was cut'


@contextmanager
def get_response(
    address: str,
    begin: int = 0,  # the first byte wanted
):
    "The server's answer from byte `begin` on: 200 or 206. Raises `TryAgain` where it may go better the next time, else `CourseError`."
    headers = {'Accept-Encoding': 'identity'}
    if begin: headers['Range'] = f'bytes={begin}-'
    try: response = requests.get(address, headers=headers, stream=True, timeout=STALL_S)
    except ValueError as e: raise CourseError(f"{address} is no address that can be fetched ({e}): check MIRROR.") from None
    except requests.RequestException as e: raise TryAgain(network_reason(e)) from None
    with response:
        check_status(response, address, begin)
        yield response


def check_status(response, address: str, begin: int):
    "Raises `TryAgain` or `CourseError` unless the server sends something."
    code = response.status_code
    status = f'{code} {response.reason or ""}'.strip()
    if code in BUSY_STATUS or code >= 500: raise TryAgain(f'the server answers {status}')
    if code == 416 and begin: raise BeginAgain(f'the server answers {status}')
    if code not in (200, 206):
        raise CourseError(f"{address} answers {status}, so the file is not to be had there: name another MIRROR, or look at the data set's page.")


def read_chunks(response):
    "What comes, as it comes. Raises `TryAgain` where it stalls or is cut."
    start = time.monotonic()
    n_bytes = 0
    while True:
        try: chunk = response.raw.read1(CHUNK)  # read() would wait until the chunk is full, however slowly that goes
        except (urllib3.exceptions.HTTPError, OSError) as e: raise TryAgain(network_reason(e)) from None
        if not chunk: return
        yield chunk
        n_bytes += len(chunk)
        seconds = time.monotonic() - start
        if seconds <= STALL_S: continue
        if n_bytes < SLOWEST * seconds: raise TryAgain(f'only {format_bytes(n_bytes)} came in {seconds:.0f} s')
        start = time.monotonic()
        n_bytes = 0


def stated_length(response) -> int | None:
    "How many bytes the server says that it sends."
    text = response.headers.get('Content-Length', '')
    return int(text) if text.isdecimal() else None


# ---- many attempts ----

def retry(
    attempt,                    # called without arguments
    address: str,               # for the sentence
    bytes_had=lambda: 0,        # how much has come so far
):
    "Tries until `attempt` succeeds, or until `TRIES` in a row have raised `TryAgain` and brought nothing new."
    record = bytes_had()
    tries = 0
    while True:
        try: return attempt()
        except TryAgain as e:
            n_bytes = bytes_had()
            tries = 0 if n_bytes > record else tries + 1
            record = max(record, n_bytes)
            if tries == TRIES: raise gave_up(address, e, n_bytes) from None
            wait_s = WAIT_S * 2**max(tries - 1, 0)
            tqdm.write(f'{e}: trying again in {wait_s:g} s.')
        time.sleep(wait_s)


def gave_up(address: str, error: TryAgain, n_bytes: int) -> CourseError:
    "The sentence after the last attempt."
    rest = f', and what has come, {format_bytes(n_bytes)}, is kept for the next run' if n_bytes else ''
    return CourseError(f"{address} could not be fetched: {error}, {TRIES} times in a row{rest}; try again later, or name another MIRROR.")


# ---- one archive ----

def download(archive: Archive, path: Path):
    "Fetches the archive into `path`, going on from what is there."
    def bytes_had(): return path.stat().st_size if path.exists() else 0

    if bytes_had() > archive.bytes: path.unlink()
    # disable=None: no bar where nobody looks, as in CI's log.
    bar = tqdm(total=archive.bytes, desc=archive.name, unit='B', unit_scale=True, disable=None, leave=False)
    with bar:
        def attempt():
            begin = bytes_had()
            bar.n = begin
            if begin == archive.bytes: return
            try:
                with get_response(archive.address, begin) as response:
                    append_response(response, archive, path, begin, bar)
            except BeginAgain:
                path.unlink()
                raise
        retry(attempt, archive.address, bytes_had)


def append_response(response, archive: Archive, path: Path, begin: int, bar):
    "Writes what comes behind what is there. Raises `CourseError` where it is another file, and `TryAgain` where it is cut."
    length = stated_length(response)
    if response.status_code == 206: length = ranged_length(response, begin)
    else: begin = bar.n = 0  # a server without ranges begins again
    if length is not None and length != archive.bytes: raise wrong_length(path, archive, f'{length:,}')
    with open(path, 'ab' if begin else 'wb') as file:
        n_bytes = begin
        for chunk in read_chunks(response):
            n_bytes += len(chunk)
            if n_bytes > archive.bytes: break
            file.write(chunk)
            bar.update(len(chunk))
    if n_bytes > archive.bytes: raise wrong_length(path, archive, 'more')
    if n_bytes < archive.bytes:
        raise TryAgain(f'the connection was cut at {format_bytes(n_bytes)} of {format_bytes(archive.bytes)}')


def ranged_length(response, begin: int) -> int | None:
    "How long the whole file is, where a server sends a part of it. Raises `BeginAgain` for another part than was asked for."
    text = response.headers.get('Content-Range', '').strip()
    match = re.fullmatch(r'bytes (\d+)-\d+/(\d+|\*)', text)
    if not match or int(match[1]) != begin: raise BeginAgain('the server sent another part than was asked for')
    return None if match[2] == '*' else int(match[2])


def wrong_length(path: Path, archive: Archive, found: str) -> CourseError:
    "Removes what has come, and says why."
    path.unlink(missing_ok=True)
    return CourseError(f"{archive.address} has {found} bytes instead of {archive.bytes:,}, so it is not the file it should be: name another MIRROR, or look at the data set's page.")


def download_path(archive: Archive, folder: Path) -> Path:
    "Where the archive is fetched to. Its checksum is in the name, so that two versions are never mixed."
    return folder/f'{archive.sha256[:12]}-{archive.name}'


def fetch(archive: Archive, folder: Path) -> Path:
    "The archive on this disk, its size and checksum verified. One that lies in a mirror's folder is used where it lies."
    if not is_address(archive.address): return verified_in_mirror(archive)
    path = download_path(archive, folder)
    begun_earlier = path.exists()
    download(archive, path)
    if begun_earlier and file_sha256(path) != archive.sha256:  # what an earlier run left was not what it seemed
        path.unlink()
        download(archive, path)
    sha256 = file_sha256(path)
    if sha256 != archive.sha256:
        path.unlink()
        raise CourseError(f"{archive.address} has the checksum {sha256[:12]}… instead of {archive.sha256[:12]}…, so it is not the file it should be and nothing of it was unpacked: name another MIRROR, or look at the data set's page.")
    return path


def verified_in_mirror(archive: Archive) -> Path:
    "The archive in a mirror's folder. Raises `CourseError` where it is not as the mirror's list says."
    path = Path(archive.address)
    try:
        length = path.stat().st_size
        sha256 = file_sha256(path)
    except OSError as e:
        raise CourseError(f"{path} cannot be read ({e.strerror}), though the mirror's {MANIFEST} lists it.") from None
    if length != archive.bytes:
        raise CourseError(f"{path} has {length:,} bytes, but the mirror's {MANIFEST} says {archive.bytes:,}: copy the mirror again.")
    if sha256 != archive.sha256:
        raise CourseError(f"{path} has another checksum than the mirror's {MANIFEST} says: copy the mirror again.")
    return path
