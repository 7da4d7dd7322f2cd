"""A real Apache Kafka: what it holds outlives stop, kill and start; without Java a clear reason."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaException

from fleetpulse.bench import maven, topic
from fleetpulse.bench.apache_kafka import ApacheKafka, jars
from fleetpulse.bench.topic import Record


@pytest.fixture(scope="module")
def apache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    try:
        maven.java()
        jars()
    except maven.MissingToolError as error:
        pytest.skip(f"Apache Kafka cannot run here: {error}")
    with ApacheKafka(tmp_path_factory.mktemp("apache")) as kafka:
        yield kafka


def _records(n: int) -> list[Record]:
    return [Record(f"value {i}".encode(), 1_000 + i, b"k%d" % i, i % 2) for i in range(n)]


def test_records_outlive_a_stop_and_a_kill_on_the_same_port(apache: ApacheKafka) -> None:
    address = apache.address
    topic.create(address, "kept", 2)
    topic.fill(address, "kept", _records(100))
    apache.restart()
    apache.kill()
    apache.start()
    assert apache.address == address
    until = time.monotonic() + 30
    while True:
        try:
            values = sorted(message.value() or b"" for message in topic.read(address, "kept"))
            break
        except KafkaException:  # the leader of a partition is elected anew
            assert time.monotonic() < until
    assert values == sorted(record.value for record in _records(100))


def test_a_gatherer_reads_what_is_written_meanwhile(apache: ApacheKafka) -> None:
    topic.create(apache.address, "grown", 2)
    gather = topic.Gather(apache.address, ["grown"])
    assert gather.look() == 0
    topic.fill(apache.address, "grown", _records(31))
    until = time.monotonic() + 20
    while len(gather.values["grown"]) < 31:
        gather.look()
        assert time.monotonic() < until
    assert sorted(gather.values["grown"]) == sorted(record.value for record in _records(31))
    gather.close()
    topic.delete(apache.address, ["grown"])


def test_records_keep_timestamp_key_and_partition(apache: ApacheKafka) -> None:
    topic.create(apache.address, "stamped", 2)
    topic.fill(apache.address, "stamped", _records(5))
    found = sorted((m.timestamp()[1], m.key(), m.partition(), m.value()) for m in topic.read(apache.address, "stamped"))
    assert found == [(r.timestamp_ms, r.key, r.partition, r.value) for r in _records(5)]


def test_without_java_the_reason_is_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(maven.MissingToolError, match=r"java .* must be on the PATH"):
        ApacheKafka(tmp_path / "kafka").start()
