"""Alerts, maintenance, availability, zones and recommendations: the folding does not depend on the order of arrival."""

from itertools import permutations
from typing import Any

import h3
import pytest

from fleetpulse.alerts import event
from fleetpulse.alerts.event import Event
from fleetpulse.alerts.states import STATE_NAMES
from fleetpulse.gateway.egress import alert_view, availability_view, feed_items, maintenance_view
from fleetpulse.gateway.egress.alert_view import AlertView
from fleetpulse.gateway.egress.availability_view import AvailabilityView
from fleetpulse.gateway.egress.feed_items import FeedEvent, ZoneReport
from fleetpulse.gateway.egress.maintenance_view import MaintenanceView
from fleetpulse.gateway.egress.zone_view import RebalanceView, ZoneView
from tests.gateway.egress.support import (
    FLEET,
    NAMES,
    NOW_MS,
    alert,
    availability,
    device,
    encoded,
    follow_up,
    maintenance,
    recommendation,
    zone_alert,
    zone_records,
)

ZONE = "881f1d4887fffff"


def read(made: Event) -> FeedEvent:
    """The event as the feed hands it over."""
    record = encoded([made])[0]
    item = feed_items.decode(record.topic, 0, 0, made.time_ms + 50, record.value, list(record.headers), NAMES)
    assert isinstance(item, FeedEvent)
    return item


def alerts_of(*events: Event) -> AlertView:
    view = AlertView()
    for made in events:
        view.apply(read(made))
    return view


def story() -> list[Event]:
    """An alert from its start: raised, escalated, acknowledged."""
    raised = alert(device(1), "offline", severity="warning")
    return [
        raised,
        follow_up(raised, event.ALERT_ESCALATED, ms=NOW_MS + 1_000, severity="critical"),
        follow_up(raised, event.ALERT_ACKNOWLEDGED, ms=NOW_MS + 2_000, by="Anna", severity="critical"),
    ]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_an_alert_is_the_same_in_any_order_of_its_events(order: tuple[int, ...]) -> None:
    events = story()
    [shown] = [alert_view.render(a, now_ms=NOW_MS + 60_000) for a in alerts_of(*(events[i] for i in order))]
    expected = {
        "rule": "offline",
        "severity": "critical",
        "acknowledged": True,
        "acknowledged_by": "Anna",
        "acknowledged_ms": NOW_MS + 2_000,
        "escalated_ms": NOW_MS + 1_000,
        "raised_ms": NOW_MS,
        "age_s": 60,
        "device_id": str(device(1)),
    }
    assert {key: shown[key] for key in expected} == expected


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_what_became_graver_after_somebody_took_it_is_not_acknowledged(order: tuple[int, ...]) -> None:
    raised = alert(device(1), "geofence", severity="warning")
    events = [
        raised,
        follow_up(raised, event.ALERT_ACKNOWLEDGED, ms=NOW_MS + 1_000, by="Anna"),
        follow_up(raised, event.ALERT_ESCALATED, ms=NOW_MS + 2_000, severity="critical"),
    ]
    [shown] = [alert_view.render(a, now_ms=NOW_MS + 60_000) for a in alerts_of(*(events[i] for i in order))]
    assert (shown["acknowledged"], shown["severity"], shown["escalated_ms"]) == (False, "critical", NOW_MS + 2_000)
    assert "acknowledged_by" not in shown


@pytest.mark.parametrize("order", list(permutations(range(5))))
def test_a_reopened_alert_is_open_in_any_order_of_its_events(order: tuple[int, ...]) -> None:
    """What was told of it before counts no longer."""
    raised = alert(device(1), "theft", severity="warning")
    events = [
        raised,
        follow_up(raised, event.ALERT_ACKNOWLEDGED, ms=NOW_MS + 1, by="Anna", severity="critical"),
        follow_up(raised, event.ALERT_CLEARED, ms=NOW_MS + 2, severity="critical"),
        follow_up(raised, event.ALERT_REOPENED, ms=NOW_MS + 3, reopened=1),
        follow_up(
            raised, event.ALERT_SUPPRESSED, ms=NOW_MS + 4, reopened=1, suppressed_by=["offline", "snooze"], until_ms=NOW_MS + 9, by="Ben"
        ),
    ]
    view = alerts_of(*(events[i] for i in order))
    [shown] = [alert_view.render(a, now_ms=NOW_MS + 60_000) for a in view]
    expected = {
        "alert_id": raised.id,
        "severity": "warning",
        "acknowledged": False,
        "raised_ms": NOW_MS,
        "reopened": 1,
        "suppressed_by": ["offline", "snooze"],
        "snoozed_until_ms": NOW_MS + 9,
        "snoozed_by": "Ben",
    }
    assert {key: shown[key] for key in expected} == expected
    view.apply(read(follow_up(raised, event.ALERT_RESUMED, ms=NOW_MS + 5, reopened=1)))
    [shown] = [alert_view.render(a, now_ms=NOW_MS + 60_000) for a in view]
    assert not {"suppressed_by", "snoozed_until_ms", "snoozed_by"} & shown.keys()


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_what_was_reopened_and_cleared_again_is_closed_in_any_order(order: tuple[int, ...]) -> None:
    raised = alert(device(1), "theft")
    events = [
        raised,
        follow_up(raised, event.ALERT_CLEARED, ms=NOW_MS + 2),
        follow_up(raised, event.ALERT_REOPENED, ms=NOW_MS + 3, reopened=1),
        follow_up(raised, event.ALERT_CLEARED, ms=NOW_MS + 4, reopened=1),
    ]
    assert len(alerts_of(*(events[i] for i in order))) == 0
    assert alerts_of(*(events[i] for i in order)).of(str(device(1))) == []


