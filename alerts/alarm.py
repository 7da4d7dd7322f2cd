"""Alerts: raised, acknowledged, escalated, suppressed, resumed, cleared, reopened; one per vehicle and rule, one event for one change.

Several conditions may stand behind one alert (leaving the service area and the city); it is cleared when the last of them is gone. An alert
whose condition holds but that must not be raised yet is held, without an event. Deterministic: time is in facts and deadlines.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from fleetpulse.alerts import event, evidence
from fleetpulse.alerts.alert import Alert, Phase
from fleetpulse.alerts.deadlines import Deadline, Deadlines
from fleetpulse.alerts.evidence import Trigger
from fleetpulse.alerts.mutes import SERVICE, SNOOZE, Mutes
from fleetpulse.alerts.policy import AlertPolicy
from fleetpulse.alerts.recorder import Recorder
from fleetpulse.alerts.rules import RULES, Judgement, Rule, Severity
from fleetpulse.state.facts import Condition


class Alarms:
    """The alerts of a shard, and their deadlines.

    recorder  makes the events
    mutes     what is in service or snoozed
    holding   slot -> names of the rules that hold for the vehicle: they inhibit and confirm, as latched alerts do
    """

    def __init__(
        self, recorder: Recorder, policy: AlertPolicy, mutes: Mutes, holding: Callable[[int], frozenset[str]], counters: dict[str, int]
    ) -> None:
        self.books: dict[int, dict[str, Alert]] = {}
        """By slot, then by rule; of every phase."""
        self.mutes = mutes
        self._recorder = recorder
        self._policy = policy
        self._holding = holding
        self._counters = counters
        self._deadlines = Deadlines(self._waited_for)

    # what conditions do

    def raise_(self, tip: Trigger, judgement: Judgement) -> None:
        """A condition became true: a new alert, one that is opened again, or one more reason for the open one. A late fact is told once
        and opens nothing, except where the rule is true at any age."""
        rule, slot = judgement.rule, tip.row.slot
        assert rule.alert is not None, "only conditions with an alert raise one"
        alert = self.books.get(slot, {}).get(rule.alert)
        passing = bool(tip.row.late) and not rule.latched
        if alert is not None and alert.phase == Phase.OPEN:
            self._join(alert, tip, judgement)
        elif passing:
            self._tell_once(tip, judgement)
        else:
            if alert is None:
                alert = self._book(tip, judgement)
            elif alert.phase == Phase.CLOSED:
                alert.phase, alert.confirmed = Phase.HELD, False
                self._renew(alert, tip, judgement)
            else:
                self._join_held(alert, tip, judgement)
            self._settle(tip, alert)
            if alert.phase == Phase.HELD:
                self._counters["alerts_held"] += 1

    def _book(self, tip: Trigger, judgement: Judgement) -> Alert:
        row, rule = tip.row, judgement.rule.alert or ""
        alert = Alert(rule, judgement.severity, judgement.reason, row, row.condition, 0, judgement.rule.name)
        self.books.setdefault(row.slot, {})[rule] = alert
        self._renew(alert, tip, judgement)
        return alert

    def _renew(self, alert: Alert, tip: Trigger, judgement: Judgement) -> None:
        """It is about this fact, and about nothing else yet."""
        row = tip.row
        alert.severity, alert.reason, alert.because = judgement.severity, judgement.reason, judgement.rule.name
        alert.row, alert.told, alert.condition = row, tip.told, row.condition
        alert.late, alert.latched = bool(row.late), judgement.rule.latched
        alert.conditions = 0 if row.late else 1 << row.condition
        minimum_ms = self._policy.minimum_ms(alert.rule)
        alert.ready_ms = tip.now_ms + minimum_ms if minimum_ms else 0
        self._watch(alert)

    def _join_held(self, alert: Alert, tip: Trigger, judgement: Judgement) -> None:
        if not tip.row.late:
            alert.conditions |= 1 << tip.row.condition
        alert.latched |= judgement.rule.latched
        if judgement.severity > alert.severity:
            alert.severity, alert.reason, alert.because = judgement.severity, judgement.reason, judgement.rule.name
            alert.row, alert.told = tip.row, tip.told

    def _join(self, alert: Alert, tip: Trigger, judgement: Judgement) -> None:
        rule, bit, late = judgement.rule, 1 << tip.row.condition, bool(tip.row.late)
        new = not late and not alert.conditions & bit
        returned = new and bool(alert.close_ms)
        if not late:
            alert.conditions |= bit
            alert.close_ms = 0
        graver = judgement.severity > alert.severity and not (late and not rule.latched)
        if not graver and (returned or not (new and (rule.escalates or rule.latched))):
            self._counters["alerts_joined"] += 1
            return
        alert.severity = max(alert.severity, judgement.severity)
        alert.reason, alert.because, alert.row, alert.told = judgement.reason, rule.name, tip.row, tip.told
        self._escalated(tip, alert, graver=graver)

    def _tell_once(self, tip: Trigger, judgement: Judgement) -> None:
        """Something that happened a while ago: told, and not open."""
        slot, rule = tip.row.slot, judgement.rule.alert or ""
        if self._reasons(slot, rule):
            self._counters["alerts_held"] += 1
            return
        id_ = self._recorder.next_id(event.ALERT_RAISED, tip, rule)
        alert = Alert(rule, judgement.severity, judgement.reason, tip.row, tip.row.condition, 0, judgement.rule.name, alert_id=id_)
        alert.raised_ms, alert.late = tip.time_ms, True
        self._tell(event.ALERT_RAISED, tip, alert)

    def clear(self, tip: Trigger, rule: Rule, condition: Condition) -> None:
        """A condition became false: the alert is closed if it was the last behind it, and it stays away for long enough."""
        slot = tip.row.slot
        alert = self.books.get(slot, {}).get(rule.alert or "")
        if alert is None or not alert.conditions & 1 << condition:
            return
        alert.conditions &= ~(1 << condition)
        if alert.conditions or alert.latched:
            return
        keep_ms = self._policy.keep_ms(alert.rule)
        if alert.phase == Phase.OPEN and keep_ms:
            alert.close_ms = tip.now_ms + keep_ms
            self._watch(alert)
        else:
            self.close(tip, slot, alert)

    # what people do

    def close(self, tip: Trigger, slot: int, alert: Alert, *, final: bool = False) -> None:
        """Close an alert, whatever is behind it. final: it is not opened again."""
        reopen_ms = 0 if final or alert.mended else self._policy.reopen_ms(alert.rule)
        if alert.phase == Phase.OPEN:
            self._tell(event.ALERT_CLEARED, tip, alert)
            alert.forget_ms = tip.now_ms + reopen_ms
        if reopen_ms and alert.alert_id and alert.forget_ms > tip.now_ms:
            alert.phase, alert.conditions, alert.latched = Phase.CLOSED, 0, False
            self._calm(alert)
            self._watch(alert)
        else:
            self._drop(slot, alert)

    def mend(self, slot: int, rules: Collection[str]) -> None:
        """What was behind these alerts was mended or replaced: what comes after is about something else, and no return."""
        for alert in list(self.books.get(slot, {}).values()):
            if alert.rule in rules:
                alert.mended = True
                if alert.phase == Phase.CLOSED:
                    self._drop(slot, alert)

    def end(self, tip: Trigger, slot: int) -> None:
        """The vehicle is out of the fleet: everything is closed, and nothing remembered."""
        for _, alert in sorted(self.books.get(slot, {}).items()):
            self.close(tip, slot, alert, final=True)
        self.mutes.forget(slot)

    def acknowledge(self, tip: Trigger, *, by: str, alert_id: str, rule: str) -> bool:
        """Somebody took an alert, named by its id or its rule. False when no such alert waits for it."""
        for alert in self.of(tip.row.slot):
            if not alert.acknowledged and (alert.alert_id == alert_id or (not alert_id and alert.rule == rule)):
                alert.acknowledged, alert.paused = True, False
                alert.escalate_ms = 0
                self._tell(event.ALERT_ACKNOWLEDGED, tip, alert, by=by)
                return True
        return False

    def snooze(self, tip: Trigger, rule: str, until_ms: int, *, by: str) -> None:
        """Keep a rule of the vehicle quiet until then; an end that is past wakes it."""
        slot = tip.row.slot
        before = self.mutes.snoozed(slot, rule)
        if until_ms > tip.now_ms:
            self.mutes.snooze(slot, rule, until_ms, by)
            self._deadlines.push(until_ms, slot, rule)
        else:
            self.mutes.wake(slot, rule)
        alert = self.books.get(slot, {}).get(rule)
        if alert is not None and SNOOZE in alert.suppressed and self.mutes.snoozed(slot, rule) not in (None, before):
            alert.suppressed = [name for name in alert.suppressed if name != SNOOZE]  # its end is another one: told anew
        self.review(tip, slot)

    def review(self, tip: Trigger, slot: int) -> None:
        """Something changed that may hold back or set free the vehicle's alerts."""
        for _, alert in sorted(self.books.get(slot, {}).items()):
            self._settle(tip, alert)

    # the books

    def of(self, slot: int) -> list[Alert]:
        """The vehicle's open alerts by rule name."""
        return [alert for _, alert in sorted(self.books.get(slot, {}).items()) if alert.phase == Phase.OPEN]

    def everything(self) -> Iterator[tuple[int, Alert]]:
        """All alerts in the books by slot and rule."""
        for slot in sorted(self.books):
            for _, alert in sorted(self.books[slot].items()):
                yield slot, alert

    def restore(self, alerts: Iterable[Alert]) -> None:
        """Take over the alerts of a snapshot, when the mutes were restored."""
        for alert in alerts:
            self.books.setdefault(alert.row.slot, {})[alert.rule] = alert
        self._deadlines.renew()

    def _drop(self, slot: int, alert: Alert) -> None:
        del self.books[slot][alert.rule]
        if not self.books[slot]:
            del self.books[slot]

    # where an alert stands

    def _reasons(self, slot: int, rule: str) -> list[str]:
        """What keeps the alert quiet, sorted."""
        inhibitors = self._policy.inhibitors(rule)
        reasons = set(inhibitors & self.holds(slot)) if inhibitors else set()
        if slot in self.mutes.service:
            reasons.add(SERVICE)
        if self.mutes.snoozed(slot, rule) is not None:
            reasons.add(SNOOZE)
        return sorted(reasons)

    def holds(self, slot: int) -> frozenset[str]:
        """Names of the rules that hold for the vehicle, or whose alerts wait for somebody."""
        return self._holding(slot) | {alert.rule for alert in self.books.get(slot, {}).values() if alert.latched}

    def _settle(self, tip: Trigger, alert: Alert) -> None:
        """Bring the alert to where it should be. Twice is once."""
        if alert.phase == Phase.CLOSED:
            return
        slot, tip = tip.row.slot, tip.about(alert.row, alert.told)
        reasons = self._reasons(slot, alert.rule)
        if alert.phase == Phase.HELD:
            if not reasons and alert.ready_ms <= tip.now_ms:
                self._open(tip, alert)
        elif SERVICE in reasons:
            self._withdraw(tip, slot, alert)
        elif reasons != alert.suppressed:
            self._suppress(tip, slot, alert, reasons)
        if alert.phase == Phase.OPEN and not set(alert.suppressed) - {SNOOZE}:
            self._confirm(tip, slot, alert)

    def _open(self, tip: Trigger, alert: Alert) -> None:
        alert.row, alert.phase, alert.ready_ms = tip.row, Phase.OPEN, 0
        again = bool(alert.alert_id) and alert.forget_ms > tip.now_ms and not alert.mended
        alert.forget_ms, alert.mended = 0, False
        if again:
            alert.reopened += 1
        else:
            alert.alert_id = self._recorder.next_id(event.ALERT_RAISED, tip, alert.rule)
            alert.raised_ms, alert.reopened = tip.time_ms, 0
        self._tell(event.ALERT_REOPENED if again else event.ALERT_RAISED, tip, alert)
        self._arm(tip, alert)

    def _withdraw(self, tip: Trigger, slot: int, alert: Alert) -> None:
        """Its vehicle is taken into service: it is closed, and held while it is true."""
        away = bool(alert.close_ms)
        self._tell(event.ALERT_CLEARED, tip, alert)
        self._calm(alert)
        alert.phase, alert.forget_ms = Phase.HELD, tip.now_ms + self._policy.reopen_ms(alert.rule)
        self._watch(alert)
        if away:
            self.close(tip, slot, alert)

    def _calm(self, alert: Alert) -> None:
        """Forget what belongs to an open alert alone."""
        alert.acknowledged = alert.confirmed = alert.paused = False
        alert.suppressed = []
        alert.ready_ms = alert.escalate_ms = alert.close_ms = 0

    def _suppress(self, tip: Trigger, slot: int, alert: Alert, reasons: list[str]) -> None:
        alert.suppressed = reasons
        if not reasons:
            self._tell(event.ALERT_RESUMED, tip, alert)
            if alert.paused:
                alert.paused = False
                self._arm(tip, alert)
            return
        snooze = self.mutes.snoozed(slot, alert.rule)
        more: dict[str, Any] = {"suppressed_by": reasons}
        if snooze is not None:
            more |= {"until_ms": snooze[0]} | ({"by": snooze[1]} if snooze[1] else {})
        alert.paused |= bool(alert.escalate_ms)
        alert.escalate_ms = 0
        self._tell(event.ALERT_SUPPRESSED, tip, alert, **more)

    def _confirm(self, tip: Trigger, slot: int, alert: Alert) -> None:
        """Another rule proves it: it is graver than it seemed."""
        if alert.confirmed or alert.severity == Severity.CRITICAL:
            return
        holding = self.holds(slot)
        proof = next((name for name in self._policy.proofs(alert.rule) if name in holding), None)
        if proof is None:
            return
        alert.confirmed = True
        alert.severity = Severity(alert.severity + 1)
        alert.reason = f"Confirmed by {proof}. {alert.reason}"
        self._escalated(tip, alert, graver=True, confirmed_by=proof)

    def _escalated(self, tip: Trigger, alert: Alert, *, graver: bool, **more: Any) -> None:
        """There is news of it: whoever took it or put it off must hear that."""
        slot = alert.row.slot
        self._tell(event.ALERT_ESCALATED, tip, alert, **more)
        if self.mutes.wake(slot, alert.rule) and SNOOZE in alert.suppressed:
            self._suppress(tip, slot, alert, [name for name in alert.suppressed if name != SNOOZE])
        if alert.acknowledged or (graver and not alert.escalate_ms):
            alert.acknowledged = False
            alert.paused = bool(alert.suppressed)
            if not alert.paused:
                self._arm(tip, alert)

    # time

    def advance(self, second_ms: int) -> set[int]:
        """Fire what is due at or before `second_ms`, in the order of deadline, slot, rule; the slots. O(1) when nothing is."""
        fired = set()
        while (due := self._deadlines.due(second_ms)) is not None:
            self._fire(*due)
            fired.add(due[1])
        return fired

    def _fire(self, at_ms: int, slot: int, rule: str) -> None:
        snooze = self.mutes.snoozed(slot, rule)
        woken = snooze is not None and snooze[0] == at_ms
        if woken:
            self.mutes.wake(slot, rule)
        alert = self.books.get(slot, {}).get(rule)
        if alert is None or not (woken or at_ms in alert.timers):
            return  # acknowledged or closed since
        tip = evidence.deadline(alert.row, at_ms)
        if alert.phase == Phase.CLOSED:
            if alert.forget_ms == at_ms:
                self._drop(slot, alert)
            return
        if alert.close_ms == at_ms:
            self.close(tip, slot, alert)
        elif alert.escalate_ms == at_ms:
            self._escalate(tip, alert)
        if alert.ready_ms == at_ms:
            alert.ready_ms = 0
        self.review(tip, slot)

    def _escalate(self, tip: Trigger, alert: Alert) -> None:
        alert.escalate_ms = 0
        alert.severity = Severity(min(alert.severity + 1, Severity.CRITICAL))
        unanswered = f"Nobody acknowledged it for {self._policy.escalate_ms / 60_000:g} min. "
        alert.reason = unanswered + alert.reason.removeprefix(unanswered)
        self._tell(event.ALERT_ESCALATED, tip, alert)

    def _arm(self, tip: Trigger, alert: Alert) -> None:
        """Set the timer of an alert that somebody should answer."""
        if alert.severity == Severity.INFO:
            return
        alert.escalate_ms = tip.now_ms + self._policy.escalate_ms
        self._deadlines.push(alert.escalate_ms, alert.row.slot, alert.rule)

    def _watch(self, alert: Alert) -> None:
        for at_ms in alert.timers:
            self._deadlines.push(at_ms, alert.row.slot, alert.rule)

    def _waited_for(self) -> Iterator[Deadline]:
        for slot, alert in self.everything():
            yield from ((at_ms, slot, alert.rule) for at_ms in alert.timers)
        for slot, rules in self.mutes.snoozes.items():
            yield from ((until_ms, slot, rule) for rule, (until_ms, _) in rules.items())

    def _tell(self, type_: str, tip: Trigger, alert: Alert, **more: Any) -> None:
        data = {
            "alert_id": alert.alert_id,
            "rule": alert.rule,
            "severity": alert.severity.text,
            "reason": alert.reason,
            "raised_ms": alert.raised_ms,
            **more,
        }
        if alert.reopened:
            data["reopened"] = alert.reopened
        if alert.late:
            data["late"] = True
        if tip.told is None and alert.told is not None:  # no finding, but a timer or an operation
            tip = tip.about(alert.row, alert.told)
        self._recorder.record(type_, tip, alert.rule, data, because=alert.because)


def rules_of_alerts() -> tuple[str, ...]:
    """Rule names of the alerts that conditions raise."""
    return tuple(dict.fromkeys(rule.alert for rule in RULES.values() if rule.alert))
