"""Our own outage: what vehicles sent meanwhile comes afterwards, in order, and is their present for a while, not late."""

from dataclasses import replace
from typing import Any

import pytest

from fleetpulse.codecs.schema import Status
from fleetpulse.state.facts import Condition
from fleetpulse.state.parameters import Parameters, Rules
from tests.state.logs import MODELS, TOWN
from tests.state.story import Story, cleared, names, raised

RULES = Parameters(rules=replace(Rules(), offline_s=7200), models=MODELS, cities=(None, TOWN), interval_ms=3_600_000)
DOWN_S, UP_S = 60, 1500
"""24 minutes without a record of anybody."""
CATCH_UP = 72
"""So much faster than it was made comes what was held up."""
RIDES = Status.IN_USE | Status.MOVING


def north(metres: float) -> dict[str, Any]:
    return {"latitude_e7": 525_000_000 + round(metres / 0.0111195), "longitude_e7": 134_000_000, "horizontal_accuracy_m": 3.0}


def outage(*, step_s: int = 10, last_s: int = UP_S + 60, **fields: Any) -> Story:
    """A frame each step; those of the outage come after it. Fields may be functions of the second."""
    told = Story()
    for second in range(0, last_s + 1, step_s):
        held = DOWN_S <= second < UP_S
        append_s = UP_S + (second - DOWN_S) / CATCH_UP if held else second + (25 if UP_S <= second < UP_S + 25 else 0)
        told.frame(second, append_s=append_s, **{name: value(second) if callable(value) else value for name, value in fields.items()})
    return told


def ridden(second: int) -> int:
    return RIDES if 300 <= second < 900 else Status.LOCKED


def test_what_an_outage_held_up_is_not_late_and_every_minute_has_its_window() -> None:
    told = outage(**north(0))
    assert told.shard(RULES).counters["late"] == 0
    result = told.result(RULES)
    starts = result.windows["window_start_ms"]
    assert ((starts[1:] - starts[:-1]) == 60_000).all()
    assert len(starts) == 1500 // 60
    assert result.windows["frames"].tolist() == [6] * len(starts)


def test_a_ride_within_an_outage_is_a_trip_and_no_theft() -> None:
    told = outage(status=ridden, speed_mps=lambda s: 5.0 if 300 <= s < 900 else 0.0)
    assert [name for name, _ in names(told.result(RULES))] == ["trip_started", "trip_ended"]
    place: dict[str, Any] = {"latitude_e7": lambda s: north(5 * min(max(0, s - 300), 600))["latitude_e7"], "longitude_e7": 134_000_000}
    told = outage(status=ridden, speed_mps=lambda s: 5.0 if 300 <= s < 900 else 0.0, horizontal_accuracy_m=3.0, **place)
    assert names(told.result(RULES)) == [("trip_started", 300), ("trip_ended", 900)]


def test_a_visit_to_a_zone_within_an_outage_is_alarmed() -> None:
    park: dict[str, Any] = {"latitude_e7": lambda s: 525_100_000 if 600 <= s < 780 else 525_000_000, "longitude_e7": 134_100_000}
    rules = replace(RULES, rules=replace(RULES.rules, teleport_mps=1000))
    told = outage(status=RIDES, horizontal_accuracy_m=3.0, **park)
    fences = [name for name in names(told.result(rules)) if "geofence" in name[0]]
    assert fences == [(raised(Condition.GEOFENCE), 610), (cleared(Condition.GEOFENCE), 780)]


def test_a_clock_is_not_learned_from_what_was_held_up() -> None:
    told = Story().frame(0)
    for second in range(1, 1500, 5):
        told.frame(second, append_s=1500 + second / 6)
    shard = told.shard(RULES)
    assert (shard.records["clock_off_ms"][0], shard.records["sensors"][0], shard.counters["late"]) == (0, 0, 0)


@pytest.mark.parametrize(("after_s", "late"), [(955, 0), (965, 1)])
def test_it_is_late_again_when_there_was_time_enough(after_s: int, late: int) -> None:
    """As long as the outage, at most 15 minutes, and a minute: 960 s."""
    told = Story().frame(0).ticks(1, 60).ticks(1500, 1500 + after_s)
    told.frame(1300, append_s=1500 + after_s)
    assert told.shard(RULES).counters["late"] == late


def test_a_window_that_an_outage_cut_waits_for_its_frames_and_closes_when_they_do_not_come() -> None:
    told = Story().frame(0).ticks(1, 60).ticks(360, 900)
    (window,) = told.result(RULES).windows
    assert (window["closed_ms"] - window["window_end_ms"]) / 1000 == 60 + 300


def test_an_outage_soon_after_another_adds_to_it() -> None:
    def counted(pause_s: int) -> int:
        told = Story().frame(0).ticks(1, 60).ticks(360, 360 + pause_s).ticks(460 + pause_s, 470 + pause_s)
        return told.frame(70 + pause_s, append_s=470 + pause_s).shard(RULES).counters["late"]

    assert counted(10) == 0
    assert counted(500) == 1
