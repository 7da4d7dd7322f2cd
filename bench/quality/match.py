"""Alarms against labels: which alarm is true of which fault, which fault was found and when, which alarm is false. Pure.

An alarm is true of a label when it is about the label's vehicle, by one of the kind's rules, from the fault's begin to `after_s` after its
end. The first finds it. A further one of the same rule is a repeat: false within REPEAT_S of the one before (flapping), or at any time
where the kind says `once`; one of another rule confirms. An alert that is reopened can find a fault, and is never a repeat or false: it is
the alarm that it was. Alarms by rules that a fault really entails (`also`), and those of charge that
was really low, are neither true nor false.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from fleetpulse.bench.quality.alarms import Alarm
from fleetpulse.bench.quality.cases import AREA_OUTAGE, AREA_RULES, CASES, OWN_OUTAGE, REPEAT_S
from fleetpulse.bench.quality.history import Label, Truth

_BEFORE_MS = 5_000
_ENTAILED_MS = 6 * 3_600_000
_LOW_RULES = frozenset({"low_battery", "unrentable_battery"})
_LOW_BEFORE_MS, _LOW_AFTER_MS = 10_000, 300_000
_AREA_AFTER_MS = 1_800_000
_ZONE_RULES = frozenset({"battery_cluster"})
"""Of zones, which no label speaks of."""
NATURAL = "low_battery"


@dataclass
class Kind:
    """What was found of one kind of fault."""

    faults: int = 0
    found: int = 0
    true: int = 0
    repeats: int = 0
    false: float = 0.0
    delays_s: list[float] = field(default_factory=list)


@dataclass
class Outcome:
    """Of one run.

    kinds        by name; of a kind that must raise nothing, `faults` are its tries and `false` what was raised
    free_false   false alarms about vehicles without faults
    false        all false alarms, with the kind of the vehicle
    missed       labels that nothing found
    """

    vehicle_days: float
    kinds: dict[str, Kind] = field(default_factory=lambda: defaultdict(Kind))
    free_false: list[Alarm] = field(default_factory=list)
    false: list[tuple[Alarm, str]] = field(default_factory=list)
    missed: list[Label] = field(default_factory=list)
    found: list[tuple[Label, Alarm]] = field(default_factory=list)


def match(alarms: list[Alarm], truth: Truth) -> Outcome:
    """All of a run's alarms against all of its truth."""
    outcome = Outcome(truth.vehicle_days)
    by_device: dict[str, list[Label]] = defaultdict(list)
    for label in truth.labels:
        by_device[label.device].append(label)
        outcome.kinds[label.case.name].faults += 1
    hits: dict[Label, list[Alarm]] = defaultdict(list)
    for alarm in alarms:
        if alarm.rule in _ZONE_RULES:
            continue
        if alarm.again:
            _again(alarm, by_device.get(alarm.device, []), outcome, hits)
        elif alarm.rule in AREA_RULES or not alarm.device:
            _of_area(alarm, truth, outcome, hits)
        else:
            _of_vehicle(alarm, truth, by_device.get(alarm.device, []), outcome, hits)
    _count_outages(truth, outcome, hits)
    for label in truth.labels:
        if label.case.negative:
            continue
        kind = outcome.kinds[label.case.name]
        if hits[label]:
            kind.found += 1
            kind.delays_s.append(max(0.0, (hits[label][0].at_ms - label.start_ms) / 1000))
            outcome.found.append((label, hits[label][0]))
        else:
            outcome.missed.append(label)
    _natural(alarms, truth, by_device, outcome)
    return outcome


def _again(alarm: Alarm, labels: list[Label], outcome: Outcome, hits: dict[Label, list[Alarm]]) -> None:
    for label in labels:
        if _speaks_of(alarm, label) and not hits[label]:
            hits[label].append(alarm)
            outcome.kinds[label.case.name].true += 1
            return


def _speaks_of(alarm: Alarm, label: Label) -> bool:
    return alarm.rule in label.case.rules and label.start_ms - _BEFORE_MS <= alarm.at_ms <= label.end_ms + label.case.after_s * 1000


