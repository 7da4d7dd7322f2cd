"""The fleet's latest known state: the rows of `fleet.state`, whole blocks replaced as they come. NumPy only; no I/O, no clock.

The inverse direction (shard to `fleet.state`) is operators/fleet.py. Used from one thread.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.codecs import tables
from fleetpulse.gateway.egress.feed_items import StateBlock

BLOCK = 512
"""Vehicles in one record of `fleet.state`, as operators/fleet.py writes them."""


@dataclass(frozen=True)
class Selection:
    """Which vehicles are asked for; an empty tuple or None asks for all.

    bbox  west, south, east, north in degrees
    rows  only these rows (from another index), or None
    service  those in service, or the others
    """

    cities: tuple[int, ...] = ()
    models: tuple[int, ...] = ()
    states: tuple[int, ...] = ()
    min_soc_pct: float | None = None
    max_soc_pct: float | None = None
    bbox: tuple[float, float, float, float] | None = None
    rows: NDArray[np.int64] | None = None
    service: bool | None = None


@dataclass(frozen=True)
class Page:
    """`rows` (n,) STATE in order of (shard, slot).

    total     matches, on all pages
    next_key  continues after the last row; None at the end
    """

    rows: NDArray[Any]
    total: int
    next_key: int | None


class StateView:
    """(V,) STATE rows by device. A block keeps its place, so a row never moves."""

    def __init__(self) -> None:
        self.rows: NDArray[Any] = np.zeros(0, dtype=tables.STATE)
        self._filled = np.zeros(0, dtype=np.bool_)
        self._keys = np.zeros(0, dtype=np.int64)  # shard << 32 | slot: the order of pages, the same in every gateway
        self._order = np.zeros(0, dtype=np.int64)
        self._places: dict[tuple[int, int], int] = {}
        self._row_of: dict[int, int] = {}  # the device id's 128 bits -> row
        self._counters: dict[int, dict[str, int]] = {}
        self._stream_ms: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._row_of)

    def apply(self, block: StateBlock) -> None:
        """Replace the block. O(block)."""
        place = self._places.get((block.shard, block.block))
        if place is None:
            place = self._add_place(block)
        start, n = place * BLOCK, min(len(block.rows), BLOCK)
        mine = self.rows[start : start + BLOCK]
        changed = np.flatnonzero(
            (mine["device_hi"][:n] != block.rows["device_hi"][:n]) | (mine["device_lo"][:n] != block.rows["device_lo"][:n])
        )
        gone = np.flatnonzero(self._filled[start + n : start + BLOCK]) + n
        for i in (*changed.tolist(), *gone.tolist()):
            if self._filled[start + i]:
                device = int(mine["device_hi"][i]) << 64 | int(mine["device_lo"][i])
                if self._row_of.get(device) == start + i:
                    del self._row_of[device]
        mine[:n] = block.rows[:n]
        for i in changed.tolist():
            self._row_of[int(mine["device_hi"][i]) << 64 | int(mine["device_lo"][i])] = start + i
        self._filled[start : start + n] = True
        self._filled[start + n : start + BLOCK] = False
        self._keys[start : start + n] = (block.shard << 32) + mine["slot"][:n].astype(np.int64)
        self._counters[block.shard] = block.counters
        self._stream_ms[block.shard] = block.stream_ms

    def _add_place(self, block: StateBlock) -> int:
        place = len(self._places)
        self._places[block.shard, block.block] = place
        if (place + 1) * BLOCK > len(self.rows):
            grown = max(BLOCK, len(self.rows))
            self.rows = np.append(self.rows, np.zeros(grown, dtype=tables.STATE))
            self._filled = np.append(self._filled, np.zeros(grown, dtype=np.bool_))
            self._keys = np.append(self._keys, np.zeros(grown, dtype=np.int64))
        places = np.array([self._places[key] for key in sorted(self._places)], dtype=np.int64)
        self._order = (places[:, None] * BLOCK + np.arange(BLOCK)).ravel()
        return place

    def complete(self, shard: int) -> bool:
        """Whether all vehicles that the shard says it has are here."""
        here = sum(int(self._filled[p * BLOCK : (p + 1) * BLOCK].sum()) for (s, _), p in self._places.items() if s == shard)
        return shard in self._counters and here >= self._counters[shard].get("vehicles", 0)

    def find(self, device: int) -> int | None:
        """Row of a device id (its 128 bits as an integer), None when it is unknown."""
        return self._row_of.get(device)

    def find_all(self, devices: Iterable[int]) -> NDArray[np.int64]:
        """(n,) rows of those of the devices that are known."""
        found = [row for device in devices if (row := self._row_of.get(device)) is not None]
        return np.array(found, dtype=np.int64)

    def select(self, selection: Selection, *, after_key: int = -1, limit: int) -> Page:
        """A page of matching vehicles. O(V)."""
        matches = self._order[self._mask(selection)[self._order]]
        keys = self._keys[matches]
        first = int(np.searchsorted(keys, after_key, side="right"))
        page = matches[first : first + limit]
        more = first + limit < len(matches)
        return Page(self.rows[page], len(matches), int(keys[first + limit - 1]) if more else None)

    def _mask(self, selection: Selection) -> NDArray[np.bool_]:
        mask = self._filled.copy()
        for name, codes in (("city", selection.cities), ("vehicle_model", selection.models), ("vehicle_state", selection.states)):
            if codes:
                wanted = np.zeros(256, dtype=np.bool_)
                wanted[list(codes)] = True
                mask &= wanted[self.rows[name]]
        if selection.min_soc_pct is not None:
            mask &= self.rows["battery_soc_pct"] >= selection.min_soc_pct
        if selection.max_soc_pct is not None:
            mask &= self.rows["battery_soc_pct"] <= selection.max_soc_pct
        if selection.bbox is not None:
            west, south, east, north = selection.bbox
            longitude, latitude = self.rows["longitude_deg"], self.rows["latitude_deg"]
            mask &= (longitude >= west) & (longitude <= east) & (latitude >= south) & (latitude <= north)
        if selection.service is not None:
            mask &= (self.rows["service"] != 0) == selection.service
        if selection.rows is not None:
            wanted = np.zeros(len(mask), dtype=np.bool_)
            wanted[selection.rows] = True
            mask &= wanted
        return mask

    def in_service(self) -> int:
        """How many vehicles are in service."""
        return int(np.count_nonzero(self.rows["service"][self._filled]))

    def located(self, cities: tuple[int, ...]) -> NDArray[np.int64]:
        """(n,) indices into `rows` of the vehicles whose position is known, of those cities or of all."""
        mask = self._mask(Selection(cities=cities)) & ~np.isnan(self.rows["latitude_deg"]) & ~np.isnan(self.rows["longitude_deg"])
        return np.flatnonzero(mask)

    def counts(self) -> list[tuple[int, int, int, int]]:
        """(city, vehicle_model, vehicle_state, vehicles) of each combination that exists."""
        rows = self.rows
        codes = (rows["city"].astype(np.int64) << 16) | (rows["vehicle_model"].astype(np.int64) << 8) | rows["vehicle_state"]
        found, vehicles = np.unique(codes[self._filled], return_counts=True)
        return [(c >> 16, c >> 8 & 255, c & 255, n) for c, n in zip(found.tolist(), vehicles.tolist(), strict=True)]

    def missing(self) -> NDArray[Any]:
        """(n,) STATE, a copy of the rows of the vehicles that miss a frame by their sequence numbers. O(V)."""
        rows: NDArray[Any] = self.rows[self._filled & (self.rows["missing"] > 0)]
        return rows

    def counters(self) -> dict[str, int]:
        """The audit's counters, summed over the shards as each last wrote them."""
        sums: dict[str, int] = {}
        for counters in self._counters.values():
            for name, value in counters.items():
                sums[name] = sums.get(name, 0) + value
        return sums

    @property
    def stream_ms(self) -> int:
        """The newest stream time of any shard, 0 before the first block."""
        return max(self._stream_ms.values(), default=0)
