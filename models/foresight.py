"""The forecasts of one shard at work: closed windows in the log's order to findings about tyres and batteries to come.

A vehicle is sampled once an hour, and its bins end at times of its own, spread over the day by its id: so the lines of 50,000 vehicles are
not all fitted in one minute. A window that samples nothing costs a look-up. About 6 us a window all in all.
"""

from dataclasses import dataclass
from math import isnan
from typing import Any

from numpy.typing import NDArray

from fleetpulse.models import evidence, forecast, life, store, tyre
from fleetpulse.models.findings import GROUNDS, SEVERITIES, Finding
from fleetpulse.models.forecast import Plan, Told
from fleetpulse.models.forecast_score import OUTCOMES, Board
from fleetpulse.models.life import End
from fleetpulse.models.outlook import OutlookTable
from fleetpulse.models.parameters import DetectParameters
from fleetpulse.models.slow import Slow

_MAGIC, _VERSION = b"FORE", 1
_HOUR_MS = 3_600_000
_LONGEST_BIN_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Moment:
    """Window i of a record: its slow signals `s`, and `windows`, the record's (N,) tables.WINDOW rows."""

    s: Slow
    i: int
    windows: NDArray[Any]


class Foresight:
    """All vehicles of a shard. Not thread-safe. `board`: how its predictions went."""

    def __init__(self, parameters: DetectParameters) -> None:
        p = parameters
        self.board = Board()
        self._shadow = p.shadow
        self._limits_kpa = p.tyre_limits_kpa
        self._tyres = forecast.of_tyres(p.tyre_horizon_d, p.tyre_warning_d)
        self._batteries = forecast.of_batteries(p.battery_warning_d, p.battery_critical_d)
        self._end = End(p.battery_end_pct, p.battery_end_ohm)
        self._table = OutlookTable()
        self._due_ms: list[int] = []
        """By row: before this nothing is to be sampled, but resistance. Kept nowhere: what it says follows from the record."""

    def run(self, device: tuple[int, int], m: Moment) -> list[Finding]:
        """What a window newer than all of its vehicle leads to; changes the vehicle's record."""
        s, i = m.s, m.i
        now_ms = s.end_ms[i]
        row = self._table.find(device)
        if row is None:
            row = self._table.add(device, now_ms)
            self._due_ms.append(0)
        if s.moved[i]:
            self._table.rows["moved_ms"][row] = now_ms
        if now_ms < self._due_ms[row] and isnan(s.ohm[i]):
            return []
        rec = self._table.rows[row]
        at_ms = now_ms + device[1] % _LONGEST_BIN_MS
        told = [(self._tyres, self._tyre(rec, m, at_ms)), *((self._batteries, each) for each in self._battery(rec, m, at_ms))]
        hour = at_ms // _HOUR_MS
        if rec["tyre_hour"] == hour and rec["capacity_hour"] == hour:
            self._due_ms[row] = now_ms + (hour + 1) * _HOUR_MS - at_ms
        return [self._finding(plan, each, m) for plan, each in told if each is not None and plan.rule not in self._shadow]

    def _tyre(self, rec: Any, m: Moment, at_ms: int) -> Told | None:
        s, i, hour = m.s, m.i, at_ms // _HOUR_MS
        if rec["tyre_hour"] == hour:
            return None
        if not isnan(s.air_c[i]):
            tyre.chill(rec, at_ms, s.air_c[i])
        model = int(m.windows["vehicle_model"][i])
        limit_kpa = self._limits_kpa[model] if model < len(self._limits_kpa) else float("nan")
        if isnan(s.cold_kpa[i]) or isnan(limit_kpa):
            rec["tyre_hour"] = hour
            return None
        if s.end_ms[i] - rec["moved_ms"] < tyre.COLD_MS:
            return None
        rec["tyre_hour"] = hour
        return tyre.take(
            rec,
            self._tyres,
            self.board,
            at_ms=at_ms,
            now_ms=s.end_ms[i],
            kpa=s.tyre_kpa[i],
            cold_kpa=s.cold_kpa[i],
            limit_kpa=limit_kpa,
        )

    def _battery(self, rec: Any, m: Moment, at_ms: int) -> list[Told | None]:
        s, i, hour = m.s, m.i, at_ms // _HOUR_MS
        told: list[Told | None] = []
        now_ms = s.end_ms[i]
        if rec["capacity_hour"] != hour:
            rec["capacity_hour"] = hour
            if not isnan(s.capacity_pct[i]):
                pct, cycles = s.capacity_pct[i], s.cycles[i]
                told.append(
                    life.take(rec, self._batteries, self.board, self._end, at_ms=at_ms, now_ms=now_ms, capacity_pct=pct, cycles=cycles)
                )
            rec["end_ms"] = now_ms
        if rec["resistance_hour"] != hour and not isnan(s.ohm[i]):
            rec["resistance_hour"] = hour
            told.append(life.strain(rec, self._batteries, self.board, self._end, at_ms=at_ms, now_ms=now_ms, ohm=s.ohm[i]))
        return told

    def _finding(self, plan: Plan, told: Told, m: Moment) -> Finding:
        return Finding(
            rule=plan.rule,
            raised=told.raised,
            model=plan.rule,
            window=evidence.judged(m.windows[m.i]),
            raised_ms=told.raised_ms,
            resolved_by=told.resolved_by,
            values=told.values,
            features=(told.feature,),
            severity=SEVERITIES[told.severity],
            predicted_ms=told.expected_ms,
            ground=GROUNDS[told.ground],
            outcome=OUTCOMES[told.outcome],
        )

    def open(self) -> dict[str, int]:
        """Predictions that are open, by rule."""
        return {plan.rule: self._table.open(plan.rule) for plan in (self._tyres, self._batteries)}

    @property
    def vehicles(self) -> int:
        return self._table.count

    def forget(self, before_ms: int) -> None:
        """Drop the vehicles that were long unseen and about which nothing is predicted."""
        if self._table.forget(before_ms):
            self._due_ms = [0] * self._table.count

    def snapshot(self) -> bytes:
        """Versioned bytes, a copy. The inverse is restore."""
        return store.pack(_MAGIC, _VERSION, self.board.stored(), [self._table.snapshot()])

    def restore(self, stored: bytes) -> None:
        """Raises StoredStateError when it is of another layout."""
        header, (rows,) = store.unpack(stored, _MAGIC, _VERSION, flow="detect")
        self.board = Board.of(header)
        self._table.restore(rows)
        self._due_ms = [0] * self._table.count
