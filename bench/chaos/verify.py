"""What a deployment has in Kafka, compared: with the ledgers of its vehicles, with its counters, with another run over the same log."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import numpy as np
import orjson
from confluent_kafka import Message

from fleetpulse.alerts import clusters
from fleetpulse.alerts.event import EVENT_TOPICS, REBALANCE_RECOMMENDED, TOPICS
from fleetpulse.bench import topic
from fleetpulse.codecs import records
from fleetpulse.codecs.schema import Kind
from fleetpulse.config.settings import Settings
from fleetpulse.flows import offsets, replay
from fleetpulse.flows.topics import TELEMETRY
from fleetpulse.models.parameters import VERSIONS


class Content(NamedTuple):
    """All of an event's record that a reader sees."""

    topic: str
    key: bytes
    headers: tuple[tuple[str, bytes], ...]
    value: bytes

    @property
    def flow(self) -> str:
        """The dataflow that makes such events."""
        rule = orjson.loads(self.value)["evidence"]["rule"]
        if self.topic == TOPICS[REBALANCE_RECOMMENDED] or rule == clusters.RULE:
            return "city"
        return "detect" if rule in VERSIONS else "telemetry"


Events = dict[str, set[Content]]
"""Event id -> the distinct contents that stand under it."""


def events(address: str) -> Events:
    """All events that a broker holds."""
    found: Events = {}
    for name in EVENT_TOPICS:
        for message in topic.read(address, name):
            headers = _headers(message)
            content = Content(name, message.key() or b"", headers, message.value() or b"")
            found.setdefault(dict(headers)["ce_id"].decode(), set()).add(content)
    return found


def _headers(message: Message) -> tuple[tuple[str, bytes], ...]:
    headers = message.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    return tuple((name, value) for name, value in pairs if isinstance(value, bytes))


def tables(address: str) -> dict[str, set[bytes]]:
    """The distinct records of the topics that flows hand to flows, each with its partition."""
    return {
        name: {f"{message.partition()} ".encode() + (message.value() or b"") for message in topic.read(address, name)}
        for name in ("fleet.features", "fleet.zones")
    }


@dataclass(frozen=True)
class Difference:
    """Of the events of a run from those wanted, by id.

    lost     wanted, and not there
    doubled  there more than once: with distinct contents, or under an id that nothing in the log causes (a cause with two ids)
    """

    lost: tuple[str, ...]
    doubled: tuple[str, ...]


def difference(got: Events, wanted: Events) -> Difference:
    """Compare a run with an undisturbed one; that must have one content an id."""
    lost = wanted.keys() - got.keys()
    changed = {id_ for id_, contents in got.items() if len(contents) > 1 or contents != wanted.get(id_)}
    return Difference(tuple(sorted(lost)), tuple(sorted(changed)))


@dataclass(frozen=True)
class Log:
    """What the raw topic holds.

    last     (device id, boot) -> (distinct frames, greatest seq)
    letters  payloads and frames in it that cannot be decoded
    """

    last: Mapping[tuple[bytes, int], tuple[int, int]]
    frames: int
    letters: int
    operations: frozenset[str]


def log(settings: Settings) -> Log:
    """Decode the whole raw topic."""
    partitions = settings.kafka.partitions
    parts, letters, operations = [], 0, set()
    for partition, end in offsets.ends(settings, TELEMETRY, partitions).items():
        if end == 0:
            continue
        for polled in replay.read(settings, partition, end=end):
            batch = records.decode(polled, source_topic=TELEMETRY, partitions=partitions)
            parts.append(batch.frames[["device_hi", "device_lo", "boot_id", "seq"]][batch.frames["kind"] == Kind.FRAME])
            letters += len(batch.dead_letters)
            operations |= {operation.operation_id for operation in batch.operations.values()}
    rows = np.unique(np.concatenate(parts))
    boots = rows[["device_hi", "device_lo", "boot_id"]]
    starts = np.flatnonzero(np.append(True, boots[1:] != boots[:-1]))
    counts, ends = np.diff(starts, append=len(rows)), np.append(starts[1:], len(rows)) - 1
    last = {
        (int(rows["device_hi"][a]).to_bytes(8, "big") + int(rows["device_lo"][a]).to_bytes(8, "big"), int(rows["boot_id"][a])): (
            int(count),
            int(rows["seq"][b]),
        )
        for a, b, count in zip(starts.tolist(), ends.tolist(), counts.tolist(), strict=True)
    }
    return Log(last, len(rows), letters, frozenset(operations))


@dataclass(frozen=True)
class Frames:
    """The log against the ledgers: frames of the ledgers that it does not hold, and the other way round, which is a fault of a ledger."""

    lost: int
    unknown: int


def frames(ledger: Path, held: Log) -> Frames:
    """Compare seq by seq: each from 0 to the last of a boot is one frame."""
    lost, known = 0, dict(held.last)
    unknown = 0
    for name, boots in orjson.loads((ledger / "boots.json").read_bytes()).items():
        for boot, _, last_seq in boots:
            count, greatest = known.pop((UUID(name).bytes, boot), (0, -1))
            beyond = max(0, greatest - last_seq)
            unknown += beyond
            lost += max(0, last_seq + 1 - (count - beyond))
    return Frames(lost, unknown + sum(count for count, _ in known.values()))


def total(counters: Mapping[str, int], *names: str) -> int:
    """Sum of counters, also of those `name.<reason>`."""
    return sum(value for name, value in counters.items() if name.split(".")[0] in names)


def broken_identities(counters: Mapping[str, int], held: Log, lost: int) -> list[str]:
    """The accounting identities of the flow's counters that do not hold, as sentences."""
    parts = total(counters, "processed", "duplicate", "late", "quarantined", "dead_lettered")
    distinct = total(counters, "processed", "late", "quarantined")
    rows: Iterable[tuple[str, int, int]] = (
        ("received = processed + duplicate + late + quarantined + dead_lettered", counters.get("received", 0), parts),
        ("distinct frames of the log = processed + late + quarantined", held.frames, distinct),
        ("missing = frames of the ledger that are not in the log", counters.get("missing", 0), lost),
        ("dead_lettered = what the log holds that cannot be decoded", total(counters, "dead_lettered"), held.letters),
    )
    return [f"{what} must hold; got {left} and {right}" for what, left, right in rows if left != right]
