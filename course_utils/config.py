"""Which profile a lesson runs at, and where the course keeps its files."""
import ctypes, os, shutil, tempfile, time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


def keep_memory(
    most: int,  # bytes of freed memory at the end of the heap; 0 gives all of it back, now and from now on
):
    "Has glibc keep freed memory for the next batch. Another C library is left as it is."
    with suppress(OSError, AttributeError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(-3, 2**25 if most else 2**17)  # M_MMAP_THRESHOLD: larger blocks leave the heap out; 32 MiB is the most that glibc allows
        libc.mallopt(-1, most)  # M_TRIM_THRESHOLD
        if not most: libc.malloc_trim(0)




class CourseError(ValueError):
    "Something the learner can put right. The message is one sentence that says what, and how."
    # IPython asks for this: in a notebook the sentence stands alone, without the way it came
    def _render_traceback_(self): return [f'{type(self).__name__}: {self}']

PROFILES = ('smoke', 'cpu', 'gpu')


@dataclass(frozen=True)
class Profile:
    "A named amount of work."
    name: str  # `smoke`, `cpu` or `gpu`

    def pick(self, **choices):
        "The choice made for this profile: `pick(smoke=1, cpu=12, gpu=30)`. Without `gpu=` the value for `cpu` counts."
        if self.name == 'gpu' and 'gpu' not in choices: return choices['cpu']
        return choices[self.name]


def profile(
    name: str | None = None  # one of `PROFILES`; None reads `COURSE_PROFILE`, which unset means `gpu` where there is one, else `cpu`
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


def root() -> Path:
    "The course's folder: where settings.ini lies, or the current folder if the package was installed elsewhere."
    here = Path(__file__).resolve().parent.parent if '__file__' in globals() else Path.cwd()
    for d in (here, *here.parents):
        if (d/'settings.ini').exists(): return d
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


@contextmanager
def whole_folder(folder: Path, what: str):
    """Gives a work folder to write into; on leaving, it becomes `folder`. A run killed before that leaves nothing that
    looks whole. Raises `CourseError` where the disk refuses; `what` begins that sentence."""
    work = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for left in folder.parent.glob('.work-*'):  # by a run that was killed; another's work takes minutes, not a day
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > 86_400: shutil.rmtree(left)
        work = Path(tempfile.mkdtemp(prefix='.work-', dir=folder.parent))
        yield work
        os.rename(work, folder)
    except OSError as e:
        if not folder.is_dir():  # where it is: another kernel was first, with the same content
            raise CourseError(f"{what} could not be kept in {folder.parent} ({e.strerror or e}): make room there or set COURSE_CACHE to another folder.") from None
    finally:
        if work: shutil.rmtree(work, ignore_errors=True)


def write_whole(path: Path, text: str):
    "Writes a file in one step: a reader sees the old one or the new one, never half of it."
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'.{path.name}.{os.getpid()}.part')  # its own: another process may be writing the same file
    try:
        part.write_text(text, encoding='utf-8')
        os.replace(part, path)
    finally: part.unlink(missing_ok=True)
