"""What a shard remembers, as bytes: one record a vehicle, pools for what few vehicles have at a time, one header. Layout only.

A record is at most 400 bytes, the open window included; what is rare (open gaps, a running dwell, a trip, the window before) stands in a
pool of blocks that the record points to (index + 1; 0: none). LAYOUT names the version: a snapshot of another one is refused.
"""

from enum import IntEnum, IntFlag
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from fleetpulse.codecs.schema import FIRMWARE_BYTES, FRAME, MISSING_E7
from fleetpulse.codecs.tables import WINDOW
from fleetpulse.state.facts import FACT, Condition
from fleetpulse.state.geofence import BYTES_T, CITIES_T, INTS_T, POINTS_T, ZONES_T
from fleetpulse.state.parameters import MODEL, PARAMETER

LAYOUT = 3
BLOCK_SHIFT = 9
BLOCK = 1 << BLOCK_SHIFT
"""Slots in one block of the public state."""
NEVER_MS = -(1 << 62)
"""Event time before the first frame."""
FOREVER_MS = 1 << 62
"""A deadline that does not come."""
GAPS = 8
"""Open gaps that a vehicle can have."""
BOOTS = 4
"""Older boots, of which it is not yet known where they ended, that a vehicle can have."""
DWELLS = len(Condition)


FIRMWARES = 256
"""Firmware versions that a shard knows by name; those beyond are shown as unknown."""
SHOWN: dict[str, tuple[float, float]] = {
    "accuracy_fifths_m": (5.0, 0.0),
    "heading_hundredths_deg": (100.0, 0.0),
    "temperature_hundredths_c": (100.0, 100.0),
    "soh_hundredths_pct": (100.0, 0.0),
    "tyre_min_tenths_kpa": (10.0, 0.0),
}
"""Column -> steps in a unit, and what is added before, so that it is not negative."""
SHOWN_NONE = 0xFFFF
"""Such a value that was never measured."""
AHEAD = 8
"""Rows whose records are fetched before their turn; a power of two."""


class Flag(IntFlag):
    """Bits of a vehicle's `flag_bits`."""

    LIVE = 1  # the slot is in use
    PICKED_UP = 2  # staff has it: rebalance_pick_up or decommissioned is open
    ANCHORED = 4  # locked_* say where it was locked
    MOVED = 8  # its cell must be found anew
    PLACE_DOUBTED = 16  # its last position was not believed
    CHARGE_DOUBTED = 32  # nor its last charge
    DISCONNECTED = 64  # the broker said that its connection died, and nothing was heard since


class Pool(IntEnum):
    """Index of each pool in the header's `free`, `used` and `taken`."""

    GAPS = 0
    DWELLS = 1
    TRIPS = 2
    BEFORE = 3


MINUTE: np.dtype[np.void] = np.dtype(
    [
        ("start_ms", "<i8"),
        ("first_offset", "<i8"),
        ("last_offset", "<i8"),
        ("first_ms", "<i4"),  # since start_ms: the earliest and the latest frame
        ("last_ms", "<i4"),
        ("frames", "<u4"),  # 0: no window is open
        ("boot_id", "<u4"),
        ("seq", "<u4"),
        ("latitude_e7", "<i4"),
        ("longitude_e7", "<i4"),
        ("distance_m", "<f4"),
        ("climb_m", "<f4"),
        ("in_use_s", "<f4"),
        ("charging_s", "<f4"),
        ("moving_s", "<f4"),
        ("energy_out_wh", "<f4"),
        ("speed_max", "<f4"),
        ("soc_first", "<f4"),
        ("soc_last", "<f4"),
        ("soc_min", "<f4"),
        ("voltage_min", "<f4"),
        ("current_min", "<f4"),
        ("temperature_max", "<f4"),
        ("tyre_min", "<f4"),
        ("soh", "<f4"),
        ("cycles", "<i4"),
        ("sums", "<f4", (10,)),  # speed, voltage, current, temperature, ambient, accel rms, vibration bands 1-4
        ("counts", "<u2", (10,)),
    ],
    align=True,
)
"""An open window of one vehicle."""

