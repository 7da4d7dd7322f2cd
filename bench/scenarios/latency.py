"""Scenario `latency`: from a record's append to the append of the event that it caused, at 50,000 vehicles under a paced load.

Names, per load (10k, 50k, 200k frames/s): `latency.{load}.{p50,p99,max}` in ms; `latency.{load}.rate` frames/s that were really sent;
`latency.{load}.late_p99` how late the load generator itself was, in ms; `latency.{load}.cores` CPU seconds of the flow a second.
A record's time is when the generator hands it to its producer, an event's when the broker appends it.
"""

from contextlib import ExitStack

import numpy as np

from fleetpulse.bench import deployment, load_run, plot
from fleetpulse.bench.apache_kafka import ApacheKafka
from fleetpulse.bench.brokers import broker
from fleetpulse.bench.load import Load
from fleetpulse.bench.options import Options
from fleetpulse.bench.report import Report

LOADS = {"10k": 10_000, "50k": 50_000, "200k": 200_000}
VEHICLES = 50_000
SECONDS = 40.0
WARM_S = 15.0


def run(options: Options, report: Report) -> None:
    """Each load on a broker of its own."""
    for name, rate in LOADS.items():
        if options.wants(name):
            options.say(f"latency.{name}")
            _load(name, Load(rate, VEHICLES, WARM_S + max(5.0, (SECONDS - WARM_S) * options.scale), options.seed), options, report)
    if options.plots:
        report.plots += plot.latency(report, LOADS, options.plots)


def _load(name: str, load: Load, options: Options, report: Report) -> None:
    folder = options.scratch / f"latency-{name}"
    with ExitStack() as stack:
        kafka = stack.enter_context(broker(folder / "kafka", report))
        deployment.create_topics(deployment.settings(kafka.address, folder), append_time=isinstance(kafka, ApacheKafka))
        outcome = load_run.run(kafka.address, folder, load, warm_s=WARM_S)
    stem, generator = f"latency.{name}", outcome.generator
    processed = outcome.counters.get("processed", 0)
    report.checks[f"{stem} processes every frame"] = processed == generator["sent"]
    report.notes[stem] = f"{len(outcome.latencies_ms)} events, {processed} of {generator['sent']:.0f} frames processed"
    if len(outcome.latencies_ms):
        for quantile, at in (("p50", 50), ("p99", 99), ("max", 100)):
            report.add(f"{stem}.{quantile}", "ms", [float(np.percentile(outcome.latencies_ms, at))])
    else:
        report.skipped[stem] = "no event came after the warm-up"
    report.add(f"{stem}.rate", "frames/s", [generator["rate"]])
    report.add(f"{stem}.late_p99", "ms", [generator["late_p99_ms"]])
    report.add(f"{stem}.cores", "CPU s/s", [outcome.cores])
