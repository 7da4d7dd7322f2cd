"""Silent vehicles from shards to cities: the alarms are the same whatever the order of arrival, the cuts and the restarts."""

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetpulse.alerts import event
from fleetpulse.alerts.event import EVENT_TOPICS, Outgoing
from fleetpulse.alerts.silences import SLICE_MS
from fleetpulse.codecs import schema
from fleetpulse.codecs.batch import FrameBatch
from fleetpulse.codecs.schema import Kind, Status
from fleetpulse.config.fleet import load_fleet
from fleetpulse.config.settings import Settings
from fleetpulse.flows.city import parameters_of, silences_of
from fleetpulse.flows.shards import shard_maker
from fleetpulse.operators.fleet import ShardLogic
from fleetpulse.operators.rebalance import CityNames, ZonePlanner
from tests.support.events import validate
from tests.support.polls import cut, poll

FLEET = load_fleet()
SHARDS = 3
SETTINGS = Settings.model_validate({"kafka": {"partitions": SHARDS}})
MAKE = shard_maker(SETTINGS, FLEET, topic="vehicle-telemetry")
BERLIN = FLEET.city_names.index("berlin")
START_MS = 1_750_000_000_000 // 900_000 * 900_000
PLACE = {"latitude_e7": 525_200_000, "longitude_e7": 134_050_000}
AWAY = {"latitude_e7": 525_000_000, "longitude_e7": 133_000_000}


def log(shard: int, last_s: int, reports: dict[int, Any], *, down: range = range(0)) -> list[Any]:
    """Rows of a shard: ticks each second, and the frames of its vehicles at the seconds that `reports` says. down: our bridge is."""
    rows = []
    for second in range(last_s):
        if second in down:
            continue
        row = schema.empty(1)
        row["kind"], row["append_ms"] = Kind.TICK, START_MS + 1000 * second
        rows.append(row)
        for who, when in sorted(reports.items()):
            if who % SHARDS == shard and when(second):
                row = schema.empty(1)
                row["append_ms"] = row["time_ms"] = START_MS + 1000 * second
                row["device_hi"], row["device_lo"], row["seq"], row["boot_id"] = 7, who, second, 1
                row["status"], row["model_id"], row["battery_soc_pct"] = Status.LOCKED, 1, 80
                for name, value in (AWAY if who > 100 else PLACE).items():
                    row[name] = value
                rows.append(row)
    for offset, row in enumerate(rows):
        row["offset"] = offset
    return rows


def run_shard(shard: int, rows: list[Any], cuts: list[int] | None = None) -> list[Outgoing]:
    """What the shard writes, in its order."""
    logic: ShardLogic = MAKE(shard)
    out: list[Outgoing] = []
    frames = np.concatenate(rows)
    begin = 0
    for end in sorted({*(c % len(frames) for c in cuts or []), len(frames)} - {0}):
        part = frames[begin:end]
        logic.run(FrameBatch(partition=shard, start=begin, next_offset=end, frames=part), out)
        again = MAKE(shard)
        again.restore(logic.snapshot())
        logic, begin = again, end
    return out


def make(partition: int) -> ZonePlanner:
    names = CityNames("test", FLEET.city_names, FLEET.model_names)
    return ZonePlanner(partition, parameters_of(SETTINGS, FLEET), names, silences_of(SETTINGS))


def zones(out: list[Outgoing]) -> list[bytes]:
    """Silence records for the partition of Berlin."""
    return [r.value for r in out if r.topic == "fleet.zones" and r.partition == BERLIN % 4 and r.value.startswith(b"{")]


def run_city(values: list[bytes], cuts: list[int] | None = None, *, restart: bool = False) -> list[Outgoing]:
    planner = make(BERLIN % 4)
    out: list[Outgoing] = []
    for part in cut(poll(values, partition=BERLIN % 4), cuts or []):
        planner.run(part, out)
        if restart:
            planner = ZonePlanner.restored(planner.snapshot(), make)
    return out


def alerts(out: list[Outgoing]) -> list[tuple[str, str, str]]:
    """(kind, rule, last digits of the subject)."""
    found = [validate(record) for record in out if record.topic == "fleet.alerts"]
    return [(e["type"].split(".")[-2], e["data"]["rule"], e["subject"][-3:]) for e in found]


def round_robin(parts: list[list[bytes]]) -> list[bytes]:
    """One record of each shard in turn."""
    longest = max(map(len, parts))
    return [part[i] for i in range(longest) for part in parts if i < len(part)]


def always(second: int) -> bool:
    return second % 10 == 0


def until(last_s: int, again_s: int = 10**9, every_s: int = 10) -> Any:
    return lambda second: second % every_s == 0 and (second <= last_s or second >= again_s)


