"""Alerts: one for one cause, raised, acknowledged, escalated once, cleared when the last reason is gone."""

import pytest

from fleetpulse.alerts import event
from fleetpulse.alerts.alarm import rules_of_alerts
from fleetpulse.alerts.lifecycle import Lifecycle
from fleetpulse.alerts.rules import RULES
from fleetpulse.codecs.operations import Operation
from fleetpulse.state.facts import Condition
from tests.alerts.story import CRASH, MISSING, OFFLINE, OUTSIDE, PARAMETERS, START_MS, Story, device, kinds, lifecycle, one

TIPPED = (Condition.TIPPED, 88.0, 12.0)
LOW = (Condition.LOW_BATTERY, 12.34, 15.0)
KERB = (Condition.CRASH, 70.0, 60.0, 0.0)


def test_an_alert_is_raised_and_cleared_under_one_id() -> None:
    story = Story()
    raised = one(story.raised(*LOW), event.ALERT_RAISED)
    assert raised["severity"] == "info"
    assert raised["reason"] == "Charge is 12 %, below 15 %, and it is not charging."
    assert raised["raised_ms"] == story.now_ms - 10
    assert raised["evidence"]["values"] == {"battery_soc_pct": 12.34, "limit_pct": 15.0}
    assert story.lifecycle.alerts[0] == 1 << Condition.LOW_BATTERY
    cleared = one(story.cleared(Condition.LOW_BATTERY, 21.0, 20.0), event.ALERT_CLEARED)
    assert cleared["alert_id"] == raised["alert_id"] == story.events[0].id
    assert story.lifecycle.alerts[0] == 0


@pytest.mark.parametrize("condition", [c for c in Condition if RULES[c].alert and not RULES[c].by_city])
def test_every_condition_with_an_alert_raises_its_own(condition: Condition) -> None:
    made = Story().raised(condition, 1.0, 2.0, 3.0, 4.0)
    assert ("alert.raised", RULES[condition].alert) in kinds(made)


def test_what_is_open_is_not_raised_again() -> None:
    story = Story()
    story.raised(*TIPPED)
    assert story.raised(*TIPPED) == []
    assert story.lifecycle.counters["alerts_joined"] == 1
    assert kinds(story.raised(*TIPPED, slot=1)) == [("alert.raised", "tipped")]


def test_what_was_not_raised_is_not_cleared() -> None:
    assert Story().cleared(*TIPPED) == []


def test_nobody_answers() -> None:
    """
    raised                      escalated, once
    |---------- 1800 s ---------|
    """
    story = Story()
    raised = one(story.raised(*TIPPED), event.ALERT_RAISED)
    assert story.wait(1799) == []
    made = story.wait(1)
    escalated = one(made, event.ALERT_ESCALATED)
    assert raised["severity"] == "warning"
    assert escalated["severity"] == "critical"
    assert escalated["alert_id"] == raised["alert_id"]
    assert escalated["reason"].startswith("Nobody acknowledged it for 30 min.")
    assert "recorded_ms" not in escalated["evidence"]
    assert made[0].cause == f"deadline.{START_MS + 1_801_000}"
    assert made[0].time_ms == START_MS + 1_801_000
    assert story.wait(86_400) == []


def test_a_timer_fires_at_the_whole_second_of_stream_time() -> None:
    story = Story()
    story.now_ms += 500
    story.raised(*TIPPED)
    assert story.wait(1799.9) == []
    assert story.wait(0.2) == [], "due at .5, and the second is not over"
    assert len(story.wait(0.4)) == 1


def test_a_critical_alert_that_nobody_answers_stays_critical_and_is_told_again() -> None:
    story = Story()
    story.raised(Condition.THEFT, 3.0, 60.0, 1.5, 50.0)
    assert one(story.wait(1800), event.ALERT_ESCALATED)["severity"] == "critical"


def test_an_info_never_escalates() -> None:
    story = Story()
    story.raised(*LOW)
    assert story.wait(86_400) == []


