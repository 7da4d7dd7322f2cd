"""The simulated fleet with its labels through the real flows, seed by seed, and what came of it as figures."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Lock

import numpy as np

from fleetpulse.bench import deployment
from fleetpulse.bench.apache_kafka import ApacheKafka
from fleetpulse.bench.brokers import broker
from fleetpulse.bench.options import Options
from fleetpulse.bench.quality import alarms, history, match, plan, play, plots, statistics
from fleetpulse.bench.quality.alarms import Alarm
from fleetpulse.bench.quality.cases import CASES, FALSE_PER_1000_DAYS, LEAST_DAYS, OWN_OUTAGE, PRECISION, RECALL, SEEDS, Run
from fleetpulse.bench.quality.history import Truth
from fleetpulse.bench.quality.match import Kind, Outcome
from fleetpulse.bench.report import Report
from fleetpulse.config.fleet import Fleet, load_fleet

START_MS = 1_762_754_400_000
"""A Monday in November 2025, 7 o'clock in Berlin and Paris."""
RUNS: dict[Run, int] = {"days": 2, "weeks": 1}
"""How many seeds of each."""
_DRAWING = Lock()
_SELDOM = {"FLEETPULSE_REBALANCE__INTERVAL_S": "3600"}
"""Moves and swaps are not measured here, and would cost more than all the rest."""
_NEGATIVE = {case.name for case in CASES if case.negative} | {OWN_OUTAGE}


def run(options: Options, report: Report) -> None:
    """All runs, then the figures."""
    fleet = load_fleet()
    which = "tuning" if options.tuning else "evaluation"
    wanted = [
        (name, SEEDS[which][k] + 100 * (options.seed - 1))
        for name, most in RUNS.items()
        if options.wants("fleet") or options.wants(name)
        for k in range(most if options.scale >= 1 else 1)
    ]
    with ThreadPoolExecutor(len(wanted)) as pool:  # what costs are processes and kernels
        outcomes = list(pool.map(lambda one: _play(one[0], one[1], which, fleet, options, report), wanted))
    _report(outcomes, options, report)


def _play(name: Run, seed: int, which: str, fleet: Fleet, options: Options, report: Report) -> Outcome:
    folder = options.scratch / f"quality-{name}-{seed}"
    planned = plan.make(fleet, name, seed=seed, which=which, start_ms=START_MS, scale=options.scale)
    with ExitStack() as stack:
        kafka = stack.enter_context(broker(folder / "kafka", report))
        settings = deployment.settings(kafka.address, folder, partitions=play.PARTITIONS)
        deployment.create_topics(settings, append_time=isinstance(kafka, ApacheKafka))
        truth = history.fill(kafka.address, fleet, planned, partitions=play.PARTITIONS, say=options.say)
        counters = play.flows(kafka.address, folder, say=options.say, environment=_SELDOM)
        found = alarms.read(kafka.address)
    outcome = match.match(found, truth)
    report.checks[f"quality.{name}.{seed} loses no frame"] = counters["received"] - counters.get("duplicate", 0) == truth.frames
    if options.plots:
        with _DRAWING:
            report.plots += _plots(truth, found, planned.start_ms, options.plots / f"{name}-{seed}")
    for alarm, about in outcome.false:
        options.say(f"false ({about}): {alarm.shown}")
    for label in outcome.missed:
        options.say(f"missed: {label.case.name} {label.device or label.area} {label.start_ms}-{label.end_ms}")
    return outcome


def _plots(truth: Truth, found: Sequence[Alarm], start_ms: int, folder: Path) -> list[str]:
    """A story of each kind."""
    files = []
    for label in truth.labels:
        if label.device in truth.stories:
            own = [(alarm.at_ms, alarm.rule) for alarm in found if alarm.device == label.device]
            files.append(plots.fault(label, truth.stories[label.device], start_ms, own, folder))
    return files


