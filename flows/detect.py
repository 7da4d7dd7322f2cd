"""Dataflow `detect`: closed windows to River models and their events. A process of its own, so that a model never delays a rule."""

from collections.abc import Mapping

from bytewax import operators as op
from bytewax.dataflow import Dataflow

from fleetpulse.config.fleet import Fleet
from fleetpulse.config.settings import Settings
from fleetpulse.flows import wiring
from fleetpulse.flows.shards import policy_of
from fleetpulse.flows.stop import Stop
from fleetpulse.models.parameters import DetectParameters
from fleetpulse.operators.score import ScoreNames, ShardScorer, score

TOPIC = "fleet.features"
RAW_TOPIC = "vehicle-telemetry"


def build(settings: Settings, fleet: Fleet, *, stop: Stop, ends: Mapping[int, int] | None = None) -> Dataflow:
    """fleet.features -> score -> fleet.maintenance, fleet.alerts. `ends`: as in SourceLimits."""
    partitions = settings.kafka.partitions
    parameters = parameters_of(settings, fleet)
    policy = policy_of(settings)
    names = ScoreNames(settings.deployment.name, RAW_TOPIC, fleet.city_names, fleet.model_names)
    flow = Dataflow("detect")
    source = wiring.source(settings, TOPIC, group="fleetpulse.detect", partitions=partitions, stop=stop, ends=ends)
    polls = op.input("source", flow, source)
    records = score("score", polls, lambda shard: ShardScorer(shard, parameters, names, policy))
    op.output("sink", records, wiring.sink(settings, partitions=partitions, stop=stop))
    return flow


def parameters_of(settings: Settings, fleet: Fleet) -> DetectParameters:
    """The settings that the models read."""
    return DetectParameters(
        warm_up_windows=settings.detect.warm_up_windows,
        anomaly_quantile=settings.detect.anomaly_quantile,
        drain_delta_pct=settings.detect.drain_delta_pct,
        swap_jump_pct=settings.rules.swap_jump_pct,
        shadow=frozenset(settings.detect.shadow),
        swappable=frozenset(code for code, model in enumerate(fleet.models) if model is not None and model.swappable),
    )
