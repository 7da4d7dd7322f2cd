"""The real dataflow on a real broker: its events are those of the log, however often its process is killed."""

from pathlib import Path

import pytest

from fleetpulse.alerts.event import EVENT_TOPICS, Outgoing
from fleetpulse.codecs import partition, records
from fleetpulse.config.fleet import load_fleet
from fleetpulse.config.settings import Settings
from fleetpulse.flows import offsets, topics
from fleetpulse.flows.replay import replay
from fleetpulse.flows.shards import shard_maker
from tests.support.events import validate
from tests.support.log import Log, of_partition, simulated
from tests.support.processes import part, wait_for, workers
from tests.support.topics import headers, read, write

PARTITIONS = 4


@pytest.fixture(scope="module")
def log() -> Log:
    return simulated(load_fleet(), vehicles=80, duration_s=300)


def expected(settings: Settings, logs: list[Log]) -> dict[str, Outgoing]:
    """Event id -> event, from the log without Bytewax and Kafka."""
    make = shard_maker(settings, load_fleet(), topic=topics.TELEMETRY)
    out: list[Outgoing] = []
    for p, log in enumerate(logs):
        make(p).run(records.decode(log.batch(partition=p), source_topic=topics.TELEMETRY, partitions=PARTITIONS), out)
    return {dict(record.headers)["ce_id"].decode(): record for record in out if record.topic in EVENT_TOPICS}


def emitted(settings: Settings) -> dict[str, set[bytes]]:
    """Event id -> the distinct values that Kafka has under it."""
    found: dict[str, set[bytes]] = {}
    for topic in EVENT_TOPICS:
        for message in read(settings, topic, partitions=1 if topic == "fleet.rebalance" else 4):
            value = message.value() or b""
            found.setdefault(validate((headers(message), value))["id"], set()).add(value)
    return found


@pytest.mark.parametrize("processes", [1, 2])
def test_kills_at_any_moment_lose_nothing_and_change_nothing(settings: Settings, tmp_path: Path, log: Log, processes: int) -> None:
    settings = settings.model_copy(update={"flow": settings.flow.model_copy(update={"processes": processes, "epoch_s": 0.3})})
    topics.ensure(settings, limit_s=10)
    logs = [of_partition(log, p, PARTITIONS) for p in range(PARTITIONS)]
    chunks = 8
    with part(settings, tmp_path, "flow", "telemetry") as flow:
        for chunk in range(chunks):
            for p, mine in enumerate(logs):
                a, b = (len(mine.values) * c // chunks for c in (chunk, chunk + 1))
                write(settings, topics.TELEMETRY, mine.values[a:b], partition=p, timestamps_ms=mine.append_ms[a:b])
            wait_for(lambda: len(workers(flow)) >= processes, what="the flow must be started anew")
            if chunk % 2:
                workers(flow)[chunk % processes].kill()

        def behind() -> int:
            return offsets.lag(settings, group="fleetpulse.telemetry", topic=topics.TELEMETRY, partitions=PARTITIONS)

        wait_for(lambda: behind() == 0, limit_s=60, what="the flow must read its topic to the end")
    wanted, got = expected(settings, logs), emitted(settings)
    assert got.keys() == wanted.keys()
    assert {id_: {record.value} for id_, record in wanted.items()} == got


def test_replay_makes_the_events_of_a_range_again_byte_for_byte(settings: Settings, log: Log) -> None:
    """Invariant 2."""
    topics.ensure(settings, limit_s=10)
    mine = of_partition(log, 1, PARTITIONS)
    write(settings, topics.TELEMETRY, mine.values, partition=1, timestamps_ms=mine.append_ms)
    first, last = len(mine.values) // 3, 2 * len(mine.values) // 3
    make = shard_maker(settings, load_fleet(), topic=topics.TELEMETRY)
    logic, before, wanted = make(1), list[Outgoing](), list[Outgoing]()
    for batch, out in ((mine.batch(0, first, partition=1), before), (mine.batch(first, last + 1, partition=1), wanted)):
        logic.run(records.decode(batch, source_topic=topics.TELEMETRY, partitions=PARTITIONS), out)
    wanted = [record for record in wanted if record.topic in EVENT_TOPICS]
    assert wanted
    assert list(replay(settings, 1, first, last)) == wanted


def test_partitions_of_the_log_hold_what_the_bridge_would_route_there(log: Log) -> None:
    total = sum(len(of_partition(log, p, PARTITIONS).values) for p in range(PARTITIONS))
    ticks = sum(1 for value in log.values if not value)
    assert total == len(log.values) + ticks * (PARTITIONS - 1)
    assert partition.of(bytes(16), 1) == 0
