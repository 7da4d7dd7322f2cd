"""One poll to rows: everything is a row, an operation or a counted dead letter, and how polls are cut changes nothing."""

import hashlib
from dataclasses import replace
from itertools import pairwise
from typing import Any
from uuid import UUID

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fleetpulse.codecs import encode, operations, partition, passes, records
from fleetpulse.codecs.batch import MAX_PAYLOAD_BYTES, FrameBatch, RecordBatch
from fleetpulse.codecs.operations import Operation, OperationRecord
from fleetpulse.codecs.schema import FRAME, Kind
from tests.naive import wire
from tests.support.polls import APPEND_MS, cut, poll
from tests.support.strategies import WIRE_BATCHES, frames, rows

DEVICE = UUID(int=0x0123456789ABCDEF0011223344556677)
GOOD = rows([{"device_id": DEVICE.int, "seq": 5, "speed_mps": 3.5}])
ONE = encode.encode(GOOD)
OPERATION = OperationRecord(Operation.MAINTENANCE_DONE, DEVICE, 77, "ann", "op-1", {"component": "tyre"})
JSON = encode.encode_json(GOOD[0])
DEEP = b"[" * 1000 + b"]" * 1000
"""As deep as orjson reads, deeper than repr can write."""
_COLUMNS = [name for name in FRAME.names or () if name not in ("append_ms", "offset", "position", "partition")]


def decode(batch: RecordBatch, partitions: int = 1) -> FrameBatch:
    return records.decode(batch, source_topic="vehicle-telemetry", partitions=partitions)


def reasons(batch: FrameBatch) -> list[tuple[str, int, int]]:
    return [(letter.reason, letter.offset, letter.position) for letter in batch.dead_letters]


def same(got: NDArray[Any], expected: NDArray[Any]) -> bool:
    """Equal in every column but the origin."""
    return len(got) == len(expected) and all(got[name].tobytes() == expected[name].tobytes() for name in _COLUMNS)


def test_an_empty_poll_gives_no_rows_and_moves_nothing() -> None:
    decoded = decode(poll([], start=17))
    assert len(decoded.frames) == 0
    assert decoded.frames.dtype == FRAME
    assert (decoded.start, decoded.next_offset) == (17, 17)


def test_a_row_knows_where_it_came_from() -> None:
    batch = poll([ONE + ONE, b"", ONE], partition=0, first_offset=40, start=38)
    decoded = decode(batch)
    assert decoded.frames["offset"].tolist() == [40, 40, 41, 42]
    assert decoded.frames["position"].tolist() == [0, 1, 0, 0]
    assert decoded.frames["append_ms"].tolist() == [APPEND_MS + 40, APPEND_MS + 40, APPEND_MS + 41, APPEND_MS + 42]
    assert decoded.frames["kind"].tolist() == [Kind.FRAME, Kind.FRAME, Kind.TICK, Kind.FRAME]
    assert (decoded.partition, decoded.start, decoded.next_offset) == (0, 38, 43)


@given(frames(max_size=8), st.data())
def test_what_was_encoded_comes_back_at_every_split_into_records(rows: NDArray[Any], data: st.DataObject) -> None:
    ends = np.array(sorted(data.draw(st.sets(st.integers(1, max(1, len(rows)))))) or [1], np.int64)
    ends = np.unique(np.append(np.minimum(ends, len(rows)), len(rows)))
    payload, byte_ends = encode.encode_many(rows, ends)
    offsets = np.arange(len(ends), dtype=np.int64)
    decoded = decode(RecordBatch(0, payload, byte_ends, offsets, offsets))
    if len(rows):
        assert same(decoded.frames, rows)
        assert not decoded.dead_letters


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview, lambda b: np.frombuffer(b, np.uint8), lambda b: np.array(bytearray(b))])
def test_the_payload_may_be_any_buffer(form: Any) -> None:
    batch = poll([ONE, JSON])
    assert same(decode(replace(batch, payload=form(batch.payload))).frames, np.concatenate((GOOD, GOOD)))


