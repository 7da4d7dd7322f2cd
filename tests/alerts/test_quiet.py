"""Reopened, held, inhibited, confirmed, snoozed, in service: alerts as people who answer them expect."""

from dataclasses import replace
from typing import Any, get_args

import pytest

from fleetpulse.alerts import event, quiet
from fleetpulse.alerts.event import Event
from fleetpulse.alerts.policy import AlertPolicy
from fleetpulse.alerts.rules import RULES
from fleetpulse.codecs.operations import Operation
from fleetpulse.config.alerts import AlertRule
from fleetpulse.config.alerts import Condition as RuleName
from fleetpulse.config.settings import Settings
from fleetpulse.flows.shards import policy_of
from fleetpulse.state.facts import Condition, Fact
from tests.alerts.story import CRASH, MISSING, OFFLINE, PARAMETERS, Story, device, kinds, one

TIPPED = (Condition.TIPPED, 88.0, 12.0)
LOW = (Condition.LOW_BATTERY, 12.34, 15.0)
THEFT = (Condition.THEFT, 3.0, 60.0, 1.5, 50.0)
TAMPER = (Condition.TAMPER,)
SAG = (Condition.VOLTAGE_SAG, 35.9, 36.0, -11.0)
BLOW = (Condition.CRASH, 70.0, 60.0, 0.0)
POLICY = AlertPolicy(
    reopen_s=1800,
    reopen={"voltage_sag": 86_400, "tamper": 0},
    minimum={"sensor": 60},
    keep={"theft": 300},
    inhibit={"offline": ("low_battery", "tipped", "battery_drain"), "crash": ("tipped",)},
    confirm={"crash": ("tipped",), "tamper": ("theft",), "offline": ("tamper",)},
)


@pytest.fixture
def story() -> Story:
    return Story(parameters=replace(PARAMETERS, policy=POLICY))


def test_settings_name_the_rules_that_there_are() -> None:
    assert set(get_args(AlertRule)) == quiet.KNOWN
    assert set(get_args(RuleName)) == {rule.name for rule in RULES.values()}
    policy = policy_of(Settings())
    assert policy.inhibitors("low_battery") == {"offline"}
    assert policy.proofs("offline") == ("theft", "tamper")
    assert (policy.reopen_ms("theft"), policy.reopen_ms("geofence"), policy.minimum_ms("theft")) == (3_600_000, 1_800_000, 0)
    assert policy.matters_to_models() == {"offline", "voltage_sag", "over_temperature"}


def snooze(story: Story, minutes: float, rule: str = "") -> list[Event]:
    named: dict[str, Any] = {"rule": rule} if rule else {}
    return story.operate(Operation.SNOOZE, minutes=minutes, **named)


def service(story: Story, mode: str) -> list[Event]:
    return story.operate(Operation.SERVICE_MODE, mode=mode)


# reopened


def test_a_condition_that_returns_soon_opens_the_same_alert_again(story: Story) -> None:
    """
    raised      cleared  reopened   cleared         raised anew
    |-----------|        |----------|               |------
                <- 30 min ->        <-- > 30 min -->
    """
    raised = one(story.raised(*TIPPED), event.ALERT_RAISED)
    story.operate(Operation.ALERT_ACKNOWLEDGED, rule="tipped")
    assert "reopened" not in one(story.cleared(*TIPPED), event.ALERT_CLEARED)
    story.wait(1790)
    made = story.raised(*TIPPED)
    again = one(made, event.ALERT_REOPENED)
    assert [(again[key]) for key in ("alert_id", "raised_ms", "severity", "reopened")] == [
        *(raised[k] for k in ("alert_id", "raised_ms")),
        "warning",
        1,
    ]
    assert again["evidence"]["kafka"]["first_offset"] != raised["evidence"]["kafka"]["first_offset"]
    assert kinds(story.operate(Operation.ALERT_ACKNOWLEDGED, rule="tipped")) == [("alert.acknowledged", "tipped")], "it must be taken anew"
    assert one(story.cleared(*TIPPED), event.ALERT_CLEARED)["reopened"] == 1
    assert one(story.raised(*TIPPED), event.ALERT_REOPENED)["reopened"] == 2
    story.cleared(*TIPPED)
    story.wait(1801)
    fresh = one(story.raised(*TIPPED), event.ALERT_RAISED)
    assert fresh["alert_id"] != raised["alert_id"]
    assert "reopened" not in fresh


