"""Zones as a raster: where a position lies in its city's polygons, and how far from their edges. Exact where it matters.

Each city has a grid of cells. Of a cell in which no edge of a zone is near, the verdict is known. Any other lists the zones that it
touches: wholly inside and further from the edge than the margin, or near the edge; only near an edge are polygons walked. Coordinates
are metres on a plane that touches the earth at the city's centre (error < 0.1 % within 50 km).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, radians
from typing import Any, Protocol

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from fleetpulse.codecs.jit import inlined, kernel, merged
from fleetpulse.codecs.schema import MISSING_E7
from fleetpulse.state.cast import real, whole

EARTH_M = 6_371_008.8
E7_M = EARTH_M * pi / 180 * 1e-7
"""Metres of one unit of latitude_e7."""
CELL_M = 200.0
FAR_M = 1e9
"""Depth in a zone of which a cell lies wholly inside; its negative: wholly outside."""
JURISDICTION, SERVICE_AREA, NO_GO = 1, 2, 3
KINDS = {"jurisdiction": JURISDICTION, "service_area": SERVICE_AREA, "no_go": NO_GO}
ALL_TYPES = 0xFFFFFFFF
LISTED, OUT = -1, -2
"""In place of a cell's verdict: see its list; there is no cell."""
BAD_ZONE, GOOD_ZONE, BAD_JURISDICTION, GOOD_JURISDICTION = 1, 2, 4, 8


