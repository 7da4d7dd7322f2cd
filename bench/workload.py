"""Seeded frames of a fleet, as columns: what a benchmark's vehicles send. Bytes of them are made in payloads.py.

Every vehicle stands or rides in a service area, outside every no-go zone; a few have a charge below 15 %. Values are rounded to what a
JSON frame shows, so that both forms carry the same numbers. Frames come in order of arrival, with a delay below MAX_DELAY_MS.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from fleetpulse.codecs import schema
from fleetpulse.codecs.schema import Status
from fleetpulse.config.fleet import City, VehicleModel, load_fleet

START_MS = 1_750_000_020_000
"""Event time of the first frames: a whole minute in 2025."""
MAX_DELAY_MS = 1_500
RIDING_SHARE, FRAMES_PER_RIDE = 0.05, 600
LOW_BATTERY_SHARE, FRAMES_PER_LOW_BATTERY = 0.01, 3_000
"""Vehicles that ride, or have a low battery, from their first frame on: this share of all, but not more than one for so many frames. Their
first frames cause events, two or three each, and an event costs as much as hundreds of frames; a fleet has some ten times fewer."""
_ZONE_MARGIN_DEG = 0.005
_RIDE_RADIUS_DEG = 0.001


@dataclass(frozen=True)
class Workload:
    """What to make. Frame k of a vehicle is due at START_MS + its phase + k * interval_ms.

    frames  N in all, a multiple of `vehicles`
    first   k of each vehicle's first frame: a long topic is made of parts that follow each other
    """

    vehicles: int
    frames: int
    interval_ms: int = 5_000
    seed: int = 1
    first: int = 0

    def __post_init__(self) -> None:
        assert self.frames % self.vehicles == 0, "frames must be a multiple of vehicles"
        assert self.interval_ms > MAX_DELAY_MS, "a vehicle's frames must arrive in order"

    @property
    def name(self) -> str:
        return f"{self.vehicles}v-{self.frames}f-{self.interval_ms}ms-seed{self.seed}-from{self.first}"

    def part(self, n: int) -> "Workload":
        """The n-th that goes on after this one, which is number 0."""
        return replace(self, first=self.first + n * (self.frames // self.vehicles))


def make(workload: Workload) -> NDArray[Any]:
    """(N,) FRAME rows in order of arrival; `append_ms` holds the arrival, every other origin column is 0."""
    rng = np.random.default_rng(workload.seed)
    fixed = _vehicles(workload, rng)
    phase = rng.integers(0, workload.interval_ms, workload.vehicles)
    rng = np.random.default_rng((workload.seed, workload.first))
    each = workload.frames // workload.vehicles
    vehicle = np.tile(np.arange(workload.vehicles), each)
    k = np.repeat(np.arange(workload.first, workload.first + each), workload.vehicles)
    time_ms = START_MS + phase[vehicle] + k * workload.interval_ms
    arrival_ms = time_ms + rng.integers(0, MAX_DELAY_MS, workload.frames)
    order = np.argsort(arrival_ms, kind="stable")
    frames = _measure(fixed[vehicle[order]], k[order], workload.interval_ms, rng)
    frames["time_ms"], frames["append_ms"] = time_ms[order], arrival_ms[order]
    return frames


_VEHICLE = np.dtype(
    [
        ("device_hi", "<u8"),
        ("device_lo", "<u8"),
        ("model_id", "<u4"),
        ("longitude_deg", "<f8"),
        ("latitude_deg", "<f8"),
        ("riding", "?"),
        ("soc_pct", "<f8"),
        ("soh_pct", "<f8"),
        ("odometer_m", "<f8"),
        ("range_m", "<f8"),
        ("voltage_v", "<f8"),
        ("speed_mps", "<f8"),
        ("tyre_kpa", "<f8"),
        ("cycles", "<i4"),
    ]
)


def _vehicles(workload: Workload, rng: np.random.Generator) -> NDArray[Any]:
    """(V,) _VEHICLE: what of a vehicle does not change in a few minutes."""
    n = workload.vehicles
    fleet = load_fleet()
    models = [model for model in fleet.models if model]
    cities = [city for city in fleet.cities if city]
    rows = np.zeros(n, dtype=_VEHICLE)
    ids = rng.integers(0, 2**64, (n, 2), dtype=np.uint64)
    version, variant = np.uint64(0x4000), np.uint64(1 << 63)
    rows["device_hi"] = ids[:, 0] & ~np.uint64(0xF000) | version
    rows["device_lo"] = ids[:, 1] & ~np.uint64(3 << 62) | variant
    for i, city in enumerate(cities):
        here = np.arange(i, n, len(cities))
        rows["longitude_deg"][here], rows["latitude_deg"][here] = _places(city, len(here), rng)
    choice = rng.choice(len(models), n, p=_shares(models))
    for i, model in enumerate(models):
        here = np.flatnonzero(choice == i)
        rows["model_id"][here] = model.id
        rows["range_m"][here] = model.range_m
        rows["voltage_v"][here] = model.nominal_voltage_v
        rows["speed_mps"][here] = rng.uniform(0.4, 0.8, len(here)) * model.max_speed_mps
        rows["tyre_kpa"][here] = model.tyre_pressure_nominal_kpa * rng.uniform(0.95, 1.05, len(here))
    rows["riding"] = rng.random(n) < min(RIDING_SHARE, workload.frames / n / FRAMES_PER_RIDE)
    low = rng.random(n) < min(LOW_BATTERY_SHARE, workload.frames / n / FRAMES_PER_LOW_BATTERY)
    rows["soc_pct"] = np.where(low, rng.uniform(11, 14, n), rng.uniform(25, 100, n))
    rows["soh_pct"] = rng.uniform(80, 100, n)
    rows["odometer_m"] = rng.uniform(1e5, 1e7, n)
    rows["cycles"] = rng.integers(10, 800, n)
    return rows


def _shares(models: list[VehicleModel]) -> NDArray[np.float64]:
    weight = np.array([5.0 if model.mode == "micromobility" else 1.0 for model in models])
    shares: NDArray[np.float64] = weight / weight.sum()
    return shares


def _places(city: City, n: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """n longitudes and latitudes inside the service areas, away from every edge and no-go zone."""
    areas = shapely.unary_union([shapely.Polygon(zone.ring) for zone in city.zones if zone.kind == "service_area"])
    forbidden = shapely.unary_union([shapely.Polygon(zone.ring) for zone in city.zones if zone.kind == "no_go"])
    allowed = areas.buffer(-_ZONE_MARGIN_DEG).difference(forbidden.buffer(_ZONE_MARGIN_DEG))
    shapely.prepare(allowed)
    west, south, east, north = allowed.bounds
    longitudes, latitudes = np.empty(0), np.empty(0)
    while len(longitudes) < n:
        x, y = rng.uniform(west, east, n + 100), rng.uniform(south, north, n + 100)
        inside = shapely.contains_xy(allowed, x, y)
        longitudes, latitudes = np.concatenate([longitudes, x[inside]]), np.concatenate([latitudes, y[inside]])
    return longitudes[:n], latitudes[:n]


def _measure(v: NDArray[Any], k: NDArray[np.int64], interval_ms: int, rng: np.random.Generator) -> NDArray[Any]:
    """(N,) FRAME rows without times: vehicle rows `v` at their k-th frame. 29 fields are present."""
    n = len(v)
    frames = schema.empty(n)
    riding = v["riding"]
    ridden_s = k * (interval_ms / 1000)
    angle = ridden_s / 60 + v["odometer_m"]
    noise = rng.standard_normal((6, n))
    for name in ("device_hi", "device_lo", "model_id"):
        frames[name] = v[name]
    frames["boot_id"], frames["seq"] = 1, k
    frames["latitude_e7"] = np.rint((v["latitude_deg"] + riding * _RIDE_RADIUS_DEG * np.sin(angle)) * 1e7)
    frames["longitude_e7"] = np.rint((v["longitude_deg"] + riding * _RIDE_RADIUS_DEG * np.cos(angle)) * 1e7)
    speed_mps = np.where(riding, np.abs(v["speed_mps"] + 0.5 * noise[0]), 0.0)
    charge_pct = np.maximum(v["soc_pct"] - riding * ridden_s * 0.002, 10.5)
    values = {
        "horizontal_accuracy_m": 3 + np.abs(noise[1]),
        "speed_mps": speed_mps,
        "heading_deg": np.degrees(angle) % 360 * riding,
        "battery_soc_pct": charge_pct,
        "battery_voltage_v": v["voltage_v"] * (0.95 + 0.1 * charge_pct / 100),
        "battery_current_a": np.where(riding, -np.abs(4 + noise[2]), -0.02),
        "battery_temperature_c": 22 + noise[3],
        "altitude_m": 40 + noise[1],
        "battery_soh_pct": v["soh_pct"],
        "range_m": v["range_m"] * charge_pct / 100,
        "odometer_m": v["odometer_m"] + riding * ridden_s * v["speed_mps"],
        "tyre_pressure_front_left_kpa": v["tyre_kpa"] + noise[4],
        "tyre_pressure_rear_left_kpa": v["tyre_kpa"] + noise[5],
        "accel_rms_mps2": np.abs(noise[4]) * (0.05 + riding),
        "roll_deg": 5 + noise[5],
        "vibration_band1_rms_mps2": np.abs(noise[2]) * (0.05 + riding),
        "ambient_temperature_c": 18 + 0.1 * noise[3],
    }
    for name, value in values.items():
        frames[name] = np.round(value, DECIMALS[name])
    frames["satellites"] = 9 + (k % 5)
    frames["battery_cycles"] = v["cycles"]
    frames["rssi_dbm"] = -60 - (k % 30)
    frames["firmware_version"] = b"4.2.1"
    moving = int(Status.IN_USE | Status.MOVING | Status.GNSS_FIX)
    frames["status"] = np.where(riding, moving, int(Status.LOCKED | Status.GNSS_FIX))
    return frames


DECIMALS = {
    "horizontal_accuracy_m": 1,
    "speed_mps": 2,
    "heading_deg": 1,
    "battery_soc_pct": 1,
    "battery_voltage_v": 2,
    "battery_current_a": 2,
    "battery_temperature_c": 1,
    "altitude_m": 1,
    "battery_soh_pct": 1,
    "range_m": 0,
    "odometer_m": 0,
    "tyre_pressure_front_left_kpa": 1,
    "tyre_pressure_rear_left_kpa": 1,
    "accel_rms_mps2": 2,
    "roll_deg": 1,
    "vibration_band1_rms_mps2": 2,
    "ambient_temperature_c": 1,
}
"""Digits after the point of each measured value that is present."""
