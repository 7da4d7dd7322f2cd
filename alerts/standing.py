"""Where a vehicle stands: what is known of it, the MDS state that follows, and which operations are legal. Pure.

Nothing here remembers events: facts and operations change flags, and the state that the flags ask for is computed anew. So
what cannot be said yet (a battery that runs low on a trip) is said as soon as it can, by itself. How to get from the present state
to the wanted one is availability.route.
"""

from dataclasses import dataclass
from enum import IntFlag

from fleetpulse.alerts.availability import Mode
from fleetpulse.alerts.states import EventType, VehicleState
from fleetpulse.codecs.operations import Operation


class Flag(IntFlag):
    """What is known of a vehicle beyond its conditions. Kept per vehicle, one byte."""

    TRIP = 1
    PAUSED = 2
    RESERVED = 4
    UNLOCKED = 8  # car-share: the reservation ended at the vehicle, the trip has not begun
    REMOVED = 16
    DECOMMISSIONED = 32
    ABROAD = 64  # left the jurisdiction in a way that MDS has a word for


@dataclass(frozen=True)
class Standing:
    """All that the wanted state depends on.

    silent    OFFLINE or MISSING holds
    missing   MISSING holds
    outside   OUTSIDE_JURISDICTION holds
    impaired  not rentable: charge too low, or critical maintenance required
    """

    mode: Mode
    flags: Flag
    silent: bool
    missing: bool
    outside: bool
    impaired: bool

    @property
    def contactable(self) -> VehicleState:
        """The state if the vehicle can be heard; where comms_restored leads to."""
        flags, car = self.flags, self.mode == "car_share"
        if flags & Flag.REMOVED:
            return VehicleState.REMOVED
        if flags & Flag.ABROAD:
            return VehicleState.ELSEWHERE
        if flags & Flag.TRIP:
            return VehicleState.STOPPED if car and flags & Flag.PAUSED else VehicleState.ON_TRIP
        if car and flags & Flag.UNLOCKED:
            return VehicleState.STOPPED
        if flags & Flag.RESERVED:
            return VehicleState.RESERVED
        return VehicleState.NON_OPERATIONAL if self.impaired else VehicleState.AVAILABLE

    @property
    def wanted(self) -> VehicleState:
        """The state that events should lead to. Car-share has no word for missing, nor for giving up a vehicle that is silent."""
        car = self.mode == "car_share"
        if self.silent and (car or not self.flags & Flag.DECOMMISSIONED):
            return VehicleState.MISSING if self.missing and not car else VehicleState.NON_CONTACTABLE
        return self.contactable


def cross(standing: Standing) -> Flag:
    """The flags after the jurisdiction's edge was looked at: who is outside and may leave from here is abroad until it is back.

    A scooter leaves only on a trip, a car also parked or reserved; neither from the depot.
    """
    flags = standing.flags
    if not standing.outside:
        return flags & ~Flag.ABROAD
    parked = (VehicleState.AVAILABLE, VehicleState.RESERVED, VehicleState.NON_OPERATIONAL)
    may_leave = (VehicleState.ON_TRIP, *(parked if standing.mode == "car_share" else ()))
    return flags | Flag.ABROAD if standing.contactable in may_leave else flags


@dataclass(frozen=True)
class Change:
    """What a legal operation changes: the flags after it, and the event types that name it, first choice first."""

    flags: Flag
    said: tuple[EventType, ...] = ()


def operate(standing: Standing, operation: Operation) -> Change | None:
    """The change that an operation makes to where a vehicle stands; None when it is illegal there.

    Not for maintenance_done and alert_acknowledged, which depend on what is open, nor for connected and disconnected.
    """
    mode, flags, state = standing.mode, standing.flags, standing.contactable
    car = mode == "car_share"
    idle = (VehicleState.AVAILABLE, VehicleState.NON_OPERATIONAL)
    booked = bool(flags & (Flag.RESERVED | Flag.UNLOCKED)) and not flags & Flag.TRIP
    parked_abroad = not car and state == VehicleState.ELSEWHERE and not flags & Flag.TRIP
    match operation:
        case Operation.RESERVATION_START if state == VehicleState.AVAILABLE and not standing.silent:
            return Change(flags | Flag.RESERVED, (EventType.RESERVATION_START,))
        case Operation.RESERVATION_STOP if car and state == VehicleState.RESERVED:
            return Change(flags & ~Flag.RESERVED | Flag.UNLOCKED, (EventType.RESERVATION_STOP,))
        case Operation.RESERVATION_STOP | Operation.RESERVATION_CANCEL if booked and (operation == Operation.RESERVATION_CANCEL or not car):
            freed = flags & ~(Flag.RESERVED | Flag.UNLOCKED)
            return Change(freed, (EventType.CUSTOMER_CANCELLATION, EventType.RESERVATION_CANCEL))
        case Operation.REBALANCE_PICK_UP if state in idle or parked_abroad:
            return Change(Flag.REMOVED, (EventType.REBALANCE_PICK_UP, EventType.MAINTENANCE_PICK_UP))
        case Operation.DROP_OFF if flags & Flag.REMOVED and not flags & Flag.DECOMMISSIONED:
            return Change(Flag(0), (EventType.PROVIDER_DROP_OFF, EventType.MAINTENANCE_END))
        case Operation.DECOMMISSIONED if not flags & Flag.DECOMMISSIONED and (
            state in (*idle, VehicleState.REMOVED) or parked_abroad or (standing.silent and not car)
        ):
            return Change(Flag.REMOVED | Flag.DECOMMISSIONED, (EventType.DECOMMISSIONED,))
        case Operation.RECOMMISSIONED if flags & Flag.DECOMMISSIONED:
            return Change(Flag(0), (EventType.RECOMMISSIONED,))
        case _:
            return None
