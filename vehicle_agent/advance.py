"""The simulator's kernel: every vehicle through every second, what it does, what it costs, what its sensors say. No allocation.

In a file of its own because it takes long to compile: an edit elsewhere leaves it in the cache.
"""

from typing import Any

import numba
from numba import types

from fleetpulse.codecs.jit import kernel
from fleetpulse.codecs.schema import FRAME, Status
from fleetpulse.vehicle_agent import battery, blows, effects, rides, sensors, specs, streets
from fleetpulse.vehicle_agent.faults import FAULT
from fleetpulse.vehicle_agent.vehicles import VEHICLE, Mode

_PARKED, _PAUSED = int(Mode.PARKED), int(Mode.PAUSED)
_CRASH = int(Status.CRASH)
_SLEEP_CHARGE = 0.8
_RECORD, _FAULT, _FRAME = numba.from_dtype(VEHICLE), numba.from_dtype(FAULT), numba.from_dtype(FRAME)


@kernel(
    types.int64(
        _RECORD[::1],
        types.float64[:, ::1],
        _FAULT[::1],
        types.int64[::1],
        numba.from_dtype(specs.SPEC)[::1],
        numba.from_dtype(streets.CITY)[::1],
        types.uint8[:, :, ::1],
        types.float64[:, ::1],
        types.float64[:, ::1],
        types.int64[::1],
        types.int64,
        types.float64[::1],
        _FRAME[::1],
    )
)
def run(
    records: Any,
    detectors: Any,
    faults: Any,
    first_fault: Any,
    models: Any,
    cities: Any,
    nodes: Any,
    ambient: Any,
    demand: Any,
    cadence: Any,
    first_s: int,
    fx: Any,
    rows: Any,
) -> int:
    """Run all vehicles over S seconds.

    records      (V,) VEHICLE, updated in place
    detectors    (V, crash.STATE) of the crash detectors, updated in place
    faults       (F,) FAULT by vehicle; when each began and ended is filled in
    first_fault  (V+1,) where the rows of a vehicle begin in faults
    models, cities, nodes
                 tables of specs.py and streets.py
    ambient, demand
                 (C+1, S) of weather.py, from second `first_s` on
    cadence      (3,) ms between frames in use, s while awake, s while asleep
    fx           (effects.EFFECTS,) scratch
    rows         (at least V * S * Cadence.frames_per_s,) FRAME, filled vehicle after vehicle; returns how many
    """
    n = 0
    for v in range(len(records)):
        rec = records[v]
        spec, city = models[rec.model], cities[rec.city]
        for s in range(ambient.shape[1]):
            second = first_s + s
            ambient_c = ambient[rec.city, s]
            effects.gather(faults, first_fault[v], first_fault[v + 1], rec, spec, second, fx)
            i, j = streets.at_i(rec.i, rec.direction, rec.progress_m), streets.at_j(rec.j, rec.direction, rec.progress_m)
            east, north, speed, odometer = streets.east_m(city, i, j), streets.north_m(city, i, j), rec.speed_mps, rec.odometer_m
            crash_ms = min(999, blows.strike(rec, spec, faults, fx, detectors[v], second))
            rides.behave(rec, spec, nodes, fx, second, demand[rec.city, s])
            i, j = streets.at_i(rec.i, rec.direction, rec.progress_m), streets.at_j(rec.j, rec.direction, rec.progress_m)
            east_step, north_step = streets.east_m(city, i, j) - east, streets.north_m(city, i, j) - north
            altitude = streets.ground_m(city, east, north)
            climb, slope = 0.0, 0.0
            if rec.odometer_m > odometer:
                climb = streets.ground_m(city, east + east_step, north + north_step) - altitude
                slope = max(-0.15, min(0.15, climb / (rec.odometer_m - odometer)))
            sleeps = rec.mode == _PARKED and rec.stolen == 0 and rec.tipped == 0 and rides.charge(rec, spec) > _SLEEP_CHARGE
            battery.spend(rec, spec, fx, speed, slope, ambient_c, sleeps)
            sensors.drift(rec, second)
            status = sensors.status_bits(rec, fx, second)
            if second < rec.silent_until_s:
                continue
            every_ms = 1000
            every_s = cadence[2] if sleeps else cadence[1]
            if rec.mode not in (_PARKED, _PAUSED) or rec.stolen == 1:
                every_ms = min(1000, cadence[0])
                every_s = max(1, cadence[0] // 1000)
            if (second + rec.phase_ms) % every_s != 0 and status == rec.last_status and crash_ms < 0:
                continue
            ms = rec.phase_ms % every_ms
            told = False
            while ms < 1000 or crash_ms >= 0:
                at_ms = ms
                if 0 <= crash_ms <= ms:  # the detector's frame comes when it comes
                    at_ms, crash_ms = crash_ms, -1
                    rec.alarmed = 1
                    status |= _CRASH
                if at_ms == ms:
                    ms += every_ms
                share = at_ms / 1000.0
                sensors.write(
                    rows[n],
                    rec,
                    spec,
                    city,
                    fx,
                    second * 1000 + at_ms,
                    status,
                    east + share * east_step,
                    north + share * north_step,
                    speed + share * (rec.speed_mps - speed),
                    rec.speed_mps - speed,
                    odometer + share * (rec.odometer_m - odometer),
                    altitude + share * climb,
                    ambient_c,
                    rec.untold == 1 and (second > rec.impact_s or at_ms >= rec.impact_ms),
                )
                rows[n].offset = v
                rec.seq += 1
                rec.last_status = status
                told = told or second > rec.impact_s or at_ms >= rec.impact_ms
                n += 1
            if told:
                rec.untold = 0
    return n
