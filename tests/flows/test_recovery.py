"""A resume never loads a snapshot of an epoch that was not committed, and one instance alone runs on a store."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fleetpulse.flows.recovery import RecoveryStore, StoreError, StoreInUseError


def execute(folder: Path, statement: str, *rows: tuple[object, ...]) -> None:
    file = sorted(folder.glob("*.sqlite3"))[0]
    with closing(sqlite3.connect(file)) as store:
        store.executemany(statement, rows)
        store.commit()


def snapshots(folder: Path) -> list[int]:
    epochs: list[int] = []
    for file in sorted(folder.glob("*.sqlite3")):
        with closing(sqlite3.connect(file)) as store:
            epochs += [epoch for (epoch,) in store.execute("SELECT snap_epoch FROM snaps")]
    return sorted(epochs)


def test_snapshots_after_the_last_commit_are_deleted_and_those_before_are_kept(tmp_path: Path) -> None:
    with RecoveryStore(tmp_path / "store") as store:
        execute(store.folder, "INSERT INTO exs (ex_num, worker_count, resume_epoch) VALUES (?, ?, ?)", (0, 2, 1), (1, 2, 4))
        # worker 0 of the last execution reached epoch 6, worker 1 only 5: epoch 5 was never committed by both
        execute(store.folder, "INSERT INTO fronts (ex_num, worker_index, worker_frontier) VALUES (?, ?, ?)", (1, 0, 6), (1, 1, 5))
        insert = "INSERT INTO snaps (step_id, state_key, snap_epoch, ser_change) VALUES ('s', ?, ?, x'00')"
        execute(store.folder, insert, ("a", 3), ("a", 4), ("a", 5), ("b", 6))
        assert store.forget_uncommitted() == 2
        assert snapshots(store.folder) == [3, 4]
        assert store.forget_uncommitted() == 0


def test_a_fresh_store_has_nothing_to_forget(tmp_path: Path) -> None:
    with RecoveryStore(tmp_path / "store") as store:
        assert store.forget_uncommitted() == 0


def test_a_store_is_its_owners_alone_and_one_that_everybody_may_write_to_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with RecoveryStore(folder):
        assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(StoreError, match="must not be writable by everybody"):
        RecoveryStore(folder).__enter__()


def test_a_second_instance_is_refused_until_the_first_has_gone(tmp_path: Path) -> None:
    second = RecoveryStore(tmp_path / "store")
    with RecoveryStore(tmp_path / "store"), pytest.raises(StoreInUseError, match="one instance alone"):
        second.__enter__()
    with second:
        pass
