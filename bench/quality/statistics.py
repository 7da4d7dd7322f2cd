"""Intervals around what was counted, at 95 %: Wilson's for shares, the exact one for rates, the bootstrap for quantiles."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

LEVEL = 0.95
_RESAMPLES = 2000
Interval = tuple[float, float]


def share(hits: int, of: int) -> Interval:
    """Wilson 1927.

    >>> share(19, 20)
    (0.76..., 0.99...)
    """
    if of == 0:
        return 0.0, 1.0
    found = stats.binomtest(hits, of).proportion_ci(LEVEL, method="wilson")
    return float(found.low), float(found.high)


def rate(events: int, exposure: float) -> Interval:
    """Of a Poisson process, per unit of exposure; Garwood 1936."""
    tail = (1 - LEVEL) / 2
    low = float(stats.chi2.ppf(tail, 2 * events)) / 2 if events else 0.0
    return low / exposure, float(stats.chi2.ppf(1 - tail, 2 * events + 2)) / 2 / exposure


def quantile(values: Sequence[float], q: float, *, seed: int = 1) -> Interval:
    """Percentile bootstrap."""
    data = np.asarray(values, dtype=np.float64)
    rng = np.random.Generator(np.random.PCG64(seed))
    drawn = np.quantile(data[rng.integers(0, len(data), (_RESAMPLES, len(data)))], q, axis=1)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
