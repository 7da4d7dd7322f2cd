"""The servers that the other tests stand on: they start, are killed, and come back on the same port."""

import sys
from pathlib import Path

import pytest

from fleetpulse.bench import debian
from fleetpulse.bench.maven import MissingToolError
from tests.support import servers
from tests.support.ingress import Sender, until
from tests.support.servers import Alertmanager, ApacheKafka, Mosquitto, Prometheus, running


def test_mosquitto_comes_back_on_its_port_and_has_forgotten_everything(mosquitto: Mosquitto) -> None:
    port = mosquitto.port
    with Sender(port) as sender:
        sender.send("ack/1", b"kept", retain=True)
        assert until(lambda: len(sender.answers) == 1)
    mosquitto.kill()
    assert not mosquitto.running
    mosquitto.start()
    assert mosquitto.port == port
    with Sender(port, "again") as again:
        again.send("ack/2", b"new")
        assert until(lambda: len(again.answers) == 1)
        assert [topic for topic, _ in again.answers] == ["ack/2"], "no retained message came"


def test_alertmanager_answers_and_comes_back(alertmanager: Alertmanager) -> None:
    assert alertmanager.alerts() == []
    alertmanager.kill()
    alertmanager.start()
    assert alertmanager.get("/api/v2/status")["config"]["original"]


def test_prometheus_scrapes_itself_and_comes_back(tmp_path: Path) -> None:
    prometheus = Prometheus(tmp_path / "prometheus", targets={})
    prometheus = Prometheus(tmp_path / "prometheus", prometheus.port, targets={"itself": [prometheus.address]})
    with running(prometheus):
        assert until(lambda: prometheus.query("up") != [])
        assert [(labels["job"], value) for labels, value in prometheus.query("up")] == [("itself", 1.0)]
        prometheus.restart()
        assert until(lambda: prometheus.query("up") != [])


def test_apache_kafka_is_killed_and_comes_back(apache: ApacheKafka) -> None:
    address = apache.address
    apache.kill()
    apache.start()
    assert apache.address == address


def test_without_apt_the_reason_is_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    debian.unpacked.cache_clear()
    try:
        with pytest.raises(MissingToolError, match="apt-get must be on the PATH"):
            debian.unpacked()
        assert list((tmp_path / "fleetpulse").iterdir()) == []
    finally:
        debian.unpacked.cache_clear()


@pytest.mark.parametrize(("strict", "outcome"), [(False, pytest.skip.Exception), (True, pytest.fail.Exception)])
def test_a_server_that_cannot_be_had_skips_and_fails_where_it_must_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strict: bool, outcome: type[BaseException]
) -> None:
    def missing(name: str) -> list[str]:
        raise MissingToolError(f"no {name}")

    monkeypatch.setattr(debian, "command", missing)
    monkeypatch.setattr(servers, "STRICT", strict)
    with pytest.raises(outcome, match="mosquitto cannot run here: no mosquitto"), running(Mosquitto(tmp_path)):
        sys.exit("it must not run")
