"""What the forecasts of a shard keep about each vehicle: one record, found by device id, forgotten when long unseen. No learning here."""

import numpy as np

from fleetpulse.models.line import LINE
from fleetpulse.models.rows import DeviceRows

FORECAST: np.dtype[np.void] = np.dtype(
    [
        ("raised_ms", "<i8"),  # end of the window that raised it; 0: nothing is predicted
        ("told_ms", "<i8"),  # when the limit will be reached, as it was told first
        ("from_ms", "<i8"),  # and the interval
        ("to_ms", "<i8"),
        ("reached_ms", "<i8"),  # when the limit was reached; 0: it is not
        ("value", "<f4"),  # what was measured when it was raised
        ("error_d", "<f4"),  # of what was told, once it is scored
        ("lead_d", "<f4"),
        ("severity", "u1"),  # place in findings.SEVERITIES
        ("outcome", "u1"),  # place in forecast_score.OUTCOMES; 0: not scored yet
        ("below", "u1"),  # samples in a row beyond the limit
        ("by", "u1"),  # what the model went by, place in findings.GROUNDS
    ],
    align=True,
)
"""A prediction about one vehicle by one rule, and how it went."""

OUTLOOK: np.dtype[np.void] = np.dtype(
    [
        ("device_hi", "<u8"),
        ("device_lo", "<u8"),
        ("end_ms", "<i8"),  # of the last window that was sampled
        ("moved_ms", "<i8"),  # when it last moved, or was first seen
        ("since_ms", "<i8"),  # when `cycles_from` was read
        ("cycles_from", "<i4"),
        ("cycles", "<i4"),  # of the battery that is in it; negative: not known
        ("tyre_hour", "<i4"),  # hour of the last sample
        ("capacity_hour", "<i4"),
        ("resistance_hour", "<i4"),
        ("cold_day", "<i4"),  # day that `coldest_c` is of
        ("coldest_c", "<f4"),  # air; NaN: not measured
        ("colder_c", "<f4"),  # of the day before
        ("least_ohm", "<f4"),  # lowest median of the battery that is in it; NaN: none yet
        ("tyre", LINE),
        ("capacity", LINE),
        ("resistance", LINE),
        ("tyre_forecast", FORECAST),
        ("battery_life", FORECAST),
    ],
    align=True,
)
"""A vehicle in memory and in a snapshot, 560 bytes."""


class OutlookTable(DeviceRows):
    """The vehicles of a shard, OUTLOOK."""

    def __init__(self) -> None:
        super().__init__(OUTLOOK)

    def add(self, device: tuple[int, int], seen_ms: int) -> int:
        """A row for a new device, first seen at `seen_ms`; when it moved before is not known."""
        row = self._append(device)
        rec = self.rows[row]
        rec["moved_ms"], rec["cycles"] = seen_ms, -1
        rec["coldest_c"] = rec["colder_c"] = rec["least_ohm"] = np.nan
        return row

    def open(self, rule: str) -> int:
        """Predictions of a rule that are open."""
        return int(np.count_nonzero(self.rows[: self.count][rule]["raised_ms"]))

    def forget(self, before_ms: int) -> int:
        """Drop the vehicles whose last window ended before `before_ms` and about which nothing is predicted; how many."""
        rows = self.rows[: self.count]
        kept = rows[(rows["end_ms"] >= before_ms) | (rows["tyre_forecast"]["raised_ms"] > 0) | (rows["battery_life"]["raised_ms"] > 0)]
        return self._keep(kept)
