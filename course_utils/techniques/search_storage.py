"""Where a search keeps its trials: one SQLite file, or a database that several machines reach. While a trial runs, it is noted every
few seconds that it is alive: its heartbeat."""
import os, warnings
from pathlib import Path

from filelock import FileLock
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from sqlalchemy import event

from course_utils.config import CourseError, cache_dir


def storage_address() -> str:
    "Where searches are kept: `COURSE_STORAGE`, or `search.db` in the course's cache."
    return os.environ.get('COURSE_STORAGE') or str(cache_dir()/'search.db')


def open_storage(
    address: str | None=None,  # a file, or a database's address `dialect://…`; None reads `COURSE_STORAGE`
    every: int=5,              # whole seconds between two heartbeats; after six without one, a trial is taken for dead
) -> RDBStorage:
    "An Optuna storage whose trials have a heartbeat. Raises `CourseError` where it cannot be opened."
    address = address or storage_address()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', ExperimentalWarning)  # as Optuna calls its heartbeat
            heart = dict(heartbeat_interval=every, grace_period=6 * every,
                         heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback())
            if '://' in address: return RDBStorage(address, **heart)
            return open_file(Path(address).expanduser(), heart)
    except Exception as error:  # a database fails in many kinds of ways
        place = address.split('@')[-1]  # before it may stand a password, which is not shown
        raise CourseError(f"The search's storage {place} cannot be opened ({type(error).__name__}): give COURSE_STORAGE "
                          "another file or address, or unset it.") from None


def open_file(path: Path, heart: dict) -> RDBStorage:
    "An SQLite file. Two processes that begin at once would both make its tables, so one waits for the other."
    path.parent.mkdir(parents=True, exist_ok=True)
    patience = dict(connect_args=dict(timeout=60))  # seconds, while another one writes
    with FileLock(f'{path}.lock', timeout=60): storage = RDBStorage(f'sqlite:///{path}', engine_kwargs=patience, **heart)
    one_at_a_time(storage.engine)
    return storage


def one_at_a_time(engine):
    """Each transaction takes the file as it begins, not as it first writes. Optuna reads a trial's state, checks it and writes it, and
    SQLite has no locks on rows: two workers would both find a trial dead, both try it again, and its settings would count twice."""
    event.listen(engine, 'connect', leave_beginning_to_us)
    event.listen(engine, 'begin', take_the_file)
    engine.dispose()  # its connections are older


def leave_beginning_to_us(connection, record): connection.isolation_level = None


def take_the_file(connection): connection.exec_driver_sql('BEGIN IMMEDIATE')
