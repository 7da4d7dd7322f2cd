"""Operations: what each does in each mode, and that an illegal one changes nothing."""

import pytest

from fleetpulse.alerts import event, operations, snapshot
from fleetpulse.alerts.states import VehicleState
from fleetpulse.codecs.operations import Operation, OperationRecord
from fleetpulse.state.facts import Condition, Fact
from tests.alerts.story import CAR, CRASH, MISSING, OFFLINE, OUTSIDE, SCOOTER, START_MS, UNRENTABLE, Story, device, kinds, moves


@pytest.mark.parametrize("model", [SCOOTER, CAR])
def test_reservation_and_its_cancellation(model: int) -> None:
    story = Story(model=model)
    assert moves(story.operate(Operation.RESERVATION_START)) == [("reservation_start", "reserved")]
    word = "reservation_cancel" if model == SCOOTER else "customer_cancellation"
    assert moves(story.operate(Operation.RESERVATION_CANCEL)) == [(word, "available")]


def test_a_scooters_reservation_that_stops_is_cancelled() -> None:
    story = Story()
    story.operate(Operation.RESERVATION_START)
    assert moves(story.operate(Operation.RESERVATION_STOP)) == [("reservation_cancel", "available")]


def test_an_unlocked_car_that_is_not_driven_is_given_back() -> None:
    story = Story(model=CAR)
    story.operate(Operation.RESERVATION_START)
    story.operate(Operation.RESERVATION_STOP)
    assert moves(story.operate(Operation.RESERVATION_CANCEL)) == [("customer_cancellation", "available")]


def test_rebalancing_a_scooter() -> None:
    story = Story()
    assert moves(story.operate(Operation.REBALANCE_PICK_UP)) == [("rebalance_pick_up", "removed")]
    assert moves(story.operate(Operation.DROP_OFF)) == [("provider_drop_off", "available")]


def test_rebalancing_a_car_is_said_as_maintenance() -> None:
    story = Story(model=CAR)
    assert moves(story.operate(Operation.REBALANCE_PICK_UP)) == [("service_end", "non_operational"), ("maintenance_pick_up", "removed")]
    assert moves(story.operate(Operation.DROP_OFF)) == [("maintenance_end", "non_operational"), ("service_start", "available")]


def test_a_vehicle_dropped_off_empty_is_out_of_service() -> None:
    story = Story()
    story.operate(Operation.REBALANCE_PICK_UP)
    assert moves(story.raised(*UNRENTABLE)) == []
    assert moves(story.operate(Operation.DROP_OFF)) == [("provider_drop_off", "available"), ("battery_low", "non_operational")]


def test_a_scooter_left_outside_is_picked_up() -> None:
    story = Story()
    story.trip_starts()
    story.raised(*OUTSIDE)
    assert moves(story.operate(Operation.REBALANCE_PICK_UP)) == []
    story.trip_ends()
    assert moves(story.operate(Operation.REBALANCE_PICK_UP)) == [("rebalance_pick_up", "removed")]


def test_maintenance_done_on_the_street() -> None:
    story = Story()
    story.raised(*CRASH)
    made = story.operate(Operation.MAINTENANCE_DONE)
    assert moves(made) == [("maintenance", "available")]
    assert kinds(made) == [("maintenance.resolved", "crash"), ("alert.cleared", "crash")]
    car = Story(model=CAR)
    car.raised(*CRASH)
    assert moves(car.operate(Operation.MAINTENANCE_DONE)) == [("service_start", "available")]


def test_what_the_kernel_ends_because_of_an_operation_has_the_operations_cause() -> None:
    """maintenance_done also ends the conditions crash and theft: CLEARED facts with its cause follow it."""
    story = Story()
    story.raised(Condition.THEFT, 3.0, 60.0, 1.5, 50.0)
    story.raised(*CRASH)
    story.operate(Operation.MAINTENANCE_DONE, id_="done")
    record = OperationRecord(Operation.MAINTENANCE_DONE, device(0), story.now_ms, "ada", "done", {})
    assert story.fact(Fact.CLEARED, Condition.CRASH, operation=record) == []
    made = story.fact(Fact.CLEARED, Condition.THEFT, operation=record)
    assert [(e.rule, e.cause) for e in made] == [("theft", "operation.done")]
    assert kinds(story.raised(*CRASH)) == [("alert.raised", "crash"), ("maintenance.required", "crash")]


