"""The rivals' task: our kernel, its naive twin and the NumPy reference agree; a wrong result is seen."""

from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fleetpulse.bench import our_rival, task, workload
from fleetpulse.bench.task import WINDOW_MS
from fleetpulse.bench.window_task import GRACE_MS, RESULT, Windows
from fleetpulse.bench.workload import START_MS, Workload
from fleetpulse.codecs import schema
from tests.naive import window_task as naive

ROWS = workload.make(Workload(vehicles=40, frames=40 * 20, interval_ms=10_000, seed=5))


def _frame(vehicle: int, time_ms: int, speed_mps: float, soc_pct: float) -> NDArray[Any]:
    row = schema.empty(1)
    row["device_hi"], row["device_lo"], row["time_ms"] = 7, vehicle, time_ms
    row["speed_mps"], row["battery_soc_pct"] = speed_mps, soc_pct
    return row


def _closer(rows: NDArray[Any]) -> NDArray[Any]:
    row = rows[:1].copy()
    row["device_hi"], row["device_lo"] = 0x4000, 1 << 63
    row["time_ms"] = rows["time_ms"].max() + 600_000
    return row


def _results(closed: NDArray[Any]) -> task.Results:
    windows = [record.value for record in our_rival.arrow("w")(closed)]
    low = closed[closed["soc_min_pct"] < task.LOW_BATTERY_PCT]
    events = [record.value for record in our_rival.json("e", "window_start_ms", "soc_min_pct")(low)]
    return task.parse(windows, events)


def test_our_windows_are_those_of_the_reference() -> None:
    windows = Windows()
    closed = np.concatenate([windows.apply(np.concatenate((ROWS, _closer(ROWS)))[i : i + 37]) for i in range(0, len(ROWS) + 1, 37)])
    assert task.difference(_results(closed), task.reference(ROWS)) is None


def test_json_output_says_the_same_as_arrow() -> None:
    closed = Windows().apply(np.concatenate((ROWS, _closer(ROWS))))
    columns = ("window_start_ms", "frames", "speed_mean_mps", "soc_min_pct")
    values = [record.value for record in our_rival.json("w", *columns)(closed)]
    assert task.parse(values, []).windows == _results(closed).windows
    assert set(orjson.loads(values[0])) == {"device_id", *columns}


frame = st.builds(_frame, st.integers(0, 3), st.integers(START_MS, START_MS + 400_000), st.integers(0, 20), st.integers(1, 99))


@given(st.lists(frame, max_size=60), st.integers(1, 60))
def test_the_kernel_is_its_naive_twin_at_any_cut(rows: list[NDArray[Any]], cut: int) -> None:
    frames = np.concatenate(rows) if rows else schema.empty(0)
    ours, twin = Windows(), naive.Windows()
    closed = [ours.apply(frames[i : i + cut]) for i in range(0, len(frames), cut)]
    found = sorted(tuple(row) for part in closed for row in part.tolist())
    assert found == sorted(twin.apply(frames))


def test_a_window_closes_only_when_time_has_passed_its_end_by_the_grace() -> None:
    #  frames   x x          | end        | end + grace
    windows = Windows()
    assert len(windows.apply(_frame(1, START_MS, 2.0, 50.0))) == 0
    assert len(windows.apply(_frame(1, START_MS + 1, 4.0, 40.0))) == 0
    assert len(windows.apply(_frame(2, START_MS + WINDOW_MS + GRACE_MS - 1, 0.0, 90.0))) == 0
    closed = windows.apply(_frame(2, START_MS + WINDOW_MS + GRACE_MS, 0.0, 90.0))
    assert closed.tolist() == np.array([(7, 1, START_MS, 2, 3.0, 40.0)], dtype=RESULT).tolist()


def test_a_restored_snapshot_goes_on_as_if_nothing_had_been() -> None:
    frames = np.concatenate((ROWS, _closer(ROWS)))
    one, first = Windows(), Windows()
    first.apply(frames[:300])
    one.apply(frames[:300])
    second = Windows()
    second.restore(first.snapshot())
    assert second.apply(frames[300:]).tolist() == one.apply(frames[300:]).tolist()


def test_slots_grow_with_vehicles() -> None:
    rows = workload.make(Workload(vehicles=3000, frames=3000, seed=1))
    closed = Windows().apply(np.concatenate((rows, _closer(rows))))
    assert task.difference(_results(closed), task.reference(rows)) is None


GOOD = task.reference(ROWS)
KEY = min(GOOD.windows)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (replace(GOOD, doubles=1), "twice"),
        (replace(GOOD, windows={key: value for key, value in GOOD.windows.items() if key != KEY}), "1 of"),
        (replace(GOOD, windows={**GOOD.windows, KEY: (GOOD.windows[KEY][0] + 1, *GOOD.windows[KEY][1:])}), "must be"),
        (
            replace(GOOD, windows={**GOOD.windows, KEY: (GOOD.windows[KEY][0], GOOD.windows[KEY][1] + 0.01, GOOD.windows[KEY][2])}),
            "must be",
        ),
        (replace(GOOD, windows={**GOOD.windows, KEY: (*GOOD.windows[KEY][:2], GOOD.windows[KEY][2] - 0.1)}), "must be"),
        (replace(GOOD, events={**GOOD.events, ("x", 0): 3.0}), "1 are wrong"),
    ],
)
def test_a_wrong_result_is_seen(wrong: task.Results, says: str) -> None:
    difference = task.difference(wrong, GOOD)
    assert difference is not None
    assert says in difference
    assert task.difference(GOOD, GOOD) is None
