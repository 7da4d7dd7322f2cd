"""JSON frames in the forms that firmware writes, straight to FRAME rows, for kernels. What it takes, json.put would have taken alike.

Any order of keys, white space, exponents and unknown plain keys are usual. A frame is left to json.py, which defines the semantics,
when it has a key twice, an escape or a character above ASCII, a nested value, more than 18 digits, or anything that is wrong.
"""

import numpy as np
from numba import types
from numpy.typing import NDArray

from fleetpulse.codecs.form import is_space, json_begin
from fleetpulse.codecs.jit import always_inlined, inlined, kernel
from fleetpulse.codecs.layout import AT, EMPTY_ROW, FRAME_BYTES, HIGH, LOW, MISSING, OPTIONAL, READ, ROWS, WIDE, WIDTH, Read, offset
from fleetpulse.codecs.memory import (
    BYTES,
    OUT,
    Bytes,
    Memory,
    base,
    copy,
    int64,
    load_i64,
    load_u8,
    load_u32,
    store_f32,
    store_f64,
    store_i64,
    store_u8,
)
from fleetpulse.codecs.number import read_integer, read_number
from fleetpulse.codecs.partition import of_halves
from fleetpulse.codecs.passes import LIST, OBJECT, PLAIN
from fleetpulse.codecs.protobuf import store_integer
from fleetpulse.codecs.schema import FIELDS, FIRMWARE_BYTES

REACH = 64
"""Bytes behind a record's end that may be loaded."""
_UNUSUAL = -1
"""Next position when the frame is left to json.py."""
_UUID, _TEXT, _FLOAT, _DOUBLE = int(Read.UUID), int(Read.TEXT), int(Read.FLOAT), int(Read.DOUBLE)
_QUOTE, _BACKSLASH, _COLON, _COMMA, _OPEN, _CLOSE, _CLOSE_LIST, _DASH = b'"\\:,{}]-'
_NULL, _TRUE, _FALS = (int.from_bytes(text, "little") for text in (b"null", b"true", b"fals"))
_E = ord("e")
_IMPLAUSIBLE, _DEVICE = offset("implausible"), offset("device_hi")
_UINT32_MAX = 0xFFFFFFFF
_BRACKET = 2.0**-51
_LARGE = 1e30
_NAN32 = np.float32(np.nan)
_i64, _i64s = types.int64, types.int64[::1]

_WORDS = 4
_NAMES = np.zeros((ROWS, _WORDS), np.int64)
"""Each field's name and the closing quote as little-endian words."""
_MASKS = np.zeros((ROWS, _WORDS), np.int64)
_LENGTHS = np.zeros(ROWS, np.int64)
for _field in FIELDS:
    _name = _field.name.encode() + b'"'
    assert len(_name) <= 8 * _WORDS, "a name must fit"
    _NAMES[_field.number] = np.frombuffer(_name.ljust(8 * _WORDS, b"\0"), "<i8")
    _MASKS[_field.number] = np.frombuffer((b"\xff" * len(_name)).ljust(8 * _WORDS, b"\0"), "<i8")
    _LENGTHS[_field.number] = len(_field.name)
FOLLOW = np.minimum(np.arange(1, ROWS + 1), ROWS - 1).astype(np.uint8)
"""First guess of which field comes after each: the next number; row 0 is the begin."""
_OPERATION = np.frombuffer(b"operation", np.uint8)
_NIBBLES = np.full(256, 0xFF, np.uint8)
"""Value of a hexadecimal digit; 0xFF: none."""
for _digit in range(16):
    _NIBBLES[[ord(f"{_digit:x}"), ord(f"{_digit:X}")]] = _digit


@always_inlined
def _skip_space(text: Memory, at: int, end: int) -> int:
    while at < end and is_space(load_u8(text, at)):
        at += 1
    return at


@always_inlined
def _is_name(text: Memory, at: int, f: int) -> bool:
    differ = (load_i64(text, at) ^ _NAMES[f, 0]) & _MASKS[f, 0]
    differ |= (load_i64(text, at + 8) ^ _NAMES[f, 1]) & _MASKS[f, 1]
    differ |= (load_i64(text, at + 16) ^ _NAMES[f, 2]) & _MASKS[f, 2]
    differ |= (load_i64(text, at + 24) ^ _NAMES[f, 3]) & _MASKS[f, 3]
    return bool(differ == 0)


@inlined
def _end_of_string(text: Memory, at: int, end: int) -> int:
    """Position of the closing quote of a string of plain ASCII without escapes."""
    while at < end:
        byte = load_u8(text, at)
        if byte == _QUOTE:
            return at
        if byte < 0x20 or byte >= 0x80 or byte == _BACKSLASH:
            return _UNUSUAL
        at += 1
    return _UNUSUAL