def test_maintenance_done_at_the_depot_brings_back_a_car_but_a_scooter_waits_for_its_drop_off() -> None:
    car = Story(model=CAR)
    car.raised(*CRASH)
    car.operate(Operation.REBALANCE_PICK_UP)
    assert moves(car.operate(Operation.MAINTENANCE_DONE)) == [("maintenance_end", "non_operational"), ("service_start", "available")]
    scooter = Story()
    scooter.raised(*CRASH)
    scooter.operate(Operation.REBALANCE_PICK_UP)
    assert moves(scooter.operate(Operation.MAINTENANCE_DONE)) == []
    assert moves(scooter.operate(Operation.DROP_OFF)) == [("provider_drop_off", "available")]


def test_maintenance_done_on_one_component_leaves_the_others() -> None:
    story = Story()
    story.raised(*CRASH)
    story.raised(Condition.TYRE_PRESSURE, 150.0, 172.0, 0.0)
    made = story.operate(Operation.MAINTENANCE_DONE, component="tyre")
    assert kinds(made) == [("maintenance.resolved", "tyre_pressure")]
    assert story.lifecycle.vehicle_state[0] == VehicleState.NON_OPERATIONAL
    assert kinds(story.operate(Operation.MAINTENANCE_DONE, rule="tyre_pressure")) == []
    assert story.lifecycle.counters["operations_refused"] == 1


@pytest.mark.parametrize("model", [SCOOTER, CAR])
def test_a_decommissioned_vehicle_has_no_open_alerts_and_makes_no_new_ones(model: int) -> None:
    story = Story(model=model)
    story.raised(*UNRENTABLE)
    story.raised(Condition.TAMPER)
    made = story.operate(Operation.DECOMMISSIONED)
    assert moves(made) == [("decommissioned", "removed")]
    assert kinds(made) == [("alert.cleared", "tamper"), ("maintenance.resolved", "tamper"), ("maintenance.resolved", "unrentable_battery")]
    assert story.lifecycle.alerts[0] == story.lifecycle.maintenance[0] == 0
    assert kinds(story.raised(*OFFLINE, timer=True)) == []
    assert story.lifecycle.counters["facts_ignored"] == 1
    assert kinds(story.cleared(*OFFLINE)) == []
    back = [("provider_drop_off", "available")] if model == SCOOTER else [("recommissioned", "non_operational")]
    word = [("battery_low", "non_operational")] if model == SCOOTER else []
    assert moves(story.operate(Operation.RECOMMISSIONED)) == back + word


def test_a_vehicle_in_the_depot_is_decommissioned_where_it_stands() -> None:
    story = Story()
    story.operate(Operation.REBALANCE_PICK_UP)
    assert moves(story.operate(Operation.DECOMMISSIONED)) == []
    assert moves(story.operate(Operation.DROP_OFF)) == []
    assert story.lifecycle.counters["operations_refused"] == 1
    assert moves(story.operate(Operation.RECOMMISSIONED)) == [("provider_drop_off", "available")]


def test_a_missing_scooter_is_given_up() -> None:
    story = Story()
    story.operate(Operation.RESERVATION_START)
    story.raised(*OFFLINE, timer=True)
    story.raised(*MISSING, timer=True)
    assert moves(story.operate(Operation.DECOMMISSIONED)) == [("decommissioned", "removed")]
    assert moves(story.cleared(*OFFLINE)) == []


def test_a_silent_car_that_is_given_up_stays_non_contactable() -> None:
    story = Story(model=CAR)
    story.raised(*OFFLINE, timer=True)
    made = story.operate(Operation.DECOMMISSIONED)
    assert moves(made) == []
    assert kinds(made) == []
    assert [note.kind for note in story.lifecycle.take_notes()] == ["offline", "gone"]
    assert moves(story.cleared(*OFFLINE)) == [("comms_restored", "removed")]


def test_what_is_done_to_a_silent_vehicle_is_told_when_it_is_heard_again() -> None:
    story = Story()
    story.raised(*OFFLINE, timer=True)
    assert moves(story.operate(Operation.REBALANCE_PICK_UP)) == []
    assert moves(story.cleared(*OFFLINE)) == [("comms_restored", "removed")]


