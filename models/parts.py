"""Models as parts: how each is doing. Counters are kept in the snapshot and exported. No learning here.

A model that fails begins anew in its cohort, and until it has learned enough the fixed rule decides there; so it does where a model is in
shadow or switched off. What a model says is counted and compared with what else speaks of the same thing, whether it may raise or not.
"""

from dataclasses import dataclass, field
from typing import Any

BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.0)
"""Upper ends of the bins in which scores are counted, in shares of what raises."""
VERDICTS = ("true", "false")
"""What people say of an alert when they take it."""
OUTCOMES = ("both", "neither", "model", "other")
"""Who says that something is wrong: the model, what else speaks of it, both, neither."""


@dataclass
class PartBoard:
    """The counters of one shard.

    counts    by "{model}.{what}": `score.{bin}`, `agreement.{outcome}`, `alarms`, `failures`, `acknowledged.{verdict}`
    sums      of scores, by model
    failures  what failed since the last `take_failures`: (model, city, vehicle model, error). Not kept.
    """

    counts: dict[str, int] = field(default_factory=dict)
    sums: dict[str, float] = field(default_factory=dict)
    failures: list[tuple[str, int, int, str]] = field(default_factory=list)

    def add(self, model: str, what: str, count: int = 1) -> None:
        key = f"{model}.{what}"
        self.counts[key] = self.counts.get(key, 0) + count

    def scored(self, model: str, score: float) -> None:
        """A score as a share of what raises."""
        self.sums[model] = self.sums.get(model, 0.0) + score
        place = next((i for i, end in enumerate(BUCKETS) if score <= end), len(BUCKETS))
        self.add(model, f"score.{place}")

    def compared(self, model: str, says: bool, other: bool) -> None:
        """What a model says of a window that it scored, and what else says."""
        self.add(model, "agreement." + OUTCOMES[0 if says and other else 1 if not (says or other) else 2 if says else 3])

    def failed(self, model: str, cohort: tuple[int, int], error: BaseException) -> None:
        self.add(model, "failures")
        self.failures.append((model, *cohort, f"{type(error).__name__}: {error}"))

    def take_failures(self) -> list[tuple[str, int, int, str]]:
        """Those since the last call, for the log."""
        failures, self.failures = self.failures, []
        return failures

    def stored(self) -> dict[str, Any]:
        """JSON data. The inverse is `of`."""
        return {"counts": dict(sorted(self.counts.items())), "sums": dict(sorted(self.sums.items()))}

    @classmethod
    def of(cls, stored: dict[str, Any]) -> "PartBoard":
        return cls(dict(stored["counts"]), dict(stored["sums"]))