@always_inlined
def _read_key(text: Memory, at: int, end: int, guess: int) -> tuple[int, int]:
    """(field number, position after the closing quote); field number 0: an unknown key."""
    if _is_name(text, at, guess):
        return guess, at + _LENGTHS[guess] + 1
    close = _end_of_string(text, at, end)
    if close < 0:
        return 0, _UNUSUAL
    length = close - at
    for f in range(1, ROWS):
        if _LENGTHS[f] == length and _is_name(text, at, f):
            return f, close + 1
    if length == len(_OPERATION):
        same = True
        for i in range(len(_OPERATION)):
            same = same and load_u8(text, at + i) == load_u8(base(_OPERATION), i)
        if same:
            return 0, _UNUSUAL
    return 0, close + 1


@inlined
def _skip_value(text: Memory, at: int, end: int) -> int:
    """Position after a value that is no list and no object."""
    if load_u8(text, at) == _QUOTE:
        close = _end_of_string(text, at + 1, end)
        return close + 1 if close >= 0 else _UNUSUAL
    word = load_u32(text, at)
    if word in (_NULL, _TRUE):
        return at + 4
    if word == _FALS and load_u8(text, at + 4) == _E:
        return at + 5
    return read_number(text, at)[1]


@inlined
def _read_hex(text: Memory, at: int, digits: int, value: int) -> tuple[int, int]:
    """(value with the digits behind it, all nibbles or-ed)."""
    seen = 0
    for i in range(digits):
        nibble = load_u8(base(_NIBBLES), load_u8(text, at + i))
        seen |= nibble
        value = value << 4 | nibble & 0xF
    return value, seen


@inlined
def _read_uuid(text: Memory, at: int, out: Memory, column: int) -> int:
    """Position after an UUID of 36 characters in quotes."""
    dashes = load_u8(text, at + 9) == _DASH and load_u8(text, at + 14) == _DASH
    dashes = dashes and load_u8(text, at + 19) == _DASH and load_u8(text, at + 24) == _DASH
    if not dashes or load_u8(text, at) != _QUOTE or load_u8(text, at + 37) != _QUOTE:
        return _UNUSUAL
    hi, a = _read_hex(text, at + 1, 8, 0)
    hi, b = _read_hex(text, at + 10, 4, hi)
    hi, c = _read_hex(text, at + 15, 4, hi)
    lo, d = _read_hex(text, at + 20, 4, 0)
    lo, e = _read_hex(text, at + 25, 12, lo)
    if a | b | c | d | e > 0xF:
        return _UNUSUAL
    store_i64(out, column, hi)
    store_i64(out, column + 8, lo)
    return at + 38


@inlined
def _read_text(text: Memory, at: int, end: int, out: Memory, column: int) -> int:
    """Position after a short string in quotes."""
    if load_u8(text, at) != _QUOTE:
        return _UNUSUAL
    close = _end_of_string(text, at + 1, end)
    if close < 0 or close - at - 1 > FIRMWARE_BYTES:
        return _UNUSUAL
    copy(out, column, text, at + 1, close - at - 1)
    return close + 1


@always_inlined
def _read_integer(text: Memory, at: int, out: Memory, row: int, f: int) -> tuple[int, bool]:
    """(next position, plausible) of an integer, plain or in quotes."""
    quoted = load_u8(text, at) == _QUOTE
    value, at = read_integer(text, at + 1 if quoted else at)
    if at < 0 or (quoted and load_u8(text, at) != _QUOTE):
        return _UNUSUAL, False
    plausible = True
    if OPTIONAL[f]:
        if not LOW[f] <= value <= HIGH[f]:
            value, plausible = MISSING[f], False
    elif value < 0 or (value > _UINT32_MAX and not WIDE[f]):
        return _UNUSUAL, False
    store_integer(out, row + AT[f], WIDTH[f], value)
    return at + 1 if quoted else at, plausible


@always_inlined
def _read_float(text: Memory, at: int, out: Memory, row: int, f: int) -> tuple[int, bool]:
    """(next position, plausible) of a number."""
    value, at, exact = read_number(text, at)
    if at < 0 or (not exact and (READ[f] == _DOUBLE or not -_LARGE < value < _LARGE)):
        return _UNUSUAL, False
    if READ[f] == _DOUBLE:
        plausible = LOW[f] <= value <= HIGH[f]
        store_f64(out, row + AT[f], value if plausible else np.nan)
        return at, plausible
    single = np.float32(value)
    if not exact:  # the nearest double lies between these two; where they round alike, so does it
        single = np.float32(value * (1 - _BRACKET))
        if single != np.float32(value * (1 + _BRACKET)):
            return _UNUSUAL, False
    plausible = LOW[f] <= single <= HIGH[f]
    store_f32(out, row + AT[f], single if plausible else _NAN32)
    return at, plausible


