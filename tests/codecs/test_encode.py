"""What is encoded is what the reference runtime would have written, and JSON says the same."""

from typing import Any

import numpy as np
import orjson
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fleetpulse.codecs import encode, json, layout, schema
from fleetpulse.codecs.schema import FIELDS
from tests.naive import telemetry
from tests.support.strategies import frames, rows


@given(frames())
def test_equal_to_the_reference_runtime(rows: NDArray[Any]) -> None:
    assert encode.encode(rows) == telemetry.encode(rows)


def test_the_longest_frame_fits_and_the_shortest_too() -> None:
    longest = rows([{f.name: _longest(f) for f in FIELDS}] * 2)
    short = rows([{"device_id": 1}] * 2)
    for batch in (longest, short, schema.empty(2)):
        assert encode.encode(batch) == telemetry.encode(batch)
        assert len(encode.encode(batch)) <= 2 * layout.MAX_FRAME_BYTES


def _longest(field: schema.Field) -> Any:
    if field.dtype == "uuid":
        return 2**128 - 1
    if field.dtype.startswith("S"):
        return "x" * 16
    return field.low if field.name in ("longitude_e7", "rssi_dbm") else field.high if field.optional else 2**32 - 1


@given(frames(), st.data())
def test_many_batches_are_the_batches_one_by_one(rows: NDArray[Any], data: st.DataObject) -> None:
    ends = np.array(sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4))), np.int64)
    payload, byte_ends = encode.encode_many(rows, ends)
    begins, byte_begins = [0, *ends[:-1].tolist()], [0, *byte_ends[:-1].tolist()]
    for begin, end, byte_begin, byte_end in zip(begins, ends.tolist(), byte_begins, byte_ends.tolist(), strict=False):
        assert payload[byte_begin:byte_end].tobytes() == encode.encode(rows[begin:end])
    assert len(byte_ends) == len(ends)


@given(frames())
def test_batches_concatenate(rows: NDArray[Any]) -> None:
    assert b"".join(encode.encode(rows[i : i + 1]) for i in range(len(rows))) == encode.encode(rows)


@given(frames(max_size=2))
def test_json_and_back_is_the_same_row(rows: NDArray[Any]) -> None:
    back = schema.empty(len(rows))
    for i, row in enumerate(rows):
        json.put(orjson.loads(encode.encode_json(row)), back, i)
    assert back.tobytes() == rows.tobytes()
