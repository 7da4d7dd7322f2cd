"""`explain` and archived snapshots on a real broker: the story of an event, and a replay that begins in the middle of the log."""

import io
from uuid import UUID

import pytest
from rich.console import Console

from fleetpulse.alerts import event
from fleetpulse.alerts.event import EVENT_TOPICS, Outgoing
from fleetpulse.codecs import records
from fleetpulse.config.fleet import load_fleet
from fleetpulse.config.settings import ConfigError, Settings
from fleetpulse.flows import archive, explain, topics
from fleetpulse.flows.replay import replay
from fleetpulse.flows.shards import shard_maker
from fleetpulse.operators import fleet
from tests.support.log import Log, of_partition, simulated
from tests.support.topics import produce, write

PARTITIONS, SHARD, POLLS = 4, 1, 40


@pytest.fixture(scope="module")
def log() -> Log:
    return of_partition(simulated(load_fleet(), vehicles=80, duration_s=300), SHARD, PARTITIONS)


def emitted(settings: Settings, log: Log) -> list[list[Outgoing]]:
    """What the shard writes in each of its polls."""
    logic = shard_maker(settings, load_fleet(), topic=topics.TELEMETRY)(SHARD)
    out = []
    for i in range(POLLS):
        first, last = (len(log.values) * n // POLLS for n in (i, i + 1))
        mine: list[Outgoing] = []
        logic.run(records.decode(log.batch(first, last, partition=SHARD), source_topic=topics.TELEMETRY, partitions=PARTITIONS), mine)
        logic.archive(mine)
        out.append(mine)
    return out


def test_replay_begins_at_the_last_archived_snapshot_that_can_be_read(
    settings: Settings, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log's beginning is gone: other bytes stand there. A newer snapshot is of an unknown version, another one is not whole."""
    monkeypatch.setattr(fleet, "ARCHIVE_MS", 60_000)
    monkeypatch.setattr(fleet, "ARCHIVE_PART_BYTES", 10_000)
    polls = emitted(settings, log)
    archived = [record for out in polls for record in out if record.topic == fleet.ARCHIVE]
    offsets = sorted({int(dict(record.headers)["next_offset"]) for record in archived})
    assert len(archived) > len(offsets) >= 4, "every minute of stream time one, each in parts"
    topics.ensure(settings, limit_s=10)
    first, newest = offsets[2], offsets[3]
    foreign = [record for record in archived if int(dict(record.headers)["next_offset"]) == newest]
    foreign[0] = Outgoing(fleet.ARCHIVE, b"1", b"OLD!" + foreign[0].value[4:], foreign[0].headers, partition=SHARD)
    kept = [record for record in archived if int(dict(record.headers)["next_offset"]) <= first]
    produce(settings, [*kept, *foreign])
    gone = [b"\xff" * len(value) for value in log.values[:first]]
    write(settings, topics.TELEMETRY, gone + log.values[first:], partition=SHARD, timestamps_ms=log.append_ms)
    begin, end = newest + 1, len(log.values) - 1
    assert [offset for offset, _ in archive.before(settings, SHARD, begin)] == [newest, first, *offsets[1::-1]]
    wanted = expected(settings, log, begin)
    assert wanted
    assert list(replay(settings, SHARD, begin, end)) == wanted


def expected(settings: Settings, log: Log, begin: int) -> list[Outgoing]:
    """Events of the records from `begin` on, from the whole log."""
    logic = shard_maker(settings, load_fleet(), topic=topics.TELEMETRY)(SHARD)
    out: list[Outgoing] = []
    for batch in (log.batch(0, begin, partition=SHARD), log.batch(begin, partition=SHARD)):
        out.clear()
        logic.run(records.decode(batch, source_topic=topics.TELEMETRY, partitions=PARTITIONS), out)
    return [record for record in out if record.topic in EVENT_TOPICS]


def test_the_story_of_an_alert_tells_its_rule_values_records_and_signals(settings: Settings, log: Log) -> None:
    topics.ensure(settings, limit_s=10)
    write(settings, topics.TELEMETRY, log.values, partition=SHARD, timestamps_ms=log.append_ms)
    events = [record for out in emitted(settings, log) for record in out if record.topic in EVENT_TOPICS]
    produce(settings, events)
    decoded = [event.decode(record.value, list(record.headers)) for record in events]
    low = next(one for one in decoded if one["data"].get("rule") == "low_battery" and one["type"].endswith("raised.v1"))
    told = explain.story(settings, low)
    assert {other["subject"] for other in told.beside} == {low["subject"]}
    assert low["id"] not in {other["id"] for other in told.beside}
    assert told.frames is not None
    device = UUID(low["subject"]).int
    assert {(int(row["device_hi"]) << 64) | int(row["device_lo"]) for row in told.frames} == {device}
    cause = low["data"]["evidence"]["kafka"]["last_offset"]
    assert int(cause) in told.frames["offset"]
    text = io.StringIO()
    explain.show(told, Console(file=text, width=160))
    shown = text.getvalue()
    for part in ("low_battery", low["data"]["reason"], "fleetpulse replay --partition 1", "battery_soc_pct", "limit_pct"):
        assert part in shown, part
    assert explain.main(settings, low["id"]) == 0


@pytest.mark.parametrize(("event_id", "text"), [("7", "must be a UUID"), (str(UUID(int=7)), "must hold the event")])
def test_an_event_that_is_not_there_gets_one_clear_line(settings: Settings, event_id: str, text: str) -> None:
    topics.ensure(settings, limit_s=10)
    with pytest.raises(ConfigError, match=text):
        explain.main(settings, event_id)
