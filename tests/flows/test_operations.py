"""Every step of docs/operations.md, as its commands, on a real flow: nothing is lost, and ids stay the same."""

import os
import re
import subprocess
import sys
from base64 import b64decode
from pathlib import Path

import orjson
import pytest
from confluent_kafka.admin import AdminClient

from fleetpulse.config import kafka as clients
from fleetpulse.config.fleet import load_fleet
from fleetpulse.config.settings import Settings
from fleetpulse.flows import backup, position, recovery, topics
from fleetpulse.flows.keys import shard_of
from tests.support.log import Log, of_partition, simulated
from tests.support.processes import environment, part, said, wait_for
from tests.support.telemetry import PARTITIONS, emitted, expected, feed, stamp_version, until_read
from tests.support.topics import write


@pytest.fixture(scope="module")
def logs() -> list[Log]:
    log = simulated(load_fleet(), vehicles=60, duration_s=90)
    return [of_partition(log, p, PARTITIONS) for p in range(PARTITIONS)]


@pytest.fixture
def prepared(settings: Settings) -> Settings:
    settings = settings.model_copy(update={"flow": settings.flow.model_copy(update={"epoch_s": 0.3})})
    topics.ensure(settings, limit_s=10)
    return settings


def fleetpulse(settings: Settings, *arguments: str, code: int = 0) -> list[str]:
    """The lines that a command prints; on a failure those of its one error."""
    command = [sys.executable, "-m", "fleetpulse.flows.cli", *arguments]
    variables = {**os.environ, **environment(settings)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=variables, check=False)
    assert done.returncode == code, done.stderr
    if code:
        (line,) = done.stderr.splitlines()
        return [line]
    return done.stdout.splitlines()


def offsets(settings: Settings) -> dict[int, int]:
    """Partition -> offset, as `store show` says."""
    rows = [line.split() for line in fleetpulse(settings, "store", "show", "telemetry")]
    return {int(row[0]): int(row[1]) for row in rows if row[0].isdecimal()}


def test_show_says_where_a_flow_stands(prepared: Settings, tmp_path: Path, logs: list[Log]) -> None:
    assert fleetpulse(prepared, "store", "show", "city")[0].startswith("city: no recovery store in ")
    with part(prepared, tmp_path, "flow", "telemetry"):
        feed(prepared, logs, 0, 2)
        until_read(prepared)
    feed(prepared, logs, 1, 2)
    head, _, *rows = fleetpulse(prepared, "store", "show", "telemetry")
    assert re.match(r"telemetry: epoch \d+, written \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, \d+\.\d MiB in /", head)
    assert len(rows) == PARTITIONS
    for row, log in zip(rows, logs, strict=True):
        partition, offset, end, behind, state = row.split(maxsplit=4)
        assert int(offset) == len(log.values) // 2, partition
        assert int(end) == len(log.values)
        assert int(behind) == int(end) - int(offset)
        assert re.fullmatch(r"FLEE \d+, \d+ bytes", state)


def test_a_backup_of_a_running_flow_restored_later_makes_the_same_events_again(prepared: Settings, tmp_path: Path, logs: list[Log]) -> None:
    kept = tmp_path / "backup"
    with part(prepared, tmp_path, "flow", "telemetry"):
        feed(prepared, logs, 0, 3)
        until_read(prepared)
        feed(prepared, logs, 1, 3)
        assert re.match(rf"telemetry: epoch \d+ is in {kept}", fleetpulse(prepared, "store", "backup", "telemetry", str(kept))[0])
        feed(prepared, logs, 2, 3)
        until_read(prepared)
        assert "one instance alone" in fleetpulse(prepared, "store", "restore", "telemetry", str(kept), code=1)[0]
    assert emitted(prepared) == expected(prepared, logs)
    assert "must go to a new folder" in fleetpulse(prepared, "store", "backup", "telemetry", str(kept), code=1)[0]
    newest = offsets(prepared)
    assert "what was there is in " in fleetpulse(prepared, "store", "restore", "telemetry", str(kept))[0]
    older = offsets(prepared)
    assert all(older[p] < newest[p] for p in newest)
    with part(prepared, tmp_path, "flow", "telemetry"):
        until_read(prepared)
    assert emitted(prepared) == expected(prepared, logs), "a redelivered event has its id and its bytes"


