"""Real servers, fresh for each test that asks; Kafka, which takes seconds to start, once a module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import Alertmanager, ApacheKafka, Mosquitto, running


@pytest.fixture(scope="module")
def apache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    with running(ApacheKafka(tmp_path_factory.mktemp("apache"), heap="512m")) as broker:
        yield broker


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    with running(Mosquitto(tmp_path / "mosquitto")) as broker:
        yield broker


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Alertmanager]:
    with running(Alertmanager(tmp_path / "alertmanager")) as server:
        yield server