def _of_vehicle(alarm: Alarm, truth: Truth, labels: list[Label], outcome: Outcome, hits: dict[Label, list[Alarm]]) -> None:
    for label in labels:
        case = label.case
        if _speaks_of(alarm, label):
            before = [earlier for earlier in hits[label] if earlier.rule == alarm.rule]
            hits[label].append(alarm)
            if len(hits[label]) == 1:
                outcome.kinds[case.name].true += 1
            elif before and (case.once or alarm.at_ms - before[-1].at_ms < REPEAT_S * 1000):
                outcome.kinds[case.name].repeats += 1
                outcome.kinds[case.name].false += 1
                outcome.false.append((alarm, f"repeat of {case.name}"))
            return
    if alarm.rule in _LOW_RULES and _low(alarm, truth):
        return
    for label in labels:
        if alarm.rule in label.case.also and label.start_ms - _BEFORE_MS <= alarm.at_ms <= label.end_ms + _ENTAILED_MS:
            return
    _false(alarm, truth, labels, outcome)


def _low(alarm: Alarm, truth: Truth) -> bool:
    spans = truth.low.get(alarm.device, [])
    return any(span.start_ms - _LOW_BEFORE_MS <= alarm.at_ms <= span.end_ms + _LOW_AFTER_MS for span in spans)


def _false(alarm: Alarm, truth: Truth, labels: list[Label], outcome: Outcome) -> None:
    outage = _outage_of(alarm, truth)
    if outage:
        outcome.kinds[outage].false += 1
        outcome.false.append((alarm, outage))
        return
    negative = [label for label in labels if label.case.negative]
    if negative:
        outcome.kinds[negative[0].case.name].false += 1
    else:
        names = sorted({case.name for case in CASES if alarm.rule in case.rules})
        for name in names:  # a rule that finds several kinds: each has its share
            outcome.kinds[name].false += 1 / len(names)
        if not names:
            outcome.kinds[f"other.{alarm.rule}"].false += 1
    outcome.false.append((alarm, labels[0].case.name if labels else "free of faults"))
    if alarm.device in truth.free:
        outcome.free_false.append(alarm)


def _outage_of(alarm: Alarm, truth: Truth) -> str:
    """Which outage, that must be one alarm or none, is behind an alarm about a silent vehicle; empty: none is."""
    if alarm.rule != "offline":
        return ""
    if any(span.start_ms <= alarm.at_ms <= span.end_ms + _AREA_AFTER_MS for span in truth.down):
        return OWN_OUTAGE
    for outage in truth.outages:
        if alarm.device in outage.members and outage.start_ms <= alarm.at_ms <= outage.end_ms + _AREA_AFTER_MS:
            return AREA_OUTAGE
    return ""


def _of_area(alarm: Alarm, truth: Truth, outcome: Outcome, hits: dict[Label, list[Alarm]]) -> None:
    for outage in truth.outages:
        if alarm.city == outage.area and outage.start_ms <= alarm.at_ms <= outage.end_ms + _AREA_AFTER_MS:
            hits[outage].append(alarm)
            if len(hits[outage]) > 1:
                outcome.kinds[AREA_OUTAGE].repeats += 1
            return
    outcome.kinds[AREA_OUTAGE].false += 1
    outcome.false.append((alarm, "no area was without radio"))


def _count_outages(truth: Truth, outcome: Outcome, hits: dict[Label, list[Alarm]]) -> None:
    outcome.kinds[OWN_OUTAGE].faults += len(truth.down)
    for outage in truth.outages:
        kind = outcome.kinds[AREA_OUTAGE]
        kind.faults += 1
        if hits[outage]:
            kind.found += 1
            kind.true += 1
            kind.delays_s.append(max(0.0, (hits[outage][0].at_ms - outage.start_ms) / 1000))
            outcome.found.append((outage, hits[outage][0]))
        else:
            outcome.missed.append(outage)


def _natural(alarms: list[Alarm], truth: Truth, by_device: dict[str, list[Label]], outcome: Outcome) -> None:
    """Little charge that no plan made is a fault of kind low_battery too."""
    raised: dict[str, list[int]] = defaultdict(list)
    for alarm in alarms:
        if alarm.rule == NATURAL:
            raised[alarm.device].append(alarm.at_ms)
    kind = outcome.kinds[NATURAL]
    for device in sorted(truth.low):
        if by_device.get(device):
            continue
        for span in truth.low[device]:
            if span.end_ms - span.start_ms < 600_000:
                continue
            kind.faults += 1
            times = [at for at in raised[device] if span.start_ms - _LOW_BEFORE_MS <= at <= span.end_ms + _LOW_AFTER_MS]
            if times:
                kind.found += 1
                kind.true += 1
                kind.delays_s.append(max(0.0, (times[0] - span.start_ms) / 1000))
