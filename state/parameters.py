"""Everything that the state kernel is told from outside: thresholds as plain numbers, vehicle models by code, compiled geofences.

State knows no settings: whoever makes a shard copies the numbers here. `Parameters.record` and `.models_record` are what kernels read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fleetpulse.state.facts import Condition
from fleetpulse.state.geofence import CityLike, Geofence, compile_cities


class ModelLike(Protocol):
    """What of a vehicle model the kernel wants."""

    @property
    def vehicle_type(self) -> str: ...
    @property
    def tyre_pressure_limit_kpa(self) -> float: ...
    @property
    def battery_temperature_limit_c(self) -> float: ...
    @property
    def battery_temperature_clear_c(self) -> float: ...
    @property
    def battery_voltage_limit_v(self) -> float: ...
    @property
    def crash_limit_mps2(self) -> float: ...
    @property
    def swappable(self) -> bool: ...
    @property
    def battery_wh(self) -> float: ...
    @property
    def range_m(self) -> float: ...


@dataclass(frozen=True)
class Rules:
    """Thresholds that hold for every vehicle model. A dwell is how long something must last, in event time.

    quiet_s           how long a condition without hysteresis (tipped, tamper, faults) must be gone before it is cleared
    theft_quiet_s     the same for theft: a thief stops at crossings
    voltage_quiet_s   the same for a voltage that sags: a dead cell shows under high load only
    sensor_dwell_s    how long a sense must be bad before that is raised
    sensor_quiet_s    how long all must be good again before that is cleared
    offline_s         least silence that counts as offline, offline_longest_s the most; between them offline_gaps times its own gap
    offline_disconnected_s  takes the place of offline_s when the broker says that the vehicle's connection died
    online_dwell_s    how long a vehicle must be heard again before it counts as back
    clock_slack_s     a clock that is off by less is not corrected
    clock_learn_s     how long the frames' clocks must agree before they are believed to be off, or right again
    stuck_position_m  way by the wheels in which a position must move
    teleport_mps      a position that would need more is not believed
    sensor_jumps      as many unbelievable jumps make the sense a bad one; each is forgotten after jump_forget_s without another
    charge_frozen_pct charge that the energy taken must have cost, while the one that is reported stays the same
    charge_jump_pct, charge_rate_pct_per_min  a charge that changes by more, and more than this since the last believed one, is not believed
    charge_rest_pct_per_min                   the same where it is neither used nor charged
    phantom_speed_mps, charging_speed_mps     least speed at which wheels must turn, and at which nobody charges
    geofence_leave_m  how far on the right side of the edge a vehicle must be before a geofence violation is cleared
    fix_default_m     horizontal accuracy assumed when a position comes without one
    fix_worst_m       a position less accurate than this decides nothing
    """

    low_battery_pct: float = 15
    low_battery_clear_pct: float = 20
    unrentable_pct: float = 10
    unrentable_clear_pct: float = 15
    offline_s: float = 600
    offline_longest_s: float = 7200
    offline_gaps: float = 4
    offline_disconnected_s: float = 300
    online_dwell_s: float = 10
    missing_s: float = 86_400
    silence_jump_s: float = 5
    geofence_dwell_s: float = 10
    geofence_leave_m: float = 25
    tipped_dwell_s: float = 10
    tipped_roll_deg: float = 60
    theft_dwell_s: float = 5
    theft_speed_mps: float = 1.5
    theft_distance_m: float = 50
    theft_quiet_s: float = 900
    tyre_dwell_s: float = 30
    tyre_clear_kpa: float = 10
    temperature_dwell_s: float = 5
    battery_dwell_s: float = 5
    voltage_dwell_s: float = 5
    voltage_quiet_s: float = 21_600
    swap_jump_pct: float = 15
    trip_end_dwell_s: float = 5
    quiet_s: float = 30
    sensor_dwell_s: float = 60
    sensor_quiet_s: float = 600
    clock_slack_s: float = 20
    clock_learn_s: float = 120
    stuck_position_m: float = 500
    teleport_mps: float = 50
    sensor_jumps: float = 3
    jump_forget_s: float = 1200
    charge_frozen_pct: float = 4
    charge_jump_pct: float = 5
    charge_rate_pct_per_min: float = 5
    charge_rest_pct_per_min: float = 1
    phantom_speed_mps: float = 3
    charging_speed_mps: float = 3
    evict_s: float = 30 * 86_400
    fix_default_m: float = 10
    fix_worst_m: float = 100

    @staticmethod
    def of(rules: object) -> "Rules":
        """The thresholds that `rules` (the section of the settings) has under these names; the rest keep their defaults."""
        return Rules(**{f.name: float(getattr(rules, f.name)) for f in fields(Rules) if hasattr(rules, f.name)})


RAISE_DWELLS: dict[Condition, str] = {
    Condition.LOW_BATTERY: "battery_dwell_s",
    Condition.UNRENTABLE_BATTERY: "battery_dwell_s",
    Condition.OVER_TEMPERATURE: "temperature_dwell_s",
    Condition.GEOFENCE: "geofence_dwell_s",
    Condition.OUTSIDE_JURISDICTION: "geofence_dwell_s",
    Condition.TIPPED: "tipped_dwell_s",
    Condition.THEFT: "theft_dwell_s",
    Condition.TYRE_PRESSURE: "tyre_dwell_s",
    Condition.VOLTAGE_SAG: "voltage_dwell_s",
    Condition.SENSOR: "sensor_dwell_s",
}
"""How long a condition must last before it is raised; one that is not named is raised at once."""
CLEAR_DWELLS: dict[Condition, str] = {
    Condition.TIPPED: "quiet_s",
    Condition.THEFT: "theft_quiet_s",
    Condition.TAMPER: "quiet_s",
    Condition.FAULT_CODE: "quiet_s",
    Condition.VOLTAGE_SAG: "voltage_quiet_s",
    Condition.SENSOR: "sensor_quiet_s",
}
"""How long it must be gone before it is cleared; one that is not named has hysteresis and is cleared at once."""

PARAMETER: np.dtype[np.void] = np.dtype(
    [
        *((f.name.removesuffix("_s") + "_ms", "<i8") if f.name.endswith("_s") else (f.name, "<f8") for f in fields(Rules)),
        ("window_ms", "<i8"),
        ("interval_ms", "<i8"),
        ("raise_ms", "<i8", (len(Condition),)),  # dwell of each condition
        ("clear_ms", "<i8", (len(Condition),)),
    ],
    align=True,
)
"""Rules as the kernel reads them: one record, seconds as whole milliseconds."""

MODEL: np.dtype[np.void] = np.dtype(
    [
        ("type_bit", "<u4"),  # bit of its vehicle type in zones' `types`
        ("swappable", "u1"),
        ("tyre_limit_kpa", "<f8"),
        ("temperature_limit_c", "<f8"),
        ("temperature_clear_c", "<f8"),
        ("voltage_limit_v", "<f8"),
        ("crash_limit_mps2", "<f8"),
        ("battery_wh", "<f8"),  # 0: not known
        ("range_m", "<f8"),
    ],
    align=True,
)
"""A vehicle model as the kernel reads it, by code; code 0 is an unknown model."""


@dataclass(frozen=True)
class Parameters:
    """All of it, and immutable: two shards with equal parameters and equal logs report equal facts.

    models         by code; index 0 and None are unknown models, which have the defaults of UNKNOWN_MODEL
    cities         by code; index 0 is None (in no city)
    window_ms      length of a window, whole seconds
    interval_ms    distance of the interval boundaries of stream time at which zones are reported
    h3_resolution  of zone reports
    """

    rules: Rules = field(default_factory=Rules)
    models: Sequence[ModelLike | None] = (None,)
    cities: Sequence[CityLike | None] = (None,)
    window_ms: int = 60_000
    interval_ms: int = 900_000
    h3_resolution: int = 8

    def __post_init__(self) -> None:
        assert self.window_ms > 0, "a window has a length"
        assert self.window_ms % 1000 == 0, "windows end at whole seconds, when timers run"
        assert self.interval_ms > 0, "an interval has a length"
        assert self.interval_ms % 1000 == 0, "intervals end at whole seconds, when timers run"
        assert len(self.vehicle_types) <= 31, "zones keep vehicle types as bits"

    @cached_property
    def vehicle_types(self) -> tuple[str, ...]:
        """The vehicle types of the models, sorted; the index is the bit."""
        return tuple(sorted({m.vehicle_type for m in self.models if m is not None}))

    @cached_property
    def record(self) -> NDArray[Any]:
        """(1,) PARAMETER."""
        record = np.zeros(1, dtype=PARAMETER)
        for f in fields(Rules):
            value = getattr(self.rules, f.name)
            if f.name.endswith("_s"):
                record[f.name.removesuffix("_s") + "_ms"] = round(value * 1000)
            else:
                record[f.name] = value
        record["window_ms"], record["interval_ms"] = self.window_ms, self.interval_ms
        for into, dwells in (("raise_ms", RAISE_DWELLS), ("clear_ms", CLEAR_DWELLS)):
            for condition, name in dwells.items():
                record[into][0, condition] = round(getattr(self.rules, name) * 1000)
        return record

    @cached_property
    def models_record(self) -> NDArray[Any]:
        """(M,) MODEL by code, at least the unknown one."""
        table = np.zeros(max(1, len(self.models)), dtype=MODEL)
        table[:] = (0, 1, 172.0, 60.0, 55.0, 0.0, 60.0, 0.0, 0.0)  # unknown: no zone of its own, no voltage limit, the mildest of others
        for code, model in enumerate(self.models):
            if code and model is not None:
                table[code] = (
                    1 << self.vehicle_types.index(model.vehicle_type),
                    model.swappable,
                    model.tyre_pressure_limit_kpa,
                    model.battery_temperature_limit_c,
                    model.battery_temperature_clear_c,
                    model.battery_voltage_limit_v,
                    model.crash_limit_mps2,
                    model.battery_wh,
                    model.range_m,
                )
        return table

    @cached_property
    def known_models(self) -> NDArray[np.bool_]:
        """(M,) whether the code is a known model."""
        return np.array([code > 0 and m is not None for code, m in enumerate(self.models)] or [False], dtype=np.bool_)

    @cached_property
    def geofence(self) -> Geofence:
        """The cities' zones, compiled."""
        return compile_cities(self.cities, self.vehicle_types, margin_m=max(self.rules.fix_worst_m, self.rules.geofence_leave_m))
