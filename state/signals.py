"""What one frame says of each condition: bad, good, or nothing. The thresholds; hysteresis lies between bad and good.

Three sets of bits (1 << Condition). Known and neither bad nor good: in the band between, which changes nothing but ends a dwell. Not known:
the frame did not measure it, all stays as it is.
"""

from typing import Any

import numpy as np

from fleetpulse.codecs.jit import inlined, merged
from fleetpulse.codecs.schema import Status
from fleetpulse.state import blow, geofence
from fleetpulse.state.cast import code, real, whole
from fleetpulse.state.facts import Condition
from fleetpulse.state.geofence import BAD_JURISDICTION, BAD_ZONE, E7_M, GOOD_JURISDICTION, GOOD_ZONE, positioned
from fleetpulse.state.intervals import LONGEST_MS, metres
from fleetpulse.state.vehicle import Flag

SAG_CLEAR = 1.02
"""A voltage is good again at this multiple of the limit, under load."""

_CHARGING, _LOCKED, _IN_USE, _MOVING = code(Status.CHARGING), code(Status.LOCKED), code(Status.IN_USE), code(Status.MOVING)
_TIPPED_BIT, _CRASH_BIT, _TAMPER_BIT = code(Status.TIPPED), code(Status.CRASH), code(Status.TAMPER)
_PICKED_UP, _ANCHORED = code(Flag.PICKED_UP), code(Flag.ANCHORED)
LOW, UNRENTABLE, HOT = 1 << Condition.LOW_BATTERY, 1 << Condition.UNRENTABLE_BATTERY, 1 << Condition.OVER_TEMPERATURE
FENCE, OUTSIDE, CRASH = 1 << Condition.GEOFENCE, 1 << Condition.OUTSIDE_JURISDICTION, 1 << Condition.CRASH
TIPPED, THEFT, TAMPER = 1 << Condition.TIPPED, 1 << Condition.THEFT, 1 << Condition.TAMPER
TYRE, FAULT, SAG, SENSOR = 1 << Condition.TYRE_PRESSURE, 1 << Condition.FAULT_CODE, 1 << Condition.VOLTAGE_SAG, 1 << Condition.SENSOR


@inlined
def accel_peak_squared(f: Any) -> float:
    """Square of the peak acceleration's length over the axes that were measured, (m/s2)^2; NaN when none was."""
    x, y, z = real(f.accel_peak_x_mps2), real(f.accel_peak_y_mps2), real(f.accel_peak_z_mps2)
    if np.isnan(x) and np.isnan(y) and np.isnan(z):
        return np.nan
    return real((0.0 if np.isnan(x) else x * x) + (0.0 if np.isnan(y) else y * y) + (0.0 if np.isnan(z) else z * z))


@inlined
def accuracy_of(f: Any, rules: Any) -> float:
    """The horizontal accuracy of a frame's position, or what is assumed."""
    return real(rules.fix_default_m) if np.isnan(f.horizontal_accuracy_m) else real(f.horizontal_accuracy_m)


@inlined
def trusted(f: Any, rules: Any) -> bool:
    """Whether a frame has a position that may decide something."""
    return positioned(f) and accuracy_of(f, rules) <= rules.fix_worst_m


@merged
def anchor(v: Any, f: Any, rules: Any) -> None:
    """Remember where the vehicle was locked: the first trusted position since it has been locked and not in use."""
    if f.status & (_LOCKED | _IN_USE) != _LOCKED or v.flag_bits & _PICKED_UP:
        v.flag_bits &= ~_ANCHORED & 0xFF
    elif not v.flag_bits & _ANCHORED and trusted(f, rules):
        v.flag_bits |= _ANCHORED
        v.way_stuck_m = 0.0
        v.locked_latitude_e7 = f.latitude_e7
        v.locked_longitude_e7 = f.longitude_e7
        v.locked_accuracy_m = accuracy_of(f, rules)


@inlined
def let_go(v: Any, f: Any) -> None:
    """A frame that is late, but the vehicle's newest by its own count, says that it was used: where it was locked before proves nothing."""
    newest = whole(f.boot_id) == whole(v.boot_id) and whole(f.seq) == whole(v.seq)
    if newest and f.status & (_LOCKED | _IN_USE) != _LOCKED:
        v.flag_bits &= ~_ANCHORED & 0xFF


@inlined
def doubt_anchor(v: Any, f: Any, boot: int, highest: int, time_ms: int) -> None:
    """After a silence from which frames are missing it may have been used: where it stands now proves no theft. One that is open stays.

    boot, highest  the vehicle's newest boot and sequence number before this frame
    """
    if not v.flag_bits & _ANCHORED or time_ms - v.newest_ms <= LONGEST_MS or v.active & THEFT:
        return
    follows = whole(f.boot_id) == boot and whole(f.seq) == highest + 1
    goes_on = whole(f.boot_id) == boot + 1 and f.seq == 0 and whole(f.previous_last_seq) == highest
    if not follows and not goes_on:
        v.flag_bits &= ~_ANCHORED & 0xFF


@inlined
def displaced_m(v: Any, f: Any, rules: Any) -> float:
    """Metres from where it was locked, less what both positions may be wrong; NaN when not known."""
    if not v.flag_bits & _ANCHORED or not trusted(f, rules):
        return np.nan
    away = metres(v.locked_latitude_e7, v.locked_longitude_e7, f.latitude_e7, f.longitude_e7)
    return away - real(v.locked_accuracy_m) - accuracy_of(f, rules)


