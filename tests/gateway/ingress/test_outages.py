"""Kafka away, MQTT away, the bridge killed: nothing is acknowledged too early and nothing is lost; it is said once and when it is over."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from fleetpulse.config.settings import Settings
from fleetpulse.flows import topics
from fleetpulse.flows.embedded import EmbeddedKafka, EmbeddedMqtt, free_port
from fleetpulse.gateway.ingress import bridge as bridge_module
from fleetpulse.gateway.ingress import mqtt as mqtt_module
from tests.support.ingress import Sender, batch, records, running, until, values, vehicle

AWAY, BACK = "Kafka is away; vehicles' messages wait unacknowledged", "Kafka is back"
_DEVICE = vehicle(1)
_ACK = f"ack/{_DEVICE}"


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bridge that waits only shortly for Kafka when it is stopped."""
    monkeypatch.setattr(bridge_module, "STOP_S", 0.2)


def _send(sender: Sender, *sequence: int) -> None:
    for seq in sequence:
        sender.send(f"telemetry/{_DEVICE}", batch(_DEVICE, seq), response=_ACK, correlation=str(seq).encode())


def _count(logs: Sequence[Mapping[str, Any]], event: str) -> int:
    return sum(line["event"] == event for line in logs)


def test_without_kafka_nothing_is_acknowledged_and_everything_arrives_when_it_is_back(
    fixed_deployment: Settings, fixed_kafka: EmbeddedKafka
) -> None:
    with capture_logs() as logs, running(fixed_deployment) as bridge, Sender(fixed_deployment.mqtt.port) as sender:
        _send(sender, 1)
        assert until(lambda: len(sender.answers) == 1)
        fixed_kafka.kill()
        _send(sender, 2, 3)
        assert until(lambda: not bridge.levels().kafka_up)
        _send(sender, 4)
        assert until(lambda: bridge.levels().messages_in_flight == 3)
        assert (bridge.totals.acknowledged, len(sender.answers)) == (1, 1)
        fixed_kafka.start()
        topics.ensure(fixed_deployment, limit_s=10)
        assert until(lambda: len(sender.answers) == 4, limit_s=60)
        assert until(lambda: bridge.levels().kafka_up)
        assert bridge.totals.acknowledged == 4
    assert b"".join(values(fixed_deployment)) == batch(_DEVICE, 2, 3, 4)
    assert (_count(logs, AWAY), _count(logs, BACK)) == (1, 1)


@pytest.mark.usefixtures("_impatient")
def test_what_a_stopped_bridge_had_not_acknowledged_its_successor_gets(fixed_deployment: Settings, fixed_kafka: EmbeddedKafka) -> None:
    with Sender(fixed_deployment.mqtt.port) as sender:
        with running(fixed_deployment) as bridge:
            fixed_kafka.kill()
            _send(sender, 1, 2)
            assert until(lambda: bridge.levels().messages_in_flight == 2)
        _send(sender, 3)
        assert not sender.answers
        fixed_kafka.start()
        topics.ensure(fixed_deployment, limit_s=10)
        with running(fixed_deployment):
            assert until(lambda: len(sender.answers) == 3)
    assert b"".join(values(fixed_deployment)) == batch(_DEVICE, 1, 2, 3)
    assert [correlation for _, correlation in sender.answers] == [b"1", b"2", b"3"]


@pytest.mark.usefixtures("_impatient")
def test_ticks_do_not_pile_up_while_kafka_is_away(fixed_deployment: Settings, fixed_kafka: EmbeddedKafka) -> None:
    quick = fixed_deployment.model_copy(update={"bridge": fixed_deployment.bridge.model_copy(update={"tick_ms": 100})})
    with running(quick) as bridge:
        assert until(lambda: sum(bridge.levels().written) >= 4)
        fixed_kafka.kill()
        assert until(lambda: not bridge.levels().kafka_up)
        assert len(bridge._deliveries) == 4, "one a partition"


