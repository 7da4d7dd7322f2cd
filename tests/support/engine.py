"""The events that the log of a deployment must give, made without Bytewax; and those that were emitted."""

import numpy as np

from fleetpulse.alerts.event import EVENT_TOPICS, Outgoing
from fleetpulse.codecs import records
from fleetpulse.codecs.batch import RecordBatch
from fleetpulse.config.fleet import load_fleet
from fleetpulse.config.settings import Settings
from fleetpulse.flows import topics
from fleetpulse.flows.shards import shard_maker
from tests.support.events import validate
from tests.support.topics import headers, read


def expected(settings: Settings) -> dict[str, set[bytes]]:
    """Event id -> its bytes, of a fresh engine over the log as it is now."""
    out: list[Outgoing] = []
    partitions = settings.kafka.partitions
    make = shard_maker(settings, load_fleet(), topic=topics.TELEMETRY)
    log = read(settings, topics.TELEMETRY, partitions=partitions)
    for partition in range(partitions):
        mine = [message for message in log if message.partition() == partition]
        values = [message.value() or b"" for message in mine]
        batch = RecordBatch(
            partition,
            b"".join(values),
            np.cumsum([len(value) for value in values], dtype=np.int64),
            np.array([message.offset() for message in mine], dtype=np.int64),
            np.array([message.timestamp()[1] for message in mine], dtype=np.int64),
        )
        make(partition).run(records.decode(batch, source_topic=topics.TELEMETRY, partitions=partitions), out)
    return {dict(record.headers)["ce_id"].decode(): {record.value} for record in out if record.topic in EVENT_TOPICS}


def emitted(settings: Settings) -> dict[str, set[bytes]]:
    """Event id -> the distinct values that Kafka has under it; each is valid."""
    found: dict[str, set[bytes]] = {}
    for topic in topics.topics(settings):
        if topic.name in EVENT_TOPICS:
            for message in read(settings, topic.name, partitions=topic.partitions):
                value = message.value() or b""
                found.setdefault(validate((headers(message), value))["id"], set()).add(value)
    return found
