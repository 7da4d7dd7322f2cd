"""Whether a vehicle's senses can be believed, from frame to frame; what is not believed counts as not measured.

Single values first: a position nobody can reach so fast, a charge that no battery takes so fast. They are believed again when time enough
has passed for them to be true. Then senses (facts.Sensor): one that stays when it must move, one that jumps again and again. A bad sense is
left out of windows, rules and models until it is good; that it lasts is the condition SENSOR. Its naive twin is tests/naive/health.py.
"""

from typing import Any

import numpy as np

from fleetpulse.codecs.jit import inlined, merged
from fleetpulse.codecs.schema import MISSING_E7, Status
from fleetpulse.state.cast import code, real, whole
from fleetpulse.state.facts import Sensor
from fleetpulse.state.geofence import E7_M, positioned
from fleetpulse.state.intervals import FASTEST_MPS, LONGEST_MS, SLACK_M, metres
from fleetpulse.state.vehicle import Flag

PLACE, CHARGE, SPEED, CHARGING = (code(1 << i) for i in range(4))
"""What is left out of a frame."""
GAP_MS = 600_000
"""After a silence of more, any position and any charge may be true."""
STILL_E7 = 2_000
"""Positions whose latitude and longitude together differ by less are the same place: about 20 m."""
TELEPORT_M = 200.0
"""What a position may be off by, beside its accuracy."""
PHANTOMS = 4
LEAST_SHARE, PLACE_SHARE = 0.2, 0.5
"""Of the way by speed that the wheels, and the position, must show at least."""
BY_RANGE = 0.5
"""Of the charge that the way costs by the model's range: so much at least, where current or voltage is not measured."""
_STUCK, _JUMPS = code(Sensor.POSITION_STUCK), code(Sensor.POSITION_JUMPS)
_FROZEN, _LEAPS = code(Sensor.CHARGE_FROZEN), code(Sensor.CHARGE_JUMPS)
_SPEED, _CHARGES, _RANGE = code(Sensor.SPEED), code(Sensor.CHARGING), code(Sensor.RANGE)
_CHARGING, _IN_USE = code(Status.CHARGING), code(Status.IN_USE)
_ANCHORED, _PLACE_DOUBTED, _CHARGE_DOUBTED = code(Flag.ANCHORED), code(Flag.PLACE_DOUBTED), code(Flag.CHARGE_DOUBTED)
_NAN = np.float32(np.nan)


@inlined
def left_out(sensors: int) -> int:
    """What bad senses take out of every frame."""
    what = 0
    if sensors & (_STUCK | _JUMPS):
        what |= PLACE
    if sensors & (_FROZEN | _LEAPS):
        what |= CHARGE
    if sensors & _SPEED:
        what |= SPEED
    return what


@merged
def leave_out(g: Any, what: int) -> None:
    """Make what is left out of the frame not measured."""
    if what & PLACE:
        g.latitude_e7 = MISSING_E7
        g.longitude_e7 = MISSING_E7
    if what & CHARGE:
        g.battery_soc_pct = _NAN
    if what & SPEED:
        g.speed_mps = _NAN
    if what & CHARGING:
        g.status = whole(g.status) & ~_CHARGING


@inlined
def swapped(v: Any, f: Any, rules: Any, model: Any) -> bool:
    """Whether the charge rose as only another battery makes it: parked, and not charging."""
    idle = f.status & (_IN_USE | _CHARGING) == 0
    return bool(model.swappable and idle and real(f.battery_soc_pct) - v.soc_pct >= rules.swap_jump_pct)


