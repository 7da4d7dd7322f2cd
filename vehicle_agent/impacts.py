"""Acceleration at 50 Hz around a blow, as the sensor of a vehicle gives it: crash, kerb, stairs, drop, tip-over, broken sensor.

What the crash detector is fed with, in the simulator and in its tests. A function of (kind, time since the blow, size, key).
"""

import math
from enum import IntEnum
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from fleetpulse.codecs.jit import inlined, kernel
from fleetpulse.vehicle_agent import noise
from fleetpulse.vehicle_agent.crash import FULL_SCALE_MPS2, RATE_HZ


class Impact(IntEnum):
    """What happens at time 0. `size` is the lost speed in m/s for CRASH, else the peak in m/s2."""

    RIDE = 0
    CRASH = 1
    KERB = 2
    STAIRS = 3
    DROP = 4
    TIP = 5
    BROKEN_SENSOR = 6


_RIDE, _CRASH, _KERB, _STAIRS, _DROP, _TIP = (int(kind) for kind in list(Impact)[:6])
_BROKEN = int(Impact.BROKEN_SENSOR)
_G = 9.81
_CRASH_S = 0.08
_BLOW_S = 0.04
_FALL_S = 0.32
_TIP_S = 0.8


@inlined
def _pulse(t: float, begin: float, length: float) -> float:
    """Half a sine wave of height 1."""
    return math.sin(math.pi * (t - begin) / length) if begin <= t < begin + length else 0.0


@inlined
def _clip(value: float) -> float:
    return max(-FULL_SCALE_MPS2, min(FULL_SCALE_MPS2, value))


@inlined
def sample(kind: int, t: float, size: float, key: np.uint64, number: int) -> tuple[float, float, float]:
    """Acceleration (x ahead, y left, z up; gravity included) `t` seconds after the blow; `number` tells samples apart."""
    shake = 0.5
    x, y, z = 0.0, 0.0, _G
    side = 1.0 if noise.uniform(key, 0, 40) < 0.5 else -1.0
    if kind == _CRASH:
        peak = size * math.pi / (2.0 * _CRASH_S)
        blow = peak * _pulse(t, 0.0, _CRASH_S)
        x -= 0.93 * blow
        y += side * 0.36 * blow
        if t >= 0.0:
            ring = peak * math.exp(-t / 0.06)
            z += 0.3 * ring * math.sin(2.0 * math.pi * 17.0 * t)
            shake += 0.03 * ring
    elif kind == _KERB:
        z += size * _pulse(t, 0.0, _BLOW_S) - 0.3 * size * _pulse(t, _BLOW_S, 0.06)
        x -= 0.35 * size * _pulse(t, 0.0, _BLOW_S)
    elif kind == _STAIRS:
        if 0.0 <= t < 1.5:
            step = t % 0.14
            z += size * _pulse(step, 0.0, _BLOW_S) - 0.4 * size * _pulse(step, _BLOW_S, 0.05)
            x -= 0.35 * size * _pulse(step, 0.0, _BLOW_S)
            y += side * 0.2 * size * _pulse(step, 0.02, _BLOW_S)
    elif kind == _DROP:
        if -_FALL_S <= t < 0.0:
            z = 0.2
            shake = 0.2
        z += size * _pulse(t, 0.0, _BLOW_S)
        x += 0.6 * size * _pulse(t, 0.0, 1.5 * _BLOW_S)
        y += side * 0.6 * size * _pulse(t, 0.0, 1.5 * _BLOW_S)
    elif kind == _TIP:
        lean = 0.5 * math.pi * min(1.0, max(0.0, (t + _TIP_S) / _TIP_S)) ** 2
        y, z = side * _G * math.sin(lean), _G * math.cos(lean)
        y += side * size * _pulse(t, 0.0, _BLOW_S)
        z += 0.3 * size * _pulse(t, 0.0, _BLOW_S)
    elif kind == _BROKEN and t >= 0.0:
        x = side * FULL_SCALE_MPS2
    x += shake * noise.normal(key, number, 41)
    y += shake * noise.normal(key, number, 42)
    z += shake * noise.normal(key, number, 43)
    return _clip(x), _clip(y), _clip(z)


@kernel(types.void(types.int64, types.float64, types.uint64, types.float64, types.float64[:, ::1]))
def _fill(kind: int, size: float, key: np.uint64, before_s: float, out: Any) -> None:
    for n in range(len(out)):
        out[n] = sample(kind, n / RATE_HZ - before_s, size, key, n)


def trace(kind: Impact, size: float, *, seed: int, before_s: float = 1.0, after_s: float = 2.0) -> NDArray[np.float64]:
    """(N, 3) samples from `before_s` before the blow to `after_s` after it."""
    out = np.zeros((round((before_s + after_s) * RATE_HZ), 3))
    _fill(int(kind), size, np.uint64(seed), before_s, out)
    return out
