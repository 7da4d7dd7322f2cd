"""Where a topic ends and how far a group has come, asked of Apache Kafka several times a second by one consumer.

flows/offsets.py asks every broker, by reading; here the broker answers ListOffsets rightly. Not by AdminClient: its requests crash
librdkafka 2.16 now and then while a group has no coordinator yet.
"""

from confluent_kafka import OFFSET_END, Consumer, TopicPartition

Positions = dict[int, int]
"""Partition -> offset."""


def ends(consumer: Consumer, topic: str, partitions: int, *, limit_s: float) -> Positions:
    """The offset after the last record of each partition. Raises KafkaException."""
    found = consumer.offsets_for_times([TopicPartition(topic, p, OFFSET_END) for p in range(partitions)], timeout=limit_s)
    return {at.partition: at.offset for at in found}


def committed(consumer: Consumer, topic: str, partitions: int, *, limit_s: float) -> Positions:
    """What the consumer's group has committed, for the partitions where it has. Raises KafkaException."""
    found = consumer.committed([TopicPartition(topic, p) for p in range(partitions)], timeout=limit_s)
    return {at.partition: at.offset for at in found if at.offset >= 0}
