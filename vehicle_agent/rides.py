"""What a simulated vehicle does from second to second: trips at a daily rhythm, pauses, theft, charging and swaps. Part of kernels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.codecs.jit import inlined
from fleetpulse.vehicle_agent import effects, noise, route
from fleetpulse.vehicle_agent.vehicles import Mode, uuid_hi, uuid_lo

_PARKED, _STARTING, _RIDING, _STANDING, _PAUSED, _ENDING = (int(mode) for mode in Mode)
_RENTABLE = 0.12
"""Riders are not given a vehicle with less."""
_EMPTY = 0.01
_SERVE_BELOW = 0.20
_URGENT_BELOW = 0.15
_TRIP_MAX_S = 3600
_VISIT_S = 60
_CRASH_WAIT_S = 25


@inlined
def charge(rec: Any, spec: Any) -> float:
    """State of charge, 0..1."""
    return float(rec.energy_wh / (spec.battery_wh * rec.soh_pct / 100.0))


@inlined
def behave(rec: Any, spec: Any, nodes: NDArray[np.uint8], fx: NDArray[np.float64], second: int, demand: float) -> None:
    """Change modes and move for one second.

    demand  trips per day at this hour over trips per day on average
    """
    rec.timer_s = max(0, rec.timer_s - 1)
    if rec.mode == _PARKED:
        if rec.stolen == 1 or fx[effects.THEFT_MPS] > 0.0:
            _stolen(rec, spec, nodes, fx, second)
        elif _wanted(rec, spec, fx, second, demand):
            _begin(rec, fx, second)
        else:
            _serve(rec, spec, fx, second)
    elif rec.mode == _STARTING:
        if rec.timer_s == 0:
            _aim(rec, spec, nodes, fx, second)
            route.set_off(rec, spec, nodes, fx[effects.GEOFENCE] > 0.0)
            rec.mode = _RIDING
    elif rec.mode in (_STANDING, _PAUSED):
        if rec.timer_s == 0:
            rec.mode = _RIDING
    elif rec.mode == _ENDING and rec.timer_s == 0 and not (rec.crashed == 1 and spec.wheels == 4):
        rec.mode = _PARKED
        rec.trip_hi = rec.trip_lo = np.uint64(0)
    if rec.mode == _RIDING:
        _ride(rec, spec, nodes, fx, second)
    if rec.mode != _PARKED:
        rec.trip_s += 1
    rec.fresh = 0


@inlined
def _wanted(rec: Any, spec: Any, fx: NDArray[np.float64], second: int, demand: float) -> bool:
    """Whether a rider takes the parked vehicle in this second."""
    if rec.tipped == 1 or rec.crashed == 1 or fx[effects.TIP] > 0.0 or fx[effects.STAND] > 0.0:
        return False
    soc = charge(rec, spec)
    if fx[effects.RIDE] > 0.0:
        return soc > 2.0 * _EMPTY
    if soc < (0.6 if rec.charging == 1 else _RENTABLE):
        return False
    per_s = demand * spec.trips_per_day / 86400.0
    if rec.fresh == 1:  # as many as would be on their way already
        per_s *= spec.trip_m / spec.cruise_mps * 1.7
    return bool(noise.uniform(rec.key, second, 1) < per_s)


@inlined
def _begin(rec: Any, fx: NDArray[np.float64], second: int) -> None:
    rec.trip += 1
    rec.sent = 1 if fx[effects.RIDE] > 0.0 else 0
    rec.trip_s = 0
    rec.trip_hi = uuid_hi(noise.bits(rec.key, rec.trip, 62))
    rec.trip_lo = uuid_lo(noise.bits(rec.key, rec.trip, 63))
    rec.mode = _STARTING
    rec.timer_s = 3 + int(5.0 * noise.uniform(rec.key, second, 2))
    rec.charging = 0
    rec.serve_s = 0
    rec.edge = 0
    rec.visited = 0


@inlined
def _aim(rec: Any, spec: Any, nodes: NDArray[np.uint8], fx: NDArray[np.float64], second: int) -> None:
    if fx[effects.GEOFENCE] > 0.0 and rec.visited == 0:
        rec.goal_i, rec.goal_j = int(fx[effects.TARGET_I]), int(fx[effects.TARGET_J])
    else:
        route.choose_goal(rec, spec, nodes, second)


@inlined
def _ride(rec: Any, spec: Any, nodes: NDArray[np.uint8], fx: NDArray[np.float64], second: int) -> None:
    free = fx[effects.GEOFENCE] > 0.0
    reached = route.advance(rec, spec, nodes, rec.cruise_mps, free)
    kept = fx[effects.RIDE] > 0.0 or free
    if reached == 1:
        pause = spec.wheels == 4 and rec.trip_s > 240 and noise.uniform(rec.key, second, 3) < 0.06 and not kept
        rec.mode = _PAUSED if pause else _STANDING
        rec.timer_s = int((60.0 + 540.0 * noise.uniform(rec.key, second, 4)) if pause else 4.0 + 30.0 * noise.uniform(rec.key, second, 4))
    elif reached == 2 and kept:
        rec.mode = _STANDING
        rec.timer_s = _VISIT_S if free and rec.visited == 0 else 10
        rec.visited = 1
        route.choose_goal(rec, spec, nodes, second)
    enough = reached == 2 or (reached == 1 and (rec.sent == 1 or rec.trip_s > _TRIP_MAX_S))
    if charge(rec, spec) <= _EMPTY or (enough and not kept):
        end(rec, 3 + int(4.0 * noise.uniform(rec.key, second, 5)))


@inlined
def end(rec: Any, timer_s: int) -> None:
    """The ride is over; in `timer_s` seconds its user locks the vehicle."""
    rec.speed_mps = 0.0
    rec.mode = _ENDING
    rec.timer_s = timer_s


@inlined
def _stolen(rec: Any, spec: Any, nodes: NDArray[np.uint8], fx: NDArray[np.float64], second: int) -> None:
    """Carried off, locked, along the streets; left where the fault ends."""
    if fx[effects.THEFT_MPS] <= 0.0:
        rec.stolen = 0
        rec.speed_mps = 0.0
        return
    if rec.stolen == 0:
        rec.stolen = 1
        rec.charging = 0
        route.choose_goal(rec, spec, nodes, second)
        route.set_off(rec, spec, nodes, False)
    if route.advance(rec, spec, nodes, fx[effects.THEFT_MPS], False) == 2:
        route.choose_goal(rec, spec, nodes, second)


@inlined
def _serve(rec: Any, spec: Any, fx: NDArray[np.float64], second: int) -> None:
    """Staff: swaps the battery of a two-wheeler, plugs in a car; some time after its charge became low. Nobody comes to the unattended."""
    soc = charge(rec, spec)
    if rec.charging == 1 and soc >= 0.95:
        rec.charging = 0
    if fx[effects.UNATTENDED] > 0.0 or rec.charging == 1 or soc >= _SERVE_BELOW:
        rec.serve_s = 0
        return
    if rec.serve_s == 0:
        wait_s = 600.0 if soc < _URGENT_BELOW else 3000.0
        rec.serve_s = second + 60 + int(wait_s * noise.uniform(rec.key, second, 6))
    elif second >= rec.serve_s:
        rec.serve_s = 0
        if spec.swappable == 1:
            rec.soh_pct = 100.0 - 14.0 * noise.uniform(rec.key, second, 7)
            rec.cycles = int((100.0 - rec.soh_pct) * (25.0 + 20.0 * noise.uniform(rec.key, second, 8)))
            rec.energy_wh = spec.battery_wh * rec.soh_pct / 100.0 * (0.96 + 0.04 * noise.uniform(rec.key, second, 9))
        else:
            rec.charging = 1


@inlined
def crash(rec: Any, spec: Any, second: int) -> None:
    """The moving vehicle hits something: it stands at once, a two-wheeler lies."""
    rec.crashed = 1
    if spec.wheels == 2:
        rec.tipped = 1
        rec.roll_deg = 78.0 + 10.0 * noise.uniform(rec.key, second, 11)
    end(rec, _CRASH_WAIT_S)
