"""What a process of `detect` exports of its models: how much they scored and raised, how they agree, what stands in, what drifts."""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Protocol, TypeVar

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from fleetpulse.models.cohort import NAMES
from fleetpulse.models.inputs import Inputs
from fleetpulse.models.parameters import VERSIONS, DetectParameters
from fleetpulse.models.parts import BUCKETS, OUTCOMES, VERDICTS, PartBoard


class Modelled(Protocol):
    """A shard's models as far as metrics look at them."""

    @property
    def board(self) -> PartBoard: ...

    @property
    def inputs(self) -> Inputs: ...

    def standing_in(self) -> dict[str, int]: ...


class Scoring(Protocol):
    """A shard of `detect` as far as metrics look at it."""

    @property
    def detector(self) -> Modelled: ...


S = TypeVar("S", bound=Scoring)


class ModelMetrics(Collector):
    """Sums over the shards of this process."""

    def __init__(self) -> None:
        self._shards: dict[int, Scoring] = {}
        self._parameters = DetectParameters()

    def watching(self, make: Callable[[int], S], parameters: DetectParameters) -> Callable[[int], S]:
        """`make`, so that every shard it makes is watched."""
        self._parameters = parameters

        def watched(shard: int) -> S:
            scorer = self._shards[shard] = make(shard)
            return scorer

        return watched

    def collect(self) -> Iterable[Metric]:
        detectors = [scorer.detector for scorer in dict(self._shards).values()]
        boards = [detector.board for detector in detectors]

        def counted(model: str, what: str) -> int:
            return sum(board.counts.get(f"{model}.{what}", 0) for board in boards)

        info = GaugeMetricFamily("fleet_model_info", "1: what the model does.", labels=["model", "version", "mode"])
        scores = HistogramMetricFamily("fleet_model_score_ratio", "Scores, as shares of what raises.", labels=["model"])
        alarms = CounterMetricFamily("fleet_model_alarms", "How often the model began to say so.", labels=["model"])
        failures = CounterMetricFamily("fleet_model_failures", "Failures; each begins the model anew.", labels=["model"])
        agreement = CounterMetricFamily("fleet_model_agreement", "Windows by who says so.", labels=["model", "outcome"])
        verdicts = CounterMetricFamily("fleet_model_acknowledged", "What people said of its alerts.", labels=["model", "verdict"])
        standing_in = GaugeMetricFamily("fleet_model_rule_cohorts", "Cohorts in which a rule stands in.", labels=["model"])
        for model in NAMES:
            info.add_metric([model, VERSIONS[model], self._mode(model)], 1)
            bins = [counted(model, f"score.{i}") for i in range(len(BUCKETS) + 1)]
            ends = [*(str(end) for end in BUCKETS), "+Inf"]
            cumulative = [(end, float(sum(bins[: i + 1]))) for i, end in enumerate(ends)]
            scores.add_metric([model], cumulative, sum_value=sum(board.sums.get(model, 0.0) for board in boards))
            for outcome in OUTCOMES:
                agreement.add_metric([model, outcome], counted(model, f"agreement.{outcome}"))
            alarms.add_metric([model], counted(model, "alarms"))
            standing_in.add_metric([model], sum(detector.standing_in()[model] for detector in detectors))
        for model in (*NAMES, "forecasts"):
            failures.add_metric([model], counted(model, "failures"))
        for model in (*NAMES, "drain_rule", "vibration_rule"):
            for verdict in VERDICTS:
                verdicts.add_metric([model, verdict], counted(model, f"acknowledged.{verdict}"))
        yield from (info, scores, alarms, failures, agreement, verdicts, standing_in)
        yield from _inputs([detector.inputs for detector in detectors])

    def _mode(self, model: str) -> str:
        return "off" if model in self._parameters.off else "shadow" if model in self._parameters.shadow else "active"


def _inputs(each: list[Inputs]) -> Iterable[Metric]:
    drift = GaugeMetricFamily("fleet_model_input_drift_spreads", "The last day against those before.", labels=["model", "input"])
    missing = GaugeMetricFamily("fleet_model_input_missing_ratio", "Windows without it on the last day.", labels=["model", "input"])
    told = [inputs.drifts() for inputs in each]
    for model, column in sorted({key for drifts in told for key in drifts}):
        drift.add_metric([model, column], max((drifts[model, column][0] for drifts in told), key=abs))
        missing.add_metric([model, column], max(drifts[model, column][1] for drifts in told))
    yield from (drift, missing)


@cache
def exported() -> ModelMetrics:
    """The process's metrics of models, in its registry."""
    metrics = ModelMetrics()
    REGISTRY.register(metrics)
    return metrics
