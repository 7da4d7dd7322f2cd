"""Whether what the models look at is what it was: each input of a day against the days before, by cohort. Pure; kept in the snapshot.

A firmware that scales another way, a sensor that went missing or a new road shows here before the alert rate does.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.models.features import MOVING_S

INPUTS: dict[str, tuple[str, ...]] = {
    "drain": ("distance_m", "speed_mean_mps", "climb_m", "ambient_temperature_mean_c"),
    "powertrain": ("voltage_mean_v", "current_mean_a", "battery_temperature_max_c"),
    "vibration": tuple(f"vibration_band{k}_mean_mps2" for k in (1, 2, 3, 4)),
}
"""Model -> columns of tables.WINDOW."""
_COLUMNS = tuple(column for columns in INPUTS.values() for column in columns)
LEAST_WINDOWS = 200
"""Windows of a day that say something."""
MEMORY_DAYS = 14.0
_DAY_MS = 86_400_000
_COUNT, _SUM, _SQUARES, _MEAN, _VARIANCE, _DAYS, _DRIFT, _MISSING = range(8)


class Inputs:
    """Of one shard. By cohort (8, inputs): of today windows measured, sum, sum of squares; of the days before mean, variance, days; the
    drift of the last full day in spreads, and the share of its windows in which the input was missing.
    """

    def __init__(self) -> None:
        self._day = 0
        self._cohorts: dict[tuple[int, int], NDArray[np.float64]] = {}
        self._windows: dict[tuple[int, int], int] = {}

    def take(self, windows: NDArray[Any]) -> None:
        """(N,) tables.WINDOW rows that are scored for the first time."""
        if not len(windows):
            return
        day = int(windows["window_end_ms"].max()) // _DAY_MS
        if day > self._day:
            for key in sorted(self._cohorts):
                self._close(key)
            self._day = day
        ridden = windows[windows["moving_s"] >= MOVING_S]
        codes = ridden["city"].astype(np.int64) << 8 | ridden["vehicle_model"]
        for code in np.unique(codes).tolist():
            rows, key = ridden[codes == code], (code >> 8, code & 0xFF)
            table = np.stack([rows[column].astype(np.float64) for column in _COLUMNS])
            known = np.isfinite(table)
            table = np.where(known, table, 0.0)
            kept = self._cohorts.setdefault(key, np.zeros((8, len(_COLUMNS))))
            kept[_COUNT] += known.sum(axis=1)
            kept[_SUM] += table.sum(axis=1)
            kept[_SQUARES] += (table * table).sum(axis=1)
            self._windows[key] = self._windows.get(key, 0) + len(rows)

    def _close(self, key: tuple[int, int]) -> None:
        """End a cohort's day. One with few windows goes on."""
        kept, windows = self._cohorts[key], self._windows[key]
        if windows < LEAST_WINDOWS:
            return
        kept[_MISSING] = 1 - kept[_COUNT] / windows
        told = kept[_COUNT] >= LEAST_WINDOWS
        count = np.maximum(kept[_COUNT], 1)
        mean = kept[_SUM] / count
        variance = np.maximum(kept[_SQUARES] / count - mean * mean, 0.0)
        spread = np.sqrt(np.maximum(kept[_VARIANCE], 1e-12))
        kept[_DRIFT] = np.where(told & (kept[_DAYS] > 0), (mean - kept[_MEAN]) / spread, 0.0)
        kept[_DAYS] += told
        weight = np.where(told, np.maximum(1 / np.maximum(kept[_DAYS], 1), 1 / MEMORY_DAYS), 0.0)
        kept[_MEAN] += weight * (mean - kept[_MEAN])
        kept[_VARIANCE] += weight * (variance - kept[_VARIANCE])
        kept[:_MEAN] = 0.0
        self._windows[key] = 0

    def drifts(self) -> dict[tuple[str, str], tuple[float, float]]:
        """(model, input) -> (drift of the cohort that drifts most, largest share of windows in which it is missing)."""
        cohorts = list(dict(self._cohorts).values())
        told: dict[tuple[str, str], tuple[float, float]] = {}
        for model, columns in INPUTS.items():
            for column in columns:
                place = _COLUMNS.index(column)
                drifts = [float(kept[_DRIFT, place]) for kept in cohorts]
                told[model, column] = (
                    max(drifts, key=abs, default=0.0),
                    max((float(kept[_MISSING, place]) for kept in cohorts), default=0.0),
                )
        return told

    def stored(self) -> dict[str, Any]:
        """JSON data. The inverse is `of`."""
        cohorts = [[*key, self._windows[key], self._cohorts[key].tolist()] for key in sorted(self._cohorts)]
        return {"day": self._day, "cohorts": cohorts}

    @classmethod
    def of(cls, stored: dict[str, Any]) -> "Inputs":
        inputs = cls()
        inputs._day = stored["day"]
        for city, model, windows, kept in stored["cohorts"]:
            inputs._cohorts[city, model], inputs._windows[city, model] = np.array(kept), windows
        return inputs
