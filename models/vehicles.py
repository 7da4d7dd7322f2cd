"""What the models of a shard keep about each vehicle: one record, found by device id, forgotten when long unseen. No learning here."""

from dataclasses import dataclass
from math import nan

import numpy as np

from fleetpulse.models.features import Group
from fleetpulse.models.rows import DeviceRows

WATCH: np.dtype[np.void] = np.dtype(
    [
        *((name, "<f8") for name in ("excess_pct", "score", "mean", "total", "least")),
        ("since_ms", "<i8"),
        *((name, "<u4") for name in ("count", "judged_s", "charging_s", "conditioning_s", "doubted_s", "unseen_s")),
    ],
    align=True,
)
"""State of drain.Watch."""

VEHICLE: np.dtype[np.void] = np.dtype(
    [
        ("device_hi", "<u8"),
        ("device_lo", "<u8"),
        ("end_ms", "<i8"),  # of the last window that was scored; 0: none yet
        ("latitude_deg", "<f8"),  # there
        ("longitude_deg", "<f8"),
        ("soc_pct", "<f8"),  # charge at its end; NaN: not measured, or not believed
        ("battery_raised_ms", "<i8"),  # end of the window that raised rule battery_drain; 0: not open
        ("motor_raised_ms", "<i8"),  # the same of rule vibration
        ("conditioned_ms", "<i8"),  # how long it has been heated or cooled where it stands
        ("doubted_ms", "<i8"),  # its charge is not believed before
        ("ride_ms", "<i8"),  # begin of the ride that is open; 0: none
        ("ride_judged_ms", "<i8"),  # how much of it was compared
        ("ride_lost_pct", "<f8"),
        ("ride_expected_pct", "<f8"),
        ("rule_excess_pct", "<f8"),  # running sum of the fixed rule that stands in for model drain
        ("parked", WATCH),
        ("riding", WATCH),
        ("powertrain_streak", "u1"),  # extreme windows, less the ordinary ones since
        ("vibration_streak", "u1"),
        ("rule_streak", "u1"),  # the same by the fixed rule that stands in for model vibration
        ("says", "u1"),  # findings.says of the models and rules for which something is wrong, whether they decide or not
        ("battery_by", "u1"),  # place in findings.MODELS of what raised battery_drain
        ("motor_by", "u1"),  # and of what raised vibration
    ],
    align=True,
)
"""A vehicle in memory and in a snapshot, 288 bytes."""

FORGET_MS = 30 * 86_400_000
"""A vehicle without a window for so long is forgotten, unless something about it is open."""


@dataclass(slots=True)
class Watch:
    """excess_pct  running sum of loss that nothing explains, in percentage points, at least 0
    score       how much of what raises is proven, at least 0
    mean, total, least, count  of the Page-Hinkley test on the residuals
    since_ms    when the sum began; then, since, what was judged and what was left out by reason (spans.Reason)
    """

    excess_pct: float = 0.0
    score: float = 0.0
    mean: float = 0.0
    total: float = 0.0
    least: float = 0.0
    since_ms: int = 0
    count: int = 0
    judged_s: int = 0
    charging_s: int = 0
    conditioning_s: int = 0
    doubted_s: int = 0
    unseen_s: int = 0


@dataclass(slots=True)
class Vehicle:
    """A VEHICLE record as plain numbers while its window is judged; the fields are the record's, in its order."""

    device_hi: int
    device_lo: int
    end_ms: int
    latitude_deg: float
    longitude_deg: float
    soc_pct: float
    battery_raised_ms: int
    motor_raised_ms: int
    conditioned_ms: int
    doubted_ms: int
    ride_ms: int
    ride_judged_ms: int
    ride_lost_pct: float
    ride_expected_pct: float
    rule_excess_pct: float
    parked: Watch
    riding: Watch
    streaks: dict[Group, int]
    rule_streak: int
    says: int
    battery_by: int
    motor_by: int


def _plain(w: Watch) -> tuple[float, ...]:
    return (
        *(w.excess_pct, w.score, w.mean, w.total, w.least, w.since_ms),
        *(w.count, w.judged_s, w.charging_s, w.conditioning_s, w.doubted_s, w.unseen_s),
    )


class VehicleTable(DeviceRows):
    """The vehicles of a shard, VEHICLE."""

    def __init__(self) -> None:
        super().__init__(VEHICLE)

    def row(self, device: tuple[int, int]) -> int:
        """Row of a device, made when it is new. O(1)."""
        row = self.find(device)
        if row is None:
            row = self._append(device)
            self.rows[row]["soc_pct"] = nan
        return row

    def load(self, row: int) -> Vehicle:
        *plain, parked, riding, powertrain, vibration, rule, says, by, motor = self.rows[row].item()
        streaks: dict[Group, int] = {"powertrain": powertrain, "vibration": vibration}
        fields = [*plain, Watch(*parked), Watch(*riding), streaks, rule, says, by, motor]
        return Vehicle(*fields)

    def store(self, row: int, v: Vehicle) -> None:
        self.rows[row] = (
            *(v.device_hi, v.device_lo, v.end_ms, v.latitude_deg, v.longitude_deg, v.soc_pct),
            *(v.battery_raised_ms, v.motor_raised_ms, v.conditioned_ms, v.doubted_ms),
            *(v.ride_ms, v.ride_judged_ms, v.ride_lost_pct, v.ride_expected_pct, v.rule_excess_pct),
            *(_plain(v.parked), _plain(v.riding), v.streaks["powertrain"], v.streaks["vibration"]),
            *(v.rule_streak, v.says, v.battery_by, v.motor_by),
        )

    def forget(self, before_ms: int) -> int:
        """Drop the vehicles whose last window ended before `before_ms` and about which nothing is open; how many."""
        rows = self.rows[: self.count]
        kept = rows[(rows["end_ms"] >= before_ms) | (rows["battery_raised_ms"] > 0) | (rows["motor_raised_ms"] > 0)]
        return self._keep(kept)
