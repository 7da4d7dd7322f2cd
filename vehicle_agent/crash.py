"""Crash detector: three-axis acceleration at 50 Hz, sample by sample, to "this was a crash". Runs on the vehicle; no I/O, no clock.

A crash takes speed from the vehicle: within 100 ms the horizontal velocity changes by more than a fall, a kerb or a brake can do, and
the peak is high. What looks like it and is none:
- kerbs, stairs, potholes: high peaks, but short and upright, so they change little horizontal velocity;
- the vehicle is dropped: free fall comes before the blow;
- a sensor that hangs at the end of its range: no other axis agrees with it, single spikes vanish in a median of three.
Its naive twin is tests/naive/crash.py.
"""

import math
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from fleetpulse.codecs.jit import inlined, kernel

RATE_HZ = 50
WINDOW = 5
"""Samples over which velocity is summed: 100 ms."""
DELTA_V_MPS = 2.8
FULL_SCALE_MPS2 = 196.0
"""Range of the sensor, +-20 g."""
_RAIL = 0.99 * FULL_SCALE_MPS2
_RAIL_SAMPLES = 5
"""An axis this long at the end of its range is broken ..."""
_HEAL_SAMPLES = 50
"""... and believed again after this many sane samples."""
_AGREE_MPS2 = 6.0
_AGREE_SAMPLES = 2
"""Of an axis within its range that shakes too; unfiltered, since what rings fast a median takes away."""
_FALL_MPS2 = 4.0
_FALL_SAMPLES = 4
_AFTER_FALL_SAMPLES = 50
_HOLD_SAMPLES = 150
"""After a crash the next is reported 3 s later at the earliest."""
_GRAVITY_SHARE = 0.02
_QUIET_MPS2 = 3.0
_G = 9.81

# layout of a detector's state, (STATE,) float64
_SEEN, _LAST, _BEFORE, _GRAVITY, _RAILED, _HEAL = 0, 1, 4, 7, 10, 13
_FALLING, _SINCE_FALL, _HOLD, _NEXT, _DYNAMIC = 16, 17, 18, 19, 20
_PEAK = _DYNAMIC + 3 * WINDOW
_REACH = _PEAK + WINDOW
_RAIL_AT = _REACH + 3 * WINDOW
_LEVEL, _STRONGEST = _RAIL_AT + 1, _RAIL_AT + 2
STATE = _RAIL_AT + 3


@inlined
def reset(state: NDArray[np.float64]) -> None:
    """Upright and at rest."""
    for k in range(STATE):
        state[k] = 0.0
    state[_GRAVITY + 2] = _G
    state[_RAIL_AT] = _RAIL
    state[_SINCE_FALL] = _AFTER_FALL_SAMPLES + 1.0


@inlined
def _median(a: float, b: float, c: float) -> float:
    return max(min(a, b), min(max(a, b), c))


@inlined
def feed(state: NDArray[np.float64], x: float, y: float, z: float, limit_mps2: float) -> bool:
    """Take one sample (m/s2 in the vehicle's axes, gravity included); True when it completes a crash.

    state       (STATE,) updated in place
    limit_mps2  least peak of a crash, `crash_limit_mps2` of the vehicle model
    """
    raw = (x, y, z)
    slot = int(state[_NEXT])
    size = math.sqrt(x * x + y * y + z * z)
    for axis in range(3):  # broken axes
        if abs(raw[axis]) >= state[_RAIL_AT]:
            state[_RAILED + axis] += 1.0
            if state[_RAILED + axis] >= _RAIL_SAMPLES:
                state[_HEAL + axis] = _HEAL_SAMPLES
        else:
            state[_RAILED + axis] = 0.0
            state[_HEAL + axis] = max(0.0, state[_HEAL + axis] - 1.0)
    if size < _FALL_MPS2:  # free fall
        state[_FALLING] += 1.0
        if state[_FALLING] >= _FALL_SAMPLES:
            state[_SINCE_FALL] = 0.0
    else:
        state[_FALLING] = 0.0
        state[_SINCE_FALL] += 1.0
    peak = 0.0
    for axis in range(3):
        value = raw[axis]
        if state[_SEEN] >= 2.0:
            value = _median(raw[axis], state[_LAST + axis], state[_BEFORE + axis])
        healthy = state[_HEAL + axis] == 0.0
        state[_DYNAMIC + 3 * slot + axis] = value - state[_GRAVITY + axis] if healthy else 0.0
        state[_REACH + 3 * slot + axis] = raw[axis] if healthy else state[_GRAVITY + axis]
        if healthy:
            peak += (raw[axis] - state[_GRAVITY + axis]) ** 2
        state[_BEFORE + axis] = state[_LAST + axis]
        state[_LAST + axis] = raw[axis]
    state[_PEAK + slot] = math.sqrt(peak)
    state[_NEXT] = float((slot + 1) % WINDOW)
    state[_SEEN] += 1.0
    crashed = state[_HOLD] == 0.0 and state[_SEEN] > WINDOW and state[_SINCE_FALL] > _AFTER_FALL_SAMPLES and _struck(state, limit_mps2)
    state[_HOLD] = float(_HOLD_SAMPLES) if crashed else max(0.0, state[_HOLD] - 1.0)
    if abs(size - _G) < _QUIET_MPS2:
        for axis in range(3):
            state[_GRAVITY + axis] += _GRAVITY_SHARE * (raw[axis] - state[_GRAVITY + axis])
    return crashed


