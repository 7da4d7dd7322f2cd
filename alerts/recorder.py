"""Where events are made: envelope, common keys, evidence, the count n, and the counters. Everything that emits goes through here."""

from typing import Any

from fleetpulse.alerts import event, evidence
from fleetpulse.alerts.event import TOPICS, Event
from fleetpulse.alerts.evidence import Trigger
from fleetpulse.alerts.parameters import LifecycleParameters

Key = tuple[str, str, str, str]
"""(type, subject, rule, cause)"""


def counter(type_: str) -> str:
    """Name of the counter of an event type: "events.alert.raised"."""
    return "events." + type_.removeprefix("vehicle.").removesuffix(".v1")


class Recorder:
    """The events of a shard, in order, until they are taken."""

    def __init__(self, parameters: LifecycleParameters, *, shard: int, topic: str) -> None:
        self.parameters = parameters
        self.counters = {counter(type_): 0 for type_ in TOPICS if type_.startswith("vehicle.")}
        self.counted: dict[Key, tuple[int, int]] = {}
        """Events so far of each key, and the second of stream time of the last one."""
        self._second = 0
        self._shard = shard
        self._topic = topic
        self._events: list[Event] = []

    def forget_before(self, second: int) -> None:
        """Drop the counts of causes that are over: a cause tips events within one second of stream time."""
        if second > self._second:
            self._second = second
            self.counted = {key: count for key, count in self.counted.items() if count[1] >= second}

    def next_id(self, type_: str, tip: Trigger, rule: str) -> str:
        """The id that the next event of this kind will have."""
        n, _ = self.counted.get((type_, tip.subject, rule, tip.cause), (0, 0))
        return event.event_id(type_, tip.subject, rule, tip.cause, n)

    def record(
        self, type_: str, tip: Trigger, rule: str, data: dict[str, Any], *, because: str | None = None, time_ms: int | None = None
    ) -> None:
        """Emit an event.

        rule     part of its id
        because  rule in the evidence, if it is another
        time_ms  event time, if it is not the trigger's
        """
        key = (type_, tip.subject, rule, tip.cause)
        n, _ = self.counted.get(key, (0, 0))
        # a timer belongs to the second in which it is due, whenever it is looked at
        second = -(-tip.time_ms // 1000) if tip.timer else tip.row.stream_ms // 1000
        self.counted[key] = (n + 1, second)
        self.counters[counter(type_)] += 1
        self._events.append(
            Event(
                type=type_,
                subject=tip.subject,
                rule=rule,
                cause=tip.cause,
                time_ms=tip.time_ms if time_ms is None else time_ms,
                data={
                    **(tip.told["common"] if tip.told is not None else evidence.common(tip.row, self.parameters)),
                    **data,
                    "evidence": evidence.evidence(tip, because or rule, self.parameters, topic=self._topic, partition=self._shard),
                },
                n=n,
            )
        )

    def take(self) -> list[Event]:
        """The events since the last call."""
        events, self._events = self._events, []
        return events