def test_the_time_of_a_rule_replaces_that_of_all(story: Story) -> None:
    story.raised(*SAG)
    story.cleared(*SAG)
    story.wait(80_000)
    assert kinds(story.raised(*SAG))[0] == ("alert.reopened", "voltage_sag")
    story.raised(*TAMPER)
    story.cleared(*TAMPER)
    assert kinds(story.raised(*TAMPER)) == [("alert.raised", "tamper")]


def test_a_reopened_alert_escalates_when_nobody_takes_it(story: Story) -> None:
    story.raised(*TIPPED)
    story.cleared(*TIPPED)
    assert story.wait(1700) == []
    again = one(story.raised(*TIPPED), event.ALERT_REOPENED)
    assert one(story.wait(1800), event.ALERT_ESCALATED)["alert_id"] == again["alert_id"]


def test_what_was_mended_does_not_return(story: Story) -> None:
    story.raised(*SAG)
    story.operate(Operation.MAINTENANCE_DONE, rule="voltage_sag")
    story.cleared(*SAG)
    assert ("alert.raised", "voltage_sag") in kinds(story.raised(*SAG))
    story.cleared(*SAG)
    story.fact(Fact.BATTERY_SWAPPED, Condition.LOW_BATTERY, 10.0, 99.0)
    assert ("alert.raised", "voltage_sag") in kinds(story.raised(*SAG)), "another battery"


def test_a_late_fact_is_told_once_and_opens_nothing_again(story: Story) -> None:
    story.raised(*TIPPED)
    story.cleared(*TIPPED)
    late = one(story.raised(*TIPPED, late=True), event.ALERT_RAISED)
    assert late["late"] is True
    assert kinds(story.raised(*TIPPED)) == [("alert.reopened", "tipped")]


# minimum and keep


def test_a_condition_must_hold_for_its_minimum(story: Story) -> None:
    sensor = (Condition.SENSOR, 0.0, 40.0, 1.0)
    assert kinds(story.raised(*sensor)) == [("maintenance.required", "sensor")]
    assert story.lifecycle.alerts[0] == 0
    story.cleared(*sensor)
    assert story.wait(3600) == []
    story.raised(*sensor)
    assert story.wait(59) == []
    made = story.wait(1)
    assert kinds(made) == [("alert.raised", "sensor")]
    assert made[0].cause == f"deadline.{made[0].time_ms}"
    assert story.lifecycle.alerts[0] == 1 << Condition.SENSOR
    assert story.lifecycle.counters["alerts_held"] == 2


def test_an_alert_outlives_a_short_absence_of_its_condition(story: Story) -> None:
    """A thief stops at a crossing."""
    raised = one(story.raised(*THEFT), event.ALERT_RAISED)
    assert story.cleared(*THEFT) == []
    story.wait(200)
    assert story.raised(*THEFT) == []
    assert story.cleared(*THEFT) == []
    assert story.wait(299) == []
    assert one(story.wait(1), event.ALERT_CLEARED)["alert_id"] == raised["alert_id"]
    assert story.lifecycle.alerts[0] == 0


# inhibition


def test_what_an_inhibiting_rule_explains_is_held_and_raised_when_it_ends_and_still_holds(story: Story) -> None:
    story.raised(*OFFLINE, timer=True)
    assert kinds(story.raised(*LOW)) == []
    assert story.lifecycle.alerts[0] == 1 << Condition.OFFLINE
    made = story.cleared(*OFFLINE)
    raised = one(made, event.ALERT_RAISED)
    assert raised["rule"] == "low_battery"
    assert raised["evidence"]["values"] == {"battery_soc_pct": 12.34, "limit_pct": 15.0}
    assert raised["evidence"]["kafka"]["first_offset"] == str(story._seq), "the record that set it free"
    assert made[-1].time_ms == raised["raised_ms"] == story.now_ms - 10


