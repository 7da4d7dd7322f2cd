"""The last events in a ring, with a cursor that only grows. Filters run over NumPy columns. No I/O, no clock; used from one thread.

A cursor is `{run}-{n}-{append_ms}`: within one run of a gateway it is exact. Another run numbers anew; there a cursor goes on from
its Kafka timestamp less an overlap, so that nothing is left out, and what comes twice has the same event id.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.alerts import event
from fleetpulse.gateway.egress.feed_items import FeedEvent

SEVERITIES = ("", "info", "warning", "critical")
TYPES = tuple(event.TOPICS)
_OTHER = 255


@dataclass(frozen=True)
class Filter:
    """Which events; an empty tuple asks for all. Types without the prefix, all of them among TYPES."""

    types: tuple[str, ...] = ()
    cities: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()


def types_of(name: str) -> tuple[str, ...]:
    """The event types that a name or group stands for, with or without the prefix; empty when it stands for none."""
    short = name.removeprefix(event.TYPE_PREFIX)
    return tuple(type_ for type_ in TYPES if type_ == short or type_.startswith(short + "."))


@dataclass(frozen=True)
class Kept:
    """An event in the ring."""

    n: int
    cursor: str
    body: bytes


class CursorError(ValueError):
    """A text that is no cursor."""


class EventLog:
    """The last `kept` events. `overlap_ms`: how far records of different partitions may be out of order."""

    def __init__(self, kept: int, *, overlap_ms: int) -> None:
        self.run = secrets.token_hex(4)
        self.newest = 0
        self._size = kept
        self._overlap_ms = overlap_ms
        self._bodies: list[bytes] = [b""] * kept
        self._identities: list[tuple[str, str]] = [("", "")] * kept
        self._subjects: list[str] = [""] * kept
        self._append_ms = np.zeros(kept, dtype=np.int64)
        self._codes = {name: np.zeros(kept, dtype=np.int32) for name in ("type", "city", "rule", "severity")}
        self._subject_hash = np.zeros(kept, dtype=np.int64)
        self._cities: dict[str, int] = {"": 0}
        self._rules: dict[str, int] = {"": 0}
        self._places: dict[tuple[str, str], int] = {}
        self._sources: dict[str, None] = {}

    @property
    def oldest(self) -> int:
        """Number of the oldest event kept; newest + 1 when there is none."""
        return max(1, self.newest - self._size + 1)

    def append(self, item: FeedEvent) -> bool:
        """Keep an event; False when its (source, id) is in the ring already."""
        identity = (item.source, item.id)
        if identity in self._places:
            return False
        n = self.newest + 1
        slot = n % self._size
        if n > self._size:
            del self._places[self._identities[slot]]
        self._places[identity] = n
        self._sources[item.source] = None
        self._identities[slot] = identity
        self._bodies[slot] = item.body
        self._subjects[slot] = item.subject
        self._subject_hash[slot] = hash(item.subject)
        self._append_ms[slot] = item.append_ms
        self._codes["type"][slot] = TYPES.index(item.type) if item.type in TYPES else _OTHER
        self._codes["severity"][slot] = SEVERITIES.index(item.severity) if item.severity in SEVERITIES else 0
        self._codes["city"][slot] = self._cities.setdefault(item.city, len(self._cities))
        self._codes["rule"][slot] = self._rules.setdefault(item.rule, len(self._rules))
        self.newest = n
        return True

    def get(self, event_id: str) -> bytes | None:
        """The CloudEvent's JSON by its id."""
        for source in self._sources:
            n = self._places.get((source, event_id))
            if n is not None:
                return self._bodies[n % self._size]
        return None

    def kept(self, n: int) -> Kept:
        slot = n % self._size
        return Kept(n, self.cursor(n), self._bodies[slot])

    def cursor(self, n: int) -> str:
        """The cursor after event n; 0: before the first."""
        append_ms = int(self._append_ms[n % self._size]) if n >= self.oldest else 0
        return f"{self.run}-{n}-{append_ms}"

    def position(self, cursor: str) -> int:
        """The number of the event after which a reader with this cursor goes on. Raises CursorError."""
        run, _, rest = cursor.partition("-")
        number, _, append = rest.partition("-")
        if not (run and number.isascii() and number.isdigit() and append.isascii() and append.isdigit() and len(rest) <= 40):
            raise CursorError(f"a cursor must be one that this service gave; got {cursor[:60]!r}")
        if run == self.run:
            return min(int(number), self.newest)
        limit = int(append) - self._overlap_ms
        for start, slots in self._spans(self.oldest):
            newer = np.flatnonzero(self._append_ms[slots] >= limit)
            if len(newer):
                return start + int(newer[0]) - 1
        return self.newest

    def select(self, wanted: Filter, *, after: int) -> NDArray[np.int64]:
        """(n,) numbers of the matching events after event `after`, rising. O(events after it), nanoseconds each."""
        found = [start + np.flatnonzero(self._mask(wanted, slots)) for start, slots in self._spans(max(after + 1, self.oldest))]
        numbers = np.concatenate(found) if found else np.zeros(0, dtype=np.int64)
        if wanted.subjects:  # hashes may be equal by chance
            numbers = np.array([n for n in numbers.tolist() if self._subjects[n % self._size] in wanted.subjects], dtype=np.int64)
        return numbers

    def _spans(self, first: int) -> Iterator[tuple[int, slice]]:
        """(number of its first event, slots) of the one or two runs of slots that hold events first..newest."""
        n = first
        while n <= self.newest:
            slot = n % self._size
            length = min(self.newest - n + 1, self._size - slot)
            yield n, slice(slot, slot + length)
            n += length

    def _mask(self, wanted: Filter, slots: slice) -> NDArray[np.bool_]:
        mask = np.ones(slots.stop - slots.start, dtype=np.bool_)
        named: tuple[tuple[str, list[int]], ...] = (
            ("type", [TYPES.index(t) for t in wanted.types]),
            ("city", [self._cities.get(c, -1) for c in wanted.cities]),
            ("rule", [self._rules.get(r, -1) for r in wanted.rules]),
            ("severity", [SEVERITIES.index(s) for s in wanted.severities]),
        )
        for name, codes in named:
            if codes:
                mask &= _any_of(self._codes[name][slots], codes)
        if wanted.subjects:
            mask &= _any_of(self._subject_hash[slots], [hash(subject) for subject in wanted.subjects])
        return mask


def _any_of(column: NDArray[Any], values: list[int]) -> NDArray[np.bool_]:
    mask = np.zeros(len(column), dtype=np.bool_)
    for value in values:
        mask |= column == value
    return mask
