"""What a process of `telemetry` or `detect` exports: its shards' counters, read when Prometheus scrapes. Never per frame, no unbounded
label.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Protocol, TypeVar

from prometheus_client import REGISTRY, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from fleetpulse.models.forecast_score import Board

_COUNTERS = {
    "received": ("fleet_flow_frames_received", "Frames and undecodable payloads taken from the log."),
    "processed": ("fleet_flow_frames_processed", "Frames that changed their vehicle's state."),
    "duplicate": ("fleet_flow_frames_duplicate", "Frames that had been received before."),
    "late": ("fleet_flow_frames_late", "Frames of a window that was closed."),
    "implausible": ("fleet_flow_fields_implausible", "Fields set to missing because out of their range."),
    "gaps_overflow": ("fleet_flow_gaps_overflow", "Open gaps beyond the eight that a vehicle's audit keeps."),
}
_LABELLED = {
    "quarantined": ("fleet_flow_frames_quarantined", "Frames set aside because of their clock."),
    "dead_lettered": ("fleet_flow_frames_dead_lettered", "Frames and payloads that went to the dead-letter topic."),
}


INPUT_NEXT = Gauge("fleet_flow_input_next_offset", "Offset of the flow's input that comes next.", labelnames=["partition"])
SINK_WAITING = Gauge("fleet_flow_sink_waiting_seconds", "How long the sink has waited for Kafka's acknowledgements; 0: it does not.")

T = TypeVar("T", bound="Watched")


class Watched(Protocol):
    """A shard's logic as far as metrics look at it."""

    next_offset: int

    def counters(self) -> dict[str, int]: ...

    def stream_ms(self) -> int: ...


class Foreseeing(Protocol):
    """A shard's forecasts as far as metrics look at them."""

    @property
    def board(self) -> Board: ...

    def open(self) -> dict[str, int]: ...


class Scoring(Protocol):
    """A shard of `detect` as far as metrics look at it."""

    @property
    def foresight(self) -> Foreseeing: ...


S = TypeVar("S", bound=Scoring)


class ForecastMetrics(Collector):
    """How the predictions of this process's shards went."""

    def __init__(self) -> None:
        self._shards: dict[int, Scoring] = {}

    def watching(self, make: Callable[[int], S]) -> Callable[[int], S]:
        """`make`, so that every shard it makes is watched."""

        def watched(shard: int) -> S:
            scorer = self._shards[shard] = make(shard)
            return scorer

        return watched

    def collect(self) -> Iterable[Metric]:
        forecasts = [scorer.foresight for scorer in dict(self._shards).values()]
        still = GaugeMetricFamily("fleet_forecasts_open", "Predictions that are open.", labels=["rule"])
        scored = CounterMetricFamily("fleet_forecasts_scored", "Predictions by how they went.", labels=["rule", "outcome"])
        errors = SummaryMetricFamily("fleet_forecast_error_days", "Days between the time told and the limit reached.", labels=["rule"])
        leads = SummaryMetricFamily("fleet_forecast_lead_days", "Days from the telling to the limit reached.", labels=["rule"])
        for rule, count in _added(each.open() for each in forecasts).items():
            still.add_metric([rule], count)
        for name, count in _added(each.board.outcomes for each in forecasts).items():
            scored.add_metric(name.split("."), count)
        for family, place in ((errors, 1), (leads, 2)):
            sums = _added({rule: sums[place] for rule, sums in each.board.errors.items()} for each in forecasts)
            counts = _added({rule: sums[0] for rule, sums in each.board.errors.items()} for each in forecasts)
            for rule, total in sums.items():
                family.add_metric([rule], count_value=int(counts[rule]), sum_value=total)
        yield from (still, scored, errors, leads)


def _added(each: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Values added up by name, sorted."""
    sums: dict[str, float] = {}
    for values in each:
        for name, value in values.items():
            sums[name] = sums.get(name, 0) + value
    return dict(sorted(sums.items()))


class ShardMetrics(Collector):
    """Sums over the shards of this process."""

    def __init__(self) -> None:
        self._shards: dict[int, Watched] = {}

    def watching(self, make: Callable[[int], T]) -> Callable[[int], T]:
        """`make`, so that every shard it makes is watched."""

        def watched(shard: int) -> T:
            logic = self._shards[shard] = make(shard)
            return logic

        return watched

    def sums(self) -> dict[str, int]:
        """Counters of the shards of this process, added up by name."""
        sums: dict[str, int] = {}
        for logic in dict(self._shards).values():
            for name, value in logic.counters().items():
                sums[name] = sums.get(name, 0) + value
        return sums

    def collect(self) -> Iterable[Metric]:
        shards, sums = dict(self._shards), self.sums()
        for name, (metric, text) in _COUNTERS.items():
            yield CounterMetricFamily(metric, text, value=sums.get(name, 0))
        for prefix, (metric, text) in _LABELLED.items():
            family = CounterMetricFamily(metric, text, labels=["reason"])
            for name, value in sums.items():
                if name.startswith(f"{prefix}."):
                    family.add_metric([name.removeprefix(f"{prefix}.")], value)
            yield family
        yield GaugeMetricFamily(
            "fleet_flow_frames_missing", "Frames that the sequence audit says never arrived, now.", value=sums.get("missing", 0)
        )
        yield GaugeMetricFamily("fleet_flow_vehicles", "Vehicles that the shards of this process own.", value=sums.get("vehicles", 0))
        offsets = GaugeMetricFamily("fleet_flow_shard_next_offset", "Offset of vehicle-telemetry that comes next.", labels=["shard"])
        stream = GaugeMetricFamily("fleet_flow_shard_stream_time_seconds", "Stream time, seconds since 1970.", labels=["shard"])
        for shard, logic in shards.items():
            offsets.add_metric([str(shard)], logic.next_offset)
            stream.add_metric([str(shard)], logic.stream_ms() / 1000)
        yield from (offsets, stream)


@cache
def exported() -> ShardMetrics:
    """The process's shard metrics, in its registry."""
    metrics = ShardMetrics()
    REGISTRY.register(metrics)
    return metrics


@cache
def forecasts_exported() -> ForecastMetrics:
    """The same of the forecasts."""
    metrics = ForecastMetrics()
    REGISTRY.register(metrics)
    return metrics
