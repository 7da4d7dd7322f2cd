"""Offsets, state and events agree at every epoch, whatever happens to Kafka or to the processes of a flow.

On the embedded broker; a broker that hangs is one that was stopped by SIGSTOP. What needs a broker with a disk: tests/integration.
"""

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from fleetpulse.config.fleet import load_fleet
from fleetpulse.config.settings import Settings
from fleetpulse.flows import recovery, topics
from fleetpulse.flows.child import Part
from fleetpulse.flows.embedded import EmbeddedKafka, free_port
from fleetpulse.flows.keys import shard_of
from fleetpulse.flows.position import offset_of
from fleetpulse.flows.supervisor import REFUSED
from tests.support.log import Log, of_partition, simulated
from tests.support.metrics import scrape
from tests.support.processes import part, said, wait_for, workers
from tests.support.telemetry import PARTITIONS, emitted, epoch, expected, feed, stamp_version, until_epoch, until_read

STOP_S = 10.0
"""What an orderly stop may take, with Kafka there or away."""


@pytest.fixture(scope="module")
def logs() -> list[Log]:
    log = simulated(load_fleet(), vehicles=80, duration_s=120)
    return [of_partition(log, p, PARTITIONS) for p in range(PARTITIONS)]


def with_flow(settings: Settings, **changes: float) -> Settings:
    return settings.model_copy(update={"flow": settings.flow.model_copy(update=changes)})


@contextmanager
def frozen(kafka: EmbeddedKafka) -> Iterator[None]:
    """The broker answers nobody, and has forgotten nothing when it goes on."""
    os.kill(kafka.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(kafka.pid, signal.SIGCONT)


def test_offsets_state_and_events_agree_at_the_last_epoch_after_every_kill(settings: Settings, tmp_path: Path, logs: list[Log]) -> None:
    settings = with_flow(settings, epoch_s=0.2)
    topics.ensure(settings, limit_s=10)
    folder, kills = recovery.folder_of(settings, "telemetry"), 3
    for n in range(kills):
        with part(settings, tmp_path, "flow", "telemetry") as flow:
            feed(settings, logs, n, kills)
            until_epoch(settings)
            dying = workers(flow)
            flow.process.kill()
            wait_for(lambda dying=dying: not any(map(alive, dying)), what="workers must die with their supervisor")  # type: ignore[misc]
        with recovery.RecoveryStore(folder) as store:
            store.forget_uncommitted()
            with recovery.opened(recovery.files_of(folder)) as stores:
                offsets = recovery.source_offsets(stores)
                states = {shard_of(key): offset_of(state) for key, state in recovery.snapshots(stores, "fleet").items()}
        assert sorted(offsets) == list(range(PARTITIONS)), "every partition has its offset"
        assert states == {p: offset for p, offset in offsets.items() if offset}, "state and source are at the same place"
        wanted = expected(settings, logs, [offsets[p] for p in range(PARTITIONS)])
        assert wanted.items() <= emitted(settings).items(), "what the epoch says is done, Kafka has"
    assert wanted


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_one_dead_process_of_two_starts_both_anew(settings: Settings, tmp_path: Path, logs: list[Log]) -> None:
    settings = with_flow(settings, processes=2, epoch_s=0.3)
    topics.ensure(settings, limit_s=10)
    with part(settings, tmp_path, "flow", "telemetry") as flow:
        feed(settings, logs, 0, 2)
        until_read(settings)
        first = workers(flow)
        assert len(first) == 2
        first[1].kill()
        wait_for(lambda: len(workers(flow)) == 2 and not {p.pid for p in workers(flow)} & {p.pid for p in first}, what="both must be new")
        feed(settings, logs, 1, 2)
        until_read(settings)
    assert emitted(settings) == expected(settings, logs)


def test_a_stop_drains_and_takes_a_last_snapshot(settings: Settings, tmp_path: Path, logs: list[Log]) -> None:
    """An epoch of a minute: without the last snapshot there would be none."""
    settings = with_flow(settings, epoch_s=60)
    topics.ensure(settings, limit_s=10)
    with part(settings, tmp_path, "flow", "telemetry") as flow:
        feed(settings, logs, 0, 1)
        wait_for(lambda: bool(emitted(settings)), what="events must come")
        assert flow.end(limit_s=STOP_S) == 0
    folder = recovery.folder_of(settings, "telemetry")
    with recovery.RecoveryStore(folder) as store:
        assert store.forget_uncommitted() == 0
        with recovery.opened(recovery.files_of(folder)) as stores:
            offsets = recovery.source_offsets(stores)
    assert expected(settings, logs, [offsets[p] for p in range(PARTITIONS)]) == emitted(settings), "events and snapshot are one"
    assert not said(flow, "killed")


@pytest.fixture
def holding(settings: Settings, logs: list[Log]) -> Settings:
    """A flow whose sink keeps what it has until its epoch of 10 s ends, and a topic that holds the log: enough time to take Kafka away."""
    topics.ensure(settings, limit_s=10)
    feed(settings, logs, 0, 1)
    settings = with_flow(settings, epoch_s=10, metrics_port=free_port())
    return settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"options": {"linger.ms": "60000"}})})


