"""Hypothesis strategies for what stands on the wire: FRAME rows, and protobuf bytes from proper to broken."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from fleetpulse.codecs import schema
from fleetpulse.codecs.schema import FIELDS, Field, Wire
from tests.naive import wire

UUIDS = st.one_of(st.just(1), st.integers(1, 2**128 - 1))
FIRMWARE = st.text("09.-aZ\xe9\u20ac\U0001f6f4", max_size=16).filter(lambda text: len(text.encode()) <= 16)


def plausible(field: Field) -> st.SearchStrategy[Any]:
    """Values of a field that a decoder keeps; None: absent. UUIDs as one number."""
    if field.wire is Wire.BYTES16:
        return UUIDS if field.number == 1 else st.one_of(st.none(), UUIDS)
    if field.wire is Wire.STRING:
        return FIRMWARE
    if field.wire in (Wire.FLOAT, Wire.DOUBLE):
        return st.one_of(st.none(), st.floats(field.low, field.high, width=32 if field.wire is Wire.FLOAT else 64))
    if field.optional:
        return st.one_of(st.none(), st.integers(int(field.low), int(field.high)))
    return st.integers(0, 2 ** (8 * np.dtype(field.dtype).itemsize) - 1 if field.dtype != "<i8" else 2**63 - 1)


VALUES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries({field.name: plausible(field) for field in FIELDS})
"""Fields of one frame by name."""


def rows(values: list[dict[str, Any]]) -> NDArray[Any]:
    """FRAME rows of frames given by name."""
    frames = schema.empty(len(values))
    for row, value in enumerate(values):
        for name, found in value.items():
            if found is None:
                continue
            if schema.BY_NAME[name].dtype == "uuid":
                stem = name.removesuffix("_id")
                frames[f"{stem}_hi"][row], frames[f"{stem}_lo"][row] = found >> 64, found & (2**64 - 1)
            else:
                frames[name][row] = found.encode() if isinstance(found, str) else found
    return frames


def frames(max_size: int = 5) -> st.SearchStrategy[NDArray[Any]]:
    """(N,) FRAME rows with plausible values."""
    return st.lists(VALUES, max_size=max_size).map(rows)


NUMBERS = st.one_of(st.sampled_from([field.number for field in FIELDS]), st.sampled_from([1, 38, 36, 41, 42, 1000, 2**29 - 1]))
VARINTS = st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1), st.sampled_from([2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1]))
_TEXTS = st.one_of(
    st.text("a9\0\xe9\u20ac\U0001f6f4", max_size=20).map(str.encode), st.binary(max_size=20), st.binary(min_size=16, max_size=16)
)
_WIRE_TYPES = {
    Wire.BYTES16: wire.LEN,
    Wire.STRING: wire.LEN,
    Wire.FIXED64: wire.I64,
    Wire.FIXED32: wire.I32,
    Wire.FLOAT: wire.I32,
    Wire.DOUBLE: wire.I64,
}


@st.composite
def wire_fields(draw: st.DrawFn, depth: int = 2) -> bytes:
    """One field: known or unknown, of its own wire type or another, in the usual form or a longer one."""
    number = draw(NUMBERS)
    own = _WIRE_TYPES.get(schema.FIELDS[number - 1].wire, wire.VARINT) if number <= len(FIELDS) else wire.VARINT
    kind = draw(st.one_of(st.just(own), st.sampled_from([wire.VARINT, wire.I64, wire.LEN, wire.I32, wire.START_GROUP])))
    longer = draw(st.one_of(st.just(0), st.integers(0, 11)))
    head = wire.tag(number, kind, longer if longer <= 6 else 0)
    if kind == wire.VARINT:
        return head + wire.varint(draw(VARINTS), longer)
    if kind == wire.I64:
        return head + draw(st.binary(min_size=8, max_size=8))
    if kind == wire.I32:
        return head + draw(st.binary(min_size=4, max_size=4))
    if kind == wire.LEN:
        body = draw(_TEXTS)
        return head + wire.varint(len(body), longer) + body
    inner = draw(st.lists(wire_fields(depth - 1), max_size=2)) if depth else []
    return head + b"".join(inner) + wire.tag(draw(st.one_of(st.just(number), NUMBERS)), wire.END_GROUP)


DEVICE_IDS = st.binary(min_size=16, max_size=16)
WIRE_FRAMES: st.SearchStrategy[bytes] = st.one_of(
    st.tuples(DEVICE_IDS, st.lists(wire_fields(), max_size=8)).map(lambda t: wire.delimited(1, t[0]) + b"".join(t[1])),
    st.tuples(st.lists(wire_fields(), max_size=4), DEVICE_IDS).map(lambda t: b"".join(t[0]) + wire.delimited(1, t[1])),
    st.binary(max_size=60),
)
"""Bodies of frames, most of them readable."""


@st.composite
def broken(draw: st.DrawFn, payloads: st.SearchStrategy[bytes]) -> bytes:
    """A payload as it is, cut short, lengthened, or with a few bytes changed."""
    payload = bytearray(draw(payloads))
    damage = draw(st.sampled_from(["none", "none", "cut", "longer", "change"]))
    if damage == "cut":
        del payload[draw(st.integers(0, len(payload))) :]
    elif damage == "longer":
        payload += draw(st.binary(min_size=1, max_size=12))
    elif damage == "change" and payload:
        for _ in range(draw(st.integers(1, 3))):
            payload[draw(st.integers(0, len(payload) - 1))] = draw(st.integers(0, 255))
    return bytes(payload)


WIRE_BATCHES: st.SearchStrategy[bytes] = broken(
    st.lists(st.one_of(WIRE_FRAMES.map(wire.batch), WIRE_FRAMES.map(wire.batch), wire_fields()), max_size=4).map(b"".join)
)
"""Payloads: batches of frames with unknown fields between them, some broken, some garbage."""
