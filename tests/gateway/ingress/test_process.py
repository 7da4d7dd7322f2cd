"""`fleetpulse bridge` as a process: ends on a signal with everything handed over, and in time without Kafka; its metrics."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import urlopen

import pytest

from fleetpulse.config.settings import ConfigError, Mqtt, Settings
from fleetpulse.flows.embedded import EmbeddedKafka, free_port
from fleetpulse.gateway.ingress.bridge import Stop, run
from fleetpulse.gateway.ingress.instance import Instance
from fleetpulse.gateway.ingress.mqtt import tls_context
from tests.support.ingress import Sender, batch, running, until, values, vehicle

_DEVICE = vehicle(1)
_ACK = f"ack/{_DEVICE}"


@contextmanager
def _process(settings: Settings, metrics_port: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    env = {
        **os.environ,
        "FLEETPULSE_DEPLOYMENT__NAME": settings.deployment.name,
        "FLEETPULSE_DEPLOYMENT__DATA_DIR": str(settings.deployment.data_dir),
        "FLEETPULSE_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "FLEETPULSE_KAFKA__PARTITIONS": str(settings.kafka.partitions),
        "FLEETPULSE_MQTT__PORT": str(settings.mqtt.port),
        "FLEETPULSE_BRIDGE__METRICS_PORT": str(metrics_port),
        "FLEETPULSE_BRIDGE__SHARE_GROUP": "",
    }
    with subprocess.Popen([sys.executable, "-m", "fleetpulse.flows.cli", "bridge"], env=env, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def _answered(sender: Sender) -> bool:
    """Send again until the process answers: before it has subscribed, the broker has nobody to keep messages for."""
    sender.send(f"telemetry/{_DEVICE}", batch(_DEVICE, 1), response=_ACK, correlation=b"hello")
    return until(lambda: bool(sender.answers), limit_s=0.5)


def _all_stand_in_kafka(settings: Settings, last: int) -> bool:
    found = b"".join(values(settings))
    return all(batch(_DEVICE, seq) in found for seq in range(1, last + 1))


def test_sigterm_ends_it_with_everything_handed_over(deployment: Settings) -> None:
    with Sender(deployment.mqtt.port) as sender, _process(deployment) as process:
        assert until(lambda: _answered(sender))
        for seq in range(2, 52):
            sender.send(f"telemetry/{_DEVICE}", batch(_DEVICE, seq), response=_ACK, correlation=str(seq).encode())
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    with running(deployment) as bridge, Sender(deployment.mqtt.port, "again") as again:
        assert until(lambda: len(set(sender.answers + again.answers)) == 51)
        assert bridge.levels().messages_in_flight == 0
    assert _all_stand_in_kafka(deployment, 51)


def test_without_kafka_it_ends_in_time(fixed_deployment: Settings, fixed_kafka: EmbeddedKafka) -> None:
    with Sender(fixed_deployment.mqtt.port) as sender, _process(fixed_deployment) as process:
        assert until(lambda: _answered(sender))
        fixed_kafka.kill()
        sender.send(f"telemetry/{_DEVICE}", batch(_DEVICE, 2))
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert time.monotonic() - began <= 10


def test_a_killed_bridge_loses_nothing(deployment: Settings) -> None:
    with Sender(deployment.mqtt.port) as sender:
        with _process(deployment) as process:
            assert until(lambda: _answered(sender))
            for seq in range(2, 102):
                sender.send(f"telemetry/{_DEVICE}", batch(_DEVICE, seq))
                if seq == 50:
                    process.kill()
        with running(deployment):
            assert until(lambda: _all_stand_in_kafka(deployment, 101))


def test_metrics_count_what_happened_and_sigint_ends_it_too(deployment: Settings) -> None:
    port = free_port()
    with Sender(deployment.mqtt.port) as sender, _process(deployment, port) as process:
        assert until(lambda: _answered(sender))
        sender.send(f"telemetry/{_DEVICE}", b"garbage", response=_ACK, correlation=b"garbage")
        assert until(lambda: (_ACK, b"garbage") in sender.answers)
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
            text = response.read().decode()
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(lines['fleet_bridge_rejected_total{reason="framing"}']) == 1
    assert float(lines['fleet_bridge_records_total{kind="dead_letter"}']) == 1
    assert float(lines['fleet_bridge_records_total{kind="packed"}']) >= 1
    assert float(lines["fleet_bridge_acknowledged_total"]) == float(lines['fleet_bridge_messages_total{kind="telemetry"}']) >= 2
    assert (lines["fleet_bridge_kafka_up"], lines["fleet_bridge_mqtt_up"], lines["fleet_bridge_in_flight_messages"]) == (
        "1.0",
        "1.0",
        "0.0",
    )


def test_a_metrics_port_in_use_is_one_clear_line(deployment: Settings) -> None:
    taken = deployment.model_copy(update={"bridge": deployment.bridge.model_copy(update={"metrics_port": deployment.mqtt.port})})
    with pytest.raises(
        OSError, match=rf"the bridge's metrics need port {deployment.mqtt.port} on 127\.0\.0\.1; got: Address already in use"
    ):
        run(taken, Stop())


def test_bridges_have_different_names_and_get_their_own_again(settings: Settings) -> None:
    one, two = Instance(settings), Instance(settings)
    assert one.client_id != two.client_id
    name = one.client_id
    one.close()
    again = Instance(settings)
    assert again.client_id == name
    again.close()
    two.close()


def test_a_certificate_that_cannot_be_read_is_one_clear_line(settings: Settings) -> None:
    missing = Mqtt(ca_file=settings.deployment.data_dir / "no.pem")
    with pytest.raises(ConfigError, match=r"mqtt.ca_file, certificate_file and key_file must be readable PEM; got .*no\.pem"):
        tls_context(missing)
