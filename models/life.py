"""When a battery's useful life ends: by its capacity, by its resistance, and by what a cycle has cost it so far. The first of them counts.

Capacity is the battery's own state of health; life ends at a share of the first capacity. Resistance is taken from sag over current
(slow.py); life ends when it is `end_resistance` times the least that this battery has shown. Where the capacity's line is too flat to tell,
its loss a cycle so far, times the cycles a day, gives a rough date. Other cycles than an hour ago are another battery.
"""

from dataclasses import dataclass
from typing import Any

from fleetpulse.models import forecast, line
from fleetpulse.models.findings import GROUNDS, FeatureShare
from fleetpulse.models.forecast import CONFIDENCE, DAY_MS, SURE, Plan, Told, View
from fleetpulse.models.forecast_score import Board
from fleetpulse.models.line import Signal
from fleetpulse.models.trend import NEVER, Crossing

CAPACITY = Signal(bin_ms=12 * 3_600_000, step=0.01, spread=0.1, leap=3.0)
LEAST_LOSS_PCT = 0.8
"""What is remembered must have fallen by so much."""
BETTER_PCT = 2.0
"""A battery is another one when its capacity is so much above what it was when the prediction was raised."""
JUMP_PCT = 2.0
"""No capacity changes by so much within an hour: it is another battery, or was measured anew, and its line begins anew."""
OHM_STEP, OHM_SPREAD, OHM_LEAP = 1e-4, 0.03, 0.4
"""What is kept of a resistance; spread and leap of a day's median as shares of it."""
OHM_SAMPLES = 3
"""A day's median of fewer says nothing."""
LEAST_RISE = 0.2
"""What is remembered of a resistance must have risen by such a share of its least."""
CYCLES_KNOWN, USE_KNOWN_D, WORN_PCT = 100, 7.0, 5.0
"""Cycles, days of watching and loss of capacity that make the loss a cycle worth something."""
CYCLE_DOUBT = 2.0
"""The date by cycles may be off by this factor."""
MOST_CYCLES, MOST_CYCLES_PER_D = 5, 4.0
"""No battery makes more cycles between two samples, and a day that lies between them."""


@dataclass(frozen=True)
class End:
    """When a battery's life is over. capacity_pct: of its first capacity; resistance: times its least."""

    capacity_pct: float
    resistance: float


@dataclass(frozen=True, slots=True)
class _Case:
    """What one ground says."""

    sure: bool
    crossing: Crossing
    soonest_d: float
    ground: int
    values: dict[str, float]
    feature: FeatureShare


def take(rec: Any, plan: Plan, board: Board, end: End, *, at_ms: int, now_ms: int, capacity_pct: float, cycles: int) -> Told | None:
    """An hourly sample of capacity and cycles (negative: not measured). `rec`: OUTLOOK record, changed in place."""
    f = rec["battery_life"]
    if _another(rec, now_ms, cycles):
        told = forecast.step(f, plan, _view(rec, end, at_ms, now_ms, capacity_pct, swapped=True), now_ms, board)
        _renew(rec, now_ms, cycles)
        line.sample(rec["capacity"], CAPACITY, at_ms, capacity_pct)
        return told
    if cycles >= 0:
        rec["cycles"] = cycles
    if abs(capacity_pct - line.newest(rec["capacity"], CAPACITY, capacity_pct)) > JUMP_PCT:
        line.restart(rec["capacity"])
    closed = line.sample(rec["capacity"], CAPACITY, at_ms, capacity_pct)
    if closed is None:
        return None
    line.learn(rec["capacity"], CAPACITY, closed)
    if closed.value <= end.capacity_pct:
        forecast.reach(f, plan.rule, now_ms, board, beyond=True)
    return forecast.step(f, plan, _view(rec, end, at_ms, now_ms, closed.value), now_ms, board)


def strain(rec: Any, plan: Plan, board: Board, end: End, *, at_ms: int, now_ms: int, ohm: float) -> Told | None:
    """A sample of the resistance at 20 degC."""
    signal = of_resistance(float(ohm))
    closed = line.sample(rec["resistance"], signal, at_ms, ohm)
    if closed is None or closed.samples < OHM_SAMPLES:
        return None
    line.learn(rec["resistance"], of_resistance(closed.value), closed)
    if not rec["least_ohm"] <= closed.value:
        rec["least_ohm"] = closed.value
    sure = rec["resistance"]["count"] >= line.KNOWN and not rec["resistance"]["doubt"]
    if sure and closed.value >= end.resistance * float(rec["least_ohm"]):
        forecast.reach(rec["battery_life"], plan.rule, now_ms, board, beyond=True)
    if not rec["capacity"]["count"]:
        return None
    value = line.last(rec["capacity"], CAPACITY)
    return forecast.step(rec["battery_life"], plan, _view(rec, end, at_ms, now_ms, value), now_ms, board)


def of_resistance(ohm: float) -> Signal:
    """The signal of a battery with about this resistance."""
    return Signal(bin_ms=DAY_MS, step=OHM_STEP, spread=OHM_SPREAD * ohm, leap=OHM_LEAP * ohm)


def _another(rec: Any, now_ms: int, cycles: int) -> bool:
    known = int(rec["cycles"])
    if cycles < 0 or known < 0:
        if cycles >= 0:
            _renew(rec, now_ms, cycles)
        return False
    between_d = max(0.0, (now_ms - int(rec["end_ms"])) / DAY_MS)
    return not known <= cycles <= known + MOST_CYCLES + MOST_CYCLES_PER_D * between_d


