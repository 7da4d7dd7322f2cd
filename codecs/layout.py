"""The field table as arrays that kernels index by field number (row 0 is unused), and where each field stands in a FRAME row.

Derived from schema.FIELDS at import; numba compiles them in as constants.
"""

from enum import IntEnum

import numpy as np

from fleetpulse.codecs import schema
from fleetpulse.codecs.schema import FIELDS, FIRMWARE_BYTES, FRAME, Wire


class Read(IntEnum):
    """How a field is written on the wire, as far as reading differs."""

    UUID = 1
    TEXT = 2
    FIXED64 = 3
    FIXED32 = 4
    UNSIGNED = 5
    ZIGZAG = 6
    FLOAT = 7
    DOUBLE = 8


_READ = {
    Wire.BYTES16: Read.UUID,
    Wire.STRING: Read.TEXT,
    Wire.FIXED64: Read.FIXED64,
    Wire.FIXED32: Read.FIXED32,
    Wire.UINT32: Read.UNSIGNED,
    Wire.UINT64: Read.UNSIGNED,
    Wire.SINT32: Read.ZIGZAG,
    Wire.FLOAT: Read.FLOAT,
    Wire.DOUBLE: Read.DOUBLE,
}
VARINT, I64, LEN, START_GROUP, END_GROUP, I32 = range(6)
"""Protobuf wire types, the low three bits of a tag."""
WIRE_TYPE = {
    Read.UUID: LEN,
    Read.TEXT: LEN,
    Read.FIXED64: I64,
    Read.FIXED32: I32,
    Read.UNSIGNED: VARINT,
    Read.ZIGZAG: VARINT,
    Read.FLOAT: I32,
    Read.DOUBLE: I64,
}
ROWS = len(FIELDS) + 1
FRAME_BYTES = FRAME.itemsize


def offset(column: str) -> int:
    """Byte position of a column in a FRAME row."""
    assert FRAME.fields is not None, "FRAME is a structured dtype"
    return int(FRAME.fields[column][1])


def _column(name: str) -> str:
    return name.replace("_id", "_hi") if schema.BY_NAME[name].dtype == "uuid" else name


READ = np.zeros(ROWS, np.int64)
"""Read of each field."""
TAG = np.zeros(ROWS, np.int64)
"""Tag that the field has on the wire: number << 3 | wire type."""
AT = np.zeros(ROWS, np.int64)
"""Byte position in a FRAME row; of an UUID, that of its high half (the low one follows)."""
WIDTH = np.zeros(ROWS, np.int64)
"""Bytes of the column, if it is an integer."""
WIDE = np.zeros(ROWS, np.bool_)
"""The integer has 64 bits on the wire, else 32."""
OPTIONAL = np.zeros(ROWS, np.bool_)
MISSING = np.zeros(ROWS, np.int64)
"""Value of an absent integer."""
LOW = np.zeros(ROWS, np.float64)
HIGH = np.zeros(ROWS, np.float64)

for _field in FIELDS:
    _read = _READ[_field.wire]
    READ[_field.number] = _read
    TAG[_field.number] = _field.number << 3 | WIRE_TYPE[_read]
    AT[_field.number] = offset(_column(_field.name))
    WIDTH[_field.number] = 0 if _field.dtype == "uuid" else np.dtype(_field.dtype).itemsize
    WIDE[_field.number] = _field.wire in (Wire.UINT64, Wire.FIXED64)
    OPTIONAL[_field.number] = _field.optional
    MISSING[_field.number] = _field.missing if isinstance(_field.missing, int) else 0
    LOW[_field.number], HIGH[_field.number] = _field.low, _field.high

_VALUE_BYTES = {
    Read.UUID: 1 + 16,
    Read.TEXT: 1 + FIRMWARE_BYTES,
    Read.FIXED64: 8,
    Read.FIXED32: 4,
    Read.UNSIGNED: 10,
    Read.ZIGZAG: 5,
    Read.FLOAT: 4,
    Read.DOUBLE: 8,
}
MAX_FRAME_BYTES = 3 + sum((1 if f.number < 16 else 2) + _VALUE_BYTES[_READ[f.wire]] for f in FIELDS)
"""What a frame of our encoder takes at most, its tag and length in the batch included."""

EMPTY_ROW = schema.empty(1).view(np.uint8)
"""(FRAME_BYTES,) a row in which every field is missing."""
