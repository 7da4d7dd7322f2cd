"""Real brokers for tests: the embedded ones, fresh for each test that asks, on free ports."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

from fleetpulse.config.settings import Settings
from fleetpulse.flows.embedded import EmbeddedKafka, EmbeddedMqtt

# no test may fail because the machine is slow or busy
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def logging_is_as_before() -> Iterator[None]:
    """A command that a test runs in this process sets up logging to a stream that is closed after it."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    with EmbeddedKafka(tmp_path / "kafka") as broker:
        yield broker


@pytest.fixture
def mqtt(tmp_path: Path) -> Iterator[EmbeddedMqtt]:
    with EmbeddedMqtt(tmp_path / "mqtt") as broker:
        yield broker


@pytest.fixture
def settings(tmp_path: Path, kafka: EmbeddedKafka, mqtt: EmbeddedMqtt) -> Settings:
    """Settings of a small deployment of its own on the two brokers: 4 partitions, short epochs, free ports."""
    return Settings.model_validate(
        {
            "deployment": {"name": "test", "data_dir": tmp_path / "var"},
            "kafka": {"bootstrap_servers": kafka.address, "partitions": 4},
            "mqtt": {"host": "127.0.0.1", "port": mqtt.port},
            "flow": {"epoch_s": 0.5, "metrics_port": 0},
            "bridge": {"metrics_port": 0, "share_group": ""},
            "gateway": {"port": 0},
        }
    )
