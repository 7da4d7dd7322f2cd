"""Which frames there are: those that the agents' ledgers name, and those in Kafka's log. Loss is the difference."""

from pathlib import Path
from uuid import UUID

import numpy as np
import orjson

from fleetpulse.codecs import records, schema
from fleetpulse.codecs.batch import RecordBatch
from fleetpulse.config.fleet import load_fleet
from fleetpulse.config.settings import Settings
from fleetpulse.flows.topics import TELEMETRY
from fleetpulse.vehicle_agent.scenario import named
from fleetpulse.vehicle_agent.simulator import Simulator
from tests.support.topics import read

FrameId = tuple[bytes, int, int]
"""Device id, boot, sequence number."""


def sent(ledger: Path) -> set[FrameId]:
    """What the ledger's boots.json says was made."""
    boots = orjson.loads((ledger / "boots.json").read_bytes())
    return {(UUID(name).bytes, boot, seq) for name, rows in boots.items() for boot, first, last in rows for seq in range(first, last + 1)}


def logged(settings: Settings) -> list[FrameId]:
    """The frames in the log, doubles included; each in the partition of its vehicle, else the decoder leaves it out."""
    found: list[FrameId] = []
    partitions = settings.kafka.partitions
    messages = [message for message in read(settings, TELEMETRY, partitions=partitions) if message.value()]
    for partition in range(partitions):
        values = [message.value() or b"" for message in messages if message.partition() == partition]
        zero = np.zeros(len(values), np.int64)
        batch = RecordBatch(partition, b"".join(values), np.cumsum([len(value) for value in values], dtype=np.int64), zero, zero)
        frames = records.decode(batch, source_topic=TELEMETRY, partitions=partitions).frames
        frames = frames[frames["kind"] == schema.Kind.FRAME]
        columns = (frames[name].tolist() for name in ("device_hi", "device_lo", "boot_id", "seq"))
        found += [((hi << 64 | lo).to_bytes(16, "big"), boot, seq) for hi, lo, boot, seq in zip(*columns, strict=True)]
    return found


def device_ids(vehicles: int, seed: int = 1) -> list[UUID]:
    """The ids of the first vehicles of a simulated fleet."""
    fleet = load_fleet()
    made = Simulator(fleet, vehicles, seed, 0, named("calm").faults(fleet, vehicles, seed, 0)).vehicles
    return [UUID(int=int(hi) << 64 | int(lo)) for hi, lo in zip(made["device_hi"], made["device_lo"], strict=True)]
