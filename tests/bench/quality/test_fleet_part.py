"""A small fleet with labelled faults through the real flows: figures with the documented names; the page that is made of the report."""

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from fleetpulse.bench.options import Options
from fleetpulse.bench.quality import document, plan
from fleetpulse.bench.quality.cases import CASES, SEEDS
from fleetpulse.bench.report import Report
from fleetpulse.bench.scenarios import quality
from fleetpulse.config.fleet import load_fleet
from fleetpulse.vehicle_agent.faults import DIRECTIVES


def test_a_small_fleet_gives_the_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(plan.SIZES["days"], free=20, each=1, days=0.4, warm_s=3600.0)
    monkeypatch.setitem(plan.SIZES, "days", small)
    report = Report("quality", 1)
    quality.run(Options(tmp_path, scale=0.1, only=("days",), say=lambda text: None), report)
    names = {result.name for result in report.results}
    assert {f"quality.all.{name}" for name in ("precision", "recall", "delay_s", "false_alerts_per_1000_vehicle_days")} <= names
    assert {"quality.low_battery.recall", "quality.fault_code.recall", "quality.preheating.raised"} <= names
    assert [holds for name, holds in report.checks.items() if name.endswith("loses no frame")] == [True]
    assert (report.value("quality.fault_code.recall") or 0) == 1.0
    page = document.page([orjson.loads(report.json())], ["quality.json"])
    assert "| fault_code | 1 (" in page
    assert "## What must raise nothing" in page


def test_the_crash_detector_part_gives_its_names(tmp_path: Path) -> None:
    report = Report("quality", 1)
    quality.run(Options(tmp_path, scale=0.1, only=("crash",), plots=tmp_path / "plots", say=lambda text: None), report)
    assert all(report.checks.values())
    assert (report.value("quality.crash_detector.delay_ms") or 1000) <= 100
    assert all(Path(file).stat().st_size > 1000 for file in report.plots)


def test_a_plan_gives_each_vehicle_one_case_within_the_run_and_the_sets_differ() -> None:
    fleet, start_ms = load_fleet(), 1_762_754_400_000
    made = {which: plan.make(fleet, "days", seed=SEEDS[which][0], which=which, start_ms=start_ms) for which in SEEDS}
    assert not set(SEEDS["evaluation"]) & set(SEEDS["tuning"])
    for one in made.values():
        faults = one.faults[[int(kind) not in DIRECTIVES for kind in one.faults["kind"]]]
        assert len(faults) == len(one.cases)
        assert faults["end_ms"].max() <= one.end_ms
        assert {case.name for case in one.cases.values()} == {case.name for case in CASES if case.run == "days"}
        assert one.vehicles - len(one.cases) >= plan.SIZES["days"].free
    assert made["tuning"].faults["a"].tolist() != made["evaluation"].faults["a"].tolist()