def test_what_is_over_by_then_is_never_told(story: Story) -> None:
    story.raised(*OFFLINE, timer=True)
    story.raised(*LOW)
    assert story.cleared(*LOW) == []
    assert kinds(story.cleared(*OFFLINE)) == []


def test_an_open_alert_is_suppressed_and_resumed(story: Story) -> None:
    raised = one(story.raised(*TIPPED), event.ALERT_RAISED)
    suppressed = one(story.raised(*OFFLINE, timer=True), event.ALERT_SUPPRESSED)
    assert suppressed["suppressed_by"] == ["offline"]
    assert suppressed["alert_id"] == raised["alert_id"]
    assert suppressed["evidence"]["values"] == raised["evidence"]["values"]
    assert story.wait(7200) == [], "it does not escalate"
    assert kinds(story.cleared(*OFFLINE)) == [("alert.resumed", "tipped")]
    assert story.wait(1799) == []
    assert kinds(story.wait(1)) == [("alert.escalated", "tipped")]


def test_an_alert_that_ends_while_it_is_suppressed_is_cleared(story: Story) -> None:
    story.raised(*TIPPED)
    story.raised(*OFFLINE, timer=True)
    assert kinds(story.cleared(*TIPPED)) == [("alert.cleared", "tipped")]
    assert kinds(story.cleared(*OFFLINE)) == []


def test_a_crash_hides_that_the_vehicle_lies_until_somebody_has_looked_at_it(story: Story) -> None:
    story.raised(*CRASH)
    assert kinds(story.raised(*TIPPED)) == []
    assert kinds(story.cleared(Condition.CRASH)) == [], "it waits for somebody"
    assert ("alert.raised", "tipped") in kinds(story.operate(Operation.MAINTENANCE_DONE))


# escalation by proof


def test_another_rule_proves_it_and_it_is_graver(story: Story) -> None:
    story.raised(*BLOW)
    made = story.raised(*TIPPED)
    escalated = one(made, event.ALERT_ESCALATED)
    assert (escalated["rule"], escalated["severity"], escalated["confirmed_by"]) == ("crash", "critical", "tipped")
    assert escalated["reason"].startswith("Confirmed by tipped. Peak acceleration")
    assert kinds(made) == [("alert.escalated", "crash")]
    story.cleared(*TIPPED)
    assert story.raised(*TIPPED) == [], "once"


def test_a_proof_that_held_before_counts_and_what_somebody_took_is_news(story: Story) -> None:
    story.raised(*THEFT)
    made = story.raised(*TAMPER)
    assert [kind for kind, rule in kinds(made) if rule == "tamper" and "alert" in kind] == ["alert.raised", "alert.escalated"]
    other = Story(parameters=replace(PARAMETERS, policy=POLICY))
    other.raised(*TAMPER)
    other.operate(Operation.ALERT_ACKNOWLEDGED, rule="tamper")
    assert ("alert.escalated", "tamper") in kinds(other.raised(*THEFT))
    assert kinds(other.operate(Operation.ALERT_ACKNOWLEDGED, rule="tamper")) == [("alert.acknowledged", "tamper")]


def test_who_is_silent_after_its_housing_was_opened_is_critical(story: Story) -> None:
    story.raised(*TAMPER)
    story.raised(*OFFLINE, timer=True)
    (note,) = story.lifecycle.take_notes()
    assert (note.severity, note.reason[:21]) == ("critical", "Confirmed by tamper. ")


# snooze


def test_a_snoozed_alert_is_suppressed_until_its_end(story: Story) -> None:
    story.raised(*TIPPED)
    made = snooze(story, 60, "tipped")
    suppressed = one(made, event.ALERT_SUPPRESSED)
    until_ms = story.now_ms + 3_600_000
    assert (suppressed["suppressed_by"], suppressed["until_ms"], suppressed["by"]) == (["snooze"], until_ms, "ada")
    assert story.wait(3599) == []
    made = story.wait(1)
    assert kinds(made) == [("alert.resumed", "tipped")]
    assert made[0].time_ms == until_ms
    assert kinds(story.wait(1800)) == [("alert.escalated", "tipped")]


