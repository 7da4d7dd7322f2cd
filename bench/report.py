"""The report of a benchmark: its JSON form (docs: bench/README.md), its table, and the guard against stored ratios.

A figure in absolute units says something about this machine alone; a ratio of two figures of one run says something about the code.
"""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import orjson
import psutil
from rich.console import Console
from rich.table import Table

from fleetpulse.bench import versions


def machine() -> dict[str, Any]:
    """What the figures were measured on. `load` is the load average when the benchmark began: above 0.5 the machine was busy."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "versions": versions.own(),
        "load": round(os.getloadavg()[0], 2),
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def _short(value: float) -> float:
    """Four significant digits: more are noise."""
    return float(f"{value:.4g}")


def _text(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


@dataclass(frozen=True)
class Result:
    """One figure: `value` is the median of `runs`, or what they give together; `interval` (95 %) where it is counted."""

    name: str
    value: float
    unit: str
    runs: tuple[float, ...]
    interval: tuple[float, float] | None = None


def _json(result: Result) -> dict[str, Any]:
    body: dict[str, Any] = {"name": result.name, "value": result.value, "unit": result.unit, "runs": list(result.runs)}
    return body if result.interval is None else {**body, "interval": list(result.interval)}


@dataclass
class Report:
    """What one scenario, or several one after the other, found.

    skipped  what was not measured -> why
    notes    what must be known to read a figure -> text
    plots    PNG files that were written
    """

    scenario: str
    seed: int
    machine: dict[str, Any] = field(default_factory=machine)
    results: list[Result] = field(default_factory=list)
    ratios: dict[str, float] = field(default_factory=dict)
    checks: dict[str, bool] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    plots: list[str] = field(default_factory=list)

    def add(self, name: str, unit: str, runs: Sequence[float]) -> float:
        """Note a figure; returns its median."""
        return self.count(name, unit, runs, median(runs), None)

    def count(self, name: str, unit: str, runs: Sequence[float], value: float, interval: tuple[float, float] | None) -> float:
        """Note a figure that the runs give together, with its interval; returns it."""
        assert runs, "a figure needs a run"
        assert all(result.name != name for result in self.results), f"{name} is measured twice"
        around = None if interval is None else (_short(interval[0]), _short(interval[1]))
        self.results.append(Result(name, _short(value), unit, tuple(_short(run) for run in runs), around))
        return value

    def value(self, name: str) -> float | None:
        """A figure by its name; None when it was not measured."""
        return next((result.value for result in self.results if result.name == name), None)

    def ratio(self, ours: str, theirs: str) -> None:
        """Note `ours`/`theirs` when both were measured."""
        numerator, denominator = self.value(ours), self.value(theirs)
        if numerator is not None and denominator:
            self.ratios[f"{ours}/{theirs}"] = _short(numerator / denominator)

    def json(self) -> bytes:
        """The report as JSON."""
        body = {
            "scenario": self.scenario,
            "machine": self.machine,
            "seed": self.seed,
            "results": [_json(result) for result in self.results],
            "ratios": self.ratios,
            "checks": self.checks,
            "skipped": self.skipped,
            "notes": self.notes,
            "plots": self.plots,
        }
        return orjson.dumps(body, option=orjson.OPT_INDENT_2)

    def show(self, console: Console) -> None:
        """Tables for a person."""
        table = Table(title=f"{self.scenario} on {self.machine['cores']} x {self.machine['cpu']}, load {self.machine['load']}")
        table.add_column("name", no_wrap=True)
        table.add_column("value", justify="right", no_wrap=True)
        table.add_column("unit", no_wrap=True)
        table.add_column("runs")
        for result in self.results:
            spread = f"{len(result.runs)}: {_text(min(result.runs))} - {_text(max(result.runs))}"
            if result.interval is not None:
                spread += f"; 95 %: {_text(result.interval[0])} - {_text(result.interval[1])}"
            table.add_row(result.name, _text(result.value), result.unit, spread)
        console.print(table)
        for title, rows in (("ratio", self.ratios), ("check", self.checks), ("skipped", self.skipped), ("note", self.notes)):
            if rows:
                more = Table(title, "")
                for name, value in rows.items():
                    more.add_row(name, str(value))
                console.print(more)
        for plot in self.plots:
            console.print(f"plot: {plot}")


def guard(report: Report, expected: Mapping[str, float], tolerance: float) -> None:
    """Add a check for every stored ratio that was measured: it must not be below the stored one by more than `tolerance` (0-1)."""
    for name, stored in expected.items():
        measured = report.ratios.get(name)
        if measured is not None:
            report.checks[f"ratio.{name} >= {_short(stored * (1 - tolerance)):g}"] = measured >= stored * (1 - tolerance)
