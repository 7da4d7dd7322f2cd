"""What a model found, as events: maintenance for the technician and an alert for operations, with what drove the model. Pure.

Ids hang on (type, vehicle, rule, window end), so windows that are delivered and scored again give the same events.
"""

from collections.abc import Sequence
from math import isnan
from typing import Any
from uuid import UUID

from fleetpulse.alerts import event, forecasts
from fleetpulse.alerts.event import Event
from fleetpulse.models.findings import Finding
from fleetpulse.models.parameters import RULE_VERSIONS, VERSIONS

COMPONENT = {"battery_drain": "battery", "vibration": "motor", "tyre_forecast": "tyre", "battery_life": "battery"}

_WHY = {
    "parked_excess_pct": "it lost {value:.1f} % of charge while parked that standing does not explain",
    "riding_excess_pct": "it lost {value:.1f} % of charge while riding that distance, speed, climb and temperature do not explain",
    "excess_pct": "it lost {value:.1f} % of charge beyond what any vehicle of its kind needs",
    "voltage_mean_v": "its voltage under load, {value:.1f} V, sags below that of like vehicles",
    "current_a": "it draws more current at its speed than like vehicles, {value:.1f} A",
    "battery_temperature_c": "its battery warms up faster under load than that of like vehicles, to {value:.0f} °C",
    "vibration_band1_mps2": "it shakes harder at its speed than like vehicles, {value:.2f} m/s² in the lowest band",
    "vibration_band2_mps2": "it vibrates more than the road explains, {value:.2f} m/s² in the second band",
    "vibration_band3_mps2": "it vibrates more than the road explains, {value:.2f} m/s² in the third band, as a worn bearing does",
    "vibration_band4_mps2": "it vibrates more than the road explains, {value:.2f} m/s² in the highest band, as a worn bearing does",
}
"""By the feature that drove the model furthest."""
_DO = {"battery_drain": "Check or swap the battery", "vibration": "Check bearings, wheels and motor"}
_TITLE = {"battery_drain": "Abnormal loss of charge", "vibration": "Abnormal vibration"}
_OVER = {"swap": "the battery was swapped", "recovered": "it has behaved like its kind again for a while"}


def events(finding: Finding, *, shard: int, topic: str, cities: Sequence[str], models: Sequence[str]) -> list[Event]:
    """Maintenance first, then the alert; a forecast is no alert.

    shard, topic    partition and name of the raw topic that the window's offsets belong to
    cities, models  names by code
    """
    w = finding.window
    subject = str(UUID(int=w.device_hi << 64 | w.device_lo))
    cause = f"window.{w.end_ms}"
    opened = f"window.{finding.raised_ms}"
    common: dict[str, Any] = {
        "device_id": subject,
        **_known("city", cities[w.city]),
        **_known("vehicle_model", models[w.vehicle_model]),
        **_measured("latitude_deg", w.latitude_deg, 7),
        **_measured("longitude_deg", w.longitude_deg, 7),
        **_measured("battery_soc_pct", w.soc_pct, 1),
    }
    evidence = _evidence(finding, shard=shard, topic=topic)
    maintenance = {
        **common,
        "maintenance_id": event.event_id(event.MAINTENANCE_REQUIRED, subject, finding.rule, opened),
        "component": COMPONENT[finding.rule],
        "severity": finding.severity,
        "rule": finding.rule,
        "reason": _reason(finding, technician=True),
        **forecasts.date(finding),
        "required_ms": finding.raised_ms,
        **({} if finding.resolved_by is None else {"resolved_by": finding.resolved_by}),
        "evidence": evidence,
    }
    alert = {
        **common,
        "alert_id": event.event_id(event.ALERT_RAISED, subject, finding.rule, opened),
        "rule": finding.rule,
        "severity": finding.severity,
        "reason": _reason(finding, technician=False),
        "raised_ms": finding.raised_ms,
        "evidence": evidence,
    }
    types = (event.MAINTENANCE_REQUIRED, event.ALERT_RAISED) if finding.raised else (event.MAINTENANCE_RESOLVED, event.ALERT_CLEARED)
    made = [Event(type_, subject, finding.rule, cause, w.end_ms, data) for type_, data in zip(types, (maintenance, alert), strict=True)]
    return made[:1] if finding.rule in forecasts.RULES else made


def _evidence(finding: Finding, *, shard: int, topic: str) -> dict[str, Any]:
    w = finding.window
    shares = [{"name": f.name, "value": round(f.value, 3), "score": round(f.score, 3)} for f in finding.features]
    return {
        "rule": finding.model,
        "version": {**VERSIONS, **RULE_VERSIONS}[finding.model],
        "values": {name: round(value, 3) for name, value in finding.values.items()},
        "kafka": {"topic": topic, "partition": shard, "first_offset": str(w.first_offset), "last_offset": str(w.last_offset)},
        "recorded_ms": w.closed_ms,
        "window": {"start_ms": finding.since_ms or w.start_ms, "end_ms": w.end_ms},
        **({"features": shares} if shares else {}),
    }


def _reason(finding: Finding, *, technician: bool) -> str:
    if finding.rule in forecasts.RULES:
        return forecasts.reason(finding)
    if finding.resolved_by is not None:
        return f"{_TITLE[finding.rule]} is over: {_OVER[finding.resolved_by]}."
    first = finding.features[0]
    why = _WHY[first.name].format(value=first.value)
    return f"{_DO[finding.rule]}: {why}." if technician else f"{_TITLE[finding.rule]}: {why}."


def _known(key: str, name: str) -> dict[str, str]:
    return {key: name} if name else {}


def _measured(key: str, value: float, digits: int) -> dict[str, float]:
    return {} if isnan(value) else {key: round(value, digits)}
