"""Scenario `rivals`: the same task on the same JSON topic of an Apache Kafka, done by each system as its own documentation advises.

Names: `rivals.<name>` frames/s on the wall, `rivals.<name>.cpu` frames per CPU second of all its processes; the broker's CPU counts for nobody.
What is compared, and how: task.py.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.bench import contest, json_text, task, topic, versions, workload
from fleetpulse.bench.apache_kafka import ApacheKafka
from fleetpulse.bench.contest import RIVALS, Place, Rival, RivalError
from fleetpulse.bench.maven import MissingToolError
from fleetpulse.bench.options import Options
from fleetpulse.bench.report import Report

PARTITIONS = 4
VEHICLES = 50_000
FRAMES = 1_200_000
INTERVAL_MS = 10_000
LIMIT_S = 240.0
CLOSER_DELAY_MS = 600_000


def run(options: Options, report: Report) -> None:
    """Every rival in turn. One that cannot run is skipped with its reason."""
    vehicles = options.scaled(VEHICLES, 100)
    frames = workload.make(workload.Workload(vehicles, vehicles * (FRAMES // VEHICLES), INTERVAL_MS, options.seed))
    place_folder = options.scratch / "rivals"
    with ApacheKafka(options.scratch / "kafka") as kafka:
        place = Place(kafka.address, options.cache / "rivals", place_folder)
        samples = Samples(kafka.address, frames)
        for rival in RIVALS:
            if options.wants(rival.name) or options.wants(rival.folder):
                options.say(f"rivals.{rival.name}")
                _contest(rival, place, samples, report)


class Samples:
    """Topics with the first share of the frames; each is filled when it is first asked for."""

    def __init__(self, address: str, frames: NDArray[Any]) -> None:
        self._address = address
        self._frames = frames
        self._filled: dict[str, task.Results] = {}
        self._closed_ms = int(frames["time_ms"].max()) + CLOSER_DELAY_MS

    def get(self, share: float) -> tuple[str, int, task.Results]:
        """Topic, how many frames it holds, and what they must lead to."""
        n = int(len(self._frames) * share)
        name = f"frames.{n}"
        if name not in self._filled:
            frames = self._frames[:n]
            topic.create(self._address, name, PARTITIONS)
            topic.fill(self._address, name, _records(frames))
            self.close_windows(name)
            self._filled[name] = task.reference(frames)
        return name, n, self._filled[name]

    def close_windows(self, name: str) -> None:
        """Write a frame of a later time to each partition, so that every window before is closed."""
        frames = self._frames[:PARTITIONS].copy()
        self._closed_ms += 1
        frames["time_ms"] = frames["append_ms"] = self._closed_ms
        frames["device_hi"], frames["device_lo"] = 0x4000, np.arange(PARTITIONS, dtype=np.uint64) | np.uint64(1 << 63)
        topic.fill(self._address, name, _closers(frames))


def _keys(frames: NDArray[Any]) -> list[bytes]:
    halves = np.empty((len(frames), 2), dtype=">u8")
    halves[:, 0], halves[:, 1] = frames["device_hi"], frames["device_lo"]
    data = halves.tobytes()
    return [data[i : i + 16] for i in range(0, len(data), 16)]


def _records(frames: NDArray[Any]) -> Iterator[topic.Record]:
    for value, at, key in zip(json_text.encode(frames).values(), frames["append_ms"].tolist(), _keys(frames), strict=True):
        yield topic.Record(value, at, key)


def _closers(frames: NDArray[Any]) -> Iterator[topic.Record]:
    for partition, record in enumerate(_records(frames)):
        yield topic.Record(record.value, record.timestamp_ms, record.key, partition)


def _contest(rival: Rival, place: Place, samples: Samples, report: Report) -> None:
    name = f"rivals.{rival.name}"
    source, frames, wanted = samples.get(rival.share)
    try:
        outcome = contest.run(rival, place, source=source, wanted=wanted, limit_s=LIMIT_S, nudge=lambda: samples.close_windows(source))
    except (MissingToolError, RivalError) as error:
        report.skipped[name] = str(error)
        return
    difference = task.difference(outcome.results, wanted)
    report.checks[f"{name} has the reference's results"] = difference is None
    version = versions.rival(rival.folder, rival.package)
    text = f"{rival.package} {version}, {frames} frames, {outcome.rss_bytes / 2**20:.0f} MiB, {outcome.start_s:.1f} s to READY"
    report.notes[name] = text if difference is None else f"{text}; {difference}"
    if outcome.complete:
        report.add(name, "frames/s", [frames / outcome.wall_s])
        report.add(f"{name}.cpu", "frames/CPU s", [frames / outcome.cpu_s])
    else:
        report.skipped[name] = f"not done within {LIMIT_S:g} s: {len(outcome.results.windows)} of {len(wanted.windows)} windows"
