"""The pages name every metric and topic that the code has, and no others."""

import re
from pathlib import Path

import pytest

from fleetpulse.config.settings import Settings
from fleetpulse.flows import topics

ROOT = Path(__file__).resolve().parent.parent


def exported() -> set[str]:
    """Names of metrics in the code, as they stand between quotes."""
    files = [file for folder in ("flows", "gateway") for file in (ROOT / folder).rglob("metrics.py")]
    return {name for file in files for name in re.findall(r'"(fleet_[a-z_0-9]+)"', file.read_text(encoding="utf-8"))}


def documented() -> set[str]:
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    return {name.removesuffix("_total") for name in re.findall(r"`(fleet_[a-z_0-9]+)", page)}


def test_every_metric_is_documented() -> None:
    assert exported() - documented() == set()


def test_no_metric_is_documented_that_is_not_there() -> None:
    by_name = {"fleet_frames_quarantined", "fleet_frames_dead_lettered"}  # made from the names of counters
    assert documented() - exported() - by_name == set()


@pytest.mark.parametrize("topic", [topic.name for topic in topics.topics(Settings())])
def test_every_topic_is_documented(topic: str) -> None:
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]
    assert any(topic in page.read_text(encoding="utf-8") for page in pages)


def test_every_test_that_the_security_page_names_is_there() -> None:
    named = set(re.findall(r"`(test_[a-z0-9_]+)", (ROOT / "docs" / "security.md").read_text(encoding="utf-8")))
    tests = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    assert named
    assert {name for name in named if f"def {name}(" not in tests} == set()
