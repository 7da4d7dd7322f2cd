"""Vehicles, broker and bridge with certificates, on Mosquitto as `fleetpulse agent broker-config` configures it.

Each control has a test that fails without it; that of a line of the configuration is shown by leaving the line out.
"""

import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import orjson
import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from fleetpulse.config.settings import Settings
from fleetpulse.flows import topics
from fleetpulse.flows.embedded import EmbeddedKafka, free_port
from fleetpulse.vehicle_agent import broker_config
from fleetpulse.vehicle_agent.authority import Authority, Files
from tests.support.frames import device_ids, logged, sent
from tests.support.ingress import batch, dead_letters, until, vehicle
from tests.support.ingress import running as bridge_running
from tests.support.processes import part, wait_for
from tests.support.servers import Mosquitto, running

SERVER = "localhost"
A, B = vehicle(1), vehicle(2)
REFUSED_S = 10.0


@dataclass(frozen=True)
class Fleet:
    """An authority with certificates for a broker, a bridge and the vehicles A and B, and the broker that trusts it."""

    authority: Authority
    broker: Mosquitto
    vehicles_port: int


def enrolled(folder: Path) -> Authority:
    authority = Authority(folder)
    authority.server([SERVER, "127.0.0.1"], days=2)
    authority.bridge(days=2)
    for device in (A, B):
        authority.vehicle(str(device), days=2)
    return authority


