"""Frames to the JSON text that old firmware sends: the first fourteen fields and six more, one object a frame. Made by a kernel, fast
enough that a million frames need no cache. The same text by obvious Python: tests/naive/json_text.py.
"""

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from fleetpulse.bench.workload import DECIMALS
from fleetpulse.codecs.jit import inlined, kernel

FIELDS = (
    "time_ms",
    "boot_id",
    "seq",
    "latitude_e7",
    "longitude_e7",
    "horizontal_accuracy_m",
    "speed_mps",
    "heading_deg",
    "battery_soc_pct",
    "battery_voltage_v",
    "battery_current_a",
    "battery_temperature_c",
    "status",
    "satellites",
    "odometer_m",
    "tyre_pressure_front_left_kpa",
    "tyre_pressure_rear_left_kpa",
    "rssi_dbm",
    "model_id",
)
"""In order, after `device_id`. All are present in every frame of the workload."""
_LONGEST_BYTES = 640
_u8, _i64 = numba.uint8, numba.int64


@dataclass(frozen=True)
class Text:
    """N values one after the other. payload (B,) uint8; ends (N,) int64."""

    payload: NDArray[np.uint8]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends)

    def values(self) -> list[bytes]:
        """The values as bytes objects."""
        data, begin, out = self.payload.tobytes(), 0, []
        for end in self.ends.tolist():
            out.append(data[begin:end])
            begin = end
        return out


@inlined
def _put(out: NDArray[np.uint8], at: int, text: NDArray[np.uint8], begin: int, end: int) -> int:
    for i in range(begin, end):
        out[at] = text[i]
        at += 1
    return at


@inlined
def _put_number(out: NDArray[np.uint8], at: int, scaled: int, decimals: int, digits: NDArray[np.uint8]) -> int:
    """`scaled` / 10**decimals with exactly that many digits after the point."""
    if scaled < 0:
        out[at] = 45
        at += 1
        scaled = -scaled
    n = 0
    while scaled > 0 or n <= decimals:
        digits[n] = 48 + scaled % 10
        scaled //= 10
        n += 1
    while n > 0:
        n -= 1
        out[at] = digits[n]
        at += 1
        if n == decimals and n > 0:
            out[at] = 46
            at += 1
    return at


@kernel(_i64(_i64[:, ::1], _u8[:, ::1], _i64[::1], _u8[::1], _i64[::1], _u8[::1], _i64[::1]))
def write(
    scaled: NDArray[np.int64],
    ids: NDArray[np.uint8],
    decimals: NDArray[np.int64],
    names: NDArray[np.uint8],
    name_ends: NDArray[np.int64],
    out: NDArray[np.uint8],
    ends: NDArray[np.int64],
) -> int:
    """Write N objects; returns how many bytes.

    scaled     (N, S) values times 10**decimals
    ids        (N, 36) UUID text
    names      `{"device_id":"`, then `","<name>":` or `,"<name>":` before each value; name_ends (S + 1,)
    out, ends  (N * _LONGEST_BYTES,), (N,) filled
    """
    digits = np.empty(24, dtype=np.uint8)
    at = 0
    for i in range(len(scaled)):
        at = _put(out, at, names, 0, name_ends[0])
        at = _put(out, at, ids[i], 0, 36)
        for s in range(scaled.shape[1]):
            at = _put(out, at, names, name_ends[s], name_ends[s + 1])
            at = _put_number(out, at, scaled[i, s], decimals[s], digits)
        out[at] = 125
        at += 1
        ends[i] = at
    return at


def encode(frames: NDArray[Any]) -> Text:
    """(N,) FRAME rows to N JSON objects."""
    decimals = [DECIMALS.get(name, 0) for name in FIELDS]
    scaled = np.empty((len(frames), len(FIELDS)), dtype=np.int64)
    for s, (name, places) in enumerate(zip(FIELDS, decimals, strict=True)):
        scaled[:, s] = np.rint(frames[name].astype(np.float64) * 10**places)
    names = ['{"device_id":"', *(f'{"" if s else chr(34)},"{name}":' for s, name in enumerate(FIELDS))]
    out, ends = np.empty(len(frames) * _LONGEST_BYTES, dtype=np.uint8), np.empty(len(frames), dtype=np.int64)
    size = write(
        scaled,
        uuid_text(frames["device_hi"], frames["device_lo"]),
        np.array(decimals, dtype=np.int64),
        np.frombuffer("".join(names).encode(), dtype=np.uint8).copy(),
        np.cumsum([len(name) for name in names], dtype=np.int64),
        out,
        ends,
    )
    return Text(out[:size].copy(), ends)


def uuid_text(hi: NDArray[np.uint64], lo: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """(N, 36) ASCII of the UUIDs."""
    halves = np.empty((len(hi), 2), dtype=">u8")
    halves[:, 0], halves[:, 1] = hi, lo
    octets = halves.view(np.uint8).reshape(-1, 16)
    nibbles = np.empty((len(hi), 32), dtype=np.uint8)
    nibbles[:, 0::2], nibbles[:, 1::2] = octets >> 4, octets & 15
    letters = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)[nibbles]
    dash = np.full((len(hi), 1), 45, dtype=np.uint8)
    parts = [letters[:, :8], dash, letters[:, 8:12], dash, letters[:, 12:16], dash, letters[:, 16:20], dash, letters[:, 20:]]
    return np.ascontiguousarray(np.concatenate(parts, axis=1))
