"""What a forecast says to a technician: a sentence with dates, and the predicted date. Pure."""

from datetime import UTC, datetime

from fleetpulse.models.findings import Finding

RULES = ("tyre_forecast", "battery_life")
_DAY_MS = 86_400_000

_DO = {
    "pressure": "Inflate or mend a tyre: at 20 °C it loses {slope_pressure:.1f} kPa a day and will be below {limit_kpa:.0f} kPa",
    "capacity": "Plan another battery: its capacity of {capacity_pct:.1f} % falls by {slope_pct:.2f} % a day and will be {limit_pct:.0f} %",
    "resistance": "Plan another battery: its resistance of {resistance_ohm:.3f} ohm rises and will be {limit_ohm:.3f} ohm",
    "cycles": (
        "Plan another battery: its capacity of {capacity_pct:.1f} % will be {limit_pct:.0f} %, as its {cycles:.0f} cycles so far and"
        " {cycles_per_d:.1f} a day have it,"
    ),
}
_REACHED = {
    "pressure": "Inflate or mend a tyre: it is below {limit_kpa:.0f} kPa.",
    "capacity": "Replace the battery: its capacity of {capacity_pct:.1f} % has reached its end of life, {limit_pct:.0f} %.",
    "resistance": "Replace the battery: its resistance of {resistance_ohm:.3f} ohm has reached its end of life, {limit_ohm:.3f} ohm.",
    "cycles": "Replace the battery: its capacity of {capacity_pct:.1f} % has reached its end of life, {limit_pct:.0f} %.",
}
_TITLE = {"tyre_forecast": "The predicted loss of tyre pressure", "battery_life": "The predicted end of the battery's life"}
_OVER = {
    "hit": "the limit was reached {error_d:.1f} days off the predicted time, and it is as good as new now",
    "miss": "the limit was reached {error_d:.1f} days before the predicted time, and it is as good as new now",
    "too_early": "the limit was not reached in the predicted time",
    "averted": "it was inflated or replaced before",
    "withdrawn": "there is no such trend any more",
    "unforeseen": "it is as good as new now",
}


def date(finding: Finding) -> dict[str, str]:
    """The day on which the limit will be reached; nothing when nothing is predicted."""
    return {"predicted_date": _day(finding.predicted_ms)} if finding.predicted_ms else {}


def reason(finding: Finding) -> str:
    """One sentence."""
    values = finding.values
    if not finding.raised:
        return f"{_TITLE[finding.rule]} is over: {_OVER[finding.outcome].format(error_d=values.get('error_d', 0.0))}."
    slopes = {"slope_pressure": -values.get("slope_kpa_per_d", 0.0), "slope_pct": -values.get("slope_pct_per_d", 0.0)}
    if values["latest_d"] == 0:
        return _REACHED[finding.ground].format(**values, **slopes)
    earliest, latest = (_day(finding.window.end_ms + round(values[name] * _DAY_MS)) for name in ("earliest_d", "latest_d"))
    what = _DO[finding.ground].format(**values, **slopes)
    return f"{what} about {_day(finding.predicted_ms)} (between {earliest} and {latest})."


def _day(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).date().isoformat()
