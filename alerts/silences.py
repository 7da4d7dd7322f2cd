"""Silent vehicles of one city: the alert `offline`, or one alert `area_outage` for many that fell silent together. Pure.

Shards say which vehicles are silent and heard again (alerts/notes.py). What they say is taken slice by slice of stream time, when every
shard has said all of it, sorted by (stream time, device id); so the events do not depend on the order in which shards said it.

A vehicle that is newly silent waits for a few slices, longer when another one near it fell silent too. If by then enough others of its
neighbourhood fell silent at about the same time, the area is the alarm: those that follow join it, and what was raised of single ones
before is suppressed until it is over; else the vehicle is. Slices are counted, not seconds: an outage of ours has none. Who falls silent
again soon after it was heard opens its alert again.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from fleetpulse.alerts import areas, event
from fleetpulse.alerts.event import Event
from fleetpulse.alerts.notes import Note

SLICE_MS = 10_000
OFFLINE, AREA_OUTAGE = "offline", "area_outage"
_REACH = 2
"""Cells: who fell silent with an outage and is no further away from it is part of it."""
VERSION = "1"
NAMED = 50
"""Most vehicles and zones that an area's alert names."""


@dataclass(frozen=True)
class SilenceParameters:
    """group_s       how long a silent vehicle waits for others; together_s when there is one
    vehicles      as many that fell silent together are an outage of their area
    together_s    what "together" means
    escalate_s    after which an alert of one vehicle that nobody acknowledged escalates
    reopen_s      who falls silent so soon after it was heard opens its alert again; 0: never
    h3_resolution of the zones
    """

    group_s: float = 30
    vehicles: int = 5
    together_s: float = 300
    escalate_s: float = 1800
    reopen_s: float = 0
    h3_resolution: int = 8


@dataclass
class Silent:
    """A vehicle that counts as offline.

    note         what says so; that it is missing replaces that it is offline
    cell         where it is; 0: not known
    waited       slices since it was told
    alert_id     of its open alert, "" for none; outage: of the area's
    deadline_ms  at which its alert escalates; 0: never (again); paused: it does when it is told again
    snoozed_ms   stream time at which its snooze ends, which `snoozed_by` asked for; 0: none
    reopened     how often its alert was opened again
    """

    note: Note
    cell: int
    waited: int = 0
    alert_id: str = ""
    outage: str = ""
    severity: str = "warning"
    reason: str = ""
    raised_ms: int = 0
    deadline_ms: int = 0
    acknowledged: bool = False
    paused: bool = False
    snoozed_ms: int = 0
    snoozed_by: str = ""
    reopened: int = 0

    @property
    def suppressed_by(self) -> list[str]:
        """What keeps its alert quiet."""
        return ([AREA_OUTAGE] if self.outage else []) + (["snooze"] if self.snoozed_ms else [])


@dataclass
class Rested:
    """A vehicle's alert that was cleared and can be opened again until forget_ms of stream time."""

    alert_id: str
    raised_ms: int
    reopened: int
    forget_ms: int


@dataclass
class Outage:
    """An area that is silent. began_ms: when the first of its vehicles fell silent; most: vehicles that were."""

    zone: int
    cells: list[int]
    began_ms: int
    raised_ms: int
    most: int
    acknowledged: bool = False


