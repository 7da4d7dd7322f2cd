"""Closed windows of a fleet over weeks, for tests of forecasts: weather, rides that warm tyres, leaks, ageing at known rates. Seeded."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.codecs.tables import WINDOW
from fleetpulse.models.slow import ATMOSPHERE_KPA, ZERO_C

START_MS = 1_762_700_400_000
DAY_MS = 86_400_000


@dataclass
class Slowly:
    """V vehicles over some days, a window every `every_min` minutes.

    leak_kpa_per_d  vehicle -> loss at 20 degC from `since_d` to `until_d`; then it is inflated
    loss_pct_per_d  vehicle -> loss of capacity in that time, which afterwards stays as it is
    ohm_per_d       vehicle -> rise of resistance in that time, as a share of the first
    noise_kpa       of one window
    day_kpa         of a whole day, the same in all of its windows: what weather and sun leave over
    soh_noise_pct   of one window
    cold_front      (day, degrees) the air is so much colder from then on
    """

    vehicles: int = 4
    days: float = 20.0
    seed: int = 1
    every_min: int = 20
    first_kpa: float = 300.0
    first_pct: float = 90.0
    leak_kpa_per_d: dict[int, float] = field(default_factory=dict)
    loss_pct_per_d: dict[int, float] = field(default_factory=dict)
    ohm_per_d: dict[int, float] = field(default_factory=dict)
    since_d: float = 5.0
    until_d: float = 1e9
    noise_kpa: float = 0.5
    day_kpa: float = 0.0
    soh_noise_pct: float = 0.0
    swing_c: float = 6.0
    cold_front: tuple[float, float] = (1e9, 0.0)
    cycles_per_d: float = 0.0
    first_cycles: int = 400
    model: int = 1

    def windows(self) -> NDArray[Any]:
        """(V * M,) WINDOW rows in the order in which they closed."""
        v, count = self.vehicles, int(self.days * 1440 / self.every_min)
        rng = np.random.default_rng(self.seed)
        t = np.arange(count) * self.every_min / 1440
        rows = np.zeros((count, v), dtype=WINDOW)
        rows["device_hi"], rows["device_lo"] = 0xF1EE7, rng.integers(1, 1 << 62, v)
        rows["slot"], rows["city"], rows["vehicle_model"] = np.arange(v), 1, self.model
        rows["window_start_ms"] = (START_MS + np.round(t * DAY_MS).astype(np.int64))[:, None]
        rows["window_end_ms"] = rows["window_start_ms"] + 60_000
        rows["closed_ms"] = rows["window_end_ms"] + 2_000
        rows["first_offset"] = np.arange(count)[:, None] * 10
        rows["last_offset"] = rows["first_offset"] + 9
        rows["frames"], rows["latitude_deg"], rows["longitude_deg"] = 6, 52.52, 13.4
        for name in ("soc_first_pct", "soc_last_pct", "soc_min_pct"):
            rows[name] = 80
        rides = self._rides(rng, t)
        air = 9 + self.swing_c * np.sin(2 * np.pi * (t - 0.3)) + np.where(t >= self.cold_front[0], -self.cold_front[1], 0.0)
        fault_d = np.clip(t, self.since_d, self.until_d) - self.since_d
        self._tyres(rows, rng, t, air, rides, fault_d)
        self._batteries(rows, rng, air, rides, fault_d, t)
        return rows.reshape(-1)

    def cold_kpa(self, vehicle: int, at_d: float) -> float:
        """True pressure at 20 degC."""
        return self.first_kpa - self.leak_kpa_per_d.get(vehicle, 0.0) * max(0.0, at_d - self.since_d)

    def _rides(self, rng: np.random.Generator, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """(M, V) hours since the last ride began; a ride of 20 minutes three times a day."""
        since = np.full((len(t), self.vehicles), 24.0)
        for day in range(int(self.days) + 1):
            for start in rng.uniform(0, 1, (3, self.vehicles)):
                ago = (t[:, None] - day - start) * 24
                since = np.where((ago >= 0) & (ago < since), ago, since)
        return since

    def _tyres(
        self,
        rows: NDArray[Any],
        rng: np.random.Generator,
        t: NDArray[np.float64],
        air: NDArray[np.float64],
        rides: NDArray[np.float64],
        fault_d: NDArray[np.float64],
    ) -> None:
        rate = np.array([self.leak_kpa_per_d.get(i, 0.0) for i in range(self.vehicles)])
        cold = self.first_kpa - rate * np.where(t < self.until_d, fault_d, 0.0)[:, None]
        cold = cold + self.day_kpa * rng.standard_normal((int(self.days) + 2, self.vehicles))[t.astype(int)]
        warm_c = np.where(rides < 1 / 3, 9.0, 9.0 * np.exp(-np.maximum(rides - 1 / 3, 0) * 6))
        kelvin = air[:, None] + warm_c - ZERO_C
        kpa = (np.maximum(cold, 0) + ATMOSPHERE_KPA) * kelvin / (20 - ZERO_C) - ATMOSPHERE_KPA
        rows["tyre_pressure_min_kpa"] = np.maximum(0, kpa + self.noise_kpa * rng.standard_normal(kpa.shape))
        rows["ambient_temperature_mean_c"] = np.round(air * 2)[:, None] / 2

    def _batteries(
        self,
        rows: NDArray[Any],
        rng: np.random.Generator,
        air: NDArray[np.float64],
        rides: NDArray[np.float64],
        fault_d: NDArray[np.float64],
        t: NDArray[np.float64],
    ) -> None:
        shape = (len(t), self.vehicles)
        loss = np.array([self.loss_pct_per_d.get(i, 0.0) for i in range(self.vehicles)])
        rows["soh_pct"] = self.first_pct - loss * fault_d[:, None] + self.soh_noise_pct * rng.standard_normal(shape)
        rows["cycles"] = (self.first_cycles + self.cycles_per_d * t).astype(np.int32)[:, None]
        rise = np.array([self.ohm_per_d.get(i, 0.0) for i in range(self.vehicles)])
        temperature = air[:, None] + 2
        ohm = 0.13 * (1 + rise * fault_d[:, None]) * (1 + 0.02 * np.maximum(0, 20 - temperature)) * rng.normal(1, 0.05, shape)
        riding = rides < 1 / 3
        rows["moving_s"], rows["in_use_s"], rows["distance_m"] = (np.where(riding, x, 0) for x in (45, 60, 220))
        rows["current_mean_a"], rows["current_min_a"] = np.where(riding, -3.0, -0.02), np.where(riding, -12.0, -0.02)
        rows["voltage_mean_v"] = np.where(riding, 46.0, 47.0)
        rows["voltage_min_v"] = rows["voltage_mean_v"] - np.where(riding, 9.0 * ohm, 0.0)
        rows["battery_temperature_mean_c"] = rows["battery_temperature_max_c"] = temperature