class ZoneLike(Protocol):
    """A polygon: closed ring of (longitude_deg, latitude_deg); kind is a key of KINDS; no vehicle types: all."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def ring(self) -> tuple[tuple[float, float], ...]: ...
    @property
    def vehicle_types(self) -> tuple[str, ...]: ...


class CityLike(Protocol):
    """A city and its zones."""

    @property
    def code(self) -> int: ...
    @property
    def zones(self) -> Sequence[Any]: ...


CITY: np.dtype[np.void] = np.dtype(
    [
        ("latitude_low", "<i4"),  # bounding box of the jurisdiction, e7, inclusive; an empty one for code 0
        ("latitude_high", "<i4"),
        ("longitude_low", "<i4"),
        ("longitude_high", "<i4"),
        ("origin_latitude", "<i4"),  # e7, of the plane
        ("origin_longitude", "<i4"),
        ("x_m", "<f8"),  # metres of one unit of longitude_e7
        ("left_m", "<f8"),  # of the raster
        ("bottom_m", "<f8"),
        ("columns", "<i4"),
        ("rows", "<i4"),
        ("cell", "<i4"),  # its first cell in `cells`
        ("first_zone", "<i4"),  # its zones, the last exclusive
        ("last_zone", "<i4"),
        ("service_types", "<u4"),  # vehicle types that have a service area here
    ],
    align=True,
)
ZONE: np.dtype[np.void] = np.dtype([("types", "<u4"), ("kind", "u1"), ("first", "<i4"), ("last", "<i4")], align=True)
"""A zone: its segments are points first..last, each to the next."""


@dataclass(frozen=True)
class Geofence:
    """What kernels read.

    cities   (C,) CITY by code
    zones    (Z,) ZONE in the order of cities and their files; zone code = index + 1
    points   (P, 2) float64, metres on the city's plane
    cells    (cells,) int8, the verdict on every position in it for every vehicle type; LISTED: that depends
    lists    (cells,) int32, of a listed cell: where its entries begin
    entries  (E,) int32, for each listed cell the number of zones, then for each zone index * 2 + (1 if near its edge)
    names    (Z,) of the zones
    """

    cities: NDArray[Any]
    zones: NDArray[Any]
    points: NDArray[np.float64]
    cells: NDArray[np.int8]
    lists: NDArray[np.int32]
    entries: NDArray[np.int32]
    names: tuple[str, ...]


CITIES_T = numba.from_dtype(CITY)[::1]
ZONES_T = numba.from_dtype(ZONE)[::1]
POINTS_T = types.float64[:, ::1]
INTS_T = types.int32[::1]
BYTES_T = types.int8[::1]


@inlined
def positioned(f: Any) -> bool:
    """Whether a frame has a position."""
    return bool(f.latitude_e7 != MISSING_E7 and f.longitude_e7 != MISSING_E7)  # noqa: PLR1714 - a kernel


@inlined
def depth_in(points: Any, first: int, last: int, x: float, y: float) -> float:
    """Distance in metres from (x, y) to the nearest edge of the ring points[first..last], positive inside, negative outside."""
    nearest = np.inf
    inside = False
    for i in range(first, last):
        ax, ay = points[i, 0], points[i, 1]
        dx, dy = points[i + 1, 0] - ax, points[i + 1, 1] - ay
        px, py = x - ax, y - ay
        # the edge crosses the horizontal through the point, and to the right of it as the cross product says
        if (py < 0.0) != (py < dy) and (px * dy < py * dx) == (dy > 0.0):
            inside = not inside
        length = dx * dx + dy * dy
        t = 0.0
        if length > 0.0:
            t = min(1.0, max(0.0, (px * dx + py * dy) / length))
        ex, ey = px - t * dx, py - t * dy
        nearest = min(nearest, ex * ex + ey * ey)
    return real(np.sqrt(nearest)) if inside else -real(np.sqrt(nearest))


@kernel(types.void(POINTS_T, types.int64, types.int64, types.float64[::1], types.float64[::1], types.float64[:, ::1]))
def depths(points: Any, first: int, last: int, x: Any, y: Any, into: Any) -> None:
    """into[r, c] = depth of (x[c], y[r]) in the ring."""
    for r in range(len(y)):
        for c in range(len(x)):
            into[r, c] = depth_in(points, first, last, x[c], y[r])


def _types(names: Sequence[str], vehicle_types: Sequence[str]) -> int:
    return sum(1 << vehicle_types.index(n) for n in set(names) if n in vehicle_types) if names else ALL_TYPES


def compile_cities(cities: Sequence[CityLike | None], vehicle_types: Sequence[str], *, margin_m: float) -> Geofence:
    """Rasters of all cities. A position within `margin_m` of an edge is decided exactly; further away only its side is known."""
    table = np.zeros(max(1, len(cities)), dtype=CITY)
    table["latitude_low"], table["latitude_high"] = 1, 0
    zones: list[tuple[int, int, int, int]] = []
    names: list[str] = []
    points: list[tuple[float, float]] = []
    cells: list[int] = []
    lists: list[int] = []
    entries: list[int] = []
    for code, city in enumerate(cities):
        if city is None:
            continue
        head = table[code]
        everything = np.array([point for zone in city.zones for point in zone.ring])
        longitude, latitude = (everything.min(axis=0) + everything.max(axis=0)) / 2
        head["origin_longitude"], head["origin_latitude"] = round(longitude * 1e7), round(latitude * 1e7)
        head["x_m"] = E7_M * cos(radians(latitude))
        first_zone = len(zones)
        for zone in city.zones:
            ring = np.array(zone.ring)
            plane = [
                (
                    (round(lon * 1e7) - int(head["origin_longitude"])) * float(head["x_m"]),
                    (round(lat * 1e7) - int(head["origin_latitude"])) * E7_M,
                )
                for lon, lat in zone.ring
            ]
            bits = _types(zone.vehicle_types, vehicle_types)
            zones.append((bits, KINDS[zone.kind], len(points), len(points) + len(plane) - 1))
            names.append(zone.name)
            points += plane
            if zone.kind == "service_area":
                head["service_types"] |= np.uint32(bits)
            if zone.kind == "jurisdiction":
                low, high = np.round(ring.min(axis=0) * 1e7), np.round(ring.max(axis=0) * 1e7)
                head["longitude_low"], head["latitude_low"] = low
                head["longitude_high"], head["latitude_high"] = high
        head["first_zone"], head["last_zone"] = first_zone, len(zones)
        for listed in _raster(head, zones, first_zone, np.array(points), margin_m, first_cell=len(cells)):
            verdict = _verdict(listed, zones, int(head["service_types"]))
            cells.append(LISTED if verdict is None else verdict)
            lists.append(len(entries))
            entries += () if verdict is not None else (len(listed), *listed)
    return Geofence(
        cities=table,
        zones=np.array(zones, dtype=ZONE),
        points=np.array(points, dtype=np.float64).reshape(-1, 2),
        cells=np.array(cells, dtype=np.int8),
        lists=np.array(lists, dtype=np.int32),
        entries=np.array(entries, dtype=np.int32),
        names=tuple(names),
    )


def _verdict(listed: list[int], zones: list[tuple[int, int, int, int]], service_types: int) -> int | None:
    """What `judge` would say of any position in a cell; None when that depends on the position or the vehicle type."""
    touched = [zones[entry >> 1] for entry in listed]
    if any(entry & 1 for entry in listed) or any(types_ != ALL_TYPES for types_, *_ in touched) or service_types not in (0, ALL_TYPES):
        return None
    kinds = {kind for _, kind, *_ in touched}
    bad = NO_GO in kinds or (service_types and SERVICE_AREA not in kinds)
    return (BAD_ZONE if bad else GOOD_ZONE) | (GOOD_JURISDICTION if JURISDICTION in kinds else BAD_JURISDICTION)


def _raster(
    head: NDArray[Any],
    zones: list[tuple[int, int, int, int]],
    first_zone: int,
    points: NDArray[np.float64],
    margin_m: float,
    *,
    first_cell: int,
) -> list[list[int]]:
    """The entries of each cell of a city, row by row; fills the raster's place in `head`."""
    rings = points[zones[first_zone][2] :]
    left, bottom = rings.min(axis=0) - margin_m - CELL_M
    columns, rows = np.ceil((rings.max(axis=0) + margin_m + CELL_M - (left, bottom)) / CELL_M).astype(int)
    head["left_m"], head["bottom_m"], head["columns"], head["rows"], head["cell"] = left, bottom, columns, rows, first_cell
    x = left + CELL_M * (np.arange(columns) + 0.5)
    y = bottom + CELL_M * (np.arange(rows) + 0.5)
    reach = margin_m + CELL_M * 0.7072  # from a cell's centre to its corners, and the margin beyond
    cells: list[list[int]] = [[] for _ in range(columns * rows)]
    for index in range(first_zone, len(zones)):
        first, last = zones[index][2:]
        low, high = points[first : last + 1].min(axis=0) - reach, points[first : last + 1].max(axis=0) + reach
        c0, c1 = np.searchsorted(x, (low[0], high[0]))
        r0, r1 = np.searchsorted(y, (low[1], high[1]))
        depth = np.empty((r1 - r0, c1 - c0))
        depths(points, first, last, x[c0:c1], y[r0:r1], depth)
        for r, c in np.argwhere(depth >= -reach).tolist():
            cells[(r0 + r) * columns + c0 + c].append(index * 2 + int(depth[r, c] <= reach))
    return cells