def until_taken(settings: Settings, logs: list[Log]) -> None:
    """Returns when the flow has worked on everything, in an epoch that is still open."""

    def taken() -> int:
        return int(
            sum(value for name, value in scrape(settings.flow.metrics_port).items() if name.startswith("fleet_flow_shard_next_offset"))
        )

    wait_for(lambda: taken() == sum(len(log.values) for log in logs), limit_s=60, what="the flow must read")
    assert epoch(settings) == 1, "nothing is committed"


def test_an_outage_of_kafka_holds_the_flow_and_neither_ends_it_nor_loses_anything(
    holding: Settings, kafka: EmbeddedKafka, tmp_path: Path, logs: list[Log]
) -> None:
    with part(holding, tmp_path, "flow", "telemetry") as flow:
        until_taken(holding, logs)
        (worker,) = workers(flow)
        with frozen(kafka):
            wait_for(lambda: said(flow, "waiting for Kafka to acknowledge"), what="the sink must say that it waits")
            assert [p.pid for p in workers(flow)] == [worker.pid]
        until_read(holding)
        wait_for(lambda: said(flow, "Kafka acknowledges again"), what="the sink must say that it goes on")
        assert [p.pid for p in workers(flow)] == [worker.pid], "the outage must not restart the flow"
        assert flow.end(limit_s=STOP_S) == 0
    assert emitted(holding) == expected(holding, logs)


def test_with_kafka_away_a_stop_ends_in_time_without_a_snapshot(
    holding: Settings, kafka: EmbeddedKafka, tmp_path: Path, logs: list[Log]
) -> None:
    with part(holding, tmp_path, "flow", "telemetry") as flow:
        until_taken(holding, logs)
        with frozen(kafka):
            assert flow.end(limit_s=STOP_S) == 0, "the supervisor must end by itself"
    assert said(flow, "Kafka must acknowledge within")
    assert said(flow, "without a last snapshot")
    assert not said(flow, "is killed")
    assert epoch(holding) == 1
    with part(holding, tmp_path, "flow", "telemetry"):
        until_read(holding)
    assert emitted(holding) == expected(holding, logs)


def test_a_flow_that_waits_for_kafka_at_its_start_ends_when_asked_to(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {"deployment": {"data_dir": tmp_path / "var"}, "kafka": {"bootstrap_servers": f"127.0.0.1:{free_port()}"}}
    )
    with part(settings, tmp_path, "flow", "telemetry") as flow:
        wait_for(lambda: said(flow, "waiting for Kafka"), what="the flow must say that it waits")
        assert flow.end(limit_s=STOP_S) == 0


def test_a_full_disk_loses_nothing_and_is_said_in_a_few_lines(settings: Settings, tmp_path: Path, logs: list[Log]) -> None:
    settings = with_flow(settings, epoch_s=0.3)
    topics.ensure(settings, limit_s=10)
    with part(settings, tmp_path, "flow", "telemetry") as flow:
        feed(settings, logs, 0, 3)
        until_read(settings)
        supervisor = psutil.Process(flow.process.pid)
        old = workers(flow)
        for process in (supervisor, *old):  # new workers have the supervisor's limit
            process.rlimit(psutil.RLIMIT_FSIZE, (64 << 10, psutil.RLIM_INFINITY))
        feed(settings, logs, 1, 3)
        wait_for(
            lambda: not {p.pid for p in workers(flow)} & {p.pid for p in old}, what="a snapshot that cannot be written ends the worker"
        )
        feed(settings, logs, 2, 3)
        supervisor.rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))
        until_read(settings)
    assert emitted(settings) == expected(settings, logs)


