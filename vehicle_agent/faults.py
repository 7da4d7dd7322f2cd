"""What can go wrong with a vehicle, as rows of one table: kind, vehicle, time, four values. Data only; scenario.py makes tables.

The simulator writes into a row when the fault really began (a crash needs a moving vehicle) and ended: that is the truth of labels.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Fault(IntEnum):
    """What goes wrong; the lower-case name stands in the labels. What `value` means is in VALUE_NAMES."""

    DRAIN_PARKED = 1
    DRAIN_RIDING = 2
    DEAD_CELL = 3
    TYRE_LEAK = 4
    BEARING_VIBRATION = 5
    CRASH = 6
    TIP_OVER = 7
    THEFT = 8
    GPS_STUCK = 9
    GPS_TELEPORT = 10
    CLOCK_SKEW = 11
    FROZEN_SOC = 12
    OFFLINE = 13
    DUPLICATES = 14
    REORDERING = 15
    OVER_TEMPERATURE = 16
    LOW_BATTERY = 17
    GEOFENCE = 18
    FAULT_CODE = 19
    JUMPING_SOC = 20
    AGEING = 21
    # what looks like a fault and is none
    PREHEATING = 24
    KNOCK = 25
    BORDER = 26
    # bad input that is a frame with a seq of its own
    IMPOSSIBLE_VALUES = 32
    CLOCK_AHEAD = 33
    CLOCK_BEHIND = 34
    UNKNOWN_MODEL = 35
    # bad input that is an extra payload without a seq: garbage in the ledger
    GARBAGE = 40
    TRUNCATED = 41
    OVERSIZE = 42
    WRONG_ID_LENGTH = 43
    # what a vehicle is told to do; no fault, no label
    RIDE = 60
    REBOOT = 61
    JSON_FIRMWARE = 62
    STAND = 63


VALUE_NAMES: dict[Fault, tuple[str, ...]] = {
    Fault.DRAIN_PARKED: ("power_w",),
    Fault.DRAIN_RIDING: ("factor",),
    Fault.DEAD_CELL: ("cells", "resistance_ohm"),
    Fault.TYRE_LEAK: ("wheel", "rate_kpa_per_min"),
    Fault.BEARING_VIBRATION: ("severity_start", "severity_end"),
    Fault.CRASH: ("delta_v_mps",),
    Fault.TIP_OVER: ("roll_deg",),
    Fault.THEFT: ("speed_mps", "tamper"),
    Fault.GPS_STUCK: (),
    Fault.GPS_TELEPORT: ("period_s", "distance_m"),
    Fault.CLOCK_SKEW: ("offset_ms",),
    Fault.FROZEN_SOC: (),
    Fault.OFFLINE: (),
    Fault.DUPLICATES: ("share",),
    Fault.REORDERING: ("hold_s",),
    Fault.OVER_TEMPERATURE: ("rate_c_per_s",),
    Fault.LOW_BATTERY: ("soc_pct",),
    Fault.GEOFENCE: ("longitude_deg", "latitude_deg"),
    Fault.FAULT_CODE: ("bits",),
    Fault.JUMPING_SOC: ("period_s", "size_pct"),
    Fault.AGEING: ("soh_start_pct", "loss_pct_per_day"),
    Fault.PREHEATING: ("power_w",),
    Fault.KNOCK: ("impact", "size"),
    Fault.BORDER: ("longitude_deg", "latitude_deg", "wander_m"),
    Fault.IMPOSSIBLE_VALUES: ("period_s",),
    Fault.CLOCK_AHEAD: ("offset_ms",),
    Fault.CLOCK_BEHIND: ("offset_ms",),
    Fault.UNKNOWN_MODEL: ("model_id",),
    Fault.GARBAGE: ("period_s",),
    Fault.TRUNCATED: ("period_s",),
    Fault.OVERSIZE: ("period_s",),
    Fault.WRONG_ID_LENGTH: ("period_s",),
    Fault.RIDE: (),
    Fault.REBOOT: (),
    Fault.JSON_FIRMWARE: (),
    Fault.STAND: (),
}
"""Names of a row's leading values. tyre wheel: 0 front left, 1 rear left, 2 front right, 3 rear right. impact: of impacts.Impact."""

BAD_PAYLOADS = (Fault.GARBAGE, Fault.TRUNCATED, Fault.OVERSIZE, Fault.WRONG_ID_LENGTH)
DIRECTIVES = (Fault.RIDE, Fault.REBOOT, Fault.JSON_FIRMWARE, Fault.STAND)

VALUES = 4
FAULT: np.dtype[np.void] = np.dtype(
    [
        ("vehicle", "<i4"),
        ("kind", "<i4"),
        ("start_ms", "<i8"),
        ("end_ms", "<i8"),
        ("began_ms", "<i8"),  # when it really began; 0: not yet
        ("ended_ms", "<i8"),  # when it really ended; 0: not yet
        ("a", "<f8"),
        ("b", "<f8"),
        ("c", "<f8"),
        ("d", "<f8"),
    ],
    align=True,
)
NONE: NDArray[Any] = np.zeros(0, dtype=FAULT)


@dataclass(frozen=True)
class Planned:
    """One fault before it is a row."""

    vehicle: int
    kind: Fault
    start_ms: int
    end_ms: int
    values: tuple[float, ...] = ()


def table(planned: Iterable[Planned]) -> NDArray[Any]:
    """(F,) FAULT rows sorted by vehicle, start and kind, as the simulator wants them. Raises ValueError for a bad one."""
    rows = []
    for fault in planned:
        if fault.end_ms <= fault.start_ms or fault.vehicle < 0 or len(fault.values) != len(VALUE_NAMES[fault.kind]):
            raise ValueError(f"a fault must have a vehicle, end after start and the values {VALUE_NAMES[fault.kind]}; got {fault}")
        values = (*fault.values, *(0.0,) * (VALUES - len(fault.values)))
        rows.append((fault.vehicle, int(fault.kind), fault.start_ms, fault.end_ms, 0, 0, *values))
    faults = np.array(rows, dtype=FAULT)
    return faults[np.lexsort((faults["kind"], faults["start_ms"], faults["vehicle"]))]


def parameters(row: Any) -> dict[str, float]:
    """The values of a FAULT row by name."""
    return {name: float(row[key]) for name, key in zip(VALUE_NAMES[Fault(int(row["kind"]))], "abcd", strict=False)}


def active(faults: NDArray[Any], kind: Fault, time_ms: int) -> NDArray[np.int32]:
    """Vehicles that have `kind` at `time_ms` by plan."""
    rows = faults[(faults["kind"] == kind) & (faults["start_ms"] <= time_ms) & (time_ms < faults["end_ms"])]
    vehicles: NDArray[np.int32] = np.unique(rows["vehicle"])
    return vehicles
