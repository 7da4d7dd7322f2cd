"""Copies of a recovery store: taken while the flow runs, put back while it does not. A store that is replaced is set aside, not deleted."""

import os
import shutil
import sqlite3
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from fleetpulse.flows import recovery
from fleetpulse.flows.recovery import RecoveryStore, StoreError

LIMIT_S = 30.0
"""How long to look for a moment between two epochs; it takes milliseconds."""


def backup(folder: Path, target: Path) -> int:
    """Copy the store in `folder`, as it was at one committed epoch, to the new folder `target`; returns the epoch. Raises StoreError.

    The files change one after the other while the flow runs. So all are held at one moment, and the moment counts if no epoch was
    committed around it: then every file has all of the epochs before, and none has dropped what a resume there needs.
    """
    if target.exists():
        raise StoreError(f"a backup must go to a new folder; {target} exists")
    if not recovery.files_of(folder):
        raise StoreError(f"there must be a recovery store in {folder}; there is none")
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    with recovery.readable(folder):
        part.mkdir(parents=True)
        epoch = _copy(folder, part)
        with recovery.opened(recovery.files_of(part)) as copies:
            recovery.forget_uncommitted(copies)
        _settle(part)
        part.rename(target)
    return epoch


def _copy(folder: Path, part: Path) -> int:
    files, until = recovery.files_of(folder), time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        with ExitStack() as stack:
            held = stack.enter_context(recovery.opened(files))
            before = _epoch(files)
            for store in held:
                store.execute("BEGIN")
                store.execute("SELECT 1 FROM parts").fetchall()  # from here on the connection sees this moment
            epoch = recovery.resume_epoch(held)
            if not before == epoch == _epoch(files) or _dropped(held) >= epoch:
                continue
            for file, store in zip(files, held, strict=True):
                copy = stack.enter_context(recovery.opened_new(part / file.name))
                store.backup(copy)
            return epoch
    raise StoreError(f"epochs must leave a moment for a backup within {LIMIT_S:g} s; they did not ({folder})")


def _epoch(files: list[Path]) -> int:
    with recovery.opened(files) as stores:
        return recovery.resume_epoch(stores)


def _dropped(stores: list[sqlite3.Connection]) -> int:
    """The newest epoch whose predecessors a file may have dropped."""
    return max((epoch or 0 for store in stores for (epoch,) in store.execute("SELECT max(commit_epoch) FROM commits")), default=0)


def restore(folder: Path, source: Path, partitions: int) -> Path | None:
    """Put a backup in the place of the store in `folder`; returns where that one stands now. Raises StoreError.

    partitions  of the topic that the flow reads
    """
    if not recovery.files_of(source):
        raise StoreError(f"there must be a backup in {source}; there is none")
    recovery.check(source, partitions)
    with RecoveryStore(folder, make=False), recovery.readable(folder):
        aside = _set_aside(folder)
        made = folder / "new"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        for file in recovery.files_of(source):
            shutil.copyfile(file, made / file.name)
        _settle(made)
        for file in reversed(recovery.files_of(made)):  # the first one last, as in the making of a store
            file.rename(folder / file.name)
        made.rmdir()
    return aside


def reset(folder: Path) -> Path | None:
    """Set the store in `folder` aside, so that the flow begins anew; returns where it stands now. Raises StoreError."""
    with RecoveryStore(folder, make=False), recovery.readable(folder):
        return _set_aside(folder)


def _set_aside(folder: Path) -> Path | None:
    files = sorted(folder.glob("part-*"))  # SQLite's own side files, too
    if not files:
        return None
    aside = folder / f"before-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"
    aside.mkdir()
    for file in files:
        file.rename(aside / file.name)
    return aside


def _settle(folder: Path) -> None:
    """The files are on the disk when this returns."""
    for path in (*folder.iterdir(), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
