"""Scenario `state`: the state kernel with all its rules against a bare update, one shard, frames in memory.

Names, per number of vehicles (5k, 50k, 500k): `state.{vehicles}` the kernel; `state.bare.{vehicles}` moments of eight signals and
nothing else; `state.logic.{vehicles}` the whole fleet step: kernel, life cycle, events, windows and public state as bytes. In frames
per CPU second. The first round of frames, in which every vehicle is new, is not measured.
"""

from collections.abc import Callable

import numpy as np

from fleetpulse.bench import bare, measure, payloads, shards
from fleetpulse.bench.options import Options
from fleetpulse.bench.report import Report
from fleetpulse.bench.workload import Workload
from fleetpulse.codecs.batch import FrameBatch

SIZES = {"5k": (5_000, 100, 5_000), "50k": (50_000, 24, 5_000), "500k": (500_000, 4, 60_000)}
"""Name -> vehicles, frames of each, interval in ms."""
POLL = 10_000
UNIT = "frames/CPU s"


def run(options: Options, report: Report) -> None:
    """Kernel, bare update and whole step for each size."""
    for name, (vehicles, each, interval_ms) in SIZES.items():
        if options.wants(name):
            workload = Workload(options.scaled(vehicles, 100), options.scaled(vehicles, 100) * each, interval_ms, options.seed)
            options.say(f"state.{name}")
            _size(name, workload, options, report)


def _size(name: str, workload: Workload, options: Options, report: Report) -> None:
    rows = payloads.frames(workload, options.cache)
    batches = shards.batches(rows, min(POLL, workload.vehicles))
    warm = -(-workload.vehicles // len(batches[0].frames))
    measured = sum(len(batch.frames) for batch in batches[warm:])
    _, row = np.unique(payloads.device_ids(rows).view("V16").ravel(), return_inverse=True)
    x = bare.signals(rows)
    into = bare.empty(workload.vehicles)
    report.add(f"state.bare.{name}", UNIT, measure.rates(lambda: bare.fold(row, x, into), len(rows)).cpu)
    report.add(f"state.{name}", UNIT, measure.rates_of(lambda: _kernel(batches, warm), measured).cpu)
    report.add(f"state.logic.{name}", UNIT, measure.rates_of(lambda: _logic(batches, warm), measured, runs=3).cpu)
    report.ratio(f"state.{name}", f"state.bare.{name}")
    report.ratio(f"state.logic.{name}", f"state.{name}")


def _kernel(batches: list[FrameBatch], warm: int) -> Callable[[], None]:
    shard = shards.logic().shard

    def take(some: list[FrameBatch]) -> None:
        for batch in some:
            row, done = 0, False
            while not done:
                step = shard.apply(batch.frames, row)
                row, done = step.next_row, step.done

    take(batches[:warm])
    return lambda: take(batches[warm:])


def _logic(batches: list[FrameBatch], warm: int) -> Callable[[], None]:
    logic = shards.logic()

    def take(some: list[FrameBatch]) -> None:
        for batch in some:
            logic.run(batch, [])
            logic.write_state([], everything=False)

    take(batches[:warm])
    return lambda: take(batches[warm:])
