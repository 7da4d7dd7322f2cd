"""The kernel against its naive twin, however the log is cut, through snapshots."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fleetpulse.codecs.schema import MISSING_E7
from fleetpulse.codecs.tables import WINDOW
from fleetpulse.state.parameters import Parameters
from fleetpulse.state.shard import Shard
from tests.naive.shard import NaiveShard
from tests.state.logs import EXAMPLES, LOGS, NERVOUS, PARAMETERS, Log, cut, packed, run

RULES = st.sampled_from((PARAMETERS, NERVOUS))


def same(ours: float, theirs: float | None) -> bool:
    if theirs is None:
        return bool(np.isnan(ours))
    return ours == pytest.approx(theirs, rel=2e-5, abs=2e-4)


def assert_same_fact(ours: Any, theirs: dict[str, Any]) -> None:
    for name in ("fact", "condition", "cause", "late", "slot", "status", "boot_id", "seq", "stream_ms", "append_ms", "cause_ms"):
        assert ours[name] == theirs[name], (name, theirs)
    for name in ("event_ms", "first_offset", "last_offset", "city", "vehicle_model"):
        assert theirs[name] is None or ours[name] == theirs[name], (name, theirs)
    assert int(ours["device_hi"]) << 64 | int(ours["device_lo"]) == theirs["device"]
    assert int(ours["trip_hi"]) << 64 | int(ours["trip_lo"]) == theirs["trip"]
    assert (ours["latitude_e7"], ours["longitude_e7"]) == (theirs["place"] or (MISSING_E7, MISSING_E7)), theirs
    assert same(ours["soc_pct"], theirs["soc_pct"]), theirs
    for i, value in enumerate(theirs["value"]):
        assert same(ours["value"][i], value), (i, theirs, ours)
    assert not ours["value"][len(theirs["value"]) :].any()


def assert_same_window(ours: Any, theirs: dict[str, Any]) -> None:
    for name in WINDOW.names or ():
        if name.startswith("device_"):
            continue
        assert same(float(ours[name]), -1.0 if name == "cycles" and theirs[name] is None else theirs[name]), (name, ours[name], theirs)
    assert int(ours["device_hi"]) << 64 | int(ours["device_lo"]) == theirs["device"]


@settings(max_examples=EXAMPLES, deadline=None)
@given(LOGS, RULES)
def test_facts_windows_and_counters_are_those_of_the_naive_twin(log: Log, parameters: Parameters) -> None:
    shard, naive = Shard(0, parameters), NaiveShard(parameters)
    result = run(shard, [log.frames])
    assume(shard.counters["gaps_overflow"] == 0)  # the twin keeps any number; tests/state/test_audit.py says what overflow does
    naive.apply(log.frames)
    assert len(result.facts) == len(naive.facts)
    for ours, theirs in zip(result.facts, naive.facts, strict=True):
        assert_same_fact(ours, theirs)
    assert len(result.windows) == len(naive.windows)
    for ours, theirs in zip(result.windows, naive.windows, strict=True):
        assert_same_window(ours, theirs)
    assert [ms for ms, _ in result.boundaries] == naive.boundaries
    assert {name: shard.counters[name] for name in naive.counters} == naive.counters
    assert shard.counters["missing"] == naive.missing
    assert shard.counters["vehicles"] == len(naive.vehicles)


@settings(max_examples=EXAMPLES // 2, deadline=None)
@given(LOGS, RULES, st.lists(st.integers(0, 100), max_size=8))
def test_however_the_log_is_cut_facts_and_windows_are_the_same_byte_for_byte(log: Log, parameters: Parameters, at: list[int]) -> None:
    one, other = Shard(0, parameters), Shard(0, parameters)
    whole, parts = run(one, [log.frames]), run(other, cut(log.frames, at))
    assert packed(parts.facts) == packed(whole.facts)
    assert packed(parts.windows) == packed(whole.windows)
    assert parts.boundaries == whole.boundaries
    assert one.snapshot() == other.snapshot()


@settings(max_examples=EXAMPLES // 2, deadline=None)
@given(LOGS, RULES, st.integers(0, 100))
def test_a_restored_shard_goes_on_byte_for_byte(log: Log, parameters: Parameters, at: int) -> None:
    before, after = cut(log.frames, [at])
    shard, restored = Shard(0, parameters), Shard(0, parameters)
    run(shard, [before])
    snapshot = shard.snapshot()
    restored.restore(snapshot)
    assert restored.snapshot() == snapshot
    one, other = run(shard, [after]), run(restored, [after])
    assert packed(one.facts) == packed(other.facts)
    assert packed(one.windows) == packed(other.windows)
    assert one.boundaries == other.boundaries
    assert shard.counters == restored.counters
    assert shard.snapshot() == restored.snapshot()
