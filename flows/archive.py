"""Archived snapshots of shards in Kafka, written by the step `fleet` about once an hour of stream time: where a replay begins."""

import time
from collections.abc import Iterator

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from fleetpulse.config import kafka
from fleetpulse.config.settings import Settings
from fleetpulse.flows.headers import headers_of
from fleetpulse.operators.fleet import ARCHIVE

SILENCE_S = 10.0


def before(settings: Settings, partition: int, offset: int) -> list[tuple[int, bytes]]:
    """(next offset, snapshot) of those that end at or before `offset` of the partition, the newest first.

    Raises KafkaException; TimeoutError when the broker is silent.
    """
    parts: dict[int, list[bytes | None]] = {}
    for message in _records(settings, partition):
        headers = dict(headers_of(message))
        n, of = map(int, headers["part"].decode().split("/"))
        at = int(headers["next_offset"])
        if at <= offset:
            found = parts.setdefault(at, [None] * of)
            if len(found) == of:  # written twice after a crash: the same state, perhaps as other bytes; the last one counts
                found[n] = message.value()
    whole = {at: [part for part in found if part is not None] for at, found in parts.items() if None not in found}
    return [(at, b"".join(whole[at])) for at in sorted(whole, reverse=True)]


def _records(settings: Settings, partition: int) -> Iterator[Message]:
    options = {**kafka.consumer(settings, group="fleetpulse.archive", reset="earliest"), "enable.partition.eof": True}
    consumer = Consumer(options)
    consumer.assign([TopicPartition(ARCHIVE, partition, OFFSET_BEGINNING)])
    until = time.monotonic() + SILENCE_S
    try:
        while True:
            for message in consumer.consume(100, timeout=0.1):
                error = message.error()
                if error is None:
                    until = time.monotonic() + SILENCE_S
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    return
                else:
                    raise KafkaException(error)
            if time.monotonic() > until:
                raise TimeoutError(f"Kafka must give the archived snapshots of shard {partition} within {SILENCE_S:g} s")
    finally:
        consumer.close()
