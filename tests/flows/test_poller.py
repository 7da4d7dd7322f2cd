"""Both pollers give the same batches: every record of the assigned partitions, in order, joined."""

import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pytest

from fleetpulse.codecs.batch import RecordBatch
from fleetpulse.config import kafka
from fleetpulse.config.settings import Settings
from fleetpulse.flows import topics
from fleetpulse.flows.librdkafka import LibrdkafkaPoller
from fleetpulse.flows.poller import ConfluentPoller, Poller
from tests.support.topics import write

Make = Callable[[Mapping[str, str | int | float | bool], str], Poller]
TOPIC = topics.TELEMETRY


@pytest.fixture(params=[LibrdkafkaPoller, ConfluentPoller], ids=["librdkafka", "confluent"])
def poller(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Poller]:
    topics.ensure(settings, limit_s=10)
    make: Make = request.param
    poller = make(kafka.consumer(settings, group="test"), TOPIC)
    yield poller
    poller.close()


def values_of(batches: list[RecordBatch]) -> list[bytes]:
    values = []
    for batch in batches:
        payload, begin = bytes(batch.payload), 0
        for end in batch.ends.tolist():
            values.append(payload[begin:end])
            begin = end
    return values


def collect(poller: Poller, records: int) -> list[RecordBatch]:
    batches: list[RecordBatch] = []
    until = time.monotonic() + 15
    while sum(len(batch.offsets) for batch in batches) < records:
        assert time.monotonic() < until, "the poller must give every record"
        batches += poller.poll()
    return batches


def test_every_record_comes_once_in_order_with_its_offset_and_time(poller: Poller, settings: Settings) -> None:
    written = {0: [b"a", b"", b"ccc"], 2: [bytes([i % 256]) * (i % 700) for i in range(5000)]}
    for partition, values in written.items():
        write(settings, TOPIC, values, partition=partition)
        poller.assign(partition, 0)
    batches = collect(poller, 5003)
    for partition, values in written.items():
        mine = [batch for batch in batches if batch.partition == partition]
        assert values_of(mine) == values
        assert np.concatenate([batch.offsets for batch in mine]).tolist() == list(range(len(values)))
        assert np.concatenate([batch.append_ms for batch in mine]).tolist() == [1_000 + i for i in range(len(values))]
        assert [batch.start for batch in mine] == [0, *[int(batch.offsets[-1]) + 1 for batch in mine[:-1]]]


def test_reading_starts_at_the_assigned_offset(poller: Poller, settings: Settings) -> None:
    write(settings, TOPIC, [b"0", b"1", b"2", b"3"], partition=1)
    poller.assign(1, 2)
    batches = collect(poller, 2)
    assert values_of(batches) == [b"2", b"3"]
    assert batches[0].start == 2


def test_a_paused_partition_gives_nothing_until_it_is_resumed(poller: Poller, settings: Settings) -> None:
    poller.assign(0, 0)
    poller.assign(1, 0)
    poller.pause(0)
    write(settings, TOPIC, [b"paused"], partition=0)
    write(settings, TOPIC, [b"open"], partition=1)
    assert values_of(collect(poller, 1)) == [b"open"]
    poller.resume(0)
    assert values_of(collect(poller, 1)) == [b"paused"]


def test_an_idle_poll_returns_at_once_with_nothing(poller: Poller) -> None:
    poller.assign(0, 0)
    assert poller.poll() == []
