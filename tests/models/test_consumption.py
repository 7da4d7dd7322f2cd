"""Expected losses: near the truth after a few hundred windows, unbiased for a charge in whole per cents."""

from math import nan

import numpy as np
import pytest

from fleetpulse.models.consumption import RIDE_NAMES, RideConsumption, StandbyConsumption


def test_ride_is_learned_within_a_tenth() -> None:
    rng = np.random.default_rng(1)
    weights = np.array([0.9, 0.2, 0.02, 0.1, 0.05, 0.01, 0.02])
    model = RideConsumption()
    errors = []
    for i in range(1_500):
        ride = tuple(rng.uniform(0, 1, len(RIDE_NAMES)).tolist())
        loss = float(weights @ ride) * float(rng.normal(1, 0.1))
        expected = model.expected(ride)
        if i >= 500:
            errors.append(loss - expected)
        model.learn(ride, loss, expected)
    mean = float(weights.sum()) / 2
    assert abs(np.mean(errors)) < 0.02 * mean
    assert np.std(errors) < 0.2 * mean
    assert np.std(errors) < model.spread() < 2 * np.std(errors)  # the first errors fade slowly


def test_an_outlier_is_pulled_in_before_it_is_learned() -> None:
    model = RideConsumption()
    ride = (0.3, 0.1, 0.0, 0.0, 1.0, 1.0, 0.0)
    for _ in range(300):
        model.learn(ride, 0.7, model.expected(ride))
    model.learn(ride, 80.0, model.expected(ride))
    assert model.expected(ride) == pytest.approx(0.7, abs=0.1)


def test_standby_rate_of_a_charge_in_whole_per_cents_is_unbiased() -> None:
    model = StandbyConsumption()
    for vehicle in range(200):
        soc = 90.0 - vehicle / 200
        for _ in range(240):
            after = soc - 0.5 / 60
            model.learn(18.0, 1 / 60, round(soc) - round(after), model.rate(18.0) / 60)
            soc = after
    assert model.rate(18.0) == pytest.approx(0.5, rel=0.05)
    assert model.windows == pytest.approx(200 * 240)


def test_a_temperature_with_few_hours_leans_on_all() -> None:
    model = StandbyConsumption()
    for _ in range(1_000):
        model.learn(15.0, 1.0, 0.2, 0.2)
    assert model.rate(-15.0) == pytest.approx(0.2)
    assert model.rate(nan) == pytest.approx(0.2)
    for _ in range(1_000):
        model.learn(-15.0, 1.0, 0.6, 0.2)
    assert model.rate(-15.0) == pytest.approx(0.6, rel=0.05)
    assert StandbyConsumption().rate(10.0) == 0.0
