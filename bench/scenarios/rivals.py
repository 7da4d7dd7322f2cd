"""Scenario `rivals`: the same task on the same JSON topic of an Apache Kafka, done by each system as its own documentation advises.

Names: `rivals.<name>` in frames/s on the wall, `rivals.<name>.cpu` in frames per CPU second of all its processes; the broker's CPU counts
for nobody. `.fleetpulse` reads JSON, `.fleetpulse_protobuf` and `.fleetpulse_packed` the same frames as protobuf, one and 100 a record;
`.fleetpulse_json_out` writes one JSON record a window. What is compared, and how: task.py; what is measured: contest.py.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.bench import contest, payloads, task, topic, versions, workload
from fleetpulse.bench.brokers import broker
from fleetpulse.bench.contest import RIVALS, Form, Place, Rival, RivalError
from fleetpulse.bench.maven import MissingToolError
from fleetpulse.bench.options import Options
from fleetpulse.bench.report import Report
from fleetpulse.bench.window_task import GRACE_MS

PARTITIONS = 4
VEHICLES = 50_000
FRAMES = 2_400_000
INTERVAL_MS = 10_000
LIMIT_S = 240.0


def run(options: Options, report: Report) -> None:
    """Every rival in turn. One that cannot run is skipped with its reason."""
    vehicles = options.scaled(VEHICLES, 100)
    wanted = workload.Workload(vehicles, vehicles * (FRAMES // VEHICLES), INTERVAL_MS, options.seed)
    frames = payloads.frames(wanted, options.cache)
    place_folder = options.scratch / "rivals"
    place_folder.mkdir(parents=True)
    with broker(options.scratch / "kafka", report) as kafka:
        place = Place(kafka.address, options.cache / "rivals", place_folder)
        samples = Samples(kafka.address, frames)
        for rival in RIVALS:
            if options.wants(rival.name) or options.wants(rival.folder):
                options.say(f"rivals.{rival.name}")
                _contest(rival, place, samples, report)
    _ratios(report)


class Samples:
    """Topics with the first share of the frames; each is filled when it is first asked for."""

    def __init__(self, address: str, frames: NDArray[Any]) -> None:
        self._address = address
        self._frames = frames
        self._wanted: dict[int, task.Results] = {}
        self._filled: set[str] = set()
        self._closers = _closing_vehicles(frames)
        self._nudges = 0

    def get(self, share: float, form: Form) -> tuple[str, int, task.Results]:
        """Topic, how many frames it holds, and what they must lead to."""
        n = int(len(self._frames) * share)
        name = f"frames.{form}.{n}"
        if n not in self._wanted:
            self._wanted[n] = task.reference(self._frames[:n])
        if name not in self._filled:
            wire: payloads.Form = "json" if form == "json" else "protobuf"
            given = payloads.make(self._frames[:n], wire, pack=form == "protobuf_packed", partitions=PARTITIONS)
            topic.create(self._address, name, PARTITIONS)
            topic.fill(self._address, name, given.records())
            self.close_windows(name, n, form)
            self._filled.add(name)
        return name, n, self._wanted[n]

    def close_windows(self, name: str, n: int, form: Form) -> None:
        """Write to each partition a frame that is late enough to close every window of the first n frames.

        And hardly later: Kafka Streams drops windows from its store, unsent, once stream time is a window and its grace past their start.
        """
        self._nudges += 1
        last_end_ms = (int(self._frames["time_ms"][:n].max()) // task.WINDOW_MS + 1) * task.WINDOW_MS
        self._closers["time_ms"] = self._closers["append_ms"] = last_end_ms + GRACE_MS + self._nudges
        wire: payloads.Form = "json" if form == "json" else "protobuf"
        topic.fill(self._address, name, payloads.single(self._closers, wire, PARTITIONS).records())


def _closing_vehicles(frames: NDArray[Any]) -> NDArray[Any]:
    """(PARTITIONS,) FRAME rows, one vehicle of each partition, with ids that task.CLOSER_PREFIX tells."""
    rows = frames[np.zeros(256, dtype=np.int64)]
    rows["device_hi"], rows["device_lo"] = 0x4000, np.arange(256, dtype=np.uint64) | np.uint64(1 << 63)
    _, first = np.unique(payloads.partitions_of(rows, PARTITIONS), return_index=True)
    assert len(first) == PARTITIONS, "256 ids must fall into every partition"
    return rows[first]


def _contest(rival: Rival, place: Place, samples: Samples, report: Report) -> None:
    name = f"rivals.{rival.name}"
    source, frames, wanted = samples.get(rival.share, rival.form)

    def nudge() -> None:
        samples.close_windows(source, frames, rival.form)

    try:
        outcomes = [contest.run(rival, place, source=source, wanted=wanted, limit_s=LIMIT_S, nudge=nudge) for _ in range(rival.runs)]
    except (MissingToolError, RivalError) as error:
        report.skipped[name] = str(error)
        return
    differences = {task.difference(outcome.results, wanted) for outcome in outcomes} - {None}
    report.checks[f"{name} has the reference's results"] = not differences
    version = f"{rival.package} {versions.rival(rival.folder, rival.package)}" if rival.package else "this repository"
    last = outcomes[-1]
    text = f"{version}, {frames} frames, {last.rss_bytes / 2**20:.0f} MiB, {last.start_s:.1f} s to READY"
    report.notes[name] = "; ".join([text, *map(str, differences)])
    if all(outcome.complete for outcome in outcomes):
        report.add(name, "frames/s", [frames / outcome.wall_s for outcome in outcomes])
        report.add(f"{name}.cpu", "frames/CPU s", [frames / outcome.cpu_s for outcome in outcomes])
    else:
        report.skipped[name] = f"not done within {LIMIT_S:g} s: {len(last.results.windows)} of {len(wanted.windows)} windows"


def _ratios(report: Report) -> None:
    """Each of ours against every rival, on the wall and per CPU second."""
    for ours in (rival.name for rival in RIVALS if not rival.package):
        for theirs in (rival.name for rival in RIVALS if rival.package):
            report.ratio(f"rivals.{ours}", f"rivals.{theirs}")
            report.ratio(f"rivals.{ours}.cpu", f"rivals.{theirs}.cpu")
