"""The drain model at work: a window's spans of charge against what its cohort's kind of minute costs, ride by ride and hour by hour."""

from fleetpulse.models import drain, spans
from fleetpulse.models.cohort import Cohort
from fleetpulse.models.consumption import RIDES_KNOWN
from fleetpulse.models.drain import Loss
from fleetpulse.models.features import Features
from fleetpulse.models.parameters import DetectParameters
from fleetpulse.models.spans import Cut
from fleetpulse.models.vehicles import Vehicle

LONGEST_RIDE_MS = 30 * 60_000
"""A longer one is judged in parts."""
RIDE_WARM_UP = 0.25
"""Of the warm-up: how well rides are expected is learned from rides after it, so that less is enough to begin with."""
RIDE_GAP_MS = 10 * 60_000
"""What comes after a longer gap is another ride."""


class LossJudge:
    """Holds the parameters alone; all state is in the cohort and the vehicle that it is given."""

    def __init__(self, parameters: DetectParameters) -> None:
        self._parameters = parameters

    def judge(self, cohort: Cohort, vehicle: Vehicle, f: Features, i: int, cut: Cut) -> list[Loss]:
        """Score and learn what window i says; the losses that were judged: spans of standing, and a ride that is over."""
        riding = f.riding[i]
        spans.note(vehicle.riding if riding else vehicle.parked, cut.left_ms)
        losses = []
        over = not riding or f.start_ms[i] - vehicle.end_ms > RIDE_GAP_MS
        if vehicle.ride_ms and over and (ride := self._ride(cohort, vehicle)) is not None:
            losses.append(ride)
        for span in cut.spans:
            if not riding:
                losses.append(self._stood(cohort, vehicle, f.air_c[i], span, span.lost_pct * f.health[i]))
            else:
                self._minute(cohort, vehicle, f.ride[i], span, span.lost_pct * f.health[i])
        if vehicle.ride_ms and f.end_ms[i] - vehicle.ride_ms >= LONGEST_RIDE_MS and (ride := self._ride(cohort, vehicle)) is not None:
            losses.append(ride)
        return losses

    def _minute(self, cohort: Cohort, vehicle: Vehicle, inputs: tuple[float, ...], span: spans.Span, actual: float) -> None:
        """A part of a ride: added up, then learned."""
        model = cohort.ride
        expected = model.expected(inputs)
        if model.count >= RIDE_WARM_UP * self._parameters.warm_up_windows:
            if not vehicle.ride_ms:
                vehicle.ride_ms, vehicle.ride_judged_ms = span.begin_ms, 0
                vehicle.ride_lost_pct = vehicle.ride_expected_pct = 0.0
            vehicle.ride_judged_ms += span.end_ms - span.begin_ms
            vehicle.ride_lost_pct += actual
            vehicle.ride_expected_pct += expected
        if model.guard.admits(suspicious=drain.suspected(vehicle.riding, raised=vehicle.battery_raised_ms > 0)):
            model.learn(inputs, actual, expected)

    def _ride(self, cohort: Cohort, vehicle: Vehicle) -> Loss | None:
        """The ride that is open is over: judged, then learned. None while the cohort's rides are not known or change."""
        model, raised = cohort.rides, vehicle.battery_raised_ms > 0
        begin_ms, lost, raw = vehicle.ride_ms, vehicle.ride_lost_pct, vehicle.ride_expected_pct
        vehicle.ride_ms = 0
        expected = max(0.0, raw + model.bias(raw))
        loss = Loss(True, begin_ms, vehicle.ride_judged_ms / 3_600_000, lost, expected, model.spread(raw))
        drifting = cohort.ride.guard.drifting
        if drifting:
            vehicle.riding.score *= drain.LEAK
        judged = model.count >= RIDES_KNOWN and not drifting
        if judged:
            drain.ride(vehicle.riding, loss)
        if drifting or not drain.suspected(vehicle.riding, raised=raised):
            model.learn(lost, raw)
        return loss if judged else None

    def _stood(self, cohort: Cohort, vehicle: Vehicle, air_c: float, span: spans.Span, actual: float) -> Loss:
        model, limit, raised, hours = cohort.standby, self._parameters.drain_delta_pct, vehicle.battery_raised_ms > 0, span.hours
        loss = Loss(False, span.begin_ms, hours, actual, model.rate(air_c) * hours, model.spread())
        if model.guard.drifting:
            vehicle.parked.excess_pct *= drain.LEAK
            vehicle.parked.score *= drain.LEAK
        elif model.windows >= self._parameters.warm_up_windows:
            slack = drain.STANDBY_SLACK * loss.expected + drain.STANDBY_SLACK_PCT_PER_H * hours
            drain.stand(vehicle.parked, loss, slack, limit_pct=limit, raised=raised)
        if model.guard.admits(suspicious=drain.suspected(vehicle.parked, raised=raised)):
            model.learn(air_c, hours, actual, loss.expected)
        return loss
