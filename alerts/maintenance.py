"""Maintenance: required, graver, resolved; one open task per vehicle and rule. Critical ones take the vehicle out of service."""

from dataclasses import dataclass
from typing import Any, Literal

from fleetpulse.alerts import event
from fleetpulse.alerts.evidence import Trigger
from fleetpulse.alerts.recorder import Recorder
from fleetpulse.alerts.rules import Component, Judgement, Severity

ResolvedBy = Literal["swap", "operation", "recovered", "forgotten"]


@dataclass
class Task:
    """An open task. `condition` is the code of the condition that required it."""

    maintenance_id: str
    component: Component
    severity: Severity
    rule: str
    reason: str
    required_ms: int
    condition: int


class Maintenances:
    """The open tasks of a shard."""

    def __init__(self, recorder: Recorder) -> None:
        self.open: dict[int, dict[str, Task]] = {}
        """By slot, then by rule."""
        self._recorder = recorder

    def require(self, tip: Trigger, judgement: Judgement) -> None:
        """A condition requires maintenance. What is already open is told again only when it becomes graver."""
        rule, slot = judgement.rule.name, tip.row.slot
        assert judgement.component is not None, "only rules with a component require maintenance"
        task = self.open.get(slot, {}).get(rule)
        if task is not None and judgement.maintenance_severity <= task.severity:
            return
        maintenance_id = task.maintenance_id if task else self._recorder.next_id(event.MAINTENANCE_REQUIRED, tip, rule)
        task = Task(
            maintenance_id=maintenance_id,
            component=judgement.component,
            severity=judgement.maintenance_severity,
            rule=rule,
            reason=judgement.task,
            required_ms=task.required_ms if task else tip.time_ms,
            condition=tip.row.condition,
        )
        self.open.setdefault(slot, {})[rule] = task
        self._tell(event.MAINTENANCE_REQUIRED, tip, task)

    def resolve(self, tip: Trigger, tasks: list[Task], *, by: ResolvedBy, because: str) -> None:
        """Close open tasks of the trigger's vehicle. `because` is the rule in the evidence."""
        slot = tip.row.slot
        for task in tasks:
            del self.open[slot][task.rule]
            self._tell(event.MAINTENANCE_RESOLVED, tip, task, because=because, resolved_by=by)
        if slot in self.open and not self.open[slot]:
            del self.open[slot]

    def of(self, slot: int, *, component: str = "", rule: str = "", maintenance_id: str = "") -> list[Task]:
        """The vehicle's open tasks by rule name; those that agree with what is given."""
        return [
            task
            for _, task in sorted(self.open.get(slot, {}).items())
            if component in ("", task.component) and rule in ("", task.rule) and maintenance_id in ("", task.maintenance_id)
        ]

    def critical(self, slot: int) -> bool:
        """Whether one of the vehicle's open tasks takes it out of service."""
        return any(task.severity == Severity.CRITICAL for task in self.open.get(slot, {}).values())

    def _tell(self, type_: str, tip: Trigger, task: Task, *, because: str | None = None, **more: Any) -> None:
        data = {
            "maintenance_id": task.maintenance_id,
            "component": task.component,
            "severity": task.severity.text,
            "rule": task.rule,
            "reason": task.reason,
            "required_ms": task.required_ms,
            **more,
        }
        self._recorder.record(type_, tip, task.rule, data, because=because)
