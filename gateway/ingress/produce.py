"""Hands records to Kafka and sees every delivery. Nothing is dropped and nothing is forgotten: a record is ours until Kafka has it.

Delivery: at least once; within a partition in the order of sending, but for records that Kafka refused and gets again. What it will
refuse every time goes to the dead-letter topic (refusals.py), so that nothing behind it waits. A producer that is broken for good is
replaced, and everything that is open is handed over again: after a fatal error, and when Kafka answers but takes nothing (a broker
that lost its memory knows no producer ids, and librdkafka then tries for ever).
"""

import time
from collections import deque
from functools import partial

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from fleetpulse.config import kafka
from fleetpulse.config.clock import Clock
from fleetpulse.config.denials import Denials
from fleetpulse.config.settings import Settings
from fleetpulse.gateway.ingress import refusals
from fleetpulse.gateway.ingress.record import Kind, Record

log = structlog.get_logger()

TOPIC = "vehicle-telemetry"
DEAD_LETTERS = f"{TOPIC}.dead-letter"
LINGER_MS = 0
"""The packer has already held what may be held; librdkafka still joins what comes while it is busy."""
AWAY_S = 3.0
"""Without any acknowledgement for so long, though some are open, Kafka is said to be away."""
LOOK_S = 2.0
"""While Kafka is away: how often to look whether it answers. If it does, twice in a row, the producer is to blame and is replaced."""
LOOK_LIMIT_S = 0.2
RETRY_S = 1.0
"""Pause before a record that Kafka refused is sent again."""
SAY_S = 60.0
"""How often the same refusal is said."""


