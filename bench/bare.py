"""The limit that the state kernel is compared with: running moments of eight signals a vehicle, nothing else. A kernel of its own."""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from fleetpulse.codecs.jit import kernel

SIGNALS = (
    "speed_mps",
    "battery_soc_pct",
    "battery_voltage_v",
    "battery_current_a",
    "battery_temperature_c",
    "accel_rms_mps2",
    "tyre_pressure_front_left_kpa",
    "vibration_band1_rms_mps2",
)


@kernel(numba.void(numba.int64[::1], numba.float32[:, ::1], numba.float64[:, :, ::1]))
def fold(row: NDArray[np.int64], x: NDArray[np.float32], into: NDArray[np.float64]) -> None:
    """Fold frames into their vehicles' moments (Welford 1962), minima and maxima.

    row   (N,) row of each frame's vehicle, < V
    x     (N, S) signals; none is NaN
    into  (V, S, 5) count, mean, m2, least, greatest; updated in place
    """
    for i in range(len(row)):
        v = into[row[i]]
        for s in range(x.shape[1]):
            value = x[i, s]
            v[s, 0] += 1
            delta = value - v[s, 1]
            v[s, 1] += delta / v[s, 0]
            v[s, 2] += delta * (value - v[s, 1])
            v[s, 3] = min(v[s, 3], value)
            v[s, 4] = max(v[s, 4], value)


def signals(rows: NDArray[Any]) -> NDArray[np.float32]:
    """(N, S) of FRAME rows."""
    return np.ascontiguousarray(np.stack([rows[name] for name in SIGNALS], axis=1))


def empty(vehicles: int) -> NDArray[np.float64]:
    """(V, S, 5) of no frame."""
    into = np.zeros((vehicles, len(SIGNALS), 5))
    into[:, :, 3], into[:, :, 4] = np.inf, -np.inf
    return into
