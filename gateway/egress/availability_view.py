"""For each vehicle that cannot be rented, the event that says why. No I/O, no clock. Memory grows with such vehicles alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleetpulse.alerts import event
from fleetpulse.gateway.egress.alert_view import Alert
from fleetpulse.gateway.egress.feed_items import FeedEvent
from fleetpulse.gateway.egress.maintenance_view import Task

_STATE_TEXT = {
    "available": "It can be rented",
    "reserved": "It is reserved",
    "on_trip": "It is on a trip",
    "stopped": "It is on a trip, which the customer has paused",
    "non_operational": "It is out of service",
    "non_contactable": "It does not answer",
    "missing": "It is missing",
    "removed": "It is off the street",
    "elsewhere": "It is outside the area of operation",
}
_EVENT_TEXT = {
    "battery_low": "its battery is too low to rent",
    "maintenance": "it needs maintenance",
    "maintenance_pick_up": "it was picked up for maintenance",
    "rebalance_pick_up": "it was picked up to be moved to another zone",
    "decommissioned": "it was decommissioned",
    "comms_lost": "nothing has been heard from it for longer than it is ever silent",
    "not_located": "it has been silent for longer than its city allows",
    "trip_leave_jurisdiction": "it left the city's area",
    "reservation_stop": "a customer has arrived at it",
}
_OF_BATTERY = ("low_battery", "battery_drain", "battery_cluster")


@dataclass(frozen=True)
class Change:
    """The newest availability event of a vehicle."""

    time_ms: int
    state: str
    event_type: str
    body: bytes


class AvailabilityView:
    """Device id -> its newest availability event, while that says that it is not available."""

    def __init__(self) -> None:
        self._changes: dict[str, Change] = {}

    def apply(self, item: FeedEvent) -> None:
        """Keep the event if it is the vehicle's newest; other types are passed over."""
        if item.type != event.AVAILABILITY_CHANGED:
            return
        data = item.parse()
        device_id = str(data["device_id"])
        known = self._changes.get(device_id)
        if known is not None and known.time_ms > item.time_ms:
            return
        if data["vehicle_state"] == "available":
            self._changes.pop(device_id, None)
        else:
            state, event_type = str(data["vehicle_state"]), str(data["event_type"])
            self._changes[device_id] = Change(item.time_ms, state, event_type, item.body)

    def of(self, device_id: str) -> Change | None:
        """The event that took the vehicle off; None when it is available or the event is not known."""
        return self._changes.get(device_id)


def reason(vehicle: Mapping[str, Any], alerts: Sequence[Alert], tasks: Sequence[Task]) -> str:
    """One sentence for an operator: the state, what led to it, and what is open on the vehicle.

    vehicle  as vehicle_json renders it
    """
    state, event_type = str(vehicle["vehicle_state"]), str(vehicle.get("event_type", ""))
    text = _STATE_TEXT.get(state, f"Its state is {state}")
    if state == "available":
        return text + "."
    causes = [_EVENT_TEXT[event_type]] if event_type in _EVENT_TEXT else []
    told = [str(t.data.get("reason", "")) for t in tasks] + [str(a.data.get("reason", "")) for a in alerts if _explains(a, event_type)]
    causes += dict.fromkeys(f"{sentence[0].lower()}{sentence[1:]}".rstrip(".") for sentence in told if sentence)
    return f"{text}: {'; '.join(causes)}." if causes else f"{text}."


def _explains(alert: Alert, event_type: str) -> bool:
    """Whether an alert belongs to what took the vehicle off, and is not just open at the same time."""
    if event_type == "battery_low":
        return alert.rule in _OF_BATTERY
    if event_type in ("comms_lost", "not_located"):
        return alert.rule == "offline"
    return alert.severity == "critical"
