"""The pages name every metric and topic that the code has, and no others; commands and alert rules that they give can be used."""

import re
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup

from fleetpulse.config.settings import Settings
from fleetpulse.flows import cli, topics

ROOT = Path(__file__).resolve().parent.parent


def exported() -> set[str]:
    """Names of metrics in the code, as they stand between quotes."""
    files = [file for folder in ("flows", "gateway") for file in (ROOT / folder).rglob("*metrics.py")]
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
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    texts = [(file.name, file.read_text(encoding="utf-8")) for file in (ROOT / "tests").rglob("test_*.py")]
    tests = {(file, name) for file, text in texts for name in re.findall(r"^(?:async )?def (test_\w+)", text, re.MULTILINE)}
    known = {word for pair in tests for word in pair}
    mentions = re.findall(r"(?:(test_\w+\.py)::)?\b(test_\w+(?:\.py)?)", page)
    assert len(mentions) >= 70
    for file, name in mentions:
        assert (file, name) in tests if file else name in known, f"{file} {name}"


PAGES = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "bench" / "README.md"]
COMMAND = re.compile(r"(?<![-./\w])fleetpulse ((?:[-./:=,'\"\w{}$]+ ?)+)")


def named(page: Path) -> list[list[str]]:
    """Words after `fleetpulse` in each command of the page's code."""
    text = page.read_text(encoding="utf-8")
    code = [line for block in re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE) for line in block.splitlines()]
    code += re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE))
    return [match.split() for line in code for match in COMMAND.findall(line.split(" #")[0])]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_names_exists_with_its_options(page: Path) -> None:
    for words in named(page):
        command, rest = typer.main.get_command(cli.app), words
        while isinstance(command, TyperGroup) and rest and re.fullmatch(r"[a-z-]*[a-z]", rest[0].rstrip(",.:")) and rest[0][0] != "-":
            name, rest = rest[0].rstrip(",.:"), rest[1:]
            assert name in command.commands, f"{page.name} names `fleetpulse {' '.join(words)}`; there is no {name}"
            command = command.commands[name]
        options = {option for parameter in command.params for option in parameter.opts}
        unknown = {word.split("=")[0] for word in rest if word.startswith("--")} - options
        assert not unknown, f"{page.name} names `fleetpulse {' '.join(words)}`; it has no {unknown}"


def test_operations_names_commands_and_the_others_do_too() -> None:
    """The test above looks at something."""
    assert len(named(ROOT / "docs" / "operations.md")) > 20
    assert ["bridge"] in named(ROOT / "README.md")


def test_alert_rules_use_metrics_that_the_code_has() -> None:
    expressions = re.findall(r"expr: (.+)", (ROOT / "docs" / "prometheus-rules.yml").read_text(encoding="utf-8"))
    used = {name for expression in expressions for name in re.findall(r"fleet_[a-z_0-9]+", expression)}
    assert len(used) > 10
    bases = {re.sub(r"(_total|_bucket|_sum|_count)$", "", name) for name in used}
    assert bases <= exported() | documented()
    assert {name for name in bases if name.startswith("fleet_flow")} <= documented()


def test_every_threat_has_a_control_and_a_test() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in page.splitlines() if line.startswith("|")]
    assert len(rows) >= 50
    assert all(len(row) == 3 and all(row) for row in rows), [row for row in rows if len(row) != 3 or not all(row)]
