"""Which way a simulated vehicle goes: goals within its range, turns at crossings, where it must stop. Parts of kernels."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.codecs.jit import inlined
from fleetpulse.vehicle_agent import noise
from fleetpulse.vehicle_agent.streets import SPACING_M, allowed, di, dj


@inlined
def choose_goal(rec: Any, spec: Any, nodes: NDArray[np.uint8], second: int) -> None:
    """A crossing at about the model's trip length that it may ride to; where it stands when eight draws find none."""
    rec.goal_i, rec.goal_j = rec.i, rec.j
    for k in range(8):
        blocks = spec.trip_m * (0.4 + 1.2 * noise.uniform(rec.key, second + k, 20)) / SPACING_M
        along = (2.0 * noise.uniform(rec.key, second + k, 21) - 1.0) * blocks
        side = blocks - abs(along)
        if noise.uniform(rec.key, second + k, 22) < 0.5:
            side = -side
        i, j = rec.i + int(along), rec.j + int(side)
        if allowed(nodes, rec.city, spec.vehicle_type, i, j):
            rec.goal_i, rec.goal_j = i, j
            return


@inlined
def _direction(rec: Any, spec: Any, nodes: NDArray[np.uint8], i: int, j: int, came: int, free: bool) -> int:
    """Of four ways on from crossing (i, j) the one that leads best to the goal; `came` is the direction of arrival, -1 for none.

    free  no-go zones and borders do not count
    """
    best, best_cost = 0, math.inf
    for way in range(4):
        ni, nj = i + di(way), j + dj(way)
        cost = abs(rec.goal_i - ni) + abs(rec.goal_j - nj) + 0.9 * noise.uniform(rec.key, rec.trip * 4096 + rec.edge, 23 + way)
        if came >= 0 and way == (came + 2) % 4:
            cost += 2.5
        elif way == came:
            cost -= 0.5
        if not free and not allowed(nodes, rec.city, spec.vehicle_type, ni, nj):
            cost += 1000.0
        if cost < best_cost:
            best, best_cost = way, cost
    return best


@inlined
def _plan(rec: Any, spec: Any, nodes: NDArray[np.uint8], free: bool) -> None:
    """Decide at the begin of a street how fast to ride it and what to do at its end."""
    rec.edge += 1
    moment = rec.trip * 4096 + rec.edge
    rec.next_direction = _direction(rec, spec, nodes, rec.i + di(rec.direction), rec.j + dj(rec.direction), rec.direction, free)
    rec.stop_next = 1 if noise.uniform(rec.key, moment, 27) < spec.stop_share else 0
    rec.cruise_mps = min(spec.max_speed_mps, spec.cruise_mps * (0.82 + 0.3 * noise.uniform(rec.key, moment, 28)))


@inlined
def set_off(rec: Any, spec: Any, nodes: NDArray[np.uint8], free: bool) -> None:
    """Begin to ride from where the vehicle stands."""
    if rec.progress_m <= 0.0:
        rec.direction = _direction(rec, spec, nodes, rec.i, rec.j, -1, free)
    _plan(rec, spec, nodes, free)


@inlined
def _cross(rec: Any, spec: Any, nodes: NDArray[np.uint8], beyond_m: float, free: bool) -> None:
    rec.i += di(rec.direction)
    rec.j += dj(rec.direction)
    rec.direction = rec.next_direction
    rec.progress_m = beyond_m
    _plan(rec, spec, nodes, free)


@inlined
def advance(rec: Any, spec: Any, nodes: NDArray[np.uint8], cruise_mps: float, free: bool) -> int:
    """Ride for one second. 0: rides on; 1: stands at a crossing; 2: stands at the goal.

    A stop is braked for: v^2 = v_end^2 + 2*b*distance.
    """
    v = rec.speed_mps
    left = SPACING_M - rec.progress_m
    ahead_i, ahead_j = rec.i + di(rec.direction), rec.j + dj(rec.direction)
    arrives = ahead_i == rec.goal_i and ahead_j == rec.goal_j
    halts = arrives or rec.stop_next == 1
    end = 0.0 if halts else (cruise_mps if rec.next_direction == rec.direction else min(cruise_mps, spec.turn_mps))
    fastest = math.sqrt(end * end + 2.0 * spec.brake_mps2 * left)
    new = min(v + spec.acceleration_mps2, cruise_mps, fastest)
    new = max(new, v - 2.0 * spec.brake_mps2, min(0.8, v + spec.acceleration_mps2))
    moved = 0.5 * (v + new)
    if halts and moved >= left - 0.5:
        rec.odometer_m += left
        rec.speed_mps = 0.0
        _cross(rec, spec, nodes, 0.0, free)
        return 2 if arrives else 1
    rec.odometer_m += moved
    rec.speed_mps = new
    if moved >= left:
        _cross(rec, spec, nodes, moved - left, free)
    else:
        rec.progress_m += moved
    return 0
