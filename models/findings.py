"""What the models found: something about a vehicle became true, or is over. Data only; alerts/findings.py makes events of it."""

from dataclasses import dataclass
from typing import Literal

MODELS = ("", "drain", "powertrain", "vibration", "drain_rule", "vibration_rule")
"""Names of the models, and of the fixed rules that stand in for them, by code."""
STAND_INS = {"drain": "drain_rule", "vibration": "vibration_rule"}
"""Model -> the fixed rule that decides in its place. For the others rules of flow telemetry hold, as always: voltage_sag for powertrain
and battery_life, tyre_pressure for tyre_forecast."""

GROUNDS = ("", "pressure", "capacity", "resistance", "cycles")
"""What a forecast goes by, by code."""
SEVERITIES = ("info", "warning", "critical")

Rule = Literal["battery_drain", "vibration", "tyre_forecast", "battery_life"]
ResolvedBy = Literal["swap", "recovered"]


def says(model: str) -> int:
    """Bit of a model in vehicles.VEHICLE's `says`."""
    return 1 << MODELS.index(model)


@dataclass(frozen=True)
class FeatureShare:
    """value in the unit that the name ends with; score: how many spreads off, or for a sum how much of its limit."""

    name: str
    value: float
    score: float


@dataclass(frozen=True)
class Judged:
    """The window that a finding rests on, from tables.WINDOW. Missing floats are NaN; city and vehicle_model are codes."""

    device_hi: int
    device_lo: int
    city: int
    vehicle_model: int
    start_ms: int
    end_ms: int
    closed_ms: int
    first_offset: int
    last_offset: int
    latitude_deg: float
    longitude_deg: float
    soc_pct: float


@dataclass(frozen=True)
class Finding:
    """raised       True: became true, False: is over
    model        that says so, with its version in models.parameters.VERSIONS
    raised_ms    end of the window that raised it
    resolved_by  None while raised
    values       measured values and limits by name
    features     what drove the model, strongest first
    severity     of the maintenance and the alert
    predicted_ms when a limit will be reached, of forecasts, which raise no alert; 0: nothing is predicted
    ground       what a forecast goes by, of GROUNDS
    since_ms     begin of what was judged together; 0: the window
    outcome      of a forecast that is over: how it went, of forecast_score.OUTCOMES
    """

    rule: Rule
    raised: bool
    model: str
    window: Judged
    raised_ms: int
    resolved_by: ResolvedBy | None
    values: dict[str, float]
    features: tuple[FeatureShare, ...]
    severity: str = "warning"
    predicted_ms: int = 0
    ground: str = ""
    outcome: str = ""
    since_ms: int = 0
