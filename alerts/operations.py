"""Operations on the life cycle: what people and other systems did to a vehicle. An illegal one changes nothing and is counted."""

from collections import OrderedDict
from hashlib import blake2b

from fleetpulse.alerts.alarm import Alarms
from fleetpulse.alerts.evidence import Trigger
from fleetpulse.alerts.maintenance import Maintenances
from fleetpulse.alerts.notes import Notes
from fleetpulse.alerts.rules import OPERATION, RULES
from fleetpulse.alerts.standing import Flag, operate
from fleetpulse.alerts.states import EventType
from fleetpulse.alerts.vehicles import Vehicles
from fleetpulse.codecs.operations import Operation, OperationRecord
from fleetpulse.state.facts import Condition

OFFLINE = RULES[Condition.OFFLINE].alert
REMEMBERED = 256
"""Ids of a shard's last operations that are kept, so that one that a writer sent again is done once."""

NAME_LENGTH = 200
"""Characters kept of the name of who did it."""


class Operations:
    """Applies operations to the books of a shard."""

    def __init__(self, vehicles: Vehicles, alarms: Alarms, maintenances: Maintenances, notes: Notes, counters: dict[str, int]) -> None:
        self.remembered: OrderedDict[tuple[int, str], None] = OrderedDict()
        """(slot, digest of the operation id, which may be long), oldest first."""
        self._vehicles = vehicles
        self._alarms = alarms
        self._maintenances = maintenances
        self._notes = notes
        self._counters = counters

    def apply(self, tip: Trigger, record: OperationRecord) -> None:
        """Do it, or count why not."""
        if record.operation in (Operation.CONNECTED, Operation.DISCONNECTED):
            return  # telemetry alone says whether a vehicle can be heard
        key = (tip.row.slot, blake2b(record.operation_id.encode(), digest_size=12).hexdigest())
        if key in self.remembered:
            self._counters["operations_repeated"] += 1
            return
        self.remembered[key] = None
        if len(self.remembered) > REMEMBERED:
            self.remembered.popitem(last=False)
        if record.operation == Operation.ALERT_ACKNOWLEDGED:
            by, alert_id = record.by[:NAME_LENGTH], str(record.detail.get("alert_id", ""))
            rule = str(record.detail.get("rule", ""))
            done = self._alarms.acknowledge(tip, by=by, alert_id=alert_id, rule=rule)
            if not done and (alert_id or rule == OFFLINE):
                done = self._notes.acknowledged(tip, OPERATION, alert_id=alert_id, by=by)
        elif record.operation == Operation.MAINTENANCE_DONE:
            done = self._maintenance_done(tip, record)
        else:
            done = self._move(tip, record)
        self._counters["operations_applied" if done else "operations_refused"] += 1

    def _move(self, tip: Trigger, record: OperationRecord) -> bool:
        slot = tip.row.slot
        change = operate(self._vehicles.standing(slot), record.operation)
        if change is None:
            return False
        self._vehicles.set_flags(slot, change.flags)
        self._vehicles.settle(tip, OPERATION, change.said)
        if record.operation == Operation.DECOMMISSIONED:  # nobody will ever mend or find it
            for alert in self._alarms.of(slot):
                self._alarms.close(tip, slot, alert)
            self._notes.over("gone", tip, OPERATION)
            self._maintenances.resolve(tip, self._maintenances.of(slot), by="operation", because=OPERATION)
        return True

    def _maintenance_done(self, tip: Trigger, record: OperationRecord) -> bool:
        slot = tip.row.slot
        named = {key: str(record.detail.get(key, "")) for key in ("component", "rule", "maintenance_id")}
        tasks = self._maintenances.of(slot, **named)
        standing = self._vehicles.standing(slot)
        in_workshop = standing.mode == "car_share" and standing.flags & (Flag.REMOVED | Flag.DECOMMISSIONED) == Flag.REMOVED
        if not tasks and not in_workshop:
            return False
        self._maintenances.resolve(tip, tasks, by="operation", because=OPERATION)
        crash = RULES[Condition.CRASH]
        if any(task.rule == crash.name for task in tasks):
            for alert in self._alarms.of(slot):
                if alert.rule == crash.alert:
                    self._alarms.close(tip, slot, alert)
        if in_workshop:
            self._vehicles.set_flags(slot, Flag(0))
        self._vehicles.settle(tip, OPERATION, (EventType.MAINTENANCE_END, EventType.MAINTENANCE))
        return True
