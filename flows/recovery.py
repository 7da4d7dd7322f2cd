"""The recovery store of one dataflow: made, locked, checked, and cleaned of snapshots that were never committed.

Bytewax keeps snapshots of an epoch that died before its commit; the next execution reuses the epoch's number, and a key that
it does not touch would later resume from the dead row: state ahead of its source. So they are deleted before each start,
while no process of the flow runs, and a lock makes sure of that. Copies and repairs by hand: backup.py, position.py.
"""

import fcntl
import os
import pickle
import shutil
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import TracebackType

from bytewax.recovery import RecoveryConfig, init_db_dir

from fleetpulse.config.settings import Settings

STORE_PARTITIONS = 4
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
"""SQLite reports a full disk as either: a journal that cannot be rolled back for want of room is an I/O error."""
HELP = "see docs/operations.md: restore a backup, or reset the flow so that it reads its topic again"


class StoreError(OSError):
    """A recovery store cannot be used as it is. The text is one clear line; the command line exits with 1."""


class StoreInUseError(StoreError):
    """Another instance of the same dataflow runs on this store."""


class StoreFullError(StoreError):
    """The disk of a recovery store takes nothing now. What was committed is safe, and is read again when there is room."""


def folder_of(settings: Settings, flow: str) -> Path:
    """Where the store of a flow stands."""
    return settings.deployment.data_dir.resolve() / "recovery" / flow


class RecoveryStore:
    """Folder of one dataflow's store. Use as a context manager: it holds an exclusive lock for as long as the flow may run.

    make  whether an empty store is made where there is none
    """

    def __init__(self, folder: Path, *, make: bool = True) -> None:
        self.folder = folder
        self._makes = make
        self._lock = folder / "lock"

    def __enter__(self) -> "RecoveryStore":
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self.folder.stat().st_mode & stat.S_IWOTH:
                raise StoreError(f"a recovery store must not be writable by everybody: its pickles run as code; chmod o-w {self.folder}")
            self._file = self._lock.open("w")
        except StoreError:
            raise
        except OSError as error:
            raise StoreError(f"the recovery store must be writable; got: {error.strerror} ({self.folder})") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise StoreInUseError(f"one instance alone may run on a recovery store; another holds {self._lock}") from None
        if self._makes:
            with readable(self.folder):
                self._make()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def _make(self) -> None:
        """An empty store where there is none. Its first file appears last, so that a store that was begun and not finished is seen."""
        with opened(files_of(self.folder)) as begun:
            if (self.folder / "part-0.sqlite3").exists() or any(store.execute("SELECT 1 FROM snaps").fetchone() for store in begun):
                return
        made = self.folder / "new"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        init_db_dir(made, STORE_PARTITIONS)  # type: ignore[no-untyped-call]
        for file in reversed(files_of(made)):
            file.rename(self.folder / file.name)
        made.rmdir()

    def check(self, partitions: int) -> None:
        """See that the store is whole, and of a topic of so many partitions. Raises StoreError."""
        check(self.folder, partitions)

    def resume_epoch(self) -> int:
        """First epoch that is not committed; it grows as the flow makes progress. Raises StoreError."""
        with readable(self.folder), opened(files_of(self.folder)) as stores:
            return resume_epoch(stores)

    def forget_uncommitted(self) -> int:
        """Delete snapshots of the resume epoch and later. No process of the flow may run. Returns how many; raises StoreError."""
        with readable(self.folder), opened(files_of(self.folder)) as stores:
            return forget_uncommitted(stores)


def config(folder: Path) -> RecoveryConfig:
    """What Bytewax needs to run on the store in `folder`."""
    return RecoveryConfig(folder)  # type: ignore[no-untyped-call]


def files_of(folder: Path) -> list[Path]:
    """The store's files, in the order of their numbers."""
    return sorted(folder.glob("part-*.sqlite3"), key=lambda file: int(file.stem.removeprefix("part-")))


