"""How often a vehicle is heard, learned from the gaps between its frames, and how long a silence therefore counts as offline.

The longest gap, forgotten slowly: a longer gap takes the learned one half of the way up (one lost batch is no habit, two of them are), time
takes it down to nothing in FORGET times the longest silence. Parked vehicles report seldom, so there are two of them. A gap that ends with
backlog was one of the radio; one longer than the longest silence is no cadence. Its naive twin is in tests/naive/vehicle.py.
"""

from typing import Any

import numpy as np

from fleetpulse.codecs.jit import inlined
from fleetpulse.codecs.schema import Status
from fleetpulse.state.cast import code, real, whole
from fleetpulse.state.vehicle import Flag

FORGET = 12
"""More than 1, so that a deadline never comes nearer while a vehicle is heard."""
RISE = 0.5
_IN_USE, _BACKLOG = code(Status.IN_USE), code(Status.BACKLOG)
_DISCONNECTED = code(Flag.DISCONNECTED)
_PARKED, _RIDING = code(0), code(1)


@inlined
def _which(v: Any) -> int:
    return _RIDING if v.status & _IN_USE else _PARKED


@inlined
def learn(v: Any, status: int, gap_ms: int, rules: Any) -> None:
    """A frame of `status` came gap_ms after the last one that was heard, our outages left out. v.status is still that of before."""
    if gap_ms <= 0:
        return
    which = _which(v)
    learned = real(v.cadence_s[which])
    gap_s = gap_ms * 1e-3
    if gap_s > learned and gap_ms <= rules.offline_longest_ms and not status & _BACKLOG:
        learned += RISE * (gap_s - learned)
    v.cadence_s[which] = np.float32(learned * max(0.0, 1.0 - gap_ms / (FORGET * real(rules.offline_longest_ms))))


@inlined
def limit_ms(v: Any, rules: Any) -> int:
    """The silence after which the vehicle counts as offline."""
    least = whole(rules.offline_ms)
    if v.flag_bits & _DISCONNECTED:
        least = min(least, whole(rules.offline_disconnected_ms))
    expected = whole(real(v.cadence_s[_which(v)]) * 1e3 * rules.offline_gaps)
    return whole(max(least, min(expected, rules.offline_longest_ms)))
