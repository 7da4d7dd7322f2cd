"""Facts to events: what happened to a shard's vehicles becomes alerts, maintenance, trips and MDS states. Pure; time is in the facts.

The order of events depends on the facts alone: before each fact every timer fires that is due at or before the whole second of the
fact's stream time, so it does not matter how the log was cut or how often `advance` was called in between.
"""

from collections import OrderedDict
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.alerts import evidence, rules, snapshot, trips
from fleetpulse.alerts.alarm import Alarms
from fleetpulse.alerts.alert import plain, restored
from fleetpulse.alerts.event import Event
from fleetpulse.alerts.evidence import Trigger
from fleetpulse.alerts.maintenance import Maintenances, Task
from fleetpulse.alerts.mutes import Mutes
from fleetpulse.alerts.notes import Note, Notes
from fleetpulse.alerts.operations import Operations
from fleetpulse.alerts.parameters import LifecycleParameters
from fleetpulse.alerts.quiet import Quiet
from fleetpulse.alerts.recorder import Recorder
from fleetpulse.alerts.relay import Relay, Word
from fleetpulse.alerts.rules import BATTERY_SWAP, EVICTION, OF_BATTERY, RULES, TRIP, Severity
from fleetpulse.alerts.standing import Flag
from fleetpulse.alerts.states import EventType
from fleetpulse.alerts.vehicles import Vehicles
from fleetpulse.codecs.operations import OperationRecord
from fleetpulse.state.facts import FACT, Cause, Condition, Fact

COUNTERS = ("alerts_held", "alerts_joined", "facts_ignored", "operations_applied", "operations_refused", "operations_repeated")
"""Beside the counts of events: conditions whose alert was held back or that joined an open one, facts of the decommissioned, operations."""

_SILENCE = 1 << Condition.OFFLINE | 1 << Condition.MISSING


