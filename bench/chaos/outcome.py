"""What an attack and the comparison after it found, as figures and checks of a report (names: scenarios/chaos.py)."""

from collections import Counter

from fleetpulse.bench.chaos import verify
from fleetpulse.bench.chaos.attack import Attack, Struck
from fleetpulse.bench.chaos.people import People
from fleetpulse.bench.chaos.plan import FLOWS, Kind
from fleetpulse.bench.chaos.system import SPEED, System
from fleetpulse.bench.chaos.verify import Events
from fleetpulse.bench.chaos.watch import Watch
from fleetpulse.bench.report import Report
from fleetpulse.config.settings import Settings
from fleetpulse.flows.report import Collector

MEMORY_MIB = {"kafka": 1100, "agent": 500, "mosquitto": 150}
MEMORY_OTHERS_MIB = 600
"""Peaks that a process must stay below, whatever is done to its neighbours: about twice what an undisturbed one has."""
SHOWN = 5
"""Events that a note shows."""


def attacked(attack: Attack, report: Report) -> None:
    by_target: dict[str, list[Struck]] = {}
    for struck in attack.struck:
        if struck.strike.kind is Kind.KILL:
            by_target.setdefault(struck.strike.target, []).append(struck)
    report.add("chaos.kills", "kills", [sum(map(len, by_target.values()))])
    for target, found in sorted(by_target.items()):
        report.add(f"chaos.kills.{_name(target)}", "kills", [len(found)])
    for target, found in sorted(by_target.items()):
        report.add(f"chaos.recovery_s.{_name(target)}", "s", [struck.recovered_s for struck in found])
    report.add("chaos.recovery_s.max", "s", [max(struck.recovered_s for found in by_target.values() for struck in found)])
    kinds = Counter(struck.strike.kind for struck in attack.struck if struck.strike.kind is not Kind.KILL)
    for kind, count in sorted(kinds.items()):
        report.add(f"chaos.disturbances.{kind}", "times", [count])
        longest_s = max(struck.recovered_s for struck in attack.struck if struck.strike.kind is kind)
        report.add(f"chaos.recovery_s.after_{kind}", "s", [longest_s])


def memory(watch: Watch, report: Report) -> None:
    for target, peak in sorted(watch.peak_bytes.items()):
        report.add(f"chaos.memory.{_name(target)}", "MiB", [peak / 2**20])
    over = [target for target, peak in watch.peak_bytes.items() if peak / 2**20 > MEMORY_MIB.get(target, MEMORY_OTHERS_MIB)]
    report.checks["chaos: memory stays in bounds"] = not over


def compare(system: System, undisturbed: Settings, people: People, report: Report) -> None:
    """Events, tables and counters with those of the undisturbed run; frames and operations with those who sent them."""
    ours, theirs = system.settings, undisturbed
    got, wanted = verify.events(ours.kafka.bootstrap_servers), verify.events(theirs.kafka.bootstrap_servers)
    difference = verify.difference(got, wanted)
    held = verify.log(ours)
    frames = verify.frames(system.ledger, held)
    operations_lost = people.accepted - held.operations
    for name, unit, count in (
        ("events.lost", "events", len(difference.lost)),
        ("events.doubled", "events", len(difference.doubled)),
        ("frames.lost", "frames", frames.lost),
        ("operations.lost", "operations", len(operations_lost)),
    ):
        report.add(f"chaos.{name}", unit, [count])
        report.checks[f"chaos.{name} = 0"] = count == 0
    flows = Counter(next(iter(contents)).flow for contents in wanted.values())
    for flow in FLOWS:
        report.add(f"chaos.events.{flow}", "events", [flows[flow]])
        report.checks[f"chaos: {flow} has events to lose"] = flows[flow] > 0
    report.add("chaos.frames", "frames", [held.frames])
    report.add("chaos.operations", "operations", [len(people.accepted)])
    same = verify.tables(ours.kafka.bootstrap_servers) == verify.tables(theirs.kafka.bootstrap_servers)
    report.checks["chaos: fleet.features and fleet.zones are those of the undisturbed run"] = same
    report.checks["chaos: the ledgers know every frame of the log"] = frames.unknown == 0
    _accounts(_counters(ours), _counters(theirs), held, frames.lost, report)
    for what, ids in (("lost", difference.lost), ("doubled", difference.doubled)):
        if ids:
            report.notes[f"chaos.events.{what}"] = "; ".join(_shown(id_, got, wanted) for id_ in ids[:SHOWN])


def _accounts(ours: dict[str, int], theirs: dict[str, int], held: verify.Log, frames_lost: int, report: Report) -> None:
    broken = verify.broken_identities(ours, held, frames_lost)
    report.checks["chaos: the accounting identities hold"] = not broken
    report.checks["chaos: the counters are those of the undisturbed run"] = ours == theirs
    differing = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    broken += [f"{name}: {ours.get(name)}, undisturbed {theirs.get(name)}" for name in differing]
    if broken:
        report.notes["chaos.accounting"] = "; ".join(broken)


def _counters(settings: Settings) -> dict[str, int]:
    """Of the flow, summed over the shards, as it wrote them last."""
    collector = Collector(settings, speed=SPEED)
    collector.start()
    collector.finish()
    return collector.counters()


def _shown(id_: str, got: Events, wanted: Events) -> str:
    """One event that differs, for whoever must find out why."""
    texts = [
        f"{side} {content.topic} {dict(content.headers).get('ce_type', b'').decode()} {content.value.decode()}"
        for side, events in (("got", got), ("wanted", wanted))
        for content in sorted(events.get(id_, ()))
    ]
    return f"{id_}: {', '.join(texts)}"


def _name(target: str) -> str:
    """A target as part of a figure's name."""
    return target.replace(" ", "_")
