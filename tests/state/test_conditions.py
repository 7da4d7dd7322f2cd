"""Conditions: few and true. Hysteresis, dwell, what a frame does not know, what only people clear, what is true at any age."""

from typing import Any

import pytest

from fleetpulse.codecs.operations import Operation
from fleetpulse.codecs.schema import Status
from fleetpulse.state.facts import VALUE_NAMES, Cause, Condition, Fact
from fleetpulse.state.parameters import Parameters
from tests.state.logs import MODELS, TOWN
from tests.state.story import Story, cleared, names, raised

RAISED, CLEARED = Fact.RAISED, Fact.CLEARED
LOW, UNRENTABLE, FENCE, CRASH = Condition.LOW_BATTERY, Condition.UNRENTABLE_BATTERY, Condition.GEOFENCE, Condition.CRASH
THEFT, TIPPED, TAMPER, SENSOR = Condition.THEFT, Condition.TIPPED, Condition.TAMPER, Condition.SENSOR
NAN = float("nan")
HERE: dict[str, Any] = {"latitude_e7": 525_000_000, "longitude_e7": 134_000_000, "horizontal_accuracy_m": 3.0}
"""In the middle of the service area."""
CALM = Parameters(models=MODELS, cities=(None, TOWN))
"""The default thresholds."""


def charges(*values: float, status: int = 0) -> Story:
    """One frame every 3 s; battery dwell is 5 s, low below 15, clear from 20."""
    story = Story()
    for i, soc in enumerate(values):
        story.frame(3 * i, battery_soc_pct=soc, status=status)
    return story


def test_a_low_battery_is_raised_after_its_dwell_and_cleared_above_the_band() -> None:
    result = charges(16, 14, 14, 14, 16, 19.9, 14, 20).result()
    assert names(result) == [(raised(LOW), 9), (cleared(LOW), 21)]
    fact = result.facts[0]
    assert (fact["first_offset"], fact["last_offset"], fact["value"][:2].tolist()) == (1, 3, [14, 15])


def test_a_charge_back_in_the_band_ends_the_dwell_and_one_not_measured_does_not() -> None:
    assert names(charges(14, 16, 14, 14).result()) == []
    assert names(charges(14, NAN, 14).result()) == [(raised(LOW), 6)]


def test_charging_clears_a_low_battery_but_does_not_make_it_rentable() -> None:
    story = (
        charges(9, 9, 9)
        .frame(9, battery_soc_pct=9, status=Status.CHARGING)
        .frame(12, battery_soc_pct=13, status=Status.CHARGING)
        .frame(60, battery_soc_pct=15, status=Status.CHARGING)
    )
    assert names(story.result()) == [(raised(LOW), 6), (raised(UNRENTABLE), 6), (cleared(LOW), 9), (cleared(UNRENTABLE), 60)]


def test_a_jump_of_the_charge_while_parked_is_a_swap_and_while_charging_is_not() -> None:
    assert names(charges(30, 45).result()) == [("battery_swapped", 3)]
    fact = charges(30, NAN, 90).result().facts[0]
    assert (fact["value"][:2].tolist(), fact["first_offset"], fact["last_offset"]) == ([30, 90], 1, 2)
    for story in (charges(30, 44.9), charges(30, 90, status=Status.CHARGING), Story().frame(0).frame(3, model_id=3, battery_soc_pct=99)):
        assert names(story.result()) == []


def test_an_unknown_model_has_defaults() -> None:
    story = Story()
    for second in (0, 6):
        story.frame(second, model_id=77, battery_temperature_c=61, battery_voltage_v=5, battery_current_a=-1)
    result = story.result()
    assert names(result) == [(raised(Condition.OVER_TEMPERATURE), 6)]
    assert (result.facts["vehicle_model"][0], result.facts["value"][0][:2].tolist()) == (0, [61, 60])


