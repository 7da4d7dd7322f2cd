"""Topics are created once, with the deployment's partitions, and a mismatch is one clear line."""

import pytest
from confluent_kafka.admin import AdminClient

from fleetpulse.config import kafka as kafka_options
from fleetpulse.config.settings import ConfigError, Settings
from fleetpulse.flows import topics
from fleetpulse.flows.embedded import EmbeddedKafka


def test_every_topic_exists_after_ensure_and_a_second_call_changes_nothing(settings: Settings) -> None:
    topics.ensure(settings, limit_s=10)
    topics.ensure(settings, limit_s=10)
    known = AdminClient(kafka_options.client(settings)).list_topics(timeout=10).topics
    assert {topic.name: topic.partitions for topic in topics.topics(settings)}.items() <= {
        name: len(topic.partitions) for name, topic in known.items()
    }.items()


def test_another_number_of_partitions_is_refused(settings: Settings) -> None:
    topics.ensure(settings, limit_s=10)
    other = settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"partitions": 8})})
    with pytest.raises(ConfigError, match=r"vehicle-telemetry must have 8 partitions .*; it has 4"):
        topics.ensure(other, limit_s=10)


def test_a_cluster_that_stays_away_ends_in_one_clear_line(settings: Settings, kafka: EmbeddedKafka) -> None:
    kafka.kill()
    with pytest.raises(TimeoutError, match=r"Kafka must answer within 1 s at 127\.0\.0\.1"):
        topics.ensure(settings, limit_s=1)