VEHICLE: np.dtype[np.void] = np.dtype(
    [
        ("device_hi", "<u8"),
        ("device_lo", "<u8"),
        ("newest_ms", "<i8"),  # event time of the newest processed frame
        ("heard_alive_ms", "<i8"),  # stream time of the last heard frame, without our own outages
        ("offset", "<i8"),  # of the last heard frame
        ("missing", "<i8"),
        ("boot_id", "<u4"),  # newest boot
        ("seq", "<u4"),  # highest of it
        ("closed_boots", "<u4"),  # bit i: it is known where boot boot_id - 1 - i ended; its frames were seen or are in a gap
        ("closed_seq", "<u4"),  # where boot boot_id - 1 ended, if it is closed
        ("received", "<u4"),
        ("gaps", "<i4"),  # blocks of the pools
        ("dwells", "<i4"),
        ("trip", "<i4"),
        ("before", "<i4"),
        ("clock_off_ms", "<i4"),  # to be added to its times; 0: its clock is right
        ("clock_low_ms", "<i4"),  # least record time - event time in the present period
        ("outage_mark", "<u4"),  # our outages up to heard_alive_ms, in ms modulo 2^32
        ("cadence_s", "<f4", (2,)),  # long gap between frames: parked, in use
        ("way_stuck_m", "<f4"),  # by the wheels, since the position last moved
        ("charge_due_pct", "<f4"),  # that should be gone, since the charge last changed
        ("status", "<u2"),
        ("active", "<u2"),  # bit of each condition
        ("pending", "<u2"),  # of each condition that is about to change
        ("late_raised", "<u2"),  # of each that late frames have raised since the last frame that was not late
        ("sensors", "<u2"),  # bits of facts.Sensor
        ("clock_since_s", "<u2"),  # when the period began; this and the next three in seconds modulo 2^16
        ("place_s", "<u2"),  # of the last believed position
        ("charge_s", "<u2"),  # of the last believed charge
        ("jump_s", "<u2"),  # of the last jump, or since when one is forgotten
        ("trips", "<u2"),
        ("accuracy_fifths_m", "<u2"),  # what is shown only is kept in whole steps, see SHOWN
        ("heading_hundredths_deg", "<u2"),
        ("temperature_hundredths_c", "<u2"),
        ("soh_hundredths_pct", "<u2"),
        ("tyre_min_tenths_kpa", "<u2"),
        ("flag_bits", "u1"),
        ("city", "u1"),
        ("model", "u1"),
        ("firmware", "u1"),  # its place in Store.firmwares
        ("clock_frames", "u1"),  # of the period, that agree with clock_low_ms; 0: none began
        ("clock_others", "u1"),  # that are later
        ("place_jumps", "u1"),
        ("charge_jumps", "u1"),
        ("charge_said", "u1"),  # the last charge that was not believed, in half per cents
        ("phantoms", "u1"),  # intervals in a row in which only the speed says that it moves
        ("latitude_e7", "<i4"),
        ("longitude_e7", "<i4"),
        ("locked_latitude_e7", "<i4"),  # where it was locked; not ANCHORED: about where it has been since way_stuck_m counts
        ("locked_longitude_e7", "<i4"),
        ("locked_accuracy_m", "<f4"),
        ("speed_mps", "<f4"),
        ("altitude_m", "<f4"),
        ("soc_pct", "<f4"),
        ("voltage_v", "<f4"),
        ("current_a", "<f4"),
        ("range_m", "<f4"),
        ("duplicate", "<u4"),
        ("late", "<u4"),
        ("quarantined", "<u4"),
        ("odometer_m", "<f8"),
        ("fault_bits", "<u8"),
        ("minute", MINUTE),
    ],
    align=True,
)
"""One vehicle: hot fields first; last good values, audit, and the window of its newest frame."""
assert VEHICLE.itemsize <= 400, "a vehicle costs at most 400 bytes"

GAP: np.dtype[np.void] = np.dtype(
    [
        ("next", "<i4"),
        ("gaps", "<i4"),
        ("boots", "<i4"),
        ("boot_id", "<u4", (GAPS,)),
        ("first", "<u4", (GAPS,)),
        ("last", "<u4", (GAPS,)),
        ("old_boot_id", "<u4", (BOOTS,)),
        ("old_last", "<u4", (BOOTS,)),
    ],
    align=True,
)
"""Open gaps, sorted by (boot_id, first), and older boots of which the end is not known, sorted, with the highest seq seen."""

DWELL: np.dtype[np.void] = np.dtype(
    [("next", "<i4"), ("silent_ms", "<i8"), ("since_ms", "<i8", (DWELLS,)), ("first_offset", "<i8", (DWELLS,))], align=True
)
"""Since when each pending condition has been about to change; how long a vehicle had been silent that is about to be back."""

TRIP: np.dtype[np.void] = np.dtype(
    [
        ("next", "<i4"),
        ("ending", "u1"),  # not in use since ended_ms, the dwell is running
        ("unlocked", "u1"),  # it was seen unlocked in this trip
        ("paused", "u1"),
        ("trip_hi", "<u8"),
        ("trip_lo", "<u8"),
        ("started_ms", "<i8"),
        ("ended_ms", "<i8"),
        ("ended_offset", "<i8"),
        ("distance_m", "<f8"),
        ("energy_wh", "<f8"),
        ("soc_start_pct", "<f4"),
        ("start_latitude_e7", "<i4"),
        ("start_longitude_e7", "<i4"),
    ],
    align=True,
)
"""A trip that is going on."""

BEFORE: np.dtype[np.void] = np.dtype([("next", "<i4"), ("minute", MINUTE)], align=True)
"""The window before the newest frame's, while it is open."""

MARK: np.dtype[np.void] = np.dtype(
    [("latitude_e7", "<i4"), ("longitude_e7", "<i4"), ("soc_pct", "<f4"), ("city", "u1"), ("model", "u1"), ("end", "u1")], align=True
)
"""Where a trip started or ended since the last zone report."""

