"""Bytewax step `decode`: RecordBatch to FrameBatch. Stateless; a malformed frame is listed, never raised."""

import bytewax.operators as op
from bytewax.operators import KeyedStream

from fleetpulse.codecs import records
from fleetpulse.codecs.batch import FrameBatch, RecordBatch


def decode(step_id: str, up: KeyedStream[RecordBatch], *, source_topic: str, partitions: int) -> KeyedStream[FrameBatch]:
    """(shard key, RecordBatch) to (shard key, FrameBatch) of the same poll."""

    def step(batch: RecordBatch) -> FrameBatch:
        return records.decode(batch, source_topic=source_topic, partitions=partitions)

    return op.map_value(step_id, up, step)
