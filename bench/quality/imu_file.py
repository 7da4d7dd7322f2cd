"""Acceleration from a CSV file, brought to the detector's 50 Hz and m/s2; and the crash detector over all of it.

Gravity may lie on any axis (the first second says which way is down) or be taken out already. A higher rate is averaged, a lower one
interpolated. Where values pile up at the end of a small range, that is the sensor's full scale.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fleetpulse.bench.quality import table_file
from fleetpulse.config.settings import ConfigError
from fleetpulse.vehicle_agent.crash import FULL_SCALE_MPS2, RATE_HZ, Detector

G = 9.80665
_AXES = (
    *(tuple(f"{name}_{axis}" for axis in "xyz") for name in ("acc", "accel", "acceleration", "a", "accelerometer", "userAcceleration")),
    *(tuple(f"{axis}_{name}" for axis in "xyz") for name in ("acc", "accel", "axis")),
    ("x", "y", "z"),
    ("accel_x_mps2", "accel_y_mps2", "accel_z_mps2"),
    ("ax", "ay", "az"),
)
_LIKE_G, _LIKE_MPS2 = (0.5, 2.0), (6.0, 14.0)
_CALM_S = 1.0
_GAP_S = 0.5
_PILED = 3
_SHARE_OF_SCALE = 0.9


@dataclass(frozen=True)
class Record:
    """samples  (N, 3) at 50 Hz in m/s2, gravity included; full_scale_mps2  of the sensor"""

    first_ms: float
    samples: NDArray[np.float64]
    full_scale_mps2: float


@dataclass(frozen=True)
class Crash:
    """sample  that completed it"""

    sample: int
    confidence: float


def read(file: Path, *, unit: str, say: Callable[[str], None]) -> Record:
    """The file at 50 Hz. unit: `g`, `mps2`, or `auto`: by the size at rest. Raises ConfigError."""
    table = table_file.read(file, ("time", "x", "y", "z"))
    columns = next((found for names in _AXES if None not in (found := tuple(table.find(name) for name in names))), None)
    time = table.find("time", "timestamp", "time_s", "time_ms", "seconds", "t", "datetime", "elapsed")
    if columns is None and len(table.names) == 4:
        rest = tuple(k for k in range(4) if k != (0 if time is None else time))
        columns, time = rest, 0 if time is None else time
        say(f"{file}: axes are the columns {', '.join(table.names[k] for k in rest)}")
    if columns is None or time is None:
        raise ConfigError(f"a recording must have the columns time, x, y, z; got {', '.join(table.names)} ({file})")
    axes = [table.numbers(column) for column in columns if column is not None]
    raw, at_ms = np.stack([np.array(axis) for axis in axes], axis=1), _times(table, time, say)
    known = np.isfinite(raw).all(axis=1) & np.isfinite(at_ms)
    if not known.all():
        say(f"{file}: {int((~known).sum())} rows without a value are left out")
    raw, at_ms = raw[known], at_ms[known]
    if len(raw) < RATE_HZ // 2:
        raise ConfigError(f"a recording must have half a second at least; got {len(raw)} rows ({file})")
    if (np.diff(at_ms) < 0).any():
        say(f"{file}: rows are not in order of time: sorted")
        order = np.argsort(at_ms, kind="stable")
        raw, at_ms = raw[order], at_ms[order]
    raw = _metric(raw, unit, file, say)
    return _record(raw, at_ms, file, say)


def _times(table: table_file.Table, column: int, say: Callable[[str], None]) -> NDArray[np.float64]:
    """In ms; small numbers are s, or ms when their steps say so."""
    at_ms = np.array(table.times_ms(column))
    steps = np.diff(at_ms[np.isfinite(at_ms)])
    typical = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    if typical >= 1000.0 and "_s" not in table.names[column].lower() and np.nanmax(np.abs(at_ms)) < 1e14:
        say(f"{table.file}: times step by {typical / 1000:g}: taken as ms")
        return at_ms / 1000.0
    return at_ms


def _metric(raw: NDArray[np.float64], unit: str, file: Path, say: Callable[[str], None]) -> NDArray[np.float64]:
    size = float(np.median(np.sqrt((raw**2).sum(axis=1))))
    if unit == "auto":
        if _LIKE_MPS2[0] <= size <= _LIKE_MPS2[1]:
            unit = "mps2"
        elif _LIKE_G[0] <= size <= _LIKE_G[1]:
            unit = "g"
        elif size < _LIKE_G[0]:
            unit = "g" if np.abs(raw).max() < 20 else "mps2"
        else:
            raise ConfigError(f"the unit of acceleration must be told (--imu-unit g or mps2); at rest it is {size:.3g} ({file})")
        say(f"{file}: acceleration is in {'g' if unit == 'g' else 'm/s2'} (its median size is {size:.3g})")
    metric = raw * G if unit == "g" else raw
    if size * (G if unit == "g" else 1.0) < 0.5 * G:
        say(f"{file}: gravity has been taken out; it is added on the third axis")
        metric = metric + np.array([0.0, 0.0, G])
    return metric


def _record(raw: NDArray[np.float64], at_ms: NDArray[np.float64], file: Path, say: Callable[[str], None]) -> Record:
    seconds = (at_ms - at_ms[0]) / 1000.0
    if seconds[-1] <= 0:
        seconds = np.arange(len(raw)) / RATE_HZ
        say(f"{file}: times do not go on: {RATE_HZ} Hz taken")
    rate = (len(raw) - 1) / seconds[-1]
    edge = float(np.abs(raw).max())
    piled = int((np.abs(raw) >= 0.999 * edge).sum())
    full_scale = edge if piled >= _PILED and edge < FULL_SCALE_MPS2 else max(edge, FULL_SCALE_MPS2)
    if full_scale == edge and piled >= _PILED:
        say(f"{file}: {piled} values at the end of the range: full scale is {edge:.0f} m/s2")
    grid = np.arange(int(seconds[-1] * RATE_HZ) + 1) / RATE_HZ
    width = max(1, round(rate / RATE_HZ))
    if width > 1:
        kernel = np.ones(width) / width
        raw = np.stack([np.convolve(raw[:, k], kernel, mode="same") for k in range(3)], axis=1)
    samples = np.stack([np.interp(grid, seconds, raw[:, k]) for k in range(3)], axis=1)
    gaps = int((np.diff(seconds) > _GAP_S).sum())
    say(f"{file}: {rate:.1f} Hz{f', {gaps} gaps' if gaps else ''}; to {RATE_HZ} Hz")
    return Record(float(at_ms[0]), samples, full_scale)


def detect(record: Record, limit_mps2: float) -> list[Crash]:
    """All crashes. A range below the limit lowers it: what cannot be measured cannot be asked for."""
    limit = min(limit_mps2, _SHARE_OF_SCALE * record.full_scale_mps2)
    calm = np.median(record.samples[: round(_CALM_S * RATE_HZ)], axis=0)
    size = float(np.linalg.norm(calm))
    gravity = calm * (G / size) if size > 0.5 * G else np.array([0.0, 0.0, G])
    detector = Detector(limit, full_scale_mps2=record.full_scale_mps2, gravity_mps2=(gravity[0], gravity[1], gravity[2]))
    found, begin = [], 0
    while begin < len(record.samples):
        at = detector.feed(record.samples[begin:])
        if at < 0:
            break
        found.append(Crash(begin + at, detector.confidence))
        begin += at + 1
    return found
