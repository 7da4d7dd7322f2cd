"""Step rebalance: reports of all shards to advice; right in small cities, and the same whatever the order of arrival."""

from collections import defaultdict
from dataclasses import replace
from typing import Any

import h3.api.basic_int as h3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetpulse.alerts import event
from fleetpulse.alerts.event import Outgoing
from fleetpulse.alerts.states import VehicleState
from fleetpulse.codecs import tables
from fleetpulse.config.settings import Settings
from fleetpulse.flows.city import parameters_of
from fleetpulse.models.store import StoredStateError
from fleetpulse.operators import rebalance
from fleetpulse.operators.rebalance import CityNames, RebalanceLogic, ZonePlanner
from tests.operators.city import CITY, FLEET, HOME, INTERVAL_MS, NAMES, RING, START_MS, Stands, Told, rhythm
from tests.support.events import validate
from tests.support.polls import cut, poll

PARAMETERS = parameters_of(Settings(), FLEET)
PARTITION = 1


def make(partition: int) -> ZonePlanner:
    return ZonePlanner(partition, PARAMETERS, CityNames("test", FLEET.city_names, FLEET.model_names))


def run(values: list[bytes], cuts: list[int] | None = None, *, restart: bool = False) -> list[Outgoing]:
    planner = make(PARTITION)
    out: list[Outgoing] = []
    for part in cut(poll(values, partition=PARTITION), cuts or []):
        planner.run(part, out)
        if restart:
            planner = ZonePlanner.restored(planner.snapshot(), make)
    return out


def advice(*told: Told) -> list[dict[str, Any]]:
    """Events of the last interval, checked."""
    events = [validate(record) for record in run([record for t in told for record in t.all_records()])]
    return [e for e in events if e["time"] == event.rfc3339(told[-1].end_ms)]


