"""The limit is near the true quantile of an exponential tail, known early, and not moved by a few faulty vehicles."""

from math import inf, log

import numpy as np
import pytest

from fleetpulse.models.threshold import KNOWN, TailThreshold


def limit(scores: list[float], quantile: float = 0.9995) -> float:
    threshold = TailThreshold()
    for score in scores:
        threshold.learn(score)
    return threshold.limit(quantile)


def test_no_limit_at_first() -> None:
    assert limit([1.0] * (KNOWN - 1)) == inf
    assert limit([1.0] * KNOWN) == pytest.approx(1.0)


def test_exponential_tail_is_extrapolated() -> None:
    scores = np.random.default_rng(1).exponential(1.0, 2_000).tolist()
    assert limit(scores) == pytest.approx(-log(0.0005), rel=0.15)


def test_one_per_cent_of_faulty_windows_hardly_moves_it() -> None:
    rng = np.random.default_rng(2)
    scores = rng.exponential(1.0, 5_000)
    plain = limit(scores.tolist())
    scores[rng.random(5_000) < 0.01] = 50.0
    assert limit(scores.tolist()) < 1.5 * plain


def test_before_the_first_score_there_is_no_limit() -> None:
    assert TailThreshold().limit(0.9995) == inf
