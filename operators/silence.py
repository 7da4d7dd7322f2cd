"""Notes of silent vehicles on their way from shards to cities, in `fleet.zones`: a record for each shard, slice of stream time, partition.

Every slice in which a shard's stream time stood is written when stream time has left it, an empty one too: so a city knows how far each
shard is. What is written depends on the log alone. An outage of ours has no slices.
"""

from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from fleetpulse.alerts.event import Event, Outgoing
from fleetpulse.alerts.notes import Note, plain
from fleetpulse.alerts.silences import SLICE_MS, SilenceParameters, Silences

TABLE = "silence"


class SliceWriter:
    """A shard's end: notes until their slice is over."""

    def __init__(self, shard: int, shards: int, *, topic: str, partitions: int) -> None:
        self.notes: list[Note] = []
        self._ahead: list[int] = []  # slices that the batch passes and that are not written, ascending
        self._shard, self._shards = shard, shards
        self._topic, self._partitions = topic, partitions

    def enter(self, before_ms: int, append_ms: NDArray[np.int64]) -> None:
        """A batch begins.

        before_ms  stream time before it; 0: there was none
        append_ms  (N,) of its records, in their order
        """
        if len(append_ms):
            stream_ms = np.maximum(np.maximum.accumulate(append_ms), before_ms)
            self._ahead = np.unique(np.append(stream_ms, before_ms or stream_ms[0]) // SLICE_MS).tolist()

    def write(self, stream_ms: int, notes: list[Note], out: list[Outgoing]) -> None:
        """Take the notes so far, and append to `out` the slices that stream time has left."""
        self.notes += notes
        now = stream_ms // SLICE_MS
        for number in [number for number in self._ahead if number < now]:
            mine = [note for note in self.notes if note.stream_ms // SLICE_MS == number]
            for partition in range(self._partitions):
                told = [plain(note) for note in mine if note.city % self._partitions == partition]
                value = {
                    "table": TABLE,
                    "shard": self._shard,
                    "shards": self._shards,
                    "slice_end_ms": (number + 1) * SLICE_MS,
                    "notes": told,
                }
                out.append(Outgoing(self._topic, f"silence.{self._shard}".encode(), orjson.dumps(value), partition=partition))
        self._ahead = [number for number in self._ahead if number >= now]
        self.notes = [note for note in self.notes if note.stream_ms // SLICE_MS >= now]

    def snapshot(self) -> bytes:
        """The notes as bytes. The inverse is restore."""
        return orjson.dumps([plain(note) for note in self.notes])

    def restore(self, stored: bytes) -> None:
        """Take over what `snapshot` gave."""
        self.notes = [Note(**values) for values in orjson.loads(stored)]


@dataclass(frozen=True)
class Slice:
    """A shard's slice, as it is read."""

    shard: int
    shards: int
    end_ms: int
    notes: tuple[Note, ...]


def parse(value: bytes) -> Slice | None:
    """A record of fleet.zones as a slice; None when it is another table's. Raises ValueError, KeyError, TypeError when it is broken."""
    if not value.startswith(b"{"):
        return None
    record = orjson.loads(value)
    if record["table"] != TABLE:
        raise ValueError(f"the table must be {TABLE}; got {record['table']}")
    notes = tuple(Note(**values) for values in record["notes"])
    return Slice(int(record["shard"]), int(record["shards"]), int(record["slice_end_ms"]), notes)


@dataclass
class SilenceDesk:
    """A partition's cities: slices that wait until every shard has told them or later ones.

    ends     of slices that some shard told and that are not decided
    queue    the same as a heap, since a shard may be days ahead of the others
    waiting  (slice's end, shard) -> its notes, if there are any
    reached  shard -> end of its newest slice
    """

    names: tuple[str, ...]
    parameters: SilenceParameters
    cities: dict[int, Silences] = field(default_factory=dict)
    ends: set[int] = field(default_factory=set)
    waiting: dict[tuple[int, int], tuple[Note, ...]] = field(default_factory=dict)
    reached: dict[int, int] = field(default_factory=dict)
    decided_ms: int = 0
    queue: list[int] = field(default_factory=list, compare=False)

    def take(self, told: Slice) -> list[Event]:
        """The events of the slices that can be decided now. A slice that comes twice counts once."""
        if told.end_ms <= self.decided_ms:
            return []
        if told.end_ms not in self.ends:
            self.ends.add(told.end_ms)
            heappush(self.queue, told.end_ms)
        if told.notes:
            self.waiting[told.end_ms, told.shard] = told.notes
        self.reached[told.shard] = max(self.reached.get(told.shard, 0), told.end_ms)
        bound = min(self.reached.get(shard, 0) for shard in range(told.shards))
        events: list[Event] = []
        while self.queue and self.queue[0] <= bound:
            events += self._decide(heappop(self.queue), told.shards)
        return events

    def _decide(self, end_ms: int, shards: int) -> list[Event]:
        notes = [note for shard in range(shards) for note in self.waiting.pop((end_ms, shard), ())]
        self.ends.discard(end_ms)
        self.decided_ms = end_ms
        for code in {note.city for note in notes} - self.cities.keys():
            self.cities[code] = Silences(self.names[code], self.parameters)
        events: list[Event] = []
        for code in sorted(self.cities):
            events += self.cities[code].decide(end_ms, [note for note in notes if note.city == code])
        return events

    def state(self) -> dict[str, Any]:
        """All of it as plain JSON values. The inverse is restore."""
        return {
            "cities": [[code, city.state()] for code, city in sorted(self.cities.items())],
            "ends": sorted(self.ends),
            "waiting": [[*key, [plain(note) for note in notes]] for key, notes in sorted(self.waiting.items())],
            "reached": sorted(self.reached.items()),
            "decided_ms": self.decided_ms,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""
        for code, values in state["cities"]:
            self.cities[code] = Silences(self.names[code], self.parameters)
            self.cities[code].restore(values)
        self.ends, self.queue = set(state["ends"]), sorted(state["ends"])
        self.waiting = {(end_ms, shard): tuple(Note(**values) for values in notes) for end_ms, shard, notes in state["waiting"]}
        self.reached = dict(state["reached"])
        self.decided_ms = state["decided_ms"]