@contextmanager
def opened(files: Sequence[Path]) -> Iterator[list[sqlite3.Connection]]:
    """Connections to the files, closed at the end; nothing is committed by itself."""
    with ExitStack() as stack:
        names = [f"{file.resolve().as_uri()}?mode=rw" for file in files]
        yield [stack.enter_context(closing(sqlite3.connect(name, uri=True, isolation_level=None))) for name in names]


@contextmanager
def opened_new(file: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a file that is made."""
    with closing(sqlite3.connect(file, isolation_level=None)) as store:
        yield store


def resume_epoch(stores: Sequence[sqlite3.Connection]) -> int:
    """First epoch that is not committed: the smallest worker frontier of the latest execution."""
    executions: list[tuple[int, int, int]] = []
    fronts: list[tuple[int, int, int]] = []
    for store in stores:
        executions += store.execute("SELECT ex_num, worker_count, resume_epoch FROM exs").fetchall()
        fronts += store.execute("SELECT ex_num, worker_index, worker_frontier FROM fronts").fetchall()
    if not executions:
        return 1
    number, workers, epoch = max(executions)
    frontier = dict.fromkeys(range(workers), epoch)
    for execution, worker, reached in fronts:
        if execution == number:
            frontier[worker] = max(frontier[worker], reached)
    return min(frontier.values())


def forget_uncommitted(stores: Sequence[sqlite3.Connection]) -> int:
    """Delete snapshots of the resume epoch and later; returns how many."""
    epoch = resume_epoch(stores)
    return sum(store.execute("DELETE FROM snaps WHERE snap_epoch >= ?", (epoch,)).rowcount for store in stores)


def snapshots(stores: Sequence[sqlite3.Connection], step: str) -> dict[str, object]:
    """Key -> what a resume would give to it, of the step whose id ends with `step`. Nothing for keys that were given up."""
    epoch = resume_epoch(stores)
    newest: dict[str, tuple[int, bytes | None]] = {}
    query = "SELECT state_key, snap_epoch, ser_change FROM snaps WHERE step_id LIKE ? AND snap_epoch < ?"
    for store in stores:
        for key, at, change in store.execute(query, (f"%.{step}", epoch)):
            if key not in newest or at > newest[key][0]:
                newest[key] = at, change
    # the bytes are our own, written by Bytewax with pickle
    return {key: pickle.loads(change) for key, (_, change) in sorted(newest.items()) if change is not None}  # noqa: S301  # nosec B301


def source_offsets(stores: Sequence[sqlite3.Connection]) -> dict[int, int]:
    """Partition -> the offset at which a resume goes on reading."""
    return {int(key): offset for key, offset in snapshots(stores, "source").items() if isinstance(offset, int)}


def check(folder: Path, partitions: int) -> None:
    """See that every file is there and whole, and that the store is of a topic of so many partitions. Raises StoreError."""
    files = files_of(folder)
    with readable(folder), opened(files) as stores:
        for file, store in zip(files, stores, strict=True):
            index, count = store.execute("SELECT part_index, part_count FROM parts").fetchone() or (-1, len(files))
            if index != int(file.stem.removeprefix("part-")) or count != len(files):
                raise StoreError(f"a recovery store must have all of its {count} files; got {len(files)} ({folder}); {HELP}")
            (verdict,) = store.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise StoreError(f"a file of the recovery store must be whole; got: {verdict.splitlines()[-1]} ({file}); {HELP}")
        found = source_offsets(stores)
    if found and len(found) != partitions:
        raise StoreError(f"the recovery store must be of {partitions} partitions; it is of {len(found)} ({folder}); {HELP}")


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """What SQLite and the disk have to say, as one line."""
    try:
        yield
    except StoreError:
        raise
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NO_ROOM:
            raise StoreFullError(f"the recovery store's disk must have room; got: {error} ({folder})") from None
        raise StoreError(f"the recovery store must be readable; got: {error} ({folder}); {HELP}") from None
    except OSError as error:
        raise StoreError(f"the recovery store must be writable; got: {os.strerror(error.errno or 0)} ({folder})") from None
