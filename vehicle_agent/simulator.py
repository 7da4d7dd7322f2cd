"""The fleet: V vehicles, time in, FRAME rows out. Seeded and deterministic; reads no clock and does no I/O.

A vehicle's story is a function of (seed, its number, its faults, start): it depends neither on V nor on how time is cut. Physics run
in steps of one second; frames within a second (5 Hz while riding) are interpolated between its ends.
"""

from typing import Any

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from fleetpulse.codecs.jit import kernel
from fleetpulse.codecs.schema import FRAME, Status, empty
from fleetpulse.config.fleet import Fleet
from fleetpulse.vehicle_agent import battery, blows, crash, effects, rides, sensors, specs, streets, vehicles, weather
from fleetpulse.vehicle_agent.faults import FAULT, NONE, Fault
from fleetpulse.vehicle_agent.vehicles import FIRMWARE, JSON_FIRMWARE, VEHICLE, Mode

FRAMES_PER_S = 6
"""Most that a vehicle makes in a second: five, and one more for a crash."""
_ROWS = 400_000
"""Rows of the kernel's buffer, unless one second of the fleet needs more."""
_CHUNK_S = 60
_PARKED, _PAUSED = int(Mode.PARKED), int(Mode.PAUSED)
_CRASH = int(Status.CRASH)
_NEAR_S = 900
_NEAR_BLOCKS = 4
_SLEEP_CHARGE = 0.8
_SLEEP_S = 10
_RECORD, _FAULTS, _FRAMES = numba.from_dtype(VEHICLE), numba.from_dtype(FAULT), numba.from_dtype(FRAME)


@kernel(
    types.int64(
        _RECORD[::1],
        types.float64[:, ::1],
        _FAULTS[::1],
        types.int64[::1],
        numba.from_dtype(specs.SPEC)[::1],
        numba.from_dtype(streets.CITY)[::1],
        types.uint8[:, :, ::1],
        types.float64[:, ::1],
        types.float64[:, ::1],
        types.int64,
        types.float64[::1],
        _FRAMES[::1],
    )
)
def _advance(
    records: Any,
    detectors: Any,
    faults: Any,
    first_fault: Any,
    models: Any,
    cities: Any,
    nodes: Any,
    ambient: Any,
    demand: Any,
    first_s: int,
    fx: Any,
    rows: Any,
) -> int:
    """Run all vehicles over the seconds of `ambient`; returns the rows written, vehicle after vehicle."""
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
            if rec.mode not in (_PARKED, _PAUSED) or rec.stolen == 1:
                every_ms = 200
            elif sleeps and (second + rec.phase_ms) % _SLEEP_S != 0 and status == rec.last_status:
                continue
            ms = rec.phase_ms % every_ms
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
                    rec.impact_s == second and at_ms >= rec.impact_ms,
                )
                rows[n].offset = v
                rec.seq += 1
                rec.last_status = status
                n += 1
    return n


