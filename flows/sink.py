"""Bytewax sink over Kafka: every record's delivery is seen, all of an epoch's before its snapshot is taken.

Delivery: at least once; a record whose delivery failed for good fails the epoch, so that it is made again from the log.
"""

import time
from collections.abc import Callable

import structlog
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from fleetpulse.alerts.event import Outgoing
from fleetpulse.config.clock import Clock
from fleetpulse.flows.keys import shard_of
from fleetpulse.flows.metrics import SINK_WAITING
from fleetpulse.flows.stop import Stop

log = structlog.get_logger()

GIVE_UP_S = 8.0
"""How long a process that was asked to stop waits for Kafka; then it ends without the epoch's snapshot."""
SAY_S = 5.0
"""After so long a wait for Kafka the log says so, once; and once that it is over."""


class _Deliveries:
    """The process's producer, and how much of what was handed to it Kafka has not yet acknowledged."""

    def __init__(self, producer: Producer, clock: Clock, stop: Stop) -> None:
        self._producer = producer
        self._clock = clock
        self._stop = stop
        self._pending = 0
        self._failed: KafkaError | None = None
        self._waiting_since: float | None = None
        self._said = False

    def _done(self, error: KafkaError | None, message: Message) -> None:
        self._pending -= 1
        if error is not None:
            self._failed = error

    def send(self, record: Outgoing) -> None:
        timestamp = self._clock.now_ms() if record.timestamp_ms is None else record.timestamp_ms
        partition = -1 if record.partition is None else record.partition
        while True:
            try:
                self._producer.produce(
                    record.topic,
                    value=record.value,
                    key=record.key,
                    partition=partition,
                    timestamp=timestamp,
                    headers=list(record.headers),
                    on_delivery=self._done,
                )
            except BufferError:  # the bound of what may be in flight: wait for room
                self._wait()
            else:
                self._pending += 1
                self._waited()
                return

    def poll(self) -> None:
        self._producer.poll(0)
        self._check()

    def settle(self) -> None:
        """Returns when Kafka has acknowledged everything. Raises KafkaException when a delivery failed for good."""
        while self._pending:
            self._wait()
        self._waited()
        self._check()

    def _wait(self) -> None:
        self._waiting_since = self._waiting_since or time.monotonic()
        self._producer.flush(0.1)
        self._check()
        waited_s = time.monotonic() - self._waiting_since
        SINK_WAITING.set(waited_s)
        if waited_s > SAY_S and not self._said:
            self._said = True
            log.warning("waiting for Kafka to acknowledge; nothing is lost", records=self._pending)
        if self._stop.age_s() > GIVE_UP_S:
            raise TimeoutError(f"Kafka must acknowledge within {GIVE_UP_S} s of a stop; {self._pending} records are open")

    def _waited(self) -> None:
        """There is room, or nothing is open any more."""
        if self._waiting_since is None:
            return
        if self._said:
            log.info("Kafka acknowledges again", waited_s=round(time.monotonic() - self._waiting_since, 1))
        self._waiting_since, self._said = None, False
        SINK_WAITING.set(0)

    def _check(self) -> None:
        if self._failed is not None:
            raise KafkaException(self._failed)


class _Partition(StatefulSinkPartition[list[Outgoing], None]):
    def __init__(self, deliveries: _Deliveries) -> None:
        self._deliveries = deliveries

    def write_batch(self, values: list[list[Outgoing]]) -> None:
        for records in values:
            for record in records:
                self._deliveries.send(record)
        self._deliveries.poll()

    def snapshot(self) -> None:
        self._deliveries.settle()


class KafkaSink(FixedPartitionedSink[list[Outgoing], None]):
    """Takes (shard key, records). One producer a process."""

    def __init__(self, producer: Callable[[], Producer], partitions: int, clock: Clock, stop: Stop) -> None:
        self._make_producer = producer
        self._partitions = partitions
        self._clock = clock
        self._stop = stop
        self._deliveries: _Deliveries | None = None

    def list_parts(self) -> list[str]:
        return [f"{i:04d}" for i in range(self._partitions)]

    def part_fn(self, item_key: str) -> int:
        return shard_of(item_key)

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _Partition:
        if self._deliveries is None:
            self._deliveries = _Deliveries(self._make_producer(), self._clock, self._stop)
        return _Partition(self._deliveries)