def test_what_nobody_is_to_be_told_comes_last() -> None:
    theft, tamper = alert(device(1), "theft", severity="critical"), alert(device(2), "tamper", severity="info")
    view = alerts_of(theft, tamper, follow_up(theft, event.ALERT_SUPPRESSED, ms=NOW_MS + 1, suppressed_by=["offline"]))
    assert [shown.rule for shown in view.ordered()] == ["tamper", "theft"]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_cleared_alert_stays_closed_whatever_comes_after(order: tuple[int, ...]) -> None:
    raised = alert(device(1), "offline")
    events = [
        raised,
        follow_up(raised, event.ALERT_ACKNOWLEDGED, ms=NOW_MS + 1, by="A"),
        follow_up(raised, event.ALERT_CLEARED, ms=NOW_MS + 2),
    ]
    view = alerts_of(*(events[i] for i in order))
    assert len(view) == 0
    assert view.of(str(device(1))) == []


def test_a_late_alert_is_told_once_and_is_not_open_except_a_crash() -> None:
    view = alerts_of(alert(device(1), "theft", late=True), alert(device(2), "crash", late=True))
    assert [a.rule for a in view] == ["crash"]


def test_alerts_come_by_urgency() -> None:
    taken = alert(device(1), "crash", severity="critical", ms=NOW_MS - 9_000)
    view = alerts_of(
        alert(device(2), "low_battery", severity="warning", ms=NOW_MS - 5_000),
        alert(device(3), "offline", severity="info", ms=NOW_MS - 8_000),
        taken,
        follow_up(taken, event.ALERT_ACKNOWLEDGED, ms=NOW_MS, by="A", severity="critical"),
        alert(device(4), "theft", severity="critical"),
        alert(device(5), "crash", severity="critical", ms=NOW_MS - 1_000),
        alert(device(6), "crash", severity="critical", ms=NOW_MS - 2_000),
        zone_alert(ZONE),
    )
    shown = [(a.rule, a.device_id) for a in view.ordered()]
    expected = [("crash", 6), ("crash", 5), ("theft", 4), ("battery_cluster", None), ("low_battery", 2), ("offline", 3), ("crash", 1)]
    assert shown == [(rule, str(device(i)) if i else None) for rule, i in expected]


def test_maintenance_is_replaced_when_told_again_and_closed_when_resolved() -> None:
    view, required = MaintenanceView(), maintenance(device(1), "tyre")
    again = Event(required.type, required.subject, required.rule, "2.2", NOW_MS + 5, {**required.data, "severity": "critical"})
    other = maintenance(device(1), "battery", cause="7.7")
    for made in (required, again, other):
        view.apply(read(made))
    assert [t.data["severity"] for t in view.of(str(device(1)))] == ["critical", "warning"]
    assert maintenance_view.render(view.ordered()[0], now_ms=NOW_MS + 3_000)["age_s"] == 3
    done = Event(
        event.MAINTENANCE_RESOLVED, required.subject, required.rule, "op", NOW_MS + 9, {**required.data, "resolved_by": "operation"}
    )
    view.apply(read(done))
    view.apply(read(again))
    assert [t.data["component"] for t in view] == ["battery"]


def test_only_a_vehicle_that_is_not_available_keeps_its_event() -> None:
    view = AvailabilityView()
    off = availability(device(1), "non_operational", "battery_low", ms=NOW_MS)
    on = availability(device(1), "available", "battery_charged", previous="non_operational", ms=NOW_MS + 5, cause="1.2")
    view.apply(read(off))
    change = view.of(str(device(1)))
    assert change is not None
    assert (change.state, change.event_type) == ("non_operational", "battery_low")
    view.apply(read(on))
    assert view.of(str(device(1))) is None


