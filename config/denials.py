"""Why Kafka does not let a client in: a wrong password, a certificate that cannot be trusted.

To the client's own calls that looks like a broker that is away; librdkafka tells the reason to an error callback alone.
"""

import time
from math import inf

import structlog
from confluent_kafka import KafkaError

log = structlog.get_logger()

SAY_S = 60.0
_DENIED = (KafkaError._AUTHENTICATION, KafkaError._SSL)


class Denials:
    """A client's `error_cb`: says the reason at once, and again once a minute while it goes on. A human is needed, so it is an error."""

    def __init__(self) -> None:
        self._said_at = -inf

    def __call__(self, error: KafkaError) -> None:
        self.take(error.code(), error.str())

    def take(self, code: int, text: str) -> None:
        """An error as librdkafka tells it."""
        if code in _DENIED and time.monotonic() >= self._said_at + SAY_S:
            self._said_at = time.monotonic()
            log.error("Kafka does not let us in; trying again (kafka.options: sasl.*, ssl.*)", error=text)