def test_a_crash_is_raised_at_once_and_only_a_person_clears_it() -> None:
    ride = Status.IN_USE | Status.MOVING
    story = Story().frame(0, speed_mps=6, status=ride)
    story.frame(2, speed_mps=0.5, status=Status.IN_USE, accel_peak_x_mps2=36, accel_peak_y_mps2=48).frame(3).frame(100, append_s=100)
    story.operation(101, Operation.MAINTENANCE_DONE).frame(102)
    result = story.result()
    assert [name for name in names(result) if "trip" not in name[0]] == [(raised(CRASH), 2), ("operation", 101), (cleared(CRASH), 101)]
    crash = result.facts[result.facts["condition"] == CRASH]
    assert crash[0]["value"][:4].tolist() == [60, 60, 0, pytest.approx(0.8)]
    assert crash[1]["cause"] == Cause.OPERATION


@pytest.mark.parametrize(
    ("peaks", "speeds", "use"),
    [
        ({"accel_peak_x_mps2": 36, "accel_peak_y_mps2": 48}, (6, 5.5), Status.IN_USE),  # it rides on
        ({"accel_peak_x_mps2": 30, "accel_peak_z_mps2": 100}, (6, 0), Status.IN_USE),  # a kerb: upright
        ({"accel_peak_x_mps2": 100, "accel_peak_y_mps2": 90}, (0, 0), 0),  # dropped: nobody rode
        ({"accel_peak_x_mps2": 196}, (6, 0), Status.IN_USE),  # one axis alone: a broken sensor
        ({"accel_peak_x_mps2": 59}, (6, 0), Status.IN_USE),
    ],
)
def test_a_peak_alone_is_no_crash(peaks: dict[str, Any], speeds: tuple[float, float], use: int) -> None:
    story = Story().frame(0, speed_mps=speeds[0], status=use)
    result = story.frame(2, speed_mps=speeds[1], status=use, **peaks).frame(10).result()
    assert raised(CRASH) not in [name for name, _ in names(result)]


def test_the_confidence_in_a_crash_grows_with_the_signs() -> None:
    def confidence(**last: Any) -> float:
        story = Story().frame(0, speed_mps=6, status=Status.IN_USE | Status.MOVING).frame(2, status=Status.CRASH | Status.IN_USE, **last)
        facts = story.result().facts
        return float(facts["value"][facts["condition"] == CRASH][0][3])

    bit, stop = confidence(speed_mps=6), confidence(speed_mps=0)
    every = confidence(speed_mps=0, accel_peak_x_mps2=90, accel_peak_y_mps2=20)
    assert 0.85 < bit < stop < every < 1


def test_a_vehicle_is_tipped_when_it_lies_still() -> None:
    """Tipped and moving is a rider in a curve; upright again clears it after 30 s of quiet."""
    story = (
        Story()
        .frame(0, roll_deg=70)
        .frame(5, roll_deg=70, status=Status.MOVING)
        .frame(9, roll_deg=70)
        .frame(19, roll_deg=0, status=Status.TIPPED)
    )
    for second in (20, 30, 45, 50):
        story.frame(second, roll_deg=0)
    result = story.result()
    assert names(result) == [(raised(TIPPED), 19), (cleared(TIPPED), 50)]
    assert result.facts[0]["value"][:2].tolist() == [0, 10]


def locked(**fields: Any) -> dict[str, Any]:
    return {"status": Status.LOCKED, **HERE, **fields}


def north(metres: float) -> dict[str, int]:
    return {"latitude_e7": 525_000_000 + round(metres / 0.0111195)}


def test_a_locked_vehicle_that_is_carried_away_is_stolen() -> None:
    """50 m and both accuracies (3 m each) away from where it was locked, in two frames 5 s apart; one outlier of the position is not."""
    assert names(Story().frame(0, **locked()).frame(5, **locked(**north(55))).frame(10, **locked(**north(55))).result()) == []
    assert names(Story().frame(0, **locked()).frame(5, **locked(**north(900))).frame(10, **locked()).frame(15, **locked()).result()) == []
    result = Story().frame(0, **locked()).frame(5, **locked(**north(57))).frame(10, **locked(**north(60))).result()
    assert names(result) == [(raised(THEFT), 10)]
    assert result.facts[0]["value"][1] == pytest.approx(54, abs=0.1)


