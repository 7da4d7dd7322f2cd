"""Operations into the vehicle's partition of `vehicle-telemetry`: written by people and services, answered when Kafka has them.

An Idempotency-Key makes the operation's id, so that a repeated request is the same operation, also at another gateway or after a
restart; what was answered lately is answered again without writing. Delivery: at least once, doubles with equal operation_id.
"""

import asyncio
import threading
from collections import OrderedDict
from dataclasses import dataclass
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from confluent_kafka import KafkaError, Message, Producer

from fleetpulse.codecs import operations, partition
from fleetpulse.codecs.operations import OperationRecord
from fleetpulse.config import kafka
from fleetpulse.config.clock import Clock
from fleetpulse.config.settings import Settings

TOPIC = "vehicle-telemetry"
ANSWER_S = 4.0
"""Kafka must have an operation within this time; after it the record is given up, so that it cannot take effect much later."""
ANSWERS_KEPT = 10_000
_NAMESPACE = uuid5(NAMESPACE_URL, "https://mobilitycorp.eu/fleetpulse/operations")


Detail = dict[str, str | int | float]


class UnavailableError(Exception):
    """Kafka did not take the operation in time. It may or may not be in the log; the same key is safe to repeat."""


class KeyReuseError(Exception):
    """The Idempotency-Key stands for another request."""


@dataclass(frozen=True)
class Written:
    """Where Kafka has the operation. `repeated`: it was written by an earlier request with the same key."""

    record: OperationRecord
    partition: int
    offset: int
    repeated: bool = False


@dataclass(frozen=True)
class _Answer:
    record: OperationRecord
    delivery: "asyncio.Future[tuple[int, int]]"


def operation_id(device_id: UUID, key: str | None) -> str:
    """Equal for equal keys of a device; random without a key."""
    return str(uuid4() if key is None else uuid5(_NAMESPACE, f"{device_id}\x1f{key}"))


class Operations:
    """One producer, and a thread that serves its callbacks."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        # ANSWER_S instead of waiting for ever: a reservation that takes effect ten minutes later is worse than a 503
        self._producer = Producer({**kafka.producer(settings, linger_ms=0), "message.timeout.ms": int(ANSWER_S * 1000)})
        self._partitions = settings.kafka.partitions
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="operations", daemon=True)
        self._answers: OrderedDict[str, _Answer] = OrderedDict()
        self.outcomes = {"written": 0, "repeated": 0, "unavailable": 0}

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def join(self) -> None:
        """Waits for the thread; what Kafka has not taken by then is given up, and its request was answered with 503."""
        self._thread.join(ANSWER_S)

    def _serve(self) -> None:
        while not self._stop.is_set():
            self._producer.poll(0.05)
        self._producer.flush(0.5)

    async def write(self, operation: operations.Operation, device_id: UUID, *, by: str, key: str | None, detail: Detail) -> Written:
        """Write the operation; returns when Kafka has it. Raises UnavailableError, KeyReuseError."""
        id_ = operation_id(device_id, key)
        answer = self._answers.get(id_)
        repeated = answer is not None
        if answer is None:
            record = OperationRecord(operation, device_id, self._clock.now_ms(), by, id_, detail)
            answer = _Answer(record, self._produce(record))
            self._remember(id_, answer)
        elif (answer.record.operation, answer.record.by, answer.record.detail) != (operation, by, detail):
            raise KeyReuseError("an Idempotency-Key must be used for one request only; this one stands for another operation")
        try:
            at, offset = await asyncio.wait_for(asyncio.shield(answer.delivery), ANSWER_S + 1)
        except (TimeoutError, UnavailableError) as error:
            self.outcomes["unavailable"] += 1
            if self._answers.get(id_) is answer:
                del self._answers[id_]
            why = str(error) or f"no answer within {ANSWER_S:g} s"
            raise UnavailableError(f"Kafka must take the operation; got: {why}; repeat it with the same Idempotency-Key") from None
        self.outcomes["repeated" if repeated else "written"] += 1
        return Written(answer.record, at, offset, repeated)

    def _remember(self, id_: str, answer: _Answer) -> None:
        self._answers[id_] = answer
        if len(self._answers) > ANSWERS_KEPT:
            self._answers.popitem(last=False)

    def _produce(self, record: OperationRecord) -> "asyncio.Future[tuple[int, int]]":
        loop = self._loop
        assert loop is not None, "not started"
        delivery: asyncio.Future[tuple[int, int]] = loop.create_future()
        delivery.add_done_callback(lambda done: done.exception())  # a requester that has gone does not make it an unseen error

        def settle(error: KafkaError | None, at: int, offset: int) -> None:
            if delivery.done():
                return
            if error is None:
                delivery.set_result((at, offset))
            else:
                delivery.set_exception(UnavailableError(error.str()))

        def on_delivery(error: KafkaError | None, message: Message) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, error, message.partition() or 0, message.offset() or 0)

        device = record.device_id.bytes
        try:
            self._producer.produce(
                TOPIC,
                value=operations.encode(record),
                key=device,
                partition=partition.of(device, self._partitions),
                timestamp=self._clock.now_ms(),
                on_delivery=on_delivery,
            )
        except BufferError as error:  # the bound of what may wait for Kafka
            delivery.set_exception(UnavailableError(str(error)))
        return delivery