def test_a_snooze_without_a_rule_is_of_what_is_open(story: Story) -> None:
    story.raised(*TIPPED)
    story.raised(*LOW)
    assert kinds(snooze(story, 60)) == [("alert.suppressed", "low_battery"), ("alert.suppressed", "tipped")]
    assert ("alert.raised", "tamper") in kinds(story.raised(*TAMPER)), "a new alert is news"


def test_a_snoozed_rule_is_held_and_raised_at_the_end_if_it_still_holds(story: Story) -> None:
    assert kinds(snooze(story, 60, "tipped")) == []
    assert story.raised(*TIPPED) == []
    assert kinds(story.wait(3600)) == [("alert.raised", "tipped")]


def test_a_snooze_outlives_a_return_and_the_end_of_an_alert_is_told(story: Story) -> None:
    story.raised(*TIPPED)
    snooze(story, 60, "tipped")
    assert kinds(story.cleared(*TIPPED)) == [("alert.cleared", "tipped")]
    assert story.raised(*TIPPED) == []
    assert kinds(story.wait(3600)) == [("alert.raised", "tipped")], "an hour later it is a new one"


def test_a_later_snooze_replaces_an_earlier_and_no_minutes_end_it(story: Story) -> None:
    story.raised(*TIPPED)
    snooze(story, 10, "tipped")
    assert one(snooze(story, 60, "tipped"), event.ALERT_SUPPRESSED)["until_ms"] == story.now_ms + 3_600_000
    assert story.wait(1200) == []
    assert kinds(snooze(story, 0, "tipped")) == [("alert.resumed", "tipped")]
    assert kinds(story.operate(Operation.SNOOZE, until_ms=story.now_ms + 61_000, rule="tipped")) == [("alert.suppressed", "tipped")]
    assert kinds(story.wait(61)) == [("alert.resumed", "tipped")]


def test_what_becomes_graver_ends_its_snooze(story: Story) -> None:
    story.raised(*BLOW)
    snooze(story, 600, "crash")
    assert kinds(story.raised(*CRASH))[:2] == [("alert.escalated", "crash"), ("alert.resumed", "crash")]
    assert kinds(story.wait(1800)) == [("alert.escalated", "crash")]


def test_nobody_sleeps_for_longer_than_a_month(story: Story) -> None:
    story.raised(*TIPPED)
    made = story.operate(Operation.SNOOZE, until_ms=2**61, rule="tipped")
    assert one(made, event.ALERT_SUPPRESSED)["until_ms"] == story.now_ms + 30 * 86_400_000


@pytest.mark.parametrize(
    "detail",
    [{}, {"minutes": -1}, {"minutes": "soon"}, {"minutes": "nan"}, {"minutes": 5, "until_ms": 7}, {"minutes": 5, "rule": "unknown"}],
)
def test_a_snooze_that_says_nothing_that_can_be_done_is_refused(story: Story, detail: dict[str, Any]) -> None:
    story.raised(*TIPPED)
    assert story.operate(Operation.SNOOZE, **detail) == []
    assert story.lifecycle.counters["operations_refused"] == 1


def test_the_city_is_told_of_a_snooze_before_and_after_the_silence(story: Story) -> None:
    snooze(story, 60, "offline")
    until_ms = story.now_ms + 3_600_000
    story.raised(*OFFLINE, timer=True)
    snooze(story, 0, "offline")
    snooze(story, 120)
    notes = story.lifecycle.take_notes()
    assert [(note.kind, note.by) for note in notes] == [("offline", "ada"), ("snoozed", "ada"), ("snoozed", "ada")]
    assert [note.until_ms for note in notes] == [until_ms, notes[1].stream_ms, story.now_ms + 7_200_000]


# service mode


