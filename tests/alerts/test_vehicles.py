"""Availability through facts and operations: what each story leads to, in both modes."""

import pytest

from fleetpulse.alerts import event
from fleetpulse.alerts.states import EventType, VehicleState
from fleetpulse.codecs.operations import Operation
from fleetpulse.state.facts import Condition, Fact
from tests.alerts.story import CAR, CRASH, MISSING, OFFLINE, OUTSIDE, SCOOTER, START_MS, UNRENTABLE, Story, moves


def test_a_vehicle_first_seen_is_available_without_an_event() -> None:
    story = Story()
    story.lifecycle.ensure(5000)
    assert story.lifecycle.vehicle_state[4999] == VehicleState.AVAILABLE
    assert story.lifecycle.event_type[4999] == EventType.NONE
    assert story.lifecycle.state_since_ms[4999] == 0


def test_the_arrays_show_the_last_event() -> None:
    story = Story()
    made = story.trip_starts(slot=2000)
    assert story.lifecycle.vehicle_state[2000] == VehicleState.ON_TRIP
    assert story.lifecycle.event_type[2000] == EventType.TRIP_START
    assert story.lifecycle.state_since_ms[2000] == made[-1].time_ms == story.now_ms - 10


def test_charge_below_rentable_takes_it_out_until_it_is_charged() -> None:
    scooter = Story()
    assert moves(scooter.raised(*UNRENTABLE)) == [("battery_low", "non_operational")]
    assert moves(scooter.cleared(*UNRENTABLE)) == [("battery_charged", "available")]
    car = Story(model=CAR)
    assert moves(car.raised(*UNRENTABLE)) == [("service_end", "non_operational")]
    assert moves(car.cleared(*UNRENTABLE)) == [("service_start", "available")]


def test_battery_low_on_a_trip_is_told_at_its_end_as_two_events_with_rising_times() -> None:
    story = Story()
    story.trip_starts()
    assert moves(story.raised(*UNRENTABLE)) == []
    made = [e for e in story.trip_ends() if e.type == event.AVAILABILITY_CHANGED]
    assert moves(made) == [("trip_end", "available"), ("battery_low", "non_operational")]
    assert made[1].time_ms == made[0].time_ms + 1
    assert [e.n for e in made] == [0, 1]
    assert made[0].id != made[1].id
    assert made[0].data["trip_id"] == "00000000-0000-0001-0000-000000000002"
    assert "trip_id" not in made[1].data


def test_a_crash_on_a_trip_takes_it_out_at_its_end() -> None:
    story = Story()
    story.trip_starts()
    assert moves(story.raised(*CRASH)) == []
    assert moves(story.trip_ends()) == [("trip_end", "available"), ("maintenance", "non_operational")]


def test_a_car_that_crashes_on_a_trip_goes_by_way_of_stopped() -> None:
    story = Story(model=CAR)
    story.trip_starts()
    story.raised(*CRASH)
    assert moves(story.trip_ends()) == [("trip_stop", "stopped"), ("trip_end", "available"), ("service_end", "non_operational")]


def test_maintenance_while_reserved_waits_for_the_end_of_the_reservation() -> None:
    story = Story()
    story.operate(Operation.RESERVATION_START)
    assert moves(story.raised(*CRASH)) == []
    assert moves(story.operate(Operation.RESERVATION_CANCEL)) == [
        ("reservation_cancel", "available"),
        ("maintenance", "non_operational"),
    ]


def test_it_returns_only_when_all_reasons_are_gone() -> None:
    story = Story()
    story.raised(*CRASH)
    story.raised(*UNRENTABLE)
    assert moves(story.operate(Operation.MAINTENANCE_DONE)) == []
    assert moves(story.cleared(*UNRENTABLE)) == [("battery_charged", "available")]
    story.raised(*UNRENTABLE)
    story.raised(*CRASH)
    assert moves(story.cleared(*UNRENTABLE)) == []
    assert moves(story.operate(Operation.MAINTENANCE_DONE)) == [("maintenance", "available")]


@pytest.mark.parametrize(
    ("model", "way"),
    [
        (SCOOTER, [("trip_start", "on_trip")]),
        (CAR, [("reservation_start", "reserved"), ("reservation_stop", "stopped"), ("trip_start", "on_trip")]),
    ],
)
def test_a_trip_that_starts_unannounced_takes_the_shortest_legal_way(model: int, way: list[tuple[str, str]]) -> None:
    story = Story(model=model)
    made = [e for e in story.trip_starts() if e.type == event.AVAILABILITY_CHANGED]
    assert moves(made) == way
    assert [e.time_ms - made[0].time_ms for e in made] == list(range(len(way)))


def test_a_trip_on_a_vehicle_out_of_service_says_first_that_it_is_available() -> None:
    story = Story()
    story.raised(*CRASH)
    assert moves(story.trip_starts()) == [("unspecified", "available"), ("trip_start", "on_trip")]
    assert moves(story.trip_ends()) == [("trip_end", "available"), ("maintenance", "non_operational")]


def test_a_reserved_trip() -> None:
    story = Story()
    assert moves(story.operate(Operation.RESERVATION_START)) == [("reservation_start", "reserved")]
    assert moves(story.trip_starts()) == [("trip_start", "on_trip")]
    assert moves(story.trip_ends()) == [("trip_end", "available")]


def test_a_car_is_reserved_unlocked_driven_stopped_driven_and_given_back() -> None:
    story = Story(model=CAR)
    story.operate(Operation.RESERVATION_START)
    story.operate(Operation.RESERVATION_STOP)
    story.trip_starts()
    story.fact(Fact.TRIP_PAUSED)
    story.fact(Fact.TRIP_RESUMED)
    story.fact(Fact.TRIP_PAUSED)
    story.trip_ends()
    assert story.states() == [
        ("reservation_start", "reserved"),
        ("reservation_stop", "stopped"),
        ("trip_start", "on_trip"),
        ("trip_stop", "stopped"),
        ("trip_resume", "on_trip"),
        ("trip_stop", "stopped"),
        ("trip_end", "available"),
    ]


