"""The simulated vehicles: one record each, and how a vehicle is born from (seed, number) alone. No time here but the clock's second."""

import math
from enum import IntEnum
from typing import Any

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from fleetpulse.codecs.jit import inlined, kernel
from fleetpulse.config.fleet import Fleet
from fleetpulse.vehicle_agent import noise, streets
from fleetpulse.vehicle_agent.specs import SPEC


class Mode(IntEnum):
    """What a vehicle does. PARKED and PAUSED are locked, all but PARKED are in use."""

    PARKED = 0
    STARTING = 1
    RIDING = 2
    STANDING = 3  # at a crossing
    PAUSED = 4  # a car that its user left locked, and will use on
    ENDING = 5


FIRMWARE = ("4.2.1", "4.2.0", "4.1.7", "3.9.2")
JSON_FIRMWARE = "1.8.0"
"""Of vehicles that still send JSON."""

VEHICLE: np.dtype[np.void] = np.dtype(
    [
        # fixed
        ("key", "<u8"),
        ("device_hi", "<u8"),
        ("device_lo", "<u8"),
        ("city", "<i8"),
        ("model", "<i8"),
        ("phase_ms", "<i8"),  # when within a second it reports
        ("firmware", "<i8"),
        # sequence
        ("boot_id", "<i8"),
        ("seq", "<i8"),  # of the next frame
        ("previous_last", "<i8"),  # last seq of the boot before; -1: none
        ("last_status", "<i8"),
        ("silent_until_s", "<i8"),
        # ride
        ("fresh", "<i8"),  # 1 until its first second
        ("mode", "<i8"),
        ("timer_s", "<i8"),
        ("trip", "<i8"),  # number of the trip, from 1
        ("trip_s", "<i8"),
        ("sent", "<i8"),  # its user was sent on the ride by a scenario
        ("trip_hi", "<u8"),
        ("trip_lo", "<u8"),
        # place: `progress_m` from crossing (i, j) in `direction`
        ("i", "<i8"),
        ("j", "<i8"),
        ("direction", "<i8"),
        ("next_direction", "<i8"),
        ("stop_next", "<i8"),
        ("edge", "<i8"),  # counts streets ridden
        ("goal_i", "<i8"),
        ("goal_j", "<i8"),
        ("visited", "<i8"),  # reached the place that a fault sends it to
        ("stolen", "<i8"),
        ("progress_m", "<f8"),
        ("speed_mps", "<f8"),
        ("cruise_mps", "<f8"),
        ("odometer_m", "<f8"),
        # battery
        ("energy_wh", "<f8"),
        ("soh_pct", "<f8"),
        ("cycles", "<f8"),
        ("battery_c", "<f8"),
        ("voltage_v", "<f8"),
        ("current_a", "<f8"),
        ("charging", "<i8"),
        ("serve_s", "<i8"),  # when staff will swap or plug in; 0: nobody was called
        ("frozen_soc", "<f8"),  # -1: not frozen
        # sensors
        ("tyre_share", "<f8"),  # of the nominal pressure
        ("tyre_heat_c", "<f8"),
        ("leak_kpa", "<f8"),
        ("leak_wheel", "<i8"),
        ("gps_east_m", "<f8"),
        ("gps_north_m", "<f8"),
        ("gps_sigma_m", "<f8"),
        ("stuck", "<i8"),
        ("stuck_latitude", "<i8"),
        ("stuck_longitude", "<i8"),
        ("roll_deg", "<f8"),
        ("tipped", "<i8"),
        ("crashed", "<i8"),
        ("alarmed", "<i8"),  # the detector saw the crash
        # blow that the detector sees now
        ("impact", "<i8"),
        ("impact_s", "<i8"),
        ("impact_ms", "<i8"),
        ("impact_size", "<f8"),
        ("detector_s", "<i8"),
        ("peak_x", "<f8"),
        ("peak_y", "<f8"),
        ("peak_z", "<f8"),
        ("untold", "<i8"),  # no frame has told of these peaks yet
    ],
    align=True,
)

_U = np.uint64
_TYPE_SHARES = {"scooter": 0.5, "bicycle": 0.25, "car": 0.25}
"""How the fleet divides; models of one type share evenly."""
_VERSION, _VARIANT = _U(0x4000), _U(0x8000000000000000)
_R_VEHICLE, _R_SPEC, _R_CITY = numba.from_dtype(VEHICLE), numba.from_dtype(SPEC), numba.from_dtype(streets.CITY)


