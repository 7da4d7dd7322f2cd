"""Where partitions end and how far a flow is behind, asked of Kafka by reading.

Not by ListOffsets: the embedded broker answers it with the first offset of the last batch plus one. The end that a fetch
meets (librdkafka's partition EOF) is right on every broker.
"""

import time

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from fleetpulse.config import kafka
from fleetpulse.config.settings import Settings

LIMIT_S = 10.0


def _read_to_end(consumer: Consumer, positions: list[TopicPartition]) -> dict[int, int]:
    """Partition -> the offset after its last record. Raises TimeoutError, KafkaException."""
    ends: dict[int, int] = {}
    until = time.monotonic() + LIMIT_S
    consumer.assign(positions)
    while len(ends) < len(positions):
        for message in consumer.consume(1000, timeout=0.1):
            error, partition, offset = message.error(), message.partition(), message.offset()
            if error is None:
                continue
            if error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            if partition is not None and offset is not None:
                ends[partition] = offset
        if time.monotonic() > until:
            raise TimeoutError(f"Kafka must give the ends of {positions[0].topic} within {LIMIT_S:g} s")
    return ends


def ends(settings: Settings, topic: str, partitions: int) -> dict[int, int]:
    """Partition -> the offset after its last record, for all partitions. Raises TimeoutError, KafkaException."""
    consumer = Consumer({**kafka.consumer(settings, group="fleetpulse.ends", reset="earliest"), "enable.partition.eof": True})
    try:
        return _read_to_end(consumer, [TopicPartition(topic, p, OFFSET_END) for p in range(partitions)])
    finally:
        consumer.close()


def begins(settings: Settings, topic: str, partitions: int) -> dict[int, int]:
    """Partition -> the offset of the first record that Kafka still has. Raises KafkaException."""
    consumer = Consumer(kafka.consumer(settings, group="fleetpulse.begins"))
    try:
        return {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=LIMIT_S)[0] for p in range(partitions)}
    finally:
        consumer.close()


def committed(settings: Settings, *, group: str, topic: str, partitions: int) -> dict[int, int]:
    """Partition -> the offset that `group` has committed, for the partitions where it has. Raises KafkaException."""
    consumer = Consumer(kafka.consumer(settings, group=group))
    try:
        positions = consumer.committed([TopicPartition(topic, p) for p in range(partitions)], timeout=LIMIT_S)
    finally:
        consumer.close()
    return {position.partition: position.offset for position in positions if position.offset >= 0}


def lag(settings: Settings, *, group: str, topic: str, partitions: int) -> int:
    """Records of `topic` that come after what `group` has committed. Raises TimeoutError, KafkaException."""
    done = committed(settings, group=group, topic=topic, partitions=partitions)
    return sum(end - done.get(p, 0) for p, end in ends(settings, topic, partitions).items())
