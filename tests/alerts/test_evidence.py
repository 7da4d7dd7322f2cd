"""Envelope and evidence: names, rounding, where in Kafka, ids; and trips, which are all evidence."""

import numpy as np
import pytest

from fleetpulse.alerts import event, evidence
from fleetpulse.alerts.rules import RULES, judge
from fleetpulse.state.facts import FACT, VALUE_NAMES, Cause, Condition, Fact, Sensor
from tests.alerts.story import CRASH, OUTSIDE, PARAMETERS, START_MS, UNRENTABLE, Story, bare, device, lifecycle, one, row
from tests.support import events


def test_a_row_has_the_fields_of_a_fact() -> None:
    assert evidence.FactRow._fields == FACT.names


def test_common_keys_and_evidence() -> None:
    data = one(Story().raised(Condition.TIPPED, 88.12345678, 12.0), event.ALERT_RAISED)
    assert data["device_id"] == str(device(0))
    assert (data["city"], data["vehicle_model"]) == ("berlin", "scooter")
    assert (data["latitude_deg"], data["longitude_deg"], data["battery_soc_pct"]) == (52.52, 13.405, 71.25)
    assert data["evidence"] == {
        "rule": "tipped",
        "version": "1",
        "values": {"roll_deg": 88.123, "dwell_s": 12.0},
        "kafka": {"topic": "vehicle-telemetry", "partition": 3, "first_offset": "1", "last_offset": "3"},
        "recorded_ms": START_MS + 1000,
    }


@pytest.mark.parametrize("condition", list(Condition))
def test_what_was_not_measured_is_left_out_and_the_sentences_say_so(condition: Condition) -> None:
    story = lifecycle()
    facts = bare(Fact.RAISED, condition, first_offset=-1, last_offset=-1)
    for made in story.apply(facts, {}):
        events.validate(event.encode(made, deployment="test"))
        assert made.data["evidence"] == {"rule": RULES[condition].name, "version": "1", "values": {}}
        assert not {"city", "vehicle_model", "latitude_deg", "longitude_deg", "battery_soc_pct"} & made.data.keys()
    judgement = judge(evidence.rows(facts)[0], PARAMETERS)
    assert judgement.reason.endswith(".")
    assert "nan" not in (judgement.reason + judgement.task).split()


@pytest.mark.parametrize("condition", list(Condition))
@pytest.mark.parametrize("value", [0.0, -0.0, 1e-300, -5.0, 1.7976931348623157e308, float("inf"), float("-inf")])
def test_no_value_breaks_an_event(condition: Condition, value: float) -> None:
    story = Story()
    for made in story.raised(condition, *[value] * len(VALUE_NAMES.get((Fact.RAISED, condition), ()))):
        assert b"-0.0" not in event.encode(made, deployment="test").value


@pytest.mark.parametrize(
    ("fields", "clock_off_s", "sentence"),
    [
        (1 << 4 | 1 << 7, 0.0, "It measures what cannot be (latitude_e7, speed_mps)."),
        (0, 12.0, "Its clock is 12 s ahead."),
        (0, -7200.0, "Its clock is 7200 s behind."),
        (0, 0.0, "It measured what cannot be."),
    ],
)
def test_a_sensor_alert_says_what_cannot_be(fields: int, clock_off_s: float, sentence: str) -> None:
    assert one(Story().raised(Condition.SENSOR, float(fields), clock_off_s), event.ALERT_RAISED)["reason"] == sentence


def test_every_bad_sense_has_a_sentence_and_the_gravest_is_said() -> None:
    said = [one(Story().raised(Condition.SENSOR, 0.0, 0.0, float(sense)), event.ALERT_RAISED)["reason"] for sense in Sensor]
    assert len(set(said)) == len(Sensor) - 1, "a clock and a value out of range without their values are equal"
    both = one(Story().raised(Condition.SENSOR, 0.0, -90.0, float(Sensor.CLOCK | Sensor.POSITION_STUCK)), event.ALERT_RAISED)
    assert both["reason"] == "Its position stays while it rides on."
    assert both["evidence"]["values"] == {"implausible_fields": 0, "clock_off_s": -90.0, "sensors": 3}


def test_a_code_beyond_the_names_has_none() -> None:
    story = lifecycle()
    made = story.apply(row(Fact.RAISED, condition=Condition.TAMPER, city=200, vehicle_model=200, event_ms=START_MS), {})
    assert not {"city", "vehicle_model"} & made[0].data.keys()


