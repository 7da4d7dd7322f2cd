"""Writing to and reading from a topic of a test's broker with the plain client."""

import time
from collections.abc import Sequence

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, Producer, TopicPartition

from fleetpulse.alerts.event import Outgoing
from fleetpulse.config import kafka
from fleetpulse.config.settings import Settings

LIMIT_S = 20.0


def write(settings: Settings, topic: str, values: Sequence[bytes], *, partition: int, timestamps_ms: Sequence[int] | None = None) -> None:
    """Produce values in order and wait until the broker has them."""
    failed: list[object] = []
    producer = Producer(kafka.producer(settings))
    for i, value in enumerate(values):
        timestamp = timestamps_ms[i] if timestamps_ms else 1_000 + i
        while True:
            try:
                producer.produce(
                    topic, value=value, partition=partition, timestamp=timestamp, on_delivery=lambda e, _: failed.append(e) if e else None
                )
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(LIMIT_S) == 0
    assert not failed, failed


def produce(settings: Settings, records: Sequence[Outgoing]) -> None:
    """Write what a flow would write, and wait until the broker has it."""
    failed: list[object] = []
    producer = Producer(kafka.producer(settings))
    for record in records:
        producer.produce(
            record.topic,
            value=record.value,
            key=record.key,
            partition=-1 if record.partition is None else record.partition,
            headers=list(record.headers),
            on_delivery=lambda e, _: failed.append(e) if e else None,
        )
    assert producer.flush(LIMIT_S) == 0
    assert not failed, failed


def read(settings: Settings, topic: str, *, partitions: int) -> list[Message]:
    """Everything that the topic holds now, in offset order a partition."""
    consumer = Consumer({**kafka.consumer(settings, group="test.read"), "enable.partition.eof": True})
    messages: list[Message] = []
    at_end: set[int | None] = set()
    until = time.monotonic() + LIMIT_S
    try:
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(partitions)])
        while len(at_end) < partitions:
            assert time.monotonic() < until, f"{topic}: only partitions {at_end} were read to their end"
            for message in consumer.consume(1000, timeout=0.2):
                error = message.error()
                if error is None:
                    messages.append(message)
                else:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    at_end.add(message.partition())
    finally:
        consumer.close()
    return sorted(messages, key=lambda m: (m.partition() or 0, m.offset() or 0))


def headers(message: Message) -> list[tuple[str, bytes]]:
    """The record's headers in their order."""
    pairs = message.headers() or []
    return [(name, text) for name, text in (pairs.items() if isinstance(pairs, dict) else pairs) if isinstance(text, bytes)]
