"""Lines: what numpy says of them, and intervals that hold what they promise."""

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fleetpulse.models.trend import NEVER, Trend, fit


def ages(count: int) -> NDArray[np.float64]:
    """Times of `count` values, a quarter of a day apart, the last of them now."""
    times: NDArray[np.float64] = np.arange(1.0 - count, 1.0) * 0.25
    return times


VALUES = st.lists(st.floats(-500, 500), min_size=2, max_size=24)


@given(VALUES, st.floats(0.01, 5))
def test_the_line_is_that_of_least_squares(values: list[float], spread: float) -> None:
    times = ages(len(values))
    trend = fit(times, np.array(values), spread=spread)
    slope, value = np.polyfit(times, values, 1)
    assert trend.slope == pytest.approx(slope, abs=1e-6)
    assert trend.value(0.0) == pytest.approx(value, abs=1e-6)
    assert trend.spread > 0


@given(VALUES, st.floats(-500, 500))
def test_an_interval_holds_what_is_expected_and_nothing_lies_in_the_past(values: list[float], limit: float) -> None:
    times = ages(len(values))
    crossing = fit(times, np.array(values), spread=1.0).reaches(limit, 0.9)
    assert 0 <= crossing.earliest_d <= crossing.expected_d <= crossing.latest_d


def lines(count: int, *, values: int, spread: float, seed: int) -> list[tuple[Trend, float, float]]:
    """(trend, true time of reaching 172, next true value with noise) of falling lines."""
    rng = np.random.default_rng(seed)
    times = ages(values)
    out = []
    for _ in range(count):
        slope, now = -rng.uniform(4, 15), rng.uniform(190, 300)
        y = now + slope * times + spread * rng.standard_normal(values)
        out.append((fit(times, y, spread=1.0), (172 - now) / slope, now + slope * 0.25 + spread * rng.standard_normal()))
    return out


@pytest.mark.parametrize(("values", "spread"), [(5, 1.0), (8, 1.0), (16, 1.0), (24, 1.5)])
def test_intervals_hold_nearly_as_often_as_they_say(values: int, spread: float) -> None:
    tried = lines(2_000, values=values, spread=spread, seed=values)
    crossings = [(trend.reaches(172, 0.9), truth) for trend, truth, _ in tried]
    inside = np.mean([c.earliest_d <= truth <= c.latest_d for c, truth in crossings])
    assert 0.86 <= inside <= 0.95
    fresh = np.mean([abs(value - trend.value(0.25)) <= trend.band(0.25, 0.9) for trend, _, value in tried])
    assert 0.86 <= fresh <= 0.95


def test_what_does_not_move_for_sure_never_arrives() -> None:
    times = ages(6)
    assert fit(times, np.array([300.0, 301, 299, 300, 301, 300]), spread=1.0).reaches(172, 0.9) == NEVER
    rising = fit(times, 250 + 10 * times, spread=1.0).reaches(172, 0.9)
    assert rising.expected_d == 0  # behind it


def test_a_flat_line_s_limit_is_infinitely_far() -> None:
    assert NEVER.latest_d == inf