@pytest.mark.parametrize(
    ("cause", "text"), [(Cause.FRAME, "7.42"), (Cause.DEADLINE, "deadline.1700000060000"), (Cause.WINDOW, "window.1700000060000")]
)
def test_causes(cause: Cause, text: str) -> None:
    made = lifecycle().apply(
        row(Fact.RAISED, condition=Condition.TIPPED, values=(80.0, 10.0), cause=cause, seq=42, cause_ms=START_MS + 60_000), {}
    )
    assert made[0].cause == text
    assert made[0].data["evidence"].get("window") == (
        {"start_ms": START_MS, "end_ms": START_MS + 60_000} if cause == Cause.WINDOW else None
    )


def test_ids_do_not_depend_on_offsets_or_times_of_kafka() -> None:
    ids = []
    for moved in (0, 1000):
        facts = row(Fact.RAISED, condition=Condition.CRASH, values=CRASH[1:], seq=9, event_ms=START_MS)
        for name in ("first_offset", "last_offset", "append_ms", "stream_ms"):
            facts[name] += moved
        ids.append([e.id for e in lifecycle().apply(facts, {})])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 3


def test_events_of_one_kind_and_one_cause_are_counted() -> None:
    """Geofence and jurisdiction are left in one frame; both speak of the rule geofence."""
    story = Story()
    story.raised(Condition.GEOFENCE, 2.0, 5.0, 1.0)
    story.cleared(Condition.GEOFENCE, 2.0, 5.0, 1.0, seq=77)
    story.now_ms -= 1000
    story.raised(Condition.GEOFENCE, 2.0, 5.0, 1.0, seq=77)
    story.now_ms -= 1000
    story.cleared(Condition.GEOFENCE, 2.0, 5.0, 1.0, seq=77)
    cleared = [e for e in story.events if e.type == event.ALERT_CLEARED]
    assert [e.n for e in cleared] == [0, 1]
    assert len({e.id for e in story.events}) == len(story.events)


@pytest.mark.parametrize("looked_at_before", [True, False])
def test_a_timer_of_ours_and_one_of_the_kernel_at_the_same_moment_have_different_ids(looked_at_before: bool) -> None:
    """
    geofence raised           ours escalates it, the kernel's says that it left the city
    |--------- 1800 s --------|                                            both of cause deadline.<the same>
    """
    story = Story()
    story.raised(Condition.GEOFENCE, 2.0, 5.0, 1.0)
    due_ms = story.now_ms + 1_800_000
    if looked_at_before:
        story.wait(1800)
    story.now_ms = due_ms - 1000
    story.raised(Condition.TIPPED, 80.0, 10.0, slot=1)
    story.now_ms -= 1000
    story.raised(*OUTSIDE, timer=True, cause_ms=due_ms)
    escalated = [e for e in story.events if e.type == event.ALERT_ESCALATED]
    assert [(e.cause, e.n) for e in escalated] == [(f"deadline.{due_ms}", 0), (f"deadline.{due_ms}", 1)]


def test_counts_of_causes_that_are_over_are_forgotten() -> None:
    story = Story()
    for _ in range(100):
        story.raised(*UNRENTABLE)
        story.cleared(*UNRENTABLE)
    assert len(story.lifecycle._recorder.counted) <= 3


def test_counters_count_events_by_kind() -> None:
    story = Story()
    story.raised(*CRASH)
    assert {k: v for k, v in story.lifecycle.counters.items() if v} == {
        "events.alert.raised": 1,
        "events.maintenance.required": 1,
        "events.availability.changed": 1,
    }


def test_a_trip() -> None:
    story = Story()
    started = one(story.trip_starts(), event.TRIP_STARTED)
    assert started["trip_id"] == "00000000-0000-0001-0000-000000000002"
    assert started["started_ms"] == story.now_ms - 10
    assert started["odometer_m"] == 1234.5
    ended = one(story.trip_ends(), event.TRIP_ENDED)
    assert ended["ended_ms"] == story.now_ms - 10
    told = {k: ended[k] for k in ("started_ms", "duration_s", "distance_m", "energy_wh", "soc_start_pct", "start_latitude_deg")}
    assert told == {
        "started_ms": story.now_ms - 61_000,
        "duration_s": 60.0,
        "distance_m": 412.346,
        "energy_wh": 8.765,
        "soc_start_pct": 72.0,
        "start_latitude_deg": 52.51,
    }
    assert isinstance(ended["started_ms"], int)


def test_a_trip_of_which_little_was_measured() -> None:
    story = Story()
    made = story.fact(Fact.TRIP_ENDED, Condition.LOW_BATTERY, float(START_MS), 12.0, np.nan, np.nan, np.nan, np.nan, np.nan)
    ended = one(made, event.TRIP_ENDED)
    assert not {"trip_id", "distance_m", "energy_wh", "soc_start_pct"} & ended.keys()
