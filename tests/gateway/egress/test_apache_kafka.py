"""What the embedded broker cannot show: offsets by time, tails, and a Kafka that is killed and comes back with its data."""

from collections.abc import Iterator

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from fleetpulse.bench.apache_kafka import ApacheKafka
from fleetpulse.bench.maven import MissingToolError
from fleetpulse.config import kafka
from fleetpulse.config.settings import Settings
from fleetpulse.flows import topics
from tests.gateway.egress.conftest import make_settings, with_gateway
from tests.gateway.egress.support import (
    alert,
    availability,
    device,
    encoded,
    fleet_rows,
    gateway,
    problem,
    publish,
    state_records,
    wait_for,
    wall_ms,
)


@pytest.fixture(scope="module")
def apache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    try:
        broker = ApacheKafka(tmp_path_factory.mktemp("apache"), heap="512m").start()
    except MissingToolError as error:
        pytest.skip(str(error))
    try:
        yield broker
    finally:
        if broker.running:
            broker.kill()


@pytest.fixture(scope="module")
def on_apache(tmp_path_factory: pytest.TempPathFactory, apache: ApacheKafka) -> Settings:
    """All topics; `fleet.state` without compaction, so that what is read can be counted."""
    settings = make_settings(tmp_path_factory.mktemp("deployment"), apache)
    admin = AdminClient(kafka.client(settings))
    admin.create_topics([NewTopic("fleet.state", 4, 1)])["fleet.state"].result(20)
    topics.ensure(settings)
    return settings


def test_a_start_reads_the_tails_and_a_shard_that_lacks_vehicles_from_the_beginning(on_apache: Settings) -> None:
    settings, now_ms = with_gateway(on_apache, events_kept=1_000), wall_ms()
    rows = fleet_rows(4_500, shards=4)
    old, new = state_records(rows, stream_ms=now_ms - 3_600_000), state_records(rows, stream_ms=now_ms - 5_000)
    publish(settings, old * 20)
    whole = [record for record in new if record.partition != 3]
    part = [record for record in new if record.partition == 3][:1]
    publish(settings, [*whole, *part])
    crash = alert(device(1), "crash", ms=now_ms - 7_200_000)
    publish(settings, encoded([crash]))
    made = [availability(device(i), "on_trip", "trip_start", ms=now_ms - 5_000 + i, cause=f"3.{i}") for i in range(1_500)]
    publish(settings, encoded(made))
    with gateway(settings) as running:
        assert running.get("/v1/vehicles")["total"] == 4_500
        of_shard_3 = sum(record.partition == 3 for record in old) * 20 + len(part)
        read = running.server.hub.feed.records
        assert read["fleet.state"] == len(whole) + len(part) + of_shard_3, "the hour before is read for shard 3 alone"
        assert 300 <= read["fleet.availability"] <= 700, "half of events_kept"
        assert read["fleet.alerts"] == 1
        last = running.get("/v1/events", limit=1)["events"][0]
        assert last["id"] == made[-1].id
        assert running.get("/v1/alerts")["alerts"][0]["alert_id"] == crash.id


@pytest.mark.timeout(120)
def test_a_kafka_that_is_killed_and_comes_back_is_read_on(on_apache: Settings, apache: ApacheKafka) -> None:
    publish(on_apache, state_records(fleet_rows(20, shards=4), stream_ms=wall_ms()))
    with gateway(on_apache) as running:
        known = running.server.hub.events.newest
        publish(on_apache, encoded([alert(device(1), "crash", cause="8.8")]))
        running.wait_events(known + 1)
        apache.kill()
        url, key = f"/v1/vehicles/{device(1)}/operations", {"Idempotency-Key": "k"}
        assert problem(running.client.post(url, json={"operation": "drop_off"}, headers=key), 503)
        assert running.get(f"/v1/vehicles/{device(1)}")["device_id"] == str(device(1))
        apache.start()
        publish(on_apache, encoded([alert(device(2), "theft")]))
        running.wait_events(known + 2)
        answer = wait_for(
            lambda: (a := running.client.post(url, json={"operation": "drop_off"}, headers=key)).status_code == 202 and a, "the operation"
        )
        assert answer.json()["repeated"] is False
        wait_for(lambda: not running.get("/readyz")["kafka_away"], "that Kafka is back")
