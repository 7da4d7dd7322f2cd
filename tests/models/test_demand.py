"""Demand: known at once where trips start, seasonal after days, better than repeating the last interval, and bounded."""

import numpy as np
import pytest

from fleetpulse.models import demand
from fleetpulse.models.demand import DemandModel
from fleetpulse.models.store import StoredStateError

INTERVAL_MS = 900_000
DAY = 96
CELL = (0x881F1D4895FFFFF, 0)


def model(seasons: int = DAY) -> DemandModel:
    return DemandModel(seasons=seasons, interval_ms=INTERVAL_MS)


def learned(trips: list[int], *, supplied: bool = True) -> DemandModel:
    made = model()
    for i, n in enumerate(trips, 1):
        made.learn(i * INTERVAL_MS, {CELL: n} if n else {}, {CELL} if supplied else set())
    return made


def test_the_first_interval_with_trips_is_half_believed() -> None:
    assert learned([3]).forecasts() == {CELL: 1.5}
    assert learned([]).forecasts() == {}


def test_quiet_intervals_bring_it_down() -> None:
    assert learned([1, 0, 0]).forecasts()[CELL] == pytest.approx(1 / 4)


def test_an_interval_without_vehicles_and_trips_teaches_nothing() -> None:
    assert learned([2, 0, 0, 0], supplied=False).forecasts()[CELL] == 1.0


def test_a_daily_rhythm_is_learned() -> None:
    """4 trips in the first interval of each day, none else."""
    made = learned(([4] + [0] * 95) * 10)
    assert made.forecasts()[CELL] == pytest.approx(4, rel=0.2)
    made.learn((10 * DAY + 1) * INTERVAL_MS, {CELL: 4}, {CELL})
    assert made.forecasts()[CELL] < 0.5


def test_it_beats_the_naive_forecast_on_a_noisy_rhythm() -> None:
    rng = np.random.default_rng(1)
    trips = [int(rng.poisson(2 + 2 * np.sin(i / DAY * 2 * np.pi))) for i in range(20 * DAY)]
    ours, naive = learned(trips).errors_rms()
    assert ours < 0.9 * naive
    assert model().errors_rms() == (0.0, 0.0)


def test_cells_without_trips_for_long_are_forgotten() -> None:
    made = model()
    made.learn(INTERVAL_MS, {CELL: 1, (5, 0): 1}, set())
    end_ms = INTERVAL_MS + demand.FORGET_MS
    made.learn(end_ms // INTERVAL_MS * INTERVAL_MS, {CELL: 1}, set())
    assert set(made.forecasts()) == {CELL}


def test_rows_do_not_depend_on_the_order_of_discovery() -> None:
    a, b = model(), model()
    a.learn(INTERVAL_MS, {(9, 0): 1, (3, 1): 2}, set())
    b.learn(INTERVAL_MS, {(3, 1): 2, (9, 0): 1}, set())
    assert a.snapshot() == b.snapshot()
    assert list(a.forecasts()) == [(3, 1), (9, 0)]


def test_a_snapshot_goes_on_as_if_nothing_happened() -> None:
    a = learned([1, 2, 0, 4])
    b = model()
    b.restore(a.snapshot())
    for made in (a, b):
        made.learn(5 * INTERVAL_MS, {CELL: 2}, {CELL})
    assert a.snapshot() == b.snapshot()
    other = model(seasons=48)
    other.restore(a.snapshot())
    assert other.forecasts() == {}
    with pytest.raises(StoredStateError):
        model().restore(b"\0" * 50)