def test_a_locked_vehicle_that_drives_is_stolen_and_one_that_staff_carries_is_not() -> None:
    story = Story().frame(0, **locked()).frame(1, **locked(speed_mps=2)).frame(6, **locked(speed_mps=2))
    assert names(story.result()) == [(raised(THEFT), 6)]
    story = Story().frame(0, **locked()).operation(0.5, Operation.REBALANCE_PICK_UP)
    story.frame(1, **locked(speed_mps=9)).frame(7, **locked(speed_mps=9, **north(60)))
    story.frame(20, **locked(speed_mps=0, **north(800))).operation(21, Operation.DROP_OFF)
    story.frame(22, **locked(speed_mps=0, **north(800))).frame(30, **locked(speed_mps=0, **north(801)))
    assert names(story.result()) == [("operation", 0.5), ("operation", 21)]


def test_a_rider_who_unlocks_takes_the_anchor_away() -> None:
    story = Story().frame(0, **locked()).frame(5, status=0, **{**HERE, **north(60)})
    story.frame(10, **locked(**north(200))).frame(20, **locked(**north(200))).frame(30, **locked(**north(200)))
    assert names(story.result()) == []


def away(first_s: int, metres: float, **first: Any) -> Story:
    """Locked, then silent until first_s, then locked so far away; `first` overrides fields of the first frame there."""
    story = Story().frame(0, **locked()).ticks(1, first_s - 1)
    story.frame(first_s, **locked(**north(metres)), **first)
    for second in range(first_s + 5, first_s + 60, 5):
        story.frame(second, **locked(**north(metres)))
    return story


def test_who_stands_elsewhere_after_a_silence_is_stolen_only_if_no_frame_of_that_time_is_missing() -> None:
    """It may have been ridden; that another boot goes on where the last one ended is known when it says so."""
    assert thefts(away(300, 800)) == [raised(THEFT)]
    assert thefts(away(300, 800, seq=7)) == []
    assert thefts(Story().frame(0, **locked()).frame(5, **locked(**north(90)), seq=3).frame(10, **locked(**north(90)), seq=4)) == [
        raised(THEFT)
    ]
    for previous_last, expected in ((0, [raised(THEFT)]), (-1, []), (40, [])):
        story = Story().frame(0, **locked()).ticks(1, 299)
        for second in range(300, 360, 5):
            story.frame(second, boot=2, **locked(**north(800)), **({"previous_last_seq": previous_last} if second == 300 else {}))
        assert thefts(story) == expected


def test_who_was_ridden_while_it_had_no_radio_is_not_stolen() -> None:
    """Its late frames say that it was used; those that say it was locked all the time leave the theft a theft."""
    for status, expected in ((Status.IN_USE, []), (0, []), (Status.LOCKED, [raised(THEFT)])):
        story = Story().frame(0, **locked()).ticks(1, 899)
        for second in range(200, 700, 100):
            story.frame(second, append_s=900, **{**locked(**north(second)), "status": status | Status.BACKLOG})
        for second in range(901, 930, 5):
            story.frame(second, **locked(**north(800)))
        assert thefts(story) == expected


def test_a_late_frame_of_before_it_was_locked_takes_no_anchor_away() -> None:
    story = Story().frame(200, seq=9, **locked()).frame(100, append_s=201, seq=4, status=Status.IN_USE)
    story.frame(202, seq=10, **locked(**north(90))).frame(210, seq=11, **locked(**north(90)))
    assert thefts(story) == [raised(THEFT)]


def test_a_thief_who_stops_at_a_crossing_is_one_alarm() -> None:
    """Clear again after `theft_quiet_s` (900 s) at rest near the place; what is further away stays stolen until it is unlocked."""
    story = Story().frame(0, **locked())
    for second in range(1, 400):
        rides = second % 100 < 10
        story.frame(second, **locked(**north(min(second, 20)), speed_mps=4.0 if rides else 0.0))
    assert thefts(story) == [raised(THEFT)]
    story.ticks(400, 1308).frame(1309, **locked(**north(20), speed_mps=0)).frame(1310, **locked(**north(20), speed_mps=0))
    assert thefts(story) == [raised(THEFT), cleared(THEFT)]


