"""Forecasts of tyres and batteries: what they must say, what they must not, and that only the windows' order counts."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fleetpulse.models import slow
from fleetpulse.models.findings import Finding
from fleetpulse.models.foresight import Foresight, Moment
from fleetpulse.models.parameters import DetectParameters
from fleetpulse.models.store import StoredStateError
from tests.models.slowly import DAY_MS, START_MS, Slowly

PARAMETERS = DetectParameters(tyre_limits_kpa=(float("nan"), 172.0))
Told = list[Finding]


def run(windows: NDArray[Any], foresight: Foresight) -> Told:
    signals = slow.extract(windows)
    devices = list(zip(windows["device_hi"].tolist(), windows["device_lo"].tolist(), strict=True))
    return [f for i, device in enumerate(devices) for f in foresight.run(device, Moment(signals, i, windows))]


def played(fleet: Slowly, parameters: DetectParameters = PARAMETERS) -> tuple[dict[int, Told], Foresight]:
    """Findings by number of the vehicle."""
    windows, foresight = fleet.windows(), Foresight(parameters)
    names = {int(lo): v for v, lo in enumerate(windows["device_lo"][: fleet.vehicles])}
    found: dict[int, Told] = {v: [] for v in range(fleet.vehicles)}
    for f in run(windows, foresight):
        found[names[f.window.device_lo]].append(f)
    return found, foresight


def day(ms: int) -> float:
    return (ms - START_MS) / DAY_MS


def first_low_d(fleet: Slowly, vehicle: int, limit_kpa: float = 172.0) -> float:
    """First day on which the true pressure in the coldest hour is below the limit."""
    coldest_c = 9 - fleet.swing_c
    limit = float(slow.at_reference_kpa(limit_kpa, coldest_c))
    return fleet.since_d + (fleet.first_kpa - limit) / fleet.leak_kpa_per_d[vehicle]


def test_weather_and_noise_are_no_leak() -> None:
    found, foresight = played(Slowly(vehicles=60, days=30, day_kpa=1.0, noise_kpa=1.0, every_min=30))
    assert sum(map(len, found.values())) == 0
    assert foresight.board.outcomes == {}


def test_nor_is_a_cold_front_or_a_tyre_that_is_low_and_stays_so() -> None:
    assert not any(played(Slowly(vehicles=20, days=16, cold_front=(8.0, 10.0), day_kpa=0.7))[0].values())
    assert not any(played(Slowly(vehicles=20, days=16, first_kpa=196.0, day_kpa=0.7))[0].values())


def test_a_slow_leak_is_told_more_than_a_week_ahead() -> None:
    rates = {v: 6.0 + 0.5 * v for v in range(8)}
    fleet = Slowly(vehicles=8, days=24, first_kpa=290.0, leak_kpa_per_d=rates, day_kpa=0.7)
    found, foresight = played(fleet)
    for v, told in found.items():
        first = told[0]
        assert (first.rule, first.raised, first.severity, first.ground) == ("tyre_forecast", True, "info", "pressure")
        assert first_low_d(fleet, v) - day(first.raised_ms) > 7
        assert day(first.raised_ms) - fleet.since_d < 7
        assert first.values["earliest_d"] <= first_low_d(fleet, v) - day(first.raised_ms) <= first.values["latest_d"]
    assert foresight.board.outcomes["tyre_forecast.hit"] >= 6
    assert set(foresight.board.outcomes) <= {"tyre_forecast.hit", "tyre_forecast.miss"}


def test_a_prediction_is_told_again_only_when_it_becomes_graver() -> None:
    found, _ = played(Slowly(vehicles=6, days=20, leak_kpa_per_d=dict.fromkeys(range(6), 12.0), day_kpa=0.7))
    for told in found.values():
        assert [(f.raised, f.severity) for f in told] == [(True, "info"), (True, "warning")]
        assert told[0].raised_ms == told[1].raised_ms
        assert told[1].values["days_left_d"] <= 3


def test_a_tyre_that_is_inflated_ends_it_and_the_prediction_is_not_scored_as_wrong() -> None:
    fleet = Slowly(vehicles=4, days=20, leak_kpa_per_d=dict.fromkeys(range(4), 8.0), until_d=11.0, day_kpa=0.7)
    found, foresight = played(fleet)
    for told in found.values():
        assert [(f.raised, f.resolved_by, f.outcome) for f in told] == [(True, None, ""), (False, "recovered", "averted")]
        assert day(told[1].window.end_ms) < 12.5
    assert foresight.board.outcomes == {"tyre_forecast.averted": 4}
    assert foresight.open() == {"tyre_forecast": 0, "battery_life": 0}


def test_intervals_of_predictions_hold_nearly_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    fleet = Slowly(vehicles=120, days=26, leak_kpa_per_d={v: float(rng.uniform(6, 20)) for v in range(120)}, day_kpa=0.8, every_min=30)
    _, foresight = played(fleet)
    outcomes = foresight.board.outcomes
    hit, scored = outcomes["tyre_forecast.hit"], sum(outcomes.values())
    assert scored >= 115
    assert hit / scored >= 0.82
    count, error_d, lead_d = foresight.board.errors["tyre_forecast"]
    assert error_d / count < 1.0
    assert lead_d / count > 5


def test_a_puncture_is_not_foreseen_and_counted_as_such() -> None:
    fleet = Slowly(vehicles=3, days=9, leak_kpa_per_d=dict.fromkeys(range(3), 2_000.0))
    found, foresight = played(fleet)
    assert not any(found.values())
    assert foresight.board.outcomes == {"tyre_forecast.unforeseen": 3}


def test_a_prediction_that_does_not_come_true_ends_with_its_interval_or_its_trend() -> None:
    """The leak closes by itself and the pressure stays where it is."""
    fleet = Slowly(vehicles=6, days=40, first_kpa=300, leak_kpa_per_d=dict.fromkeys(range(6), 9.0), day_kpa=0.5, every_min=30)
    windows = fleet.windows()
    rows = windows.reshape(-1, 6)
    stopped = rows["window_end_ms"] > START_MS + 12 * DAY_MS
    cold = slow.at_reference_kpa(rows["tyre_pressure_min_kpa"], rows["ambient_temperature_mean_c"])
    back = 9.0 * (rows["window_end_ms"] - START_MS - 12 * DAY_MS) / DAY_MS
    kelvin = (rows["ambient_temperature_mean_c"] - slow.ZERO_C) / (20 - slow.ZERO_C)
    rows["tyre_pressure_min_kpa"] = np.where(stopped, (cold + back + 101.325) * kelvin - 101.325, rows["tyre_pressure_min_kpa"])
    foresight = Foresight(PARAMETERS)
    told = run(windows, foresight)
    raised, over = [f for f in told if f.raised and f.severity == "info"], [f for f in told if not f.raised]
    assert len(raised) == len(over) == 6
    assert {f.outcome for f in over} <= {"withdrawn", "too_early"}
    assert foresight.open()["tyre_forecast"] == 0


def test_an_ageing_battery_is_told_more_than_a_week_ahead_and_then_critical() -> None:
    rates = {v: 0.3 + 0.1 * v for v in range(5)}
    fleet = Slowly(vehicles=5, days=40, first_pct=82.0, loss_pct_per_d=rates, soh_noise_pct=0.1, every_min=60)
    found, foresight = played(fleet)
    for v, told in found.items():
        end_d = fleet.since_d + 12 / rates[v]
        assert told[0].rule == "battery_life"
        assert told[0].ground == "capacity"
        assert end_d - day(told[0].raised_ms) > 7
        assert [f.severity for f in told][-1] == "critical"
        assert len(told) <= 2
    assert foresight.board.outcomes["battery_life.hit"] >= 3


def test_a_battery_that_is_at_its_end_already_is_critical_at_once() -> None:
    found, foresight = played(Slowly(vehicles=2, days=4, first_pct=66.0))
    for told in found.values():
        assert [(f.rule, f.severity, f.values["latest_d"]) for f in told] == [("battery_life", "critical", 0.0)]
    assert foresight.board.outcomes == {"battery_life.unforeseen": 2}


def test_some_samples_that_cannot_be_are_no_end() -> None:
    windows = Slowly(vehicles=2, days=8, first_pct=90.0).windows()
    windows["soh_pct"][400:412] = 0.0
    assert run(windows, Foresight(PARAMETERS)) == []


def test_healthy_batteries_are_left_alone_also_those_near_their_end() -> None:
    for pct in (97.0, 74.0):
        assert not any(played(Slowly(vehicles=30, days=25, first_pct=pct, soh_noise_pct=0.3, every_min=60))[0].values())


def test_rising_resistance_ends_a_life_too() -> None:
    """Its bend is small against its noise, so that the date comes late at first; it is told in time, and reached as resistance."""
    fleet = Slowly(vehicles=3, days=32, ohm_per_d={0: 0.05, 1: 0.05}, every_min=10)
    found, foresight = played(fleet)
    for v in (0, 1):
        first, last = found[v][0], found[v][-1]
        assert (first.rule, first.ground, last.ground, last.severity) == ("battery_life", "resistance", "resistance", "critical")
        assert day(first.raised_ms) < 18
        assert 20 < day(first.predicted_ms) < 45
    assert found[2] == []
    assert sum(foresight.board.outcomes.values()) == 2
    assert foresight.board.errors["battery_life"][2] / 2 > 7


def test_cycles_tell_where_the_capacity_is_too_flat() -> None:
    loss = dict.fromkeys(range(3), 0.044)
    fleet = Slowly(vehicles=3, days=12, first_pct=70.6, loss_pct_per_d=loss, since_d=0, soh_noise_pct=0.2, cycles_per_d=1.5, every_min=60)
    fleet.first_cycles = 1_000
    found, _ = played(fleet)
    for told in found.values():
        assert told[0].ground == "cycles"
        assert 1 < told[0].values["days_left_d"] < 20


def test_another_battery_ends_it() -> None:
    fleet = Slowly(vehicles=2, days=20, first_pct=80.0, loss_pct_per_d={0: 0.5, 1: 0.5}, every_min=60)
    windows = fleet.windows()
    swapped = windows["window_end_ms"] > START_MS + 14 * DAY_MS
    windows["soh_pct"][swapped], windows["cycles"][swapped] = 95.0, 20
    told = run(windows, Foresight(PARAMETERS))
    assert [(f.raised, f.resolved_by) for f in told if f.severity == "critical"][-1] == (False, "swap")
    assert {f.outcome for f in told if not f.raised} == {"averted"}
    assert sum(not f.raised for f in told) == 2


def test_in_shadow_predictions_are_scored_and_not_told() -> None:
    fleet = Slowly(vehicles=3, days=20, leak_kpa_per_d=dict.fromkeys(range(3), 12.0))
    found, foresight = played(fleet, replace(PARAMETERS, shadow=frozenset({"tyre_forecast"})))
    assert not any(found.values())
    assert foresight.board.outcomes["tyre_forecast.hit"] >= 2


LEAKING = Slowly(vehicles=3, days=18, leak_kpa_per_d={0: 12.0}, first_pct=80.0, loss_pct_per_d={1: 0.6}, every_min=30)


@pytest.fixture(scope="module")
def windows() -> NDArray[Any]:
    return LEAKING.windows()


@pytest.fixture(scope="module")
def whole(windows: NDArray[Any]) -> tuple[Told, bytes]:
    foresight = Foresight(PARAMETERS)
    return run(windows, foresight), foresight.snapshot()


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, 2_592), max_size=6))
def test_cuts_and_restarts_change_nothing(windows: NDArray[Any], whole: tuple[Told, bytes], cuts: list[int]) -> None:
    foresight, got = Foresight(PARAMETERS), []
    for part in np.split(windows, sorted(cuts)):
        got += run(part, foresight)
        restored = Foresight(PARAMETERS)
        restored.restore(foresight.snapshot())
        foresight = restored
    assert (got, foresight.snapshot()) == whole
    assert len(got) >= 3


def test_a_snapshot_of_another_layout_is_refused(whole: tuple[Told, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetpulse.models.foresight._VERSION", 99)
    with pytest.raises(StoredStateError, match="must be FORE version 99; got FORE version 1"):
        Foresight(PARAMETERS).restore(whole[1])


def test_vehicles_are_forgotten_unless_something_is_predicted(whole: tuple[Told, bytes]) -> None:
    foresight = Foresight(PARAMETERS)
    foresight.restore(whole[1])
    assert foresight.vehicles == 3
    foresight.forget(START_MS + 100 * DAY_MS)
    assert foresight.vehicles == 2


def test_vehicles_without_these_sensors_cost_nothing() -> None:
    windows = Slowly(vehicles=2, days=3).windows()
    for name in ("tyre_pressure_min_kpa", "soh_pct", "voltage_min_v", "ambient_temperature_mean_c"):
        windows[name] = np.nan
    assert run(windows, Foresight(PARAMETERS)) == []
