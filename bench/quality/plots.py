"""Pictures of scores and alarms: a real series, a vehicle's story, a crash. PNG files; measures nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fleetpulse.bench.quality.history import Label
from fleetpulse.models.series import ALARM
from fleetpulse.vehicle_agent.faults import Fault

_SIZE_INCH = (9.0, 4.8)


def _two(title: str, upper: str, lower: str, x: str) -> tuple[Figure, Any, Any]:
    figure = Figure(figsize=_SIZE_INCH, layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    top.set(title=title, ylabel=upper)
    bottom.set(xlabel=x, ylabel=lower)
    for axes in (top, bottom):
        axes.grid(alpha=0.3)
    return figure, top, bottom


def _save(figure: Figure, folder: Path, name: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name.replace('/', '-').removesuffix('.csv')}.png"
    figure.savefig(file, dpi=110)
    return str(file)


def series(
    name: str,
    time_s: NDArray[np.float64],
    value: NDArray[np.float64],
    score: NDArray[np.float64],
    windows: Sequence[tuple[int, int]],
    folder: Path,
) -> str:
    """A series with its anomaly windows, and its scores with the alarms."""
    figure, top, bottom = _two(name, "value", "score", "days")
    days = (time_s - time_s[0]) / 86_400
    top.plot(days, value, linewidth=0.6)
    bottom.plot(days, score, linewidth=0.6)
    bottom.axhline(ALARM, color="tab:red", linewidth=0.6)
    for begin, end in windows:
        top.axvspan(days[begin], days[end], color="tab:orange", alpha=0.3)
    alarms = score >= ALARM
    top.plot(days[alarms], value[alarms], "v", color="tab:red", markersize=5)
    return _save(figure, folder, f"series-{name}")


_SIGNALS: dict[Fault, tuple[str, ...]] = {
    Fault.DEAD_CELL: ("battery_voltage_v", "battery_current_a"),
    Fault.BEARING_VIBRATION: ("vibration_band4_rms_mps2", "speed_mps"),
    Fault.OVER_TEMPERATURE: ("battery_temperature_c", "battery_current_a"),
    Fault.TYRE_LEAK: ("tyre_pressure_front_left_kpa", "tyre_pressure_rear_left_kpa"),
    Fault.CRASH: ("accel_peak_x_mps2", "speed_mps"),
    Fault.KNOCK: ("accel_peak_x_mps2", "accel_peak_z_mps2", "speed_mps"),
    Fault.TIP_OVER: ("roll_deg", "speed_mps"),
    Fault.GPS_STUCK: ("latitude_e7", "odometer_m"),
    Fault.GPS_TELEPORT: ("latitude_e7", "odometer_m"),
    Fault.GEOFENCE: ("latitude_e7", "longitude_e7"),
    Fault.BORDER: ("latitude_e7", "longitude_e7"),
    Fault.FAULT_CODE: ("fault_bits",),
    Fault.AGEING: ("battery_soh_pct", "battery_soc_pct"),
}
_AROUND = 0.5
"""A story shows this share of the fault's length, and an hour, before and after it."""


def fault(label: Label, rows: NDArray[Any], start_ms: int, alarms: Sequence[tuple[int, str]], folder: Path) -> str:
    """One vehicle around its fault: what tells of it, the fault's span, the alarms as (ms, rule)."""
    reach_ms = _AROUND * (label.end_ms - label.start_ms) + 3_600_000
    near = rows[(rows["append_ms"] >= label.start_ms - reach_ms) & (rows["append_ms"] <= label.end_ms + reach_ms)]
    names = _SIGNALS.get(label.case.fault, ("battery_soc_pct", "speed_mps"))
    signals = {name: near[name].astype(np.float64) for name in names}
    if label.case.fault == Fault.CLOCK_SKEW:
        signals = {"clock ahead, s": (near["time_ms"] - near["append_ms"]) / 1000.0}

    def hours(at_ms: Any) -> Any:
        return (at_ms - start_ms) / 3_600_000

    shown = [(float(hours(at)), rule) for at, rule in alarms if label.start_ms - reach_ms <= at <= label.end_ms + reach_ms]
    span = float(hours(label.start_ms)), float(hours(label.end_ms))
    return _story(label.case.name, hours(near["append_ms"]), signals, span, shown, folder)


def _story(
    name: str,
    hours: NDArray[np.float64],
    signals: dict[str, NDArray[np.float64]],
    fault_h: tuple[float, float],
    alarms_h: Sequence[tuple[float, str]],
    folder: Path,
) -> str:
    """Each signal on an axis of its own."""
    figure = Figure(figsize=_SIZE_INCH, layout="constrained")
    axes = figure.subplots(len(signals), 1, sharex=True, squeeze=False)[:, 0]
    for each, (label, values) in zip(axes, signals.items(), strict=True):
        each.plot(hours, values, ".-", linewidth=0.5, markersize=2)
        each.set_ylabel(label)
        each.grid(alpha=0.3)
        each.axvspan(*fault_h, color="tab:orange", alpha=0.25)
        for at, _ in alarms_h:
            each.axvline(at, color="tab:red", linewidth=0.8)
    axes[0].set_title(f"{name}: {', '.join(sorted({rule for _, rule in alarms_h})) or 'no alarm'}")
    axes[-1].set_xlabel("hours after the start")
    return _save(figure, folder, f"fault-{name}")


def blow(name: str, samples: NDArray[np.float64], rate_hz: float, found: int, folder: Path) -> str:
    """50 Hz acceleration around a blow and where the detector found a crash (-1: nowhere)."""
    figure = Figure(figsize=_SIZE_INCH, layout="constrained")
    axes = figure.subplots()
    seconds = np.arange(len(samples)) / rate_hz
    for k, axis in enumerate("xyz"):
        axes.plot(seconds, samples[:, k], linewidth=0.8, label=axis)
    if found >= 0:
        axes.axvline(found / rate_hz, color="tab:red", linewidth=1.0, label="crash found")
    axes.set(title=name, xlabel="s", ylabel="m/s2")
    axes.legend()
    axes.grid(alpha=0.3)
    return _save(figure, folder, f"blow-{name}")
