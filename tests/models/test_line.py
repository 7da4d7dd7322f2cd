"""Lines of medians: bounded, blind to one bad bin, begun anew by two; and the number of a bin may wrap."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetpulse.models import line
from fleetpulse.models.line import BINS, KNOWN, LINE, Change, Closed, Signal

SIGNAL = Signal(bin_ms=21_600_000, step=0.02, spread=1.0, leap=25.0)


def fresh() -> Any:
    return np.zeros(1, dtype=LINE)[0]


def taught(values: list[float], first: int = 0) -> tuple[Any, list[Change]]:
    record = fresh()
    return record, [line.learn(record, SIGNAL, Closed(first + k & 0xFFFF, value)) for k, value in enumerate(values)]


def test_a_bin_ends_with_the_first_sample_of_another_and_gives_its_median() -> None:
    record = fresh()
    for k, value in enumerate((300.0, 302.0, 310.0)):
        assert line.sample(record, SIGNAL, k * 3_600_000, value) is None
    assert line.sample(record, SIGNAL, 7 * 3_600_000, 290.0) == Closed(0, 302.0, 3)
    assert line.sample(record, SIGNAL, 30 * 3_600_000, 280.0) == Closed(1, 290.0, 1)


def test_a_line_is_bounded_and_keeps_the_newest() -> None:
    record, changes = taught([300 - 0.5 * k for k in range(60)])
    assert set(changes) == {Change.NONE, Change.BEGUN}
    assert changes.count(Change.BEGUN) == 1
    assert record["count"] == BINS
    assert line.last(record, SIGNAL) == pytest.approx(300 - 0.5 * 59)
    assert line.trend_of(record, SIGNAL, 59).slope == pytest.approx(-2.0, abs=0.01)
    assert line.span_d(record, SIGNAL) == pytest.approx((BINS - 1) / 4)


def test_one_bad_bin_is_left_out() -> None:
    record, changes = taught([300.0] * 8 + [280.0] + [300.0] * 3)
    assert changes[8] == Change.DOUBTED
    assert changes[9:] == [Change.NONE] * 3
    assert line.trend_of(record, SIGNAL, 11).slope == pytest.approx(0.0, abs=0.01)


def test_two_bins_off_on_one_side_begin_the_line_anew() -> None:
    record, changes = taught([300.0] * 8 + [295.0, 290.0, 285.0, 280.0])
    assert changes[8:10] == [Change.DOUBTED, Change.BEGUN]
    assert record["count"] == KNOWN
    assert line.trend_of(record, SIGNAL, 11).slope == pytest.approx(-20.0, abs=0.1)


def test_what_is_too_old_is_forgotten() -> None:
    record, _ = taught([300.0] * 5)
    line.learn(record, SIGNAL, Closed(5 + 4 * BINS, 200.0))
    assert record["count"] == 1


@settings(max_examples=30)
@given(st.integers(0, 0xFFFF), st.lists(st.floats(150, 350), min_size=1, max_size=40))
def test_numbers_of_bins_may_wrap(first: int, values: list[float]) -> None:
    (a, changes), (b, wrapped) = taught(values), taught(values, first)
    assert changes == wrapped
    assert a["count"] == b["count"]
    if a["count"] >= 2:
        assert line.trend_of(a, SIGNAL, len(values) - 1) == line.trend_of(b, SIGNAL, (first + len(values) - 1) & 0xFFFF)


def test_noise_seldom_begins_a_line_anew() -> None:
    rng = np.random.default_rng(3)
    begun = sum(taught((300 + rng.standard_normal(100)).tolist())[1].count(Change.BEGUN) - 1 for _ in range(40))
    assert begun <= 4
