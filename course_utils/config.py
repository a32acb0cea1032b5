"""Which profile a lesson runs at, where the course keeps its files, how it writes them, and the error that a learner can mend."""
import ctypes, hashlib, os, shutil, tempfile, time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

DAY_S = 86_400

# glibc's numbers for what mallopt(3) sets
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3


def keep_memory(
    kept_bytes: int,  # freed memory that stays at the end of the heap; 0 gives it back, now and from now on
):
    """Has glibc keep freed memory for the next batch. Else it hands the memory of every batch back to the system, which
    gives it anew page by page, zeroed: a seventh of a training's time on a processor. Another C library is left as it is."""
    # Larger blocks leave the heap out. An older glibc takes 32 MiB at the most, as its manual says; but one of the first maps of
    # 32 pictures at 192 pixels has 113, and each was given anew in every step (findings/malloc_over_32_mib.sh).
    largest_on_heap = (2**28, 2**25) if kept_bytes else (2**17,)
    with suppress(OSError, AttributeError, TypeError):
        libc = ctypes.CDLL(None)
        any(libc.mallopt(M_MMAP_THRESHOLD, size) for size in largest_on_heap)  # 0 where it refuses
        libc.mallopt(M_TRIM_THRESHOLD, kept_bytes)
        if not kept_bytes: libc.malloc_trim(0)


class CourseError(ValueError):
    "Something the learner can put right. The message is one sentence that says what, and how."

    def _render_traceback_(self) -> list:
        "IPython asks for this: in a notebook the sentence stands alone, without a traceback."
        return [f'{type(self).__name__}: {self}']


# ---- profiles ----

PROFILES = ('smoke', 'cpu', 'gpu')


@dataclass(frozen=True)
class Profile:
    "A named amount of work: `smoke` for the tests, `cpu` for a laptop, `gpu` for full data and larger pictures."
    name: str  # one of `PROFILES`

    def pick(self, **choices):
        "The choice made for this profile: `pick(smoke=1, cpu=12, gpu=30)`. Without `gpu=` the value for `cpu` counts."
        if self.name == 'gpu' and 'gpu' not in choices: return choices['cpu']
        return choices[self.name]


def profile(
    name: str | None = None,  # one of `PROFILES`; None reads `COURSE_PROFILE`, which unset means `gpu` where there is one, else `cpu`
) -> Profile:
    "The profile in force. Raises `CourseError` for a name that is not one of `PROFILES`."
    name = name or os.environ.get('COURSE_PROFILE') or default_profile()
    if name not in PROFILES:
        raise CourseError(f"COURSE_PROFILE is '{name}', but it can only be one of {', '.join(PROFILES)}; unset it to let the course choose.")
    return Profile(name)


def default_profile() -> str:
    "`gpu` where torch sees one, else `cpu`."
    import torch
    return 'gpu' if torch.cuda.is_available() else 'cpu'


# ---- folders ----

def root() -> Path:
    "The course's folder: where settings.ini lies, or the current folder if the package was installed elsewhere."
    package = Path(__file__).resolve().parent
    for folder in package.parents:
        if (folder/'settings.ini').exists(): return folder
    return Path.cwd()


def cache_dir() -> Path:
    "Where decoded pictures and finished runs are kept: `COURSE_CACHE`, or `.cache` in the course's folder."
    return Path(os.environ.get('COURSE_CACHE') or root()/'.cache')


def data_dir() -> Path:
    "Where `make data` puts data sets: `COURSE_DATA_DIR`, or `.data` in the course's folder."
    return Path(os.environ.get('COURSE_DATA_DIR') or root()/'.data')


def results_dir() -> Path:
    "Where measured numbers lie: `COURSE_RESULTS`, or `results` in the course's folder."
    return Path(os.environ.get('COURSE_RESULTS') or root()/'results')


def home_dir() -> Path:
    "Where your answers and predictions are kept: `COURSE_HOME`, or `.home` in the course's folder."
    return Path(os.environ.get('COURSE_HOME') or root()/'.home')


# ---- room on the disk ----

def format_bytes(n: float) -> str:
    "A number of bytes as people say it: '825 MB', '0.5 MB', '1,000 bytes'."
    if n >= 1e7: return f'{n / 1e6:,.0f} MB'
    if n >= 1e5: return f'{n / 1e6:.1f} MB'
    return f'{n:,.0f} bytes'


def check_room(
    folder: Path,               # where something is to be written; it may not be there yet
    needed_bytes: float,
    variable: str,              # the environment variable that names another place, such as `COURSE_CACHE`
    remedy: str = 'make room',  # what else helps
):
    "Raises `CourseError` where the disk under `folder` has less than `needed_bytes` to spare."
    folder = folder.absolute()
    existing = next(path for path in (folder, *folder.parents) if path.is_dir())
    free_bytes = shutil.disk_usage(existing).free
    if free_bytes >= needed_bytes: return
    need, free = format_bytes(needed_bytes), format_bytes(free_bytes)
    raise CourseError(f"{need} of disk are needed in {folder}, where {free} are free: {remedy}, or set {variable} to a folder on another disk.")


# ---- whole or not at all ----

@contextmanager
def whole_folder(
    folder: Path,  # what it will be called
    subject: str,  # what is kept in it: the sentence begins with this, where the disk refuses
):
    """Gives a work folder to write into; on leaving, it becomes `folder`. A run killed before that leaves nothing that
    looks whole. Raises `CourseError` where the disk refuses."""
    work = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        clear_abandoned_work(folder.parent)
        work = Path(tempfile.mkdtemp(prefix='.work-', dir=folder.parent))
        yield work
        os.rename(work, folder)
    except OSError as e:
        if folder.is_dir(): return  # another kernel was first, with the same content
        reason = e.strerror or e
        raise CourseError(f"{subject} could not be kept in {folder.parent} ({reason}): make room there or set COURSE_CACHE to another folder.") from None
    finally:
        if work: shutil.rmtree(work, ignore_errors=True)


def clear_abandoned_work(folder: Path):
    "Removes what killed runs left. Another process's work takes minutes, not a day."
    for work in folder.glob('.work-*'):
        with suppress(OSError):
            age_s = time.time() - work.stat().st_mtime
            if age_s > DAY_S: shutil.rmtree(work)


def write_whole(path: Path, text: str):
    "Writes a file in one step: a reader sees the old one or the new one, never half of it."
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'.{path.name}.{os.getpid()}.part')  # another process may be writing the same file
    try:
        part.write_text(text, encoding='utf-8')
        os.replace(part, path)
    finally: part.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:  # 64 hexadecimal digits
    "A file's checksum."
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()
