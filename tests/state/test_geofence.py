"""Geofences against shapely: depth in a ring, the verdict through the raster, the city of a position."""

from math import cos, pi, sin
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from shapely import Point, Polygon

from fleetpulse.config.fleet import load_fleet
from fleetpulse.state import geofence
from fleetpulse.state.geofence import BAD_JURISDICTION, BAD_ZONE, E7_M, GOOD_JURISDICTION, GOOD_ZONE
from fleetpulse.state.parameters import Parameters
from fleetpulse.state.shard import told
from tests.naive.places import city_at, zone_depths
from tests.state.logs import EXAMPLES, MODELS, PARAMETERS, City, Zone

CENTRE_DEG = (13.4, 52.5)
LEAVE_M = 25.0


@st.composite
def stars(draw: st.DrawFn, *, largest_m: int = 3000) -> list[tuple[float, float]]:
    """A closed ring about the origin that sees itself from there: concave, with spikes, either way round; metres."""
    corners = draw(st.integers(3, 12))
    radii = draw(st.lists(st.integers(50, largest_m), min_size=corners, max_size=corners))
    x, y = draw(st.integers(-2000, 2000)), draw(st.integers(-2000, 2000))
    ring = [(x + r * cos(2 * pi * i / corners), y + r * sin(2 * pi * i / corners)) for i, r in enumerate(radii)]
    return [*ring, ring[0]][:: draw(st.sampled_from((1, -1)))]


@settings(max_examples=EXAMPLES, deadline=None)
@given(stars(), st.integers(-6_000_000, 6_000_000), st.integers(-6_000_000, 6_000_000))
def test_the_depth_in_a_ring_is_the_distance_to_its_edge_with_the_side_as_sign(
    ring: list[tuple[float, float]], x_mm: int, y_mm: int
) -> None:
    x, y = x_mm / 1000, y_mm / 1000
    polygon = Polygon(ring)
    away = polygon.exterior.distance(Point(x, y))
    depth = np.empty((1, 1))
    geofence.depths(np.array(ring), 0, len(ring) - 1, np.array([x]), np.array([y]), depth)
    assert abs(depth[0, 0]) == pytest.approx(away, abs=1e-6)
    if away > 1e-6:
        assert (depth[0, 0] > 0) == polygon.contains(Point(x, y))


def test_a_ring_with_a_doubled_point_and_a_position_on_its_corner() -> None:
    ring = np.array([(0.0, 0.0), (10.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 0.0)])
    depth = np.empty((2, 2))
    geofence.depths(ring, 0, 4, np.array([10.0, 20.0]), np.array([0.0, 5.0]), depth)
    assert np.abs(depth).tolist() == [[0, 10], [5 / 2**0.5, 10]] or depth[1, 0] == 0
    assert depth[0, 1] == depth[1, 1] == -10


