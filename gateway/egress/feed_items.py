"""Kafka records of the derived topics to what the views take: state blocks, zone reports, events. Pure; no I/O, no clock."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from fleetpulse.alerts import event
from fleetpulse.codecs import tables

STATE_TOPIC = "fleet.state"
ZONES_TOPIC = "fleet.zones"
_ZONE_NAMES = ("city", "vehicle_model")
"""Columns of tables.ZONE that are names in Arrow; states and charge bands are codes there."""

_NEEDED: dict[str, tuple[str, ...]] = {
    event.AVAILABILITY_CHANGED: ("device_id", "vehicle_state", "event_type"),
    event.MAINTENANCE_REQUIRED: ("device_id", "maintenance_id", "component", "severity", "required_ms"),
    event.MAINTENANCE_RESOLVED: ("device_id", "maintenance_id"),
    event.ALERT_RAISED: ("alert_id", "rule", "severity", "raised_ms"),
    event.ALERT_ACKNOWLEDGED: ("alert_id", "rule", "severity", "raised_ms"),
    event.ALERT_ESCALATED: ("alert_id", "rule", "severity", "raised_ms"),
    event.ALERT_SUPPRESSED: ("alert_id", "rule", "severity", "raised_ms", "suppressed_by"),
    event.ALERT_RESUMED: ("alert_id", "rule", "severity", "raised_ms"),
    event.ALERT_CLEARED: ("alert_id",),
    event.ALERT_REOPENED: ("alert_id", "rule", "severity", "raised_ms", "reopened"),
    event.REBALANCE_RECOMMENDED: ("city", "zone", "kind", "interval_end_ms", "expires_ms", "priority"),
}
"""Keys of the data that a view cannot do without; the JSON Schemas require them."""


@dataclass(frozen=True)
class StateBlock:
    """One record of `fleet.state`: the up to 512 vehicles of one block of slots, whole. `rows` (N,) tables.STATE."""

    shard: int
    block: int
    stream_ms: int
    counters: dict[str, int]
    rows: NDArray[Any]


@dataclass(frozen=True)
class ZoneReport:
    """One `counts` record of `fleet.zones`: what one shard counted in one city at one boundary. `rows` (N,) tables.ZONE."""

    city: str
    shard: int
    shards: int
    interval_end_ms: int
    rows: NDArray[Any]


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """One CloudEvent: what is searched by, and the rest as bytes, so that a hundred thousand of them are quick to hold.

    type         without event.TYPE_PREFIX
    time_ms      event time
    append_ms    Kafka timestamp of the record
    order        (append_ms, topic, partition, offset): what catch-up sorts by
    city, severity, rule   of the data; "" where there is none
    recorded_ms  Kafka timestamp of the record that caused it; 0 where there is none
    body         the CloudEvent as one line of JSON
    """

    id: str
    source: str
    type: str
    subject: str
    time_ms: int
    append_ms: int
    order: tuple[int, str, int, int]
    city: str
    severity: str
    rule: str
    recorded_ms: int
    body: bytes

    def parse(self) -> dict[str, Any]:
        """The data, anew at each call."""
        data: dict[str, Any] = orjson.loads(self.body)["data"]
        return data


Item = StateBlock | ZoneReport | FeedEvent
Names = Mapping[str, Sequence[str]]


def decode(
    topic: str, partition: int, offset: int, append_ms: int, value: bytes, headers: list[tuple[str, bytes]], names: Names
) -> Item | None:
    """A record as an item; None for one that the gateway has no use for (an empty value, move candidates, silences).

    names  code column -> its names, for tables.decode
    Raises ValueError for a record that breaks its topic's contract.
    """
    if not value:
        return None
    if topic == STATE_TOPIC:
        return _state(value, names)
    if topic == ZONES_TOPIC:
        return _zones(value, names)
    return _event((append_ms, topic, partition, offset), value, headers)


def _metadata(value: bytes) -> dict[bytes, bytes]:
    with pa.ipc.open_stream(value) as reader:
        return dict(reader.schema.metadata or {})


def _state(value: bytes, names: Names) -> StateBlock:
    try:
        metadata = _metadata(value)
        return StateBlock(
            shard=int(metadata[b"shard"]),
            block=int(metadata[b"block"]),
            stream_ms=int(metadata[b"stream_ms"]),
            counters={str(k): int(v) for k, v in orjson.loads(metadata[b"counters"]).items()},
            rows=tables.decode(value, tables.STATE, names),
        )
    except (KeyError, pa.ArrowException, TypeError, AttributeError) as error:
        raise ValueError(f"a record of {STATE_TOPIC} must be an Arrow table of tables.STATE with its metadata; got {error!r}") from None


def _zones(value: bytes, names: Names) -> ZoneReport | None:
    if value.startswith(b"{"):  # what shards tell cities of silent vehicles (operators/silence.py)
        return None
    try:
        metadata = _metadata(value)
        if metadata[b"table"] != b"counts":
            return None
        return ZoneReport(
            city=metadata[b"city"].decode(),
            shard=int(metadata[b"shard"]),
            shards=int(metadata[b"shards"]),
            interval_end_ms=int(metadata[b"interval_end_ms"]),
            rows=tables.decode(value, tables.ZONE, {name: names[name] for name in _ZONE_NAMES}),
        )
    except (KeyError, pa.ArrowException, TypeError, AttributeError) as error:
        raise ValueError(f"a record of {ZONES_TOPIC} must be an Arrow table of tables.ZONE with its metadata; got {error!r}") from None


def _event(order: tuple[int, str, int, int], value: bytes, headers: list[tuple[str, bytes]]) -> FeedEvent:
    attributes = event.decode(value, headers)
    data = attributes.pop("data")
    type_ = attributes["type"].removeprefix(event.TYPE_PREFIX)
    if not isinstance(data, dict):
        raise ValueError(f"an event's data must be a JSON object; got {type(data).__name__}")
    if missing := [key for key in _NEEDED.get(type_, ()) if key not in data]:
        raise ValueError(f"data of {type_} must have {', '.join(missing)}; got {sorted(data)}")
    time, told = attributes.get("time"), data.get("evidence", {})
    if not isinstance(told, dict):
        raise ValueError(f"evidence must be a JSON object; got {type(told).__name__}")
    body = orjson.dumps({**attributes, "datacontenttype": "application/json", "data": data})
    return FeedEvent(
        id=attributes["id"],
        source=sys.intern(attributes["source"]),
        type=sys.intern(type_),
        subject=attributes.get("subject", ""),
        time_ms=round(datetime.fromisoformat(time).timestamp() * 1000) if time else order[0],
        append_ms=order[0],
        order=order,
        city=sys.intern(str(data.get("city", ""))),
        severity=sys.intern(str(data.get("severity", ""))),
        rule=sys.intern(str(data.get("rule") or told.get("rule", ""))),
        recorded_ms=int(told.get("recorded_ms", 0)),
        body=bytes(memoryview(body)),  # orjson's own bytes keep the kilobytes that it had set aside
    )


def uuid_of(hi: int, lo: int) -> str:
    """Two big-endian halves as UUID text."""
    digits = f"{hi << 64 | lo:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def halves_of(device_id: bytes) -> tuple[int, int]:
    """The inverse for the 16 bytes."""
    hi, lo = np.frombuffer(device_id, dtype=">u8").tolist()
    return hi, lo
