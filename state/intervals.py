"""What lies between a vehicle's newest frame and the one before: way, rise, energy, time in each status; shared out to windows and trip.

An interval of more than LONGEST_MS says nothing of rise, energy and time, and no window gets its way: the vehicle was silent.
"""

from typing import Any

import numpy as np

from fleetpulse.codecs.jit import inlined, merged
from fleetpulse.codecs.schema import MISSING_E7, Status
from fleetpulse.state.cast import code, real
from fleetpulse.state.geofence import E7_M, positioned

LONGEST_MS = 60_000
FASTEST_MPS = 90.0
SLACK_M = 100.0
"""A way longer than FASTEST_MPS allows, and this much, is a jump of the odometer or of the position."""
STANDING_MPS = 0.5
_MOVING, _IN_USE, _CHARGING = code(Status.MOVING), code(Status.IN_USE), code(Status.CHARGING)
_RADIANS = np.pi / 180 * 1e-7


@inlined
def metres(latitude_a: int, longitude_a: int, latitude_b: int, longitude_b: int) -> float:
    """Distance of two positions in e7 degrees; equirectangular at their mean latitude, exact to 1e-4 below 100 km."""
    dy = (real(latitude_b) - real(latitude_a)) * E7_M
    middle = (real(latitude_a) + real(latitude_b)) * 0.5 * _RADIANS
    dx = (real(longitude_b) - real(longitude_a)) * E7_M * np.cos(middle)
    return real(np.sqrt(dx * dx + dy * dy))


@merged
def way(v: Any, f: Any, dt_ms: int) -> float:
    """Metres from the newest frame to f: by odometer where both have one, else by position while the vehicle moves; 0 for a jump."""
    most = FASTEST_MPS * dt_ms * 1e-3 + SLACK_M
    by_odometer = f.odometer_m - v.odometer_m
    if 0.0 <= by_odometer <= most:
        return real(by_odometer)
    moves = ((v.status | f.status) & _MOVING) != 0 or f.speed_mps > STANDING_MPS
    if moves and positioned(f) and v.latitude_e7 != MISSING_E7:
        by_position = metres(v.latitude_e7, v.longitude_e7, f.latitude_e7, f.longitude_e7)
        if by_position <= most:
            return by_position
    return 0.0


@merged
def rise(v: Any, f: Any, dt_ms: int) -> float:
    """Metres climbed, while the vehicle moves."""
    if dt_ms <= LONGEST_MS and ((v.status | f.status) & _MOVING) != 0 and f.altitude_m > v.altitude_m:
        return real(f.altitude_m) - real(v.altitude_m)
    return 0.0


@inlined
def _power_w(voltage_v: Any, current_a: Any) -> float:
    """Power taken from the battery; 0 while it is charged or when not known."""
    return real(voltage_v) * -real(current_a) if current_a < 0.0 and voltage_v > 0.0 else 0.0


@merged
def energy_wh(v: Any, f: Any, dt_ms: int) -> float:
    """Energy taken from the battery, by the trapezoid rule."""
    if dt_ms > LONGEST_MS:
        return 0.0
    before = _power_w(v.voltage_v, v.current_a)
    return (before + _power_w(f.battery_voltage_v, f.battery_current_a)) * 0.5 * dt_ms * 1e-3 / 3600.0


@merged
def add(w: Any, status: int, seconds: float, part: float, way_m: float, rise_m: float, out_wh: float) -> None:
    """Add `part` of an interval of `seconds` in `status` to a window."""
    w.distance_m += np.float32(way_m * part)
    w.climb_m += np.float32(rise_m * part)
    w.energy_out_wh += np.float32(out_wh * part)
    s = np.float32(seconds * part)
    if status & _IN_USE:
        w.in_use_s += s
    if status & _CHARGING:
        w.charging_s += s
    if status & _MOVING:
        w.moving_s += s
