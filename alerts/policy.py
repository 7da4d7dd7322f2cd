"""How alerts behave in time and towards each other, by rule: what people tune. Plain values; who knows the configuration builds it.

All durations are of stream time. Rules are those of alerts (`low_battery`, not the condition behind it); inhibiting and confirming ones may
also be rules without an alert.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

MODEL_RULES = ("battery_drain", "vibration")
"""Alerts that models raise, in the flow `detect`."""
CITY_RULE = "offline"
"""The alert of a vehicle that its city raises."""


@dataclass(frozen=True)
class AlertPolicy:
    """escalate_s  after which an alert that nobody acknowledged escalates, > 0
    reopen_s     a condition that returns so soon after its alert was cleared opens that alert again; 0: never; `reopen`: of one rule
    minimum      how long a condition must hold before its alert is raised, beyond the dwell of its own rule
    keep         how long a condition must be away before its alert is cleared
    inhibit      rule -> the alerts that are held back while it holds
    confirm      alert -> the rules that prove it; the first that holds raises its severity a step
    """

    escalate_s: float = 1800.0
    reopen_s: float = 0.0
    reopen: Mapping[str, float] = field(default_factory=dict)
    minimum: Mapping[str, float] = field(default_factory=dict)
    keep: Mapping[str, float] = field(default_factory=dict)
    inhibit: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    confirm: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def escalate_ms(self) -> int:
        return _ms(self.escalate_s)

    def reopen_ms(self, rule: str) -> int:
        """How long a cleared alert can be opened again."""
        return _ms(self.reopen.get(rule, self.reopen_s))

    def minimum_ms(self, rule: str) -> int:
        """How long its condition must hold before."""
        return _ms(self.minimum.get(rule, 0.0))

    def keep_ms(self, rule: str) -> int:
        """How long its condition must be away before it is cleared."""
        return _ms(self.keep.get(rule, 0.0))

    def inhibitors(self, rule: str) -> frozenset[str]:
        """The rules that hold the alert back; never itself."""
        return frozenset(by for by, held in self.inhibit.items() if rule in held and rule != by)

    def proofs(self, rule: str) -> tuple[str, ...]:
        """The rules that prove the alert, in the order in which they are asked."""
        return tuple(by for by in self.confirm.get(rule, ()) if by != rule)

    def matters_to_models(self) -> frozenset[str]:
        """The rules on which alerts of models depend."""
        return frozenset(by for rule in MODEL_RULES for by in (*self.inhibitors(rule), *self.proofs(rule)))


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