STORY = {
    **{who: until(300 + 3 * who, 1500) for who in range(1, 8)},  # seven of one place, in all shards
    20: always,
    101: until(200),  # one elsewhere
    102: until(200, 815),  # back while it waits for others
    103: until(10**9, every_s=150),
}
LOGS = [log(shard, 1700, STORY) for shard in range(SHARDS)]
WRITTEN = [run_shard(shard, rows) for shard, rows in enumerate(LOGS)]
EXPECTED = run_city(round_robin([zones(out) for out in WRITTEN]))


def test_an_area_is_one_alert_and_a_single_vehicle_its_own() -> None:
    told = alerts(EXPECTED)
    assert [(kind, rule) for kind, rule, _ in told] == [
        ("raised", "offline"),
        ("raised", "area_outage"),
        ("cleared", "area_outage"),
    ]
    data = validate(EXPECTED[1])["data"]
    assert data["vehicles"] == 7
    assert [device[-2:] for device in data["devices"]] == [f"{who:02x}" for who in range(1, 8)]
    assert validate(EXPECTED[0])["data"]["evidence"]["kafka"]["partition"] == 101 % SHARDS


def test_an_offline_alarm_comes_within_its_bound() -> None:
    """10 min of silence; the wait for others, the slice of the deadline, the one that it waits to end with."""
    raised = validate(EXPECTED[0])
    assert raised["time"] == event.rfc3339(START_MS + (200 + 600) * 1000)
    values = zones(WRITTEN[101 % SHARDS])
    needed = next(i for i in range(len(values)) if run_city(round_robin([zones(out)[: i + 1] for out in WRITTEN])))
    assert orjson.loads(values[needed])["slice_end_ms"] <= START_MS + (200 + 600) * 1000 + 30_000 + 2 * SLICE_MS


def test_telemetry_itself_raises_no_offline_alert_and_says_non_contactable() -> None:
    told = [validate(r) for out in WRITTEN for r in out if r.topic in EVENT_TOPICS]
    assert not [e for e in told if e["data"].get("rule") == "offline"]
    assert {e["data"]["vehicle_state"] for e in told if "vehicle_state" in e["data"]} == {"non_contactable", "available"}


def test_a_vehicle_that_reports_every_150_s_never_flaps() -> None:
    out = run_shard(0, log(0, 7200, {3: until(10**9, every_s=150)}))
    assert [r for r in out if r.topic in EVENT_TOPICS] == []


def test_one_that_reports_every_15_min_is_offline_once_and_then_known() -> None:
    out = run_shard(0, log(0, 9000, {3: until(10**9, every_s=900)}))
    told = [validate(r)["data"]["event_type"] for r in out if r.topic == "fleet.availability"]
    assert told == ["comms_lost", "comms_restored"]


def test_an_outage_of_ours_is_none() -> None:
    """The bridge is down for an hour, just when a vehicle and an area count as silent; then all are heard."""
    reports = {who: until(300, 4500) for who in range(1, 8)} | {101: until(300, 4500)}
    logs = [log(shard, 4700, reports, down=range(905, 4495)) for shard in range(SHARDS)]
    assert run_city(round_robin([zones(run_shard(shard, rows)) for shard, rows in enumerate(logs)])) == []


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(1, 1600), min_size=1, max_size=5))
def test_what_a_shard_writes_does_not_depend_on_cuts(cuts: list[int]) -> None:
    assert zones(run_shard(0, LOGS[0], cuts)) == zones(WRITTEN[0])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_order_of_arrival_doubles_cuts_and_restarts_change_no_byte(data: st.DataObject) -> None:
    streams = []
    for out in WRITTEN:
        stream = zones(out)
        again = data.draw(st.integers(1, len(stream)))
        back = data.draw(st.integers(1, again))
        streams.append([*stream[:again], *stream[again - back : again], *stream[again:]])
    seed = data.draw(st.randoms(use_true_random=False))
    turns = [shard for shard, stream in enumerate(streams) for _ in stream]
    seed.shuffle(turns)
    places = [iter(stream) for stream in streams]
    values = [next(places[shard]) for shard in turns]
    cuts = data.draw(st.lists(st.integers(0, len(values)), max_size=4))
    assert run_city(values, cuts, restart=data.draw(st.booleans())) == EXPECTED


@pytest.mark.parametrize("broken", [b"{", b'{"table": "x"}', b'{"table": "silence", "notes": [{}]}', b"{}"])
def test_a_record_that_is_no_slice_is_left_out(broken: bytes) -> None:
    values = round_robin([zones(out) for out in WRITTEN])
    assert run_city([broken, *values]) == EXPECTED
