"""The simulated fleet is deterministic, keeps to its rates, and moves and consumes as vehicles do."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fleetpulse.codecs.schema import Status
from fleetpulse.config.fleet import Fleet, load_fleet
from fleetpulse.vehicle_agent.scenario import named
from fleetpulse.vehicle_agent.simulator import Simulator
from fleetpulse.vehicle_agent.streets import VEHICLE_TYPES

START_MS = 1_764_054_000_000  # a Tuesday in November, 8 o'clock in Berlin and Paris
MINUTE_MS = 60_000
FLEET: Fleet = load_fleet()


def run(vehicles: int, minutes: float, *, seed: int = 1, scenario: str = "calm") -> NDArray[Any]:
    faults = named(scenario).faults(FLEET, vehicles, seed, START_MS, hours=1)
    return Simulator(FLEET, vehicles, seed, START_MS, faults).step(START_MS + int(minutes * MINUTE_MS))


@cache
def morning() -> NDArray[Any]:
    """90 minutes of 300 vehicles without faults, by vehicle and time."""
    frames = run(300, 90)
    return frames[np.argsort(frames["offset"], kind="stable")]


def content(frames: NDArray[Any]) -> list[bytes]:
    """The columns' bytes; padding between them is nobody's."""
    return [frames[name].tobytes() for name in frames.dtype.names or ()]


def pairs(frames: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Neighbouring frames of the same vehicle."""
    same = frames["offset"][1:] == frames["offset"][:-1]
    return frames[:-1][same], frames[1:][same]


def test_the_same_seed_gives_the_same_frames_and_another_seed_others() -> None:
    assert content(run(20, 2)) == content(run(20, 2))
    assert content(run(20, 2)) != content(run(20, 2, seed=2))


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 180_000), max_size=8))
def test_frames_do_not_depend_on_how_time_is_cut(cuts: list[int]) -> None:
    faults = named("mixed").faults(FLEET, 30, 4, START_MS, hours=1)
    whole = Simulator(FLEET, 30, 4, START_MS, faults).step(START_MS + 180_000)
    simulator = Simulator(FLEET, 30, 4, START_MS, faults)
    parts = [simulator.step(START_MS + until) for until in (*sorted(cuts), 180_000)]
    assert content(np.concatenate(parts)) == content(whole)


def test_a_vehicle_does_not_depend_on_how_many_there_are() -> None:
    few, many = run(7, 3), run(400, 3)
    assert content(many[many["offset"] < 7]) == content(few)


def test_frames_come_in_time_order_and_each_vehicle_counts_its_own() -> None:
    frames = run(100, 5, scenario="mixed")
    assert (np.diff(frames["append_ms"]) >= 0).all()
    for v in range(100):
        own = frames[frames["offset"] == v]
        for boot in np.unique(own["boot_id"]):
            seq = own["seq"][own["boot_id"] == boot]
            assert seq.tolist() == list(range(len(seq)))


def test_a_boot_begins_where_the_agent_says_and_tells_the_end_of_the_one_before() -> None:
    simulator = Simulator(FLEET, 2, 1, START_MS)
    simulator.boot(np.array([7, 1]), np.array([41, -1]))
    frames = simulator.step(START_MS + 20_000)
    first = frames[frames["seq"] == 0]
    assert dict(
        zip(first["offset"].tolist(), zip(first["boot_id"].tolist(), first["previous_last_seq"].tolist(), strict=True), strict=True)
    ) == {
        0: (7, 41),
        1: (1, -1),
    }
    assert (frames["previous_last_seq"][frames["seq"] > 0] == -1).all()


def test_a_vehicle_goes_on_where_an_earlier_run_ended() -> None:
    first = Simulator(FLEET, 20, 1, START_MS)
    last = first.step(START_MS + 10 * MINUTE_MS)
    second = Simulator(FLEET, 20, 1, START_MS + 10 * MINUTE_MS)
    assert second.resume(first.save())
    frames = second.step(START_MS + 11 * MINUTE_MS)
    for v in range(20):
        before, after = last[last["offset"] == v][-1], frames[frames["offset"] == v][0]
        assert after["seq"] == 0
        assert 0 <= after["odometer_m"] - before["odometer_m"] < 20
        assert abs(after["battery_soc_pct"] - before["battery_soc_pct"]) < 0.5


def test_vehicles_of_another_fleet_are_not_resumed() -> None:
    simulator = Simulator(FLEET, 20, 1, START_MS)
    content_before = simulator.vehicles.tobytes()
    for other in (Simulator(FLEET, 21, 1, START_MS), Simulator(FLEET, 20, 2, START_MS)):
        assert not simulator.resume(other.save())
    assert not simulator.resume(b"")
    assert simulator.vehicles.tobytes() == content_before


def test_rates_are_5_hz_riding_1_hz_on_the_street_and_a_tenth_asleep() -> None:
    before, after = pairs(morning())
    gap_ms = after["append_ms"] - before["append_ms"]
    use, locked = (before["status"] & Status.IN_USE) != 0, (before["status"] & Status.LOCKED) != 0
    steady = before["status"] == after["status"]
    asleep = steady & ~use & (before["battery_soc_pct"] > 80.2) & (after["battery_soc_pct"] > 80.2)
    awake = steady & ~use & (before["battery_soc_pct"] < 79.8) & (after["battery_soc_pct"] < 79.8)
    assert set(gap_ms[steady & use & ~locked]) == {200}
    assert set(gap_ms[awake]) == {1000}
    assert gap_ms[asleep].max() == 10_000
    assert (gap_ms[asleep] == 10_000).mean() > 0.98  # the first after a change of status comes sooner


