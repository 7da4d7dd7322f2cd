"""The sequence audit of one vehicle: which frames it must have sent, as far as its frames tell, and which of them never came.

What is known to have been sent, for each boot: every seq up to the highest one seen, and up to `previous_last_seq` as announced by
frame 0 of the boot after. What is known and was not seen is a gap. The result does not depend on the order of arrival, unless more than
GAPS gaps are open (the smallest is dropped: its frames stay counted as missing, and are duplicates when they come after all) or more than
BOOTS older boots have an unknown end (the oldest is taken as ended). A boot older than 32 boots has ended, and of those that have, only
the one before the present one may turn out to have gone on further than was announced.
"""

from typing import Any

import numpy as np

from fleetpulse.codecs.jit import inlined
from fleetpulse.state import pools
from fleetpulse.state.cast import code, whole
from fleetpulse.state.vehicle import BOOTS, GAPS, Pool

_POOL = code(Pool.GAPS)
_FIRST = code(0)


@inlined
def _block(header: Any, store: Any, v: Any) -> Any:
    """The vehicle's block of gaps, a new and empty one if it has none."""
    if v.gaps == 0:
        v.gaps = pools.take(header, store.gaps, _POOL)
        store.gaps[v.gaps - 1].gaps = 0
        store.gaps[v.gaps - 1].boots = 0
    return store.gaps[v.gaps - 1]


@inlined
def _tidy(header: Any, store: Any, v: Any) -> None:
    """Give the block back when nothing is in it."""
    if v.gaps:
        block = store.gaps[v.gaps - 1]
        if block.gaps == 0 and block.boots == 0:
            pools.give(header, store.gaps, _POOL, v.gaps)
            v.gaps = 0


@inlined
def _remove(block: Any, i: int) -> None:
    for k in range(i, block.gaps - 1):
        block.boot_id[k] = block.boot_id[k + 1]
        block.first[k] = block.first[k + 1]
        block.last[k] = block.last[k + 1]
    block.gaps -= 1


@inlined
def _insert(header: Any, block: Any, boot: int, first: int, last: int) -> None:
    """Enter a gap in its place. When the block is full, the smallest of all (the first of equals) is dropped."""
    if block.gaps == GAPS:
        header.gaps_overflow += 1
        smallest, size = -1, last - first
        for k in range(GAPS):
            before = block.boot_id[k] < boot or (block.boot_id[k] == boot and block.first[k] < first)
            width = whole(block.last[k]) - whole(block.first[k])
            if width < size or (width == size and before and smallest < 0):
                smallest, size = k, width
        if smallest < 0:
            return
        _remove(block, smallest)
    k = whole(block.gaps)
    while k > 0 and (block.boot_id[k - 1] > boot or (block.boot_id[k - 1] == boot and block.first[k - 1] > first)):
        block.boot_id[k] = block.boot_id[k - 1]
        block.first[k] = block.first[k - 1]
        block.last[k] = block.last[k - 1]
        k -= 1
    block.boot_id[k] = boot
    block.first[k] = first
    block.last[k] = last
    block.gaps += 1


@inlined
def _open(header: Any, store: Any, v: Any, boot: int, first: int, last: int) -> None:
    """first..last of a boot were sent and not seen; nothing when the range is empty."""
    if first <= last:
        v.missing += last - first + 1
        header.missing += last - first + 1
        _insert(header, _block(header, store, v), boot, first, last)


@inlined
def _fill(header: Any, store: Any, v: Any, boot: int, seq: int) -> bool:
    """Take one frame out of the open gaps. False when none has it."""
    if v.gaps == 0:
        return False
    block = store.gaps[v.gaps - 1]
    for k in range(block.gaps):
        if block.boot_id[k] == boot and block.first[k] <= seq <= block.last[k]:
            v.missing -= 1
            header.missing -= 1
            first, last = whole(block.first[k]), whole(block.last[k])
            if seq == last and seq == first:
                _remove(block, k)
            elif seq == first:
                block.first[k] = seq + 1
            elif seq == last:
                block.last[k] = seq - 1
            else:
                block.last[k] = seq - 1
                _insert(header, block, boot, seq + 1, last)
            return True
    return False


@inlined
def _find_boot(block: Any, boot: int) -> int:
    for k in range(block.boots):
        if block.old_boot_id[k] == boot:
            return k
    return -1


