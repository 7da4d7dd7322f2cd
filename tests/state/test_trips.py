"""Trips: from the in-use bit, in the order of the vehicle's own time."""

from typing import Any

import pytest

from fleetpulse.codecs.schema import Status
from fleetpulse.state.facts import Cause
from tests.state.story import Story, names

STARTED, ENDED, PAUSED, RESUMED = "trip_started", "trip_ended", "trip_paused", "trip_resumed"
RIDE: dict[str, Any] = {"status": Status.IN_USE | Status.MOVING, "trip_lo": 7}
PARK: dict[str, Any] = {"status": Status.LOCKED}


def test_a_trip_ends_at_the_first_frame_out_of_use_once_that_has_lasted() -> None:
    story = Story().frame(0, **PARK).frame(1, **RIDE).frame(10, **RIDE).frame(20, **PARK).frame(24, **PARK).frame(25, **PARK)
    result = story.result()
    assert names(result) == [(STARTED, 1), (ENDED, 20)]
    end = result.facts[1]
    assert (end["first_offset"], end["last_offset"], end["seq"], end["cause"]) == (3, 5, 5, Cause.FRAME)
    assert (end["trip_lo"], end["value"][1]) == (7, 19)


def test_in_use_again_within_the_dwell_goes_on_with_the_trip() -> None:
    story = Story().frame(1, **RIDE).frame(20, **PARK).frame(24.9, **RIDE).frame(40, **RIDE)
    assert names(story.result()) == [(STARTED, 1)]


def test_way_and_energy_are_those_of_the_time_in_use() -> None:
    """200 m in use, 5 m pushed within the dwell, 5 m after it; 100 W for 20 s."""
    power: dict[str, Any] = {"battery_voltage_v": 40.0, "battery_current_a": -2.5}
    story = Story().frame(0, odometer_m=0, battery_soc_pct=80, **RIDE, **power)
    story.frame(10, odometer_m=100, **RIDE, **power).frame(20, odometer_m=200, **PARK, **power)
    end = story.frame(22, odometer_m=205, **PARK).frame(30, odometer_m=210, **PARK).result().facts[1]
    started, duration, way, energy, soc_start = end["value"][:5]
    assert (duration, way, soc_start) == (20, 200, 80)
    assert energy == pytest.approx(100 * 20 / 3600)
    assert started == end["event_ms"] - 20_000


def test_another_trip_id_in_use_ends_one_trip_and_starts_the_next() -> None:
    story = Story().frame(0, **RIDE).frame(10, **{**RIDE, "trip_lo": 8}).frame(12, **{**RIDE, "trip_lo": 0})
    result = story.result()
    assert names(result) == [(STARTED, 0), (ENDED, 10), (STARTED, 10)]
    assert result.facts["trip_lo"].tolist() == [7, 7, 8]


def test_a_trip_that_begins_without_an_id_takes_the_first_it_hears() -> None:
    story = Story().frame(0, **{**RIDE, "trip_lo": 0}).frame(1, **RIDE).frame(2, **PARK).frame(9, **PARK)
    result = story.result()
    assert names(result) == [(STARTED, 0), (ENDED, 2)]
    assert result.facts["trip_lo"].tolist() == [0, 7]


def test_locked_in_use_is_a_pause_if_it_was_unlocked_before() -> None:
    locked: dict[str, Any] = {**RIDE, "status": Status.IN_USE | Status.LOCKED}
    story = (
        Story()
        .frame(0, **locked)
        .frame(1, **RIDE)
        .frame(5, **locked)
        .frame(6, **locked)
        .frame(9, **RIDE)
        .frame(20, **PARK)
        .frame(26, **PARK)
    )
    assert names(story.result()) == [(STARTED, 0), (PAUSED, 5), (RESUMED, 9), (ENDED, 20)]


def test_a_frame_out_of_order_moves_no_trip() -> None:
    story = Story().frame(10, **RIDE).frame(5, append_s=10, **PARK).frame(11, append_s=11, **RIDE)
    assert names(story.result()) == [(STARTED, 10)]
