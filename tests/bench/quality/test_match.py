"""Which alarms are true of which faults, and which are false."""

from dataclasses import replace

from fleetpulse.bench.quality.alarms import Alarm
from fleetpulse.bench.quality.cases import CASES, Case
from fleetpulse.bench.quality.history import Label, Truth
from fleetpulse.bench.quality.match import Outcome, match
from fleetpulse.bench.quality.uplink import Span
from fleetpulse.vehicle_agent.faults import Fault

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
CASE = {case.name: case for case in CASES}


def alarm(rule: str, device: str, at_ms: int, city: str = "berlin") -> Alarm:
    return Alarm(rule, device, at_ms, "warning", city, {})


def label(name: str, device: str = "a", start_ms: int = HOUR_MS, end_ms: int = 2 * HOUR_MS) -> Label:
    return Label(CASE[name], device, start_ms, end_ms)


def outcome(alarms: list[Alarm], *labels: Label, **more: object) -> Outcome:
    truth = Truth(10.0, ["a", "b"], frozenset({"b"}), list(labels))
    return match(alarms, replace(truth, **more))  # type: ignore[arg-type]


def test_an_alarm_within_the_fault_finds_it_and_says_after_how_long() -> None:
    found = outcome([alarm("battery_drain", "a", HOUR_MS + 7 * MINUTE_MS)], label("drain_parked"))
    kind = found.kinds["drain_parked"]
    assert (kind.faults, kind.found, kind.true, kind.false) == (1, 1, 1, 0)
    assert kind.delays_s == [420.0]
    assert found.false == []


def test_another_vehicle_another_rule_or_too_late_finds_nothing_and_is_false() -> None:
    after_ms = 2 * HOUR_MS + int(CASE["drain_parked"].after_s * 1000) + 1
    wrong = [alarm("battery_drain", "b", HOUR_MS), alarm("vibration", "a", HOUR_MS), alarm("battery_drain", "a", after_ms)]
    found = outcome(wrong, label("drain_parked"))
    assert found.kinds["drain_parked"].found == 0
    assert [one.device for one, _ in found.false] == ["b", "a", "a"]
    assert [one.device for one in found.free_false] == ["b"]
    assert found.missed == [label("drain_parked")]


def test_flapping_is_false_and_a_reminder_after_an_hour_is_not() -> None:
    times = [HOUR_MS, HOUR_MS + 5 * MINUTE_MS, HOUR_MS + 5 * MINUTE_MS + 61 * MINUTE_MS]
    long = label("drain_parked", end_ms=9 * HOUR_MS)
    assert outcome([alarm("battery_drain", "a", at) for at in times], long).kinds["drain_parked"].repeats == 1
    border = label("geofence_border", end_ms=9 * HOUR_MS)
    assert outcome([alarm("geofence", "a", HOUR_MS), alarm("geofence", "a", 4 * HOUR_MS)], border).kinds["geofence_border"].repeats == 1


def test_an_alert_that_is_reopened_finds_a_fault_and_is_neither_a_repeat_nor_false() -> None:
    again = replace(alarm("battery_drain", "a", HOUR_MS + MINUTE_MS), again=True)
    found = outcome([again, replace(again, at_ms=HOUR_MS + 9 * MINUTE_MS), replace(again, at_ms=90 * HOUR_MS)], label("drain_parked"))
    assert (found.kinds["drain_parked"].found, found.kinds["drain_parked"].true, found.kinds["drain_parked"].false) == (1, 1, 0)
    assert found.false == []


def test_another_rule_of_the_kind_confirms_and_is_no_flapping() -> None:
    found = outcome([alarm("voltage_sag", "a", HOUR_MS), alarm("battery_drain", "a", HOUR_MS + MINUTE_MS)], label("dead_cell"))
    assert (found.kinds["dead_cell"].true, found.kinds["dead_cell"].repeats, found.false) == (1, 0, [])


def test_a_consequence_of_a_fault_counts_neither_way() -> None:
    found = outcome([alarm("crash", "a", HOUR_MS), alarm("tipped", "a", HOUR_MS + MINUTE_MS)], label("crash"))
    assert found.false == []
    assert found.kinds["crash"].true == 1


def test_what_is_no_fault_must_raise_nothing() -> None:
    found = outcome([alarm("battery_drain", "a", HOUR_MS)], label("preheating"))
    assert (found.kinds["preheating"].faults, found.kinds["preheating"].false) == (1, 1)
    assert found.missed == []


def test_low_charge_that_is_really_low_is_true_whoever_caused_it() -> None:
    spans = {"b": [Span(HOUR_MS, 2 * HOUR_MS)]}
    found = outcome([alarm("low_battery", "b", HOUR_MS + MINUTE_MS), alarm("unrentable_battery", "b", HOUR_MS + MINUTE_MS)], low=spans)
    assert found.false == []
    assert (found.kinds["low_battery"].faults, found.kinds["low_battery"].found) == (1, 1)
    assert len(outcome([alarm("low_battery", "b", 5 * HOUR_MS)], low=spans).free_false) == 1


def test_an_area_outage_is_one_alarm_of_the_area_and_none_of_its_vehicles() -> None:
    case = Case("area_outage", Fault.OFFLINE, frozenset())
    area = Label(case, "", HOUR_MS, 2 * HOUR_MS, frozenset({"a", "b"}), "berlin")
    one = outcome([alarm("area_outage", "", HOUR_MS + MINUTE_MS)], outages=[area])
    assert (one.kinds["area_outage"].found, one.false) == (1, [])
    many = outcome([alarm("offline", "a", HOUR_MS + MINUTE_MS), alarm("offline", "b", HOUR_MS + MINUTE_MS)], outages=[area])
    assert (many.kinds["area_outage"].found, many.kinds["area_outage"].false) == (0, 2)
    assert len(outcome([alarm("area_outage", "", 5 * HOUR_MS)], outages=[area]).false) == 1


def test_our_own_outage_is_no_alarm() -> None:
    found = outcome([alarm("offline", "b", HOUR_MS + MINUTE_MS)], down=[Span(HOUR_MS, HOUR_MS + 20 * MINUTE_MS)])
    assert (found.kinds["own_outage"].faults, found.kinds["own_outage"].false) == (1, 1)
