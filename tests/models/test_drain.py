"""The two watches on unexplained loss."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from river.drift import PageHinkley

from fleetpulse.models import drain
from fleetpulse.models.drain import Loss
from fleetpulse.models.vehicles import Vehicle, Watch

LIMIT = 3.0


def minute(actual: float, expected: float = 0.0) -> Loss:
    return Loss(False, 1 / 60, actual, expected, 0.05)


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
        drain.update(watch, minute(1.0), 0.002, limit_pct=LIMIT, raised=False)
        drain.update(watch, minute(-1.0), 0.002, limit_pct=LIMIT, raised=False)
    assert not drain.drains(watch, LIMIT)


def test_a_steady_loss_reaches_the_limit_and_no_further_than_its_bound() -> None:
    watch, minutes = Watch(), 0
    while not drain.drains(watch, LIMIT):
        drain.update(watch, minute(0.05), 0.002, limit_pct=LIMIT, raised=False)
        minutes += 1
    assert 55 <= minutes <= 70
    for _ in range(1_000):
        drain.update(watch, minute(0.05), 0.002, limit_pct=LIMIT, raised=True)
    assert watch.excess_pct == drain.HIGHEST * LIMIT


def test_what_stood_is_told_from_what_moved() -> None:
    vehicle = Vehicle(1, 2, 0, 52.52, 13.4, 80.0, 0, 0, 0, Watch(), Watch(), {}, 0)
    assert drain.stood(vehicle, 52.5201, 13.4001)
    assert not drain.stood(vehicle, 52.53, 13.4)
    assert not drain.stood(vehicle, float("nan"), 13.4)


def test_rest_needs_both_sums() -> None:
    vehicle = Vehicle(1, 2, 0, 0.0, 0.0, 80.0, 0, 0, 0, Watch(0.1), Watch(2.0), {}, 0)
    assert not drain.rests(vehicle, LIMIT)
    vehicle.riding.excess_pct = 0.7
    assert drain.rests(vehicle, LIMIT)
    assert drain.drains(Watch(LIMIT), LIMIT)


def test_a_charge_begins_the_sums_anew_and_a_swap_everything() -> None:
    vehicle = Vehicle(1, 2, 0, 0.0, 0.0, 80.0, 5, 0, 0, Watch(1.0, count=9), Watch(2.0, count=7), {"powertrain": 4, "vibration": 3}, 1)
    drain.charged(vehicle)
    assert (vehicle.parked.excess_pct, vehicle.riding.excess_pct) == (1.0, 2.0)  # raised: charging mends nothing
    vehicle.battery_raised_ms = 0
    drain.charged(vehicle)
    assert (vehicle.parked, vehicle.riding) == (Watch(0.0, count=9), Watch(0.0, count=7))
    drain.swapped(vehicle)
    assert vehicle.parked == vehicle.riding == Watch()
    assert vehicle.streaks == {"powertrain": 0, "vibration": 3}
