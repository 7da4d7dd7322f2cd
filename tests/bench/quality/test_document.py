"""The page of detection quality: made from reports alone, says what does not hold and what was not run, names tests that exist."""

from pathlib import Path
from typing import Any

import pytest

from fleetpulse.bench.quality import document

ROOT = Path(__file__).resolve().parents[3]


def report(part: str, results: dict[str, float], *, checks: dict[str, bool] | None = None, seed: int = 1) -> dict[str, Any]:
    return {
        "machine": {"cpu": "A CPU", "cores": 2, "python": "3.11"},
        "seed": seed,
        "results": [{"name": f"quality.{name}", "value": value, "unit": "1", "runs": [value]} for name, value in results.items()],
        "checks": checks or {},
        "notes": {"parts": f"{part} alone"} if part else {},
        "skipped": {},
    }


@pytest.mark.parametrize(("complaint", "file", "test"), document.COMPLAINTS)
def test_every_complaint_names_a_test_that_exists(complaint: str, file: str, test: str) -> None:
    assert complaint
    assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8")


def test_parts_that_were_run_apart_are_one_page() -> None:
    nab = report("nab", {"nab.standard": 59.3}, checks={"nab holds": True})
    fleet = report("fleet", {"theft.recall": 0.9, "kerb.raised": 2}, checks={"theft holds": False}, seed=3)
    page = document.page([nab, fleet], ["a.json", "b.json"], pictures=["quality/fault-theft.png"], remarks="A remark.")
    assert "fleetpulse bench quality --json a.json --only nab\nfleetpulse bench quality --json b.json --only fleet --seed 3" in page
    assert "document a.json b.json > docs/quality.md" in page
    assert "**Not run: crash, dublin.**" in page
    for line in ("| nab holds | yes |", "| theft holds | **no** |", "| theft | 0.9 | - | - | - |", "| kerb | 2 |", "A remark."):
        assert line in page.splitlines()
    assert "![fault-theft](quality/fault-theft.png)" in page


def test_a_whole_run_lacks_nothing_and_a_part_stands_in_one_report() -> None:
    whole = report("", {"nab.standard": 59.3})
    assert "Not run" not in document.page([whole], ["quality.json"])
    with pytest.raises(ValueError, match="got crash twice"):
        document.page([whole, report("crash", {})], ["a.json", "b.json"])


def test_fleets_that_were_run_apart_are_counted_together() -> None:
    days = {"faults": 100, "found": 90, "true": 90, "false": 1, "free_false": 1, "recall": 0.9, "precision": 0.99}
    weeks = {"faults": 100, "found": 100, "true": 100, "false": 9, "free_false": 4, "recall": 1.0, "precision": 0.92}
    rate = "false_alerts_per_1000_vehicle_days"
    reports = [
        report(
            part, {**{f"all.{name}": value for name, value in counts.items()}, f"all.{rate}": 0.1, "vehicle_days": 2000, "theft.recall": 1}
        )
        for part, counts in (("days", days), ("weeks", weeks))
    ]
    lines = document.page(reports, ["a.json", "b.json"]).splitlines()
    assert "| quality.all.precision >= 0.95 | yes |" in lines
    assert f"| quality.all.{rate} <= 1 | **no** |" in lines
    assert "| quality.vehicle_days >= 3000 | yes |" in lines
    (total,) = [line for line in lines if line.startswith("| all | 0.95 (")]
    assert total.split(" | ")[2].startswith("0.95 (")
    assert "| theft (days) | 1 | - | - | - |" in lines
    assert "| all (weeks) | 1 | 0.92 | - | - |" in lines
