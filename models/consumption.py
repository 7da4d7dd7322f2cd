"""How much charge a minute of riding, or an hour of standing, usually costs in a cohort."""

from math import isnan, sqrt
from typing import Any

from river import linear_model, optim, preprocessing

from fleetpulse.models.guard import Guard

RIDE_NAMES = ("distance", "drag", "climb", "cold", "moving", "in_use", "climate")
"""Inputs of the ride model, as features.Features.ride has them."""

RIDES_KNOWN = 20
"""Rides that a cohort learns before one of them means anything."""

_GRAIN_PCT, _ALIKE, _RIDE_REACH = 0.3, 0.05, 4.0
_REACH = 5.0
_FARTHEST_PCT = 3.0
_MEMORY = 1_000
_BIN_C, _BINS, _COLDEST_C = 10.0, 8, -20.0
_PRIOR_H = 10.0
_MEMORY_H = 20_000.0


class RideConsumption:
    """Percentage points of charge that a riding window costs: River's linear regression on scaled inputs, and its usual error.

    Predict, then learn. About 12 us a window. Assumes a loss that is about linear in distance, drag, climb, cold and time.
    """

    def __init__(self) -> None:
        self.count = 0
        self.guard = Guard()
        self._variance = 0.0
        self._model: Any = preprocessing.StandardScaler() | linear_model.LinearRegression(optimizer=optim.SGD(0.01))

    def expected(self, ride: tuple[float, ...]) -> float:
        """Expected loss in percentage points, 0-10."""
        return min(10.0, max(0.0, float(self._model.predict_one(dict(zip(RIDE_NAMES, ride, strict=True))))))

    def spread(self) -> float:
        """Usual error in percentage points."""
        return max(sqrt(self._variance), 0.02)

    def learn(self, ride: tuple[float, ...], loss: float, expected: float) -> None:
        """Take a window in whose loss was predicted as `expected`; an outlier is pulled in before it is learned."""
        self.count += 1
        reach = min(_FARTHEST_PCT, _REACH * self.spread()) if self.count > 50 else _FARTHEST_PCT
        error = max(-reach, min(reach, loss - expected))
        weight = max(1.0 / self.count, 1.0 / _MEMORY)
        self._variance += weight * (error * error - self._variance)
        self._model.learn_one(dict(zip(RIDE_NAMES, ride, strict=True)), expected + error)


class RideSpread:
    """By how much rides differ from what their minutes were expected to cost: bias and spread of the residual over the expected loss.

    A cohort whose charge comes in whole per cents, or late, has a wide one. Judge by what was known before, then learn. O(1).
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean = 0.0
        self._variance = 0.0

    def bias(self, expected: float) -> float:
        """Usual residual of a ride, in percentage points."""
        return self._mean * (expected + _GRAIN_PCT)

    def spread(self, expected: float) -> float:
        """Its usual error, in percentage points; wider while few rides are known."""
        return sqrt(1.0 + RIDES_KNOWN / max(self.count, 1)) * max(sqrt(self._variance), _ALIKE) * (expected + _GRAIN_PCT)

    def learn(self, actual: float, expected: float) -> None:
        """Take a ride in; one far out is pulled in, so that a fault does not make the spread its own."""
        self.count += 1
        error = (actual - expected) / (expected + _GRAIN_PCT) - self._mean
        if self.count > RIDES_KNOWN:
            reach = _RIDE_REACH * max(sqrt(self._variance), _ALIKE)
            error = max(-reach, min(reach, error))
        weight = max(1.0 / self.count, 1.0 / _MEMORY)
        self._mean += weight * error
        self._variance = (1.0 - weight) * (self._variance + weight * error * error)


class StandbyConsumption:
    """Percentage points of charge that an hour of standing costs, by temperature of the air in steps of 10 degrees.

    A ratio of sums (charge lost over hours stood), so that a charge reported in whole per cents gives the right mean. A step
    with few hours leans on all of them.
    """

    def __init__(self) -> None:
        self.guard = Guard()
        self._variance = 0.0
        self._loss = [0.0] * _BINS
        self._hours = [0.0] * _BINS

    @property
    def windows(self) -> float:
        """Minutes learned, but for faded ones."""
        return 60.0 * sum(self._hours)

    def rate(self, air_c: float) -> float:
        """Expected loss in percentage points an hour, at least 0. `air_c` may be NaN."""
        hours = sum(self._hours)
        if hours <= 0.0:
            return 0.0
        overall = sum(self._loss) / hours
        i = _bin(air_c)
        return max(0.0, (self._loss[i] + _PRIOR_H * overall) / (self._hours[i] + _PRIOR_H))

    def spread(self) -> float:
        """Usual error of a window, in percentage points."""
        return max(sqrt(self._variance), 0.01)

    def learn(self, air_c: float, hours: float, loss: float, expected: float) -> None:
        """Take a span of standing in; negative losses count too, they are the other half of the noise."""
        error = loss - expected
        self._variance += (error * error - self._variance) / _MEMORY
        i = _bin(air_c)
        self._loss[i] += loss
        self._hours[i] += hours
        if self._hours[i] > _MEMORY_H:
            self._loss[i] /= 2
            self._hours[i] /= 2


def _bin(air_c: float) -> int:
    if isnan(air_c):
        return _BINS // 2
    return int(min(_BINS - 1.0, max(0.0, (air_c - _COLDEST_C) // _BIN_C)))