@inlined
def uuid_hi(raw: np.uint64) -> np.uint64:
    """Upper half of a random UUID (version 4)."""
    return _U((raw & _U(0xFFFFFFFFFFFF0FFF)) | _VERSION)


@inlined
def uuid_lo(raw: np.uint64) -> np.uint64:
    return _U((raw & _U(0x3FFFFFFFFFFFFFFF)) | _VARIANT)


@kernel(
    types.void(
        _R_VEHICLE[::1],
        types.uint64,
        _R_SPEC[::1],
        types.float64[::1],
        _R_CITY[::1],
        types.uint8[:, :, ::1],
        types.int64,
    )
)
def _populate(vehicles: Any, seed: np.uint64, specs: Any, shares: Any, cities: Any, nodes: Any, firmwares: int) -> None:
    for v in range(len(vehicles)):
        rec = vehicles[v]
        key = noise.mix(_U(seed ^ noise.mix(_U(v))))
        rec.key = key
        rec.device_hi = uuid_hi(noise.bits(key, 0, 0))
        rec.device_lo = uuid_lo(noise.bits(key, 0, 1))
        rec.city = 1 + int(noise.uniform(key, 0, 2) * (len(cities) - 1))
        draw = noise.uniform(key, 0, 3)
        rec.model = 1
        while draw >= shares[rec.model] and rec.model < len(specs) - 1:
            rec.model += 1
        spec = specs[rec.model]
        rec.phase_ms = int(noise.uniform(key, 0, 4) * 1000.0)
        rec.firmware = int(noise.uniform(key, 0, 5) ** 2 * firmwares)
        rec.boot_id = 1
        rec.previous_last = -1
        rec.last_status = -1
        rec.fresh = 1
        half = cities[rec.city].half
        for k in range(64):  # denser towards the centre
            rec.i = half + int((noise.uniform(key, k, 6) + noise.uniform(key, k, 7) - 1.0) * half)
            rec.j = half + int((noise.uniform(key, k, 8) + noise.uniform(key, k, 9) - 1.0) * half)
            if streets.allowed(nodes, rec.city, spec.vehicle_type, rec.i, rec.j):
                break
        rec.direction = int(noise.uniform(key, 0, 10) * 4.0)
        rec.next_direction = rec.direction
        rec.odometer_m = 2.0e5 + noise.uniform(key, 0, 11) * (3.0e6 if spec.wheels == 2 else 6.0e7)
        rec.soh_pct = 100.0 - 14.0 * noise.uniform(key, 0, 12)
        rec.cycles = int((100.0 - rec.soh_pct) * (25.0 + 20.0 * noise.uniform(key, 0, 13)))
        rec.energy_wh = spec.battery_wh * rec.soh_pct / 100.0 * (1.0 - 0.82 * noise.uniform(key, 0, 14) ** 1.6)
        rec.charging = 1 if spec.swappable == 0 and noise.uniform(key, 0, 20) < 0.15 else 0
        rec.battery_c = math.nan
        rec.frozen_soc = -1.0
        rec.tyre_share = 1.0 - 0.08 * noise.uniform(key, 0, 15)
        rec.gps_sigma_m = 1.2 + 1.6 * noise.uniform(key, 0, 16)
        rec.gps_east_m = rec.gps_sigma_m * noise.normal(key, 0, 17)
        rec.gps_north_m = rec.gps_sigma_m * noise.normal(key, 0, 18)
        rec.roll_deg = 3.0 + 4.0 * noise.uniform(key, 0, 19) if spec.wheels == 2 else 2.0 * noise.uniform(key, 0, 19) - 1.0
        rec.detector_s = -1


def _shares(fleet: Fleet) -> NDArray[np.float64]:
    """Cumulative share of each model code in the fleet."""
    types_ = [model.vehicle_type if model else None for model in fleet.models]
    present = sum(share for name, share in _TYPE_SHARES.items() if name in types_)
    return np.cumsum([_TYPE_SHARES[name] / types_.count(name) / present if name else 0.0 for name in types_])


def populate(count: int, *, seed: int, fleet: Fleet, specs: NDArray[Any], streets_map: streets.CityMap) -> NDArray[Any]:
    """(V,) VEHICLE rows; row v depends on seed and v alone."""
    vehicles = np.zeros(count, dtype=VEHICLE)
    mask = np.uint64(seed & 0xFFFFFFFFFFFFFFFF)
    _populate(vehicles, mask, specs, _shares(fleet), streets_map.cities, streets_map.nodes, len(FIRMWARE))
    return vehicles
