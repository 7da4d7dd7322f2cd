"""Drift of what the models look at, day by day."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fleetpulse.codecs.tables import WINDOW
from fleetpulse.models.inputs import LEAST_WINDOWS, Inputs

DAY_MS = 86_400_000


def day(number: int, *, voltage_v: float = 50.0, count: int = LEAST_WINDOWS, seed: int = 1) -> NDArray[Any]:
    """Riding windows of one cohort on a day; voltage with a spread of 1 V."""
    rows = np.zeros(count, dtype=WINDOW)
    rows["city"], rows["vehicle_model"], rows["moving_s"] = 1, 2, 60
    rows["window_end_ms"] = number * DAY_MS + 1 + np.arange(count)
    rows["voltage_mean_v"] = voltage_v + np.random.default_rng([seed, number]).normal(0, 1, count)
    rows["vibration_band1_mean_mps2"] = np.nan
    return rows


def told(*days: NDArray[Any]) -> dict[tuple[str, str], tuple[float, float]]:
    inputs = Inputs()
    for rows in days:
        inputs.take(rows)
    return inputs.drifts()


def test_days_like_those_before_do_not_drift() -> None:
    drifts = told(*(day(n) for n in range(6)))
    assert abs(drifts["powertrain", "voltage_mean_v"][0]) < 0.3
    assert drifts["powertrain", "voltage_mean_v"][1] == 0.0
    assert drifts["vibration", "vibration_band1_mean_mps2"] == (0.0, 1.0)  # missing in all windows


def test_a_day_that_is_off_shows_when_it_is_over() -> None:
    before = [day(n) for n in range(4)]
    assert told(*before, day(4, voltage_v=47.0))["powertrain", "voltage_mean_v"][0] == pytest.approx(0, abs=0.3)
    assert told(*before, day(4, voltage_v=47.0), day(5))["powertrain", "voltage_mean_v"][0] == pytest.approx(-3, abs=0.4)


def test_few_windows_make_no_day() -> None:
    assert told(day(0), day(1, voltage_v=30.0, count=20), day(2), day(3))["powertrain", "voltage_mean_v"][0] > -3


def test_what_is_stored_goes_on_alike() -> None:
    whole, cut = Inputs(), Inputs()
    for n in range(5):
        whole.take(day(n))
        for part in np.array_split(day(n), 3):
            cut.take(part)
            cut = Inputs.of(cut.stored())
    assert cut.drifts().keys() == whole.drifts().keys()
    for key, wanted in whole.drifts().items():
        assert cut.drifts()[key] == pytest.approx(wanted)
    assert Inputs().drifts()["drain", "distance_m"] == (0.0, 0.0)
