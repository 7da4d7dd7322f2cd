"""A shard's logic outside of Bytewax and Kafka: decoded polls of one partition in memory, and the objects that take them."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.codecs import schema
from fleetpulse.codecs.batch import FrameBatch
from fleetpulse.config.fleet import load_fleet
from fleetpulse.config.settings import Settings
from fleetpulse.flows.shards import shard_maker
from fleetpulse.operators.fleet import ShardLogic

TOPIC = "vehicle-telemetry"


@cache
def _maker() -> Callable[[int], ShardLogic]:
    return shard_maker(Settings.model_validate({"kafka": {"partitions": 1}}), load_fleet(), topic=TOPIC)


def logic(shard: int = 0) -> ShardLogic:
    """An empty shard with the default settings."""
    return _maker()(shard)


def batches(rows: NDArray[Any], poll: int, shard: int = 0) -> list[FrameBatch]:
    """FRAME rows of the workload as decoded polls of one partition, one frame a record."""
    assert rows.dtype == schema.FRAME, "rows must be FRAME"
    rows = rows.copy()
    rows["offset"], rows["partition"] = np.arange(len(rows)), shard
    return [
        FrameBatch(partition=shard, frames=rows[first : first + poll], next_offset=min(first + poll, len(rows)), start=first)
        for first in range(0, len(rows), poll)
    ]
