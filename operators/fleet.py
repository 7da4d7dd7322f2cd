"""Bytewax step `fleet`: a shard's frames to its events, public state, closed windows and zone reports.

Thin: the maths is state/ (kernel, zones) and the decisions are alerts/ (life cycle); here they take turns in the order of the
log. Delivery: what is emitted depends on the log alone, so a batch that is run again emits the same events with the same ids.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import bytewax.operators as op
import numpy as np
import orjson
from bytewax.operators import KeyedStream, StatefulBatchLogic
from numpy.typing import NDArray

from fleetpulse.alerts import event, relay
from fleetpulse.alerts.event import Event, Outgoing
from fleetpulse.alerts.lifecycle import Lifecycle
from fleetpulse.alerts.relay import Word
from fleetpulse.alerts.states import EVENT_TYPE_NAMES, STATE_NAMES
from fleetpulse.codecs import tables
from fleetpulse.codecs.batch import DeadLetter, FrameBatch
from fleetpulse.codecs.errors import RefusedError
from fleetpulse.operators import words
from fleetpulse.operators.silence import SliceWriter
from fleetpulse.state import public, zones
from fleetpulse.state.shard import Shard
from fleetpulse.state.vehicle import BLOCK

WRITE_MS = 2_000
"""A changed block is written at most this often, in stream time."""
REFRESH_MS = 30_000
"""An unchanged block is written at least this often."""
CATCHING_UP_FRAMES = 500
"""A poll of more frames of one shard is a backlog: stream time goes faster than ours, and a shard would write all of its state in each."""
FRAMES_A_BLOCK = 40_000
"""In a backlog one block may be written for so many frames; it costs as much as a thousand. A shard that keeps up writes what is due, one
block and one more for so many blocks of the shard a poll. (`fleetpulse bench state`: state.logic)"""
BLOCKS_A_POLL = 16
FEATURE_ROWS = 4096
"""Most windows in one record of `fleet.features`."""
ZONE_PARTITIONS = 4
ARCHIVE = "fleet.snapshots"
ARCHIVE_MS = 3_600_000
"""Of stream time between two archived snapshots of a shard; shards take turns within it."""
ARCHIVE_PART_BYTES = 4 << 20
"""Of a snapshot in one record."""
_SNAPSHOT = struct.Struct("<4sHHqQQQQQ")  # magic, version, shard, next offset, lengths: shard, life cycle, windows, notes, words
_MAGIC, _VERSION = b"FLEE", 3
_FORMS = {2: struct.Struct("<4sHHqQQQQ"), _VERSION: _SNAPSHOT}
"""By version; one before there were words is read too."""


class StateError(RefusedError):
    """Snapshot and log do not fit together; the flow must not go on (docs/operations.md says what to do)."""


@dataclass(frozen=True)
class FleetNames:
    """What codes mean, and who we are: for tables and event sources."""

    deployment: str
    topic: str
    shards: int
    cities: tuple[str, ...]
    models: tuple[str, ...]


class ShardLogic:
    """One shard: owns its vehicles' state and life cycle, and turns its polls into records."""

    def __init__(self, shard: Shard, lifecycle: Lifecycle, names: FleetNames) -> None:
        self.shard = shard
        self.lifecycle = lifecycle
        self.next_offset = 0
        self._names = names
        self._table_names = {"city": names.cities, "vehicle_model": names.models}
        self._windows_out = tables.Encoder(tables.WINDOW, self._table_names)
        self._state_out = tables.Encoder(tables.STATE, {**self._table_names, "vehicle_state": STATE_NAMES, "event_type": EVENT_TYPE_NAMES})
        self._windows: list[NDArray[Any]] = []
        self._words: list[Word] = []
        self._slices = SliceWriter(shard.shard, names.shards, topic="fleet.zones", partitions=ZONE_PARTITIONS)
        self._written_ms = np.zeros(1, dtype=np.int64)
        self._dirty = np.ones(1, dtype=np.bool_)
        self._frames = 0
        self._archive_turn: int | None = None
        self._saved = 0.0  # blocks that a backlog has earned and not written

    def run(self, batch: FrameBatch, out: list[Outgoing]) -> None:
        """Append to `out` what the batch leads to. Raises StateError when the batch is not the one that comes next."""
        if batch.start != self.next_offset:
            raise StateError(f"shard {self.shard.shard} must go on at the offset after its snapshot, {self.next_offset}; got {batch.start}")
        for letter in batch.dead_letters:
            self.shard.count_dead_letter(letter.reason)
            out.append(dead_letter(letter, topic=f"{self._names.topic}.dead-letter"))
        self._slices.enter(self.shard.stream_ms, batch.frames["append_ms"])
        row, done = 0, False
        while not done:
            step = self.shard.apply(batch.frames, row)
            self._emit(self.lifecycle.apply(step.facts, batch.operations), out)
            if len(step.windows):
                self._windows.append(step.windows.copy())
            if step.boundary_ms:
                self._emit(self.lifecycle.advance(self.shard.stream_ms), out)
                self._slices.write(self.shard.stream_ms, self.lifecycle.take_notes(), out)  # in this order however the log is cut
                self._report_zones(step.boundary_ms, out)
            row, done = step.next_row, step.done
        self._emit(self.lifecycle.advance(self.shard.stream_ms), out)
        self._flush_windows(out)
        self._slices.write(self.shard.stream_ms, self.lifecycle.take_notes(), out)
        self.next_offset = batch.next_offset
        self._frames += len(batch.frames)

    def _emit(self, events: list[Event], out: list[Outgoing]) -> None:
        out.extend(event.encode(e, deployment=self._names.deployment) for e in events)

    def _flush_windows(self, out: list[Outgoing]) -> None:
        """Write the windows of each second of stream time that is over, so that a batch's end cuts no record, and then its words."""
        self._words += self.lifecycle.take_words()
        if not self._windows and not self._words:
            return
        windows = np.concatenate(self._windows) if self._windows else np.zeros(0, dtype=tables.WINDOW)
        seconds, now = windows["closed_ms"] // 1000, self.shard.stream_ms // 1000
        whole = int(np.searchsorted(seconds, now))
        shard = self.shard.shard
        said: dict[int, list[Word]] = {}
        for word in self._words:
            said.setdefault(word.stream_ms // 1000, []).append(word)
        parts = np.split(windows[:whole], np.flatnonzero(np.diff(seconds[:whole])) + 1) if whole else []
        closed = {int(rows["closed_ms"][0]) // 1000: rows for rows in parts}
        for second in sorted(second for second in closed.keys() | said.keys() if second < now):
            rows = closed.get(second, windows[:0])
            for first in range(0, len(rows), FEATURE_ROWS):
                value = self._windows_out.encode(rows[first : first + FEATURE_ROWS], metadata={"shard": str(shard)})
                out.append(Outgoing("fleet.features", str(shard).encode(), value, partition=shard))
            if second in said:
                out.append(words.record(shard, second, said[second]))
        self._windows = [windows[whole:]] if whole < len(windows) else []
        self._words = [word for word in self._words if word.stream_ms // 1000 >= now]

    def _report_zones(self, boundary_ms: int, out: list[Outgoing]) -> None:
        self.lifecycle.ensure(self.shard.vehicles)
        vehicles = self.shard.vehicles
        reports = zones.report(self.shard, self.lifecycle.vehicle_state[:vehicles], self.lifecycle.state_since_ms[:vehicles])
        for code, city in enumerate(self._names.cities):
            if not code:
                continue
            counts, candidates = reports.get(code, (np.zeros(0, tables.ZONE), np.zeros(0, tables.CANDIDATE)))
            for table, rows in (("counts", counts), ("candidates", candidates)):
                metadata = {
                    "table": table,
                    "city": city,
                    "shard": str(self.shard.shard),
                    "shards": str(self._names.shards),
                    "interval_end_ms": str(boundary_ms),
                }
                value = tables.encode(rows, self._table_names, metadata=metadata)
                key = f"{city}.{self.shard.shard}".encode()
                out.append(Outgoing("fleet.zones", key, value, partition=code % ZONE_PARTITIONS))

    def write_state(self, out: list[Outgoing], *, everything: bool) -> None:
        """Write the blocks that are due, each whole, the longest unwritten first, as many as the frames since the last call allow.

        everything  write all blocks. Not part of the promise of equal output: later values replace earlier ones.
        """
        vehicles, stream_ms = self.shard.vehicles, self.shard.stream_ms
        blocks = max(1, -(-vehicles // BLOCK))
        if blocks > len(self._written_ms):
            grown = blocks - len(self._written_ms)
            self._written_ms = np.append(self._written_ms, np.zeros(grown, dtype=np.int64))
            self._dirty = np.append(self._dirty, np.ones(grown, dtype=np.bool_))
        self._dirty[self.shard.take_dirty_blocks()] = True
        age_ms = stream_ms - self._written_ms
        due = (self._dirty & (age_ms >= WRITE_MS)) | (age_ms >= REFRESH_MS) | everything
        allowed = blocks if everything else self._allowance(blocks)
        if not allowed or not due.any():
            return
        self.lifecycle.ensure(vehicles)
        counters = orjson.dumps(self.counters()).decode()
        waiting = np.flatnonzero(due[:blocks])
        for block in waiting[np.argsort(self._written_ms[waiting], kind="stable")][:allowed].tolist():
            slots = public.live(self.shard, np.arange(block * BLOCK, min((block + 1) * BLOCK, vehicles)))
            rows = public.rows(self.shard, slots)
            for name in ("vehicle_state", "event_type", "state_since_ms", "alerts", "maintenance", "service"):
                rows[name] = getattr(self.lifecycle, name)[slots]
            metadata = {
                "shard": str(self.shard.shard),
                "block": str(block),
                "stream_ms": str(stream_ms),
                "next_offset": str(self.next_offset),
                "counters": counters,
            }
            value = self._state_out.encode(rows, metadata=metadata)
            out.append(Outgoing("fleet.state", f"{self.shard.shard}.{block}".encode(), value, partition=self.shard.shard))
            self._written_ms[block] = stream_ms
            self._dirty[block] = False

    def _allowance(self, blocks: int) -> int:
        """How many blocks may be written after the frames that came since the last call."""
        frames, self._frames = self._frames, 0
        if frames <= CATCHING_UP_FRAMES:
            return 1 + blocks // BLOCKS_A_POLL
        self._saved = min(self._saved + frames / FRAMES_A_BLOCK, float(blocks))
        whole = int(self._saved)
        self._saved -= whole
        return whole

    def archive(self, out: list[Outgoing]) -> None:
        """Write a snapshot for replay when it is the shard's turn in stream time, after any batch. Each is a state of the log up to its
        offset; which offsets they have is not part of the promise of equal output.
        """
        lead_ms = ARCHIVE_MS * self.shard.shard // self._names.shards
        turn, before = (self.shard.stream_ms + lead_ms) // ARCHIVE_MS, self._archive_turn
        self._archive_turn = turn
        if before is None or turn == before:
            return
        snapshot = self.snapshot()
        parts = range(0, len(snapshot), ARCHIVE_PART_BYTES)
        for n, begin in enumerate(parts):
            headers = (("next_offset", str(self.next_offset).encode()), ("part", f"{n}/{len(parts)}".encode()))
            value = snapshot[begin : begin + ARCHIVE_PART_BYTES]
            out.append(Outgoing(ARCHIVE, str(self.shard.shard).encode(), value, headers, partition=self.shard.shard))

    def counters(self) -> dict[str, int]:
        """Everything that the shard and its life cycle count, by name."""
        return {**self.shard.counters, **self.lifecycle.counters}

    def stream_ms(self) -> int:
        """The shard's stream time."""
        return self.shard.stream_ms

    def snapshot(self) -> bytes:
        """Versioned bytes, a copy. The inverse is restore."""
        windows = np.concatenate(self._windows) if self._windows else np.zeros(0, tables.WINDOW)
        said = orjson.dumps([relay.plain(word) for word in self._words])
        parts = (self.shard.snapshot(), self.lifecycle.snapshot(), windows.tobytes(), self._slices.snapshot(), said)
        return b"".join((_SNAPSHOT.pack(_MAGIC, _VERSION, self.shard.shard, self.next_offset, *map(len, parts)), *parts))

    def restore(self, snapshot: bytes) -> None:
        """Take over a snapshot of this shard. Raises StateError for another version."""
        self.next_offset = _header(snapshot)[3]
        version, lengths = _header(snapshot)[1], _header(snapshot)[4:]
        ends = _FORMS[version].size + np.cumsum(lengths)
        parts = [snapshot[end - length : end] for end, length in zip(ends.tolist(), lengths, strict=True)]
        shard, lifecycle, windows, notes, said = (*parts, b"[]")[:5]
        self.shard.restore(shard)
        self.lifecycle.restore(lifecycle)
        self._slices.restore(notes)
        self._words = [Word(**values) for values in orjson.loads(said)]
        if windows:
            self._windows = [np.frombuffer(windows, dtype=tables.WINDOW)]


def _header(snapshot: bytes) -> tuple[Any, ...]:
    if len(snapshot) < _SNAPSHOT.size:
        raise StateError(f"a snapshot of the fleet step must have {_SNAPSHOT.size} bytes at least; got {len(snapshot)}")
    magic, version = struct.unpack_from("<4sH", snapshot)
    if magic != _MAGIC or version not in _FORMS:
        raise StateError(f"a snapshot of the fleet step must be {_MAGIC!r} version {_VERSION}; got {magic!r} version {version}")
    header: tuple[Any, ...] = _FORMS[version].unpack_from(snapshot)
    return header


def offset_of(snapshot: bytes) -> int:
    """The offset at which the snapshot goes on. Raises StateError for another version."""
    return int(_header(snapshot)[3])


def at_offset(snapshot: bytes, next_offset: int) -> bytes:
    """The same snapshot, so that it goes on at another offset: what lies between is never seen. For repairs by hand."""
    magic, version, shard, _, *lengths = _header(snapshot)
    form = _FORMS[version]
    return form.pack(magic, version, shard, next_offset, *lengths) + snapshot[form.size :]


class FleetLogic(StatefulBatchLogic[FrameBatch, list[Outgoing], bytes]):
    """What Bytewax holds for a key: the shard's logic, made when the first batch or the snapshot tells which shard it is."""

    def __init__(self, make: Callable[[int], ShardLogic], snapshot: bytes | None) -> None:
        self._make = make
        self._logic: ShardLogic | None = None
        if snapshot is not None:
            self._logic = make(_header(snapshot)[2])
            self._logic.restore(snapshot)

    def on_batch(self, values: list[FrameBatch]) -> tuple[list[list[Outgoing]], bool]:
        out: list[Outgoing] = []
        logic = self._logic = self._logic or self._make(values[0].partition)
        for batch in values:
            logic.run(batch, out)
        logic.archive(out)
        logic.write_state(out, everything=False)
        return ([out] if out else []), StatefulBatchLogic.RETAIN

    def on_eof(self) -> tuple[list[list[Outgoing]], bool]:
        out: list[Outgoing] = []
        if self._logic is not None:
            self._logic.write_state(out, everything=True)
        return [out], StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        assert self._logic is not None, "Bytewax snapshots a key only after its first item"
        return self._logic.snapshot()


def dead_letter(letter: DeadLetter, *, topic: str) -> Outgoing:
    """A dead letter as a record: the bytes as received, its origin and reason in the headers."""
    return Outgoing(topic, b"", letter.payload, letter.headers())


def fleet(step_id: str, up: KeyedStream[FrameBatch], make: Callable[[int], ShardLogic]) -> KeyedStream[list[Outgoing]]:
    """(shard key, FrameBatch) to (shard key, records). `make` builds the empty logic of a shard."""
    return op.stateful_batch(step_id, up, lambda snapshot: FleetLogic(make, snapshot))