@pytest.mark.parametrize("by_id", [True, False])
def test_an_acknowledged_alert_no_longer_escalates(by_id: bool) -> None:
    story = Story()
    raised = one(story.raised(*TIPPED), event.ALERT_RAISED)
    named = {"alert_id": raised["alert_id"]} if by_id else {"rule": "tipped"}
    made = story.operate(Operation.ALERT_ACKNOWLEDGED, by="ada", **named)
    acknowledged = one(made, event.ALERT_ACKNOWLEDGED)
    assert acknowledged["by"] == "ada"
    assert acknowledged["alert_id"] == raised["alert_id"]
    assert story.wait(86_400) == []
    assert story.operate(Operation.ALERT_ACKNOWLEDGED, **named) == [], "it is already taken"
    assert kinds(story.cleared(*TIPPED)) == [("alert.cleared", "tipped")]


def test_an_acknowledgement_of_another_alert_is_refused() -> None:
    story = Story()
    story.raised(*TIPPED)
    assert story.operate(Operation.ALERT_ACKNOWLEDGED, alert_id="nonsense", rule="tipped") == []
    assert story.operate(Operation.ALERT_ACKNOWLEDGED, rule="theft") == []
    assert story.operate(Operation.ALERT_ACKNOWLEDGED) == []
    assert story.lifecycle.counters["operations_refused"] == 3


def test_a_cleared_alert_no_longer_escalates_but_the_next_one_does() -> None:
    story = Story()
    story.raised(*TIPPED)
    story.cleared(*TIPPED)
    story.wait(60)
    second = one(story.raised(*TIPPED), event.ALERT_RAISED)
    assert one(story.wait(1800), event.ALERT_ESCALATED)["alert_id"] == second["alert_id"]


def test_a_silence_is_told_to_the_city_which_raises_the_alert() -> None:
    """The public state shows it here; a shard's own alerts do not know it."""
    story = Story()
    assert kinds(story.raised(*OFFLINE, timer=True)) == []
    assert story.lifecycle.alerts[0] == 1 << Condition.OFFLINE
    assert kinds(story.raised(*MISSING, timer=True)) == []
    assert story.lifecycle.alerts[0] == 1 << Condition.OFFLINE | 1 << Condition.MISSING
    assert kinds(story.operate(Operation.ALERT_ACKNOWLEDGED, rule="offline")) == []
    assert kinds(story.cleared(*MISSING)) == []
    assert kinds(story.cleared(*OFFLINE, city=2)) == []
    assert story.lifecycle.alerts[0] == 0
    notes = story.lifecycle.take_notes()
    assert [(note.kind, note.severity) for note in notes[:2]] == [("offline", "warning"), ("missing", "critical")]
    assert [note.kind for note in notes[2:]] == ["acknowledged", "heard"]
    assert {(note.city, note.device) for note in notes} == {(1, str(device(0)))}, "the city that was told first, until it is over"
    assert notes[0].cause == f"deadline.{notes[0].time_ms}"
    assert notes[0].since_ms == notes[0].time_ms - 700_000
    assert notes[1].reason == "No telemetry for 25.0 h: it counts as missing."
    assert (notes[2].by, notes[2].alert_id) == ("ada", "")
    assert story.lifecycle.take_notes() == []


def test_outside_the_city_escalates_an_open_geofence_alert_or_raises_one() -> None:
    story = Story()
    geofence = one(story.raised(Condition.GEOFENCE, 3.0, 25.0, 4.0), event.ALERT_RAISED)
    assert geofence["reason"] == "It breaks the rule of zone park by 25 m; its position is accurate to 4 m."
    assert kinds(story.raised(*OUTSIDE)) == [("alert.escalated", "geofence")]
    assert kinds(story.cleared(*OUTSIDE)) == []
    assert kinds(story.cleared(Condition.GEOFENCE, 3.0, 0.0, 4.0)) == [("alert.cleared", "geofence")]
    assert kinds(story.raised(*OUTSIDE)) == [("alert.raised", "geofence")]
    assert story.raised(Condition.GEOFENCE, 3.0, 25.0, 4.0) == []
    assert story.lifecycle.counters["alerts_joined"] == 1


