"""Frames become payloads by vehicle and flush: every frame once, in order, at once when something changed, alerts alone."""

from itertools import pairwise
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fleetpulse.codecs import framing, records
from fleetpulse.codecs.batch import RecordBatch
from fleetpulse.codecs.errors import WireError
from fleetpulse.codecs.schema import Status, empty
from fleetpulse.vehicle_agent import wire
from fleetpulse.vehicle_agent.batcher import MAX_FRAMES, Batcher
from fleetpulse.vehicle_agent.faults import BAD_PAYLOADS, Fault
from fleetpulse.vehicle_agent.parcel import Kind, Parcel

VEHICLES = 4
DEVICES = [UUID(int=v + 1).bytes for v in range(VEHICLES)]
START_MS = 1_764_054_000_000


def frames(rows: list[tuple[int, int, int]]) -> NDArray[Any]:
    """Rows of (vehicle, ms after the start, status), numbered per vehicle."""
    out = empty(len(rows))
    seq = [0] * VEHICLES
    for row, (vehicle, ms, status) in zip(out, rows, strict=True):
        row["offset"], row["append_ms"], row["status"] = vehicle, START_MS + ms, status
        row["time_ms"], row["device_lo"], row["boot_id"], row["seq"] = START_MS + ms, vehicle + 1, 1, seq[vehicle]
        seq[vehicle] += 1
    return out


def batcher(*, json_vehicles: tuple[int, ...] = ()) -> Batcher:
    return Batcher(DEVICES, flush_ms=2000, json=np.isin(np.arange(VEHICLES), json_vehicles))


def decode(payload: bytes) -> NDArray[Any]:
    one = np.zeros(1, np.int64)
    batch = records.decode(RecordBatch(0, payload, one + len(payload), one, one), source_topic="", partitions=1)
    assert not batch.dead_letters
    return batch.frames


def told(parcels: list[Parcel]) -> list[tuple[Kind, int, int, int]]:
    return [(p.kind, p.vehicle, p.first_seq, p.last_seq) for p in parcels]


def test_a_batch_waits_for_the_flush() -> None:
    b = batcher()
    b.take(frames([(0, 0, 4)]), START_MS)  # the first frame changes the status from nothing
    rows = frames([(0, 0, 4), (0, 500, 4), (0, 1000, 4), (0, 2400, 4)])[1:]
    assert b.take(rows[:2], START_MS + 1000) == []
    assert b.take(rows[:0], START_MS + 2499) == []
    assert told(b.take(rows[2:], START_MS + 2500)) == [(Kind.BATCH, 0, 1, 3)]
    assert len(b) == 0


def test_a_change_of_status_flushes_that_vehicle_at_once() -> None:
    b = batcher()
    b.take(frames([(0, 0, 4), (1, 0, 4)]), START_MS)
    rows = frames([(0, 0, 0), (1, 0, 0), (0, 200, 4), (1, 200, 4), (0, 400, 12)])[2:]
    assert told(b.take(rows, START_MS + 400)) == [(Kind.BATCH, 0, 1, 2)]
    assert len(b) == 1


@pytest.mark.parametrize("bit", [Status.CRASH, Status.TAMPER])
def test_an_alert_goes_alone_and_once_after_what_came_before(bit: Status) -> None:
    b = batcher()
    b.take(frames([(0, 0, 4)]), START_MS)
    rows = frames([(0, 0, 0), (0, 200, 4), (0, 400, 4 | bit), (0, 600, 4 | bit)])[1:]
    parcels = b.take(rows, START_MS + 600)
    assert told(parcels) == [(Kind.BATCH, 0, 1, 1), (Kind.ALERT, 0, 2, 2), (Kind.BATCH, 0, 3, 3)]
    assert len(decode(parcels[1].payload or b"")) == 1


def test_a_json_vehicle_sends_each_frame_alone() -> None:
    rows = frames([(2, 0, 4), (2, 1000, 4)])
    rows["battery_soc_pct"] = 55.5
    parcels = batcher(json_vehicles=(2,)).take(rows, START_MS + 1000)
    assert [p.kind for p in parcels] == [Kind.JSON, Kind.JSON]
    assert decode(parcels[1].payload or b"")["battery_soc_pct"].tolist() == [55.5]
    assert (parcels[0].payload or b"").startswith(b"{")


