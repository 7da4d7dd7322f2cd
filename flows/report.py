"""What a run did, read from Kafka as any consumer would: events, latencies, counters, dead letters; and the accounting identities."""

import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from fleetpulse.alerts import event
from fleetpulse.alerts.event import EVENT_TOPICS
from fleetpulse.codecs import tables
from fleetpulse.config import kafka
from fleetpulse.config.settings import Settings
from fleetpulse.flows.poller import PASSING_ERRORS
from fleetpulse.flows.topics import TELEMETRY

DEAD_LETTERS = f"{TELEMETRY}.dead-letter"
KINDS = {"fleet.availability": "availability", "fleet.maintenance": "maintenance", "fleet.rebalance": "rebalance", "fleet.alerts": "alerts"}
LATENCIES_KEPT = 1_000_000
LATEST_KEPT = 12
FINISH_S = 30.0


@dataclass(frozen=True)
class Latest:
    """An event as a person reads it in a list."""

    time: str
    type: str
    subject: str
    text: str


@dataclass
class _Seen:
    ids: dict[str, set[tuple[str, str]]] = field(default_factory=lambda: {topic: set() for topic in EVENT_TOPICS})
    latencies_ms: list[float] = field(default_factory=list)
    bridge_dead_letters: int = 0
    shards: dict[int, dict[str, int]] = field(default_factory=dict)
    vehicles: dict[str, int] = field(default_factory=dict)
    states: dict[str, Counter[str]] = field(default_factory=dict)
    latest: deque[Latest] = field(default_factory=lambda: deque(maxlen=LATEST_KEPT))