@inlined
def _forget_jumps(v: Any, second: int, rules: Any) -> None:
    if v.place_jumps or v.charge_jumps:
        past = whole(((second - whole(v.jump_s)) & 0xFFFF) * 1000 // rules.jump_forget_ms)
        if past > 0:
            v.place_jumps = max(0, whole(v.place_jumps) - past)
            v.charge_jumps = max(0, whole(v.charge_jumps) - past)
            v.jump_s = second


@inlined
def _place(v: Any, f: Any, ridden_m: float, settled: bool, second: int, sensors: int, rules: Any) -> tuple[int, int]:
    """Bits of what is not believed, and the sensors' bits after it. settled: there was a frame not long before."""
    if not positioned(f):
        return 0, sensors
    doubted = False
    if settled and v.latitude_e7 != MISSING_E7 and not sensors & _STUCK:
        accuracy = 0.0 if np.isnan(f.horizontal_accuracy_m) else real(f.horizontal_accuracy_m)
        reach_m = rules.teleport_mps * (1 + ((second - whole(v.place_s)) & 0xFFFF)) + TELEPORT_M + 2.0 * accuracy
        steps = abs(whole(f.latitude_e7) - v.latitude_e7) + abs(whole(f.longitude_e7) - v.longitude_e7)
        doubted = steps * E7_M > reach_m and metres(v.latitude_e7, v.longitude_e7, f.latitude_e7, f.longitude_e7) > reach_m
    if doubted:
        if not v.flag_bits & _PLACE_DOUBTED:
            v.flag_bits |= _PLACE_DOUBTED
            v.place_jumps = min(whole(rules.sensor_jumps), whole(v.place_jumps) + 1)
            v.jump_s = second
        return PLACE, sensors
    v.flag_bits &= 0xFF ^ _PLACE_DOUBTED
    v.place_s = second
    if not v.flag_bits & _ANCHORED:
        steps = abs(whole(f.latitude_e7) - v.locked_latitude_e7) + abs(whole(f.longitude_e7) - v.locked_longitude_e7)
        if steps > STILL_E7:
            v.locked_latitude_e7 = f.latitude_e7
            v.locked_longitude_e7 = f.longitude_e7
            v.way_stuck_m = 0.0
            sensors &= ~_STUCK
        else:
            v.way_stuck_m += np.float32(ridden_m)
            if v.way_stuck_m >= rules.stuck_position_m:
                sensors |= _STUCK
    return (PLACE if sensors & _STUCK else 0), sensors


@inlined
def _charge(
    v: Any, f: Any, ridden_m: float, out_wh: float, settled: bool, second: int, dt_ms: int, sensors: int, rules: Any, model: Any
) -> tuple[int, int]:
    """The same for the charge. out_wh: energy taken since the frame before. Each jump counts, of a charge that was doubted before too."""
    soc = real(f.battery_soc_pct)
    if np.isnan(soc):
        return 0, sensors
    change = soc - v.soc_pct
    if settled and not np.isnan(change):
        rests = (whole(v.status) | whole(f.status)) & (_IN_USE | _CHARGING) == 0
        a_second = (rules.charge_rest_pct_per_min if rests else rules.charge_rate_pct_per_min) / 60.0
        most = rules.charge_jump_pct + a_second * ((second - whole(v.charge_s)) & 0xFFFF)
        if abs(change) > most and (sensors & _LEAPS or not swapped(v, f, rules, model)):
            said = whole(np.floor(2.0 * soc + 0.5))
            again = abs(said - whole(v.charge_said)) * 0.5 > rules.charge_jump_pct + a_second * dt_ms * 1e-3
            if again or not v.flag_bits & _CHARGE_DOUBTED:
                v.flag_bits |= _CHARGE_DOUBTED
                v.charge_jumps = min(whole(rules.sensor_jumps), whole(v.charge_jumps) + 1)
                v.jump_s = second
            v.charge_said = said
            return CHARGE, sensors
    v.flag_bits &= 0xFF ^ _CHARGE_DOUBTED
    v.charge_s = second
    if change != 0.0 or not settled:
        v.charge_due_pct = 0.0
        return 0, sensors & ~_FROZEN
    if model.battery_wh > 0.0:
        by_current = not np.isnan(f.battery_current_a) and not np.isnan(f.battery_voltage_v)
        due = out_wh / model.battery_wh if by_current else BY_RANGE * ridden_m / model.range_m
        v.charge_due_pct += np.float32(100.0 * due)
        if v.charge_due_pct >= rules.charge_frozen_pct:
            sensors |= _FROZEN
    return 0, sensors


@inlined
def _speed(v: Any, f: Any, by_odometer_m: float, dt_ms: int, sensors: int, rules: Any) -> int:
    """Wheels that stand, at a place that stays, while the speed says otherwise."""
    if f.speed_mps <= rules.phantom_speed_mps:
        v.phantoms = 0
        return sensors & ~_SPEED
    known = positioned(f) and v.latitude_e7 != MISSING_E7 and 0 < dt_ms <= LONGEST_MS
    if not known or np.isnan(f.speed_mps) or np.isnan(by_odometer_m):
        return sensors
    by_speed_m = real(f.speed_mps) * dt_ms * 1e-3
    steps = abs(whole(f.latitude_e7) - v.latitude_e7) + abs(whole(f.longitude_e7) - v.longitude_e7)
    if by_odometer_m >= LEAST_SHARE * by_speed_m or steps * E7_M >= PLACE_SHARE * by_speed_m:
        v.phantoms = 0
        return sensors & ~_SPEED
    v.phantoms = min(PHANTOMS, whole(v.phantoms) + 1)
    return sensors | _SPEED if v.phantoms == PHANTOMS else sensors


@merged
def check(v: Any, f: Any, time_ms: int, dt_ms: int, out_wh: float, rules: Any, model: Any) -> int:
    """Bits of what of the vehicle's newest frame is not believed; v.sensors after it. `v` still holds the values of before.

    dt_ms  since the frame before; GAP_MS or more when there is none
    """
    second = (time_ms // 1000) & 0xFFFF
    settled = dt_ms < GAP_MS
    _forget_jumps(v, second, rules)
    sensors = whole(v.sensors) & ~(_CHARGES | _RANGE)
    by_odometer_m = real(f.odometer_m) - real(v.odometer_m)
    ridden_m = 0.0
    if settled:
        if 0.0 <= by_odometer_m <= FASTEST_MPS * dt_ms * 1e-3 + SLACK_M:
            ridden_m = by_odometer_m
        elif np.isnan(by_odometer_m) and dt_ms <= LONGEST_MS and not np.isnan(f.speed_mps):
            ridden_m = real(f.speed_mps) * dt_ms * 1e-3
    sensors = _speed(v, f, by_odometer_m, dt_ms, sensors, rules)
    place, sensors = _place(v, f, ridden_m, settled, second, sensors, rules)
    charge, sensors = _charge(v, f, ridden_m, out_wh, settled, second, dt_ms, sensors, rules, model)
    if v.place_jumps >= rules.sensor_jumps:
        sensors |= _JUMPS
    elif v.place_jumps == 0:
        sensors &= ~_JUMPS
    if v.charge_jumps >= rules.sensor_jumps:
        sensors |= _LEAPS
    elif v.charge_jumps == 0:
        sensors &= ~_LEAPS
    what = place | charge | (SPEED if sensors & _SPEED else 0)
    if f.status & _CHARGING and f.speed_mps > rules.charging_speed_mps:
        sensors |= _CHARGES
        what |= CHARGING
    if f.implausible != 0:
        sensors |= _RANGE
    v.sensors = sensors
    return what
