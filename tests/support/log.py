"""A log of one partition as the bridge would write it: a simulated fleet with faults, and everything that goes wrong on the way."""

import itertools
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np

from fleetpulse.codecs import encode, operations, partition
from fleetpulse.codecs.batch import RecordBatch
from fleetpulse.codecs.operations import Operation, OperationRecord
from fleetpulse.config.fleet import Fleet
from fleetpulse.vehicle_agent import scenario
from fleetpulse.vehicle_agent.simulator import Simulator

START_MS = 1_764_000_000_000
GARBAGE = (b"\xff\xff\xff\xff", b"\x0a\x7f\x00", b'{"device_id": 7}', b'{"operation": "dance"}', b"\x0a\x02\x0a\x00")


Route = bytes | None
"""The device id that decides a value's partition; None: a tick, which stands in all; b"": garbage, which stands in the first."""


@dataclass(frozen=True)
class Log:
    """Values with their Kafka timestamps, and what was done to them. The offset of a record is its place.

    frames      distinct frames that were made
    lost        of them, never in the log
    duplicates  frames that are in it once more
    garbage     payloads that cannot be read
    """

    values: list[bytes]
    append_ms: list[int]
    routes: list[Route]
    frames: int
    lost: int
    duplicates: int
    garbage: int

    def batch(self, first: int = 0, last: int | None = None, *, partition: int = 0) -> RecordBatch:
        """Records first..last (exclusive) as one poll."""
        values = self.values[first:last]
        return RecordBatch(
            partition=partition,
            payload=b"".join(values),
            ends=np.cumsum([len(value) for value in values], dtype=np.int64),
            offsets=np.arange(first, first + len(values), dtype=np.int64),
            append_ms=np.array(self.append_ms[first:last], dtype=np.int64),
            start=first,
        )

    def cut(self, at: list[int]) -> list[RecordBatch]:
        """The whole log in polls that begin at the given offsets."""
        bounds = sorted({0, *at, len(self.values)})
        return [self.batch(a, b) for a, b in itertools.pairwise(bounds)]


def simulated(fleet: Fleet, *, vehicles: int, duration_s: int, seed: int = 1) -> Log:
    """The `mixed` scenario, one payload a few frames, with loss, doubles, reordering, garbage, JSON, ticks and operations."""
    rng = np.random.default_rng(seed)
    faults = scenario.named("mixed").faults(fleet, vehicles, seed, START_MS)
    frames = Simulator(fleet, vehicles, seed, START_MS, faults).step(START_MS + duration_s * 1000)
    entries: list[tuple[int, bytes, Route]] = []
    lost = duplicates = garbage = 0
    for v in np.unique(frames["offset"]).tolist():
        mine = frames[frames["offset"] == v]
        device = ((int(mine["device_hi"][0]) << 64) | int(mine["device_lo"][0])).to_bytes(16, "big")
        cuts = np.flatnonzero(rng.random(len(mine)) < 0.15)
        for part in np.split(mine, cuts):
            if not len(part):
                continue
            if rng.random() < 0.02:
                lost += len(part)
                continue
            json = len(part) == 1 and rng.random() < 0.2
            value = encode.encode_json(part[0]) if json else encode.encode(part)
            append_ms = int(part["append_ms"][-1]) + int(rng.integers(20, 3000 if rng.random() < 0.1 else 60))
            entries.append((append_ms, value, device))
            if rng.random() < 0.02:
                duplicates += len(part)
                entries.append((append_ms + int(rng.integers(0, 40_000)), value, device))
            if rng.random() < 0.01:
                garbage += 1
                entries.append((append_ms, GARBAGE[int(rng.integers(len(GARBAGE)))], b""))
    devices = [UUID(int=(int(hi) << 64) | int(lo)) for hi, lo in np.unique(frames[["device_hi", "device_lo"]]).tolist()]
    for i in range(3 * vehicles):
        time_ms = START_MS + int(rng.integers(1000, duration_s * 1000))
        kind = Operation(int(rng.choice(list(Operation))))
        detail = _details(kind, i)
        record = OperationRecord(kind, devices[int(rng.integers(len(devices)))], time_ms, "test", f"operation-{i}", detail)
        entries.append((time_ms, operations.encode(record), record.device_id.bytes))
    entries += [(START_MS + 1000 * second, b"", None) for second in range(duration_s)]
    entries.sort(key=lambda entry: entry[0])
    return _log(entries, len(frames), lost, duplicates, garbage)


def _details(kind: Operation, i: int) -> dict[str, Any]:
    """What the operation says beyond its name; i deals them out."""
    match kind:
        case Operation.ALERT_ACKNOWLEDGED:
            return {"rule": ("crash", "battery_drain")[i % 2]}
        case Operation.SNOOZE:
            return {"minutes": i % 4} | ({"rule": ("low_battery", "vibration", "offline")[i % 3]} if i % 2 else {})
        case Operation.SERVICE_MODE:
            return {"mode": ("on", "off")[i % 2]}
        case _:
            return {}


def of_partition(log: Log, p: int, partitions: int) -> Log:
    """The records of `log` that stand in partition p of `partitions`. Its counts are those of the whole."""

    def here(route: Route) -> bool:
        return route is None or (p == 0 if not route else partition.of(route, partitions) == p)

    entries = [(ms, value, route) for ms, value, route in zip(log.append_ms, log.values, log.routes, strict=True) if here(route)]
    return _log(entries, log.frames, log.lost, log.duplicates, log.garbage)


def _log(entries: list[tuple[int, bytes, Route]], frames: int, lost: int, duplicates: int, garbage: int) -> Log:
    append_ms, values, routes = (list(column) for column in zip(*entries, strict=True))
    return Log(values, append_ms, routes, frames, lost, duplicates, garbage)
