"""Deployments with Kafka alone: one fresh for a test, and one full of a fleet that the read-only tests of a module share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fleetpulse.config.settings import Settings
from fleetpulse.flows import topics
from fleetpulse.flows.embedded import EmbeddedKafka


def make_settings(folder: Path, broker: EmbeddedKafka, **gateway: object) -> Settings:
    """Four shards, a free port."""
    return Settings.model_validate(
        {
            "deployment": {"name": "test", "data_dir": folder / "var"},
            "kafka": {"bootstrap_servers": broker.address, "partitions": 4},
            "gateway": {"port": 0, **gateway},
        }
    )


def with_gateway(settings: Settings, **changes: object) -> Settings:
    """The same deployment with other settings of the gateway."""
    return settings.model_copy(update={"gateway": settings.gateway.model_copy(update=changes)})


@contextmanager
def short_lived(folder: Path) -> Iterator[EmbeddedKafka]:
    """A broker that is killed at the end: an orderly stop would wait for the clients' connections."""
    broker = EmbeddedKafka(folder).start()
    try:
        yield broker
    finally:
        if broker.running:
            broker.kill()


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    with short_lived(tmp_path / "kafka") as broker:
        yield broker


@pytest.fixture
def deployment(tmp_path: Path, kafka: EmbeddedKafka) -> Settings:
    """Settings over a fresh broker with all topics."""
    settings = make_settings(tmp_path, kafka)
    topics.ensure(settings)
    return settings


@pytest.fixture(scope="module")
def shared_deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The same, for a module."""
    folder = tmp_path_factory.mktemp("egress")
    with short_lived(folder / "kafka") as broker:
        settings = make_settings(folder, broker)
        topics.ensure(settings)
        yield settings
