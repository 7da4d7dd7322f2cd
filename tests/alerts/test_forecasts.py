"""What a forecast says to a technician: maintenance that its schema allows, with a date; no alert."""

from dataclasses import replace
from typing import Any

import pytest

from fleetpulse.alerts import event, findings
from fleetpulse.models.findings import FeatureShare, Finding, Judged
from tests.support.events import validate

DAY_MS = 86_400_000
NOON_MS = 1_763_380_800_000  # 2025-11-17 12:00
WINDOW = Judged(0xF1EE7, 5, 1, 1, NOON_MS - 60_000, NOON_MS, NOON_MS + 2_000, 7, 9, 52.52, 13.4, 71.0)
LEAK = Finding(
    rule="tyre_forecast",
    raised=True,
    model="tyre_forecast",
    window=WINDOW,
    raised_ms=NOON_MS,
    resolved_by=None,
    values={"limit_kpa": 172.0, "slope_kpa_per_d": -9.06, "days_left_d": 8.2, "earliest_d": 7.1, "latest_d": 10.4},
    features=(FeatureShare("pressure_slope_kpa_per_d", -9.06, 4.0),),
    severity="info",
    predicted_ms=NOON_MS + round(8.2 * DAY_MS),
    ground="pressure",
)


def told(finding: Finding) -> dict[str, Any]:
    (made,) = findings.events(finding, shard=3, topic="vehicle-telemetry", cities=("", "berlin"), models=("", "scooter"))
    decoded = validate(event.encode(made, deployment="test"))
    return {"type": made.type, "id": decoded["id"], **decoded["data"]}


def test_a_leak_is_maintenance_with_a_date_and_an_interval() -> None:
    data = told(LEAK)
    assert data["type"] == event.MAINTENANCE_REQUIRED
    assert (data["component"], data["severity"], data["predicted_date"]) == ("tyre", "info", "2025-11-25")
    assert data["reason"] == (
        "Inflate or mend a tyre: at 20 °C it loses 9.1 kPa a day and will be below 172 kPa about 2025-11-25"
        " (between 2025-11-24 and 2025-11-27)."
    )
    assert data["evidence"]["features"][0]["name"] == "pressure_slope_kpa_per_d"


def test_what_becomes_graver_is_another_event_about_the_same_maintenance() -> None:
    later = replace(WINDOW, end_ms=NOON_MS + 6 * DAY_MS)
    first, second = told(LEAK), told(replace(LEAK, severity="warning", window=later))
    assert first["maintenance_id"] == second["maintenance_id"] == first["id"]
    assert first["id"] != second["id"]
    assert second["required_ms"] == first["required_ms"]


@pytest.mark.parametrize(
    ("ground", "values", "words"),
    [
        ("capacity", {"capacity_pct": 78.4, "limit_pct": 70.0, "slope_pct_per_d": -0.42}, "its capacity of 78.4 % falls by 0.42 % a day"),
        ("resistance", {"resistance_ohm": 0.21, "limit_ohm": 0.26, "slope_ohm_per_d": 0.004}, "its resistance of 0.210 ohm rises"),
        ("cycles", {"capacity_pct": 71.0, "limit_pct": 70.0, "cycles": 900.0, "cycles_per_d": 1.5}, "as its 900 cycles so far"),
    ],
)
def test_a_battery_s_end_is_told_by_what_the_model_goes_by(ground: str, values: dict[str, float], words: str) -> None:
    days = {"days_left_d": 12.0, "earliest_d": 10.0, "latest_d": 15.0}
    data = told(replace(LEAK, rule="battery_life", model="battery_life", ground=ground, values={**values, **days}, severity="critical"))
    assert (data["component"], data["severity"]) == ("battery", "critical")
    assert words in data["reason"]
    reached = told(replace(LEAK, rule="battery_life", model="battery_life", ground=ground, values={**values, **dict.fromkeys(days, 0.0)}))
    assert reached["reason"].startswith("Replace the battery: ")


@pytest.mark.parametrize("outcome", ["hit", "miss", "too_early", "averted", "withdrawn", "unforeseen"])
def test_what_is_over_says_how_the_prediction_went(outcome: str) -> None:
    values = {"pressure_at_20c_kpa": 301.0, "error_d": 0.6, "lead_d": 8.8}
    data = told(replace(LEAK, raised=False, resolved_by="recovered", outcome=outcome, values=values))
    assert data["type"] == event.MAINTENANCE_RESOLVED
    assert data["maintenance_id"] == told(LEAK)["id"]
    assert data["reason"].startswith("The predicted loss of tyre pressure is over: ")
    assert data["evidence"]["values"]["error_d"] == 0.6
