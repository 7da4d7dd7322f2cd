"""How surprising each value of one series is, from what came before: any signal that is measured again and again. Score, then learn.

Three steps, each adaptive, none told anything about the series:
1. *Expected value*: recursive least squares on the two last values, a fast and a slow mean, and the mean of this time of day and of this
   hour of the week. Outliers are pulled in before they are learned.
2. *Tail*: sums of the errors over several spans (a spike; a shift; a drift), each in its own usual spreads; how rare such a sum is, by an
   exponential tail above a high quantile that both follow the series.
3. *Novelty*: what happened before is worth less. The rarity is divided by 1 + fade x the number of earlier episodes about as rare.
After an alarm the series is quiet for a while: one event is one alarm.

About 20 us a value. Parameters are the best of a grid on half of the series of the Numenta Anomaly Benchmark that bench/quality reads;
docs/quality.md has the scores on all and on the other half. (The three steps themselves were designed with all of them in view.)
"""

from collections import deque
from dataclasses import dataclass
from math import isfinite, log, log10, sqrt

import numpy as np

VERSION = "1"
ALARM = 0.5
"""Score of an alarm, for any series."""
_CALMED = 0.98
"""Of the limit: the most that a value scores while the series is quiet after an alarm."""
_TIMES, _HOURS = 96, 168
_DAY_S, _HOUR_S = 86_400, 3_600
_MONDAY_S = 4 * _DAY_S
_FAR, _PULL = 8.0, 3.0
_LARGEST = 1e4
_KNOWN = 20


@dataclass(frozen=True)
class SeriesParameters:
    """forgetting   of the least squares, a value
    spans        values over which errors are summed
    quantile     above it is the tail
    memory       values after which usual errors fade
    tail_memory  the same for the quantile
    episodes     values for which an episode is remembered
    alike        an earlier episode counts when it was at least this share as rare
    fade         how much an earlier episode takes off
    gap          values without surprise that end an episode
    limit        novelty of an alarm
    quiet        values after an alarm without another
    """

    forgetting: float = 0.9995
    spans: tuple[int, ...] = (1, 10, 40)
    quantile: float = 0.99
    memory: int = 3000
    tail_memory: int = 2000
    episodes: int = 4000
    alike: float = 0.8
    fade: float = 0.2
    gap: int = 20
    limit: float = 1.7
    quiet: int = 200


class _Expectation:
    """Step 1."""

    def __init__(self, forgetting: float) -> None:
        self._forgetting = forgetting
        self._weights = np.zeros(7)
        self._weights[1] = 1.0
        self._spread = np.eye(7) * 100.0
        self._count = 0
        self._mean = self._square = self._fast = self._slow = self._last = self._before = 0.0
        self._times, self._times_seen = [0.0] * _TIMES, [0] * _TIMES
        self._hours, self._hours_seen = [0.0] * _HOURS, [0] * _HOURS

    def error(self, time_s: float, value: float) -> float:
        """How far the value is from what was expected; then learns it."""
        time = int(time_s % _DAY_S * _TIMES / _DAY_S)
        hour = int((time_s + _MONDAY_S) % (7 * _DAY_S) / _HOUR_S)
        if self._count == 0:
            self._mean = self._fast = self._slow = self._last = value
        error = self._predict(time, hour, value) if self._count >= 2 else 0.0
        self._count += 1
        weight = max(1.0 / self._count, 1.0 / 2000.0)
        away = value - self._mean
        self._mean += weight * away
        self._square = (1.0 - weight) * (self._square + weight * away * away)
        self._fast += 0.1 * (value - self._fast)
        self._slow += 0.01 * (value - self._slow)
        self._times_seen[time] += 1
        self._times[time] += max(1.0 / self._times_seen[time], 0.15) * (value - self._times[time])
        self._hours_seen[hour] += 1
        self._hours[hour] += max(1.0 / self._hours_seen[hour], 0.3) * (value - self._hours[hour])
        self._before, self._last = self._last, value
        return error

    def _predict(self, time: int, hour: int, value: float) -> float:
        scale, mean = sqrt(self._square) + 1e-9, self._mean
        of_day = self._times[time] if self._times_seen[time] else self._slow
        of_week = self._hours[hour] if self._hours_seen[hour] else of_day
        x = (np.array([0.0, self._last, self._before, self._fast, self._slow, of_day, of_week]) - mean) / scale
        x[0] = 1.0
        expected = max(-_FAR, min(_FAR, float(self._weights @ x)))
        error = (value - mean) / scale - expected
        reach = self._spread @ x
        gain = reach / (self._forgetting + float(x @ reach))
        self._weights += gain * max(-_PULL, min(_PULL, error))
        self._spread = (self._spread - np.outer(gain, reach)) / self._forgetting
        size = float(np.trace(self._spread))
        if size > _LARGEST:
            self._spread *= _LARGEST / size
        return error * scale


