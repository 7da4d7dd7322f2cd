"""Closed windows to what the models look at, column by column. No learning here."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Group = Literal["vibration", "powertrain"]

MOVING_S = 15.0
"""A window with less riding says nothing about vibration or load."""


@dataclass(frozen=True)
class Feature:
    """One thing that is compared with what is usual for the cohort.

    column  of tables.WINDOW that is shown as its value
    sign    +1: high is harmful, -1: low is harmful
    floor   smallest spread that means something, in the unit of the compared value
    """

    name: str
    column: str
    sign: int
    floor: float


GROUPS: dict[Group, tuple[Feature, ...]] = {
    "vibration": tuple(Feature(f"vibration_band{k}_mps2", f"vibration_band{k}_mean_mps2", 1, 0.05) for k in (1, 2, 3, 4)),
    "powertrain": (
        Feature("voltage_mean_v", "voltage_mean_v", -1, 0.05),
        Feature("current_a", "current_mean_a", 1, 0.05),
        Feature("battery_temperature_c", "battery_temperature_max_c", 1, 0.5),
    ),
}
"""Vibration: logarithms against speed, since it grows with speed by a factor; bands 2-4 over band 1, which carries the road, so that
a bearing stands out on any road. Powertrain: voltage (of which the judge subtracts what
voltage.VoltageModel expects: sag) against load, current against speed (logarithms), temperature rise within the minute against load:
not the temperature itself, which an hour of riding before has raised, and then for many windows in a row."""


_READ = (
    *("soc_first_pct", "soc_last_pct", "charging_s", "in_use_s", "moving_s", "distance_m", "climb_m", "speed_mean_mps"),
    *(
        "soh_pct",
        "current_mean_a",
        "voltage_mean_v",
        "battery_temperature_mean_c",
        "battery_temperature_max_c",
        "ambient_temperature_mean_c",
    ),
    *(feature.column for feature in GROUPS["vibration"]),
)


@dataclass(frozen=True)
class Features:
    """N windows as the models see them; every list has N entries.

    riding      in use or moving (else parked)
    samples     group -> N lists of (covariate, compared value) a feature, or None where one was not measured
    electric    N inputs of voltage.VoltageModel
    ride        N inputs of consumption.RideConsumption
    air_c       temperature that standby losses depend on, NaN when unknown
    power_w     mean power out of the battery, 0 when not measured
    health      share of its first capacity that the battery has, 1 when unknown
    """

    start_ms: list[int]
    end_ms: list[int]
    soc_first_pct: list[float]
    soc_last_pct: list[float]
    charging_s: list[float]
    latitude_deg: list[float]
    longitude_deg: list[float]
    riding: list[bool]
    samples: dict[Group, list[list[tuple[float, float]] | None]]
    electric: list[tuple[float, ...]]
    ride: list[tuple[float, ...]]
    air_c: list[float]
    power_w: list[float]
    health: list[float]


def extract(windows: NDArray[Any]) -> Features:
    """(N,) tables.WINDOW rows to Features. O(N), a few array operations."""
    w = {name: windows[name].astype(np.float64) for name in _READ}
    air = np.where(np.isfinite(w["ambient_temperature_mean_c"]), w["ambient_temperature_mean_c"], w["battery_temperature_mean_c"])
    riding = (w["in_use_s"] > 0) | (w["moving_s"] >= MOVING_S) | (w["distance_m"] >= 50)
    scored = riding & (w["moving_s"] >= MOVING_S) & (w["charging_s"] <= 0)
    speed = np.log1p(w["speed_mean_mps"])
    load = -w["current_mean_a"]
    charge = (w["soc_first_pct"] + w["soc_last_pct"]) / 200
    road, *others = (np.log(np.maximum(w[f.column], 0) + 0.01) for f in GROUPS["vibration"])
    vibration = [(speed, road), *((speed, band - road) for band in others)]
    powertrain = [
        (load, w["voltage_mean_v"]),
        (speed, np.log(np.maximum(load, 0.01))),
        (load, w["battery_temperature_max_c"] - w["battery_temperature_mean_c"]),
    ]
    return Features(
        start_ms=windows["window_start_ms"].tolist(),
        end_ms=windows["window_end_ms"].tolist(),
        soc_first_pct=w["soc_first_pct"].tolist(),
        soc_last_pct=w["soc_last_pct"].tolist(),
        charging_s=w["charging_s"].tolist(),
        latitude_deg=windows["latitude_deg"].tolist(),
        longitude_deg=windows["longitude_deg"].tolist(),
        riding=riding.tolist(),
        samples={"vibration": _samples(vibration, scored), "powertrain": _samples(powertrain, scored & np.isfinite(charge))},
        electric=_rows(np.ones(len(windows)), charge, charge**2, charge**3, load),
        ride=_ride(w, air),
        air_c=air.tolist(),
        power_w=np.nan_to_num(w["voltage_mean_v"] * load).tolist(),
        health=np.clip(np.nan_to_num(w["soh_pct"], nan=100.0) / 100, 0.3, 1.0).tolist(),
    )


def _ride(w: dict[str, NDArray[np.float64]], air: NDArray[np.float64]) -> list[tuple[float, ...]]:
    """What a ride costs charge for, scaled to numbers around 1; what was not measured counts as none, what cannot be is bounded."""
    distance_km = np.clip(np.nan_to_num(w["distance_m"]) / 1000, 0, 3)
    pace_mps = np.minimum(distance_km * 1000 / np.maximum(np.nan_to_num(w["moving_s"]), 1), 50)
    warmth = np.nan_to_num(air, nan=20.0)
    in_use_min = np.nan_to_num(w["in_use_s"]) / 60
    return _rows(
        distance_km,
        distance_km * pace_mps**2 / 100,
        np.clip(np.nan_to_num(w["climb_m"]) / 10, 0, 10),
        distance_km * np.maximum(0.0, 20.0 - warmth) / 10,
        np.nan_to_num(w["moving_s"]) / 60,
        in_use_min,
        in_use_min * np.abs(warmth - 20.0) / 10,
    )


def _rows(*columns: NDArray[np.float64]) -> list[tuple[float, ...]]:
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _samples(
    pairs: list[tuple[NDArray[np.float64], NDArray[np.float64]]], scored: NDArray[np.bool_]
) -> list[list[tuple[float, float]] | None]:
    table = np.stack([np.stack(pair, axis=1) for pair in pairs], axis=1)
    taken = scored & np.isfinite(table).all(axis=(1, 2))
    out: list[list[tuple[float, float]] | None] = [None] * len(table)
    for i in np.flatnonzero(taken).tolist():
        out[i] = [(x, y) for x, y in table[i].tolist()]
    return out
