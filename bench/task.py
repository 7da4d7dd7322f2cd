"""The task that all rivals do, its result by obvious NumPy, and the comparison. Plain data; nothing runs here.

Read JSON frames, decode them, aggregate each vehicle's frames in tumbling 60 s windows of event time (count, mean speed, minimum
charge), write each closed window to one topic, and to another an event for each window whose minimum charge is below 15 %.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import orjson
from numpy.typing import NDArray

from fleetpulse.codecs import tables

WINDOW_MS = 60_000
LOW_BATTERY_PCT = 15.0
RELATIVE_ERROR = 1e-6
"""Of a mean: systems add the speeds in different orders, and ours keeps them as 32-bit floats."""
CLOSER_PREFIX = "00000000-0000-4000-8000-"
"""Device ids of later frames, one a partition, that close all windows before; their own windows do not count."""

Window = tuple[str, int]
"""Device id and start of the window, ms since 1970."""


@dataclass(frozen=True)
class Results:
    """windows: (frames, mean speed, minimum charge) of each; events: minimum charge of each; doubles: how often one came again."""

    windows: dict[Window, tuple[int, float, float]]
    events: dict[Window, float]
    doubles: int = 0


def reference(frames: NDArray[Any]) -> Results:
    """What (N,) FRAME rows must lead to."""
    device = np.stack([frames["device_hi"], frames["device_lo"]], axis=1)
    ids, vehicle = np.unique(device, axis=0, return_inverse=True)
    start_ms = frames["time_ms"] // WINDOW_MS * WINDOW_MS
    starts, minute = np.unique(start_ms, return_inverse=True)
    group = vehicle.ravel() * len(starts) + minute
    keys, at = np.unique(group, return_inverse=True)
    count = np.bincount(at)
    # the numbers as JSON shows them: a float32 column holds the nearest float to the decimal
    mean = np.bincount(at, weights=np.round(frames["speed_mps"].astype(np.float64), 2)) / count
    least = np.full(len(keys), np.inf)
    np.minimum.at(least, at, np.round(frames["battery_soc_pct"].astype(np.float64), 1))
    texts = [f"{hi:016x}{lo:016x}" for hi, lo in ids.tolist()]
    texts = [f"{t[:8]}-{t[8:12]}-{t[12:16]}-{t[16:20]}-{t[20:]}" for t in texts]
    windows = {}
    for key, n, speed, soc in zip(keys.tolist(), count.tolist(), mean.tolist(), least.tolist(), strict=True):
        windows[texts[key // len(starts)], int(starts[key % len(starts)])] = (n, speed, soc)
    return Results(windows, {key: soc for key, (_, _, soc) in windows.items() if soc < LOW_BATTERY_PCT})


def _rows(value: bytes) -> list[dict[str, Any]]:
    """One window as JSON, or many as an Arrow record batch."""
    if value.startswith(b"{"):
        return [orjson.loads(value)]
    rows: list[dict[str, Any]] = tables.read(value).to_pylist()
    return [{**row, "device_id": str(UUID(bytes=row["device_id"]))} for row in rows]


def count(value: bytes) -> int:
    """How many results a record of a result topic holds."""
    return 1 if value.startswith(b"{") else tables.read(value).num_rows


def parse(windows: Iterable[bytes], events: Iterable[bytes]) -> Results:
    """Results from the values of the two topics. Raises KeyError or ValueError for another form."""
    found: dict[Window, tuple[int, float, float]] = {}
    low: dict[Window, float] = {}
    doubles = 0
    for row in (row for value in windows for row in _rows(value)):
        key = row["device_id"], row["window_start_ms"]
        if not key[0].startswith(CLOSER_PREFIX):
            doubles += key in found
            found[key] = row["frames"], row["speed_mean_mps"], row["soc_min_pct"]
    for value in events:
        row = orjson.loads(value)
        key = row["device_id"], row["window_start_ms"]
        if not key[0].startswith(CLOSER_PREFIX):
            doubles += key in low
            low[key] = row["soc_min_pct"]
    return Results(found, low, doubles)


def difference(found: Results, wanted: Results) -> str | None:
    """None when the results are equal: the same windows and events; counts and minima equal, means within RELATIVE_ERROR; no doubles."""
    if found.doubles:
        return f"{found.doubles} results came twice"
    for what, got, want in (
        ("windows", found.windows.keys(), wanted.windows.keys()),
        ("events", found.events.keys(), wanted.events.keys()),
    ):
        if got != want:
            return f"{what}: {len(want - got)} of {len(want)} are missing, {len(got - want)} are wrong"
    for key, (frames, speed, soc) in wanted.windows.items():
        n, mean, least = found.windows[key]
        if n != frames or abs(mean - speed) > RELATIVE_ERROR * max(abs(speed), 1e-3) or abs(least - soc) > RELATIVE_ERROR * soc:
            return f"window {key} must be {(frames, speed, soc)}; got {(n, mean, least)}"
    for key, soc in wanted.events.items():
        if abs(found.events[key] - soc) > RELATIVE_ERROR * soc:
            return f"event {key} must have {soc}; got {found.events[key]}"
    return None
