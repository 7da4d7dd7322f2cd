"""Operations on the life cycle: what people and other systems did to a vehicle. An illegal one changes nothing and is counted."""

from collections import OrderedDict
from hashlib import blake2b

from fleetpulse.alerts.alarm import Alarms
from fleetpulse.alerts.evidence import Trigger
from fleetpulse.alerts.maintenance import Maintenances
from fleetpulse.alerts.notes import Notes
from fleetpulse.alerts.policy import CITY_RULE, MODEL_RULES
from fleetpulse.alerts.quiet import Quiet
from fleetpulse.alerts.relay import Relay
from fleetpulse.alerts.rules import OPERATION, RULES
from fleetpulse.alerts.standing import Flag, operate
from fleetpulse.alerts.states import EventType
from fleetpulse.alerts.vehicles import Vehicles
from fleetpulse.codecs.operations import Operation, OperationRecord

REMEMBERED = 256
"""Ids of a shard's last operations that are kept, so that one that a writer sent again is done once."""

NAME_LENGTH = 200
"""Characters kept of the name of who did it."""


class Operations:
    """Applies operations to the books of a shard."""

    def __init__(
        self,
        vehicles: Vehicles,
        alarms: Alarms,
        maintenances: Maintenances,
        notes: Notes,
        quiet: Quiet,
        relay: Relay,
        counters: dict[str, int],
    ) -> None:
        self.remembered: OrderedDict[tuple[int, str], None] = OrderedDict()
        """(slot, digest of the operation id, which may be long), oldest first."""
        self._vehicles = vehicles
        self._alarms = alarms
        self._maintenances = maintenances
        self._notes = notes
        self._quiet = quiet
        self._relay = relay
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
            done = self._acknowledge(tip, record)
        elif record.operation == Operation.SNOOZE:
            done = self._quiet.snooze(tip, record, by=record.by[:NAME_LENGTH])
        elif record.operation == Operation.SERVICE_MODE:
            done = self._quiet.service(tip, record)
        elif record.operation == Operation.MAINTENANCE_DONE:
            done = self._maintenance_done(tip, record)
        else:
            done = self._move(tip, record)
        self._counters["operations_applied" if done else "operations_refused"] += 1

    def _acknowledge(self, tip: Trigger, record: OperationRecord) -> bool:
        """The alert may be one of ours, of the vehicle's city, or of a model."""
        by, alert_id = record.by[:NAME_LENGTH], str(record.detail.get("alert_id", ""))
        rule = str(record.detail.get("rule", ""))
        if self._alarms.acknowledge(tip, by=by, alert_id=alert_id, rule=rule):
            return True
        if rule in MODEL_RULES or (alert_id and not rule):
            verdict = str(record.detail.get("verdict", ""))[:NAME_LENGTH]
            self._relay.say("acknowledged", tip, alert_id=alert_id, rule=rule, by=by, verdict=verdict)
            if rule:
                return True
        return bool(alert_id or rule == CITY_RULE) and self._notes.acknowledged(tip, OPERATION, alert_id=alert_id, by=by)

    def _move(self, tip: Trigger, record: OperationRecord) -> bool:
        slot = tip.row.slot
        change = operate(self._vehicles.standing(slot), record.operation)
        if change is None:
            return False
        self._vehicles.set_flags(slot, change.flags)
        self._vehicles.settle(tip, OPERATION, change.said)
        if record.operation == Operation.DECOMMISSIONED:  # nobody will ever mend or find it
            self._quiet.end(tip, OPERATION)
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
        mended = {rule.alert: rule for rule in RULES.values() if rule.alert and any(task.rule == rule.name for task in tasks)}
        for alert in list(self._alarms.books.get(slot, {}).values()):
            if alert.rule in mended and mended[alert.rule].latched and alert.latched:
                self._alarms.close(tip, slot, alert, final=True)
        self._alarms.mend(slot, mended.keys())
        if in_workshop:
            self._vehicles.set_flags(slot, Flag(0))
        self._vehicles.settle(tip, OPERATION, (EventType.MAINTENANCE_END, EventType.MAINTENANCE))
        return True
