"""The two ends that every dataflow has: the Kafka source and the Kafka sink, made from the settings."""

from collections.abc import Mapping

from confluent_kafka import Producer

from fleetpulse.config import kafka
from fleetpulse.config.clock import Clock
from fleetpulse.config.settings import Settings
from fleetpulse.flows.poller import open_poller
from fleetpulse.flows.sink import KafkaSink
from fleetpulse.flows.source import KafkaSource, SourceLimits
from fleetpulse.flows.stop import Stop


def source(
    settings: Settings, topic: str, *, group: str, partitions: int, stop: Stop, ends: Mapping[int, int] | None = None
) -> KafkaSource:
    """Source over `topic`; `group` is where its offsets are shown to lag tools. `ends`: as in SourceLimits."""
    limits = SourceLimits(poll_ms=settings.flow.poll_ms, quota_bytes=settings.flow.quota_bytes, ends=ends)
    return KafkaSource(lambda: open_poller(kafka.consumer(settings, group=group), topic), partitions, limits, stop)


def sink(settings: Settings, *, partitions: int, stop: Stop) -> KafkaSink:
    """Sink for a stream that is keyed by `partitions` shard keys."""
    return KafkaSink(lambda: Producer(kafka.producer(settings)), partitions, Clock(settings.clock), stop)
