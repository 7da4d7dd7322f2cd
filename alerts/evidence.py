"""A fact as the events speak of it: who, when, what tipped it, and why. Pure; numbers are rounded here and nowhere else."""

from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, NamedTuple, TypedDict
from uuid import UUID

from numpy.typing import NDArray

from fleetpulse.alerts.parameters import LifecycleParameters
from fleetpulse.codecs.operations import OperationRecord
from fleetpulse.codecs.schema import MISSING_E7
from fleetpulse.state.facts import VALUE_NAMES, Cause, Condition, Fact

VERSION = "1"
"""Version of the rules; goes up when one of them decides differently."""
_WHOLE = frozenset({"zone", "wheel", "fault_bits", "crash_bit", "implausible_fields", "sensors"})
"""Values that are numbers or codes of something."""


class FactRow(NamedTuple):
    """A row of state.facts.FACT as Python values; the same names in the same order."""

    fact: int
    condition: int
    cause: int
    late: int
    slot: int
    row: int
    status: int
    boot_id: int
    seq: int
    device_hi: int
    device_lo: int
    trip_hi: int
    trip_lo: int
    event_ms: int
    stream_ms: int
    append_ms: int
    cause_ms: int
    first_offset: int
    last_offset: int
    latitude_e7: int
    longitude_e7: int
    city: int
    vehicle_model: int
    soc_pct: float
    value: list[float]


class Told(TypedDict):
    """What events say where it does not follow from a fact: a model's finding."""

    common: dict[str, Any]
    evidence: dict[str, Any]


@dataclass(frozen=True)
class Trigger:
    """What the events of one moment hang on: a fact, or the deadline of a timer of ours.

    row      the fact; for a timer the one that set it
    subject  device id as UUID text
    cause    see alerts.event.Event
    time_ms  event time
    timer    True: no record tipped it
    told     replaces what `row` says of the vehicle and of the reasons
    """

    row: FactRow
    subject: str
    cause: str
    time_ms: int
    timer: bool = False
    told: Told | None = None

    @property
    def now_ms(self) -> int:
        """Stream time."""
        return self.time_ms if self.timer else self.row.stream_ms

    def about(self, row: FactRow, told: Told | None) -> "Trigger":
        """The same moment, for events about an earlier fact: its condition and values (or what was told of it); who, where, when, and
        which record are of now."""
        if row is self.row and told is self.told:
            return self
        if told is not None and told is not self.told:
            recorded = {"recorded_ms": self.row.append_ms} if self.row.append_ms > 0 else {}
            kept = {name: value for name, value in told["evidence"].items() if name != "recorded_ms"}
            told = {"common": told["common"], "evidence": kept | recorded}
        if not self.timer and row is not self.row:
            row = self.row._replace(fact=row.fact, condition=row.condition, value=row.value)
        return replace(self, row=row, told=told)


def rows(facts: NDArray[Any]) -> list[FactRow]:
    """(N,) FACT to rows."""
    return [FactRow._make((*values[:-1], values[-1].tolist())) for values in facts.tolist()]


def uuid_text(hi: int, lo: int) -> str:
    """The UUID of two big-endian halves."""
    return str(UUID(int=hi << 64 | lo))


def trigger(row: FactRow, operation: OperationRecord | None) -> Trigger:
    """What a fact tips. An operation's time is what its writer says, but never after its record was written."""
    subject = uuid_text(row.device_hi, row.device_lo)
    if row.cause == Cause.FRAME:
        return Trigger(row, subject, f"{row.boot_id}.{row.seq}", row.event_ms)
    if row.cause == Cause.OPERATION:
        assert operation is not None, "the fact of an operation comes with its record"
        return Trigger(row, subject, f"operation.{operation.operation_id}", min(row.event_ms, row.append_ms))
    kind = "window" if row.cause == Cause.WINDOW else "deadline"
    return Trigger(row, subject, f"{kind}.{row.cause_ms}", row.event_ms)


def deadline(row: FactRow, deadline_ms: int) -> Trigger:
    """What a timer of ours tips that the fact `row` set."""
    return Trigger(row, uuid_text(row.device_hi, row.device_lo), f"deadline.{deadline_ms}", deadline_ms, timer=True)


def number(name: str, value: float) -> float | int:
    """A measured value with the digits that mean something; `name` tells its unit."""
    if name.endswith("_ms") or name in _WHOLE:
        return max(0, min(int(value), 2**64 - 1))  # what JSON readers of integers can take
    return round(value, 7 if name.endswith(("latitude_deg", "longitude_deg")) else 3) + 0.0


def values(row: FactRow) -> dict[str, float]:
    """The fact's values by name; what was not measured is absent."""
    fact, condition = Fact(row.fact), None
    if fact in (Fact.RAISED, Fact.CLEARED):
        fact, condition = Fact.RAISED, Condition(row.condition)
    names = VALUE_NAMES.get((fact, condition), ())
    return {name: number(name, value) for name, value in zip(names, row.value, strict=False) if isfinite(value)}


def common(row: FactRow, parameters: LifecycleParameters) -> dict[str, Any]:
    """The keys that every event about a vehicle has; what is not known is left out."""
    data: dict[str, Any] = {"device_id": uuid_text(row.device_hi, row.device_lo)}
    if city := parameters.city_name(row.city):
        data["city"] = city
    if model := parameters.model_name(row.vehicle_model):
        data["vehicle_model"] = model
    if MISSING_E7 not in (row.latitude_e7, row.longitude_e7):
        data["latitude_deg"] = round(row.latitude_e7 / 1e7, 7)
        data["longitude_deg"] = round(row.longitude_e7 / 1e7, 7)
    if isfinite(row.soc_pct):
        data["battery_soc_pct"] = number("battery_soc_pct", row.soc_pct)
    return data


def evidence(tip: Trigger, rule: str, parameters: LifecycleParameters, *, topic: str, partition: int) -> dict[str, Any]:
    """Why: rule with version, values, where in Kafka, and the window if it was one."""
    if tip.told is not None:
        return {name: value for name, value in tip.told["evidence"].items() if not (tip.timer and name == "recorded_ms")}
    row = tip.row
    data: dict[str, Any] = {"rule": rule, "version": VERSION, "values": values(row)}
    if row.first_offset >= 0:
        data["kafka"] = {
            "topic": topic,
            "partition": partition,
            "first_offset": str(row.first_offset),
            "last_offset": str(row.last_offset),
        }
    if not tip.timer and row.append_ms > 0:
        data["recorded_ms"] = row.append_ms
    if row.cause == Cause.WINDOW:
        data["window"] = {"start_ms": row.cause_ms - parameters.window_s * 1000, "end_ms": row.cause_ms}
    return data
