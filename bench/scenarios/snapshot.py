"""Scenario `snapshot`: what the end of an epoch costs at 50,000 vehicles. The pause is the latency's tail.

Names, in ms of CPU: `snapshot.pause` the sum over all shards of taking the bytes and pickling them, as Bytewax does in one epoch;
`snapshot.pause.shard` of the slowest shard; `snapshot.restore`; `snapshot.memcpy` the limit, copying as much. `snapshot.bytes`, and
`snapshot.bytes.vehicle` of one vehicle.
"""

import pickle

import numpy as np

from fleetpulse.bench import measure, payloads, shards
from fleetpulse.bench.options import Options
from fleetpulse.bench.report import Report
from fleetpulse.bench.workload import Workload
from fleetpulse.operators.fleet import ShardLogic

VEHICLES = 50_000
EACH = 15
INTERVAL_MS = 5_000
SHARDS = 16
POLL = 10_000
RUNS = 9


def run(options: Options, report: Report) -> None:
    """16 shards that have seen 75 s of frames."""
    vehicles = options.scaled(VEHICLES, 200)
    rows = payloads.frames(Workload(vehicles, vehicles * EACH, INTERVAL_MS, options.seed), options.cache)
    partition = payloads.partitions_of(rows, SHARDS)
    logics = [shards.logic(shard) for shard in range(SHARDS)]
    options.say("snapshot")
    for shard, logic in enumerate(logics):
        for batch in shards.batches(rows[partition == shard], POLL, shard):
            logic.run(batch, [])
    taken = [logic.snapshot() for logic in logics]
    size = sum(map(len, taken))
    spent = [[measure.spend(lambda logic=logic: _pickled(logic)).cpu_s for logic in logics] for _ in range(RUNS)]  # type: ignore[misc]
    report.add("snapshot.pause", "ms", [1000 * sum(run) for run in spent])
    report.add("snapshot.pause.shard", "ms", [1000 * max(run) for run in spent])
    restores = [measure.spend(lambda: _restored(taken)) for _ in range(3)]
    report.add("snapshot.restore", "ms", [1000 * s.cpu_s for s in restores])
    report.add("snapshot.bytes", "B", [size])
    report.add("snapshot.bytes.vehicle", "B", [size / vehicles])
    source = np.ones(size, dtype=np.uint8)
    target = np.empty_like(source)
    report.add("snapshot.memcpy", "ms", [1000 * measure.spend(lambda: np.copyto(target, source)).cpu_s for _ in range(RUNS)])
    report.ratio("snapshot.memcpy", "snapshot.pause")
    report.checks["a restored shard gives the same snapshot"] = [logic.snapshot() for logic in _restored(taken)] == taken
    report.notes["snapshot"] = f"{vehicles} vehicles in {SHARDS} shards, {EACH} frames each"


def _pickled(logic: ShardLogic) -> bytes:
    return pickle.dumps(logic.snapshot())


def _restored(taken: list[bytes]) -> list[ShardLogic]:
    logics = [shards.logic(shard) for shard in range(SHARDS)]
    for logic, snapshot in zip(logics, taken, strict=True):
        logic.restore(snapshot)
    return logics
