"""Operations and acknowledgements: into the vehicle's partition, answered when Kafka has them, the same under the same key."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from confluent_kafka import Message

from fleetpulse.alerts import event
from fleetpulse.codecs import operations, partition
from fleetpulse.codecs.operations import Operation
from fleetpulse.config.settings import Settings
from fleetpulse.flows.embedded import EmbeddedKafka
from fleetpulse.gateway.egress.answers import OperationAccepted
from tests.gateway.egress.support import (
    NOW_MS,
    Running,
    alert,
    device,
    encoded,
    fleet_rows,
    follow_up,
    gateway,
    problem,
    publish,
    state_records,
    wait_for,
    zone_alert,
)
from tests.support.topics import read

SHARDS = 4


def fill(settings: Settings, *events: event.Event) -> None:
    publish(settings, [*state_records(fleet_rows(20, shards=SHARDS)), *encoded(events)])


def written(settings: Settings) -> list[Message]:
    return read(settings, "vehicle-telemetry", partitions=SHARDS)


def report(running: Running, vehicle: UUID, key: str | None = None, **body: Any) -> dict[str, Any]:
    answer = running.client.post(f"/v1/vehicles/{vehicle}/operations", json=body, headers={"Idempotency-Key": key} if key else {})
    assert answer.status_code == 202, answer.text
    OperationAccepted.model_validate_json(answer.content)
    accepted: dict[str, Any] = answer.json()
    return accepted


def test_operations_stand_in_the_vehicles_own_partition_when_they_are_answered(deployment: Settings) -> None:
    fill(deployment)
    names = [
        "reservation_start",
        "reservation_stop",
        "reservation_cancel",
        "rebalance_pick_up",
        "drop_off",
        "maintenance_done",
        "decommissioned",
        "recommissioned",
        "snooze",
        "service_mode",
    ]
    needed: dict[str, dict[str, Any]] = {"snooze": {"minutes": 30, "rule": "theft"}, "service_mode": {"mode": "on"}}
    with gateway(deployment) as running:
        answers = []
        for i, name in enumerate(names):
            answers.append(report(running, device(i), operation=name, by="booking", note="n", **needed.get(name, {})))
            if i == 0:
                assert len(written(deployment)) == 1, "Kafka has it when it is answered"
    by_place = {(m.partition(), m.offset()): m for m in written(deployment)}
    for i, (name, answer) in enumerate(zip(names, answers, strict=True)):
        message = by_place[answer["partition"], answer["offset"]]
        assert message.partition() == partition.of(device(i).bytes, SHARDS)
        assert message.key() == device(i).bytes
        record = operations.decode(orjson.loads(message.value() or b""))
        assert record.operation is Operation[name.upper()]
        assert (record.device_id, record.by, record.operation_id) == (device(i), "booking", answer["operation_id"])
        assert record.detail == {"note": "n", **needed.get(name, {})}
        assert message.timestamp()[1] - record.time_ms in range(100)


def test_details_reach_the_log(deployment: Settings) -> None:
    fill(deployment)
    with gateway(deployment) as running:
        report(running, device(1), operation="maintenance_done", component="tyre")
        report(running, device(1), operation="reservation_start", reservation_id="r-1")
    details = [operations.decode(orjson.loads(m.value() or b"")).detail for m in written(deployment)]
    assert details == [{"component": "tyre"}, {"reservation_id": "r-1"}]


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({"operation": "snooze"}, "either minutes or until_ms"),
        ({"operation": "snooze", "minutes": 1, "until_ms": 2}, "either minutes or until_ms"),
        ({"operation": "snooze", "minutes": 43_201}, "minutes"),
        ({"operation": "snooze", "minutes": 1, "rule": "No such thing"}, "rule"),
        ({"operation": "drop_off", "minutes": 1}, "either minutes or until_ms"),
        ({"operation": "service_mode"}, "must have a mode"),
        ({"operation": "service_mode", "mode": "maybe"}, "mode"),
        ({"operation": "drop_off", "mode": "on"}, "must have a mode"),
    ],
)
def test_a_request_that_does_not_say_enough_or_too_much_is_refused(deployment: Settings, body: dict[str, Any], what: str) -> None:
    fill(deployment)
    with gateway(deployment) as running:
        assert what in problem(running.client.post(f"/v1/vehicles/{device(1)}/operations", json=body), 422)
    assert written(deployment) == []


def test_the_same_key_is_the_same_operation_also_after_a_restart(deployment: Settings) -> None:
    fill(deployment)
    with gateway(deployment) as running:
        first = report(running, device(1), "k1", operation="drop_off")
        again = report(running, device(1), "k1", operation="drop_off")
        other_key = report(running, device(1), "k2", operation="drop_off")
        other_vehicle = report(running, device(2), "k1", operation="drop_off")
        without = [report(running, device(1), operation="drop_off")["operation_id"] for _ in range(2)]
        refused = running.client.post(
            f"/v1/vehicles/{device(1)}/operations", json={"operation": "decommissioned"}, headers={"Idempotency-Key": "k1"}
        )
        assert "another operation" in problem(refused, 422)
    assert again == {**first, "repeated": True}
    ids = [first["operation_id"], other_key["operation_id"], other_vehicle["operation_id"], *without]
    assert len(set(ids)) == 5
    assert len(written(deployment)) == 5, "the repetition wrote nothing"
    with gateway(deployment) as running:
        assert report(running, device(1), "k1", operation="drop_off")["operation_id"] == first["operation_id"]


def test_repetitions_at_the_same_moment_write_once(deployment: Settings) -> None:
    fill(deployment)
    with gateway(deployment) as running, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: report(running, device(3), "key", operation="drop_off"), range(16)))
    assert len({a["operation_id"] for a in answers}) == 1
    assert sum(not a["repeated"] for a in answers) == 1
    assert len(written(deployment)) == 1


def test_an_unknown_vehicle_or_operation_writes_nothing(deployment: Settings) -> None:
    fill(deployment)
    with gateway(deployment) as running:
        stranger = uuid4()
        answer = running.client.post(f"/v1/vehicles/{stranger}/operations", json={"operation": "drop_off"})
        assert problem(answer, 404) == f"there is no vehicle {stranger}"
        for body in ({"operation": "connected"}, {"operation": "alert_acknowledged"}, {"operation": "drop_off", "x": 1}, {"operation": 7}):
            assert problem(running.client.post(f"/v1/vehicles/{device(1)}/operations", json=body), 422)
    assert written(deployment) == []


def test_an_acknowledgement_names_the_alert_and_shows_when_the_flow_has_read_it(deployment: Settings) -> None:
    raised, cluster = alert(device(1), "tipped"), zone_alert("881f1d4887fffff")
    fill(deployment, raised, cluster)
    with gateway(deployment) as running:
        url = f"/v1/alerts/{raised.id}/acknowledge"
        assert problem(running.client.post(url, json={"by": "Anna", "verdict": "maybe"}), 422)
        first = running.client.post(url, json={"by": "Anna", "note": "on my way"})
        assert first.status_code == 202, first.text
        assert running.client.post(url, json={"by": "Anna", "note": "on my way"}).json()["repeated"] is True
        [message] = written(deployment)
        record = operations.decode(orjson.loads(message.value() or b""))
        assert message.partition() == partition.of(device(1).bytes, SHARDS)
        assert (record.operation, record.by) == (Operation.ALERT_ACKNOWLEDGED, "Anna")
        assert record.detail == {"alert_id": raised.id, "rule": "tipped", "note": "on my way"}
        publish(deployment, encoded([follow_up(raised, event.ALERT_ACKNOWLEDGED, ms=NOW_MS + 5, by="Anna")]))
        wait_for(lambda: running.get("/v1/alerts", acknowledged=True)["total"], "the acknowledgement in the list")
        assert "Anna did it at 2025-10-09T" in problem(running.client.post(url), 409)
        assert "zone" in problem(running.client.post(f"/v1/alerts/{cluster.id}/acknowledge"), 409)
        assert "no open alert 'x'" in problem(running.client.post("/v1/alerts/x/acknowledge"), 404)


def test_without_a_body_the_operator_acknowledges(deployment: Settings) -> None:
    raised = alert(device(1), "tipped")
    fill(deployment, raised)
    with gateway(deployment) as running:
        assert running.client.post(f"/v1/alerts/{raised.id}/acknowledge").json()["by"] == "operator"


def test_a_false_alarm_is_said_with_the_acknowledgement(deployment: Settings) -> None:
    raised = alert(device(1), "battery_drain")
    fill(deployment, raised)
    with gateway(deployment) as running:
        running.client.post(f"/v1/alerts/{raised.id}/acknowledge", json={"by": "Anna", "verdict": "false"})
        [message] = written(deployment)
        detail = operations.decode(orjson.loads(message.value() or b"")).detail
        assert detail == {"alert_id": raised.id, "rule": "battery_drain", "verdict": "false"}


@pytest.mark.timeout(60)
def test_while_kafka_is_away_an_operation_is_503_and_the_fleet_is_still_served(deployment: Settings, kafka: EmbeddedKafka) -> None:
    fill(deployment)
    with gateway(deployment) as running:
        report(running, device(1), operation="drop_off")
        kafka.kill()
        answer = running.client.post(
            f"/v1/vehicles/{device(1)}/operations", json={"operation": "drop_off"}, headers={"Idempotency-Key": "k"}
        )
        assert "repeat it with the same Idempotency-Key" in problem(answer, 503)
        assert int(answer.headers["retry-after"]) > 0
        assert running.get("/v1/vehicles")["total"] == 20
        assert running.client.get("/readyz").status_code == 200
        wait_for(lambda: running.get("/readyz")["kafka_away"], "that Kafka is away")
