"""Forecast of trip starts per H3 cell and vehicle group for the next interval: a seasonal mean, blended with the recent one.

Score, then learn: the forecast of an interval was made before its trips are known, and its squared error is kept beside that of
the naive forecast (the last interval again), so that skill is measured and not believed. Squared, since a mean is forecast.

Assumes that trips of an interval of the day resemble each other; the recent mean carries a cell until its seasons are known.
"""

from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.models import store

RECENT = 0.2
"""Least weight of an interval in the recent mean."""
PRIOR = 1
"""Intervals without a trip that a new cell is taken to have had: it is only known because a trip just started there."""
SEASONAL_DAYS = 30
"""Days after which old ones fade from the seasonal mean."""
TRUST_DAYS = 2.0
"""Days of a season after which it counts as much as the recent mean."""
FORGET_MS = 14 * 86_400_000
"""A cell without a trip for so long is forgotten."""
_MAGIC, _VERSION = b"DEMA", 1


def _row(seasons: int) -> np.dtype[np.void]:
    return np.dtype(
        [
            ("cell", "<u8"),
            ("group", "u1"),
            ("last_ms", "<i8"),  # end of the last interval with a trip
            ("forecast", "<f4"),  # for the interval after the last one that was learned
            ("recent", "<f4"),  # mean trips an interval
            ("previous", "<f4"),  # trips of the last interval
            ("intervals", "<i4"),  # learned, for the recent mean
            ("season_mean", "<f4", (seasons,)),
            ("season_days", "u1", (seasons,)),
        ]
    )


class DemandModel:
    """The cells of one city. Rows are kept in the order (cell, group), so that nothing depends on when a cell was first seen.

    errors  sums over intervals and cells: count, squared error of the forecast, squared error of the naive one
    """

    def __init__(self, *, seasons: int, interval_ms: int) -> None:
        self._seasons = seasons
        self._interval_ms = interval_ms
        self.rows: NDArray[Any] = np.zeros(0, dtype=_row(seasons))
        self.errors = np.zeros(3, dtype=np.float64)

    def forecasts(self) -> dict[tuple[int, int], float]:
        """(cell, group) -> trips expected in the interval after the last one that was learned."""
        keys = zip(self.rows["cell"].tolist(), self.rows["group"].tolist(), strict=True)
        return dict(zip(keys, self.rows["forecast"].tolist(), strict=True))

    def errors_rms(self) -> tuple[float, float]:
        """Root of the mean squared error of the forecasts so far, and of the naive ones; zeros before the first."""
        count, ours, naive = self.errors.tolist()
        return (sqrt(ours / count), sqrt(naive / count)) if count else (0.0, 0.0)

    def learn(self, end_ms: int, starts: dict[tuple[int, int], int], supplied: set[tuple[int, int]]) -> None:
        """Take in the interval that ended at `end_ms`, and forecast the next.

        starts    (cell, group) -> trips that started, where there were any
        supplied  (cell, group) that had a rentable vehicle at the beginning or the end. An interval without trips and without
                  vehicles teaches nothing: nobody could have ridden

        O(rows), in a few array operations.
        """
        self._make_room(starts)
        rows = self.rows
        keys = list(zip(rows["cell"].tolist(), rows["group"].tolist(), strict=True))
        trips = np.array([starts.get(key, 0) for key in keys], dtype=np.float64)
        seen = np.array([key in starts or key in supplied for key in keys], dtype=np.bool_)
        self._score(trips, seen)
        season = end_ms // self._interval_ms - 1
        self._take(season % self._seasons, trips, seen)
        rows["last_ms"][trips > 0] = end_ms
        following = (season + 1) % self._seasons
        days = rows["season_days"][:, following].astype(np.float64)
        trust = days / (days + TRUST_DAYS)
        rows["forecast"] = trust * rows["season_mean"][:, following] + (1 - trust) * rows["recent"]
        self.rows = rows[rows["last_ms"] > end_ms - FORGET_MS]

    def _make_room(self, starts: dict[tuple[int, int], int]) -> None:
        known = set(zip(self.rows["cell"].tolist(), self.rows["group"].tolist(), strict=True))
        new = sorted(starts.keys() - known)
        if new:
            rows = np.zeros(len(new), dtype=self.rows.dtype)
            rows["cell"], rows["group"] = [cell for cell, _ in new], [group for _, group in new]
            rows = np.concatenate((self.rows, rows))
            self.rows = rows[np.lexsort((rows["group"], rows["cell"]))]

    def _score(self, trips: NDArray[np.float64], seen: NDArray[np.bool_]) -> None:
        judged = seen & (self.rows["intervals"] > 0)
        ours = ((self.rows["forecast"] - trips) ** 2)[judged]
        naive = ((self.rows["previous"] - trips) ** 2)[judged]
        self.errors += (int(judged.sum()), float(ours.sum()), float(naive.sum()))

    def _take(self, season: int, trips: NDArray[np.float64], seen: NDArray[np.bool_]) -> None:
        rows = self.rows
        rows["intervals"] += seen
        weight = np.maximum(1 / (rows["intervals"] + PRIOR), RECENT)
        rows["recent"] += np.where(seen, weight * (trips - rows["recent"]), 0)
        rows["previous"] = np.where(seen, trips, rows["previous"])
        days = np.minimum(rows["season_days"][:, season] + seen, SEASONAL_DAYS)
        mean = rows["season_mean"][:, season]
        rows["season_mean"][:, season] = mean + np.where(seen, (trips - mean) / np.maximum(days, 1), 0)
        rows["season_days"][:, season] = days

    def snapshot(self) -> bytes:
        """Versioned bytes, a copy. The inverse is restore."""
        return store.pack(
            _MAGIC, _VERSION, {"seasons": self._seasons, "interval_ms": self._interval_ms}, [self.rows.tobytes(), self.errors.tobytes()]
        )

    def restore(self, stored: bytes) -> None:
        """Take over a snapshot; seasons of another length are not seasons, so then it begins anew. Raises StoredStateError."""
        header, (rows, errors) = store.unpack(stored, _MAGIC, _VERSION, flow="city")
        if header == {"seasons": self._seasons, "interval_ms": self._interval_ms}:
            self.rows = np.frombuffer(rows, dtype=self.rows.dtype).copy()
            self.errors = np.frombuffer(errors, dtype=np.float64).copy()
