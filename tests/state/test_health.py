"""Senses that lie: noticed, left out while the rest of the frame counts, believed again; and what looks alike and is none."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fleetpulse.codecs.schema import Status
from fleetpulse.state import public
from fleetpulse.state.facts import Condition, Sensor
from fleetpulse.state.parameters import Parameters, Rules
from fleetpulse.state.shard import Shard
from tests.state.logs import MODELS, NERVOUS, START_MS, TOWN, cut, run, story
from tests.state.story import Story, cleared, names, raised

SENSOR = Condition.SENSOR
RIDE = Status.IN_USE | Status.MOVING
HOUR = Parameters(rules=replace(Rules(), offline_s=7200), models=MODELS, cities=(None, TOWN), interval_ms=3_600_000)
"""The default thresholds, in a town; nobody is offline."""
NAN = float("nan")


def north(metres: float) -> dict[str, Any]:
    return {"latitude_e7": 525_000_000 + round(metres / 0.0111195), "longitude_e7": 134_000_000, "horizontal_accuracy_m": 3.0}


def ride(told: Story, first_s: int, last_s: int, *, from_m: float = 0, step_s: int = 1, **fields: Any) -> Story:
    """A frame a second at 5 m/s; fields override, and may be functions of the second."""
    for second in range(first_s, last_s + 1, step_s):
        way_m = from_m + 5.0 * (second - first_s)
        usual: dict[str, Any] = {
            "status": RIDE,
            "speed_mps": 5.0,
            "odometer_m": 10_000 + way_m,
            "battery_soc_pct": 90 - round(way_m / 500, 1),
            **north(way_m % 4000),
        }
        told.frame(second, **{**usual, **{name: value(second) if callable(value) else value for name, value in fields.items()}})
    return told


def sensors(told: Story, parameters: Parameters = HOUR) -> Sensor:
    shard = told.shard(parameters)
    row = public.rows(shard, np.arange(1))[0]
    assert row["sensors"] == shard.records["sensors"][0]
    return Sensor(int(row["sensors"]))


def of_sensor(told: Story, parameters: Parameters = HOUR) -> list[tuple[str, float]]:
    return [name for name in names(told.result(parameters)) if "sensor" in name[0]]


# position


def test_a_position_that_stays_while_the_wheels_ride_on_is_noticed_and_left_out() -> None:
    """Stuck after 500 m (100 s at 5 m/s), raised after 60 s more; the windows keep distance and speed and lose the place."""
    told = ride(Story(), 0, 300, **north(0))
    (fact,) = [fact for fact in told.result(HOUR).facts if fact["condition"] == SENSOR]
    assert (fact["event_ms"] - START_MS) / 1000 == 160
    assert Sensor(int(fact["value"][2])) == sensors(told) == Sensor.POSITION_STUCK
    windows = told.result(HOUR).windows
    assert np.isnan(windows["latitude_deg"]).tolist() == [False, False, True, True]
    assert windows["distance_m"][1:].tolist() == [300, 300, 300]
    assert windows["speed_mean_mps"].tolist() == [5, 5, 5, 5]


def test_a_position_that_trembles_on_the_spot_is_stuck_too_and_one_of_a_parked_vehicle_is_not() -> None:
    told = ride(Story(), 0, 200, latitude_e7=lambda s: 525_000_000 + s % 7 * 100, longitude_e7=134_000_000)
    assert sensors(told) == Sensor.POSITION_STUCK
    told = Story()
    for second in range(0, 3000, 10):
        told.frame(second, status=Status.LOCKED, speed_mps=0, odometer_m=10_000, **north(0))
    assert sensors(told) == Sensor(0)


def test_a_position_that_moves_again_is_believed_at_once_and_the_alarm_ends_when_all_was_well_for_long() -> None:
    told = ride(ride(Story(), 0, 200, **north(0)), 201, 900, from_m=1005)
    assert of_sensor(told) == [(raised(SENSOR), 160), (cleared(SENSOR), 801)]
    assert sensors(ride(Story(), 0, 200, **north(0)).frame(201, status=RIDE, speed_mps=5.0, odometer_m=11_005, **north(900))) == Sensor(0)


def test_one_position_out_of_reach_is_left_out_and_three_make_a_bad_sense() -> None:
    told = ride(Story(), 0, 40, latitude_e7=lambda s: 525_000_000 + s * 450 + (10_000_000 if s == 20 else 0))
    assert sensors(told) == Sensor(0)
    assert [name for name in names(told.result(HOUR)) if "geofence" in name[0] or "jurisdiction" in name[0]] == []
    told = ride(Story(), 0, 300, latitude_e7=lambda s: 525_000_000 + s * 450 + (10_000_000 if s % 30 == 20 else 0))
    assert of_sensor(told) == [(raised(SENSOR), 140)]  # the third jump at 80 s, and a minute
    assert sensors(told) == Sensor.POSITION_JUMPS


def test_who_was_really_carried_away_is_believed_when_there_was_time_enough() -> None:
    """2 km in an instant are doubted until 50 m/s make them: (2000 - 200 - 6) / 50 = 36 s; after a gap they are believed at once."""
    told = Story().frame(0, **north(0))
    for second in range(10, 41, 10):
        told.frame(second, **north(2000))
    shard = told.shard(HOUR)
    assert shard.records["latitude_e7"][0] == north(2000)["latitude_e7"]
    assert told.result(HOUR).facts["condition"].tolist() == []
    assert Story().frame(0, **north(0)).frame(30, **north(2000)).shard(HOUR).records["latitude_e7"][0] == 525_000_000
    assert Story().frame(0, **north(0)).frame(900, **north(3000)).shard(HOUR).records["latitude_e7"][0] == north(3000)["latitude_e7"]


# clock


def test_a_clock_that_is_slow_by_90_s_is_learned_and_its_frames_are_no_longer_late() -> None:
    told = Story()
    for second in range(0, 600):
        told.frame(second - 90, append_s=second + 0.2, speed_mps=0)
    shard = told.shard(HOUR)
    assert sensors(told) == Sensor.CLOCK
    assert shard.counters["late"] < 130
    assert shard.records["newest_ms"][0] == START_MS + 599_200
    ((name, at_s),) = of_sensor(told)
    assert name == raised(SENSOR)
    assert at_s == pytest.approx(180, abs=3)
    fact = told.result(HOUR).facts[-1]
    assert fact["value"][1] == pytest.approx(-90.2)


def test_a_clock_that_is_put_right_is_right_at_once_or_after_a_period() -> None:
    def counted(off_s: float) -> tuple[int, int]:
        told = Story()
        for second in range(400):
            told.frame(second + off_s, append_s=second)
        before = told.shard(HOUR).counters["late"]
        for second in range(400, 1200):
            told.frame(second, append_s=second)
        assert sensors(told) == Sensor(0)
        return before, told.shard(HOUR).counters["late"] - before

    assert counted(-100) == (80, 0)
    late_before, late_after = counted(200)
    assert late_before == 0
    assert 60 < late_after <= 250


def test_one_wild_time_and_frames_held_up_make_no_clock_wrong() -> None:
    told = Story()
    for second in range(600):
        told.frame(second + (290 if second == 300 else 0), append_s=second)
    assert (sensors(told), told.shard(HOUR).records["clock_off_ms"][0]) == (Sensor(0), 0)
    told = ride(Story(), 0, 100)
    for second in range(101, 400):
        told.frame(second, append_s=500 + second / 100, status=RIDE | Status.BACKLOG)
    for second in range(505, 800):
        told.frame(second)
    assert (sensors(told), told.shard(HOUR).records["clock_off_ms"][0]) == (Sensor(0), 0)


def test_a_boot_begins_anew() -> None:
    told = Story()
    for second in range(300):
        told.frame(second - 100, append_s=second)
    assert sensors(told) == Sensor.CLOCK
    told.frame(300, boot=2)
    assert sensors(told) == Sensor(0)


# charge


def test_a_charge_that_stays_while_energy_is_taken_is_frozen_and_no_longer_decides() -> None:
    """500 Wh; 40 V and 10 A take 4 % in 180 s. The last window has no charge."""
    told = ride(Story(), 0, 400, battery_soc_pct=12.0, battery_voltage_v=40.0, battery_current_a=-10.0)
    assert sensors(told) == Sensor.CHARGE_FROZEN
    ((name, at_s),) = of_sensor(told)
    assert name == raised(SENSOR)
    assert at_s == pytest.approx(240, abs=2)
    windows = told.result(HOUR).windows
    assert windows["soc_last_pct"][0] == 12
    assert np.isnan(windows["soc_last_pct"][-1])
    assert windows["energy_out_wh"][-1] == pytest.approx(400 / 60, rel=0.02)


def test_without_current_the_way_tells() -> None:
    """50 km of range; half of the charge that 4 km cost is 4 %."""
    assert sensors(ride(Story(), 0, 780, battery_soc_pct=50.0)) == Sensor(0)
    assert sensors(ride(Story(), 0, 820, battery_soc_pct=50.0)) == Sensor.CHARGE_FROZEN


def test_a_charge_that_falls_is_not_frozen_however_slowly() -> None:
    told = ride(Story(), 0, 600, battery_soc_pct=lambda s: 60 - s // 60 * 0.5, battery_voltage_v=40.0, battery_current_a=-10.0)
    assert sensors(told) == Sensor(0)


def test_a_charge_that_jumps_is_bad_and_a_swap_is_a_swap() -> None:
    told = Story()
    for second in range(0, 600, 10):
        told.frame(second, battery_soc_pct=60 + (25 if second // 60 % 2 else 0) * (-1 if second // 120 % 2 else 1), status=RIDE)
    assert sensors(told) == Sensor.CHARGE_JUMPS
    swap = Story().frame(0, battery_soc_pct=12).frame(30, battery_soc_pct=98).frame(60, battery_soc_pct=98)
    assert sensors(swap) == Sensor(0)
    assert names(swap.result(HOUR)) == [("battery_swapped", 30)]


def test_a_single_fall_of_the_charge_is_believed_when_it_lasts() -> None:
    """70 % in an instant, in use at most 5 % a minute: after (70 - 5) / 5 = 13 min; low battery is raised then, not hidden."""
    told = Story().frame(0, battery_soc_pct=80, status=RIDE)
    for second in range(10, 900, 10):
        told.frame(second, battery_soc_pct=10, status=RIDE)
    assert [name for name in names(told.result(HOUR)) if "low" in name[0]] == [(raised(Condition.LOW_BATTERY), 790)]


def test_a_parked_vehicle_that_reports_every_four_minutes_shows_a_charge_that_jumps_too() -> None:
    """Nobody takes 15 % from a vehicle at rest in four minutes; each jump counts, though the charge was doubted before."""
    told = Story()
    for second, soc in zip(range(0, 2400, 240), (60, 44, 71, 60, 80, 41, 60, 75, 50, 66), strict=True):
        told.frame(second, battery_soc_pct=soc, model_id=3)
    assert [name for name, at_s in names(told.result(HOUR)) if at_s <= 1800] == [raised(SENSOR)]
    assert sensors(told) == Sensor.CHARGE_JUMPS
    told = Story()
    for second in range(0, 7200, 240):  # what a heater takes is no jump
        told.frame(second, battery_soc_pct=80 - second / 240, model_id=3)
    assert sensors(told) == Sensor(0)


# what contradicts itself


def test_a_speed_without_wheels_and_way_is_not_believed_and_steals_nothing() -> None:
    told = Story()
    for second in range(0, 100):
        told.frame(second, status=Status.LOCKED, speed_mps=6.0 if second > 3 else 0.0, odometer_m=10_000, **north(0))
    assert sensors(told) == Sensor.SPEED
    assert of_sensor(told) == [(raised(SENSOR), 67)]
    assert [name for name in names(told.result(HOUR)) if "theft" in name[0]] == []
    told.frame(100, status=Status.LOCKED, speed_mps=0, odometer_m=10_000, **north(0))
    assert sensors(told) == Sensor(0)


def test_a_locked_vehicle_in_a_van_is_stolen_though_its_wheels_stand() -> None:
    told = Story()
    for second in range(0, 20):
        told.frame(second, status=Status.LOCKED, speed_mps=10.0, odometer_m=10_000, **north(10 * second))
    assert raised(Condition.THEFT) in [name for name, _ in names(told.result(HOUR))]


def test_who_rides_does_not_charge() -> None:
    told = ride(Story(), 0, 70, battery_soc_pct=12.0, status=RIDE | Status.CHARGING)
    assert sensors(told) == Sensor.CHARGING
    assert [name for name in names(told.result(HOUR)) if "low" in name[0]] == [(raised(Condition.LOW_BATTERY), 5)]
    assert told.result(HOUR).windows["charging_s"].tolist() == [0]


def test_random_logs_make_every_sense_bad() -> None:
    seen = Sensor(0)
    for seed in range(60):
        shard = Shard(0, NERVOUS)
        for part in cut(story(seed), range(0, 250, 10)):
            run(shard, [part])
            seen |= Sensor(int(np.bitwise_or.reduce(shard.records["sensors"])))
    assert seen == Sensor(255)