def _renew(rec: Any, now_ms: int, cycles: int) -> None:
    if rec["cycles"] >= 0:
        line.restart(rec["capacity"])
        line.restart(rec["resistance"])
        rec["least_ohm"] = float("nan")
    rec["cycles"] = rec["cycles_from"] = cycles
    rec["since_ms"] = now_ms


def _view(rec: Any, end: End, at_ms: int, now_ms: int, value: float, *, swapped: bool = False) -> View:
    """The case whose limit is nearest, a sure one before one that is not."""
    f = rec["battery_life"]
    better = bool(f["raised_ms"]) and value >= f["value"] + BETTER_PCT
    cases = [_by_capacity(rec, end, at_ms, value)]
    by_resistance, by_cycles = _by_resistance(rec, end, at_ms), _by_cycles(rec, end, now_ms, value)
    if not f["reached_ms"]:
        cases += [c for c in (by_resistance, by_cycles) if c is not None]
    elif by_resistance is not None and value > end.capacity_pct:  # then it was the resistance
        cases = [by_resistance]
    case = min(cases, key=lambda c: (not c.sure, c.crossing.expected_d))
    return View(
        sure=case.sure,
        calm=int(rec["capacity"]["doubt"]) == 0,
        crossing=case.crossing,
        soonest_d=min(c.soonest_d for c in cases),
        value=value,
        ground=case.ground,
        values=case.values if rec["cycles"] < 0 else {**case.values, "cycles": float(rec["cycles"])},
        feature=case.feature,
        restored="swap" if swapped and (f["raised_ms"] or f["reached_ms"]) else "recovered" if better else None,
    )


def _by_capacity(rec: Any, end: End, at_ms: int, value: float) -> _Case:
    record = rec["capacity"]
    sure, crossing, soonest_d, slope, score = False, NEVER, 0.0, 0.0, 0.0
    if record["count"] >= line.KNOWN:
        number = int(record["bins"][int(record["count"]) - 1])
        trend = line.trend_of(record, CAPACITY, number)
        slope, soonest_d = trend.slope, trend.soonest_d(end.capacity_pct, CONFIDENCE, falling=True)
        score = -slope / trend.slope_error(SURE)
        sure = score > 1 and -slope * line.span_d(record, CAPACITY) >= LEAST_LOSS_PCT
        if slope < 0:
            crossing = line.from_now(trend.reaches(end.capacity_pct, CONFIDENCE), CAPACITY, number, at_ms)
    values = {"capacity_pct": value, "limit_pct": end.capacity_pct, "slope_pct_per_d": slope}
    return _Case(sure, crossing, soonest_d, GROUNDS.index("capacity"), values, FeatureShare("capacity_slope_pct_per_d", slope, score))


def _by_resistance(rec: Any, end: End, at_ms: int) -> _Case | None:
    record = rec["resistance"]
    if record["count"] < line.KNOWN:
        return None
    number, newest = int(record["bins"][int(record["count"]) - 1]), float(record["values"][int(record["count"]) - 1]) * OHM_STEP
    signal, least = of_resistance(newest), float(rec["least_ohm"])
    trend = line.trend_of(record, signal, number)
    score = trend.slope / trend.slope_error(SURE)
    limit = end.resistance * least
    crossing = line.from_now(trend.reaches(limit, CONFIDENCE), signal, number, at_ms) if trend.slope > 0 else NEVER
    values = {"resistance_ohm": newest, "limit_ohm": limit, "slope_ohm_per_d": trend.slope}
    feature = FeatureShare("resistance_slope_ohm_per_d", trend.slope, score)
    sure = score > 1 and trend.slope * line.span_d(record, signal) >= LEAST_RISE * least
    return _Case(sure, crossing, trend.soonest_d(limit, CONFIDENCE, falling=False), GROUNDS.index("resistance"), values, feature)


def _by_cycles(rec: Any, end: End, now_ms: int, value: float) -> _Case | None:
    """By the mean loss a cycle so far and the cycles a day since it has been watched, unless the capacity's line rules it out."""
    cycles, watched_d = int(rec["cycles"]), (now_ms - int(rec["since_ms"])) / DAY_MS
    made = cycles - int(rec["cycles_from"])
    if cycles < CYCLES_KNOWN or watched_d < USE_KNOWN_D or made <= 0 or value > 100 - WORN_PCT or rec["capacity"]["count"] < line.KNOWN:
        return None
    cycles_per_d = made / watched_d
    loss = (100 - value) / cycles * cycles_per_d
    trend = line.trend_of(rec["capacity"], CAPACITY, 0)
    if abs(trend.slope + loss) > trend.slope_error(CONFIDENCE):
        return None
    days = max(0.0, value - end.capacity_pct) / loss
    values = {"capacity_pct": value, "limit_pct": end.capacity_pct, "slope_pct_per_d": -loss, "cycles_per_d": cycles_per_d}
    crossing = Crossing(days, days / CYCLE_DOUBT, days * CYCLE_DOUBT)
    return _Case(True, crossing, crossing.earliest_d, GROUNDS.index("cycles"), values, FeatureShare("loss_pct_per_d", loss, 1.0))
