"""JSON frames: what the plain way through orjson means, and that the kernel gives the same bit for bit."""

from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fleetpulse.codecs import encode, form, json, json_scan, records, schema
from fleetpulse.codecs.errors import WireError
from fleetpulse.codecs.schema import BY_NAME, FIELDS, FRAME, Wire
from tests.support.polls import at_offset, poll
from tests.support.strategies import VALUES, broken, rows

ID = "00010203-0405-0607-0809-0a0b0c0d0e0f"
HEAD = f'{{"device_id":"{ID}"'


def plain(text: bytes) -> NDArray[Any] | str:
    """The row of one JSON frame by orjson and json.put, or the reason why it is not taken."""
    row = schema.empty(1)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return "json"
    try:
        json.put(value, row, 0)
    except WireError as error:
        return error.reason
    return row


def decode(text: bytes, tail: bytes = b"") -> NDArray[Any] | str:
    """The same by the decoder."""
    decoded = records.decode(poll([text, tail]), source_topic="t", partitions=1)
    letters = [letter.reason for letter in decoded.dead_letters if letter.offset == 0]
    row = at_offset(decoded.frames, 0)
    row["append_ms"] = 0
    assert len(letters) + len(row) == 1
    return letters[0] if letters else row


def assert_same(text: bytes) -> None:
    if b'"operation"' in text or not form.is_json(text) or text.lstrip(b" \t\r\n")[:1] != b"{":
        return
    expected = plain(text)
    for tail in (b"", b" " * 100, b'"}' * 50):
        got = decode(text, tail)
        if isinstance(got, str) or isinstance(expected, str):
            assert got == expected
        else:
            assert content(got) == content(expected)


SPACE = st.sampled_from(["", "", "", " ", "\n", "\t\r\n  "])
DIGITS = st.text("0123456789", min_size=1, max_size=9)
NUMBERS = st.one_of(
    st.integers(-(2**65), 2**65).map(str),
    st.integers(-1000, 1000).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(repr),
    st.floats(0, 100).map(lambda x: f"{x:.3f}"),
    st.floats(-1e6, 1e6).map(lambda x: f"{x:e}"),
    st.tuples(st.sampled_from(["", "-"]), DIGITS, DIGITS, st.sampled_from(["", "e", "E", "e+", "E-"]), DIGITS).map(
        lambda t: f"{t[0]}{t[1]}.{t[2]}" + (t[3] + t[4][:3] if t[3] else "")
    ),
    st.sampled_from(["-0", "-0.0", "0e0", "01", "1.", ".5", "1e", "+1", "1e999", "1e-999", "9007199254740993", "9007199254740993.0"]),
    st.sampled_from(["NaN", "Infinity", "-", "--1", "0x10", "16777217", "16777217.0", "0.1e-400", "123456789012345678.9"]),
)
STRINGS = st.one_of(
    st.text('2.4-aé€\U0001f6f4\\"\n\x7f', max_size=18).map(lambda text: orjson.dumps(text).decode()),
    st.sampled_from(['"a\\u0041"', '"\\ud800"', '"\x01"', '""', '"0123456789abcdef"', '"0123456789abcdefg"', '"open']),
)
UUIDS = st.one_of(
    st.uuids().map(lambda u: f'"{u}"'),
    st.uuids().map(lambda u: f'"{str(u).upper()}"'),
    st.sampled_from([f'"{ID[:-1]}"', f'"{ID}0"', f'"{ID[:-1]}g"', f'"{ID.replace("-", "_")}"', '"00000000-0000-0000-0000-000000000000"']),
)
OTHERS = st.sampled_from(["null", "true", "false", "[]", "{}", '{"a":[1,{"b":null}]}', "nul", "tru", "None", "", "[1", "{"])
INTEGERS = st.one_of(st.integers(0, 200), st.integers(-(2**31), 2**32 - 1), st.integers(0, 2**65)).map(str)
QUOTED = st.one_of(INTEGERS.map(lambda text: f'"{text}"'), st.sampled_from(['"-0"', '"007"', '" 7"', '"7.0"', '"1_0"', '"٣"']))


def usual(field: schema.Field) -> st.SearchStrategy[str]:
    """Values of the kind that the field has."""
    if field.wire is Wire.BYTES16:
        return UUIDS
    if field.wire is Wire.STRING:
        return STRINGS
    return NUMBERS if field.wire in (Wire.FLOAT, Wire.DOUBLE) else st.one_of(INTEGERS, INTEGERS, QUOTED)


KINDS = {field.name: usual(field) for field in FIELDS if field.number != 1}


