"""The life of a prediction: raised once, told again when it becomes graver, scored once, over with hysteresis. Pure.

What is predicted and from what is tyre.py's and life.py's affair; they give a View after each new median and get back what to tell.
"""

from dataclasses import dataclass
from math import inf
from typing import Any

from fleetpulse.models.findings import SEVERITIES, FeatureShare, ResolvedBy, Rule
from fleetpulse.models.forecast_score import AVERTED, TOO_EARLY, UNFORESEEN, WITHDRAWN, Board
from fleetpulse.models.trend import Crossing

DAY_MS = 86_400_000
CONFIDENCE = 0.9
"""Of the interval that is told."""
SURE = 0.99
"""A trend counts when its direction is as sure as this."""
OVER = 1.5
"""A prediction is over when its limit is further away than this many horizons, as steep as the trend may be."""
IN_A_ROW = 2
"""Samples beyond a limit that reach it; of medians one does."""
_INFO, _WARNING, _CRITICAL = range(len(SEVERITIES))


@dataclass(frozen=True)
class Plan:
    """horizon_d  a limit that is expected within so many days is told
    graver_d   days from which on it is one step graver than at first
    first      severity at first, place in SEVERITIES
    reached    a limit that is reached and was not foreseen is told, too
    """

    rule: Rule
    horizon_d: float
    graver_d: float
    first: int
    reached: bool

    def severity(self, days: float) -> int:
        return self.first + (days <= self.graver_d)


def of_tyres(horizon_d: float, graver_d: float) -> Plan:
    """What is below its limit is the rule tyre_pressure's affair."""
    return Plan("tyre_forecast", horizon_d, graver_d, _INFO, reached=False)


def of_batteries(horizon_d: float, graver_d: float) -> Plan:
    return Plan("battery_life", horizon_d, graver_d, _WARNING, reached=True)


@dataclass(frozen=True)
class View:
    """What a model sees after a new median.

    sure      there is a trend
    calm      the last median was not doubted
    crossing  days from now
    soonest_d days to the limit if the trend is as steep as one must allow for; 0: not known
    value     the last median
    ground    what it goes by, place in findings.GROUNDS
    restored  it is as good as new: inflated, or another battery
    """

    sure: bool
    calm: bool
    crossing: Crossing
    soonest_d: float
    value: float
    ground: int
    values: dict[str, float]
    feature: FeatureShare
    restored: ResolvedBy | None = None


@dataclass(frozen=True)
class Told:
    """What is to be said about a prediction. expected_ms: when the limit is reached, as seen now; of one that is over, as told first.
    outcome: of one that is over, place in forecast_score.OUTCOMES.
    """

    raised: bool
    severity: int
    raised_ms: int
    expected_ms: int
    resolved_by: ResolvedBy | None
    values: dict[str, float]
    feature: FeatureShare
    ground: int
    outcome: int = 0


def reach(f: Any, rule: Rule, now_ms: int, board: Board, *, beyond: bool, times: int = 1) -> None:
    """A median (`times` 1) or a sample is beyond the limit or not. `f`: a FORECAST record, changed in place, here and below."""
    f["below"] = min(255, int(f["below"]) + 1) if beyond else 0
    if f["below"] < times or f["reached_ms"]:
        return
    f["reached_ms"] = now_ms
    if not f["raised_ms"]:
        board.count(rule, UNFORESEEN)
    elif not f["outcome"]:
        board.reached(rule, f, now_ms)


def step(f: Any, plan: Plan, view: View, now_ms: int, board: Board) -> Told | None:
    """What to tell after a new median; at most one thing."""
    if f["raised_ms"]:
        return _go_on(f, plan, view, now_ms, board)
    if view.restored:
        f["reached_ms"] = 0
    if f["reached_ms"]:
        return _begin(f, plan, view, Crossing(0.0, 0.0, 0.0), now_ms) if plan.reached else None
    if view.sure and view.calm and view.crossing.expected_d <= plan.horizon_d and view.crossing.latest_d < inf:
        return _begin(f, plan, view, view.crossing, now_ms)
    return None


def _begin(f: Any, plan: Plan, view: View, crossing: Crossing, now_ms: int) -> Told:
    f["raised_ms"], f["value"], f["by"] = now_ms, view.value, view.ground
    f["told_ms"], f["from_ms"], f["to_ms"] = (
        now_ms + round(days * DAY_MS) for days in (crossing.expected_d, crossing.earliest_d, crossing.latest_d)
    )
    f["severity"] = plan.severity(crossing.expected_d)
    f["outcome"] = UNFORESEEN if f["reached_ms"] else 0
    return Told(True, int(f["severity"]), now_ms, int(f["told_ms"]), None, _with(view, crossing), view.feature, view.ground)


def _go_on(f: Any, plan: Plan, view: View, now_ms: int, board: Board) -> Told | None:
    reached = int(f["reached_ms"]) > 0
    if view.restored:
        return _end(f, plan, view, AVERTED, view.restored, board)
    if not f["outcome"] and now_ms > f["to_ms"]:
        return _end(f, plan, view, TOO_EARLY, "recovered", board)
    days = 0.0 if reached else view.crossing.expected_d
    if not reached and view.calm and view.soonest_d > OVER * plan.horizon_d:
        return _end(f, plan, view, WITHDRAWN, "recovered", board)
    if (reached or (view.sure and view.calm)) and plan.severity(days) > f["severity"]:
        f["severity"] = plan.severity(days)
        crossing = Crossing(0.0, 0.0, 0.0) if reached else view.crossing
        expected_ms = now_ms + round(days * DAY_MS)
        return Told(True, int(f["severity"]), int(f["raised_ms"]), expected_ms, None, _with(view, crossing), view.feature, view.ground)
    return None


def _end(f: Any, plan: Plan, view: View, outcome: int, by: ResolvedBy, board: Board) -> Told:
    """Over. What was not scored before ends with `outcome`."""
    if not f["outcome"]:
        board.ended(plan.rule, f, outcome)
    scored = {"error_d": float(f["error_d"]), "lead_d": float(f["lead_d"])} if f["lead_d"] else {}
    values = {**view.values, **scored}
    told = Told(
        False, int(f["severity"]), int(f["raised_ms"]), int(f["told_ms"]), by, values, view.feature, int(f["by"]), int(f["outcome"])
    )
    f["raised_ms"] = f["reached_ms"] = f["outcome"] = 0
    f["error_d"] = f["lead_d"] = 0.0
    return told


def _with(view: View, crossing: Crossing) -> dict[str, float]:
    days = {"days_left_d": crossing.expected_d, "earliest_d": crossing.earliest_d, "latest_d": crossing.latest_d}
    return {**view.values, **days}