def test_backups_between_quick_epochs_are_each_of_one_epoch(prepared: Settings, tmp_path: Path, logs: list[Log]) -> None:
    """State and source agree in each, however the copy falls."""
    quick = prepared.model_copy(update={"flow": prepared.flow.model_copy(update={"epoch_s": 0.05})})
    folder = recovery.folder_of(quick, "telemetry")
    parts = 8
    with part(quick, tmp_path, "flow", "telemetry"):
        feed(quick, logs, 0, parts)
        until_read(quick)
        for n in range(1, parts):
            feed(quick, logs, n, parts)
            backup.backup(folder, tmp_path / str(n))
    for n in range(1, parts):
        recovery.check(tmp_path / str(n), PARTITIONS)
        with recovery.opened(recovery.files_of(tmp_path / str(n))) as stores:
            states = {shard_of(key): position.offset_of(state) for key, state in recovery.snapshots(stores, "fleet").items()}
            assert states == recovery.source_offsets(stores)


def test_a_damaged_store_is_rebuilt_from_the_log_with_the_same_ids(prepared: Settings, tmp_path: Path, logs: list[Log]) -> None:
    with part(prepared, tmp_path, "flow", "telemetry"):
        feed(prepared, logs, 0, 1)
        until_read(prepared)
    largest = max(recovery.files_of(recovery.folder_of(prepared, "telemetry")), key=lambda file: file.stat().st_size)
    os.truncate(largest, largest.stat().st_size // 2)
    assert "recovery store must be" in fleetpulse(prepared, "store", "show", "telemetry", code=1)[0]
    assert "begins anew; what was there is in " in fleetpulse(prepared, "store", "reset", "telemetry")[0]
    assert fleetpulse(prepared, "store", "reset", "telemetry") == ["telemetry: begins anew"]
    with part(prepared, tmp_path, "flow", "telemetry") as flow:
        wait_for(lambda: sum(offsets_of(prepared).values()) == sum(len(log.values) for log in logs), what="all must be read again")
        assert not said(flow, "error")
    assert emitted(prepared) == expected(prepared, logs)


def offsets_of(settings: Settings) -> dict[int, int]:
    with recovery.opened(recovery.files_of(recovery.folder_of(settings, "telemetry"))) as stores:
        return recovery.source_offsets(stores)


def test_records_that_the_flow_cannot_take_are_skipped_and_the_rest_goes_on(prepared: Settings, tmp_path: Path, logs: list[Log]) -> None:
    with part(prepared, tmp_path, "flow", "telemetry"):
        feed(prepared, logs, 0, 2)
        until_read(prepared)
    ends = offsets(prepared)
    write(prepared, topics.TELEMETRY, [b'{"device_id": 7}'] * 3, partition=2)
    back = fleetpulse(prepared, "store", "skip", "telemetry", "--partition", "2", "--to", "1", code=2)[0]
    assert "to go back, restore or reset" in back
    done = fleetpulse(prepared, "store", "skip", "telemetry", "--partition", "2", "--to", str(ends[2] + 3))
    assert done == [f"telemetry: partition 2 goes on at {ends[2] + 3}; 3 records are left out"]
    with part(prepared, tmp_path, "flow", "telemetry") as flow:
        feed(prepared, logs, 1, 2)
        until_read(prepared)
        assert not said(flow, '"error"')
    garbage = sum(1 for line in fleetpulse(prepared, "dead-letters", "--last", "1000") if orjson.loads(line)["source-partition"] == "2")
    whole = expected_letters(prepared, logs, 2)
    assert garbage == whole, "the three that were skipped are not among them"
    wanted, got = expected(prepared, logs), emitted(prepared)
    assert got.keys() == wanted.keys()


def expected_letters(settings: Settings, logs: list[Log], partition: int) -> int:
    from fleetpulse.codecs import records

    batch = logs[partition].batch(partition=partition)
    return len(records.decode(batch, source_topic=topics.TELEMETRY, partitions=PARTITIONS).dead_letters)


def test_skip_to_the_end_leaves_a_backlog_out(prepared: Settings, tmp_path: Path, logs: list[Log]) -> None:
    with part(prepared, tmp_path, "flow", "telemetry"):
        feed(prepared, logs, 0, 2)
        until_read(prepared)
    feed(prepared, logs, 1, 2)
    partitions = [text for p in range(PARTITIONS) for text in ("--partition", str(p))]
    assert len(fleetpulse(prepared, "store", "skip", "telemetry", *partitions, "--to", "end")) == PARTITIONS
    assert offsets(prepared) == {p: len(log.values) for p, log in enumerate(logs)}
    with part(prepared, tmp_path, "flow", "telemetry"):
        until_read(prepared)


def test_a_rollback_needs_the_backup_of_the_older_version(prepared: Settings, tmp_path: Path, logs: list[Log]) -> None:
    """The snapshots that a newer version leaves are refused; the backup from before the upgrade goes on, with the same events."""
    kept = tmp_path / "before-the-upgrade"
    with part(prepared, tmp_path, "flow", "telemetry"):
        feed(prepared, logs, 0, 2)
        until_read(prepared)
    fleetpulse(prepared, "store", "backup", "telemetry", str(kept))
    with recovery.opened(recovery.files_of(recovery.folder_of(prepared, "telemetry"))) as stores:
        for store in stores:
            stamp_version(store, 99)
    assert any("FLEE 99" in line for line in fleetpulse(prepared, "store", "show", "telemetry"))
    with part(prepared, tmp_path, "flow", "telemetry") as flow:
        assert flow.process.wait(60) == 78
    fleetpulse(prepared, "store", "restore", "telemetry", str(kept))
    with part(prepared, tmp_path, "flow", "telemetry"):
        feed(prepared, logs, 1, 2)
        until_read(prepared)
    assert emitted(prepared) == expected(prepared, logs)


def test_another_number_of_partitions_is_refused_until_topic_and_store_are_new(prepared: Settings, tmp_path: Path, logs: list[Log]) -> None:
    with part(prepared, tmp_path, "flow", "telemetry"):
        feed(prepared, logs, 0, 1)
        until_read(prepared)
    more = prepared.model_copy(update={"kafka": prepared.kafka.model_copy(update={"partitions": 8})})
    assert "must have 8 partitions (kafka.partitions); it has 4" in fleetpulse(more, "flow", "telemetry", code=2)[0].replace(
        "ConfigError: ", ""
    )
    assert "must be of 8 partitions; it is of 4" in fleetpulse(more, "store", "show", "telemetry", code=1)[0]
    admin = AdminClient(clients.client(prepared))
    for future in admin.delete_topics(["vehicle-telemetry", "fleet.state", "fleet.features", "fleet.snapshots"]).values():
        future.result(10)
    fleetpulse(more, "store", "reset", "telemetry")
    with part(more, tmp_path, "flow", "telemetry") as flow:
        wait_for(lambda: said(flow, "flow started"), what="the flow must start on new topics")
        wait_for(lambda: len(offsets_of(more)) == 8, what="it must have eight partitions")


def test_dead_letters_are_shown_with_reason_and_bytes(prepared: Settings, tmp_path: Path) -> None:
    assert fleetpulse(prepared, "dead-letters") == []
    values = [b"\xff\xff\xff\xff", b'{"device_id": 7}', b"\x0a\x7f\x00"]
    with part(prepared, tmp_path, "flow", "telemetry"):
        write(prepared, topics.TELEMETRY, values, partition=1)
        until_read(prepared)
    letters = [orjson.loads(line) for line in fleetpulse(prepared, "dead-letters")]
    assert [b64decode(letter["payload"]) for letter in letters] == values
    assert {(letter["source-topic"], letter["source-partition"]) for letter in letters} == {("vehicle-telemetry", "1")}
    assert [letter["source-offset"] for letter in letters] == ["0", "1", "2"]
    reason = letters[1]["reason"]
    only = [orjson.loads(line) for line in fleetpulse(prepared, "dead-letters", "--reason", reason, "--last", "1")]
    assert [letter["reason"] for letter in only] == [reason]
