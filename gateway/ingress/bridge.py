"""`fleetpulse bridge`: MQTT messages to Kafka records, each proven before it is joined, each acknowledged after Kafka has it.

One thread does everything in turns: read messages, see deliveries, hand over what was held long enough, tick, acknowledge.
Delivery: at least once. While Kafka is away nothing is acknowledged and the broker stops sending at Receive Maximum; while MQTT is
away no ticks are written, so that an outage of ours does not look like vehicles that went silent.
"""

import hashlib
import signal
import threading
import time
from types import FrameType
from typing import NamedTuple
from uuid import UUID

import structlog

from fleetpulse.codecs import framing, operations, partition, presence
from fleetpulse.codecs.batch import MAX_PAYLOAD_BYTES, DeadLetter
from fleetpulse.codecs.errors import Reason, WireError
from fleetpulse.codecs.form import is_json
from fleetpulse.codecs.json import uuid_bytes
from fleetpulse.config.clock import Clock
from fleetpulse.config.settings import Settings
from fleetpulse.gateway.ingress.instance import Instance
from fleetpulse.gateway.ingress.metrics import BridgeMetrics, Levels, Server, Totals
from fleetpulse.gateway.ingress.mqtt import Link
from fleetpulse.gateway.ingress.packer import Packer
from fleetpulse.gateway.ingress.packets import Publish, encode_answer
from fleetpulse.gateway.ingress.presence import operation
from fleetpulse.gateway.ingress.produce import Deliveries
from fleetpulse.gateway.ingress.receipts import Receipts
from fleetpulse.gateway.ingress.record import Kind, Record, of_dead_letter
from fleetpulse.gateway.ingress.refusals import DEAD_LETTER_BYTES
from fleetpulse.gateway.ingress.ticks import Ticks, interval_s

log = structlog.get_logger()

KINDS = ("telemetry", "alert", "status")
IN_FLIGHT_BYTES = 48 << 20
"""Of payloads that Kafka does not have; beyond it nothing is read from MQTT. Below librdkafka's bound (config/kafka.py, QUEUE_KIB)."""
IDLE_S = 0.05
BUSY_S = 0.002
"""Longest wait of a turn: without anything open, and while Kafka's acknowledgements are awaited."""
QUIET_S = 0.001
"""When no message came for so long, what is held is handed over: the broker has no more, or waits for acknowledgements itself
(rumqttd sends 100 ahead, whatever Receive Maximum says). Under load messages come closer together than this."""
STOP_S = 8.0
"""How long a bridge that was asked to stop waits for Kafka."""
VEHICLES_KEPT = 200_000


class _Vehicle(NamedTuple):
    """What follows from a topic's last level."""

    device_id: bytes
    partition: int
    ack_topic: bytes


class Stop(threading.Event):
    """Set when the bridge is to end; knows how long ago that was."""

    def __init__(self) -> None:
        super().__init__()
        self._since_s = 0.0

    def set(self) -> None:
        if not self.is_set():
            self._since_s = time.monotonic()
        super().set()

    def age_s(self) -> float:
        return time.monotonic() - self._since_s if self.is_set() else 0.0


