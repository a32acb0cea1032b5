"""Fetches one of the sources' data sets and makes class folders of it: `make data NAME=cats_dogs`.

It ends in a whole folder or in one sentence, with nothing half-made left; what was fetched is kept for the next run."""
import argparse, json, os, shutil
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import date
from pathlib import Path

from filelock import FileLock, Timeout

from course_utils.config import CourseError, check_room, data_dir, format_bytes
from course_utils.data.sources import FACTS_FILE, read_facts
from data_scripts.datasets.archives import unpack
from data_scripts.datasets.arrange import arrange
from data_scripts.datasets.download import Archive, download_path, fetch, is_address
from data_scripts.datasets.hugging_face import PREFIX, folder_name, hub_facts, is_hub_name, load_parts, write_folders
from data_scripts.datasets.mirror_list import from_mirror
from data_scripts.datasets.sources import SOURCES
from data_scripts.datasets.sources.source import Source


def source_named(name: str) -> Source:
    "The description of a data set. Raises `CourseError` for a name that is none."
    if name in SOURCES: return SOURCES[name]
    problem = f'There is no data set {name!r}' if name else 'NAME= is missing'
    names = ', '.join(f'{known} ({format_bytes(source.bytes)})' for known, source in SOURCES.items())
    raise CourseError(f"{problem}: choose one of {names}, as in make data NAME=cats_dogs.")


def source_in_words(facts: dict) -> str:
    "How many pictures, and whether that is all of them."
    text = f"{facts['pictures']:,} pictures"
    if facts['set_aside']: text += f", {len(facts['set_aside']):,} files set aside"
    return f'subset, {text}' if facts['subset'] else text


# ---- around the work ----

@contextmanager
def disk_errors(folder: Path, variable: str = 'COURSE_DATA_DIR'):
    "What the disk refuses ends in one sentence."
    try: yield
    except OSError as e:
        raise CourseError(f"Nothing more can be written in {folder} ({e.strerror or e}): make room there or make it writable, or set {variable} to another folder.") from None


@contextmanager
def data_set_lock(lock: Path, subject: str):
    "Nobody else is at work on `subject` meanwhile. The kernel frees the lock of a killed run."
    lock.parent.mkdir(parents=True, exist_ok=True)
    try: held = FileLock(lock).acquire(timeout=0)
    except Timeout: raise CourseError(f"Another command is at work on {subject}: wait until it has ended.") from None
    with held: yield


@contextmanager
def scratch_folders(work: Path):
    "Two empty folders to unpack and to build in. What was downloaded beside them stays for the next run."
    folders = work/'unpacked', work/'made'
    remove(folders)  # what a killed run left
    for folder in folders: folder.mkdir(parents=True)
    try: yield folders
    finally:
        remove(folders)
        with suppress(OSError): work.rmdir()  # where nothing was downloaded


def remove(folders):
    for folder in folders: shutil.rmtree(folder, ignore_errors=True)


def find_prepared(target: Path, work: Path) -> dict:
    "The facts of a data set that is whole already; empty where there is none. Raises `CourseError` where something else is in its place."
    if not target.exists(): return {}
    facts = read_facts(target)
    if not facts: raise CourseError(f"{target} is there already, but make data did not make it: move it away first.")
    shutil.rmtree(work, ignore_errors=True)  # of a run killed at its very end
    print(f"{target.name} is there already: {source_in_words(facts)}, in {target}; to fetch it again, remove that folder first.")
    return facts


# ---- the work ----

