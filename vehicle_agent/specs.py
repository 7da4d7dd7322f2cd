"""Physical constants of each vehicle model beyond config/models.toml: what moving it costs, how its battery behaves, how it is used.

Chosen so that consumption lies within published ranges (a test holds them to it): scooter 10-20 Wh/km, eBike 5-12, car 130-200,
van 200-300.
"""

from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.config.fleet import Fleet, VehicleModel
from fleetpulse.vehicle_agent.streets import VEHICLE_TYPES


@dataclass(frozen=True)
class _Kind:
    """Constants of a form of vehicle; units in the names."""

    load_kg: float  # rider or driver and goods
    rolling: float  # coefficient of rolling resistance
    drag_m2: float  # drag coefficient x frontal area
    efficiency: float  # battery to wheel
    motor_share: float  # of the power at the wheel; the rest is pedalled
    regeneration: float  # of the power at the wheel that comes back when braking
    motor_max_w: float
    ride_w: float  # lights, electronics, heating while in use
    idle_w: float  # on the street at 1 Hz
    sleep_w: float  # parked, 0.1 Hz
    cruise_mps: float
    acceleration_mps2: float
    brake_mps2: float
    turn_mps: float
    resistance_ohm: float
    heat_j_per_k: float
    cooling_s: float
    charge_w: float
    trips_per_day: float
    trip_m: float
    stop_share: float  # of crossings with a stop
    roughness: float


_KINDS = {
    "scooter": _Kind(75, 0.015, 0.58, 0.78, 1.0, 0.10, 700, 8, 1.0, 0.35, 5.8, 1.0, 1.8, 3.0, 0.13, 2600, 3600, 0, 6, 1800, 0.22, 1.0),
    "bicycle": _Kind(75, 0.009, 0.55, 0.80, 0.70, 0.0, 500, 4, 0.8, 0.3, 5.9, 0.8, 1.6, 3.2, 0.15, 2800, 3600, 0, 6, 2400, 0.22, 0.8),
    "car": _Kind(
        110, 0.011, 0.68, 0.86, 1.0, 0.55, 90_000, 750, 14, 5, 12.5, 1.6, 1.9, 4.5, 0.09, 300_000, 20_000, 11_000, 4, 6000, 0.22, 0.35
    ),
    "van": _Kind(
        250, 0.011, 1.25, 0.86, 1.0, 0.60, 100_000, 800, 16, 6, 12.0, 1.3, 1.8, 4.0, 0.08, 420_000, 20_000, 11_000, 3, 6500, 0.20, 0.45
    ),
}

SPEC: np.dtype[np.void] = np.dtype(
    [
        ("known", "<i8"),
        ("vehicle_type", "<i8"),  # place in streets.VEHICLE_TYPES
        ("wheels", "<i8"),
        ("swappable", "<i8"),
        ("battery_wh", "<f8"),
        ("cells", "<f8"),
        ("range_m", "<f8"),
        ("mass_kg", "<f8"),  # with load
        ("max_speed_mps", "<f8"),
        ("tyre_kpa", "<f8"),
        ("crash_limit_mps2", "<f8"),
        *((name, "<f8") for name in _Kind.__dataclass_fields__),
    ],
    align=True,
)
"""One vehicle model as kernels read it."""


def _kind(model: VehicleModel) -> _Kind:
    return _KINDS["van" if model.vehicle_type == "car" and model.mass_kg > 2000 else model.vehicle_type]


def build(fleet: Fleet) -> NDArray[Any]:
    """(M,) SPEC rows by model code."""
    specs = np.zeros(len(fleet.models), dtype=SPEC)
    for code, model in enumerate(fleet.models):
        if model is None:
            continue
        kind = _kind(model)
        specs[code] = (
            1,
            VEHICLE_TYPES.index(model.vehicle_type),
            model.wheels,
            model.swappable,
            model.battery_wh,
            model.cells_in_series,
            model.range_m,
            model.mass_kg + kind.load_kg,
            model.max_speed_mps,
            model.tyre_pressure_nominal_kpa,
            model.crash_limit_mps2,
            *astuple(kind),
        )
    return specs