def test_a_position_that_leapt_not_long_ago_proves_no_theft() -> None:
    """Out of reach once (passed over), then within reach: such a sense is not to be trusted for `jump_forget_s`; 1200 s later it is."""
    story = Story().frame(0, **locked()).frame(5, **locked(**north(9000)))
    for second in range(10, 1190, 60):
        story.frame(second, **locked(**north(800 if second > 60 else 0)))
    assert thefts(story) == []
    for second in range(1190, 1400, 60):
        story.frame(second, **locked(**north(800)))
    assert thefts(story) == [raised(THEFT)]


def thefts(story: Story) -> list[str]:
    return [name for name, _ in names(story.result(CALM)) if "theft" in name]


def test_tyres_by_the_lowest_wheel_that_was_measured() -> None:
    story = Story()
    for second, rear in ((0, 171.0), (15, 171.0), (30, 171.0), (40, 181.9), (50, 182.0)):
        story.frame(second, tyre_pressure_front_left_kpa=300, tyre_pressure_rear_left_kpa=rear)
    result = story.result()
    assert names(result) == [(raised(Condition.TYRE_PRESSURE), 30), (cleared(Condition.TYRE_PRESSURE), 50)]
    assert result.facts[0]["value"][:3].tolist() == [171, 172, 1]


def test_a_voltage_sags_only_under_load() -> None:
    story = Story().frame(0, battery_voltage_v=35, battery_current_a=0).frame(6, battery_voltage_v=35, battery_current_a=0)
    assert names(story.result()) == []
    story.frame(7, battery_voltage_v=35, battery_current_a=-5).frame(12, battery_voltage_v=35.5, battery_current_a=-5)
    assert names(story.result()) == [(raised(Condition.VOLTAGE_SAG), 12)]


def test_a_sag_lasts_through_calm_riding_and_ends_with_the_battery() -> None:
    """A dead cell shows under high load only: 10 s of calm riding clear nothing (here it takes 20), another battery does."""
    story = Story()
    for second, voltage, current in ((0, 35, -9), (5, 35, -9), (10, 38, -2), (20, 38, -2), (25, 35, -9), (30, 38, -2), (45, 38, -2)):
        story.frame(second, battery_voltage_v=voltage, battery_current_a=current)
    assert names(story.result()) == [(raised(Condition.VOLTAGE_SAG), 5)]
    story.frame(48, battery_soc_pct=98)
    assert names(story.result())[1:] == [("battery_swapped", 48), (cleared(Condition.VOLTAGE_SAG), 48)]


def test_faults_that_come_and_go_are_one_alarm() -> None:
    story = Story()
    for second in range(0, 120, 10):
        story.frame(second, fault_bits=6 if second % 20 == 0 else 0)
    story.frame(151).frame(155)
    result = story.result()
    assert names(result) == [(raised(Condition.FAULT_CODE), 0), (cleared(Condition.FAULT_CODE), 151)]
    assert result.facts[0]["value"][0] == 6


def test_a_sensor_is_reported_when_it_is_wrong_for_a_minute() -> None:
    story = Story()
    for second in range(0, 61, 20):
        story.frame(second, implausible=0b10 << 4)
    assert names(story.result()) == [(raised(SENSOR), 60)]


def test_a_clock_that_is_off_is_reported_though_every_frame_is_set_aside() -> None:
    story = Story()
    for second in range(0, 61, 20):
        story.frame(second + 3600, append_s=second)
    result = story.result()
    assert names(result) == [(raised(SENSOR), 60)]
    assert result.facts[0]["value"][1] == 3600
    assert story.shard().counters["quarantined.clock_ahead"] == 4


def test_late_frames_tell_of_what_is_true_at_any_age_once() -> None:
    """A backlog: each condition once, until a frame comes that is not late; only the crash stays."""
    story = Story().frame(200)
    for second in (10, 11):
        story.frame(second, append_s=201, status=Status.TAMPER | Status.LOCKED | Status.MOVING, speed_mps=5, battery_soc_pct=3)
    story.frame(12, append_s=201, status=Status.TIPPED | Status.CRASH, battery_soc_pct=3)
    story.frame(203, append_s=203).frame(13, append_s=204, status=Status.TAMPER | Status.CRASH)
    result = story.result()
    late = [(raised(THEFT) + " late", 10), (raised(TAMPER) + " late", 10), (raised(CRASH) + " late", 12), (raised(TIPPED) + " late", 12)]
    assert names(result) == [*late, (raised(TAMPER) + " late", 13)]
    assert result.facts["soc_pct"].tolist() == [3, 3, 3, 3, 50]
    story.operation(205, Operation.MAINTENANCE_DONE)
    assert names(story.result())[-1] == (cleared(CRASH), 205)