def test_a_vehicle_in_service_has_no_alerts_and_what_still_holds_is_reopened(story: Story) -> None:
    raised = one(story.raised(*TIPPED), event.ALERT_RAISED)
    story.raised(*LOW)
    assert kinds(service(story, "on")) == [("alert.cleared", "low_battery"), ("alert.cleared", "tipped")]
    assert (story.lifecycle.service[0], story.lifecycle.alerts[0]) == (1, 0)
    assert kinds(story.raised(*TAMPER)) == [("maintenance.required", "tamper")], "the technician is told"
    assert kinds(story.cleared(*LOW)) == []
    assert story.wait(600) == []
    made = service(story, "off")
    assert kinds(made) == [("alert.raised", "tamper"), ("alert.reopened", "tipped")]
    assert one(made, event.ALERT_REOPENED)["alert_id"] == raised["alert_id"]
    assert story.lifecycle.service[0] == 0
    assert kinds(story.wait(1800)) == [("alert.escalated", "tamper"), ("alert.escalated", "tipped")]


def test_after_a_long_service_it_is_a_new_alert(story: Story) -> None:
    story.raised(*TIPPED)
    service(story, "on")
    assert story.wait(7200) == []
    assert kinds(service(story, "off")) == [("alert.raised", "tipped")]


def test_a_crash_that_nobody_has_looked_at_is_there_after_the_service(story: Story) -> None:
    story.raised(*CRASH)
    story.cleared(Condition.CRASH)
    assert kinds(service(story, "on")) == [("alert.cleared", "crash")]
    assert kinds(service(story, "off")) == [("alert.reopened", "crash")]
    service(story, "on")
    assert [kind for kind, _ in kinds(story.operate(Operation.MAINTENANCE_DONE))] == ["maintenance.resolved"]
    assert kinds(service(story, "off")) == []


def test_service_on_and_on_is_refused(story: Story) -> None:
    service(story, "on")
    for mode in ("on", "ON", ""):
        assert service(story, mode) == []
    assert story.lifecycle.counters["operations_refused"] == 3


def test_a_silence_in_service_is_told_to_the_city_afterwards(story: Story) -> None:
    story.raised(*OFFLINE, timer=True)
    service(story, "on")
    assert [note.kind for note in story.lifecycle.take_notes()] == ["offline", "gone"]
    story.cleared(*OFFLINE)
    fell_ms = story.now_ms + 990 - 700_000
    story.raised(*OFFLINE, timer=True)
    assert story.lifecycle.take_notes() == []
    story.wait(600)
    service(story, "off")
    (note,) = story.lifecycle.take_notes()
    assert note.kind == "offline"
    assert abs(note.since_ms - fell_ms) < 100
    assert note.reason.startswith("No telemetry for 1301 s")
    assert kinds(story.raised(*MISSING, timer=True)) == []
    assert [note.kind for note in story.lifecycle.take_notes()] == ["missing"]


def test_a_vehicle_that_leaves_the_fleet_leaves_nothing(story: Story) -> None:
    story.raised(*TIPPED)
    snooze(story, 60, "tipped")
    service(story, "on")
    story.operate(Operation.DECOMMISSIONED)
    assert story.lifecycle.service[0] == 0
    assert story.lifecycle._alarms.books == {}
    assert story.lifecycle._mutes.state() == {"service": [], "snoozes": []}
    assert story.wait(86_400) == []


# what the models' desk is told


def test_operations_on_alerts_of_models_are_passed_on(story: Story) -> None:
    story.operate(Operation.ALERT_ACKNOWLEDGED, rule="battery_drain", alert_id="x")
    snooze(story, 5, "vibration")
    story.raised(*OFFLINE, timer=True)
    story.raised(*MISSING, timer=True)
    service(story, "on")
    story.cleared(*OFFLINE)
    words = story.lifecycle.take_words()
    assert [word.kind for word in words] == ["acknowledged", "snoozed", "holding", "service", "holding"]
    assert {word.device for word in words} == {str(device(0))}
    assert (words[0].alert_id, words[0].rule, words[0].by) == ("x", "battery_drain", "ada")
    assert words[1].until_ms == words[1].stream_ms + 300_000
    assert [word.rules for word in words if word.kind == "holding"] == [["offline"], []]
    assert story.lifecycle.take_words() == []
    assert story.lifecycle.counters["operations_applied"] == 3
