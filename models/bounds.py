"""What is usual for one feature, learned as it comes: a straight line against a covariate, and the spread around it.

Deviations are judged by what was known before; nothing here looks ahead. Plain floats: River has no such pair, and this
runs for every feature of every riding window.
"""

from dataclasses import dataclass
from math import sqrt

MEMORY = 5_000
"""Samples after which old ones begin to fade."""
KNOWN = 30
"""Samples before which a deviation means nothing and is 0."""
REACH = 4.0
"""Learning sees no sample further out than this many spreads, so that a fault cannot widen what is usual."""


@dataclass(slots=True)
class Bounds:
    """The line y = mean_y + slope (x - mean_x) and the spread of y around it; exponentially weighted moments.

    floor  smallest spread, in the unit of y: what differs by less is equal
    """

    floor: float
    count: int = 0
    mean_x: float = 0.0
    mean_y: float = 0.0
    square_x: float = 0.0
    product: float = 0.0
    variance: float = 0.0

    def usual(self, x: float) -> float:
        """Expected y at x."""
        slope = self.product / self.square_x if self.square_x > 1e-9 else 0.0
        return self.mean_y + slope * (x - self.mean_x)

    def spread(self) -> float:
        """Standard deviation around the line, at least `floor`."""
        return max(sqrt(self.variance), self.floor)

    def score(self, x: float, y: float) -> float:
        """Deviation of y in spreads, positive above the line; 0 until KNOWN samples are learned. O(1)."""
        if self.count < KNOWN:
            return 0.0
        return (y - self.usual(x)) / self.spread()

    def learn(self, x: float, y: float) -> None:
        """Take a sample in; call score first. O(1)."""
        self.count += 1
        weight = max(1.0 / self.count, 1.0 / MEMORY)
        if self.count > 1:
            usual = self.usual(x)
            residual = y - usual
            if self.count > KNOWN:
                reach = REACH * self.spread()
                residual = max(-reach, min(reach, residual))
                y = usual + residual
            self.variance = (1.0 - weight) * self.variance + weight * residual * residual
        dx, dy = x - self.mean_x, y - self.mean_y
        self.mean_x += weight * dx
        self.mean_y += weight * dy
        self.square_x = (1.0 - weight) * (self.square_x + weight * dx * dx)
        self.product = (1.0 - weight) * (self.product + weight * dx * dy)
