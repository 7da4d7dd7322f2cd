"""Events of the flows as alarms: one a vehicle, rule and moment, whether an alert, a maintenance or both came of it.

An alert that is reopened is the alarm that it was: `again`. So is a maintenance that comes with it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from confluent_kafka import Message

from fleetpulse.alerts import event
from fleetpulse.bench import topic
from fleetpulse.flows.headers import headers_of

_TOPICS = ("fleet.alerts", "fleet.maintenance")
_RAISING = {event.TYPE_PREFIX + name for name in (event.ALERT_RAISED, event.MAINTENANCE_REQUIRED)}
_REOPENED = event.TYPE_PREFIX + event.ALERT_REOPENED
_SAME_MS = 120_000
"""An alert and a maintenance of one rule so near to each other are one alarm."""


@dataclass(frozen=True)
class Alarm:
    """device: empty for a zone. `at_ms`: when it could be known: the later of event time and the causing record's time. again: reopened."""

    rule: str
    device: str
    at_ms: int
    severity: str
    city: str
    data: dict[str, Any] = field(compare=False, hash=False)
    again: bool = False

    @property
    def shown(self) -> str:
        """For a person."""
        values = self.data.get("evidence", {}).get("values", {})
        return (
            f"{self.rule} {self.severity} {self.device or self.city} at {event.rfc3339(self.at_ms)}: {self.data.get('reason', '')} {values}"
        )


def read(address: str, names: Iterable[str] = _TOPICS) -> list[Alarm]:
    """All alarms of the topics, in order of time."""
    found = []
    for name in names:
        for message in topic.read(address, name):
            content = decode(message)
            if content["type"] in _RAISING:
                found.append(_alarm(content["data"]))
            elif content["type"] == _REOPENED:
                at_ms = max(event.time_ms(content["time"]), int(content["data"].get("evidence", {}).get("recorded_ms") or 0))
                found.append(replace(_alarm(content["data"]), at_ms=at_ms, again=True))
    return _merged(found)


def decode(message: Message) -> dict[str, Any]:
    """A record of an event topic as a CloudEvents object."""
    return event.decode(message.value() or b"", headers_of(message))


def _alarm(data: dict[str, Any]) -> Alarm:
    raised_ms = int(data.get("raised_ms") or data.get("required_ms") or 0)
    evidence = data.get("evidence", {})
    at_ms = max(raised_ms, int(evidence.get("recorded_ms") or 0))
    return Alarm(data.get("rule", ""), data.get("device_id", ""), at_ms, data.get("severity", ""), data.get("city", ""), data)


def _merged(alarms: list[Alarm]) -> list[Alarm]:
    """Without the second of two that are one; the alert, which has the sentence for operators, stays."""
    kept: list[Alarm] = []
    last: dict[tuple[str, str, str], int] = {}
    for alarm in sorted(alarms, key=lambda a: (a.at_ms, a.rule, a.device, "alert_id" not in a.data)):
        form = "alert" if "alert_id" in alarm.data else "maintenance"
        other = last.get((alarm.device, alarm.rule, "maintenance" if form == "alert" else "alert"))
        last[alarm.device, alarm.rule, form] = alarm.at_ms
        if alarm.device and other is not None and alarm.at_ms - other <= _SAME_MS:
            continue
        kept.append(alarm)
    return kept