def prepare(
    name: str,                    # a name of `SOURCES`
    mirror: str = '',             # a folder or an address with the archives and their manifest.json
    folder: Path | None = None,   # where the data set's folder is made; None: `data_dir()`
) -> dict:                        # what about.json says
    "Fetches, verifies, unpacks and arranges a data set, or finds it there. Raises `CourseError`."
    source = source_named(name)
    folder = folder or data_dir()
    target = folder/name
    work = folder/'.fetch'/name
    facts = find_prepared(target, work)
    if facts: return facts
    with disk_errors(folder), data_set_lock(folder/'.fetch'/f'{name}.lock', name), scratch_folders(work) as (unpacked, made):
        facts = find_prepared(target, work)
        if facts: return facts  # another run has just ended
        archives = from_mirror(source.archives, mirror) if mirror else source.archives
        check_room(folder, needed_bytes(source, archives, work), 'COURSE_DATA_DIR')
        print(f"{source.title}: {source.page}\nLicence: {source.licence}.", flush=True)
        fetch_and_unpack(archives, work, unpacked)
        facts = archive_facts(name, source, archives) | arrange(unpacked, made, source)
        text = json.dumps(facts, indent=1, ensure_ascii=False)
        (made/FACTS_FILE).write_text(text + '\n', encoding='utf-8')
        os.rename(made, target)
        for path in work.iterdir():
            if path.is_file(): path.unlink()  # the archives: all of their pictures are in place
    parts = ', '.join(f'{sum(classes.values()):,} {part}' for part, classes in facts['counts'].items())
    print(f"{name}: {source_in_words(facts)} ({parts}), in {target}; use it with COURSE_DATA={name}.")
    return facts


def prepare_hub(
    name: str,                   # `hf:owner/name`, or a folder or a parquet file after `hf:`
    label: str = '',             # the column of the class; empty: found
    folder: Path | None = None,  # where the data set's folder is made; None: `data_dir()`
) -> dict:                       # what about.json says
    "Makes class folders of a data set in Hugging Face's formats, or finds them there. Raises `CourseError`."
    folder = folder or data_dir()
    local_name = folder_name(name)
    if local_name in SOURCES: raise CourseError(f"{local_name} is the name of one of the course's own data sets: make data NAME={local_name} fetches it.")
    target, work = folder/local_name, folder/'.fetch'/local_name
    facts = find_prepared(target, work)
    if facts: return facts
    with disk_errors(folder), data_set_lock(folder/'.fetch'/f'{local_name}.lock', local_name), scratch_folders(work) as (_, made):
        parts = load_parts(name.removeprefix(PREFIX))
        facts = hub_facts(name, parts) | write_folders(parts, made, label)
        text = json.dumps(facts, indent=1, ensure_ascii=False)
        (made/FACTS_FILE).write_text(text + '\n', encoding='utf-8')
        os.rename(made, target)
    print(f"{local_name}: {source_in_words(facts)}, in {target}; use it with COURSE_DATA={local_name}. Licence: {facts['licence']}.")
    return facts


def needed_bytes(source: Source, archives, work: Path) -> int:
    "Room for the pictures, and for what is not downloaded yet."
    total = sum(archive.bytes for archive in archives)
    downloaded = sum(bytes_on_disk(archive, work) for archive in archives)
    return int(total * source.room) + total - downloaded


def bytes_on_disk(archive: Archive, work: Path) -> int:
    "How much of an archive is here: all of it, where the mirror is a folder."
    if not is_address(archive.address): return archive.bytes
    path = download_path(archive, work)
    return path.stat().st_size if path.exists() else 0


def fetch_and_unpack(archives, work: Path, unpacked: Path):
    "All are fetched before the first is unpacked."
    paths = [fetch(archive, work) for archive in archives]
    for archive, path in zip(archives, paths): unpack(path, unpacked, archive.name)


def archive_facts(name: str, source: Source, archives) -> dict:
    "What about.json says of where a data set came from."
    originals = [archive.sha256 for archive in source.archives]
    is_subset = [archive.sha256 for archive in archives] != originals
    by_name = {}
    for archive in archives:
        facts = asdict(archive)
        by_name[facts.pop('name')] = facts
    return dict(
        name=name,
        title=source.title,
        page=source.page,
        licence=source.licence,
        date=date.today().isoformat(),
        subset=is_subset,
        archives=by_name,
    )


def main(argv: list[str] | None = None):
    "The command. Raises `CourseError`."
    parser = argparse.ArgumentParser(prog='course data', description=__doc__)
    parser.add_argument('name', nargs='?', default='', help=', '.join(SOURCES))
    parser.add_argument('--mirror', default='', help='a folder or an address with the archives and their manifest.json')
    parser.add_argument('--label', default='', help='for hf:owner/name, the column that holds the class')
    arguments = parser.parse_args(argv)
    try:
        if is_hub_name(arguments.name): prepare_hub(arguments.name, arguments.label)
        else: prepare(arguments.name, arguments.mirror)
    except KeyboardInterrupt: raise CourseError('Stopped: what was fetched is kept, and the same command goes on from there.') from None