@inlined
def _close(v: Any, boot: int, last: int) -> None:
    """It is known from now on that an older boot ended at `last`."""
    age = whole(v.boot_id) - boot - 1
    if age < 32:
        v.closed_boots = np.uint32(whole(v.closed_boots) | (1 << age))
    if age == 0:
        v.closed_seq = last


@inlined
def _closed(v: Any, boot: int) -> bool:
    age = whole(v.boot_id) - boot - 1
    return age >= 32 or ((whole(v.closed_boots) >> age) & 1) == 1


@inlined
def _forget_boot(block: Any, k: int) -> None:
    for i in range(k, block.boots - 1):
        block.old_boot_id[i] = block.old_boot_id[i + 1]
        block.old_last[i] = block.old_last[i + 1]
    block.boots -= 1


@inlined
def _remember_boot(header: Any, store: Any, v: Any, boot: int, last: int) -> None:
    """An older boot was seen up to `last` and its end is not known. When there are too many, the oldest is taken as ended."""
    block = _block(header, store, v)
    if block.boots == BOOTS:
        if boot < block.old_boot_id[0]:
            _close(v, boot, last)
            return
        _close(v, whole(block.old_boot_id[0]), whole(block.old_last[0]))
        _forget_boot(block, 0)
    k = whole(block.boots)
    while k > 0 and block.old_boot_id[k - 1] > boot:
        block.old_boot_id[k] = block.old_boot_id[k - 1]
        block.old_last[k] = block.old_last[k - 1]
        k -= 1
    block.old_boot_id[k] = boot
    block.old_last[k] = last
    block.boots += 1


@inlined
def _announce(header: Any, store: Any, v: Any, boot: int, last: int) -> None:
    """`boot`, older than the present one, ended at `last`: what of it was not seen is a gap."""
    if _closed(v, boot):
        return
    seen = whole(-1)
    if v.gaps:
        block = store.gaps[v.gaps - 1]
        k = _find_boot(block, boot)
        if k >= 0:
            seen = whole(block.old_last[k])
            _forget_boot(block, k)
    _close(v, boot, max(seen, last))
    _open(header, store, v, boot, seen + 1, last)


@inlined
def _older(header: Any, store: Any, v: Any, boot: int, seq: int) -> bool:
    """Enter a frame of an older boot that is in no gap. False when it was there before."""
    if _closed(v, boot):
        last = whole(v.closed_seq)
        if boot != whole(v.boot_id) - 1 or seq <= last:
            return False
        v.closed_seq = seq
        _open(header, store, v, boot, last + 1, seq - 1)
        return True
    k = _find_boot(store.gaps[v.gaps - 1], boot) if v.gaps else -1
    if k < 0:
        _remember_boot(header, store, v, boot, seq)
        _open(header, store, v, boot, _FIRST, seq - 1)
        return True
    block = store.gaps[v.gaps - 1]
    last = whole(block.old_last[k])
    if seq <= last:
        return False
    block.old_last[k] = seq
    _open(header, store, v, boot, last + 1, seq - 1)
    return True


@inlined
def check(header: Any, store: Any, v: Any, boot: int, seq: int, previous_last: int, first_sight: bool) -> bool:
    """Enter a frame; True when it was there before. `previous_last` is -1 when not announced.

    The usual frame, the next of its boot, touches nothing but the record.
    """
    present, highest = whole(v.boot_id), whole(v.seq)
    if first_sight:
        v.boot_id = boot
        v.seq = seq
        v.closed_boots = 0
        _open(header, store, v, boot, _FIRST, seq - 1)
    elif boot == present:
        if seq == highest + 1:
            v.seq = seq
        elif seq > highest:
            v.seq = seq
            _open(header, store, v, boot, highest + 1, seq - 1)
        elif not _fill(header, store, v, boot, seq):
            return True
    elif boot > present:
        age = boot - present
        v.closed_boots = np.uint32((whole(v.closed_boots) << age) & 0xFFFFFFFF) if age < 32 else np.uint32(0)
        v.boot_id = boot
        v.seq = seq
        if not (seq == 0 and previous_last >= 0 and boot == present + 1):
            _remember_boot(header, store, v, present, highest)
        else:
            _close(v, present, max(highest, previous_last))
            _open(header, store, v, present, highest + 1, previous_last)
        _open(header, store, v, boot, _FIRST, seq - 1)
    elif not _fill(header, store, v, boot, seq) and not _older(header, store, v, boot, seq):
        return True
    if seq == 0 and previous_last >= 0 and boot > 0:
        _announce(header, store, v, boot - 1, previous_last)
    _tidy(header, store, v)
    return False
