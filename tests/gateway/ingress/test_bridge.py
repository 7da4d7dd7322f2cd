"""What comes over MQTT stands in Kafka: right partition, right bytes, joined or alone, or in the dead-letter topic with its reason."""

import hashlib
from collections.abc import Iterator
from itertools import pairwise
from uuid import UUID

import orjson
import pytest

from fleetpulse.codecs import operations, partition, presence
from fleetpulse.codecs.operations import Operation
from fleetpulse.codecs.presence import Presence
from fleetpulse.config.settings import Settings
from fleetpulse.gateway.ingress.bridge import Bridge
from tests.support.ingress import Sender, batch, dead_letters, records, running, until, values, vehicle


@pytest.fixture
def bridge(deployment: Settings) -> Iterator[Bridge]:
    with running(deployment) as found:
        yield found


@pytest.fixture
def sender(deployment: Settings, bridge: Bridge) -> Iterator[Sender]:
    with Sender(deployment.mqtt.port) as found:
        yield found


def _json(device: UUID, **more: object) -> bytes:
    return orjson.dumps({"device_id": str(device), "time_ms": 1_700_000_000_000, "boot_id": 1, "seq": 0, **more})


def _settled(bridge: Bridge, messages: int) -> bool:
    return until(lambda: bridge.totals.acknowledged >= messages)


def _fresh_session(settings: Settings) -> None:
    """Let the broker know the bridge, so that it keeps for it what comes from now on."""
    with running(settings):
        pass


def test_one_frame_arrives_on_its_vehicles_partition_with_its_bytes(deployment: Settings, bridge: Bridge, sender: Sender) -> None:
    device = vehicle(1)
    sender.send(f"telemetry/{device}", batch(device, 0))
    assert _settled(bridge, 1)
    (message,) = records(deployment)
    assert (message.partition(), message.key(), message.value()) == (partition.of(device.bytes, 4), None, batch(device, 0))


def test_json_is_one_record_with_the_vehicles_key(deployment: Settings, bridge: Bridge, sender: Sender) -> None:
    device = vehicle(2)
    payloads = [_json(device), b" \n" + _json(device, seq=1), b"[" + _json(device, seq=2) + b"," + _json(device, seq=3) + b"]"]
    for payload in payloads:
        sender.send(f"telemetry/{device}", payload)
    assert _settled(bridge, 3)
    found = records(deployment)
    assert [(m.partition(), m.key(), m.value()) for m in found] == [(partition.of(device.bytes, 4), device.bytes, p) for p in payloads]
    assert bridge.totals.frames == 4


def test_waiting_payloads_are_joined_within_the_bound_and_keep_their_order(deployment: Settings) -> None:
    bounded = deployment.model_copy(update={"bridge": deployment.bridge.model_copy(update={"pack_bytes": 1024})})
    _fresh_session(bounded)
    device = vehicle(3)
    payloads = [batch(device, seq) for seq in range(100)]
    with Sender(deployment.mqtt.port) as sender:
        for payload in payloads:
            sender.send(f"telemetry/{device}", payload)
    with running(bounded) as bridge:
        assert _settled(bridge, 100)
    found = values(deployment)
    assert b"".join(found) == b"".join(payloads)
    assert len(found) < len(payloads)
    assert all(len(value) <= 1024 for value in found)


def test_an_alert_has_a_record_of_its_own_after_the_vehicles_earlier_frames(deployment: Settings) -> None:
    _fresh_session(deployment)
    device = vehicle(4)
    with Sender(deployment.mqtt.port) as sender:
        for seq in range(5):
            sender.send(f"telemetry/{device}", batch(device, seq))
        sender.send(f"alert/{device}", batch(device, 5))
    with running(deployment) as bridge:
        assert _settled(bridge, 6)
    (alert,) = [message for message in records(deployment) if message.key()]
    assert (alert.key(), alert.value(), alert.partition()) == (device.bytes, batch(device, 5), partition.of(device.bytes, 4))