@always_inlined
def _read_value(text: Memory, at: int, end: int, out: Memory, row: int, f: int) -> tuple[int, bool]:
    """(next position, plausible) of the value of a known key."""
    read = READ[f]
    if load_u32(text, at) == _NULL:
        return at + 4, True
    if read in (_FLOAT, _DOUBLE):
        return _read_float(text, at, out, row, f)
    if read == _UUID:
        return _read_uuid(text, at, out, row + AT[f]), True
    if read == _TEXT:
        return _read_text(text, at, end, out, row + AT[f]), True
    return _read_integer(text, at, out, row, f)


@always_inlined
def _scan_object(text: Memory, at: int, end: int, out: Memory, row: int, follow: Memory) -> int:
    """Read the object whose brace opens before `at` into the row at byte `row` of `out`, in which every field is missing.

    follow  (ROWS,) bytes: the field that came after each in the frame before, 0 being the first; a guess, kept up to date

    Returns the position after the closing brace, or _UNUSUAL: the row may be half written.
    """
    seen, implausible, previous = 0, 0, 0
    more = True
    while more:
        at = _skip_space(text, at, end)
        if at >= end or load_u8(text, at) != _QUOTE:
            return _UNUSUAL
        f, at = _read_key(text, at + 1, end, load_u8(follow, previous))
        if at < 0:
            return _UNUSUAL
        at = _skip_space(text, at, end)
        if load_u8(text, at) != _COLON:
            return _UNUSUAL
        at = _skip_space(text, at + 1, end)
        if at >= end:
            return _UNUSUAL
        if f == 0:
            at = _skip_value(text, at, end)
        else:
            if seen >> f & 1:
                return _UNUSUAL
            seen |= 1 << f
            store_u8(follow, previous, f)
            previous = f
            at, plausible = _read_value(text, at, end, out, row, f)
            if not plausible:
                implausible |= 1 << (f - 1)
        if at < 0 or at >= end:
            return _UNUSUAL
        at = _skip_space(text, at, end)
        closing = load_u8(text, at)
        at += 1
        more = closing == _COMMA
        if not more and closing != _CLOSE:
            return _UNUSUAL
    store_i64(out, row + _IMPLAUSIBLE, implausible)
    return at if at <= end else _UNUSUAL


@inlined
def _scan_record(
    text: Memory, at: int, end: int, is_list: bool, rows: int, out: Memory, row: int, follow: Memory, shard: int, partitions: int
) -> bool:
    """Read the object at `at`, or the list of `rows` objects; whether all are usual, end where the record ends and belong to the shard."""
    for left in range(rows, 0, -1):
        if is_list:
            at = _skip_space(text, at + 1, end)  # after the bracket or the comma
        if at >= end or load_u8(text, at) != _OPEN:
            return False
        at = _scan_object(text, at + 1, end, out, row, follow)
        if at < 0:
            return False
        hi, lo = load_i64(out, row + _DEVICE), load_i64(out, row + _DEVICE + 8)
        if (hi == 0 and lo == 0) or of_halves(hi, lo, partitions) != shard:
            return False
        at = _skip_space(text, at, end)
        if is_list and (at >= end or load_u8(text, at) != (_COMMA if left > 1 else _CLOSE_LIST)):
            return False
        row += FRAME_BYTES
    return _skip_space(text, at + 1 if is_list else at, end) == end


@kernel(_i64(BYTES, BYTES, _i64, _i64s, BYTES, _i64s, _i64s, _i64, _i64, OUT, OUT, _i64s), counted=False)
def scan(
    payload: Bytes,
    tail: Bytes,
    tail_begin: int,
    ends: NDArray[np.int64],
    forms: Bytes,
    rows: NDArray[np.int64],
    first_rows: NDArray[np.int64],
    shard: int,
    partitions: int,
    follow: Bytes,
    out: Bytes,
    left: NDArray[np.int64],
) -> int:
    """Fill the rows of JSON objects and lists, after passes.fill.

    tail  the payload from tail_begin on, and REACH bytes more: records that end later than REACH before the payload's end are read there
    left  (R,), filled with the records that are left to json.py, because a frame in them is unusual, wrong or misrouted: their rows are
          empty; returns how many
    """
    kinds, guesses, target = base(forms), base(follow), base(out)
    limit = len(payload) - REACH
    begin, n = int64(0), 0
    for r in range(len(ends)):
        end, form = ends[r], load_u8(kinds, r)
        if form in (OBJECT, LIST):
            text, shift = base(payload), int64(0)
            if end > limit:
                text, shift = base(tail), tail_begin
            at, row = json_begin(text, begin - shift, end - shift), first_rows[r] * FRAME_BYTES
            if not _scan_record(text, at, end - shift, form == LIST, rows[r], target, row, guesses, shard, partitions):
                for _ in range(rows[r]):
                    copy(target, row + _IMPLAUSIBLE, base(EMPTY_ROW), _IMPLAUSIBLE, FRAME_BYTES - _IMPLAUSIBLE)
                    row += FRAME_BYTES
                left[n] = r
                n += 1
        elif form == PLAIN:
            left[n] = r
            n += 1
        begin = end
    return n
