"""A birth or death becomes an operation that its repetition cannot double."""

import orjson

from fleetpulse.codecs import operations
from fleetpulse.codecs.operations import Operation
from fleetpulse.codecs.presence import Presence
from fleetpulse.gateway.ingress.presence import operation
from tests.support.ingress import vehicle

_DEVICE = vehicle(0)


def test_the_operation_has_the_bridges_time_and_keeps_the_vehicles() -> None:
    told = operation(_DEVICE, Presence(True, 7, 5_000), now_ms=9_000)
    assert (told.operation, told.device_id, told.time_ms, told.by) == (Operation.CONNECTED, _DEVICE, 9_000, "bridge")
    assert told.detail == {"boot_id": 7, "vehicle_time_ms": 5_000}
    assert operations.decode(orjson.loads(operations.encode(told))) == told


def test_the_same_message_at_another_time_has_the_same_operation_id() -> None:
    will = Presence(False, 7, 5_000)
    assert operation(_DEVICE, will, now_ms=9_000).operation_id == operation(_DEVICE, will, now_ms=9_999).operation_id
    assert operation(_DEVICE, Presence(True, 7, 5_000), now_ms=9_000).operation_id != operation(_DEVICE, will, now_ms=9_000).operation_id


def test_messages_without_a_time_of_their_own_are_told_apart_by_ours() -> None:
    assert operation(_DEVICE, Presence(False), now_ms=1).operation_id == "disconnected.1"
    assert operation(_DEVICE, Presence(False), now_ms=2).operation_id == "disconnected.2"
