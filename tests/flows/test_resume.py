"""Bytewax can bring a dead epoch's snapshot back to life. The cure buries it before each start; the guard refuses to go on with it.

epoch     .. R-1   R            R+1        resume
source       10    [10]         10         10        shard 0 has no new records in B
shard 0      10    13 (dead)    -          13        state ahead of its source: 10, 11, 12 would never be seen
run          A     A died       B killed   C
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fleetpulse.config.fleet import load_fleet
from fleetpulse.config.settings import Settings
from fleetpulse.flows import position, recovery, topics
from fleetpulse.flows.child import end, spawn
from fleetpulse.flows.keys import shard_key
from fleetpulse.flows.supervisor import REFUSED
from tests.support.log import Log, of_partition, simulated
from tests.support.processes import environment, wait_for
from tests.support.telemetry import PARTITIONS, emitted, expected, until_read
from tests.support.topics import write

AHEAD = 3


@pytest.fixture(scope="module")
def logs() -> list[Log]:
    log = simulated(load_fleet(), vehicles=40, duration_s=60)
    return [of_partition(log, p, PARTITIONS) for p in range(PARTITIONS)]


def feed(settings: Settings, log: Log, p: int, part: int) -> None:
    """One third of a partition's log."""
    a, b = (len(log.values) * n // 3 for n in (part, part + 1))
    write(settings, topics.TELEMETRY, log.values[a:b], partition=p, timestamps_ms=log.append_ms[a:b])


@contextmanager
def worker(settings: Settings, folder: Path, *, cure: bool) -> Iterator[subprocess.Popen[bytes]]:
    """A worker as the supervisor starts it, with its cleaning or without."""
    store = recovery.folder_of(settings, "telemetry")
    with recovery.RecoveryStore(store) as held:
        if cure:
            held.forget_uncommitted()
        command = [
            sys.executable,
            "-m",
            "fleetpulse.flows.worker",
            "telemetry",
            "--process",
            "0",
            "--addresses",
            "-",
            "--store",
            str(store),
        ]
        process = spawn(command, folder / "worker.log", env={**os.environ, **environment(settings)})
        try:
            yield process
        finally:
            end(process, limit_s=15)


@pytest.mark.parametrize("cure", [True, False])
def test_a_dead_snapshot_is_buried_by_the_cure_and_refused_by_the_guard(
    settings: Settings, tmp_path: Path, logs: list[Log], cure: bool
) -> None:
    settings = settings.model_copy(update={"flow": settings.flow.model_copy(update={"epoch_s": 0.2})})
    topics.ensure(settings, limit_s=10)
    store = recovery.folder_of(settings, "telemetry")
    with worker(settings, tmp_path, cure=cure) as run_a:
        for p, log in enumerate(logs):
            feed(settings, log, p, 0)
        until_read(settings)
        assert end(run_a, limit_s=15) == 0
    key, epoch = shard_key(0, PARTITIONS), _resume_epoch(store)
    with recovery.opened(recovery.files_of(store)) as stores:
        state = recovery.snapshots(stores, "fleet")[key]
        assert isinstance(state, bytes)
        dead = pickle.dumps(position.moved(state, position.offset_of(state) + AHEAD))
        insert = "INSERT INTO snaps (step_id, state_key, snap_epoch, ser_change) SELECT DISTINCT step_id, state_key, ?, ? FROM snaps"
        written = sum(s.execute(f"{insert} WHERE step_id LIKE '%.fleet' AND state_key = ?", (epoch, dead, key)).rowcount for s in stores)
        assert written == 1
    with worker(settings, tmp_path, cure=cure) as run_b:
        for p in range(1, PARTITIONS):
            feed(settings, logs[p], p, 1)
        until_read(settings)
        wait_for(lambda: _resume_epoch(store) > epoch + 1, what="the dead epoch's number must be committed, by another run")
        run_b.kill()
        run_b.wait()
    with worker(settings, tmp_path, cure=cure) as run_c:
        feed(settings, logs[0], 0, 1)
        for p, log in enumerate(logs):
            feed(settings, log, p, 2)
        if not cure:
            assert run_c.wait(30) == REFUSED
            assert "must go on at the offset after its snapshot" in (tmp_path / "worker.log").read_text(encoding="utf-8")
            return
        until_read(settings)
        assert end(run_c, limit_s=15) == 0
    assert emitted(settings) == expected(settings, logs)


def _resume_epoch(store: Path) -> int:
    with recovery.opened(recovery.files_of(store)) as stores:
        return recovery.resume_epoch(stores)
