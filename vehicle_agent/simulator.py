"""The fleet: V vehicles, time in, FRAME rows out. Seeded and deterministic; reads no clock and does no I/O.

A vehicle's story is a function of (seed, its number, its faults, start): it depends neither on V nor on how time is cut. Physics run
in steps of one second; frames within a second (5 Hz while riding) are interpolated between its ends.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.codecs.schema import empty
from fleetpulse.config.fleet import Fleet
from fleetpulse.vehicle_agent import advance, crash, effects, specs, streets, vehicles, weather
from fleetpulse.vehicle_agent.faults import NONE, Fault
from fleetpulse.vehicle_agent.vehicles import FIRMWARE, JSON_FIRMWARE, VEHICLE


@dataclass(frozen=True)
class Cadence:
    """How often a vehicle reports: `ride_ms` in use (or stolen), `idle_s` parked and awake, `sleep_s` parked with much charge.

    Every change of its status is reported at once. The defaults are the requirements': 5, 1 and 0.1 Hz.
    """

    ride_ms: int = 200
    idle_s: int = 1
    sleep_s: int = 10

    @property
    def frames_per_s(self) -> int:
        """Most that a vehicle makes in a second, with one more for a crash."""
        return 1 + max(1, -(-1000 // self.ride_ms))


STANDARD = Cadence()
_ROWS = 100_000
"""Rows of the kernel's buffer, unless one second of the fleet needs more."""
_CHUNK_S = 60
_NEAR_S = 900
_NEAR_BLOCKS = 4


def _layout() -> bytes:
    """Tells the layout of saved vehicles: another version's are not taken."""
    return sha256(repr(VEHICLE.descr).encode()).digest()


class Simulator:
    """A fleet of simulated vehicles.

    faults     (F,) FAULT rows of faults.table(); the simulator fills in when each really began and ended
    cadence    how often vehicles report
    device_id  of vehicle v: big-endian halves `vehicles["device_hi"][v]`, `vehicles["device_lo"][v]`
    """

    def __init__(
        self, fleet: Fleet, vehicle_count: int, seed: int, start_ms: int, faults: NDArray[Any] = NONE, *, cadence: Cadence = STANDARD
    ) -> None:
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
        self._chunk_s = max(1, min(_CHUNK_S, _ROWS // (cadence.frames_per_s * max(1, vehicle_count))))
        self._cadence = np.array([cadence.ride_ms, cadence.idle_s, cadence.sleep_s], dtype=np.int64)
        self._rows = empty(self._chunk_s * cadence.frames_per_s * vehicle_count)
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

    def save(self) -> bytes:
        """The vehicles as they are, for resume()."""
        return _layout() + self.vehicles.tobytes()

    def resume(self, saved: bytes) -> bool:
        """Go on where an earlier run of the same vehicles ended, before boot(); False, and nothing changed, when it is not of them."""
        head = _layout()
        if not saved.startswith(head) or len(saved) != len(head) + self.vehicles.nbytes:
            return False
        before = np.frombuffer(saved, dtype=self.vehicles.dtype, offset=len(head))
        if not np.array_equal(before["key"], self.vehicles["key"]):
            return False
        self.vehicles[:] = before
        for name, value in (
            ("seq", 0),
            ("last_status", -1),
            ("silent_until_s", 0),
            ("serve_s", 0),
            ("crashed", 0),
            ("alarmed", 0),
            ("tipped", 0),
        ):
            self.vehicles[name] = value
        return True

    def postpone(self, start_ms: int) -> int:
        """Begin at `start_ms` instead, all faults as much later, before the first step. By how many ms."""
        assert self._second == self._start_s, "vehicles have run already"
        later_ms = (start_ms // 1000 - self._second) * 1000
        self._second = self._start_s = start_ms // 1000
        self.faults["start_ms"] += later_ms
        self.faults["end_ms"] += later_ms
        return later_ms

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
        n = advance.run(
            self.vehicles,
            self._detectors,
            self.faults,
            self._first_fault,
            self._specs,
            self._map.cities,
            self._map.nodes,
            ambient,
            demand,
            self._cadence,
            self._second,
            self._effects,
            self._rows,
        )
        since = (self._rows["append_ms"][:n] - self._second * 1000).astype(np.uint16)  # a radix sort; 60 s fit
        frames = self._rows[np.argsort(since, kind="stable")]
        frames["firmware_version"] = self._firmware[frames["offset"]]
        return frames

    def _aim(self) -> None:
        """Put vehicles that stand at a border there; give zone visits their crossing, and let who visits soon stand near it."""
        for row in self.faults[self.faults["kind"] == Fault.BORDER]:
            rec = self.vehicles[row["vehicle"] : row["vehicle"] + 1]
            rec["i"], rec["j"] = streets.nearest_node(self._map.cities[rec["city"][0]], row["a"], row["b"])
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
