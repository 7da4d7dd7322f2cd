"""Trips of one vehicle, from its status in the order of its own time: started, paused, resumed, ended; way and energy on the way."""

from typing import Any

import numpy as np

from fleetpulse.codecs.jit import inlined, merged
from fleetpulse.codecs.schema import MISSING_E7, Status
from fleetpulse.state import pools, report
from fleetpulse.state.cast import code
from fleetpulse.state.facts import Fact
from fleetpulse.state.vehicle import Pool

_POOL = code(Pool.TRIPS)
_IN_USE, _LOCKED = code(Status.IN_USE), code(Status.LOCKED)
_STARTED, _ENDED, _PAUSED, _RESUMED = code(Fact.TRIP_STARTED), code(Fact.TRIP_ENDED), code(Fact.TRIP_PAUSED), code(Fact.TRIP_RESUMED)
_AT_START, _AT_END = code(0), code(1)
_NONE = np.uint64(0)


@inlined
def _mark(header: Any, store: Any, v: Any, end: int) -> None:
    """Remember where it was, for the zone report; a vehicle that never had a position is in no zone."""
    if v.latitude_e7 != MISSING_E7 and v.city != 0:
        mark = store.marks[header.marks]
        header.marks += 1
        mark.latitude_e7 = v.latitude_e7
        mark.longitude_e7 = v.longitude_e7
        mark.soc_pct = v.soc_pct
        mark.city = v.city
        mark.model = v.model
        mark.end = end


@inlined
def _report(header: Any, facts: Any, v: Any, slot: int, trip: Any, fact: int, f: Any, at: int, time_ms: int) -> Any:
    row = report.blank(header, facts, v, slot, fact, report.NO_CONDITION)
    report.of_frame(row, f, at, time_ms)
    row.trip_hi = trip.trip_hi
    row.trip_lo = trip.trip_lo
    return row


@inlined
def _start(header: Any, store: Any, facts: Any, v: Any, slot: int, f: Any, at: int, time_ms: int) -> None:
    v.trip = pools.take(header, store.trips, _POOL)
    trip = store.trips[v.trip - 1]
    trip.ending = 0
    trip.unlocked = 0
    trip.paused = 0
    trip.trip_hi = f.trip_hi
    trip.trip_lo = f.trip_lo
    trip.started_ms = time_ms
    trip.ended_ms = 0
    trip.ended_offset = 0
    trip.distance_m = 0.0
    trip.energy_wh = 0.0
    trip.soc_start_pct = v.soc_pct
    trip.start_latitude_e7 = v.latitude_e7
    trip.start_longitude_e7 = v.longitude_e7
    row = _report(header, facts, v, slot, trip, _STARTED, f, at, time_ms)
    row.value[0] = v.odometer_m
    _mark(header, store, v, _AT_START)


@inlined
def _end(header: Any, store: Any, facts: Any, v: Any, slot: int, f: Any, at: int, ended_ms: int, first_offset: int) -> None:
    trip = store.trips[v.trip - 1]
    row = _report(header, facts, v, slot, trip, _ENDED, f, at, ended_ms)
    row.first_offset = first_offset
    row.value[0] = trip.started_ms
    row.value[1] = (ended_ms - trip.started_ms) / 1000.0
    row.value[2] = trip.distance_m
    row.value[3] = trip.energy_wh
    row.value[4] = trip.soc_start_pct
    missing = trip.start_latitude_e7 == MISSING_E7
    row.value[5] = np.nan if missing else trip.start_latitude_e7 / 1e7
    row.value[6] = np.nan if missing else trip.start_longitude_e7 / 1e7
    pools.give(header, store.trips, _POOL, v.trip)
    v.trip = 0
    v.trips += 1
    _mark(header, store, v, _AT_END)


@merged
def travel(store: Any, v: Any, way_m: float, out_wh: float) -> None:
    """Add what lies before the present frame to the trip that is going on."""
    if v.trip:
        trip = store.trips[v.trip - 1]
        if not trip.ending:
            trip.distance_m += way_m
            trip.energy_wh += out_wh


@inlined
def follow(header: Any, store: Any, facts: Any, v: Any, slot: int, f: Any, at: int, time_ms: int, end_dwell_ms: int) -> None:
    """Let the newest frame start, pause, resume or end a trip. `v` holds the last good values already."""
    in_use = (f.status & _IN_USE) != 0
    locked = (f.status & _LOCKED) != 0
    if v.trip and in_use:
        trip = store.trips[v.trip - 1]
        named = f.trip_hi != _NONE or f.trip_lo != _NONE
        if named and trip.trip_hi == _NONE and trip.trip_lo == _NONE:
            trip.trip_hi = f.trip_hi
            trip.trip_lo = f.trip_lo
        if named and (f.trip_hi != trip.trip_hi or f.trip_lo != trip.trip_lo):
            ended_ms = trip.ended_ms if trip.ending else time_ms
            first_offset = trip.ended_offset if trip.ending else f.offset
            _end(header, store, facts, v, slot, f, at, ended_ms, first_offset)
        else:
            trip.ending = 0
    elif v.trip:
        trip = store.trips[v.trip - 1]
        if not trip.ending:
            trip.ending = 1
            trip.ended_ms = time_ms
            trip.ended_offset = f.offset
        if time_ms - trip.ended_ms >= end_dwell_ms:
            _end(header, store, facts, v, slot, f, at, trip.ended_ms, trip.ended_offset)
    if in_use and v.trip == 0:
        _start(header, store, facts, v, slot, f, at, time_ms)
    if in_use:
        trip = store.trips[v.trip - 1]
        if not locked:
            trip.unlocked = 1
            if trip.paused:
                trip.paused = 0
                _report(header, facts, v, slot, trip, _RESUMED, f, at, time_ms)
        elif trip.unlocked and not trip.paused:
            trip.paused = 1
            _report(header, facts, v, slot, trip, _PAUSED, f, at, time_ms)
