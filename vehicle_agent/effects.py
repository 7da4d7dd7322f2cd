"""What the active faults of one vehicle do in one second, gathered from its rows of the fault table. Part of kernels.

The layout is a plain array of numbers, so that the kernel's parts can share it without allocation.
"""

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.codecs.jit import inlined
from fleetpulse.vehicle_agent.faults import Fault


class Effect(IntEnum):
    """Places in the array; 0 means no effect unless said otherwise."""

    RIDE = 0
    PARKED_W = 1
    RIDING_FACTOR = 2
    CELLS = 3
    OHM = 4
    LEAK = 5  # kPa per second
    LEAK_WHEEL = 6
    BEARING = 7
    CRASH = 8  # 1 + row of the fault table
    TIP = 9  # roll in degrees
    TIP_ROW = 10
    THEFT_MPS = 11
    TAMPER = 12
    STUCK = 13
    TELEPORT_M = 14
    CLOCK_MS = 15
    FROZEN = 16
    HEAT_C = 17
    UNATTENDED = 18
    GEOFENCE = 19
    TARGET_I = 20
    TARGET_J = 21
    FAULT_BITS = 22
    IMPOSSIBLE = 23  # 1 + running number
    MODEL_ID = 24
    JUMP_S = 25
    JUMP_PCT = 26
    KNOCK = 27  # 1 + row of the fault table
    STAND = 28
    BORDER = 29
    BORDER_LONGITUDE = 30
    BORDER_LATITUDE = 31
    WANDER_M = 32


EFFECTS = len(Effect)
RIDE, PARKED_W, RIDING_FACTOR, CELLS, OHM, LEAK, LEAK_WHEEL, BEARING, CRASH, TIP, TIP_ROW, THEFT_MPS, TAMPER = (
    int(e) for e in list(Effect)[:13]
)
STUCK, TELEPORT_M, CLOCK_MS, FROZEN, HEAT_C, UNATTENDED, GEOFENCE, TARGET_I, TARGET_J, FAULT_BITS, IMPOSSIBLE, MODEL_ID = (
    int(e) for e in list(Effect)[13:25]
)
JUMP_S, JUMP_PCT, KNOCK, STAND, BORDER, BORDER_LONGITUDE, BORDER_LATITUDE, WANDER_M = (int(e) for e in list(Effect)[25:])
_DRAIN_PARKED, _DRAIN_RIDING, _DEAD_CELL, _TYRE_LEAK = (
    int(f) for f in (Fault.DRAIN_PARKED, Fault.DRAIN_RIDING, Fault.DEAD_CELL, Fault.TYRE_LEAK)
)
_BEARING, _CRASH, _TIP_OVER, _THEFT = (int(f) for f in (Fault.BEARING_VIBRATION, Fault.CRASH, Fault.TIP_OVER, Fault.THEFT))
_GPS_STUCK, _GPS_TELEPORT, _CLOCK_SKEW, _FROZEN = (
    int(f) for f in (Fault.GPS_STUCK, Fault.GPS_TELEPORT, Fault.CLOCK_SKEW, Fault.FROZEN_SOC)
)
_OVER_TEMPERATURE, _LOW_BATTERY, _GEOFENCE = (int(f) for f in (Fault.OVER_TEMPERATURE, Fault.LOW_BATTERY, Fault.GEOFENCE))
_FAULT_CODE, _IMPOSSIBLE, _UNKNOWN_MODEL = (int(f) for f in (Fault.FAULT_CODE, Fault.IMPOSSIBLE_VALUES, Fault.UNKNOWN_MODEL))
_CLOCK_AHEAD, _CLOCK_BEHIND, _RIDE, _REBOOT = (int(f) for f in (Fault.CLOCK_AHEAD, Fault.CLOCK_BEHIND, Fault.RIDE, Fault.REBOOT))
_JUMPING, _AGEING, _PREHEATING, _KNOCK, _BORDER, _STAND = (
    int(f) for f in (Fault.JUMPING_SOC, Fault.AGEING, Fault.PREHEATING, Fault.KNOCK, Fault.BORDER, Fault.STAND)
)
_PARKED = 0
_RIDING = 2
_REBOOT_SILENT_S = 15
_DAY_S = 86_400.0
_LOWEST_SOH_PCT = 40.0
_HOT_C = 55.0
"""Over-temperature shows from here on."""
_FROZEN_SHARE = 0.004
"""A frozen charge shows when it is off by as much of the whole."""


@inlined
def _began(fault: Any, second: int) -> None:
    """The fault shows in this second: extend what the label will say."""
    if fault.began_ms == 0:
        fault.began_ms = max(second * 1000, fault.start_ms)
    fault.ended_ms = min((second + 1) * 1000, fault.end_ms)


