"""What people do not want to hear of: vehicles in service, and snoozed rules of vehicles. Books only; alarm.py acts on them. Pure."""

from dataclasses import dataclass, field
from typing import Any

SERVICE, SNOOZE = "service", "snooze"
"""Beside the names of inhibiting rules, in `suppressed_by` of events."""
LONGEST_MS = 30 * 86_400_000
"""A snooze ends after that, whatever its writer asked for: nobody remembers it any longer."""


@dataclass
class Mutes:
    """service  slots of the vehicles that are in service
    snoozes  slot -> rule -> (stream time of its end, who asked for it)
    """

    service: set[int] = field(default_factory=set)
    snoozes: dict[int, dict[str, tuple[int, str]]] = field(default_factory=dict)

    def snooze(self, slot: int, rule: str, until_ms: int, by: str) -> None:
        """Snooze a rule of a vehicle; a later word replaces an earlier one."""
        self.snoozes.setdefault(slot, {})[rule] = (until_ms, by)

    def wake(self, slot: int, rule: str) -> bool:
        """End the snooze. False when there is none."""
        rules = self.snoozes.get(slot, {})
        if rules.pop(rule, None) is None:
            return False
        if not rules:
            del self.snoozes[slot]
        return True

    def snoozed(self, slot: int, rule: str) -> tuple[int, str] | None:
        """(end, who) of the rule's snooze, None when it is awake."""
        return self.snoozes.get(slot, {}).get(rule)

    def forget(self, slot: int) -> None:
        """The vehicle is another one from now on."""
        self.service.discard(slot)
        self.snoozes.pop(slot, None)

    def state(self) -> dict[str, Any]:
        """All of it as plain JSON values. The inverse is restore."""
        snoozes = [[slot, rule, *told] for slot in sorted(self.snoozes) for rule, told in sorted(self.snoozes[slot].items())]
        return {"service": sorted(self.service), "snoozes": snoozes}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""
        self.service = set(state["service"])
        for slot, rule, until_ms, by in state["snoozes"]:
            self.snooze(slot, rule, until_ms, by)
