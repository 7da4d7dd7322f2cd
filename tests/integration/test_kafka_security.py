"""Every part of ours against a Kafka that wants TLS and a password: with them all works, without them the log says why not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetpulse.config import kafka
from fleetpulse.config.settings import Settings
from fleetpulse.flows import topics
from fleetpulse.flows.librdkafka import LibrdkafkaPoller
from fleetpulse.flows.offsets import lag
from fleetpulse.flows.poller import ConfluentPoller, Poller
from fleetpulse.vehicle_agent.authority import Authority
from tests.support.deployments import Vehicles, deployment
from tests.support.engine import emitted, expected
from tests.support.metrics import scrape
from tests.support.processes import part, wait_for
from tests.support.secure_kafka import SERVER, SecureKafka
from tests.support.servers import Mosquitto, running
from tests.support.topics import write

PASSWORD = "correct horse"
DENIED = "Kafka does not let us in"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    authority.server([SERVER, "127.0.0.1"], days=2)
    return authority


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[SecureKafka]:
    with running(SecureKafka(tmp_path_factory.mktemp("secure"), authority, password=PASSWORD)) as broker:
        yield broker


@pytest.fixture
def settings(tmp_path: Path, secure: SecureKafka, mosquitto: Mosquitto) -> Settings:
    """Everything right; the password in a file of its own."""
    options = secure.options()
    secrets = tmp_path / "kafka.secrets"
    secrets.write_text(f"# of the deployment\nsasl.password={options.pop('sasl.password')}\n")
    sections = {"bootstrap_servers": secure.secure_address, "options": options, "options_file": secrets}
    return deployment(tmp_path, secure, mosquitto, kafka=sections)


def _behind(settings: Settings) -> int:
    return lag(settings, group="fleetpulse.telemetry", topic=topics.TELEMETRY, partitions=4)


def _log(folder: Path, name: str) -> list[str]:
    return (folder / f"{name}.log").read_text().splitlines()


def test_every_part_works_over_tls_with_a_password(settings: Settings, tmp_path: Path) -> None:
    with (
        part(settings, tmp_path, "gateway"),
        part(settings, tmp_path, "flow", "telemetry"),
        part(settings, tmp_path, "bridge") as bridge,
        Vehicles(settings, tmp_path, vehicles=50, seed=31, scenario="mixed") as vehicles,
    ):
        vehicles.make(3000)
        assert vehicles.end()["pending"] == 0
        wait_for(
            lambda: sum(v for k, v in scrape(settings.gateway.port).items() if k.startswith("fleet_vehicles{")) >= 50,
            what="the gateway must know the vehicles, while the bridge's ticks let time go on",
        )
        assert bridge.end(limit_s=15) == 0
        wait_for(lambda: _behind(settings) == 0, what="the flow must read the log to its end")
    assert vehicles.lost() == set()
    assert emitted(settings) == expected(settings)
    assert not any(PASSWORD in line for file in tmp_path.glob("*.log") for line in file.read_text().splitlines()), "secrets are not logged"


@pytest.mark.parametrize("make", [LibrdkafkaPoller, ConfluentPoller])
def test_both_pollers_read_over_tls_with_a_password(settings: Settings, make: type[LibrdkafkaPoller | ConfluentPoller]) -> None:
    values = [b"%d" % i for i in range(100)]
    write(settings, "fleet.features", values, partition=1)
    poller: Poller = make(kafka.consumer(settings, group="test.poller"), "fleet.features")
    poller.assign(1, 0)
    got: list[bytes] = []

    def read() -> bool:
        got.extend(value for batch in poller.poll() for _, value in batch.values())
        return len(got) >= len(values)

    wait_for(read, what="the poller must give all records")
    poller.close()
    assert got[-len(values) :] == values


@pytest.mark.parametrize("arguments", [("bridge",), ("flow", "telemetry"), ("gateway",)], ids=" ".join)
@pytest.mark.parametrize("wrong", ["password", "authority"])
def test_a_wrong_password_or_authority_is_one_clear_line_and_no_crash_loop(
    settings: Settings, tmp_path: Path, secure: SecureKafka, arguments: tuple[str, ...], wrong: str
) -> None:
    another = Authority(tmp_path / "another")
    another.bridge(days=1)
    options = secure.options(sasl_password="wrong horse") if wrong == "password" else secure.options(ssl_ca_location=str(another.ca_file))
    barred = settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"options": options, "options_file": None})})
    name = "-".join(arguments)
    with part(barred, tmp_path, *arguments) as process:
        wait_for(lambda: any(DENIED in line for line in _log(tmp_path, name)), what="the log must say that Kafka does not let us in")
        wait_for(lambda: any("waiting for Kafka" in line for line in _log(tmp_path, name)), what="the log must say that it waits")
        assert process.running
    lines = [line for line in _log(tmp_path, name) if DENIED in line]
    assert len(lines) == 1
    reason = "Authentication failed" if wrong == "password" else "certificate verify failed"
    assert reason in lines[0]
    assert not any("Traceback" in line or "wrong horse" in line for line in _log(tmp_path, name))


def test_a_password_that_is_changed_while_all_runs_stops_it_and_loses_nothing(
    settings: Settings, tmp_path: Path, secure: SecureKafka
) -> None:
    with (
        part(settings, tmp_path, "flow", "telemetry") as flow,
        part(settings, tmp_path, "bridge") as bridge,
        Vehicles(settings, tmp_path, vehicles=50, seed=32) as vehicles,
    ):
        vehicles.make(500)
        secure.set_password("another horse")  # open connections stay
        secure.kill()
        secure.start()
        for name in ("flow-telemetry", "bridge"):
            wait_for(lambda n=name: any(DENIED in line for line in _log(tmp_path, n)), what=f"{name} must say why")  # type: ignore[misc]
        secure.set_password(PASSWORD)
        vehicles.make(500)
        assert vehicles.end()["pending"] == 0
        assert bridge.end(limit_s=15) == 0
        wait_for(lambda: _behind(settings) == 0, limit_s=60, what="the flow must read the log to its end")
        assert flow.running
        assert not any("a process of the flow ended" in line for line in _log(tmp_path, "flow-telemetry"))
    assert vehicles.lost() == set()
