"""The one kernel that walks a batch: stream time, timers, operations, frames. All else is a part of it, inlined.

Every row of the batch is taken whole or not at all, and what it does depends on the rows before it alone: the batch may be cut anywhere.
"""

from typing import Any

from numba import types

from fleetpulse.codecs.jit import direct, inlined, kernel, merged
from fleetpulse.codecs.operations import Operation
from fleetpulse.codecs.schema import Kind
from fleetpulse.state import conditions, frame, report, signals, slots, timers, windows
from fleetpulse.state.cast import code, whole
from fleetpulse.state.facts import Cause, Fact
from fleetpulse.state.vehicle import AHEAD, BLOCK_SHIFT, FRAMES_T, HEADER_T, OUT_T, STORE_T, TOLD_T, Flag, Pool

DONE, FULL, BOUNDARY = 0, 1, 2
"""Why the kernel came back: the batch is through, a buffer or pool may be too small for the next row, an interval boundary."""
FACTS_A_ROW = 32
WINDOWS_A_ROW = 4
MARKS_A_ROW = 2

_FRAME, _OPERATION_ROW = code(Kind.FRAME), code(Kind.OPERATION)
_PICKED_UP, _ANCHORED = code(Flag.PICKED_UP), code(Flag.ANCHORED)
_OPERATION, _BY_OPERATION = code(Fact.OPERATION), code(Cause.OPERATION)
_MAINTENANCE_DONE, _PICK_UP, _DROP_OFF = code(Operation.MAINTENANCE_DONE), code(Operation.REBALANCE_PICK_UP), code(Operation.DROP_OFF)
_CONNECTED, _DISCONNECTED = code(Operation.CONNECTED), code(Operation.DISCONNECTED)
_CUT_OFF = code(Flag.DISCONNECTED)
_DECOMMISSIONED, _RECOMMISSIONED = code(Operation.DECOMMISSIONED), code(Operation.RECOMMISSIONED)
_GAPS, _DWELLS, _TRIPS, _BEFORE = code(Pool.GAPS), code(Pool.DWELLS), code(Pool.TRIPS), code(Pool.BEFORE)


