"""The section [alerts] of the settings: which alerts return, are held back, and prove one another. Data only."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

AlertRule = Literal[
    "low_battery", "over_temperature", "geofence", "crash", "tipped", "theft", "tamper", "tyre_pressure", "fault_code", "offline",
    "voltage_sag", "sensor", "battery_drain", "vibration",
]  # fmt: skip
"""Alerts of vehicles."""
Condition = Literal[
    "low_battery", "unrentable_battery", "over_temperature", "geofence", "outside_jurisdiction", "crash", "tipped", "theft", "tamper",
    "tyre_pressure", "fault_code", "offline", "missing", "voltage_sag", "sensor",
]  # fmt: skip
"""Rules that hold or do not; those that inhibit and confirm."""
DAY_S = 86_400


class Alerts(BaseModel):
    """How alerts behave in time and towards each other.

    A condition that returns within `reopen_s` after its alert was cleared opens that alert again (0: never); `reopen` has the rules for
    which it is another time, in seconds. A condition must hold for `minimum` seconds before its alert is raised, beyond the dwell of its
    own rule, and be away for `keep` seconds before it is cleared. While a rule of `inhibit` holds, the alerts that it names are held back
    or suppressed. The first rule of `confirm` that holds raises the severity of the alert that it proves. A table replaces the default
    one as a whole.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    reopen_s: float = Field(1800, ge=0, le=30 * DAY_S)
    reopen: dict[AlertRule, Annotated[float, Field(ge=0, le=30 * DAY_S)]] = {
        "battery_drain": DAY_S,
        "vibration": DAY_S,
        "voltage_sag": DAY_S,
        "tyre_pressure": DAY_S,
        "sensor": 21_600,
        "theft": 3600,
    }
    minimum: dict[AlertRule, Annotated[float, Field(ge=0, le=DAY_S)]] = {}
    keep: dict[AlertRule, Annotated[float, Field(ge=0, le=DAY_S)]] = {"theft": 300, "battery_drain": 7200, "vibration": 7200}
    inhibit: dict[Condition, tuple[AlertRule, ...]] = {
        "offline": ("low_battery", "battery_drain", "vibration", "voltage_sag", "tyre_pressure", "fault_code", "sensor"),
        "crash": ("tipped",),
    }
    confirm: dict[AlertRule, tuple[Condition, ...]] = {
        "crash": ("tipped",),
        "tamper": ("theft",),
        "geofence": ("theft", "tamper"),
        "voltage_sag": ("over_temperature", "fault_code"),
        "fault_code": ("over_temperature", "voltage_sag"),
        "battery_drain": ("voltage_sag", "over_temperature"),
        "offline": ("theft", "tamper"),
    }
