"""The rivals' task as this project would do it: decoded polls to closed windows, a kernel over a shard's slot table. No Kafka.

The law is that of task.py; a window closes when the partition's newest event time is GRACE_MS past its end, as at the rivals. The same by
obvious Python: tests/naive/window_task.py. The project's own windows, with thirty features and rules, are state/windows.py.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from fleetpulse.bench.task import WINDOW_MS
from fleetpulse.codecs import schema
from fleetpulse.codecs.jit import inlined, kernel
from fleetpulse.state import slots

GRACE_MS = 5_000
NEVER_MS = 1 << 62

SLOT: np.dtype[np.void] = np.dtype(
    [
        ("device_hi", "<u8"),
        ("device_lo", "<u8"),
        ("start_ms", "<i8", (2,)),  # of the open windows; index: minute & 1
        ("speed_sum", "<f8", (2,)),
        ("frames", "<u4", (2,)),  # 0: not open
        ("soc_min", "<f4", (2,)),
    ],
    align=True,
)
"""A vehicle: at most two windows are open, since GRACE_MS is less than a window."""

RESULT: np.dtype[np.void] = np.dtype(
    [
        ("device_hi", "<u8"),
        ("device_lo", "<u8"),
        ("window_start_ms", "<i8"),
        ("frames", "<i8"),
        ("speed_mean_mps", "<f8"),
        ("soc_min_pct", "<f8"),
    ],
    align=True,
)
"""A closed window."""

HEADER: np.dtype[np.void] = np.dtype([("slots", "<i8"), ("newest_ms", "<i8"), ("close_ms", "<i8"), ("late", "<i8"), ("closed", "<i8")])
"""Slots in use; newest event time; end of the earliest open window; frames of closed windows; rows of the last sweep."""

_SLOTS, _RESULTS, _HEADER = (numba.from_dtype(dtype)[::1] for dtype in (SLOT, RESULT, HEADER))
_FRAMES = numba.from_dtype(schema.FRAME)[::1]


@inlined
def _sweep(header: Any, vehicles: Any, closed: Any) -> None:
    """Close every window that is due, in the order of slots."""
    n, next_ms = 0, NEVER_MS
    for slot in range(header.slots):
        v = vehicles[slot]
        for w in range(2):
            if v.frames[w] > 0:
                end_ms = v.start_ms[w] + WINDOW_MS
                if end_ms + GRACE_MS <= header.newest_ms:
                    row = closed[n]
                    row.device_hi, row.device_lo = v.device_hi, v.device_lo
                    row.window_start_ms = v.start_ms[w]
                    row.frames = v.frames[w]
                    row.speed_mean_mps = v.speed_sum[w] / v.frames[w]
                    row.soc_min_pct = v.soc_min[w]
                    v.frames[w] = 0
                    n += 1
                elif end_ms < next_ms:
                    next_ms = end_ms
    header.close_ms = next_ms
    header.closed = n


@kernel(numba.int64(_FRAMES, numba.int64, _HEADER, _SLOTS, numba.uint64[::1], _RESULTS))
def run(frames: Any, row: int, headers: Any, vehicles: Any, table: Any, closed: Any) -> int:
    """Go on with a batch from `row`; returns the row to go on with.

    Comes back early when windows were closed (header.closed rows of `closed`) and when the last slot is taken.
    closed  (2 * len(vehicles),)
    """
    header = headers[0]
    header.closed = 0
    for i in range(row, len(frames)):
        f = frames[i]
        if f.time_ms > header.newest_ms:
            header.newest_ms = f.time_ms
            if header.close_ms + GRACE_MS <= header.newest_ms:
                _sweep(header, vehicles, closed)
                return i
        slot = slots.find(table, vehicles, f.device_hi, f.device_lo)
        if slot < 0:
            if header.slots == len(vehicles):
                return i
            slot = header.slots
            header.slots = slot + 1
            vehicles[slot].device_hi, vehicles[slot].device_lo = f.device_hi, f.device_lo
            slots.place(table, f.device_hi, f.device_lo, slot)
        minute = f.time_ms // WINDOW_MS
        start_ms = minute * WINDOW_MS
        if start_ms + WINDOW_MS + GRACE_MS <= header.newest_ms:
            header.late += 1
            continue
        v, w = vehicles[slot], minute & 1
        if v.frames[w] == 0:
            v.start_ms[w] = start_ms
            v.speed_sum[w] = 0.0
            v.soc_min[w] = f.battery_soc_pct
            header.close_ms = min(header.close_ms, start_ms + WINDOW_MS)
        v.frames[w] += 1
        v.speed_sum[w] += f.speed_mps
        v.soc_min[w] = min(v.soc_min[w], f.battery_soc_pct)
    return len(frames)


class Windows:
    """The open windows of one partition's vehicles."""

    def __init__(self) -> None:
        self._header = np.zeros(1, dtype=HEADER)
        self._header["close_ms"] = NEVER_MS
        self._hold(np.zeros(1024, dtype=SLOT))

    def _hold(self, vehicles: NDArray[Any]) -> None:
        self._vehicles = vehicles
        self._closed = np.zeros(2 * len(vehicles), dtype=RESULT)
        self._table = slots.table_for(len(vehicles))
        for slot, (hi, lo) in enumerate(vehicles[["device_hi", "device_lo"]][: int(self._header["slots"][0])].tolist()):
            enter(self._table, hi, lo, slot)

    def apply(self, frames: NDArray[Any]) -> NDArray[Any]:
        """(W,) RESULT: the windows that (N,) FRAME rows closed."""
        row, parts = 0, []
        while row < len(frames):
            if int(self._header["slots"][0]) == len(self._vehicles):
                self._hold(np.concatenate((self._vehicles, np.zeros(len(self._vehicles), dtype=SLOT))))
            row = run(frames, row, self._header, self._vehicles, self._table, self._closed)
            if n := int(self._header["closed"][0]):
                parts.append(self._closed[:n].copy())
        return np.concatenate(parts) if parts else np.zeros(0, dtype=RESULT)

    def snapshot(self) -> bytes:
        """All of it; a copy. The inverse is restore."""
        return self._header.tobytes() + self._vehicles.tobytes()

    def restore(self, snapshot: bytes) -> None:
        """Take over a snapshot."""
        self._header = np.frombuffer(snapshot, dtype=HEADER, count=1).copy()
        self._hold(np.frombuffer(snapshot, dtype=SLOT, offset=HEADER.itemsize).copy())


@kernel(numba.void(numba.uint64[::1], numba.uint64, numba.uint64, numba.int64))
def enter(table: Any, device_hi: Any, device_lo: Any, slot: int) -> None:
    """Enter a vehicle into the table."""
    slots.place(table, device_hi, device_lo, slot)
