"""The bridge joins only payloads whose lengths end exactly and whose frames carry their topic's device id."""

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleetpulse.bench import reference
from fleetpulse.codecs import encode, framing
from fleetpulse.codecs.batch import MAX_PAYLOAD_BYTES
from fleetpulse.codecs.errors import WireError
from tests.naive import wire
from tests.support.strategies import DEVICE_IDS, WIRE_BATCHES, rows

DEVICE = bytes(range(16))
OTHER = bytes(range(1, 17))
FRAME = wire.delimited(1, DEVICE) + wire.tag(4, wire.VARINT) + wire.varint(300)


def naive_check(payload: bytes, device_id: bytes | None) -> int | str:
    """The same through the reference runtime: number of frames or reason."""
    batch = reference.parse("fleetpulse.shallow.Batch", payload)
    if batch is None or not batch.frames:
        return "framing"
    faults: list[str] = []
    for body in batch.frames:
        frame = reference.parse("fleetpulse.shallow.OnlyIds", wire.batch(body))
        if frame is None:
            continue
        found = frame.frames[0].device_id
        if len(found) != 16 or not any(found):
            faults.append("device_id")
        elif device_id is not None and found != device_id:
            faults.append("identity")
    return faults[0] if faults else len(batch.frames)


def outcome(payload: bytes, device_id: bytes | None) -> int | str:
    try:
        return framing.check(payload, device_id)
    except WireError as error:
        return error.reason


@given(WIRE_BATCHES.filter(lambda payload: payload.lstrip(b"\t\n\r ")[:1] not in (b"{", b"[")), st.one_of(st.none(), DEVICE_IDS))
@example(wire.batch(FRAME, FRAME), DEVICE)
def test_equal_to_the_reference_runtime(payload: bytes, device_id: bytes | None) -> None:
    assert outcome(payload, device_id) == naive_check(payload, device_id)


def test_frames_of_the_topics_vehicle_are_counted() -> None:
    assert framing.check(wire.batch(FRAME), DEVICE) == 1
    assert framing.check(wire.batch(FRAME, FRAME, FRAME), DEVICE) == 3
    assert framing.check(encode.encode(rows([{"device_id": 7}] * 9)), (7).to_bytes(16, "big")) == 9


@pytest.mark.parametrize("cut", range(1, len(wire.batch(FRAME))))
def test_a_truncated_payload_is_framing(cut: int) -> None:
    assert outcome(wire.batch(FRAME, FRAME)[:-cut], DEVICE) == "framing"


def test_an_empty_payload_is_framing() -> None:
    assert outcome(b"", DEVICE) == "framing"
    assert outcome(wire.tag(9, wire.VARINT) + b"\1", DEVICE) == "framing"


def test_one_foreign_frame_is_identity() -> None:
    assert outcome(wire.batch(FRAME, wire.delimited(1, OTHER)), DEVICE) == "identity"


def test_a_second_device_id_in_a_frame_counts() -> None:
    assert outcome(wire.batch(FRAME + wire.delimited(1, OTHER)), DEVICE) == "identity"
    assert outcome(wire.batch(wire.delimited(1, OTHER) + FRAME), DEVICE) == 1


@pytest.mark.parametrize("device_id", [b"", DEVICE[:15], DEVICE + b"\0", bytes(16)])
def test_a_device_id_must_have_16_bytes_and_not_be_zero(device_id: bytes) -> None:
    assert outcome(wire.batch(wire.delimited(1, device_id)), DEVICE) == "device_id"
    assert outcome(wire.batch(wire.tag(4, wire.VARINT) + b"\1"), DEVICE) == "device_id"


def test_a_payload_above_the_limit_is_oversize() -> None:
    filler = wire.delimited(99, bytes(MAX_PAYLOAD_BYTES - len(wire.batch(FRAME)) - 6))
    payload = wire.batch(FRAME) + filler
    assert len(payload) == MAX_PAYLOAD_BYTES - 1 or len(payload) == MAX_PAYLOAD_BYTES
    assert framing.check(payload, DEVICE) == 1
    assert outcome(payload + bytes(2), DEVICE) == "oversize"


@pytest.mark.parametrize("depth", [98, 99, 100, 101])
def test_groups_nest_as_deep_as_the_reference_allows(depth: int) -> None:
    nested = b""
    for _ in range(depth):
        nested = wire.group(50, nested)
    for payload in (wire.batch(FRAME) + nested, wire.batch(nested + wire.delimited(1, OTHER))):
        assert outcome(payload, DEVICE) == naive_check(payload, DEVICE)


JSON_ID = "00010203-0405-0607-0809-0a0b0c0d0e0f"


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"device_id": "%s"}' % JSON_ID.encode(), 1),
        (b' \n\t\r{"device_id": "%s"}' % JSON_ID.upper().encode(), 1),
        (b'[{"device_id": "%s"}, {"device_id": "%s"}]' % (JSON_ID.encode(), JSON_ID.encode()), 2),
        (b'{"device_id": "00010203-0405-0607-0809-0a0b0c0d0e00"}', "identity"),
        (b'{"device_id": "00010203040506070809"}', "device_id"),
        (b'{"device_id": null}', "device_id"),
        (b'{"device_id": %s}' % (b"[" * 1000 + b"]" * 1000), "device_id"),
        (b"{}", "device_id"),
        (b"[]", "json"),
        (b"[1]", "json"),
        (b'{"device_id"', "json"),
        (b'{"operation": "decommissioned", "device_id": "%s"}' % JSON_ID.encode(), "operation"),
    ],
)
def test_json_is_checked_for_identity(payload: bytes, expected: int | str) -> None:
    assert outcome(payload, DEVICE) == expected


@pytest.mark.parametrize("opening", ["{", "["])
@pytest.mark.parametrize("order", [lambda a, b: a + b, lambda a, b: b + a])
def test_a_frame_whose_length_looks_like_a_brace_is_protobuf(opening: str, order: Callable[[bytes, bytes], bytes]) -> None:
    """A line feed is the tag of a frame, `{` its length 123 and `[` its length 91."""
    body = order(wire.delimited(1, DEVICE), wire.delimited(99, b"x" * (ord(opening) - 18 - 3)))
    payload = wire.batch(body)
    assert payload[:2] == b"\n" + opening.encode()
    assert framing.check(payload, DEVICE) == 1


def test_json_after_a_line_feed_stays_json_even_if_its_length_is_that_of_a_frame() -> None:
    payload = b'\n{"device_id":"%s","firmware_version":"' % JSON_ID.encode()
    payload += b"x" * (2 + 123 - len(payload) - 2) + b'"}'
    assert reference.parse("fleetpulse.shallow.Batch", payload) is not None
    assert framing.check(payload, DEVICE) == 1
