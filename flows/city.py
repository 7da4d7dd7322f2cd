"""Dataflow `city`: what all shards say of zones and silent vehicles to moves, swaps and alerts. A partition holds whole cities."""

from collections.abc import Mapping

from bytewax import operators as op
from bytewax.dataflow import Dataflow

from fleetpulse.alerts.policy import CITY_RULE
from fleetpulse.alerts.rebalance import RebalanceParameters
from fleetpulse.alerts.silences import SilenceParameters
from fleetpulse.config.fleet import Fleet
from fleetpulse.config.settings import Settings
from fleetpulse.flows import wiring
from fleetpulse.flows.shards import policy_of
from fleetpulse.flows.stop import Stop
from fleetpulse.operators.rebalance import CityNames, ZonePlanner, rebalance

TOPIC = "fleet.zones"
PARTITIONS = 4
"""As flows/topics.py makes it."""


def build(settings: Settings, fleet: Fleet, *, stop: Stop, ends: Mapping[int, int] | None = None) -> Dataflow:
    """fleet.zones -> rebalance -> fleet.rebalance, fleet.alerts. `ends`: as in SourceLimits."""
    parameters, silences = parameters_of(settings, fleet), silences_of(settings)
    names = CityNames(settings.deployment.name, fleet.city_names, fleet.model_names)
    flow = Dataflow("city")
    source = wiring.source(settings, TOPIC, group="fleetpulse.city", partitions=PARTITIONS, stop=stop, ends=ends)
    polls = op.input("source", flow, source)
    records = rebalance("rebalance", polls, lambda partition: ZonePlanner(partition, parameters, names, silences))
    op.output("sink", records, wiring.sink(settings, partitions=PARTITIONS, stop=stop))
    return flow


def silences_of(settings: Settings) -> SilenceParameters:
    """The settings that alerts about silent vehicles and areas read."""
    return SilenceParameters(
        group_s=settings.rules.offline_group_s,
        vehicles=settings.rules.outage_vehicles,
        together_s=settings.rules.outage_together_s,
        escalate_s=settings.rules.escalate_s,
        reopen_s=policy_of(settings).reopen_ms(CITY_RULE) / 1000,
        h3_resolution=settings.rebalance.h3_resolution,
    )


def parameters_of(settings: Settings, fleet: Fleet) -> RebalanceParameters:
    """The settings and the facts about vehicle models that decisions read. An unknown model counts as micromobility."""
    rules = settings.rebalance
    return RebalanceParameters(
        interval_ms=rules.interval_s * 1000,
        season_intervals=rules.season_intervals,
        max_move_m=rules.max_move_m,
        target_supply_min=rules.target_supply_min,
        incentive_min_eur=rules.incentive_min_eur,
        incentive_max_eur=rules.incentive_max_eur,
        cluster_low_battery=rules.cluster_low_battery,
        groups=tuple(int(model is not None and model.mode == "car_share") for model in fleet.models),
        swappable=tuple(model is not None and model.swappable for model in fleet.models),
    )
