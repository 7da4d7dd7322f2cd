"""Deployments with a bridge's brokers and topics."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetpulse.config.settings import Settings
from fleetpulse.flows import topics
from fleetpulse.flows.embedded import EmbeddedKafka, EmbeddedMqtt, free_port


@pytest.fixture
def deployment(settings: Settings) -> Settings:
    """Both brokers, and the topics."""
    topics.ensure(settings, limit_s=10)
    return settings


@pytest.fixture
def fixed_kafka(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    """A Kafka that comes back on the same port, empty."""
    with EmbeddedKafka(tmp_path / "fixed-kafka", free_port()) as broker:
        yield broker


@pytest.fixture
def fixed_mqtt(tmp_path: Path) -> Iterator[EmbeddedMqtt]:
    """An MQTT broker that comes back on the same port, empty."""
    with EmbeddedMqtt(tmp_path / "fixed-mqtt", free_port()) as broker:
        yield broker


@pytest.fixture
def fixed_deployment(tmp_path: Path, fixed_kafka: EmbeddedKafka, fixed_mqtt: EmbeddedMqtt) -> Settings:
    """Brokers that can be stopped and started, and the topics."""
    settings = Settings.model_validate(
        {
            "deployment": {"name": "test", "data_dir": tmp_path / "var"},
            "kafka": {"bootstrap_servers": fixed_kafka.address, "partitions": 4},
            "mqtt": {"port": fixed_mqtt.port},
            "bridge": {"metrics_port": 0, "share_group": ""},
        }
    )
    topics.ensure(settings, limit_s=10)
    return settings
