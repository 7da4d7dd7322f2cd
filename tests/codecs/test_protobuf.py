"""A frame is read exactly as the reference runtime reads it, or rejected exactly when the reference rejects it (plus our own rules)."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fleetpulse.codecs import form, records
from fleetpulse.codecs.schema import BY_NAME, FIELDS, Field, Wire
from fleetpulse.codecs.straight import REACH
from tests.naive import telemetry, wire
from tests.support.polls import APPEND_MS, at_offset, poll
from tests.support.strategies import VALUES, WIRE_FRAMES, broken, wire_fields

DEVICE = wire.delimited(1, bytes(range(16)))


NOTHING, ZEROS = b"", bytes(REACH)
"""What may stand behind a frame in the poll. Behind nothing the general way is taken, else the straight one comes first."""


def decode_frame(body: bytes, tail: bytes = ZEROS) -> NDArray[Any] | str:
    """The row of one frame or the reason why it is not taken, in the form of the naive twin."""
    decoded = records.decode(poll([wire.batch(body), tail]), source_topic="t", partitions=1)
    letters = [letter.reason for letter in decoded.dead_letters if letter.offset == 0]
    row = at_offset(decoded.frames, 0)
    row["append_ms"] = 0
    assert len(letters) + len(row) == 1
    return letters[0] if letters else row


def assert_same(body: bytes, *tails: bytes) -> None:
    expected = telemetry.decode_frame(body)
    if form.is_json(wire.batch(body)):  # then it cannot be a frame that we would take
        assert isinstance(expected, str)
        expected = "json"
    for tail in (NOTHING, ZEROS, *tails):
        got = decode_frame(body, tail)
        if isinstance(got, str) or isinstance(expected, str):
            assert got == expected
        else:
            assert got.tobytes() == expected.tobytes()


@settings(max_examples=300)
@given(broken(WIRE_FRAMES))
@example(DEVICE + wire.delimited(36, b"2.4\0") + wire.delimited(38, b"short"))
@example(b"\t\t      [")
@example(DEVICE + wire.delimited(36, b"\xff") + wire.delimited(36, b"a"))
def test_any_bytes_give_what_the_reference_gives(body: bytes) -> None:
    assert_same(body)


@given(VALUES, st.randoms(use_true_random=False), st.integers(0, 3))
def test_fields_in_any_order_the_last_one_wins(values: dict[str, Any], random: Any, doubled: int) -> None:
    pieces = [piece for field in FIELDS if (piece := _write(field, values[field.name]))]
    pieces += [_write(field, 1 if field.wire is not Wire.STRING else "x") for field in FIELDS[:doubled]]
    random.shuffle(pieces)
    assert_same(b"".join(pieces))


@given(broken(VALUES.map(lambda values: b"".join(_write(field, values[field.name]) for field in FIELDS))))
def test_fields_in_order_give_what_the_reference_gives(body: bytes) -> None:
    assert_same(body)


def test_a_full_frame_cut_anywhere_gives_what_the_reference_gives() -> None:
    body = b"".join(_write(field, "2.4" if field.wire is Wire.STRING else 2**28) for field in FIELDS)
    for cut in range(len(body) + 1):
        assert_same(body[:cut], body[cut:] + ZEROS)  # the rest, behind the frame's end, looks like more of its fields


@pytest.mark.parametrize("fields", [2, 5, 12, 20, 38])
def test_a_row_keeps_its_origin_when_what_follows_the_frame_looks_like_more_of_it(fields: int) -> None:
    """The straight way reads on behind the frame's end, into fields that the batch does not know, and all is read anew."""
    pieces = [_write(field, "2.4" if field.wire is Wire.STRING else 2**28) for field in FIELDS]
    body, at = b"".join(pieces), len(b"".join(pieces[:fields]))
    decoded = records.decode(poll([b"", wire.batch(body[:at]) + body[at:], ZEROS], first_offset=70), source_topic="t", partitions=1)
    assert decoded.frames["offset"].tolist() == [70, 71]
    assert decoded.frames["append_ms"].tolist() == [APPEND_MS + 70, APPEND_MS + 71]
    row = at_offset(decoded.frames, 71)
    row["append_ms"] = 0
    expected = telemetry.decode_frame(body[:at])
    assert not isinstance(expected, str)
    row["offset"] = 0
    assert row.tobytes() == expected.tobytes()


@given(VALUES, st.integers(0, len(FIELDS)), st.lists(wire_fields(), min_size=1, max_size=3))
def test_unusual_fields_among_those_in_order(values: dict[str, Any], at: int, unusual: list[bytes]) -> None:
    pieces = [_write(field, values[field.name]) for field in FIELDS]
    assert_same(b"".join([*pieces[:at], *unusual, *pieces[at:]]))


