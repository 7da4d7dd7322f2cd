"""Scenario `flow`: the real Bytewax flow of `telemetry`, source to sinks, over a topic that is already in Kafka, with recovery on.

Names: `flow.{protobuf,json}.{single,packed}.{5k,50k,500k,1m}` in frames per CPU second of the flow's process (its librdkafka threads
included), which is what one core does, after a warm-up: start, and the first WARM_SHARE of the frames, but at least one of each vehicle;
`.whole` the same with the warm-up; `.wall` in frames/s on the wall, warm-up left out, which the broker shares; `.rss` its largest memory.
`flow.protobuf.packed.50k.2processes` and `.2processes.wall`: two processes of one cluster. The last snapshot is part of it all.
"""

import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import orjson
from bytewax.recovery import init_db_dir

from fleetpulse.bench import deployment, payloads, plot, topic
from fleetpulse.bench.apache_kafka import ApacheKafka
from fleetpulse.bench.brokers import broker
from fleetpulse.bench.options import Options
from fleetpulse.bench.payloads import Form
from fleetpulse.bench.report import Report
from fleetpulse.bench.workload import Workload
from fleetpulse.flows import offsets
from fleetpulse.flows.child import end, spawn
from fleetpulse.flows.recovery import STORE_PARTITIONS
from fleetpulse.flows.supervisor import ENVIRONMENT, free_ports
from fleetpulse.flows.topics import TELEMETRY