class Bridge:
    """One bridge process. `stop` ends run()."""

    def __init__(self, settings: Settings, instance: Instance, stop: Stop) -> None:
        b = settings.bridge
        self.totals = Totals()
        self._stop = stop
        self._partitions = settings.kafka.partitions
        self._receive_maximum = b.receive_maximum
        self._clock = Clock(settings.clock)
        self._now_s = time.monotonic()
        self._taken_s = 0.0
        self._vehicles: dict[bytes, _Vehicle] = {}
        self._deliveries = Deliveries(settings, self._clock)
        self._packer = Packer(pack_bytes=b.pack_bytes, hold_s=b.hold_ms / 1000, send=self._send)
        self._ticks = Ticks(settings.kafka.partitions, interval_s(settings), self._now_s)
        self._receipts = Receipts(self.totals)
        self._link = Link(
            settings.mqtt,
            client_id=instance.client_id,
            filters=[_filter(b.share_group, kind) for kind in KINDS],
            receive_maximum=b.receive_maximum,
            take=self._take,
            lost=self._lost,
        )

    def levels(self) -> Levels:
        return Levels(
            messages_in_flight=len(self._receipts),
            bytes_in_flight=self._packer.bytes + self._deliveries.bytes,
            kafka_up=self._deliveries.up,
            mqtt_up=self._link.up,
            written=tuple(self._deliveries.written),
            refused=self._deliveries.refused,
        )

    def run(self) -> None:
        """Until stop is set; then what was taken is handed to Kafka and acknowledged, within STOP_S."""
        while not self._stop.is_set():
            taken = len(self._receipts)
            self._link.turn(self._wait_s(), read=self._room)
            now_s = self._now_s = time.monotonic()
            if len(self._receipts) > taken:
                self._taken_s = now_s
            self._hand_over(now_s)
        self._packer.flush_all()
        if not self._deliveries.flush(STOP_S - self._stop.age_s()):
            log.warning("stopped without Kafka; the broker keeps the messages", messages=len(self._receipts), records=len(self._deliveries))
        self._receipts.settle(self._link)
        self._link.close()
        self._deliveries.close()

    def _wait_s(self) -> float:
        """How long there is nothing to do but to read."""
        wait_s = BUSY_S if len(self._deliveries) and self._deliveries.up else IDLE_S
        if self._packer.bytes:
            wait_s = min(wait_s, QUIET_S, max(0.0, self._packer.due_s() - self._now_s))
        return wait_s

    def _room(self) -> bool:
        """Whether another message may be read. A broker that keeps to Receive Maximum never meets the first bound."""
        return (
            len(self._receipts) <= self._receive_maximum
            and self._packer.bytes + self._deliveries.bytes < IN_FLIGHT_BYTES
            and not self._deliveries.full
        )

    def _hand_over(self, now_s: float) -> None:
        if now_s - self._taken_s >= QUIET_S or len(self._receipts) >= self._receive_maximum:  # nothing comes that could be joined
            self._packer.flush_all()
        else:
            self._packer.flush_due(now_s)
        if self._link.up:
            for tick in self._ticks.due(now_s, self._packer.holds):
                self._send(tick)
        self._deliveries.poll(now_s)
        self._receipts.settle(self._link)
        self._link.flush()

    def _send(self, record: Record) -> None:
        if record.partition is not None:
            self._ticks.written(record.partition, self._now_s)
        self._deliveries.send(record)

    def _lost(self) -> None:
        self.totals.connections_lost += 1
        self._receipts.forget()

    def _take(self, message: Publish) -> None:
        """A message has come: its record is open or on its way when this returns."""
        kind, _, name = message.topic.partition(b"/")
        vehicle = self._vehicles.get(name) or self._vehicle(name)
        self.totals.messages[kind.decode() if kind in _KINDS else "other"] += 1
        self.totals.bytes += len(message.payload)
        record: Record | None
        try:
            if vehicle is None:
                raise WireError("device_id", f"the topic's last level must be a UUID, not all zero; got {name[:60]!r}")
            record = (
                self._status(message.payload, vehicle) if kind == b"status" else self._frames(message.payload, vehicle, kind == b"alert")
            )
        except WireError as error:
            record = self._reject(message, "identity" if error.reason == "operation" and kind != b"status" else error.reason, str(error))
        self._receipts.expect(record, message.mid, self._answer(message, vehicle))

    def _vehicle(self, name: bytes) -> _Vehicle | None:
        device_id = uuid_bytes(name.decode("utf-8", "replace"))
        if not device_id:
            return None
        if len(self._vehicles) >= VEHICLES_KEPT:
            self._vehicles.clear()
        vehicle = self._vehicles[name] = _Vehicle(device_id, partition.of(device_id, self._partitions), b"ack/" + name)
        return vehicle

    def _frames(self, payload: bytes, vehicle: _Vehicle, alert: bool) -> Record:
        """Prove a payload of frames and give it its place. Raises WireError."""
        self.totals.frames += framing.check(payload, vehicle.device_id)
        if not alert and not is_json(payload):
            return self._packer.add(vehicle.partition, payload, self._now_s)
        if alert:
            self._packer.flush(vehicle.partition)  # the vehicle's earlier frames stay before it
        return self._alone(Kind.ALERT if alert else Kind.JSON, vehicle, payload)

    def _status(self, payload: bytes, vehicle: _Vehicle) -> Record | None:
        """The operation of a birth or death; None for an empty message, which only removes the retained one. Raises WireError."""
        if not payload:
            return None
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise WireError("oversize", f"a payload must be at most {MAX_PAYLOAD_BYTES} bytes; got {len(payload)}")
        told = operation(UUID(bytes=vehicle.device_id), presence.decode(payload), now_ms=self._clock.now_ms())
        self._packer.flush(vehicle.partition)
        return self._alone(Kind.OPERATION, vehicle, operations.encode(told))

    def _alone(self, kind: Kind, vehicle: _Vehicle, value: bytes) -> Record:
        record = Record(kind, vehicle.partition, (value,), key=vehicle.device_id, messages=1)
        self._send(record)
        return record

    def _reject(self, message: Publish, reason: Reason, detail: str) -> Record:
        self.totals.rejected[reason] += 1
        letter = DeadLetter(
            reason=reason,
            payload=message.payload[:DEAD_LETTER_BYTES],
            length=len(message.payload),
            sha256=hashlib.sha256(message.payload).hexdigest(),
            source_topic=message.topic.decode("utf-8", "replace"),
            partition=-1,
            offset=-1,
            position=-1,
            detail=detail,
        )
        record = of_dead_letter(letter)
        self._send(record)
        return record

    def _answer(self, message: Publish, vehicle: _Vehicle | None) -> bytes:
        """The packet that tells the vehicle that Kafka has its message; empty when it did not ask, or not under its own id."""
        if message.response_topic is None:
            return b""
        if vehicle is None or message.response_topic != vehicle.ack_topic or message.correlation is None:
            self.totals.answers_refused += 1
            return b""
        return encode_answer(vehicle.ack_topic, message.correlation)


_KINDS = frozenset(kind.encode() for kind in KINDS)


def _filter(share_group: str, kind: str) -> str:
    """A group of its own for each filter: rumqttd knows a group by its name alone and loses messages when filters share one."""
    return f"$share/{share_group}-{kind}/{kind}/+" if share_group else f"{kind}/+"


def main(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; 0. Raises ConfigError, and OSError with one clear line."""
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    run(settings, stop)
    return 0


def run(settings: Settings, stop: Stop) -> None:
    """One bridge in this thread, until `stop` is set."""
    instance = Instance(settings)
    try:
        bridge = Bridge(settings, instance, stop)
        server = Server(settings.bridge.metrics_port, BridgeMetrics(bridge.totals, bridge.levels))
        try:
            log.info("bridge started", client_id=instance.client_id, share_group=settings.bridge.share_group or None)
            bridge.run()
        finally:
            server.close()
    finally:
        instance.close()