@pytest.mark.parametrize(
    ("before", "operation"),
    [
        ([], Operation.RESERVATION_STOP),
        ([], Operation.RESERVATION_CANCEL),
        ([], Operation.DROP_OFF),
        ([], Operation.MAINTENANCE_DONE),
        ([], Operation.RECOMMISSIONED),
        ([], Operation.ALERT_ACKNOWLEDGED),
        ([Operation.RESERVATION_START], Operation.RESERVATION_START),
        ([Operation.RESERVATION_START], Operation.REBALANCE_PICK_UP),
        ([Operation.RESERVATION_START], Operation.DECOMMISSIONED),
        ([Operation.REBALANCE_PICK_UP], Operation.RESERVATION_START),
        ([Operation.REBALANCE_PICK_UP], Operation.REBALANCE_PICK_UP),
        ([Operation.DECOMMISSIONED], Operation.DECOMMISSIONED),
        ([Operation.DECOMMISSIONED], Operation.DROP_OFF),
    ],
)
@pytest.mark.parametrize("model", [SCOOTER, CAR])
def test_an_illegal_operation_changes_nothing_and_is_counted(model: int, before: list[Operation], operation: Operation) -> None:
    story = Story(model=model)
    for done in before:
        story.operate(done)
    story.cleared(Condition.TIPPED)  # so that the vehicle's mode is known
    before_it = snapshot.decode(story.lifecycle.snapshot(), shard=3)
    assert story.operate(operation) == []
    after_it = snapshot.decode(story.lifecycle.snapshot(), shard=3)
    assert after_it.vehicles.tobytes() == before_it.vehicles.tobytes()
    assert after_it.facts.tobytes() == before_it.facts.tobytes()
    for book in ("alerts", "tasks"):
        assert after_it.rest[book] == before_it.rest[book]
    assert story.lifecycle.counters["operations_refused"] == 1
    assert story.lifecycle.counters["operations_applied"] == len(before)


@pytest.mark.parametrize("model", [SCOOTER, CAR])
def test_a_silent_vehicle_and_one_on_a_trip_cannot_be_reserved(model: int) -> None:
    story = Story(model=model)
    story.raised(*OFFLINE, timer=True)
    assert story.operate(Operation.RESERVATION_START) == []
    story.cleared(*OFFLINE)
    story.trip_starts()
    assert story.operate(Operation.RESERVATION_START) == []
    assert story.operate(Operation.DECOMMISSIONED) == []
    assert story.lifecycle.counters["operations_refused"] == 3


def test_an_operation_that_its_writer_sent_twice_is_done_once() -> None:
    story = Story()
    story.operate(Operation.RESERVATION_START, id_="a")
    story.operate(Operation.RESERVATION_CANCEL, id_="b")
    assert story.operate(Operation.RESERVATION_START, id_="a") == []
    assert story.lifecycle.counters["operations_repeated"] == 1
    assert story.operate(Operation.RESERVATION_START, id_="a", slot=1) != []


def test_only_so_many_ids_are_remembered() -> None:
    story = Story()
    for i in range(3 * operations.REMEMBERED):
        story.operate(Operation.RESERVATION_START if i % 2 == 0 else Operation.RESERVATION_CANCEL, id_=f"id{i}")
    assert len(story.lifecycle._operations.remembered) == operations.REMEMBERED


def test_a_name_or_an_id_of_any_length_costs_a_bounded_place() -> None:
    story = Story()
    story.raised(Condition.TIPPED, 80.0, 10.0)
    made = story.operate(Operation.ALERT_ACKNOWLEDGED, id_="x" * 100_000, by="y" * 100_000, rule="tipped")
    assert made[0].data["by"] == "y" * operations.NAME_LENGTH
    story.now_ms += 1000
    story.raised(Condition.THEFT, 3.0, 60.0, 1.5, 50.0)
    assert len(story.lifecycle.snapshot()) < 10_000


def test_connections_say_nothing() -> None:
    story = Story()
    assert story.operate(Operation.CONNECTED) + story.operate(Operation.DISCONNECTED) == []
    assert story.lifecycle.counters["operations_applied"] == story.lifecycle.counters["operations_refused"] == 0


def test_an_operation_cannot_be_later_than_its_record() -> None:
    story = Story()
    story.now_ms = START_MS
    made = story.fact_of_the_future()
    assert made[0].time_ms == story.now_ms
    assert made[0].cause == "operation.future"
    assert made[0].type == event.AVAILABILITY_CHANGED
