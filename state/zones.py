"""What stands where: counts by H3 cell and vehicles that could be moved or swapped, of one shard at an interval boundary."""

from typing import Any

import h3.api.basic_int as h3
import numpy as np
from numpy.typing import NDArray

from fleetpulse.codecs.schema import MISSING_E7
from fleetpulse.codecs.tables import CANDIDATE, ZONE
from fleetpulse.state.facts import Condition
from fleetpulse.state.shard import Shard
from fleetpulse.state.vehicle import Flag

TRIPS_ROW = 255
"""vehicle_state of rows that count trips."""
AVAILABLE, NON_OPERATIONAL = 0, 4
"""Codes of alerts/states.py, of vehicles that could be moved."""
BANDS_PCT = (20.0, 50.0)
_BATTERY = 1 << Condition.LOW_BATTERY | 1 << Condition.UNRENTABLE_BATTERY


def _cells_of(latitude_e7: NDArray[np.int32], longitude_e7: NDArray[np.int32], resolution: int) -> NDArray[np.uint64]:
    latitudes, longitudes = (latitude_e7 / 1e7).tolist(), (longitude_e7 / 1e7).tolist()
    return np.array([h3.latlng_to_cell(a, b, resolution) for a, b in zip(latitudes, longitudes, strict=True)], dtype=np.uint64)


def charge_band(soc_pct: NDArray[np.float32]) -> NDArray[np.uint8]:
    """0: < 20 %, 1: 20-50 %, 2: >= 50 %, 3: not measured."""
    band = np.searchsorted(np.array(BANDS_PCT), soc_pct, side="right").astype(np.uint8)
    band[np.isnan(soc_pct)] = 3
    return band


def _locate(shard: Shard) -> NDArray[np.uint64]:
    """The cell of each slot; found anew only for vehicles that moved since the last time."""
    records, cells = shard.records, shard.cells
    moved = np.flatnonzero(((records["flag_bits"] & Flag.MOVED != 0) | (cells == 0)) & (records["latitude_e7"] != MISSING_E7))
    cells[moved] = _cells_of(records["latitude_e7"][moved], records["longitude_e7"][moved], shard.parameters.h3_resolution)
    records["flag_bits"] &= 0xFF ^ int(Flag.MOVED)
    return cells


def _counts(rows: NDArray[Any]) -> NDArray[Any]:
    """Sum up rows of equal keys; sorted by key."""
    keys = ["city", "cell", "vehicle_state", "vehicle_model", "charge_band"]
    rows = rows[np.lexsort([rows[name] for name in reversed(keys)])]
    if not len(rows):
        return rows
    first = np.flatnonzero(np.append(True, np.any([rows[name][1:] != rows[name][:-1] for name in keys], axis=0)))
    out = rows[first]
    for name in ("vehicles", "trip_starts", "trip_ends"):
        out[name] = np.add.reduceat(rows[name], first)
    return out


def report(
    shard: Shard, vehicle_state: NDArray[Any], state_since_ms: NDArray[np.int64] | None = None
) -> dict[int, tuple[NDArray[Any], NDArray[Any]]]:
    """City code -> (ZONE rows, CANDIDATE rows), and the count of trips begins anew. Cities without anything are left out.

    vehicle_state   (vehicles,) MDS state code of each slot
    state_since_ms  (vehicles,) since when; None: 0

    Sorted: counts by key, candidates by device id. O(slots), and 0.6 us for each vehicle that moved and each trip.
    """
    records = shard.records
    cells = _locate(shard)
    there = np.flatnonzero((records["flag_bits"] & Flag.LIVE != 0) & (records["city"] != 0) & (records["latitude_e7"] != MISSING_E7))
    standing = np.zeros(len(there), dtype=ZONE)
    standing["cell"], standing["vehicle_state"] = cells[there], vehicle_state[there]
    standing["city"], standing["vehicle_model"] = records["city"][there], records["model"][there]
    standing["charge_band"], standing["vehicles"] = charge_band(records["soc_pct"][there]), 1
    marks = shard.marks
    trips = np.zeros(len(marks), dtype=ZONE)
    trips["cell"] = _cells_of(marks["latitude_e7"], marks["longitude_e7"], shard.parameters.h3_resolution)
    trips["city"], trips["vehicle_model"], trips["vehicle_state"] = marks["city"], marks["model"], TRIPS_ROW
    trips["charge_band"] = charge_band(marks["soc_pct"])
    trips["trip_starts"], trips["trip_ends"] = marks["end"] == 0, marks["end"] == 1
    shard.forget_marks()
    counts = _counts(np.concatenate((standing, trips)))

    empty_battery = (vehicle_state[there] == NON_OPERATIONAL) & (records["active"][there] & _BATTERY != 0)
    chosen = there[(vehicle_state[there] == AVAILABLE) | empty_battery]
    chosen = chosen[np.lexsort((records["device_lo"][chosen], records["device_hi"][chosen]))]
    candidates = np.zeros(len(chosen), dtype=CANDIDATE)
    for name in ("device_hi", "device_lo", "city"):
        candidates[name] = records[name][chosen]
    candidates["cell"], candidates["vehicle_state"], candidates["vehicle_model"] = (
        cells[chosen],
        vehicle_state[chosen],
        records["model"][chosen],
    )
    candidates["latitude_deg"], candidates["longitude_deg"] = records["latitude_e7"][chosen] / 1e7, records["longitude_e7"][chosen] / 1e7
    candidates["battery_soc_pct"] = records["soc_pct"][chosen]
    candidates["state_since_ms"] = 0 if state_since_ms is None else state_since_ms[chosen]
    cities = np.unique(counts["city"]).tolist()
    return {city: (counts[counts["city"] == city], candidates[candidates["city"] == city]) for city in cities}