class _Span:
    """Steps 2 and 3 for one span."""

    def __init__(self, parameters: SeriesParameters, length: int) -> None:
        self._p = parameters
        self._errors: deque[float] = deque([0.0] * length, maxlen=length)
        self._sum = 0.0
        self._count = 0
        self._mean = self._usual = 0.0
        self._limit, self._excess = 3.0, 1.0
        self._episodes: deque[tuple[int, float]] = deque()

    def score(self, error: float) -> float:
        """Novelty of the sum that ends with this error; then learns it."""
        self._sum += error - self._errors[0]
        self._errors.append(error)
        value = self._sum / sqrt(len(self._errors))
        spreads = abs(value - self._mean) / (self._usual + 1e-12) if self._count > _KNOWN else 0.0
        away = value - self._mean
        if self._count >= _KNOWN:
            away = max(-4.0 * self._usual, min(4.0 * self._usual, away))
        self._count += 1
        weight = max(1.0 / self._count, 1.0 / self._p.memory)
        self._mean += weight * away
        self._usual += weight * (abs(away) - self._usual)
        return self._novelty(self._rarity(spreads))

    def _rarity(self, spreads: float) -> float:
        """-log10 of the share of sums so far out."""
        beyond = 1.0 - self._p.quantile
        if spreads > self._limit:
            rarity = -log10(beyond) + (spreads - self._limit) / self._excess / log(10.0)
        else:
            rarity = -log10(beyond) * spreads / self._limit
        weight = max(self._count**-0.7, 1.0 / self._p.tail_memory)
        self._limit = max(0.5, self._limit + 2.0 * self._excess * weight * ((spreads > self._limit) - beyond))
        if spreads > self._limit:
            step = max(1.0 / (self._count * beyond + 1.0), 0.01)
            self._excess = max(0.2, self._excess + step * (min(spreads - self._limit, 8.0 * self._excess) - self._excess))
        return rarity

    def _novelty(self, rarity: float) -> float:
        if rarity < 1.5:
            return 0.0
        episodes, now = self._episodes, self._count
        while episodes and episodes[0][0] < now - self._p.episodes:
            episodes.popleft()
        known = sum(at < now - self._p.gap and peak >= self._p.alike * rarity for at, peak in episodes)
        if episodes and now - episodes[-1][0] <= self._p.gap:
            episodes[-1] = (now, max(episodes[-1][1], rarity))
        else:
            episodes.append((now, rarity))
        return (rarity if rarity < 4.0 else 4.0 + log(rarity / 4.0)) / (1.0 + self._p.fade * known)


class SeriesModel:
    """The model of one series.

    >>> model = SeriesModel()
    >>> steady = [model.score(60.0 * i, float(i % 7)) for i in range(500)]
    >>> model.score(60.0 * 500, 70.0) > max(steady[100:])
    True
    """

    def __init__(self, parameters: SeriesParameters | None = None) -> None:
        self.parameters = parameters or SeriesParameters()
        self._expectation = _Expectation(self.parameters.forgetting)
        self._spans = [_Span(self.parameters, length) for length in self.parameters.spans]
        self._quiet = 0

    def score(self, time_s: float, value: float) -> float:
        """0 ordinary .. 1; from ALARM on an alarm begins. Learns the value afterwards. A value that is not finite is skipped and scores 0.

        time_s  since 1970; the time of day and of the week is taken from it
        """
        if not isfinite(value):
            return 0.0
        error = self._expectation.error(time_s, value)
        novelty = max(span.score(error) for span in self._spans)
        limit = self.parameters.limit
        self._quiet = max(0, self._quiet - 1)
        if self._quiet:
            novelty = min(novelty, _CALMED * limit)
        elif novelty >= limit:
            self._quiet = self.parameters.quiet + 1
        return novelty / (novelty + limit)
