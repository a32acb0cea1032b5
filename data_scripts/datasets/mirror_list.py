"""What a mirror holds: a folder or an address with archives, and a manifest.json that lists them."""
import json, re
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from course_utils.config import CourseError
from data_scripts.datasets.download import MANIFEST, Archive, TryAgain, get_response, is_address, read_chunks, retry, stated_length

LONGEST_MANIFEST = 1 << 20  # bytes


def read_manifest(mirror: str) -> dict:  # file → sha256, bytes, note
    "What a mirror holds. Raises `CourseError` where it is none."
    if is_address(mirror):
        place = f'{mirror.rstrip("/")}/{MANIFEST}'
        text = retry(lambda: download_text(place), place)
    else:
        place = Path(mirror).expanduser()/MANIFEST
        try: text = place.read_bytes()
        except OSError as e:
            raise CourseError(f"{place} cannot be read ({e.strerror}): MIRROR needs a folder or an address with a {MANIFEST}.") from None
    try: return checked_manifest(text)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CourseError(f"{place} is not a list of archives: each file needs its sha256 (64 digits), its bytes and a note.") from None


def download_text(address: str) -> bytes:
    "A short file at an address. Raises `CourseError` for a long one."
    with get_response(address) as response:
        text = b''
        for chunk in read_chunks(response):
            text += chunk
            if len(text) > LONGEST_MANIFEST: raise CourseError(f"{address} is longer than any list of archives: check MIRROR.")
        length = stated_length(response)
        if length is not None and len(text) < length: raise TryAgain('the connection was cut')
    return text


def checked_manifest(text: bytes) -> dict:
    "The list in it. Raises one of many errors where it is none."
    files = json.loads(text)
    for file in files.values():
        is_sha256 = re.fullmatch('[0-9a-f]{64}', file['sha256'])
        is_length = type(file['bytes']) is int and file['bytes'] > 0
        is_note = isinstance(file.get('note', ''), str)
        if not (is_sha256 and is_length and is_note): raise ValueError
    return files


def from_mirror(archives, mirror: str) -> list[Archive]:
    "The same archives as a mirror has them. Raises `CourseError` where it lacks one."
    files = read_manifest(mirror)
    missing = [archive.name for archive in archives if archive.name not in files]
    if missing:
        raise CourseError(f"The mirror {mirror} has no {' and no '.join(missing)}: it has {', '.join(sorted(files)) or 'nothing'}.")
    mirrored = []
    for archive in archives:
        facts = {name: files[archive.name].get(name, '') for name in ('bytes', 'sha256', 'note')}
        address = address_in_mirror(mirror, archive.name)
        mirrored.append(replace(archive, address=address, **facts))
    return mirrored


def address_in_mirror(mirror: str, name: str) -> str:
    "Where a mirror has a file: an address, or a path."
    if is_address(mirror): return f'{mirror.rstrip("/")}/{quote(name)}'
    return str(Path(mirror).expanduser()/name)
