"""Stories for the life cycle: facts with consistent causes and times, one after the other; every event is validated."""

from math import nan
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from fleetpulse.alerts import event
from fleetpulse.alerts.event import Event
from fleetpulse.alerts.lifecycle import Lifecycle
from fleetpulse.alerts.parameters import LifecycleParameters
from fleetpulse.alerts.policy import AlertPolicy
from fleetpulse.codecs.operations import Operation, OperationRecord
from fleetpulse.codecs.schema import MISSING_E7
from fleetpulse.state.facts import FACT, Cause, Condition, Fact
from tests.support import events

START_MS = 1_700_000_000_000
SCOOTER, CAR = 1, 3
PARAMETERS = LifecycleParameters(
    modes=("micromobility", "micromobility", "micromobility", "car_share", "car_share"),
    model_names=("", "scooter", "ebike", "car", "van"),
    city_names=("", "berlin", "paris"),
    zone_names=("", "jurisdiction", "centre", "park"),
    swappable=(False, True, True, False, False),
    policy=AlertPolicy(escalate_s=1800),
)
OFFLINE = (Condition.OFFLINE, 700.0, 600.0)
MISSING = (Condition.MISSING, 90_000.0, 86_400.0)
UNRENTABLE = (Condition.UNRENTABLE_BATTERY, 8.0, 10.0)
CRASH = (Condition.CRASH, 90.0, 60.0, 1.0)
OUTSIDE = (Condition.OUTSIDE_JURISDICTION, 1.0, 40.0, 5.0)


def device(slot: int) -> UUID:
    """The vehicle in a slot."""
    return UUID(int=(0xABC << 64) + slot + 1)


def lifecycle(parameters: LifecycleParameters = PARAMETERS) -> Lifecycle:
    """An empty one, of shard 3."""
    return Lifecycle(parameters, shard=3, topic="vehicle-telemetry")


def row(fact: Fact, *, values: tuple[float, ...] = (), **fields: Any) -> NDArray[Any]:
    """(1,) FACT with plausible fields; `fields` replace them."""
    facts = np.zeros(1, dtype=FACT)
    facts["value"] = nan
    facts["value"][0, : len(values)] = values
    given: dict[str, Any] = {
        "fact": fact,
        "row": -1,
        "latitude_e7": 525_200_000,
        "longitude_e7": 134_050_000,
        "city": 1,
        "vehicle_model": SCOOTER,
        "soc_pct": 71.25,
        "boot_id": 7,
        **fields,
    }
    facts["device_hi"] = 0xABC
    facts["device_lo"] = given.get("slot", 0) + 1
    for name, value in given.items():
        facts[name] = value
    return facts


def bare(fact: Fact, condition: Condition, **fields: Any) -> NDArray[Any]:
    """A fact of a vehicle of which nothing was ever measured."""
    return row(
        fact,
        condition=condition,
        latitude_e7=MISSING_E7,
        longitude_e7=MISSING_E7,
        city=0,
        vehicle_model=0,
        soc_pct=nan,
        event_ms=START_MS,
        stream_ms=START_MS,
        **fields,
    )


class Story:
    """Tells one life cycle one fact after the other. Each call returns the events that it led to."""

    def __init__(self, *, model: int = SCOOTER, parameters: LifecycleParameters = PARAMETERS) -> None:
        self.lifecycle = lifecycle(parameters)
        self.now_ms = START_MS
        self.events: list[Event] = []
        self._model = model
        self._seq = 0

    def wait(self, duration_s: float) -> list[Event]:
        """Let stream time go on."""
        self.now_ms += round(duration_s * 1000)
        return self._take(self.lifecycle.advance(self.now_ms))

    def fact(
        self,
        fact: Fact,
        condition: Condition = Condition.LOW_BATTERY,
        *values: float,
        operation: OperationRecord | None = None,
        late: bool = False,
        timer: bool = False,
        slot: int = 0,
        **fields: Any,
    ) -> list[Event]:
        """One fact, a second after the one before it."""
        self.now_ms += 1000
        self._seq += 1
        cause = Cause.DEADLINE if timer else Cause.OPERATION if operation else Cause.FRAME
        given: dict[str, Any] = {
            "condition": condition,
            "slot": slot,
            "late": late,
            "cause": cause,
            "seq": self._seq,
            "row": 5 if operation else -1,
            "event_ms": self.now_ms - 10,
            "stream_ms": self.now_ms,
            "append_ms": 0 if timer else self.now_ms,
            "cause_ms": self.now_ms - 10 if timer else 0,
            "first_offset": self._seq,
            "last_offset": self._seq + 2,
            "vehicle_model": self._model,
            **fields,
        }
        facts = row(fact, values=values, **given)
        return self._take(self.lifecycle.apply(facts, {5: operation} if operation else {}))

    def raised(self, condition: Condition, *values: float, **more: Any) -> list[Event]:
        return self.fact(Fact.RAISED, condition, *values, **more)

    def cleared(self, condition: Condition, *values: float, **more: Any) -> list[Event]:
        return self.fact(Fact.CLEARED, condition, *values, **more)

    def trip_starts(self, **more: Any) -> list[Event]:
        return self.fact(Fact.TRIP_STARTED, Condition.LOW_BATTERY, 1234.5, trip_hi=1, trip_lo=2, **more)

    def trip_ends(self, **more: Any) -> list[Event]:
        values = (float(self.now_ms - 60_000), 60.0, 412.34567, 8.76543, 72.0, 52.51, 13.4)
        return self.fact(Fact.TRIP_ENDED, Condition.LOW_BATTERY, *values, trip_hi=1, trip_lo=2, **more)

    def operate(self, operation: Operation, *, id_: str = "", by: str = "ada", slot: int = 0, **detail: Any) -> list[Event]:
        record = OperationRecord(operation, device(slot), self.now_ms, by, id_ or f"op{self._seq}", detail)
        return self.fact(Fact.OPERATION, operation=record, slot=slot)

    def fact_of_the_future(self) -> list[Event]:
        """A reservation whose writer's clock is a year ahead."""
        ahead_ms = self.now_ms + 365 * 86_400_000
        record = OperationRecord(Operation.RESERVATION_START, device(0), ahead_ms, "ada", "future", {})
        return self.fact(Fact.OPERATION, operation=record, event_ms=ahead_ms)

    def states(self) -> list[tuple[str, str]]:
        """(event type, state) of every availability event so far."""
        return [(e.data["event_type"], e.data["vehicle_state"]) for e in self.events if e.type == event.AVAILABILITY_CHANGED]

    def _take(self, made: list[Event]) -> list[Event]:
        for e in made:
            events.validate(event.encode(e, deployment="test"))
        self.events += made
        return made


def moves(made: list[Event]) -> list[tuple[str, str]]:
    """(event type, state) of the availability events among these."""
    return [(e.data["event_type"], e.data["vehicle_state"]) for e in made if e.type == event.AVAILABILITY_CHANGED]


def kinds(made: list[Event]) -> list[tuple[str, str]]:
    """(type without "vehicle." and version, rule) of the events that are no availability events."""
    return [(e.type.removeprefix("vehicle.").removesuffix(".v1"), e.rule) for e in made if e.type != event.AVAILABILITY_CHANGED]


def one(made: list[Event], type_: str) -> dict[str, Any]:
    """Data of the only event of this type."""
    found = [e.data for e in made if e.type == type_]
    assert len(found) == 1, (type_, made)
    return found[0]
