"""Alerts: raised, acknowledged, escalated, cleared; one open alert per vehicle and rule, one event for one change.

Several conditions may stand behind one alert (offline and missing); it is cleared when the last of them is gone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any

from fleetpulse.alerts import event, evidence
from fleetpulse.alerts.evidence import FactRow, Trigger
from fleetpulse.alerts.recorder import Recorder
from fleetpulse.alerts.rules import RULES, Judgement, Rule, Severity
from fleetpulse.state.facts import Condition

_HEAP_FREE = 256
"""Deadlines kept before anybody asks whether their alerts are still open."""


@dataclass
class Alert:
    """An open alert.

    row          the fact that raised or last escalated it; its events by timer speak of that moment
    condition    that raised it; conditions: bits of those that hold now
    because      rule of the condition that the reason speaks of
    deadline_ms  stream time at which it escalates; 0: never (again)
    """

    alert_id: str
    rule: str
    severity: Severity
    reason: str
    raised_ms: int
    row: FactRow
    condition: int
    conditions: int
    because: str
    deadline_ms: int
    acknowledged: bool = False
    late: bool = False

    @property
    def bits(self) -> int:
        """Bits of the conditions to be shown."""
        return self.conditions or 1 << self.condition


class Alarms:
    """The open alerts of a shard, and the heap of their deadlines."""

    def __init__(self, recorder: Recorder, counters: dict[str, int]) -> None:
        self.open: dict[int, dict[str, Alert]] = {}
        """By slot, then by rule."""
        self._recorder = recorder
        self._counters = counters
        self._escalate_ms = round(recorder.parameters.escalate_s * 1000)
        self._heap: list[tuple[int, int, str]] = []
        self._crowded = _HEAP_FREE

    def raise_(self, tip: Trigger, judgement: Judgement) -> None:
        """A condition became true: a new alert, or one more reason for the open one. A late fact is told once and opens nothing,
        except where the rule is true at any age."""
        rule, row = judgement.rule, tip.row
        assert rule.alert is not None, "only conditions with an alert raise one"
        late = bool(row.late)
        alert = self.open.get(row.slot, {}).get(rule.alert)
        if alert is not None:
            self._join(alert, tip, judgement)
            return
        alert = Alert(
            alert_id=self._recorder.next_id(event.ALERT_RAISED, tip, rule.alert),
            rule=rule.alert,
            severity=judgement.severity,
            reason=judgement.reason,
            raised_ms=tip.time_ms,
            row=row,
            condition=row.condition,
            conditions=0 if late else 1 << row.condition,
            because=rule.name,
            deadline_ms=0,
            late=late,
        )
        self._tell(event.ALERT_RAISED, tip, alert)
        if late and not rule.latched:
            return
        self.open.setdefault(row.slot, {})[rule.alert] = alert
        self._arm(alert)

    def _join(self, alert: Alert, tip: Trigger, judgement: Judgement) -> None:
        rule, bit = judgement.rule, 1 << tip.row.condition
        new = not tip.row.late and not alert.conditions & bit
        if not tip.row.late:
            alert.conditions |= bit
        graver = judgement.severity > alert.severity and not (tip.row.late and not rule.latched)
        if not graver and not (new and (rule.escalates or rule.latched)):
            self._counters["alerts_joined"] += 1
            return
        alert.severity = max(alert.severity, judgement.severity)
        alert.reason, alert.because, alert.row = judgement.reason, rule.name, tip.row
        self._tell(event.ALERT_ESCALATED, tip, alert)
        if alert.acknowledged:  # it is news to whoever took it
            alert.acknowledged = False
            self._arm(alert)

    def clear(self, tip: Trigger, rule: Rule, condition: Condition) -> None:
        """A condition became false: the alert is closed if it was the last behind it."""
        slot = tip.row.slot
        alert = self.open.get(slot, {}).get(rule.alert or "")
        if alert is None or not alert.conditions & 1 << condition:
            return
        alert.conditions &= ~(1 << condition)
        if not alert.conditions and not rule.latched:
            self.close(tip, slot, alert)

    def close(self, tip: Trigger, slot: int, alert: Alert) -> None:
        """Close an open alert, whatever is behind it."""
        del self.open[slot][alert.rule]
        if not self.open[slot]:
            del self.open[slot]
        self._tell(event.ALERT_CLEARED, tip, alert)

    def acknowledge(self, tip: Trigger, *, by: str, alert_id: str, rule: str) -> bool:
        """Somebody took an alert, named by its id or its rule. False when no such alert waits for it."""
        for alert in self.of(tip.row.slot):
            if not alert.acknowledged and (alert.alert_id == alert_id or (not alert_id and alert.rule == rule)):
                alert.acknowledged = True
                alert.deadline_ms = 0
                self._tell(event.ALERT_ACKNOWLEDGED, tip, alert, by=by)
                return True
        return False

    def of(self, slot: int) -> list[Alert]:
        """The vehicle's open alerts by rule name."""
        return [alert for _, alert in sorted(self.open.get(slot, {}).items())]

    def everything(self) -> Iterator[tuple[int, Alert]]:
        """All open alerts by slot and rule."""
        for slot in sorted(self.open):
            for alert in self.of(slot):
                yield slot, alert

    def advance(self, second_ms: int) -> None:
        """Escalate what is due at or before `second_ms`, in the order of deadline, slot, rule. O(1) when nothing is."""
        heap = self._heap
        while heap and heap[0][0] <= second_ms:
            deadline_ms, slot, rule = heappop(heap)
            alert = self.open.get(slot, {}).get(rule)
            if alert is None or alert.deadline_ms != deadline_ms:
                continue  # acknowledged or closed since
            alert.deadline_ms = 0
            alert.severity = Severity(min(alert.severity + 1, Severity.CRITICAL))
            minutes = self._escalate_ms / 60_000
            unanswered = f"Nobody acknowledged it for {minutes:g} min. "
            alert.reason = unanswered + alert.reason.removeprefix(unanswered)
            self._tell(event.ALERT_ESCALATED, evidence.deadline(alert.row, deadline_ms), alert)

    def _arm(self, alert: Alert) -> None:
        """Set the timer of an alert that somebody should answer."""
        if alert.severity == Severity.INFO:
            return
        alert.deadline_ms = alert.row.stream_ms + self._escalate_ms
        self.watch(alert)
        if len(self._heap) > self._crowded:  # mostly of alerts that are closed
            self._heap = [(a.deadline_ms, slot, a.rule) for slot, a in self.everything() if a.deadline_ms]
            heapify(self._heap)
            self._crowded = 2 * len(self._heap) + _HEAP_FREE

    def watch(self, alert: Alert) -> None:
        """Put the alert's deadline on the heap; after a restore the caller does so for each."""
        if alert.deadline_ms:
            heappush(self._heap, (alert.deadline_ms, alert.row.slot, alert.rule))

    def _tell(self, type_: str, tip: Trigger, alert: Alert, **more: Any) -> None:
        data = {
            "alert_id": alert.alert_id,
            "rule": alert.rule,
            "severity": alert.severity.text,
            "reason": alert.reason,
            "raised_ms": alert.raised_ms,
            **more,
        }
        if alert.late:
            data["late"] = True
        self._recorder.record(type_, tip, alert.rule, data, because=alert.because)


def rules_of_alerts() -> tuple[str, ...]:
    """Rule names of the alerts that conditions raise."""
    return tuple(dict.fromkeys(rule.alert for rule in RULES.values() if rule.alert))
