"""The load generator's fleet: every vehicle in turn, its own sequence, records of one partition."""

import numpy as np

from fleetpulse.bench.load import Fleet, Load
from fleetpulse.bench.payloads import partitions_of
from fleetpulse.codecs.schema import Status

LOAD = Load(rate=1_000, vehicles=100, seconds=1.0, seed=2)


def test_every_vehicle_sends_in_turn_with_its_own_sequence() -> None:
    fleet = Fleet(LOAD, 4)
    seen: dict[int, list[int]] = {}
    for tick in range(30):
        rows, _ = fleet.due(10, 1_000 + tick)
        assert set(rows["time_ms"].tolist()) == {1_000 + tick}
        for device, seq in zip(rows["device_lo"].tolist(), rows["seq"].tolist(), strict=True):
            seen.setdefault(device, []).append(seq)
    assert len(seen) == 100
    assert all(seqs == [0, 1, 2] for seqs in seen.values())


def test_due_frames_are_grouped_by_their_partition() -> None:
    rows, partition = Fleet(LOAD, 4).due(100, 1_000)
    assert np.all(np.diff(partition) >= 0)
    assert np.array_equal(partition, partitions_of(rows, 4))


def test_some_vehicles_start_and_end_rides() -> None:
    fleet = Fleet(LOAD, 4)
    before = {int(row["device_lo"]): int(row["status"]) & Status.IN_USE for row in fleet.due(100, 0)[0]}
    turned = 0
    for _ in range(10):
        rows, _ = fleet.due(100, 0)
        turned += sum((int(row["status"]) & Status.IN_USE) != before[int(row["device_lo"])] for row in rows)
        before = {int(row["device_lo"]): int(row["status"]) & Status.IN_USE for row in rows}
    assert 60 < turned < 140  # one in ten frames: 100 turns a second at 1,000 frames a second