_DEVICE, _OTHER = vehicle(5), vehicle(6)
_REFUSED: dict[str, tuple[str, bytes, str]] = {
    "empty": (str(_DEVICE), b"", "framing"),
    "garbage": (str(_DEVICE), b"\x01\x02garbage", "framing"),
    "truncated": (str(_DEVICE), batch(_DEVICE, 0)[:-1], "framing"),
    "another vehicle": (str(_DEVICE), batch(_OTHER, 0), "identity"),
    "another vehicle in the second frame": (str(_DEVICE), batch(_DEVICE, 0) + batch(_OTHER, 0), "identity"),
    "short device id": (str(_DEVICE), b"\x0a\x04\x0a\x02ab", "device_id"),
    "larger than 1 MiB": (str(_DEVICE), batch(_DEVICE, 0) + b"x" * (1 << 20), "oversize"),
    "broken JSON": (str(_DEVICE), b'{"device_id": "', "json"),
    "list of no frames": (str(_DEVICE), b"[]", "json"),
    "list of numbers": (str(_DEVICE), b"[1]", "json"),
    "JSON of another vehicle": (str(_DEVICE), _json(_OTHER), "identity"),
    "JSON list with another vehicle": (str(_DEVICE), b"[" + _json(_DEVICE) + b"," + _json(_OTHER) + b"]", "identity"),
    "JSON without an id": (str(_DEVICE), b'{"seq": 1}', "device_id"),
    "an operation": (str(_DEVICE), _json(_DEVICE, operation="maintenance_done"), "identity"),
    "an operation in a list": (str(_DEVICE), b"[" + _json(_DEVICE, operation="drop_off") + b"]", "identity"),
    "topic without a UUID": ("scooter-17", batch(_DEVICE, 0), "device_id"),
    "topic of the UUID that is all zero": (str(UUID(int=0)), batch(_DEVICE, 0), "device_id"),
}


def test_every_kind_of_bad_payload_is_a_dead_letter_with_its_reason(deployment: Settings, bridge: Bridge, sender: Sender) -> None:
    for name, payload, _ in _REFUSED.values():
        sender.send(f"telemetry/{name}", payload)
    sender.send(f"alert/{_DEVICE}", b"garbage")
    assert _settled(bridge, len(_REFUSED) + 1)
    wanted = {
        (f"telemetry/{name}", hashlib.sha256(payload).hexdigest(), reason, len(payload), payload[: 64 << 10])
        for name, payload, reason in _REFUSED.values()
    } | {(f"alert/{_DEVICE}", hashlib.sha256(b"garbage").hexdigest(), "framing", 7, b"garbage")}
    found = dead_letters(deployment)
    assert {
        (h["source-topic"].decode(), h["sha256"].decode(), h["reason"].decode(), int(h["length"]), value) for h, value in found
    } == wanted
    assert len(found) == len(wanted)
    for headers, _ in found:
        assert [headers[name] for name in ("source-partition", "source-offset", "position")] == [b"-1"] * 3
        assert headers["detail"]
    assert not records(deployment)
    assert sum(bridge.totals.rejected.values()) == len(wanted)


def test_a_bad_payload_does_not_touch_its_neighbours(deployment: Settings, bridge: Bridge, sender: Sender) -> None:
    device = vehicle(7)
    for seq in range(6):
        sender.send(f"telemetry/{device}", b"\x0a\xff\x01" if seq % 2 else batch(device, seq))
    assert _settled(bridge, 6)
    assert b"".join(values(deployment)) == batch(device, 0) + batch(device, 2) + batch(device, 4)


def test_the_answer_carries_the_correlation_data_once_kafka_has_the_message(deployment: Settings, bridge: Bridge, sender: Sender) -> None:
    device = vehicle(8)
    ack = f"ack/{device}"
    sender.send(f"telemetry/{device}", batch(device, 0), response=ack, correlation=b"\0\1")
    sender.send(f"alert/{device}", batch(device, 1), response=ack, correlation=b"")
    sender.send(f"telemetry/{device}", b"garbage", response=ack, correlation=b"x" * 500)
    assert until(lambda: len(sender.answers) == 3)
    assert sender.answers == [(ack, b"\0\1"), (ack, b""), (ack, b"x" * 500)]
    assert (len(records(deployment)), len(dead_letters(deployment))) == (2, 1)


def test_an_answer_goes_to_the_vehicles_own_topic_or_nowhere(deployment: Settings, bridge: Bridge, sender: Sender) -> None:
    device = vehicle(9)
    sender.send(f"telemetry/{device}", batch(device, 0), response=f"ack/{vehicle(10)}", correlation=b"1")
    sender.send(f"telemetry/{device}", batch(device, 1), response=f"command/{device}", correlation=b"2")
    sender.send(f"telemetry/{device}", batch(device, 2), response=f"ack/{device}")
    sender.send("telemetry/nobody", batch(device, 3), response="ack/nobody", correlation=b"4")
    sender.send(f"telemetry/{device}", batch(device, 4), response=f"ack/{device}", correlation=b"5")
    assert until(lambda: bool(sender.answers))
    assert _settled(bridge, 5)
    assert sender.answers == [(f"ack/{device}", b"5")]
    assert bridge.totals.answers_refused == 4


