"""One window of one vehicle against the models of its cohort: scores, what is raised or over, and then learning.

One thing is open per (vehicle, rule): battery_drain, by model drain or powertrain, and vibration. It is raised and ended with
hysteresis: sums with a limit and a much lower one, or a count of extreme windows that must climb and then fall to 0.
"""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from fleetpulse.models import drain, evidence, spans
from fleetpulse.models.anomaly import Score
from fleetpulse.models.cohort import Cohort
from fleetpulse.models.features import Features, Group
from fleetpulse.models.findings import MODELS, Finding
from fleetpulse.models.losses import LossJudge
from fleetpulse.models.parameters import DetectParameters
from fleetpulse.models.vehicles import Vehicle

IN_A_ROW = 4
"""Extreme windows, less the ordinary ones between them, that raise."""
LONGEST_ROW = 12
"""The count stops here, so that what is over ends after as many ordinary windows."""
VOLTAGE_KNOWN = 50
"""Windows that the voltage model learns before sag means anything."""

Sample = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Moment:
    """Window i of a record: its features `f`, and `windows`, the record's (N,) tables.WINDOW rows."""

    f: Features
    i: int
    windows: NDArray[Any]

    @property
    def window(self) -> Any:
        return self.windows[self.i]


class Judge:
    """Holds the parameters alone; all state is in the cohort and the vehicle that it is given."""

    def __init__(self, parameters: DetectParameters) -> None:
        self._parameters = parameters
        self._losses = LossJudge(parameters)

    def judge(self, cohort: Cohort, vehicle: Vehicle, m: Moment) -> list[Finding]:
        """Score, decide, learn. Changes cohort and vehicle; 0-2 findings."""
        losses, swapped = self._drain(cohort, vehicle, m)
        sag = self._powertrain(cohort, vehicle, m)
        sample = m.f.samples["vibration"][m.i]
        shaken = None if sample is None else self._anomaly("vibration", cohort, vehicle, sample, raised=vehicle.motor_raised_ms > 0)[0]
        found = [self._battery(cohort, vehicle, m, losses, sag, swapped=swapped), self._motor(cohort, vehicle, m, shaken)]
        vehicle.end_ms = m.f.end_ms[m.i]
        vehicle.soc_pct = m.f.soc_last_pct[m.i]
        vehicle.latitude_deg, vehicle.longitude_deg = m.f.latitude_deg[m.i], m.f.longitude_deg[m.i]
        return [finding for finding in found if finding is not None]

    def _drain(self, cohort: Cohort, vehicle: Vehicle, m: Moment) -> tuple[list[drain.Loss], bool]:
        """The losses that were judged, and whether the battery was swapped."""
        f, i = m.f, m.i
        rise = f.soc_last_pct[i] - vehicle.soc_pct
        if rise >= self._parameters.swap_jump_pct and f.charging_s[i] <= 0 and not f.riding[i] and self._swappable(m):
            drain.swapped(vehicle)
            return [], True
        return self._losses.judge(cohort, vehicle, f, i, spans.cut(vehicle, f, i)), False

    def _swappable(self, m: Moment) -> bool:
        return int(m.window["vehicle_model"]) in self._parameters.swappable

    def _powertrain(self, cohort: Cohort, vehicle: Vehicle, m: Moment) -> Score | None:
        """Voltage counts as the difference from what the voltage model expects: sag."""
        sample, electric = m.f.samples["powertrain"][m.i], m.f.electric[m.i]
        if sample is None:
            return None
        (load, voltage_v), score, learn = sample[0], None, True
        if cohort.voltage.count >= VOLTAGE_KNOWN:
            sample = [(load, voltage_v - cohort.voltage.usual_v(electric)), *sample[1:]]
            score, learn = self._anomaly("powertrain", cohort, vehicle, sample, raised=vehicle.battery_raised_ms > 0)
        if learn:
            cohort.voltage.learn(electric, voltage_v)
        return score

    def _anomaly(self, group: Group, cohort: Cohort, vehicle: Vehicle, sample: Sample, *, raised: bool) -> tuple[Score, bool]:
        """Score, count, learn; the score and whether the window was learned."""
        model = cohort.anomaly[group]
        score = model.score(sample)
        extreme = model.extreme(score, self._parameters.anomaly_quantile)
        counts = extreme and not model.guard.drifting and model.count >= self._parameters.warm_up_windows
        vehicle.streaks[group] = min(LONGEST_ROW, max(0, vehicle.streaks[group] + (1 if counts else -1)))
        return score, model.learn(sample, score, suspicious=extreme or raised)

    def _battery(
        self, cohort: Cohort, vehicle: Vehicle, m: Moment, losses: list[drain.Loss], sag: Score | None, *, swapped: bool
    ) -> Finding | None:
        shadow, limit, end_ms = self._parameters.shadow, self._parameters.drain_delta_pct, m.f.end_ms[m.i]
        streak = vehicle.streaks["powertrain"]
        if vehicle.battery_raised_ms:
            if not swapped and not (("drain" in shadow or drain.rests(vehicle)) and ("powertrain" in shadow or not streak)):
                return None
            model, raised_ms = MODELS[vehicle.battery_by], vehicle.battery_raised_ms
            values = evidence.sums(vehicle, limit)
            vehicle.battery_raised_ms = vehicle.battery_by = 0
            drain.over(vehicle)
            return Finding(
                "battery_drain", False, model, evidence.judged(m.window), raised_ms, "swap" if swapped else "recovered", values, ()
            )
        proof = [loss for loss in losses if drain.drains(vehicle.riding if loss.riding else vehicle.parked, limit, riding=loss.riding)]
        if proof and "drain" not in shadow:
            model, (values, features) = "drain", evidence.of_loss(vehicle, proof[0], limit)
        elif sag is not None and "powertrain" not in shadow and streak >= IN_A_ROW:
            limit = cohort.anomaly["powertrain"].limit(self._parameters.anomaly_quantile)
            model, (values, features) = "powertrain", evidence.of_score("powertrain", sag, limit, streak, m.window)
        else:
            return None
        vehicle.battery_raised_ms, vehicle.battery_by = end_ms, MODELS.index(model)
        return Finding("battery_drain", True, model, evidence.judged(m.window), end_ms, None, values, features)

    def _motor(self, cohort: Cohort, vehicle: Vehicle, m: Moment, score: Score | None) -> Finding | None:
        streak, end_ms = vehicle.streaks["vibration"], m.f.end_ms[m.i]
        if vehicle.motor_raised_ms:
            if streak and "vibration" not in self._parameters.shadow:
                return None
            raised_ms, vehicle.motor_raised_ms = vehicle.motor_raised_ms, 0
            return Finding("vibration", False, "vibration", evidence.judged(m.window), raised_ms, "recovered", {"windows": streak}, ())
        if score is None or streak < IN_A_ROW or "vibration" in self._parameters.shadow:
            return None
        limit = cohort.anomaly["vibration"].limit(self._parameters.anomaly_quantile)
        values, features = evidence.of_score("vibration", score, limit, streak, m.window)
        vehicle.motor_raised_ms = end_ms
        return Finding("vibration", True, "vibration", evidence.judged(m.window), end_ms, None, values, features)
