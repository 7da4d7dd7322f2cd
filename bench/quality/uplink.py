"""From frames of the simulator to records of `vehicle-telemetry`: the way over radio, broker and bridge, in simulated time. No I/O.

A frame arrives 0.2-2.4 s after it was made (the vehicle's flush and the network), one in 200 comes twice. Out of radio contact a vehicle
keeps its frames and sends them afterwards as backlog. While our own bridge is down nothing is written, no tick either, and the MQTT
broker gives everything afterwards, in order. The bridge joins what arrives for a partition within a second, and writes a tick to one that
got nothing.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.bench.payloads import Payloads
from fleetpulse.codecs import encode, partition
from fleetpulse.codecs.schema import Status, empty
from fleetpulse.vehicle_agent.faults import Fault

SLOT_MS = 1000
_LATEST_MS = 5_000
"""What is made before the last slot has arrived by then, unless it is held."""
_DOUBLE = 0.005
_IMPOSSIBLE_MPS = 500.0
_BACKLOG = int(Status.BACKLOG)
_RESEND_MS = 20_000


@dataclass(frozen=True)
class Span:
    """From start to end, in ms."""

    start_ms: int
    end_ms: int


class Uplink:
    """What is under way.

    device_ids  of each vehicle; rows' `offset` is the vehicle's number
    tick_s      between ticks; a bridge writes one a second, long histories can do with fewer
    """

    def __init__(
        self, device_ids: list[bytes], faults: NDArray[Any], *, partitions: int, seed: int, start_ms: int, tick_s: int = 1
    ) -> None:
        self._partitions = partitions
        self._tick_slots = tick_s * 1000 // SLOT_MS
        self._of = np.array([partition.of(device_id, partitions) for device_id in device_ids], dtype=np.int64)
        offline = faults[faults["kind"] == Fault.OFFLINE]
        self._silent = [(int(row["vehicle"]), Span(int(row["start_ms"]), int(row["end_ms"]))) for row in offline]
        self._down: list[Span] = []
        self._rng = np.random.Generator(np.random.PCG64([seed, 0xA1]))
        self._latency_ms = self._rng.integers(200, 2000, len(device_ids))
        self._waiting = empty(0)
        self._arrival = np.zeros(0, dtype=np.int64)
        self._slot = start_ms // SLOT_MS

    def silence(self, vehicles: NDArray[np.int64], span: Span) -> None:
        """These have no radio contact; say so before frames of that time are sent."""
        self._silent += [(int(v), span) for v in vehicles]

    def stop_bridge(self, span: Span) -> None:
        """Nothing reaches Kafka within the span."""
        self._down.append(span)

    def send(self, frames: NDArray[Any], until_ms: int) -> Payloads:
        """Take all frames made before `until_ms`; the records that are complete, in order of their time."""
        frames = frames.copy()
        frames["speed_mps"][frames["implausible"] != 0] = _IMPOSSIBLE_MPS  # the encoder leaves out what the agent writes as NaN
        made = frames["append_ms"]
        arrival = made + self._latency_ms[frames["offset"]] + self._rng.integers(0, 400, len(frames))
        twice = self._rng.random(len(frames)) < _DOUBLE
        for vehicle, span in self._silent:
            if span.end_ms > until_ms - 86_400_000 and span.start_ms < until_ms:
                held = (frames["offset"] == vehicle) & (made >= span.start_ms) & (made < span.end_ms)
                if held.any():
                    arrival[held] = span.end_ms + 1000 + np.arange(held.sum()) // 50 * 100
                    frames["status"][held] |= _BACKLOG
        self._waiting = np.concatenate((self._waiting, frames, frames[twice]))
        self._arrival = np.concatenate((self._arrival, arrival, arrival[twice] + 1500))
        for span in self._down:
            late = (self._arrival >= span.start_ms) & (self._arrival < span.end_ms)
            self._arrival[late] = span.end_ms + (self._arrival[late] - span.start_ms) * _RESEND_MS // (span.end_ms - span.start_ms)
        cut_ms = (until_ms - _LATEST_MS) // SLOT_MS * SLOT_MS
        done = self._arrival < cut_ms
        rows, at = self._waiting[done], self._arrival[done]
        self._waiting, self._arrival = self._waiting[~done], self._arrival[~done]
        return self._records(rows, at, cut_ms // SLOT_MS)

    def _records(self, rows: NDArray[Any], at: NDArray[np.int64], end_slot: int) -> Payloads:
        first, self._slot = self._slot, end_slot
        slots = end_slot - first
        key = (at // SLOT_MS - first) * self._partitions + self._of[rows["offset"]]
        order = np.lexsort((rows["seq"], rows["offset"], at, key))
        rows, at, key = rows[order], at[order], key[order]
        ends = np.flatnonzero(np.append(np.diff(key) != 0, True)) + 1 if len(rows) else np.zeros(0, dtype=np.int64)
        payload, value_ends = encode.encode_many(rows, ends)
        sizes = np.diff(value_ends, prepend=0)
        every = np.arange(slots * self._partitions)
        size, time_ms = np.zeros(len(every), np.int64), (every // self._partitions + first + 1) * SLOT_MS - 1
        used = key[ends - 1]
        size[used], time_ms[used] = sizes, at[ends - 1]
        writes = (size > 0) | ((every // self._partitions + first) % self._tick_slots == 0)
        for span in self._down:
            writes &= (size > 0) | (time_ms < span.start_ms) | (time_ms >= span.end_ms)
        return Payloads(payload, np.cumsum(size[writes]), (every % self._partitions)[writes], time_ms[writes], None, len(rows))
