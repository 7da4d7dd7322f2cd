"""A bridge in a thread, and a vehicle's end of the wire with the plain client: for tests on real brokers."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self
from uuid import UUID

import numpy as np
from confluent_kafka import Message
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from fleetpulse.codecs import schema
from fleetpulse.codecs.encode import encode
from fleetpulse.config.settings import Settings
from fleetpulse.gateway.ingress.bridge import Bridge, Stop
from fleetpulse.gateway.ingress.instance import Instance
from fleetpulse.gateway.ingress.produce import DEAD_LETTERS, TOPIC
from tests.support.topics import read

LIMIT_S = 20.0


def until(condition: Callable[[], bool], limit_s: float = LIMIT_S) -> bool:
    """Whether the condition came true within the limit."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def vehicle(number: int) -> UUID:
    return UUID(int=(number + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)


def batch(device: UUID, *sequence: int, boot: int = 1) -> bytes:
    """A protobuf batch of plain frames."""
    frames = schema.empty(len(sequence))
    frames["device_hi"], frames["device_lo"] = np.uint64(device.int >> 64), np.uint64(device.int & 2**64 - 1)
    frames["boot_id"], frames["seq"] = boot, sequence
    frames["time_ms"] = [1_700_000_000_000 + 1000 * s for s in sequence]
    frames["speed_mps"] = 1.5
    return encode(frames)


@contextmanager
def running(settings: Settings, *, connected: bool = True) -> Iterator[Bridge]:
    """A bridge in a thread, subscribed if `connected`; stopped at the end. What it raised is raised here."""
    instance, stop = Instance(settings), Stop()
    bridge = Bridge(settings, instance, stop)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            bridge.run()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="bridge")
    thread.start()
    try:
        if connected:
            assert until(lambda: bridge.levels().mqtt_up or bool(errors)), "the bridge must connect to the broker"
        yield bridge
    finally:
        stop.set()
        thread.join(LIMIT_S)
        instance.close()
    assert not thread.is_alive(), "the bridge must end when asked to"
    if errors:
        raise errors[0]


class Sender:
    """An MQTT client that publishes as vehicles do and keeps the answers it gets."""

    def __init__(self, port: int, name: str = "sender", *, will: tuple[str, bytes] | None = None) -> None:
        self.answers: list[tuple[str, bytes]] = []
        self._answering = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv5, reconnect_on_failure=False)
        self._client.on_connect = lambda client, *_: client.subscribe("ack/+", qos=1)
        self._client.on_subscribe = lambda *_: self._answering.set()
        self._client.on_message = self._on_message
        if will is not None:
            self._client.will_set(*will, qos=1, retain=True)
        self._client.connect("127.0.0.1", port)

    def _on_message(self, client: paho.Client, userdata: object, message: paho.MQTTMessage) -> None:
        self.answers.append((message.topic, getattr(message.properties, "CorrelationData", b"")))

    def __enter__(self) -> Self:
        self._client.loop_start()
        assert self._answering.wait(LIMIT_S), "the broker must answer"
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def send(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        response: str | None = None,
        correlation: bytes | None = None,
    ) -> None:
        """Publish, and wait until the broker has it."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if response is not None:
            properties.ResponseTopic = response
        if correlation is not None:
            properties.CorrelationData = correlation
        published = self._client.publish(topic, payload, qos=qos, retain=retain, properties=properties)
        published.wait_for_publish(LIMIT_S)
        assert published.is_published(), "the broker must take the message"

    def die(self) -> None:
        """Cut the connection without a goodbye, so that the broker publishes the will."""
        sock = self._client.socket()
        assert isinstance(sock, socket.socket)
        sock.shutdown(socket.SHUT_RDWR)


def records(settings: Settings, *, ticks: bool = False) -> list[Message]:
    """What stands in vehicle-telemetry now; without ticks unless asked for."""
    found = read(settings, TOPIC, partitions=settings.kafka.partitions)
    return [message for message in found if ticks or message.value()]


def values(settings: Settings) -> list[bytes]:
    return [message.value() or b"" for message in records(settings)]


def dead_letters(settings: Settings) -> list[tuple[dict[str, bytes], bytes]]:
    """(headers, value) of each dead letter."""
    letters = []
    for message in read(settings, DEAD_LETTERS, partitions=1):
        headers = message.headers()
        assert isinstance(headers, list)
        letters.append(({name: value for name, value in headers if isinstance(value, bytes)}, message.value() or b""))
    return letters