def degrees(ring: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    x_m = E7_M * cos(CENTRE_DEG[1] * pi / 180)
    return tuple((CENTRE_DEG[0] + x / x_m * 1e-7, CENTRE_DEG[1] + y / E7_M * 1e-7) for x, y in ring)


@st.composite
def towns(draw: st.DrawFn) -> City:
    """A jurisdiction, one or two service areas, up to two no-go zones, some of them for one vehicle type."""
    only = st.sampled_from(((), ("scooter",), ("car",)))
    zones = [Zone("jurisdiction", "jurisdiction", degrees(draw(stars(largest_m=8000))))]
    zones += [Zone("s", "service_area", degrees(draw(stars(largest_m=6000))), draw(only)) for _ in range(draw(st.integers(1, 2)))]
    zones += [Zone("n", "no_go", degrees(draw(stars(largest_m=1500))), draw(only)) for _ in range(draw(st.integers(0, 2)))]
    return City(1, tuple(zones))


def verdict(parameters: Parameters, model: int, place: tuple[int, int], accuracy_m: float) -> int:
    type_bit = int(parameters.models_record["type_bit"][model])
    result: int = geofence.judge(told(parameters), 1, type_bit, place[0], place[1], accuracy_m, LEAVE_M)
    return result


def naive_verdict(parameters: Parameters, model: int, place: tuple[int, int], accuracy_m: float) -> int | None:
    """From the depths in all polygons; None when one is too near a threshold to be sure of rounding."""
    depths = zone_depths(parameters, 1, int(parameters.models_record["type_bit"][model]), *place)
    of = {kind: [d for k, _, d in depths if k == kind] for kind in ("jurisdiction", "service_area", "no_go")}
    if any(abs(abs(d) - t) < 1e-3 for ds in of.values() for d in ds for t in (accuracy_m, LEAVE_M)):
        return None
    result = 0
    service = max(of["service_area"], default=np.inf)
    if any(d > accuracy_m for d in of["no_go"]) or service < -accuracy_m:
        result |= BAD_ZONE
    elif all(d < -LEAVE_M for d in of["no_go"]) and service > LEAVE_M:
        result |= GOOD_ZONE
    inside = max(of["jurisdiction"])
    return result | (BAD_JURISDICTION if inside < -accuracy_m else GOOD_JURISDICTION if inside > LEAVE_M else 0)


@settings(max_examples=EXAMPLES // 4, deadline=None)
@given(towns(), st.lists(st.tuples(st.integers(-90_000, 90_000), st.integers(-140_000, 140_000)), min_size=20, max_size=20), st.data())
def test_the_verdict_through_the_raster_is_that_of_the_polygons(town: City, places: list[tuple[int, int]], data: st.DataObject) -> None:
    parameters = Parameters(models=MODELS, cities=(None, town))
    near = [p for zone in town.zones for p in zone.ring]
    for dy, dx in places:
        place = (525_000_000 + dy, 134_000_000 + dx)
        if data.draw(st.booleans()):  # beside a corner of a zone
            longitude, latitude = near[data.draw(st.integers(0, len(near) - 1))]
            place = (round(latitude * 1e7) + dy // 100, round(longitude * 1e7) + dx // 100)
        accuracy = data.draw(st.sampled_from((0.0, 3.0, 30.0, 100.0)))
        for model in (0, 1, 3):
            expected = naive_verdict(parameters, model, place, accuracy)
            assert expected is None or verdict(parameters, model, place, accuracy) == expected


CONFIGURED = load_fleet()
ONE_BY_ONE = [
    Parameters(models=CONFIGURED.models, cities=(None, City(1, city.zones)))  # type: ignore[arg-type]  # config's zones are zones
    for city in CONFIGURED.cities
    if city is not None
]
TWO = told(PARAMETERS)


@settings(max_examples=EXAMPLES // 2, deadline=None)
@given(st.sampled_from(ONE_BY_ONE), st.floats(0, 1), st.floats(0, 1), st.sampled_from((3.0, 50.0)), st.sampled_from((1, 2, 3)))
def test_the_configured_cities_are_judged_as_their_polygons_say(only: Parameters, x: float, y: float, accuracy: float, model: int) -> None:
    city = only.cities[1]
    assert city is not None
    low, high = np.min(city.zones[0].ring, axis=0) - 0.01, np.max(city.zones[0].ring, axis=0) + 0.01
    longitude, latitude = low + (high - low) * (x, y)
    place = (round(latitude * 1e7), round(longitude * 1e7))
    expected = naive_verdict(only, model, place, accuracy)
    assume(expected is not None)
    assert verdict(only, model, place, accuracy) == expected


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 2), st.integers(523_000_000, 527_000_000), st.integers(132_000_000, 139_000_000))
def test_the_city_is_the_one_whose_box_holds_the_position_else_the_one_before(present: int, latitude: int, longitude: int) -> None:
    assert geofence.city_of(TWO.cities, latitude, longitude, present) == city_at(PARAMETERS, present, latitude, longitude)


def test_without_cities_nothing_is_in_one() -> None:
    parameters = Parameters()
    assert geofence.city_of(told(parameters).cities, 525_000_000, 134_000_000, 0) == 0
    empty: Any = parameters.geofence
    assert (len(empty.zones), len(empty.cells), empty.names) == (0, 0, ())
