"""The fast way through a frame whose fields come in the order of their numbers, as every common encoder writes them. For kernels.

Straight-line code: at each field's turn, if its tag stands there and its value has the usual form and is plausible, it is taken;
else nothing moves. So what is left begins at the first field that is not usual, and protobuf.py goes on from there. No bounds are
checked: the caller proves that REACH bytes may be loaded from the frame's begin on, and looks afterwards where the walk ended.
"""

import numpy as np

from fleetpulse.codecs.jit import always_inlined
from fleetpulse.codecs.layout import AT, HIGH, LOW, MAX_FRAME_BYTES, OPTIONAL, READ, ROWS, TAG, WIDE, WIDTH, Read
from fleetpulse.codecs.memory import (
    Memory,
    int64,
    load_f32,
    load_f64,
    load_i64,
    load_u8,
    load_u16,
    load_u32,
    store_f32,
    store_f64,
    store_i16,
    store_i32,
    store_i64,
    swap64,
    trailing_zeros,
)
from fleetpulse.codecs.schema import FIRMWARE_BYTES

REACH = MAX_FRAME_BYTES + 16
"""Bytes from a frame's begin on that may be loaded, whatever they are."""
_ZIGZAG = int(Read.ZIGZAG)
_HEAD = np.where(TAG < 0x80, TAG, TAG & 0x7F | 0x80 | TAG >> 7 << 8)
"""Tag as it is loaded: one byte for field numbers below 16, else two, little-endian."""
_LOW32, _HIGH32 = LOW.astype(np.float32), HIGH.astype(np.float32)
_LOWEST, _HIGHEST = (np.clip(bound, -(2.0**62), 2.0**62).astype(np.int64) for bound in (LOW, HIGH))
_F = tuple(int64(number) for number in range(ROWS))
_STOPS = 0x8080808080
_NOT_ASCII = -0x7F7F7F7F7F7F7F80


@always_inlined
def _is_next(payload: Memory, at: int, f: int) -> bool:
    head: int = _HEAD[f]
    return (load_u8(payload, at) if f < 16 else load_u16(payload, at)) == head


@always_inlined
def _value(at: int, f: int) -> int:
    return at + (1 if f < 16 else 2)


@always_inlined
def _float(payload: Memory, at: int, out: Memory, row: int, f: int) -> int:
    if _is_next(payload, at, f):
        value = load_f32(payload, _value(at, f))
        if _LOW32[f] <= value <= _HIGH32[f]:
            store_f32(out, row + AT[f], value)
            return _value(at, f) + 4
    return at


@always_inlined
def _double(payload: Memory, at: int, out: Memory, row: int, f: int) -> int:
    if _is_next(payload, at, f):
        value = load_f64(payload, _value(at, f))
        if LOW[f] <= value <= HIGH[f]:
            store_f64(out, row + AT[f], value)
            return _value(at, f) + 8
    return at


@always_inlined
def _integer(payload: Memory, at: int, out: Memory, row: int, f: int) -> int:
    """A varint of up to five bytes."""
    if _is_next(payload, at, f):
        word = load_i64(payload, _value(at, f)) & 0xFFFFFFFFFF
        stops = ~word & _STOPS
        if stops != 0:
            word &= stops ^ (stops - 1)
            last = 0x7F0000000 if WIDE[f] else 0xF0000000
            value = word & 0x7F | word >> 1 & 0x3F80 | word >> 2 & 0x1FC000 | word >> 3 & 0xFE00000 | word >> 4 & last
            if READ[f] == _ZIGZAG:
                value = (value >> 1) ^ -(value & 1)
            if not OPTIONAL[f] or _LOWEST[f] <= value <= _HIGHEST[f]:
                if WIDTH[f] == 4:
                    store_i32(out, row + AT[f], value)
                elif WIDTH[f] == 2:
                    store_i16(out, row + AT[f], value)
                else:
                    store_i64(out, row + AT[f], value)
                return _value(at, f) + (trailing_zeros(stops) + 1 >> 3)
    return at


@always_inlined
def _uuid(payload: Memory, at: int, out: Memory, row: int, f: int) -> int:
    begin = _value(at, f)
    if _is_next(payload, at, f) and load_u8(payload, begin) == 16:
        store_i64(out, row + AT[f], swap64(load_i64(payload, begin + 1)))
        store_i64(out, row + AT[f] + 8, swap64(load_i64(payload, begin + 9)))
        return begin + 17
    return at


@always_inlined
def _text(payload: Memory, at: int, out: Memory, row: int, f: int) -> int:
    """ASCII text of up to 16 bytes."""
    begin = _value(at, f)
    size = load_u8(payload, begin)
    if _is_next(payload, at, f) and size <= FIRMWARE_BYTES:
        first, second = load_i64(payload, begin + 1), load_i64(payload, begin + 9)
        if size < 8:
            first, second = first & (1 << 8 * size) - 1, 0
        elif size < 16:
            second &= (1 << 8 * (size - 8)) - 1
        if (first | second) & _NOT_ASCII == 0:
            store_i64(out, row + AT[f], first)
            store_i64(out, row + AT[f] + 8, second)
            return begin + 1 + size
    return at


@always_inlined
def _fixed(payload: Memory, at: int, out: Memory, row: int, f: int) -> int:
    if _is_next(payload, at, f):
        if WIDTH[f] == 8:
            store_i64(out, row + AT[f], load_i64(payload, _value(at, f)))
        else:
            store_i32(out, row + AT[f], load_u32(payload, _value(at, f)))
        return _value(at, f) + (8 if WIDTH[f] == 8 else 4)
    return at


@always_inlined
def read_straight(payload: Memory, at: int, out: Memory, row: int) -> int:
    """Read fields from `at` on into the row that begins at byte `row` of `out`, in which every field is missing.

    Returns the position after the last field taken. It may lie behind the frame's end, if what follows looks like fields: then the
    row is wrong, which protobuf.read_frame mends.
    """
    at = _uuid(payload, at, out, row, _F[1])
    for f in range(2, 4):
        at = _fixed(payload, at, out, row, f)
    for f in range(4, 7):
        at = _integer(payload, at, out, row, f)
    for f in range(7, 14):
        at = _float(payload, at, out, row, f)
    at = _integer(payload, at, out, row, _F[14])
    at = _float(payload, at, out, row, _F[15])
    at = _integer(payload, at, out, row, _F[16])
    at = _float(payload, at, out, row, _F[17])
    at = _integer(payload, at, out, row, _F[18])
    at = _float(payload, at, out, row, _F[19])
    at = _double(payload, at, out, row, _F[20])
    for f in range(21, 34):
        at = _float(payload, at, out, row, f)
    for f in range(34, 36):
        at = _integer(payload, at, out, row, f)
    at = _text(payload, at, out, row, _F[36])
    at = _integer(payload, at, out, row, _F[37])
    at = _uuid(payload, at, out, row, _F[38])
    at = _float(payload, at, out, row, _F[39])
    return _integer(payload, at, out, row, _F[40])
