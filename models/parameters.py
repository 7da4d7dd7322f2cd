"""What tunes the models of flow detect, as plain numbers; made from the settings by whoever wires the flow. Data only."""

from dataclasses import dataclass

VERSIONS: dict[str, str] = {"drain": "2", "powertrain": "1", "vibration": "1"}
"""Version of each model by name: raised when what it learns or computes changes, and then its snapshots no longer fit."""


@dataclass(frozen=True)
class DetectParameters:
    """warm_up_windows    windows that a model of a cohort learns before it may raise
    anomaly_quantile   share of ordinary windows that score below the limit
    drain_delta_pct    unexplained loss of charge that is raised, in percentage points
    swap_jump_pct      rise of charge without charging that is a battery swap
    shadow             names of models that score and raise nothing
    swappable          codes of the vehicle models whose battery can be swapped
    """

    warm_up_windows: int = 500
    anomaly_quantile: float = 0.9995
    drain_delta_pct: float = 3.0
    swap_jump_pct: float = 15.0
    shadow: frozenset[str] = frozenset()
    swappable: frozenset[int] = frozenset()
