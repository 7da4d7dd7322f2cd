"""The public state of vehicles: rows of `fleet.state`. What the life cycle knows is filled in by the caller."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.codecs.schema import MISSING_E7
from fleetpulse.codecs.tables import STATE
from fleetpulse.state.shard import Shard
from fleetpulse.state.vehicle import Flag

_SAME = (
    "device_hi", "device_lo", "city", "odometer_m", "speed_mps", "heading_deg", "altitude_m", "range_m", "status", "fault_bits", "trips",
    "duplicate", "late", "quarantined", "boot_id", "seq", "firmware_version",
)  # fmt: skip
_RENAMED = {
    "vehicle_model": "model",
    "last_heard_ms": "heard_ms",
    "last_frame_ms": "newest_ms",
    "horizontal_accuracy_m": "accuracy_m",
    "battery_soc_pct": "soc_pct",
    "battery_voltage_v": "voltage_v",
    "battery_current_a": "current_a",
    "battery_temperature_c": "temperature_c",
    "battery_soh_pct": "soh_pct",
    "tyre_pressure_min_kpa": "tyre_min_kpa",
}


def live(shard: Shard, slots: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of the slots that hold a vehicle."""
    held: NDArray[np.int64] = slots[shard.records["flag_bits"][slots] & Flag.LIVE != 0]
    return held


def rows(shard: Shard, slots: NDArray[np.int64]) -> NDArray[Any]:
    """(N,) STATE of the slots; vehicle_state, event_type, state_since_ms, alerts, maintenance are 0.

    A vehicle without a position has NaN; last_frame_ms is 0 before a frame was processed.
    """
    records = shard.records[slots]
    out = np.zeros(len(slots), dtype=STATE)
    for name in _SAME:
        out[name] = records[name]
    for name, own in _RENAMED.items():
        out[name] = records[own]
    out["slot"], out["shard"] = slots, shard.shard
    out["last_frame_ms"][records["newest_ms"] < 0] = 0
    placed = records["latitude_e7"] != MISSING_E7
    out["latitude_deg"] = np.where(placed, records["latitude_e7"] / 1e7, np.nan)
    out["longitude_deg"] = np.where(placed, records["longitude_e7"] / 1e7, np.nan)
    out["received"], out["missing"] = records["received"], np.minimum(records["missing"], 2**32 - 1)
    travelling = np.flatnonzero(records["trip"])
    trips = shard.trip_of(records["trip"][travelling])
    out["trip_hi"][travelling], out["trip_lo"][travelling] = trips["trip_hi"], trips["trip_lo"]
    return out
