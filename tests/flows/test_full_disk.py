"""A disk without room stops no supervisor: it waits, and goes on from what was committed. (Found by `fleetpulse bench chaos`.)"""

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from fleetpulse.config.settings import Settings
from fleetpulse.flows import supervisor
from fleetpulse.flows.recovery import RecoveryStore, StoreFullError
from fleetpulse.flows.stop import Stop
from fleetpulse.flows.supervisor import Supervisor


@contextmanager
def no_room() -> Iterator[None]:
    """No file of this process can grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_store_on_a_full_disk_says_so_and_is_cleaned_when_there_is_room_again(tmp_path: Path) -> None:
    with RecoveryStore(tmp_path / "store") as store:
        file = sorted(store.folder.glob("part-*.sqlite3"))[0]
        with closing(sqlite3.connect(file)) as part:
            part.execute("INSERT INTO snaps (step_id, state_key, snap_epoch, ser_change) VALUES ('s', 'a', 7, x'00')")
            part.commit()
        with no_room(), pytest.raises(StoreFullError, match="disk must have room"):
            store.forget_uncommitted()
        assert store.forget_uncommitted() == 1


class Work:
    """Fails for want of room some times, then gives a number."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    def __call__(self) -> int:
        if self.failures:
            self.failures -= 1
            raise StoreFullError("full")
        return 5


def test_a_supervisor_waits_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "ROOM_S", 0.01)
    assert Supervisor("city", Settings(), Stop())._with_room(Work(3)) == 5


def test_a_supervisor_that_is_asked_to_stop_does_not_wait() -> None:
    stop = Stop()
    stop.set()
    with pytest.raises(StoreFullError):
        Supervisor("city", Settings(), stop)._with_room(Work(1))
