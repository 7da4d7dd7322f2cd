"""The simulated cities: a grid of streets, rotated per city, on hilly ground; where vehicles of a kind may ride and stand.

A node is a crossing (i, j); streets of SPACING_M join neighbours. Directions 0..3 lead to i+1, j+1, i-1, j-1. Maps are made once from
the configured zones; the functions below them are parts of kernels.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from fleetpulse.codecs.jit import inlined
from fleetpulse.config.fleet import City, Fleet

SPACING_M = 120.0
INSIDE = 1
"""Bit of a node within the service area; bit NO_GO << type of one in a zone where that vehicle type may not be."""
NO_GO = 2
VEHICLE_TYPES = ("scooter", "bicycle", "car")
_MARGIN_M = 75.0
"""Ordinary rides keep this far from a border, so that GPS noise does not cross it."""
_DEG_M = 111_320.0
_WAVES = ((5100.0, 14.0, 0.7), (2300.0, 7.0, 2.1), (1300.0, 2.5, 4.4))
"""The ground: (wave length in m, height in m, direction)."""

CITY: np.dtype[np.void] = np.dtype(
    [
        ("latitude_deg", "<f8"),
        ("longitude_deg", "<f8"),
        ("north_m_per_deg", "<f8"),
        ("east_m_per_deg", "<f8"),
        ("cos", "<f8"),
        ("sin", "<f8"),
        ("altitude_m", "<f8"),
        ("half", "<i8"),  # node (half, half) is the centre
    ],
    align=True,
)


@dataclass(frozen=True)
class CityMap:
    """All cities by code; row 0 is unused.

    cities  (C+1,) CITY
    nodes   (C+1, n, n) uint8 bits of each crossing
    """

    cities: NDArray[Any]
    nodes: NDArray[np.uint8]


def build(fleet: Fleet) -> CityMap:
    """Maps of all configured cities."""
    cities = np.zeros(len(fleet.cities), dtype=CITY)
    grids = [np.zeros((1, 1), dtype=np.uint8)]
    for city in fleet.cities[1:]:
        assert city is not None
        _place(cities[city.code : city.code + 1], city)
        grids.append(_nodes(cities[city.code], city))
    n = max(len(grid) for grid in grids)
    nodes = np.zeros((len(grids), n, n), dtype=np.uint8)
    for code, grid in enumerate(grids):
        nodes[code, : len(grid), : len(grid)] = grid
    return CityMap(cities, nodes)


def _place(row: NDArray[Any], city: City) -> None:
    angle = math.radians(city.code * 37 % 90)
    east = _DEG_M * math.cos(math.radians(city.centre_latitude_deg))
    reach = max(
        math.hypot((x - city.centre_longitude_deg) * east, (y - city.centre_latitude_deg) * _DEG_M)
        for zone in city.zones
        if zone.kind == "service_area"
        for x, y in zone.ring
    )
    row["latitude_deg"], row["longitude_deg"] = city.centre_latitude_deg, city.centre_longitude_deg
    row["north_m_per_deg"], row["east_m_per_deg"] = _DEG_M, east
    row["cos"], row["sin"] = math.cos(angle), math.sin(angle)
    row["altitude_m"] = 75.0
    row["half"] = int(reach / SPACING_M) + 8


def _nodes(row: Any, city: City) -> NDArray[np.uint8]:
    n = 2 * int(row["half"]) + 1
    steps = (np.arange(n) - row["half"]) * SPACING_M
    u, w = np.meshgrid(steps, steps, indexing="ij")
    x, y = u * row["cos"] - w * row["sin"], u * row["sin"] + w * row["cos"]
    bits = np.zeros((n, n), dtype=np.uint8)
    for zone in city.zones:
        ring = np.array(zone.ring)
        ring = (ring - (row["longitude_deg"], row["latitude_deg"])) * (row["east_m_per_deg"], row["north_m_per_deg"])
        if zone.kind == "service_area":
            bits |= np.where(shapely.contains_xy(shapely.Polygon(ring).buffer(-_MARGIN_M), x, y), INSIDE, 0).astype(np.uint8)
        elif zone.kind == "no_go":
            bit = sum(NO_GO << i for i, name in enumerate(VEHICLE_TYPES) if not zone.vehicle_types or name in zone.vehicle_types)
            bits |= np.where(shapely.contains_xy(shapely.Polygon(ring).buffer(_MARGIN_M), x, y), bit, 0).astype(np.uint8)
    return bits


def nearest_node(row: Any, longitude_deg: float, latitude_deg: float) -> tuple[int, int]:
    """(i, j) of the crossing nearest to a place, within the grid of the CITY row."""
    x = (longitude_deg - row["longitude_deg"]) * row["east_m_per_deg"]
    y = (latitude_deg - row["latitude_deg"]) * row["north_m_per_deg"]
    half = int(row["half"])
    i = round((x * row["cos"] + y * row["sin"]) / SPACING_M) + half
    j = round((y * row["cos"] - x * row["sin"]) / SPACING_M) + half
    return min(max(i, 0), 2 * half), min(max(j, 0), 2 * half)


@inlined
def di(direction: int) -> int:
    return 1 if direction == 0 else (-1 if direction == 2 else 0)


@inlined
def dj(direction: int) -> int:
    return 1 if direction == 1 else (-1 if direction == 3 else 0)


@inlined
def allowed(nodes: NDArray[np.uint8], city: int, vehicle_type: int, i: int, j: int) -> bool:
    """Whether an ordinary ride may come to this crossing."""
    if i < 0 or j < 0 or i >= nodes.shape[1] or j >= nodes.shape[2]:
        return False
    bits = nodes[city, i, j]
    return bool((bits & INSIDE) != 0 and (bits & (NO_GO << vehicle_type)) == 0)


@inlined
def east_m(city: Any, i: float, j: float) -> float:
    """Metres east of the city's centre; i and j may lie between crossings."""
    return float(((i - city.half) * city.cos - (j - city.half) * city.sin) * SPACING_M)


@inlined
def north_m(city: Any, i: float, j: float) -> float:
    return float(((i - city.half) * city.sin + (j - city.half) * city.cos) * SPACING_M)


@inlined
def heading_deg(city: Any, direction: int) -> float:
    """Clockwise from north."""
    east = di(direction) * city.cos - dj(direction) * city.sin
    north = di(direction) * city.sin + dj(direction) * city.cos
    return math.degrees(math.atan2(east, north)) % 360.0


@inlined
def ground_m(city: Any, x: float, y: float) -> float:
    """Height of the ground at x east and y north, over the ellipsoid. Smooth; slopes up to about 4 %."""
    height = float(city.altitude_m)
    for length, size, direction in _WAVES:
        height += size * math.sin((x * math.cos(direction) + y * math.sin(direction)) * (2.0 * math.pi / length) + direction)
    return height


@inlined
def at_i(i: int, direction: int, progress_m: float) -> float:
    """Where a vehicle is on the grid, `progress_m` from crossing i in `direction`."""
    return i + di(direction) * progress_m / SPACING_M


@inlined
def at_j(j: int, direction: int, progress_m: float) -> float:
    return j + dj(direction) * progress_m / SPACING_M
