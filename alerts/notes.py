"""What a shard tells a vehicle's city of its silence, so that the city can decide what the alarm is. Data, and who has been told. Pure."""

from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any, Literal

from fleetpulse.alerts import evidence
from fleetpulse.alerts.evidence import Trigger
from fleetpulse.alerts.parameters import LifecycleParameters
from fleetpulse.alerts.rules import Judgement, Severity

MOST_S = 1e9
"""Nobody was silent for longer."""
Kind = Literal["offline", "missing", "heard", "gone", "acknowledged", "snoozed"]


@dataclass(frozen=True)
class Note:
    """One thing that happened.

    city       code of the city that is told; a vehicle's city is that where it fell silent, until it is heard
    stream_ms  of the shard; time_ms, cause: as in alerts.event.Event
    since_ms   stream time at which it fell silent, our outages left out
    until_ms   of stream time: its alert is snoozed until then, by whom `by` says; 0: it is not
    common     the keys that every event about the vehicle has
    """

    kind: Kind
    city: int
    device: str
    stream_ms: int
    time_ms: int
    cause: str
    since_ms: int
    severity: str
    reason: str
    common: dict[str, Any]
    evidence: dict[str, Any]
    alert_id: str = ""
    by: str = ""
    until_ms: int = 0


@dataclass
class Notes:
    """The notes of a shard until they are taken, and its silent vehicles: slot -> code of the city that was told."""

    parameters: LifecycleParameters
    shard: int
    topic: str
    told: dict[int, int] = field(default_factory=dict)
    _notes: list[Note] = field(default_factory=list)

    def silent(
        self,
        kind: Literal["offline", "missing"],
        tip: Trigger,
        judgement: Judgement,
        *,
        proof: str = "",
        until_ms: int = 0,
        by: str = "",
    ) -> None:
        """The vehicle counts as offline or missing. proof: a rule that held when it fell silent, which makes it graver."""
        self.told.setdefault(tip.row.slot, tip.row.city)
        severity = Severity.CRITICAL if proof else judgement.severity
        reason = f"Confirmed by {proof}. {judgement.reason}" if proof else judgement.reason
        self._write(kind, tip, judgement.rule.name, severity.text, reason, until_ms=until_ms, by=by)

    def over(self, kind: Literal["heard", "gone"], tip: Trigger, rule: str) -> None:
        """It is heard again, or nobody waits for it any more. Nothing when nobody was told."""
        if tip.row.slot in self.told:
            self._write(kind, tip, rule, "warning", "")
            del self.told[tip.row.slot]

    def acknowledged(self, tip: Trigger, rule: str, *, alert_id: str, by: str) -> bool:
        """Somebody took an alert that the city may have raised. False when nobody was told of a silence."""
        if tip.row.slot not in self.told:
            return False
        self._write("acknowledged", tip, rule, "warning", "", alert_id=alert_id, by=by)
        return True

    def snoozed(self, tip: Trigger, rule: str, *, until_ms: int, by: str) -> None:
        """Somebody snoozed its alert; an end that is past wakes it. Nothing when nobody was told of a silence."""
        if tip.row.slot in self.told:
            self._write("snoozed", tip, rule, "warning", "", until_ms=until_ms, by=by)

    def _write(
        self, kind: Kind, tip: Trigger, rule: str, severity: str, reason: str, *, alert_id: str = "", by: str = "", until_ms: int = 0
    ) -> None:
        row = tip.row
        silent_s = row.value[0] if kind in ("offline", "missing") and isfinite(row.value[0]) else 0.0
        self._notes.append(
            Note(
                kind=kind,
                city=self.told[row.slot],
                device=tip.subject,
                stream_ms=tip.now_ms,
                time_ms=tip.time_ms,
                cause=tip.cause,
                since_ms=row.event_ms - round(min(max(silent_s, 0.0), MOST_S) * 1000),
                severity=severity,
                reason=reason,
                common=evidence.common(row, self.parameters),
                evidence=evidence.evidence(tip, rule, self.parameters, topic=self.topic, partition=self.shard),
                alert_id=alert_id,
                by=by,
                until_ms=until_ms,
            )
        )

    def take(self) -> list[Note]:
        """The notes since the last call."""
        notes, self._notes = self._notes, []
        return notes


def plain(note: Note) -> dict[str, Any]:
    """As JSON values. The inverse is Note(**values)."""
    return asdict(note)
