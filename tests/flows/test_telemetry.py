"""The real dataflow on a real broker: its events are those of the log, however often its process is killed."""

from pathlib import Path

import pytest

from fleetpulse.alerts.event import EVENT_TOPICS, Outgoing
from fleetpulse.codecs import partition, records
from fleetpulse.config.fleet import load_fleet
from fleetpulse.config.settings import Settings
from fleetpulse.flows import topics
from fleetpulse.flows.replay import replay
from fleetpulse.flows.shards import shard_maker
from tests.support.log import Log, of_partition, simulated
from tests.support.processes import part, wait_for, workers
from tests.support.telemetry import PARTITIONS, emitted, expected, feed, until_epoch, until_read
from tests.support.topics import write


@pytest.fixture(scope="module")
def log() -> Log:
    return simulated(load_fleet(), vehicles=80, duration_s=300)


@pytest.fixture
def logs(log: Log) -> list[Log]:
    return [of_partition(log, p, PARTITIONS) for p in range(PARTITIONS)]


def with_flow(settings: Settings, **changes: float) -> Settings:
    return settings.model_copy(update={"flow": settings.flow.model_copy(update=changes)})


@pytest.mark.parametrize("processes", [1, 2])
def test_kills_at_any_moment_lose_nothing_and_change_nothing(settings: Settings, tmp_path: Path, logs: list[Log], processes: int) -> None:
    settings = with_flow(settings, processes=processes, epoch_s=0.3)
    topics.ensure(settings, limit_s=10)
    parts = 8
    with part(settings, tmp_path, "flow", "telemetry") as flow:
        for chunk in range(parts):
            feed(settings, logs, chunk, parts)
            wait_for(lambda: len(workers(flow)) >= processes, what="the flow must be started anew")
            if chunk % 2:
                workers(flow)[chunk % processes].kill()
        until_read(settings)
    assert emitted(settings) == expected(settings, logs)


def test_shards_move_to_other_processes_by_a_kill_or_a_stop_and_the_events_stay_the_same(
    settings: Settings, tmp_path: Path, logs: list[Log]
) -> None:
    """1, 2, 1, 2, 1 processes on the same store; each run is killed in its work or ended in an orderly way."""
    topics.ensure(settings, limit_s=10)
    runs = [(1, "kill"), (2, "kill"), (1, "stop"), (2, "stop"), (1, "stop")]
    for n, (processes, how) in enumerate(runs):
        these = with_flow(settings, processes=processes, epoch_s=0.3)
        with part(these, tmp_path, "flow", "telemetry") as flow:
            feed(settings, logs, n, len(runs))
            if n == len(runs) - 1:
                until_read(settings)
            elif how == "kill":
                until_epoch(settings)
                dying = workers(flow)
                flow.process.kill()
                wait_for(lambda dying=dying: not any(p.is_running() for p in dying), what="the workers must die with their supervisor")  # type: ignore[misc]
            else:
                assert flow.end(limit_s=10) == 0
    assert emitted(settings) == expected(settings, logs)


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
