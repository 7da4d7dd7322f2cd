"""Windows: when they open and close, which frame is in which, how what lies between frames is shared out."""

from math import isnan
from typing import Any

import pytest

from fleetpulse.codecs.schema import Status
from fleetpulse.state.parameters import Parameters
from fleetpulse.state.plain import PLAIN
from tests.state.logs import START_MS, Result
from tests.state.story import Story

CALM = Parameters()


def closings(result: Result) -> list[tuple[float, float, int]]:
    """(start, closed at, frames) of each window, times in seconds."""
    return [((w["window_start_ms"] - START_MS) / 1000, (w["closed_ms"] - START_MS) / 1000, int(w["frames"])) for w in result.windows]


def test_a_window_closes_when_the_vehicles_own_time_passes_its_end_by_two_seconds() -> None:
    """
    seconds   0                       60  61.9 62
    frames    x      x                x    x   x
    window    [------ closes at 62 ------)
                                      [--- still open
    """
    result = Story().frame(0).frame(30).frame(60).frame(61.9).frame(62).result()
    assert closings(result) == [(0, 62, 2)]


def test_a_window_of_a_silent_vehicle_closes_at_stream_time_a_minute_after_its_end() -> None:
    """
    seconds   0    50          60              119  120
    frames    x    x
    ticks               t t t t t t t t t t t t t    t
    window    [----------------)             closes here
    """
    result = Story().frame(0).frame(50).ticks(51, 121).result()
    assert closings(result) == [(0, 120, 2)]


def test_two_windows_can_be_open_and_a_frame_out_of_order_goes_to_its_own() -> None:
    """
    arrival   58   61   59   61.5   62.5
    window 0  x         x            closes, with both
    window 60      x         x       x
    """
    story = Story().frame(58, speed_mps=1).frame(61, append_s=61, speed_mps=5).frame(59, append_s=61.2, speed_mps=3, battery_soc_pct=40)
    result = story.frame(61.5).frame(62.5).result()
    assert closings(result) == [(0, 62.5, 2)]
    window = result.windows[0]
    assert (window["speed_mean_mps"], window["speed_max_mps"], window["soc_last_pct"], window["seq"]) == (2, 3, 40, 2)
    assert (window["first_offset"], window["last_offset"]) == (0, 2)


def test_a_vehicle_first_seen_in_the_next_window_still_opens_the_one_before() -> None:
    """
    arrival   61   59   then silence
    window 0       x    closes at 120
    window 60  x        closes at 180
    """
    result = Story().frame(61).frame(59, append_s=61).ticks(62, 190).result(CALM)
    assert closings(result) == [(0, 120, 1), (60, 180, 1)]


def test_a_frame_of_a_window_that_closed_is_late_and_in_no_window() -> None:
    story = Story().frame(30).frame(62).frame(59.9, append_s=62.5).frame(200, append_s=200)
    result = story.result()
    assert closings(result) == [(0, 62, 1), (60, 200, 1)]
    assert story.shard().counters["late"] == 1


def test_a_frame_newer_than_any_is_late_when_stream_time_has_closed_its_window() -> None:
    """The clock of the vehicle is 100 s slow: its window [0, 60) closes at stream time 120."""
    story = Story().frame(19, append_s=119).frame(20, append_s=120).tick(121)
    assert story.shard().counters["late"] == 1
    assert closings(story.result()) == [(0, 120, 1)]


def test_a_clock_ahead_of_stream_time_is_held_back_to_it() -> None:
    """Event times 70 and 80 at stream times 50 and 51 are taken as 50 and 51: both in the first window."""
    result = Story().frame(70, append_s=50).frame(80, append_s=51).tick(64).frame(64, append_s=64).result()
    assert closings(result) == [(0, 64, 2)]


def test_what_lies_between_two_frames_is_shared_by_the_windows_it_lies_in() -> None:
    """
    seconds       50         60              80
    frames        x----------|---------------x     30 s in use, 90 m, 108 W: a third lies in the first window
    """
    ride: dict[str, Any] = {"status": Status.IN_USE | Status.MOVING, "battery_voltage_v": 36.0, "battery_current_a": -3.0}
    story = Story().frame(50, odometer_m=1000, altitude_m=10, **ride).frame(80, odometer_m=1090, altitude_m=13, **ride)
    first, second = story.ticks(81, 200).result().windows
    for window, part in ((first, 1 / 3), (second, 2 / 3)):
        assert window["distance_m"] == pytest.approx(90 * part)
        assert window["climb_m"] == pytest.approx(3 * part)
        assert window["in_use_s"] == window["moving_s"] == pytest.approx(30 * part)
        assert window["charging_s"] == 0
        assert window["energy_out_wh"] == pytest.approx(108 * 30 / 3600 * part)


def test_an_interval_longer_than_a_minute_is_silence() -> None:
    ride: dict[str, Any] = {"status": Status.IN_USE, "battery_voltage_v": 36.0, "battery_current_a": -3.0}
    story = Story().frame(0, odometer_m=0, **ride)
    result = story.ticks(1, 60).frame(61, odometer_m=300, **ride).ticks(62, 200).result()
    assert [(w["in_use_s"], w["energy_out_wh"], w["distance_m"]) for w in result.windows] == [(0, 0, 0)] * 2


@pytest.mark.parametrize(
    ("moved", "status", "metres"),
    [
        ({"odometer_m": 1050.0}, 0, 50.0),
        ({"odometer_m": 1050.0, "latitude_e7": 525_100_000}, Status.MOVING, 50.0),  # the odometer knows better
        ({"odometer_m": 900.0, "latitude_e7": 525_009_000}, Status.MOVING, 100.1),  # it was set back
        ({"odometer_m": 99_000.0, "latitude_e7": 525_009_000}, Status.MOVING, 100.1),  # it jumped
        ({"latitude_e7": 525_009_000}, 0, 0.0),  # GPS noise of a vehicle that stands
        ({"latitude_e7": 525_009_000, "speed_mps": 0.6}, 0, 100.1),
        ({"latitude_e7": 527_000_000}, Status.MOVING, 0.0),  # 22 km in 10 s
    ],
)
def test_the_way_is_by_odometer_or_by_position(moved: dict[str, Any], status: int, metres: float) -> None:
    here: dict[str, Any] = {"latitude_e7": 525_000_000, "longitude_e7": 134_000_000, "status": status}
    story = Story().frame(0, odometer_m=1000, **here).frame(10, **{**here, **moved}).ticks(11, 121)
    assert story.result().windows["distance_m"][0] == pytest.approx(metres, abs=0.1)


def test_a_window_without_a_sample_says_so() -> None:
    window = Story().frame(0, battery_soc_pct=float("nan")).ticks(1, 121).result().windows[0]
    for name in ("speed_mean_mps", "soc_first_pct", "voltage_min_v", "tyre_pressure_min_kpa", "latitude_deg", "soh_pct"):
        assert isnan(window[name]), name
    assert window["cycles"] == -1
    assert window["distance_m"] == 0


@pytest.mark.skipif(PLAIN, reason="70,000 frames take a minute in plain Python")
def test_a_flood_of_frames_in_one_window_saturates_no_counter() -> None:
    """70,000 frames at one millisecond: more than a 16-bit count holds; the mean is that of the first 65,535."""
    frames = Story().frame(0, speed_mps=2).frames.repeat(70_000)
    frames["seq"] = range(70_000)
    story = Story()
    story.rows = [frames]
    story.frame(63, seq=70_000)
    window = story.result().windows[0]
    assert (window["frames"], window["speed_mean_mps"]) == (70_000, 2)
