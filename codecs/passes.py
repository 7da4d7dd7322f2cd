"""The two passes of numba over the records of a poll: what each record is, then one FRAME row a frame. No JSON fields here."""

import numpy as np
from numba import types
from numpy.typing import NDArray

from fleetpulse.codecs.batch import MAX_PAYLOAD_BYTES
from fleetpulse.codecs.form import json_begin
from fleetpulse.codecs.jit import inlined, kernel
from fleetpulse.codecs.layout import EMPTY_ROW, FRAME_BYTES, offset
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
    store_i16,
    store_i32,
    store_i64,
    store_u8,
)
from fleetpulse.codecs.partition import of_halves
from fleetpulse.codecs.protobuf import MALFORMED, NO_DEVICE_ID, TAKEN, read_frame
from fleetpulse.codecs.schema import Kind
from fleetpulse.codecs.straight import REACH, read_straight
from fleetpulse.codecs.wire import BROKEN, next_frame

TICK, PROTOBUF, OBJECT, LIST, FRAMING, OVERSIZE = range(6)
"""What a record is: no value, a batch, a JSON object or list; a batch whose lengths are wrong; too long."""
MISROUTED = 3
"""What can be wrong with a frame beside what read_frame says."""
assert MISROUTED not in (TAKEN, MALFORMED, NO_DEVICE_ID)

_APPEND_MS, _OFFSET, _POSITION, _PARTITION = offset("append_ms"), offset("offset"), offset("position"), offset("partition")
_KIND, _DEVICE = offset("kind"), offset("device_hi")
_TICK_KIND = int(Kind.TICK)
_OPEN_LIST = 0x5B
_i64, _i64s = types.int64, types.int64[::1]


@kernel(_i64(BYTES, _i64s, OUT, _i64s), counted=False)
def survey(payload: Bytes, ends: NDArray[np.int64], forms: Bytes, rows: NDArray[np.int64]) -> int:
    """First pass: what each of the R records is (forms) and how many rows it gives; a list gives none yet.

    Returns how many records are neither ticks nor proper batches.
    """
    data, kinds, unusual = base(payload), base(forms), 0
    begin = int64(0)
    for r in range(len(ends)):
        end = ends[r]
        form, count = PROTOBUF, 0
        if end == begin:
            form, count = TICK, 1
        elif end - begin > MAX_PAYLOAD_BYTES:
            form = OVERSIZE
        else:
            opening = json_begin(data, begin, end)
            if opening >= 0:
                is_list = load_u8(data, opening) == _OPEN_LIST
                form, count = (LIST, 0) if is_list else (OBJECT, 1)
            else:
                frame, at = next_frame(data, begin, end)
                while frame >= 0:
                    count += 1
                    frame, at = next_frame(data, at, end)
                if frame == BROKEN or count == 0:
                    form, count = FRAMING, 0
        store_u8(kinds, r, form)
        rows[r] = count
        unusual += form >= OBJECT
        begin = end
    return unusual


@inlined
def _write_origin(out: Memory, row: int, append_ms: int, kafka_offset: int, position: int, shard: int) -> None:
    store_i64(out, row + _APPEND_MS, append_ms)
    store_i64(out, row + _OFFSET, kafka_offset)
    store_i32(out, row + _POSITION, position)
    store_i16(out, row + _PARTITION, shard)


@kernel(_i64(BYTES, _i64s, _i64s, _i64s, BYTES, _i64s, _i64, _i64, OUT, types.int64[:, ::1]), counted=False)
def fill(
    payload: Bytes,
    ends: NDArray[np.int64],
    offsets: NDArray[np.int64],
    append_ms: NDArray[np.int64],
    forms: Bytes,
    rows: NDArray[np.int64],
    shard: int,
    partitions: int,
    out: Bytes,
    faults: NDArray[np.int64],
) -> int:
    """Second pass: every row's origin, the fields of protobuf frames; rows of JSON records stay empty.

    out     (N * FRAME_BYTES,) the bytes of FRAME rows, filled
    faults  at least (N, 6), filled with record, position, begin and end in payload, what is wrong, row; returns how many
    """
    data, kinds, target = base(payload), base(forms), base(out)
    limit, failed = len(payload), 0
    begin, row = int64(0), int64(0)
    for r in range(len(ends)):
        form, at = load_u8(kinds, r), begin
        for position in range(rows[r]):
            status = TAKEN
            frame_begin = at
            copy(target, row, base(EMPTY_ROW), 0, FRAME_BYTES)
            if form == PROTOBUF:
                frame, at = next_frame(data, at, ends[r])
                taken_to = read_straight(data, frame, target, row) if limit - frame >= REACH else frame
                status = read_frame(data, frame, taken_to, at, target, row)
            elif form == TICK:
                store_u8(target, row + _KIND, _TICK_KIND)
            _write_origin(target, row, append_ms[r], offsets[r], position, shard)
            if status == TAKEN and form == PROTOBUF:
                hi, lo = load_i64(target, row + _DEVICE), load_i64(target, row + _DEVICE + 8)
                if of_halves(hi, lo, partitions) != shard:
                    status = MISROUTED
            if status != TAKEN:
                faults[failed, 0], faults[failed, 1] = r, position
                faults[failed, 2], faults[failed, 3] = frame_begin, at
                faults[failed, 4], faults[failed, 5] = status, row // FRAME_BYTES
                failed += 1
            row += FRAME_BYTES
        begin = ends[r]
    return failed
