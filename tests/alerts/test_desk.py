"""Alerts of models live as those of rules do: reopened, kept, held, suppressed, acknowledged, snoozed; the same however records are cut."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetpulse.alerts import event
from fleetpulse.alerts.desk import Desk
from fleetpulse.alerts.event import Event
from fleetpulse.alerts.policy import AlertPolicy
from fleetpulse.alerts.relay import Kind, Word, plain
from fleetpulse.operators import words
from tests.alerts.story import START_MS, device, kinds, one
from tests.support import events

POLICY = AlertPolicy(
    reopen={"battery_drain": 86_400, "vibration": 0},
    keep={"battery_drain": 3600},
    inhibit={"offline": ("battery_drain",)},
    confirm={"vibration": ("fault_code",)},
)


def finding(rule: str, now_ms: int, vehicle: int, *, raised_ms: int = 0, by: str = "recovered") -> list[Event]:
    """As alerts/findings.py makes it; raised_ms: that it is over."""
    subject, cause, opened = str(device(vehicle)), f"window.{now_ms}", f"window.{raised_ms or now_ms}"
    evidence = {
        "rule": "drain",
        "version": "1",
        "values": {"score": 1.5},
        "recorded_ms": now_ms,
        "window": {"start_ms": 0, "end_ms": now_ms},
    }
    common = {
        "device_id": subject,
        "city": "berlin",
        "rule": rule,
        "severity": "warning",
        "reason": "It is over." if raised_ms else "It drains.",
    }
    ids = {"maintenance_id": event.event_id(event.MAINTENANCE_REQUIRED, subject, rule, opened)}
    work = {**common, **ids, "component": "battery", "required_ms": raised_ms or now_ms, **({"resolved_by": by} if raised_ms else {})}
    told = {**common, "alert_id": event.event_id(event.ALERT_RAISED, subject, rule, opened), "raised_ms": raised_ms or now_ms}
    types = (event.MAINTENANCE_RESOLVED, event.ALERT_CLEARED) if raised_ms else (event.MAINTENANCE_REQUIRED, event.ALERT_RAISED)
    return [
        Event(type_, subject, rule, cause, now_ms, {**data, "evidence": evidence}) for type_, data in zip(types, (work, told), strict=True)
    ]


class Told:
    """One desk, told one thing after the other; each call a second later. Every event is validated, and from call to call is a restart."""

    def __init__(self, policy: AlertPolicy = POLICY) -> None:
        self._policy = policy
        self.desk = Desk(policy, shard=3, topic="vehicle-telemetry")
        self.now_ms = START_MS
        self.raised_ms: dict[str, int] = {}
        self.events: list[Event] = []

    def found(self, rule: str = "battery_drain", vehicle: int = 0) -> list[Event]:
        self.now_ms += 1000
        self.raised_ms[rule] = self.now_ms
        return self._made(self.desk.find(finding(rule, self.now_ms, vehicle), self.now_ms))

    def over(self, rule: str = "battery_drain", vehicle: int = 0, by: str = "recovered") -> list[Event]:
        self.now_ms += 1000
        return self._made(self.desk.find(finding(rule, self.now_ms, vehicle, raised_ms=self.raised_ms[rule], by=by), self.now_ms))

    def said(self, kind: Kind, vehicle: int = 0, **more: Any) -> list[Event]:
        self.now_ms += 1000
        word = Word(kind, str(device(vehicle)), self.now_ms, self.now_ms, f"operation.{self.now_ms}", self.now_ms + 1, **more)
        record = words.record(3, self.now_ms // 1000, [word])
        second, heard = words.parse(record.value) or (-1, [])
        assert (record.partition, heard) == (3, [word])
        made = self._made(self.desk.hear(second, heard))
        assert self.desk.hear(second, heard) == [], "written twice"
        return made

    def wait(self, seconds: float) -> list[Event]:
        self.now_ms += round(seconds * 1000)
        return self._made(self.desk.advance(self.now_ms))

    def _made(self, made: list[Event]) -> list[Event]:
        for e in made:
            events.validate(event.encode(e, deployment="test"))
        self.events += made
        assert len({e.id for e in self.events}) == len(self.events)
        state = orjson.loads(orjson.dumps(self.desk.state()))
        fresh = Desk(self._policy, shard=3, topic="vehicle-telemetry")
        fresh.restore(state)
        assert orjson.loads(orjson.dumps(fresh.state())) == state
        self.desk = fresh
        return made


def test_a_finding_is_told_as_the_model_made_it() -> None:
    told = Told()
    made = told.found()
    assert made == finding("battery_drain", told.now_ms, 0)


def test_findings_of_forecasts_go_through() -> None:
    told = Told()
    made = [replace(finding("battery_drain", told.now_ms, 0)[0], rule="battery_life")]
    assert told.desk.find(made, told.now_ms) == made


def test_a_model_that_wavers_makes_one_alert_and_one_task() -> None:
    """
    found   over  found  over              resolved, cleared
    |-------|     |------|---- keep -------|
    """
    told = Told()
    told.found()
    assert told.over() == []
    told.wait(3000)
    assert told.found() == []
    assert told.over() == []
    assert told.wait(3599) == []
    made = told.wait(1)
    assert kinds(made) == [("maintenance.resolved", "battery_drain"), ("alert.cleared", "battery_drain")]
    first = told.events[0].data
    assert [(made[0].data[key]) for key in ("maintenance_id", "required_ms")] == [first["maintenance_id"], first["required_ms"]]
    assert made[0].cause == made[1].cause == f"deadline.{told.now_ms}"
    assert "recorded_ms" not in made[0].data["evidence"]
    assert made[1].data["reason"] == "It is over."


def test_what_returns_within_a_day_is_reopened_and_its_task_is_a_new_one() -> None:
    told = Told()
    raised = one(told.found(), event.ALERT_RAISED)
    told.over()
    told.wait(80_000)
    made = told.found()
    again = one(made, event.ALERT_REOPENED)
    assert (again["alert_id"], again["raised_ms"], again["reopened"], again["reason"]) == (
        raised["alert_id"],
        raised["raised_ms"],
        1,
        "It drains.",
    )
    assert one(made, event.MAINTENANCE_REQUIRED)["maintenance_id"] == made[0].id
    told.over()
    told.wait(3600)
    assert told.wait(86_401) == []
    assert one(told.found(), event.ALERT_RAISED)["alert_id"] != raised["alert_id"]


def test_another_battery_ends_it_at_once_and_what_comes_after_is_new() -> None:
    told = Told()
    told.found()
    assert kinds(told.over(by="swap")) == [("maintenance.resolved", "battery_drain"), ("alert.cleared", "battery_drain")]
    assert kinds(told.found()) == [("maintenance.required", "battery_drain"), ("alert.raised", "battery_drain")]


def test_nobody_answers_and_somebody_does() -> None:
    told = Told()
    raised = one(told.found(), event.ALERT_RAISED)
    assert one(told.wait(1800), event.ALERT_ESCALATED)["severity"] == "critical"
    told.found("vibration", 1)
    acknowledged = one(told.said("acknowledged", by="ada", alert_id=raised["alert_id"]), event.ALERT_ACKNOWLEDGED)
    assert (acknowledged["by"], acknowledged["evidence"]["recorded_ms"]) == ("ada", told.now_ms + 1)
    assert one(told.said("acknowledged", 1, by="ada", rule="vibration"), event.ALERT_ACKNOWLEDGED)["rule"] == "vibration"
    assert told.wait(86_400) == []


def test_a_silent_vehicle_hides_it() -> None:
    told = Told()
    told.found()
    assert one(told.said("holding", rules=["offline"]), event.ALERT_SUPPRESSED)["suppressed_by"] == ["offline"]
    assert kinds(told.said("holding", rules=[])) == [("alert.resumed", "battery_drain")]
    told.said("holding", 1, rules=["offline"])
    assert kinds(told.found(vehicle=1)) == [("maintenance.required", "battery_drain")], "the technician is told"
    assert kinds(told.said("holding", 1, rules=[])) == [("alert.raised", "battery_drain")]


def test_a_rule_proves_it() -> None:
    told = Told()
    told.found("vibration")
    assert one(told.said("holding", rules=["fault_code"]), event.ALERT_ESCALATED)["confirmed_by"] == "fault_code"


def test_it_can_be_snoozed_by_its_name_or_with_all_that_is_open() -> None:
    told = Told()
    told.found()
    told.found("vibration")
    until_ms = told.now_ms + 3_600_000
    assert kinds(told.said("snoozed", rule="vibration", until_ms=until_ms, by="ada")) == [("alert.suppressed", "vibration")]
    assert kinds(told.said("snoozed", until_ms=until_ms, by="ada")) == [("alert.suppressed", "battery_drain")], (
        "the other is snoozed already"
    )
    assert kinds(told.wait(3600)) == [("alert.resumed", "battery_drain"), ("alert.resumed", "vibration")]


def test_in_service_it_has_no_alerts() -> None:
    told = Told()
    told.found()
    assert kinds(told.said("service", on=True)) == [("alert.cleared", "battery_drain")]
    assert kinds(told.found("vibration")) == [("maintenance.required", "vibration")]
    assert kinds(told.said("service", on=False)) == [("alert.reopened", "battery_drain"), ("alert.raised", "vibration")]


def test_of_a_vehicle_of_which_nothing_is_open_nothing_is_kept() -> None:
    told = Told()
    empty = told.desk.state()["slots"]
    told.said("acknowledged", alert_id="x")
    told.said("service", on=False)
    told.said("holding", rules=["offline"])
    told.said("holding", rules=[])
    told.said("service", on=True)
    told.found()
    told.said("gone")
    told.found("vibration", 1)
    told.over("vibration", 1)
    assert told.desk.state()["slots"] == empty == []


def test_a_vehicle_that_leaves_the_fleet_leaves_nothing_open_and_the_model_hears_of_it_too_late() -> None:
    told = Told()
    told.found()
    made = told.said("gone")
    assert kinds(made) == [("alert.cleared", "battery_drain"), ("maintenance.resolved", "battery_drain")]
    assert made[1].data["resolved_by"] == "forgotten"
    assert told.over() == []


@pytest.mark.parametrize(
    "value", [b"{", b'{"table": "other"}', b'{"table": "words", "second": 1}', b'{"table": "words", "second": 1, "words": [{}]}']
)
def test_a_broken_record_of_words_says_so(value: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        words.parse(value)


def test_a_table_of_windows_holds_no_words() -> None:
    assert words.parse(b"\xff\xff\xff\xff") is None
    assert Word(**plain(Word("gone", "d", 1, 2, "c", 3))) == Word("gone", "d", 1, 2, "c", 3)


LIVELY = AlertPolicy(
    escalate_s=40,
    reopen_s=60,
    reopen={"vibration": 0},
    minimum={"vibration": 7},
    keep={"battery_drain": 30},
    inhibit={"offline": ("battery_drain",)},
    confirm={"vibration": ("fault_code",)},
)
STEP = st.tuples(
    st.sampled_from(("found", "over", "swap", "holding", "snoozed", "service", "acknowledged", "gone", "wait")),
    st.integers(0, 2),
    st.sampled_from(("battery_drain", "vibration")),
    st.sampled_from((0, 300, 1000, 8000, 31_000)),
    st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEP, max_size=40), st.data())
def test_when_timers_are_looked_at_and_restarts_change_no_byte(steps: list[tuple[str, int, str, int, bool]], data: st.DataObject) -> None:
    def play(*, disturbed: bool) -> list[Event]:
        desk, now_ms, made = Desk(LIVELY, shard=3, topic="t"), START_MS, []
        open_: dict[tuple[int, str], int] = {}
        for i, (what, vehicle, rule, after_ms, flag) in enumerate(steps):
            before, now_ms = now_ms, now_ms + after_ms
            if disturbed and data.draw(st.booleans()):
                made += desk.advance(data.draw(st.integers(before, now_ms)))
                state = orjson.loads(orjson.dumps(desk.state()))
                desk = Desk(LIVELY, shard=3, topic="t")
                desk.restore(state)
            key = (vehicle, rule)
            if what == "found" and key not in open_:
                open_[key] = now_ms + i  # windows of one vehicle end at different times
                made += desk.find(finding(rule, now_ms + i, vehicle), now_ms)
            elif what in ("over", "swap") and key in open_:
                by = "recovered" if what == "over" else "swap"
                made += desk.find(finding(rule, now_ms + i, vehicle, raised_ms=open_.pop(key), by=by), now_ms)
            elif what in ("holding", "snoozed", "service", "acknowledged", "gone"):
                details: dict[str, dict[str, Any]] = {
                    "holding": {"rules": ["offline", "fault_code"] if flag else []},
                    "snoozed": {"rule": rule if flag else "", "until_ms": now_ms + 9000, "by": "ada"},
                    "service": {"on": flag},
                    "acknowledged": {"rule": rule, "by": "ada"},
                }
                more = details.get(what, {})
                said: Any = what
                made += desk.hear(
                    10 * (now_ms // 1000) + i, [Word(said, str(device(vehicle)), now_ms, now_ms, f"operation.{i}", now_ms, **more)]
                )
        return made + desk.advance(now_ms + 200_000)

    quiet = play(disturbed=False)
    assert play(disturbed=True) == quiet
    assert len({e.id for e in quiet}) == len(quiet)
    is_open: dict[str, bool] = {}
    for e in quiet:
        events.validate(event.encode(e, deployment="test"))
        if "alert_id" in e.data:
            id_ = e.data["alert_id"]
            assert is_open.get(id_) is (None if e.type == event.ALERT_RAISED else e.type != event.ALERT_REOPENED), e.type
            is_open[id_] = e.type != event.ALERT_CLEARED
