"""Where a flow stands in its topic, as its recovery store has it, and the way to put it elsewhere by hand.

An offset stands twice in a store: in the source's snapshot and inside the shard's state. They are moved together, or the flow would
refuse to start.
"""

import pickle
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from fleetpulse.codecs.errors import RefusedError
from fleetpulse.config.settings import Settings
from fleetpulse.flows import recovery, topics
from fleetpulse.flows.keys import shard_key
from fleetpulse.models import store as learned
from fleetpulse.operators import fleet

STEPS = {"telemetry": "fleet", "detect": "score", "city": "rebalance"}
"""Flow -> the step that holds state."""
INPUTS = {"telemetry": topics.TELEMETRY, "detect": "fleet.features", "city": "fleet.zones"}
"""Flow -> the topic that it reads."""
_LEARNED = (b"SCOR", b"ZONE")


def partitions_of(settings: Settings, flow: str) -> int:
    """How many partitions the flow's topic has."""
    return topics.ZONE_PARTITIONS if flow == "city" else settings.kafka.partitions


def offset_of(snapshot: object) -> int:
    """The offset at which a shard's state goes on. Raises RefusedError for what is no snapshot of this version."""
    if not isinstance(snapshot, bytes):
        raise RefusedError(f"a snapshot must be bytes; got {type(snapshot).__name__}")
    if learned.stamp(snapshot)[0] in _LEARNED:
        return int(learned.header_of(snapshot)["next_offset"])
    return fleet.offset_of(snapshot)


def version_of(snapshot: object) -> str:
    """Owner and version of a snapshot, to be shown."""
    magic, version, _ = learned.stamp(snapshot) if isinstance(snapshot, bytes) else (b"", 0, 0)
    return f"{magic.decode('ascii', 'replace')} {version}"


def moved(snapshot: bytes, offset: int) -> bytes:
    """The same snapshot at another offset."""
    if learned.stamp(snapshot)[0] in _LEARNED:
        return learned.with_header(snapshot, next_offset=offset)
    return fleet.at_offset(snapshot, offset)


def move(stores: Sequence[sqlite3.Connection], flow: str, offsets: Mapping[int, int]) -> None:
    """Put source and state of these partitions to the offsets. No process of the flow may run, and uncommitted snapshots are gone.

    A partition that has no snapshot cannot be moved: its state would be made at offset 0. Raises RefusedError.
    """
    states = recovery.snapshots(stores, STEPS[flow])
    partitions = len(recovery.source_offsets(stores))
    for partition, offset in offsets.items():
        key = shard_key(partition, partitions) if partition < partitions else ""
        if not isinstance(state := states.get(key), bytes):
            raise RefusedError(f"partition {partition} of flow {flow} must have state to be moved; it has none")
        _put(stores, STEPS[flow], key, moved(state, offset))
        _put(stores, "source", f"{partition:04d}", offset)


def _put(stores: Sequence[sqlite3.Connection], step: str, key: str, value: Any) -> None:
    """Replace the newest snapshot of a key, which stands in one of the files."""
    newest = "(SELECT max(snap_epoch) FROM snaps WHERE step_id LIKE ?1 AND state_key = ?2)"
    change = f"UPDATE snaps SET ser_change = ?3 WHERE step_id LIKE ?1 AND state_key = ?2 AND snap_epoch = {newest}"  # noqa: S608  # nosec B608
    changed = sum(store.execute(change, (f"%.{step}", key, pickle.dumps(value))).rowcount for store in stores)
    assert changed == 1, "a key's snapshots stand in one file"
