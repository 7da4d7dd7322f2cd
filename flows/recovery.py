"""The recovery store of one dataflow: made, locked, and cleaned of snapshots that were never committed.

Bytewax keeps snapshots of an epoch that died before its commit; the next execution reuses the epoch's number, and a key that
it does not touch would later resume from the dead row: state ahead of its source. So they are deleted before each start,
while no process of the flow runs, and a lock makes sure of that.
"""

import fcntl
import sqlite3
from contextlib import closing
from pathlib import Path
from types import TracebackType

from bytewax.recovery import RecoveryConfig, init_db_dir

STORE_PARTITIONS = 4


class StoreInUseError(Exception):
    """Another instance of the same dataflow runs on this store."""


class RecoveryStore:
    """Folder of one dataflow's store. Use as a context manager: it holds an exclusive lock for as long as the flow may run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = folder / "lock"

    def __enter__(self) -> "RecoveryStore":
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file = self._lock.open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise StoreInUseError(f"one instance alone may run on a recovery store; another holds {self._lock}") from None
        if not any(self.folder.glob("*.sqlite3")):
            init_db_dir(self.folder, STORE_PARTITIONS)  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def forget_uncommitted(self) -> int:
        """Delete snapshots of the resume epoch and later. No process of the flow may run. Returns how many were deleted."""
        files = sorted(self.folder.glob("*.sqlite3"))
        epoch, deleted = _resume_epoch(files), 0
        for file in files:
            with closing(sqlite3.connect(file)) as store:
                deleted += store.execute("DELETE FROM snaps WHERE snap_epoch >= ?", (epoch,)).rowcount
                store.commit()
        return deleted


def config(folder: Path) -> RecoveryConfig:
    """What Bytewax needs to run on the store in `folder`."""
    return RecoveryConfig(folder)  # type: ignore[no-untyped-call]


def _resume_epoch(files: list[Path]) -> int:
    """First epoch that is not committed: the smallest worker frontier of the latest execution."""
    executions: list[tuple[int, int, int]] = []
    fronts: list[tuple[int, int, int]] = []
    for file in files:
        with closing(sqlite3.connect(file)) as store:
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
