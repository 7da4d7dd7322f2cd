"""The link while the bridge takes nothing: a broker that is not read is not taken for dead. (Found by `fleetpulse bench chaos`.)"""

import socket
import time
from collections.abc import Iterator

import pytest

from fleetpulse.config.settings import Mqtt
from fleetpulse.gateway.ingress import mqtt
from fleetpulse.gateway.ingress.mqtt import Link
from fleetpulse.gateway.ingress.packets import Publish

CONNACK = bytes.fromhex("2003000000")
SUBACK = bytes.fromhex("9004 0001 00 01")
PUBLISH = bytes.fromhex("3206 0001 61 0001 00")
"""Topic "a", QoS 1, empty."""


@pytest.fixture
def broker() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        yield server


def test_a_session_that_begins_with_more_than_there_is_room_for_stays_and_is_read_later(
    broker: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker sends what a session still has before it answers SUBSCRIBE, and with Kafka away there is no room for all of it."""
    monkeypatch.setattr(mqtt, "CONNECT_S", 0.2)
    room = 1
    taken: list[Publish] = []
    lost: list[None] = []
    settings = Mqtt.model_validate({"host": "127.0.0.1", "port": broker.getsockname()[1]})
    link = Link(settings, client_id="bridge", filters=["a"], receive_maximum=10, take=taken.append, lost=lambda: lost.append(None))

    def turn() -> None:
        link.turn(0.01, read=lambda: len(taken) < room)
        link.flush()

    turn()
    connection, _ = broker.accept()
    with connection:
        connection.sendall(CONNACK + 3 * PUBLISH + SUBACK)
        until = time.monotonic() + 5 * mqtt.CONNECT_S
        while time.monotonic() < until:
            turn()
        assert (len(taken), len(lost), link.up) == (1, 0, False)
        room = 10
        until = time.monotonic() + 10
        while not link.up and time.monotonic() < until:
            turn()
        assert (len(taken), len(lost), link.up) == (3, 0, True)
        link.close()
        turn()


def test_a_broker_that_does_not_answer_is_left_whatever_it_has_sent(broker: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "CONNECT_S", 0.2)
    lost: list[None] = []
    settings = Mqtt.model_validate({"host": "127.0.0.1", "port": broker.getsockname()[1]})
    link = Link(settings, client_id="bridge", filters=["a"], receive_maximum=10, take=lambda _: None, lost=lambda: lost.append(None))
    link.turn(0.01, read=lambda: True)
    connection, _ = broker.accept()
    with connection:
        connection.sendall(CONNACK)
        until = time.monotonic() + 10
        while not lost and time.monotonic() < until:
            link.turn(0.01, read=lambda: True)
            link.flush()
    assert lost
