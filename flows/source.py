"""Bytewax source over one Kafka topic: one consumer a process, one item a partition and poll.

Delivery: at least once; the offset is snapshotted with the state of the same epoch.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from fleetpulse.codecs.batch import RecordBatch
from fleetpulse.flows.keys import shard_key
from fleetpulse.flows.metrics import INPUT_NEXT
from fleetpulse.flows.poller import Poller
from fleetpulse.flows.stop import Stop

STASH_BYTES = 8 << 20
"""What may wait in the process for one partition before its fetching is paused."""

BACKLOG_BYTES = 1 << 20
"""A poll of so much is followed by the next at once."""
SPENT_WAIT = timedelta(milliseconds=10)
"""Between looks at a partition whose quota of the epoch is used up."""


@dataclass(frozen=True)
class SourceLimits:
    """poll_ms: between two polls of a flow that keeps up: a poll costs as much as some hundred frames.

    quota_bytes: what one partition may emit in one epoch, since queues inside an epoch are unbounded.

    ends: partition -> offset where its stream ends, for a bounded run; None: never ends
    """

    poll_ms: int
    quota_bytes: int
    ends: Mapping[int, int] | None = None


class _Shared:
    """The process's consumer and what it has read for partitions whose turn has not come."""

    def __init__(self, poller: Poller, limits: SourceLimits) -> None:
        self.poller = poller
        self.limits = limits
        self.stash: dict[int, deque[RecordBatch]] = {}
        self.bytes: dict[int, int] = {}
        self.paused: set[int] = set()
        self.idle_until = datetime.fromtimestamp(0, UTC)

    def take(self, partition: int) -> RecordBatch | None:
        waiting = self.stash[partition]
        if not waiting and datetime.now(UTC) >= self.idle_until:
            self._fill()
        if not waiting:
            return None
        batch = waiting.popleft()
        self.bytes[partition] -= len(batch.payload)
        if partition in self.paused and self.bytes[partition] < STASH_BYTES // 2:
            self.paused.discard(partition)
            self.poller.resume(partition)
        return batch

    def _fill(self) -> None:
        began = datetime.now(UTC)
        batches = self.poller.poll()
        if sum(len(batch.payload) for batch in batches) < BACKLOG_BYTES:
            self.idle_until = began + timedelta(milliseconds=self.limits.poll_ms)
        for batch in batches:
            p = batch.partition
            self.stash[p].append(batch)
            self.bytes[p] += len(batch.payload)
            if self.bytes[p] > STASH_BYTES and p not in self.paused:
                self.paused.add(p)
                self.poller.pause(p)


class _Partition(StatefulSourcePartition[tuple[str, RecordBatch], int]):
    def __init__(self, shared: _Shared, partition: int, key: str, offset: int, stop: Stop) -> None:
        self._shared = shared
        self._partition = partition
        self._key = key
        self._next = offset
        self._stop = stop
        self._emitted_bytes = 0
        self._shown = INPUT_NEXT.labels(str(partition))
        self._shown.set(offset)
        shared.stash[partition] = deque()
        shared.bytes[partition] = 0
        shared.poller.assign(partition, offset)

    @property
    def _spent(self) -> bool:
        """Whether this epoch's quota is used up."""
        return self._emitted_bytes >= self._shared.limits.quota_bytes

    def next_batch(self) -> list[tuple[str, RecordBatch]]:
        ends = self._shared.limits.ends
        if self._stop or (ends is not None and self._next >= ends[self._partition]):
            raise StopIteration
        if self._spent:
            return []
        batch = self._shared.take(self._partition)
        if batch is None:
            return []
        self._next = int(batch.offsets[-1]) + 1
        self._shown.set(self._next)
        self._emitted_bytes += len(batch.payload)
        return [(self._key, batch)]

    def next_awake(self) -> datetime | None:
        if self._stop:
            return None
        if self._spent:  # nothing to do before the epoch ends; asked to come again at once, Bytewax would spin
            return datetime.now(UTC) + SPENT_WAIT
        return None if self._shared.stash[self._partition] else self._shared.idle_until

    def snapshot(self) -> int:
        self._emitted_bytes = 0
        self._shared.poller.commit(self._partition, self._next)
        return self._next


class KafkaSource(FixedPartitionedSource[tuple[str, RecordBatch], int]):
    """Items are (shard_key(partition), RecordBatch), in offset order a partition.

    poller      makes the process's consumer; called once in each process, when its first partition is built
    partitions  of the topic; also the number of shards
    """

    def __init__(self, poller: Callable[[], Poller], partitions: int, limits: SourceLimits, stop: Stop) -> None:
        self._make_poller = poller
        self._partitions = partitions
        self._limits = limits
        self._stop = stop
        self._shared: _Shared | None = None

    def list_parts(self) -> list[str]:
        return [f"{i:04d}" for i in range(self._partitions)]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _Partition:
        if self._shared is None:
            self._shared = _Shared(self._make_poller(), self._limits)
        partition = int(for_part)
        return _Partition(self._shared, partition, shard_key(partition, self._partitions), resume_state or 0, self._stop)
