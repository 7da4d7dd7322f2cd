"""Dataflow `telemetry`: frames to state, windows, facts and the events of rules. The fast path; numba over columns only."""

from collections.abc import Mapping

from bytewax import operators as op
from bytewax.dataflow import Dataflow

from fleetpulse.config.fleet import Fleet
from fleetpulse.config.settings import Settings
from fleetpulse.flows import metrics, wiring
from fleetpulse.flows.shards import shard_maker
from fleetpulse.flows.stop import Stop
from fleetpulse.flows.topics import TELEMETRY
from fleetpulse.operators.decode import decode
from fleetpulse.operators.fleet import fleet


def build(settings: Settings, fleet_config: Fleet, *, stop: Stop, ends: Mapping[int, int] | None = None) -> Dataflow:
    """vehicle-telemetry -> decode -> fleet -> fleet.* topics. `ends`: as in SourceLimits, for a bounded run."""
    partitions = settings.kafka.partitions
    flow = Dataflow("telemetry")
    source = wiring.source(settings, TELEMETRY, group="fleetpulse.telemetry", partitions=partitions, stop=stop, ends=ends)
    polls = op.input("source", flow, source)
    frames = decode("decode", polls, source_topic=TELEMETRY, partitions=partitions)
    records = fleet("fleet", frames, metrics.exported().watching(shard_maker(settings, fleet_config, topic=TELEMETRY)))
    op.output("sink", records, wiring.sink(settings, partitions=partitions, stop=stop))
    return flow
