"""`fleetpulse replay`: a range of the raw topic through the same code again, without Bytewax; prints the events of that range.

The result depends on the log alone, so an event of the range comes out byte for byte as it went out. It begins at the last archived
snapshot before the range that this version can read, else at the log's beginning.
"""

import sys
import time
from collections.abc import Iterator

import numpy as np
import orjson
import structlog

from fleetpulse.alerts import event
from fleetpulse.alerts.event import EVENT_TOPICS, Outgoing
from fleetpulse.codecs import records
from fleetpulse.codecs.batch import RecordBatch
from fleetpulse.codecs.errors import RefusedError
from fleetpulse.config import kafka
from fleetpulse.config.fleet import load_fleet
from fleetpulse.config.settings import ConfigError, Settings
from fleetpulse.flows import archive, offsets
from fleetpulse.flows.poller import open_poller
from fleetpulse.flows.shards import shard_maker
from fleetpulse.flows.topics import TELEMETRY
from fleetpulse.operators.fleet import ShardLogic

log = structlog.get_logger()


def read(settings: Settings, partition: int, *, begin: int = 0, end: int, silence_s: float = 10.0) -> Iterator[RecordBatch]:
    """Polls of one partition from offset `begin` up to `end`, exclusive. Raises TimeoutError when the broker is silent."""
    poller = open_poller(kafka.consumer(settings, group="fleetpulse.replay"), TELEMETRY)
    poller.assign(partition, begin)
    heard = time.monotonic()
    try:
        while True:
            for batch in poller.poll():
                heard = time.monotonic()
                yield batch
                if int(batch.offsets[-1]) + 1 >= end:
                    return
            if time.monotonic() - heard > silence_s:
                raise TimeoutError(f"Kafka must give offset {end - 1} of partition {partition} within {silence_s} s")
            time.sleep(0.001)
    finally:
        poller.close()


def cut(batch: RecordBatch, first: int, last: int) -> RecordBatch | None:
    """The records of the batch with offsets first..last inclusive; None when there are none."""
    rows = np.flatnonzero((batch.offsets >= first) & (batch.offsets <= last))
    if not len(rows):
        return None
    a, b = int(rows[0]), int(rows[-1]) + 1
    begin = int(batch.ends[a - 1]) if a else 0
    start = batch.start if a == 0 else int(batch.offsets[a - 1]) + 1
    return RecordBatch(
        partition=batch.partition,
        payload=batch.payload[begin : int(batch.ends[b - 1])],
        ends=batch.ends[a:b] - begin,
        offsets=batch.offsets[a:b],
        append_ms=batch.append_ms[a:b],
        start=start,
    )


def _start(settings: Settings, partition: int, first: int) -> ShardLogic:
    """The shard as it was at the last archived snapshot before offset `first`, or empty."""
    make = shard_maker(settings, load_fleet(), topic=TELEMETRY)
    for offset, snapshot in archive.before(settings, partition, first):
        logic = make(partition)
        try:
            logic.restore(snapshot)
        except RefusedError as error:
            log.warning("an archived snapshot is of another version; going further back", next_offset=offset, error=str(error))
        else:
            return logic
    return make(partition)


def replay(settings: Settings, partition: int, first: int, last: int) -> Iterator[Outgoing]:
    """The events that records first..last of the partition lead to, as they were produced."""
    logic = _start(settings, partition, first)
    for polled in read(settings, partition, begin=logic.next_offset, end=last + 1):
        for batch, wanted in ((cut(polled, 0, first - 1), False), (cut(polled, first, last), True)):
            if batch is None:
                continue
            out: list[Outgoing] = []
            logic.run(records.decode(batch, source_topic=TELEMETRY, partitions=settings.kafka.partitions), out)
            if wanted:
                yield from (record for record in out if record.topic in EVENT_TOPICS)


def main(settings: Settings, *, partition: int, first: int, last: int) -> int:
    """Prints one CloudEvents JSON object a line. Raises ConfigError for a range that the topic does not hold."""
    if partition >= settings.kafka.partitions or first > last:
        raise ConfigError(f"partition must be below {settings.kafka.partitions} and --from at most --to; got {partition}, {first}, {last}")
    end = offsets.ends(settings, TELEMETRY, settings.kafka.partitions)[partition]
    if last >= end:
        raise ConfigError(f"the topic must hold offsets 0-{last} of partition {partition}; it ends at {end - 1}")
    for record in replay(settings, partition, first, last):
        sys.stdout.buffer.write(orjson.dumps(event.decode(record.value, list(record.headers))) + b"\n")
    sys.stdout.flush()
    return 0
