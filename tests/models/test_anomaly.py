"""One group's model: learns what is usual, finds what is not, and does not call common what a few faulty vehicles do."""

import numpy as np

from fleetpulse.models.anomaly import AnomalyModel, Score
from fleetpulse.models.features import GROUPS

QUANTILE = 0.9995


def sample(rng: np.random.Generator, shift: float = 0.0) -> list[tuple[float, float]]:
    """Vibration of a window: speed 0.5-2, the last band shifted."""
    x = float(rng.uniform(0.5, 2))
    values = [(x, 2 * x + 0.2 * float(rng.normal())) for _ in GROUPS["vibration"]]
    values[-1] = (x, values[-1][1] + shift)
    return values


def step(model: AnomalyModel, taken: list[tuple[float, float]]) -> tuple[Score, bool]:
    score = model.score(taken)
    extreme = model.extreme(score, QUANTILE)
    model.learn(taken, score, suspicious=extreme)
    return score, extreme


def trained(rng: np.random.Generator, n: int = 1_500) -> AnomalyModel:
    model = AnomalyModel("vibration", warm_up_windows=500)
    for _ in range(n):
        step(model, sample(rng))
    return model


def test_usual_windows_are_seldom_extreme_and_a_worn_bearing_always() -> None:
    rng = np.random.default_rng(1)
    model = trained(rng)
    usual = [step(model, sample(rng))[1] for _ in range(2_000)]
    assert sum(usual) < 20
    worn = [step(model, sample(rng, shift=1.4)) for _ in range(50)]
    assert all(extreme for _, extreme in worn)
    assert all(score.deviations[-1] == score.worst for score, _ in worn)


def test_less_vibration_than_usual_is_no_fault() -> None:
    rng = np.random.default_rng(2)
    model = trained(rng)
    assert not any(step(model, sample(rng, shift=-3.0))[1] for _ in range(50))


def test_extreme_windows_are_not_learned_while_they_are_few() -> None:
    rng = np.random.default_rng(3)
    model = trained(rng)
    learned = model.count
    for _ in range(20):
        step(model, sample(rng, shift=3.0))
    assert model.count == learned
    assert step(model, sample(rng, shift=3.0))[1]


def test_what_all_vehicles_do_is_learned_in_the_end() -> None:
    rng = np.random.default_rng(4)
    model = trained(rng)
    for _ in range(6_000):
        step(model, sample(rng, shift=1.4))
    assert not model.guard.drifting
    assert sum(step(model, sample(rng, shift=1.4))[1] for _ in range(200)) < 10


def test_a_deviation_that_a_part_of_the_cohort_shares_is_not_rare() -> None:
    """A third has other tyres: wide bounds and dense trees; the same shift in a cohort that never saw it is rarer."""
    rng = np.random.default_rng(5)
    mixed = AnomalyModel("vibration", warm_up_windows=500)
    for i in range(3_000):
        step(mixed, sample(rng, shift=0.9 if i % 3 == 0 else 0.0))
    scores = [step(mixed, sample(rng, shift=0.9))[0] for _ in range(200)]
    alien = trained(np.random.default_rng(6)).score(sample(rng, shift=0.9))
    assert np.mean([score.total for score in scores]) < alien.total / 3
