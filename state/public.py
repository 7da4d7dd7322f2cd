"""The public state of vehicles: rows of `fleet.state`. What the life cycle knows is filled in by the caller."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.codecs.schema import MISSING_E7
from fleetpulse.codecs.tables import STATE
from fleetpulse.state.shard import Shard
from fleetpulse.state.vehicle import SHOWN, SHOWN_NONE, Flag

_SAME = (
    "device_hi", "device_lo", "city", "odometer_m", "speed_mps", "altitude_m", "range_m", "status", "fault_bits", "trips",
    "duplicate", "late", "quarantined", "boot_id", "seq", "sensors",
)  # fmt: skip
_RENAMED = {
    "vehicle_model": "model",
    "last_frame_ms": "newest_ms",
    "battery_soc_pct": "soc_pct",
    "battery_voltage_v": "voltage_v",
    "battery_current_a": "current_a",
}
_IN_STEPS = {
    "horizontal_accuracy_m": "accuracy_fifths_m",
    "heading_deg": "heading_hundredths_deg",
    "battery_temperature_c": "temperature_hundredths_c",
    "battery_soh_pct": "soh_hundredths_pct",
    "tyre_pressure_min_kpa": "tyre_min_tenths_kpa",
}


def live(shard: Shard, slots: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of the slots that hold a vehicle."""
    held: NDArray[np.int64] = slots[shard.records["flag_bits"][slots] & Flag.LIVE != 0]
    return held


def rows(shard: Shard, slots: NDArray[np.int64]) -> NDArray[Any]:
    """(N,) STATE of the slots; vehicle_state, event_type, state_since_ms, alerts, maintenance, service are 0.

    A vehicle without a position has NaN; last_frame_ms is 0 before a frame was processed.
    """
    records = shard.records[slots]
    out = np.zeros(len(slots), dtype=STATE)
    for name in _SAME:
        out[name] = records[name]
    for name, own in _RENAMED.items():
        out[name] = records[own]
    for name, own in _IN_STEPS.items():
        steps, zero = SHOWN[own]
        out[name] = np.where(records[own] == SHOWN_NONE, np.nan, records[own] / steps - zero)
    out["firmware_version"] = shard.firmwares[records["firmware"]]
    alive_ms, outage_ms = records["heard_alive_ms"], shard.outage_ms
    out["last_heard_ms"] = alive_ms + outage_ms - (outage_ms - records["outage_mark"].astype(np.int64)) % 2**32
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
