"""How a shard is made from settings and fleet: the only place where configuration becomes parameters of state and alerts."""

from collections.abc import Callable

from fleetpulse.alerts.lifecycle import Lifecycle
from fleetpulse.alerts.parameters import LifecycleParameters
from fleetpulse.alerts.policy import AlertPolicy
from fleetpulse.config.fleet import Fleet
from fleetpulse.config.settings import Settings
from fleetpulse.operators.fleet import FleetNames, ShardLogic
from fleetpulse.state.parameters import Parameters, Rules
from fleetpulse.state.shard import Shard


def policy_of(settings: Settings) -> AlertPolicy:
    """How alerts behave, of rules, models and cities."""
    return AlertPolicy(escalate_s=settings.rules.escalate_s, **settings.alerts.model_dump())


def shard_maker(settings: Settings, fleet: Fleet, *, topic: str) -> Callable[[int], ShardLogic]:
    """A function that makes the empty logic of a shard. What it makes depends on settings and fleet alone."""
    parameters = Parameters(
        rules=Rules.of(settings.rules),
        models=fleet.models,
        cities=fleet.cities,
        window_ms=settings.flow.window_s * 1000,
        interval_ms=settings.rebalance.interval_s * 1000,
        h3_resolution=settings.rebalance.h3_resolution,
    )
    lifecycle = LifecycleParameters(
        modes=tuple(m.mode if m else "micromobility" for m in fleet.models),
        model_names=fleet.model_names,
        city_names=fleet.city_names,
        zone_names=("", *parameters.geofence.names),
        swappable=tuple(bool(m and m.swappable) for m in fleet.models),
        policy=policy_of(settings),
        window_s=settings.flow.window_s,
    )
    names = FleetNames(
        deployment=settings.deployment.name,
        topic=topic,
        shards=settings.kafka.partitions,
        cities=fleet.city_names,
        models=fleet.model_names,
    )

    def make(shard: int) -> ShardLogic:
        return ShardLogic(Shard(shard, parameters), Lifecycle(lifecycle, shard=shard, topic=topic), names)

    return make
