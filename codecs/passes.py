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
    fetch,
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
from fleetpulse.codecs.wire import BROKEN, DONE, next_frame

TICK, PROTOBUF, OBJECT, LIST, PLAIN, FRAMING, OVERSIZE = range(7)
"""What a record is: no value, a batch, a JSON object, a JSON list, a JSON list that Python reads; a batch whose lengths are wrong; too
long."""
MISROUTED = 3
"""What can be wrong with a frame beside what read_frame says."""
assert MISROUTED not in (TAKEN, MALFORMED, NO_DEVICE_ID)
MAX_FAULTS = 100
"""Frames of one record that are dead letters one by one. When more are wrong, they are one letter, the record: so a million bytes
cannot make hundreds of thousands of letters."""
MIN_FRAME_BYTES = 18
"""A shorter frame cannot hold a device id, and gets no row: so rows take at most a few times the space of the bytes."""
MIN_OBJECT_BYTES = 52
"""The same for a JSON object."""

_LINE_BYTES = 64
_AHEAD_BYTES, _AHEAD_LINES = 1024, 3
"""How far before the first pass the bytes are asked for, and how much at each frame: it jumps from length to length, and would wait for
memory at each."""
_APPEND_MS, _OFFSET, _POSITION, _PARTITION = offset("append_ms"), offset("offset"), offset("position"), offset("partition")
_KIND, _DEVICE = offset("kind"), offset("device_hi")
_TICK_KIND = int(Kind.TICK)
_OPEN_OBJECT, _OPEN_LIST = b"{["
_i64, _i64s = types.int64, types.int64[::1]


@inlined
def _survey_batch(data: Memory, begin: int, end: int) -> tuple[int, int, int]:
    """(form, rows, frames) of a record that is no JSON."""
    frames, rows = 0, 0
    frame, at = next_frame(data, begin, end)
    while frame >= 0:
        for line in range(_AHEAD_BYTES, _AHEAD_BYTES + _AHEAD_LINES * _LINE_BYTES, _LINE_BYTES):
            fetch(data, frame + line)
        frames += 1
        rows += at - frame >= MIN_FRAME_BYTES
        frame, at = next_frame(data, at, end)
    return (FRAMING, 0, 0) if frame == BROKEN or frames == 0 else (PROTOBUF, rows, frames)


@inlined
def _survey_list(data: Memory, begin: int, end: int) -> tuple[int, int]:
    """(form, rows) of a JSON list: one for each opening brace, which holds if no frame has an unusual form."""
    rows = 0
    for at in range(begin, end):
        rows += load_u8(data, at) == _OPEN_OBJECT
    return (LIST, rows) if rows > 0 and rows * MIN_OBJECT_BYTES <= end - begin else (PLAIN, 0)


@kernel(types.void(BYTES, _i64s, OUT, _i64s, _i64s), counted=False)
def survey(payload: Bytes, ends: NDArray[np.int64], forms: Bytes, rows: NDArray[np.int64], totals: NDArray[np.int64]) -> None:
    """First pass: what each of the R records is (forms), and how many rows it may need.

    totals  (3,) filled: rows; records that are neither ticks nor proper batches; faults that fill may list
    """
    data, kinds = base(payload), base(forms)
    total, unusual, faults, begin = 0, 0, 0, int64(0)
    for r in range(len(ends)):
        end = ends[r]
        form, count, frames = TICK, 1, 0
        if end - begin > MAX_PAYLOAD_BYTES:
            form, count = OVERSIZE, 0
        elif end > begin:
            opening = json_begin(data, begin, end)
            if opening < 0:
                form, count, frames = _survey_batch(data, begin, end)
            elif load_u8(data, opening) == _OPEN_LIST:
                form, count = _survey_list(data, begin, end)
            else:
                form, count = OBJECT, 1
        store_u8(kinds, r, form)
        rows[r] = count
        total += count
        unusual += form >= OBJECT
        faults += min(frames, MAX_FAULTS)
        begin = end
    totals[0], totals[1], totals[2] = total, unusual, faults


@inlined
def _write_origin(out: Memory, row: int, append_ms: int, kafka_offset: int, position: int, shard: int) -> None:
    store_i64(out, row + _APPEND_MS, append_ms)
    store_i64(out, row + _OFFSET, kafka_offset)
    store_i32(out, row + _POSITION, position)
    store_i16(out, row + _PARTITION, shard)


@inlined
def _read(data: Memory, limit: int, frame: int, end: int, out: Memory, row: int, shard: int, partitions: int) -> int:
    """TAKEN, or what is wrong with the frame at [frame, end)."""
    taken_to = read_straight(data, frame, out, row) if limit - frame >= REACH else frame
    status = read_frame(data, frame, taken_to, end, out, row)
    if status == TAKEN and of_halves(load_i64(out, row + _DEVICE), load_i64(out, row + _DEVICE + 8), partitions) != shard:
        return MISROUTED
    return status


@kernel(types.void(BYTES, _i64s, _i64s, _i64s, BYTES, _i64s, _i64, _i64, OUT, _i64s, _i64s, _i64[:, ::1], _i64s), counted=False)
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
    first_rows: NDArray[np.int64],
    fault_counts: NDArray[np.int64],
    faults: NDArray[np.int64],
    totals: NDArray[np.int64],
) -> None:
    """Second pass: the protobuf frames that are taken, each a row; ticks; and empty rows for JSON, origin included.

    out           the bytes of FRAME rows, one more than survey counted; filled
    first_rows    (R,) filled with the row where each record begins
    fault_counts  (R,) filled with the number of frames that are not taken
    faults        (F, 5) filled with record, position, begin and end in payload, what is wrong, for the first MAX_FAULTS of a record
    totals        (2,) filled: rows in out; faults listed
    """
    data, kinds, target, limit = base(payload), base(forms), base(out), len(payload)
    begin, row, listed = int64(0), int64(0), 0
    for r in range(len(ends)):
        form, at, end = load_u8(kinds, r), begin, ends[r]
        first_rows[r], fault_counts[r] = row // FRAME_BYTES, 0
        position = 0
        while at < end if form == PROTOBUF else position < rows[r]:
            copy(target, row, base(EMPTY_ROW), 0, FRAME_BYTES)
            _write_origin(target, row, append_ms[r], offsets[r], position, shard)
            status = TAKEN
            if form == PROTOBUF:
                frame_begin = at
                frame, at = next_frame(data, at, end)
                if frame == DONE:
                    break
                status = _read(data, limit, frame, at, target, row, shard, partitions)
                if status != TAKEN:
                    if fault_counts[r] < MAX_FAULTS:
                        faults[listed, 0], faults[listed, 1], faults[listed, 2] = r, position, frame_begin
                        faults[listed, 3], faults[listed, 4] = at, status
                        listed += 1
                    fault_counts[r] += 1
            elif form == TICK:
                store_u8(target, row + _KIND, _TICK_KIND)
            position += 1
            if status == TAKEN:
                row += FRAME_BYTES
        begin = end
    totals[0], totals[1] = row // FRAME_BYTES, listed
