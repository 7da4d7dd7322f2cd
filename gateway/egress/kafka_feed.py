"""The thread that reads the derived topics: one consumer, bulk polls, decoding here, every view changed on the server's event loop.

At start it reads `fleet.state` from 60 s before the end (from the beginning for a shard of which something is missing there), alerts and
maintenance whole, the tails of the rest; when all partitions were at their end once, the gateway is ready. Kafka away: waits with
backoff, says so once. Nothing is committed; a restart catches up from the topics.
"""

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import structlog
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from fleetpulse.alerts.event import EVENT_TOPICS
from fleetpulse.config import kafka
from fleetpulse.config.clock import Clock
from fleetpulse.config.denials import Denials
from fleetpulse.config.settings import Settings
from fleetpulse.gateway.egress import feed_items
from fleetpulse.gateway.egress.feed_items import STATE_TOPIC, ZONES_TOPIC, FeedEvent, Item, Names

log = structlog.get_logger()

TOPICS = (STATE_TOPIC, ZONES_TOPIC, *EVENT_TOPICS)
WHOLE_TOPICS = ("fleet.alerts", "fleet.maintenance")
"""What is open may have been told long ago."""
STATE_TAIL_MS = 60_000
ZONE_REPORTS_KEPT = 4
"""Reports of one shard and city read at start; one is due every rebalance interval."""
_POLL_RECORDS = 2_000
_POLL_S = 0.02
_ATTEMPT_S = 2.0
_PAUSE_S = (0.2, 5.0)
_APPLY_S = 60.0
_APPLY_CHUNK = 2_000

Apply = Callable[[list[Item]], None]


