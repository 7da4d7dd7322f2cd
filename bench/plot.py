"""Figures as PNG: throughput against vehicles, latency against load, memory over time. Reads a report; measures nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from fleetpulse.bench.report import Report

_SIZE_INCH = (7.0, 4.2)


def _figure(title: str, x: str, y: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=_SIZE_INCH, layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    return figure, axes


def _save(figure: Figure, folder: Path, name: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.png"
    figure.savefig(file, dpi=150)
    return str(file)


def throughput(report: Report, sizes: Sequence[str], folder: Path) -> list[str]:
    """Lines of `flow.*` over the number of vehicles; nothing when none was measured."""
    figure, axes = _figure("Whole flow, Kafka to Kafka", "vehicles", "frames per CPU second")
    for form in ("protobuf", "json"):
        for kind in ("single", "packed"):
            points = [(size, report.value(f"flow.{form}.{kind}.{size}")) for size in sizes]
            found = [(size, value) for size, value in points if value is not None]
            if found:
                axes.plot([size for size, _ in found], [value for _, value in found], marker="o", label=f"{form}, {kind}")
    if not axes.lines:
        return []
    axes.set_yscale("log")
    axes.legend()
    return [_save(figure, folder, "flow-throughput")]


def latency(report: Report, loads: Mapping[str, int], folder: Path) -> list[str]:
    """p50, p99 and maximum over the load; nothing when none was measured."""
    figure, axes = _figure("Kafka record to derived event", "frames/s", "ms")
    for quantile in ("p50", "p99", "max"):
        points = [(rate, report.value(f"latency.{name}.{quantile}")) for name, rate in loads.items()]
        found = [(rate, value) for rate, value in points if value is not None]
        if found:
            axes.plot([rate for rate, _ in found], [value for _, value in found], marker="o", label=quantile)
    if not axes.lines:
        return []
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.legend()
    return [_save(figure, folder, "latency")]


def memory(lines: Mapping[str, Sequence[tuple[float, float]]], folder: Path) -> list[str]:
    """Resident memory; `lines`: name -> (seconds, MiB)."""
    figure, axes = _figure("Memory of the telemetry flow", "s", "MiB resident")
    for name, points in lines.items():
        axes.plot([s for s, _ in points], [mib for _, mib in points], label=name)
    axes.set_ylim(bottom=0)
    axes.legend()
    return [_save(figure, folder, "memory")]
