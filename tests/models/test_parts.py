"""Models as parts: one that fails or cannot be loaded is stood in for, one in shadow is counted, and a restart changes nothing of it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fleetpulse.models import parameters, store
from fleetpulse.models.consumption import RideConsumption, StandbyConsumption
from fleetpulse.models.detector import Detector
from fleetpulse.models.findings import Finding
from fleetpulse.models.parameters import DetectParameters
from fleetpulse.models.parts import BUCKETS, PartBoard
from tests.models.fleet import Invented

PARAMETERS = DetectParameters(warm_up_windows=200, swappable=frozenset({1}), ranges_m=(float("nan"), 45_000.0), vibration_limit_mps2=0.7)
FAULTY = Invented(vehicles=40, minutes=220, ride_share=0.5, bearing={3: 0.9}, parked_w={20: 80.0}, since=100)


@pytest.fixture(scope="module")
def windows() -> NDArray[Any]:
    return FAULTY.windows()


def run(detector: Detector, windows: NDArray[Any]) -> list[Finding]:
    return [finding for finding in detector.run(windows) if finding.raised]


def who(findings: list[Finding]) -> set[tuple[str, int]]:
    return {(f.model, f.window.device_lo - 1) for f in findings}


def fails(*_: Any) -> float:
    raise ZeroDivisionError("no way")


def test_a_model_that_fails_is_stood_in_for_by_its_rule(windows: NDArray[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StandbyConsumption, "rate", fails)
    detector = Detector(0, PARAMETERS)
    findings = run(detector, windows)
    assert {("drain_rule", 20), ("vibration", 3)} <= who(findings)
    assert "drain" not in {model for model, _ in who(findings)}
    (drained,) = [f for f in findings if f.model == "drain_rule" and f.window.device_lo == 21]
    assert drained.values["excess_pct"] >= drained.values["limit_pct"] == 6.0
    assert detector.standing_in() == {"drain": 1, "powertrain": 0, "vibration": 0}
    assert detector.board.counts["drain.failures"] > 100
    assert detector.board.take_failures()[0] == ("drain", 1, 1, "ZeroDivisionError: no way")
    assert detector.board.take_failures() == []


def test_a_model_that_failed_once_decides_again_when_it_has_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    windows = replace(FAULTY, minutes=330, since=250).windows()
    detector = Detector(0, PARAMETERS)
    with monkeypatch.context() as patch:
        patch.setattr(RideConsumption, "expected", fails)
        run(detector, windows[:1_000])
    assert detector.standing_in()["drain"] == 1
    findings = run(detector, windows[1_000:])
    assert detector.standing_in()["drain"] == 0
    assert ("drain", 20) in who(findings)


def test_where_a_model_is_in_shadow_or_off_the_rule_decides_and_the_model_is_counted(windows: NDArray[Any]) -> None:
    for given in (
        replace(PARAMETERS, shadow=frozenset({"drain", "vibration"})),
        replace(PARAMETERS, off=frozenset({"drain", "vibration"})),
    ):
        detector = Detector(0, given)
        assert who(run(detector, windows)) == {("drain_rule", 20), ("vibration_rule", 3)}
        counts = detector.board.counts
        for model in ("drain", "vibration"):
            if given.off:
                assert not any(name.startswith(model) for name in counts)
            else:
                assert counts[f"{model}.alarms"] >= 1
                assert counts[f"{model}.agreement.both"] > 0
                assert counts[f"{model}.agreement.neither"] > counts.get(f"{model}.agreement.model", 0)


def test_a_model_of_another_version_and_one_that_is_broken_begin_anew(windows: NDArray[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    detector = Detector(0, PARAMETERS)
    detector.run(windows[:4_000])
    stored = detector.snapshot()
    monkeypatch.setitem(parameters.VERSIONS, "vibration", "other")
    broken = stored.replace(b"RideSpread", b"RideSpreaX")
    restored = Detector(0, PARAMETERS)
    restored.restore(broken)
    assert restored.standing_in() == {"drain": 1, "powertrain": 0, "vibration": 1}
    told = {model: error for model, _, _, error in restored.board.take_failures()}
    assert "RideSpreaX" in told["drain"]
    assert "another version of model vibration" in told["vibration"]


def test_a_forecast_that_fails_stops_nothing(windows: NDArray[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    detector = Detector(0, PARAMETERS)
    monkeypatch.setattr(detector.foresight, "run", fails)
    assert ("vibration", 3) in who(run(detector, windows))
    assert detector.board.counts["forecasts.failures"] == len(windows)


def test_scores_and_counters_are_the_same_after_restarts(windows: NDArray[Any]) -> None:
    whole, detector = Detector(0, PARAMETERS), Detector(0, PARAMETERS)
    for part in np.split(windows, range(700, len(windows), 700)):
        whole.run(part)
        detector.run(part)
        restored = Detector(0, PARAMETERS)
        restored.restore(detector.snapshot())
        detector = restored
    assert detector.board.stored() == whole.board.stored()
    assert detector.inputs.stored() == whole.inputs.stored()
    headers = [store.header_of(each.snapshot()) for each in (detector, whole)]
    assert headers[0]["models"] == headers[1]["models"] == parameters.VERSIONS


def test_scores_are_counted_in_shares_of_what_raises() -> None:
    board = PartBoard()
    for score in (0.0, 0.1, 0.2, 0.9, 5.0):
        board.scored("drain", score)
    assert board.counts == {"drain.score.0": 2, "drain.score.1": 1, "drain.score.3": 1, f"drain.score.{len(BUCKETS)}": 1}
    board.compared("drain", says=True, other=False)
    assert board.counts["drain.agreement.model"] == 1
    assert PartBoard.of(board.stored()) == board