@inlined
def _strayed(v: Any, f: Any, rules: Any) -> bool:
    """Whether displaced_m is above the limit; most often it is so near that no distance need be computed."""
    steps = abs(whole(v.locked_latitude_e7) - f.latitude_e7) + abs(whole(v.locked_longitude_e7) - f.longitude_e7)
    return bool(steps * E7_M > rules.theft_distance_m and displaced_m(v, f, rules) > rules.theft_distance_m)


@merged
def of_battery(f: Any, rules: Any, model: Any) -> tuple[int, int, int]:
    """Bad, good, known bits of charge, temperature, voltage."""
    bad, good, known = 0, 0, 0
    charging = f.status & _CHARGING != 0
    soc = real(f.battery_soc_pct)
    if not np.isnan(soc):
        known |= LOW | UNRENTABLE
        if soc < rules.low_battery_pct and not charging:
            bad |= LOW
        elif charging or soc >= rules.low_battery_clear_pct:
            good |= LOW
        if soc < rules.unrentable_pct:
            bad |= UNRENTABLE
        elif soc >= rules.unrentable_clear_pct:
            good |= UNRENTABLE
    elif charging:
        known |= LOW
        good |= LOW
    temperature = real(f.battery_temperature_c)
    if not np.isnan(temperature):
        known |= HOT
        if temperature > model.temperature_limit_c:
            bad |= HOT
        elif temperature <= model.temperature_clear_c:
            good |= HOT
    voltage = real(f.battery_voltage_v)
    if f.battery_current_a < 0.0 and not np.isnan(voltage):
        known |= SAG
        if voltage < model.voltage_limit_v:
            bad |= SAG
        elif voltage >= model.voltage_limit_v * SAG_CLEAR:
            good |= SAG
    return bad, good, known


@merged
def of_body(v: Any, f: Any, rules: Any, model: Any, tyre_kpa: float) -> tuple[int, int, int]:
    """Bad, good, known bits of crash, fall, theft, tampering, tyres, faults, sensors."""
    bad, good, known = 0, 0, TIPPED | TAMPER | FAULT | SENSOR
    status = f.status
    if blow.crashed(v, f, rules, model):
        bad |= CRASH
    if status & _TIPPED_BIT or abs(f.roll_deg) > rules.tipped_roll_deg:
        if not status & _MOVING:
            bad |= TIPPED
    else:
        good |= TIPPED
    if status & _TAMPER_BIT:
        bad |= TAMPER
    else:
        good |= TAMPER
    if f.fault_bits != 0:
        bad |= FAULT
    else:
        good |= FAULT
    if v.sensors != 0:
        bad |= SENSOR
    else:
        good |= SENSOR
    if not np.isnan(tyre_kpa):
        known |= TYRE
        if tyre_kpa < model.tyre_limit_kpa:
            bad |= TYRE
        elif tyre_kpa >= model.tyre_limit_kpa + rules.tyre_clear_kpa:
            good |= TYRE
    if status & (_LOCKED | _IN_USE) != _LOCKED or v.flag_bits & _PICKED_UP:
        known |= THEFT
        good |= THEFT
    else:
        placed = v.flag_bits & _ANCHORED and v.place_jumps == 0 and trusted(f, rules)
        if f.speed_mps > rules.theft_speed_mps or (placed and _strayed(v, f, rules)):
            known |= THEFT
            bad |= THEFT
        elif placed or not np.isnan(f.speed_mps):
            known |= THEFT
            good |= THEFT
    return bad, good, known


@merged
def of_place(told: Any, v: Any, f: Any, rules: Any, model: Any) -> tuple[int, int, int]:
    """Bad, good, known bits of the zones; a vehicle that moves and is not in use is being carried, which no zone forbids."""
    if v.city == 0 or not trusted(f, rules):
        return 0, 0, 0
    verdict = geofence.judge(told, v.city, model.type_bit, f.latitude_e7, f.longitude_e7, accuracy_of(f, rules), rules.geofence_leave_m)
    bad, good, known = 0, 0, OUTSIDE
    if f.status & (_IN_USE | _MOVING) != _MOVING:
        known |= FENCE
        bad |= FENCE if verdict & BAD_ZONE else 0
        good |= FENCE if verdict & GOOD_ZONE else 0
    bad |= OUTSIDE if verdict & BAD_JURISDICTION else 0
    good |= OUTSIDE if verdict & GOOD_JURISDICTION else 0
    return bad, good, known


@inlined
def at_any_age(v: Any, f: Any, rules: Any, model: Any) -> int:
    """The conditions that a frame of a closed window still tells of: crash, tampering, fall, theft (locked, and moving fast)."""
    bits = 0
    if f.status & _CRASH_BIT:
        bits |= CRASH
    if f.status & _TAMPER_BIT:
        bits |= TAMPER
    if not f.status & _MOVING and (f.status & _TIPPED_BIT or abs(f.roll_deg) > rules.tipped_roll_deg):
        bits |= TIPPED
    locked = f.status & (_LOCKED | _IN_USE) == _LOCKED and not v.flag_bits & _PICKED_UP
    if locked and f.status & _MOVING and f.speed_mps > rules.theft_speed_mps:
        bits |= THEFT
    return bits