class Simulator:
    """A fleet of simulated vehicles.

    faults     (F,) FAULT rows of faults.table(); the simulator fills in when each really began and ended
    device_id  of vehicle v: big-endian halves `vehicles["device_hi"][v]`, `vehicles["device_lo"][v]`
    """

    def __init__(self, fleet: Fleet, vehicle_count: int, seed: int, start_ms: int, faults: NDArray[Any] = NONE) -> None:
        self._fleet = fleet
        self._specs = specs.build(fleet)
        self._map = streets.build(fleet)
        self.vehicles = vehicles.populate(vehicle_count, seed=seed, fleet=fleet, specs=self._specs, streets_map=self._map)
        self.faults = np.ascontiguousarray(faults[faults["vehicle"] < vehicle_count])
        self._first_fault = np.searchsorted(self.faults["vehicle"], np.arange(vehicle_count + 1)).astype(np.int64)
        self._detectors = np.zeros((vehicle_count, crash.STATE))
        self._effects = np.zeros(effects.EFFECTS)
        self._second = start_ms // 1000
        self._start_s = self._second
        self._chunk_s = max(1, min(_CHUNK_S, _ROWS // (FRAMES_PER_S * max(1, vehicle_count))))
        self._rows = empty(self._chunk_s * FRAMES_PER_S * vehicle_count)
        self._firmware = np.array([text.encode() for text in FIRMWARE], dtype="S16")[self.vehicles["firmware"]]
        json = self.faults["vehicle"][self.faults["kind"] == Fault.JSON_FIRMWARE]
        self._firmware[json] = JSON_FIRMWARE.encode()
        self._aim()

    @property
    def now_ms(self) -> int:
        """Up to where the fleet has been run: a whole second."""
        return self._second * 1000

    def boot(self, boot_ids: NDArray[np.int64], previous_last: NDArray[np.int64]) -> None:
        """Say before the first step which boot each vehicle is in, and the last seq of the one before (-1: none)."""
        assert self._second == self._start_s, "vehicles have run already"
        self.vehicles["boot_id"], self.vehicles["previous_last"] = boot_ids, previous_last

    def step(self, until_ms: int) -> NDArray[Any]:
        """Run on to the whole second at or before `until_ms`; (N,) FRAME rows made on the way, in time order.

        Origin columns: `append_ms` = true time of making, `offset` = number of the vehicle, `implausible` = fields that must go
        out as NaN. Frames of one vehicle stand in the order of their seq. Time order is (append_ms, vehicle).
        """
        parts = []
        until_s = until_ms // 1000
        while self._second < until_s:
            seconds = min(self._chunk_s, until_s - self._second)
            parts.append(self._chunk(seconds))
            self._second += seconds
        if not parts:
            return empty(0)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _chunk(self, seconds: int) -> NDArray[Any]:
        ambient, demand = weather.conditions(self._fleet, self._second, seconds)
        n = _advance(
            self.vehicles,
            self._detectors,
            self.faults,
            self._first_fault,
            self._specs,
            self._map.cities,
            self._map.nodes,
            ambient,
            demand,
            self._second,
            self._effects,
            self._rows,
        )
        since = (self._rows["append_ms"][:n] - self._second * 1000).astype(np.uint16)  # a radix sort; 60 s fit
        frames = self._rows[np.argsort(since, kind="stable")]
        frames["firmware_version"] = self._firmware[frames["offset"]]
        return frames

    def _aim(self) -> None:
        """Give zone visits their crossing, and let vehicles that visit soon stand near it."""
        for row in self.faults[self.faults["kind"] == Fault.GEOFENCE]:
            city = self._map.cities[self.vehicles["city"][row["vehicle"]]]
            i, j = streets.nearest_node(city, row["a"], row["b"])
            own = (
                (self.faults["vehicle"] == row["vehicle"])
                & (self.faults["kind"] == row["kind"])
                & (self.faults["start_ms"] == row["start_ms"])
            )
            self.faults["c"][own], self.faults["d"][own] = i, j
            if row["start_ms"] < (self._start_s + _NEAR_S) * 1000:
                self._bring_near(int(row["vehicle"]), i, j)

    def _bring_near(self, v: int, i: int, j: int) -> None:
        rec = self.vehicles[v : v + 1]
        vehicle_type = int(self._specs["vehicle_type"][rec["model"][0]])
        nodes = self._map.nodes[rec["city"][0]]
        fine = ((nodes & streets.INSIDE) != 0) & ((nodes & (streets.NO_GO << vehicle_type)) == 0)
        distance = np.abs(np.arange(len(nodes))[:, None] - i) + np.abs(np.arange(len(nodes))[None, :] - j)
        distance[~fine | (distance < _NEAR_BLOCKS)] = np.iinfo(np.int64).max
        rec["i"], rec["j"] = np.unravel_index(np.argmin(distance), distance.shape)
