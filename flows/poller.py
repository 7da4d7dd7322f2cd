"""Kafka records to RecordBatches: one consumer a process, whatever the number of partitions that it reads.

The interface is Poller; this one stands on confluent-kafka's `consume`.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from fleetpulse.codecs.batch import RecordBatch
from fleetpulse.config.denials import Denials

PASSING_ERRORS = (
    KafkaError._PARTITION_EOF,
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._RESOLVE,
)
"""Errors that librdkafka mends by itself: a broker that is away."""


class Poller(Protocol):
    """Reads assigned partitions of one topic in bulk. Not thread-safe."""

    def assign(self, partition: int, offset: int) -> None:
        """Read `partition` from `offset` on."""

    def poll(self) -> list[RecordBatch]:
        """What has arrived, one batch a partition; returns at once. Raises KafkaException on an error that does not pass."""

    def pause(self, partition: int) -> None: ...

    def resume(self, partition: int) -> None: ...

    def commit(self, partition: int, offset: int) -> None:
        """Tell Kafka, for lag tools alone, that everything before `offset` is done. Never blocks, never fails."""

    def close(self) -> None: ...


class ConfluentPoller:
    """Poller on the confluent-kafka client: a Message object a record, 0.5-0.9 M records/s."""

    def __init__(self, config: Mapping[str, str | int | float | bool], topic: str, *, max_records: int = 10_000) -> None:
        self._consumer = Consumer({**config, "error_cb": Denials()})
        self._topic = topic
        self._max_records = max_records
        self._next: dict[int, int] = {}

    def assign(self, partition: int, offset: int) -> None:
        self._next[partition] = offset
        self._consumer.incremental_assign([TopicPartition(self._topic, partition, offset or OFFSET_BEGINNING)])

    def poll(self) -> list[RecordBatch]:
        by_partition: dict[int, list[Message]] = {}
        for message in self._consumer.consume(self._max_records, timeout=0):
            error, partition = message.error(), message.partition()
            if error is None and partition is not None:
                by_partition.setdefault(partition, []).append(message)
            elif error is not None and error.code() not in PASSING_ERRORS:
                raise KafkaException(error)
        batches = []
        for partition, messages in by_partition.items():
            values = [message.value() or b"" for message in messages]
            batches.append(
                RecordBatch(
                    partition=partition,
                    payload=b"".join(values),
                    ends=np.cumsum([len(value) for value in values], dtype=np.int64),
                    offsets=np.array([message.offset() for message in messages], dtype=np.int64),
                    append_ms=np.array([message.timestamp()[1] for message in messages], dtype=np.int64),
                    start=self._next[partition],
                )
            )
            self._next[partition] = int(batches[-1].offsets[-1]) + 1
        return batches

    def pause(self, partition: int) -> None:
        self._consumer.pause([TopicPartition(self._topic, partition)])

    def resume(self, partition: int) -> None:
        self._consumer.resume([TopicPartition(self._topic, partition)])

    def commit(self, partition: int, offset: int) -> None:
        self._consumer.commit(offsets=[TopicPartition(self._topic, partition, offset)], asynchronous=True)

    def close(self) -> None:
        self._consumer.close()


def open_poller(config: Mapping[str, str | int | float | bool], topic: str) -> Poller:
    """The fast poller, or with one warning the plain one where librdkafka cannot be loaded by ctypes."""
    from fleetpulse.flows.librdkafka import LibrdkafkaPoller  # noqa: PLC0415 - it stands on this file

    try:
        return LibrdkafkaPoller(config, topic)
    except (OSError, AttributeError) as error:
        structlog.get_logger().warning("librdkafka cannot be read directly; using consume(), which is slower", error=str(error))
        return ConfluentPoller(config, topic)
