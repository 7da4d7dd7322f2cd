"""The limit of `bench state` does the work that it claims: its moments are NumPy's."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fleetpulse.bench import bare


@given(st.lists(st.integers(0, 3), min_size=1, max_size=200), st.integers(0, 2**32 - 1))
def test_moments_are_those_of_numpy(vehicle: list[int], seed: int) -> None:
    row = np.array(vehicle)
    x = np.random.default_rng(seed).normal(20, 5, (len(row), len(bare.SIGNALS))).astype(np.float32)
    into = bare.empty(4)
    bare.fold(row, x, into)
    for v in range(4):
        mine = x[row == v].astype(np.float64)
        assert (into[v, :, 0] == len(mine)).all()
        if len(mine):
            np.testing.assert_allclose(into[v, :, 1], mine.mean(axis=0), rtol=1e-9)
            np.testing.assert_allclose(into[v, :, 2], ((mine - mine.mean(axis=0)) ** 2).sum(axis=0), rtol=1e-6, atol=1e-6)
            assert (into[v, :, 3] == mine.min(axis=0)).all()
            assert (into[v, :, 4] == mine.max(axis=0)).all()
