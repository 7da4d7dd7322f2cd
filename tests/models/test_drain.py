"""The two watches on unexplained loss."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from river.drift import PageHinkley

from fleetpulse.models import drain
from fleetpulse.models.drain import Loss
from fleetpulse.models.vehicles import Vehicle, VehicleTable, Watch

LIMIT = 3.0


def minute(actual: float, expected: float = 0.0) -> Loss:
    return Loss(False, 0, 1 / 60, actual, expected, 0.05)


def parked(watch: Watch, loss: Loss, *, raised: bool = False) -> None:
    drain.stand(watch, loss, 0.002, limit_pct=LIMIT, raised=raised)


def rides(*excesses: float, expected: float = 5.0, spread: float = 1.0) -> Watch:
    """A watch after rides that cost so much more than expected."""
    watch = Watch()
    for k, excess in enumerate(excesses):
        drain.ride(watch, Loss(True, k * 3_600_000, 0.2, expected + excess, expected, spread))
    return watch


def vehicle(**changes: Any) -> Vehicle:
    table = VehicleTable()
    return replace(table.load(table.row((1, 2))), latitude_deg=52.52, longitude_deg=13.4, **changes)


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=200))
def test_the_test_is_that_of_river(xs: list[float]) -> None:
    theirs: Any = PageHinkley(
        min_instances=drain.PH_LEAST_COUNT, delta=drain.PH_DELTA, threshold=drain.PH_LAMBDA, alpha=drain.PH_ALPHA, mode="up"
    )
    watch = Watch()
    for x in xs:
        theirs.update(x)
        drain.page_hinkley(watch, x)
        assert drain.rose(watch) == theirs.drift_detected
        if theirs.drift_detected:
            return  # River begins anew; here the owner does


def test_noise_of_a_coarse_charge_does_not_add_up() -> None:
    watch = Watch()
    for _ in range(5_000):
        parked(watch, minute(1.0))
        parked(watch, minute(-1.0))
    assert not drain.drains(watch, LIMIT, riding=False)


def test_a_steady_loss_reaches_the_limit_and_no_further_than_its_bound() -> None:
    watch, minutes = Watch(), 0
    while not drain.drains(watch, LIMIT, riding=False):
        parked(watch, minute(0.05))
        minutes += 1
    assert 55 <= minutes <= 70
    for _ in range(1_000):
        parked(watch, minute(0.05), raised=True)
    assert watch.excess_pct == drain.HIGHEST * LIMIT


def test_one_ride_is_no_proof_however_much_it_cost() -> None:
    watch = rides(0.1, -0.2, 0.0, 0.1, -0.1, 0.2, 30.0)
    assert not drain.drains(watch, LIMIT, riding=True)
    assert watch.excess_pct == pytest.approx(30.0)
    assert not drain.drains(rides(30.0, -1.0), LIMIT, riding=True)
    assert drain.drains(rides(6.0, 6.0), LIMIT, riding=True)


def test_with_the_word_of_the_test_half_of_the_sum_is_enough() -> None:
    """A vehicle whose rides were cheap, and are dear since."""
    before = [-0.5] * 20
    assert drain.drains(rides(*before, *[2.4] * 3), LIMIT, riding=True)
    assert not drain.drains(rides(*[2.4] * 3), LIMIT, riding=True)


def test_dear_rides_among_cheap_ones_are_no_drain() -> None:
    """Ten real rides of a scooter, again and again: one costs twice the usual, and the spread says that rides differ so."""
    assert not drain.drains(rides(*[7.0, -1.5, -2.0, 0.5, 2.0, -1.0, -2.0, 0.0, -2.5, -1.0] * 50, spread=3.0), LIMIT, riding=True)


def test_what_cheap_rides_cost_beyond_is_nobodys_business() -> None:
    watch = rides(*[0.1] * 9, expected=0.05, spread=0.02)
    assert watch.score > 1
    assert not drain.drains(watch, LIMIT, riding=True)
    assert drain.drains(rides(*[0.1] * 12, expected=0.05, spread=0.02), LIMIT, riding=True)


def test_a_quarter_more_than_usual_is_a_rider() -> None:
    assert rides(*[1.2] * 100, spread=0.3).score == 0.0


def test_a_sum_tells_when_it_began_and_how_much_was_judged() -> None:
    watch = rides(0.0, 6.0, 6.0)
    assert (watch.since_ms, watch.judged_s) == (3_600_000, 1440)


def test_what_stood_is_told_from_what_moved() -> None:
    own = vehicle()
    assert drain.stood(own, 52.5201, 13.4001)
    assert not drain.stood(own, 52.53, 13.4)
    assert not drain.stood(own, float("nan"), 13.4)


def test_rest_needs_both_sums() -> None:
    own = vehicle(parked=Watch(score=0.1), riding=Watch(score=0.7))
    assert not drain.rests(own)
    own.riding.score = 0.25
    assert drain.rests(own)


def test_a_swap_begins_everything_anew_and_an_end_the_sums() -> None:
    own = vehicle(parked=Watch(1.0, 0.4, count=9), riding=Watch(2.0, 0.5, count=7), streaks={"powertrain": 4, "vibration": 3}, ride_ms=5)
    drain.over(own)
    assert (own.parked, own.riding) == (Watch(count=9), Watch(count=7))
    own.parked.score = 0.4
    drain.swapped(own)
    assert (own.parked, own.riding) == (Watch(), Watch(count=7))  # it may be the motor
    own.battery_raised_ms = 8
    drain.swapped(own)
    assert own.riding == Watch()
    assert (own.ride_ms, own.streaks) == (0, {"powertrain": 0, "vibration": 3})