@dataclass(frozen=True)
class Size:
    """parts: how many times `each` frames of each vehicle, one part after the other; JSON, five times the bytes, has a third of them."""

    vehicles: int
    each: int
    interval_ms: int
    parts: int

    def parts_of(self, form: Form) -> int:
        return self.parts if form == "protobuf" else max(1, self.parts // 3)


SIZES = {
    "5k": Size(5_000, 400, 2_000, 3),
    "50k": Size(50_000, 40, 5_000, 6),
    "500k": Size(500_000, 4, 30_000, 1),
    "1m": Size(1_000_000, 3, 30_000, 1),
}
RUNS = 3
WARM_SHARE = 6
"""One part in so many of the frames is warm-up."""
LIMIT_S = 300.0


@dataclass(frozen=True)
class Case:
    """One figure: `name` after `flow.`; a person can ask for it, its form, `single` or `packed`, or its size."""

    form: Form
    pack: bool
    size: str

    @property
    def name(self) -> str:
        return f"{self.form}.{'packed' if self.pack else 'single'}.{self.size}"

    def wanted(self, options: Options) -> bool:
        return any(options.wants(part) for part in (self.name, *self.name.split(".")))


@dataclass(frozen=True)
class Spent:
    """wall: of the slowest process; CPU, counters: of all; memory: of the largest. steady_*: after the warm-up, of all processes."""

    wall_s: float
    cpu_s: float
    rss_bytes: int
    counters: dict[str, int]
    steady_frames: int
    steady_wall_s: float
    steady_cpu_s: float

    @property
    def steady_cpu_rate(self) -> float:
        """Frames per CPU second."""
        return self.steady_frames / self.steady_cpu_s

    @property
    def steady_wall_rate(self) -> float:
        """Frames/s."""
        return self.steady_frames / self.steady_wall_s


class FlowError(Exception):
    """The flow did not run to its end; the text says why."""


def run(options: Options, report: Report) -> None:
    """Every case with a broker of its own, so that no topic of an earlier one fills the disk."""
    for size in SIZES:
        for case in [Case(form, pack, size) for form in get_args(Form) for pack in (False, True)]:
            if case.wanted(options):
                options.say(f"flow.{case.name}")
                _case(case, options, report)
    for form in get_args(Form):
        for size in SIZES:
            report.ratio(f"flow.{form}.packed.{size}", f"flow.{form}.single.{size}")
    report.ratio("flow.protobuf.packed.50k.2processes.wall", "flow.protobuf.packed.50k.wall")
    if options.plots:
        report.plots += plot.throughput(report, list(SIZES), options.plots)


def _fill(address: str, case: Case, options: Options) -> int:
    """Writes the case's topic, part by part; returns the frames."""
    size = SIZES[case.size]
    vehicles = options.scaled(size.vehicles, 200)
    first = Workload(vehicles, vehicles * size.each, size.interval_ms, options.seed)
    parts = size.parts_of(case.form)
    for n in range(parts):
        rows = payloads.frames(first.part(n), options.cache)
        given = payloads.make(rows, case.form, pack=case.pack, partitions=deployment.PARTITIONS)
        topic.fill(address, TELEMETRY, given.records())
    return parts * first.frames


def _case(case: Case, options: Options, report: Report) -> None:
    folder = options.scratch / f"flow-{case.name}"
    with ExitStack() as stack:
        kafka = stack.enter_context(broker(folder / "kafka", report))
        settings = deployment.settings(kafka.address, folder)
        deployment.create_topics(settings, append_time=isinstance(kafka, ApacheKafka))
        frames = _fill(kafka.address, case, options)
        warm = max(frames // WARM_SHARE, options.scaled(SIZES[case.size].vehicles, 200))
        spent = [run_flow(kafka.address, folder / f"run{i}", warm=warm) for i in range(RUNS)]
        name = f"flow.{case.name}"
        report.add(name, "frames/CPU s", [s.steady_cpu_rate for s in spent])
        report.add(f"{name}.whole", "frames/CPU s", [frames / s.cpu_s for s in spent])
        report.add(f"{name}.wall", "frames/s", [s.steady_wall_rate for s in spent])
        report.add(f"{name}.rss", "MiB", [s.rss_bytes / 2**20 for s in spent])
        report.checks[f"{name} processes every frame"] = all(s.counters["processed"] == frames for s in spent)
        if case == Case("protobuf", True, "50k"):
            two = [run_flow(kafka.address, folder / f"two{i}", warm=warm, processes=2) for i in range(RUNS)]
            report.add(f"{name}.2processes", "frames/CPU s", [s.steady_cpu_rate for s in two])
            report.add(f"{name}.2processes.wall", "frames/s", [s.steady_wall_rate for s in two])


def run_flow(address: str, folder: Path, *, warm: int = 0, processes: int = 1, recovery: bool = True) -> Spent:
    """The flow over all that vehicle-telemetry holds, of which `warm` frames are the warm-up. Raises FlowError."""
    ends = offsets.ends(deployment.settings(address, folder), TELEMETRY, deployment.PARTITIONS)
    store = folder / "store"
    store.mkdir(parents=True)
    init_db_dir(store, STORE_PARTITIONS)  # type: ignore[no-untyped-call]
    env = {**os.environ, **ENVIRONMENT, **deployment.environment(address, folder, processes=processes)}
    command = [
        sys.executable,
        "-m",
        "fleetpulse.bench.flow_process",
        "--ends",
        orjson.dumps({str(p): offset for p, offset in ends.items()}).decode(),
        "--warm",
        str(warm // processes),
    ]
    if recovery:
        command += ["--store", str(store)]
    if processes > 1:
        command += ["--addresses", ",".join(f"127.0.0.1:{port}" for port in free_ports(processes))]
    logs = [folder / f"process{i}.log" for i in range(processes)]
    started = [spawn([*command, "--process", str(i)], log, env=env) for i, log in enumerate(logs)]
    try:
        codes = [process.wait(LIMIT_S) for process in started]
    finally:
        for process in started:
            end(process, limit_s=1)
    if any(codes):
        raise FlowError(f"the flow must end by itself; exit codes {codes} (see {logs[0]}): {logs[0].read_text(errors='replace')[-500:]}")
    told: list[dict[str, Any]] = [orjson.loads(log.read_bytes().splitlines()[-1]) for log in logs]
    counters: dict[str, int] = {}
    for one in told:
        for name, value in one["counters"].items():
            counters[name] = counters.get(name, 0) + value
    return Spent(
        wall_s=max(one["wall_s"] for one in told),
        cpu_s=sum(one["cpu_s"] for one in told),
        rss_bytes=max(one["rss_bytes"] for one in told),
        counters=counters,
        steady_frames=counters["received"] - sum(one["warm_up"]["frames"] for one in told),
        steady_wall_s=max(one["wall_s"] - one["warm_up"]["wall_s"] for one in told),
        steady_cpu_s=sum(one["cpu_s"] - one["warm_up"]["cpu_s"] for one in told),
    )
