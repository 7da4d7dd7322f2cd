"""How predictions went: outcomes by rule, errors and leads in days. Plain counters, kept in the snapshot and exported. No learning here.

An outcome of every prediction, once:

    hit        its limit was reached within the interval that was told
    miss       reached before the interval
    too_early  reached after it, or not reached when it had passed
    averted    something was done before: the tyre was inflated, the battery changed
    withdrawn  the trend ended by itself before

and `unforeseen`: a limit was reached and nothing was predicted.
"""

from dataclasses import dataclass, field
from typing import Any

OUTCOMES = ("", "hit", "miss", "too_early", "averted", "withdrawn", "unforeseen")
"""By code; that of a FORECAST record is one before `unforeseen`."""
HIT, MISS, TOO_EARLY, AVERTED, WITHDRAWN, UNFORESEEN = range(1, 7)
_DAY_MS = 86_400_000


@dataclass
class Board:
    """The counters of one shard.

    outcomes  "{rule}.{outcome}" -> predictions
    errors    rule -> [predictions whose limit was reached, sum of |days between told and reached|, sum of days of lead]
    """

    outcomes: dict[str, int] = field(default_factory=dict)
    errors: dict[str, list[float]] = field(default_factory=dict)

    def count(self, rule: str, outcome: int) -> None:
        key = f"{rule}.{OUTCOMES[outcome]}"
        self.outcomes[key] = self.outcomes.get(key, 0) + 1

    def reached(self, rule: str, forecast: Any, now_ms: int) -> None:
        """An open prediction's limit is reached. `forecast`: a FORECAST record; its outcome, error and lead are filled in."""
        inside = int(forecast["from_ms"]) <= now_ms <= int(forecast["to_ms"])
        forecast["outcome"] = HIT if inside else MISS if now_ms < forecast["from_ms"] else TOO_EARLY
        forecast["error_d"] = abs(now_ms - int(forecast["told_ms"])) / _DAY_MS
        forecast["lead_d"] = (now_ms - int(forecast["raised_ms"])) / _DAY_MS
        self.count(rule, int(forecast["outcome"]))
        sums = self.errors.setdefault(rule, [0.0, 0.0, 0.0])
        sums[0] += 1
        sums[1] += float(forecast["error_d"])
        sums[2] += float(forecast["lead_d"])

    def ended(self, rule: str, forecast: Any, outcome: int) -> None:
        """An open prediction ends before its limit was reached."""
        forecast["outcome"] = outcome
        self.count(rule, outcome)

    def stored(self) -> dict[str, Any]:
        """JSON data. The inverse is `of`."""
        return {"outcomes": dict(sorted(self.outcomes.items())), "errors": dict(sorted(self.errors.items()))}

    @classmethod
    def of(cls, stored: dict[str, Any]) -> "Board":
        return cls(dict(stored["outcomes"]), {rule: list(sums) for rule, sums in stored["errors"].items()})
