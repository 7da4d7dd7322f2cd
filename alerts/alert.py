"""An alert in the books: what it is about, where it stands, and its timers. Data only; alarm.py decides."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from fleetpulse.alerts.evidence import FactRow, Told
from fleetpulse.alerts.rules import Severity


class Phase(IntEnum):
    """HELD    its condition holds and it is not raised: inhibited, snoozed, in service, or not for long enough
    OPEN    raised and not cleared; it may be suppressed
    CLOSED  cleared, and remembered so that it can be opened again
    """

    HELD = 0
    OPEN = 1
    CLOSED = 2


@dataclass
class Alert:
    """One vehicle's alert of one rule.

    row          the fact that it speaks of: the one that raised or last escalated it
    told         what its events say of the vehicle and why, where that does not follow from `row` (models)
    condition    that raised it; conditions: bits of those that hold now
    because      rule of the condition that the reason speaks of
    alert_id     "" until it was raised once; raised_ms: event time of then
    reopened     how often it was opened again
    suppressed   what keeps it quiet while it is open, as last told
    confirmed    a proof has raised its severity
    mended       what was behind it is mended or replaced, so that it is not opened again

    Timers in stream time, 0: none. ready_ms: it has held for long enough; escalate_ms; close_ms: its condition was away for long enough;
    forget_ms: it can no longer be opened again. paused: it escalates when it is heard again.
    """

    rule: str
    severity: Severity
    reason: str
    row: FactRow
    condition: int
    conditions: int
    because: str
    phase: Phase = Phase.HELD
    alert_id: str = ""
    raised_ms: int = 0
    reopened: int = 0
    latched: bool = False
    late: bool = False
    acknowledged: bool = False
    confirmed: bool = False
    mended: bool = False
    paused: bool = False
    suppressed: list[str] = field(default_factory=list)
    ready_ms: int = 0
    escalate_ms: int = 0
    close_ms: int = 0
    forget_ms: int = 0
    told: Told | None = None

    @property
    def bits(self) -> int:
        """Bits of the conditions to be shown."""
        return self.conditions or 1 << self.condition

    @property
    def timers(self) -> tuple[int, ...]:
        """Those that run."""
        return tuple(at for at in (self.ready_ms, self.escalate_ms, self.close_ms, self.forget_ms) if at)


def plain(alert: Alert) -> dict[str, Any]:
    """As JSON values, without the row. The inverse is restored."""
    return {name: value for name, value in vars(alert).items() if name != "row"}


def restored(row: FactRow, values: dict[str, Any]) -> Alert:
    """The alert that `plain` gave."""
    return Alert(row=row, **{**values, "severity": Severity(values["severity"]), "phase": Phase(values["phase"])})