def of_kind(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [e["data"] for e in events if e["data"].get("kind") == kind]


# moves


def test_the_first_interval_already_brings_vehicles_to_where_trips_start() -> None:
    """Four trips started in HOME, nothing is left there, a neighbour has three vehicles and no demand."""
    told = Told(vehicles=[Stands(n, RING[0], east_m=50.0 * n) for n in (1, 2, 3)], starts=[(HOME, 4)])
    (e,) = advice(told)
    data = e["data"]
    assert (e["subject"], data["kind"], data["city"]) == (f"{HOME:x}", "move", CITY)
    assert (data["demand_forecast"], data["supply"], data["deficit"], data["priority"]) == (2.0, 0, 2, 2)
    assert (data["interval_start_ms"], data["interval_end_ms"]) == (START_MS, START_MS + INTERVAL_MS)
    assert data["horizon_end_ms"] == START_MS + 2 * INTERVAL_MS
    assert data["expires_ms"] > data["interval_end_ms"]
    assert len({m["device_id"] for m in data["moves"]}) == 2
    for move in data["moves"]:
        assert (move["from_zone"], move["to_zone"], move["by"]) == (f"{RING[0]:x}", f"{HOME:x}", "rider")
        centre = h3.cell_to_latlng(HOME)
        assert move["distance_m"] == pytest.approx(
            h3.great_circle_distance((move["latitude_deg"], move["longitude_deg"]), centre, unit="m"), abs=0.1
        )
        assert 0.5 <= move["incentive_eur"] <= 5.0
    assert data["moves"] == sorted(data["moves"], key=lambda m: m["distance_m"])
    assert "kafka" not in data["evidence"]
    assert data["evidence"]["recorded_ms"] == data["interval_end_ms"]


def test_a_balanced_city_is_left_alone() -> None:
    assert advice(Told(vehicles=[Stands(1), Stands(2)], starts=[(HOME, 2)])) == []


def test_a_cell_gives_no_more_than_it_can_spare() -> None:
    """The neighbour wants one of its two vehicles itself."""
    told = Told(vehicles=[Stands(1, RING[0]), Stands(2, RING[0])], starts=[(HOME, 2), (RING[0], 1)])
    (data,) = of_kind(advice(told), "move")
    assert len(data["moves"]) == 1


def test_only_rentable_vehicles_with_enough_charge_and_near_enough_are_moved() -> None:
    far = h3.grid_ring(HOME, 4)[0]
    vehicles = [
        Stands(1, RING[0], soc_pct=25),
        Stands(2, RING[0], state=VehicleState.NON_OPERATIONAL),
        Stands(3, RING[0], state=VehicleState.ON_TRIP),
        Stands(4, RING[0], soc_pct=float("nan")),
        Stands(5, far),
    ]
    assert advice(Told(vehicles=vehicles, starts=[(HOME, 3)])) == []
    (data,) = of_kind(advice(Told(vehicles=[*vehicles, Stands(6, RING[0], soc_pct=35)], starts=[(HOME, 3)])), "move")
    assert [m["device_id"][-2:] for m in data["moves"]] == ["06"]
    assert data["moves"][0]["by"] == "staff"  # a rider would run low


def test_a_car_does_not_stand_in_for_a_scooter_and_is_moved_by_staff() -> None:
    cars = [Stands(1, RING[0], model=3)]
    assert advice(Told(vehicles=cars, starts=[(HOME, 1)])) == []
    (data,) = of_kind(advice(Told(vehicles=cars, starts=[(HOME, 1)], starts_model=4)), "move")
    assert data["moves"][0]["by"] == "staff"
    assert "incentive_eur" not in data["moves"][0]


def test_a_recommended_vehicle_is_reserved_until_it_expires() -> None:
    vehicles = [Stands(1, RING[0]), Stands(2, RING[0])]
    story = [Told(i=i, vehicles=vehicles, starts=[(HOME, 1)] if i == 0 else []) for i in range(4)]
    first = of_kind(advice(story[0]), "move")[0]
    assert of_kind(advice(*story[:2]), "move") == []  # one is on its way, which is enough
    expired = of_kind(advice(*story[:3]), "move")
    assert expired[0]["interval_end_ms"] == first["expires_ms"]
    more = replace(story[1], starts=[(HOME, 3)])
    (second,) = of_kind(advice(story[0], more), "move")
    assert {m["device_id"] for m in second["moves"]}.isdisjoint({m["device_id"] for m in first["moves"]})


def test_a_vehicle_that_arrived_counts_where_it_stands() -> None:
    there = [Stands(1, HOME), Stands(2, RING[0])]
    story = [
        Told(i=0, vehicles=[Stands(1, RING[0])], starts=[(HOME, 1)]),
        Told(i=1, vehicles=there, starts=[(HOME, 4)]),
    ]
    (data,) = of_kind(advice(*story), "move")
    assert (data["supply"], data["evidence"]["values"]["expected_supply"], len(data["moves"])) == (1, 1, 1)
    assert data["moves"][0]["device_id"].endswith("02")


def test_urgent_and_far_moves_pay_more() -> None:
    def paid(starts: int, east_m: float) -> float:
        (data,) = of_kind(advice(Told(vehicles=[Stands(1, RING[0], east_m=east_m)], starts=[(HOME, starts)])), "move")
        price: float = data["moves"][0]["incentive_eur"]
        return price

    assert paid(1, 0) < paid(4, 0)
    assert len({paid(1, 0), paid(1, 300)}) == 2


# swaps


def test_swaps_are_ranked_by_charge_and_demand() -> None:
    vehicles = [
        Stands(1, HOME, soc_pct=12, state=VehicleState.NON_OPERATIONAL),
        Stands(2, RING[0], soc_pct=4, state=VehicleState.NON_OPERATIONAL),
        Stands(3, RING[1], soc_pct=4, state=VehicleState.NON_OPERATIONAL),
        Stands(4, RING[1], soc_pct=19),
        Stands(5, RING[1], soc_pct=3, model=3),  # a car is charged, not swapped
        Stands(6, RING[1], soc_pct=3, state=VehicleState.ON_TRIP),
    ]
    swaps = of_kind(advice(Told(vehicles=vehicles, starts=[(HOME, 4), (RING[1], 1)])), "swap")
    ranks = {s["device_id"][-2:]: s["rank"] for data in swaps for s in data["swaps"]}
    assert ranks == {"03": 1, "01": 2, "02": 3, "04": 4}
    assert [data["zone"] for data in swaps] == sorted(data["zone"] for data in swaps)
    urgent = next(data for data in swaps if data["zone"] == f"{RING[1]:x}")
    assert [s["rank"] for s in urgent["swaps"]] == [1, 4]
    assert "moves" not in urgent


def test_a_swap_is_asked_for_once_until_it_expires() -> None:
    low = [Stands(1, soc_pct=10)]
    asked = [len(of_kind(advice(*(Told(i=j, vehicles=low) for j in range(i + 1))), "swap")) for i in range(6)]
    assert asked == [1, 0, 0, 0, 1, 0]


# clusters


def test_a_cluster_is_raised_once_and_cleared_well_below() -> None:
    story = [Told(i=i, vehicles=[Stands(m, soc_pct=10) for m in range(n)]) for i, n in enumerate((2, 3, 4, 2, 3, 1, 0, 3))]
    events = [validate(record) for record in run([record for told in story for record in told.all_records()])]
    alerts = [e for e in events if "alert_id" in e["data"]]
    assert [(e["type"].split(".")[-2], e["data"]["evidence"]["values"]["vehicles"]) for e in alerts] == [
        ("raised", 3),
        ("cleared", 1),
        ("raised", 3),
    ]
    assert alerts[0]["data"]["alert_id"] == alerts[0]["id"] == alerts[1]["data"]["alert_id"] != alerts[2]["id"]
    assert alerts[0]["subject"] == f"{HOME:x}"
    assert alerts[1]["data"]["raised_ms"] == story[1].end_ms


# gathering


def test_an_interval_waits_for_every_shard() -> None:
    told = Told(vehicles=[Stands(1, RING[0])], starts=[(HOME, 1)], absent={2})
    assert run(told.all_records()) == []
    assert len(run([*told.all_records(), *replace(told, absent=set()).records(2)])) == 1
    (counts, _) = replace(told, absent=set()).records(2)
    assert run([*told.all_records(), counts]) == []


def test_an_interval_that_a_shard_jumped_over_is_closed_without_advice_and_the_next_is_decided() -> None:
    vehicles, starts = [Stands(1, RING[0]), Stands(2, RING[0])], [(HOME, 1)]
    jumped, whole = Told(i=0, vehicles=vehicles, starts=starts, absent={3}), Told(i=1, vehicles=vehicles, starts=starts)
    events = [validate(record) for record in run([*jumped.all_records(), *whole.all_records()])]
    assert [e["data"]["interval_end_ms"] for e in events] == [whole.end_ms]


def test_reports_do_not_pile_up_behind_a_shard_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebalance, "WAITING_BYTES", 20_000)
    story = [replace(told, absent={3}) for told in rhythm(20)]
    planner = make(PARTITION)
    out: list[Outgoing] = []
    planner.run(poll([record for told in story for record in told.all_records()], partition=PARTITION), out)
    assert out == []
    assert len(planner.snapshot()) < 40_000