@pytest.mark.parametrize(
    ("state", "event_type", "rules", "sentence"),
    [
        ("available", "trip_end", ["crash"], "It can be rented."),
        (
            "non_operational",
            "battery_low",
            ["low_battery", "geofence"],
            "It is out of service: its battery is too low to rent; reason of low_battery.",
        ),
        (
            "non_contactable",
            "comms_lost",
            ["offline"],
            "It does not answer: nothing has been heard from it for longer than it is ever silent; reason of offline.",
        ),
        ("on_trip", "trip_start", [], "It is on a trip."),
        ("non_operational", "service_end", ["crash"], "It is out of service."),
    ],
)
def test_the_reason_is_one_sentence_of_state_event_and_what_explains_it(
    state: str, event_type: str, rules: list[str], sentence: str
) -> None:
    view = alerts_of(*(alert(device(1), rule, cause=rule) for rule in rules))
    vehicle: dict[str, Any] = {"vehicle_state": state, "event_type": event_type}
    assert availability_view.reason(vehicle, view.of(str(device(1))), []) == sentence


def reports(city: str, counts: list[tuple[int, int, int, int, int]], *, end_ms: int, shards: int = 4) -> list[ZoneReport]:
    items = [
        feed_items.decode("fleet.zones", 1, 0, end_ms, r.value, [], NAMES) for r in zone_records(city, counts, shards=shards, end_ms=end_ms)
    ]
    return [item for item in items if isinstance(item, ZoneReport)]


def test_what_shards_say_of_silent_vehicles_is_for_the_city_flow_alone() -> None:
    assert feed_items.decode("fleet.zones", 1, 0, NOW_MS, b'{"table": "silence", "notes": []}', [], NAMES) is None


def test_zone_counts_are_summed_over_shards_and_shown_when_all_have_reported() -> None:
    view, cell, other = ZoneView(), h3.str_to_int(ZONE), h3.str_to_int("881f1d4881fffff")
    for report in reports("berlin", [(cell, 0, 3, 0, 0), (cell, 2, 1, 0, 0), (cell, 255, 0, 2, 1), (other, 0, 1, 0, 0)], end_ms=NOW_MS):
        view.apply(report)
    first, *_ = reports("berlin", [(cell, 0, 50, 0, 0)], end_ms=NOW_MS + 900_000)
    view.apply(first)
    latest = view.latest("berlin", FLEET.model_names)
    assert latest is not None
    assert (latest["interval_end_ms"], latest["complete"], latest["shards_reported"]) == (NOW_MS, True, 4)
    top = latest["cells"][0]
    assert top["zone"] == ZONE
    assert (top["vehicles"], top["by_state"], top["by_charge"]) == (16, {"available": 12, "on_trip": 4}, {"50_and_more": 16})
    assert (top["trip_starts"], top["trip_ends"]) == (8, 4)
    assert [c["vehicles"] for c in latest["cells"]] == [16, 4]
    assert view.latest("paris", FLEET.model_names) is None


def test_an_incomplete_interval_is_shown_as_such_when_there_is_no_other() -> None:
    view = ZoneView()
    first, second, *_ = reports("berlin", [(h3.str_to_int(ZONE), 0, 3, 0, 0)], end_ms=NOW_MS)
    view.apply(first)
    view.apply(second)
    view.apply(second)  # again, after a crash of the flow
    latest = view.latest("berlin", FLEET.model_names)
    assert latest is not None
    assert (latest["complete"], latest["shards_reported"], latest["cells"][0]["vehicles"]) == (False, 2, 6)


@pytest.mark.parametrize("reverse", [False, True])
def test_recommendations_are_those_of_the_newest_interval_that_have_not_expired(reverse: bool) -> None:
    old = recommendation("881f1d4881fffff", end_ms=NOW_MS - 900_000, expires_ms=NOW_MS + 500_000)
    new = [
        recommendation(ZONE, priority=3),
        recommendation(ZONE, kind="swap", priority=1),
        recommendation(ZONE, city="paris", expires_ms=NOW_MS + 10),
    ]
    view, events = RebalanceView(), [old, *new]
    for made in reversed(events) if reverse else events:
        view.apply(read(made))
    shown = view.current(now_ms=NOW_MS + 20)
    assert [(r["city"], r["kind"], r["priority"]) for r in shown] == [("berlin", "swap", 1), ("berlin", "move", 3)]
    assert [r["kind"] for r in view.current(now_ms=NOW_MS, kind="move", city="paris")] == ["move"]


def test_every_state_has_a_text() -> None:
    for state in STATE_NAMES:
        assert "Its state is" not in availability_view.reason({"vehicle_state": state, "event_type": "none"}, [], [])