@inlined
def _room(header: Any, store: Any, out: Any) -> int:
    """How many rows may be taken before anything could be full: a row takes at most one slot and one block of each pool."""
    rows = min((len(out.facts) - header.facts) // FACTS_A_ROW, (len(out.windows) - header.windows) // WINDOWS_A_ROW)
    rows = min(rows, (len(store.marks) - header.marks) // MARKS_A_ROW)
    rows = min(rows, len(store.vehicles) - header.live)
    rows = min(rows, len(store.gaps) - header.taken[_GAPS])
    rows = min(rows, len(store.dwells) - header.taken[_DWELLS])
    rows = min(rows, len(store.trips) - header.taken[_TRIPS])
    return whole(min(rows, len(store.before) - header.taken[_BEFORE]))


@inlined
def _advance(header: Any, rules: Any, time_ms: int) -> bool:
    """Let stream time go on to time_ms, which is later. True when it crosses a whole second. A long jump was an outage of ours.

    What the outage held up may be late by as much for a while; a second outage within that while adds to it.
    """
    before_ms = whole(header.stream_ms)
    header.stream_ms = time_ms
    if before_ms == 0:
        return False
    if time_ms - before_ms > rules.silence_jump_ms:
        lost_ms = time_ms - before_ms
        header.outage_ms += lost_ms
        header.lenience_ms = lost_ms + (header.lenience_ms if before_ms < header.lenient_until_ms else 0)
        header.lenient_until_ms = time_ms + windows.PATIENCE_MS + min(header.lenience_ms, windows.LONGEST_LENIENCE_MS)
    if time_ms // rules.interval_ms != before_ms // rules.interval_ms:
        header.boundary_ms = time_ms // rules.interval_ms * rules.interval_ms
    return time_ms // 1000 != before_ms // 1000


@inlined
def _by_operation(row: Any, f: Any, at: int) -> None:
    row.cause = _BY_OPERATION
    row.row = at
    row.event_ms = f.time_ms
    row.append_ms = f.append_ms
    row.first_offset = f.offset
    row.last_offset = f.offset


@inlined
def _operate(header: Any, store: Any, facts: Any, f: Any, at: int, rules: Any) -> None:
    """Report an operation of a known vehicle, and what it changes here: a crash is over, staff has the vehicle, or no longer."""
    slot = slots.find(store.table, store.vehicles, f.device_hi, f.device_lo)
    if slot < 0:
        header.operations_unknown += 1
        return
    v = store.vehicles[slot]
    store.dirty[slot >> BLOCK_SHIFT] = 1
    _by_operation(report.blank(header, facts, v, slot, _OPERATION, report.NO_CONDITION), f, at)
    if f.operation == _MAINTENANCE_DONE:
        v.flag_bits &= 0xFF ^ _ANCHORED
        first = conditions.clear_by_hand(header, facts, v, slot, signals.CRASH | signals.THEFT)
        for i in range(first, header.facts):
            _by_operation(facts[i], f, at)
    elif f.operation == _DISCONNECTED:
        v.flag_bits |= _CUT_OFF
        windows.due_by(header, store, slot, timers.next_of(header, store, v, rules))
    elif f.operation == _CONNECTED:
        v.flag_bits &= 0xFF ^ _CUT_OFF
    elif f.operation in (_PICK_UP, _DECOMMISSIONED):
        v.flag_bits |= _PICKED_UP
    elif f.operation in (_DROP_OFF, _RECOMMISSIONED):
        v.flag_bits &= 0xFF ^ (_PICKED_UP | _ANCHORED)


@merged
def _look_ahead(header: Any, store: Any, frames: Any, row: int) -> None:
    """Guess the slot of a row that comes later and have its record fetched; and the place in the table of one that comes later still."""
    if row + AHEAD < len(frames):
        slots.expect(store.table, frames[row + AHEAD].device_hi, frames[row + AHEAD].device_lo)
    if row < len(frames):
        f = frames[row]
        header.guesses[row % AHEAD] = slots.guess(store.table, store.vehicles, f.device_hi, f.device_lo)


@kernel(types.int64(FRAMES_T, HEADER_T, STORE_T, TOLD_T, OUT_T), counted=False)
def run(frames: Any, headers: Any, store: Any, told: Any, out: Any) -> int:
    """Go on with the batch at headers[0].row until DONE, FULL or BOUNDARY.

    frames   (N,) FRAME in offset order
    headers  (1,) HEADER; `facts` and `windows` are how many rows of `out` are written
    """
    header = headers[0]
    rules = told.rules[0]
    header.facts = 0
    header.windows = 0
    for row in range(header.row, header.row + AHEAD):
        _look_ahead(header, store, frames, row)
    left = 0
    while True:
        if header.sweep_slot >= 0:
            if not timers.sweep(header, store, out, rules):
                return FULL
            left = 0
        if header.boundary_ms != 0:
            return BOUNDARY
        if header.row == len(frames):
            return DONE
        f = frames[header.row]
        if f.append_ms > header.stream_ms and _advance(header, rules, f.append_ms) and header.deadline_ms <= header.stream_ms:
            header.sweep_slot = 0
            continue
        if header.boundary_ms != 0:
            continue
        if left == 0:
            left = _room(header, store, out)
            if left == 0:
                return FULL
        left -= 1
        guessed = header.guesses[header.row % AHEAD]
        _look_ahead(header, store, frames, header.row + AHEAD)
        if f.kind == _FRAME:
            frame.take(header, store, told, out, f, header.row, guessed)
        elif f.kind == _OPERATION_ROW:
            _operate(header, store, out.facts, f, header.row, rules)
        header.row += 1


run_direct = direct(run)
"""`run`, for arguments of the types in its signature."""
