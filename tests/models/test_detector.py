"""A shard's detector: what it finds, what it must not find, and that only the windows' order counts."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fleetpulse.codecs.tables import WINDOW
from fleetpulse.models import parameters
from fleetpulse.models.detector import Detector
from fleetpulse.models.findings import Finding
from fleetpulse.models.parameters import DetectParameters
from fleetpulse.models.store import StoredStateError
from fleetpulse.models.vehicles import FORGET_MS
from tests.models.fleet import MINUTE_MS, START_MS, Invented

PARAMETERS = DetectParameters(warm_up_windows=200, swappable=frozenset({1, 2}))
FAULTY = Invented(
    vehicles=40,
    minutes=400,
    ride_share=0.5,
    bearing={3: 0.5},
    riding={10: 2.0},
    parked_w={20: 40.0},
    dead_cell=(30,),
    since=100,
    until=200,
)


def found(windows: NDArray[Any], given: DetectParameters = PARAMETERS) -> list[Finding]:
    return Detector(0, given).run(windows)


def who(findings: list[Finding], *, raised: bool) -> set[tuple[str, int]]:
    return {(f.rule, f.window.device_lo - 1) for f in findings if f.raised == raised}


@pytest.fixture(scope="module")
def windows() -> NDArray[Any]:
    return FAULTY.windows()


@pytest.fixture(scope="module")
def findings(windows: NDArray[Any]) -> list[Finding]:
    return found(windows)


def test_every_fault_is_found_and_nothing_else(findings: list[Finding]) -> None:
    faults = {("vibration", 3), ("battery_drain", 10), ("battery_drain", 20), ("battery_drain", 30)}
    assert who(findings, raised=True) == faults
    assert who(findings, raised=False) == faults
    assert {f.model for f in findings if f.window.device_lo == 31} == {"powertrain"}


def test_a_fault_is_found_while_it_lasts_and_is_over_afterwards(findings: list[Finding]) -> None:
    for f in findings:
        minute = (f.window.end_ms - START_MS) // MINUTE_MS
        if f.raised:
            assert 100 < minute <= 210  # a ride is judged when it is over
            assert f.raised_ms == f.window.end_ms
        else:
            assert minute > 100


def test_one_thing_is_open_per_vehicle_and_rule(findings: list[Finding]) -> None:
    opened: dict[tuple[str, int], int] = {}
    for f in findings:
        key = (f.rule, f.window.device_lo)
        if f.raised:
            assert key not in opened
            opened[key] = f.raised_ms
        else:
            assert opened.pop(key) == f.raised_ms
            assert f.resolved_by is not None
    assert not opened


def test_the_driving_feature_comes_first(findings: list[Finding]) -> None:
    first = {f.window.device_lo - 1: f.features[0].name for f in findings if f.raised}
    assert first[3] in ("vibration_band3_mps2", "vibration_band4_mps2")
    assert first[10] == "riding_excess_pct"
    assert first[20] == "parked_excess_pct"
    assert first[30] == "voltage_mean_v"


def test_a_healthy_fleet_is_left_alone() -> None:
    assert found(Invented(vehicles=40, minutes=400, ride_share=0.5, seed=9).windows()) == []


def test_nothing_is_raised_before_the_warm_up() -> None:
    assert found(FAULTY.windows(), replace(PARAMETERS, warm_up_windows=10_000_000)) == []


def test_a_model_in_shadow_raises_nothing(windows: NDArray[Any]) -> None:
    left = found(windows, replace(PARAMETERS, shadow=frozenset({"drain", "vibration"})))
    assert {f.model for f in left} == {"powertrain"}
    assert found(windows, replace(PARAMETERS, shadow=frozenset(parameters.VERSIONS))) == []


def test_a_swap_ends_a_drain() -> None:
    def swap(minute: int, rows: NDArray[Any]) -> None:
        if minute == 150:
            for name in ("in_use_s", "moving_s", "distance_m"):
                rows[name][20] = 0
            rows["soc_last_pct"][20] = 99

    invented = Invented(vehicles=40, minutes=152, ride_share=0.5, parked_w={20: 40.0}, since=100, until=150, change=swap)
    last = found(invented.windows())[-1]
    assert (last.window.device_lo, last.resolved_by) == (21, "swap")
    assert last.window.end_ms == START_MS + 151 * MINUTE_MS
    unswappable = found(invented.windows(), replace(PARAMETERS, swappable=frozenset()))
    assert unswappable[-1].raised


def test_a_charge_that_was_stuck_and_jumps_down_is_no_drain() -> None:
    def stuck(minute: int, rows: NDArray[Any]) -> None:
        if minute == 70:
            rows["soc_last_pct"][:5] -= 14

    assert found(Invented(vehicles=40, minutes=100, ride_share=0.5, change=stuck).windows()) == []


def test_loss_across_a_gap_counts_when_the_vehicle_stood_still() -> None:
    """Parked and out of reach for five hours, six per cent gone: the first window after the gap tells."""
    windows = Invented(vehicles=40, minutes=80, ride_share=0.3).windows()
    last = windows[-1:].copy()
    for name in ("in_use_s", "moving_s", "distance_m"):
        last[name] = 0
    before, after = last.copy(), last.copy()
    for rows, minutes, soc in ((before, 1, 80.0), (after, 301, 74.0)):
        rows["window_start_ms"] += minutes * MINUTE_MS
        rows["window_end_ms"] += minutes * MINUTE_MS
        rows["soc_first_pct"] = rows["soc_last_pct"] = soc
    (finding,) = found(np.concatenate([windows, before, after]))
    assert (finding.rule, finding.model) == ("battery_drain", "drain")
    assert finding.values["span_min"] == pytest.approx(300)
    moved = after.copy()
    moved["latitude_deg"] += 0.01
    assert found(np.concatenate([windows, before, moved])) == []


def test_a_change_of_the_whole_cohort_blames_no_vehicle_for_long() -> None:
    changed = Invented(
        vehicles=40,
        minutes=600,
        ride_share=0.5,
        bearing=dict.fromkeys(range(40), 0.3),
        riding=dict.fromkeys(range(40), 1.8),
        parked_w=dict.fromkeys(range(40), 5.0),
        since=200,
    )
    findings = found(changed.windows())
    raised, over = (who(findings, raised=r) for r in (True, False))
    assert len(raised) <= 4
    assert over == raised


def test_windows_that_come_again_change_nothing(windows: NDArray[Any], findings: list[Finding]) -> None:
    detector, again = Detector(0, PARAMETERS), []
    for part in np.split(windows, range(1_000, len(windows), 1_000)):
        again += detector.run(part)
        assert detector.run(part[len(part) // 2 :]) == []
    assert again == findings


@settings(max_examples=5, deadline=None)
@given(st.lists(st.integers(0, 13_200), max_size=12))
def test_cuts_and_restarts_change_nothing(windows: NDArray[Any], findings: list[Finding], cuts: list[int]) -> None:
    """However the windows are cut, and with a restart from a snapshot at each cut: the same findings, score by score."""
    detector, got = Detector(0, PARAMETERS), []
    for part in np.split(windows, sorted(cuts)):
        got += detector.run(part)
        restored = Detector(0, PARAMETERS)
        restored.restore(detector.snapshot())
        detector = restored
    assert got == findings


def test_a_snapshot_of_other_versions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = Detector(0, PARAMETERS)
    detector.run(Invented(vehicles=5, minutes=5).windows())
    stored = detector.snapshot()
    with pytest.raises(StoredStateError, match="must be of shard 1; got shard 0"):
        Detector(1, PARAMETERS).restore(stored)
    with monkeypatch.context() as patch:
        patch.setitem(parameters.VERSIONS, "battery_life", "0")
        with pytest.raises(StoredStateError, match=r"must be of model battery_life 0; got model battery_life 1"):
            Detector(0, PARAMETERS).restore(stored)
    with monkeypatch.context() as patch:
        patch.setattr("fleetpulse.models.detector.RIVER", "0.27.0")
        with pytest.raises(StoredStateError, match=r"must be of river 0.27.0; got river 0.26.\d"):
            Detector(0, PARAMETERS).restore(stored)


def test_vehicles_long_unseen_are_forgotten() -> None:
    detector = Detector(0, PARAMETERS)
    detector.run(Invented(vehicles=20, minutes=2).windows())
    assert detector.vehicles == 20
    late = Invented(vehicles=3, minutes=1).windows()
    for name in ("window_start_ms", "window_end_ms"):
        late[name] += FORGET_MS + 86_400_000
    detector.run(late)
    assert detector.vehicles == 3


def test_an_empty_record_is_nothing() -> None:
    assert found(np.zeros(0, dtype=WINDOW)) == []


def standing(falls: dict[int, float], *, power_w: float, charging: Collection[int] = ()) -> list[Finding]:
    """Findings when vehicle 5 stands from minute 100 on and its charge falls in some minutes, by so many points, at that power."""
    charge = [0.0]

    def stand(minute: int, rows: NDArray[Any]) -> None:
        if minute < 100:
            charge[0] = float(rows["soc_last_pct"][5])
            return
        for name in ("in_use_s", "moving_s", "distance_m"):
            rows[name][5] = 0
        rows["soc_first_pct"][5] = charge[0]
        charge[0] -= falls.get(minute, 0.0)
        rows["soc_last_pct"][5] = charge[0]
        rows["charging_s"][5] = 60.0 * (minute in charging)
        rows["voltage_mean_v"][5] = 400.0
        rows["current_mean_a"][5] = -power_w / 400.0 if minute in falls else 0.0

    return found(Invented(vehicles=40, minutes=200, ride_share=0.5, change=stand).windows())


def test_heating_before_a_ride_is_no_drain_but_heating_that_never_ends_is() -> None:
    assert standing(dict.fromkeys(range(100, 125), 0.2), power_w=3_000) == []
    assert who(standing(dict.fromkeys(range(100, 125), 0.2), power_w=300), raised=True) == {("battery_drain", 5)}
    assert who(standing(dict.fromkeys(range(100, 195), 0.2), power_w=3_000), raised=True) == {("battery_drain", 5)}


def test_a_period_that_holds_a_charge_is_split_and_both_parts_count() -> None:
    """6 % an hour from minute 100 on, charged for five minutes in between: raised as soon, but for the charge, which is named."""
    falls, charging = dict.fromkeys(range(100, 190), 0.1), range(106, 111)
    (plain,) = standing(falls, power_w=20)
    (split,) = standing({**falls, **dict.fromkeys(charging, -1.0)}, power_w=20, charging=charging)
    assert plain.window.end_ms > START_MS + 111 * MINUTE_MS
    assert split.window.end_ms == plain.window.end_ms + len(charging) * MINUTE_MS
    assert split.values["left_out_charging_min"] == len(charging)
    assert "left_out_charging_min" not in plain.values
    assert split.values["judged_min"] == plain.values["judged_min"]


def test_charge_that_falls_in_a_step_while_standing_is_a_sensor() -> None:
    assert standing(dict.fromkeys((120, 140, 160), 4.0), power_w=0) == []
