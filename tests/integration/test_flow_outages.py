"""A flow on Apache Kafka, whose broker is killed, refuses, or has deleted what comes next."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from fleetpulse.bench import deployment
from fleetpulse.config import kafka as clients
from fleetpulse.config.fleet import load_fleet
from fleetpulse.config.settings import Settings
from fleetpulse.flows import topics
from fleetpulse.flows.supervisor import REFUSED
from tests.support.log import Log, of_partition, simulated
from tests.support.processes import environment, part, said, wait_for, workers
from tests.support.servers import ApacheKafka, running
from tests.support.telemetry import PARTITIONS, emitted, expected, feed, until_read

STOP_S = 10.0
LIMIT_S = 60.0


@pytest.fixture(scope="module")
def logs() -> list[Log]:
    log = simulated(load_fleet(), vehicles=80, duration_s=120)
    return [of_partition(log, p, PARTITIONS) for p in range(PARTITIONS)]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[ApacheKafka]:
    with running(ApacheKafka(tmp_path / "kafka", heap="512m")) as server:
        yield server


@pytest.fixture
def on_apache(tmp_path: Path, broker: ApacheKafka) -> Settings:
    settings = Settings.model_validate(
        {
            "deployment": {"name": "test", "data_dir": tmp_path / "var"},
            "kafka": {"bootstrap_servers": broker.address, "partitions": PARTITIONS},
            "flow": {"epoch_s": 0.3, "metrics_port": 0},
        }
    )
    deployment.create_topics(settings, append_time=False)
    return settings


def test_a_kill_of_kafka_holds_the_flow_and_neither_ends_it_nor_loses_anything(
    on_apache: Settings, broker: ApacheKafka, tmp_path: Path, logs: list[Log]
) -> None:
    kills = 2
    with part(on_apache, tmp_path, "flow", "telemetry") as flow:
        feed(on_apache, logs, 0, kills + 1)
        until_read(on_apache, limit_s=LIMIT_S)
        (worker,) = workers(flow)
        for n in range(kills):
            feed(on_apache, logs, n + 1, kills + 1)
            broker.kill()
            broker.start()
        until_read(on_apache, limit_s=LIMIT_S)
        assert [p.pid for p in workers(flow)] == [worker.pid], "no restart"
    assert emitted(on_apache) == expected(on_apache, logs)


def test_with_kafka_dead_a_stop_ends_in_time(on_apache: Settings, broker: ApacheKafka, tmp_path: Path, logs: list[Log]) -> None:
    with part(on_apache, tmp_path, "flow", "telemetry") as flow:
        feed(on_apache, logs, 0, 2)
        until_read(on_apache, limit_s=LIMIT_S)
        feed(on_apache, logs, 1, 2)
        broker.kill()
        assert flow.end(limit_s=STOP_S) == 0
    assert not said(flow, "is killed")
    broker.start()
    with part(on_apache, tmp_path, "flow", "telemetry"):
        until_read(on_apache, limit_s=LIMIT_S)
    assert emitted(on_apache) == expected(on_apache, logs)


def test_what_kafka_refuses_for_good_fails_the_epoch_until_the_cause_is_gone(on_apache: Settings, tmp_path: Path, logs: list[Log]) -> None:
    with part(on_apache, tmp_path, "flow", "telemetry") as flow:
        feed(on_apache, logs, 0, 2)
        until_read(on_apache, limit_s=LIMIT_S)
        limit_records(on_apache, "fleet.trips", 60)
        limit_records(on_apache, "fleet.alerts", 60)
        feed(on_apache, logs, 1, 2)
        wait_for(lambda: said(flow, "the flow failed"), what="the worker must say why it ends")
        wait_for(lambda: said(flow, '"fruitless": 2'), what="it must be tried again")
        assert said(flow, "Message size too large")
        limit_records(on_apache, "fleet.trips", 1 << 20)
        limit_records(on_apache, "fleet.alerts", 1 << 20)
        until_read(on_apache, limit_s=LIMIT_S)
    assert emitted(on_apache) == expected(on_apache, logs)


def limit_records(settings: Settings, topic: str, size: int) -> None:
    """Set the topic's bound of a record batch."""
    entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient(clients.client(settings))
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(LIMIT_S)


def test_records_that_are_gone_end_the_flow_until_a_human_skips_them(on_apache: Settings, tmp_path: Path, logs: list[Log]) -> None:
    with part(on_apache, tmp_path, "flow", "telemetry"):
        feed(on_apache, logs, 0, 2)
        until_read(on_apache, limit_s=LIMIT_S)
    feed(on_apache, logs, 1, 2)
    first = len(logs[2].values) // 2 + 10
    admin = AdminClient(clients.client(on_apache))
    for future in admin.delete_records([TopicPartition(topics.TELEMETRY, 2, first)]).values():
        future.result(LIMIT_S)
    with part(on_apache, tmp_path, "flow", "telemetry") as flow:
        assert flow.process.wait(LIMIT_S) == REFUSED
    assert said(flow, "Kafka must have the records that come next")
    skip = [sys.executable, "-m", "fleetpulse.flows.cli", "store", "skip", "telemetry", "--partition", "2", "--to", "first"]
    done = subprocess.run(skip, env={**os.environ, **environment(on_apache)}, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"telemetry: partition 2 goes on at {first}; 10 records are left out\n"
    with part(on_apache, tmp_path, "flow", "telemetry"):
        until_read(on_apache, limit_s=LIMIT_S)
