"""A position that librdkafka gives up is read on where Kafka has it, and is an error where it has not: the flow would lose records."""

from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from structlog.testing import capture_logs

from fleetpulse.config import kafka
from fleetpulse.config.settings import Settings
from fleetpulse.flows import topics
from fleetpulse.flows.librdkafka import LibrdkafkaPoller
from fleetpulse.flows.poller import ConfluentPoller, Poller, lost
from tests.support.processes import wait_for
from tests.support.servers import ApacheKafka
from tests.support.topics import write


@pytest.fixture
def settings(tmp_path: Path, apache: ApacheKafka) -> Settings:
    """Each test has a partition to itself."""
    settings = Settings.model_validate(
        {"deployment": {"data_dir": tmp_path / "var"}, "kafka": {"bootstrap_servers": apache.address, "partitions": 8}}
    )
    topics.ensure(settings, limit_s=30)
    return settings


def _given_up(poller: Poller) -> int | None:
    """The code of the error with which a poll ends; None when it ends without."""
    try:
        poller.poll()
    except KafkaException as exception:
        return int(exception.args[0].code())
    return None


def test_what_is_lost() -> None:
    assert [lost(offset, 10, 20) for offset in (0, 9, 10, 20, 21)] == [False, True, False, False, True]


@pytest.mark.parametrize(("make", "partition"), [(LibrdkafkaPoller, 0), (ConfluentPoller, 1)])
def test_a_position_beyond_the_end_is_an_error_until_the_log_has_it(
    settings: Settings, make: type[LibrdkafkaPoller | ConfluentPoller], partition: int
) -> None:
    write(settings, topics.TELEMETRY, [b"x"] * 10, partition=partition)
    one, other = (make(kafka.consumer(settings, group="test"), topics.TELEMETRY) for _ in range(2))
    for poller in (one, other):
        poller.assign(partition, 50)
    wait_for(lambda: _given_up(one) == KafkaError._AUTO_OFFSET_RESET, what="what Kafka has not is an error")
    one.close()
    write(settings, topics.TELEMETRY, [b"y"] * 100, partition=partition)
    offsets: list[int] = []

    def read() -> bool:
        batches = other.poll()
        assert all(batch.start == 50 + len(offsets) for batch in batches[:1])
        offsets.extend(np.concatenate([batch.offsets for batch in batches]).tolist() if batches else [])
        return len(offsets) >= 60

    with capture_logs() as logs:
        wait_for(read, what="the other had given up by then, and reads on")
    other.close()
    assert offsets == list(range(50, 110))
    assert {line["event"] for line in logs} <= {"reading on where Kafka's client gave up"}


@pytest.mark.parametrize(("make", "partition"), [(LibrdkafkaPoller, 2), (ConfluentPoller, 3)])
def test_records_that_were_deleted_are_an_error(settings: Settings, make: type[LibrdkafkaPoller | ConfluentPoller], partition: int) -> None:
    write(settings, topics.TELEMETRY, [b"x"] * 40, partition=partition)
    admin = AdminClient(kafka.client(settings))
    (done,) = admin.delete_records([TopicPartition(topics.TELEMETRY, partition, 30)]).values()
    done.result(20)
    poller = make(kafka.consumer(settings, group="test"), topics.TELEMETRY)
    poller.assign(partition, 10)
    wait_for(lambda: _given_up(poller) == KafkaError._AUTO_OFFSET_RESET, what="what Kafka has deleted is an error")
    poller.close()
