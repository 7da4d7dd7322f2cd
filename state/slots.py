"""The slot table: device id to dense row. Open addressing with linear probing over one array of (tag, slot + 1) words.

The table is at most half full; the caller makes it larger in time. A freed slot is taken again by the next new vehicle, the last freed one
first, so that slots depend on the log alone.
"""

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from fleetpulse.codecs.jit import inlined, kernel, merged
from fleetpulse.state.cast import code, whole
from fleetpulse.state.prefetch import prefetch
from fleetpulse.state.vehicle import FOREVER_MS, HEADER_T, STORE_T, Flag

_MIX = np.uint64(0x9E3779B97F4A7C15)
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_ZERO = np.uint64(0)
_LIVE = code(Flag.LIVE)


@inlined
def mixed(device_hi: np.uint64, device_lo: np.uint64) -> np.uint64:
    """Hash of a device id (multiplicative, 2^64 / golden ratio); the upper half tags the entry, the lower half places it."""
    h = (device_hi ^ (device_hi >> _SHIFT)) * _MIX
    h = (h ^ device_lo ^ (h >> _SHIFT)) * _MIX
    return h ^ (h >> _SHIFT)


@inlined
def find(table: Any, vehicles: Any, device_hi: np.uint64, device_lo: np.uint64) -> int:
    """The vehicle's slot; -1 when it has none."""
    mask = whole(len(table) - 1)
    h = mixed(device_hi, device_lo)
    tag = h >> _SHIFT
    at = whole(h & _LOW) & mask
    while table[at] != _ZERO:
        if table[at] >> _SHIFT == tag:
            slot = whole(table[at] & _LOW) - 1
            if vehicles[slot].device_hi == device_hi and vehicles[slot].device_lo == device_lo:
                return slot
        at = (at + 1) & mask
    return -1


@merged
def expect(table: Any, device_hi: np.uint64, device_lo: np.uint64) -> None:
    """Have the vehicle's place in the table fetched."""
    prefetch(table, whole(mixed(device_hi, device_lo) & _LOW) & whole(len(table) - 1))


@merged
def guess(table: Any, vehicles: Any, device_hi: np.uint64, device_lo: np.uint64) -> int:
    """The slot that a vehicle seems to have, by its tag alone, and its record on the way to the cache; -1 when it has none."""
    mask = whole(len(table) - 1)
    h = mixed(device_hi, device_lo)
    tag = h >> _SHIFT
    at = whole(h & _LOW) & mask
    while table[at] != _ZERO:
        if table[at] >> _SHIFT == tag:
            slot = whole(table[at] & _LOW) - 1
            prefetch(vehicles, slot)
            return slot
        at = (at + 1) & mask
    return -1


@merged
def confirm(table: Any, vehicles: Any, guessed: int, device_hi: np.uint64, device_lo: np.uint64) -> int:
    """The vehicle's slot; -1 when it has none. Quick when the guess is right."""
    if guessed >= 0:
        v = vehicles[guessed]
        if v.device_hi == device_hi and v.device_lo == device_lo and v.flag_bits & _LIVE:
            return guessed
    return find(table, vehicles, device_hi, device_lo)


@inlined
def place(table: Any, device_hi: np.uint64, device_lo: np.uint64, slot: int) -> None:
    """Enter a vehicle that is not in the table."""
    mask = whole(len(table) - 1)
    h = mixed(device_hi, device_lo)
    at = whole(h & _LOW) & mask
    while table[at] != _ZERO:
        at = (at + 1) & mask
    table[at] = (h >> _SHIFT << _SHIFT) | np.uint64(slot + 1)


@inlined
def take(header: Any, vehicles: Any) -> int:
    """A slot for a new vehicle, its record as it was left. There must be room."""
    slot = whole(header.free_slot)
    if slot >= 0:
        header.free_slot = whole(vehicles[slot].boot_id) - 1
    else:
        slot = whole(header.slots)
        header.slots = slot + 1
    header.live += 1
    return slot


@inlined
def release(header: Any, store: Any, slot: int) -> None:
    """Take a vehicle out of the table (shifting back those that probing put behind it) and free its slot."""
    table, vehicles = store.table, store.vehicles
    mask = whole(len(table) - 1)
    v = vehicles[slot]
    at = whole(mixed(v.device_hi, v.device_lo) & _LOW) & mask
    while whole(table[at] & _LOW) != slot + 1:
        at = (at + 1) & mask
    hole = at
    while True:
        at = (at + 1) & mask
        if table[at] == _ZERO:
            break
        other = vehicles[whole(table[at] & _LOW) - 1]
        home = whole(mixed(other.device_hi, other.device_lo) & _LOW) & mask
        if (at - home) & mask >= (at - hole) & mask:
            table[hole] = table[at]
            hole = at
    table[hole] = _ZERO
    v.flag_bits = 0
    v.device_hi = _ZERO
    v.device_lo = _ZERO
    v.boot_id = np.uint32(header.free_slot + 1)
    header.free_slot = slot
    header.live -= 1
    store.deadlines[slot] = FOREVER_MS


@kernel(types.void(HEADER_T, STORE_T))
def fill(header: Any, store: Any) -> None:
    """Enter all live vehicles into an empty table, after it grew or a snapshot was restored."""
    for slot in range(header[0].slots):
        v = store.vehicles[slot]
        if v.flag_bits & _LIVE:
            place(store.table, v.device_hi, v.device_lo, slot)


def table_for(capacity: int) -> NDArray[np.uint64]:
    """An empty table in which `capacity` vehicles fill at most half."""
    return np.zeros(1 << max(4, (2 * capacity - 1).bit_length()), dtype=np.uint64)