class Lifecycle:
    """One shard's life cycle. Events are emitted at least once by whoever calls it; their ids say which are the same."""

    def __init__(self, parameters: LifecycleParameters, *, shard: int, topic: str) -> None:
        self._shard = shard
        self._recorder = Recorder(parameters, shard=shard, topic=topic)
        self.counters: dict[str, int] = self._recorder.counters
        self.counters.update(dict.fromkeys(COUNTERS, 0))
        self._maintenances = Maintenances(self._recorder)
        self._vehicles = Vehicles(self._recorder, self._maintenances)
        self._mutes = Mutes()
        policy = parameters.policy
        self._alarms = Alarms(self._recorder, policy, self._mutes, self._vehicles.holding, self.counters)
        self._notes = Notes(parameters, shard, topic)
        self._relay = Relay()
        self._quiet = Quiet(self._vehicles, self._alarms, self._notes, self._relay, policy)
        self._operations = Operations(
            self._vehicles, self._alarms, self._maintenances, self._notes, self._quiet, self._relay, self.counters
        )
        self._for_models = policy.matters_to_models()

    # What the public state shows, by slot; arrays of at least as many vehicles as `ensure` was told.
    @property
    def vehicle_state(self) -> NDArray[np.uint8]:
        """MDS state code."""
        return self._column("vehicle_state")

    @property
    def event_type(self) -> NDArray[np.uint8]:
        """Code of the MDS event type that led to the state; 0: as first seen."""
        return self._column("event_type")

    @property
    def state_since_ms(self) -> NDArray[np.int64]:
        """Time of that event; 0: as first seen."""
        return self._column("state_since_ms")

    @property
    def alerts(self) -> NDArray[np.uint32]:
        """Bits of the conditions behind open alerts."""
        return self._column("alerts")

    @property
    def maintenance(self) -> NDArray[np.uint32]:
        """Bits of the conditions behind required maintenance."""
        return self._column("maintenance")

    @property
    def service(self) -> NDArray[np.uint8]:
        """1: in service, so that no alert of it is told."""
        return self._vehicles.service

    def _column(self, name: str) -> NDArray[Any]:
        return self._vehicles.records[name]

    def ensure(self, vehicles: int) -> None:
        """Have a row for each of the slots below `vehicles`."""
        self._vehicles.ensure(vehicles)

    def apply(self, facts: NDArray[Any], operations: dict[int, OperationRecord]) -> list[Event]:
        """The events that facts lead to, in order.

        facts       (N,) state.facts.FACT in stream order
        operations  row in the batch's frames -> the operation; at least those that the facts name
        """
        if not len(facts):
            return []
        self.ensure(int(facts["slot"].max()) + 1)
        for row in evidence.rows(facts):
            second = row.stream_ms // 1000
            self._fire(second * 1000)
            self._recorder.forget_before(second)
            record = operations[row.row] if row.cause == Cause.OPERATION else None
            self._vehicles.choose_mode(row)
            tip = evidence.trigger(row, record)
            held = self._alarms.holds(row.slot) & self._for_models
            self._fact(tip, record)
            self._alarms.review(tip, row.slot)
            holds = self._alarms.holds(row.slot) & self._for_models
            if holds != held:
                self._relay.say("holding", tip, rules=sorted(holds))
            self._show(row.slot)
        return self._recorder.take()

    def advance(self, stream_ms: int) -> list[Event]:
        """The events of timers that are due in the whole second of `stream_ms`. O(1) when none is."""
        self._fire(stream_ms // 1000 * 1000)
        return self._recorder.take()

    def _fire(self, second_ms: int) -> None:
        for slot in self._alarms.advance(second_ms):
            self._show(slot)

    def take_notes(self) -> list[Note]:
        """What the cities are to be told of silent vehicles, since the last call."""
        return self._notes.take()

    def take_words(self) -> list[Word]:
        """What the models' desk is to be told, since the last call."""
        return self._relay.take()

    def _fact(self, tip: Trigger, record: OperationRecord | None) -> None:
        match Fact(tip.row.fact):
            case Fact.RAISED:
                self._raised(tip)
            case Fact.CLEARED:
                self._cleared(tip)
            case Fact.TRIP_STARTED:
                trips.started(self._recorder, tip)
                self._trip(tip, Flag.TRIP, Flag.PAUSED | Flag.RESERVED | Flag.UNLOCKED, EventType.TRIP_START)
            case Fact.TRIP_ENDED:
                trips.ended(self._recorder, tip)
                self._trip(tip, Flag(0), Flag.TRIP | Flag.PAUSED, EventType.TRIP_END)
            case Fact.TRIP_PAUSED:
                self._trip(tip, Flag.PAUSED, Flag(0), EventType.TRIP_STOP)
            case Fact.TRIP_RESUMED:
                self._trip(tip, Flag(0), Flag.PAUSED, EventType.TRIP_RESUME)
            case Fact.BATTERY_SWAPPED:
                self._swapped(tip)
            case Fact.EVICTED:
                self._forget(tip)
            case Fact.OPERATION:
                assert record is not None, "the fact of an operation comes with its record"
                self._operations.apply(tip, record)

    def _raised(self, tip: Trigger) -> None:
        slot, condition, late = tip.row.slot, Condition(tip.row.condition), bool(tip.row.late)
        rule = RULES[condition]
        if not late:
            self._vehicles.hold(slot, condition)
        if self._vehicles.flags(slot) & Flag.DECOMMISSIONED:
            self.counters["facts_ignored"] += 1
        else:
            judgement = rules.judge(tip.row, self._recorder.parameters)
            if rule.by_city:
                self._quiet.tell_silent(tip, judgement)
            elif rule.alert:
                self._alarms.raise_(tip, judgement)
            if rule.maintenance and (not late or rule.latched):
                self._maintenances.require(tip, judgement)
        if not late or rule.latched:
            self._vehicles.settle(tip, rule.name)

    def _cleared(self, tip: Trigger) -> None:
        slot, condition = tip.row.slot, Condition(tip.row.condition)
        if tip.row.late or (condition == Condition.MISSING and self._vehicles.holds(slot, Condition.OFFLINE)):
            return  # who is found again is heard again: the end of OFFLINE says both
        rule = RULES[condition]
        if condition == Condition.OFFLINE:
            self._vehicles.release(slot, Condition.MISSING)
        self._vehicles.release(slot, condition)
        if rule.by_city:
            self._quiet.tell_heard(tip, rule.name)
        else:
            self._alarms.clear(tip, rule, condition)
        if rule.maintenance and rule.maintenance.recovers:
            self._maintenances.resolve(tip, self._maintenances.of(slot, rule=rule.name), by="recovered", because=rule.name)
        charged = condition == Condition.UNRENTABLE_BATTERY
        self._vehicles.settle(tip, rule.name, (EventType.BATTERY_CHARGED if charged else EventType.MAINTENANCE,))

    def _trip(self, tip: Trigger, on: Flag, off: Flag, said: EventType) -> None:
        if tip.row.late:
            return  # told, but long over
        slot = tip.row.slot
        flags = self._vehicles.flags(slot)
        if on & Flag.TRIP and not flags & Flag.DECOMMISSIONED:
            off |= Flag.REMOVED  # a rider has it, so it is on the street
        self._vehicles.set_flags(slot, flags & ~off | on)
        self._vehicles.settle(tip, TRIP, (said,))

    def _swapped(self, tip: Trigger) -> None:
        if tip.row.late:
            return
        tasks = self._maintenances.of(tip.row.slot, component="battery")
        self._maintenances.resolve(tip, tasks, by="swap", because=BATTERY_SWAP)
        self._alarms.mend(tip.row.slot, OF_BATTERY)
        self._vehicles.settle(tip, BATTERY_SWAP, (EventType.MAINTENANCE,))

    def _forget(self, tip: Trigger) -> None:
        """Close the books of a vehicle that nobody heard of for so long that its slot goes to another one."""
        slot = tip.row.slot
        self._quiet.end(tip, EVICTION)
        self._maintenances.resolve(tip, self._maintenances.of(slot), by="forgotten", because=EVICTION)
        self._vehicles.forget(slot)

    def _show(self, slot: int) -> None:
        """Bring the public bits up to date."""
        alerts = int(self._vehicles.records["conditions"][slot]) & _SILENCE if slot in self._notes.told else 0
        maintenance = 0
        for alert in self._alarms.of(slot):
            alerts |= alert.bits
        for task in self._maintenances.of(slot):
            maintenance |= 1 << task.condition
        self._vehicles.records["alerts"][slot] = alerts
        self._vehicles.records["maintenance"][slot] = maintenance

    def snapshot(self) -> bytes:
        """All of it as versioned bytes, a copy. The inverse is restore."""
        alerts = [alert for _, alert in self._alarms.everything()]
        silent = [self._quiet.silent[slot] for slot in sorted(self._quiet.silent)]
        rest = {
            "counters": self.counters,
            "counted": [[*key, *count] for key, count in self._recorder.counted.items()],
            "operations": list(self._operations.remembered),
            "told": sorted(self._notes.told.items()),
            "alerts": [plain(alert) for alert in alerts],
            "mutes": self._mutes.state(),
            "tasks": [[slot, asdict(task)] for slot in sorted(self._maintenances.open) for task in self._maintenances.of(slot)],
        }
        rows = [*(alert.row for alert in alerts), *silent]
        facts = np.zeros(len(rows), dtype=FACT)  # and not np.array(rows): padding must be the same each time
        for i, row in enumerate(rows):
            facts[i] = tuple(row)
        return snapshot.encode(snapshot.Books(self._vehicles.records[: self._vehicles.count], facts, rest), shard=self._shard)

    def restore(self, data: bytes) -> None:
        """Take over a snapshot of this shard. Raises SnapshotError for another version or shard."""
        books = snapshot.decode(data, shard=self._shard)
        self.ensure(len(books.vehicles))
        self._vehicles.records[: len(books.vehicles)] = books.vehicles
        self.counters.update(books.rest["counters"])
        self._recorder.counted = {(a, b, c, d): (n, second) for a, b, c, d, n, second in books.rest["counted"]}
        self._operations.remembered = OrderedDict.fromkeys((slot, id_) for slot, id_ in books.rest["operations"])
        self._notes.told = dict(books.rest["told"])
        self._mutes.restore(books.rest["mutes"])
        self._vehicles.service[sorted(self._mutes.service)] = 1
        rows, alerts = evidence.rows(books.facts), books.rest["alerts"]
        self._alarms.restore(restored(row, values) for row, values in zip(rows, alerts, strict=False))
        self._quiet.silent = {row.slot: row for row in rows[len(alerts) :]}
        for slot, values in books.rest["tasks"]:
            task = Task(**{**values, "severity": Severity(values["severity"])})
            self._maintenances.open.setdefault(slot, {})[task.rule] = task
