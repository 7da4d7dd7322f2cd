"""What is usual is learned from the past alone, and a fault cannot widen it."""

import numpy as np
import pytest

from fleetpulse.models.bounds import KNOWN, Bounds


def learned(n: int, *, slope: float = 2.0, spread: float = 0.5, seed: int = 1) -> Bounds:
    rng = np.random.default_rng(seed)
    bounds = Bounds(floor=0.01)
    for x in rng.uniform(0, 5, n).tolist():
        bounds.learn(x, 1.0 + slope * x + spread * float(rng.normal()))
    return bounds


def test_line_and_spread_are_found() -> None:
    bounds = learned(2_000)
    assert bounds.usual(3.0) == pytest.approx(7.0, abs=0.1)
    assert bounds.spread() == pytest.approx(0.5, rel=0.1)
    assert bounds.score(3.0, 9.0) == pytest.approx(4.0, rel=0.15)


def test_nothing_deviates_before_enough_is_known() -> None:
    assert learned(KNOWN - 1).score(1.0, 1_000.0) == 0.0
    assert learned(KNOWN).score(1.0, 1_000.0) > 10


def test_outliers_do_not_widen_what_is_usual() -> None:
    bounds = learned(2_000)
    for _ in range(20):
        bounds.learn(2.0, 1_000.0)
    assert bounds.spread() < 0.7
    assert bounds.usual(2.0) < 5.2


def test_equal_values_have_the_least_spread() -> None:
    bounds = Bounds(floor=0.2)
    for _ in range(100):
        bounds.learn(1.0, 3.0)
    assert bounds.score(1.0, 3.4) == pytest.approx(2.0)
