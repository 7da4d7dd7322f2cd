"""When a partition is due for a tick, an empty record that lets stream time go on. No I/O, no clock: the time is an argument.

A tick must not overtake what the bridge holds, nor pile up while Kafka is away: the caller asks only for partitions that hold
nothing, and one whose last tick Kafka has not acknowledged is not due.
"""

from collections.abc import Callable, Iterator

from fleetpulse.config.settings import Settings
from fleetpulse.gateway.ingress.record import Kind, Record

SHORTEST_S = 0.05
"""On the wall; a deployment's clock that runs fast asks for no more ticks than this."""


def interval_s(settings: Settings) -> float:
    """bridge.tick_ms of the deployment's clock, on the wall."""
    return max(settings.bridge.tick_ms / 1000 / settings.clock.speed, SHORTEST_S)


class Ticks:
    """The time of the last record of each partition, and its tick that is under way."""

    def __init__(self, partitions: int, interval_s: float, now_s: float) -> None:
        self._interval_s = interval_s
        self._written_s = [now_s] * partitions
        self._under_way: list[Record | None] = [None] * partitions
        self._next_s = now_s + interval_s

    def written(self, partition: int, now_s: float) -> None:
        """A record was handed over for the partition."""
        self._written_s[partition] = now_s

    def due(self, now_s: float, holds: Callable[[int], bool]) -> Iterator[Record]:
        """Ticks to be written now, at most one a partition and interval."""
        if now_s < self._next_s:
            return
        for partition, written_s in enumerate(self._written_s):
            tick = self._under_way[partition]
            if written_s + self._interval_s <= now_s and not holds(partition) and (tick is None or tick.done):
                tick = self._under_way[partition] = Record(Kind.TICK, partition)
                yield tick
        self._next_s = max(min(self._written_s) + self._interval_s, now_s + self._interval_s / 10)
