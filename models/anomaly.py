"""How unusual a riding window is in one group of features: how far it lies out, times how rare its place is (River's HalfSpaceTrees).

Half-space trees alone hardly see a fault in one of five features: a shift of 6 spreads scored above the 0.9995 quantile in
1 of 100 windows, because trees that cut other features first find the window in dense places. Over two features, the
worst deviation and the mean one, at height 4 and bounds of 6 spreads, a shift of 4 spreads stands out in 3 of 4. What the
trees add is that a deviation which many vehicles of the cohort share (another firmware, another tyre) is not rare, so not a fault.
"""

from dataclasses import dataclass
from typing import Any

from river import anomaly

from fleetpulse.models.bounds import KNOWN, Bounds
from fleetpulse.models.features import GROUPS, Group
from fleetpulse.models.guard import Guard
from fleetpulse.models.threshold import TailThreshold

TREES, HEIGHT = 10, 4
LONGEST_WINDOW = 250
"""Samples between two generations of the trees' masses; fewer while the warm-up is shorter."""
SPAN = 12.0
"""[0, 1] is this many spreads wide, the usual in its middle."""
LEAST_DEVIATION = 3.5
"""No window is extreme unless one feature lies this many spreads on its harmful side."""


@dataclass(frozen=True, slots=True)
class Score:
    """deviations  a feature, in spreads, harmful side positive
    worst       largest of them, at least 0
    rarity      0 common .. 1 never seen, by half-space trees
    total       worst times rarity
    """

    deviations: tuple[float, ...]
    worst: float
    rarity: float
    total: float


class AnomalyModel:
    """The model of one group of features for one cohort. Score, then learn. About 25 us a window."""

    def __init__(self, group: Group, *, warm_up_windows: int) -> None:
        self.group: Group = group
        self.count = 0
        self._bounds = [Bounds(feature.floor) for feature in GROUPS[group]]
        window = min(LONGEST_WINDOW, max(25, warm_up_windows // 2))
        self._trees: Any = anomaly.HalfSpaceTrees(n_trees=TREES, height=HEIGHT, window_size=window, seed=1)
        self._threshold = TailThreshold()
        self.guard = Guard()

    def limit(self, quantile: float) -> float:
        """Total score above which a window is extreme; infinity at first."""
        return self._threshold.limit(quantile)

    def score(self, sample: list[tuple[float, float]]) -> Score:
        """Judge by what is known so far. `sample`: (covariate, value) a feature of the group."""
        deviations = tuple(
            feature.sign * bounds.score(x, y) for feature, bounds, (x, y) in zip(GROUPS[self.group], self._bounds, sample, strict=True)
        )
        worst = max(deviations)
        rarity = float(self._trees.score_one(_scaled(deviations)))
        return Score(deviations, max(worst, 0.0), rarity, max(worst, 0.0) * rarity)

    def extreme(self, score: Score, quantile: float) -> bool:
        return score.worst >= LEAST_DEVIATION and score.total >= self._threshold.limit(quantile)

    def learn(self, sample: list[tuple[float, float]], score: Score, *, suspicious: bool) -> bool:
        """Take the window in, unless it is suspicious and such are few: then False. `score` is what `score` gave for it."""
        if not self.guard.admits(suspicious=suspicious):
            return False
        self.count += 1
        for bounds, (x, y) in zip(self._bounds, sample, strict=True):
            bounds.learn(x, y)
        if self.count > KNOWN:
            self._trees.learn_one(_scaled(score.deviations))
        if score.rarity > 0:
            self._threshold.learn(score.total)
        return True


def _scaled(deviations: tuple[float, ...]) -> dict[str, float]:
    """Worst and mean deviation in [0, 1]."""
    mean = sum(deviations) / len(deviations)
    return {"mean": _clipped(mean), "worst": _clipped(max(deviations))}


def _clipped(deviation: float) -> float:
    return min(1.0, max(0.0, 0.5 + deviation / SPAN))