def test_a_broken_frame_leaves_its_neighbours() -> None:
    record = ONE + wire.batch(b"\xff") + ONE + wire.batch(wire.delimited(1, bytes(3))) + ONE
    decoded = decode(poll([record]))
    assert same(decoded.frames, np.concatenate((GOOD, GOOD, GOOD)))
    assert decoded.frames["position"].tolist() == [0, 2, 4]
    assert reasons(decoded) == [("malformed", 0, 1), ("device_id", 0, 3)]
    assert decoded.dead_letters[0].payload == wire.batch(b"\xff")


def test_broken_lengths_make_the_record_one_dead_letter() -> None:
    decoded = decode(poll([ONE, ONE + ONE[:-1], ONE]))
    assert decoded.frames["offset"].tolist() == [0, 2]
    assert reasons(decoded) == [("framing", 1, -1)]
    (letter,) = decoded.dead_letters
    assert letter.payload == ONE + ONE[:-1]
    assert letter.sha256 == hashlib.sha256(letter.payload).hexdigest()
    assert (letter.source_topic, letter.partition, letter.length) == ("vehicle-telemetry", 0, len(letter.payload))


@pytest.mark.parametrize("bad", [wire.batch(b"\xff"), wire.batch(b""), b"1"])
def test_a_record_of_very_many_broken_frames_is_one_dead_letter(bad: bytes) -> None:
    def record(n: int) -> bytes:
        return b"[" + JSON + b",1" * n + b"]" if bad == b"1" else ONE + bad * n

    few, many = record(passes.MAX_FAULTS), record(passes.MAX_FAULTS + 1)
    decoded = decode(poll([few, many, ONE]))
    assert decoded.frames["offset"].tolist() == [0, 1, 2]
    assert [letter.position for letter in decoded.dead_letters if letter.offset == 0] == list(range(1, passes.MAX_FAULTS + 1))
    (letter,) = (letter for letter in decoded.dead_letters if letter.offset == 1)
    assert (letter.position, letter.payload, letter.reason) == (-1, many, decoded.dead_letters[0].reason)
    assert letter.detail.startswith(f"{passes.MAX_FAULTS + 1} frames of the record are not taken; position 1: ")


def test_trailing_bytes_make_the_record_one_dead_letter() -> None:
    assert reasons(decode(poll([ONE + b"\x00"]))) == [("framing", 0, -1)]
    assert reasons(decode(poll([JSON + b"x"]))) == [("json", 0, -1)]


def test_a_long_dead_letter_is_cut_but_measured_whole() -> None:
    record = b"\x0a" + bytes(MAX_PAYLOAD_BYTES)
    (letter,) = decode(poll([record])).dead_letters
    assert (letter.reason, letter.length, letter.position) == ("oversize", MAX_PAYLOAD_BYTES + 1, -1)
    assert letter.payload == record[: 64 << 10]
    assert letter.sha256 == hashlib.sha256(record).hexdigest()


def test_an_operation_is_a_row_that_finds_its_record() -> None:
    decoded = decode(poll([wire.batch(b"\xff"), operations.encode(OPERATION), ONE]))
    assert decoded.operations == {0: OPERATION}
    row = decoded.frames[0]
    assert (row["kind"], row["operation"], row["time_ms"]) == (Kind.OPERATION, Operation.MAINTENANCE_DONE, 77)
    assert int(row["device_hi"]) << 64 | int(row["device_lo"]) == DEVICE.int
    assert np.isnan(row["speed_mps"])