class Collector:
    """Consumes the derived topics in a thread from the beginning. `speed` divides latencies of a clock that runs faster."""

    def __init__(self, settings: Settings, *, speed: float) -> None:
        self._speed = speed
        self._seen = _Seen()
        self._consumer = Consumer({**kafka.consumer(settings, group="fleetpulse.report"), "enable.partition.eof": True})
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="report", daemon=True)

    def start(self) -> None:
        self._assign()
        self._thread.start()

    def _assign(self) -> None:
        topics = self._consumer.list_topics(timeout=10).topics
        self._partitions = [
            TopicPartition(topic, p, OFFSET_BEGINNING)
            for topic in (*EVENT_TOPICS, DEAD_LETTERS, "fleet.state")
            for p in topics[topic].partitions
        ]
        self._consumer.assign(self._partitions)

    def finish(self) -> None:
        """Read up to what is in Kafka now, then stop. Call it when nothing writes any more. Raises TimeoutError."""
        self._ending.set()
        self._thread.join(FINISH_S)
        if self._thread.is_alive():
            raise TimeoutError(f"Kafka must give the derived topics to their ends within {FINISH_S:g} s")
        self._consumer.close()

    def _run(self) -> None:
        while not self._ending.is_set():
            self._consume()
        read = self._consumer.position(self._partitions)
        self._consumer.assign(  # so that every partition's end is met anew
            [TopicPartition(p.topic, p.partition, p.offset if p.offset >= 0 else OFFSET_BEGINNING) for p in read]
        )
        at_end: set[tuple[str | None, int | None]] = set()
        while len(at_end) < len(self._partitions):
            at_end |= self._consume()

    def _consume(self) -> set[tuple[str | None, int | None]]:
        """Take what has arrived; returns the partitions that were found at their end."""
        at_end = set()
        for message in self._consumer.consume(10_000, timeout=0.1):
            error = message.error()
            if error is None:
                self._take(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                at_end.add((message.topic(), message.partition()))
            elif error.code() not in PASSING_ERRORS:
                raise KafkaException(error)
        return at_end

    def _take(self, message: Message) -> None:
        topic, value = message.topic(), message.value() or b""
        headers = {name: text.decode() for name, text in dict(message.headers() or []).items() if isinstance(text, bytes)}
        if topic == DEAD_LETTERS:
            self._seen.bridge_dead_letters += headers["source-partition"] == "-1"
        elif topic == "fleet.state":
            batch = tables.read(value)
            metadata = batch.schema.metadata
            shard = int(metadata[b"shard"])
            self._seen.shards[shard] = orjson.loads(metadata[b"counters"])
            block = (message.key() or b"").decode()
            self._seen.vehicles[block] = batch.num_rows
            counts = batch.column("vehicle_state").value_counts().to_pylist()
            self._seen.states[block] = Counter({count["values"]: count["counts"] for count in counts})
        elif topic is not None:
            identity = (headers["ce_source"], headers["ce_id"])
            if identity in self._seen.ids[topic]:
                return
            self._seen.ids[topic].add(identity)
            data = orjson.loads(value)
            kind = headers["ce_type"].removeprefix(event.TYPE_PREFIX).removesuffix(".v1")
            text = data.get("reason") or data.get("event_type") or data.get("city") or ""
            self._seen.latest.appendleft(Latest(headers["ce_time"], kind, headers["ce_subject"], text))
            recorded_ms = data.get("evidence", {}).get("recorded_ms")
            if recorded_ms and len(self._seen.latencies_ms) < LATENCIES_KEPT:
                self._seen.latencies_ms.append((message.timestamp()[1] - recorded_ms) / self._speed)

    def counters(self) -> dict[str, int]:
        """Sums over the shards, as last written to fleet.state."""
        sums: dict[str, int] = {}
        for shard in list(self._seen.shards.values()):
            for name, value in shard.items():
                sums[name] = sums.get(name, 0) + value
        return sums

    def frames(self) -> dict[str, int]:
        """The report's `frames` without `sent`."""
        sums, bridge = self.counters(), self._seen.bridge_dead_letters
        return {
            "received": sums.get("received", 0) + bridge,
            "processed": sums.get("processed", 0),
            "duplicate": sums.get("duplicate", 0),
            "late": sums.get("late", 0),
            "quarantined": _prefixed(sums, "quarantined."),
            "dead_lettered": _prefixed(sums, "dead_lettered.") + bridge,
            "missing": sums.get("missing", 0),
        }

    def events(self) -> dict[str, int]:
        return {kind: len(self._seen.ids[topic]) for topic, kind in KINDS.items()}

    def latency_ms(self) -> dict[str, float]:
        """Kafka timestamp of the causing record to that of the event, in wall milliseconds; NaN-free: 0 without events."""
        values = np.array(self._seen.latencies_ms or [0.0])
        return {
            "p50": round(float(np.percentile(values, 50)), 1),
            "p99": round(float(np.percentile(values, 99)), 1),
            "max": round(float(values.max()), 1),
        }

    def vehicles(self) -> int:
        return sum(self._seen.vehicles.values())

    def states(self) -> Counter[str]:
        """Vehicles by MDS state."""
        return sum(list(self._seen.states.values()), Counter())

    def latest(self) -> list[Latest]:
        """The newest events, newest first."""
        return list(self._seen.latest)


def _prefixed(counters: dict[str, int], prefix: str) -> int:
    return sum(value for name, value in counters.items() if name.startswith(prefix))


def violations(frames: dict[str, int]) -> list[str]:
    """The accounting identities that do not hold; empty when all do."""
    f: dict[str, Any] = frames
    broken = []
    parts = f["processed"] + f["duplicate"] + f["late"] + f["quarantined"] + f["dead_lettered"]
    if f["received"] != parts:
        broken.append(f"received = processed + duplicate + late + quarantined + dead_lettered must hold; got {f['received']} and {parts}")
    if f["sent"] != f["received"] - f["duplicate"] + f["missing"]:
        broken.append(
            f"sent = received - duplicate + missing must hold; got {f['sent']} and {f['received'] - f['duplicate'] + f['missing']}"
        )
    return broken
