"""A topic that takes only small messages: what the bridge packed is taken apart, and only what is too large by itself is a dead letter."""

from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from structlog.testing import capture_logs

from fleetpulse.config import kafka
from fleetpulse.config.settings import Settings
from fleetpulse.flows import topics
from tests.support.frames import logged
from tests.support.ingress import Sender, batch, dead_letters, running, until, vehicle
from tests.support.servers import ApacheKafka, Mosquitto

LIMIT = 4096
DEVICE = vehicle(1)


@pytest.fixture
def small(tmp_path: Path, apache: ApacheKafka, mosquitto: Mosquitto) -> Settings:
    """Settings of a deployment whose topic of telemetry was made too small."""
    settings = Settings.model_validate(
        {
            "deployment": {"name": "test", "data_dir": tmp_path / "var"},
            "kafka": {"bootstrap_servers": apache.address, "partitions": 1, "options": {"compression.type": "none"}},
            "mqtt": {"port": mosquitto.port},
            "bridge": {"metrics_port": 0},
        }
    )
    admin = AdminClient(kafka.client(settings))  # kept: the calls under way die with it
    made = admin.create_topics([NewTopic(topics.TELEMETRY, 1, 1, config={"max.message.bytes": str(LIMIT)})])
    made[topics.TELEMETRY].result(20)
    topics.ensure(settings, limit_s=20)
    return settings


def test_packed_records_are_taken_apart_and_nothing_behind_a_refused_one_waits(small: Settings) -> None:
    large = batch(DEVICE, *range(1000, 1200))
    assert len(large) > LIMIT
    with running(small):
        pass  # the broker knows its session now
    payloads = [batch(DEVICE, seq) for seq in range(300)]
    payloads.insert(150, large)
    assert sum(map(len, payloads[:150])) > LIMIT, "joined they are too large as well"
    with Sender(small.mqtt.port) as sender:
        for payload in payloads:
            sender.send(f"telemetry/{DEVICE}", payload, response=f"ack/{DEVICE}", correlation=b"x")
        with capture_logs() as logs, running(small) as bridge:
            assert until(lambda: len(sender.answers) == len(payloads))
            assert bridge.levels().refused == 1
            assert bridge.levels().kafka_up
    assert set(logged(small)) == {(DEVICE.bytes, 1, seq) for seq in range(300)}
    ((headers, value),) = dead_letters(small)
    assert (headers["reason"], headers["source-partition"], value) == (b"refused", b"0", large)
    assert not any("starts anew" in line["event"] for line in logs)
