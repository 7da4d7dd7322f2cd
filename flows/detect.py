"""Dataflow `detect`: closed windows to River models and their events. A process of its own, so that a model never delays a rule."""

from collections.abc import Mapping
from math import nan

from bytewax import operators as op
from bytewax.dataflow import Dataflow

from fleetpulse.config.fleet import Fleet
from fleetpulse.config.settings import Settings
from fleetpulse.flows import model_metrics, wiring
from fleetpulse.flows.metrics import forecasts_exported
from fleetpulse.flows.shards import policy_of
from fleetpulse.flows.stop import Stop
from fleetpulse.models.cohort import NAMES
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
    make = forecasts_exported().watching(lambda shard: ShardScorer(shard, parameters, names, policy))
    make = model_metrics.exported().watching(make, parameters)
    records = score("score", polls, make)
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
        off=frozenset(NAMES) - frozenset(settings.detect.models),
        vibration_limit_mps2=settings.detect.vibration_limit_mps2,
        ranges_m=tuple(nan if model is None else model.range_m for model in fleet.models),
        swappable=frozenset(code for code, model in enumerate(fleet.models) if model is not None and model.swappable),
        tyre_limits_kpa=tuple(nan if model is None else model.tyre_pressure_limit_kpa for model in fleet.models),
        tyre_horizon_d=settings.detect.tyre_horizon_days,
        tyre_warning_d=settings.detect.tyre_warning_days,
        battery_end_pct=settings.detect.battery_end_soh_pct,
        battery_end_ohm=settings.detect.battery_end_resistance,
        battery_warning_d=settings.detect.battery_warning_days,
        battery_critical_d=settings.detect.battery_critical_days,
    )