@pytest.mark.parametrize(
    ("value", "reason", "position"),
    [
        (b"{", "json", -1),
        (b"[]", "json", -1),
        (b"[1]", "json", 0),
        (b'{"device_id": "x"}', "device_id", 0),
        (b"{}", "device_id", 0),
        (b'{"device_id": 5}', "json", 0),
        (JSON[:-1] + b',"seq": 1.5}', "json", 0),
        (JSON[:-1] + b',"speed_mps": "3"}', "json", 0),
        (b'{"operation": "dance"}', "operation", 0),
        (b'{"operation": null}', "operation", 0),
        (b'{"operation": %s}' % DEEP, "operation", 0),
        (b'{"device_id": %s}' % DEEP, "json", 0),
        (JSON[:-1] + b',"speed_mps": %s}' % DEEP, "json", 0),
        (b"[" * 2000, "json", -1),
        (b'{"operation": "maintenance_done", "device_id": "%s", "time_ms": 1e300}' % str(DEVICE).encode(), "operation", 0),
    ],
)
def test_bad_json_is_one_dead_letter(value: bytes, reason: str, position: int) -> None:
    decoded = decode(poll([value, ONE]))
    assert reasons(decoded) == [(reason, 0, position)]
    assert same(decoded.frames, GOOD)


def test_a_json_list_holds_frames_and_a_bad_one_leaves_its_neighbours() -> None:
    decoded = decode(poll([b" [" + JSON + b',{"device_id":null},' + JSON + b"]"]))
    assert same(decoded.frames, np.concatenate((GOOD, GOOD)))
    assert decoded.frames["position"].tolist() == [0, 2]
    assert reasons(decoded) == [("device_id", 0, 1)]


def test_what_belongs_to_another_partition_is_misrouted() -> None:
    home = partition.of(DEVICE.bytes, 16)
    values = [ONE, JSON, operations.encode(OPERATION)]
    assert reasons(decode(poll(values, partition=home), partitions=16)) == []
    elsewhere = decode(poll(values, partition=(home + 1) % 16), partitions=16)
    assert reasons(elsewhere) == [("misrouted", 0, 0), ("misrouted", 1, 0), ("misrouted", 2, 0)]
    assert len(elsewhere.frames) == 0
    assert elsewhere.operations == {}


RECORDS = st.one_of(
    st.just(b""),
    st.just(ONE),
    st.just(JSON),
    st.just(operations.encode(OPERATION)),
    frames(max_size=2).map(encode.encode),
    WIRE_BATCHES,
    st.binary(max_size=40),
    st.binary(max_size=40).map(lambda tail: b"{" + tail),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), st.text(max_size=5)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.sampled_from(["device_id", "operation", "seq", "speed_mps", "x"]), inner, max_size=3),
        ),
        max_leaves=6,
    ).map(orjson.dumps),
)


def accounted(batch: FrameBatch) -> tuple[bytes, list[tuple[int, OperationRecord]], list[object]]:
    found = [(int(batch.frames["offset"][row]), record) for row, record in sorted(batch.operations.items())]
    return batch.frames.tobytes(), found, list(batch.dead_letters)


@given(st.lists(RECORDS, max_size=6), st.lists(st.integers(0, 6), max_size=3), st.integers(1, 2))
def test_however_the_log_is_cut_into_polls_the_rows_are_the_same(values: list[bytes], points: list[int], partitions: int) -> None:
    batch = poll(values, first_offset=9, start=5)
    whole = decode(batch, partitions)
    parts = [decode(part, partitions) for part in cut(batch, points)]
    found = [accounted(part) for part in parts]
    joined = b"".join(f[0] for f in found), [o for f in found for o in f[1]], [d for f in found for d in f[2]]
    assert joined == accounted(whole)
    if parts:
        assert (parts[0].start, parts[-1].next_offset) == (whole.start, whole.next_offset)
        assert all(a.next_offset == b.start for a, b in pairwise(parts))


@given(st.lists(RECORDS, max_size=6))
def test_every_record_is_a_row_or_a_counted_dead_letter(values: list[bytes]) -> None:
    decoded = decode(poll(values))
    seen = set(decoded.frames["offset"].tolist()) | {letter.offset for letter in decoded.dead_letters}
    assert seen == set(range(len(values)))
