"""The source gives every record once, within its quota of an epoch, and waits instead of spinning when that is used up."""

import time
from datetime import UTC, datetime

from fleetpulse.config import kafka
from fleetpulse.config.settings import Settings
from fleetpulse.flows import topics
from fleetpulse.flows.poller import open_poller
from fleetpulse.flows.source import KafkaSource, SourceLimits
from fleetpulse.flows.stop import Stop
from tests.support.topics import write

RECORDS = 3000
SIZE = 100
LIMIT_S = 15


def test_a_quota_that_is_used_up_ends_with_the_epoch_and_loses_nothing(settings: Settings) -> None:
    topics.ensure(settings, limit_s=10)
    write(settings, topics.TELEMETRY, [b"x" * SIZE] * RECORDS, partition=1)
    write(settings, topics.TELEMETRY, [b"y" * SIZE] * RECORDS, partition=1)
    limits = SourceLimits(poll_ms=1, quota_bytes=1)
    stop = Stop()
    source = KafkaSource(lambda: open_poller(kafka.consumer(settings, group="test"), topics.TELEMETRY), 4, limits, stop)
    partition = source.build_part("source", "0001", None)
    offsets: list[int] = []
    until = time.monotonic() + LIMIT_S
    while len(offsets) < 2 * RECORDS:
        assert time.monotonic() < until, f"every record must come; got {len(offsets)}"
        batches = partition.next_batch()
        if not batches:
            continue
        for _, batch in batches:
            offsets += batch.offsets.tolist()
        assert partition.next_batch() == [], "the quota of this epoch is used up"
        awake = partition.next_awake()
        assert awake is not None
        assert awake > datetime.now(UTC)
        assert partition.snapshot() == offsets[-1] + 1
    assert offsets == list(range(2 * RECORDS))
    stop.set()
    assert partition.next_awake() is None
