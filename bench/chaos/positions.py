"""Where a topic ends and how far a flow has come, asked several times a second: Apache Kafka by one consumer, the flow by its metrics.

flows/offsets.py asks every broker, by reading; here the broker answers ListOffsets rightly. Not by AdminClient: its requests about groups
crash librdkafka 2.16 now and then while a group has no coordinator.
"""

import re
from http.client import HTTPConnection, HTTPException

from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from fleetpulse.flows.embedded import HOST

LIMIT_S = 1.0
_LINE = re.compile(r'^fleet_flow_input_next_offset\{partition="(\d+)"\} (\S+)$', re.MULTILINE)

Positions = dict[int, int]
"""Partition -> offset."""


def ends(consumer: Consumer, topic: str, partitions: int, *, limit_s: float) -> Positions:
    """The offset after the last record of each partition. Raises KafkaException."""
    found = consumer.offsets_for_times([TopicPartition(topic, p, OFFSET_END) for p in range(partitions)], timeout=limit_s)
    return {at.partition: at.offset for at in found}


def taken(port: int) -> Positions:
    """What a flow's process that exports metrics on `port` has taken, for each partition that it reads; nothing when none answers."""
    connection = HTTPConnection(HOST, port, timeout=LIMIT_S)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    except (OSError, HTTPException):
        return {}
    finally:
        connection.close()
    return {int(partition): int(float(value)) for partition, value in _LINE.findall(text)}