def test_mqtt_away_at_the_start_is_waited_for(deployment: Settings, tmp_path: Path) -> None:
    port = free_port()
    late = EmbeddedMqtt(tmp_path / "late-mqtt", port)
    later = deployment.model_copy(update={"mqtt": deployment.mqtt.model_copy(update={"port": port})})
    with ExitStack() as stack:
        logs = stack.enter_context(capture_logs())
        broker = stack.enter_context(ExitStack())
        bridge = stack.enter_context(running(later, connected=False))
        assert until(lambda: _count(logs, "MQTT is away; waiting for it") == 1)
        broker.enter_context(late)
        assert until(lambda: bridge.levels().mqtt_up)
        with Sender(late.port) as sender:
            _send(sender, 1)
            assert until(lambda: len(sender.answers) == 1)
    assert values(deployment) == [batch(_DEVICE, 1)]
    assert (_count(logs, "MQTT is away; waiting for it"), _count(logs, "MQTT is back")) == (1, 1)


def test_while_mqtt_is_away_no_ticks_are_written_and_afterwards_all_goes_on(fixed_deployment: Settings, fixed_mqtt: EmbeddedMqtt) -> None:
    quick = fixed_deployment.model_copy(update={"bridge": fixed_deployment.bridge.model_copy(update={"tick_ms": 100})})
    with running(quick) as bridge:
        assert until(lambda: sum(bridge.levels().written) >= 8)
        fixed_mqtt.kill()
        assert until(lambda: not bridge.levels().mqtt_up and not len(bridge._deliveries))
        written = sum(bridge.levels().written)
        assert not until(lambda: sum(bridge.levels().written) > written, limit_s=0.5)
        fixed_mqtt.start()
        assert until(lambda: bridge.levels().mqtt_up)
        with Sender(fixed_mqtt.port) as sender:
            _send(sender, 1)
            assert until(lambda: len(sender.answers) == 1)
        assert bridge.totals.connections_lost == 1
    assert values(fixed_deployment) == [batch(_DEVICE, 1)]


def test_a_bridge_that_takes_nothing_more_keeps_its_connection(
    fixed_deployment: Settings, fixed_kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """rumqttd sends more than Receive Maximum, so that the broker's answers to pings stand unread behind messages."""
    monkeypatch.setattr(mqtt_module, "KEEPALIVE_S", 1)
    small = fixed_deployment.model_copy(update={"bridge": fixed_deployment.bridge.model_copy(update={"receive_maximum": 10})})
    with running(small) as bridge, Sender(fixed_deployment.mqtt.port) as sender:
        fixed_kafka.kill()
        _send(sender, *range(1, 51))
        assert until(lambda: bridge.levels().messages_in_flight == 11)
        assert not until(lambda: bridge.totals.connections_lost > 0, limit_s=5)
        fixed_kafka.start()
        topics.ensure(fixed_deployment, limit_s=10)
        assert until(lambda: len(sender.answers) == 50, limit_s=60)
        assert bridge.totals.connections_lost == 0


def test_more_than_receive_maximum_is_not_taken(fixed_deployment: Settings, fixed_kafka: EmbeddedKafka) -> None:
    small = fixed_deployment.model_copy(update={"bridge": fixed_deployment.bridge.model_copy(update={"receive_maximum": 10})})
    with running(small) as bridge, Sender(fixed_deployment.mqtt.port) as sender:
        fixed_kafka.kill()
        _send(sender, *range(1, 51))
        assert until(lambda: bridge.levels().messages_in_flight >= 10)
        assert not until(lambda: bridge.levels().messages_in_flight > 11, limit_s=0.5), (
            "rumqttd keeps to no Receive Maximum, so the bridge does"
        )
        fixed_kafka.start()
        topics.ensure(fixed_deployment, limit_s=10)
        assert until(lambda: len(sender.answers) == 50, limit_s=60)
    assert b"".join(message.value() or b"" for message in records(fixed_deployment)) == batch(_DEVICE, *range(1, 51))