@inlined
def _struck(state: NDArray[np.float64], limit_mps2: float) -> bool:
    """Whether the window holds a crash: peak, horizontal change of velocity, and an axis within its range that agrees."""
    peak = 0.0
    agrees = False
    railed = False
    dv = np.zeros(3)
    for axis in range(3):
        reach = 0.0
        shaken = 0
        for k in range(WINDOW):
            dv[axis] += state[_DYNAMIC + 3 * k + axis] / RATE_HZ
            reach = max(reach, abs(state[_REACH + 3 * k + axis]))
            shaken += abs(state[_REACH + 3 * k + axis] - state[_GRAVITY + axis]) >= _AGREE_MPS2
        if reach >= state[_RAIL_AT]:
            railed = True
        elif shaken >= _AGREE_SAMPLES:
            agrees = True
    for k in range(WINDOW):
        peak = max(peak, state[_PEAK + k])
    gx, gy, gz = state[_GRAVITY], state[_GRAVITY + 1], state[_GRAVITY + 2]
    norm = max(1e-6, math.sqrt(gx * gx + gy * gy + gz * gz))
    upright = (dv[0] * gx + dv[1] * gy + dv[2] * gz) / norm
    level = math.sqrt(max(0.0, dv[0] ** 2 + dv[1] ** 2 + dv[2] ** 2 - upright**2))
    state[_LEVEL], state[_STRONGEST] = level, peak
    return peak >= limit_mps2 and level >= DELTA_V_MPS and level >= abs(upright) and (not railed or agrees)


@inlined
def confidence(state: NDArray[np.float64], limit_mps2: float) -> float:
    """In the crash that the last sample completed: 0.5 at both limits, towards 1 the more change of velocity and the higher the peak."""
    over = 2.0 * (state[_LEVEL] / DELTA_V_MPS - 1.0) + state[_STRONGEST] / limit_mps2 - 1.0
    return float(1.0 - 0.5 ** (1.0 + max(0.0, over)))


@kernel(types.int64(types.float64[::1], types.float64[:, ::1], types.float64))
def _scan(state: Any, samples: Any, limit_mps2: float) -> int:
    for n in range(len(samples)):
        if feed(state, samples[n, 0], samples[n, 1], samples[n, 2], limit_mps2):
            return n
    return -1


@kernel(types.void(types.float64[::1]))
def _reset(state: Any) -> None:
    reset(state)


@kernel(types.float64(types.float64[::1], types.float64))
def _confidence(state: Any, limit_mps2: float) -> float:
    return confidence(state, limit_mps2)


class Detector:
    """The detector of one vehicle.

    confidence       in the last crash that `feed` found, 0.5-1
    full_scale_mps2  range of the sensor
    gravity_mps2     how it is mounted, as the vehicle stands; it learns the rest

    >>> Detector(limit_mps2=60.0).feed(np.tile([0.0, 0.0, 9.81], (100, 1)))
    -1
    """

    def __init__(
        self,
        limit_mps2: float,
        *,
        full_scale_mps2: float = FULL_SCALE_MPS2,
        gravity_mps2: tuple[float, float, float] = (0.0, 0.0, _G),
    ) -> None:
        self._limit_mps2 = limit_mps2
        self._state = np.zeros(STATE)
        _reset(self._state)
        self._state[_RAIL_AT] = 0.99 * full_scale_mps2
        self._state[_GRAVITY : _GRAVITY + 3] = gravity_mps2
        self.confidence = 0.0

    def feed(self, samples: NDArray[np.float64]) -> int:
        """(N, 3) samples in m/s2; the number of the first one that completes a crash, -1 when none does. Stops there."""
        found = _scan(self._state, np.ascontiguousarray(samples, dtype=np.float64), self._limit_mps2)
        if found >= 0:
            self.confidence = _confidence(self._state, self._limit_mps2)
        return found
