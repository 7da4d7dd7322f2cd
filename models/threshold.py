"""The limit above which a score is extreme, learned from the scores themselves.

A quantile of 0.9995 cannot be read off a few hundred scores, and faulty vehicles would sit above it and lift it. So two
quantiles that neither few samples nor 3 % faulty vehicles move are extrapolated along an exponential tail.
"""

from math import inf, log

from river import stats

LOW, HIGH = 0.80, 0.97
"""The quantiles that are read (P-square estimators: Jain and Chlamtac 1985, CACM 28(10), 1076)."""
KNOWN = 100
"""Scores before which there is no limit."""


class TailThreshold:
    """Any high quantile of a stream of scores, by extrapolation."""

    def __init__(self) -> None:
        self.count = 0
        self._low = stats.Quantile(LOW)
        self._high = stats.Quantile(HIGH)

    def limit(self, quantile: float) -> float:
        """Infinity until KNOWN scores are learned."""
        if self.count < KNOWN:  # River's quantile panics before its first sample
            return inf
        low, high = self._low.get(), self._high.get()
        if low is None or high is None:
            return inf
        return low + (high - low) * log((1 - quantile) / (1 - LOW)) / log((1 - HIGH) / (1 - LOW))

    def learn(self, score: float) -> None:
        self.count += 1
        self._low.update(score)
        self._high.update(score)