@pytest.mark.parametrize("field", [f for f in FIELDS if f.optional], ids=lambda f: f.name)
def test_what_is_out_of_its_range_is_missing_and_flagged(field: Field) -> None:
    for value, plausible in ((field.low, True), (field.high, True), (field.low - 1, False), (field.high + 1, False)):
        if field.wire is Wire.UINT32 and not 0 <= value < 2**32:
            continue
        row = decode_frame(DEVICE + _write(field, value))
        assert not isinstance(row, str)
        assert row["implausible"][0] == (0 if plausible else 1 << (field.number - 1))
        expected = value if plausible else field.missing
        assert np.array_equal(row[field.name], np.array([expected], row[field.name].dtype), equal_nan=field.dtype.startswith("<f"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["speed_mps", "odometer_m"])
def test_nan_and_infinity_are_missing_and_flagged(name: str, value: float) -> None:
    row = decode_frame(DEVICE + _write(BY_NAME[name], value))
    assert not isinstance(row, str)
    assert np.isnan(row[name][0])
    assert row["implausible"][0] == 1 << (BY_NAME[name].number - 1)


def test_a_later_plausible_value_takes_the_flag_away() -> None:
    speed = BY_NAME["speed_mps"]
    row = decode_frame(DEVICE + _write(speed, -5.0) + _write(speed, 4.0))
    assert not isinstance(row, str)
    assert (row["speed_mps"][0], row["implausible"][0]) == (4.0, 0)


def test_an_unknown_model_stays_as_it_is() -> None:
    row = decode_frame(DEVICE + _write(BY_NAME["model_id"], 4_000_000_000))
    assert not isinstance(row, str)
    assert row["model_id"][0] == 4_000_000_000


@pytest.mark.parametrize("length", range(1, 13))
def test_overlong_forms_are_taken_as_the_reference_takes_them(length: int) -> None:
    for piece in (
        wire.tag(4, wire.VARINT) + wire.varint(3, length),
        wire.tag(34, wire.VARINT) + wire.varint(2**64 - 1, length),
        wire.tag(77, wire.VARINT) + wire.varint(3, length),
        wire.tag(4, wire.VARINT, length) + b"\3",
        wire.tag(36, wire.LEN) + wire.varint(2, length) + b"ab",
        wire.tag(77, wire.START_GROUP) + wire.tag(77, wire.END_GROUP, length),
    ):
        assert_same(DEVICE + piece)


@pytest.mark.parametrize("last", range(128))
def test_bits_beyond_the_64th_are_taken_as_the_reference_takes_them(last: int) -> None:
    for number in (4, 5, 34, 77):
        assert_same(DEVICE + wire.tag(number, wire.VARINT) + b"\xff" * 9 + bytes([last]))


@pytest.mark.parametrize("depth", [1, 98, 99, 100])
def test_groups_nest_as_deep_as_the_reference_allows(depth: int) -> None:
    nested = wire.tag(3, wire.VARINT) + b"\1"
    for _ in range(depth):
        nested = wire.group(50, nested)
    assert_same(DEVICE + nested)


@pytest.mark.parametrize("piece", [b"\x00\x01", b"\x02\x01a", b"\x05abcd", b"\x03\x04", b"\x80\x00\x01", b"\x04", b"\x06", b"\x0e"])
def test_a_field_number_zero_passes_in_groups_only(piece: bytes) -> None:
    for body in (DEVICE + piece, DEVICE + wire.group(50, piece), DEVICE + wire.group(50, wire.group(1, piece))):
        assert_same(body)


@pytest.mark.parametrize(
    "piece",
    [wire.group(50, b"", end=51), wire.tag(50, wire.END_GROUP), wire.tag(50, wire.START_GROUP), b"\x00", b"\x03\x04", b"\x0e", b"\x0f"],
)
def test_broken_groups_and_wire_types_are_rejected(piece: bytes) -> None:
    assert decode_frame(DEVICE + piece) == telemetry.decode_frame(DEVICE + piece) == "malformed"


@pytest.mark.parametrize(
    "text",
    ["é", "€", "🛴", "\ud7ff\ue000", "\U0010ffff"],
)
def test_every_length_of_utf8_is_text(text: str) -> None:
    assert_same(DEVICE + wire.delimited(36, text.encode()))
    for cut in range(1, len(text.encode())):
        assert_same(DEVICE + wire.delimited(36, text.encode()[:-cut]))


@given(st.binary(max_size=17))
@example(b"\xed\xa0\x80")
@example(b"\xf4\x90\x80\x80")
@example(b"\xc0\x80")
@example(b"\xe0\x9f\xbf")
@example(b"\xf0\x8f\xbf\xbf")
def test_text_is_utf8_as_the_reference_checks_it(text: bytes) -> None:
    assert_same(DEVICE + wire.delimited(36, text))


def _write(field: Field, value: Any) -> bytes:
    """One field as any conforming encoder would write it."""
    if value is None:
        return b""
    if field.wire is Wire.BYTES16:
        return wire.delimited(field.number, value.to_bytes(16, "big"))
    if field.wire is Wire.STRING:
        return wire.delimited(field.number, value.encode())
    if field.wire in (Wire.FIXED32, Wire.FIXED64):
        kind, size = (wire.I32, 4) if field.wire is Wire.FIXED32 else (wire.I64, 8)
        return wire.tag(field.number, kind) + int(value).to_bytes(size, "little")
    if field.wire in (Wire.FLOAT, Wire.DOUBLE):
        kind, dtype = (wire.I32, "<f4") if field.wire is Wire.FLOAT else (wire.I64, "<f8")
        return wire.tag(field.number, kind) + np.array([value], dtype).tobytes()
    number = int(value)
    if field.wire is Wire.SINT32:
        number = number << 1 if number >= 0 else (-number << 1) - 1
    return wire.tag(field.number, wire.VARINT) + wire.varint(number)


def test_a_frame_of_nothing_has_no_device_id() -> None:
    assert decode_frame(b"") == telemetry.decode_frame(b"") == "device_id"