def test_a_snapshot_of_another_version_ends_the_flow_with_one_clear_line(settings: Settings, tmp_path: Path, logs: list[Log]) -> None:
    topics.ensure(settings, limit_s=10)
    with part(settings, tmp_path, "flow", "telemetry"):
        feed(settings, logs, 0, 1)
        until_read(settings)
    files = recovery.files_of(recovery.folder_of(settings, "telemetry"))
    with recovery.opened(files) as stores:
        for store in stores:  # as a later version would have written it
            stamp_version(store, 99)
    with part(settings, tmp_path, "flow", "telemetry") as flow:
        assert flow.process.wait(30) == REFUSED
    assert said(flow, "a snapshot of the fleet step must be b'FLEE' version ")
    assert said(flow, "; got b'FLEE' version 99")
    assert said(flow, "starting anew would not help")
    assert len(error_lines(flow)) == 2


def error_lines(flow: Part) -> list[str]:
    return [line for line in flow.log_file.read_text(encoding="utf-8").splitlines() if '"level": "error"' in line]


def test_a_worker_that_dies_at_once_is_tried_with_growing_pauses_and_a_human_is_called_once(settings: Settings, tmp_path: Path) -> None:
    """The port of its metrics is taken: a fault that may pass."""
    port = free_port()
    settings = with_flow(settings, metrics_port=port)
    topics.ensure(settings, limit_s=10)
    with part(settings, tmp_path, "flow", "telemetry") as other:
        wait_for(lambda: any(c.laddr.port == port for p in workers(other) for c in p.net_connections()), what="the port must be taken")
        second = settings.model_copy(update={"deployment": settings.deployment.model_copy(update={"data_dir": tmp_path / "second"})})
        with part(second, tmp_path / "second", "flow", "telemetry") as flow:
            wait_for(lambda: said(flow, "a human is needed"), limit_s=60, what="a human must be called")
            assert flow.running, "it is tried on"
    text = flow.log_file.read_text(encoding="utf-8")
    assert "Address already in use" in text
    assert text.count("flow started") == 1
    pauses = [float(line.split('"pause_s": ')[1].split(",")[0]) for line in text.splitlines() if '"pause_s"' in line]
    assert pauses == sorted(pauses)
    assert pauses[-1] > pauses[0]
    assert "Traceback" not in text


@pytest.mark.parametrize("damage", ["a file is gone", "a file is cut", "a file is garbage", "another number of partitions"])
def test_a_store_that_cannot_be_used_is_one_clear_line_and_nothing_is_touched(
    settings: Settings, tmp_path: Path, logs: list[Log], damage: str
) -> None:
    topics.ensure(settings, limit_s=10)
    with part(settings, tmp_path, "flow", "telemetry"):
        feed(settings, logs, 0, 1)
        until_read(settings)
    folder = recovery.folder_of(settings, "telemetry")
    files = recovery.files_of(folder)
    if damage == "a file is gone":
        files[2].unlink()
    elif damage == "a file is cut":
        largest = max(files, key=lambda file: file.stat().st_size)
        os.truncate(largest, largest.stat().st_size // 2)
    elif damage == "a file is garbage":
        files[1].write_bytes(b"x" * 10_000)
    else:
        with recovery.opened(files) as stores:
            for store in stores:
                store.execute("DELETE FROM snaps WHERE step_id LIKE '%.source' AND state_key = '0003'")
    before = {file: file.read_bytes() for file in recovery.files_of(folder)}
    with part(settings, tmp_path, "flow", "telemetry") as flow:
        assert flow.process.wait(30) == 1
    (line,) = [line for line in flow.log_file.read_text(encoding="utf-8").splitlines() if line.startswith("fleetpulse: ")]
    assert "recovery store must be" in line or "must have all of its 4 files; got 3" in line or "must be whole" in line
    assert "docs/operations.md" in line
    assert {file: file.read_bytes() for file in recovery.files_of(folder)} == before


def test_a_store_whose_making_was_interrupted_is_made_again(tmp_path: Path) -> None:
    with recovery.RecoveryStore(tmp_path / "store") as store:
        first, *others = recovery.files_of(store.folder)
    first.unlink()
    others[0].unlink()
    with recovery.RecoveryStore(tmp_path / "store") as store:
        store.check(PARTITIONS)
        assert len(recovery.files_of(store.folder)) == recovery.STORE_PARTITIONS
    with sqlite3.connect(others[0]) as connection:
        assert connection.execute("SELECT count(*) FROM snaps").fetchone() == (0,)
    connection.close()
