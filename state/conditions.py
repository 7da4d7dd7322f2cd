"""Raises and clears conditions from what frames say (signals.py), with dwell in event time; facts with their values.

A condition that is not active is raised by frames that say bad throughout its dwell, one that is active is cleared by frames that say good
throughout; a frame that knows better ends the dwell, one that does not know leaves it.
"""

from typing import Any

import numpy as np

from fleetpulse.codecs.jit import inlined
from fleetpulse.codecs.schema import Status
from fleetpulse.state import blow, geofence, pools, report, signals
from fleetpulse.state.cast import code, real, whole
from fleetpulse.state.facts import Condition, Fact
from fleetpulse.state.geofence import JURISDICTION, NO_GO, SERVICE_AREA
from fleetpulse.state.vehicle import DWELLS, Pool
from fleetpulse.state.windows import tyre_min

_JURISDICTION, _NO_GO, _SERVICE_AREA = code(JURISDICTION), code(NO_GO), code(SERVICE_AREA)
_POOL = code(Pool.DWELLS)
_RAISED, _CLEARED = code(Fact.RAISED), code(Fact.CLEARED)
_CRASH_BIT = code(Status.CRASH)
_LOW, _UNRENTABLE, _HOT = code(Condition.LOW_BATTERY), code(Condition.UNRENTABLE_BATTERY), code(Condition.OVER_TEMPERATURE)
_FENCE, _OUTSIDE, _CRASH = code(Condition.GEOFENCE), code(Condition.OUTSIDE_JURISDICTION), code(Condition.CRASH)
_TIPPED, _THEFT, _TYRE = code(Condition.TIPPED), code(Condition.THEFT), code(Condition.TYRE_PRESSURE)
_FAULT, _SAG, _SENSOR = code(Condition.FAULT_CODE), code(Condition.VOLTAGE_SAG), code(Condition.SENSOR)


@inlined
def _wheel(f: Any, low: float) -> int:
    """Which wheel has the lowest pressure: 0 front left, 1 rear left, 2 front right, 3 rear right."""
    if f.tyre_pressure_front_left_kpa == low:
        return 0
    if f.tyre_pressure_rear_left_kpa == low:
        return 1
    return 2 if f.tyre_pressure_front_right_kpa == low else 3


@inlined
def _put(row: Any, a: float, b: float, c: float, d: float) -> None:
    row.value[0] = a
    row.value[1] = b
    row.value[2] = c
    row.value[3] = d


@inlined
def _zone_values(row: Any, told: Any, v: Any, f: Any, model: Any, condition: int) -> None:
    """zone (its code), metres in or out of it, accuracy."""
    rules = told.rules[0]
    accuracy = signals.accuracy_of(f, rules)
    kind = _JURISDICTION if condition == _OUTSIDE else _NO_GO
    zone, depth = geofence.deepest(told, v.city, model.type_bit, f.latitude_e7, f.longitude_e7, kind)
    if condition == _FENCE and depth <= (accuracy if row.fact == _RAISED else 0.0):
        area, out = geofence.deepest(told, v.city, model.type_bit, f.latitude_e7, f.longitude_e7, _SERVICE_AREA)
        if area >= 0 and (row.fact == _RAISED or zone < 0 or abs(out) < abs(depth)):
            zone, depth = area, out
    _put(row, zone + 1.0, abs(depth) if zone >= 0 else 0.0, accuracy, 0.0)


@inlined
def _values(row: Any, told: Any, v: Any, f: Any, condition: int, lasted_ms: int, clock_off_ms: int) -> None:
    """The values of a raised or cleared condition, as facts.VALUE_NAMES says."""
    rules = told.rules[0]
    model = told.models[v.model]
    if condition == _LOW:
        _put(row, v.soc_pct, rules.low_battery_pct, 0.0, 0.0)
    elif condition == _UNRENTABLE:
        _put(row, v.soc_pct, rules.unrentable_pct, 0.0, 0.0)
    elif condition == _HOT:
        _put(row, f.battery_temperature_c, model.temperature_limit_c, 0.0, 0.0)
    elif condition in (_FENCE, _OUTSIDE):
        _zone_values(row, told, v, f, model, condition)
    elif condition == _CRASH:
        _put(row, np.sqrt(signals.accel_peak_squared(f)), model.crash_limit_mps2, 1.0 if f.status & _CRASH_BIT else 0.0, 0.0)
        row.value[3] = blow.confidence(f, model, blow.stopped(v, f, rules))
    elif condition == _TIPPED:
        _put(row, f.roll_deg, lasted_ms / 1000.0, 0.0, 0.0)
    elif condition == _THEFT:
        _put(row, f.speed_mps, signals.displaced_m(v, f, rules), rules.theft_speed_mps, rules.theft_distance_m)
    elif condition == _TYRE:
        low = tyre_min(f)
        _put(row, low, model.tyre_limit_kpa, _wheel(f, low), 0.0)
    elif condition == _FAULT:
        _put(row, real(f.fault_bits), 0.0, 0.0, 0.0)
    elif condition == _SAG:
        _put(row, f.battery_voltage_v, model.voltage_limit_v, f.battery_current_a, 0.0)
    elif condition == _SENSOR:
        _put(row, real(f.implausible), clock_off_ms / 1000.0, real(v.sensors), 0.0)


