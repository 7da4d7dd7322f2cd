"""The latest zone counts of each city, summed over shards, and the latest recommendations. No I/O, no clock."""

from typing import Any

import h3
import numpy as np
from numpy.typing import NDArray

from fleetpulse.alerts import event
from fleetpulse.alerts.states import STATE_NAMES
from fleetpulse.codecs import tables
from fleetpulse.gateway.egress.feed_items import FeedEvent, ZoneReport

INTERVALS_KEPT = 3
CHARGE_BANDS = ("below_20", "20_to_50", "50_and_more", "not_measured")
"""By the code of tables.ZONE's charge_band."""
_TRIPS_ONLY = 255


class ZoneView:
    """City -> interval end -> shard -> tables.ZONE rows, of the last few intervals."""

    def __init__(self) -> None:
        self._reports: dict[str, dict[int, dict[int, NDArray[Any]]]] = {}
        self._shards = 0

    def apply(self, report: ZoneReport) -> None:
        """Take a shard's report; the same again replaces it."""
        intervals = self._reports.setdefault(report.city, {})
        if len(intervals) >= INTERVALS_KEPT and report.interval_end_ms < min(intervals):
            return
        intervals.setdefault(report.interval_end_ms, {})[report.shard] = report.rows
        self._shards = report.shards
        while len(intervals) > INTERVALS_KEPT:
            del intervals[min(intervals)]

    def latest(self, city: str, models: tuple[str, ...]) -> dict[str, Any] | None:
        """The newest interval that all shards have reported, else the newest; None before the first report."""
        intervals = self._reports.get(city)
        if not intervals:
            return None
        whole = [end for end, shards in intervals.items() if len(shards) >= self._shards]
        end = max(whole or intervals)
        parts = list(intervals[end].values())
        rows = np.concatenate(parts) if parts else np.zeros(0, dtype=tables.ZONE)
        return {
            "city": city,
            "interval_end_ms": end,
            "complete": len(parts) >= self._shards,
            "shards": self._shards,
            "shards_reported": len(parts),
            "cells": _cells(rows, models),
        }


def _centre(zone: str) -> tuple[float, float]:
    """Latitude and longitude of a cell's centre; 0, 0 for what is no cell."""
    if not h3.is_valid_cell(zone):
        return 0.0, 0.0
    latitude, longitude = h3.cell_to_latlng(zone)
    return round(latitude, 7), round(longitude, 7)


def _cells(rows: NDArray[Any], models: tuple[str, ...]) -> list[dict[str, Any]]:
    cells: dict[int, dict[str, Any]] = {}
    for cell, state, model, band, vehicles, starts, ends in rows[
        ["cell", "vehicle_state", "vehicle_model", "charge_band", "vehicles", "trip_starts", "trip_ends"]
    ].tolist():
        shown = cells.get(cell)
        if shown is None:
            text = h3.int_to_str(cell)
            latitude, longitude = _centre(text)
            shown = cells[cell] = {
                "zone": text,
                "latitude_deg": latitude,
                "longitude_deg": longitude,
                "vehicles": 0,
                "by_state": {},
                "by_model": {},
                "by_charge": {},
                "trip_starts": 0,
                "trip_ends": 0,
            }
        shown["trip_starts"] += starts
        shown["trip_ends"] += ends
        if state == _TRIPS_ONLY or not vehicles:
            continue
        shown["vehicles"] += vehicles
        named = (
            ("by_state", STATE_NAMES[state] if state < len(STATE_NAMES) else "unknown"),
            ("by_model", (models[model] if model < len(models) else "") or "unknown"),
            ("by_charge", CHARGE_BANDS[band] if band < len(CHARGE_BANDS) else "not_measured"),
        )
        for group, name in named:
            shown[group][name] = shown[group].get(name, 0) + vehicles
    return sorted(cells.values(), key=lambda shown: (-shown["vehicles"], shown["zone"]))


class RebalanceView:
    """City -> the recommendations of its newest interval, by (zone, kind)."""

    def __init__(self) -> None:
        self._latest: dict[str, tuple[int, dict[tuple[str, str], dict[str, Any]]]] = {}

    def apply(self, item: FeedEvent) -> None:
        """Take a recommendation; those of an older interval of the city are dropped. Other types are passed over."""
        if item.type != event.REBALANCE_RECOMMENDED:
            return
        data = item.parse()
        city, end_ms = str(data["city"]), int(data["interval_end_ms"])
        newest, found = self._latest.get(city, (end_ms, {}))
        if end_ms < newest:
            return
        if end_ms > newest:
            found = {}
        zone = str(data["zone"])
        latitude, longitude = _centre(zone)
        place = {"zone_latitude_deg": latitude, "zone_longitude_deg": longitude}
        found[zone, str(data["kind"])] = {"recommendation_id": item.id, **place, **data}
        self._latest[city] = (end_ms, found)

    def current(self, *, now_ms: int, city: str | None = None, kind: str | None = None) -> list[dict[str, Any]]:
        """Those that have not expired, most urgent first."""
        chosen = [
            recommendation
            for name, (_, found) in self._latest.items()
            if city in (None, name)
            for recommendation in found.values()
            if recommendation["expires_ms"] > now_ms and kind in (None, recommendation["kind"])
        ]
        return sorted(chosen, key=lambda r: (r["priority"], -float(r.get("deficit", 0)), r["city"], r["zone"], r["kind"]))