def test_a_change_of_status_is_told_within_a_second() -> None:
    before, after = pairs(morning())
    changed = before["status"] != after["status"]
    at_once = (after["append_ms"] - before["append_ms"])[changed & ((before["status"] & Status.IN_USE) != 0)]
    assert changed.any()
    assert at_once.max() <= 2000


@pytest.mark.parametrize(("model", "low", "high"), [("scooter", 10, 20), ("ebike", 5, 12), ("car", 130, 200), ("van", 200, 300)])
def test_energy_per_kilometre_is_within_published_ranges(model: str, low: float, high: float) -> None:
    frames = morning()
    before, after = pairs(frames[frames["model_id"] == FLEET.model_names.index(model)])
    riding = ((before["status"] & Status.IN_USE) != 0) & (before["trip_lo"] == after["trip_lo"])
    hours = (after["append_ms"] - before["append_ms"])[riding] / 3_600_000
    energy_wh = float((-after["battery_voltage_v"] * after["battery_current_a"])[riding] @ hours)
    distance_km = float((after["odometer_m"] - before["odometer_m"])[riding].sum()) / 1000
    assert distance_km > 20
    assert low <= energy_wh / distance_km <= high


def test_vehicles_keep_to_their_speed_and_place_speed_and_odometer_agree() -> None:
    frames = morning()
    for code, model in enumerate(FLEET.models):
        if model is not None:
            assert frames["speed_mps"][frames["model_id"] == code].max() <= model.max_speed_mps
    before, after = pairs(frames)
    use = (before["status"] & after["status"] & Status.IN_USE) != 0
    north = (after["latitude_e7"] - before["latitude_e7"]).astype(float)[use] * 111_320e-7
    east = (
        (after["longitude_e7"] - before["longitude_e7"]).astype(float)[use]
        * 111_320e-7
        * np.cos(np.radians(before["latitude_e7"][use] / 1e7))
    )
    driven = (after["odometer_m"] - before["odometer_m"])[use]
    assert np.hypot(north, east).max() < 12.0
    assert driven.min() >= 0.0
    assert abs(np.hypot(north, east)[driven > 1.0].sum() / driven[driven > 1.0].sum() - 1.0) < 0.1


def test_charge_falls_while_riding_and_hardly_while_parked() -> None:
    before, after = pairs(morning())
    change = (after["battery_soc_pct"] - before["battery_soc_pct"]).astype(float)
    charging = ((before["status"] | after["status"]) & Status.CHARGING) != 0
    use = (before["status"] & after["status"] & Status.IN_USE) != 0
    two_wheels = before["model_id"] <= 2
    hours = (after["append_ms"] - before["append_ms"]) / 3_600_000
    parked = ~use & ~charging & two_wheels & (change < 10)  # not the swaps
    assert change[use & two_wheels].sum() / hours[use & two_wheels].sum() < -8.0
    assert -1.0 < change[parked].sum() / hours[parked].sum() < 0.0
    assert change[charging].sum() > 0.0


def test_voltage_sags_under_load() -> None:
    frames = morning()
    scooters = frames[(frames["model_id"] == 1) & (abs(frames["battery_soc_pct"] - 60) < 5)]
    idle = scooters["battery_voltage_v"][scooters["battery_current_a"] > -0.5]
    loaded = scooters["battery_voltage_v"][scooters["battery_current_a"] < -8.0]
    assert loaded.mean() < idle.mean() - 1.0
    assert scooters["battery_voltage_v"].min() > 36.0


def test_nobody_leaves_the_service_area_or_enters_a_no_go_zone_without_being_sent() -> None:
    frames = morning()
    x, y = frames["longitude_e7"] / 1e7, frames["latitude_e7"] / 1e7
    inside = np.zeros(len(frames), dtype=bool)
    for city in FLEET.cities[1:]:
        assert city is not None
        for zone in city.zones:
            within = shapely.contains_xy(shapely.Polygon(zone.ring), x, y)
            if zone.kind == "service_area":
                inside |= within
            elif zone.kind == "no_go":
                types = np.array([m is not None and m.vehicle_type in (zone.vehicle_types or VEHICLE_TYPES) for m in FLEET.models])
                assert not (within & types[frames["model_id"]]).any()
    assert inside.all()


def test_trips_have_one_pseudonym_each_and_none_outside() -> None:
    frames = morning()
    use = (frames["status"] & Status.IN_USE) != 0
    assert ((frames["trip_lo"] != 0) == use).all()
    trips = np.unique(frames[["trip_hi", "trip_lo", "offset"]][use])
    assert len(np.unique(trips["trip_lo"])) == len(trips)
    assert len(trips) > 50


def test_demand_follows_the_hours_of_the_day() -> None:
    night_ms = START_MS + 19 * 3_600_000
    night = Simulator(FLEET, 400, 1, night_ms).step(night_ms + 30 * MINUTE_MS)
    day = run(400, 30)
    assert len(np.unique(night["trip_lo"])) < 0.3 * len(np.unique(day["trip_lo"]))
