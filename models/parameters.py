"""What tunes the models of flow detect, as plain numbers; made from the settings by whoever wires the flow. Data only."""

from dataclasses import dataclass

VERSIONS: dict[str, str] = {"drain": "3", "powertrain": "1", "vibration": "1", "tyre_forecast": "1", "battery_life": "1"}
"""Version of each model by name: raised when what it learns or computes changes, and then its snapshots no longer fit."""

RULE_VERSIONS: dict[str, str] = {"drain_rule": "1", "vibration_rule": "1"}
"""Of the fixed rules that stand in for a model. They learn nothing, so that no snapshot depends on them."""


@dataclass(frozen=True)
class DetectParameters:
    """warm_up_windows    windows that a model of a cohort learns before it may raise
    anomaly_quantile   share of ordinary windows that score below the limit
    drain_delta_pct    unexplained loss of charge that is raised, in percentage points
    swap_jump_pct      rise of charge without charging that is a battery swap
    shadow             names of models that score and raise nothing
    off                names of models that do not run
    vibration_limit_mps2  what bands 3 and 4 together must not exceed, for the fixed rule
    ranges_m           way on a full battery, by code of the vehicle model; NaN: not known
    swappable          codes of the vehicle models whose battery can be swapped
    tyre_limits_kpa    lowest pressure over the atmosphere's, by code of the vehicle model; NaN: not known
    tyre_horizon_d     a tyre that will be below it within so many days is told
    tyre_warning_d     and within so many, as a warning
    battery_end_pct    capacity, as a share of the first one, at which a battery's life ends
    battery_end_ohm    resistance, as a multiple of its least, at which it ends
    battery_warning_d  a battery's life that ends within so many days is a warning
    battery_critical_d and within so many critical
    """

    warm_up_windows: int = 500
    anomaly_quantile: float = 0.9995
    drain_delta_pct: float = 3.0
    swap_jump_pct: float = 15.0
    shadow: frozenset[str] = frozenset()
    off: frozenset[str] = frozenset()
    vibration_limit_mps2: float = 1.0
    ranges_m: tuple[float, ...] = ()
    swappable: frozenset[int] = frozenset()
    tyre_limits_kpa: tuple[float, ...] = ()
    tyre_horizon_d: float = 14.0
    tyre_warning_d: float = 3.0
    battery_end_pct: float = 70.0
    battery_end_ohm: float = 2.0
    battery_warning_d: float = 30.0
    battery_critical_d: float = 15.0
