"""A heap of deadlines that forgets those that nobody waits for any more. Pure."""

from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush

Deadline = tuple[int, int, str]
"""(stream time in ms, slot, rule)"""
FREE = 256
"""Deadlines kept before anybody asks whether they are still waited for."""


class Deadlines:
    """waited_for  all that run now; the heap may hold others, which whoever takes them passes over."""

    def __init__(self, waited_for: Callable[[], Iterable[Deadline]]) -> None:
        self._waited_for = waited_for
        self._heap: list[Deadline] = []
        self._crowded = FREE

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, at_ms: int, slot: int, rule: str) -> None:
        """Add one. O(log n), amortised."""
        heappush(self._heap, (at_ms, slot, rule))
        if len(self._heap) > self._crowded:
            self.renew()

    def renew(self) -> None:
        """Keep those that are waited for alone; also after a restore."""
        self._heap = list(self._waited_for())
        heapify(self._heap)
        self._crowded = 2 * len(self._heap) + FREE

    def due(self, now_ms: int) -> Deadline | None:
        """Take the first that is due, by time, slot, rule. O(1) when none is."""
        return heappop(self._heap) if self._heap and self._heap[0][0] <= now_ms else None
