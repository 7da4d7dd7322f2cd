"""Positions and polygons by shapely, on the plane of the city. The twin of state/geofence.py."""

from functools import lru_cache
from math import cos, pi, radians
from typing import Any

from shapely import Point, Polygon

from fleetpulse.state.parameters import Parameters

E7_M = 6_371_008.8 * pi / 180 * 1e-7


def distance_m(a: tuple[int, int], b: tuple[int, int]) -> float:
    """Metres between two positions in e7 degrees."""
    dx = (b[1] - a[1]) * E7_M * cos(radians((a[0] + b[0]) / 2 * 1e-7))
    dy = (b[0] - a[0]) * E7_M
    return float((dx * dx + dy * dy) ** 0.5)


class Plane:
    """A city's polygons in metres from the middle of all their points."""

    def __init__(self, zones: Any) -> None:
        longitudes = [point[0] for zone in zones for point in zone.ring]
        latitudes = [point[1] for zone in zones for point in zone.ring]
        latitude = (min(latitudes) + max(latitudes)) / 2
        self.origin = (round(latitude * 1e7), round((min(longitudes) + max(longitudes)) / 2 * 1e7))
        self.x_m = E7_M * cos(radians(latitude))
        self.polygons = [Polygon([self.at(round(lat * 1e7), round(lon * 1e7)) for lon, lat in zone.ring]) for zone in zones]

    def at(self, latitude_e7: int, longitude_e7: int) -> tuple[float, float]:
        return (longitude_e7 - self.origin[1]) * self.x_m, (latitude_e7 - self.origin[0]) * E7_M

    def depth(self, index: int, latitude_e7: int, longitude_e7: int) -> float:
        """Metres to the edge, positive inside."""
        point, polygon = Point(self.at(latitude_e7, longitude_e7)), self.polygons[index]
        away = float(polygon.exterior.distance(point))
        return away if polygon.contains(point) else -away


@lru_cache(maxsize=8)
def plane(zones: Any) -> Plane:
    return Plane(zones)


def zone_depths(parameters: Parameters, city: int, type_bit: int, latitude_e7: int, longitude_e7: int) -> list[tuple[str, int, float]]:
    """(kind, zone code, depth) of each of the city's zones that hold for the vehicle type."""
    code = 1
    result = []
    for one in parameters.cities:
        if one is None:
            continue
        for index, zone in enumerate(one.zones):
            bits = [1 << parameters.vehicle_types.index(t) for t in zone.vehicle_types if t in parameters.vehicle_types]
            if one.code == city and (not zone.vehicle_types or type_bit in bits):
                result.append((zone.kind, code, plane(one.zones).depth(index, latitude_e7, longitude_e7)))
            code += 1
    return result


def city_at(parameters: Parameters, present: int, latitude_e7: int, longitude_e7: int) -> int:
    """The city whose jurisdiction's bounding box holds the position; the present one rather than another, and when none does."""
    holding = []
    for city in parameters.cities:
        if city is not None:
            ring = next(zone.ring for zone in city.zones if zone.kind == "jurisdiction")
            lons, lats = [round(p[0] * 1e7) for p in ring], [round(p[1] * 1e7) for p in ring]
            if min(lats) <= latitude_e7 <= max(lats) and min(lons) <= longitude_e7 <= max(lons):
                holding.append(city.code)
    return present if present in holding or not holding else holding[0]