@st.composite
def members(draw: st.DrawFn) -> str:
    """One key and its value: mostly of the right kind, in any form."""
    name = draw(st.one_of(st.sampled_from(list(KINDS)), st.sampled_from(["x", "", "speed", "speed_mps2", "device_id", "seq\\u0041", "é"])))
    own = KINDS.get(name, OTHERS)
    value = draw(own if draw(st.integers(0, 19)) else st.one_of(OTHERS, NUMBERS, STRINGS, QUOTED))
    a, b, c, d = (draw(SPACE) for _ in range(4))
    return f'{a}"{name}"{b}:{c}{value}{d}'


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """JSON objects, most of them frames."""
    found = draw(st.lists(members(), max_size=6))
    if draw(st.integers(0, 9)):
        found.insert(draw(st.integers(0, len(found))), f'"device_id":"{ID}"')
    return f"{draw(SPACE)}{{{','.join(found)}{draw(SPACE)}}}{draw(SPACE)}".encode()


@settings(max_examples=400)
@given(st.one_of(texts(), texts(), broken(texts())))
@example(b"{}")
@example(HEAD.encode() + b',"seq":1,"seq":2}')
@example(HEAD.encode() + b',"time_ms":9223372036854775807}')
@example(HEAD.encode() + b',"fault_bits":18446744073709551615}')
@example(HEAD.encode() + b',"altitude_m":-0}')
def test_any_text_gives_what_the_plain_way_gives(text: bytes) -> None:
    assert_same(text)


def plain_list(text: bytes) -> list[bytes | str]:
    """What stands at each position of a JSON list by orjson and json.put: a row's bytes or the reason why it is not taken."""
    try:
        values = orjson.loads(text)
    except orjson.JSONDecodeError:
        return ["json"]
    found = [plain(orjson.dumps(value)) if isinstance(value, dict) else "json" for value in values] or ["json"]
    return [one if isinstance(one, str) else content(one) for one in found]


def content(frame: NDArray[Any]) -> bytes:
    """The fields of rows without the padding between them, which a copy need not keep."""
    return b"".join(frame[name].tobytes() for name in FRAME.names or ())


def decode_list(text: bytes) -> list[bytes | str]:
    decoded = records.decode(poll([text, b""]), source_topic="t", partitions=1)
    found: dict[int, bytes | str] = {max(0, letter.position): letter.reason for letter in decoded.dead_letters}
    for row in range(len(decoded.frames) - 1):
        frame = decoded.frames[row : row + 1].copy()
        position = int(frame["position"][0])
        frame["append_ms"], frame["position"] = 0, 0
        found[position] = content(frame)
    assert len(found) == len(decoded.frames) - 1 + len(decoded.dead_letters)
    return [found[position] for position in sorted(found)]


ELEMENTS = st.one_of(
    VALUES.map(lambda values: encode.encode_json(rows([values])[0])),
    st.just(f'{HEAD},"firmware_version":"{{2}}"}}'.encode()),
    texts().map(bytes.strip),
    st.sampled_from([b"1", b"null", b"[]", b"{}", b'"{"', b"[{}]"]),
)


@given(
    st.lists(ELEMENTS, max_size=4), st.lists(SPACE, min_size=4, max_size=4), st.sampled_from([b"]", b"]", b"]", b",]", b"", b"]]", b"}"])
)
@example([HEAD.encode() + b"}"] * 3, [""] * 4, b"]")
def test_a_list_gives_what_its_elements_give(elements: list[bytes], spaces: list[str], close: bytes) -> None:
    a, b, c, d = (space.encode() for space in spaces)
    text = a + b"[" + b + (c + b"," + d).join(elements) + c + close + d
    if b"operation" not in text and form.is_json(text):
        assert decode_list(text) == plain_list(text)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from([f.name for f in FIELDS if f.wire in (Wire.FLOAT, Wire.DOUBLE)]), NUMBERS), max_size=5))
@example([("odometer_m", "0.3"), ("odometer_m", "0.30000000000000004")])
@example([("speed_mps", "16777217.0e-7"), ("speed_mps", "23.399999618530273")])
@example([("speed_mps", "1.000000059604644775390625"), ("range_m", "1.00000005960464477")])
def test_floats_are_the_nearest_double_and_then_the_nearest_float(found: list[tuple[str, str]]) -> None:
    for name, text in found:
        assert_same(f'{HEAD},"{name}":{text}}}'.encode())


@given(VALUES)
def test_a_frame_cut_anywhere_is_rejected_and_whole_it_is_taken(values: dict[str, Any]) -> None:
    text = encode.encode_json(rows([values])[0])
    assert_same(text)
    assert not isinstance(decode(text), str)
    for cut in range(1, len(text), 7):
        assert decode(text[:-cut], text[-cut:]) in ("json", "framing")


