"""What happens to a vehicle because stream time went on: its windows close, it counts as offline, missing, forgotten.

`deadlines[slot]` is a time before which nothing of that happens, not always the exact one: a frame only ever makes the true deadline later
or writes an earlier one, and the sweep finds out. So a frame costs no more than a comparison.
"""

from typing import Any

from fleetpulse.codecs.jit import inlined
from fleetpulse.state import cadence, pools, report, slots, windows
from fleetpulse.state.cast import code, whole
from fleetpulse.state.facts import Condition, Fact
from fleetpulse.state.vehicle import BLOCK_SHIFT, FOREVER_MS, Pool

FACTS_A_SLOT = 3
WINDOWS_A_SLOT = 2
_OFFLINE, _MISSING = code(Condition.OFFLINE), code(Condition.MISSING)
_RAISED, _EVICTED = code(Fact.RAISED), code(Fact.EVICTED)
_GAPS, _DWELLS, _TRIPS = code(Pool.GAPS), code(Pool.DWELLS), code(Pool.TRIPS)


@inlined
def _silent(header: Any, facts: Any, v: Any, slot: int, condition: int, limit_ms: int) -> None:
    """Raise OFFLINE or MISSING if its deadline has come and it is not active."""
    deadline_ms = v.heard_alive_ms + limit_ms + header.outage_ms
    if deadline_ms <= header.stream_ms and not v.active & (1 << condition):
        row = report.blank(header, facts, v, slot, _RAISED, condition)
        report.of_deadline(row, deadline_ms)
        row.value[0] = limit_ms / 1000.0
        row.value[1] = limit_ms / 1000.0
        v.active |= 1 << condition


@inlined
def _evict(header: Any, store: Any, facts: Any, v: Any, slot: int, deadline_ms: int) -> None:
    """Forget a vehicle, its windows being closed."""
    row = report.blank(header, facts, v, slot, _EVICTED, report.NO_CONDITION)
    report.of_deadline(row, deadline_ms)
    header.evicted += 1
    if v.gaps:
        pools.give(header, store.gaps, _GAPS, v.gaps)
    if v.dwells:
        pools.give(header, store.dwells, _DWELLS, v.dwells)
    if v.trip:
        pools.give(header, store.trips, _TRIPS, v.trip)
    slots.release(header, store, slot)


@inlined
def next_of(header: Any, store: Any, v: Any, rules: Any) -> int:
    """When something will happen to the vehicle by itself."""
    deadline_ms = v.heard_alive_ms + rules.evict_ms
    if not v.active & (1 << _OFFLINE):
        deadline_ms = min(deadline_ms, v.heard_alive_ms + cadence.limit_ms(v, rules))
    if not v.active & (1 << _MISSING):
        deadline_ms = min(deadline_ms, v.heard_alive_ms + rules.missing_ms)
    deadline_ms += header.outage_ms
    if v.minute.frames:
        deadline_ms = min(deadline_ms, windows.due_ms(header, v.minute.start_ms + rules.window_ms))
    if v.before:
        deadline_ms = min(deadline_ms, windows.due_ms(header, store.before[v.before - 1].minute.start_ms + rules.window_ms))
    return whole(deadline_ms)


@inlined
def _run(header: Any, store: Any, out: Any, rules: Any, slot: int) -> None:
    """All that is due for one vehicle, in the order of time as far as it matters: windows, offline, missing, forgotten."""
    v = store.vehicles[slot]
    now_ms = header.stream_ms
    forget_ms = v.heard_alive_ms + rules.evict_ms + header.outage_ms
    forget = forget_ms <= now_ms
    store.dirty[slot >> BLOCK_SHIFT] = 1
    if v.before and (forget or windows.due_ms(header, store.before[v.before - 1].minute.start_ms + rules.window_ms) <= now_ms):
        windows.close_before(header, store, out.windows, v, slot, rules.window_ms)
    if v.minute.frames and (forget or windows.due_ms(header, v.minute.start_ms + rules.window_ms) <= now_ms):
        windows.close(header, out.windows, v, slot, v.minute, rules.window_ms)
    _silent(header, out.facts, v, slot, _OFFLINE, cadence.limit_ms(v, rules))
    _silent(header, out.facts, v, slot, _MISSING, rules.missing_ms)
    if forget:
        _evict(header, store, out.facts, v, slot, forget_ms)
    else:
        store.deadlines[slot] = next_of(header, store, v, rules)


@inlined
def sweep(header: Any, store: Any, out: Any, rules: Any) -> bool:
    """Run the timers of all vehicles in the order of slots, from header.sweep_slot on. False when an output buffer is full: call again."""
    now_ms = header.stream_ms
    earliest = whole(header.sweep_ms)
    for slot in range(header.sweep_slot, header.slots):
        if store.deadlines[slot] <= now_ms:
            if len(out.facts) - header.facts < FACTS_A_SLOT or len(out.windows) - header.windows < WINDOWS_A_SLOT:
                header.sweep_slot = slot
                header.sweep_ms = earliest
                return False
            _run(header, store, out, rules, slot)
        earliest = min(earliest, store.deadlines[slot])
    header.sweep_slot = -1
    header.sweep_ms = FOREVER_MS
    header.deadline_ms = earliest
    return True
