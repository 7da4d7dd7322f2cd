"""Frames from a CSV file with the schema's field names (docs/fields.md), and frames of any making into `vehicle-telemetry`."""

from collections.abc import Callable
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import numpy as np
from numpy.typing import NDArray

from fleetpulse.bench.quality.table_file import Table
from fleetpulse.bench.quality.uplink import Uplink
from fleetpulse.bench.topic import Filler
from fleetpulse.codecs.schema import BY_NAME, FIELDS, Status, Wire, empty
from fleetpulse.config.settings import ConfigError
from fleetpulse.flows.topics import TELEMETRY
from fleetpulse.vehicle_agent.faults import NONE

NAMES = tuple(field.name for field in FIELDS)
_DEGREES = {
    "latitude_e7": ("latitude_deg", "latitude", "lat"),
    "longitude_e7": ("longitude_deg", "longitude", "lon", "lng"),
}
_TIMES = ("time_ms", "timestamp", "time", "datetime")
_KMH = ("speed_kmh", "speed_kph")
_MOVES_MPS = 0.5
_DAY_MS = 86_400_000
_LONG_MS = 2 * _DAY_MS
_LONG_TICK_S = 4
_AFTER_MS = 180_000
_IDLE = int(Status.LOCKED | Status.GNSS_FIX)
_RIDES = int(Status.IN_USE | Status.MOVING | Status.GNSS_FIX)


def frames(table: Table, say: Callable[[str], None]) -> tuple[NDArray[Any], list[bytes]]:
    """(N,) FRAME rows in order of time and the device ids; a row's `offset` is the number of its vehicle, `append_ms` its time.

    What is missing is filled in, and said: one device, boot 1, seq by time, model 1, a status that follows from speed. Raises ConfigError.
    """
    rows = empty(len(table.rows))
    taken = _time(table, rows)
    taken |= _identity(table, rows, say)
    for field in FIELDS:
        if field.name in ("device_id", "time_ms"):
            continue
        column = table.find(field.name)
        if column is not None:
            taken.add(column)
            _column(table, rows, field.name, column)
    for name, others in _DEGREES.items():
        column = table.find(*others)
        if table.find(name) is None and column is not None:
            taken.add(column)
            degrees = np.array(table.numbers(column))
            rows[name] = np.where(np.isfinite(degrees), np.round(np.nan_to_num(degrees) * 1e7), rows[name]).astype(np.int64)
    column = table.find(*_KMH)
    if table.find("speed_mps") is None and column is not None:
        taken.add(column)
        rows["speed_mps"] = np.array(table.numbers(column)) / 3.6
    taken |= _status(table, rows, say)
    if table.find("model_id") is None:
        rows["model_id"] = 1
        say("no column model_id: all are scooters (model 1)")
    unused = [name for k, name in enumerate(table.names) if k not in taken]
    if unused:
        say(f"columns that are no fields are left out: {', '.join(unused)}")
    return _ordered(table, rows, say)


def _time(table: Table, rows: NDArray[Any]) -> set[int]:
    column = table.find(*_TIMES)
    if column is None:
        raise ConfigError(f"a file of frames must have a column time_ms; got {', '.join(table.names)} ({table.file})")
    times = np.array(table.times_ms(column))
    if not np.isfinite(times).all():
        line = table.lines[int(np.flatnonzero(~np.isfinite(times))[0])]
        raise ConfigError(f"every frame must have a time; one has none ({table.file}, line {line})")
    rows["time_ms"] = rows["append_ms"] = np.round(times).astype(np.int64)
    arrival = table.find("append_ms", "recorded_ms")
    if arrival is not None:
        rows["append_ms"] = np.round(np.array(table.times_ms(arrival))).astype(np.int64)
        return {column, arrival}
    return {column}


def _identity(table: Table, rows: NDArray[Any], say: Callable[[str], None]) -> set[int]:
    column = table.find("device_id", "vehicle_id", "device", "vehicle")
    if column is None:
        say("no column device_id: all frames are one vehicle's")
    texts = [row[column].strip() if column is not None else "" for row in table.rows]
    known: dict[str, int] = {}
    for text in texts:
        if text not in known:
            known[text] = _uuid(text).int
    ids = [known[text] for text in texts]
    rows["device_hi"] = np.array([value >> 64 for value in ids], dtype=np.uint64)
    rows["device_lo"] = np.array([value & (1 << 64) - 1 for value in ids], dtype=np.uint64)
    return set() if column is None else {column}


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return uuid5(NAMESPACE_URL, f"fleetpulse:{text}")


