"""CSV files as people have them: any common separator, header in any case, ISO or epoch times, gaps. Errors name file, line and column."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite, nan
from pathlib import Path

from fleetpulse.config.settings import ConfigError

_EMPTY = frozenset({"", "nan", "na", "n/a", "null", "none", "-", "?"})
_FORMS = ("%d.%m.%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M")
_SMALLEST_EPOCH_S, _SMALLEST_EPOCH_MS, _SMALLEST_EPOCH_US = 1e8, 1e11, 1e14
_SNIFFED = 65_536


@dataclass(frozen=True)
class Table:
    """names  of the columns, as written; rows  texts, each with as many as there are names; lines  of each row in the file"""

    file: Path
    names: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]

    def find(self, *wanted: str) -> int | None:
        """Place of the column with one of these names, the first name first; case, spaces, brackets and units behind them do not matter."""
        plain = [_plain(name) for name in self.names]
        for name in wanted:
            if _plain(name) in plain:
                return plain.index(_plain(name))
        return None

    def numbers(self, column: int) -> list[float]:
        """The column as numbers; empty, NA and the like are NaN. Raises ConfigError."""
        return [self._number(row[column], line, column) for row, line in zip(self.rows, self.lines, strict=True)]

    def _number(self, text: str, line: int, column: int) -> float:
        text = text.strip()
        if text.lower() in _EMPTY:
            return nan
        try:
            return float(text)
        except ValueError:
            pass
        try:
            return float(text.replace(",", "."))
        except ValueError:
            where = f"{self.file}, line {line}, column {self.names[column]!r}"
            raise ConfigError(f"a value must be a number or empty; got {text!r} ({where})") from None

    def times_ms(self, column: int) -> list[float]:
        """The column as ms since 1970: ISO 8601 or another usual form (without a zone: UTC), or numbers. Raises ConfigError.

        Numbers are epoch s, ms, us or ns by their size; smaller ones are seconds from any beginning.
        """
        first = next((row[column].strip() for row in self.rows if row[column].strip().lower() not in _EMPTY), "")
        try:
            float(first)
        except ValueError:
            return [self._moment(row[column], line, column) for row, line in zip(self.rows, self.lines, strict=True)]
        values = self.numbers(column)
        largest = max((abs(value) for value in values if isfinite(value)), default=0.0)
        if largest >= _SMALLEST_EPOCH_US:
            scale = 1e-6 if largest >= 1000 * _SMALLEST_EPOCH_US else 1e-3
        else:
            scale = 1.0 if largest >= _SMALLEST_EPOCH_MS else 1000.0
        return [value * scale for value in values]

    def _moment(self, text: str, line: int, column: int) -> float:
        text = text.strip()
        if text.lower() in _EMPTY:
            return nan
        moment = None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            for form in _FORMS:
                try:
                    moment = datetime.strptime(text, form)  # noqa: DTZ007 - made UTC below
                    break
                except ValueError:
                    continue
        if moment is None:
            where = f"{self.file}, line {line}, column {self.names[column]!r}"
            raise ConfigError(f"a time must be ISO 8601 or a number of s or ms since 1970; got {text!r} ({where})")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000.0


def _plain(name: str) -> str:
    """`Acc X (m/s^2)` and `acc_x [g]` to `accx`."""
    for bracket in "([":
        name = name.split(bracket, 1)[0]
    return "".join(letter for letter in name.lower() if letter.isalnum())


def read(file: Path, default: Sequence[str]) -> Table:
    """The file's table. `default`: names of the columns when the first line is data already. Raises ConfigError."""
    try:
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise ConfigError(f"the file must be readable; got {error.strerror} ({file})") from None
    if not text.strip():
        raise ConfigError(f"the file must hold a table; it is empty ({file})")
    head = next((line for line in text[:_SNIFFED].splitlines() if line.strip() and not line.startswith("#")), "")
    separator = max(";\t,|", key=head.count) if any(head.count(mark) for mark in ";\t,|") else " "
    parsed = [
        (number, row)
        for number, row in enumerate(csv.reader(text.splitlines(), delimiter=separator, skipinitialspace=True), 1)
        if row and any(cell.strip() for cell in row) and not row[0].startswith("#")
    ]
    if not parsed:
        raise ConfigError(f"the file must hold a table; it has comments alone ({file})")
    names = tuple(cell.strip() for cell in parsed[0][1])
    if any(_is_number(name) for name in names):  # no header
        names = tuple(default[k] if k < len(default) else f"column {k + 1}" for k in range(len(names)))
    else:
        parsed = parsed[1:]
    if not parsed:
        raise ConfigError(f"the file must have rows below its header; it has none ({file})")
    for number, row in parsed:
        if len(row) < len(names) and len(row) != len(names) - 1:
            raise ConfigError(f"a row must have {len(names)} values as the header has; got {len(row)} ({file}, line {number})")
    rows = [(row + [""] * len(names))[: len(names)] for _, row in parsed]
    return Table(file, names, rows, [number for number, _ in parsed])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
