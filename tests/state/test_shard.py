"""The shard as its caller sees it: growth, full buffers, counters, blocks that changed, snapshots of another layout."""

import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fleetpulse.codecs import schema
from fleetpulse.codecs.errors import REASONS
from fleetpulse.codecs.schema import Kind
from fleetpulse.state.facts import Condition, Fact
from fleetpulse.state.parameters import Parameters
from fleetpulse.state.plain import PLAIN
from fleetpulse.state.shard import FACTS_ROWS, WINDOWS_ROWS, Shard, SnapshotError
from fleetpulse.state.vehicle import BLOCK, VEHICLE
from tests.state.logs import PARAMETERS, START_MS, cut, packed, run, story
from tests.state.story import Story

MANY = 300 if PLAIN else 3 * max(FACTS_ROWS, WINDOWS_ROWS)


def crowd(n: int) -> NDArray[Any]:
    """A frame of each of n vehicles within one second, in a crash and on a trip; then ticks for 130 s."""
    frames = schema.empty(n + 130)
    frames["append_ms"] = START_MS + np.r_[np.arange(n) * 1000 // n, 1000 * np.arange(1, 131)]
    frames["time_ms"], frames["offset"] = frames["append_ms"], np.arange(n + 130)
    frames["kind"][n:] = Kind.TICK
    frames["device_lo"][:n] = 1 + np.arange(n)[::-1]
    frames["status"][:n] = schema.Status.CRASH | schema.Status.IN_USE
    return frames


def test_a_shard_grows_with_its_vehicles_and_no_buffer_is_too_small_for_them() -> None:
    """All crash at once, all windows close in one second, all go offline in one second."""
    result = run(shard := Shard(0, PARAMETERS), [crowd(MANY)])
    assert shard.vehicles == MANY
    raised = result.facts[result.facts["fact"] == Fact.RAISED]
    crashed, offline = (raised[raised["condition"] == c] for c in (Condition.CRASH, Condition.OFFLINE))
    for rows in (crashed, offline, result.windows):
        assert rows["slot"].tolist() == list(range(MANY))
        assert rows["device_lo"].tolist() == list(range(MANY, 0, -1))
    parts = run(Shard(0, PARAMETERS), cut(crowd(MANY), [MANY // 3, MANY // 2, MANY + 20]))
    assert (packed(parts.facts), packed(parts.windows)) == (packed(result.facts), packed(result.windows))


def test_a_vehicle_costs_at_most_400_bytes() -> None:
    assert VEHICLE.itemsize <= 400


def test_forgotten_vehicles_leave_no_trace_in_the_slot_table() -> None:
    """Ten generations of vehicles, each forgotten before the next: slots are taken again, the rest are still found."""
    shard = Shard(0, PARAMETERS)
    n = 40 if PLAIN else 400
    for generation in range(10):
        frames = crowd(n)
        for name in ("append_ms", "time_ms"):
            frames[name] += generation * 140_000
        frames["device_hi"][:n] = generation
        frames["device_lo"][:n:10] = 10_000 + np.arange(0, n, 10)  # these come back in every generation
        frames["device_hi"][:n:10] = 7
        frames["boot_id"] = generation
        run(shard, [frames])
        assert shard.counters["vehicles"] == 0
        assert shard.vehicles == n
    assert shard.counters["duplicate"] == 0
    assert shard.counters["evicted"] == 10 * n


def test_received_is_what_was_processed_or_set_aside() -> None:
    shard = Shard(0, PARAMETERS)
    for seed in range(3 if PLAIN else 20):
        run(shard, [story(seed)])
    for reason in REASONS:
        shard.count_dead_letter(reason)
    counters = shard.counters
    aside = [value for name, value in counters.items() if name.startswith(("quarantined.", "dead_lettered."))]
    parts = [counters["processed"], counters["duplicate"], counters["late"], *aside]
    assert all(parts)
    assert counters["received"] == sum(parts)


def test_blocks_are_dirty_when_a_vehicle_of_them_changed() -> None:
    n = 2 * BLOCK + 10
    frames = crowd(n)[:n]
    shard = Shard(0, PARAMETERS)
    run(shard, [frames])
    assert shard.take_dirty_blocks().tolist() == [0, 1, 2]
    assert shard.take_dirty_blocks().tolist() == []
    again = frames[BLOCK : BLOCK + 1].copy()
    again["seq"] = 1
    run(shard, [again])
    assert shard.take_dirty_blocks().tolist() == [1]
    later = Story().tick(21).frames
    run(shard, [later])
    assert shard.take_dirty_blocks().tolist() == [0, 1, 2]


def test_a_batch_of_nothing_is_done() -> None:
    step = Shard(0, PARAMETERS).apply(schema.empty(0), 0)
    assert (len(step.facts), len(step.windows), step.boundary_ms, step.next_row, step.done) == (0, 0, 0, 0, True)


@pytest.fixture
def snapshot() -> bytes:
    shard = Shard(3, PARAMETERS)
    run(shard, [story(1)])
    shard.count_dead_letter("framing")
    return shard.snapshot()


def test_a_snapshot_holds_counters_and_public_state(snapshot: bytes) -> None:
    shard = Shard(3, PARAMETERS)
    shard.restore(snapshot)
    assert shard.counters["dead_lettered.framing"] == 1
    assert shard.counters["received"] > 100
    assert shard.stream_ms > START_MS
    assert shard.take_dirty_blocks().tolist() == [0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s[:20], "bytes at least; got 20"),
        (lambda s: b"XXXX" + s[4:], "got b'XXXX'"),
        (lambda s: s[:4] + struct.pack("<H", 99) + s[6:], "layout 99"),
        (lambda s: s[:8] + bytes(16) + s[24:], "0000000000"),
        (lambda s: s[:6] + struct.pack("<H", 4) + s[8:], "got shard 4"),
        (lambda s: s[:-1], "must have"),
    ],
)
def test_a_snapshot_of_another_layout_or_shard_is_refused(snapshot: bytes, change: Any, words: str) -> None:
    shard = Shard(3, PARAMETERS)
    with pytest.raises(SnapshotError, match=words):
        shard.restore(change(snapshot))
    assert shard.vehicles == 0


def test_parameters_that_kernels_could_not_keep_are_ours_to_avoid() -> None:
    for window_ms, interval_ms in ((0, 900_000), (1500, 900_000), (60_000, 900_001)):
        with pytest.raises(AssertionError):
            Parameters(window_ms=window_ms, interval_ms=interval_ms)
