"""The table of latest states: pages, filters and replaced blocks, against plain Python."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fleetpulse.gateway.egress import feed_items
from fleetpulse.gateway.egress.feed_items import StateBlock
from fleetpulse.gateway.egress.state_view import Selection, StateView
from tests.gateway.egress.support import BLOCK, NAMES, device, fleet_rows, state_records

SHARDS = 3


def blocks(by_shard: list[NDArray[Any]]) -> list[StateBlock]:
    items = [feed_items.decode(r.topic, 0, 0, 0, r.value, [], NAMES) for r in state_records(by_shard)]
    return [item for item in items if isinstance(item, StateBlock)]


def filled(by_shard: list[NDArray[Any]], *, seed: int = 0) -> StateView:
    """The view after the blocks came in some order."""
    view, made = StateView(), blocks(by_shard)
    for i in np.random.default_rng(seed).permutation(len(made)).tolist():
        view.apply(made[i])
    return view


def keys(rows: NDArray[Any]) -> list[tuple[int, int]]:
    return list(zip(rows["shard"].tolist(), rows["slot"].tolist(), strict=True))


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(cities=(1,), states=(0, 2)),
        Selection(models=(2, 4), min_soc_pct=20.0, max_soc_pct=60.0),
        Selection(bbox=(13.38, 52.5, 13.42, 52.54)),
        Selection(rows=np.array([0, 5, 700], dtype=np.int64)),
        Selection(rows=np.zeros(0, dtype=np.int64)),
        Selection(min_soc_pct=99.99),
        Selection(service=True),
        Selection(service=False, cities=(1,)),
    ],
)
@pytest.mark.parametrize("limit", [1, 97, 1000, 5000])
def test_pages_hold_each_match_once_in_order(selection: Selection, limit: int) -> None:
    view = filled(fleet_rows(2_000, shards=SHARDS))
    if limit == 1:
        selection = Selection(**{**selection.__dict__, "min_soc_pct": 98.0})
    found, key = [], -1
    while True:
        page = view.select(selection, after_key=key, limit=limit)
        assert len(page.rows) <= limit
        found += keys(page.rows)
        if page.next_key is None:
            break
        key = page.next_key
    plain = []
    for i, row in enumerate(view.rows):
        soc, state, model, city = (row[n] for n in ("battery_soc_pct", "vehicle_state", "vehicle_model", "city"))
        west, south, east, north = selection.bbox or (-180, -90, 180, 90)
        wanted = (
            (row["device_hi"] != 0)
            and (not selection.cities or city in selection.cities)
            and (not selection.models or model in selection.models)
            and (not selection.states or state in selection.states)
            and (selection.min_soc_pct is None or soc >= selection.min_soc_pct)
            and (selection.max_soc_pct is None or soc <= selection.max_soc_pct)
            and west <= row["longitude_deg"] <= east
            and south <= row["latitude_deg"] <= north
            and (selection.rows is None or i in selection.rows)
            and selection.service in (None, bool(row["service"]))
        )
        if wanted:
            plain.append((int(row["shard"]), int(row["slot"])))
    assert found == sorted(plain)
    assert page.total == len(plain)


def test_the_order_of_pages_does_not_depend_on_the_order_of_arrival() -> None:
    by_shard = fleet_rows(2_000, shards=SHARDS)
    pages = [keys(filled(by_shard, seed=seed).select(Selection(), limit=5_000).rows) for seed in range(3)]
    assert pages[0] == pages[1] == pages[2]


def test_a_block_replaces_itself_whole() -> None:
    by_shard = fleet_rows(1_500, shards=1)
    view = filled(by_shard)
    changed = by_shard[0].copy()
    changed["battery_soc_pct"] = 42
    for block in blocks([changed]):
        view.apply(block)
    assert len(view) == 1_500
    assert set(view.select(Selection(), limit=5_000).rows["battery_soc_pct"].tolist()) == {42.0}


def test_a_slot_that_another_vehicle_took_over_is_found_under_its_new_id_alone() -> None:
    by_shard = fleet_rows(10, shards=1)
    view = filled(by_shard)
    changed = by_shard[0].copy()
    new, old = device(99).int, int(changed["device_hi"][3]) << 64 | int(changed["device_lo"][3])
    changed["device_hi"][3], changed["device_lo"][3] = new >> 64, new & (1 << 64) - 1
    view.apply(blocks([changed])[0])
    assert view.find(old) is None
    assert view.find(new) == 3
    shrunk = changed[:5]
    view.apply(blocks([shrunk])[0])
    assert len(view) == 5
    assert view.select(Selection(), limit=100).total == 5


def test_two_vehicles_that_change_places_are_both_found() -> None:
    by_shard = fleet_rows(4, shards=1)
    view = filled(by_shard)
    swapped = by_shard[0].copy()
    for half in ("device_hi", "device_lo"):
        swapped[half][[0, 1]] = swapped[half][[1, 0]]
    view.apply(blocks([swapped])[0])
    ids = (swapped["device_hi"].astype(object) << 64) | swapped["device_lo"].astype(object)
    assert [view.find(int(i)) for i in ids] == [0, 1, 2, 3]


def test_a_shard_is_complete_when_all_its_vehicles_have_come() -> None:
    by_shard = fleet_rows(BLOCK * 2 + 10, shards=1)
    view, made = StateView(), blocks(by_shard)
    assert not view.complete(0)
    for block in made[:2]:
        view.apply(block)
    assert not view.complete(0)
    view.apply(made[2])
    assert view.complete(0)


def test_counts_and_counters_are_sums() -> None:
    by_shard = fleet_rows(900, shards=SHARDS)
    view = filled(by_shard)
    rows = np.concatenate(by_shard)
    assert sum(n for *_, n in view.counts()) == 900
    for city, model, state, n in view.counts():
        assert n == int(((rows["city"] == city) & (rows["vehicle_model"] == model) & (rows["vehicle_state"] == state)).sum())
    assert view.counters()["received"] == 90_000
    assert view.counters()["vehicles"] == 900
