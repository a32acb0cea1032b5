"""The record of a learner's answers and guesses: one file on their own disk, which no kill can leave half written."""
import contextlib, json, os, time
from pathlib import Path

from filelock import FileLock, Timeout

from course_utils.config import CourseError, home_dir

RECORD_PARTS = ('exercises', 'predictions', 'outcomes')  # of the record; names as they stand in files that learners have


@contextlib.contextmanager
def answers_record(
    change: bool=True,  # False: only to read
):
    "The record as a dict of dicts. What is changed inside is saved on leaving. Raises `CourseError` where the disk refuses."
    path = home_dir()/'answers.json'
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix('.lock'), timeout=20):
            record = _read(path)
            yield record
            if change: _write(record, path)
    except Timeout:
        raise CourseError(
            f"Another notebook has held {path} for 20 seconds: close it, and run this cell again.") from None
    except OSError as e:
        raise CourseError(
            f"Your answers could not be kept in {path.parent} ({e.strerror or e}): make room there, or set COURSE_HOME to another folder.") from None


def _read(path: Path) -> dict:
    "What is in the file. A damaged one is kept aside."
    record = {}
    if path.exists():
        try: record = json.loads(path.read_text(encoding='utf-8'))
        except ValueError: pass
        if not _is_whole(record):
            damaged = path.with_name(f'answers-damaged-{time.strftime("%Y%m%d-%H%M%S")}.json')
            os.replace(path, damaged)
            print(f'{path} could not be read. It is kept as {damaged.name}, and a new one is begun.')
            record = {}
    for part in RECORD_PARTS: record.setdefault(part, {})
    return record


def _is_whole(record) -> bool:
    "Is it a dict of dicts of dicts, with something in it?"
    if not isinstance(record, dict) or not record: return False
    for part in record.values():
        if not isinstance(part, dict): return False
        if not all(isinstance(row, dict) for row in part.values()): return False
    return True


def _write(record: dict, path: Path):
    "The new file is on the disk as a whole before it takes the old one's place."
    part = path.with_suffix('.part')
    with part.open('w', encoding='utf-8') as f:
        json.dump(record, f, indent=1, sort_keys=True, ensure_ascii=False)
        f.flush()
        os.fsync(f.fileno())
    os.replace(part, path)
