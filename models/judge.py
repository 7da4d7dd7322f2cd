"""One window of one vehicle against the models of its cohort: scores, what is raised or over, and then learning.

One thing is open per (vehicle, rule): battery_drain, by model drain or powertrain, and vibration. It is raised and ended with
hysteresis: sums with a limit and a much lower one, or a count of extreme windows that must climb and then fall to 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from numpy.typing import NDArray

from fleetpulse.models import drain, evidence, fixed, spans
from fleetpulse.models.anomaly import Score
from fleetpulse.models.cohort import Cohort
from fleetpulse.models.drain import Loss
from fleetpulse.models.features import Features, Group
from fleetpulse.models.findings import MODELS, Finding, says
from fleetpulse.models.losses import LossJudge
from fleetpulse.models.parameters import DetectParameters
from fleetpulse.models.parts import PartBoard
from fleetpulse.models.spans import Cut
from fleetpulse.models.vehicles import Vehicle

IN_A_ROW = 4
"""Extreme windows, less the ordinary ones between them, that raise."""
LONGEST_ROW = 12
"""The count stops here, so that what is over ends after as many ordinary windows."""
VOLTAGE_KNOWN = 50
"""Windows that the voltage model learns before sag means anything."""

COMPARED = {"drain": "drain_rule", "powertrain": "drain", "vibration": "vibration_rule"}
"""Model -> what else speaks of the same thing."""

Sample = list[tuple[float, float]]
T = TypeVar("T")


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
    """Holds parameters and counters alone; all other state is in the cohort and the vehicle that it is given."""

    def __init__(self, parameters: DetectParameters, board: PartBoard) -> None:
        self._parameters = parameters
        self._board = board
        self._losses = LossJudge(parameters)

    def judge(self, key: tuple[int, int], cohort: Cohort, vehicle: Vehicle, m: Moment) -> list[Finding]:
        """Score, decide, learn. Changes cohort and vehicle; 0-2 findings. `key`: of the cohort."""
        f, i = m.f, m.i
        swapped = self._swapped(vehicle, m)
        cut = spans.Cut([], {}) if swapped else spans.cut(vehicle, f, i)
        fixed.drain(vehicle, cut, m.window, self._parameters, riding=f.riding[i])
        losses = self._run("drain", key, cohort, lambda: self._losses.judge(cohort, vehicle, f, i, cut)) or []
        sag = self._run("powertrain", key, cohort, lambda: self._powertrain(cohort, vehicle, m))
        shaken = None
        if (sample := f.samples["vibration"][i]) is not None:
            fixed.vibration(vehicle, m.window, self._parameters)
            raised = vehicle.motor_raised_ms > 0
            shaken = self._run("vibration", key, cohort, lambda: self._anomaly("vibration", cohort, vehicle, sample, raised=raised)[0])
        proof = self._says(cohort, vehicle, losses, sag, shaken)
        found = [
            self._battery(cohort, vehicle, m, proof, cut, sag, swapped=swapped),
            self._motor(cohort, vehicle, m, shaken, measured=sample is not None),
        ]
        vehicle.end_ms = f.end_ms[i]
        vehicle.soc_pct = f.soc_last_pct[i]
        vehicle.latitude_deg, vehicle.longitude_deg = f.latitude_deg[i], f.longitude_deg[i]
        return [finding for finding in found if finding is not None]

    def _run(self, name: str, key: tuple[int, int], cohort: Cohort, model: Callable[[], T]) -> T | None:
        """What a model says; nothing, and it begins anew, when it fails."""
        if name in self._parameters.off:
            return None
        try:
            return model()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # whatever a model does, a panic of River's Rust too, the flow goes on with the rule
            self._board.failed(name, key, error)
            cohort.renew(name)
            return None

    def _decides(self, name: str, cohort: Cohort) -> bool:
        return name not in self._parameters.off and name not in self._parameters.shadow and cohort.decides(name)

    def _swapped(self, vehicle: Vehicle, m: Moment) -> bool:
        f, i = m.f, m.i
        rise = f.soc_last_pct[i] - vehicle.soc_pct
        if not rise >= self._parameters.swap_jump_pct or f.charging_s[i] > 0 or f.riding[i]:
            return False
        if int(m.window["vehicle_model"]) not in self._parameters.swappable:
            return False
        drain.swapped(vehicle)
        vehicle.rule_excess_pct = 0.0
        return True

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

    def _says(self, cohort: Cohort, vehicle: Vehicle, losses: list[Loss], sag: Score | None, shaken: Score | None) -> Loss | None:
        """Count what the models say, whether they decide or not; the loss that proves a drain."""
        limit_pct, quantile = self._parameters.drain_delta_pct, self._parameters.anomaly_quantile
        proof = None
        for loss in losses:
            watch = vehicle.riding if loss.riding else vehicle.parked
            proves = drain.drains(watch, limit_pct, riding=loss.riding)
            proof = proof or (loss if proves else None)
            self._count("drain", vehicle, watch.score, proves=proves, rests=drain.rests(vehicle))
        scores: dict[Group, Score | None] = {"powertrain": sag, "vibration": shaken}
        for group, score in scores.items():
            if score is not None:
                limit, streak = cohort.anomaly[group].limit(quantile), vehicle.streaks[group]
                self._count(group, vehicle, score.total / limit if limit > 0 else 0.0, proves=streak >= IN_A_ROW, rests=not streak)
        return proof

    def _count(self, model: str, vehicle: Vehicle, score: float, *, proves: bool, rests: bool) -> None:
        board, bit = self._board, says(model)
        if proves and not vehicle.says & bit:
            board.add(model, "alarms")
        vehicle.says = vehicle.says | bit if proves else vehicle.says & ~bit if rests else vehicle.says
        board.scored(model, score)
        board.compared(model, bool(vehicle.says & bit), bool(vehicle.says & says(COMPARED[model])))

    def _battery(
        self, cohort: Cohort, vehicle: Vehicle, m: Moment, proof: Loss | None, cut: Cut, sag: Score | None, *, swapped: bool
    ) -> Finding | None:
        limit, end_ms = self._parameters.drain_delta_pct, m.f.end_ms[m.i]
        streak = vehicle.streaks["powertrain"]
        learned, voltage = self._decides("drain", cohort), self._decides("powertrain", cohort)
        if vehicle.battery_raised_ms:
            rests = drain.rests(vehicle) if learned else not vehicle.says & says("drain_rule")
            if not swapped and not (rests and not (voltage and streak)):
                return None
            model, raised_ms = MODELS[vehicle.battery_by], vehicle.battery_raised_ms
            values = evidence.sums(vehicle, limit) if model != "drain_rule" else evidence.of_rule(vehicle, fixed.LIMITS * limit)[0]
            vehicle.battery_raised_ms = vehicle.battery_by = 0
            drain.over(vehicle)
            return Finding(
                "battery_drain", False, model, evidence.judged(m.window), raised_ms, "swap" if swapped else "recovered", values, ()
            )
        if learned and proof is not None:
            model, (values, features) = "drain", evidence.of_loss(vehicle, proof, limit)
        elif not learned and cut.spans and vehicle.says & says("drain_rule"):
            model, (values, features) = "drain_rule", evidence.of_rule(vehicle, fixed.LIMITS * limit)
        elif voltage and sag is not None and streak >= IN_A_ROW:
            limit = cohort.anomaly["powertrain"].limit(self._parameters.anomaly_quantile)
            model, (values, features) = "powertrain", evidence.of_score("powertrain", sag, limit, streak, m.window)
        else:
            return None
        since_ms = 0 if model != "drain" or proof is None else (vehicle.riding if proof.riding else vehicle.parked).since_ms
        vehicle.battery_raised_ms, vehicle.battery_by = end_ms, MODELS.index(model)
        return Finding("battery_drain", True, model, evidence.judged(m.window), end_ms, None, values, features, since_ms=since_ms)

    def _motor(self, cohort: Cohort, vehicle: Vehicle, m: Moment, score: Score | None, *, measured: bool) -> Finding | None:
        end_ms, learned = m.f.end_ms[m.i], self._decides("vibration", cohort)
        streak = vehicle.streaks["vibration"] if learned else vehicle.rule_streak
        if vehicle.motor_raised_ms:
            if streak:
                return None
            raised_ms, model = vehicle.motor_raised_ms, MODELS[vehicle.motor_by]
            vehicle.motor_raised_ms = vehicle.motor_by = 0
            return Finding("vibration", False, model, evidence.judged(m.window), raised_ms, "recovered", {"windows": streak}, ())
        if streak < IN_A_ROW or not measured:
            return None
        if not learned:
            model, (values, features) = "vibration_rule", evidence.of_vibration(m.window, self._parameters.vibration_limit_mps2, streak)
        elif score is not None:
            limit = cohort.anomaly["vibration"].limit(self._parameters.anomaly_quantile)
            model, (values, features) = "vibration", evidence.of_score("vibration", score, limit, streak, m.window)
        else:
            return None
        vehicle.motor_raised_ms, vehicle.motor_by = end_ms, MODELS.index(model)
        return Finding("vibration", True, model, evidence.judged(m.window), end_ms, None, values, features)