@inlined
def city_of(cities: Any, latitude: int, longitude: int, present: int) -> int:
    """Code of the city whose jurisdiction's bounding box holds the position; `present` when it still does, or when none does."""
    c = cities[present]
    if c.latitude_low <= latitude <= c.latitude_high and c.longitude_low <= longitude <= c.longitude_high:
        return present
    for code in range(1, len(cities)):
        c = cities[code]
        if c.latitude_low <= latitude <= c.latitude_high and c.longitude_low <= longitude <= c.longitude_high:
            return code
    return present


@inlined
def cell_of(city: Any, x: float, y: float) -> int:
    """Index in `cells` of the cell that holds (x, y); -1 outside of the raster."""
    column = whole(np.floor((x - city.left_m) / CELL_M))
    row = whole(np.floor((y - city.bottom_m) / CELL_M))
    if column < 0 or column >= city.columns or row < 0 or row >= city.rows:
        return -1
    return whole(city.cell) + row * whole(city.columns) + column


@merged
def judge(told: Any, city_code: int, type_bit: int, latitude: int, longitude: int, accuracy_m: float, leave_m: float) -> int:
    """What a position says: BAD_ZONE, GOOD_ZONE, BAD_JURISDICTION, GOOD_JURISDICTION bits; neither of a pair: too near to say.

    Bad for zones: more than accuracy_m inside a no-go zone for the vehicle type, or outside all its service areas. Good: more than
    leave_m on the right side of every edge.
    """
    city = told.cities[city_code]
    x = (real(longitude) - real(city.origin_longitude)) * city.x_m
    y = (real(latitude) - real(city.origin_latitude)) * E7_M
    cell = cell_of(city, x, y)
    known = whole(told.cells[cell]) if cell >= 0 else OUT
    if known >= 0:
        return known
    no_go, service, jurisdiction = -FAR_M, -FAR_M, -FAR_M
    if known == LISTED:
        first = whole(told.lists[cell])
        for e in range(first + 1, first + 1 + told.entries[first]):
            entry = whole(told.entries[e])
            zone = told.zones[entry >> 1]
            if zone.types & type_bit or zone.types == ALL_TYPES:
                depth = depth_in(told.points, zone.first, zone.last, x, y) if entry & 1 else FAR_M
                if zone.kind == NO_GO:
                    no_go = max(no_go, depth)
                elif zone.kind == SERVICE_AREA:
                    service = max(service, depth)
                else:
                    jurisdiction = max(jurisdiction, depth)
    if not (city.service_types & type_bit or city.service_types == ALL_TYPES):
        service = FAR_M
    result = 0
    if no_go > accuracy_m or service < -accuracy_m:
        result |= BAD_ZONE
    elif no_go < -leave_m and service > leave_m:
        result |= GOOD_ZONE
    if jurisdiction < -accuracy_m:
        result |= BAD_JURISDICTION
    elif jurisdiction > leave_m:
        result |= GOOD_JURISDICTION
    return result


@inlined
def deepest(told: Any, city_code: int, type_bit: int, latitude: int, longitude: int, kind: int) -> tuple[int, float]:
    """Index of the city's zone of a kind in which the position lies deepest (or which is nearest), and its depth; -1 when there is none."""
    city = told.cities[city_code]
    x = (real(longitude) - real(city.origin_longitude)) * city.x_m
    y = (real(latitude) - real(city.origin_latitude)) * E7_M
    found, depth = -1, -np.inf
    for index in range(city.first_zone, city.last_zone):
        zone = told.zones[index]
        if zone.kind == kind and (zone.types & type_bit or zone.types == ALL_TYPES):
            d = depth_in(told.points, zone.first, zone.last, x, y)
            if d > depth:
                found, depth = index, d
    return found, depth
