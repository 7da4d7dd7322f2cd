"""A straight line through a few values over time, how sure it is, and when it reaches a limit. Pure; no state.

The errors' spread is taken from the residuals and from what the sensor is known to have, weighted as PRIOR further residuals, so that
three values that happen to lie on a line are not believed to the digit. Values that err together (those of one day, since weather and place
are the same) count as fewer: `together` of them as one. Everything else is the textbook line (Draper and Smith 1998,
*Applied Regression Analysis*, ch. 1; the interval of the crossing is Fieller's, ch. 3).
"""

from dataclasses import dataclass
from functools import lru_cache
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

PRIOR = 4
"""The known spread counts as so many residuals."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """Days from now until a line reaches a limit: as expected, and the ends of the interval; infinity: never, as far as one knows."""

    expected_d: float
    earliest_d: float
    latest_d: float


NEVER = Crossing(inf, inf, inf)


@lru_cache(maxsize=256)
def _quantile(freedom: int, confidence: float) -> float:
    """Of Student's t, two-sided."""
    return float(stdtrit(freedom, 0.5 + confidence / 2))


@dataclass(frozen=True, slots=True)
class Trend:
    """value = mean + slope (t - mean_d), t in days.

    square_d  sum of squares of t - mean_d
    spread    standard deviation of one value around the line, with `freedom` degrees of freedom
    together  values that err together
    """

    count: int
    mean_d: float
    mean: float
    slope: float
    square_d: float
    spread: float
    together: float

    @property
    def freedom(self) -> int:
        return PRIOR + max(0, round(self.count / self.together) - 2)

    def value(self, at_d: float) -> float:
        return self.mean + self.slope * (at_d - self.mean_d)

    def band(self, at_d: float, confidence: float) -> float:
        """Half of the interval in which one more value is expected."""
        away = at_d - self.mean_d
        line = self.together * (1 / self.count + away * away / self.square_d)
        return _quantile(self.freedom, confidence) * self.spread * sqrt(1 + line)

    def slope_error(self, confidence: float) -> float:
        """Half of the slope's interval."""
        return _quantile(self.freedom, confidence) * self.spread * sqrt(self.together / self.square_d)

    def reaches(self, limit: float, confidence: float) -> Crossing:
        """When the line is at `limit`, seen from t = 0. NEVER when it goes the other way, or its direction is not sure.

        What is reached already is reached now: 0 days. The limit lies ahead in the direction of the slope.
        """
        error = self.slope_error(confidence)
        if abs(self.slope) <= error:
            return NEVER
        q = _quantile(self.freedom, confidence) * self.spread * sqrt(self.together)
        away = limit - self.mean
        a = self.slope**2 - error**2
        b = self.slope * away
        root = sqrt(max(0.0, b * b - a * (away * away - q * q / self.count)))
        ends = ((b - root) / a + self.mean_d, away / self.slope + self.mean_d, (b + root) / a + self.mean_d)
        earliest, expected, latest = (max(0.0, end) for end in ends)
        return Crossing(expected, earliest, latest)

    def soonest_d(self, limit: float, confidence: float, *, falling: bool) -> float:
        """Days from t = 0 to `limit` at the steepest slope towards it that the interval allows; 0 beyond it, infinity when even so it moves
        away.
        """
        direction = -1.0 if falling else 1.0
        away = direction * (limit - self.value(0.0))
        steep = direction * self.slope + self.slope_error(confidence)
        return 0.0 if away <= 0 else away / steep if steep > 0 else inf


def fit(times_d: NDArray[np.float64], values: NDArray[np.float64], *, spread: float, together: float = 1.0) -> Trend:
    """Least squares through (N,) values at (N,) different times, N >= 2.

    spread    standard deviation that the values are known to have
    together  values that err together
    """
    count = len(times_d)
    mean_d, mean = float(times_d.mean()), float(values.mean())
    away = times_d - mean_d
    square_d = float(away @ away)
    slope = float(away @ values) / square_d
    residuals = values - mean - slope * away
    variance = (PRIOR * spread**2 + float(residuals @ residuals)) / (PRIOR + count - 2)
    return Trend(count, mean_d, mean, slope, square_d, sqrt(variance), together)
