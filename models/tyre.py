"""When a tyre's pressure will fall below its limit: the line through cold pressures at 20 degC, and the limit as a cold morning sees it.

A tyre is cold when the vehicle has not moved for an hour; then it is as warm as the air, and the ideal gas law takes the weather out.
The rule `tyre_pressure` looks at the pressure as it is, which is lowest in the coldest hour: so the limit is moved to 20 degC from the
lowest temperature of this day and the one before. The record has the lowest pressure of the wheels; which wheel it is, it does not say.
"""

from math import isnan
from typing import Any

from fleetpulse.models import forecast, line
from fleetpulse.models.findings import GROUNDS, FeatureShare
from fleetpulse.models.forecast import CONFIDENCE, DAY_MS, SURE, Plan, Told, View
from fleetpulse.models.forecast_score import Board
from fleetpulse.models.line import Signal
from fleetpulse.models.slow import at_reference_kpa
from fleetpulse.models.trend import NEVER, Crossing

SIGNAL = Signal(bin_ms=6 * 3_600_000, step=0.02, spread=1.0, leap=25.0, together=2.0)
COLD_MS = 3_600_000
"""After so long without moving, a tyre is as warm as the air."""
LEAST_FALL_KPA = 4.0
"""What is remembered must have fallen by so much: more than compensation and weather leave over."""
INFLATED_KPA = 8.0
"""Somebody inflated it when it is so much above what it was when the prediction was raised."""
_GROUND = GROUNDS.index("pressure")


def take(rec: Any, plan: Plan, board: Board, *, at_ms: int, now_ms: int, kpa: float, cold_kpa: float, limit_kpa: float) -> Told | None:
    """A sample of a cold tyre.

    rec    OUTLOOK record, changed in place
    at_ms  now_ms as the vehicle's bins count it
    kpa    as measured; cold_kpa: at 20 degC
    """
    f = rec["tyre_forecast"]
    forecast.reach(f, plan.rule, now_ms, board, beyond=kpa < limit_kpa, times=forecast.IN_A_ROW)
    closed = line.sample(rec["tyre"], SIGNAL, at_ms, cold_kpa)
    if closed is None:
        return None
    line.learn(rec["tyre"], SIGNAL, closed)
    return forecast.step(f, plan, _view(rec, closed.number, closed.value, at_ms, limit_kpa), now_ms, board)


def coldest_c(rec: Any) -> float:
    """Of this day and the one before; NaN when neither was measured."""
    today, before = float(rec["coldest_c"]), float(rec["colder_c"])
    return before if isnan(today) or before < today else today


def _view(rec: Any, number: int, value: float, at_ms: int, limit_kpa: float) -> View:
    record, f = rec["tyre"], rec["tyre_forecast"]
    air_c = coldest_c(rec)
    limit = float(at_reference_kpa(limit_kpa, air_c))
    values = {"pressure_at_20c_kpa": value, "limit_at_20c_kpa": limit, "limit_kpa": limit_kpa, "coldest_c": air_c}
    inflated = value >= max(f["value"] + INFLATED_KPA if f["raised_ms"] else 0.0, limit + INFLATED_KPA if f["reached_ms"] else 0.0)
    restored = bool(f["raised_ms"] or f["reached_ms"]) and inflated
    sure, crossing, soonest_d, slope, score = False, NEVER, 0.0, 0.0, 0.0
    if record["count"] >= line.KNOWN:
        trend = line.trend_of(record, SIGNAL, number)
        slope, soonest_d = trend.slope, trend.soonest_d(limit, CONFIDENCE, falling=True)
        score = -slope / trend.slope_error(SURE)
        sure = score > 1 and -slope * line.span_d(record, SIGNAL) >= LEAST_FALL_KPA
        if slope < 0:
            crossing = line.from_now(trend.reaches(limit, CONFIDENCE), SIGNAL, number, at_ms)
            crossing = Crossing(crossing.expected_d, crossing.earliest_d, crossing.latest_d + 1.0)  # a day's coldest hour comes once
    return View(
        sure=sure,
        calm=int(record["doubt"]) == 0,
        crossing=crossing,
        soonest_d=soonest_d,
        value=value,
        ground=_GROUND,
        values={**values, "slope_kpa_per_d": slope},
        feature=FeatureShare("pressure_slope_kpa_per_d", slope, score),
        restored="recovered" if restored else None,
    )


def chill(rec: Any, at_ms: int, air_c: float) -> None:
    """Remember the lowest temperature of the day."""
    day = at_ms // DAY_MS
    if day != rec["cold_day"]:
        rec["colder_c"] = rec["coldest_c"] if day == rec["cold_day"] + 1 else air_c
        rec["cold_day"], rec["coldest_c"] = day, air_c
    elif not rec["coldest_c"] <= air_c:
        rec["coldest_c"] = air_c
