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

log = structlog.get_logger()

PASSING_ERRORS = (
    KafkaError._PARTITION_EOF,
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._RESOLVE,
)
"""Errors that librdkafka mends by itself: a broker that is away."""
LOOK_S = 1.0
"""How long Kafka may take to say where a partition begins and ends."""


def lost(offset: int, low: int, high: int) -> bool:
    """Whether a partition that holds low..high (exclusive) has not what comes next at `offset`. 0 means its beginning, wherever that is."""
    return offset > 0 and not low <= offset <= high


class Poller(Protocol):
    """Reads assigned partitions of one topic in bulk. Not thread-safe."""

    def assign(self, partition: int, offset: int) -> None:
        """Read `partition` from `offset` on."""

    def poll(self) -> list[RecordBatch]:
        """What has arrived, one batch a partition; returns at once. Raises KafkaException on an error that does not pass.

        librdkafka gives up a position not only when Kafka says that it is not there, but also when it could not ask (a connection that
        broke at that moment, a password that was refused). So Kafka is asked once more, and unless it says so too, reading goes on.
        """

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
        self._paused: set[int] = set()

    def assign(self, partition: int, offset: int) -> None:
        self._next[partition] = offset
        self._consumer.incremental_assign([TopicPartition(self._topic, partition, offset or OFFSET_BEGINNING)])

    def poll(self) -> list[RecordBatch]:
        by_partition: dict[int, list[Message]] = {}
        given_up: dict[int, KafkaError] = {}
        for message in self._consumer.consume(self._max_records, timeout=0):
            error, partition = message.error(), message.partition()
            if error is None and partition is not None:
                by_partition.setdefault(partition, []).append(message)
            elif error is not None and error.code() == KafkaError._AUTO_OFFSET_RESET and partition is not None:
                given_up[partition] = error
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
        for partition, error in given_up.items():
            self._take_up(partition, error)
        return batches

    def _take_up(self, partition: int, error: KafkaError) -> None:
        """Read on at a position that librdkafka gave up. Raises KafkaException when Kafka has not what stands there."""
        there = TopicPartition(self._topic, partition)
        try:
            low, high = self._consumer.get_watermark_offsets(there, timeout=LOOK_S)
        except KafkaException:  # it cannot be asked now: librdkafka asks again
            low, high = 0, self._next[partition]
        if lost(self._next[partition], low, high):
            raise KafkaException(error)
        log.warning("reading on where Kafka's client gave up", partition=partition, offset=self._next[partition], error=error.str())
        self._consumer.incremental_unassign([there])
        self.assign(partition, self._next[partition])
        if partition in self._paused:
            self.pause(partition)

    def pause(self, partition: int) -> None:
        self._paused.add(partition)
        self._consumer.pause([TopicPartition(self._topic, partition)])

    def resume(self, partition: int) -> None:
        self._paused.discard(partition)
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
        log.warning("librdkafka cannot be read directly; using consume(), which is slower", error=str(error))
        return ConfluentPoller(config, topic)
