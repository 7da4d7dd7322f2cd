"""The topics of a deployment: names, partitions, retention; and their creation on the cluster."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from fleetpulse.config import kafka
from fleetpulse.config.denials import Denials
from fleetpulse.config.settings import ConfigError, Settings
from fleetpulse.operators.fleet import ARCHIVE

log = structlog.get_logger()

TELEMETRY = "vehicle-telemetry"
ZONE_PARTITIONS = 4

_DAY_MS = 86_400_000
_EVENT_TOPICS = ("fleet.availability", "fleet.maintenance", "fleet.alerts", "fleet.trips")
_ATTEMPT_S = 5.0
_PAUSE_S = (0.2, 5.0)


@dataclass(frozen=True)
class Topic:
    """One topic. `config` are Kafka's topic settings beyond the bound of a record."""

    name: str
    partitions: int
    config: dict[str, str] = field(default_factory=dict)


def topics(settings: Settings) -> tuple[Topic, ...]:
    """All topics of a deployment. P of them have the number of shards, which is fixed for its life."""
    shards = settings.kafka.partitions
    keep = {"retention.ms": str(7 * _DAY_MS)}
    return (
        Topic(TELEMETRY, shards, keep),
        Topic(f"{TELEMETRY}.dead-letter", 1, {"retention.ms": str(30 * _DAY_MS)}),
        *(Topic(name, 4, keep) for name in _EVENT_TOPICS),
        Topic("fleet.rebalance", 1, keep),
        Topic("fleet.state", shards, {"cleanup.policy": "compact", "segment.ms": "60000"}),
        Topic("fleet.features", shards, keep),
        Topic("fleet.zones", ZONE_PARTITIONS, keep),
        Topic(ARCHIVE, shards, keep),
    )


def ensure(settings: Settings, *, limit_s: float | None = None, stopped: Callable[[], bool] = lambda: False) -> None:
    """Create the topics that are missing; waits for a cluster that is away, says so once, and goes on when it is back.

    limit_s  longest wait; None: no limit. Raises TimeoutError after it.
    stopped  asked now and then: whether to wait no longer; the topics may then be missing
    Raises ConfigError when a topic exists with another number of partitions, or Kafka refuses for good (authorisation, replicas).
    """
    options: dict[str, Any] = {**kafka.client(settings), "error_cb": Denials()}
    admin = AdminClient(options)
    began, pause_s, said = time.monotonic(), _PAUSE_S[0], False
    while not stopped():
        try:
            _create(admin, settings)
            break
        except KafkaException as exception:
            error: KafkaError = exception.args[0]
            admin.poll(0)  # so that the callback has its turn
            if not (error.retriable() or error.code() < 0):
                raise ConfigError(f"Kafka must take the topics; got: {error.str()} ({settings.kafka.bootstrap_servers})") from None
            if limit_s is not None and time.monotonic() - began > limit_s:
                where = settings.kafka.bootstrap_servers
                raise TimeoutError(f"Kafka must answer within {limit_s:g} s at {where}; got: {error.str()}") from None
            if not said:
                log.warning("waiting for Kafka", bootstrap_servers=settings.kafka.bootstrap_servers, error=error.str())
                said = True
        until = time.monotonic() + pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        while time.monotonic() < until and not stopped():
            time.sleep(0.05)
        pause_s = min(2 * pause_s, _PAUSE_S[1])
    if said and not stopped():
        log.info("Kafka is back", waited_s=round(time.monotonic() - began, 1))


def _create(admin: AdminClient, settings: Settings) -> None:
    known = admin.list_topics(timeout=_ATTEMPT_S).topics
    missing = []
    for topic in topics(settings):
        if topic.name not in known:
            missing.append(topic)
        elif (found := len(known[topic.name].partitions)) != topic.partitions:
            raise ConfigError(f"topic {topic.name} must have {topic.partitions} partitions (kafka.partitions); it has {found}")
    refused = [topic for topic in missing if not _created(admin, topic, settings, topic.config)]
    for topic in refused:
        log.warning("Kafka does not take a topic's settings; created without", topic=topic.name, settings=topic.config)
        _created(admin, topic, settings, {})
    if missing:
        log.info("topics created", topics=[topic.name for topic in missing])


def _created(admin: AdminClient, topic: Topic, settings: Settings, config: dict[str, str]) -> bool:
    """False when Kafka refused the topic's settings. Raises KafkaException on any other error."""
    bounds = {"max.message.bytes": str(kafka.MAX_RECORD_BYTES)} if config else {}
    new = NewTopic(topic.name, topic.partitions, settings.kafka.replication_factor, config={**config, **bounds})
    try:
        admin.create_topics([new], operation_timeout=_ATTEMPT_S, request_timeout=_ATTEMPT_S)[topic.name].result(2 * _ATTEMPT_S)
    except KafkaException as exception:
        code = exception.args[0].code()
        if code == KafkaError.TOPIC_ALREADY_EXISTS:  # another process was quicker
            return True
        if code == KafkaError.INVALID_CONFIG and config:
            return False
        raise
    return True
