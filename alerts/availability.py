"""The MDS 2.0 state machines of both modes: tables, and the one function that moves. Pure.

What state a vehicle should be in is decided in standing.py; here stands how it may get there. Sources: the mode pages
`micromobility` and `car-share` of the Mobility Data Specification 2.0.
"""

from collections import deque
from typing import Literal

from fleetpulse.alerts.states import EventType, VehicleState

Mode = Literal["micromobility", "car_share"]
Edge = tuple[VehicleState, EventType, VehicleState]

# from, to: event types that may lead there. The first is the one that we say when nothing tells another.
_TABLES: dict[Mode, str] = {
    "micromobility": """
        available        reserved         reservation_start
        available        on_trip          trip_start
        available        non_operational  maintenance battery_low off_hours system_suspend unspecified
        available        removed          rebalance_pick_up decommissioned maintenance_pick_up agency_pick_up compliance_pick_up unspecified
        available        non_contactable  comms_lost unspecified
        reserved         available        reservation_cancel
        reserved         on_trip          trip_start
        reserved         non_contactable  comms_lost unspecified
        on_trip          available        trip_end trip_cancel
        on_trip          on_trip          changed_geographies
        on_trip          elsewhere        trip_leave_jurisdiction
        on_trip          non_contactable  comms_lost unspecified
        non_operational  available        unspecified battery_charged maintenance on_hours system_resume
        non_operational  removed          rebalance_pick_up decommissioned maintenance_pick_up agency_pick_up compliance_pick_up unspecified
        non_operational  non_contactable  comms_lost unspecified
        removed          available        provider_drop_off agency_drop_off
        removed          non_contactable  comms_lost unspecified
        elsewhere        on_trip          trip_enter_jurisdiction
        elsewhere        removed          rebalance_pick_up decommissioned maintenance_pick_up agency_pick_up compliance_pick_up unspecified
        elsewhere        non_contactable  comms_lost unspecified
        non_contactable  available        comms_restored agency_drop_off provider_drop_off unspecified
        non_contactable  reserved         comms_restored unspecified
        non_contactable  on_trip          comms_restored unspecified
        non_contactable  non_operational  comms_restored unspecified
        non_contactable  removed          comms_restored decommissioned agency_pick_up unspecified
        non_contactable  elsewhere        comms_restored unspecified
        non_contactable  missing          not_located unspecified
        missing          available        located agency_drop_off provider_drop_off unspecified
        missing          reserved         located unspecified
        missing          on_trip          located unspecified
        missing          non_operational  located unspecified
        missing          removed          located decommissioned agency_pick_up unspecified
        missing          elsewhere        located unspecified
    """,
    "car_share": """
        available        reserved         reservation_start
        available        non_operational  service_end
        available        elsewhere        trip_leave_jurisdiction
        available        non_contactable  comms_lost
        reserved         stopped          reservation_stop
        reserved         available        customer_cancellation driver_cancellation provider_cancellation
        reserved         elsewhere        trip_leave_jurisdiction
        reserved         non_contactable  comms_lost
        stopped          on_trip          trip_resume trip_start
        stopped          available        trip_end customer_cancellation driver_cancellation provider_cancellation
        stopped          non_contactable  comms_lost
        on_trip          stopped          trip_stop
        on_trip          elsewhere        trip_leave_jurisdiction
        on_trip          non_contactable  comms_lost
        non_operational  available        service_start
        non_operational  removed          maintenance_pick_up maintenance decommissioned
        non_operational  elsewhere        trip_leave_jurisdiction
        non_operational  non_contactable  comms_lost
        removed          non_operational  maintenance_end recommissioned
        removed          non_contactable  comms_lost
        elsewhere        on_trip          trip_enter_jurisdiction
        elsewhere        available        trip_enter_jurisdiction
        elsewhere        reserved         trip_enter_jurisdiction
        elsewhere        non_operational  trip_enter_jurisdiction
        elsewhere        non_contactable  comms_lost
        non_contactable  available        comms_restored
        non_contactable  reserved         comms_restored
        non_contactable  stopped          comms_restored
        non_contactable  on_trip          comms_restored
        non_contactable  non_operational  comms_restored
        non_contactable  removed          comms_restored
        non_contactable  elsewhere        comms_restored
    """,
}

_ON_THE_WAY = frozenset(
    (VehicleState.AVAILABLE, VehicleState.RESERVED, VehicleState.ON_TRIP, VehicleState.STOPPED, VehicleState.NON_OPERATIONAL),
)
"""States that a vehicle may pass through on a path of several events. The others claim what did not happen."""


class IllegalMoveError(Exception):
    """The mode's machine has no such edge. An error of ours: what is asked for from outside is checked before."""


def _parse(table: str) -> dict[tuple[VehicleState, VehicleState], tuple[EventType, ...]]:
    pairs = {}
    for line in table.split("\n"):
        if words := line.upper().split():
            pairs[VehicleState[words[0]], VehicleState[words[1]]] = tuple(EventType[word] for word in words[2:])
    return pairs


_PAIRS = {mode: _parse(table) for mode, table in _TABLES.items()}

EDGES: dict[Mode, frozenset[Edge]] = {
    mode: frozenset((a, event, b) for (a, b), events in pairs.items() for event in events) for mode, pairs in _PAIRS.items()
}
"""Every legal (state, event type, next state) of each mode."""


def _paths(mode: Mode, start: VehicleState) -> dict[VehicleState, tuple[VehicleState, ...]]:
    """The states after `start` on a shortest path to each state that can be reached (breadth first, in the table's order)."""
    paths: dict[VehicleState, tuple[VehicleState, ...]] = {start: ()}
    queue = deque([start])
    while queue:
        state = queue.popleft()
        silent = state == VehicleState.NON_CONTACTABLE and state != start  # on the way only to missing
        for a, b in _PAIRS[mode]:
            if a == state and b not in paths and (b == VehicleState.MISSING or not silent):
                paths[b] = (*paths[a], b)
                if b in _ON_THE_WAY or b == VehicleState.NON_CONTACTABLE:
                    queue.append(b)
    return paths


_PATHS = {mode: {state: _paths(mode, state) for state in VehicleState} for mode in _TABLES}


def move(mode: Mode, state: VehicleState, event: EventType, to: VehicleState) -> VehicleState:
    """The next state, which the event alone does not tell (comms_restored returns to the prior one). Raises IllegalMoveError."""
    if (state, event, to) not in EDGES[mode]:
        raise IllegalMoveError(f"{mode} must have the edge {state.name} -{event.name}> {to.name}; it has not")
    return to


def route(mode: Mode, state: VehicleState, to: VehicleState, said: tuple[EventType, ...] = ()) -> list[tuple[EventType, VehicleState]]:
    """The shortest legal path as (event type, state) steps; empty when already there.

    said  event types that name what happened, first choice first; a step takes the first that its edge has, else the usual one

    Raises IllegalMoveError when there is no path.

    >>> [(e.name, s.name) for e, s in route("micromobility", VehicleState.ON_TRIP, VehicleState.NON_OPERATIONAL, (EventType.BATTERY_LOW,))]
    [('TRIP_END', 'AVAILABLE'), ('BATTERY_LOW', 'NON_OPERATIONAL')]
    """
    path = _PATHS[mode][state].get(to)
    if path is None:
        raise IllegalMoveError(f"{mode} must have a path from {state.name} to {to.name}; it has none")
    steps = []
    for b in path:
        events = _PAIRS[mode][state, b]
        event = next((e for e in said if e in events), events[0])
        steps.append((event, b))
        state = move(mode, state, event, b)
    return steps