def test_a_crash_that_comes_a_little_out_of_order_is_no_less_a_crash() -> None:
    story = Story().frame(10).frame(9, append_s=10, status=Status.CRASH | Status.TAMPER)
    assert names(story.result()) == [(raised(CRASH), 9)]


def test_one_entry_into_a_zone_is_one_fact_however_the_position_jitters() -> None:
    """A scooter rides north into the park (south edge at 52.507), stands about 7 m inside with noise of 8 m, and leaves."""
    edge_e7 = 525_070_000
    story = Story()
    track = [-60, -30, -10, 4, 12, 6, 2, 9, 7, 12, 8, -3, 15, 4, -6, 18, 9, 2, 7, -9, 3, -20, -24, -26, -60]
    for i, metres in enumerate(track):
        here: dict[str, Any] = {
            "latitude_e7": edge_e7 + round(metres / 0.0111195),
            "longitude_e7": 134_100_000,
            "horizontal_accuracy_m": 5.0,
        }
        story.frame(4 * i, status=Status.IN_USE | Status.MOVING, **here)
    result = story.result()
    assert [name for name in names(result) if "geofence" in name[0]] == [(raised(FENCE), 4 * 10), (cleared(FENCE), 4 * 23)]
    entry = result.facts[result.facts["condition"] == FENCE][0]
    assert (entry["value"][0], entry["value"][2]) == (4, 5)  # the park is the town's fourth zone
    assert entry["value"][1] == pytest.approx(8, abs=0.1)


def test_a_zone_holds_for_its_vehicle_types_only() -> None:
    square: dict[str, Any] = {"latitude_e7": 525_000_000, "longitude_e7": 133_900_000, "horizontal_accuracy_m": 3.0}
    for model, expected in ((1, [(raised(FENCE), 10)]), (3, [])):
        assert names(Story().frame(0, model_id=model, **square).frame(10, model_id=model, **square).result()) == expected


def test_outside_of_the_service_area_counts_when_it_stands_or_is_ridden_not_when_it_is_carried() -> None:
    outside: dict[str, Any] = {"latitude_e7": 525_000_000, "longitude_e7": 134_900_000, "horizontal_accuracy_m": 3.0}
    for status, expected in ((0, 1), (Status.IN_USE | Status.MOVING, 1), (Status.MOVING, 0)):
        told = names(Story().frame(0, status=status, **outside).frame(10, status=status, **outside).result())
        assert [name for name in told if "geofence" in name[0]] == [(raised(FENCE), 10)] * expected


def test_a_vehicle_that_leaves_the_jurisdiction_stays_in_its_city_until_another_has_it() -> None:
    away: dict[str, Any] = {"latitude_e7": 525_000_000, "longitude_e7": 135_500_000}
    village: dict[str, Any] = {"latitude_e7": 525_000_000, "longitude_e7": 137_000_000}
    story = Story().frame(0, **HERE).frame(700, **away).frame(710, **away).frame(1400, **village)
    result = story.result()
    outside = result.facts[result.facts["condition"] == Condition.OUTSIDE_JURISDICTION]
    assert [(f["fact"], f["city"]) for f in outside] == [(RAISED, 1), (CLEARED, 2)]


def test_a_poor_position_decides_nothing() -> None:
    far: dict[str, Any] = {"latitude_e7": 525_000_000, "longitude_e7": 134_900_000, "horizontal_accuracy_m": 101.0}
    assert names(Story().frame(0, **far).frame(20, **far).result()) == []


def test_every_condition_that_frames_raise_has_named_values_or_none() -> None:
    named = {condition for fact, condition in VALUE_NAMES if fact is RAISED}
    assert set(Condition) - named == {TAMPER}
