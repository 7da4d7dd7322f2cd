"""The dead-letter topic, read for a human."""

from base64 import b64encode
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from fleetpulse.config import kafka
from fleetpulse.config.settings import Settings
from fleetpulse.flows.topics import TELEMETRY

TOPIC = f"{TELEMETRY}.dead-letter"
SILENCE_S = 10.0


def newest(settings: Settings, count: int, reason: str | None) -> list[str]:
    """The newest dead letters as JSON, oldest first: their headers, when they were written, the bytes in base64. Raises OSError."""
    kept: deque[Message] = deque(maxlen=count)
    try:
        kept.extend(message for message in _read(settings) if reason is None or _headers(message).get("reason") == reason)
    except KafkaException as error:
        raise OSError(f"Kafka must give {TOPIC}; got: {error.args[0].str()}") from None
    return [_line(message) for message in kept]


def _read(settings: Settings) -> Iterator[Message]:
    """All that the topic's one partition holds now."""
    consumer = Consumer({**kafka.consumer(settings, group="fleetpulse.letters"), "enable.partition.eof": True})
    try:
        consumer.assign([TopicPartition(TOPIC, 0, OFFSET_BEGINNING)])
        while True:
            message = consumer.poll(SILENCE_S)
            if message is None:
                raise TimeoutError(f"Kafka must give {TOPIC} or its end within {SILENCE_S:g} s; it is silent")
            error = message.error()
            if error is None:
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:
                return
            else:
                raise KafkaException(error)
    finally:
        consumer.close()


def _headers(message: Message) -> dict[str, str]:
    pairs = message.headers() or []
    named = pairs.items() if isinstance(pairs, dict) else pairs
    return {name: text.decode("utf-8", "replace") for name, text in named if isinstance(text, bytes)}


def _line(message: Message) -> str:
    written = datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC)
    told = {"offset": message.offset(), "written": f"{written:%Y-%m-%dT%H:%M:%S.%fZ}", **_headers(message)}
    return orjson.dumps({**told, "payload": b64encode(message.value() or b"").decode()}).decode()
