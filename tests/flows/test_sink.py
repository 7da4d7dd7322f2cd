"""Every record is acknowledged before the epoch's snapshot, and a failed delivery fails the epoch."""

import pytest
from confluent_kafka import KafkaException, Producer

from fleetpulse.alerts.event import Outgoing
from fleetpulse.config import kafka
from fleetpulse.config.clock import Clock
from fleetpulse.config.settings import Settings
from fleetpulse.flows import topics
from fleetpulse.flows.embedded import EmbeddedKafka
from fleetpulse.flows.keys import shard_key
from fleetpulse.flows.sink import KafkaSink
from fleetpulse.flows.stop import Stop
from tests.support.topics import headers, read


def make(settings: Settings, stop: Stop, **options: str | int) -> KafkaSink:
    return KafkaSink(lambda: Producer({**kafka.producer(settings), **options}), 4, Clock(settings.clock), stop)


def test_after_snapshot_kafka_has_every_record_with_headers_key_and_partition(settings: Settings) -> None:
    topics.ensure(settings, limit_s=10)
    sink = make(settings, Stop())
    assert sink.part_fn(shard_key(3, 4)) == 3
    partition = sink.build_part("sink", "0003", None)
    records = [Outgoing("fleet.features", b"3", b"%d" % i, (("h", b"x"),), timestamp_ms=5_000 + i, partition=3) for i in range(20_000)]
    partition.write_batch([records[:5], records[5:]])
    partition.snapshot()
    messages = read(settings, "fleet.features", partitions=4)
    assert [m.value() for m in messages] == [b"%d" % i for i in range(20_000)]
    assert {(m.partition(), m.key(), *headers(m)) for m in messages} == {(3, b"3", ("h", b"x"))}
    assert messages[7].timestamp()[1] == 5_007


def test_a_record_that_kafka_refuses_fails_the_epoch(settings: Settings) -> None:
    topics.ensure(settings, limit_s=10)
    partition = make(settings, Stop(), **{"message.timeout.ms": 1000}).build_part("sink", "0000", None)
    partition.write_batch([[Outgoing("fleet.alerts", b"k", b"v", partition=99)]])  # there is no such partition
    with pytest.raises(KafkaException):
        partition.snapshot()


def test_with_kafka_away_a_stop_ends_the_wait_without_a_snapshot(
    settings: Settings, kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics.ensure(settings, limit_s=10)
    stop = Stop()
    partition = make(settings, stop).build_part("sink", "0000", None)
    kafka.kill()
    partition.write_batch([[Outgoing("fleet.alerts", b"k", b"v")]])
    monkeypatch.setattr("fleetpulse.flows.sink.GIVE_UP_S", 0.2)
    stop.set()
    with pytest.raises(TimeoutError, match="1 records are open"):
        partition.snapshot()
