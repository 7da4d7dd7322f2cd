"""Operations that keep a vehicle's alerts quiet: snooze and service mode; and what a silent vehicle's city is told meanwhile. Pure.

A snooze keeps a rule of a vehicle from being told until its end; news of it (it becomes graver) ends the snooze. A vehicle in service has
no alerts at all: open ones are cleared, and what still holds when it leaves is raised, or reopened if that is soon.
"""

from dataclasses import replace
from math import isfinite
from typing import Literal

from fleetpulse.alerts import rules
from fleetpulse.alerts.alarm import Alarms, rules_of_alerts
from fleetpulse.alerts.evidence import FactRow, Trigger
from fleetpulse.alerts.mutes import LONGEST_MS
from fleetpulse.alerts.notes import Notes
from fleetpulse.alerts.policy import CITY_RULE, MODEL_RULES, AlertPolicy
from fleetpulse.alerts.relay import Relay
from fleetpulse.alerts.rules import Judgement
from fleetpulse.alerts.vehicles import Vehicles
from fleetpulse.codecs.operations import OperationRecord
from fleetpulse.state.facts import Condition

KNOWN = frozenset((*rules_of_alerts(), *MODEL_RULES))
_MINUTE_MS = 60_000


class Quiet:
    """silent  slot -> the fact that says that a vehicle in service is silent"""

    def __init__(self, vehicles: Vehicles, alarms: Alarms, notes: Notes, relay: Relay, policy: AlertPolicy) -> None:
        self.silent: dict[int, FactRow] = {}
        self._vehicles = vehicles
        self._alarms = alarms
        self._mutes = alarms.mutes
        self._notes = notes
        self._relay = relay
        self._policy = policy

    def snooze(self, tip: Trigger, record: OperationRecord, *, by: str) -> bool:
        """`rule` until `until_ms`, or for `minutes`; without a rule, what is open. False when it says nothing that can be done."""
        slot, rule = tip.row.slot, str(record.detail.get("rule", ""))
        until_ms = _until(tip.now_ms, record)
        if until_ms is None or (rule and rule not in KNOWN):
            return False
        named = [rule] if rule else [alert.rule for alert in self._alarms.of(slot)]
        if not rule and slot in self._notes.told:
            named.append(CITY_RULE)
        for name in named:
            if name not in MODEL_RULES:
                self._alarms.snooze(tip, name, until_ms, by=by)
            if name == CITY_RULE:
                self._notes.snoozed(tip, rules.OPERATION, until_ms=until_ms, by=by)
        if not rule or rule in MODEL_RULES:
            self._relay.say("snoozed", tip, rule=rule, until_ms=until_ms, by=by)
        return True

    def service(self, tip: Trigger, record: OperationRecord) -> bool:
        """`mode` on or off. False when it is so already."""
        slot, mode = tip.row.slot, str(record.detail.get("mode", ""))
        if mode not in ("on", "off") or (mode == "on") == (slot in self._mutes.service):
            return False
        self._relay.say("service", tip, on=mode == "on")
        if mode == "on":
            self._mutes.service.add(slot)
            self._vehicles.service[slot] = 1
            self._alarms.review(tip, slot)
            self._notes.over("gone", tip, rules.OPERATION)
            return True
        self._leave(slot)
        self._alarms.review(tip, slot)
        row = self.silent.pop(slot, None)
        if row is not None:
            silent_s = row.value[0] + (tip.now_ms - row.stream_ms) / 1000
            about = tip.row._replace(fact=row.fact, condition=row.condition, event_ms=tip.now_ms, value=[silent_s, *row.value[1:]])
            self.tell_silent(replace(tip, row=about), rules.judge(about, self._notes.parameters))
        return True

    def tell_silent(self, tip: Trigger, judgement: Judgement) -> None:
        """Let the vehicle's city know that it is silent; in service it waits for the end of that."""
        slot, condition = tip.row.slot, Condition(tip.row.condition)
        if slot in self._mutes.service:
            self.silent[slot] = tip.row
            return
        if condition == Condition.MISSING:
            self._mutes.wake(slot, CITY_RULE)  # news of what somebody put off
        proof = next((name for name in self._policy.proofs(CITY_RULE) if name in self._alarms.holds(slot)), "")
        snooze = self._mutes.snoozed(slot, CITY_RULE)
        kind: Literal["missing", "offline"] = "missing" if condition == Condition.MISSING else "offline"
        self._notes.silent(kind, tip, judgement, proof=proof, until_ms=snooze[0] if snooze else 0, by=snooze[1] if snooze else "")

    def tell_heard(self, tip: Trigger, rule: str) -> None:
        """It is heard again."""
        self.silent.pop(tip.row.slot, None)
        self._notes.over("heard", tip, rule)

    def end(self, tip: Trigger, rule: str) -> None:
        """The vehicle is out of the fleet: nothing of it is open, in service or snoozed."""
        slot = tip.row.slot
        self._alarms.end(tip, slot)
        self._leave(slot)
        self.silent.pop(slot, None)
        self._notes.over("gone", tip, rule)
        self._relay.say("gone", tip)

    def _leave(self, slot: int) -> None:
        self._mutes.service.discard(slot)
        self._vehicles.service[slot] = 0


def _until(now_ms: int, record: OperationRecord) -> int | None:
    """When the snooze ends, at most LONGEST_MS from now; not after now: it is woken. None: it does not say."""
    found = {name: record.detail[name] for name in ("until_ms", "minutes") if record.detail.get(name) is not None}
    if len(found) != 1:
        return None
    (name, value) = next(iter(found.items()))
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if not isfinite(number) or number < 0:
        return None
    until_ms = int(number) if name == "until_ms" else now_ms + round(min(number, LONGEST_MS / _MINUTE_MS) * _MINUTE_MS)
    return min(until_ms, now_ms + LONGEST_MS)
