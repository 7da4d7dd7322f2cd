"""The fast PUBLISH decoder reads what paho reads, and for any other bytes gives a result or one kind of error."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt import _packet
from paho.mqtt import client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from fleetpulse.gateway.ingress.packets import PacketError, Publish, decode_publish, encode_answer, encode_puback

_TOPICS = st.text(st.characters(codec="ascii", exclude_characters="\0+#"), min_size=1, max_size=40)


@st.composite
def _properties(draw: st.DrawFn) -> Properties:
    """Any of a PUBLISH's properties."""
    found = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    for name, values in (
        ("PayloadFormatIndicator", st.integers(0, 1)),
        ("MessageExpiryInterval", st.integers(0, 2**32 - 1)),
        ("ContentType", _TOPICS),
        ("ResponseTopic", _TOPICS),
        ("CorrelationData", st.binary(max_size=300)),
        ("SubscriptionIdentifier", st.integers(1, 2**28 - 1)),
        ("TopicAlias", st.integers(1, 2**16 - 1)),
        ("UserProperty", st.tuples(_TOPICS, _TOPICS)),
    ):
        if draw(st.booleans()):
            setattr(found, name, draw(values))
    return found


@given(_TOPICS, st.binary(max_size=300), st.sampled_from([0, 1, 2]), st.booleans(), st.integers(1, 65535), _properties())
def test_a_publish_is_decoded_as_paho_decodes_it(
    topic: str, payload: bytes, qos: int, retain: bool, mid: int, properties: Properties
) -> None:
    first = 0x30 | qos << 1 | retain
    packet_id = struct.pack(">H", mid) if qos else b""
    body = struct.pack(">H", len(topic)) + topic.encode() + packet_id + properties.pack() + payload  # type: ignore[no-untyped-call]
    theirs = _packet.decode_publish(first, body, paho.MQTTv5)
    response = getattr(theirs.properties, "ResponseTopic", None)
    assert decode_publish(first, body) == Publish(
        topic=theirs.topic,
        payload=bytes(theirs.payload),
        mid=theirs.mid,
        qos=theirs.qos,
        retain=theirs.retain,
        response_topic=None if response is None else response.encode(),
        correlation=getattr(theirs.properties, "CorrelationData", None),
    )


@given(st.integers(0, 255), st.binary(max_size=200))
def test_any_bytes_give_a_message_or_a_packet_error(first: int, body: bytes) -> None:
    try:
        found = decode_publish(first, body)
    except PacketError:
        return
    assert len(found.topic) + len(found.payload) <= len(body)


@pytest.mark.parametrize(
    "body", [b"", b"\0", b"\0\1t", b"\0\1t\0", b"\0\1t\0\1", b"\0\1t\0\1\5\x08", b"\0\1t\0\1\x80\x80\x80\x80\1", b"\0\1t\0\1\2\7\0"]
)
def test_a_publish_cut_short_or_with_foreign_properties_is_a_packet_error(body: bytes) -> None:
    with pytest.raises(PacketError):
        decode_publish(0x32, body)


@given(_TOPICS, st.binary(max_size=65535))
def test_an_answer_is_a_publish_of_qos_0_with_the_correlation_data(topic: str, correlation: bytes) -> None:
    packet = encode_answer(topic.encode(), correlation)
    length, at = 0, 1
    while True:
        length |= (packet[at] & 0x7F) << 7 * (at - 1)
        at += 1
        if packet[at - 1] < 0x80:
            break
    assert len(packet) == at + length
    theirs = _packet.decode_publish(packet[0], packet[at:], paho.MQTTv5)
    assert theirs.properties is not None
    assert (theirs.topic, theirs.payload, theirs.qos, theirs.retain) == (topic.encode(), b"", 0, False)
    assert getattr(theirs.properties, "CorrelationData", None) == correlation


def test_an_acknowledgement_is_a_puback_of_success() -> None:
    assert encode_puback(0x1234) == b"\x40\x02\x12\x34"
