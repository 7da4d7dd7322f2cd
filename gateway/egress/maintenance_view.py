"""The open maintenance tasks, folded from required and resolved events in any order. No I/O, no clock."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fleetpulse.alerts import event
from fleetpulse.gateway.egress.alert_view import CLOSED_KEPT, SEVERITY_RANK
from fleetpulse.gateway.egress.feed_items import FeedEvent


@dataclass
class Task:
    """One open task; `data` is that of the newest `required` event about it."""

    maintenance_id: str
    data: dict[str, Any]
    data_ms: int

    @property
    def urgency(self) -> tuple[int, str, int, str]:
        """Sorts by it: severity, the day it is predicted to fail, oldest."""
        rank = SEVERITY_RANK.get(self.data["severity"], len(SEVERITY_RANK))
        return rank, str(self.data.get("predicted_date", "9999")), int(self.data["required_ms"]), self.maintenance_id


class MaintenanceView:
    """Open tasks by id and by device."""

    def __init__(self) -> None:
        self._open: dict[str, Task] = {}
        self._by_device: dict[str, set[str]] = {}
        self._closed: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Task]:
        return iter(self._open.values())

    def of(self, device_id: str) -> list[Task]:
        """The vehicle's open tasks, most urgent first."""
        return sorted((self._open[i] for i in self._by_device.get(device_id, ())), key=lambda task: task.urgency)

    def ordered(self) -> list[Task]:
        """All, most urgent first."""
        return sorted(self._open.values(), key=lambda task: task.urgency)

    def apply(self, item: FeedEvent) -> None:
        """Fold one event; other types are passed over."""
        if item.type not in (event.MAINTENANCE_REQUIRED, event.MAINTENANCE_RESOLVED):
            return
        data = item.parse()
        maintenance_id, device_id = str(data["maintenance_id"]), str(data["device_id"])
        if item.type == event.MAINTENANCE_RESOLVED:
            self._closed[maintenance_id] = None
            if len(self._closed) > CLOSED_KEPT:
                self._closed.popitem(last=False)
            if self._open.pop(maintenance_id, None) is not None:
                self._by_device[device_id].discard(maintenance_id)
                if not self._by_device[device_id]:
                    del self._by_device[device_id]
        elif maintenance_id not in self._closed:
            task = self._open.get(maintenance_id)
            if task is None:
                self._open[maintenance_id] = Task(maintenance_id, data, item.time_ms)
                self._by_device.setdefault(device_id, set()).add(maintenance_id)
            elif item.time_ms >= task.data_ms:  # told again because it became more severe
                task.data, task.data_ms = data, item.time_ms


def render(task: Task, *, now_ms: int) -> dict[str, Any]:
    """The task as the API shows it: the event's data and its age."""
    return {**task.data, "age_s": max(0, now_ms - int(task.data["required_ms"])) // 1000}
