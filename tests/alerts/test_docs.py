"""docs/events.md names every type, topic, rule, operation and counter, and its tables are the code's; examples in docstrings too."""

import doctest
import re
from pathlib import Path
from types import ModuleType

import pytest

from fleetpulse.alerts import availability, event, rules, schemas
from fleetpulse.alerts.lifecycle import COUNTERS
from fleetpulse.alerts.rules import FAULT_COMPONENTS, RULE_NAMES, RULES
from fleetpulse.codecs.operations import Operation
from fleetpulse.state.facts import Condition

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("module", [availability, rules])
def test_examples_in_docstrings_are_true(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


def rows(section: str) -> list[list[str]]:
    """Cells of the tables between a heading and the next, without code marks."""
    text = re.split(r"^#+ ", PAGE.split(f"# {section}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_every_type_stands_there_with_its_topic() -> None:
    told = {row[0]: row[1] for row in rows("Types and topics")[2:]}
    assert told == event.TOPICS


def test_every_name_stands_there() -> None:
    definitions = schemas.load(event.MAINTENANCE_RESOLVED)["$defs"]
    names = {
        *RULE_NAMES,
        *schemas.load(event.ALERT_RAISED)["$defs"]["alert_rule"]["enum"],
        *(o.name.lower() for o in Operation if o not in (Operation.CONNECTED, Operation.DISCONNECTED)),
        *COUNTERS,
    }
    assert [name for name in sorted(names) if f"`{name}`" not in PAGE] == []
    plain = {*definitions["component"]["enum"], *definitions["severity"]["enum"]}
    assert [name for name in sorted(plain) if not re.search(rf"\b{name}\b", PAGE)] == []


def test_the_table_of_rules_is_the_code() -> None:
    told = {row[0]: row[1:5] for row in rows("Rules") if row[0] in RULE_NAMES}
    expected = {}
    for condition, rule in RULES.items():
        work = rule.maintenance
        row = [
            rule.alert or "-",
            rule.severity.text if rule.alert else "-",
            work.component if work else "-",
            work.severity.text if work else "-",
        ]
        expected[rule.name] = [row[0], *["by component"] * 3] if condition == Condition.FAULT_CODE else row
    assert told == expected


def test_what_ends_by_itself_is_the_code() -> None:
    for row in rows("Rules"):
        for rule in (r for r in RULES.values() if r.name == row[0]):
            recovers = rule.maintenance is None or rule.maintenance.recovers
            assert row[5].startswith("no" if rule.latched else "yes" if recovers else "alert only"), rule.name


def test_the_table_of_fault_codes_is_the_code() -> None:
    told = [row for row in rows("Rules") if re.fullmatch(r"\d+-\d+", row[0])]
    assert told == [[f"{first}-{last}", component, severity.text] for first, last, component, severity in FAULT_COMPONENTS]
