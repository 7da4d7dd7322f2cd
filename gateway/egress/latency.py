"""How long events take from the Kafka record that caused them to their own. Pure; no clock."""

from bisect import bisect_left
from collections import deque

import numpy as np

BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_KEPT = 10_000


class Latency:
    """A histogram since the start, and percentiles over the last events."""

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=_KEPT)
        self._counts = [0] * (len(BUCKETS_S) + 1)
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        self._last.append(seconds)
        self._counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.sum_s += seconds

    def percentiles_ms(self) -> dict[str, float]:
        """{"p50", "p99"} of the last 10,000 in wall milliseconds; empty when there was none."""
        if not self._last:
            return {}
        values = np.percentile(np.array(self._last) * 1000, (50, 99)).tolist()
        return {"p50": round(values[0], 1), "p99": round(values[1], 1)}

    def cumulative(self) -> list[tuple[str, float]]:
        """(upper bound, events up to it), as Prometheus has it."""
        sums = np.cumsum(self._counts).tolist()
        return [(str(bound), float(n)) for bound, n in zip((*BUCKETS_S, "+Inf"), sums, strict=True)]