COUNTERS = (
    "received",
    "processed",
    "duplicate",
    "late",
    "missing",
    "clock_ahead",
    "too_old",
    "implausible",
    "gaps_overflow",
    "operations_unknown",
    "evicted",
)

HEADER: np.dtype[np.void] = np.dtype(
    [
        ("stream_ms", "<i8"),
        ("outage_ms", "<i8"),
        ("lenience_ms", "<i8"),  # what is late by less is not late, since our own outage held it up
        ("lenient_until_ms", "<i8"),
        ("boundary_ms", "<i8"),  # to be reported once the sweep is through
        ("deadline_ms", "<i8"),  # no vehicle has an earlier one
        ("sweep_slot", "<i8"),  # the timers go on here; -1: no sweep is running
        ("sweep_ms", "<i8"),  # the earliest deadline among the slots swept
        ("slots", "<i8"),  # in use or freed
        ("live", "<i8"),
        ("free_slot", "<i8"),  # the last freed one; a freed record's `boot_id` points on
        ("marks", "<i8"),
        ("firmwares", "<i8"),
        ("free", "<i8", (4,)),  # by Pool: the last freed block + 1
        ("used", "<i8", (4,)),  # blocks ever taken
        ("taken", "<i8", (4,)),  # blocks in use
        ("facts", "<i8"),  # rows in the output buffers
        ("windows", "<i8"),
        ("row", "<i8"),  # the next row of the batch
        ("guesses", "<i8", (AHEAD,)),  # the slot that each of the next rows seems to have, by row modulo AHEAD
        *((name, "<i8") for name in COUNTERS),
    ],
    align=True,
)


PASSING = ("facts", "windows", "row", "guesses")
"""What of the header means something within a batch only."""


class Store(NamedTuple):
    """All that a shard remembers, beside its header: arrays that grow."""

    vehicles: NDArray[Any]  # (capacity,) VEHICLE
    deadlines: NDArray[np.int64]  # (capacity,) a time before which nothing happens to the vehicle by itself
    table: NDArray[np.uint64]  # (power of two,) slot table
    gaps: NDArray[Any]
    dwells: NDArray[Any]
    trips: NDArray[Any]
    before: NDArray[Any]
    marks: NDArray[Any]
    dirty: NDArray[np.uint8]  # (blocks,) changed since they were last taken
    firmwares: NDArray[np.bytes_]  # (FIRMWARES,) S16; the first header.firmwares are in use, the first of all is the unknown one


class Told(NamedTuple):
    """Parameters, as kernels read them."""

    rules: NDArray[Any]  # (1,) PARAMETER
    blank: NDArray[Any]  # (1,) VEHICLE that was never heard of
    models: NDArray[Any]  # (M,) MODEL
    known: NDArray[np.bool_]  # (M,)
    cities: NDArray[Any]
    zones: NDArray[Any]
    points: NDArray[np.float64]
    cells: NDArray[np.int8]
    lists: NDArray[np.int32]
    entries: NDArray[np.int32]


class Out(NamedTuple):
    """Output buffers."""

    facts: NDArray[Any]
    windows: NDArray[Any]
    believed: NDArray[Any]  # (2,) FRAME, a place for a frame without what is not believed: for rules and windows, for last good values


def _records(dtype: np.dtype[np.void]) -> Any:
    return numba.from_dtype(dtype)[::1]


_tuple: Any = types.NamedTuple


FRAMES_T = _records(FRAME)
HEADER_T = _records(HEADER)
STORE_T = _tuple(
    [
        _records(VEHICLE),
        types.int64[::1],
        types.uint64[::1],
        _records(GAP),
        _records(DWELL),
        _records(TRIP),
        _records(BEFORE),
        _records(MARK),
        types.uint8[::1],
        types.CharSeq(FIRMWARE_BYTES)[::1],
    ],
    Store,
)
TOLD_T = _tuple(
    [_records(PARAMETER), _records(VEHICLE), _records(MODEL), types.boolean[::1], CITIES_T, ZONES_T, POINTS_T, BYTES_T, INTS_T, INTS_T],
    Told,
)
OUT_T = _tuple([_records(FACT), _records(WINDOW), _records(FRAME)], Out)


def blank() -> NDArray[Any]:
    """(1,) VEHICLE that was never heard of."""
    record = np.zeros(1, dtype=VEHICLE)
    record["newest_ms"] = NEVER_MS
    for name in ("latitude_e7", "longitude_e7", "locked_latitude_e7", "locked_longitude_e7"):
        record[name] = MISSING_E7
    for name, (dtype, *_) in (VEHICLE.fields or {}).items():
        if dtype.base.kind == "f":
            record[name] = np.nan
    for name in ("way_stuck_m", "charge_due_pct", "cadence_s"):
        record[name] = 0
    for name in SHOWN:
        record[name] = SHOWN_NONE
    return record
