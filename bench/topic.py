"""Benchmark topics: create one, fill it in bulk, read its ends and its records. Plain confluent-kafka; no fleetpulse source or sink."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from fleetpulse.config.kafka import MAX_RECORD_BYTES
from fleetpulse.flows.poller import PASSING_ERRORS

TIMEOUT_S = 30.0
_SLICE = 10_000
_QUIET: dict[str, int | str] = {"log_level": 2}


@dataclass(frozen=True)
class Record:
    """What is produced. partition None: by Java's hash of the key."""

    value: bytes
    timestamp_ms: int
    key: bytes | None = None
    partition: int | None = None


def create(address: str, name: str, partitions: int, config: Mapping[str, str] | None = None) -> None:
    """A new topic; returns when clients see it. Raises KafkaException when it exists or Kafka refuses, TimeoutError."""
    admin = AdminClient({**_QUIET, "bootstrap.servers": address})
    settings = {"max.message.bytes": str(MAX_RECORD_BYTES), **(config or {})}
    admin.create_topics([NewTopic(name, partitions, 1, config=settings)])[name].result(TIMEOUT_S)
    until = time.monotonic() + TIMEOUT_S
    while name not in admin.list_topics(timeout=TIMEOUT_S).topics:
        if time.monotonic() > until:
            raise TimeoutError(f"Kafka must show the new topic {name} within {TIMEOUT_S:g} s")
        time.sleep(0.02)


def delete(address: str, names: Sequence[str]) -> None:
    """Delete topics, so that a long benchmark needs no disk for what it has measured."""
    admin = AdminClient({**_QUIET, "bootstrap.servers": address})
    for future in admin.delete_topics(list(names)).values():
        future.result(TIMEOUT_S)


class Filler:
    """A producer for bulk: LZ4, batches of up to 1 MiB, Java's partitioner. Raises KafkaException when a delivery failed."""

    def __init__(self, address: str, name: str) -> None:
        self._name = name
        self._failed = 0
        self._producer = Producer(
            {
                **_QUIET,
                "bootstrap.servers": address,
                "compression.type": "lz4",
                "linger.ms": 20,
                "batch.size": 1 << 20,
                "enable.idempotence": True,  # else a batch that is tried again comes after its successors
                "partitioner": "murmur2_random",
                "queue.buffering.max.messages": 500_000,
                "queue.buffering.max.kbytes": 256 << 10,
                "message.max.bytes": MAX_RECORD_BYTES,
                "delivery.report.only.error": True,
            }
        )

    def _done(self, error: object, message: Message) -> None:
        self._failed += error is not None

    def write(self, records: Iterable[Record]) -> None:
        """Hand over the records; returns when the last is queued."""
        produce, poll, name = self._producer.produce, self._producer.poll, self._name
        for i, record in enumerate(records):
            partition = -1 if record.partition is None else record.partition
            while True:
                try:
                    produce(name, record.value, record.key, partition, timestamp=record.timestamp_ms, on_delivery=self._done)
                except BufferError:  # the bounded queue is full
                    poll(0.05)
                else:
                    break
            if i % 1000 == 0:
                poll(0)

    def settle(self) -> None:
        """Returns when Kafka has everything."""
        left = self._producer.flush(4 * TIMEOUT_S)
        if left or self._failed:
            raise KafkaException(f"Kafka must take every record of {self._name}; {self._failed} failed, {left} are open")


def fill(address: str, name: str, records: Iterable[Record]) -> None:
    """Write all records and wait for Kafka."""
    filler = Filler(address, name)
    filler.write(records)
    filler.settle()


class Gather:
    """Reads what others write to topics while they write it: values by topic, as far as `look` has come."""

    def __init__(self, address: str, names: Sequence[str]) -> None:
        self.values: dict[str, list[bytes]] = {name: [] for name in names}
        self._consumer = Consumer(
            {**_QUIET, "bootstrap.servers": address, "group.id": "bench.gather", "enable.auto.commit": False, "fetch.wait.max.ms": 20}
        )
        topics = self._consumer.list_topics(timeout=TIMEOUT_S).topics
        self._partitions = [TopicPartition(name, p, OFFSET_BEGINNING) for name in names for p in sorted(topics[name].partitions)]
        self._consumer.assign(self._partitions)

    def look(self) -> int:
        """Take what has come; returns how many records. Raises KafkaException."""
        taken = 0
        while messages := self._consumer.consume(_SLICE, timeout=0):
            taken += len(messages)
            for message in messages:
                if message.error() is not None:
                    raise KafkaException(message.error())
                self.values[message.topic() or ""].append(message.value() or b"")
        return taken

    def behind(self) -> int:
        """Records that the topics hold now and `look` has not taken. Raises KafkaException."""
        ends = [self._consumer.get_watermark_offsets(partition, TIMEOUT_S)[1] for partition in self._partitions]
        return sum(ends) - sum(map(len, self.values.values()))

    def close(self) -> None:
        self._consumer.close()


def read(address: str, name: str) -> Iterator[Message]:
    """All records that the topic holds now. Raises KafkaException; TimeoutError when Kafka is silent before their end."""
    settings = {**_QUIET, "bootstrap.servers": address, "group.id": "bench.read", "enable.auto.commit": False}
    consumer = Consumer({**settings, "enable.partition.eof": True, "fetch.message.max.bytes": MAX_RECORD_BYTES})
    open_ = set(consumer.list_topics(name, timeout=TIMEOUT_S).topics[name].partitions)
    consumer.assign([TopicPartition(name, partition, OFFSET_BEGINNING) for partition in sorted(open_)])
    heard = time.monotonic()
    try:
        while open_:
            messages = consumer.consume(_SLICE, timeout=0.1)  # it waits this long for a full slice
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > TIMEOUT_S:
                raise TimeoutError(f"Kafka must give the rest of {name} within {TIMEOUT_S:g} s; partitions {sorted(open_)} are open")
            for message in messages:
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    open_.discard(message.partition())
                elif error.code() not in PASSING_ERRORS:
                    raise KafkaException(error)
    finally:
        consumer.close()