@inlined
def gather(faults: Any, first: int, last: int, rec: Any, spec: Any, second: int, fx: NDArray[np.float64]) -> None:
    """Effects of rows first..last-1 in this second into fx; what a fault does once (reboot, discharge) is done here."""
    for k in range(EFFECTS):
        fx[k] = 0.0
    fx[RIDING_FACTOR] = 1.0
    now_ms = second * 1000
    for f in range(first, last):
        fault = faults[f]
        if now_ms + 1000 <= fault.start_ms or now_ms >= fault.end_ms:
            continue
        kind = fault.kind
        age_s = second - fault.start_ms // 1000
        shows = True
        if kind == _RIDE:
            fx[RIDE] = 1.0
        elif kind == _REBOOT:
            if fault.began_ms == 0 and rec.seq > 0:
                rec.previous_last = rec.seq - 1
                rec.boot_id += 1
                rec.seq = 0
                rec.last_status = -1
                rec.silent_until_s = second + _REBOOT_SILENT_S
        elif kind == _DRAIN_PARKED:
            fx[PARKED_W] += fault.a
            shows = rec.mode == _PARKED
        elif kind == _DRAIN_RIDING:
            fx[RIDING_FACTOR] *= fault.a
            shows = rec.mode == _RIDING
        elif kind == _DEAD_CELL:
            fx[CELLS], fx[OHM] = fault.a, fault.b
        elif kind == _TYRE_LEAK:
            fx[LEAK], fx[LEAK_WHEEL] = fault.b / 60.0, fault.a
        elif kind == _BEARING:
            fx[BEARING] = fault.a + (fault.b - fault.a) * age_s / max(1, (fault.end_ms - fault.start_ms) // 1000)
            shows = rec.mode == _RIDING
        elif kind == _CRASH:
            fx[CRASH] = f + 1.0
            shows = rec.crashed == 1
        elif kind == _TIP_OVER:
            fx[TIP], fx[TIP_ROW] = fault.a, f + 1.0
            shows = rec.tipped == 1
        elif kind == _THEFT:
            fx[THEFT_MPS], fx[TAMPER] = fault.a, fault.b
            shows = rec.stolen == 1
        elif kind == _GPS_STUCK:
            fx[STUCK] = 1.0
            shows = rec.mode == _RIDING
        elif kind == _GPS_TELEPORT:
            if age_s % max(1, int(fault.a)) < 2:
                fx[TELEPORT_M] = fault.b
        elif kind in (_CLOCK_SKEW, _CLOCK_AHEAD, _CLOCK_BEHIND):
            fx[CLOCK_MS] += fault.a
        elif kind == _FROZEN:
            fx[FROZEN] = 1.0
            charge = rec.energy_wh / (spec.battery_wh * rec.soh_pct / 100.0)
            shows = rec.frozen_soc >= 0.0 and abs(charge - rec.frozen_soc / 100.0) > _FROZEN_SHARE
        elif kind == _OVER_TEMPERATURE:
            fx[HEAT_C] = fault.a
            shows = rec.battery_c > _HOT_C
        elif kind == _LOW_BATTERY:
            fx[UNATTENDED] = 1.0
            if fault.began_ms == 0:
                rec.charging = 0
                rec.energy_wh = min(rec.energy_wh, fault.a / 100.0 * spec.battery_wh * rec.soh_pct / 100.0)
        elif kind == _GEOFENCE:
            fx[GEOFENCE], fx[TARGET_I], fx[TARGET_J] = 1.0, fault.c, fault.d
        elif kind == _FAULT_CODE:
            fx[FAULT_BITS] = fault.a
        elif kind == _JUMPING:
            fx[JUMP_S], fx[JUMP_PCT] = fault.a, fault.b
        elif kind == _AGEING:
            charge = rec.energy_wh / rec.soh_pct
            rec.soh_pct = max(_LOWEST_SOH_PCT, fault.a - fault.b * age_s / _DAY_S)
            rec.energy_wh = charge * rec.soh_pct
        elif kind == _PREHEATING:
            fx[PARKED_W] += fault.a
            shows = rec.mode == _PARKED
        elif kind == _KNOCK:
            fx[KNOCK] = f + 1.0
            shows = False
        elif kind == _BORDER:
            fx[BORDER], fx[BORDER_LONGITUDE], fx[BORDER_LATITUDE], fx[WANDER_M] = 1.0, fault.a, fault.b, fault.c
            shows = rec.mode == _PARKED
        elif kind == _STAND:
            fx[STAND] = 1.0
        elif kind == _IMPOSSIBLE:
            period = max(1, int(fault.a))
            if age_s % period == 0:
                fx[IMPOSSIBLE] = 1.0 + age_s // period
        elif kind == _UNKNOWN_MODEL:
            fx[MODEL_ID] = fault.a
        if shows:
            _began(fault, second)
