"""Draws equal those on Python integers, and look random."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numba import types

from fleetpulse.codecs.jit import kernel
from fleetpulse.vehicle_agent import noise
from tests.naive import noise as naive


@kernel(types.UniTuple(types.float64, 2)(types.uint64, types.int64, types.int64))  # type: ignore[no-untyped-call]
def draws(key: np.uint64, second: int, purpose: int) -> tuple[float, float]:
    return noise.uniform(key, second, purpose), noise.normal(key, second, purpose)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**45), st.integers(0, 63))
def test_draws_equal_the_naive_ones(key: int, second: int, purpose: int) -> None:
    uniform, normal = draws(np.uint64(key), second, purpose)
    assert uniform == naive.uniform(key, second, purpose)
    assert normal == naive.normal(key, second, purpose)


def test_draws_have_the_promised_moments() -> None:
    values = np.array([draws(np.uint64(7), second, 3) for second in range(20_000)])
    assert abs(values[:, 0].mean() - 0.5) < 0.01
    assert abs(values[:, 1].mean()) < 0.03
    assert abs(values[:, 1].std() - 1.0) < 0.02
    assert abs(np.corrcoef(values[1:, 0], values[:-1, 0])[0, 1]) < 0.03
