"""The MDS machines: the tables are the standard's, and nothing moves off them."""

import csv
from itertools import product
from pathlib import Path

import pytest

from fleetpulse.alerts.availability import EDGES, IllegalMoveError, Mode, move, route
from fleetpulse.alerts.states import EventType, VehicleState

TRANSITIONS = Path("/work/shared/data/mds/micromobility_transitions.csv")
MODES: tuple[Mode, ...] = ("micromobility", "car_share")

CAR_SHARE = """
    available -reservation_start> reserved -reservation_stop> stopped -trip_start> on_trip -trip_stop> stopped -trip_resume> on_trip
    stopped -trip_end> available
    reserved -driver_cancellation> available
    reserved -customer_cancellation> available
    reserved -provider_cancellation> available
    stopped -driver_cancellation> available
    stopped -customer_cancellation> available
    stopped -provider_cancellation> available
    available -service_end> non_operational -service_start> available
    non_operational -maintenance_pick_up> removed -maintenance_end> non_operational
    non_operational -maintenance> removed
    non_operational -decommissioned> removed -recommissioned> non_operational
    available -comms_lost> non_contactable -comms_restored> available
    reserved -comms_lost> non_contactable -comms_restored> reserved
    stopped -comms_lost> non_contactable -comms_restored> stopped
    on_trip -comms_lost> non_contactable -comms_restored> on_trip
    non_operational -comms_lost> non_contactable -comms_restored> non_operational
    removed -comms_lost> non_contactable -comms_restored> removed
    elsewhere -comms_lost> non_contactable -comms_restored> elsewhere
    available -trip_leave_jurisdiction> elsewhere -trip_enter_jurisdiction> available
    non_operational -trip_leave_jurisdiction> elsewhere -trip_enter_jurisdiction> non_operational
    on_trip -trip_leave_jurisdiction> elsewhere -trip_enter_jurisdiction> on_trip
    reserved -trip_leave_jurisdiction> elsewhere -trip_enter_jurisdiction> reserved
"""
"""The car-share moves of MDS 2.0, as they are told."""


def names(mode: Mode) -> set[tuple[str, str, str]]:
    return {(a.name.lower(), e.name.lower(), b.name.lower()) for a, e, b in EDGES[mode]}


@pytest.mark.skipif(not TRANSITIONS.exists(), reason=f"the standard's table is not on this machine ({TRANSITIONS})")
def test_micromobility_is_the_standards_table() -> None:
    with TRANSITIONS.open(newline="") as file:
        standard = {(r["from_state"], r["event_type"], r["to_state"]) for r in csv.DictReader(file)}
    assert names("micromobility") == standard
    assert len(standard) == 85


def test_car_share_is_what_the_standard_tells() -> None:
    told = set()
    for line in CAR_SHARE.strip().splitlines():
        words = line.replace(">", "").replace(" -", " ").split()
        told |= {(words[i], words[i + 1], words[i + 2]) for i in range(0, len(words) - 2, 2)}
    assert names("car_share") == told


def test_an_illegal_move_names_state_and_event() -> None:
    with pytest.raises(IllegalMoveError, match=r"micromobility.*RESERVED -BATTERY_LOW> NON_OPERATIONAL"):
        move("micromobility", VehicleState.RESERVED, EventType.BATTERY_LOW, VehicleState.NON_OPERATIONAL)
    assert move("micromobility", VehicleState.MISSING, EventType.LOCATED, VehicleState.ON_TRIP) == VehicleState.ON_TRIP


def test_there_is_no_way_to_a_state_that_the_mode_does_not_have() -> None:
    with pytest.raises(IllegalMoveError, match=r"car_share.*AVAILABLE to MISSING"):
        route("car_share", VehicleState.AVAILABLE, VehicleState.MISSING)


@pytest.mark.parametrize("mode", MODES)
def test_every_state_of_a_mode_can_be_reached_from_every_other_by_legal_moves_alone(mode: Mode) -> None:
    states = {a for a, _, _ in EDGES[mode]} | {b for _, _, b in EDGES[mode]}
    for start, end in product(states, states):
        state = start
        for event, to in route(mode, start, end):
            assert (state, event, to) in EDGES[mode]
            state = to
        assert state == end


@pytest.mark.parametrize("mode", MODES)
def test_no_way_claims_what_did_not_happen(mode: Mode) -> None:
    """Nobody is picked up, lost or abroad on the way to somewhere else; a vehicle that is missing was first silent."""
    states = {a for a, _, _ in EDGES[mode]}
    for start, end in product(states, states):
        through = {state for _, state in route(mode, start, end)[:-1]}
        allowed = {VehicleState.NON_CONTACTABLE} if end == VehicleState.MISSING else set()
        assert not through & ({VehicleState.REMOVED, VehicleState.MISSING, VehicleState.ELSEWHERE, VehicleState.NON_CONTACTABLE} - allowed)


def test_the_said_event_type_is_taken_where_the_edge_has_it() -> None:
    said = (EventType.TRIP_END, EventType.BATTERY_LOW)
    assert route("micromobility", VehicleState.ON_TRIP, VehicleState.NON_OPERATIONAL, said) == [
        (EventType.TRIP_END, VehicleState.AVAILABLE),
        (EventType.BATTERY_LOW, VehicleState.NON_OPERATIONAL),
    ]
    assert route("car_share", VehicleState.AVAILABLE, VehicleState.NON_OPERATIONAL, said) == [
        (EventType.SERVICE_END, VehicleState.NON_OPERATIONAL)
    ]
    assert route("car_share", VehicleState.AVAILABLE, VehicleState.AVAILABLE, said) == []