def test_what_became_graver_must_be_acknowledged_anew() -> None:
    story = Story()
    story.raised(Condition.GEOFENCE, 3.0, 25.0, 4.0)
    story.operate(Operation.ALERT_ACKNOWLEDGED, rule="geofence")
    story.raised(*OUTSIDE)
    assert len(story.wait(1800)) == 1
    assert kinds(story.operate(Operation.ALERT_ACKNOWLEDGED, rule="geofence")) == [("alert.acknowledged", "geofence")]


def test_acceleration_alone_is_a_warning_and_the_crash_bit_makes_it_critical() -> None:
    story = Story()
    made = story.raised(*KERB)
    assert one(made, event.ALERT_RAISED)["severity"] == "warning"
    assert one(made, event.MAINTENANCE_REQUIRED)["severity"] == "warning"
    assert story.lifecycle.vehicle_state[0] == 0, "one sample alone takes nothing out of service"
    made = story.raised(*CRASH)
    assert one(made, event.ALERT_ESCALATED)["severity"] == "critical"
    required = one(made, event.MAINTENANCE_REQUIRED)
    assert required["severity"] == "critical"
    first = next(e for e in story.events if e.type == event.MAINTENANCE_REQUIRED)
    assert required["maintenance_id"] == first.data["maintenance_id"] == first.id
    assert required["required_ms"] == first.time_ms


def test_a_crash_stays_open_until_maintenance_is_done_and_a_second_one_is_news() -> None:
    story = Story()
    story.raised(*KERB)
    assert story.cleared(*KERB) == []
    assert story.lifecycle.alerts[0] == 1 << Condition.CRASH
    assert kinds(story.raised(*KERB)) == [("alert.escalated", "crash")]
    assert kinds(story.operate(Operation.MAINTENANCE_DONE)) == [("maintenance.resolved", "crash"), ("alert.cleared", "crash")]
    assert kinds(story.raised(*KERB)) == [("alert.raised", "crash"), ("maintenance.required", "crash")]


def test_a_late_alert_is_told_once_and_opens_nothing() -> None:
    story = Story()
    made = story.raised(Condition.TAMPER, late=True)
    assert kinds(made) == [("alert.raised", "tamper")]
    assert made[0].data["late"] is True
    assert story.lifecycle.alerts[0] == story.lifecycle.maintenance[0] == 0
    assert story.wait(86_400) == []
    assert story.cleared(Condition.TAMPER) == []


def test_a_late_alert_about_what_is_open_is_not_told() -> None:
    story = Story()
    story.raised(*TIPPED)
    assert story.raised(*TIPPED, late=True) == []
    assert story.cleared(*TIPPED, late=True) == []
    assert kinds(story.cleared(*TIPPED)) == [("alert.cleared", "tipped")]


def test_a_late_crash_stays_open_and_takes_the_vehicle_out_of_service() -> None:
    story = Story()
    made = story.raised(*CRASH, late=True)
    assert kinds(made) == [("alert.raised", "crash"), ("maintenance.required", "crash")]
    assert one(made, event.AVAILABILITY_CHANGED)["vehicle_state"] == "non_operational"
    assert one(story.wait(1800), event.ALERT_ESCALATED)["late"] is True
    assert story.raised(*CRASH, late=True) == []
    assert kinds(story.raised(*CRASH)) == [("alert.escalated", "crash")]


def test_the_heap_of_deadlines_does_not_grow_with_alerts_that_are_closed() -> None:
    story = Story()
    for _ in range(2000):
        story.raised(*TIPPED)
        story.cleared(*TIPPED)
        story.now_ms -= 2000
    assert len(story.lifecycle._alarms._deadlines) < 600


def test_nothing_due_is_nothing_done() -> None:
    quiet: Lifecycle = lifecycle(PARAMETERS)
    assert quiet.advance(START_MS) == []
    assert quiet.snapshot() == lifecycle(PARAMETERS).snapshot()


def test_rules_of_alerts_are_those_of_the_schema() -> None:
    from fleetpulse.alerts import schemas

    known = schemas.load(event.ALERT_RAISED)["$defs"]["alert_rule"]["enum"]
    assert set(rules_of_alerts()) == set(known) - {"battery_drain", "vibration", "battery_cluster", "area_outage"}