class KafkaFeed:
    """Reads until `stop`. All callbacks run on `loop`.

    apply     takes items in order; never called concurrently
    complete  whether all vehicles of a shard have come, asked when its partition was read once
    ready     called once, when everything was read to its end
    failed    called once with a sentence, when Kafka refused for good; the thread has ended
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        names: Names,
        *,
        apply: Apply,
        complete: Callable[[int], bool],
        ready: Callable[[], None],
        failed: Callable[[str], None],
    ) -> None:
        self._settings, self._clock, self._names = settings, clock, names
        self._apply, self._complete, self._ready, self._failed = apply, complete, ready, failed
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kafka-feed", daemon=True)
        self._reading = False
        self._away = False
        self._denials = Denials()
        self.rejected: dict[str, int] = dict.fromkeys(TOPICS, 0)
        self.records: dict[str, int] = dict.fromkeys(TOPICS, 0)
        self.newest_ms: dict[str, int] = {}

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread.start()

    def stop(self) -> None:
        """Returns at once; join() waits for the thread's end, off the event loop."""
        self._stop.set()

    def join(self) -> None:
        self._thread.join(2 * _ATTEMPT_S)

    def _run(self) -> None:
        consumer = Consumer(
            {
                **kafka.consumer(self._settings, group="fleetpulse.gateway", reset="earliest"),
                "enable.partition.eof": True,
                "error_cb": self._on_error,
            }
        )
        try:
            self._read(consumer)
        except _LoopClosedError:
            pass
        except KafkaException as exception:
            self._fail(f"Kafka must let the gateway read its topics; got: {exception.args[0].str()}")
        except Exception as error:  # whatever it is, a gateway that shows old numbers in silence is worse
            log.exception("the feed has ended")
            self._fail(f"the feed of the gateway has ended by a defect: {error!r}")
        finally:
            consumer.close()

    def _fail(self, sentence: str) -> None:
        with contextlib.suppress(_LoopClosedError):
            self._call(self._failed, sentence)

    def _read(self, consumer: Consumer) -> None:
        starts = self._wait_for_starts(consumer)
        if not starts:
            return  # stopped
        consumer.assign(starts)
        self._begin(consumer, starts)
        self._call(self._ready)
        self._reading = True
        while not self._stop.is_set():
            self._hand_over(self._poll(consumer, set()))

    def _begin(self, consumer: Consumer, starts: list[TopicPartition]) -> None:
        """Read everything to its end once; the events of all partitions are applied in the order of their time."""
        events = self._catch_up(consumer, {(p.topic, p.partition) for p in starts})
        lacking = [p for p in starts if p.topic == STATE_TOPIC and p.offset != OFFSET_BEGINNING and not self._ask_complete(p.partition)]
        if lacking:
            for position in lacking:
                consumer.seek(TopicPartition(position.topic, position.partition, OFFSET_BEGINNING))
            events += self._catch_up(consumer, {(p.topic, p.partition) for p in lacking})
        events.sort(key=lambda item: item.order)
        self._hand_over(events)

    def _wait_for_starts(self, consumer: Consumer) -> list[TopicPartition]:
        """Where to begin in all partitions of all topics, as soon as Kafka answers and has them; empty when stopped before."""
        pause_s, said, began = _PAUSE_S[0], False, time.monotonic()
        while not self._stop.is_set():
            try:
                known = consumer.list_topics(timeout=_ATTEMPT_S).topics
                missing = [topic for topic in TOPICS if topic not in known]
                if not missing:
                    starts = self._starts(consumer, [TopicPartition(topic, p) for topic in TOPICS for p in sorted(known[topic].partitions)])
                    if said:
                        log.info("Kafka is back", waited_s=round(time.monotonic() - began, 1))
                    return starts
                problem = f"it has no topic {', '.join(missing)}"
            except KafkaException as exception:
                error: KafkaError = exception.args[0]
                if not passing(error):
                    raise
                problem = error.str()
                consumer.poll(0)  # so that _on_error has its turn
            if not said:
                log.warning("waiting for Kafka", bootstrap_servers=self._settings.kafka.bootstrap_servers, error=problem)
                said = True
            self._stop.wait(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause_s = min(2 * pause_s, _PAUSE_S[1])
        return []

    def _starts(self, consumer: Consumer, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """Where to begin in each partition. A broker that answers wrongly low only costs time."""
        since_ms = self._clock.now_ms() - STATE_TAIL_MS
        state = [TopicPartition(p.topic, p.partition, since_ms) for p in partitions if p.topic == STATE_TOPIC]
        try:
            found = consumer.offsets_for_times(state, timeout=_ATTEMPT_S)
            starts = [TopicPartition(p.topic, p.partition, p.offset if p.offset >= 0 else OFFSET_END) for p in found]
        except KafkaException:  # a broker that cannot tell
            starts = [TopicPartition(p.topic, p.partition, OFFSET_BEGINNING) for p in state]
        shards, cities = self._settings.kafka.partitions, len(self._names["city"])
        tails = {ZONES_TOPIC: ZONE_REPORTS_KEPT * 2 * shards * cities}
        for position in partitions:
            if position.topic == STATE_TOPIC:
                continue
            offset = OFFSET_BEGINNING
            if position.topic not in WHOLE_TOPICS:
                of_topic = sum(p.topic == position.topic for p in partitions)
                tail = tails.get(position.topic, self._settings.gateway.events_kept // 2 // of_topic)
                low, high = consumer.get_watermark_offsets(position, timeout=_ATTEMPT_S)
                offset = high - tail if high - tail > low else OFFSET_BEGINNING
            starts.append(TopicPartition(position.topic, position.partition, offset))
        return starts

    def _catch_up(self, consumer: Consumer, unread: set[tuple[str, int]]) -> list[FeedEvent]:
        """Read until every partition in `unread` was at its end. State and zones are applied at once; the events are returned."""
        events: list[FeedEvent] = []
        while unread and not self._stop.is_set():
            items = self._poll(consumer, unread)
            events += [item for item in items if isinstance(item, FeedEvent)]
            self._hand_over([item for item in items if not isinstance(item, FeedEvent)])
        return events

    def _poll(self, consumer: Consumer, unread: set[tuple[str, int]]) -> list[Item]:
        items: list[Item] = []
        for message in consumer.consume(_POLL_RECORDS, timeout=_POLL_S):
            error = message.error()
            if error is None:
                item = self._decode(message)
                if item is not None:
                    items.append(item)
            elif error.code() == KafkaError._PARTITION_EOF:
                unread.discard((message.topic() or "", message.partition() or 0))
            elif not passing(error):
                raise KafkaException(error)
            else:
                continue
            self._say_back()
        return items

    def _decode(self, message: Message) -> Item | None:
        topic, append_ms = message.topic() or "", message.timestamp()[1]
        self.records[topic] += 1
        self.newest_ms[topic] = max(append_ms, self.newest_ms.get(topic, 0))
        try:
            return feed_items.decode(
                topic,
                message.partition() or 0,
                message.offset() or 0,
                append_ms,
                message.value() or b"",
                _headers(message),
                self._names,
            )
        except ValueError as error:
            self.rejected[topic] += 1
            if self.rejected[topic] == 1:  # once a topic; the metric counts the rest
                log.error("a record breaks the contract and is left out", topic=topic, offset=message.offset(), error=str(error))
            return None

    def _hand_over(self, items: Sequence[Item]) -> None:
        """Have the loop apply the items, and wait until it has: that bounds what is in flight."""
        for first in range(0, len(items), _APPLY_CHUNK):
            self._call(self._apply, list(items[first : first + _APPLY_CHUNK]))

    def _ask_complete(self, shard: int) -> bool:
        answer: Future[bool] = Future()
        self._call(lambda: answer.set_result(self._complete(shard)))
        return answer.result(_APPLY_S)

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        done: Future[None] = Future()

        def call() -> None:
            try:
                function(*arguments)
                done.set_result(None)
            except Exception as error:  # it is the feed's thread that must end by it, not the server's loop
                done.set_exception(error)

        assert self._loop is not None, "not started"
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:  # the server has ended
            raise _LoopClosedError from None
        while True:
            try:
                return done.result(1.0)
            except TimeoutError:
                if self._stop.is_set():
                    raise _LoopClosedError from None

    def _on_error(self, error: KafkaError) -> None:
        self._denials(error)
        if error.code() == KafkaError._ALL_BROKERS_DOWN and self._reading and not self._away:
            self._away = True
            log.warning("Kafka is away; serving what is known", bootstrap_servers=self._settings.kafka.bootstrap_servers)

    def _say_back(self) -> None:
        if self._away:
            self._away = False
            log.info("Kafka is back")

    @property
    def away(self) -> bool:
        return self._away


def _headers(message: Message) -> list[tuple[str, bytes]]:
    headers = message.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    return [(name, value) for name, value in pairs if isinstance(value, bytes)]


class _LoopClosedError(Exception):
    """The event loop that the views live on has ended; so does the thread."""


def passing(error: KafkaError) -> bool:
    """Whether librdkafka goes on by itself: a broker that is away, a topic that comes back."""
    waits = error.code() < 0 or error.retriable() or error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    return bool(waits and not error.fatal())
