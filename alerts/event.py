"""The event envelope: CloudEvents 1.0 in Kafka's binary mode, JSON data, ids that a redelivery cannot change. Pure.

Every event of every flow is made here, so `id`, headers and topic follow one rule (docs/architecture.md, section Events).
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import orjson

TYPE_PREFIX = "eu.mobilitycorp.fleet."
NAMESPACE = UUID("6f0e8f5e-3d0b-5c59-9a53-0f3f4e1c7a10")

AVAILABILITY_CHANGED = "vehicle.availability.changed.v1"
MAINTENANCE_REQUIRED = "vehicle.maintenance.required.v1"
MAINTENANCE_RESOLVED = "vehicle.maintenance.resolved.v1"
ALERT_RAISED = "vehicle.alert.raised.v1"
ALERT_ACKNOWLEDGED = "vehicle.alert.acknowledged.v1"
ALERT_ESCALATED = "vehicle.alert.escalated.v1"
ALERT_SUPPRESSED = "vehicle.alert.suppressed.v1"
ALERT_RESUMED = "vehicle.alert.resumed.v1"
ALERT_CLEARED = "vehicle.alert.cleared.v1"
ALERT_REOPENED = "vehicle.alert.reopened.v1"
TRIP_STARTED = "vehicle.trip.started.v1"
TRIP_ENDED = "vehicle.trip.ended.v1"
REBALANCE_RECOMMENDED = "zone.rebalance.recommended.v1"

TOPICS: dict[str, str] = {
    AVAILABILITY_CHANGED: "fleet.availability",
    MAINTENANCE_REQUIRED: "fleet.maintenance",
    MAINTENANCE_RESOLVED: "fleet.maintenance",
    ALERT_RAISED: "fleet.alerts",
    ALERT_ACKNOWLEDGED: "fleet.alerts",
    ALERT_ESCALATED: "fleet.alerts",
    ALERT_SUPPRESSED: "fleet.alerts",
    ALERT_RESUMED: "fleet.alerts",
    ALERT_CLEARED: "fleet.alerts",
    ALERT_REOPENED: "fleet.alerts",
    TRIP_STARTED: "fleet.trips",
    TRIP_ENDED: "fleet.trips",
    REBALANCE_RECOMMENDED: "fleet.rebalance",
}
EVENT_TOPICS = tuple(dict.fromkeys(TOPICS.values()))


@dataclass(frozen=True)
class Event:
    """One event before it is bytes.

    type     one of the names above, without TYPE_PREFIX
    subject  device id as UUID text, or a zone; also the Kafka key
    rule     rule or model that fired
    cause    what tipped it: "{boot_id}.{seq}" of a frame, "deadline.{ms}", "window.{end_ms}", "interval.{end_ms}",
             "operation.{operation_id}"
    n        counts the events of one (type, subject, rule, cause), from 0
    time_ms  event time
    data     JSON data without floats of more digits than mean something
    """

    type: str
    subject: str
    rule: str
    cause: str
    time_ms: int
    data: dict[str, Any]
    n: int = 0

    @property
    def id(self) -> str:
        return event_id(self.type, self.subject, self.rule, self.cause, self.n)

    @property
    def topic(self) -> str:
        return TOPICS[self.type]


@dataclass(frozen=True)
class Outgoing:
    """A Kafka record to be produced.

    timestamp_ms  None: stamped by the sink from the deployment's clock
    partition     None: by the murmur2 hash of the key
    """

    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp_ms: int | None = None
    partition: int | None = None


def event_id(type_: str, subject: str, rule: str, cause: str, n: int = 0) -> str:
    """UUIDv5 of (type, subject, rule, cause, n): equal for a redelivered frame, never a Kafka offset."""
    return str(uuid5(NAMESPACE, "\x1f".join((type_, subject, rule, cause, str(n)))))


def rfc3339(time_ms: int) -> str:
    """UTC, milliseconds, Z."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def time_ms(text: str) -> int:
    """The inverse of rfc3339."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def encode(event: Event, *, deployment: str) -> Outgoing:
    """The event as a Kafka record in CloudEvents binary mode. The inverse is decode."""
    headers = (
        ("ce_specversion", b"1.0"),
        ("ce_id", event.id.encode()),
        ("ce_source", f"/fleetpulse/{deployment}".encode()),
        ("ce_type", (TYPE_PREFIX + event.type).encode()),
        ("ce_subject", event.subject.encode()),
        ("ce_time", rfc3339(event.time_ms).encode()),
        ("ce_partitionkey", event.subject.encode()),
        ("content-type", b"application/json"),
    )
    return Outgoing(event.topic, event.subject.encode(), orjson.dumps(event.data), headers)


def decode(value: bytes, headers: list[tuple[str, bytes]]) -> dict[str, Any]:
    """A record as a CloudEvents JSON object: attributes without the prefix, and `data`. Raises ValueError when it is none."""
    event: dict[str, Any] = {name.removeprefix("ce_"): text.decode() for name, text in headers if name.startswith("ce_")}
    missing = {"id", "source", "type", "specversion"} - event.keys()
    if missing:
        raise ValueError(f"a CloudEvents record must have the headers ce_id, ce_source, ce_type, ce_specversion; missing {sorted(missing)}")
    event["data"] = orjson.loads(value)
    return event