def test_a_message_of_qos_0_is_taken_too(deployment: Settings, bridge: Bridge, sender: Sender) -> None:
    device = vehicle(11)
    sender.send(f"telemetry/{device}", batch(device, 0), qos=0, response=f"ack/{device}", correlation=b"0")
    assert until(lambda: sender.answers == [(f"ack/{device}", b"0")])
    assert values(deployment) == [batch(device, 0)]


def test_partitions_without_frames_get_ticks(deployment: Settings) -> None:
    quick = deployment.model_copy(update={"bridge": deployment.bridge.model_copy(update={"tick_ms": 100})})
    with running(quick):
        assert until(lambda: {message.partition() for message in records(deployment, ticks=True)} == {0, 1, 2, 3})
    ticks = records(deployment, ticks=True)
    assert all(message.value() in (None, b"") and message.key() is None for message in ticks)
    for wanted in range(4):
        times = [message.timestamp()[1] for message in ticks if message.partition() == wanted]
        assert all(later - earlier >= 100 for earlier, later in pairwise(times))


def test_records_are_stamped_with_the_deployments_clock(deployment: Settings) -> None:
    past = deployment.model_copy(
        update={"clock": deployment.clock.model_copy(update={"speed": 10.0, "start_ms": 1_000_000, "wall_start_ms": 0})}
    )
    with running(past) as bridge, Sender(deployment.mqtt.port) as sender:
        before_ms = bridge._clock.now_ms()
        sender.send(f"telemetry/{vehicle(12)}", batch(vehicle(12), 0))
        assert _settled(bridge, 1)
        after_ms = bridge._clock.now_ms()
    (message,) = records(deployment)
    assert before_ms <= message.timestamp()[1] <= after_ms


def test_birth_and_death_become_operations_of_the_vehicle(deployment: Settings, bridge: Bridge) -> None:
    device = vehicle(13)
    topic = f"status/{device}"
    with Sender(deployment.mqtt.port, "car", will=(topic, presence.encode(Presence(False, 7, 5_000)))) as car:
        car.send(topic, presence.encode(Presence(True, 7, 5_000)), retain=True)
        assert _settled(bridge, 1)
        car.die()
        assert _settled(bridge, 2)
    found = records(deployment)
    told = [operations.decode(orjson.loads(message.value() or b"")) for message in found]
    assert [(o.operation, o.device_id, o.by) for o in told] == [
        (Operation.CONNECTED, device, "bridge"),
        (Operation.DISCONNECTED, device, "bridge"),
    ]
    assert {(message.partition(), message.key()) for message in found} == {(partition.of(device.bytes, 4), device.bytes)}


def test_a_retained_birth_is_told_once_however_often_the_bridge_connects(deployment: Settings) -> None:
    device = vehicle(14)
    with Sender(deployment.mqtt.port) as sender:
        sender.send(f"status/{device}", presence.encode(Presence(True, 1, 1)), retain=True)
        with running(deployment) as bridge:
            assert _settled(bridge, 1)
        for _ in range(2):
            with running(deployment) as bridge:
                sender.send(f"telemetry/{device}", batch(device, 0))
                assert _settled(bridge, 1)
    assert sum(b"connected" in value for value in values(deployment)) == 1


def test_a_status_that_says_nothing_is_a_dead_letter_and_an_empty_one_only_acknowledged(
    deployment: Settings, bridge: Bridge, sender: Sender
) -> None:
    device = vehicle(15)
    for payload in (b"", b"\x01", b'{"state": "asleep"}', b'"' + b"x" * (1 << 20) + b'"'):
        sender.send(f"status/{device}", payload)
    assert _settled(bridge, 4)
    assert [headers["reason"] for headers, _ in dead_letters(deployment)] == [b"json", b"operation", b"oversize"]
    assert not records(deployment)


def test_two_bridges_of_a_group_share_the_messages(deployment: Settings) -> None:
    shared = deployment.model_copy(update={"bridge": deployment.bridge.model_copy(update={"share_group": "bridges"})})
    payloads = [(vehicle(n), batch(vehicle(n), seq)) for seq in range(1, 11) for n in range(20)]
    with running(shared) as one, running(shared) as two, Sender(deployment.mqtt.port) as sender:
        for device, payload in payloads:
            sender.send(f"telemetry/{device}", payload)
        assert until(lambda: one.totals.acknowledged + two.totals.acknowledged == len(payloads))
        assert one.totals.acknowledged
        assert two.totals.acknowledged
    length = len(payloads[0][1])
    found = b"".join(values(deployment))
    assert sorted(found[i : i + length] for i in range(0, len(found), length)) == sorted(payload for _, payload in payloads)