def _column(table: Table, rows: NDArray[Any], name: str, column: int) -> None:
    field = BY_NAME[name]
    if field.wire is Wire.BYTES16:
        ids = [_uuid(row[column].strip()).int if row[column].strip() else 0 for row in table.rows]
        rows["trip_hi"] = np.array([value >> 64 for value in ids], dtype=np.uint64)
        rows["trip_lo"] = np.array([value & (1 << 64) - 1 for value in ids], dtype=np.uint64)
    elif field.wire is Wire.STRING:
        rows[name] = [row[column].strip().encode()[:16] for row in table.rows]
    else:
        values = np.array(table.numbers(column))
        known = np.isfinite(values)
        if field.wire in (Wire.FLOAT, Wire.DOUBLE):
            rows[name] = values
        else:
            info = np.iinfo(rows.dtype[name])
            if (known & ((values < float(info.min)) | (values > float(info.max)))).any():
                line = table.lines[int(np.flatnonzero(known & ((values < float(info.min)) | (values > float(info.max))))[0])]
                raise ConfigError(f"{name} must be within {info.min}..{info.max}; got another ({table.file}, line {line})")
            rows[name][known] = np.round(values[known]).astype(rows.dtype[name])


def _status(table: Table, rows: NDArray[Any], say: Callable[[str], None]) -> set[int]:
    """The bits, each also as a column of its own; without any, what the speed says."""
    own = {bit: table.find(bit.name.lower()) for bit in Status}
    taken = {column for column in own.values() if column is not None}
    for bit, column in own.items():
        if column is not None:
            set_ = [row[column].strip().lower() in ("1", "1.0", "true", "yes", "t", "y") for row in table.rows]
            rows["status"] |= np.where(set_, np.uint32(bit), np.uint32(0))
    if table.find("status") is None and not taken:
        rows["status"] = np.where(rows["speed_mps"] > _MOVES_MPS, _RIDES, _IDLE)
        say(f"no column status: in use above {_MOVES_MPS:g} m/s, else locked")
    return taken


def _ordered(table: Table, rows: NDArray[Any], say: Callable[[str], None]) -> tuple[NDArray[Any], list[bytes]]:
    if (np.diff(rows["append_ms"]) < 0).any():
        say("rows are not in order of time: sorted")
    rows = rows[np.argsort(rows["append_ms"], kind="stable")]
    pairs, number = np.unique(rows[["device_hi", "device_lo"]], return_inverse=True)
    rows["offset"] = number
    if table.find("boot_id") is None:
        rows["boot_id"] = 1
    if table.find("seq") is None:
        for v in range(len(pairs)):
            own = np.flatnonzero(number == v)
            rows["seq"][own] = np.arange(len(own))
    ids = [(hi << 64 | lo).to_bytes(16, "big") for hi, lo in pairs.tolist()]
    return rows, ids


def write(address: str, rows: NDArray[Any], ids: list[bytes], *, partitions: int, seed: int = 1) -> None:
    """Frames as `frames` gives them to the topic, as a bridge writes them, with ticks until a while after the last."""
    first_ms, last_ms = int(rows["append_ms"][0]), int(rows["append_ms"][-1])
    tick_s = _LONG_TICK_S if last_ms - first_ms > _LONG_MS else 1
    uplink = Uplink(ids, NONE, partitions=partitions, seed=seed, start_ms=first_ms, tick_s=tick_s)
    filler = Filler(address, TELEMETRY)
    begin, until_ms = 0, first_ms
    while begin < len(rows):
        until_ms = min(last_ms + 1, until_ms + _DAY_MS)
        end = int(np.searchsorted(rows["append_ms"], until_ms))
        filler.write(uplink.send(rows[begin:end], until_ms).records())
        begin = end
    filler.write(uplink.send(empty(0), last_ms + _AFTER_MS).records())
    filler.settle()
