"""One shard: the arrays that the kernel works on, their growth, counters, snapshots. The only object of state/ that others hold."""

import hashlib
import mmap
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.codecs.errors import REASONS, Reason, RefusedError
from fleetpulse.codecs.schema import FIRMWARE_BYTES, FRAME
from fleetpulse.codecs.tables import WINDOW
from fleetpulse.state import kernel, slots, vehicle
from fleetpulse.state.facts import FACT
from fleetpulse.state.parameters import Parameters
from fleetpulse.state.plain import PLAIN, quiet, records
from fleetpulse.state.vehicle import (
    BEFORE,
    BLOCK,
    BLOCK_SHIFT,
    COUNTERS,
    DWELL,
    FIRMWARES,
    FOREVER_MS,
    GAP,
    HEADER,
    LAYOUT,
    MARK,
    PASSING,
    TRIP,
    VEHICLE,
    Out,
    Pool,
    Store,
    Told,
)

FACTS_ROWS = 2048
WINDOWS_ROWS = 2048
SPARE = 64
"""Room that every array has when a batch begins."""
OWN_PAGES_BYTES = 1 << 20
"""Arrays of more have pages of their own."""
_MAGIC = b"FPSH"
_HEAD = struct.Struct("<4sHH16s9Q")  # magic, layout, shard, digest of the dtypes, rows of each part
_FIRMWARE = np.dtype(f"S{FIRMWARE_BYTES}")
_PARTS: tuple[np.dtype[Any], ...] = (HEADER, VEHICLE, np.dtype("<i8"), GAP, DWELL, TRIP, BEFORE, MARK, _FIRMWARE)
_DIGEST = hashlib.sha256(repr([p.descr for p in (*_PARTS, FACT)]).encode()).digest()[:16]


class SnapshotError(RefusedError):
    """A snapshot is not one of this shard and layout."""


@dataclass(frozen=True)
class Step:
    """What one call of apply led to.

    facts        (F,) FACT in stream order; a view that holds until the next apply
    windows      (W,) WINDOW, closed, in the order of closing; a view too
    boundary_ms  the interval boundary that stream time has just reached, 0 for none
    next_row     where to go on
    done         the batch is through
    """

    facts: NDArray[Any]
    windows: NDArray[Any]
    boundary_ms: int
    next_row: int
    done: bool


def told(parameters: Parameters) -> Told:
    """Parameters as kernels read them."""
    fence = parameters.geofence
    numbers = (parameters.record, vehicle.blank(), parameters.models_record, parameters.known_models)
    return Told(*map(records, (*numbers, fence.cities, fence.zones, fence.points, fence.cells, fence.lists, fence.entries)))