def interleaved(story: list[Told], data: st.DataObject) -> list[bytes]:
    """Each shard's records in order, shards in any interleaving, with restarts of a shard that write its last records again."""
    streams: dict[int, list[bytes]] = {}
    for shard in range(story[0].shards):
        stream = [record for told in story for record in told.records(shard)]
        for _ in range(data.draw(st.integers(0, 2))):
            again = data.draw(st.integers(1, len(stream)))
            back = data.draw(st.integers(1, again))
            stream = [*stream[:again], *stream[again - back : again], *stream[again:]]
        streams[shard] = stream
    turns = data.draw(st.permutations([shard for shard, stream in streams.items() for _ in stream]))
    places: dict[int, int] = defaultdict(int)
    out = []
    for shard in turns:
        out.append(streams[shard][places[shard]])
        places[shard] += 1
    return out


STORY = [replace(told, absent={1} if told.i == 3 else set()) for told in rhythm(6)]
EXPECTED = run([record for told in STORY for record in told.all_records()])


def test_the_story_has_every_kind_of_event() -> None:
    events = [validate(record) for record in EXPECTED]
    assert {e["data"].get("kind", e["data"].get("rule")) for e in events} == {"move", "swap", "battery_cluster"}
    assert len({e["id"] for e in events}) == len(events)
    moved = [m["device_id"] for data in of_kind(events, "move") for m in data["moves"] if data["interval_end_ms"] == STORY[0].end_ms]
    assert len(moved) == len(set(moved)) > 0


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_order_of_arrival_doubles_cuts_and_restarts_change_no_byte(data: st.DataObject) -> None:
    values = interleaved(STORY, data)
    cuts = data.draw(st.lists(st.integers(0, len(values)), max_size=6))
    assert run(values, cuts, restart=data.draw(st.booleans())) == EXPECTED


def test_two_cities_of_a_partition_do_not_mix() -> None:
    other = [replace(told, city="paris") for told in STORY]
    values = [
        record for a, b in zip(STORY, other, strict=True) for pair in zip(a.all_records(), b.all_records(), strict=False) for record in pair
    ]
    assert any(told.absent for told in other)
    events = [validate(record) for record in run(values)]
    mine = [e for e in events if e["data"]["city"] == CITY]
    assert [e["data"] for e in mine] == [validate(record)["data"] for record in EXPECTED]


def test_a_record_that_is_no_report_is_left_out() -> None:
    values = [record for told in STORY for record in told.all_records()]
    foreign = tables.encode(tables.decode(values[0], tables.ZONE, NAMES), NAMES)
    assert run([b"garbage", *values[:9], foreign, b"", *values[9:]]) == EXPECTED


def test_a_poll_that_does_not_follow_the_snapshot_is_refused() -> None:
    logic = RebalanceLogic(make, None)
    assert logic.on_batch([poll(STORY[0].records(0), partition=PARTITION)]) == ([], False)
    assert logic.on_eof()[1] is False
    again = RebalanceLogic(make, logic.snapshot())
    with pytest.raises(StoredStateError, match=r"partition 1 must go on at offset 2 of fleet.zones; got 7"):
        again.on_batch([poll(STORY[0].records(1), partition=PARTITION, first_offset=7)])


def test_a_snapshot_of_another_layout_is_refused() -> None:
    with pytest.raises(StoredStateError, match="must be ZONE version 2"):
        ZonePlanner.restored(b"\0" * 40, make)
