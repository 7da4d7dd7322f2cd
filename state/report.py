"""Writes the rows that leave the kernel: facts. Called by every other part; there must be room in the buffer."""

from typing import Any

import numpy as np

from fleetpulse.codecs.jit import inlined
from fleetpulse.state.cast import code
from fleetpulse.state.facts import Cause
from fleetpulse.state.geofence import positioned

_FRAME, _DEADLINE = code(Cause.FRAME), code(Cause.DEADLINE)
NO_CONDITION = code(0)
_NONE = np.uint64(0)


@inlined
def blank(header: Any, facts: Any, v: Any, slot: int, fact: int, condition: int) -> Any:
    """A new row, filled with what every fact says of the vehicle; no values, no trip, cause FRAME, offsets of the last heard frame."""
    row = facts[header.facts]
    header.facts += 1
    row.fact = fact
    row.condition = condition
    row.cause = _FRAME
    row.late = 0
    row.slot = slot
    row.row = -1
    row.status = v.status
    row.boot_id = v.boot_id
    row.seq = v.seq
    row.device_hi = v.device_hi
    row.device_lo = v.device_lo
    row.trip_hi = _NONE
    row.trip_lo = _NONE
    row.event_ms = v.newest_ms
    row.stream_ms = header.stream_ms
    row.append_ms = 0
    row.cause_ms = 0
    row.first_offset = v.offset
    row.last_offset = v.offset
    row.latitude_e7 = v.latitude_e7
    row.longitude_e7 = v.longitude_e7
    row.city = v.city
    row.vehicle_model = v.model
    row.soc_pct = v.soc_pct
    for i in range(len(row.value)):
        row.value[i] = 0.0
    return row


@inlined
def of_frame(row: Any, f: Any, at: int, event_ms: int) -> None:
    """Make the frame at row `at` of the batch the fact's cause."""
    row.row = at
    row.status = f.status
    row.boot_id = f.boot_id
    row.seq = f.seq
    row.event_ms = event_ms
    row.append_ms = f.append_ms
    row.first_offset = f.offset
    row.last_offset = f.offset


@inlined
def of_late_frame(row: Any, f: Any, at: int, event_ms: int) -> None:
    """The same for a frame that did not become the vehicle's newest: it speaks of where the vehicle was then."""
    of_frame(row, f, at, event_ms)
    if positioned(f):
        row.latitude_e7 = f.latitude_e7
        row.longitude_e7 = f.longitude_e7
    if not np.isnan(f.battery_soc_pct):
        row.soc_pct = f.battery_soc_pct


@inlined
def of_deadline(row: Any, deadline_ms: int) -> None:
    """Make a timer the fact's cause."""
    row.cause = _DEADLINE
    row.cause_ms = deadline_ms
    row.event_ms = deadline_ms