class Shard:
    """The state of the vehicles of one partition. Not thread-safe.

    Cost: O(rows of the batch), and O(slots) whenever stream time crosses a second in which something is due.
    """

    def __init__(self, shard: int, parameters: Parameters) -> None:
        self.shard = shard
        self.parameters = parameters
        self._told = told(parameters)
        facts, windows, believed = np.zeros(FACTS_ROWS, dtype=FACT), np.zeros(WINDOWS_ROWS, dtype=WINDOW), np.zeros(2, dtype=FRAME)
        self._out = Out(records(facts), records(windows), records(believed))
        self._header = np.zeros(1, dtype=HEADER)
        for name, value in (("sweep_slot", -1), ("sweep_ms", FOREVER_MS), ("deadline_ms", FOREVER_MS), ("free_slot", -1), ("firmwares", 1)):
            self._header[name] = value
        self._dead_letters = dict.fromkeys(REASONS, 0)
        self._cells = np.zeros(0, dtype=np.uint64)
        self._make_store([np.zeros(0, dtype=dtype) for dtype in _PARTS])

    def _make_store(self, parts: list[NDArray[Any]]) -> None:
        """Take over the arrays of a snapshot (empty ones: a new shard), with room to grow."""
        _, vehicles, deadlines, gaps, dwells, trips, before, marks, firmwares = parts
        capacity = len(vehicles) + 4 * SPARE
        self._store = Store(
            vehicles=_grown(vehicles, capacity),
            deadlines=_grown(deadlines, capacity, fill=FOREVER_MS),
            table=slots.table_for(capacity),
            gaps=_grown(gaps, len(gaps) + SPARE),
            dwells=_grown(dwells, len(dwells) + SPARE),
            trips=_grown(trips, len(trips) + SPARE),
            before=_grown(before, len(before) + SPARE),
            marks=_grown(marks, len(marks) + SPARE),
            dirty=np.ones((capacity + BLOCK - 1) >> BLOCK_SHIFT, dtype=np.uint8),
            firmwares=_grown(firmwares, FIRMWARES),
        )
        self._fill_table()

    def _fill_table(self) -> None:
        with quiet():
            slots.fill(records(self._header), self._shown())

    def _shown(self) -> Store:
        return Store(*map(records, self._store)) if PLAIN else self._store

    @property
    def vehicles(self) -> int:
        """Slots in use or freed: every slot of a fact or row is below."""
        return int(self._header["slots"][0])

    @property
    def stream_ms(self) -> int:
        """Stream time; 0 before the first record."""
        return int(self._header["stream_ms"][0])

    @property
    def counters(self) -> dict[str, int]:
        """Counted since the shard was new, by name; `missing` and `vehicles` as of now."""
        header = self._header[0]
        counts = {name: int(header[name]) for name in COUNTERS}
        counts["quarantined.clock_ahead"] = counts.pop("clock_ahead")
        counts["quarantined.too_old"] = counts.pop("too_old")
        counts["vehicles"] = int(header["live"])
        counts["received"] += sum(self._dead_letters.values())
        counts.update({f"dead_lettered.{reason}": count for reason, count in self._dead_letters.items()})
        return counts

    @property
    def blocks(self) -> dict[str, int]:
        """Blocks of each pool that vehicles hold, by the pool's name."""
        return {pool.name.lower(): int(self._header["taken"][0, pool]) for pool in Pool}

    @property
    def records(self) -> NDArray[Any]:
        """(vehicles,) VEHICLE, the live view; freed slots have no Flag.LIVE."""
        return self._store.vehicles[: self.vehicles]

    @property
    def marks(self) -> NDArray[Any]:
        """(M,) MARK since the last forget_marks."""
        return self._store.marks[: int(self._header["marks"][0])]

    @property
    def firmwares(self) -> NDArray[np.bytes_]:
        """(FIRMWARES,) S16, by the records' `firmware`."""
        return self._store.firmwares

    @property
    def outage_ms(self) -> int:
        """Our own outages so far."""
        return int(self._header["outage_ms"][0])

    def forget_marks(self) -> None:
        """The trips were reported."""
        self._header["marks"] = 0

    def trip_of(self, block: NDArray[np.int32]) -> NDArray[Any]:
        """(N,) TRIP of each block number, which must not be 0."""
        rows: NDArray[Any] = self._store.trips[block - 1]
        return rows

    def gaps_of(self, block: int) -> Any:
        """The GAP record of a block number, which must not be 0."""
        return self._store.gaps[block - 1]

    @property
    def cells(self) -> NDArray[np.uint64]:
        """(vehicles,) H3 cell of each slot as of its last look-up; 0: none. Not part of a snapshot."""
        if len(self._cells) < self.vehicles:
            self._cells = _grown(self._cells, len(self._store.vehicles))
        return self._cells[: self.vehicles]

    def count_dead_letter(self, reason: Reason) -> None:
        """A payload or frame of this partition was not taken."""
        self._dead_letters[reason] += 1

    def apply(self, frames: NDArray[Any], row: int) -> Step:
        """Go on with a batch from `row`.

        frames  (N,) FRAME in offset order, contiguous

        Comes back early when stream time reached an interval boundary (timers have run, the row that crossed it is not yet taken) or when a
        buffer is nearly full. Call again with next_row until done.
        """
        self._ensure_room()
        header = self._header
        header["row"] = row
        with quiet():
            end = kernel.run_direct(records(frames), records(header), self._shown(), self._told, self._out)
        boundary_ms = 0
        if end == kernel.BOUNDARY:
            boundary_ms = int(header["boundary_ms"][0])
            header["boundary_ms"] = 0
        return Step(
            facts=self._out.facts[: int(header["facts"][0])].view(np.ndarray),
            windows=self._out.windows[: int(header["windows"][0])].view(np.ndarray),
            boundary_ms=boundary_ms,
            next_row=int(header["row"][0]),
            done=end == kernel.DONE,
        )

    def _ensure_room(self) -> None:
        """Let arrays grow by half that have less than SPARE left."""
        header, store = self._header[0], self._store
        grown: dict[str, NDArray[Any]] = {}
        if len(store.vehicles) - header["live"] < SPARE:
            capacity = _more(len(store.vehicles))
            grown["vehicles"] = _grown(store.vehicles, capacity)
            grown["deadlines"] = _grown(store.deadlines, capacity, fill=FOREVER_MS)
            grown["dirty"] = _grown(store.dirty, (capacity + BLOCK - 1) >> BLOCK_SHIFT)
            if 2 * capacity > len(store.table):
                grown["table"] = slots.table_for(capacity)
        for pool in Pool:
            name = pool.name.lower()
            array: NDArray[Any] = getattr(store, name)
            if len(array) - header["taken"][pool] < SPARE:
                grown[name] = _grown(array, _more(len(array)))
        if len(store.marks) - header["marks"] < SPARE:
            grown["marks"] = _grown(store.marks, _more(len(store.marks)))
        if grown:
            self._store = store._replace(**grown)
            if "table" in grown:
                self._fill_table()

    def take_dirty_blocks(self) -> NDArray[np.int64]:
        """Ascending numbers of the blocks of BLOCK slots that changed since the last call."""
        blocks = np.flatnonzero(self._store.dirty[: (self.vehicles + BLOCK - 1) >> BLOCK_SHIFT])
        self._store.dirty[:] = 0
        return blocks

    def snapshot(self) -> bytes:
        """All that the next batch depends on, as versioned bytes; a copy. Between batches only. The inverse is restore."""
        header, store = self._header[0], self._store
        assert header["sweep_slot"] < 0, "a snapshot is taken between batches"
        kept = self._header.copy()
        for name in PASSING:
            kept[name] = 0
        used = header["used"]
        parts = (
            kept,
            store.vehicles[: header["slots"]],
            store.deadlines[: header["slots"]],
            store.gaps[: used[Pool.GAPS]],
            store.dwells[: used[Pool.DWELLS]],
            store.trips[: used[Pool.TRIPS]],
            store.before[: used[Pool.BEFORE]],
            store.marks[: header["marks"]],
            store.firmwares[: header["firmwares"]],
        )
        head = _HEAD.pack(_MAGIC, LAYOUT, self.shard, _DIGEST, *map(len, parts))
        dead_letters = np.array(list(self._dead_letters.values()), dtype="<i8")
        return b"".join((head, dead_letters.tobytes(), *(part.view(np.uint8).data for part in parts)))

    def restore(self, snapshot: bytes) -> None:
        """Take over a snapshot. Raises SnapshotError when it is of another layout or shard, or cut short."""
        if len(snapshot) < _HEAD.size:
            raise SnapshotError(f"a shard snapshot must have {_HEAD.size} bytes at least; got {len(snapshot)}")
        magic, layout, shard, digest, *rows = _HEAD.unpack_from(snapshot)
        if (magic, layout, digest) != (_MAGIC, LAYOUT, _DIGEST):
            raise SnapshotError(
                f"a shard snapshot must be {_MAGIC!r} layout {LAYOUT} {_DIGEST.hex()}; got {magic!r} layout {layout} {digest.hex()}; "
                "replay the log from its beginning with this version, or run the version that wrote it"
            )
        if shard != self.shard:
            raise SnapshotError(f"a snapshot restored into shard {self.shard} must be of this shard; got shard {shard}")
        at = _HEAD.size
        counts = np.frombuffer(snapshot, dtype="<i8", count=len(REASONS), offset=at)
        at += counts.nbytes
        size = at + sum(n * dtype.itemsize for n, dtype in zip(rows, _PARTS, strict=True))
        if len(snapshot) != size:
            raise SnapshotError(f"a shard snapshot of these rows must have {size} bytes; got {len(snapshot)}")
        parts: list[NDArray[Any]] = []
        for n, dtype in zip(rows, _PARTS, strict=True):
            parts.append(np.frombuffer(snapshot, dtype=dtype, count=n, offset=at).copy())
            at += n * dtype.itemsize
        self._header = parts[0]
        self._dead_letters = dict(zip(REASONS, counts.tolist(), strict=True))
        self._cells = np.zeros(0, dtype=np.uint64)
        self._make_store(parts)


def _more(rows: int) -> int:
    return rows + max(4 * SPARE, rows // 2)


def _zeros(rows: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Large arrays have pages of their own, huge ones where the system has them, which it gets back when an array is outgrown."""
    size = rows * dtype.itemsize
    if size < OWN_PAGES_BYTES:
        return np.zeros(rows, dtype=dtype)
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, dtype=dtype, count=rows)


def _grown(array: NDArray[Any], rows: int, *, fill: int | None = None) -> NDArray[Any]:
    """A copy with more rows; the new ones are zero or `fill`."""
    larger = _zeros(rows, array.dtype)
    larger[: len(array)] = array
    if fill is not None:
        larger[len(array) :] = fill
    return larger


assert FRAME.isnative, "the kernel reads frames as they stand in memory"
