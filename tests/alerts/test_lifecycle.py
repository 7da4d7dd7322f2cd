"""Any sequence of facts and operations: events do not depend on how it was cut, every move is legal, books and events agree."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fleetpulse.alerts import event, lifecycle, snapshot
from fleetpulse.alerts.alert import Phase
from fleetpulse.alerts.availability import EDGES
from fleetpulse.alerts.event import Event
from fleetpulse.alerts.lifecycle import Lifecycle
from fleetpulse.alerts.parameters import LifecycleParameters
from fleetpulse.alerts.policy import AlertPolicy
from fleetpulse.alerts.states import STATE_NAMES, EventType, VehicleState
from fleetpulse.codecs.operations import Operation, OperationRecord
from fleetpulse.state.facts import Cause, Condition, Fact
from tests.alerts import story
from tests.alerts.story import CAR, PARAMETERS, SCOOTER, START_MS, device
from tests.support import events

MODELS = (SCOOTER, 0, CAR, CAR)
"""Of the vehicles in slots 0-3; model 0 is unknown, hence micromobility."""
SHORT = replace(PARAMETERS, policy=AlertPolicy(escalate_s=3))
LIVELY = replace(
    PARAMETERS,
    policy=AlertPolicy(
        escalate_s=3,
        reopen_s=4,
        reopen={"theft": 0, "tipped": 60},
        minimum={"tipped": 1, "sensor": 2.5},
        keep={"theft": 2, "geofence": 1},
        inhibit={"offline": ("low_battery", "tipped", "voltage_sag"), "crash": ("tipped",), "theft": ("tamper", "crash")},
        confirm={"tamper": ("tipped",), "geofence": ("theft",), "low_battery": ("voltage_sag",)},
    ),
)
BOTH = st.sampled_from((SHORT, LIVELY))
DETAILS: tuple[dict[str, Any], ...] = (
    {},
    {"rule": "tipped"},
    {"rule": "offline"},
    {"component": "battery"},
    {"minutes": 0.05, "rule": "tipped"},
    {"minutes": 0.1},
    {"minutes": 0},
    {"mode": "on"},
    {"mode": "off"},
)


@dataclass(frozen=True)
class Log:
    """Facts in stream order, and the operations that they name."""

    facts: NDArray[Any]
    operations: dict[int, OperationRecord]


@st.composite
def logs(draw: st.DrawFn, *, conditions: tuple[Condition, ...] = tuple(Condition), evictions: bool = True) -> Log:
    """Up to 40 facts about four vehicles, several of one frame among them, with the times that the kernel could give."""
    now_ms, seq, slot = START_MS, 0, 0
    kinds = (*[Fact.RAISED] * 4, *[Fact.CLEARED] * 3, *(fact for fact in Fact if evictions or fact != Fact.EVICTED))
    parts: list[NDArray[Any]] = []
    operations: dict[int, OperationRecord] = {}
    for i in range(draw(st.integers(0, 40))):
        same_frame = draw(st.integers(0, 3)) == 0
        if not same_frame or not parts:
            now_ms += draw(st.sampled_from((0, 1, 400, 999, 1000, 2500, 5000)))
            seq += 1
            slot = draw(st.integers(0, 3))
        kind = draw(st.sampled_from(kinds))
        fields: dict[str, Any] = {
            "slot": slot,
            "vehicle_model": MODELS[slot],
            "stream_ms": now_ms,
            "append_ms": now_ms,
            "event_ms": now_ms - draw(st.sampled_from((0, 10, 3000))),
            "cause_ms": now_ms,
            "seq": seq,
            "cause": Cause.FRAME,
            "first_offset": seq,
            "last_offset": seq,
            "trip_lo": draw(st.integers(0, 1)),
            "late": draw(st.integers(0, 9)) == 0,
            "condition": draw(st.sampled_from(conditions)),
        }
        values: tuple[float, ...] = (70.0, 60.0, float(draw(st.integers(0, 1))))
        if kind == Fact.OPERATION:
            detail = draw(st.sampled_from(DETAILS))
            meant = Operation.SNOOZE if "minutes" in detail else Operation.SERVICE_MODE if "mode" in detail else None
            operation = meant or draw(st.sampled_from(Operation))
            operations[i] = OperationRecord(operation, device(slot), now_ms, "ada", f"op{draw(st.integers(0, 30))}", dict(detail))
            fields |= {"row": i, "cause": Cause.OPERATION, "late": 0}
        elif kind == Fact.EVICTED:
            fields |= {"cause": Cause.DEADLINE, "late": 0}
        elif kind == Fact.TRIP_ENDED:
            values = (float(now_ms - 60_000), 60.0, 300.0, 5.0, 70.0, 52.5, 13.4)
        parts.append(story.row(kind, values=values, **fields))
    return Log(np.concatenate(parts) if parts else story.row(Fact.RAISED)[:0], operations)


def end_ms(log: Log) -> int:
    return (int(log.facts["stream_ms"][-1]) if len(log.facts) else START_MS) + 70_000


def bytes_of(made: list[Event]) -> list[tuple[bytes, Any]]:
    records = [event.encode(e, deployment="test") for e in made]
    return [(record.value, record.headers) for record in records]


def run(log: Log, *, parameters: LifecycleParameters = SHORT) -> tuple[Lifecycle, list[Event]]:
    """The log in one piece."""
    whole = story.lifecycle(parameters)
    return whole, whole.apply(log.facts, log.operations) + whole.advance(end_ms(log))


@settings(max_examples=150, deadline=None)
@given(logs(), BOTH, st.data())
def test_events_do_not_depend_on_how_the_log_was_cut(log: Log, parameters: LifecycleParameters, data: st.DataObject) -> None:
    """Pieces of any size, timers looked at in between or not, now and then a restart from a snapshot: the same bytes in the same order."""
    whole, expected = run(log, parameters=parameters)
    told = [*whole.take_notes()], [*whole.take_words()]
    made: list[Event] = []
    notes, words = [], []
    part = story.lifecycle(parameters)
    start = 0
    while start < len(log.facts):
        end = start + data.draw(st.integers(1, 8))
        piece = log.facts[start:end]
        made += part.apply(piece, {k: v for k, v in log.operations.items() if k in piece["row"]})
        start = end
        if start and data.draw(st.booleans()):
            before = int(log.facts["stream_ms"][min(start, len(log.facts)) - 1])
            after = int(log.facts["stream_ms"][start]) if start < len(log.facts) else end_ms(log)
            made += part.advance(data.draw(st.integers(before, after)))
        if data.draw(st.integers(0, 3)) == 0:
            books = part.snapshot()
            notes += part.take_notes()
            words += part.take_words()
            part = story.lifecycle(parameters)
            part.restore(books)
            assert part.snapshot() == books
    made += part.advance(end_ms(log))
    assert (notes + part.take_notes(), words + part.take_words()) == told
    assert bytes_of(made) == bytes_of(expected)
    assert part.counters == whole.counters
    assert part.snapshot() == whole.snapshot()


@settings(max_examples=150, deadline=None)
@given(logs(evictions=False))
def test_every_move_is_an_edge_and_follows_the_one_before(log: Log) -> None:
    part, made = run(log)
    part.ensure(len(MODELS))
    state = dict.fromkeys(range(len(MODELS)), VehicleState.AVAILABLE)
    since_ms = dict.fromkeys(range(len(MODELS)), 0)
    for e in made:
        if e.type != event.AVAILABILITY_CHANGED:
            continue
        slot = next(s for s in range(len(MODELS)) if str(device(s)) == e.subject)
        before, to = (VehicleState[e.data[key].upper()] for key in ("previous_state", "vehicle_state"))
        mode = "car_share" if MODELS[slot] == CAR else "micromobility"
        assert (before, EventType[e.data["event_type"].upper()], to) in EDGES[mode]  # type: ignore[index]
        assert before == state[slot]
        assert e.time_ms > since_ms[slot]
        state[slot], since_ms[slot] = to, e.time_ms
    for slot, last in state.items():
        assert STATE_NAMES[part.vehicle_state[slot]] == last.name.lower()
        assert part.state_since_ms[slot] == since_ms[slot]


@settings(max_examples=100, deadline=None)
@given(logs(), BOTH)
def test_alerts_and_maintenance_are_opened_and_closed_once_and_the_bits_show_what_is_open(
    log: Log, parameters: LifecycleParameters
) -> None:
    part, made = run(log, parameters=parameters)
    part.ensure(len(MODELS))
    open_: dict[str, dict[str, Any]] = {}
    closed: dict[str, dict[str, Any]] = {}
    suppressed: set[str] = set()
    for e in made:
        events.validate(event.encode(e, deployment="test"))
        if ".alert." in e.type:
            id_, opens, closes = e.data["alert_id"], event.ALERT_RAISED, event.ALERT_CLEARED
        elif ".maintenance." in e.type:
            id_, opens, closes = e.data["maintenance_id"], event.MAINTENANCE_REQUIRED, event.MAINTENANCE_RESOLVED
        else:
            continue
        assert e.type != event.ALERT_SUPPRESSED or "service" not in e.data["suppressed_by"]
        same = [d for d in open_.values() if (d["device_id"], d["rule"], "alert_id" in d) == (e.subject, e.rule, "alert_id" in e.data)]
        if e.type == opens and id_ not in open_:
            assert id_ == e.id
            assert not same, "one alert or task per vehicle and rule"
            if e.data.get("late") is not True or e.rule == "crash":
                open_[id_] = e.data
        elif e.type == event.ALERT_REOPENED:
            before = closed.pop(id_)
            assert not same
            assert (e.subject, e.rule, e.data["raised_ms"]) == (before["device_id"], before["rule"], before["raised_ms"])
            assert e.data["reopened"] == before.get("reopened", 0) + 1
            open_[id_] = e.data
        else:
            assert [d.get("alert_id", d.get("maintenance_id")) for d in same] == [id_]
            if "alert_id" in e.data:
                assert e.data.get("reopened") == open_[id_].get("reopened")
            if e.type == event.ALERT_SUPPRESSED:
                suppressed.add(id_)
            elif e.type == event.ALERT_RESUMED:
                suppressed.remove(id_)
            elif e.type == closes:
                closed[id_] = open_.pop(id_)
                suppressed.discard(id_)
    for slot in range(len(MODELS)):
        mine = [d for d in open_.values() if d["device_id"] == str(device(slot))]
        silences = 1 << Condition.OFFLINE | 1 << Condition.MISSING  # alerts of the city
        assert bool(int(part.alerts[slot]) & ~silences) == any("alert_id" in d for d in mine)
        assert int(part.maintenance[slot]).bit_count() == sum("maintenance_id" in d for d in mine)
        assert not (part.service[slot] and any("alert_id" in d for d in mine)), "a vehicle in service has no alerts"
        assert all(alert.suppressed == part._alarms._reasons(slot, alert.rule) for alert in part._alarms.of(slot))
        assert {d["alert_id"] for d in mine if d.get("alert_id") in suppressed} == {
            a.alert_id for a in part._alarms.of(slot) if a.suppressed
        }


@settings(max_examples=100, deadline=None)
@given(logs(), BOTH)
def test_no_two_events_have_the_same_id(log: Log, parameters: LifecycleParameters) -> None:
    _, made = run(log, parameters=parameters)
    assert len({e.id for e in made}) == len(made)


@settings(max_examples=100, deadline=None)
@given(logs(conditions=(Condition.OFFLINE, Condition.MISSING, Condition.OUTSIDE_JURISDICTION, Condition.UNRENTABLE_BATTERY)))
def test_when_all_is_well_again_every_vehicle_can_be_rented(log: Log) -> None:
    """Nothing sticks: conditions end, trips end, work is done, vehicles are brought back."""
    part, _ = run(log)
    part.ensure(len(MODELS))
    now_ms = end_ms(log) + 1000
    for slot in range(len(MODELS)):
        for i, fact in enumerate((Fact.CLEARED, *[Fact.OPERATION] * 4, Fact.TRIP_ENDED, Fact.OPERATION, *[Fact.CLEARED] * 4)):
            done = (Operation.RECOMMISSIONED, Operation.DROP_OFF, Operation.MAINTENANCE_DONE, Operation.RESERVATION_CANCEL)
            operation = done[i - 1] if 1 <= i <= 4 else Operation.MAINTENANCE_DONE
            condition = Condition.OFFLINE if i == 0 else list(Condition)[(11, 12, 4, 1)[i - 7] if i >= 7 else 0]
            record = OperationRecord(operation, device(slot), now_ms, "ada", f"end{i}", {})
            common = {"slot": slot, "vehicle_model": MODELS[slot], "stream_ms": now_ms, "append_ms": now_ms, "event_ms": now_ms}
            cause = Cause.OPERATION if fact == Fact.OPERATION else Cause.FRAME
            values = (float(now_ms), 0.0)
            part.apply(story.row(fact, values=values, condition=condition, row=0, cause=cause, seq=10_000 + i, **common), {0: record})
            now_ms += 1000
        assert part.vehicle_state[slot] == VehicleState.AVAILABLE


def test_a_vehicle_that_is_forgotten_leaves_nothing_open_and_its_slot_is_as_new() -> None:
    part = story.Story()
    part.raised(*story.CRASH)
    part.raised(*story.OFFLINE, timer=True)
    made = part.fact(Fact.EVICTED, timer=True)
    assert story.kinds(made) == [("alert.cleared", "crash"), ("maintenance.resolved", "crash")]
    assert [note.kind for note in part.lifecycle.take_notes()] == ["offline", "gone"]
    assert made[1].data["resolved_by"] == "forgotten"
    assert {e.data["evidence"]["rule"] for e in made} == {"crash", "eviction"}
    for column in ("vehicle_state", "event_type", "state_since_ms", "alerts", "maintenance"):
        assert getattr(part.lifecycle, column)[0] == 0
    assert part.wait(86_400) == []
    other = part.fact(Fact.RAISED, Condition.TIPPED, 80.0, 10.0, device_lo=999)
    assert other[0].subject.endswith("3e7")


def test_books_are_as_large_as_what_is_open() -> None:
    part = story.Story()
    for slot in range(10):
        part.raised(Condition.TYRE_PRESSURE, 150.0, 172.0, 0.0, slot=slot)
        part.cleared(Condition.TYRE_PRESSURE, 250.0, 172.0, 0.0, slot=slot)
    assert part.lifecycle._alarms.books == {}
    assert part.lifecycle._maintenances.open == {}


def test_nothing_leads_to_nothing() -> None:
    part = story.lifecycle()
    assert part.apply(story.row(Fact.RAISED)[:0], {}) == []
    assert part.advance(START_MS) == []


def test_the_arrays_grow_and_keep_what_they_had() -> None:
    part = story.Story()
    part.trip_starts(slot=5)
    part.lifecycle.ensure(100_000)
    for column in ("vehicle_state", "event_type", "state_since_ms", "alerts", "maintenance"):
        assert len(getattr(part.lifecycle, column)) >= 100_000
    assert part.lifecycle.vehicle_state[5] == VehicleState.ON_TRIP
    part.lifecycle.ensure(10)
    assert len(part.lifecycle.snapshot()) > 100_000


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda b: b"ELSE" + b[4:], "must be b'LIFE' version 3; got b'ELSE'"),
        (lambda b: b[:4] + b"\x01\x00" + b[6:], "got b'LIFE' version 1"),
        (lambda b: b[:6] + b"\x04\x00" + b[8:], "must be of shard 3; got one of shard 4"),
        (lambda b: b[:-1], "as its header says"),
        (lambda b: b + b"\0", "as its header says"),
        (lambda b: b[:10], "at least"),
    ],
)
def test_a_snapshot_of_another_version_or_shard_is_refused(spoil: Callable[[bytes], bytes], message: str) -> None:
    part = story.Story()
    part.raised(*story.CRASH)
    with pytest.raises(snapshot.SnapshotError, match=message):
        story.lifecycle().restore(spoil(part.lifecycle.snapshot()))


def test_a_snapshot_is_a_copy() -> None:
    part = story.Story()
    part.raised(*story.CRASH)
    books = part.lifecycle.snapshot()
    part.operate(Operation.MAINTENANCE_DONE)
    restored = story.lifecycle()
    restored.restore(books)
    assert restored.vehicle_state[0] == VehicleState.NON_OPERATIONAL
    assert restored.counters["events.alert.raised"] == 1
    assert set(lifecycle.COUNTERS) <= restored.counters.keys()


@settings(max_examples=60, deadline=None)
@given(logs(conditions=(Condition.TIPPED, Condition.LOW_BATTERY, Condition.THEFT, Condition.TAMPER, Condition.OFFLINE)))
def test_what_is_held_has_a_reason_and_what_is_open_a_cause(log: Log) -> None:
    part, _ = run(log, parameters=LIVELY)
    for slot, alert in part._alarms.everything():
        if alert.phase == Phase.HELD:
            assert part._alarms._reasons(slot, alert.rule) or alert.ready_ms
        assert (alert.phase == Phase.CLOSED) != bool(alert.conditions or alert.latched or alert.close_ms)


def test_a_snapshot_of_the_version_before_is_read() -> None:
    """Its alerts are open; what it could not know begins empty."""
    part = story.Story()
    part.raised(*story.CRASH)
    part.raised(Condition.TIPPED, 80.0, 10.0)
    part.operate(Operation.ALERT_ACKNOWLEDGED, rule="crash")
    books = snapshot.decode(part.lifecycle.snapshot(), shard=3)
    known = ("alert_id", "rule", "severity", "reason", "raised_ms", "condition", "conditions", "because", "acknowledged", "late")
    alerts = [{**{name: values[name] for name in known}, "deadline_ms": values["escalate_ms"]} for values in books.rest["alerts"]]
    rest = {name: value for name, value in books.rest.items() if name != "mutes"} | {"alerts": alerts}
    old = bytearray(snapshot.encode(replace(books, rest=rest), shard=3))
    old[4:6] = (2).to_bytes(2, "little")
    restored = story.lifecycle()
    restored.restore(bytes(old))
    assert restored.snapshot() == part.lifecycle.snapshot()
    due_ms = part.now_ms + 1_800_000
    assert bytes_of(restored.advance(due_ms)) == bytes_of(part.lifecycle.advance(due_ms)) != []
