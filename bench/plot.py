"""Figures as PNG: throughput against vehicles, latency against load, memory over time, lag under attack. Measures nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from fleetpulse.bench.chaos.attack import Struck
from fleetpulse.bench.chaos.plan import FLOWS, Kind
from fleetpulse.bench.chaos.watch import Sample
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


def chaos(samples: Sequence[Sample], struck: Sequence[Struck], folder: Path) -> list[str]:
    """Records that each flow has not committed and frames that vehicles keep, over the run; a line where something was struck."""
    figure, axes = _figure("Under attack", "s", "records behind (flows), frames kept (vehicles)")
    began_s = samples[0].at_s
    for flow in FLOWS:
        points = [(sample.at_s - began_s, lag) for sample in samples if (lag := sample.lag(flow)) is not None]
        axes.plot([s for s, _ in points], [lag + 1 for _, lag in points], linewidth=0.8, label=flow)
    axes.plot([sample.at_s - began_s for sample in samples], [sample.pending + 1 for sample in samples], linewidth=0.8, label="vehicles")
    axes.set_yscale("log")
    axes.set_ylim(0.5, 1e6)
    for kill in (True, False):
        times = [each.at_s - began_s for each in struck if (each.strike.kind is Kind.KILL) == kill]
        label = "kill" if kill else "stall, cut, slow, full"
        axes.vlines(
            times, 0, 0.04, transform=axes.get_xaxis_transform(), color="black" if kill else "tab:orange", linewidth=0.8, label=label
        )
    axes.legend(loc="upper left", fontsize="small", ncols=3)
    return [_save(figure, folder, "chaos")]
