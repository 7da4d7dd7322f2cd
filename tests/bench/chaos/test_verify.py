"""The harness finds what it looks for: lost and doubled events, lost frames, counters that do not add up. On made-up outcomes."""

from dataclasses import replace
from pathlib import Path
from uuid import UUID

import orjson
import pytest

from fleetpulse.bench.chaos import recovery, verify
from fleetpulse.bench.chaos.recovery import Usual
from fleetpulse.bench.chaos.verify import Content, Frames, Log
from fleetpulse.bench.chaos.watch import Sample

DEVICE = UUID(int=7)


def content(value: bytes = b'{"evidence": {"rule": "low_battery"}}', topic: str = "fleet.alerts") -> Content:
    return Content(topic, b"key", (("ce_id", b"1"),), value)


def test_equal_events_differ_in_nothing_however_often_they_were_written() -> None:
    assert verify.difference({"a": {content()}}, {"a": {content()}}) == verify.Difference((), ())


def test_an_event_that_is_missing_is_lost() -> None:
    assert verify.difference({}, {"a": {content()}}) == verify.Difference(("a",), ())


@pytest.mark.parametrize(
    "got",
    [
        {"a": {content(), content(b"{}")}},
        {"a": {content(b"{}")}},
        {"a": {content()}, "b": {content()}},
    ],
    ids=["two contents", "another content", "an id without a cause"],
)
def test_an_event_with_two_contents_or_an_id_of_its_own_is_doubled(got: verify.Events) -> None:
    difference = verify.difference(got, {"a": {content()}})
    assert not difference.lost
    assert len(difference.doubled) == 1


@pytest.mark.parametrize(
    ("topic", "rule", "flow"),
    [
        ("fleet.alerts", "low_battery", "telemetry"),
        ("fleet.maintenance", "vibration", "detect"),
        ("fleet.alerts", "drain", "detect"),
        ("fleet.rebalance", "rebalance", "city"),
        ("fleet.alerts", "battery_cluster", "city"),
    ],
)
def test_an_event_tells_its_flow(topic: str, rule: str, flow: str) -> None:
    assert content(orjson.dumps({"evidence": {"rule": rule}}), topic).flow == flow


def ledger(folder: Path, *boots: tuple[int, int]) -> Path:
    (folder / "boots.json").write_bytes(orjson.dumps({str(DEVICE): [[boot, 0, last] for boot, last in boots]}))
    return folder


def log(*boots: tuple[int, int, int]) -> Log:
    return Log({(DEVICE.bytes, boot): (count, last) for boot, count, last in boots}, sum(boot[1] for boot in boots), 0, frozenset())


def test_frames_of_a_gap_a_tail_and_a_whole_boot_are_lost(tmp_path: Path) -> None:
    assert verify.frames(ledger(tmp_path, (1, 9), (2, 4)), log((1, 10, 9), (2, 5, 4))) == Frames(0, 0)
    assert verify.frames(ledger(tmp_path, (1, 9), (2, 4)), log((1, 8, 9), (2, 4, 3))) == Frames(3, 0)
    assert verify.frames(ledger(tmp_path, (1, 9), (2, 4)), log((2, 5, 4))) == Frames(10, 0)


def test_frames_that_no_ledger_knows_are_seen(tmp_path: Path) -> None:
    assert verify.frames(ledger(tmp_path, (1, 4)), log((1, 6, 5))) == Frames(0, 1)
    assert verify.frames(ledger(tmp_path, (1, 4)), log((1, 5, 4), (2, 3, 2))) == Frames(0, 3)


def test_each_identity_is_seen_to_be_broken() -> None:
    counters = {"received": 12, "processed": 7, "duplicate": 1, "late": 2, "quarantined.ahead": 1, "dead_lettered.framing": 1, "missing": 0}
    held = Log({}, 10, 1, frozenset())
    assert verify.broken_identities(counters, held, 0) == []
    for name, value in counters.items():
        assert verify.broken_identities({**counters, name: value + 1}, held, 0), name


def sample(at_s: float, *, end: int, done: int, pending: int = 0, ready: bool = True) -> Sample:
    positions = {flow: {0: end} for flow in ("telemetry", "detect", "city")}
    taken = {flow: {0: done} for flow in positions}
    return Sample(at_s, positions, taken, pending, at_s, 0, ready)


NORMAL = Usual(pending=10, frames_per_s=100)


def test_a_flow_is_back_when_it_has_taken_what_was_there_when_it_died() -> None:
    samples = [sample(1, end=9, done=9), sample(2, end=20, done=9), sample(3, end=30, done=19), sample(4, end=40, done=21)]
    assert recovery.caught_up_at("telemetry worker", 1.5, samples, NORMAL) == 4
    assert recovery.caught_up_at("telemetry worker", 1.5, samples[:3], NORMAL) is None


def test_a_flow_of_which_no_process_lives_is_not_back() -> None:
    dead = replace(sample(2, end=9, done=9), done={"telemetry": {}, "detect": {}, "city": {}})
    assert recovery.caught_up_at("city worker", 1.5, [dead, replace(dead, at_s=3.0)], NORMAL) is None
    assert recovery.caught_up_at("city worker", 1.5, [dead, sample(4, end=9, done=9)], NORMAL) == 4


def test_the_way_is_free_when_the_log_grows_and_vehicles_keep_no_more_than_usual() -> None:
    samples = [
        sample(2, end=10, done=0, pending=400),
        sample(3, end=10, done=0, pending=5),
        sample(4, end=11, done=0, pending=400),
        sample(5, end=12, done=0, pending=300),
    ]
    assert recovery.caught_up_at("bridge", 1.5, samples, NORMAL) == 5


def test_kafka_is_back_when_everybody_is() -> None:
    samples = [sample(2, end=10, done=0, ready=False), sample(3, end=11, done=11, ready=False), sample(4, end=12, done=11)]
    assert recovery.caught_up_at("kafka", 1.5, samples[:2], NORMAL) is None
    assert recovery.caught_up_at("kafka", 1.5, samples, NORMAL) == 4
