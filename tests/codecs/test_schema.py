"""The field table is the truth: telemetry.proto, the FRAME dtype, the Arrow schema and the reference page say the same."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto
from hypothesis import given
from numpy.typing import NDArray

from fleetpulse.bench.reference import descriptor_set
from fleetpulse.codecs import arrow, layout, reference, schema
from fleetpulse.codecs.schema import FIELDS, FRAME, Field, Wire
from tests.support.strategies import frames

ROOT = Path(__file__).parents[2]
_TYPES = {Wire.BYTES16: "TYPE_BYTES"} | {wire: f"TYPE_{wire.upper()}" for wire in Wire if wire is not Wire.BYTES16}


def test_the_table_says_what_telemetry_proto_says() -> None:
    (file,) = (f for f in descriptor_set().file if f.package == "fleetpulse.v1")
    batch, frame = file.message_type
    assert [(f.name, f.number, f.type_name) for f in batch.field] == [("frames", 1, ".fleetpulse.v1.VehicleTelemetry")]
    found = [(f.number, f.name, FieldDescriptorProto.Type.Name(f.type), f.proto3_optional) for f in frame.field]
    assert found == [(f.number, f.name, _TYPES[f.wire], f.optional) for f in FIELDS]


def test_numbers_are_dense_and_fit_the_implausible_bits() -> None:
    assert [field.number for field in FIELDS] == list(range(1, len(FIELDS) + 1))
    assert len(FIELDS) <= 8 * FRAME["implausible"].itemsize


@pytest.mark.parametrize("field", FIELDS, ids=lambda f: f.name)
def test_missing_is_no_plausible_value_and_ranges_are_exact(field: Field) -> None:
    if field.missing is None:
        return
    assert math.isnan(field.missing) or not field.low <= field.missing <= field.high
    dtype = np.dtype(field.dtype)
    assert dtype.type(field.low) == field.low
    assert dtype.type(field.high) == field.high
    if not math.isnan(field.missing):
        assert dtype.type(field.missing) == field.missing


def test_an_empty_row_has_every_field_missing() -> None:
    (row,) = schema.empty(1)
    for field in FIELDS:
        if field.missing is not None:
            assert np.array_equal(row[field.name], field.missing, equal_nan=True)
    assert layout.EMPTY_ROW.tobytes() == schema.empty(1).tobytes()


@given(frames())
def test_arrow_and_back_is_the_same_rows(rows: NDArray[Any]) -> None:
    rows["append_ms"], rows["offset"] = np.arange(len(rows)), 7
    batch = arrow.encode(rows)
    assert batch.schema.equals(arrow.SCHEMA, check_metadata=True)
    batch.validate(full=True)
    assert arrow.decode(batch).tobytes() == rows.tobytes()


def test_arrow_says_null_for_what_was_not_measured() -> None:
    rows = schema.empty(2)
    rows["device_lo"], rows["speed_mps"][1], rows["trip_lo"][1] = 1, 0, 9
    batch = arrow.encode(rows)
    assert batch.column("speed_mps").to_pylist() == [None, 0.0]
    assert batch.column("latitude_e7").to_pylist() == [None, None]
    assert batch.column("trip_id").to_pylist() == [None, bytes(15) + b"\x09"]
    assert batch.schema.field("speed_mps").metadata == {b"unit": b"m/s"}
    assert batch.schema.field("device_id").type == pa.binary(16)


def test_the_reference_page_is_current() -> None:
    assert (ROOT / "docs" / "fields.md").read_text() == reference.page(), "run: python -m fleetpulse.codecs.reference"
