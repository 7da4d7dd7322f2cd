"""CSV as people have it, and errors that say where."""

from math import isnan
from pathlib import Path

import pytest

from fleetpulse.bench.quality import table_file
from fleetpulse.config.settings import ConfigError


def table(tmp_path: Path, text: str) -> table_file.Table:
    file = tmp_path / "given.csv"
    file.write_text(text, encoding="utf-8")
    return table_file.read(file, ("timestamp", "value"))


@pytest.mark.parametrize(
    "text",
    [
        "timestamp,value\n2024-01-01T00:00:00,1.5\n",
        "\ufeffTimestamp; Value (kW)\n2024-01-01 00:00:00;1,5\n",
        "# a comment\ntimestamp\tvalue\n1704067200\t1.5\n",
        "timestamp,value\n1704067200000,1.5\n",
        "timestamp,value\n1704067200000000000,1.5\n",
        "timestamp,value\n01.01.2024 00:00:00,1.5\n",
        "timestamp,value\n2024-01-01T01:00:00+01:00,1.5\n",
        "1704067200,1.5\n",
    ],
)
def test_one_row_however_it_is_written(tmp_path: Path, text: str) -> None:
    found = table(tmp_path, text)
    time, value = found.find("timestamp"), found.find("value")
    assert time is not None
    assert value is not None
    assert found.times_ms(time) == [1_704_067_200_000]
    assert found.numbers(value) == [1.5]


def test_missing_values_are_nan_and_names_are_found_whatever_their_case_and_unit(tmp_path: Path) -> None:
    found = table(tmp_path, "Time (s),Acc X [g]\n0,1\n1,\n2,NaN\n3,NA\n")
    column = found.find("acc_x")
    assert column == 1
    assert [isnan(value) for value in found.numbers(column)] == [False, True, True, True]
    assert found.times_ms(0) == [0, 1000, 2000, 3000]
    assert found.find("speed") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold a table"),
        ("timestamp,value\n", "must have rows below its header"),
        ("timestamp,value\n2024-01-01,high\n", "got 'high' .*line 2, column 'value'"),
        ("timestamp,value\n1,2\nyesterday,1\n", "line 3, column 'timestamp'"),
        ("timestamp,value,more\n1,2,3\n1\n", "must have 3 values as the header has; got 1 .*line 3"),
    ],
)
def test_errors_say_what_and_where(tmp_path: Path, text: str, message: str) -> None:
    def taken() -> None:
        found = table(tmp_path, text)
        found.times_ms(0)
        found.numbers(1)

    with pytest.raises(ConfigError, match=message):
        taken()


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be readable"):
        table_file.read(tmp_path / "none.csv", ())
