"""The flow `telemetry` in tests: a log written in parts, what its events must be, and what Kafka has of them."""

import re
import sqlite3

from fleetpulse.alerts.event import EVENT_TOPICS, Outgoing
from fleetpulse.codecs import records
from fleetpulse.config.fleet import load_fleet
from fleetpulse.config.settings import Settings
from fleetpulse.flows import offsets, recovery, topics
from fleetpulse.flows.shards import shard_maker
from tests.support.events import validate
from tests.support.log import Log
from tests.support.processes import wait_for
from tests.support.topics import headers, read, write

PARTITIONS = 4


def feed(settings: Settings, logs: list[Log], part: int, parts: int) -> None:
    """Write the part-th of so many equal parts of each partition's log, and wait until Kafka has it."""
    for p, log in enumerate(logs):
        a, b = (len(log.values) * n // parts for n in (part, part + 1))
        write(settings, topics.TELEMETRY, log.values[a:b], partition=p, timestamps_ms=log.append_ms[a:b])


def expected(settings: Settings, logs: list[Log], ends: list[int] | None = None) -> dict[str, set[bytes]]:
    """Event id -> its one value, from the log, or from each partition's part before its end, without Bytewax and Kafka."""
    make = shard_maker(settings, load_fleet(), topic=topics.TELEMETRY)
    out: list[Outgoing] = []
    for p, log in enumerate(logs):
        last = len(log.values) if ends is None else ends[p]
        if last:
            batch = log.batch(0, last, partition=p)
            make(p).run(records.decode(batch, source_topic=topics.TELEMETRY, partitions=len(logs)), out)
    return {dict(record.headers)["ce_id"].decode(): {record.value} for record in out if record.topic in EVENT_TOPICS}


def emitted(settings: Settings) -> dict[str, set[bytes]]:
    """Event id -> the distinct values that Kafka has under it."""
    found: dict[str, set[bytes]] = {}
    for topic in EVENT_TOPICS:
        for message in read(settings, topic, partitions=1 if topic == "fleet.rebalance" else 4):
            value = message.value() or b""
            found.setdefault(validate((headers(message), value))["id"], set()).add(value)
    return found


def stamp_version(store: sqlite3.Connection, version: int) -> None:
    """Make the snapshots of a store's file those of another version, as far as one can see from outside."""

    def stamped(change: bytes) -> bytes:
        return re.sub(rb"FLEE..", b"FLEE" + version.to_bytes(2, "little"), change, count=1, flags=re.DOTALL)

    store.create_function("stamped", 1, stamped)
    store.execute("UPDATE snaps SET ser_change = CAST(stamped(ser_change) AS BLOB) WHERE step_id LIKE '%.fleet'")


def until_epoch(settings: Settings) -> None:
    """Returns when the flow has committed another epoch."""
    before = epoch(settings)
    wait_for(lambda: epoch(settings) > before, limit_s=90, what="an epoch must be committed")


def epoch(settings: Settings) -> int:
    """The first epoch that the flow has not committed."""
    with recovery.opened(recovery.files_of(recovery.folder_of(settings, "telemetry"))) as stores:
        return recovery.resume_epoch(stores)


def until_read(settings: Settings, *, limit_s: float = 90.0) -> None:
    """Returns when a committed epoch has everything that the log holds now.

    By the store: the offsets in Kafka are told before an epoch is committed, and remain when it then fails.
    """
    ends = offsets.ends(settings, topics.TELEMETRY, PARTITIONS)

    def at_end() -> bool:
        with recovery.opened(recovery.files_of(recovery.folder_of(settings, "telemetry"))) as stores:
            at = recovery.source_offsets(stores)
        return all(at.get(p, 0) >= end for p, end in ends.items())

    wait_for(at_end, limit_s=limit_s, what="the flow must read its topic to the end")
