"""Scenario `memory`: resident memory of the telemetry flow's process, over time under load, and with a million vehicles.

Names: `memory.50k.{start,end,peak}` in MiB, over ten minutes of 50,000 frames/s from 50,000 vehicles: start and end are medians of the
first and last tenth after a warm-up of two minutes; `memory.1m` the peak with 1,000,000 vehicles and no recovery store,
`memory.1m.snapshots` with one.
"""

from contextlib import ExitStack
from statistics import median

from fleetpulse.bench import deployment, load_run, payloads, plot, topic
from fleetpulse.bench.apache_kafka import ApacheKafka
from fleetpulse.bench.brokers import broker
from fleetpulse.bench.load import Load
from fleetpulse.bench.options import Options
from fleetpulse.bench.report import Report
from fleetpulse.bench.scenarios.flow import run_flow
from fleetpulse.bench.workload import Workload
from fleetpulse.flows.topics import TELEMETRY

VEHICLES = 50_000
RATE = 50_000
SECONDS = 600.0
LEAST_S = 20.0
TOLD_S = 100.0
"""A shorter run says nothing about growth: no check."""
WARM_S = 120.0
FLAT = 1.1
"""The end may be this many times the start."""
MANY = 1_000_000
MANY_EACH = 3
MANY_INTERVAL_MS = 30_000
MIB = float(2**20)


def run(options: Options, report: Report) -> None:
    """Parts `50k` and `1m`."""
    if options.wants("50k"):
        options.say("memory.50k")
        _over_time(options, report)
    if options.wants("1m"):
        options.say("memory.1m")
        _many(options, report)


def _over_time(options: Options, report: Report) -> None:
    folder = options.scratch / "memory-50k"
    seconds = max(LEAST_S, SECONDS * options.scale)
    warm_s, edge_s = min(WARM_S, seconds / 2), seconds / 10
    with ExitStack() as stack:
        kafka = stack.enter_context(broker(folder / "kafka", report))
        deployment.create_topics(deployment.settings(kafka.address, folder), append_time=isinstance(kafka, ApacheKafka))
        outcome = load_run.run(kafka.address, folder, Load(RATE, VEHICLES, seconds, options.seed), warm_s=warm_s)
    points = [(at, size / MIB) for at, size in outcome.rss]
    last = points[-1][0]
    start = report.add("memory.50k.start", "MiB", [median(mib for at, mib in points if warm_s <= at <= warm_s + edge_s)])
    end = report.add("memory.50k.end", "MiB", [median(mib for at, mib in points if at >= last - edge_s)])
    report.add("memory.50k.peak", "MiB", [max(mib for _, mib in points)])
    report.ratio("memory.50k.end", "memory.50k.start")
    if seconds >= TOLD_S:
        report.checks["memory.50k is flat after the warm-up"] = end <= FLAT * start
    report.checks["memory.50k processes every frame"] = outcome.counters.get("processed") == outcome.generator["sent"]
    report.notes["memory.50k"] = f"{seconds:.0f} s at {outcome.generator['rate']:.0f} frames/s"
    if options.plots:
        report.plots += plot.memory({"50,000 vehicles": points}, options.plots)


def _many(options: Options, report: Report) -> None:
    folder = options.scratch / "memory-1m"
    vehicles = options.scaled(MANY, 1000)
    rows = payloads.frames(Workload(vehicles, vehicles * MANY_EACH, MANY_INTERVAL_MS, options.seed), options.cache)
    given = payloads.packed(rows, "protobuf", deployment.PARTITIONS)
    with ExitStack() as stack:
        kafka = stack.enter_context(broker(folder / "kafka", report))
        deployment.create_topics(deployment.settings(kafka.address, folder), append_time=isinstance(kafka, ApacheKafka))
        topic.fill(kafka.address, TELEMETRY, given.records())
        without = run_flow(kafka.address, folder / "without", recovery=False)
        with_store = run_flow(kafka.address, folder / "with")
    report.add("memory.1m", "MiB", [without.rss_bytes / MIB])
    report.add("memory.1m.snapshots", "MiB", [with_store.rss_bytes / MIB])
    report.checks["memory.1m holds every vehicle"] = without.counters["vehicles"] == vehicles
    report.notes["memory.1m"] = f"{vehicles} vehicles"
