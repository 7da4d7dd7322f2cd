"""Ends and lag are right whatever the batches in which records were written."""

from confluent_kafka import Consumer, TopicPartition

from fleetpulse.config import kafka
from fleetpulse.config.settings import Settings
from fleetpulse.flows import offsets, topics
from tests.support.topics import write


def test_the_end_is_after_the_last_record_of_the_last_batch(settings: Settings) -> None:
    topics.ensure(settings, limit_s=10)
    write(settings, topics.TELEMETRY, [b"x"] * 12_345, partition=1)
    write(settings, topics.TELEMETRY, [b"x"], partition=3)
    assert offsets.ends(settings, topics.TELEMETRY, 4) == {0: 0, 1: 12_345, 2: 0, 3: 1}


def test_lag_counts_what_comes_after_the_committed_offsets(settings: Settings) -> None:
    topics.ensure(settings, limit_s=10)
    write(settings, topics.TELEMETRY, [b"x"] * 100, partition=1)
    consumer = Consumer(kafka.consumer(settings, group="g"))
    consumer.commit(offsets=[TopicPartition(topics.TELEMETRY, 1, 40)], asynchronous=False)
    consumer.close()
    assert offsets.lag(settings, group="g", topic=topics.TELEMETRY, partitions=4) == 60