def test_a_scooter_knows_no_stop_on_a_trip() -> None:
    story = Story()
    story.trip_starts()
    assert moves(story.fact(Fact.TRIP_PAUSED)) == []
    assert moves(story.fact(Fact.TRIP_RESUMED)) == []


def test_silence_and_the_return_to_the_prior_state() -> None:
    story = Story()
    story.operate(Operation.RESERVATION_START)
    assert moves(story.raised(*OFFLINE, timer=True)) == [("comms_lost", "non_contactable")]
    assert moves(story.cleared(*OFFLINE)) == [("comms_restored", "reserved")]


def test_after_silence_the_prior_state_is_what_it_would_be_now() -> None:
    story = Story()
    story.trip_starts()
    story.raised(*OFFLINE, timer=True)
    assert moves(story.raised(*UNRENTABLE)) == []
    assert moves(story.trip_ends()) == []
    assert moves(story.cleared(*OFFLINE)) == [("comms_restored", "non_operational")]


@pytest.mark.parametrize(
    ("model", "lost", "found"),
    [(SCOOTER, [("not_located", "missing")], [("located", "available")]), (CAR, [], [("comms_restored", "available")])],
)
def test_a_scooter_silent_for_long_is_missing_a_car_stays_non_contactable(
    model: int, lost: list[tuple[str, str]], found: list[tuple[str, str]]
) -> None:
    story = Story(model=model)
    story.raised(*OFFLINE, timer=True)
    assert moves(story.raised(*MISSING, timer=True)) == lost
    assert moves(story.cleared(*MISSING)) == []
    assert moves(story.cleared(*OFFLINE)) == found


def test_the_end_of_offline_alone_also_ends_missing() -> None:
    story = Story()
    story.raised(*OFFLINE, timer=True)
    story.raised(*MISSING, timer=True)
    assert moves(story.cleared(*OFFLINE)) == [("located", "available")]
    assert story.lifecycle.alerts[0] == 0


def test_missing_without_offline_before_it() -> None:
    story = Story()
    assert moves(story.raised(*MISSING, timer=True)) == [("comms_lost", "non_contactable"), ("not_located", "missing")]
    assert moves(story.cleared(*MISSING)) == [("located", "available")]


def test_a_trip_over_the_citys_edge_and_back() -> None:
    story = Story()
    story.trip_starts()
    assert moves(story.raised(*OUTSIDE)) == [("trip_leave_jurisdiction", "elsewhere")]
    assert moves(story.cleared(*OUTSIDE)) == [("trip_enter_jurisdiction", "on_trip")]


def test_a_scooter_whose_trip_ended_outside_stays_elsewhere_until_it_is_back() -> None:
    story = Story()
    story.trip_starts()
    story.raised(*OUTSIDE)
    assert moves(story.trip_ends()) == []
    assert moves(story.cleared(*OUTSIDE)) == [("trip_enter_jurisdiction", "on_trip"), ("trip_end", "available")]


def test_a_scooter_parked_outside_has_no_word_for_it_before_its_next_trip() -> None:
    story = Story()
    assert moves(story.raised(*OUTSIDE)) == []
    assert moves(story.trip_starts()) == [("trip_start", "on_trip"), ("trip_leave_jurisdiction", "elsewhere")]


def test_a_parked_car_that_is_taken_away_is_elsewhere_and_comes_back_as_it_would_be_now() -> None:
    story = Story(model=CAR)
    assert moves(story.raised(*OUTSIDE)) == [("trip_leave_jurisdiction", "elsewhere")]
    assert moves(story.raised(*UNRENTABLE)) == []
    assert moves(story.cleared(*OUTSIDE)) == [("trip_enter_jurisdiction", "non_operational")]


def test_a_trip_out_of_the_depot_means_that_it_was_dropped_off() -> None:
    story = Story()
    story.operate(Operation.REBALANCE_PICK_UP)
    assert moves(story.trip_starts()) == [("provider_drop_off", "available"), ("trip_start", "on_trip")]


def test_times_of_a_vehicle_rise_even_when_its_clock_goes_back() -> None:
    story = Story()
    story.trip_starts()
    made = story.trip_ends(event_ms=START_MS - 3_600_000)
    times = [e.time_ms for e in story.events if e.type == event.AVAILABILITY_CHANGED]
    assert times == sorted(set(times))
    assert made[0].time_ms == START_MS - 3_600_000, "the trip itself keeps its time"


def test_a_late_trip_is_told_but_moves_nothing() -> None:
    story = Story()
    made = story.trip_starts(late=True)
    assert [e.type for e in made] == [event.TRIP_STARTED]
    assert story.lifecycle.vehicle_state[0] == VehicleState.AVAILABLE


def test_a_vehicle_whose_model_changes_mode_changes_machine_in_a_state_of_both() -> None:
    story = Story(model=CAR)
    story.operate(Operation.RESERVATION_START)
    story.operate(Operation.RESERVATION_STOP)
    assert moves(story.trip_starts(vehicle_model=SCOOTER)) == [("trip_start", "on_trip")]
    assert moves(story.trip_ends(vehicle_model=SCOOTER)) == [("trip_end", "available")]
    assert moves(story.raised(Condition.UNRENTABLE_BATTERY, 8.0, 10.0, vehicle_model=0)) == [("battery_low", "non_operational")]
    assert moves(story.cleared(Condition.UNRENTABLE_BATTERY, 20.0, 10.0)) == [("service_start", "available")]