@inlined
def _waited(header: Any, store: Any, v: Any, condition: int, dwell_ms: int, time_ms: int, offset: int) -> bool:
    """Start or go on with a dwell; True when it is over."""
    bit = 1 << condition
    if v.dwells == 0:
        v.dwells = pools.take(header, store.dwells, _POOL)
    block = store.dwells[v.dwells - 1]
    if not v.pending & bit:
        v.pending |= bit
        block.since_ms[condition] = time_ms
        block.first_offset[condition] = offset
    return bool(time_ms - block.since_ms[condition] >= dwell_ms)


@inlined
def settle(
    header: Any,
    store: Any,
    facts: Any,
    told: Any,
    v: Any,
    slot: int,
    f: Any,
    at: int,
    time_ms: int,
    bad: int,
    good: int,
    known: int,
    clock_off_ms: int,
) -> None:
    """Raise, clear, start and end dwells by what the frame at row `at` says. `v` holds the last good values already."""
    rules = told.rules[0]
    active_bits = whole(v.active)
    change = (bad & ~active_bits) | (good & active_bits)
    for condition in range(DWELLS):
        bit = 1 << condition
        if change & bit:
            active = active_bits & bit != 0
            dwell_ms = rules.clear_ms[condition] if active else rules.raise_ms[condition]
            if dwell_ms == 0 or _waited(header, store, v, condition, dwell_ms, time_ms, f.offset):
                row = report.blank(header, facts, v, slot, _CLEARED if active else _RAISED, condition)
                report.of_frame(row, f, at, time_ms)
                lasted_ms = 0
                if v.pending & bit:
                    row.first_offset = store.dwells[v.dwells - 1].first_offset[condition]
                    lasted_ms = time_ms - store.dwells[v.dwells - 1].since_ms[condition]
                _values(row, told, v, f, condition, lasted_ms, clock_off_ms)
                v.active ^= bit
                v.pending = whole(v.pending) & ~bit
        elif known & bit:
            v.pending = whole(v.pending) & ~bit
    if v.dwells and v.pending == 0:
        pools.give(header, store.dwells, _POOL, v.dwells)
        v.dwells = 0


@inlined
def raise_old(header: Any, facts: Any, told: Any, v: Any, slot: int, f: Any, at: int, time_ms: int, bits: int, late: int) -> None:
    """One RAISED fact for each of `bits` from a frame that is not the vehicle's newest; a crash stays active, the rest are only told."""
    for condition in range(DWELLS):
        if bits & (1 << condition):
            row = report.blank(header, facts, v, slot, _RAISED, condition)
            report.of_late_frame(row, f, at, time_ms)
            row.late = late
            _values(row, told, v, f, condition, 0, 0)
            if condition == _CRASH:  # the minute around it is another one
                row.value[3] = blow.confidence(f, told.models[v.model], False)
    v.active |= bits & (1 << _CRASH)


@inlined
def clear_by_hand(header: Any, facts: Any, v: Any, slot: int, bits: int) -> int:
    """Clear the active ones of `bits`, because somebody said so. Returns the index of the first fact written; its cause is the caller's."""
    first = whole(header.facts)
    for condition in range(DWELLS):
        bit = 1 << condition
        if bits & v.active & bit:
            report.blank(header, facts, v, slot, _CLEARED, condition)
            v.active = whole(v.active) & ~bit
            v.pending = whole(v.pending) & ~bit
    return first
