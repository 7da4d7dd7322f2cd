"""A log written by hand: one call a record, times in seconds from a whole minute; sequence numbers count by themselves."""

from collections import Counter
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fleetpulse.codecs import schema
from fleetpulse.codecs.operations import Operation
from fleetpulse.codecs.schema import Kind
from fleetpulse.state.facts import Condition, Fact
from fleetpulse.state.parameters import Parameters
from fleetpulse.state.shard import Shard
from tests.state.logs import PARAMETERS, START_MS, Result, run

PLAIN: dict[str, Any] = {"battery_soc_pct": 50.0, "model_id": 1}
"""What every frame says unless told otherwise."""


class Story:
    """Records of one shard in the order of the log; offset = number of the record, from 0."""

    def __init__(self) -> None:
        self.rows: list[NDArray[Any]] = []
        self.sent: Counter[tuple[int, int]] = Counter()

    def _add(self, kind: Kind, append_s: float, who: int, fields: dict[str, Any]) -> Self:
        row = schema.empty(1)
        row["kind"], row["offset"], row["append_ms"] = kind, len(self.rows), START_MS + round(append_s * 1000)
        row["device_hi"] = row["device_lo"] = who
        for name, value in fields.items():
            row[name] = value
        self.rows.append(row)
        return self

    def frame(self, at_s: float, *, who: int = 1, append_s: float | None = None, boot: int = 1, **fields: Any) -> Self:
        """A frame with event time at_s, appended at append_s (the same if not given)."""
        told = {"time_ms": START_MS + round(at_s * 1000), "boot_id": boot, "seq": self.sent[who, boot], **PLAIN, **fields}
        self.sent[who, boot] += 1
        return self._add(Kind.FRAME, at_s if append_s is None else append_s, who, told)

    def tick(self, at_s: float) -> Self:
        return self._add(Kind.TICK, at_s, 0, {})

    def ticks(self, first_s: int, last_s: int) -> Self:
        """One a second, both ends included."""
        for second in range(first_s, last_s + 1):
            self.tick(second)
        return self

    def operation(self, at_s: float, operation: Operation, *, who: int = 1) -> Self:
        return self._add(Kind.OPERATION, at_s, who, {"operation": operation, "time_ms": START_MS + round(at_s * 1000)})

    @property
    def frames(self) -> NDArray[Any]:
        return np.concatenate(self.rows)

    def result(self, parameters: Parameters = PARAMETERS) -> Result:
        return run(Shard(0, parameters), [self.frames])

    def shard(self, parameters: Parameters = PARAMETERS) -> Shard:
        """A shard that has applied it."""
        shard = Shard(0, parameters)
        run(shard, [self.frames])
        return shard


def raised(condition: Condition) -> str:
    return f"raised {condition.name.lower()}"


def cleared(condition: Condition) -> str:
    return f"cleared {condition.name.lower()}"


def names(result: Result) -> list[tuple[str, float]]:
    """(what, event time in s) of each fact: "raised crash", "cleared low_battery", "trip_started"; a late one ends in " late"."""
    told: list[tuple[str, float]] = []
    for row in result.facts:
        fact = Fact(row["fact"])
        condition = f" {Condition(row['condition']).name.lower()}" if fact in (Fact.RAISED, Fact.CLEARED) else ""
        told.append((f"{fact.name.lower()}{condition}{' late' if row['late'] else ''}", (int(row["event_ms"]) - START_MS) / 1000))
    return told
