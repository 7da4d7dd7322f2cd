"""Closed windows of an invented fleet, for tests of the models: plausible rides and standing, and faults at known places. Seeded."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.codecs.tables import WINDOW

START_MS = 1_750_000_000_000 // 60_000 * 60_000
MINUTE_MS = 60_000


@dataclass
class Invented:
    """V vehicles of one shard over M minutes.

    ride_share  of minutes that vehicles ride
    parked_w    vehicle -> extra power while parked
    riding      vehicle -> factor on the consumption of a ride
    bearing     vehicle -> severity 0..1
    dead_cell   vehicles with a cell less
    since       minute from which faults hold, up to `until`
    models      codes of vehicle models, dealt round; cities the same
    change      called with (minute, its rows) to change them, for example a swap
    """

    vehicles: int = 40
    minutes: int = 60
    seed: int = 1
    ride_share: float = 0.3
    parked_w: dict[int, float] = field(default_factory=dict)
    riding: dict[int, float] = field(default_factory=dict)
    bearing: dict[int, float] = field(default_factory=dict)
    dead_cell: tuple[int, ...] = ()
    since: int = 0
    until: int = 1 << 30
    device_hi: int = 0xF1EE7
    models: tuple[int, ...] = (1,)
    cities: tuple[int, ...] = (1,)
    change: Callable[[int, NDArray[Any]], None] | None = None

    def windows(self) -> NDArray[Any]:
        """(V * M,) WINDOW rows in the order in which they closed."""
        rng = np.random.default_rng(self.seed)
        v = self.vehicles
        soc = rng.uniform(60, 95, v)
        riding = np.zeros(v, dtype=np.bool_)
        minutes = []
        for minute in range(self.minutes):
            riding = np.where(rng.random(v) < 0.15, rng.random(v) < self.ride_share, riding)
            rows = self._minute(rng, minute, soc, riding)
            if self.change is not None:
                before = rows["soc_last_pct"].copy()
                self.change(minute, rows)
                soc[:] = np.where(rows["soc_last_pct"] == before, soc, rows["soc_last_pct"])
            minutes.append(rows)
        return np.concatenate(minutes)

    def _minute(self, rng: np.random.Generator, minute: int, soc: NDArray[np.float64], riding: NDArray[np.bool_]) -> NDArray[Any]:
        v, on = self.vehicles, self.since <= minute < self.until
        rows = np.zeros(v, dtype=WINDOW)
        rows["device_hi"], rows["device_lo"] = self.device_hi, np.arange(v) + 1
        rows["slot"] = np.arange(v)
        rows["city"] = [self.cities[i % len(self.cities)] for i in range(v)]
        rows["vehicle_model"] = [self.models[i % len(self.models)] for i in range(v)]
        rows["window_start_ms"] = START_MS + minute * MINUTE_MS
        rows["window_end_ms"] = rows["window_start_ms"] + MINUTE_MS
        rows["closed_ms"] = rows["window_end_ms"] + 2_000
        rows["first_offset"] = minute * 1_000
        rows["last_offset"] = minute * 1_000 + 999
        rows["frames"] = 60
        rows["latitude_deg"], rows["longitude_deg"] = 52.52 + 0.001 * np.arange(v), 13.4
        moving_s = np.where(riding, rng.uniform(30, 60, v), 0.0)
        pace = rng.uniform(4.0, 6.0, v)
        distance = moving_s * pace
        air = 18.0 + 5 * np.sin(minute / 500) + rng.normal(0, 0.3, v)
        road = rng.uniform(0.7, 1.4, v)
        climb = np.where(riding, np.maximum(0, rng.normal(1, 3, v)), 0.0)
        power_w = (40 + 25 * pace + 20 * climb) * moving_s / 60 * rng.normal(1, 0.1, v) * self._factor(on, self.riding, 1.0) + 6 * riding
        idle_w = np.where(riding, 0.0, 0.8 + self._factor(on, self.parked_w, 0.0))
        total_w = power_w + idle_w
        cells = 13 - np.array([1.0 if i in self.dead_cell and on else 0.0 for i in range(v)])
        open_v = cells * (3.4 + 0.7 * soc / 100)
        current = total_w / open_v
        lost = 100 * total_w / 60 / 460
        before = np.round(soc, 1)
        soc -= lost
        swapped = ~riding & (soc < 20)
        soc[swapped] = 95.0
        rows["soc_first_pct"], rows["soc_last_pct"] = before, np.round(soc, 1)
        rows["soc_min_pct"] = rows["soc_last_pct"]
        rows["distance_m"], rows["climb_m"] = distance, climb
        rows["in_use_s"], rows["moving_s"] = 60.0 * riding, moving_s
        rows["speed_mean_mps"] = distance / 60
        rows["speed_max_mps"] = pace * 1.1 * riding
        rows["voltage_mean_v"] = (open_v - 0.13 * current) * rng.normal(1, 0.002, v)
        rows["voltage_min_v"] = rows["voltage_mean_v"] - 0.13 * 8 * riding
        rows["current_mean_a"], rows["current_min_a"] = -current, -current * 2
        rows["energy_out_wh"] = total_w / 60
        rows["battery_temperature_mean_c"] = air + 0.4 * current
        rows["battery_temperature_max_c"] = rows["battery_temperature_mean_c"] + rng.normal(0.3, 0.1, v)
        rows["ambient_temperature_mean_c"] = np.round(air * 2) / 2
        r, worn = rows["speed_mean_mps"] / 7.0, self._factor(on, self.bearing, 0.0)
        for k, (base, gain, power, wear) in enumerate(
            ((0.03, 1.3, 1.0, 0.0), (0.03, 0.8, 1.3, 0.0), (0.02, 0.35, 1.6, 2.5), (0.02, 0.18, 2.0, 6.0)), 1
        ):
            rows[f"vibration_band{k}_mean_mps2"] = (base + gain * road * r**power) * (1 + wear * worn) * rng.normal(1, 0.05, v)
        rows["tyre_pressure_min_kpa"], rows["soh_pct"], rows["cycles"] = 300.0, 95.0, 100
        rows["boot_id"], rows["seq"] = 1, minute * 60
        return rows

    def _factor(self, on: bool, values: dict[int, float], plain: float) -> NDArray[np.float64]:
        return np.array([values.get(i, plain) if on else plain for i in range(self.vehicles)])