@contextmanager
def secured(authority: Authority, folder: Path, *, without: str = r"(?!)", plus: tuple[str, ...] = ()) -> Iterator[Fleet]:
    """Mosquitto as broker-config writes it; `without`: lines of configuration and rules that are left out, `plus`: put in their file."""
    vehicles, bridges = free_port(), free_port()
    file = broker_config.write(authority, folder, server=SERVER, host="127.0.0.1", vehicles_port=vehicles, bridges_port=bridges)
    for written in (file, folder / "mosquitto.acl"):
        lines = written.read_text().splitlines()
        left = [line for line in lines if not re.match(without, line)]
        more = plus if len(left) < len(lines) else ()
        written.write_text("\n".join([*more, *left, ""]))
    with running(Mosquitto(folder / "run", bridges, config=file)) as broker:
        yield Fleet(authority, broker, vehicles)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return enrolled(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def fleet(authority: Authority, tmp_path: Path) -> Iterator[Fleet]:
    with secured(authority, tmp_path) as found:
        yield found


class Client:
    """A client with a certificate, or with none; takes part once in the `with` block, or remembers why it cannot."""

    def __init__(self, port: int, ca: Path, files: Files | None, *, client_id: str = "anybody", topics: tuple[str, ...] = ()) -> None:
        self.connected = threading.Event()
        self.refused = ""
        self.got: list[tuple[str, bytes]] = []
        self.lost = threading.Event()
        self.reasons: list[str] = []
        self._topics = topics
        self._port = port
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv5, reconnect_on_failure=False)
        context = ssl.create_default_context(cafile=ca)
        if files is not None:
            context.load_cert_chain(*files)
        self._client.tls_set_context(context)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = lambda *_: self.lost.set()
        self._client.on_message = lambda _, __, message: self.got.append((message.topic, bytes(message.payload)))
        self._client.on_publish = lambda _, __, ___, reason, ____: self.reasons.append(str(reason))
        self._client.on_subscribe = lambda *_: self.connected.set()

    def _on_connect(self, client: paho.Client, _: object, __: object, reason: object, ___: object) -> None:
        if getattr(reason, "is_failure", False):
            self.refused = str(reason)
        elif self._topics:
            client.subscribe([(topic, 1) for topic in self._topics])
        else:
            self.connected.set()

    def __enter__(self) -> Self:
        try:
            self._client.connect("127.0.0.1", self._port)
        except OSError as error:
            self.refused = str(error)
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def enters(self) -> bool:
        """Whether the broker lets it in; else it has closed the connection or never opened it."""
        assert until(lambda: self.connected.is_set() or self.lost.is_set() or bool(self.refused), limit_s=REFUSED_S)
        return self.connected.is_set()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Returns when the broker has answered; with leave or without."""
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(REFUSED_S)


def joins(fleet: Fleet, files: Files | None) -> bool:
    with Client(fleet.vehicles_port, fleet.authority.ca_file, files) as client:
        return client.enters()


def of(fleet: Fleet, device: object, *topics: str, client_id: str = "anybody") -> Client:
    return Client(fleet.vehicles_port, fleet.authority.ca_file, fleet.authority.files(str(device)), client_id=client_id, topics=topics)


def bridge(fleet: Fleet) -> Client:
    topics = ("telemetry/+", "alert/+", "status/+", "ack/+", "command/+")
    return Client(fleet.broker.port, fleet.authority.ca_file, fleet.authority.files("bridge"), client_id="bridge", topics=topics)


def test_a_vehicle_with_its_certificate_comes_in(fleet: Fleet) -> None:
    assert joins(fleet, fleet.authority.files(str(A)))


def test_a_client_without_certificate_is_refused(fleet: Fleet) -> None:
    assert not joins(fleet, None)


def test_a_certificate_of_another_authority_is_refused(fleet: Fleet, tmp_path: Path) -> None:
    assert not joins(fleet, Authority(tmp_path / "another").vehicle(str(A), days=2))


def test_a_certificate_for_servers_is_none_for_clients(fleet: Fleet) -> None:
    assert not joins(fleet, fleet.authority.files(SERVER))


def test_an_expired_certificate_is_refused(tmp_path: Path) -> None:
    """Issued a year ago for a day; the broker's and the bridge's are new."""
    Authority(tmp_path / "ca", now=datetime.now(UTC) - timedelta(days=365)).vehicle(str(vehicle(3)), days=1)
    with secured(enrolled(tmp_path / "ca"), tmp_path / "broker") as fleet:
        assert joins(fleet, fleet.authority.files(str(A)))
        assert not joins(fleet, fleet.authority.files(str(vehicle(3))))


@pytest.mark.parametrize("again", [Mosquitto.restart, Mosquitto.reload], ids=["restarted", "reloaded"])
def test_a_revoked_certificate_is_refused_once_the_broker_has_read_the_list(tmp_path: Path, again: Callable[[Mosquitto], object]) -> None:
    authority = enrolled(tmp_path / "ca")
    with secured(authority, tmp_path / "broker") as fleet:
        files = authority.files(str(A))
        kept = Files(tmp_path / "a.pem", tmp_path / "a.key")  # what the thief has
        for file, copy in zip(files, kept, strict=True):
            copy.write_bytes(file.read_bytes())
        assert joins(fleet, kept)
        authority.revoke(str(A))
        again(fleet.broker)
        assert until(lambda: not joins(fleet, kept))
        assert joins(fleet, authority.files(str(B)))
        assert joins(fleet, authority.vehicle(str(A), days=2)), "with a new certificate"


@pytest.mark.parametrize("kind", ["telemetry", "alert", "status"])
def test_a_vehicle_is_heard_under_its_own_id_and_no_other(fleet: Fleet, kind: str) -> None:
    with bridge(fleet) as listening, of(fleet, A) as a, of(fleet, B) as b:
        assert listening.enters()
        assert a.enters()
        assert b.enters()
        a.publish(f"{kind}/{B}", batch(B, 0))
        a.publish(f"{kind}/{A}", batch(A, 1))
        b.publish(f"{kind}/{B}", batch(B, 2))
        assert until(lambda: len(listening.got) >= 2)
        assert sorted(listening.got) == sorted([(f"{kind}/{A}", batch(A, 1)), (f"{kind}/{B}", batch(B, 2))])
        assert a.reasons == ["Not authorized", "Success"]


def test_a_vehicle_hears_its_own_answers_alone_and_makes_none(fleet: Fleet) -> None:
    with of(fleet, A, "#", f"ack/{A}", f"ack/{B}") as a, bridge(fleet) as b:
        assert a.enters()
        assert b.enters()
        a.publish(f"ack/{B}", b"forged")
        a.publish(f"command/{B}", b"forged")
        for device in (B, A):
            b.publish(f"ack/{device}", b"of the bridge")
        assert until(lambda: bool(a.got))
        assert set(a.got) == {(f"ack/{A}", b"of the bridge")}
        assert b.got == []
        assert a.reasons == ["Not authorized"] * 2


def test_a_vehicle_cannot_take_over_the_session_of_another(fleet: Fleet) -> None:
    with (
        of(fleet, B, f"ack/{B}", client_id=f"vehicle-{B}") as b,
        of(fleet, A, client_id=f"vehicle-{B}") as thief,
        bridge(fleet) as answering,
    ):
        assert b.enters()
        assert thief.enters()
        assert answering.enters()
        answering.publish(f"ack/{B}", b"still here")
        assert until(lambda: b.got == [(f"ack/{B}", b"still here")])
        assert not b.lost.is_set()


def test_the_bridge_speaks_for_no_vehicle(fleet: Fleet) -> None:
    with bridge(fleet) as b:
        assert b.enters()
        b.publish(f"telemetry/{A}", batch(A, 0))
        assert b.reasons == ["Not authorized"]


def _nobody_joins(fleet: Fleet) -> bool:
    return joins(fleet, None)


def _revoked_joins(fleet: Fleet) -> bool:
    files = fleet.authority.vehicle(str(vehicle(4)), days=1)
    contents = [file.read_bytes() for file in files]
    fleet.authority.revoke(str(vehicle(4)))
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    fleet.broker.restart()
    entered = joins(fleet, files)
    for file in files:
        file.unlink()
    return entered


def _a_is_heard_as_b(fleet: Fleet) -> bool:
    with bridge(fleet) as listening, of(fleet, A) as a:
        assert listening.enters()
        assert a.enters()
        a.publish(f"telemetry/{B}", b"as another")
        a.publish(f"telemetry/{A}", b"as itself")
        assert until(lambda: (f"telemetry/{A}", b"as itself") in listening.got)
        return (f"telemetry/{B}", b"as another") in listening.got


def _a_takes_the_session_of_b(fleet: Fleet) -> bool:
    with of(fleet, B, client_id="b") as b:
        assert b.enters()
        with of(fleet, A, client_id="b") as thief:
            assert thief.enters()
            return b.lost.wait(1.0)


@pytest.mark.parametrize(
    ("without", "plus", "attack"),
    [
        ("require_certificate|use_.*|allow_anonymous|acl_file", ("allow_anonymous true",), _nobody_joins),
        ("crlfile", (), _revoked_joins),
        ("acl_file", (), _a_is_heard_as_b),
        ("pattern write telemetry", ("pattern write telemetry/+",), _a_is_heard_as_b),
        ("use_username_as_clientid", (), _a_takes_the_session_of_b),
    ],
    ids=["no certificate demanded", "no revocations", "no rules", "a rule without the name", "own client ids"],
)
def test_without_its_control_an_attack_succeeds_and_with_it_none(
    authority: Authority, tmp_path: Path, without: str, plus: tuple[str, ...], attack: Callable[[Fleet], bool]
) -> None:
    with secured(authority, tmp_path / "open", without=without, plus=plus) as fleet:
        assert attack(fleet)
    with secured(authority, tmp_path / "closed") as fleet:
        assert not attack(fleet)


def test_agent_and_bridge_work_over_it_end_to_end(kafka: EmbeddedKafka, tmp_path: Path) -> None:
    """Eight vehicles, each with its own certificate and connection."""
    authority, devices = enrolled(tmp_path / "ca"), device_ids(8)
    for device in devices:
        authority.vehicle(str(device), days=1)
    with secured(authority, tmp_path / "broker") as fleet:
        certificate, key = authority.files("bridge")
        common: dict[str, dict[str, object]] = {
            "deployment": {"name": "test", "data_dir": tmp_path / "var"},
            "kafka": {"bootstrap_servers": kafka.address, "partitions": 4},
            "bridge": {"metrics_port": 0},
            "agent": {"certificate_dir": certificate.parent, "resend_s": 3},  # what came before the bridge had subscribed
        }
        mqtt = {"host": SERVER, "ca_file": authority.ca_file}
        of_agent = Settings.model_validate({**common, "mqtt": {**mqtt, "port": fleet.vehicles_port}})
        of_bridge = Settings.model_validate(
            {**common, "mqtt": {**mqtt, "port": fleet.broker.port, "certificate_file": certificate, "key_file": key}}
        )
        topics.ensure(of_bridge, limit_s=10)
        ledger = tmp_path / "ledger"
        vehicles = ["--vehicles", "8", "--scenario", "calm", "--ledger", str(ledger)]
        with part(of_bridge, tmp_path, "bridge"), part(of_agent, tmp_path, "agent", *vehicles) as agent:
            wait_for(lambda: len(logged(of_bridge)) > 50, what="frames must come through")
            assert agent.end(limit_s=30) == 0
    final = orjson.loads((ledger / "ledger.json").read_bytes())
    assert (final["pending"], final["connections"]) == (0, 8)
    assert set(logged(of_bridge)) == sent(ledger)
    assert {device for device, _, _ in logged(of_bridge)} == {device.bytes for device in devices}


def test_frames_of_another_vehicle_under_the_own_topic_are_a_dead_letter(kafka: EmbeddedKafka, fleet: Fleet, tmp_path: Path) -> None:
    """What no rule of the broker can see: the bridge compares topic and frames."""
    certificate, key = fleet.authority.files("bridge")
    settings = Settings.model_validate(
        {
            "deployment": {"name": "test", "data_dir": tmp_path / "var"},
            "kafka": {"bootstrap_servers": kafka.address, "partitions": 4},
            "mqtt": {
                "host": SERVER,
                "port": fleet.broker.port,
                "ca_file": fleet.authority.ca_file,
                "certificate_file": certificate,
                "key_file": key,
            },
            "bridge": {"metrics_port": 0},
        }
    )
    topics.ensure(settings, limit_s=10)
    with bridge_running(settings) as running_bridge, of(fleet, A) as a:
        assert a.enters()
        a.publish(f"telemetry/{A}", batch(A, 0) + batch(B, 0))
        a.publish(f"telemetry/{A}", batch(A, 1))
        assert until(lambda: running_bridge.totals.acknowledged == 2)
    assert [headers["reason"] for headers, _ in dead_letters(settings)] == [b"identity"]
    assert logged(settings) == [(A.bytes, 1, 1)]
