"""Fixed rules that stand in for a model: the same question with fixed answers, wide enough for any vehicle of its kind. Nothing is learned.

They are worked out whether they decide or not, so that they can at once, and so that models have something to be compared with.
"""

from math import hypot, isnan
from typing import Any

from fleetpulse.models.findings import says
from fleetpulse.models.parameters import DetectParameters
from fleetpulse.models.spans import Cut
from fleetpulse.models.vehicles import Vehicle

STANDBY_PCT_PER_H = 1.0
"""No vehicle needs more for standing."""
RANGE_SHARE = 3.0
"""Nor more for a way than so many times what its range has it."""
LIMITS = 2.0
"""Of detect.drain_delta_pct that must be lost beyond."""
RESTING = 0.25
IN_A_ROW, LONGEST_ROW = 4, 12


def drain(vehicle: Vehicle, cut: Cut, window: Any, parameters: DetectParameters, *, riding: bool) -> None:
    """Take the spans of a window into the rule's sum; afterwards vehicle.says tells."""
    limit_pct = LIMITS * parameters.drain_delta_pct
    code, distance_m = int(window["vehicle_model"]), float(window["distance_m"])
    range_m = parameters.ranges_m[code] if code < len(parameters.ranges_m) else float("nan")
    for span in cut.spans:
        allowed = STANDBY_PCT_PER_H * span.hours
        if riding:
            if isnan(range_m) or isnan(distance_m):
                continue
            allowed += RANGE_SHARE * 100 * distance_m / range_m
        vehicle.rule_excess_pct = min(2 * limit_pct, max(0.0, vehicle.rule_excess_pct + span.lost_pct - allowed))
    if vehicle.rule_excess_pct >= limit_pct:
        vehicle.says |= says("drain_rule")
    elif vehicle.rule_excess_pct <= RESTING * limit_pct:
        vehicle.says &= ~says("drain_rule")


def vibration(vehicle: Vehicle, window: Any, parameters: DetectParameters) -> None:
    """The same of a window of riding: bands 3 and 4, in which a bearing speaks, against a fixed limit."""
    extreme = (
        hypot(float(window["vibration_band3_mean_mps2"]), float(window["vibration_band4_mean_mps2"])) > parameters.vibration_limit_mps2
    )
    vehicle.rule_streak = min(LONGEST_ROW, max(0, vehicle.rule_streak + (1 if extreme else -1)))
    if vehicle.rule_streak >= IN_A_ROW:
        vehicle.says |= says("vibration_rule")
    elif not vehicle.rule_streak:
        vehicle.says &= ~says("vibration_rule")
