"""Zone reports: what stands where, trips where they happened, who could be moved."""

from typing import Any

import h3.api.basic_int as h3
import numpy as np

from fleetpulse.alerts.states import VehicleState
from fleetpulse.codecs.schema import Status
from fleetpulse.state import zones
from fleetpulse.state.shard import Shard
from fleetpulse.state.zones import TRIPS_ROW
from tests.state.logs import PARAMETERS, run
from tests.state.story import Story

A: dict[str, Any] = {"latitude_e7": 525_000_000, "longitude_e7": 134_000_000}
B: dict[str, Any] = {"latitude_e7": 525_000_000, "longitude_e7": 134_300_000}
VILLAGE: dict[str, Any] = {"latitude_e7": 525_000_000, "longitude_e7": 137_000_000}
CELL_A, CELL_B = (h3.latlng_to_cell(p["latitude_e7"] / 1e7, p["longitude_e7"] / 1e7, 8) for p in (A, B))
AVAILABLE, ON_TRIP, BROKEN = VehicleState.AVAILABLE, VehicleState.ON_TRIP, VehicleState.NON_OPERATIONAL


def counted(rows: Any) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in ("cell", "vehicle_state", "charge_band", "vehicles", "trip_starts", "trip_ends")) for row in rows]


def states(shard: Shard, *codes: int) -> Any:
    assert shard.vehicles == len(codes)
    return np.array(codes, dtype=np.uint8)


def test_vehicles_are_counted_by_cell_state_model_and_charge() -> None:
    story = Story().frame(0, who=1, **A).frame(0, who=2, **A).frame(0, who=3, **A, battery_soc_pct=19.9).frame(0, who=4, **B)
    story.frame(0, who=5, **A, battery_soc_pct=float("nan")).frame(0, who=6).frame(0, who=7, **VILLAGE, battery_soc_pct=20)
    shard = story.shard()
    report = zones.report(shard, states(shard, *[AVAILABLE] * 3, ON_TRIP, *[AVAILABLE] * 3))
    assert sorted(report) == [1, 2]
    in_a = [(CELL_A, AVAILABLE, 0, 1, 0, 0), (CELL_A, AVAILABLE, 2, 2, 0, 0), (CELL_A, AVAILABLE, 3, 1, 0, 0)]
    assert counted(report[1][0]) == sorted([*in_a, (CELL_B, ON_TRIP, 2, 1, 0, 0)])
    assert report[2][0]["charge_band"].tolist() == [1]


def test_trips_count_where_they_started_and_ended_until_they_are_reported() -> None:
    ride = {"status": Status.IN_USE | Status.MOVING}
    story = Story().frame(0, **A, **ride).frame(30, **B, **ride).frame(40, **B).frame(46, **B)
    shard = story.shard()
    report = zones.report(shard, states(shard, AVAILABLE))[1][0]
    assert [row for row in counted(report) if row[1] == TRIPS_ROW] == sorted(
        [(CELL_A, TRIPS_ROW, 2, 0, 1, 0), (CELL_B, TRIPS_ROW, 2, 0, 0, 1)]
    )
    assert [row[1] for row in counted(zones.report(shard, states(shard, AVAILABLE))[1][0])] == [AVAILABLE]


def test_candidates_are_available_or_out_of_charge_sorted_by_device() -> None:
    story = Story()
    for second in (0, 10):
        for who, soc in ((5, 50), (4, 9), (3, 9), (2, 50), (1, 50)):
            story.frame(second, who=who, battery_soc_pct=soc, **A)
    shard = story.shard()
    since = np.arange(5) * 1000
    _, candidates = zones.report(shard, states(shard, AVAILABLE, BROKEN, ON_TRIP, BROKEN, AVAILABLE), since)[1]
    assert candidates["device_lo"].tolist() == [1, 4, 5]
    assert candidates["state_since_ms"].tolist() == [4000, 1000, 0]
    assert candidates["cell"].tolist() == [CELL_A] * 3


def test_a_vehicle_that_moved_is_counted_where_it_is_and_a_restored_shard_reports_the_same() -> None:
    shard = Story().frame(0, **A).shard()
    zones.report(shard, states(shard, AVAILABLE))
    moved = Story().frame(0, **A).frame(50, **B).frames[1:]
    run(shard, [moved])
    restored = Shard(0, PARAMETERS)
    restored.restore(shard.snapshot())
    for one in (shard, restored):
        assert counted(zones.report(one, states(one, AVAILABLE))[1][0]) == [(CELL_B, AVAILABLE, 2, 1, 0, 0)]
