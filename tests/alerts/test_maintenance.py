"""Maintenance: what requires it, of which part, how grave, and what resolves it."""

import pytest

from fleetpulse.alerts import event
from fleetpulse.alerts.rules import FAULT_COMPONENTS, fault_component
from fleetpulse.alerts.states import VehicleState
from fleetpulse.codecs.operations import Operation
from fleetpulse.state.facts import Condition, Fact
from tests.alerts.story import CAR, UNRENTABLE, Story, kinds, moves, one

HOT = (Condition.OVER_TEMPERATURE, 66.6, 60.0)
SAG = (Condition.VOLTAGE_SAG, 33.3, 36.0, -18.0)
TYRE = (Condition.TYRE_PRESSURE, 150.0, 172.0, 1.0)


@pytest.mark.parametrize(
    ("raised", "component", "severity", "out_of_service"),
    [
        ((Condition.CRASH, 90.0, 60.0, 1.0), "structure", "critical", True),
        (TYRE, "tyre", "warning", False),
        (HOT, "battery", "critical", True),
        (SAG, "battery", "warning", False),
        ((Condition.FAULT_CODE, float(1 << 3)), "motor", "warning", False),
        ((Condition.FAULT_CODE, float(1 << 16)), "brake", "critical", True),
        ((Condition.FAULT_CODE, float(1 << 30)), "battery", "warning", False),
        ((Condition.FAULT_CODE, float(1 << 62)), "sensor", "info", False),
        ((Condition.TAMPER,), "structure", "warning", False),
        ((Condition.SENSOR,), "sensor", "info", False),
        (UNRENTABLE, "battery", "info", True),
    ],
)
def test_what_requires_maintenance(raised: tuple[Condition, ...], component: str, severity: str, out_of_service: bool) -> None:
    story = Story()
    made = story.raised(raised[0], *raised[1:])
    required = one(made, event.MAINTENANCE_REQUIRED)
    assert (required["component"], required["severity"]) == (component, severity)
    assert required["maintenance_id"] == next(e.id for e in made if e.type == event.MAINTENANCE_REQUIRED)
    assert story.lifecycle.maintenance[0] == 1 << raised[0]
    assert (story.lifecycle.vehicle_state[0] == VehicleState.NON_OPERATIONAL) == out_of_service


@pytest.mark.parametrize("condition", [Condition.LOW_BATTERY, Condition.GEOFENCE, Condition.TIPPED, Condition.THEFT, Condition.OFFLINE])
def test_what_requires_none(condition: Condition) -> None:
    made = Story().raised(condition, 1.0, 2.0, 3.0, 4.0)
    assert event.MAINTENANCE_REQUIRED not in {e.type for e in made}


@pytest.mark.parametrize(
    ("raised", "recovers"),
    [
        (TYRE, True),
        ((Condition.FAULT_CODE, 8.0), True),
        ((Condition.SENSOR,), True),
        (UNRENTABLE, True),
        (HOT, False),
        (SAG, False),
        ((Condition.TAMPER,), False),
        ((Condition.CRASH, 90.0, 60.0, 1.0), False),
    ],
)
def test_the_end_of_the_condition_resolves_only_where_the_cause_is_gone(raised: tuple[Condition, ...], recovers: bool) -> None:
    story = Story()
    required = one(story.raised(raised[0], *raised[1:]), event.MAINTENANCE_REQUIRED)
    made = [e for e in story.cleared(raised[0], *raised[1:]) if e.type == event.MAINTENANCE_RESOLVED]
    assert [e.data["resolved_by"] for e in made] == ["recovered"] * recovers
    assert [e.data["maintenance_id"] for e in made] == [required["maintenance_id"]] * recovers
    if not recovers:
        made = story.operate(Operation.MAINTENANCE_DONE)
        assert one(made, event.MAINTENANCE_RESOLVED)["resolved_by"] == "operation"
    assert story.lifecycle.maintenance[0] == 0


def test_a_swap_resolves_all_maintenance_of_the_battery_and_no_other() -> None:
    story = Story()
    for condition in (UNRENTABLE, HOT, SAG, TYRE):
        story.raised(*condition)
    made = story.fact(Fact.BATTERY_SWAPPED, Condition.LOW_BATTERY, 8.0, 99.0)
    assert kinds(made) == [("maintenance.resolved", rule) for rule in ("over_temperature", "unrentable_battery", "voltage_sag")]
    assert {e.data["resolved_by"] for e in made} == {"swap"}
    assert made[0].data["evidence"]["rule"] == "battery_swap"
    assert made[0].data["evidence"]["values"] == {"soc_before_pct": 8.0, "soc_after_pct": 99.0}
    assert moves(story.cleared(*UNRENTABLE)) == [("battery_charged", "available")]
    assert story.lifecycle.maintenance[0] == 1 << Condition.TYRE_PRESSURE


def test_a_swap_brings_a_hot_vehicle_back() -> None:
    story = Story()
    story.raised(*HOT)
    assert moves(story.fact(Fact.BATTERY_SWAPPED, Condition.LOW_BATTERY, 50.0, 99.0)) == [("maintenance", "available")]


def test_a_late_swap_changes_nothing() -> None:
    story = Story()
    story.raised(*SAG)
    assert story.fact(Fact.BATTERY_SWAPPED, Condition.LOW_BATTERY, 8.0, 99.0, late=True) == []


def test_one_task_per_vehicle_and_rule() -> None:
    story = Story()
    story.raised(*SAG)
    story.cleared(*SAG)
    assert kinds(story.raised(*SAG)) == [("alert.raised", "voltage_sag")]
    assert kinds(story.raised(*SAG, slot=1)) == [("alert.raised", "voltage_sag"), ("maintenance.required", "voltage_sag")]


def test_the_sentence_says_what_to_do() -> None:
    assert one(Story().raised(*UNRENTABLE), event.MAINTENANCE_REQUIRED)["reason"] == "Charge is 8 %, too low to rent: swap its battery."
    car = one(Story(model=CAR).raised(*UNRENTABLE), event.MAINTENANCE_REQUIRED)
    assert car["reason"] == "Charge is 8 %, too low to rent: bring it to a charger."
    tyre = one(Story().raised(*TYRE), event.MAINTENANCE_REQUIRED)
    assert tyre["reason"] == "Inflate or mend the rear left tyre: 150 kPa, limit 172 kPa."
    fault = one(Story().raised(Condition.FAULT_CODE, float(1 << 3 | 1 << 17)), event.MAINTENANCE_REQUIRED)
    assert fault["reason"] == "Read out the controller: fault 3, 17 (brake)."


def test_every_fault_bit_has_one_component() -> None:
    covered = sorted(bit for first, last, _, _ in FAULT_COMPONENTS for bit in range(first, last + 1))
    assert covered == list(range(64))
    severities = [severity for _, _, _, severity in FAULT_COMPONENTS]
    assert severities == sorted(severities, reverse=True), "the gravest first"
    for first, last, component, severity in FAULT_COMPONENTS:
        for bit in range(first, last + 1):
            assert fault_component(1 << bit) == (component, severity)
    assert fault_component(2**64 - 1)[0] == "brake"
    assert fault_component(0)[0] == "sensor"
