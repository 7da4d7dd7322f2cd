"""The life of alerts that models raise: the same as that of rules, by findings and by what the shard says (alerts/relay.py). Pure.

Events depend on findings and words and their stream times alone, in the order in which they stand in `fleet.features`. A task that a model
takes back is resolved with its alert's delay (`keep`), so that a model which wavers does not send technicians to and fro.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from math import nan
from typing import Any
from uuid import UUID

from fleetpulse.alerts import event
from fleetpulse.alerts.alarm import Alarms
from fleetpulse.alerts.alert import plain, restored
from fleetpulse.alerts.deadlines import Deadline, Deadlines
from fleetpulse.alerts.event import Event
from fleetpulse.alerts.evidence import FactRow, Told, Trigger
from fleetpulse.alerts.mutes import Mutes
from fleetpulse.alerts.parameters import LifecycleParameters
from fleetpulse.alerts.policy import MODEL_RULES, AlertPolicy
from fleetpulse.alerts.recorder import Recorder
from fleetpulse.alerts.relay import Word
from fleetpulse.alerts.rules import Judgement, Rule, Severity
from fleetpulse.codecs.schema import MISSING_E7
from fleetpulse.state.facts import Cause, Condition, Fact

_BIT = Condition(0)
"""Behind an alert of a model stands one condition, which has no name."""
_OF_ALERT = frozenset({"device_id", "city", "vehicle_model", "latitude_deg", "longitude_deg", "battery_soc_pct"})


@dataclass
class Task:
    """Open maintenance: data of the event that required it. due_ms: stream time at which it is resolved as `over` says; 0: it is not."""

    data: dict[str, Any]
    due_ms: int = 0
    over: dict[str, Any] = field(default_factory=dict)

    @property
    def named(self) -> dict[str, Any]:
        """What is the same in every event about it."""
        return {name: self.data[name] for name in ("maintenance_id", "required_ms")}


class Desk:
    """The alerts and tasks that a shard's models raised."""

    def __init__(self, policy: AlertPolicy, *, shard: int, topic: str) -> None:
        self._policy = policy
        self._recorder = Recorder(LifecycleParameters(policy=policy), shard=shard, topic=topic)
        self.counters = {**self._recorder.counters, "alerts_held": 0, "alerts_joined": 0}
        self._recorder.counters = self.counters
        self._mutes = Mutes()
        self._holding: dict[int, frozenset[str]] = {}
        self._alarms = Alarms(self._recorder, policy, self._mutes, lambda slot: self._holding.get(slot, frozenset()), self.counters)
        self._tasks: dict[int, dict[str, Task]] = {}
        self._due = Deadlines(self._waited_for)
        self._slots: dict[str, int] = {}
        self._devices: dict[int, str] = {}
        self._next_slot = 0
        self._now_ms = 0
        self._heard_second = -1
        self._out: list[Event] = []

    def advance(self, stream_ms: int) -> list[Event]:
        """The events of timers that are due in the whole second of `stream_ms`, in the order of their time."""
        self._pass(stream_ms)
        return self._take()

    def find(self, made: list[Event], closed_ms: int) -> list[Event]:
        """What a finding leads to.

        made       the finding's events, maintenance first (alerts/findings.py); other models' go through as they are
        closed_ms  stream time at which its window was closed
        """
        self._pass(closed_ms)
        if made[0].rule not in MODEL_RULES:
            return [*self._take(), *made]
        work, alert = made
        slot = self._slot(work.subject)
        told: Told = {"common": {k: v for k, v in alert.data.items() if k in _OF_ALERT}, "evidence": alert.data["evidence"]}
        row = self._row(slot, work.time_ms, closed_ms)
        tip = Trigger(row, work.subject, work.cause, work.time_ms, told=told)
        rule = Rule(work.rule, work.rule, Severity[alert.data["severity"].upper()], alert.data["reason"])
        task = self._tasks.get(slot, {}).get(work.rule)
        if alert.type == event.ALERT_RAISED:
            self._require(slot, task, work)
            self._alarms.raise_(tip, Judgement(rule, rule.severity, rule.reason, None, Severity.INFO, ""))
        elif task is not None:  # else its vehicle has left the fleet
            self._over(tip, slot, task, work, alert)
        self._let_go(slot)
        return self._take()

    def hear(self, second: int, words: list[Word]) -> list[Event]:
        """What the shard said in a second of stream time; what it says again is not heard again."""
        if second <= self._heard_second:
            return []
        self._heard_second = second
        for word in words:
            self._pass(word.stream_ms)
            if word.device in self._slots or word.rules or word.rule or word.on:
                slot = self._slot(word.device)
                tip = Trigger(self._row(slot, word.time_ms, word.recorded_ms), word.device, word.cause, word.time_ms)
                self._do(word, slot, tip)
                self._let_go(slot)
        return self._take()

    def _do(self, word: Word, slot: int, tip: Trigger) -> None:
        match word.kind:
            case "holding":
                self._holding[slot] = frozenset(word.rules)
                self._alarms.review(tip, slot)
            case "acknowledged":
                self._alarms.acknowledge(tip, by=word.by, alert_id=word.alert_id, rule=word.rule)
            case "snoozed":
                for rule in [word.rule] if word.rule else [alert.rule for alert in self._alarms.of(slot)]:
                    self._alarms.snooze(tip, rule, word.until_ms, by=word.by)
            case "service":
                (self._mutes.service.add if word.on else self._mutes.service.discard)(slot)
                self._alarms.review(tip, slot)
            case "gone":
                self._alarms.end(tip, slot)
                self._holding.pop(slot, None)
                for rule, task in sorted(self._tasks.pop(slot, {}).items()):
                    self._emit(self._resolved(task.data, tip, rule, resolved_by="forgotten"))

    # maintenance

    def _require(self, slot: int, task: Task | None, work: Event) -> None:
        """What is open is told again only when it becomes graver."""
        if task is None:
            self._tasks.setdefault(slot, {})[work.rule] = Task(work.data)
            self._emit(work)
            return
        task.due_ms, task.over = 0, {}
        if Severity[work.data["severity"].upper()] > Severity[task.data["severity"].upper()]:
            task.data = {**work.data, **task.named}
            self._emit(replace(work, data=task.data))

    def _over(self, tip: Trigger, slot: int, task: Task, work: Event, alert: Event) -> None:
        """The model takes it back, at once when the part was replaced."""
        known = self._alarms.books.get(slot, {}).get(work.rule)
        if known is not None:
            known.reason = alert.data["reason"]
        keep_ms = self._policy.keep_ms(work.rule)
        if work.data["resolved_by"] == "recovered" and keep_ms:
            task.due_ms, task.over = self._now_ms + keep_ms, work.data
            self._due.push(task.due_ms, slot, work.rule)
            self._alarms.clear(tip, Rule(work.rule, work.rule, Severity.INFO, ""), _BIT)
            return
        self._emit(replace(work, data={**work.data, **task.named}))
        self._forget(slot, work.rule)
        if work.data["resolved_by"] != "recovered":
            self._alarms.mend(slot, {work.rule})
        if known is not None and known.conditions:
            self._alarms.close(tip, slot, known)

    def _resolve(self, at_ms: int, slot: int, rule: str) -> None:
        task = self._tasks.get(slot, {}).get(rule)
        if task is None or task.due_ms != at_ms:
            return  # the model found it again
        self._forget(slot, rule)
        tip = Trigger(self._row(slot, at_ms, 0), self._devices[slot], f"deadline.{at_ms}", at_ms)
        self._emit(self._resolved({**task.over, **task.named}, tip, rule))

    def _resolved(self, data: dict[str, Any], tip: Trigger, rule: str, **more: Any) -> Event:
        evidence = {name: value for name, value in data["evidence"].items() if name != "recorded_ms"}
        return Event(event.MAINTENANCE_RESOLVED, tip.subject, rule, tip.cause, tip.time_ms, {**data, **more, "evidence": evidence})

    def _forget(self, slot: int, rule: str) -> None:
        del self._tasks[slot][rule]
        if not self._tasks[slot]:
            del self._tasks[slot]

    def _waited_for(self) -> Iterator[Deadline]:
        for slot, tasks in self._tasks.items():
            yield from ((task.due_ms, slot, rule) for rule, task in tasks.items() if task.due_ms)

    # time, and who is who

    def _pass(self, stream_ms: int) -> None:
        """Let stream time go on; never back."""
        self._now_ms = max(self._now_ms, stream_ms)
        second_ms = self._now_ms // 1000 * 1000
        while (due := self._due.due(second_ms)) is not None:
            self._fire(due[0] - 1)
            self._resolve(*due)
            self._let_go(due[1])
        self._fire(second_ms)
        self._recorder.forget_before(self._now_ms // 1000)

    def _fire(self, until_ms: int) -> None:
        for slot in sorted(self._alarms.advance(until_ms)):
            self._let_go(slot)

    def _emit(self, *made: Event) -> None:
        """Append events that are no alerts', after those of alerts so far."""
        self._out += [*self._recorder.take(), *made]

    def _take(self) -> list[Event]:
        self._emit()
        made, self._out = self._out, []
        return made

    def _slot(self, device: str) -> int:
        if device not in self._slots:
            self._slots[device], self._devices[self._next_slot] = self._next_slot, device
            self._next_slot += 1
        return self._slots[device]

    def _let_go(self, slot: int) -> None:
        """Forget a vehicle of which nothing is known."""
        if not self._holding.get(slot):
            self._holding.pop(slot, None)
        known = (self._alarms.books, self._tasks, self._holding, self._mutes.service, self._mutes.snoozes)
        if slot in self._devices and not any(slot in book for book in known):
            del self._slots[self._devices.pop(slot)]

    def _row(self, slot: int, time_ms: int, recorded_ms: int, stream_ms: int | None = None) -> FactRow:
        """A fact of ours, for the moment alone: what events say is told."""
        device = UUID(self._devices[slot]).int
        return FactRow(
            fact=Fact.RAISED,
            condition=_BIT,
            cause=Cause.WINDOW,
            late=0,
            slot=slot,
            row=-1,
            status=0,
            boot_id=0,
            seq=0,
            device_hi=device >> 64,
            device_lo=device & (2**64 - 1),
            trip_hi=0,
            trip_lo=0,
            event_ms=time_ms,
            stream_ms=self._now_ms if stream_ms is None else stream_ms,
            append_ms=recorded_ms,
            cause_ms=0,
            first_offset=-1,
            last_offset=-1,
            latitude_e7=MISSING_E7,
            longitude_e7=MISSING_E7,
            city=0,
            vehicle_model=0,
            soc_pct=nan,
            value=[],
        )

    # snapshot

    def state(self) -> dict[str, Any]:
        """All of it as plain JSON values. The inverse is restore."""
        alerts = [[s, a.row.event_ms, a.row.append_ms, a.row.stream_ms, plain(a)] for s, a in self._alarms.everything()]
        return {
            "slots": sorted(self._slots.items(), key=lambda known: known[1]),
            "next_slot": self._next_slot,
            "now_ms": self._now_ms,
            "heard_second": self._heard_second,
            "counters": self.counters,
            "counted": [[*key, *count] for key, count in self._recorder.counted.items()],
            "mutes": self._mutes.state(),
            "holding": [[slot, sorted(names)] for slot, names in sorted(self._holding.items())],
            "alerts": alerts,
            "tasks": [[slot, rule, asdict(task)] for slot in sorted(self._tasks) for rule, task in sorted(self._tasks[slot].items())],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""
        self._slots = dict(state["slots"])
        self._devices = {slot: device for device, slot in self._slots.items()}
        self._next_slot, self._now_ms, self._heard_second = state["next_slot"], state["now_ms"], state["heard_second"]
        self.counters.update(state["counters"])
        self._recorder.counted = {(a, b, c, d): (n, second) for a, b, c, d, n, second in state["counted"]}
        self._mutes.restore(state["mutes"])
        self._holding = {slot: frozenset(names) for slot, names in state["holding"]}
        for slot, rule, values in state["tasks"]:
            self._tasks.setdefault(slot, {})[rule] = Task(**values)
        self._due.renew()
        self._alarms.restore(restored(self._row(s, at, recorded, now), values) for s, at, recorded, now, values in state["alerts"])
