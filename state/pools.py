"""Blocks for what few vehicles have at a time. A block's number is its index + 1; 0 is none. Freed blocks are chained by `next`."""

from typing import Any

from fleetpulse.codecs.jit import inlined
from fleetpulse.state.cast import whole


@inlined
def take(header: Any, pool: Any, which: int) -> int:
    """A block's number, its content as it was left. There must be room: header.taken[which] < len(pool)."""
    number = whole(header.free[which])
    if number:
        header.free[which] = pool[number - 1].next
    else:
        number = whole(header.used[which]) + 1
        header.used[which] = number
    header.taken[which] += 1
    return number


@inlined
def give(header: Any, pool: Any, which: int, number: int) -> None:
    """Free a block."""
    pool[number - 1].next = header.free[which]
    header.free[which] = number
    header.taken[which] -= 1
