"""What is in the store survives a kill; what was answered goes; bounds hold and count what they cost."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetpulse.vehicle_agent.parcel import Kind, Parcel, State
from fleetpulse.vehicle_agent.store import Store, StoreInUseError

HOUR_MS = 3_600_000
DEVICES = [UUID(int=v + 1).bytes for v in range(3)]


def parcel(seq: int, *, vehicle: int = 0, frames: int = 2, size: int = 100, made_ms: int = 0, boot: int = 1) -> Parcel:
    payload = bytes([seq % 256]) * size
    return Parcel(Kind.BATCH, vehicle, frames, boot, seq, seq + frames - 1, made_ms, made_ms, payload, DEVICES[vehicle])


def opened(folder: Path, *, max_bytes: int = 1 << 20, segment_bytes: int = 4096, memory_bytes: int = 1 << 20) -> Store:
    return Store(folder, max_bytes=max_bytes, max_age_ms=24 * HOUR_MS, segment_bytes=segment_bytes, memory_bytes=memory_bytes)


def contents(store: Store) -> dict[tuple[bytes, int], bytes]:
    return {(p.device_id, p.first_seq): store.payload(p) for p in store.parcels()}


def test_what_was_not_answered_is_there_after_a_restart(tmp_path: Path) -> None:
    store = opened(tmp_path)
    parcels = [parcel(2 * n) for n in range(10)]
    store.append(parcels)
    for answered in parcels[::2]:
        store.answered(answered)
    store.maintain(0)
    store.close()
    again = opened(tmp_path)
    assert contents(again) == {(DEVICES[0], 2 * n): bytes([2 * n]) * 100 for n in range(1, 10, 2)}
    assert again.pending == 10
    assert [p.id for p in again.parcels()] == [p.id for p in parcels[1::2]]
    assert all(p.state is State.WAITING and p.frames == 2 for p in again.parcels())
    again.close()


def test_a_kill_loses_nothing_that_was_appended(tmp_path: Path) -> None:
    code = f"""
import os, sys
from pathlib import Path
from tests.vehicle_agent.test_store import opened, parcel
store = opened(Path({str(tmp_path)!r}))
store.append([parcel(2 * n) for n in range(50)])
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False, capture_output=True, timeout=60)
    assert done.returncode == -9, done.stderr.decode()
    store = opened(tmp_path)
    assert store.pending == 100
    assert store.boots == {DEVICES[0]: (1, 99)}
    store.close()


def test_a_record_cut_by_a_power_failure_is_left_out_and_the_rest_read(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.append([parcel(0), parcel(2)])
    store.close()
    (file,) = tmp_path.glob("*.log")
    os.truncate(file, file.stat().st_size - 30)
    store = opened(tmp_path)
    assert list(contents(store)) == [(DEVICES[0], 0)]
    store.append([parcel(4)])
    store.close()
    again = opened(tmp_path)
    assert list(contents(again)) == [(DEVICES[0], 0), (DEVICES[0], 4)]
    again.close()


def test_boots_count_up_over_restarts_even_when_all_files_of_old_boots_are_gone(tmp_path: Path) -> None:
    for boot in (1, 2, 3):
        store = opened(tmp_path)
        assert store.boots.get(DEVICES[0], (0, -1)) == (boot - 1, 9 if boot > 1 else -1)
        store.begin_boots({DEVICES[0]: (boot, -1)})
        parcels = [parcel(2 * n, boot=boot, size=2000) for n in range(5)]
        store.append(parcels)
        for p in parcels:
            store.answered(p)
        store.maintain(0)
        store.close()
    assert len(list(tmp_path.glob("*.log"))) <= 2


def test_files_go_when_all_is_answered_and_one_old_parcel_does_not_hold_them(tmp_path: Path) -> None:
    store = opened(tmp_path)
    old = parcel(0, vehicle=1)
    store.append([old])
    for n in range(400):
        fresh = parcel(2 * n)
        store.append([fresh])
        store.answered(fresh)
        store.maintain(0)
    assert store.size_bytes < 4 * 4096
    assert contents(store) == {(DEVICES[1], 0): b"\0" * 100}
    store.close()
    again = opened(tmp_path)
    assert contents(again) == {(DEVICES[1], 0): b"\0" * 100}
    again.close()


def test_the_bound_on_bytes_drops_the_oldest_and_counts_their_frames(tmp_path: Path) -> None:
    store = opened(tmp_path, max_bytes=16_384)
    for n in range(1000):
        store.append([parcel(2 * n)])
        store.maintain(0)
        assert store.size_bytes < 16_384 + 2 * 4096
    kept = sorted(p.first_seq for p in store.parcels())
    assert store.dropped > 0
    assert store.dropped + store.pending == 2000
    assert kept == list(range(kept[0], 2000, 2))
    store.close()


def test_the_bound_on_age_drops_what_is_older(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for hour in range(30):
        store.maintain(hour * HOUR_MS)
        store.append([parcel(2 * hour, made_ms=hour * HOUR_MS)])
    store.maintain(30 * HOUR_MS)
    assert min(p.newest_ms for p in store.parcels()) >= 5 * HOUR_MS
    assert store.dropped == 2 * (30 - len(store.parcels()))
    assert store.dropped >= 8
    store.close()


def test_beyond_the_bound_on_memory_payloads_are_read_from_disk(tmp_path: Path) -> None:
    store = opened(tmp_path, memory_bytes=500)
    parcels = [parcel(2 * n) for n in range(20)]
    store.append(parcels)
    assert sum(p.payload is not None for p in parcels) == 5
    assert [store.payload(p) for p in parcels] == [bytes([2 * n]) * 100 for n in range(20)]
    for p in parcels:
        store.answered(p)
    more = [parcel(40)]
    store.append(more)
    assert more[0].payload is not None
    store.close()


def test_a_store_belongs_to_one_process(tmp_path: Path) -> None:
    store = opened(tmp_path)
    with pytest.raises(StoreInUseError, match="one process"):
        opened(tmp_path)
    store.close()
    opened(tmp_path).close()


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from(["append", "answer", "maintain", "restart"]), st.integers(0, 10)), max_size=60))
def test_equals_a_dictionary_whatever_is_done(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]) -> None:
    folder = tmp_path_factory.mktemp("store")
    store = opened(folder, segment_bytes=600)
    model: dict[int, bytes] = {}
    seq = 0
    for step, n in steps:
        if step == "append":
            new = [parcel(2 * (seq + k)) for k in range(n)]
            store.append(new)
            model |= {p.id: bytes([p.first_seq % 256]) * 100 for p in new}
            seq += n
        elif step == "answer":
            for p in store.parcels()[n::3]:
                store.answered(p)
                del model[p.id]
        elif step == "maintain":
            store.maintain(0)
        else:
            store.close()
            store = opened(folder, segment_bytes=600)
        assert {p.id: store.payload(p) for p in store.parcels()} == model
        assert store.pending == 2 * len(model)
    store.close()