def _report(outcomes: Sequence[Outcome], options: Options, report: Report) -> None:
    names = sorted({name for outcome in outcomes for name in outcome.kinds})
    for name in names:
        each = [outcome.kinds[name] for outcome in outcomes if outcome.kinds[name].faults or outcome.kinds[name].false]
        if name in _NEGATIVE:
            _negative(name, each, report)
        elif any(kind.faults for kind in each):
            _figures(f"quality.{name}", each, report)
    positive = [[kind for name, kind in outcome.kinds.items() if name not in _NEGATIVE] for outcome in outcomes]
    everything = [_sum(kinds) for kinds in positive]
    for total, outcome in zip(everything, outcomes, strict=True):
        total.false = float(len(outcome.false))
    _figures("quality.all", everything, report)
    for what in ("faults", "found", "true", "false"):
        runs = [float(getattr(total, what)) for total in everything]
        report.count(f"quality.all.{what}", "1", runs, sum(runs), None)
    free = [float(len(outcome.free_false)) for outcome in outcomes]
    report.count("quality.all.free_false", "1", free, sum(free), None)
    days = sum(outcome.vehicle_days for outcome in outcomes)
    for name in ("all", *sorted({alarm.rule for outcome in outcomes for alarm in outcome.free_false})):
        counts = [sum(name in ("all", alarm.rule) for alarm in outcome.free_false) for outcome in outcomes]
        per = [1000 * n / outcome.vehicle_days for n, outcome in zip(counts, outcomes, strict=True)]
        low, high = statistics.rate(sum(counts), days / 1000)
        stem = "quality.all" if name == "all" else f"quality.rule.{name}"
        report.count(f"{stem}.false_alerts_per_1000_vehicle_days", "1/1000 d", per, 1000 * sum(counts) / days, (low, high))
    report.count("quality.vehicle_days", "d", [outcome.vehicle_days for outcome in outcomes], days, None)
    value = report.value
    report.checks[f"quality.all.precision >= {PRECISION}"] = (value("quality.all.precision") or 0) >= PRECISION
    report.checks[f"quality.all.recall >= {RECALL}"] = (value("quality.all.recall") or 0) >= RECALL
    false = value("quality.all.false_alerts_per_1000_vehicle_days")
    report.checks[f"quality.all.false_alerts_per_1000_vehicle_days <= {FALSE_PER_1000_DAYS:g}"] = (
        false is not None and false <= FALSE_PER_1000_DAYS
    )
    if options.scale >= 1 and options.wants("fleet"):
        report.checks[f"quality.vehicle_days >= {LEAST_DAYS:g}"] = days >= LEAST_DAYS


def _sum(kinds: Sequence[Kind]) -> Kind:
    total = Kind()
    for kind in kinds:
        total.faults += kind.faults
        total.found += kind.found
        total.true += kind.true
        total.delays_s += kind.delays_s
    return total


def _figures(stem: str, each: Sequence[Kind], report: Report) -> None:
    """Precision, recall and delay of a kind over the runs."""
    total = _sum(each)
    false = sum(kind.false for kind in each)
    if total.faults:
        runs = [kind.found / kind.faults for kind in each if kind.faults]
        report.count(f"{stem}.recall", "1", runs, total.found / total.faults, statistics.share(total.found, total.faults))
    if total.true + false > 0:
        runs = [kind.true / (kind.true + kind.false) for kind in each if kind.true + kind.false]
        interval = statistics.share(total.true, total.true + round(false))
        report.count(f"{stem}.precision", "1", runs, total.true / (total.true + false), interval)
    if total.delays_s:
        by_run = [kind.delays_s for kind in each if kind.delays_s]
        middle: Callable[[list[float]], float] = lambda values: float(np.median(values))  # noqa: E731
        report.count(f"{stem}.delay_s", "s", [middle(d) for d in by_run], middle(total.delays_s), statistics.quantile(total.delays_s, 0.5))
        tail = [float(np.quantile(d, 0.9)) for d in by_run]
        report.count(f"{stem}.delay_p90_s", "s", tail, float(np.quantile(total.delays_s, 0.9)), statistics.quantile(total.delays_s, 0.9))


def _negative(name: str, each: Sequence[Kind], report: Report) -> None:
    """What was raised although it must not be, a try."""
    tries, raised = sum(kind.faults for kind in each), sum(kind.false for kind in each)
    if tries:
        report.count(f"quality.{name}.raised", "1", [kind.false for kind in each], raised, None)
        report.checks[f"quality.{name} raises nothing in {tries} tries"] = raised == 0
