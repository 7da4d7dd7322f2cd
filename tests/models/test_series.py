"""The model of one series: spikes, shifts and breaks of a rhythm stand out, what repeats does not; nothing depends on units."""

from math import nan, pi, sin

import numpy as np
import pytest

from fleetpulse.models.series import ALARM, SeriesModel

STEP_S = 300.0


def alarms(values: list[float]) -> list[int]:
    model = SeriesModel()
    return [i for i, value in enumerate(values) if model.score(STEP_S * i, value) >= ALARM]


def noise(count: int, *, seed: int = 1) -> list[float]:
    return [float(x) for x in np.random.Generator(np.random.PCG64(seed)).normal(0.0, 1.0, count)]


def day(count: int) -> list[float]:
    return [20.0 * sin(2 * pi * i / 288) + x for i, x in enumerate(noise(count))]


def test_a_spike_is_an_alarm_at_once() -> None:
    values = noise(1500)
    values[1200] += 25.0
    assert 1200 in alarms(values)


def test_a_shift_is_an_alarm_soon() -> None:
    values = [x + (8.0 if i >= 1200 else 0.0) for i, x in enumerate(noise(1500))]
    assert any(1200 <= i < 1230 for i in alarms(values))


def test_a_break_of_the_daily_rhythm_is_an_alarm() -> None:
    values = day(3000)
    values[2450:2500] = [-15.0 + x for x in noise(50, seed=2)]
    assert any(2450 <= i < 2510 for i in alarms(values))


def test_an_ordinary_series_has_few_alarms() -> None:
    assert len([i for i in alarms(day(4000)) if i > 600]) <= 3
    assert alarms([5.0] * 1000) == []


def test_what_comes_again_and_again_is_no_news() -> None:
    values = noise(6000)
    for i in range(400, 6000, 288):
        values[i] += 30.0
    assert len([i for i in alarms(values) if i > 3000]) <= 3


def test_after_an_alarm_the_series_is_quiet() -> None:
    values = noise(2000)
    for i in (1200, 1210, 1260):
        values[i] += 40.0
    assert len([i for i in alarms(values) if 1200 <= i < 1300]) == 1


@pytest.mark.parametrize(("factor", "offset"), [(1e-6, 0.0), (1e6, 0.0), (1.0, 1e5)])
def test_the_unit_does_not_matter(factor: float, offset: float) -> None:
    values = noise(1500)
    values[1200] += 25.0
    assert 1200 in alarms([factor * x + offset for x in values])


def test_a_missing_value_scores_0_and_changes_nothing() -> None:
    with_gap, without = SeriesModel(), SeriesModel()
    for i, value in enumerate(noise(300)):
        assert with_gap.score(STEP_S * i, nan) == 0.0
        assert with_gap.score(STEP_S * i, value) == without.score(STEP_S * i, value)
