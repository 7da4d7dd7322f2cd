"""The open alerts, folded from their events in any order: raised, acknowledged, escalated, suppressed, resumed, cleared, reopened.

No I/O, no clock. What is cleared is remembered for a while, so that an older event that comes after it does not open the alert again:
each event says how often its alert had been reopened by then.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fleetpulse.alerts import event
from fleetpulse.gateway.egress.feed_items import FeedEvent

SEVERITY_RANK = {"critical": 0, "warning": 1, "info": 2}
RULE_RANK = {
    rule: rank
    for rank, rule in enumerate(
        (
            "crash",
            "over_temperature",
            "area_outage",
            "theft",
            "tamper",
            "tipped",
            "geofence",
            "battery_cluster",
            "voltage_sag",
            "battery_drain",
            "fault_code",
            "tyre_pressure",
            "vibration",
            "sensor",
            "offline",
            "low_battery",
        )
    )
}
"""Which of two equally severe alerts comes first: people, then property, then what costs money, then what can wait."""
CLOSED_KEPT = 100_000
_TYPES = {type_ for type_ in event.TOPICS if type_.startswith("vehicle.alert.")}


@dataclass
class Alert:
    """One open alert. `data` is the newest event's; severity is the highest that was told since it was raised or reopened.

    suppressed_by  what keeps it quiet; suppressed_ms: when that was last told
    """

    alert_id: str
    rule: str
    raised_ms: int
    severity: str
    data: dict[str, Any]
    data_ms: int
    evidence: dict[str, Any] = field(default_factory=dict)
    acknowledged_by: str | None = None
    acknowledged_ms: int | None = None
    escalated_ms: int | None = None
    reopened: int = 0
    suppressed_by: tuple[str, ...] = ()
    suppressed_ms: int = 0
    snoozed_until_ms: int | None = None
    snoozed_by: str | None = None

    @property
    def device_id(self) -> str | None:
        """None: an alert about a zone."""
        return self.data.get("device_id")

    @property
    def urgency(self) -> tuple[bool, bool, int, int, int, str]:
        """Sorts by it: to be told, nobody has it yet, severity, rule, oldest."""
        return (
            bool(self.suppressed_by),
            self.acknowledged_ms is not None,
            SEVERITY_RANK.get(self.severity, len(SEVERITY_RANK)),
            RULE_RANK.get(self.rule, len(RULE_RANK)),
            self.raised_ms,
            self.alert_id,
        )


class AlertView:
    """Open alerts by id and by device."""

    def __init__(self) -> None:
        self._open: dict[str, Alert] = {}
        self._by_device: dict[str, set[str]] = {}
        self._closed: OrderedDict[str, int] = OrderedDict()  # alert id -> how often it had been reopened

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Alert]:
        return iter(self._open.values())

    def get(self, alert_id: str) -> Alert | None:
        return self._open.get(alert_id)

    def of(self, device_id: str) -> list[Alert]:
        """The vehicle's open alerts, most urgent first."""
        return sorted((self._open[i] for i in self._by_device.get(device_id, ())), key=lambda alert: alert.urgency)

    def ordered(self) -> list[Alert]:
        """All, most urgent first."""
        return sorted(self._open.values(), key=lambda alert: alert.urgency)

    def apply(self, item: FeedEvent) -> None:
        """Fold one event; other types are passed over."""
        if item.type not in _TYPES:
            return
        data = item.parse()
        alert_id, reopened = str(data["alert_id"]), int(data.get("reopened", 0))
        if reopened <= self._closed.get(alert_id, -1):
            return
        if item.type == event.ALERT_CLEARED:
            self._close(alert_id, reopened)
        elif not (data.get("late") and data["rule"] != "crash"):  # told once, never open
            self._fold(alert_id, item, data, reopened)

    def _fold(self, alert_id: str, item: FeedEvent, data: dict[str, Any], reopened: int) -> None:
        alert = self._open.get(alert_id)
        if alert is not None and reopened < alert.reopened:
            return
        if alert is None or reopened > alert.reopened:
            alert = Alert(alert_id, str(data["rule"]), int(data["raised_ms"]), str(data["severity"]), data, item.time_ms, reopened=reopened)
            self._open[alert_id] = alert
            if alert.device_id is not None:
                self._by_device.setdefault(alert.device_id, set()).add(alert_id)
        if item.time_ms >= alert.data_ms:
            alert.data, alert.data_ms = data, item.time_ms
        if SEVERITY_RANK.get(data["severity"], 9) < SEVERITY_RANK.get(alert.severity, 9):
            alert.severity = str(data["severity"])
        if item.type in (event.ALERT_RAISED, event.ALERT_REOPENED) or not alert.evidence:
            alert.evidence = data.get("evidence", {})
        if item.type == event.ALERT_ACKNOWLEDGED:
            if item.time_ms >= (alert.escalated_ms or 0):
                alert.acknowledged_by, alert.acknowledged_ms = str(data.get("by", "")), item.time_ms
        elif item.type == event.ALERT_ESCALATED:
            alert.escalated_ms = max(alert.escalated_ms or 0, item.time_ms)
            if alert.acknowledged_ms is not None and alert.acknowledged_ms < item.time_ms:  # it must be taken anew
                alert.acknowledged_by = alert.acknowledged_ms = None
        elif item.type in (event.ALERT_SUPPRESSED, event.ALERT_RESUMED) and item.time_ms >= alert.suppressed_ms:
            alert.suppressed_by, alert.suppressed_ms = tuple(data.get("suppressed_by", ())), item.time_ms
            alert.snoozed_until_ms, alert.snoozed_by = data.get("until_ms"), data.get("by")

    def _close(self, alert_id: str, reopened: int) -> None:
        alert = self._open.get(alert_id)
        if alert is not None and reopened < alert.reopened:
            return
        self._closed[alert_id] = reopened
        self._closed.move_to_end(alert_id)
        if len(self._closed) > CLOSED_KEPT:
            self._closed.popitem(last=False)
        alert = self._open.pop(alert_id, None)
        if alert is not None and alert.device_id is not None:
            ids = self._by_device[alert.device_id]
            ids.discard(alert_id)
            if not ids:
                del self._by_device[alert.device_id]


def render(alert: Alert, *, now_ms: int) -> dict[str, Any]:
    """The alert as the API shows it. `now_ms`: the deployment's clock, for the age."""
    shown: dict[str, Any] = {
        "alert_id": alert.alert_id,
        "rule": alert.rule,
        "severity": alert.severity,
        "reason": alert.data.get("reason", ""),
        "raised_ms": alert.raised_ms,
        "age_s": max(0, now_ms - alert.raised_ms) // 1000,
        "acknowledged": alert.acknowledged_ms is not None,
    }
    common = (
        "device_id",
        "city",
        "zone",
        "vehicle_model",
        "latitude_deg",
        "longitude_deg",
        "battery_soc_pct",
        "late",
        "vehicles",
        "devices",
        "zones",
    )
    shown |= {key: alert.data[key] for key in common if key in alert.data}
    optional = {
        "acknowledged_by": alert.acknowledged_by,
        "acknowledged_ms": alert.acknowledged_ms,
        "escalated_ms": alert.escalated_ms,
        "reopened": alert.reopened or None,
        "suppressed_by": list(alert.suppressed_by) or None,
        "snoozed_until_ms": alert.snoozed_until_ms,
        "snoozed_by": alert.snoozed_by,
    }
    shown |= {key: value for key, value in optional.items() if value is not None}
    shown["evidence"] = alert.evidence
    return shown
