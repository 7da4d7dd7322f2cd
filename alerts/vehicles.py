"""What the life cycle keeps of each vehicle, by slot, and the one place where a vehicle's MDS state changes.

One record a vehicle; nothing is done for a vehicle to which nothing happened.
"""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.alerts import event, trips
from fleetpulse.alerts.availability import Mode, route
from fleetpulse.alerts.evidence import FactRow, Trigger
from fleetpulse.alerts.maintenance import Maintenances
from fleetpulse.alerts.recorder import Recorder
from fleetpulse.alerts.rules import RULES
from fleetpulse.alerts.standing import Flag, Standing, cross
from fleetpulse.alerts.states import EventType, VehicleState
from fleetpulse.state.facts import Condition

VEHICLE: np.dtype[np.void] = np.dtype(
    [
        ("vehicle_state", "u1"),  # VehicleState
        ("event_type", "u1"),  # EventType that led there
        ("flags", "u1"),  # standing.Flag
        ("mode", "u1"),  # index in MODES
        ("conditions", "<u4"),  # bits of the conditions that hold
        ("alerts", "<u4"),  # bits of the conditions behind open alerts
        ("maintenance", "<u4"),  # bits of the conditions behind open tasks
        ("state_since_ms", "<i8"),  # 0: as first seen
    ],
    align=True,
)
MODES: tuple[Mode, ...] = ("micromobility", "car_share")
_TRIP_STATES = frozenset((VehicleState.ON_TRIP, VehicleState.STOPPED, VehicleState.ELSEWHERE))
_SHARED_STATES = frozenset(VehicleState) - {VehicleState.MISSING, VehicleState.STOPPED}
"""States that both modes have."""


def bit(condition: Condition) -> int:
    """The condition's bit in `conditions`, `alerts` and `maintenance`."""
    return 1 << condition


@cache
def names_of(conditions: int) -> frozenset[str]:
    """Names of the rules, and of their alerts, of a set of conditions."""
    rules = [RULES[condition] for condition in Condition if conditions & bit(condition)]
    return frozenset(name for rule in rules for name in (rule.name, rule.alert) if name)


class Vehicles:
    """The records of a shard's vehicles."""

    def __init__(self, recorder: Recorder, maintenances: Maintenances) -> None:
        self.records: NDArray[Any] = np.zeros(1024, dtype=VEHICLE)
        self.service: NDArray[np.uint8] = np.zeros(1024, dtype=np.uint8)
        """1: in service, so that no alert of it is told."""
        self.count = 0
        self._recorder = recorder
        self._maintenances = maintenances

    def ensure(self, vehicles: int) -> None:
        """Have a record for each of the slots below `vehicles`; new ones are available, as first seen."""
        if vehicles > len(self.records):
            grown = np.zeros(max(vehicles, 2 * len(self.records)), dtype=VEHICLE)
            grown[: self.count] = self.records[: self.count]
            self.records = grown
            self.service = np.append(self.service, np.zeros(len(grown) - len(self.service), dtype=np.uint8))
        self.count = max(self.count, vehicles)

    def forget(self, slot: int) -> None:
        """Make the slot's record that of a vehicle never seen."""
        self.records[slot] = np.zeros((), dtype=VEHICLE)

    def flags(self, slot: int) -> Flag:
        """The vehicle's flags."""
        return Flag(int(self.records["flags"][slot]))

    def set_flags(self, slot: int, flags: Flag) -> None:
        """Replace the vehicle's flags; `settle` makes the events of it."""
        self.records["flags"][slot] = int(flags)

    def hold(self, slot: int, condition: Condition) -> None:
        """The condition holds from now on."""
        self.records["conditions"][slot] |= np.uint32(bit(condition))

    def release(self, slot: int, condition: Condition) -> None:
        """The condition holds no longer."""
        self.records["conditions"][slot] &= np.uint32(~bit(condition) & 0xFFFFFFFF)

    def holds(self, slot: int, condition: Condition) -> bool:
        """Whether the condition holds."""
        return bool(int(self.records["conditions"][slot]) & bit(condition))

    def holding(self, slot: int) -> frozenset[str]:
        """Names of the rules, and of their alerts, whose conditions hold."""
        return names_of(int(self.records["conditions"][slot]))

    def choose_mode(self, row: FactRow) -> None:
        """Follow the vehicle's model. A model of the other mode waits until the vehicle is in a state that both modes have."""
        mode = MODES.index(self._recorder.parameters.mode(row.vehicle_model))
        record = self.records[row.slot]
        if row.vehicle_model and mode != record["mode"] and int(record["vehicle_state"]) in _SHARED_STATES:
            record["mode"] = mode
            record["flags"] &= np.uint8(~(Flag.PAUSED | Flag.UNLOCKED) & 0xFF)

    def standing(self, slot: int) -> Standing:
        """Where the vehicle stands now."""
        conditions = int(self.records["conditions"][slot])
        missing = bool(conditions & bit(Condition.MISSING))
        return Standing(
            mode=MODES[self.records["mode"][slot]],
            flags=self.flags(slot),
            silent=missing or bool(conditions & bit(Condition.OFFLINE)),
            missing=missing,
            outside=bool(conditions & bit(Condition.OUTSIDE_JURISDICTION)),
            impaired=bool(conditions & bit(Condition.UNRENTABLE_BATTERY)) or self._maintenances.critical(slot),
        )

    def settle(self, tip: Trigger, rule: str, said: tuple[EventType, ...] = ()) -> None:
        """Bring the vehicle to the state that it should be in, and tell each step.

        rule  of the events
        said  event types that name what happened, first choice first

        Times of one vehicle rise strictly, whatever its clock does.
        """
        slot = tip.row.slot
        standing = self.standing(slot)
        flags = cross(standing)
        if flags != standing.flags:
            standing = replace(standing, flags=flags)
            self.set_flags(slot, flags)
        state, wanted = VehicleState(int(self.records["vehicle_state"][slot])), standing.wanted
        if state == wanted:
            return
        if wanted == VehicleState.NON_OPERATIONAL:
            said = (*said, EventType.MAINTENANCE if self._maintenances.critical(slot) else EventType.BATTERY_LOW)
        record = self.records[slot]
        for event_type, to in route(standing.mode, state, wanted, said):
            time_ms = max(tip.time_ms, int(record["state_since_ms"]) + 1)
            data = {
                "vehicle_state": to.name.lower(),
                "previous_state": state.name.lower(),
                "event_type": event_type.name.lower(),
                **(trips.trip_id(tip.row) if {state, to} & _TRIP_STATES else {}),
            }
            self._recorder.record(event.AVAILABILITY_CHANGED, tip, rule, data, time_ms=time_ms)
            record["vehicle_state"], record["event_type"], record["state_since_ms"] = to, event_type, time_ms
            state = to