def test_a_nan_that_is_meant_is_on_the_wire() -> None:
    rows = frames([(0, 0, 4), (0, 200, 4)])
    rows["implausible"][1] = 1 << 7
    parcels = batcher().take(rows, START_MS + 200)
    assert told(parcels) == [(Kind.BATCH, 0, 0, 0), (Kind.BATCH, 0, 1, 1)]
    tag_and_nan = b"\x45\x00\x00\xc0\x7f"
    assert tag_and_nan in (parcels[1].payload or b"")
    assert tag_and_nan not in (parcels[0].payload or b"")
    assert np.isnan(decode(parcels[1].payload or b"")["speed_mps"]).all()
    assert framing.check(parcels[1].payload or b"", DEVICES[0]) == 1


def test_a_payload_holds_one_boot_and_not_too_much() -> None:
    rows = frames([(0, 10 * n, 4) for n in range(2 * MAX_FRAMES + 10)])
    rows["boot_id"][-5:], rows["seq"][-5:] = 2, np.arange(5)
    parcels = batcher().take(rows, START_MS + 60_000)
    assert [p.frames for p in parcels] == [MAX_FRAMES, MAX_FRAMES, 5, 5]
    assert [p.boot_id for p in parcels] == [1, 1, 1, 2]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, VEHICLES - 1), st.integers(0, 3000), st.sampled_from([0, 4, 12, 4 | 64, 2 | 128])), max_size=60),
    st.lists(st.integers(0, 60), max_size=5),
    st.booleans(),
)
def test_every_frame_goes_out_once_and_in_order_at_any_cut(rows: list[tuple[int, int, int]], cuts: list[int], with_json: bool) -> None:
    all_frames = frames(sorted(rows, key=lambda row: row[1]))
    b = batcher(json_vehicles=(1,) if with_json else ())
    parcels: list[Parcel] = []
    edges = [0, *sorted(min(c, len(all_frames)) for c in cuts), len(all_frames)]
    for begin, end in pairwise(edges):
        now_ms = int(all_frames["append_ms"][end - 1]) if end else START_MS
        parcels += b.take(all_frames[begin:end], now_ms)
    parcels += b.take(empty(0), START_MS, everything=True)
    assert len(b) == 0
    for vehicle in range(VEHICLES):
        own = [p for p in parcels if p.vehicle == vehicle]
        expected = all_frames[all_frames["offset"] == vehicle]
        sent = [decode(p.payload or b"") for p in own]
        assert [int(seq) for batch in sent for seq in batch["seq"]] == expected["seq"].tolist()
        assert [int(s) for batch in sent for s in batch["status"]] == expected["status"].tolist()
        assert [(p.first_seq, p.last_seq, p.frames) for p in own] == [(int(f["seq"][0]), int(f["seq"][-1]), len(f)) for f in sent]


def test_backlog_is_marked_in_every_frame_and_nothing_else_changes() -> None:
    rows = frames([(0, n, 4) for n in range(3)])
    rows["speed_mps"], rows["odometer_m"] = 3.5, 1234.5
    (parcel,) = batcher().take(rows, START_MS + 5000)
    late = decode(wire.with_backlog(parcel.payload or b""))
    assert late["status"].tolist() == [4 | Status.BACKLOG] * 3
    plain = decode(parcel.payload or b"")
    late["status"] = plain["status"]
    assert all(late[name].tobytes() == plain[name].tobytes() for name in plain.dtype.names or ())


def test_backlog_of_json_stays_json() -> None:
    (parcel,) = batcher(json_vehicles=(0,)).take(frames([(0, 0, 4)]), START_MS)
    late = wire.with_backlog(parcel.payload or b"")
    assert late.startswith(b"{")
    assert decode(late)["status"].tolist() == [4 | Status.BACKLOG]


@pytest.mark.parametrize("kind", BAD_PAYLOADS)
@pytest.mark.parametrize("number", range(8))
def test_bad_payloads_are_rejected_by_the_bridge(kind: Fault, number: int) -> None:
    (sample,) = batcher().take(frames([(0, n, 4) for n in range(3)]), START_MS + 5000)
    payload = wire.bad_payload(kind, DEVICES[0], sample.payload or b"", number, 1)
    expected = {Fault.OVERSIZE: {"oversize"}, Fault.WRONG_ID_LENGTH: {"device_id"}, Fault.TRUNCATED: {"framing"}}
    with pytest.raises(WireError) as error:
        framing.check(payload, DEVICES[0])
    assert error.value.reason in expected.get(kind, {"framing", "json"})
