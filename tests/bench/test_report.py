"""The report has the documented form, and the guard fails on a regression."""

import orjson
import pytest
from rich.console import Console

from fleetpulse.bench import report as module
from fleetpulse.bench.report import Report, guard


@pytest.fixture
def report() -> Report:
    made = Report("codec", seed=7)
    made.add("codec.ours", "frames/s", [30.0, 10.0, 20.0])
    made.add("codec.theirs", "frames/s", [5.0])
    made.ratio("codec.ours", "codec.theirs")
    return made


def test_json_has_the_documented_keys(report: Report) -> None:
    body = orjson.loads(report.json())
    assert {"scenario", "machine", "seed", "results", "ratios", "checks"} <= body.keys()
    assert {"cpu", "cores", "memory_gib", "python", "versions"} <= body["machine"].keys()
    assert body["results"][0] == {"name": "codec.ours", "value": 20.0, "unit": "frames/s", "runs": [30.0, 10.0, 20.0]}
    assert body["ratios"] == {"codec.ours/codec.theirs": 4.0}
    assert body["seed"] == 7


def test_a_ratio_needs_both_figures(report: Report) -> None:
    report.ratio("codec.ours", "codec.nobody")
    assert list(report.ratios) == ["codec.ours/codec.theirs"]


def test_a_figure_is_measured_once(report: Report) -> None:
    with pytest.raises(AssertionError, match="twice"):
        report.add("codec.ours", "frames/s", [1.0])


@pytest.mark.parametrize(("stored", "holds"), [(4.0, True), (5.0, True), (5.8, False)])
def test_the_guard_fails_below_the_tolerance(report: Report, stored: float, holds: bool) -> None:
    guard(report, {"codec.ours/codec.theirs": stored, "not/measured": 1.0}, 0.3)
    assert list(report.checks.values()) == [holds]


def test_the_table_names_every_figure_check_and_reason(report: Report) -> None:
    report.checks["it holds"] = True
    report.skipped["codec.java"] = "Maven is missing"
    console = Console(record=True, width=120)
    report.show(console)
    text = console.export_text()
    for word in ("codec.ours", "20", "it holds", "codec.java", "Maven is missing"):
        assert word in text


def test_figures_keep_four_digits() -> None:
    assert module._short(1234567.0) == 1235000.0