class Deliveries:
    """The process's producer and what it has not yet brought to Kafka. Used by one thread."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.bytes = 0
        self.written = [0] * len(Kind)
        self.refused = 0
        self._settings = settings
        self._clock = clock
        self._open: dict[Record, None] = {}  # in the order of sending
        self._waiting: deque[Record] = deque()  # the producer's queue was full
        self._refused: list[Record] = []
        self._alone: set[Record] = set()  # of those that are open: one payload each, sent in a batch of its own
        self._wholes: dict[Record, Record] = {}  # part -> what is done when all its parts are
        self._parts: dict[Record, int] = {}  # whole -> open parts
        self._retry_at = 0.0
        self._fatal = False
        self._error = ""
        self._said = ""
        self._said_at = 0.0
        self._away_since: float | None = None
        self._look_at = 0.0
        self._answered = False
        self._progress_s = time.monotonic()
        self._generation = 0
        self._denials = Denials()
        self._producer = self._make()
        self._careful: Producer | None = None

    def _make(self, **more: int) -> Producer:
        return Producer({**kafka.producer(self._settings, linger_ms=LINGER_MS), "error_cb": self._on_error, **more})

    def __len__(self) -> int:
        return len(self._open)

    @property
    def full(self) -> bool:
        """The bound of librdkafka's queue is reached: send nothing more until this is over."""
        return bool(self._waiting)

    @property
    def up(self) -> bool:
        return self._away_since is None

    def send(self, record: Record) -> None:
        if not self._open:
            self._progress_s = time.monotonic()
        self._open[record] = None
        self.bytes += record.size
        if self._waiting:
            self._waiting.append(record)
        else:
            self._produce(record)

    def poll(self, now_s: float) -> None:
        """See what Kafka has acknowledged since the last call, and try again what it did not take."""
        self._producer.poll(0)
        if self._careful is not None:
            self._careful.poll(0)
        if self._fatal:
            self._renew()
        if self._refused and now_s >= self._retry_at:
            refused, self._refused = self._refused, []
            for record in refused:
                self._produce(record)
        if self._waiting:
            waiting, self._waiting = self._waiting, deque()
            while waiting and not self._waiting:
                self._produce(waiting.popleft())
            self._waiting.extend(waiting)
        if not self._open:
            return
        if self._away_since is not None:
            self._look(now_s)
        elif now_s - self._progress_s > AWAY_S:
            self._away_since = self._progress_s
            self._look_at, self._answered = now_s, False
            error = self._error or "no acknowledgement"
            log.warning("Kafka is away; vehicles' messages wait unacknowledged", error=error, open=len(self._open))

    def flush(self, limit_s: float) -> bool:
        """Wait until Kafka has everything; False when it had not within the limit."""
        until = time.monotonic() + limit_s
        while self._open and (now_s := time.monotonic()) < until:
            self.poll(now_s)
            self._producer.poll(0.005)
        return not self._open

    def close(self) -> None:
        """Give up what is still open, so that the process can end at once."""
        self._generation += 1
        for producer in (self._producer, self._careful):
            if producer is not None:
                producer.purge()
                producer.poll(0)
                producer.close()
        self._careful = None

    def _producer_of(self, record: Record) -> Producer:
        if record not in self._alone:
            return self._producer
        if self._careful is None:
            self._careful = self._make(**{"batch.num.messages": 1})
        return self._careful

    def _produce(self, record: Record) -> None:
        dead_letter = record.kind is Kind.DEAD_LETTER
        try:
            self._producer_of(record).produce(
                DEAD_LETTERS if dead_letter else TOPIC,
                value=b"".join(record.parts),
                key=record.key,
                partition=-1 if record.partition is None else record.partition,
                timestamp=self._clock.now_ms(),
                headers=list(record.headers),
                on_delivery=partial(self._on_delivery, record, self._generation),
            )
        except BufferError:
            self._waiting.append(record)
        except KafkaException as exception:
            self._refuse(record, exception.args[0])

    def _on_delivery(self, record: Record, generation: int, error: KafkaError | None, message: Message) -> None:
        """Called by librdkafka within poll()."""
        if generation != self._generation:
            return
        if error is not None and record.kind is not Kind.TICK:
            self._refuse(record, error)
            return
        self._close(record)
        self._done(record)
        if error is not None:  # a tick that failed is followed by another
            return
        self.written[record.kind] += 1
        self._progress_s = time.monotonic()
        if self._away_since is not None:
            log.info("Kafka is back", waited_s=round(self._progress_s - self._away_since, 1))
            self._away_since = None

    def _close(self, record: Record) -> None:
        """It is not ours any more."""
        del self._open[record]
        self._alone.discard(record)
        self.bytes -= record.size

    def _done(self, record: Record) -> None:
        """Kafka has it, in one piece or another: so has what it is a part of, when it was the last."""
        record.done = True
        whole = self._wholes.pop(record, None)
        if whole is not None:
            self._parts[whole] -= 1
            if not self._parts[whole]:
                del self._parts[whole]
                self._done(whole)

    def _replace(self, record: Record, parts: list[Record]) -> None:
        """Send `parts` in place of `record`, which is done when they are."""
        self._close(record)
        self._parts[record] = len(parts)
        for part in parts:
            self._wholes[part] = record
            self.send(part)

    def _refuse(self, record: Record, error: KafkaError) -> None:
        if refusals.for_good(error) and record.kind is not Kind.DEAD_LETTER:
            if record in self._alone:
                self.refused += 1
                self._say("Kafka refuses a payload for good; it goes to the dead-letter topic", record, error)
                self._replace(record, [refusals.letter(record, error, topic=TOPIC)])
            else:
                parts = refusals.payloads(record)
                self._alone.update(parts)
                self._replace(record, parts)
            return
        self._refused.append(record)
        self._retry_at = time.monotonic() + RETRY_S
        self._fatal = self._fatal or error.fatal()
        self._error = error.str()
        if not self._fatal:
            self._say("Kafka refuses a record; it is sent again", record, error)

    def _say(self, what: str, record: Record, error: KafkaError) -> None:
        if self._said != error.name() or time.monotonic() > self._said_at + SAY_S:
            self._said, self._said_at = error.name(), time.monotonic()
            log.error(what, error=error.str(), kind=record.kind.name.lower(), partition=record.partition, bytes=record.size)

    def _on_error(self, error: KafkaError) -> None:
        """Called by librdkafka within poll(): connections, and what is fatal."""
        self._denials(error)
        self._error = error.str()
        self._fatal = self._fatal or error.fatal() or error.code() == KafkaError._FATAL

    def _look(self, now_s: float) -> None:
        """Replace the producer when Kafka answers and yet acknowledges nothing."""
        if now_s < self._look_at:
            return
        self._look_at = now_s + LOOK_S
        try:
            self._producer.list_topics(TOPIC, timeout=LOOK_LIMIT_S)
        except KafkaException:
            self._answered = False
            return
        if self._answered:
            self._renew()
        self._answered = not self._answered

    def _renew(self) -> None:
        """Start with a new producer. What the old one had under way may come twice; sequence numbers in the flow sort that out."""
        log.warning("the Kafka producer starts anew", error=self._error, open=len(self._open))
        self.close()
        self._fatal = False
        self._producer = self._make()
        self._refused.clear()
        self._waiting.clear()
        for record in list(self._open):
            if self._waiting:
                self._waiting.append(record)
            else:
                self._produce(record)
