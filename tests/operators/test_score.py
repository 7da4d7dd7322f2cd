"""Step score: records of fleet.features to events; the same ones however polls are cut, records are cut, or written twice."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fleetpulse.alerts import event
from fleetpulse.alerts.event import Outgoing
from fleetpulse.alerts.relay import Word
from fleetpulse.codecs import tables
from fleetpulse.config.fleet import load_fleet
from fleetpulse.models.parameters import DetectParameters
from fleetpulse.models.store import StoredStateError
from fleetpulse.operators import words
from fleetpulse.operators.score import ScoreLogic, ScoreNames, ShardScorer
from tests.models.fleet import START_MS, Invented
from tests.support.events import validate
from tests.support.polls import cut, poll

FLEET = load_fleet()
NAMES = ScoreNames("test", "vehicle-telemetry", FLEET.city_names, FLEET.model_names)
PARAMETERS = DetectParameters(warm_up_windows=200, swappable=frozenset({1, 2}))
SHARD = 3
FAULTY = Invented(vehicles=40, minutes=240, ride_share=0.5, bearing={3: 0.5}, riding={10: 2.0}, since=100, until=150)


def make(shard: int) -> ShardScorer:
    return ShardScorer(shard, PARAMETERS, NAMES)


def encoded(windows: NDArray[Any], ends: Sequence[int]) -> list[bytes]:
    names = {"city": NAMES.cities, "vehicle_model": NAMES.models}
    return [tables.encode(part, names, metadata={"shard": str(SHARD)}) for part in np.split(windows, ends)]


def run(values: list[bytes], cuts: Sequence[int] = (), *, restart: bool = False) -> list[Outgoing]:
    scorer = make(SHARD)
    out: list[Outgoing] = []
    for part in cut(poll(values, partition=SHARD), list(cuts)):
        scorer.run(part, out)
        if restart:
            scorer = ShardScorer.restored(scorer.snapshot(), make)
    return out


@pytest.fixture(scope="module")
def windows() -> NDArray[Any]:
    return FAULTY.windows()


@pytest.fixture(scope="module")
def values(windows: NDArray[Any]) -> list[bytes]:
    return encoded(windows, range(40, len(windows), 40))


@pytest.fixture(scope="module")
def records(values: list[bytes]) -> list[Outgoing]:
    return run(values)


def test_every_event_holds_its_contract(records: list[Outgoing]) -> None:
    events = [validate(record) for record in records]
    types = [e["type"].removeprefix(event.TYPE_PREFIX) for e in events]
    assert types[:2] == [event.MAINTENANCE_REQUIRED, event.ALERT_RAISED]
    assert types.count(event.MAINTENANCE_REQUIRED) == types.count(event.ALERT_RAISED) == types.count(event.ALERT_CLEARED)
    assert types.count(event.MAINTENANCE_RESOLVED) == types.count(event.MAINTENANCE_REQUIRED) >= 2
    assert len({e["id"] for e in events}) == len(events)


def test_events_say_what_and_why(records: list[Outgoing], windows: NDArray[Any]) -> None:
    required, alert = (validate(record) for record in records[:2])
    data = required["data"]
    assert required["subject"] == data["device_id"] == "00000000-000f-1ee7-0000-000000000004"
    assert (data["city"], data["vehicle_model"]) == (FLEET.city_names[1], "scooter")
    assert (data["component"], data["rule"], data["severity"]) == ("motor", "vibration", "warning")
    assert data["maintenance_id"] == required["id"]
    assert alert["data"]["alert_id"] == alert["id"]
    assert "worn bearing" in data["reason"]
    evidence = data["evidence"]
    assert evidence["rule"] == "vibration"
    assert evidence["values"]["score"] >= evidence["values"]["limit"]
    assert evidence["features"][0]["name"] in ("vibration_band3_mps2", "vibration_band4_mps2")
    minute = (evidence["window"]["start_ms"] - START_MS) // 60_000
    assert evidence["kafka"] == {
        "topic": "vehicle-telemetry",
        "partition": SHARD,
        "first_offset": str(minute * 1_000),
        "last_offset": str(minute * 1_000 + 999),
    }
    assert evidence["recorded_ms"] == evidence["window"]["end_ms"] + 2_000
    assert required["time"] == event.rfc3339(evidence["window"]["end_ms"])


def test_what_is_over_names_what_it_ends(records: list[Outgoing]) -> None:
    events = [validate(record) for record in records]
    opened = {e["id"] for e in events if e["type"].endswith(("required.v1", "raised.v1"))}
    ended = [e["data"].get("maintenance_id") or e["data"]["alert_id"] for e in events if e["type"].endswith(("resolved.v1", "cleared.v1"))]
    assert set(ended) == opened
    assert len(ended) == len(opened)


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_cuts_and_restarts_change_no_byte(windows: NDArray[Any], records: list[Outgoing], data: st.DataObject) -> None:
    """The same windows in other records, other polls, with a restart from the snapshot after each poll."""
    ends = sorted(data.draw(st.lists(st.integers(0, len(windows)), max_size=30)))
    values = encoded(windows, ends)
    cuts = data.draw(st.lists(st.integers(0, len(values)), max_size=10))
    assert run(values, cuts, restart=True) == records


def test_records_written_twice_change_no_byte(values: list[bytes], records: list[Outgoing]) -> None:
    """A restart of flow telemetry writes the last windows again."""
    assert run([*values[:120], *values[90:150], *values[140:]]) == records


def test_a_record_that_is_no_table_is_left_out(values: list[bytes], records: list[Outgoing]) -> None:
    foreign = tables.encode(np.zeros(2, dtype=tables.ZONE), {})
    assert run([b"garbage", *values[:50], b"", foreign, *values[50:]]) == records


def test_a_poll_that_does_not_follow_the_snapshot_is_refused(values: list[bytes]) -> None:
    logic = ScoreLogic(make, None)
    logic.on_batch([poll(values[:3], partition=SHARD)])
    again = ScoreLogic(make, logic.snapshot())
    with pytest.raises(StoredStateError, match=r"shard 3 must go on at offset 3 of fleet.features; got 5"):
        again.on_batch([poll(values[5:6], partition=SHARD, first_offset=5)])


def test_bytewax_keeps_a_shard_when_nothing_happened(values: list[bytes]) -> None:
    logic = ScoreLogic(make, None)
    assert logic.on_batch([poll(values[:1], partition=SHARD)]) == ([], False)
    assert list(logic.on_eof()[0]) == []
    assert logic.on_eof()[1] is False


def test_what_people_say_of_a_models_alerts_is_counted_for_the_model(values: list[bytes], records: list[Outgoing]) -> None:
    """The first alert is taken as true, the second as a false alarm; saying it again counts once."""
    raised = [each["data"] for each in map(validate, records) if each["type"].endswith("alert.raised.v1")][:2]
    assert len(raised) == 2
    last_ms = max(each["raised_ms"] for each in raised)
    heard = [
        Word(
            "acknowledged",
            data["device_id"],
            last_ms + 5_000,
            last_ms,
            f"operation.{n}",
            last_ms,
            by="ada",
            rule=data["rule"],
            verdict=said,
        )
        for n, (data, said) in enumerate(zip(raised, ("", "false"), strict=True))
    ]
    minute = (last_ms - START_MS) // 60_000 + 1
    told = words.record(SHARD, last_ms // 1000 + 5, heard).value
    scorer = make(SHARD)
    out: list[Outgoing] = []
    scorer.run(poll([*values[:minute], told, told], partition=SHARD), out)
    counts = scorer.detector.board.counts
    verdicts = {name: count for name, count in counts.items() if ".acknowledged." in name}
    assert verdicts == {f"{raised[0]['evidence']['rule']}.acknowledged.true": 1, f"{raised[1]['evidence']['rule']}.acknowledged.false": 1}
