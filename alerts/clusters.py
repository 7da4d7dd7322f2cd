"""Clusters of nearly empty vehicles: one alert a zone, raised at a count and cleared well below it. Pure."""

from collections.abc import Mapping
from typing import Any

from fleetpulse.alerts import event
from fleetpulse.alerts.event import Event

RULE, VERSION = "battery_cluster", "1"
CLEAR_BELOW = 2
"""An alert is cleared when its zone has this many vehicles fewer than the limit, or less."""


class Clusters:
    """The open alerts of one city. `opened` is the state: cell -> end of the interval that raised it."""

    def __init__(self, city: str, *, limit: int) -> None:
        self._city = city
        self._limit = limit
        self.opened: dict[int, int] = {}

    def judge(self, low: Mapping[int, int], start_ms: int, end_ms: int) -> list[Event]:
        """low: cell -> vehicles below 20 % there; cells without any may be absent. Events in the order of cells."""
        events = []
        for cell in sorted(low.keys() | self.opened.keys()):
            vehicles = low.get(cell, 0)
            if cell not in self.opened and vehicles >= self._limit:
                self.opened[cell] = end_ms
                reason = f"{vehicles} vehicles below 20 % stand in this zone: swap or charge them in one round."
                events.append(self._event(event.ALERT_RAISED, cell, vehicles, reason, start_ms, end_ms, raised_ms=end_ms))
            elif cell in self.opened and vehicles <= self._limit - CLEAR_BELOW:
                raised_ms = self.opened.pop(cell)
                reason = f"Vehicles below 20 % in this zone: {vehicles}, no cluster any more."
                events.append(self._event(event.ALERT_CLEARED, cell, vehicles, reason, start_ms, end_ms, raised_ms=raised_ms))
        return events

    def _event(self, type_: str, cell: int, vehicles: int, reason: str, start_ms: int, end_ms: int, *, raised_ms: int) -> Event:
        zone = f"{cell:x}"
        data: dict[str, Any] = {
            "city": self._city,
            "zone": zone,
            "alert_id": event.event_id(event.ALERT_RAISED, zone, RULE, f"interval.{raised_ms}"),
            "rule": RULE,
            "severity": "warning",
            "reason": reason,
            "raised_ms": raised_ms,
            "evidence": {
                "rule": RULE,
                "version": VERSION,
                "values": {"vehicles": vehicles, "limit": self._limit},
                "recorded_ms": end_ms,
                "window": {"start_ms": start_ms, "end_ms": end_ms},
            },
        }
        return Event(type_, zone, RULE, f"interval.{end_ms}", end_ms, data)
