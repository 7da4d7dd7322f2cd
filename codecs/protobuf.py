"""One protobuf VehicleTelemetry to one FRAME row, for kernels. The walk over records and frames is records.py; the inverse is encode.py.

Takes and refuses exactly what the reference runtime does, with our own rules on top: a device id of 16 bytes that is not all zero;
what is out of its range, a trip id of another length and a firmware version that is too long become missing and are flagged.
"""

import numpy as np

from fleetpulse.codecs.jit import inlined
from fleetpulse.codecs.layout import (
    AT,
    EMPTY_ROW,
    FRAME_BYTES,
    HIGH,
    LOW,
    MISSING,
    OPTIONAL,
    READ,
    ROWS,
    TAG,
    WIDE,
    WIDTH,
    Read,
    offset,
)
from fleetpulse.codecs.memory import (
    Memory,
    base,
    copy,
    load_f32,
    load_f64,
    load_i64,
    load_u32,
    store_f32,
    store_f64,
    store_i16,
    store_i32,
    store_i64,
    swap64,
)
from fleetpulse.codecs.schema import FIRMWARE_BYTES
from fleetpulse.codecs.utf8 import is_utf8
from fleetpulse.codecs.wire import MAX_DEPTH, read_size, read_tag, read_varint, skip

TAKEN, MALFORMED, NO_DEVICE_ID = 0, 1, 2
"""What read_frame says of a frame."""
_UUID, _TEXT, _FIXED64, _FIXED32 = int(Read.UUID), int(Read.TEXT), int(Read.FIXED64), int(Read.FIXED32)
_ZIGZAG, _FLOAT, _DOUBLE = int(Read.ZIGZAG), int(Read.FLOAT), int(Read.DOUBLE)
_DEVICE, _IMPLAUSIBLE = offset("device_hi"), offset("implausible")
_NAN32 = np.float32(np.nan)


@inlined
def store_integer(out: Memory, at: int, width: int, value: int) -> None:
    """The low `width` (2, 4 or 8) bytes of a value."""
    if width == 4:
        store_i32(out, at, value)
    elif width == 2:
        store_i16(out, at, value)
    else:
        store_i64(out, at, value)


@inlined
def _read_delimited(payload: Memory, at: int, end: int, out: Memory, row: int, f: int) -> tuple[int, bool]:
    """(next position, plausible) of a UUID or text."""
    size, at = read_size(payload, at, end)
    if at < 0:
        return -1, False
    column = row + AT[f]
    store_i64(out, column, 0)
    store_i64(out, column + 8, 0)
    if READ[f] == _UUID:
        if size == 16:
            store_i64(out, column, swap64(load_i64(payload, at)))
            store_i64(out, column + 8, swap64(load_i64(payload, at + 8)))
        return at + size, size in (0, 16)
    if not is_utf8(payload, at, at + size):
        return -1, False
    if size > FIRMWARE_BYTES:
        return at + size, False
    copy(out, column, payload, at, size)
    return at + size, True


@inlined
def _read_varint_field(payload: Memory, at: int, end: int, out: Memory, row: int, f: int) -> tuple[int, bool]:
    """(next position, plausible) of an integer of variable length."""
    value, at = read_varint(payload, at, end)
    if at < 0:
        return -1, False
    if not WIDE[f]:
        value &= 0xFFFFFFFF
    if READ[f] == _ZIGZAG:
        value = (value >> 1) ^ -(value & 1)
    plausible = True
    if OPTIONAL[f] and not LOW[f] <= value <= HIGH[f]:
        value, plausible = MISSING[f], False
    store_integer(out, row + AT[f], WIDTH[f], value)
    return at, plausible


@inlined
def _read_fixed(payload: Memory, at: int, end: int, out: Memory, row: int, f: int) -> tuple[int, bool]:
    """(next position, plausible) of a value of 4 or 8 bytes."""
    read, column = READ[f], row + AT[f]
    after = at + 4 if read in (_FLOAT, _FIXED32) else at + 8
    plausible = True
    if after > end:
        return -1, False
    if read == _FLOAT:
        single = load_f32(payload, at)
        plausible = LOW[f] <= single <= HIGH[f]
        store_f32(out, column, single if plausible else _NAN32)
    elif read == _DOUBLE:
        double = load_f64(payload, at)
        plausible = LOW[f] <= double <= HIGH[f]
        store_f64(out, column, double if plausible else np.nan)
    elif read == _FIXED64:
        store_i64(out, column, load_i64(payload, at))
    else:
        store_i32(out, column, load_u32(payload, at))
    return after, plausible


@inlined
def read_frame(payload: Memory, begin: int, at: int, end: int, out: Memory, row: int) -> int:
    """Read the fields at [at, end) into the FRAME row that begins at byte `row` of `out`; its origin is left as it is.

    begin  where the frame begins; the fields at [begin, at) are in the row already, and all others are missing. If `at` lies behind
           the end, the row is wrong and everything is read anew.

    Returns TAKEN, or MALFORMED or NO_DEVICE_ID: the row is then half written.
    """
    if at > end:
        at = begin
        copy(out, row + _IMPLAUSIBLE, base(EMPTY_ROW), _IMPLAUSIBLE, FRAME_BYTES - _IMPLAUSIBLE)
    implausible = 0
    while at < end:
        tag, at = read_tag(payload, at, end)
        if at < 0:
            return MALFORMED
        f = tag >> 3
        if f < ROWS and tag == TAG[f]:
            read = READ[f]
            if read in (_UUID, _TEXT):
                at, plausible = _read_delimited(payload, at, end, out, row, f)
            elif tag & 7 == 0:
                at, plausible = _read_varint_field(payload, at, end, out, row, f)
            else:
                at, plausible = _read_fixed(payload, at, end, out, row, f)
            bit = 1 << (f - 1)
            implausible = implausible & ~bit if plausible else implausible | bit
        else:
            at = skip(payload, at, end, tag, MAX_DEPTH - 1)
        if at < 0:
            return MALFORMED
    if load_i64(out, row + _DEVICE) == 0 and load_i64(out, row + _DEVICE + 8) == 0:
        return NO_DEVICE_ID
    store_i64(out, row + _IMPLAUSIBLE, implausible)
    return TAKEN