@dataclass
class Silences:
    """The silent vehicles of a city ("": of none), by device id, the outages of its areas by the id of their alert, and cleared alerts."""

    city: str
    parameters: SilenceParameters
    silent: dict[str, Silent] = field(default_factory=dict)
    outages: dict[str, Outage] = field(default_factory=dict)
    rested: dict[str, Rested] = field(default_factory=dict)

    def decide(self, end_ms: int, notes: Iterable[Note]) -> list[Event]:
        """The events of the slice of stream time that ends at end_ms. notes: of all shards; those of one device in their order."""
        events: list[Event] = []
        for silent in self.silent.values():
            silent.waited += 1
        for note in sorted(notes, key=lambda note: (note.stream_ms, note.device)):
            self._take(note, end_ms, events)
        self._end_outages(end_ms, events)
        self._join(end_ms, events)
        self._find_outages(end_ms, events)
        self._wake(end_ms, events)
        alone = [device for device, s in sorted(self.silent.items()) if not s.alert_id and not s.suppressed_by and self._waited(s)]
        accompanied = self._accompanied() if alone else set()
        for device in alone:
            if device not in accompanied:
                self._raise(device, self.silent[device], end_ms, events)
        self.rested = {device: rested for device, rested in self.rested.items() if rested.forget_ms > end_ms}
        self._escalate(end_ms, events)
        return _numbered(events)

    def _waited(self, silent: Silent) -> bool:
        return silent.waited * SLICE_MS >= self.parameters.group_s * 1000

    def _accompanied(self) -> set[str]:
        """Who waits for more than group_s, together_s at most, since it is not the only one that fell silent there and then."""
        if not self.city:
            return set()
        longest_ms = round(self.parameters.together_s * 1000)
        groups = areas.groups(self._alone(), together_ms=longest_ms)
        return {device for group in groups if len(group) > 1 for device in group if self.silent[device].waited * SLICE_MS < longest_ms}

    def _take(self, note: Note, end_ms: int, events: list[Event]) -> None:
        silent = self.silent.get(note.device)
        if note.kind in ("offline", "missing"):
            if silent is None:
                cell = areas.cell_of(note.common, self.parameters.h3_resolution)
                self.silent[note.device] = Silent(note, cell, snoozed_ms=note.until_ms, snoozed_by=note.by)
            else:
                self._graver(note, silent, end_ms, events)
        elif silent is not None and note.kind == "acknowledged":
            self._acknowledge(note, silent, events)
        elif silent is not None and note.kind == "snoozed":
            self._snooze(note, silent, end_ms, events)
        elif silent is not None:
            del self.silent[note.device]
            if silent.alert_id:
                events.append(self._of_vehicle(event.ALERT_CLEARED, note, silent, note.cause, note.time_ms))
                forget_ms = end_ms + round(self.parameters.reopen_s * 1000)
                self.rested[note.device] = Rested(silent.alert_id, silent.raised_ms, silent.reopened, forget_ms)

    def _graver(self, note: Note, silent: Silent, end_ms: int, events: list[Event]) -> None:
        """It is missing, which is news also of what somebody took or put off."""
        silent.note = note
        snoozed, silent.snoozed_ms = silent.snoozed_ms, 0
        if silent.alert_id and note.severity == "critical":
            silent.severity, silent.reason = note.severity, note.reason
            silent.acknowledged = False
            events.append(self._of_vehicle(event.ALERT_ESCALATED, note, silent, note.cause, note.time_ms))
        if silent.alert_id and snoozed:
            self._told_again(silent, note.cause, note.time_ms, end_ms, events)

    def _snooze(self, note: Note, silent: Silent, end_ms: int, events: list[Event]) -> None:
        before = silent.snoozed_ms
        silent.snoozed_ms, silent.snoozed_by = (note.until_ms, note.by) if note.until_ms > note.stream_ms else (0, "")
        if silent.alert_id and silent.snoozed_ms != before:
            self._told_again(silent, note.cause, note.time_ms, end_ms, events)

    def _told_again(self, silent: Silent, cause: str, time_ms: int, end_ms: int, events: list[Event]) -> None:
        """What keeps an open alert quiet has changed."""
        if silent.suppressed_by:
            silent.paused |= bool(silent.deadline_ms)
            silent.deadline_ms = 0
            snooze = {"until_ms": silent.snoozed_ms, **({"by": silent.snoozed_by} if silent.snoozed_by else {})}
            more = {"suppressed_by": silent.suppressed_by, **(snooze if silent.snoozed_ms else {})}
            events.append(self._of_vehicle(event.ALERT_SUPPRESSED, silent.note, silent, cause, time_ms, **more))
            return
        if silent.paused:
            silent.paused, silent.deadline_ms = False, end_ms + round(self.parameters.escalate_s * 1000)
        events.append(self._of_vehicle(event.ALERT_RESUMED, silent.note, silent, cause, time_ms))

    def _wake(self, end_ms: int, events: list[Event]) -> None:
        """End the snoozes whose time is over."""
        due = [(s.snoozed_ms, device) for device, s in self.silent.items() if 0 < s.snoozed_ms <= end_ms]
        for until_ms, device in sorted(due):
            silent = self.silent[device]
            silent.snoozed_ms = 0
            if silent.alert_id:
                self._told_again(silent, f"deadline.{until_ms}", until_ms, end_ms, events)

    def _acknowledge(self, note: Note, silent: Silent, events: list[Event]) -> None:
        if silent.alert_id:
            if not silent.acknowledged and note.alert_id in ("", silent.alert_id):
                silent.acknowledged, silent.deadline_ms, silent.paused = True, 0, False
                events.append(self._of_vehicle(event.ALERT_ACKNOWLEDGED, note, silent, note.cause, note.time_ms, by=note.by))
        elif silent.outage and note.alert_id == silent.outage:
            outage = self.outages[silent.outage]
            if not outage.acknowledged:
                outage.acknowledged = True
                events.append(self._of_area(event.ALERT_ACKNOWLEDGED, silent.outage, note.cause, note.time_ms, note.stream_ms, by=note.by))

    def _raise(self, device: str, silent: Silent, end_ms: int, events: list[Event]) -> None:
        note, rested = silent.note, self.rested.pop(device, None)
        silent.severity, silent.reason = note.severity, note.reason
        silent.deadline_ms = end_ms + round(self.parameters.escalate_s * 1000)
        if rested is not None and note.stream_ms < rested.forget_ms:
            silent.alert_id, silent.raised_ms, silent.reopened = rested.alert_id, rested.raised_ms, rested.reopened + 1
        else:
            silent.alert_id = event.event_id(event.ALERT_RAISED, device, OFFLINE, note.cause)
            silent.raised_ms = note.time_ms
        type_ = event.ALERT_REOPENED if silent.reopened else event.ALERT_RAISED
        events.append(self._of_vehicle(type_, note, silent, note.cause, note.time_ms))

    def _escalate(self, end_ms: int, events: list[Event]) -> None:
        due = [(s.deadline_ms, device) for device, s in self.silent.items() if 0 < s.deadline_ms <= end_ms]
        for deadline_ms, device in sorted(due):
            silent = self.silent[device]
            silent.deadline_ms, silent.severity = 0, "critical"
            unanswered = f"Nobody acknowledged it for {self.parameters.escalate_s / 60:g} min. "
            silent.reason = unanswered + silent.reason.removeprefix(unanswered)
            events.append(self._of_vehicle(event.ALERT_ESCALATED, silent.note, silent, f"deadline.{deadline_ms}", deadline_ms))

    # areas

    def _end_outages(self, end_ms: int, events: list[Event]) -> None:
        """An outage is over when too few of its vehicles are silent still; they wait for no more than group_s."""
        left = round(max(0.0, self.parameters.together_s - self.parameters.group_s) * 1000) // SLICE_MS
        members: dict[str, list[Silent]] = {alert_id: [] for alert_id in self.outages}
        for silent in self.silent.values():
            if silent.outage:
                members[silent.outage].append(silent)
        counted: dict[int, int] = {}
        for alert_id in sorted(self.outages):
            if len(members[alert_id]) < self.parameters.vehicles:
                zone = self.outages[alert_id].zone
                n = counted[zone] = counted.get(zone, -1) + 1
                events.append(self._of_area(event.ALERT_CLEARED, alert_id, f"deadline.{end_ms}", end_ms, end_ms, n=n))
                del self.outages[alert_id]
                for silent in sorted(members[alert_id], key=lambda silent: silent.note.device):
                    silent.outage, silent.waited = "", left
                    if silent.alert_id:
                        self._told_again(silent, f"deadline.{end_ms}", end_ms, end_ms, events)

    def _alone(self) -> list[tuple[int, int, str]]:
        """(cell, fell silent at, device id) of vehicles of no outage, whose place is known; sorted."""
        return sorted((s.cell, s.note.since_ms, device) for device, s in self.silent.items() if s.cell and not s.outage)

    def _enter(self, device: str, alert_id: str, end_ms: int, events: list[Event]) -> None:
        """The vehicle is part of an outage, which explains an alert that it has."""
        silent = self.silent[device]
        silent.outage = alert_id
        if silent.alert_id:
            self._told_again(silent, f"deadline.{end_ms}", end_ms, end_ms, events)

    def _join(self, end_ms: int, events: list[Event]) -> None:
        """Let vehicles that fell silent when and where an outage is become part of it."""
        if not self.outages:
            return
        together_ms = self.parameters.together_s * 1000
        around = {alert_id: areas.around(outage.cells, _REACH) for alert_id, outage in sorted(self.outages.items())}
        for cell, since_ms, device in self._alone():
            for alert_id, cells in around.items():
                outage = self.outages[alert_id]
                if cell in cells and abs(since_ms - outage.began_ms) <= together_ms:
                    self._enter(device, alert_id, end_ms, events)
                    outage.cells = sorted({*outage.cells, cell})
                    outage.most += 1
                    break

    def _find_outages(self, end_ms: int, events: list[Event]) -> None:
        if not self.city:
            return
        groups = areas.groups(self._alone(), together_ms=round(self.parameters.together_s * 1000))
        counted: dict[int, int] = {}
        for group in groups:
            members = [self.silent[device] for device in group]
            ripe = any(self._waited(s) for s in members)
            if len(group) < self.parameters.vehicles or not ripe:
                continue
            zone = areas.fullest([s.cell for s in members])
            n = counted[zone] = counted.get(zone, -1) + 1
            alert_id = event.event_id(event.ALERT_RAISED, f"{zone:x}", AREA_OUTAGE, f"deadline.{end_ms}", n)
            began_ms = min(s.note.since_ms for s in members)
            self.outages[alert_id] = Outage(zone, sorted({s.cell for s in members}), began_ms, end_ms, len(members))
            entered: list[Event] = []
            for device in group:
                self._enter(device, alert_id, end_ms, entered)
            events += [self._of_area(event.ALERT_RAISED, alert_id, f"deadline.{end_ms}", end_ms, end_ms, n=n), *entered]

    # events

    def _of_vehicle(self, type_: str, note: Note, silent: Silent, cause: str, time_ms: int, **more: Any) -> Event:
        data = {
            **note.common,
            "alert_id": silent.alert_id,
            "rule": OFFLINE,
            "severity": silent.severity,
            "reason": silent.reason,
            "raised_ms": silent.raised_ms,
            **({"reopened": silent.reopened} if silent.reopened else {}),
            **more,
            "evidence": note.evidence,
        }
        return Event(type_, note.device, OFFLINE, cause, time_ms, data)

    def _of_area(self, type_: str, alert_id: str, cause: str, time_ms: int, end_ms: int, *, n: int = 0, **more: Any) -> Event:
        outage = self.outages[alert_id]
        devices = sorted(device for device, s in self.silent.items() if s.outage == alert_id)
        zone, minutes = f"{outage.zone:x}", self.parameters.together_s / 60
        if type_ == event.ALERT_CLEARED:
            reason = f"Of {outage.most} vehicles that fell silent here together, {len(devices)} are silent still."
        else:
            reason = (
                f"{len(devices)} vehicles in {len(outage.cells)} zones around here fell silent within {minutes:g} min: "
                "look at the mobile network before the vehicles."
            )
        data = {
            **({"city": self.city} if self.city else {}),
            "zone": zone,
            "alert_id": alert_id,
            "rule": AREA_OUTAGE,
            "severity": "critical",
            "reason": reason,
            "raised_ms": outage.raised_ms,
            "vehicles": len(devices),
            "devices": devices[:NAMED],
            "zones": [f"{cell:x}" for cell in outage.cells[:NAMED]],
            **more,
            "evidence": {
                "rule": AREA_OUTAGE,
                "version": VERSION,
                "values": {"vehicles": len(devices), "limit": self.parameters.vehicles, "most": outage.most},
                "recorded_ms": end_ms,
                "window": {"start_ms": outage.began_ms, "end_ms": max(end_ms, outage.began_ms)},
            },
        }
        return Event(type_, zone, AREA_OUTAGE, cause, time_ms, data, n)

    # snapshot

    def state(self) -> dict[str, Any]:
        """All of it as plain JSON values. The inverse is restore."""
        return {
            "silent": [[device, asdict(silent)] for device, silent in sorted(self.silent.items())],
            "outages": [[alert_id, asdict(outage)] for alert_id, outage in sorted(self.outages.items())],
            "rested": [[device, asdict(rested)] for device, rested in sorted(self.rested.items())],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave, also before it told of cleared alerts."""
        make: Callable[[dict[str, Any]], Silent] = lambda values: Silent(**{**values, "note": Note(**values["note"])})  # noqa: E731
        self.silent = {device: make(values) for device, values in state["silent"]}
        self.outages = {alert_id: Outage(**values) for alert_id, values in state["outages"]}
        self.rested = {device: Rested(**values) for device, values in state.get("rested", [])}


def _numbered(events: list[Event]) -> list[Event]:
    """The same, with n counting the events about one vehicle of one type and cause."""
    counted: dict[tuple[str, str, str], int] = {}
    for i, made in enumerate(events):
        if made.rule == OFFLINE:
            key = (made.type, made.subject, made.cause)
            n = counted[key] = counted.get(key, -1) + 1
            events[i] = replace(made, n=n)
    return events
