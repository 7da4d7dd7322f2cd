"""The protobuf wire format, for kernels: tags, varints, skipping, the frames of a batch. No fields here; those are protobuf.py's.

Accepts and refuses exactly what the reference runtime (upb) does. Positions are byte positions in `payload`; every function stays
below `end` and returns -1 as the next position for bytes that cannot be read.
"""

from fleetpulse.codecs.jit import inlined
from fleetpulse.codecs.layout import END_GROUP, I32, I64, LEN, START_GROUP, VARINT
from fleetpulse.codecs.memory import Memory, load_i64, load_u8, load_u16, swap64

MAX_DEPTH = 100
"""Messages and groups within one another that the reference allows below the batch."""
FRAME_TAG = 1 << 3 | LEN
DEVICE_ID_TAG = 1 << 3 | LEN
DONE = -2
"""Begin of the frame after the last one."""
BROKEN = -1
"""Begin of a frame in a batch whose lengths do not end where the batch ends."""
_SIGN = -(1 << 63)


@inlined
def read_varint(payload: Memory, at: int, end: int) -> tuple[int, int]:
    """(64-bit pattern, next position). Bits beyond the 64th of a ten-byte varint are dropped."""
    if at >= end:
        return 0, -1
    byte = load_u8(payload, at)
    if byte < 0x80:
        return byte, at + 1
    value = byte & 0x7F
    for i in range(1, 9):
        if at + i >= end:
            return 0, -1
        byte = load_u8(payload, at + i)
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, at + i + 1
    if at + 9 >= end:
        return 0, -1
    byte = load_u8(payload, at + 9)
    if byte & 1:
        value |= _SIGN
    return value, at + 10 if byte < 0x80 else -1


@inlined
def _read_any_tag(payload: Memory, at: int, end: int) -> tuple[int, int]:
    tag, after = read_varint(payload, at, end)
    if after < 0 or after - at > 5 or tag < 0 or tag > 0xFFFFFFFF:
        return 0, -1
    return tag, after


@inlined
def read_tag(payload: Memory, at: int, end: int) -> tuple[int, int]:
    """(tag, next position). At most five bytes and 32 bits; field number 0 does not exist."""
    tag, after = _read_any_tag(payload, at, end)
    return tag, after if tag >= 8 else -1


@inlined
def read_size(payload: Memory, at: int, end: int) -> tuple[int, int]:
    """(length of a delimited value, where it begins). At most five bytes."""
    size, after = read_varint(payload, at, end)
    if after < 0 or after - at > 5 or size > end - after:
        return 0, -1
    return size, after


@inlined
def _skip_flat(payload: Memory, at: int, end: int, wire_type: int) -> int:
    if wire_type == VARINT:
        return read_varint(payload, at, end)[1]
    if wire_type == LEN:
        size, after = read_size(payload, at, end)
        return after + size if after >= 0 else -1
    after = -1
    if wire_type == I64:
        after = at + 8
    elif wire_type == I32:
        after = at + 4
    return after if after <= end else -1


@inlined
def _skip_group(payload: Memory, at: int, end: int, number: int, depth: int) -> int:
    if depth < 0:
        return -1
    while at < end:
        tag, at = _read_any_tag(payload, at, end)  # inside groups the reference lets field number 0 pass
        if at < 0:
            return -1
        if tag & 7 == END_GROUP:
            return at if tag >> 3 == number else -1
        at = _skip_group(payload, at, end, tag >> 3, depth - 1) if tag & 7 == START_GROUP else _skip_flat(payload, at, end, tag & 7)
        if at < 0:
            return -1
    return -1


@inlined
def skip(payload: Memory, at: int, end: int, tag: int, depth: int) -> int:
    """Position after the value of a field whose tag ended at `at`. `depth` groups may be nested in it."""
    if tag & 7 == START_GROUP:
        return _skip_group(payload, at, end, tag >> 3, depth - 1)
    return _skip_flat(payload, at, end, tag & 7)


@inlined
def next_frame(payload: Memory, at: int, end: int) -> tuple[int, int]:
    """(begin, end) of the next frame of a batch, from `at`, which is the end of the one before or the batch's begin.

    begin is DONE after the last frame, BROKEN when the rest of the batch cannot be read.
    """
    while at < end:
        tag, after = read_tag(payload, at, end)
        if after < 0:
            return BROKEN, end
        if tag == FRAME_TAG:
            size, begin = read_size(payload, after, end)
            return begin, begin + size  # begin is BROKEN if there is no size
        at = skip(payload, after, end, tag, MAX_DEPTH)
        if at < 0:
            return BROKEN, end
    return DONE, end


@inlined
def device_of(payload: Memory, at: int, end: int) -> tuple[int, int, int]:
    """(length, hi, lo) of the device id of a frame; the last one counts. Length -1: the frame cannot be read; 0: it has none."""
    length, hi, lo = 0, 0, 0
    if end - at >= 18 and load_u16(payload, at) == (16 << 8 | DEVICE_ID_TAG):
        length, hi, lo = 16, swap64(load_i64(payload, at + 2)), swap64(load_i64(payload, at + 10))
        at += 18
    while at < end:
        tag, at = read_tag(payload, at, end)
        if at < 0:
            return -1, 0, 0
        if tag == DEVICE_ID_TAG:
            length, at = read_size(payload, at, end)
            if at < 0:
                return -1, 0, 0
            if length == 16:
                hi, lo = swap64(load_i64(payload, at)), swap64(load_i64(payload, at + 8))
            at += length
        else:
            at = skip(payload, at, end, tag, MAX_DEPTH - 1)
            if at < 0:
                return -1, 0, 0
    return length, hi, lo
