"""The fleet step: what it emits depends on the log alone, is accounted for, legal, and valid."""

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetpulse.alerts.event import EVENT_TOPICS, Outgoing
from fleetpulse.codecs import records
from fleetpulse.codecs.batch import RecordBatch
from fleetpulse.config.fleet import load_fleet
from fleetpulse.config.settings import Settings
from fleetpulse.flows.shards import shard_maker
from fleetpulse.flows.topics import TELEMETRY
from fleetpulse.operators import fleet, words
from fleetpulse.operators.fleet import FleetLogic, ShardLogic, StateError
from tests.support.events import validate
from tests.support.log import Log, simulated

FLEET = load_fleet()
MAKE = shard_maker(Settings.model_validate({"rebalance": {"interval_s": 120}}), FLEET, topic=TELEMETRY)


@functools.cache
def log() -> Log:
    return simulated(FLEET, vehicles=60, duration_s=420)


def run(logic: ShardLogic, batches: list[RecordBatch]) -> list[Outgoing]:
    out: list[Outgoing] = []
    for batch in batches:
        logic.run(records.decode(batch, source_topic=TELEMETRY, partitions=1), out)
    return out


@functools.cache
def whole() -> tuple[Outgoing, ...]:
    return tuple(run(MAKE(0), [log().batch()]))


def by_topic(out: list[Outgoing] | tuple[Outgoing, ...]) -> dict[str, list[Outgoing]]:
    topics: dict[str, list[Outgoing]] = {}
    for record in out:
        topics.setdefault(record.topic, []).append(record)
    return topics


def test_the_log_leads_to_events_of_every_topic_that_the_step_writes() -> None:
    topics = by_topic(whole())
    assert topics.keys() >= {*EVENT_TOPICS, "fleet.features", "fleet.zones", f"{TELEMETRY}.dead-letter"} - {"fleet.rebalance"}


def test_what_the_models_alerts_depend_on_stands_among_the_windows_in_the_order_of_its_seconds() -> None:
    said = [told for record in by_topic(whole())["fleet.features"] if (told := words.parse(record.value)) is not None]
    assert {word.kind for _, heard in said for word in heard} == {"holding", "acknowledged", "snoozed", "service", "gone"}
    assert all(word.stream_ms // 1000 == second for second, heard in said for word in heard)
    assert [second for second, _ in said] == sorted({second for second, _ in said})


def test_a_snapshot_of_the_version_before_words_is_read() -> None:
    logic = MAKE(0)
    run(logic, [log().batch(0, 100)])
    magic, _, shard, offset, *lengths = fleet._header(logic.snapshot())
    old = fleet._FORMS[2].pack(magic, 2, shard, offset, *lengths[:4]) + logic.snapshot()[fleet._SNAPSHOT.size : -lengths[4]]
    assert fleet.offset_of(old) == 100
    assert fleet.offset_of(fleet.at_offset(old, 7)) == 7
    restored = MAKE(0)
    restored.restore(old)
    assert run(restored, [log().batch(100)]) == run(logic, [log().batch(100)])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 100_000), max_size=40))
def test_however_the_log_is_cut_into_polls_the_output_is_the_same_byte_for_byte(cuts: list[int]) -> None:
    """Invariant 1. Per topic: between topics nobody can see an order."""
    n = len(log().values)
    assert by_topic(run(MAKE(0), log().cut([c % n for c in cuts]))) == by_topic(whole())


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=5))
def test_a_snapshot_taken_anywhere_and_restored_changes_nothing(cuts: list[int]) -> None:
    n = len(log().values)
    out: list[Outgoing] = []
    logic = MAKE(0)
    for batch in log().cut([c % n for c in cuts]):
        out += run(logic, [batch])
        restored = MAKE(0)
        restored.restore(logic.snapshot())
        logic = restored
    assert by_topic(out) == by_topic(whole())


def test_every_frame_is_accounted_for() -> None:
    """Invariant 3: received = processed + duplicate + late + quarantined + dead_lettered; sent = received - duplicate + missing."""
    logic = MAKE(0)
    run(logic, [log().batch()])
    counters = logic.counters()

    def total(prefix: str) -> int:
        return sum(value for name, value in counters.items() if name.startswith(f"{prefix}."))

    assert counters["received"] == sum(counters[name] for name in ("processed", "duplicate", "late")) + total("quarantined") + total(
        "dead_lettered"
    )
    assert counters["received"] == log().frames - log().lost + log().duplicates + log().garbage
    assert counters["duplicate"] == log().duplicates
    assert total("dead_lettered") == log().garbage
    tails = log().frames + log().garbage - (counters["received"] - counters["duplicate"] + counters["missing"])
    assert 0 <= tails <= log().lost, "only the lost end of a boot that still runs cannot be known yet"


def test_every_event_is_valid_and_every_id_stands_for_one_event() -> None:
    events = [record for record in whole() if record.topic in EVENT_TOPICS]
    ids = [validate(record)["id"] for record in events]
    assert len(ids) == len(set(ids))


def test_every_availability_change_follows_from_the_one_before() -> None:
    """Invariant 5; that each is an edge of the MDS table is asserted where changes are made, and tested in tests/alerts."""
    before: dict[str, str] = {}
    for record in whole():
        if record.topic != "fleet.availability":
            continue
        change = validate(record)
        assert change["data"]["previous_state"] == before.get(change["subject"], "available")
        before[change["subject"]] = change["data"]["vehicle_state"]


def test_a_poll_that_does_not_follow_the_snapshot_is_refused() -> None:
    """The guard against a resume that puts state ahead of its source."""
    logic = MAKE(0)
    run(logic, [log().batch(0, 100)])
    with pytest.raises(StateError, match="must go on at the offset after its snapshot, 100; got 90"):
        run(logic, [log().batch(90, 120)])


def test_a_snapshot_of_another_version_is_refused() -> None:
    logic = MAKE(0)
    run(logic, [log().batch(0, 100)])
    snapshot = bytearray(logic.snapshot())
    snapshot[4] += 1
    with pytest.raises(StateError, match="version"):
        FleetLogic(MAKE, bytes(snapshot))
