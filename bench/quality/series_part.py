"""Real series of the Numenta Anomaly Benchmark through the model of a single series, beside a windowed Gaussian in the same run.

One limit for all series. Limit and parameters are the best of a grid on half of the series (every other one of the file list); the figures
are of all, and of the other half, which took no part in that choice; the model's design, though, was made with all in view. The baseline
is NAB's (Gaussian of the last 6,400 values, renewed every 1,000), with the limit that is best for it on all series.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from fleetpulse.bench.options import Options
from fleetpulse.bench.quality import nab_score, plots, table_file
from fleetpulse.bench.report import Report
from fleetpulse.models.series import ALARM, SeriesModel

DATA = "FLEETPULSE_BENCH_DATA"
_DEFAULT = Path(__file__).resolve().parents[2].parent / "shared" / "data"
_WINDOW, _STEP = 6400, 1000
_LIMITS = np.arange(1.5, 12.0, 0.1)


@dataclass(frozen=True)
class Series:
    """time_s, value  (N,); windows  first and last row of each"""

    name: str
    time_s: NDArray[np.float64]
    value: NDArray[np.float64]
    windows: tuple[tuple[int, int], ...]


def data(name: str) -> Path:
    """Folder of a data set: below FLEETPULSE_BENCH_DATA, or `../shared/data` beside the repository."""
    return Path(os.environ.get(DATA, _DEFAULT)) / name


def run(options: Options, report: Report) -> None:
    """Part `nab`."""
    folder = data("nab")
    if not (folder / "windows.json").exists():
        report.skipped["quality.nab"] = f"no data in {folder} (set {DATA})"
        return
    every = load(folder)
    if options.scale < 1:
        every = every[: max(2, round(len(every) * options.scale))]
    ours = [score(series) for series in every]
    far = [baseline(series.value) for series in every]
    tallies = [nab_score.tally(scores >= ALARM, series.windows) for scores, series in zip(ours, every, strict=True)]
    by_limit = [[nab_score.tally(z >= limit, s.windows) for z, s in zip(far, every, strict=True)] for limit in _LIMITS]
    theirs = max(by_limit, key=nab_score.standard)
    for name, found in (("nab", tallies), ("nab_baseline", theirs)):
        report.add(f"quality.{name}.standard", "1", [nab_score.standard(found)])
        report.add(f"quality.{name}.f1", "1", [nab_score.f1(found)])
        if any(t.windows for t in found[1::2]):
            report.add(f"quality.{name}.held_out.standard", "1", [nab_score.standard(found[1::2])])
            report.add(f"quality.{name}.held_out.f1", "1", [nab_score.f1(found[1::2])])
    report.ratio("quality.nab.standard", "quality.nab_baseline.standard")
    report.ratio("quality.nab.f1", "quality.nab_baseline.f1")
    values = [report.value(f"quality.{name}.standard") or 0.0 for name in ("nab", "nab_baseline")]
    report.checks["quality.nab.standard is above the baseline's"] = values[0] > values[1]
    hit, windows, false = (sum(getattr(t, name) for t in tallies) for name in ("hit", "windows", "false"))
    report.notes["quality.nab"] = f"{len(every)} series, {hit} of {windows} windows hit, {false} rows flagged outside"
    if options.plots:
        report.plots += [plots.series(s.name, s.time_s, s.value, x, s.windows, options.plots) for s, x in zip(every, ours, strict=True)]


def load(folder: Path) -> list[Series]:
    """All series with their windows, by name. Raises ConfigError."""
    windows = orjson.loads((folder / "windows.json").read_bytes())
    found = []
    for name in sorted(windows):
        table = table_file.read(folder / name, ("timestamp", "value"))
        time_s = np.array(table.times_ms(0)) / 1000.0
        spans = [tuple(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() for text in pair) for pair in windows[name]]
        rows = [np.flatnonzero((time_s >= begin) & (time_s <= end)) for begin, end in spans]
        found.append(Series(name, time_s, np.array(table.numbers(1)), tuple((int(r[0]), int(r[-1])) for r in rows if len(r))))
    return found


def score(series: Series) -> NDArray[np.float64]:
    """(N,) what the model gives as the values come."""
    model = SeriesModel()
    return np.array([model.score(at, value) for at, value in zip(series.time_s.tolist(), series.value.tolist(), strict=True)])


def baseline(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) distance from the mean of the values before, in their standard deviations."""
    known = np.where(np.isfinite(values), values, np.nanmean(values))
    sums, squares = (np.concatenate(([0.0], np.cumsum(known**power))) for power in (1, 2))
    rows = np.arange(len(known))
    end = np.where(rows <= _WINDOW, rows, _WINDOW + (rows - _WINDOW) // _STEP * _STEP)
    begin, count = np.maximum(0, end - _WINDOW), np.maximum(1, np.minimum(end, _WINDOW))
    mean = (sums[end] - sums[begin]) / count
    spread = np.sqrt(np.maximum(1e-12, (squares[end] - squares[begin]) / count - mean**2))
    far: NDArray[np.float64] = np.where(rows > 0, np.abs(known - mean) / spread, 0.0)
    return far