USUAL: list[Callable[[dict[str, Any]], bytes]] = [
    orjson.dumps,
    lambda value: orjson.dumps(value, option=orjson.OPT_INDENT_2),
    lambda value: orjson.dumps(dict(reversed(value.items()))),
    lambda value: orjson.dumps({"extra": 1, **value, "more": "x", "flag": True, "none": None}),
    lambda value: orjson.dumps({k: str(v) if isinstance(v, int) else v for k, v in value.items()}),
    lambda value: orjson.dumps(value).replace(b":", b" : ").replace(b",", b" ,\t"),
]


@pytest.mark.parametrize("write", USUAL)
@pytest.mark.parametrize("digits", [3, 17])
def test_usual_forms_never_reach_python(write: Callable[[dict[str, Any]], bytes], digits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    value = orjson.loads(encode.encode_json(rows([_full(1), _full(2)])[1]))
    value = {k: round(v, digits) if isinstance(v, float) else v for k, v in value.items()}
    text = write(value).replace(b'" : "', b'":"') if digits == 3 else write(value)
    expected = plain(text)
    assert not isinstance(expected, str)

    def refuse(value: dict[str, Any], frames: NDArray[Any], row: int) -> None:
        raise AssertionError("a usual frame must not need the plain way")

    monkeypatch.setattr(json, "put", refuse)
    got = decode(text)
    assert not isinstance(got, str)
    assert content(got) == content(expected)
    assert decode_list(b"[ " + b" , ".join([text] * 3) + b" ]\n") == [content(expected)] * 3


def _full(seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    value: dict[str, Any] = {}
    for field in FIELDS:
        if field.wire is Wire.BYTES16:
            value[field.name] = int(random.integers(1, 2**62)) << 60
        elif field.wire is Wire.STRING:
            value[field.name] = "2.14.1-rc3"
        elif field.wire in (Wire.FLOAT, Wire.DOUBLE):
            value[field.name] = float(np.float32(random.uniform(max(field.low, -500), min(field.high, 500))))
        elif field.optional:
            value[field.name] = int(random.integers(int(field.low), int(field.high)))
        else:
            value[field.name] = int(random.integers(0, 2**31))
    return value


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("seq", "7", 7),
        ("seq", '"7"', 7),
        ("seq", "null", 0),
        ("seq", "7.0", "json"),
        ("seq", "true", "json"),
        ("seq", "-1", "json"),
        ("seq", "4294967295", 2**32 - 1),
        ("seq", "4294967296", "json"),
        ("seq", '"7.5"', "json"),
        ("time_ms", "18446744073709551615", -1),
        ("time_ms", "18446744073709551616", "json"),
        ("time_ms", '"18446744073709551616"', "json"),
        ("fault_bits", "18446744073709551615", 2**64 - 1),
        ("latitude_e7", "-900000000", -900_000_000),
        ("latitude_e7", "-900000001", schema.MISSING_E7),
        ("latitude_e7", "9000000000", schema.MISSING_E7),
        ("satellites", "70000", schema.MISSING_INT),
        ("satellites", "null", schema.MISSING_INT),
        ("speed_mps", "3", 3.0),
        ("speed_mps", "3e0", 3.0),
        ("speed_mps", "-5", np.nan),
        ("speed_mps", "1e300", np.nan),
        ("speed_mps", "1e999", "json"),
        ("speed_mps", '"3"', "json"),
        ("speed_mps", "false", "json"),
        ("firmware_version", '"2.4"', b"2.4"),
        ("firmware_version", '"\\u00e9"', "é".encode()),
        ("firmware_version", '"12345678901234567"', b""),
        ("firmware_version", "2.4", "json"),
        ("trip_id", f'"{ID}"', 0x0001020304050607),
        ("trip_id", '"none"', 0),
        ("trip_id", '""', 0),
        ("trip_id", "5", "json"),
        ("device_id", '"x"', "device_id"),
        ("device_id", "null", "device_id"),
        ("device_id", "1", "json"),
    ],
)
def test_kinds_and_ranges(name: str, text: str, expected: Any) -> None:
    frame = f'{{"device_id":"{ID}","{name}":{text}}}'.encode()
    assert_same(frame)
    got = decode(frame)
    if isinstance(got, str):
        assert got == expected
    else:
        column = got["trip_hi"] if name == "trip_id" else got[name]
        assert np.array_equal(column, np.array([expected], column.dtype), equal_nan=column.dtype.kind == "f")


def test_an_implausible_value_is_flagged() -> None:
    got = decode(HEAD.encode() + b',"speed_mps":-5,"trip_id":"none","seq":3}')
    assert not isinstance(got, str)
    assert got["implausible"][0] == 1 << (BY_NAME["speed_mps"].number - 1) | 1 << (BY_NAME["trip_id"].number - 1)


def test_names_stand_for_every_field() -> None:
    assert len(json_scan._NAMES) == len(FIELDS) + 1
