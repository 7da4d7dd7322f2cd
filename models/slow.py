"""Closed windows to the slow signals that forecasts are made of, column by column. No learning here."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

ATMOSPHERE_KPA = 101.325
ZERO_C = -273.15
REFERENCE_C = 20.0

STEP_A_SHARE = 2.0
"""The strongest current of a window must be so many times its mean, and STEP_A more, to say something about resistance."""
STEP_A = 2.0
COLD_PER_C = 0.02
"""A lithium cell's resistance rises by about so much a degree below REFERENCE_C (between 0.015 and 0.04 in the literature)."""


@dataclass(frozen=True)
class Slow:
    """N windows; every list has N entries, NaN where something was not measured.

    moved         it moved in the window
    tyre_kpa      lowest pressure of its wheels, over the atmosphere's, as measured
    cold_kpa      the same at REFERENCE_C, if the tyre is as warm as the air
    air_c         ambient temperature, else the battery's
    capacity_pct  state of health: capacity as a share of the first one
    cycles        charge cycles, negative when not known
    ohm           resistance at REFERENCE_C, where the load changed enough to tell
    """

    end_ms: list[int]
    moved: list[bool]
    tyre_kpa: list[float]
    cold_kpa: list[float]
    air_c: list[float]
    capacity_pct: list[float]
    cycles: list[int]
    ohm: list[float]


def at_reference_kpa(kpa: Any, air_c: Any) -> Any:
    """Pressure over the atmosphere's that a tyre of `air_c` would show at REFERENCE_C: ideal gas at constant volume. Floats or arrays."""
    return (kpa + ATMOSPHERE_KPA) * (REFERENCE_C - ZERO_C) / (air_c - ZERO_C) - ATMOSPHERE_KPA


def extract(windows: NDArray[Any]) -> Slow:
    """(N,) tables.WINDOW rows to Slow. O(N), a few array operations."""
    w = {
        name: windows[name].astype(np.float64)
        for name in (
            *("moving_s", "distance_m", "charging_s", "tyre_pressure_min_kpa", "ambient_temperature_mean_c"),
            *("battery_temperature_mean_c", "soh_pct", "voltage_mean_v", "voltage_min_v", "current_mean_a", "current_min_a"),
        )
    }
    air = np.where(np.isfinite(w["ambient_temperature_mean_c"]), w["ambient_temperature_mean_c"], w["battery_temperature_mean_c"])
    moved = (w["moving_s"] > 0) | (w["distance_m"] >= 50)
    tyre = w["tyre_pressure_min_kpa"]
    return Slow(
        end_ms=windows["window_end_ms"].tolist(),
        moved=moved.tolist(),
        tyre_kpa=tyre.tolist(),
        cold_kpa=at_reference_kpa(tyre, air).tolist(),
        air_c=air.tolist(),
        capacity_pct=w["soh_pct"].tolist(),
        cycles=windows["cycles"].tolist(),
        ohm=_resistance(w, moved).tolist(),
    )


def _resistance(w: dict[str, NDArray[np.float64]], moved: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Sag over the change of current: from the window's mean to its strongest load, which the lowest voltage belongs to."""
    mean, step = w["current_mean_a"], w["current_mean_a"] - w["current_min_a"]
    told = moved & ~(w["charging_s"] > 0) & (step >= STEP_A) & (step >= (STEP_A_SHARE - 1) * np.abs(mean))
    sag = w["voltage_mean_v"] - w["voltage_min_v"]
    cold = 1 + COLD_PER_C * np.maximum(0.0, REFERENCE_C - w["battery_temperature_mean_c"])
    ohm = np.divide(sag, step * cold, out=np.full(len(step), np.nan), where=told)
    return np.where(ohm > 0, ohm, np.nan)
