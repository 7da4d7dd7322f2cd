"""librdkafka's settings from ours: one place that says how this project produces and consumes. Pure; no client is made here."""

from typing import Literal

from fleetpulse.config.settings import ConfigError, Settings

Options = dict[str, str | int | float | bool]

MAX_RECORD_BYTES = 8 << 20
"""Largest record: a payload may have 1 MiB, a table of a large shard more. Topics are created with the same bound."""
QUEUE_KIB = 64 << 10
"""Bound of what a producer holds that Kafka has not acknowledged."""
FETCHED_KIB, FETCHED_LEAST_KIB = 128 << 10, 2 << 10
"""Bound of what a consumer has fetched ahead of all partitions, and the least for one. More costs memory and gains little."""


def _own(settings: Settings) -> dict[str, str]:
    """The deployment's own options, those of the file last. Raises ConfigError when it cannot be read."""
    file = settings.kafka.options_file
    if file is None:
        return settings.kafka.options
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise ConfigError(f"kafka.options_file must be readable; got {error.strerror} ({file})") from None
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    if any(not equals for _, equals, _ in pairs):
        raise ConfigError(f"kafka.options_file must hold lines `name=value`; one has no `=` ({file})")  # not shown: it may be a secret
    return settings.kafka.options | {name.strip(): value.strip() for name, _, value in pairs}


def client(settings: Settings) -> Options:
    """What every client has. The deployment's own options (TLS, SASL) come last in each of these functions: they win."""
    return {
        "bootstrap.servers": settings.kafka.bootstrap_servers,
        "client.id": "fleetpulse",
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,
        "log.connection.close": False,
        "log_level": 2,  # an outage is said once by whoever waits, not by every connection attempt
        **_own(settings),
    }


def producer(settings: Settings, *, linger_ms: float = 5) -> Options:
    """Loses nothing: acks=all, idempotent, no time-out. An outage fills the bounded queue, then `produce` raises BufferError.

    The partitioner is that of Java's client; librdkafka's own differs.
    """
    return {
        **client(settings),
        "acks": "all",
        "enable.idempotence": True,
        "message.timeout.ms": 0,
        "compression.type": "lz4",
        "linger.ms": linger_ms,
        "partitioner": "murmur2_random",
        "message.max.bytes": MAX_RECORD_BYTES,
        "queue.buffering.max.kbytes": QUEUE_KIB,
        **_own(settings),
    }


def consumer(settings: Settings, *, group: str, reset: Literal["error", "earliest", "latest"] = "error") -> Options:
    """Reads without committing by itself. `reset`: what to do at an offset that Kafka no longer has; by default that is an error."""
    return {
        **client(settings),
        "group.id": group,
        "enable.auto.commit": False,
        "auto.offset.reset": reset,
        "enable.partition.eof": False,
        "fetch.message.max.bytes": MAX_RECORD_BYTES,
        "fetch.wait.max.ms": 100,
        "fetch.queue.backoff.ms": 2,
        "queued.max.messages.kbytes": max(FETCHED_LEAST_KIB, FETCHED_KIB // settings.kafka.partitions),
        **_own(settings),
    }
