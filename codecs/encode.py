"""FRAME rows to bytes: TelemetryBatch, field by field in the order of their numbers, or one JSON object. Pure.

A missing value is not written, nor is proto3's default of a field without presence. The inverses are protobuf.py and json.py.
"""

from math import isnan
from typing import Any
from uuid import UUID

import numpy as np
import orjson
from numba import types
from numpy.typing import NDArray

from fleetpulse.codecs.jit import inlined, kernel
from fleetpulse.codecs.layout import AT, FRAME_BYTES, MAX_FRAME_BYTES, MISSING, READ, ROWS, TAG, WIDE, WIDTH, Read
from fleetpulse.codecs.memory import (
    BYTES,
    OUT,
    Bytes,
    Memory,
    base,
    copy,
    load_f32,
    load_f64,
    load_i16,
    load_i32,
    load_i64,
    load_u8,
    store_f32,
    store_f64,
    store_i32,
    store_i64,
    store_u8,
    swap64,
)
from fleetpulse.codecs.schema import FIELDS, FIRMWARE_BYTES, FRAME, Wire

_UUID, _TEXT, _FIXED64, _FIXED32 = int(Read.UUID), int(Read.TEXT), int(Read.FIXED64), int(Read.FIXED32)
_ZIGZAG, _FLOAT, _DOUBLE = int(Read.ZIGZAG), int(Read.FLOAT), int(Read.DOUBLE)


@inlined
def _write_tag(out: Memory, at: int, tag: int) -> int:
    if tag < 0x80:
        store_u8(out, at, tag)
        return at + 1
    store_u8(out, at, tag | 0x80)
    store_u8(out, at + 1, tag >> 7)
    return at + 2


@inlined
def _write_varint(out: Memory, at: int, value: int) -> int:
    """`value` is a 64-bit pattern."""
    while value < 0 or value >= 0x80:
        store_u8(out, at, value & 0x7F | 0x80)
        value = value >> 7 & 0x01FFFFFFFFFFFFFF
        at += 1
    store_u8(out, at, value)
    return at + 1


@inlined
def _load_integer(rows: Memory, at: int, width: int) -> int:
    if width == 2:
        return load_i16(rows, at)
    return load_i32(rows, at) if width == 4 else load_i64(rows, at)


@inlined
def _write_frame(rows: Memory, row: int, out: Memory, at: int) -> int:
    """Write the fields of the row that begins at byte `row`; returns the position after them."""
    for f in range(1, ROWS):
        read, column = READ[f], row + AT[f]
        if read == _FLOAT:
            single = load_f32(rows, column)
            if not np.isnan(single):
                at = _write_tag(out, at, TAG[f])
                store_f32(out, at, single)
                at += 4
        elif read == _DOUBLE:
            double = load_f64(rows, column)
            if not np.isnan(double):
                at = _write_tag(out, at, TAG[f])
                store_f64(out, at, double)
                at += 8
        elif read == _UUID:
            hi, lo = load_i64(rows, column), load_i64(rows, column + 8)
            if hi != 0 or lo != 0:
                at = _write_tag(out, at, TAG[f])
                store_u8(out, at, 16)
                store_i64(out, at + 1, swap64(hi))
                store_i64(out, at + 9, swap64(lo))
                at += 17
        elif read == _TEXT:
            length = FIRMWARE_BYTES
            while length > 0 and load_u8(rows, column + length - 1) == 0:
                length -= 1
            if length > 0:
                at = _write_tag(out, at, TAG[f])
                store_u8(out, at, length)
                copy(out, at + 1, rows, column, length)
                at += 1 + length
        else:
            value = _load_integer(rows, column, WIDTH[f])
            if value != MISSING[f]:
                at = _write_tag(out, at, TAG[f])
                if read == _FIXED64:
                    store_i64(out, at, value)
                    at += 8
                elif read == _FIXED32:
                    store_i32(out, at, value)
                    at += 4
                else:
                    if read == _ZIGZAG:
                        value = value << 1 ^ value >> 63
                    at = _write_varint(out, at, value if WIDE[f] else value & 0xFFFFFFFF)
    return at


@kernel(types.int64(BYTES, OUT, types.int64[::1]))
def _write(rows: Bytes, out: Bytes, ends: NDArray[np.int64]) -> int:
    """Write every row as a frame of a batch.

    rows  (N * FRAME_BYTES,) the bytes of FRAME rows
    out   at least N * MAX_FRAME_BYTES; filled; returns how much
    ends  (N,) filled with the end of each frame in out
    """
    at, source, target = 0, base(rows), base(out)
    for i in range(len(ends)):
        store_u8(target, at, 1 << 3 | 2)
        begin = at + 3
        end = _write_frame(source, i * FRAME_BYTES, target, begin)
        size = end - begin
        if size < 0x80:
            store_u8(target, at + 1, size)
            for k in range(begin, end):
                store_u8(target, k - 1, load_u8(target, k))
            end -= 1
        else:
            store_u8(target, at + 1, size & 0x7F | 0x80)
            store_u8(target, at + 2, size >> 7)
        ends[i] = at = end
    return at


def _encode(frames: NDArray[Any]) -> tuple[Bytes, NDArray[np.int64]]:
    assert frames.dtype == FRAME, "frames must be FRAME rows"
    rows = np.ascontiguousarray(frames).view(np.uint8)
    out = np.empty(len(frames) * MAX_FRAME_BYTES, np.uint8)
    ends = np.empty(len(frames), np.int64)
    return out[: _write(rows, out, ends)], ends


def encode(frames: NDArray[Any]) -> bytes:
    """One TelemetryBatch of (N,) FRAME rows of kind FRAME. No rows give no bytes."""
    return _encode(frames)[0].tobytes()


def encode_many(frames: NDArray[Any], ends: NDArray[np.int64]) -> tuple[Bytes, NDArray[np.int64]]:
    """Many TelemetryBatches in one call.

    frames  (N,) FRAME rows of kind FRAME
    ends    (P,) end of each batch in frames, ascending

    Returns the batches' bytes one after the other, and (P,) the end of each in them: what RecordBatch holds.
    """
    payload, frame_ends = _encode(frames)
    return payload, np.concatenate((np.zeros(1, np.int64), frame_ends))[ends]


def encode_json(frame: np.void) -> bytes:
    """One FRAME row as a JSON object in the form of old firmware; floats are written as short as float32 allows."""
    columns = dict(zip(FRAME.names or (), frame.item(), strict=True))
    value: dict[str, Any] = {}
    for field in FIELDS:
        if field.wire is Wire.BYTES16:
            stem = field.name.removesuffix("_id")
            number = columns[f"{stem}_hi"] << 64 | columns[f"{stem}_lo"]
            if number:
                value[field.name] = str(UUID(int=number))
            continue
        found = columns[field.name]
        if field.wire is Wire.STRING:
            if found:
                value[field.name] = found.decode()
        elif field.wire in (Wire.FLOAT, Wire.DOUBLE):
            if not isnan(found):
                value[field.name] = np.float32(found) if field.wire is Wire.FLOAT else found
        elif found != (field.missing or 0):
            value[field.name] = found
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
