"""What hits a simulated vehicle: crashes, kerbs, falls. Around a blow 50 Hz samples run through its crash detector. Part of kernels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.codecs.jit import inlined
from fleetpulse.vehicle_agent import crash, effects, impacts, noise, rides
from fleetpulse.vehicle_agent.impacts import Impact
from fleetpulse.vehicle_agent.vehicles import Mode

_PARKED, _RIDING = int(Mode.PARKED), int(Mode.RIDING)
_CRASH, _KERB, _TIP, _DROP, _BROKEN = (int(i) for i in (Impact.CRASH, Impact.KERB, Impact.TIP, Impact.DROP, Impact.BROKEN_SENSOR))
_CRASH_FROM_MPS = 3.0
_KERB_SHARE = 1.0 / 500.0
_KERB_LEAST, _KERB_MORE = 18.0, 24.0
_TIP_MPS2 = 34.0
_BLOW_S = 3
"""Seconds that the detector is fed with after a blow, its own included."""
_G = 9.81


@inlined
def _strikes(rec: Any, fault: Any) -> bool:
    """Whether a knock can happen now: a drop to a vehicle that stands, kerbs and stairs to one that rides; a broken sensor always again."""
    if int(fault.a) == _BROKEN:
        return True
    return bool(fault.began_ms == 0 and (rec.mode == _PARKED if int(fault.a) == _DROP else rec.speed_mps > 2.0))


@inlined
def strike(rec: Any, spec: Any, faults: Any, fx: NDArray[np.float64], state: NDArray[np.float64], second: int) -> int:
    """Begin what hits the vehicle in this second, and feed the detector around it.

    state  (STATE,) of the vehicle's detector
    Returns when in this second the detector found a crash, in ms; -1 when it found none.
    """
    if fx[effects.CRASH] <= 0.0 and rec.crashed == 1:
        rec.crashed = 0
        rec.alarmed = 0
    if fx[effects.TIP] <= 0.0 and rec.crashed == 0 and rec.tipped == 1:  # somebody puts it up
        rec.tipped = 0
        rec.roll_deg = 3.0 + 4.0 * noise.uniform(rec.key, 0, 19)
    if fx[effects.CRASH] > 0.0 and rec.crashed == 0 and rec.mode == _RIDING and rec.speed_mps >= _CRASH_FROM_MPS:
        fault = faults[int(fx[effects.CRASH]) - 1]
        if fault.began_ms == 0:
            rec.impact, rec.impact_s, rec.impact_ms = _CRASH, second, 100 + int(500.0 * noise.uniform(rec.key, second, 12))
            rec.impact_size = max(5.0, fault.a if fault.a > 0.0 else 0.9 * rec.speed_mps)
            fault.began_ms = second * 1000 + rec.impact_ms
            fault.ended_ms = fault.end_ms
            rides.crash(rec, spec, second)
    elif fx[effects.TIP] > 0.0 and rec.tipped == 0 and rec.mode == _PARKED and rec.stolen == 0 and spec.wheels == 2:
        fault = faults[int(fx[effects.TIP_ROW]) - 1]
        rec.tipped = 1
        rec.roll_deg = fx[effects.TIP]
        rec.impact, rec.impact_s, rec.impact_ms, rec.impact_size = _TIP, second, 900, _TIP_MPS2
        fault.began_ms = second * 1000
        fault.ended_ms = fault.end_ms
    elif fx[effects.KNOCK] > 0.0 and rec.impact == 0 and _strikes(rec, faults[int(fx[effects.KNOCK]) - 1]):
        fault = faults[int(fx[effects.KNOCK]) - 1]
        rec.impact, rec.impact_s, rec.impact_ms, rec.impact_size = int(fault.a), second, 400, fault.b
        fault.began_ms = second * 1000 + 400 if fault.began_ms == 0 else fault.began_ms
        fault.ended_ms = (second + 1) * 1000
    elif rec.speed_mps > 2.0 and rec.impact == 0 and rec.stolen == 0 and noise.uniform(rec.key, second, 13) < _KERB_SHARE:
        rec.impact, rec.impact_s, rec.impact_ms = _KERB, second, int(900.0 * noise.uniform(rec.key, second, 14))
        rec.impact_size = _KERB_LEAST + _KERB_MORE * noise.uniform(rec.key, second, 15)
    if rec.impact == 0:
        return -1
    if rec.detector_s != second - 1:
        crash.reset(state)
    rec.detector_s = second
    if rec.impact_s == second:
        rec.peak_x = rec.peak_y = rec.peak_z = 0.0
        rec.untold = 1
    found = -1
    key = noise.mix(np.uint64(rec.key ^ np.uint64(rec.impact_s)))
    for n in range(crash.RATE_HZ):
        number = (second - rec.impact_s) * crash.RATE_HZ + n
        t = number / crash.RATE_HZ - rec.impact_ms / 1000.0
        x, y, z = impacts.sample(rec.impact, t, rec.impact_size, key, number)
        if crash.feed(state, x, y, z, spec.crash_limit_mps2):
            found = (n + 1) * (1000 // crash.RATE_HZ)
        z -= _G
        if rec.impact_s == second:
            rec.peak_x = x if abs(x) > abs(rec.peak_x) else rec.peak_x
            rec.peak_y = y if abs(y) > abs(rec.peak_y) else rec.peak_y
            rec.peak_z = z if abs(z) > abs(rec.peak_z) else rec.peak_z
    if second - rec.impact_s >= _BLOW_S - 1:
        rec.impact = 0
    return found
